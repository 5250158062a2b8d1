/* Events of one watch that a webhook must convert before they are sent: collected on the loop, converted on the pool,
 * taken on the loop again, one batch at a time and in order. All functions: the loop's thread. */
#pragma once

#include "apiserver/storage/store.h"
#include "loop/loop.h"
#include "loop/pool.h"

#define WATCH_CONVERSION_BATCH 64 /* events in one review */

typedef struct WatchConversion WatchConversion;

typedef struct WatchConversionConfig {
    Pool *pool;
    Loop *loop;
    const Resource *resource; /* what they become */
    /* Over fields of that version: events are dropped, and become ADDED and DELETED, as objects come to pass it and
     * cease to. They need the state before (WatchQuery.with_before). NULL: all pass. */
    const Selector *fields;
    void (*ready)(void *userdata); /* on the loop: a batch that was started can be taken */
    void *userdata;
} WatchConversionConfig;
/* The selector is borrowed until watch_conversion_free. */
WatchConversion *watch_conversion_new(const WatchConversionConfig *config);
void watch_conversion_free(WatchConversion *conversion); /* NULL is fine; a batch under way goes on by itself */
/* Only while none is under way, and at most WATCH_CONVERSION_BATCH. Takes the event's references. */
void watch_conversion_add(WatchConversion *conversion, const WatchEvent *event);
/* What was added: 0 when there is nothing, 1 when `ready` will be called, -EAGAIN when the pool takes no more. */
int watch_conversion_start(WatchConversion *conversion);
bool watch_conversion_is_busy(const WatchConversion *conversion);
/* The next converted event, with a reference to its object alone: 1, 0 when the batch is through; negative and err when
 * it failed. */
int watch_conversion_next(WatchConversion *conversion, WatchEvent *ret, ApiError *err);
