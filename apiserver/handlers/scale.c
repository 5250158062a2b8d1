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

/* What was sent, or what a patch makes of `from`. */
static int read_scale(Scaling *scaling, const Value *from, Value **ret, ApiError *err) {
    const ApiRequest *request = scaling->call->request;
    PatchedBody body = {.body = value_copy(scaling->call->context.arena, request->body)};
    bool patch = request->verb == API_PATCH;
    int r = patch ? patch_apply(request, &schema_autoscaling_v1_Scale, from, &body, err) : 0;
    r = r < 0 ? r : decode_scale(scaling, &body, patch ? from : NULL, ret, err);
    if (r < 0)
        return r;
    if (!request->resource->custom)
        return validate_scale(scaling->call->context.arena, *ret, err);
    /* Of a custom resource the object is what is validated. */
    if (replicas_of(*ret) == NO_REPLICAS)
        return api_error_bad_request(err, "the spec replicas field \"%s\" cannot be empty",
                                     custom_version(request->resource)->spec_replicas);
    return 0;
}

static int scale_transform(void *userdata, const Value *old, Value **ret, ApiError *err) {
    Scaling *scaling = userdata;
    const ApiRequest *request = scaling->call->request;
    Arena *arena = scaling->call->context.arena;
    Value *scale = NULL, *from = NULL;
    if (scale_view(arena, request->resource, old, &from, err) < 0) { /* absent: the request may set it */
        api_error_done(err);
        value_set_int(arena, value_ensure_object(arena, from, "spec"), "replicas", NO_REPLICAS);
    }
    int r = read_scale(scaling, from, &scale, err);
    if (r < 0)
        return r;
    Value *object = value_copy(arena, old), *meta = meta_ensure(arena, object);
    ScaleWrite write = {
        .resource = request->resource,
        .manager = managed_name(arena, request->options.field_manager, request->user_agent),
        .was = replicas_of(from),
        .now = replicas_of(scale),
    };
    scale_fields_track(arena, &write, object);
    scaling->call->keep_managed_fields = true;
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
