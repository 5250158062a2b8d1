#include "apiserver/handlers/verbs.h"
#include "base/str.h"

#include <errno.h>

static void warn_orphans(RegistryCall *call, const DeleteOptions *options) {
    if (streq(call->resource->plural, "jobs") && streq(call->resource->group, "batch") && !options->propagation &&
        !options->orphan_set)
        strategy_warn(&call->context,
                      "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to "
                      "remove them or set propagationPolicy=Orphan to suppress this warning");
}

int verb_delete(ApiCore *core, const ApiRequest *request, const ApiInput *input, ApiResponse *ret, ApiError *err) {
    (void)input;
    RegistryCall call;
    RegistryResult result = {0};
    DeleteOptions options;
    registry_call_init(&call, api_core_registry(core), request);
    int r = delete_options_read(request->body, &options, request->arena, err);
    if (r < 0)
        return r;
    warn_orphans(&call, &options);
    r = registry_delete(&call, str_or(request->ns, ""), request->name, &options, &result, err);
    response_take_warnings(ret, &call);
    if (r < 0)
        return r;
    if (result.deleted && !call.strategy->return_deleted_object) {
        ret->value = api_success_status(request->arena, request->resource, request->name, object_uid(result.object));
        registry_result_done(&result);
    } else {
        ret->object = result.object;
        if (!result.deleted && options.orphan_set && !options.orphan)
            ret->code = 202;
    }
    return 0;
}

int verb_delete_collection(ApiCore *core, const ApiRequest *request, const ApiInput *input, ApiResponse *ret,
                           ApiError *err) {
    (void)input;
    RegistryCall call;
    DeleteOptions options;
    _cleanup_list_parameters_ ListParameters p = {0};
    registry_call_init(&call, api_core_registry(core), request);
    int r = list_parameters_read(request, false, &p, err);
    r = r < 0 ? r : api_check_revision(core, p.revision, err);
    r = r < 0 ? r : delete_options_read(request->body, &options, request->arena, err);
    if (r < 0)
        return r;
    warn_orphans(&call, &options);
    ret->is_list = true;
    r = registry_delete_collection(&call, &options, p.exact ? p.revision : 0, &ret->list, err);
    response_take_warnings(ret, &call);
    return r;
}
