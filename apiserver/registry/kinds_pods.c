/* Pods (the reference's registry/core/pod strategy). */
#include "apiserver/registry/kinds.h"

#include "api/pod_qos.h"
#include "apiserver/registry/ip.h"
#include "apiserver/registry/pod_update.h"
#include "apiserver/registry/pod_warnings.h"
#include "apiserver/registry/registry.h"
#include "apiserver/registry/validate_util.h"
#include "base/clock.h"

static const char REQUIRED[] = "requiredDuringSchedulingIgnoredDuringExecution";
static const char PREFERRED[] = "preferredDuringSchedulingIgnoredDuringExecution";

static bool is_subresource(const StrategyContext *context, const char *name) {
    return context->subresource && streq(context->subresource, name);
}

/* ---- matchLabelKeys: the pod's own values become part of the selector ---- */

static void merge_keys(Arena *arena, Value *selector, const Value *keys, const char *op, const Value *labels) {
    for (size_t i = 0; i < value_len(keys); i++) {
        const char *value = value_get_str(labels, item_text(keys, i));
        if (!value)
            continue;
        Value *expression = value_object(arena), *values = value_array(arena);
        value_append(arena, values, value_string(arena, value));
        value_set_str(arena, expression, "key", item_text(keys, i));
        value_set_str(arena, expression, "operator", op);
        value_set(arena, expression, "values", values);
        value_append(arena, value_ensure_array(arena, selector, "matchExpressions"), expression);
    }
}

static void merge_term(Arena *arena, Value *term, const Value *labels) {
    Value *selector = value_get(term, "labelSelector");
    if (!value_is(selector, VALUE_OBJECT))
        return;
    merge_keys(arena, selector, value_get(term, "matchLabelKeys"), "In", labels);
    merge_keys(arena, selector, value_get(term, "mismatchLabelKeys"), "NotIn", labels);
}

static void merge_label_keys(Arena *arena, Value *pod) {
    static const char *const KINDS[] = {"podAffinity", "podAntiAffinity"};
    const Value *labels = value_path(pod, "metadata", "labels", NULL);
    Value *spec = value_get(pod, "spec"), *item;
    for (size_t k = 0; k < ELEMENTSOF(KINDS); k++) {
        Value *affinity = value_path(spec, "affinity", KINDS[k], NULL);
        VALUE_FOREACH (item, value_get(affinity, PREFERRED))
            merge_term(arena, value_get(item, "podAffinityTerm"), labels);
        VALUE_FOREACH (item, value_get(affinity, REQUIRED))
            merge_term(arena, item, labels);
    }
    VALUE_FOREACH (item, value_get(spec, "topologySpreadConstraints"))
        if (value_is(value_get(item, "labelSelector"), VALUE_OBJECT))
            merge_keys(arena, value_get(item, "labelSelector"), value_get(item, "matchLabelKeys"), "In", labels);
}

/* ---- AppArmor: annotations of before 1.30 become fields ---- */

static Value *profile_of_annotation(Arena *arena, const char *text) {
    Value *profile = value_object(arena);
    if (streq(text, "unconfined"))
        value_set_str(arena, profile, "type", "Unconfined");
    else if (streq(text, "runtime/default"))
        value_set_str(arena, profile, "type", "RuntimeDefault");
    else if (str_has_prefix(text, "localhost/") && text[strlen("localhost/")]) {
        value_set_str(arena, profile, "type", "Localhost");
        value_set_str(arena, profile, "localhostProfile", text + strlen("localhost/"));
    } else
        return NULL;
    return profile;
}

static void apply_apparmor(StrategyContext *context, Value *pod) {
    static const char *const LISTS[] = {"initContainers", "containers", "ephemeralContainers"};
    Arena *arena = context->arena;
    const Value *annotations = value_path(pod, "metadata", "annotations", NULL),
                *own = value_path(pod, "spec", "securityContext", "appArmorProfile", NULL);
    Value *container;
    if (streq(text_of(value_path(pod, "spec", "os", NULL), "name"), "windows"))
        return;
    for (size_t l = 0; l < ELEMENTSOF(LISTS); l++)
        VALUE_FOREACH (container, value_path(pod, "spec", LISTS[l], NULL)) {
            char *key =
                arena_printf(arena, "container.apparmor.security.beta.kubernetes.io/%s", text_of(container, "name"));
            const char *annotation = value_get_str(annotations, key);
            if (!annotation || value_path(container, "securityContext", "appArmorProfile", NULL))
                continue;
            Value *profile = profile_of_annotation(arena, annotation);
            if (profile && value_equal(profile, own))
                continue;
            if (profile)
                value_set(arena, value_ensure_object(arena, container, "securityContext"), "appArmorProfile", profile);
            strategy_warn(context,
                          "metadata.annotations[%s]: deprecated since v1.30; use the \"appArmorProfile\" field instead",
                          key);
        }
}

/* podIP is the first of podIPs; where they differ, podIP is right: it is what older node agents write. */
static void agree_on_ip(Arena *arena, Value *status) {
    const char *ip = text_of(status, "podIP"), *first = text_of(value_at(value_get(status, "podIPs"), 0), "ip");
    if (*ip && !streq(ip, first)) {
        Value *list = value_array(arena), *address = value_object(arena);
        value_set_str(arena, address, "ip", ip);
        value_append(arena, list, address);
        value_set(arena, status, "podIPs", list);
    } else if (*first)
        value_set_str(arena, status, "podIP", first);
}

/* A negative grace period is one second: of pods, not of templates. */
static void pod_set_defaults(Arena *arena, Value *pod) {
    Value *spec = value_get(pod, "spec"), *status = value_get(pod, "status");
    if (status)
        agree_on_ip(arena, status);
    if (value_get_int(spec, "terminationGracePeriodSeconds", 0) < 0)
        value_set_int(arena, spec, "terminationGracePeriodSeconds", 1);
}

static void pod_prepare_for_create(StrategyContext *context, Value *pod) {
    Arena *arena = context->arena;
    Value *status = value_object(arena);
    char time[RFC3339_MAX];
    value_set_str(arena, status, "phase", "Pending");
    value_set_str(arena, status, "qosClass", pod_qos(pod));
    if (value_len(value_path(pod, "spec", "schedulingGates", NULL))) {
        Value *condition = value_object(arena);
        value_set_str(arena, condition, "type", "PodScheduled");
        value_set_str(arena, condition, "status", "False");
        value_set(arena, condition, "lastProbeTime", value_null(arena));
        value_set_str(arena, condition, "lastTransitionTime", rfc3339_format(context->now_ns, time));
        value_set_str(arena, condition, "reason", "SchedulingGated");
        value_set_str(arena, condition, "message", "Scheduling is blocked due to non-empty scheduling gates");
        value_append(arena, value_ensure_array(arena, status, "conditions"), condition);
    }
    value_set(arena, pod, "status", status);
    pod_drop_disabled(value_get(pod, "spec"), NULL);
    merge_label_keys(arena, pod);
    apply_apparmor(context, pod);
}

/* ---- updates ---- */

static void keep(Arena *arena, Value *object, const Value *old, const char *name) {
    value_set(arena, object, name, value_copy(arena, value_get(old, name)));
}

/* What a write to a subresource may not touch of the metadata (metav1.ResetObjectMetaForStatus). */
static void keep_metadata(Arena *arena, Value *pod, const Value *old) {
    static const char *const KEPT[] = {"deletionTimestamp", "generation", "selfLink",       "labels",
                                       "annotations",       "finalizers", "ownerReferences"};
    Value *meta = value_ensure_object(arena, pod, "metadata");
    for (size_t i = 0; i < ELEMENTSOF(KEPT); i++)
        keep(arena, meta, value_get(old, "metadata"), KEPT[i]);
}

static void prepare_ephemeral(Arena *arena, Value *pod, const Value *old) {
    Value *containers = value_path(pod, "spec", "ephemeralContainers", NULL);
    keep(arena, pod, old, "spec");
    keep(arena, pod, old, "status");
    keep_metadata(arena, pod, old);
    value_set(arena, value_ensure_object(arena, pod, "spec"), "ephemeralContainers", containers);
}

/* The old containers with the new ones' resources; the new ones themselves when they are others. */
static Value *resized(Arena *arena, Value *containers, const Value *old) {
    static const char *const TAKEN[] = {"resources", "resizePolicy"};
    Value *merged = value_copy(arena, old);
    for (size_t i = 0; i < value_len(containers); i++) {
        if (!streq(text_of(value_at(containers, i), "name"), text_of(value_at(old, i), "name")))
            return containers;
        for (size_t k = 0; k < ELEMENTSOF(TAKEN); k++)
            keep(arena, value_at(merged, i), value_at(containers, i), TAKEN[k]);
    }
    return merged;
}

static void prepare_resize(Arena *arena, Value *pod, const Value *old) {
    Value *spec = value_ensure_object(arena, pod, "spec"), *containers = value_get(spec, "containers"),
          *init = value_get(spec, "initContainers"), *resources = value_get(spec, "resources");
    const Value *old_containers = value_path(old, "spec", "containers", NULL),
                *old_init = value_path(old, "spec", "initContainers", NULL);
    if (value_len(containers) != value_len(old_containers) || value_len(init) != value_len(old_init))
        return;
    containers = resized(arena, containers, old_containers);
    init = resized(arena, init, old_init);
    keep(arena, pod, old, "spec");
    keep(arena, pod, old, "status");
    keep_metadata(arena, pod, old);
    spec = value_ensure_object(arena, pod, "spec");
    value_set(arena, spec, "resources", resources);
    value_set(arena, spec, "containers", containers);
    value_set(arena, spec, "initContainers", init);
}

static void pod_prepare_for_update(StrategyContext *context, Value *pod, const Value *old) {
    if (is_subresource(context, "ephemeralcontainers"))
        prepare_ephemeral(context->arena, pod, old);
    else if (is_subresource(context, "resize"))
        prepare_resize(context->arena, pod, old);
    pod_drop_disabled(value_get(pod, "spec"), value_get(old, "spec"));
}

/* Writers that do not know observedGeneration leave it as it was. */
static void keep_observed(Arena *arena, Value *status, const Value *old) {
    Value *conditions = value_get(status, "conditions");
    const Value *was = value_get(old, "conditions");
    bool *used = arena_alloc0(arena, value_len(was) + 1);
    if (!value_get_int(status, "observedGeneration", 0))
        keep(arena, status, old, "observedGeneration");
    for (size_t i = 0; i < value_len(conditions); i++)
        for (size_t j = 0; j < value_len(was); j++) {
            Value *condition = value_at(conditions, i);
            if (used[j] || !streq(text_of(condition, "type"), text_of(value_at(was, j), "type")))
                continue;
            used[j] = true;
            if (!value_get_int(condition, "observedGeneration", 0))
                keep(arena, condition, value_at(was, j), "observedGeneration");
            break;
        }
}

static void pod_prepare_for_status(StrategyContext *context, Value *pod, const Value *old) {
    Arena *arena = context->arena;
    Value *status = value_ensure_object(arena, pod, "status"), *meta = value_ensure_object(arena, pod, "metadata");
    const Value *was = value_get(old, "status");
    value_remove(meta, "deletionTimestamp");
    keep(arena, meta, value_get(old, "metadata"), "ownerReferences");
    if (!*text_of(status, "qosClass"))
        keep(arena, status, was, "qosClass");
    keep_observed(arena, status, was);
}

static void pod_validate(_unused_ StrategyContext *context, const Value *pod, FieldErrors *errors) {
    pod_create_validate(errors, pod);
}

static void pod_validate_update(StrategyContext *context, const Value *pod, const Value *old, FieldErrors *errors) {
    /* The reference validates the whole pod again, so it lists what is wrong with its metadata once more. */
    meta_validate(strategy_of(context->resource), context->resource, pod, true, errors);
    meta_validate_finalizers(context->resource, pod, errors);
    if (is_subresource(context, "ephemeralcontainers"))
        pod_ephemeral_update_validate(errors, pod, old);
    else if (is_subresource(context, "resize"))
        pod_resize_validate(errors, pod, old);
    else
        pod_main_update_validate(errors, pod, old);
}

static void pod_validate_status(_unused_ StrategyContext *context, const Value *pod, const Value *old,
                                FieldErrors *errors) {
    pod_status_validate(errors, pod, old);
}

static void pod_warn_update(StrategyContext *context, const Value *pod, _unused_ const Value *old) {
    static const char *const LISTS[] = {"podIPs", "hostIPs"};
    FieldPath status = FIELD(NULL, "status");
    for (size_t l = 0; is_subresource(context, "status") && l < ELEMENTSOF(LISTS); l++) {
        const Value *list = value_path(pod, "status", LISTS[l], NULL);
        FieldPath list_at = FIELD(&status, LISTS[l]);
        for (size_t i = 0; i < value_len(list); i++) {
            FieldPath at = FIELD_INDEX(&list_at, i), ip = FIELD(&at, "ip");
            ip_warn(context, &ip, text_of(value_at(list, i), "ip"));
        }
    }
}

/* As asked, or as the pod says; at once when no node has it or it has ended. */
static int64_t pod_grace_seconds(_unused_ StrategyContext *context, const Value *pod, int64_t requested) {
    const Value *spec = value_get(pod, "spec"), *status = value_get(pod, "status");
    int64_t seconds = requested >= 0 ? requested : value_get_int(spec, "terminationGracePeriodSeconds", 0);
    if (str_empty(value_get_str(spec, "nodeName")) || IS(status, "phase", "Failed") || IS(status, "phase", "Succeeded"))
        return 0;
    return seconds < 0 ? 1 : seconds;
}

static const Strategy ROWS[] = {
    {
        .group = "",
        .plural = "pods",
        .has_generation = true,
        .allow_unconditional_update = true,
        .set_defaults = pod_set_defaults,
        .prepare_for_create = pod_prepare_for_create,
        .prepare_for_update = pod_prepare_for_update,
        .prepare_for_status_update = pod_prepare_for_status,
        .validate = pod_validate,
        .validate_update = pod_validate_update,
        .validates_update_alone = true,
        .validate_status_update = pod_validate_status,
        .warn_create = pod_warn,
        .warn_update = pod_warn_update,
        .warn_status_update = pod_warn_status,
        .graceful = true,
        .grace_seconds = pod_grace_seconds,
        .return_deleted_object = true,
    },
};
const StrategyTable strategies_pods = {ROWS, ELEMENTSOF(ROWS)};
