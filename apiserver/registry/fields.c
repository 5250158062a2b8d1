/* Who wrote which field: metadata.managedFields of ordinary writes. */
#include "api/managed.h"
#include "api/typed.h"
#include "apiserver/registry/convert.h"
#include "apiserver/registry/custom_resources.h"
#include "apiserver/registry/engine.h"
#include "base/str.h"

#include <errno.h>

/* What an endpoint does not write. Most are of one kind: the main one no status, the status one no spec. Those that are
 * not have a row here. */
#define RESET_MAX 3
typedef struct Reset {
    const char *group, *plural, *subresource; /* "": the main one */
    const char *paths[RESET_MAX + 1];
} Reset;
static const Reset RESETS[] = {
    {"", "pods", "status", {"spec", "metadata.deletionTimestamp", "metadata.ownerReferences"}},
    {"admissionregistration.k8s.io", "validatingadmissionpolicies", "status", {"metadata", "spec"}},
    {"apps", "deployments", "status", {"spec", "metadata.labels"}},
    {"certificates.k8s.io", "certificatesigningrequests", "", {"spec", "status"}},
    {"certificates.k8s.io", "certificatesigningrequests", "approval", {"spec", "status.certificate"}},
    {"certificates.k8s.io", "certificatesigningrequests", "status", {"spec", "status.conditions"}},
    {"flowcontrol.apiserver.k8s.io", "flowschemas", "status", {"metadata", "spec"}},
    {"flowcontrol.apiserver.k8s.io", "prioritylevelconfigurations", "status", {"metadata", "spec"}},
    {"networking.k8s.io", "servicecidrs", "status", {"metadata", "spec"}},
    {"resource.k8s.io", "resourceclaims", "status", {"metadata", "spec"}},
    {"storage.k8s.io", "volumeattachments", "status", {"metadata", "spec"}},
};

static const char *const *reset_fields(const RegistryCall *call) {
    static const char *const status[] = {"status", NULL}, *const spec[] = {"spec", NULL},
                             *const custom[] = {"metadata", "spec", NULL};
    const Resource *resource = call->resource;
    const char *subresource = str_or(call->request->subresource, "");
    for (size_t i = 0; i < ELEMENTSOF(RESETS); i++)
        if (streq(RESETS[i].plural, resource->plural) && streq(RESETS[i].group, resource->group) &&
            streq(RESETS[i].subresource, subresource))
            return RESETS[i].paths;
    if (streq(subresource, "status"))
        return resource->custom ? custom : spec;
    return !*subresource && resource_subresource(resource, "status") ? status : NULL;
}

/* The row of the kind at another version of the request's group; NULL: there is none. Each group has a converter of its
 * own in the reference: what was owned under the kind's name in another group (events) is forgotten. */
static const Resource *row_at(const RegistryCall *call, const char *api_version) {
    const char *slash = strchr(api_version, '/');
    const char *group = slash ? arena_strndup(call->context.arena, api_version, (size_t)(slash - api_version)) : "";
    const Resource *row = resource_find_kind(group, slash ? slash + 1 : api_version, call->resource->kind);
    return row && row->storage == call->resource->storage && streq(group, call->request->resource->group) ? row : NULL;
}

static int convert_version(void *userdata, Arena *arena, const char *from, const char *to, const Value *object,
                           const Schema **ret_schema, Value **ret, ApiError *err) {
    const Resource *is = row_at(userdata, from), *wanted = row_at(userdata, to);
    if (!is || !wanted)
        return -ENOENT;
    *ret = convert_object(arena, is, wanted, value_copy(arena, object));
    *ret_schema = wanted->schema;
    const char *wrong = typed_validate(arena, wanted->schema, *ret); /* items that come twice */
    return wrong ? api_error_set(err, 500, "", "%s", wrong) : 0;
}

/* Every version of the definition counts, served or not. None is ever missing: what an entry names that is none of them
 * is an error. */
static int convert_custom(void *userdata, Arena *arena, _unused_ const char *from, const char *to, const Value *object,
                          const Schema **ret_schema, Value **ret, ApiError *err) {
    const RegistryCall *call = userdata;
    const Resource *wanted = custom_resource_at_version(call->resource, to);
    if (!wanted)
        return api_error_set(err, 500, "", "request to convert CR to an invalid group/version: %s", to);
    Value *converted = value_copy(arena, object);
    int r = custom_resources_convert(arena, wanted, &converted, 1, err);
    const char *wrong = r < 0 ? NULL : typed_validate(arena, wanted->schema, converted);
    if (r < 0 || wrong)
        return r < 0 ? r : api_error_set(err, 500, "", "%s", wrong);
    *ret = converted;
    *ret_schema = wanted->schema;
    return 0;
}

const Resource *registry_managed_row(const RegistryCall *call) {
    return call->resource->custom ? call->resource : call->request->resource;
}

void registry_managed_input(RegistryCall *call, ManagedInput *ret) {
    const ApiRequest *request = call->request;
    Arena *arena = call->context.arena;
    const Resource *at = registry_managed_row(call);
    *ret = (ManagedInput){
        .schema = at->schema,
        .api_version = resource_api_version(arena, at),
        .manager = managed_name(arena, request->options.field_manager, request->user_agent),
        .subresource = request->subresource,
        .now_ns = call->context.now_ns,
        .reset_fields = reset_fields(call),
        .resets_own_version = call->resource->custom && !request->subresource,
        .custom = call->resource->custom != NULL,
        .force = request->options.force,
        .convert = call->resource->custom ? convert_custom : convert_version,
        .userdata = call,
    };
}

void engine_track_fields(RegistryCall *call, const Value *old, Value *object) {
    ManagedInput input;
    if (call->keep_managed_fields)
        return;
    registry_managed_input(call, &input);
    Arena *arena = call->context.arena;
    const Resource *at = registry_managed_row(call);
    if (!value_has_unset(object) && at == call->resource) {
        managed_update(arena, &input, old, object);
        return;
    }
    Value *normal = value_copy(arena, object);
    Value *sent = value_path(normal, "metadata", "managedFields", NULL);
    schema_normalize(arena, call->resource->schema, normal, NULL, NULL);
    normal = convert_object(arena, call->resource, at, normal);
    if (sent) /* an empty list has a meaning here */
        value_set(arena, meta_ensure(arena, normal), "managedFields", sent);
    if (old && at != call->resource)
        old = convert_object(arena, call->resource, at, value_copy(arena, old));
    managed_update(arena, &input, old, normal);
    value_set(arena, meta_ensure(arena, object), "managedFields",
              value_path(normal, "metadata", "managedFields", NULL));
}
