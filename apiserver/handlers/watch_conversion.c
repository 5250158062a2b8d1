/* A job on the pool outlives a watch that is closed meanwhile: `closed` is set under the lock, and after that nothing
 * is posted to the loop, which may be gone. */
#include "apiserver/handlers/watch_conversion.h"
#include "apiserver/registry/custom_resources.h"

#include <pthread.h>

typedef enum Phase { COLLECTING, CONVERTING, TAKING } Phase;

struct WatchConversion {
    Pool *pool;
    Loop *loop;
    const Resource *resource;
    void (*ready)(void *userdata);
    void *userdata;
    Phase phase; /* the loop's */
    WatchType types[WATCH_CONVERSION_BATCH];
    Object *objects[WATCH_CONVERSION_BATCH];
    size_t n, next;
    int result;
    ApiError err;
    pthread_mutex_t lock;
    bool closed, running; /* under the lock */
};

WatchConversion *watch_conversion_new(Pool *pool, Loop *loop, const Resource *resource, void (*ready)(void *userdata),
                                      void *userdata) {
    WatchConversion *conversion = NEW0(WatchConversion);
    conversion->pool = pool;
    conversion->loop = loop;
    conversion->resource = resource;
    conversion->ready = ready;
    conversion->userdata = userdata;
    pthread_mutex_init(&conversion->lock, NULL);
    return conversion;
}

static void destroy(WatchConversion *conversion) {
    for (size_t i = conversion->next; i < conversion->n; i++)
        object_unref(conversion->objects[i]);
    api_error_done(&conversion->err);
    pthread_mutex_destroy(&conversion->lock);
    free(conversion);
}

void watch_conversion_free(WatchConversion *conversion) {
    if (!conversion)
        return;
    pthread_mutex_lock(&conversion->lock);
    conversion->closed = true;
    bool running = conversion->running;
    pthread_mutex_unlock(&conversion->lock);
    if (!running)
        destroy(conversion);
}

void watch_conversion_add(WatchConversion *conversion, WatchType type, Object *object) {
    conversion->types[conversion->n] = type;
    conversion->objects[conversion->n++] = object;
}

static void arrived(void *userdata) {
    WatchConversion *conversion = userdata;
    pthread_mutex_lock(&conversion->lock);
    conversion->running = false;
    bool closed = conversion->closed;
    pthread_mutex_unlock(&conversion->lock);
    if (closed) {
        destroy(conversion);
        return;
    }
    conversion->phase = TAKING;
    conversion->ready(conversion->userdata);
}

static void convert(void *userdata) {
    WatchConversion *conversion = userdata;
    conversion->result =
        custom_resources_convert_objects(conversion->resource, conversion->objects, conversion->n, &conversion->err);
    pthread_mutex_lock(&conversion->lock);
    bool closed = conversion->closed;
    if (!closed)
        loop_post(conversion->loop, arrived, conversion);
    pthread_mutex_unlock(&conversion->lock);
    if (closed)
        destroy(conversion);
}

int watch_conversion_start(WatchConversion *conversion) {
    if (conversion->phase != COLLECTING || !conversion->n)
        return 0;
    conversion->phase = CONVERTING;
    conversion->running = true;
    int r = pool_submit(conversion->pool, convert, conversion);
    if (r < 0)
        conversion->running = false;
    return r < 0 ? r : 1;
}

bool watch_conversion_is_busy(const WatchConversion *conversion) {
    return conversion->phase == CONVERTING;
}

int watch_conversion_next(WatchConversion *conversion, WatchEvent *ret, ApiError *err) {
    if (conversion->phase != TAKING)
        return 0;
    if (conversion->result < 0) {
        *err = conversion->err;
        conversion->err = (ApiError){0};
        return conversion->result;
    }
    if (conversion->next < conversion->n) {
        size_t i = conversion->next++;
        *ret = (WatchEvent){conversion->types[i], conversion->objects[i], object_revision(conversion->objects[i])};
        return 1;
    }
    conversion->phase = COLLECTING;
    conversion->n = conversion->next = 0;
    return 0;
}
