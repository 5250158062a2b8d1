#define LOG_COMPONENT "apiserver"
#include "apiserver/event_ttl.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"

#include <errno.h>
#include <pthread.h>

struct EventTtl {
    Store *store;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool stopping;
    uint64_t revisions[EVENT_TTL_SECONDS / EVENT_SWEEP_SECONDS]; /* of the store at the last sweeps, an hour of them */
    size_t n_sweeps;
};

static int64_t time_of(const Value *v, const char *name) {
    const char *text = value_get_str(v, name);
    int64_t at = 0;
    if (text)
        rfc3339_parse(text, &at);
    return at;
}

/* The last write that an event tells of: each repetition renews it. */
static int64_t last_seen(const Object *object, Arena *arena) {
    const Value *v = object_value(object, arena), *series = value_get(v, "series");
    int64_t at = object_created_ns(object);
    at = MAX(at, time_of(v, "lastTimestamp"));
    at = MAX(at, time_of(v, "eventTime"));
    return MAX(at, time_of(series, "lastObservedTime"));
}

static bool has_expired(const Object *object, int64_t now_ns) {
    int64_t oldest = now_ns - (int64_t)(EVENT_TTL_SECONDS * NS_PER_SEC);
    if (object_created_ns(object) > oldest)
        return false;
    _cleanup_arena_ Arena *arena = arena_new(0);
    return last_seen(object, arena) <= oldest;
}

int event_ttl_sweep(Store *store, int64_t now_ns, uint64_t hour_ago, size_t *ret_removed) {
    _cleanup_object_list_ ObjectList list = {0};
    _cleanup_api_error_ ApiError err = {0};
    const Resource *events = resource_find("", "v1", "events");
    size_t removed = 0;
    int r = store_list(store, &(ListQuery){.resource = events}, &list, &err);
    for (size_t i = 0; r == 0 && i < list.n; i++) {
        const Object *o = list.items[i];
        if (object_revision(o) > hour_ago && !has_expired(o, now_ns))
            continue;
        int d = store_delete(store, events, object_namespace(o), object_name(o), object_revision(o), NULL, NULL);
        if (d == 0)
            removed++;
        else if (d != -ENOENT && d != -ESTALE) /* written again meanwhile: it lives on */
            r = d;
    }
    if (ret_removed)
        *ret_removed = removed;
    return r;
}

static void *run(void *userdata) {
    EventTtl *ttl = userdata;
    pthread_mutex_lock(&ttl->lock);
    while (!ttl->stopping) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += EVENT_SWEEP_SECONDS;
        if (pthread_cond_timedwait(&ttl->wake, &ttl->lock, &until) != ETIMEDOUT || ttl->stopping)
            continue;
        pthread_mutex_unlock(&ttl->lock);
        uint64_t *hour_ago = &ttl->revisions[ttl->n_sweeps++ % ELEMENTSOF(ttl->revisions)];
        int r = event_ttl_sweep(ttl->store, now_realtime_ns(), *hour_ago, NULL);
        *hour_ago = store_revision(ttl->store);
        if (r < 0)
            log_warn("expired events stay for now: %s", strerror(-r));
        pthread_mutex_lock(&ttl->lock);
    }
    pthread_mutex_unlock(&ttl->lock);
    return NULL;
}

EventTtl *event_ttl_start(Store *store) {
    EventTtl *ttl = NEW0(EventTtl);
    ttl->store = store;
    pthread_mutex_init(&ttl->lock, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&ttl->wake, &attr);
    pthread_condattr_destroy(&attr);
    int r = pthread_create(&ttl->thread, NULL, run, ttl);
    if (r == 0)
        return ttl;
    log_error("events will not expire: no thread: %s", strerror(r));
    free(ttl);
    return NULL;
}

void event_ttl_stop(EventTtl *ttl) {
    if (!ttl)
        return;
    pthread_mutex_lock(&ttl->lock);
    ttl->stopping = true;
    pthread_cond_signal(&ttl->wake);
    pthread_mutex_unlock(&ttl->lock);
    pthread_join(ttl->thread, NULL);
    pthread_cond_destroy(&ttl->wake);
    pthread_mutex_destroy(&ttl->lock);
    free(ttl);
}
