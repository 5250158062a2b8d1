/* Who wrote which field: metadata.managedFields of ordinary writes. */
#include "api/managed.h"
#include "apiserver/registry/engine.h"
#include "base/str.h"

/* What an endpoint does not write: the main one no status, the status one nothing else. */
static const char *const *reset_fields(const RegistryCall *call) {
    static const char *const status[] = {"status", NULL}, *const spec[] = {"spec", NULL};
    const char *subresource = call->request->subresource;
    if (subresource && streq(subresource, "status"))
        return spec;
    return !subresource && resource_subresource(call->resource, "status") ? status : NULL;
}

void registry_managed_input(RegistryCall *call, ManagedInput *ret) {
    const ApiRequest *request = call->request;
    Arena *arena = call->context.arena;
    const Resource *at = call->resource;
    *ret = (ManagedInput){
        .schema = at->schema,
        .api_version = resource_api_version(arena, at),
        .manager = managed_name(arena, request->options.field_manager, request->user_agent),
        .subresource = request->subresource,
        .now_ns = call->context.now_ns,
        .reset_fields = reset_fields(call),
        .custom = call->resource->custom != NULL,
        .force = request->options.force,
    };
}

void engine_track_fields(RegistryCall *call, const Value *old, Value *object) {
    ManagedInput input;
    if (call->keep_managed_fields)
        return;
    registry_managed_input(call, &input);
    if (!value_has_unset(object)) {
        managed_update(call->context.arena, &input, old, object);
        return;
    }
    Value *normal = value_copy(call->context.arena, object);
    schema_normalize(call->context.arena, call->resource->schema, normal, NULL, NULL);
    managed_update(call->context.arena, &input, old, normal);
    value_set(call->context.arena, meta_ensure(call->context.arena, object), "managedFields",
              value_path(normal, "metadata", "managedFields", NULL));
}
