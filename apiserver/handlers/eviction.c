/* Eviction: a deletion that asks the pod's disruption budget first (pkg/registry/core/pod/storage/eviction.go). */
#include "apiserver/handlers/verbs.h"
#include "api/gen/schemas.h"
#include "base/clock.h"
#include "base/str.h"

#include <errno.h>

#define BUDGET_ATTEMPTS 20
#define DISRUPTED_PODS_MAX 2000 /* as the reference */

static bool is_over(const Value *pod) {
    const char *phase = str_or(value_get_str(value_get(pod, "status"), "phase"), "");
    return streq(phase, "Succeeded") || streq(phase, "Failed") || streq(phase, "Pending") ||
           value_get(value_get(pod, "metadata"), "deletionTimestamp");
}

static bool is_ready(const Value *pod) {
    const Value *item;
    VALUE_FOREACH (item, value_path(pod, "status", "conditions", NULL))
        if (streq_null(value_get_str(item, "type"), "Ready"))
            return streq_null(value_get_str(item, "status"), "True");
    return false;
}

/* The one budget that covers the pod; NULL: none. */
static int find_budget(RegistryCall *call, const Value *pod, Object **ret, ApiError *err) {
    Store *store = registry_store(call->registry);
    _cleanup_object_list_ ObjectList list = {0};
    ListQuery query = {.resource = resource_find("policy", "v1", "poddisruptionbudgets"), .ns = call->request->ns};
    int r = store_list(store, &query, &list, err);
    for (size_t i = 0; r == 0 && i < list.n; i++) {
        _cleanup_(selector_freep) Selector *selector = NULL;
        Value *budget = object_value(list.items[i], call->context.arena);
        const Value *given = value_path(budget, "spec", "selector", NULL);
        if (!given || label_selector_from_value(given, &selector) < 0 ||
            !label_selector_matches_value(selector, value_get(value_get(pod, "metadata"), "labels")))
            continue;
        if (*ret) {
            *ret = object_unref(*ret);
            return api_error_set(
                err, 500, "InternalError",
                "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.");
        }
        *ret = object_ref(list.items[i]);
    }
    return r;
}

static int too_many(const Value *budget, ApiError *err) {
    const Value *status = value_get(budget, "status");
    int r =
        api_error_set(err, 429, "TooManyRequests", "Cannot evict pod as it would violate the pod's disruption budget.");
    char *text = xasprintf("The disruption budget %s needs %lld healthy pods and has %lld currently",
                           meta_get(budget, "name"), (long long)value_get_int(status, "desiredHealthy", 0),
                           (long long)value_get_int(status, "currentHealthy", 0));
    api_error_cause(err, "DisruptionBudget", text, NULL);
    free(text);
    return r;
}

static int spend(RegistryCall *call, Object *stored, const char *pod_name, ApiError *err) {
    Arena *arena = call->context.arena;
    Value *budget = object_value(stored, arena), *status = value_ensure_object(arena, budget, "status");
    int64_t allowed = value_get_int(status, "disruptionsAllowed", 0);
    char now[RFC3339_MAX];
    if (value_get_int(status, "observedGeneration", 0) <
        value_get_int(value_get(budget, "metadata"), "generation", 0)) {
        int r = api_error_set(err, 429, "TooManyRequests",
                              "Cannot evict pod as it would violate the pod's disruption budget.");
        api_error_cause(err, "DisruptionBudget", "The disruption budget is still being processed by the server.", NULL);
        err->retry_after = 10;
        return r;
    }
    if (allowed <= 0)
        return too_many(budget, err);
    Value *disrupted = value_ensure_object(arena, status, "disruptedPods");
    if (value_len(disrupted) > DISRUPTED_PODS_MAX)
        return api_error_forbidden(err, "policy", "poddisruptionbudgets", meta_get(budget, "name"),
                                   "DisruptedPods map too big - too many evictions not confirmed by PDB controller");
    if (call->context.dry_run)
        return 0;
    value_set_int(arena, status, "disruptionsAllowed", allowed - 1);
    value_set_str(arena, disrupted, pod_name, rfc3339_format(call->context.now_ns, now));
    _cleanup_object_ Object *changed = object_from_value(object_resource(stored), budget);
    return store_update(registry_store(call->registry), changed, object_revision(stored), NULL);
}

static int check_budget(RegistryCall *call, const Value *pod, ApiError *err) {
    int r = 0;
    if (is_over(pod))
        return 0;
    for (int i = 0; i < BUDGET_ATTEMPTS; i++) {
        _cleanup_object_ Object *budget = NULL;
        r = find_budget(call, pod, &budget, err);
        if (r < 0 || !budget)
            return r;
        Value *v = object_value(budget, call->context.arena);
        bool always = streq_null(value_path(v, "spec", "unhealthyPodEvictionPolicy", NULL)
                                     ? value_get_str(value_get(v, "spec"), "unhealthyPodEvictionPolicy")
                                     : NULL,
                                 "AlwaysAllow");
        const Value *status = value_get(v, "status");
        bool enough = value_get_int(status, "currentHealthy", 0) >= value_get_int(status, "desiredHealthy", 0) &&
                      value_get_int(status, "desiredHealthy", 0) > 0;
        if (!is_ready(pod) && (always || enough))
            return 0;
        r = spend(call, budget, call->request->name, err);
        if (r != -ESTALE || err->code)
            return r;
    }
    return registry_store_error(call, call->request->name, r, err);
}

static int mark_transform(void *userdata, const Value *old, Value **ret, ApiError *err) {
    RegistryCall *call = userdata;
    Value *pod = value_copy(call->context.arena, old);
    (void)err;
    pod_condition_true(call->context.arena, pod, "DisruptionTarget", "EvictionByEvictionAPI", "Eviction API: evicting",
                       call->context.now_ns);
    *ret = pod;
    return 0;
}

/* Says on the pod why it ends, for those who count its failure, then deletes it. */
static int mark_and_delete(RegistryCall *call, DeleteOptions *options, ApiError *err) {
    const ApiRequest *request = call->request;
    _cleanup_registry_result_ RegistryResult marked = {0}, result = {0};
    RegistryUpdate update = {.transform = mark_transform, .userdata = call, .admitted = true};
    if (!call->context.dry_run) {
        call->keep_managed_fields = true;
        int r = registry_update(call, &update, &marked, err);
        if (r < 0)
            return r;
        if (options->resource_version)
            options->resource_version =
                arena_printf(call->context.arena, "%llu", (unsigned long long)object_revision(marked.object));
    }
    return registry_delete(call, str_or(request->ns, ""), request->name, options, &result, err);
}

int eviction_create(ApiCore *core, const ApiRequest *request, const ApiInput *input, ApiResponse *ret, ApiError *err) {
    RegistryCall call;
    DeleteOptions options;
    _cleanup_object_ Object *pod = NULL;
    Value *eviction;
    registry_call_init(&call, api_core_registry(core), request);
    DecodeInput decode = {
        .body = value_copy(request->arena, request->body),
        .duplicates = input->duplicates,
        .resource = request->resource,
        .schema = &schema_policy_v1_Eviction,
        .group = "policy",
        .version = "v1",
        .kind = "Eviction",
    };
    int r = registry_decode_kind(&call, &decode, &eviction, err);
    if (r < 0)
        return r;
    if (!streq(str_or(meta_get(eviction, "name"), ""), request->name))
        return api_error_bad_request(err, "name in URL does not match name in Eviction object");
    r = delete_options_read(value_get(eviction, "deleteOptions"), &options, request->arena, err);
    r = r < 0 ? r : registry_get(&call, str_or(request->ns, ""), request->name, &pod, err);
    if (r < 0)
        return r;
    if (value_len(options.dry_run))
        call.context.dry_run = true;
    r = registry_admit_create(&call, eviction, request->name, err);
    if (r < 0)
        return r;
    r = check_budget(&call, object_value(pod, request->arena), err);
    if (r < 0)
        return r;
    if (!options.uid)
        options.uid = object_uid(pod);
    r = mark_and_delete(&call, &options, err);
    if (r < 0)
        return r;
    ret->value = api_value_new(request->arena, "v1", "Status");
    value_set(request->arena, ret->value, "metadata", value_object(request->arena));
    value_set_str(request->arena, ret->value, "status", "Success");
    value_set_int(request->arena, ret->value, "code", 201);
    return 0;
}
