#include "controllers/expectations.h"

#include "base/clock.h"
#include "base/str.h"
#include "base/strmap.h"

#include <pthread.h>

typedef struct Expected {
    uint64_t revision; /* the newest write */
    uint64_t since_ns;
    Object **deleted; /* as they were when the deletion was asked for */
    size_t n_deleted;
} Expected;

struct Expectations {
    Informer *informer;
    pthread_mutex_t lock;
    StrMap *by_key;
};

static void expected_free(void *p) {
    Expected *expected = p;
    for (size_t i = 0; i < expected->n_deleted; i++)
        object_unref(expected->deleted[i]);
    free(expected->deleted);
    free(expected);
}

Expectations *expectations_new(Informer *informer) {
    Expectations *expectations = NEW(Expectations);
    expectations->informer = informer;
    expectations->by_key = strmap_new(expected_free);
    pthread_mutex_init(&expectations->lock, NULL);
    return expectations;
}

void expectations_free(Expectations *expectations) {
    if (!expectations)
        return;
    strmap_free(expectations->by_key);
    pthread_mutex_destroy(&expectations->lock);
    free(expectations);
}

static Expected *ensure(Expectations *expectations, const char *key) {
    Expected *expected = strmap_get(expectations->by_key, key);
    if (!expected) {
        expected = NEW0(Expected);
        strmap_put(expectations->by_key, key, expected);
    }
    expected->since_ns = now_monotonic_ns();
    return expected;
}

void expectations_wrote(Expectations *expectations, const char *key, const Object *written) {
    pthread_mutex_lock(&expectations->lock);
    Expected *expected = ensure(expectations, key);
    expected->revision = MAX(expected->revision, object_revision(written));
    pthread_mutex_unlock(&expectations->lock);
}

void expectations_deleted(Expectations *expectations, const char *key, const Object *deleted) {
    pthread_mutex_lock(&expectations->lock);
    Expected *expected = ensure(expectations, key);
    expected->deleted = xreallocn(expected->deleted, expected->n_deleted + 1, sizeof(*expected->deleted));
    expected->deleted[expected->n_deleted++] = object_ref((Object *)deleted);
    pthread_mutex_unlock(&expectations->lock);
}

static bool shows_deletion(Informer *informer, const Object *deleted) {
    _cleanup_object_ Object *now = informer_lookup(informer, object_namespace(deleted), object_name(deleted));
    return !now || object_is_deleting(now) || !streq(object_uid(now), object_uid(deleted));
}

static bool is_met(Expectations *expectations, Expected *expected) {
    if (now_monotonic_ns() - expected->since_ns > EXPECTATIONS_SECONDS * NS_PER_SEC)
        return true;
    if (informer_revision(expectations->informer) < expected->revision)
        return false;
    while (expected->n_deleted > 0 &&
           shows_deletion(expectations->informer, expected->deleted[expected->n_deleted - 1]))
        object_unref(expected->deleted[--expected->n_deleted]);
    return expected->n_deleted == 0;
}

bool expectations_satisfied(Expectations *expectations, const char *key) {
    pthread_mutex_lock(&expectations->lock);
    Expected *expected = strmap_get(expectations->by_key, key);
    bool met = !expected || is_met(expectations, expected);
    if (met && expected)
        strmap_remove(expectations->by_key, key);
    pthread_mutex_unlock(&expectations->lock);
    return met;
}

void expectations_forget(Expectations *expectations, const char *key) {
    pthread_mutex_lock(&expectations->lock);
    strmap_remove(expectations->by_key, key);
    pthread_mutex_unlock(&expectations->lock);
}
