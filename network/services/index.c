#include "network/services/index.h"

#include "base/strmap.h"
#include "base/str.h"

#include <pthread.h>
#include <stdio.h>

#define KEY_MAX 512 /* two names of at most 253 and a slash */

typedef struct Subscriber {
    void (*changed)(const char *key, void *userdata);
    void *userdata;
} Subscriber;

struct ServiceIndex {
    Informer *services, *slices;
    Subscriber subscribers[SERVICE_SUBSCRIBERS_MAX];
    size_t n_subscribers;
    pthread_mutex_t lock;
    StrMap *records; /* key -> ServiceRecord */
};

void service_record_done(ServiceRecord *record) {
    object_unref(record->service);
    for (size_t i = 0; i < record->n_slices; i++)
        object_unref(record->slices[i]);
    free(record->slices);
    *record = (ServiceRecord){0};
}

static void record_free(void *record) {
    service_record_done(record);
    free(record);
}

static void tell(const ServiceIndex *index, const char *key) {
    for (size_t i = 0; i < index->n_subscribers; i++)
        index->subscribers[i].changed(key, index->subscribers[i].userdata);
}

/* Under the lock. */
static ServiceRecord *record_for(ServiceIndex *index, const char *key) {
    ServiceRecord *record = strmap_get(index->records, key);
    if (!record) {
        record = NEW0(ServiceRecord);
        strmap_put(index->records, key, record);
    }
    return record;
}

static void drop_if_empty(ServiceIndex *index, const char *key, const ServiceRecord *record) {
    if (!record->service && !record->n_slices)
        strmap_remove(index->records, key);
}

static void service_set(ServiceIndex *index, const Object *named, Object *service) {
    char key[KEY_MAX];
    snprintf(key, sizeof key, "%s/%s", object_namespace(named), object_name(named));
    pthread_mutex_lock(&index->lock);
    ServiceRecord *record = record_for(index, key);
    object_unref(record->service);
    record->service = service ? object_ref(service) : NULL;
    drop_if_empty(index, key, record);
    pthread_mutex_unlock(&index->lock);
    tell(index, key);
}

static void service_added(Object *service, void *userdata) {
    service_set(userdata, service, service);
}

static void service_updated(_unused_ Object *old, Object *service, void *userdata) {
    service_set(userdata, service, service);
}

static void service_deleted(Object *service, void *userdata) {
    service_set(userdata, service, NULL);
}

static bool slice_key(const Object *slice, char out[KEY_MAX]) {
    const char *service = object_label(slice, SERVICE_NAME_LABEL);
    if (str_empty(service))
        return false;
    snprintf(out, KEY_MAX, "%s/%s", object_namespace(slice), service);
    return true;
}

static void slice_drop(ServiceIndex *index, const Object *slice) {
    char key[KEY_MAX];
    if (!slice_key(slice, key))
        return;
    pthread_mutex_lock(&index->lock);
    ServiceRecord *record = record_for(index, key);
    for (size_t i = 0; i < record->n_slices; i++)
        if (streq(object_name(record->slices[i]), object_name(slice))) {
            object_unref(record->slices[i]);
            record->slices[i] = record->slices[--record->n_slices];
            break;
        }
    drop_if_empty(index, key, record);
    pthread_mutex_unlock(&index->lock);
}

static void slice_put(ServiceIndex *index, Object *slice) {
    char key[KEY_MAX];
    if (!slice_key(slice, key))
        return;
    pthread_mutex_lock(&index->lock);
    ServiceRecord *record = record_for(index, key);
    record->slices = xreallocn(record->slices, record->n_slices + 1, sizeof *record->slices);
    record->slices[record->n_slices++] = object_ref(slice);
    pthread_mutex_unlock(&index->lock);
}

static void tell_of_slice(const ServiceIndex *index, const Object *slice) {
    char key[KEY_MAX];
    if (slice_key(slice, key))
        tell(index, key);
}

static void slice_added(Object *slice, void *userdata) {
    slice_drop(userdata, slice); /* a list after a broken watch may add it again */
    slice_put(userdata, slice);
    tell_of_slice(userdata, slice);
}

static void slice_updated(Object *old, Object *slice, void *userdata) {
    const char *before = object_label(old, SERVICE_NAME_LABEL), *after = object_label(slice, SERVICE_NAME_LABEL);
    slice_drop(userdata, old);
    slice_put(userdata, slice);
    if (!streq_null(before, after))
        tell_of_slice(userdata, old);
    tell_of_slice(userdata, slice);
}

static void slice_deleted(Object *slice, void *userdata) {
    slice_drop(userdata, slice);
    tell_of_slice(userdata, slice);
}

ServiceIndex *service_index_new(InformerSet *set) {
    static const InformerHandler services = {service_added, service_updated, service_deleted};
    static const InformerHandler slices = {slice_added, slice_updated, slice_deleted};
    ServiceIndex *index = NEW0(ServiceIndex);
    pthread_mutex_init(&index->lock, NULL);
    index->records = strmap_new(record_free);
    index->services = informer_get(set, resource_find("", "v1", "services"), NULL, NULL);
    index->slices = informer_get(set, resource_find("discovery.k8s.io", "v1", "endpointslices"), NULL, NULL);
    informer_add_handler(index->services, &services, index);
    informer_add_handler(index->slices, &slices, index);
    return index;
}

void service_index_free(ServiceIndex *index) {
    if (!index)
        return;
    strmap_free(index->records);
    pthread_mutex_destroy(&index->lock);
    free(index);
}

void service_index_subscribe(ServiceIndex *index, void (*changed)(const char *key, void *userdata), void *userdata) {
    if (index->n_subscribers == SERVICE_SUBSCRIBERS_MAX)
        abort();
    index->subscribers[index->n_subscribers++] = (Subscriber){changed, userdata};
}

bool service_index_synced(const ServiceIndex *index) {
    return informer_synced(index->services) && informer_synced(index->slices);
}

void service_index_get(ServiceIndex *index, const char *key, ServiceRecord *ret) {
    ServiceRecord copy = {0};
    pthread_mutex_lock(&index->lock);
    const ServiceRecord *record = strmap_get(index->records, key);
    if (record) {
        copy = (ServiceRecord){.service = record->service ? object_ref(record->service) : NULL,
                               .slices = NEWN0(Object *, record->n_slices + 1),
                               .n_slices = record->n_slices};
        for (size_t i = 0; i < record->n_slices; i++)
            copy.slices[i] = object_ref(record->slices[i]);
    }
    pthread_mutex_unlock(&index->lock);
    *ret = copy;
}

void service_index_keys(ServiceIndex *index, void (*fn)(const char *key, void *userdata), void *userdata) {
    const char *key;
    ServiceRecord *record;
    pthread_mutex_lock(&index->lock);
    STRMAP_FOREACH (index->records, key, record)
        fn(key, userdata);
    pthread_mutex_unlock(&index->lock);
}
