/* A rate-limited work queue of string keys with its workers (client-go's workqueue and the usual controller loop in
 * one). A key is processed by one worker at a time; added while processed, it runs again. Failures back off
 * exponentially from 5 ms to 1000 s as client-go does. */
#pragma once

#include "base/buf.h"

typedef struct WorkQueue WorkQueue;

/* sync returns 0 (forget), negative errno (retry with back-off) or WORK_REQUEUE_AFTER via workqueue_add_after itself.
 * It may block. `workers` threads start on demand and are small. */
WorkQueue *workqueue_new(const char *name, unsigned workers, int (*sync)(const char *key, void *userdata),
                         void *userdata);
void workqueue_free(WorkQueue *queue); /* lets running syncs end, drops the rest */
DEFINE_CLEANUP(WorkQueue, workqueue_free)
void workqueue_add(WorkQueue *queue, const char *key);
void workqueue_add_after(WorkQueue *queue, const char *key, uint64_t delay_ns); /* the earliest of several wins */
void workqueue_add_rate_limited(WorkQueue *queue, const char *key);
void workqueue_forget(WorkQueue *queue, const char *key);
unsigned workqueue_retries(WorkQueue *queue, const char *key);
size_t workqueue_depth(WorkQueue *queue);
/* While held, keys gather and no worker starts (until the caches that sync needs are filled). Hold before the first
 * add. */
void workqueue_hold(WorkQueue *queue);
void workqueue_release(WorkQueue *queue);
/* workqueue_depth and so on, with client-go's names; queues of one name count as one. */
void workqueue_write_metrics(WorkQueue *const *queues, size_t n, Buf *out);
