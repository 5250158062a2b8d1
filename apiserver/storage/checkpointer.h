/* Copies the log of the sqlite driver's database back on a thread and connection of its own.
 *
 * Up to 3.51.2 SQLite may lose commits when a commit starts the log over just as a second checkpoint begins
 * (https://sqlite.org/wal.html#walresetbug). A commit does so only to a log of which all is copied: so none begins here
 * but over a log that has more, or while no transaction can be open. */
#pragma once

#include "base/mem.h"

typedef struct Checkpointer Checkpointer;

int checkpointer_new(const char *path, Checkpointer **ret);
void checkpointer_free(Checkpointer *checkpointer); /* joins the thread; NULL is fine */
/* Around every transaction. The first waits while the log is made to start over. */
void checkpointer_transaction_begins(Checkpointer *checkpointer);
void checkpointer_transaction_ended(Checkpointer *checkpointer);
/* Within the transaction that did it: the log has so many pages now. Does not block. */
void checkpointer_log_grew(Checkpointer *checkpointer, int pages);
/* Nobody writes: copy all of the log and truncate it. Any thread; does not block. */
void checkpointer_truncate(Checkpointer *checkpointer);
