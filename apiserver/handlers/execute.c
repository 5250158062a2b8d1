/* A request's way to the file of its verb, over a store that knows enough. */
#include "apiserver/handlers/verbs.h"
#include "apiserver/registry/custom_resources.h"
#include "base/clock.h"
#include "base/str.h"

#include <errno.h>

#define FRESH_WAIT_NS (3 * NS_PER_SEC) /* for a revision of the future, as the reference's cache waits */
#define SYNC_WAIT_NS (30 * NS_PER_SEC) /* for the newest state; the reference's requests have a minute */

static const struct {
    const char *subresource;
    ApiVerb verb;
    api_verb_fn fn;
} subresources[] = {
    {"scale", API_GET, scale_get},
    {"scale", API_UPDATE, scale_update},
    {"scale", API_PATCH, scale_patch},
    {"binding", API_CREATE, binding_create},
    {"eviction", API_CREATE, eviction_create},
    {"token", API_CREATE, token_create},
};

/* Kinds of the core group that are not kept. */
static const struct {
    const char *plural;
    ApiVerb verb;
    api_verb_fn fn;
} computed[] = {
    {"bindings", API_CREATE, binding_create},
    {"componentstatuses", API_GET, component_status_get},
    {"componentstatuses", API_LIST, component_status_list},
};

static api_verb_fn find_computed(const ApiRequest *request) {
    const Resource *resource = request->resource;
    for (size_t i = 0; i < ELEMENTSOF(computed); i++)
        if (!*resource->group && !request->subresource && streq(computed[i].plural, resource->plural) &&
            computed[i].verb == request->verb)
            return computed[i].fn;
    return NULL;
}

bool api_read_blocks(const ApiRequest *request) {
    return find_computed(request) != NULL;
}

static const api_verb_fn verbs[] = {
    [API_GET] = verb_get,
    [API_LIST] = verb_list,
    [API_CREATE] = verb_create,
    [API_UPDATE] = verb_update,
    [API_PATCH] = verb_patch,
    [API_DELETE] = verb_delete,
    [API_DELETE_COLLECTION] = verb_delete_collection,
};

static api_verb_fn find_verb(const ApiRequest *request) {
    for (size_t i = 0; request->subresource && i < ELEMENTSOF(subresources); i++)
        if (streq(subresources[i].subresource, request->subresource) && subresources[i].verb == request->verb)
            return subresources[i].fn;
    api_verb_fn fn = find_computed(request);
    return fn ? fn : request->verb < ELEMENTSOF(verbs) ? verbs[request->verb] : NULL;
}

/* What a read asks of the store's revision: 0 for any (resourceVersion "0"), UINT64_MAX for the newest. */
static uint64_t wanted_revision(const ApiRequest *request) {
    const char *text = request->options.resource_version;
    bool reads = request->verb == API_GET || request->verb == API_LIST || request->verb == API_WATCH;
    uint64_t revision;
    if (!reads || str_empty(text) || !str_empty(request->options.continue_token))
        return UINT64_MAX;
    return str_to_uint64(text, &revision) == 0 ? revision : 0; /* the verb says what is wrong with it */
}

bool api_must_catch_up(ApiCore *core, const ApiRequest *request) {
    Store *store = api_core_config(core)->store;
    return store_is_shared(store) && wanted_revision(request) > store_revision(store);
}

int api_catch_up(ApiCore *core, const ApiRequest *request, ApiError *err) {
    Store *store = api_core_config(core)->store;
    uint64_t wanted = wanted_revision(request), now = now_monotonic_ns();
    if (!api_must_catch_up(core, request))
        return 0;
    if (wanted != UINT64_MAX) {
        store_wait(store, wanted, now + FRESH_WAIT_NS); /* else the verb says that it is too large */
        return 0;
    }
    int r = store_sync(store, now + SYNC_WAIT_NS);
    RegistryCall call = {.registry = api_core_registry(core), .request = request};
    return r < 0 ? registry_store_error(&call, str_or(request->name, ""), r, err) : 0;
}

/* To the version asked for, all objects in one review. */
static int convert_response(const Resource *resource, ApiResponse *response, ApiError *err) {
    int r = response->object ? custom_resources_convert_objects(resource, &response->object, 1, err) : 0;
    return r < 0 ? r : custom_resources_convert_objects(resource, response->list.items, response->list.n, err);
}

int api_execute(ApiCore *core, const ApiRequest *request, const ApiInput *input, ApiResponse *ret, ApiError *err) {
    static const ApiInput none = {0};
    api_verb_fn fn = find_verb(request);
    if (!fn)
        return api_error_method_not_supported(err, request->resource->group, request->resource->plural, "this verb");
    *ret = (ApiResponse){.code = request->verb == API_CREATE ? 201 : 200};
    int r = api_catch_up(core, request, err);
    r = r < 0 ? r : fn(core, request, input ? input : &none, ret, err);
    if (r == 0 && custom_resources_converts(request->resource))
        r = convert_response(request->resource, ret, err);
    if (r < 0) {
        char **warnings = ret->warnings;
        size_t n = ret->n_warnings;
        api_response_done(ret);
        ret->warnings = warnings;
        ret->n_warnings = n;
        if (!err->code)
            api_error_from_errno(err, r, "request");
    }
    return r;
}
