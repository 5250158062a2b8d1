/* A thread that does nothing but run a loop, for who has none of its own. */
#pragma once

#include "loop/loop.h"

typedef struct LoopThread LoopThread;

/* `stack_size`: bytes; what its callbacks need. Negative errno. */
int loop_thread_new(const char *name, size_t stack_size, LoopThread **ret);
/* Ends and joins the thread, runs what waits for the loop's end, and frees the loop. Not on the thread itself. */
void loop_thread_free(LoopThread *thread);
DEFINE_CLEANUP(LoopThread, loop_thread_free)
Loop *loop_thread_loop(const LoopThread *thread);
