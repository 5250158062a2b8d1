#include "apiserver/handlers/verbs.h"
#include "base/str.h"

#include <errno.h>
#include <stdarg.h>

int check_name(const ApiRequest *request, const Value *object, ApiError *err) {
    const char *name = str_or(meta_get(object, "name"), ""), *ns = str_or(meta_get(object, "namespace"), "");
    int r = request->resource->namespaced ? registry_check_namespace(str_or(request->ns, ""), ns, err) : 0;
    if (r < 0)
        return r;
    if (!streq(name, request->name)) {
        if (!*name)
            return api_error_bad_request(
                err, "the name of the object (%s based on URL) was undeterminable: name must be provided",
                request->name);
        return api_error_bad_request(err, "the name of the object (%s) does not match the name on the URL (%s)", name,
                                     request->name);
    }
    return 0;
}

static Value *masked(Arena *arena, const Value *old, const Value *object, ...) __attribute__((sentinel));

/* `old` with the member at the path taken from `object`. */
static Value *masked(Arena *arena, const Value *old, const Value *object, ...) {
    Value *out = value_copy(arena, old), *at = out;
    const Value *from = object;
    va_list ap;
    va_start(ap, object);
    const char *name = va_arg(ap, const char *);
    for (const char *next; (next = va_arg(ap, const char *)); name = next) {
        at = value_ensure_object(arena, at, name);
        from = value_get(from, name);
    }
    va_end(ap);
    const Value *part = value_get(from, name);
    value_set(arena, at, name, part ? value_copy(arena, part) : NULL);
    return out;
}

/* Of ephemeralcontainers, resize and approval the strategy says what is refused and what ignored. */
Value *subresource_mask(Arena *arena, const char *subresource, const Value *old, Value *object) {
    Value *out = object;
    if (!subresource || !old || streq(subresource, "status") || streq(subresource, "ephemeralcontainers") ||
        streq(subresource, "resize") || streq(subresource, "approval"))
        return object;
    if (streq(subresource, "finalize"))
        out = masked(arena, old, object, "spec", "finalizers", NULL);
    const char *revision = meta_get(object, "resourceVersion");
    value_set_str(arena, meta_ensure(arena, out), "resourceVersion", revision);
    return out;
}

typedef struct Replace {
    RegistryCall *call;
    Value *object;
} Replace;

static int replace_transform(void *userdata, const Value *old, Value **ret, ApiError *err) {
    Replace *replace = userdata;
    (void)err;
    Arena *arena = replace->call->context.arena;
    *ret = subresource_mask(arena, replace->call->request->subresource, old, value_copy(arena, replace->object));
    return 0;
}

int verb_update(ApiCore *core, const ApiRequest *request, const ApiInput *input, ApiResponse *ret, ApiError *err) {
    RegistryCall call;
    RegistryResult result = {0};
    const Resource *resource = request->resource;
    registry_call_init(&call, api_core_registry(core), request);
    DecodeInput decode = {
        .body = value_copy(request->arena, request->body),
        .duplicates = input->duplicates,
        .resource = resource,
        .schema = resource->schema,
        .group = resource->group,
        .version = resource->version,
        .kind = resource->kind,
    };
    Replace replace = {.call = &call};
    RegistryUpdate update = {.transform = replace_transform, .userdata = &replace, .check_uid = true};
    int r = registry_decode(&call, &decode, &replace.object, err);
    r = r < 0 ? r : check_name(request, replace.object, err);
    if (r == 0)
        r = registry_update(&call, &update, &result, err);
    ret->object = result.object;
    if (result.created)
        ret->code = 201;
    response_take_warnings(ret, &call);
    return r;
}
