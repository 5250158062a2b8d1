/* Copies the log of the sqlite driver's database back on a thread and connection of its own. */
#pragma once

#include "base/mem.h"

typedef struct Checkpointer Checkpointer;

int checkpointer_new(const char *path, Checkpointer **ret);
void checkpointer_free(Checkpointer *checkpointer); /* joins the thread; NULL is fine */
/* The log has so many pages now. Any thread; does not block. */
void checkpointer_log_grew(Checkpointer *checkpointer, int pages);
/* Nobody writes: copy all of the log and truncate it. Any thread; does not block. */
void checkpointer_truncate(Checkpointer *checkpointer);
