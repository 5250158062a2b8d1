/* An API server in memory, as a ClientTransport: for tests of what stands on lib/client. Revisions, conflicts, uids,
 * generateName, finalizers, graceful deletion of pods, status apart from spec, selectors, patches by the real codecs,
 * and watches fed by a thread of its own. A test can make it fail (fake_fail) and inspect what was asked (fake_calls).
 * Included by one test program each; everything is static. */
#pragma once

#include "api/codec.h"
#include "api/json.h"
#include "api/selector.h"
#include "base/clock.h"
#include "base/random.h"
#include "base/str.h"
#include "client/client.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>

#define FAKE_OBJECTS_MAX 4096
#define FAKE_EVENTS_MAX 65536

typedef struct FakeEvent {
    const char *type;
    Object *object;
    uint64_t revision, at_ns; /* at_ns: of the monotonic clock */
} FakeEvent;

typedef struct FakeApi {
    ClientTransport base;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    Object *objects[FAKE_OBJECTS_MAX];
    size_t n;
    FakeEvent events[FAKE_EVENTS_MAX];
    size_t n_events, first_event; /* events before first_event are forgotten: 410 */
    uint64_t revision;
    int64_t clock_skew_ns; /* added to creation times */
    const char *discovery; /* JSON of an APIGroupDiscovery to be served besides what is built in; NULL: none */
    bool graceful_pods;    /* pods with a node stay, marked, until fake_kill */
    /* The next calls of this verb on this plural fail with this code. */
    const char *fail_plural;
    ApiVerb fail_verb;
    int fail_times, fail_code;
    unsigned calls[16];      /* by verb */
    unsigned custom_watches; /* that were begun, of what discovery told of */
} FakeApi;

struct ClientWatch {
    FakeApi *api;
    const Resource *resource;
    char *ns;
    Selector *fields;
    size_t position;
    bool stop;
    pthread_t thread;
    void (*event)(const char *type, Object *object, uint64_t revision, void *userdata);
    void (*end)(int error, void *userdata);
    void *userdata;
};

/* Whether two rows are one resource: a test's row and the one a client discovered are. */
static bool fake_same(const Resource *a, const Resource *b) {
    return a->storage == b->storage || (streq(a->plural, b->plural) && streq(a->group, b->group));
}

static ssize_t fake_find(FakeApi *api, const Resource *resource, const char *ns, const char *name) {
    for (size_t i = 0; i < api->n; i++)
        if (fake_same(object_resource(api->objects[i]), resource) && streq(object_name(api->objects[i]), name) &&
            streq(object_namespace(api->objects[i]), ns ? ns : ""))
            return (ssize_t)i;
    return -1;
}

static void fake_publish(FakeApi *api, const char *type, Object *object) {
    if (api->n_events == FAKE_EVENTS_MAX)
        abort();
    api->events[api->n_events++] = (FakeEvent){type, object_ref(object), object_revision(object), now_monotonic_ns()};
    pthread_cond_broadcast(&api->changed);
}

/* Stores a tree at a new revision and tells the watchers; a new reference. `slot` < 0: a new object. */
static Object *fake_store(FakeApi *api, const Resource *resource, ssize_t slot, const Value *v) {
    /* What is stored is of the server's row, not of one that a client discovered and may free first. */
    _cleanup_object_ Object *bare = object_from_value(slot < 0 ? resource : object_resource(api->objects[slot]), v);
    Object *object = object_with_revision(bare, ++api->revision);
    if (slot < 0) {
        if (api->n == FAKE_OBJECTS_MAX)
            abort();
        api->objects[api->n++] = object_ref(object);
    } else {
        object_unref(api->objects[slot]);
        api->objects[slot] = object_ref(object);
    }
    fake_publish(api, slot < 0 ? "ADDED" : "MODIFIED", object);
    return object;
}

static void fake_remove(FakeApi *api, ssize_t slot) {
    Object *last = object_with_revision(api->objects[slot], ++api->revision);
    fake_publish(api, "DELETED", last);
    object_unref(last);
    object_unref(api->objects[slot]);
    api->objects[slot] = api->objects[--api->n];
}

static void fake_stamp(FakeApi *api, Arena *arena, Value *metadata) {
    char uuid[UUID_LEN + 1], suffix[6], now[RFC3339_MAX];
    const char *prefix = value_get_str(metadata, "generateName");
    if (!value_get_str(metadata, "name") && prefix)
        value_set(arena, metadata, "name", value_printf(arena, "%s%s", prefix, random_suffix(suffix, 5)));
    value_set_str(arena, metadata, "uid", random_uuid(uuid));
    if (!value_get(metadata, "creationTimestamp"))
        value_set_str(arena, metadata, "creationTimestamp",
                      rfc3339_format(now_realtime_ns() + api->clock_skew_ns, now));
    value_set_int(arena, metadata, "generation", 1);
}

static int fake_create(FakeApi *api, const ApiRequest *request, Object **ret, ApiError *err) {
    Value *v = value_copy(request->arena, request->body),
          *metadata = value_ensure_object(request->arena, v, "metadata");
    fake_stamp(api, request->arena, metadata);
    if (request->resource->namespaced)
        value_set_str(request->arena, metadata, "namespace", request->ns);
    const char *name = value_get_str(metadata, "name");
    if (fake_find(api, request->resource, request->ns, name) >= 0)
        return api_error_already_exists(err, request->resource->group, request->resource->plural, name);
    *ret = fake_store(api, request->resource, -1, v);
    return 0;
}

/* What a PUT or a finished patch does: conflict check, status and spec kept apart, generation, removal of what was only
 * waiting for its finalizers. */
static int fake_replace(FakeApi *api, const ApiRequest *request, ssize_t slot, Value *v, bool check, Object **ret,
                        ApiError *err) {
    Arena *arena = request->arena;
    Object *old = api->objects[slot];
    Value *was = object_value(old, arena), *metadata = value_ensure_object(arena, v, "metadata");
    const char *revision = value_get_str(metadata, "resourceVersion"), *uid = value_get_str(metadata, "uid");
    uint64_t expected;
    if (uid && !streq(uid, object_uid(old)))
        return api_error_conflict(err, request->resource->group, request->resource->plural, request->name,
                                  "uid mismatch");
    if (check && revision && str_to_uint64(revision, &expected) >= 0 && expected != object_revision(old))
        return api_error_conflict(err, request->resource->group, request->resource->plural, request->name,
                                  "the object has been modified");
    bool status = request->subresource && streq(request->subresource, "status");
    if (status)
        value_set(arena, v, "spec", value_get(was, "spec"));
    else if (resource_subresource(request->resource, "status") && !request->subresource)
        value_set(arena, v, "status", value_get(was, "status"));
    int64_t generation = value_get_int(value_get(was, "metadata"), "generation", 1);
    if (!value_equal(value_get(v, "spec"), value_get(was, "spec")))
        generation++;
    value_set_int(arena, metadata, "generation", generation);
    if (value_is_empty(value_get(metadata, "finalizers")))
        value_remove(metadata, "finalizers");
    value_set(arena, metadata, "deletionTimestamp", value_path(was, "metadata", "deletionTimestamp", NULL));
    bool namespace_done =
        streq(request->resource->plural, "namespaces") && value_is_empty(value_path(v, "spec", "finalizers", NULL));
    *ret = fake_store(api, request->resource, slot, v);
    if (object_is_deleting(*ret) && !object_has_finalizers(*ret) &&
        (!streq(request->resource->plural, "namespaces") || namespace_done) &&
        !(streq(request->resource->plural, "pods") && api->graceful_pods))
        fake_remove(api, slot);
    return 0;
}

static int fake_patch(FakeApi *api, const ApiRequest *request, ssize_t slot, Object **ret, ApiError *err) {
    Value *was = object_value(api->objects[slot], request->arena), *patched = NULL;
    int r;
    if (request->options.patch_type == PATCH_STRATEGIC)
        r = strategic_merge_apply(request->arena, request->resource->schema, was, request->body, &patched, err);
    else
        r = merge_patch_apply(request->arena, was, request->body, &patched);
    if (r < 0)
        return r;
    bool check = value_path(request->body, "metadata", "resourceVersion", NULL) != NULL;
    return fake_replace(api, request, slot, patched, check, ret, err);
}

static int fake_delete_slot(FakeApi *api, Arena *arena, const Resource *resource, ssize_t slot, const Value *options,
                            ApiError *err) {
    Object *object = api->objects[slot];
    const Value *preconditions = value_get(options, "preconditions");
    const char *uid = value_get_str(preconditions, "uid"), *policy = value_get_str(options, "propagationPolicy");
    const char *revision = value_get_str(preconditions, "resourceVersion");
    uint64_t expected;
    if ((uid && !streq(uid, object_uid(object))) ||
        (revision && str_to_uint64(revision, &expected) >= 0 && expected != object_revision(object)))
        return api_error_conflict(err, resource->group, resource->plural, object_name(object), "precondition failed");
    Value *v = object_value(object, arena), *metadata = value_get(v, "metadata");
    const char *finalizer = !policy                       ? NULL
                            : streq(policy, "Foreground") ? "foregroundDeletion"
                            : streq(policy, "Orphan")     ? "orphan"
                                                          : NULL;
    if (finalizer)
        value_append(arena, value_ensure_array(arena, metadata, "finalizers"), value_string(arena, finalizer));
    bool ns = streq(resource->plural, "namespaces") && !value_is_empty(value_path(v, "spec", "finalizers", NULL));
    bool grace = streq(resource->plural, "pods") && api->graceful_pods && value_path(v, "spec", "nodeName", NULL);
    int64_t seconds = value_get_int(options, "gracePeriodSeconds", 30);
    if (seconds == 0)
        grace = false;
    if (value_is_empty(value_get(metadata, "finalizers")) && !ns && !grace) {
        fake_remove(api, slot);
        return 0;
    }
    if (object_is_deleting(object))
        return 0;
    char now[RFC3339_MAX];
    value_set_str(arena, metadata, "deletionTimestamp", rfc3339_format(now_realtime_ns(), now));
    object_unref(fake_store(api, resource, slot, v));
    return 0;
}

static bool fake_should_fail(FakeApi *api, const ApiRequest *request, ApiError *err) {
    if (!api->fail_plural || api->fail_times == 0 || api->fail_verb != request->verb || !request->resource ||
        !streq(api->fail_plural, request->resource->plural))
        return false;
    api->fail_times--;
    api_error_set(err, api->fail_code, api->fail_code == 410 ? "Expired" : "InternalError", "made to fail");
    return true;
}

static int fake_execute_locked(FakeApi *api, const ApiRequest *request, Object **ret, ApiError *err) {
    if (request->verb == API_CREATE && !request->subresource)
        return fake_create(api, request, ret, err);
    if (request->verb == API_DELETE_COLLECTION) {
        for (size_t i = api->n; i-- > 0;)
            if (fake_same(object_resource(api->objects[i]), request->resource) &&
                streq(object_namespace(api->objects[i]), request->ns))
                fake_delete_slot(api, request->arena, request->resource, (ssize_t)i, request->body, err);
        return 0;
    }
    ssize_t slot = fake_find(api, request->resource, request->ns, request->name);
    if (slot < 0)
        return api_error_not_found(err, request->resource->group, request->resource->plural, request->name);
    switch (request->verb) {
    case API_GET:
        *ret = object_ref(api->objects[slot]);
        return 0;
    case API_UPDATE:
        return fake_replace(api, request, slot, value_copy(request->arena, request->body), true, ret, err);
    case API_PATCH:
        return fake_patch(api, request, slot, ret, err);
    case API_DELETE:
        return fake_delete_slot(api, request->arena, request->resource, slot, request->body, err);
    default:
        return api_error_method_not_supported(err, request->resource->group, request->resource->plural, "call");
    }
}

/* Aggregated discovery of what is built in, and of what a test added (fake_discovery). */
static Value *fake_document(FakeApi *api, const ApiRequest *request) {
    Arena *arena = request->arena;
    Value *list = value_object(arena), *items = value_ensure_array(arena, list, "items"), *more = NULL;
    bool core = streq(request->document, "/api");
    if (!core && api->discovery && json_parse(arena, api->discovery, strlen(api->discovery), &more, NULL, NULL) == 0)
        value_append(arena, items, more);
    const Resource *row;
    for (size_t i = 0; (row = resource_builtin(i)); i++) {
        Value *group = value_object(arena), *version = value_object(arena), *entry = value_object(arena);
        if ((*row->group == 0) != core)
            continue;
        value_set_str(arena, value_ensure_object(arena, group, "metadata"), "name", row->group);
        value_append(arena, value_ensure_array(arena, group, "versions"), version);
        value_set_str(arena, version, "version", row->version);
        value_append(arena, value_ensure_array(arena, version, "resources"), entry);
        value_set_str(arena, entry, "resource", row->plural);
        value_append(arena, items, group);
    }
    return list;
}

static int fake_execute(ClientTransport *base, const ApiRequest *request, Object **ret_object, Value **ret_value,
                        ApiError *err) {
    FakeApi *api = CONTAINER_OF(base, FakeApi, base);
    if (request->document) {
        *ret_value = fake_document(api, request);
        return 0;
    }
    pthread_mutex_lock(&api->lock);
    api->calls[request->verb]++;
    int r = fake_should_fail(api, request, err) ? -EIO : fake_execute_locked(api, request, ret_object, err);
    pthread_mutex_unlock(&api->lock);
    return r;
}

static int fake_list(ClientTransport *base, const ApiRequest *request, ClientList *ret, ApiError *err) {
    FakeApi *api = CONTAINER_OF(base, FakeApi, base);
    _cleanup_(selector_freep) Selector *labels = NULL, *fields = NULL;
    ClientList list = {0};
    if (label_selector_parse(request->options.label_selector, &labels, err) < 0 ||
        field_selector_parse(request->options.field_selector, &fields, err) < 0)
        return -EINVAL;
    pthread_mutex_lock(&api->lock);
    api->calls[request->verb]++;
    if (fake_should_fail(api, request, err)) {
        pthread_mutex_unlock(&api->lock);
        return -EIO;
    }
    list.items = xcalloc(api->n + 1, sizeof(*list.items));
    for (size_t i = 0; i < api->n; i++) {
        Object *object = api->objects[i];
        if (fake_same(object_resource(object), request->resource) &&
            (!request->ns || streq(object_namespace(object), request->ns)) && label_selector_matches(labels, object) &&
            field_selector_matches(fields, object))
            list.items[list.n++] = object_ref(object);
    }
    list.revision = api->revision;
    pthread_mutex_unlock(&api->lock);
    *ret = list;
    return 0;
}

static void *fake_watch_main(void *userdata) {
    ClientWatch *watch = userdata;
    FakeApi *api = watch->api;
    int error = 0;
    pthread_mutex_lock(&api->lock);
    while (!watch->stop && !error) {
        if (watch->position < api->first_event)
            error = -EKEYEXPIRED;
        else if (watch->position == api->n_events)
            pthread_cond_wait(&api->changed, &api->lock);
        else {
            FakeEvent event = api->events[watch->position++];
            if (!fake_same(object_resource(event.object), watch->resource) ||
                (watch->ns && !streq(watch->ns, object_namespace(event.object))) ||
                !field_selector_matches(watch->fields, event.object))
                continue;
            object_ref(event.object);
            pthread_mutex_unlock(&api->lock);
            watch->event(event.type, event.object, event.revision, watch->userdata);
            object_unref(event.object);
            pthread_mutex_lock(&api->lock);
        }
    }
    bool tell = !watch->stop;
    pthread_mutex_unlock(&api->lock);
    if (tell)
        watch->end(error, watch->userdata);
    return NULL;
}

static int fake_watch(ClientTransport *base, const ApiRequest *request,
                      void (*event)(const char *type, Object *object, uint64_t revision, void *userdata),
                      void (*end)(int error, void *userdata), void *userdata, ClientWatch **ret, ApiError *err) {
    FakeApi *api = CONTAINER_OF(base, FakeApi, base);
    ClientWatch *watch = NEW0(ClientWatch);
    uint64_t since = 0;
    str_to_uint64(request->options.resource_version, &since);
    *watch = (ClientWatch){.api = api,
                           .resource = request->resource,
                           .ns = xstrdup(request->ns),
                           .event = event,
                           .end = end,
                           .userdata = userdata};
    field_selector_parse(request->options.field_selector, &watch->fields, err);
    pthread_mutex_lock(&api->lock);
    api->calls[request->verb]++;
    api->custom_watches += request->resource->discovered;
    while (watch->position < api->n_events && api->events[watch->position].revision <= since)
        watch->position++;
    *ret = watch;
    pthread_mutex_unlock(&api->lock);
    return -pthread_create(&watch->thread, NULL, fake_watch_main, watch);
}

static void fake_watch_stop(ClientWatch *watch) {
    pthread_mutex_lock(&watch->api->lock);
    watch->stop = true;
    pthread_cond_broadcast(&watch->api->changed);
    pthread_mutex_unlock(&watch->api->lock);
    pthread_join(watch->thread, NULL);
    selector_free(watch->fields);
    free(watch->ns);
    free(watch);
}

static void fake_transport_free(ClientTransport *base) {
    FakeApi *api = CONTAINER_OF(base, FakeApi, base);
    for (size_t i = 0; i < api->n; i++)
        object_unref(api->objects[i]);
    for (size_t i = 0; i < api->n_events; i++)
        object_unref(api->events[i].object);
    pthread_mutex_destroy(&api->lock);
    pthread_cond_destroy(&api->changed);
    free(api);
}

/* Freed with the client. */
static FakeApi *fake_api_new(Client **ret_client) {
    FakeApi *api = NEW0(FakeApi);
    api->base = (ClientTransport){.execute = fake_execute,
                                  .list = fake_list,
                                  .watch = fake_watch,
                                  .watch_stop = fake_watch_stop,
                                  .free = fake_transport_free};
    pthread_mutex_init(&api->lock, NULL);
    pthread_cond_init(&api->changed, NULL);
    *ret_client = client_new(&api->base, "test");
    return api;
}

/* ---- helpers for tests ---- */

static const Resource *fake_resource(const char *group, const char *plural) {
    return resource_find(group, "v1", plural);
}

_unused_ static Object *fake_put_json(Client *client, const char *group, const char *plural, const char *ns,
                                      const char *json);

/* Creates from JSON; fails the test on error. */
static Object *fake_put_json(Client *client, const char *group, const char *plural, const char *ns, const char *json) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    _cleanup_api_error_ ApiError err = {0};
    Value *v = NULL;
    char *message = NULL;
    Object *object = NULL;
    if (json_parse(arena, json, strlen(json), &v, NULL, &message) < 0 ||
        client_create(client, fake_resource(group, plural), ns, v, &object, &err) < 0) {
        fprintf(stderr, "cannot create %s: %s%s\n", plural, message ? message : "", err.message ? err.message : "");
        abort();
    }
    return object;
}

/* Waits until check(userdata) holds, at most `seconds`. */
_unused_ static bool fake_eventually(bool (*check)(void *userdata), void *userdata, unsigned seconds) {
    for (unsigned i = 0; i < seconds * 200; i++) {
        if (check(userdata))
            return true;
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    }
    return check(userdata);
}

/* How many events there are, all of which may be read: more are added, none is changed. */
_unused_ static size_t fake_event_count(FakeApi *api) {
    pthread_mutex_lock(&api->lock);
    size_t n = api->n_events;
    pthread_mutex_unlock(&api->lock);
    return n;
}

_unused_ static size_t fake_count(Client *client, const char *group, const char *plural, const char *ns) {
    _cleanup_client_list_ ClientList list = {0};
    client_list(client, fake_resource(group, plural), ns, NULL, &list, NULL);
    return list.n;
}

_unused_ static void fake_forget_events(FakeApi *api) {
    pthread_mutex_lock(&api->lock);
    api->first_event = api->n_events;
    api->first_event++; /* also watches that are up to date */
    api->revision++;
    pthread_cond_broadcast(&api->changed);
    pthread_mutex_unlock(&api->lock);
}
