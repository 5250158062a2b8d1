#include "apiserver/registry/registry.h"
#include "api/names.h"
#include "apiserver/registry/custom_resources.h"
#include "apiserver/registry/engine.h"
#include "base/clock.h"
#include "base/str.h"

#include <errno.h>

struct Registry {
    Store *store;
    StrategySettings settings;
    char *service_range;
    AdmissionHooks admission;
    struct CustomResources *custom;
};

Registry *registry_new(const RegistryConfig *config) {
    Registry *registry = NEW0(Registry);
    registry->store = config->store;
    registry->custom = config->custom;
    registry->settings = config->settings;
    registry->service_range = xstrdup(config->settings.service_cluster_ip_range);
    registry->settings.service_cluster_ip_range = registry->service_range;
    registry->admission = config->admission;
    return registry;
}

void registry_free(Registry *registry) {
    if (!registry)
        return;
    free(registry->service_range);
    free(registry);
}

Store *registry_store(Registry *registry) {
    return registry->store;
}

struct CustomResources *registry_custom(Registry *registry) {
    return registry->custom;
}

const StrategySettings *registry_settings(Registry *registry) {
    return &registry->settings;
}

const AdmissionHooks *registry_admission(const Registry *registry) {
    return &registry->admission;
}

/* Custom resources pass in the version asked for, since a webhook may have to convert what is stored. */
static const Resource *engine_row(const Resource *resource) {
    return resource->custom ? resource : resource->storage;
}

void registry_call_init(RegistryCall *call, Registry *registry, const ApiRequest *request) {
    *call = (RegistryCall){.registry = registry, .request = request, .resource = engine_row(request->resource)};
    call->strategy = strategy_of(call->resource);
    call->context = (StrategyContext){
        .arena = request->arena,
        .settings = &registry->settings,
        .resource = call->resource,
        .ns = str_or(request->ns, ""),
        .subresource = request->subresource,
        .user = request->user ? request->user->name : "",
        .requester = request->user,
        .requested = request->resource,
        .store = registry->store,
        .dry_run = request->options.dry_run,
        .now_ns = now_realtime_ns(),
    };
}

int engine_object(RegistryCall *call, Value *object, Object **ret, ApiError *err) {
    Arena *arena = call->context.arena;
    uint64_t deadline = call->request->deadline_ns;
    if (deadline && now_monotonic_ns() >= deadline)
        return registry_store_error(call, "", -ETIMEDOUT, err);
    const Resource *storage = call->resource->storage;
    if (call->resource != storage) {
        int r = custom_resources_convert(arena, storage, &object, 1, err);
        if (r < 0)
            return r;
    }
    /* Pruned by the version that is stored alone: a Scale sets replicas that another version may not show. */
    schema_normalize(arena, storage->schema, object, NULL, NULL);
    schema_as_stored(storage->schema, object);
    *ret = object_from_value(storage, object);
    return 0;
}

int registry_tree(RegistryCall *call, const Object *object, Value **ret, ApiError *err) {
    Arena *arena = call->context.arena;
    Value *v = object_value(object, arena);
    if (call->resource->custom) {
        int r = custom_resources_convert(arena, call->resource, &v, 1, err);
        if (r < 0)
            return r;
        custom_resource_read(arena, call->resource, v);
    }
    *ret = v;
    return 0;
}

int registry_check_namespace(const char *want, const char *have, ApiError *err) {
    if (!*want || !*have || streq(want, have))
        return 0;
    return api_error_bad_request(
        err, "the namespace of the provided object does not match the namespace sent on the request");
}

int registry_not_found(const Resource *resource, const char *name, ApiError *err) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    NameMessages messages = {.arena = arena};
    name_path_segment(name, &messages);
    return messages.n ? api_error_bad_request(err, "Name parameter invalid: %s: %s", go_quoted(arena, name),
                                              name_messages_text(&messages, ";"))
                      : api_error_not_found(err, resource->group, resource->plural, name);
}

int registry_store_error(const RegistryCall *call, const char *name, int r, ApiError *err) {
    const Resource *resource = call->request->resource;
    switch (r) {
    case -ENOENT:
        return registry_not_found(resource, name, err);
    case -EEXIST:
        return api_error_already_exists(err, resource->group, resource->plural, name);
    case -ESTALE:
        return api_error_conflict(
            err, resource->group, resource->plural, name,
            "the object has been modified; please apply your changes to the latest version and try again");
    case -EFBIG:
        return api_error_set(err, 413, "RequestEntityTooLarge", "etcdserver: request is too large");
    case -ETIMEDOUT:
        return api_error_set(err, 504, "Timeout",
                             "Timeout: request did not complete within requested timeout - context deadline exceeded");
    case -ENOSPC:
        return api_error_set(err, 500, "InternalError", "the disk of the store is full");
    case -EDQUOT:
        return api_error_set(err, 500, "InternalError", "etcdserver: mvcc: database space exceeded");
    default:
        return api_error_from_errno(err, r, "store");
    }
}

int registry_get(RegistryCall *call, const char *ns, const char *name, Object **ret, ApiError *err) {
    int r = store_get(call->registry->store, call->resource, ns, name, ret);
    return r < 0 ? registry_store_error(call, name, r, err) : 0;
}
