/* A pool of threads for work that blocks (durable commits, webhooks, runtimes). Threads start on demand up to `max` and
 * end after POOL_IDLE_SECONDS without work; work past that waits in a queue of at most `max_queue`. Stacks are
 * POOL_STACK_SIZE. */
#pragma once

#include "base/mem.h"

#define POOL_IDLE_SECONDS 10
#define POOL_STACK_SIZE (256 * 1024)
#define POOL_OUTSIDE_MAX 512 /* threads of one pool that have left it at a time */

typedef struct Pool Pool;

Pool *pool_new(const char *name, unsigned max_threads, size_t max_queue);
/* Waits for all submitted work to end. */
void pool_free(Pool *pool);
DEFINE_CLEANUP(Pool, pool_free)
/* -EAGAIN when the queue is full. Any thread. */
int pool_submit(Pool *pool, void (*fn)(void *userdata), void *userdata);

/* Around a wait for something that may in turn need this very pool (a webhook that asks the server back): between the
 * two the calling thread does not count against its pool's max_threads, so that others go on. Past POOL_OUTSIDE_MAX it
 * counts as ever. Nothing happens on a thread of no pool. They do not nest. */
void pool_leave(void);
void pool_return(void);
