/* Events of one watch that a webhook must convert before they are sent: collected on the loop, converted on the pool,
 * taken on the loop again, one batch at a time and in order. All functions: the loop's thread. */
#pragma once

#include "apiserver/storage/store.h"
#include "loop/loop.h"
#include "loop/pool.h"

#define WATCH_CONVERSION_BATCH 64 /* events in one review */

typedef struct WatchConversion WatchConversion;

/* `ready` is called on the loop when a batch that was started can be taken. */
WatchConversion *watch_conversion_new(Pool *pool, Loop *loop, const Resource *resource, void (*ready)(void *userdata),
                                      void *userdata);
void watch_conversion_free(WatchConversion *conversion); /* NULL is fine; a batch under way goes on by itself */
/* Only while none is under way, and at most WATCH_CONVERSION_BATCH. Takes the object's reference. */
void watch_conversion_add(WatchConversion *conversion, WatchType type, Object *object);
/* What was added: 0 when there is nothing, 1 when `ready` will be called, -EAGAIN when the pool takes no more. */
int watch_conversion_start(WatchConversion *conversion);
bool watch_conversion_is_busy(const WatchConversion *conversion);
/* The next converted event, a reference: 1, 0 when the batch is through; negative and err when it failed. */
int watch_conversion_next(WatchConversion *conversion, WatchEvent *ret, ApiError *err);
