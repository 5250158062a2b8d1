#include "apiserver/handlers/verbs.h"
#include "apiserver/registry/convert.h"
#include "base/str.h"

#include <errno.h>

static bool is_stored(const Resource *resource) {
    return (resource->verbs & VERB_GET) != 0;
}

static DecodeInput decode_input(const ApiRequest *request, const ApiInput *input, Value *body) {
    const Resource *resource = request->resource;
    return (DecodeInput){
        .body = body,
        .duplicates = input->duplicates,
        .resource = resource,
        .schema = resource->schema,
        .group = resource->group,
        .version = resource->version,
        .kind = resource->kind,
    };
}

static int create_review(ApiCore *core, RegistryCall *call, const DecodeInput *input, ApiResponse *ret, ApiError *err) {
    const ApiCoreConfig *config = api_core_config(core);
    int r = registry_decode_kind(call, input, &ret->value, err);
    if (r < 0)
        return r;
    if (!config->review)
        return api_error_not_found(err, call->resource->group, call->resource->plural, "");
    ret->schema = call->resource->schema;
    r = registry_admit_unstored(call, ret->value, config->review_check, config->review_userdata, err);
    if (r == 0)
        config->review(config->review_userdata, call->request, ret->value);
    return r;
}

int verb_create(ApiCore *core, const ApiRequest *request, const ApiInput *input, ApiResponse *ret, ApiError *err) {
    RegistryCall call;
    RegistryResult result = {0};
    Value *object;
    registry_call_init(&call, api_core_registry(core), request);
    DecodeInput decode = decode_input(request, input, value_copy(request->arena, request->body));
    int r;
    if (!is_stored(request->resource))
        r = create_review(core, &call, &decode, ret, err);
    else {
        r = registry_decode(&call, &decode, &object, err);
        if (r == 0)
            r = registry_create(&call, object, &result, err);
        ret->object = result.object;
    }
    response_take_warnings(ret, &call);
    return r;
}
