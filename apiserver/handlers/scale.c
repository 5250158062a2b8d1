/* The scale subresource: an autoscaling/v1 view of spec.replicas. */
#include "apiserver/handlers/verbs.h"
#include "api/gen/schemas.h"
#include "apiserver/registry/custom_resources.h"
#include "base/str.h"

#include <errno.h>

static void copy_meta(Arena *arena, Value *scale, const Value *object) {
    static const char *const members[] = {"name", "namespace", "uid", "resourceVersion", "creationTimestamp"};
    const Value *from = value_get(object, "metadata");
    Value *meta = value_ensure_object(arena, scale, "metadata");
    for (size_t i = 0; i < ELEMENTSOF(members); i++)
        if (value_get(from, members[i]))
            value_set(arena, meta, members[i], value_copy(arena, value_get(from, members[i])));
}

static Value *selector_text(Arena *arena, const Value *object) {
    const Value *selector = value_path(object, "spec", "selector", NULL);
    _cleanup_(selector_freep) Selector *parsed = NULL;
    _cleanup_buf_ Buf text = BUF_INIT(64 * 1024);
    if (streq_null(value_get_str(object, "kind"), "ReplicationController"))
        parsed = label_selector_from_map(selector);
    else if (label_selector_from_value(selector, &parsed) < 0)
        return NULL;
    selector_write(&text, parsed);
    return text.len ? value_string_n(arena, text.data, text.len) : NULL;
}

/* The definition says where the numbers are. */
static int custom_scale(Arena *arena, const CustomVersion *version, const Value *object, Value *scale, ApiError *err) {
    Value *spec = value_ensure_object(arena, scale, "spec"), *status = value_ensure_object(arena, scale, "status");
    const Value *wanted = custom_resource_at(object, version->spec_replicas);
    const Value *have = custom_resource_at(object, version->status_replicas);
    const char *selector =
        version->label_selector ? value_str(custom_resource_at(object, version->label_selector)) : NULL;
    value_set_int(arena, status, "replicas", value_is(have, VALUE_INT) ? have->integer : 0);
    if (!str_empty(selector))
        value_set_str(arena, status, "selector", selector);
    if (!value_is(wanted, VALUE_INT)) {
        char *why = arena_printf(arena, "the spec replicas field \"%s\" does not exist", version->spec_replicas);
        int r = api_error_set(err, 500, "InternalError", "Internal error occurred: %s", why);
        api_error_cause(err, "", why, "");
        return r;
    }
    if (wanted->integer)
        value_set_int(arena, spec, "replicas", wanted->integer);
    return 0;
}

static int scale_of(Arena *arena, const Resource *resource, const Object *from, Value **ret, ApiError *err) {
    Value *object = object_value(from, arena), *scale = api_value_new(arena, "autoscaling/v1", "Scale");
    copy_meta(arena, scale, object);
    *ret = scale;
    if (resource->custom)
        return custom_scale(arena, custom_version(resource), object, scale, err);
    Value *spec = value_ensure_object(arena, scale, "spec"), *status = value_ensure_object(arena, scale, "status");
    int64_t replicas = value_get_int(value_get(object, "spec"), "replicas", 0);
    if (replicas)
        value_set_int(arena, spec, "replicas", replicas);
    value_set_int(arena, status, "replicas", value_get_int(value_get(object, "status"), "replicas", 0));
    value_set(arena, status, "selector", selector_text(arena, object));
    return 0;
}

static int answer(const ApiRequest *request, const Object *object, ApiResponse *ret, ApiError *err) {
    ret->schema = &schema_autoscaling_v1_Scale;
    return scale_of(request->arena, request->resource, object, &ret->value, err);
}

int scale_get(ApiCore *core, const ApiRequest *request, const ApiInput *input, ApiResponse *ret, ApiError *err) {
    (void)input;
    RegistryCall call;
    _cleanup_object_ Object *object = NULL;
    registry_call_init(&call, api_core_registry(core), request);
    int r = registry_get(&call, str_or(request->ns, ""), request->name, &object, err);
    return r < 0 ? r : answer(request, object, ret, err);
}

typedef struct Scaling {
    RegistryCall *call;
    const ApiInput *input;
} Scaling;

static int decode_scale(Scaling *scaling, Value *body, Value **ret, ApiError *err) {
    DecodeInput decode = {
        .body = body,
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
    FieldPath spec = FIELD(NULL, "spec"), at = FIELD(&spec, "replicas");
    int64_t replicas = value_get_int(value_get(scale, "spec"), "replicas", 0);
    if (replicas < 0)
        field_invalid(&errors, &at, value_int(arena, replicas), "must be greater than or equal to 0");
    return api_error_invalid(err, "autoscaling", "Scale", str_or(meta_get(scale, "name"), ""), &errors);
}

/* ".spec.replicas": members on the way are made. */
static void set_at(Arena *arena, Value *object, const char *path, int64_t n) {
    size_t count = 0;
    char **names = str_split(arena, path + (*path == '.'), '.', &count);
    for (size_t i = 0; i + 1 < count; i++)
        object = value_ensure_object(arena, object, names[i]);
    if (count)
        value_set_int(arena, object, names[count - 1], n);
}

static int scale_transform(void *userdata, const Value *old, Value **ret, ApiError *err) {
    Scaling *scaling = userdata;
    const ApiRequest *request = scaling->call->request;
    Arena *arena = scaling->call->context.arena;
    Value *scale, *body = NULL;
    if (request->verb == API_PATCH) {
        _cleanup_object_ Object *object = NULL;
        int r = registry_get(scaling->call, str_or(request->ns, ""), request->name, &object, err);
        if (r < 0)
            return r;
        if (scale_of(arena, request->resource, object, &scale, err) < 0) /* absent: the patch may set it */
            api_error_done(err);
        r = patch_apply(request, &schema_autoscaling_v1_Scale, scale, &body, err);
        if (r < 0)
            return r;
    } else
        body = value_copy(arena, request->body);
    int r = decode_scale(scaling, body, &scale, err);
    r = r < 0 ? r : validate_scale(arena, scale, err);
    if (r < 0)
        return r;
    Value *object = value_copy(arena, old);
    const char *path = request->resource->custom ? custom_version(request->resource)->spec_replicas : ".spec.replicas";
    set_at(arena, object, path, value_get_int(value_get(scale, "spec"), "replicas", 0));
    value_set_str(arena, meta_ensure(arena, object), "resourceVersion", str_or(meta_get(scale, "resourceVersion"), ""));
    if (!str_empty(meta_get(scale, "uid")))
        value_set_str(arena, meta_ensure(arena, object), "uid", meta_get(scale, "uid"));
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
    return r < 0 ? r : answer(request, result.object, ret, err);
}

int scale_patch(ApiCore *core, const ApiRequest *request, const ApiInput *input, ApiResponse *ret, ApiError *err) {
    return scale_update(core, request, input, ret, err);
}
