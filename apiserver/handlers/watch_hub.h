/* Who wakes the streams of watches. Those of one loop thread sit together: a commit wakes at most one callback a loop,
 * which wakes the streams whose resource changed. */
#pragma once

#include "apiserver/handlers/frames.h"

typedef struct WatchHub WatchHub;
typedef struct WatchBucket WatchBucket;

/* A stream's place in the hub, a part of the stream. */
typedef struct WatchSeat {
    HttpRequest *http; /* whom a commit wakes; borrowed */
    uint64_t row_bit;  /* of the resource it watches (store_row_bit) */
    WatchBucket *bucket;
    struct WatchSeat *next, *previous;
} WatchSeat;

WatchHub *watch_hub_new(Store *store);
void watch_hub_free(WatchHub *hub); /* after the last stream */
size_t watch_hub_count(WatchHub *hub);

/* Takes the seat, and leaves it. On the request's loop thread, as all below. */
void watch_seat_take(WatchSeat *seat, WatchHub *hub, HttpRequest *http, uint64_t row_bit);
void watch_seat_leave(WatchSeat *seat);
bool watch_seat_is_alone(const WatchSeat *seat); /* no other stream is on this loop */
Frames *watch_seat_frames(WatchSeat *seat);      /* that the streams of this loop share */
