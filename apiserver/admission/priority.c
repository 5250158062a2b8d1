/* Priority: a pod's priority and preemption policy come from its PriorityClass. */
#include "apiserver/admission/admission.h"
#include "base/str.h"

#include <errno.h>

typedef struct Found {
    const char *name, *policy;
    int64_t value;
} Found;

static void read_class(Arena *arena, const Object *object, Found *ret) {
    Value *v = object_value(object, arena);
    ret->name = arena_strdup(arena, object_name(object));
    ret->value = value_get_int(v, "value", 0);
    ret->policy = str_or(value_get_str(v, "preemptionPolicy"), "PreemptLowerPriority");
}

/* Each creation of a pod asks each class: only one that says so somewhere is parsed. */
static bool is_default(Arena *arena, const Object *object) {
    return strstr(object_json(object, NULL), "\"globalDefault\":true") &&
           value_get_bool(object_value(object, arena), "globalDefault", false);
}

/* The default class, the lowest if there are several; 0 without any. */
static int default_class(AdmissionRequest *request, Found *ret, ApiError *err) {
    _cleanup_object_list_ ObjectList list = {0};
    Arena *arena = request->strategy->arena;
    int r = admission_list(request, "scheduling.k8s.io", "v1", "priorityclasses", NULL, &list, err);
    *ret = (Found){.name = "", .policy = "PreemptLowerPriority"};
    for (size_t i = 0; r == 0 && i < list.n; i++) {
        Found one;
        if (!is_default(arena, list.items[i]))
            continue;
        read_class(arena, list.items[i], &one);
        if (!*ret->name || one.value < ret->value)
            *ret = one;
    }
    return r;
}

static int named_class(AdmissionRequest *request, const char *name, Found *ret, ApiError *err) {
    _cleanup_object_ Object *object = NULL;
    int r = store_get(request->store, resource_find("scheduling.k8s.io", "v1", "priorityclasses"), "", name, &object);
    if (r == -ENOENT)
        return admission_forbid(request, err, "no PriorityClass with name %s was found", name);
    if (r < 0)
        return api_error_from_errno(err, r, "reading the PriorityClass");
    read_class(request->strategy->arena, object, ret);
    return 0;
}

static int admit_pod(AdmissionRequest *request, ApiError *err) {
    Arena *arena = request->strategy->arena;
    Value *spec = value_ensure_object(arena, request->object, "spec"), *sent = value_get(spec, "priority");
    const char *name = value_get_str(spec, "priorityClassName"), *policy = value_get_str(spec, "preemptionPolicy");
    Found found;
    if (request->operation == ADMISSION_UPDATE) {
        const Value *old = value_get(value_get(request->old, "spec"), "priority");
        if (!sent && old)
            value_set(arena, spec, "priority", value_copy(arena, old));
        if (!policy && value_get(value_get(request->old, "spec"), "preemptionPolicy"))
            value_set(arena, spec, "preemptionPolicy",
                      value_copy(arena, value_get(value_get(request->old, "spec"), "preemptionPolicy")));
        return 0;
    }
    int r = str_empty(name) ? default_class(request, &found, err) : named_class(request, name, &found, err);
    if (r < 0)
        return r;
    if (str_empty(name) && *found.name)
        value_set_str(arena, spec, "priorityClassName", found.name);
    if (value_is(sent, VALUE_INT) && sent->integer != found.value)
        return admission_forbid(request, err,
                                "the integer value of priority (%lld) must not be provided in pod spec; priority "
                                "admission controller computed %lld from the given PriorityClass name",
                                (long long)sent->integer, (long long)found.value);
    if (policy && !streq(policy, found.policy))
        return admission_forbid(request, err,
                                "the string value of PreemptionPolicy (%s) must not be provided in pod spec; priority "
                                "admission controller computed %s from the given PriorityClass name",
                                policy, found.policy);
    value_set_int(arena, spec, "priority", found.value);
    value_set_str(arena, spec, "preemptionPolicy", found.policy);
    return 0;
}

static int admit(AdmissionRequest *request, ApiError *err) {
    if (request->operation > ADMISSION_UPDATE || !admission_is(request, "", "pods"))
        return 0;
    return admit_pod(request, err);
}

static int validate(AdmissionRequest *request, ApiError *err) {
    Found current;
    if (request->operation > ADMISSION_UPDATE || !admission_is(request, "scheduling.k8s.io", "priorityclasses") ||
        !value_get_bool(request->object, "globalDefault", false))
        return 0;
    int r = default_class(request, &current, err);
    if (r == 0 && *current.name && !streq_null(current.name, meta_get(request->object, "name")))
        return admission_forbid(
            request, err, "PriorityClass %s is already marked as default. Only one default can exist", current.name);
    return r;
}

const AdmissionPlugin admission_priority = {"Priority", admit, validate};
