#include "apiserver/handlers/verbs.h"
#include "base/str.h"

#include <errno.h>

/* A read at a revision the store has not reached yet. */
static int check_revision(ApiCore *core, const ApiRequest *request, ApiError *err) {
    const char *text = request->options.resource_version;
    uint64_t revision = 0, current = store_revision(registry_store(api_core_registry(core)));
    if (str_empty(text))
        return 0;
    if (str_to_uint64(text, &revision) < 0)
        return api_error_set(
            err, 500, "", "resourceVersion: Invalid value: \"%s\": strconv.ParseUint: parsing \"%s\": invalid syntax",
            text, text);
    if (revision <= current)
        return 0;
    int r = api_error_set(err, 504, "Timeout", "Timeout: Too large resource version: %llu, current: %llu",
                          (unsigned long long)revision, (unsigned long long)current);
    api_error_cause(err, "ResourceVersionTooLarge", "Too large resource version", NULL);
    err->retry_after = 1;
    return r;
}

int verb_get(ApiCore *core, const ApiRequest *request, const ApiInput *input, ApiResponse *ret, ApiError *err) {
    (void)input;
    RegistryCall call;
    registry_call_init(&call, api_core_registry(core), request);
    int r = check_revision(core, request, err);
    return r < 0 ? r : registry_get(&call, str_or(request->ns, ""), request->name, &ret->object, err);
}
