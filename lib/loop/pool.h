/* A pool of threads for work that blocks (durable commits, webhooks, runtimes). Threads start on demand up to `max` and
 * end after POOL_IDLE_SECONDS without work; work past that waits in a queue of at most `max_queue`. Stacks are
 * POOL_STACK_SIZE. */
#pragma once

#include "base/mem.h"

#define POOL_IDLE_SECONDS 10
#define POOL_STACK_SIZE (256 * 1024)

typedef struct Pool Pool;

Pool *pool_new(const char *name, unsigned max_threads, size_t max_queue);
/* Waits for all submitted work to end. */
void pool_free(Pool *pool);
DEFINE_CLEANUP(Pool, pool_free)
/* -EAGAIN when the queue is full. Any thread. */
int pool_submit(Pool *pool, void (*fn)(void *userdata), void *userdata);
