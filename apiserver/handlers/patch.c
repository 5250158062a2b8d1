#include "apiserver/handlers/verbs.h"
#include "apiserver/registry/convert.h"
#include "base/str.h"

#include <errno.h>

int patch_apply(const ApiRequest *request, const Schema *schema, const Value *original, Value **ret, ApiError *err) {
    Arena *arena = request->arena;
    switch (request->options.patch_type) {
    case PATCH_JSON:
        return json_patch_apply(arena, original, request->body, ret, err);
    case PATCH_MERGE:
        return merge_patch_apply(arena, original, request->body, ret);
    case PATCH_STRATEGIC:
        return strategic_merge_apply(arena, schema, original, request->body, ret, err);
    case PATCH_APPLY:
        break;
    }
    return api_error_set(err, 415, "UnsupportedMediaType", "server-side apply is not supported yet");
}

typedef struct Patch {
    RegistryCall *call;
    const ApiInput *input;
} Patch;

static int patch_transform(void *userdata, const Value *old, Value **ret, ApiError *err) {
    Patch *patch = userdata;
    RegistryCall *call = patch->call;
    const ApiRequest *request = call->request;
    const Resource *resource = request->resource;
    Arena *arena = call->context.arena;
    Value *patched, *versioned = convert_object(arena, call->resource, resource, value_copy(arena, old));
    int r = patch_apply(request, resource->schema, versioned, &patched, err);
    if (r < 0)
        return r;
    DecodeInput decode = {
        .body = patched,
        .duplicates = patch->input->duplicates,
        .resource = resource,
        .schema = resource->schema,
        .group = resource->group,
        .version = resource->version,
        .kind = resource->kind,
        .patched = true,
    };
    Value *object;
    r = registry_decode(call, &decode, &object, err);
    r = r < 0 ? r : check_name(request, object, err);
    if (r == 0)
        *ret = subresource_mask(arena, request->subresource, old, object);
    return r;
}

int verb_patch(ApiCore *core, const ApiRequest *request, const ApiInput *input, ApiResponse *ret, ApiError *err) {
    RegistryCall call;
    RegistryResult result = {0};
    registry_call_init(&call, api_core_registry(core), request);
    Patch patch = {.call = &call, .input = input};
    RegistryUpdate update = {.transform = patch_transform, .userdata = &patch};
    int r = registry_update(&call, &update, &result, err);
    ret->object = result.object;
    if (result.created)
        ret->code = 201;
    response_take_warnings(ret, &call);
    return r;
}
