/* The scale subresource: an autoscaling/v1 view of spec.replicas. */
#include "apiserver/handlers/verbs.h"
#include "api/gen/schemas.h"
#include "api/managed.h"
#include "apiserver/registry/custom_resources.h"
#include "apiserver/registry/scale_fields.h"
#include "apiserver/registry/scale_view.h"
#include "apiserver/registry/validate_util.h"
#include "base/str.h"

#include <errno.h>

#define NO_REPLICAS INT32_MIN /* stands for replicas that are not there */

/* Of what a write left; a custom resource may have no place for replicas at this version. */
static int answer(RegistryCall *call, const Object *object, bool written, ApiResponse *ret, ApiError *err) {
    const ApiRequest *request = call->request;
    Value *tree;
    int r = registry_tree(call, object, &tree, err);
    if (r < 0)
        return r;
    ret->schema = &schema_autoscaling_v1_Scale;
    r = scale_view(request->arena, request->resource, tree, &ret->value, err);
    if (r < 0 && written) {
        api_error_done(err);
        r = 0;
    }
    return r;
}

int scale_get(ApiCore *core, const ApiRequest *request, const ApiInput *input, ApiResponse *ret, ApiError *err) {
    (void)input;
    RegistryCall call;
    _cleanup_object_ Object *object = NULL;
    registry_call_init(&call, api_core_registry(core), request);
    int r = registry_get(&call, str_or(request->ns, ""), request->name, &object, err);
    return r < 0 ? r : answer(&call, object, false, ret, err);
}

typedef struct Scaling {
    RegistryCall *call;
    const ApiInput *input;
} Scaling;

/* `from`: what it is with a patch applied; NULL: none was. */
static int decode_scale(Scaling *scaling, const PatchedBody *patched, const Value *from, Value **ret, ApiError *err) {
    DecodeInput decode = {
        .body = patched->body,
        .strategic_patch = patched->strategic_patch,
        .json_patch = patched->json_patch,
        .patched_from = from,
        .duplicates = scaling->input->duplicates,
        .resource = scaling->call->request->resource,
        .schema = &schema_autoscaling_v1_Scale,
        .group = "autoscaling",
        .version = "v1",
        .kind = "Scale",
    };
    int r = registry_decode_kind(scaling->call, &decode, ret, err);
    return r < 0 ? r : check_name(scaling->call->request, *ret, err);
}

static int validate_scale(Arena *arena, const Value *scale, ApiError *err) {
    FieldErrors errors = FIELD_ERRORS_INIT(arena);
    FieldPath spec = FIELD(NULL, "spec"), at = FIELD(&spec, "replicas"), meta = FIELD(NULL, "metadata"),
              labels = FIELD(&meta, "labels"), annotations = FIELD(&meta, "annotations");
    field_check_labels(&errors, &labels, value_path(scale, "metadata", "labels", NULL));
    annotations_validate(&errors, value_path(scale, "metadata", "annotations", NULL), &annotations);
    int64_t replicas = value_get_int(value_get(scale, "spec"), "replicas", 0);
    if (replicas < 0)
        field_invalid(&errors, &at, value_int(arena, replicas), "must be greater than or equal to 0");
    return api_error_invalid(err, "autoscaling", "Scale", str_or(meta_get(scale, "name"), ""), &errors);
}

static int64_t replicas_of(const Value *scale) {
    return value_get_int(value_get(scale, "spec"), "replicas", 0);
}

static bool is_apply(const ApiRequest *request) {
    return request->verb == API_PATCH && request->options.patch_type == PATCH_APPLY;
}

/* Who writes the Scale, which is an object of its own to the field manager. */
static ManagedInput scale_managed_input(const RegistryCall *call) {
    const ApiRequest *request = call->request;
    return (ManagedInput){
        .schema = &schema_autoscaling_v1_Scale,
        .api_version = SCALE_API_VERSION,
        .manager = managed_name(call->context.arena, request->options.field_manager, request->user_agent),
        .subresource = request->subresource,
        .now_ns = call->context.now_ns,
        .force = request->options.force,
    };
}

/* The field manager of a custom resource converts between the versions of its kind alone, and so cannot read a Scale
 * that it makes itself: neither what merging changes, nor the empty one it starts from where nobody owns the replicas.
 * What is applied to the Scale of a custom resource can but change its owners. */
static int refuse_conversion(const char *object, const char *ns, const char *name, ApiError *err) {
    return api_error_set(err, 500, "",
                         "failed to %s object (%s/%s; " SCALE_API_VERSION ", Kind=Scale) to proper version: request to "
                         "convert CR to an invalid group/version: " SCALE_API_VERSION,
                         object, ns, name);
}

static int check_owned(const Value *from, ApiError *err) {
    if (value_len(value_path(from, "metadata", "managedFields", NULL)))
        return 0;
    return refuse_conversion("create manager for existing fields: failed to convert live", "", "", err);
}

static int check_unchanged(const Value *applied, bool changed, ApiError *err) {
    if (!changed)
        return 0;
    return refuse_conversion("convert new", str_or(meta_get(applied, "namespace"), ""),
                             str_or(meta_get(applied, "name"), ""), err);
}

static int apply_scale(Scaling *scaling, const Value *from, Value **ret, ApiError *err) {
    RegistryCall *call = scaling->call;
    Arena *arena = call->context.arena;
    ManagedInput input = scale_managed_input(call);
    bool custom = call->request->resource->custom;
    Value *applied = value_copy(arena, call->request->body), *merged;
    bool changed;
    int r = applied_check(SCALE_API_VERSION, "Scale", applied, err);
    r = r < 0 || !custom ? r : check_owned(from, err);
    r = r < 0 ? r : managed_apply(arena, &input, from, applied, &merged, &changed, err);
    r = r < 0 || !custom ? r : check_unchanged(applied, changed, err);
    r = r < 0 ? r : applied_convert(arena, input.schema, SCALE_API_VERSION, "Scale", applied, merged, err);
    r = r < 0 ? r : applied_check_duplicates(call, scaling->input->duplicates, err);
    r = r < 0 ? r : check_name(call->request, merged, err);
    if (r == 0)
        *ret = merged;
    return r;
}

/* What was sent, or what a patch makes of `from`, with its owners. */
static int read_scale(Scaling *scaling, const Value *from, Value **ret, ApiError *err) {
    const ApiRequest *request = scaling->call->request;
    Arena *arena = scaling->call->context.arena;
    if (is_apply(request))
        return apply_scale(scaling, from, ret, err);
    PatchedBody body = {.body = value_copy(arena, request->body)};
    bool patch = request->verb == API_PATCH;
    int r = patch ? patch_apply(request, &schema_autoscaling_v1_Scale, from, &body, err) : 0;
    r = r < 0 ? r : decode_scale(scaling, &body, patch ? from : NULL, ret, err);
    if (r < 0)
        return r;
    ManagedInput input = scale_managed_input(scaling->call);
    managed_update(arena, &input, from, *ret);
    return 0;
}

/* Of a custom resource the object is what is validated. */
static int check_scale(const RegistryCall *call, const Value *scale, ApiError *err) {
    const Resource *resource = call->request->resource;
    if (!resource->custom)
        return validate_scale(call->context.arena, scale, err);
    if (replicas_of(scale) == NO_REPLICAS)
        return api_error_bad_request(err, "the spec replicas field \"%s\" cannot be empty",
                                     custom_version(resource)->spec_replicas);
    return 0;
}

static int scale_transform(void *userdata, const Value *old, Value **ret, ApiError *err) {
    Scaling *scaling = userdata;
    RegistryCall *call = scaling->call;
    const ApiRequest *request = call->request;
    Arena *arena = call->context.arena;
    Value *scale = NULL, *from = NULL;
    if (scale_view(arena, request->resource, old, &from, err) < 0) { /* absent: the request may set it */
        api_error_done(err);
        value_set_int(arena, value_ensure_object(arena, from, "spec"), "replicas", NO_REPLICAS);
    }
    value_set(arena, meta_ensure(arena, from), "managedFields", scale_fields_of(arena, request->resource, old));
    int r = read_scale(scaling, from, &scale, err);
    r = r < 0 ? r : check_scale(call, scale, err);
    if (r < 0)
        return r;
    Value *object = value_copy(arena, old), *meta = meta_ensure(arena, object);
    scale_fields_put(arena, request->resource, value_path(scale, "metadata", "managedFields", NULL), object);
    call->keep_managed_fields = true;
    scale_view_apply(arena, request->resource, scale, object);
    bool versioned = !str_empty(meta_get(scale, "resourceVersion"));
    if (versioned || !request->resource->custom) /* a custom resource without one is scaled as it is found */
        value_set_str(arena, meta, "resourceVersion", str_or(meta_get(scale, "resourceVersion"), ""));
    if (request->verb != API_PATCH && !str_empty(meta_get(scale, "uid")))
        value_set_str(arena, meta, "uid", meta_get(scale, "uid"));
    *ret = object;
    return 0;
}

int scale_update(ApiCore *core, const ApiRequest *request, const ApiInput *input, ApiResponse *ret, ApiError *err) {
    RegistryCall call;
    _cleanup_registry_result_ RegistryResult result = {0};
    registry_call_init(&call, api_core_registry(core), request);
    Scaling scaling = {.call = &call, .input = input};
    RegistryUpdate update = {.transform = scale_transform, .userdata = &scaling, .check_uid = true};
    int r = registry_update(&call, &update, &result, err);
    response_take_warnings(ret, &call);
    return r < 0 ? r : answer(&call, result.object, true, ret, err);
}

int scale_patch(ApiCore *core, const ApiRequest *request, const ApiInput *input, ApiResponse *ret, ApiError *err) {
    return scale_update(core, request, input, ret, err);
}
