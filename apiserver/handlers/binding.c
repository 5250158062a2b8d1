/* Binding a pod to a node (pkg/registry/core/pod/storage: BindingREST). */
#include "apiserver/handlers/verbs.h"
#include "api/gen/schemas.h"
#include "base/clock.h"
#include "base/str.h"

#include <errno.h>

typedef struct Bind {
    RegistryCall *call;
    const Value *binding;
    const char *node;
} Bind;

static int refuse(const Bind *bind, const char *why, ApiError *err) {
    return api_error_conflict(err, "", "pods/binding", bind->call->request->name, why);
}

void pod_condition_true(Arena *arena, Value *pod, const char *type, const char *reason, const char *message,
                        int64_t now_ns) {
    char now[RFC3339_MAX];
    Value *conditions = value_ensure_array(arena, value_ensure_object(arena, pod, "status"), "conditions"), *item,
          *found = NULL;
    VALUE_FOREACH (item, conditions)
        if (streq_null(value_get_str(item, "type"), type))
            found = item;
    if (!found)
        value_append(arena, conditions, found = value_object(arena));
    if (!streq_null(value_get_str(found, "status"), "True"))
        value_set_str(arena, found, "lastTransitionTime", rfc3339_format(now_ns, now));
    value_set_str(arena, found, "type", type);
    value_set_str(arena, found, "status", "True");
    value_set(arena, found, "reason", reason ? value_string(arena, reason) : NULL);
    value_set(arena, found, "message", message ? value_string(arena, message) : NULL);
}

static void merge(Arena *arena, Value *pod, const Value *binding, const char *member) {
    const Value *from = value_get(value_get(binding, "metadata"), member);
    if (value_is_empty(from))
        return;
    Value *to = value_ensure_object(arena, meta_ensure(arena, pod), member);
    VALUE_FOREACH_MEMBER (m, from)
        value_set(arena, to, m->name, value_copy(arena, m->value));
}

static int bind_transform(void *userdata, const Value *old, Value **ret, ApiError *err) {
    Bind *bind = userdata;
    Arena *arena = bind->call->context.arena;
    const Value *spec = value_get(old, "spec");
    const char *name = bind->call->request->name, *assigned = value_get_str(spec, "nodeName");
    const char *uid = meta_get(bind->binding, "uid");
    if (!str_empty(uid) && !streq_null(uid, meta_get(old, "uid")))
        return refuse(bind,
                      arena_printf(arena, "Precondition failed: UID in precondition: %s, UID in object meta: %s", uid,
                                   meta_get(old, "uid")),
                      err);
    if (value_get(value_get(old, "metadata"), "deletionTimestamp"))
        return refuse(bind, arena_printf(arena, "pod %s is being deleted, cannot be assigned to a host", name), err);
    if (!str_empty(assigned))
        return refuse(bind, arena_printf(arena, "pod %s is already assigned to node \"%s\"", name, assigned), err);
    if (value_len(value_get(spec, "schedulingGates")))
        return refuse(bind, arena_printf(arena, "pod %s has non-empty .spec.schedulingGates", name), err);
    Value *pod = value_copy(arena, old);
    value_set_str(arena, value_ensure_object(arena, pod, "spec"), "nodeName", bind->node);
    merge(arena, pod, bind->binding, "annotations");
    merge(arena, pod, bind->binding, "labels");
    pod_condition_true(arena, pod, "PodScheduled", NULL, NULL, bind->call->context.now_ns);
    *ret = pod;
    return 0;
}

static int validate_binding(Arena *arena, const Value *binding, ApiError *err) {
    static const char *const kinds[] = {"Node", "<empty>", NULL};
    const Value *target = value_get(binding, "target");
    FieldErrors errors = FIELD_ERRORS_INIT(arena);
    FieldPath at = FIELD(NULL, "target"), kind_path = FIELD(&at, "kind"), name_path = FIELD(&at, "name");
    const char *kind = str_or(value_get_str(target, "kind"), "");
    if (*kind && !streq(kind, "Node"))
        field_not_supported(&errors, &kind_path, value_string(arena, kind), kinds);
    if (str_empty(value_get_str(target, "name")))
        field_required(&errors, &name_path, "");
    if (!errors.n)
        return 0;
    /* The reference does not make a refusal of these. */
    _cleanup_buf_ Buf text = BUF_INIT(BUF_NO_LIMIT);
    for (size_t i = 0; i < field_errors_kept(&errors); i++)
        buf_printf(&text, "%s%s: %s", i ? ", " : "", errors.items[i].field, errors.items[i].message);
    return api_error_set(err, 500, "", errors.n > 1 ? "[%s]" : "%s", text.data);
}

static int decode_binding(RegistryCall *call, const ApiInput *input, Value **ret, ApiError *err) {
    DecodeInput decode = {
        .body = value_copy(call->context.arena, call->request->body),
        .duplicates = input->duplicates,
        .resource = call->request->resource,
        .schema = &schema_core_v1_Binding,
        .group = "",
        .version = "v1",
        .kind = "Binding",
    };
    return registry_decode_kind(call, &decode, ret, err);
}

int binding_create(ApiCore *core, const ApiRequest *outer, const ApiInput *input, ApiResponse *ret, ApiError *err) {
    ApiRequest request = *outer;
    RegistryCall call;
    _cleanup_registry_result_ RegistryResult result = {0};
    Value *binding;
    request.resource = resource_find("", "v1", "pods");
    request.subresource = "binding";
    registry_call_init(&call, api_core_registry(core), &request);
    call.keep_managed_fields = true;
    int r = decode_binding(&call, input, &binding, err);
    if (r < 0)
        return r;
    if (!request.name)
        request.name = str_or(meta_get(binding, "name"), "");
    if (!streq(str_or(meta_get(binding, "name"), ""), request.name))
        return api_error_bad_request(err, "name in URL does not match name in Binding object");
    r = validate_binding(request.arena, binding, err);
    r = r < 0 ? r : registry_admit_create(&call, binding, request.name, err);
    if (r < 0)
        return r;
    Bind bind = {.call = &call, .binding = binding, .node = value_get_str(value_get(binding, "target"), "name")};
    RegistryUpdate update = {.transform = bind_transform, .userdata = &bind, .admitted = true};
    r = registry_update(&call, &update, &result, err);
    if (r < 0)
        return r;
    ret->value = api_value_new(request.arena, "v1", "Status");
    value_set(request.arena, ret->value, "metadata", value_object(request.arena));
    value_set_str(request.arena, ret->value, "status", "Success");
    value_set_int(request.arena, ret->value, "code", 201);
    return 0;
}
