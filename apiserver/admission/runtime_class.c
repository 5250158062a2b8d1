/* RuntimeClass: what a pod's runtime takes on top, and where it can run, become the pod's own. */
#include "apiserver/admission/admission.h"
#include "api/resource_list.h"
#include "apiserver/admission/tolerations.h"
#include "base/str.h"

#include <errno.h>

#define MISMATCH "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead"

/* *ret NULL when the pod names none. */
static int class_of(AdmissionRequest *request, Value **ret, ApiError *err) {
    const char *name = value_get_str(value_get(request->object, "spec"), "runtimeClassName");
    *ret = NULL;
    if (!name)
        return 0;
    int r = admission_get(request, "node.k8s.io", "v1", "runtimeclasses", "", name, ret, err);
    return r == -ENOENT ? admission_forbid(request, err, "pod rejected: RuntimeClass \"%s\" not found", name) : r;
}

static bool same_overhead(Arena *arena, const Value *a, const Value *b) {
    ResourceList x = resource_list_read(arena, a), y = resource_list_read(arena, b);
    return resource_list_equal(&x, &y);
}

static int set_overhead(AdmissionRequest *request, const Value *class, ApiError *err) {
    Arena *arena = request->strategy->arena;
    Value *spec = value_get(request->object, "spec"), *fixed = value_path(class, "overhead", "podFixed", NULL);
    if (!value_get(class, "overhead"))
        return 0;
    if (value_len(value_get(spec, "overhead")) && !same_overhead(arena, value_get(spec, "overhead"), fixed))
        return admission_forbid(request, err, MISMATCH);
    value_set(arena, spec, "overhead", value_len(fixed) ? value_copy(arena, fixed) : NULL);
    return 0;
}

static int set_scheduling(AdmissionRequest *request, const Value *class, ApiError *err) {
    Arena *arena = request->strategy->arena;
    const Value *scheduling = value_get(class, "scheduling"), *wanted = value_get(scheduling, "nodeSelector");
    Value *spec = value_get(request->object, "spec");
    if (!scheduling)
        return 0;
    VALUE_FOREACH_MEMBER (m, wanted) {
        const char *have = value_get_str(value_get(spec, "nodeSelector"), m->name),
                   *want = str_or(value_str(m->value), "");
        if (have && !streq(have, want))
            return admission_forbid(
                request, err, "conflict: runtimeClass.scheduling.nodeSelector[%s] = %s; pod.spec.nodeSelector[%s] = %s",
                m->name, want, m->name, have);
        value_set_str(arena, value_ensure_object(arena, spec, "nodeSelector"), m->name, want);
    }
    Value *merged = tolerations_merge(arena, value_get(spec, "tolerations"), value_get(scheduling, "tolerations"));
    value_set(arena, spec, "tolerations", value_len(merged) ? value_copy(arena, merged) : NULL);
    return 0;
}

static bool applies(const AdmissionRequest *request) {
    return request->operation == ADMISSION_CREATE && admission_is(request, "", "pods");
}

static int mutate(AdmissionRequest *request, ApiError *err) {
    Value *class;
    if (!applies(request))
        return 0;
    int r = class_of(request, &class, err);
    r = r < 0 || !class ? r : set_overhead(request, class, err);
    return r < 0 || !class ? r : set_scheduling(request, class, err);
}

static int validate(AdmissionRequest *request, ApiError *err) {
    Value *class;
    if (!applies(request))
        return 0;
    int r = class_of(request, &class, err);
    if (r < 0)
        return r;
    const Value *overhead = value_path(request->object, "spec", "overhead", NULL);
    if (value_get(class, "overhead")) {
        if (!same_overhead(request->strategy->arena, overhead, value_path(class, "overhead", "podFixed", NULL)))
            return admission_forbid(request, err, MISMATCH);
    } else if (overhead)
        return admission_forbid(request, err,
                                "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead");
    return 0;
}

const AdmissionPlugin admission_runtime_class = {"RuntimeClass", mutate, validate};
