#include "apiserver/handlers/watch_hub.h"

#include <pthread.h>
#include <stdatomic.h>

struct WatchBucket {
    WatchHub *hub;
    WatchBucket *next;
    Loop *loop;
    WatchSeat *seats;         /* only on the loop's thread */
    Frames frames;            /* likewise */
    _Atomic uint64_t wanted;  /* rows that some stream here watches (may be too many) */
    _Atomic uint64_t pending; /* rows changed since the last wake */
};

struct WatchHub {
    Store *store;
    StoreListener *listener;
    pthread_mutex_t lock; /* over buckets */
    WatchBucket *buckets; /* one a loop thread, as long as the hub */
    _Atomic size_t streams;
};

static void wake_bucket(void *userdata) {
    WatchBucket *bucket = userdata;
    uint64_t changed = atomic_exchange(&bucket->pending, 0);
    for (WatchSeat *seat = bucket->seats, *next; seat; seat = next) {
        next = seat->next;
        if (seat->row_bit & changed)
            http_stream_wake(seat->http);
    }
}

static void on_commit(uint64_t changed, uint64_t revision, void *userdata) {
    WatchHub *hub = userdata;
    (void)revision;
    pthread_mutex_lock(&hub->lock);
    for (WatchBucket *bucket = hub->buckets; bucket; bucket = bucket->next) {
        uint64_t rows = changed & atomic_load(&bucket->wanted);
        if (rows && atomic_fetch_or(&bucket->pending, rows) == 0)
            loop_post(bucket->loop, wake_bucket, bucket);
    }
    pthread_mutex_unlock(&hub->lock);
}

WatchHub *watch_hub_new(Store *store) {
    WatchHub *hub = NEW0(WatchHub);
    hub->store = store;
    pthread_mutex_init(&hub->lock, NULL);
    hub->listener = store_listen(store, on_commit, hub);
    return hub;
}

void watch_hub_free(WatchHub *hub) {
    if (!hub)
        return;
    store_unlisten(hub->store, hub->listener);
    for (WatchBucket *bucket = hub->buckets, *next; bucket; bucket = next) {
        next = bucket->next;
        frames_done(&bucket->frames);
        free(bucket);
    }
    pthread_mutex_destroy(&hub->lock);
    free(hub);
}

size_t watch_hub_count(WatchHub *hub) {
    return atomic_load(&hub->streams);
}

static WatchBucket *bucket_of(WatchHub *hub, Loop *loop) {
    pthread_mutex_lock(&hub->lock);
    WatchBucket *bucket = hub->buckets;
    while (bucket && bucket->loop != loop)
        bucket = bucket->next;
    if (!bucket) {
        bucket = NEW0(WatchBucket);
        bucket->hub = hub;
        bucket->loop = loop;
        bucket->next = hub->buckets;
        hub->buckets = bucket;
    }
    pthread_mutex_unlock(&hub->lock);
    return bucket;
}

void watch_seat_take(WatchSeat *seat, WatchHub *hub, HttpRequest *http, uint64_t row_bit) {
    WatchBucket *bucket = bucket_of(hub, http_request_loop(http));
    *seat = (WatchSeat){.http = http, .row_bit = row_bit, .bucket = bucket, .next = bucket->seats};
    if (seat->next)
        seat->next->previous = seat;
    bucket->seats = seat;
    atomic_fetch_or(&bucket->wanted, row_bit);
    atomic_fetch_add(&hub->streams, 1);
}

void watch_seat_leave(WatchSeat *seat) {
    WatchBucket *bucket = seat->bucket;
    uint64_t wanted = 0;
    if (seat->previous)
        seat->previous->next = seat->next;
    else
        bucket->seats = seat->next;
    if (seat->next)
        seat->next->previous = seat->previous;
    for (WatchSeat *s = bucket->seats; s; s = s->next)
        wanted |= s->row_bit;
    atomic_store(&bucket->wanted, wanted);
    atomic_fetch_sub(&bucket->hub->streams, 1);
}

bool watch_seat_is_alone(const WatchSeat *seat) {
    return seat->bucket->seats == seat && !seat->next;
}

Frames *watch_seat_frames(WatchSeat *seat) {
    return &seat->bucket->frames;
}
