/* A job on the pool outlives a watch that is closed meanwhile: `closed` is set under the lock, and after that nothing
 * is posted to the loop, which may be gone. */
#include "apiserver/handlers/watch_conversion.h"
#include "apiserver/registry/custom_resources.h"

#include <pthread.h>

#define NO_PLACE SIZE_MAX

typedef enum Phase { COLLECTING, CONVERTING, TAKING } Phase;

struct WatchConversion {
    WatchConversionConfig config;
    Phase phase; /* the loop's */
    WatchType types[WATCH_CONVERSION_BATCH];
    uint64_t revisions[WATCH_CONVERSION_BATCH];
    /* Of each event the places of its object and of the state before (NO_PLACE: none) among the objects. */
    size_t places[WATCH_CONVERSION_BATCH][2];
    Object *objects[2 * WATCH_CONVERSION_BATCH];
    size_t n, next, n_objects;
    int result;
    ApiError err;
    pthread_mutex_t lock;
    bool closed, running; /* under the lock */
};

WatchConversion *watch_conversion_new(const WatchConversionConfig *config) {
    WatchConversion *conversion = NEW0(WatchConversion);
    conversion->config = *config;
    pthread_mutex_init(&conversion->lock, NULL);
    return conversion;
}

static void destroy(WatchConversion *conversion) {
    for (size_t i = 0; i < conversion->n_objects; i++)
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

static size_t place(WatchConversion *conversion, Object *object) {
    if (!object)
        return NO_PLACE;
    conversion->objects[conversion->n_objects] = object;
    return conversion->n_objects++;
}

void watch_conversion_add(WatchConversion *conversion, const WatchEvent *event) {
    size_t i = conversion->n++;
    conversion->types[i] = event->type;
    conversion->revisions[i] = event->revision;
    conversion->places[i][0] = place(conversion, event->object);
    conversion->places[i][1] = place(conversion, event->before);
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
    conversion->config.ready(conversion->config.userdata);
}

static void convert(void *userdata) {
    WatchConversion *conversion = userdata;
    conversion->result = custom_resources_convert_objects(conversion->config.resource, conversion->objects,
                                                          conversion->n_objects, &conversion->err);
    pthread_mutex_lock(&conversion->lock);
    bool closed = conversion->closed;
    if (!closed)
        loop_post(conversion->config.loop, arrived, conversion);
    pthread_mutex_unlock(&conversion->lock);
    if (closed)
        destroy(conversion);
}

int watch_conversion_start(WatchConversion *conversion) {
    if (conversion->phase != COLLECTING || !conversion->n)
        return 0;
    conversion->phase = CONVERTING;
    conversion->running = true;
    int r = pool_submit(conversion->config.pool, convert, conversion);
    if (r < 0)
        conversion->running = false;
    return r < 0 ? r : 1;
}

bool watch_conversion_is_busy(const WatchConversion *conversion) {
    return conversion->phase == CONVERTING;
}

static bool passes(const WatchConversion *conversion, size_t at) {
    return at != NO_PLACE && field_selector_matches(conversion->config.fields, conversion->objects[at]);
}

/* What the watch sees of the event: true and *ret, or false. One that leaves the selector is seen as deleted with its
 * old state at the new revision, like in the store's watches. */
static bool see(const WatchConversion *conversion, size_t i, WatchEvent *ret) {
    const size_t *places = conversion->places[i];
    WatchType type = conversion->types[i];
    size_t shown = places[0];
    if (conversion->config.fields) {
        bool before = passes(conversion, places[1]), after = type != WATCH_DELETED && passes(conversion, places[0]);
        if (!before && !after)
            return false;
        if (!after && type != WATCH_DELETED)
            shown = places[1];
        type = !after ? WATCH_DELETED : before ? WATCH_MODIFIED : WATCH_ADDED;
    }
    *ret = (WatchEvent){.type = type, .revision = conversion->revisions[i]};
    Object *object = conversion->objects[shown];
    ret->object =
        object_revision(object) == ret->revision ? object_ref(object) : object_with_revision(object, ret->revision);
    return true;
}

int watch_conversion_next(WatchConversion *conversion, WatchEvent *ret, ApiError *err) {
    if (conversion->phase != TAKING)
        return 0;
    if (conversion->result < 0) {
        *err = conversion->err;
        conversion->err = (ApiError){0};
        return conversion->result;
    }
    while (conversion->next < conversion->n)
        if (see(conversion, conversion->next++, ret))
            return 1;
    for (size_t i = 0; i < conversion->n_objects; i++)
        object_unref(conversion->objects[i]);
    conversion->phase = COLLECTING;
    conversion->n = conversion->next = conversion->n_objects = 0;
    return 0;
}
