#include "apiserver/handlers/verbs.h"
#include "base/str.h"

#include <errno.h>

int verb_get(ApiCore *core, const ApiRequest *request, const ApiInput *input, ApiResponse *ret, ApiError *err) {
    (void)input;
    RegistryCall call;
    registry_call_init(&call, api_core_registry(core), request);
    uint64_t revision = 0;
    int r = api_read_revision(request, &revision, err);
    r = r < 0 ? r : api_check_revision(core, revision, err);
    return r < 0 ? r : registry_get(&call, str_or(request->ns, ""), request->name, &ret->object, err);
}
