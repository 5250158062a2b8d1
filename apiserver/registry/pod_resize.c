/* The resize subresource: what CPU and memory a pod's containers, or the pod as a whole, are to have from now on. */
#include "api/pod_qos.h"
#include "apiserver/registry/pod_update.h"
#include "apiserver/registry/validate_util.h"

static const char *const KINDS[] = {"requests", "limits"}, *const MUTABLE[] = {"cpu", "memory"};

static bool any_removed(const Value *list, const Value *old) {
    VALUE_FOREACH_MEMBER (member, old)
        if (!value_get(list, member->name))
            return true;
    return false;
}

/* Requests and limits with CPU and memory as they were. */
static Value *without_changes(Arena *arena, const Value *resources, const Value *old) {
    Value *copy = resources ? value_copy(arena, resources) : value_object(arena);
    for (size_t k = 0; k < ELEMENTSOF(KINDS); k++) {
        const Value *was = value_get(old, KINDS[k]);
        Value *list = value_ensure_object(arena, copy, KINDS[k]);
        for (size_t i = 0; i < ELEMENTSOF(MUTABLE); i++)
            value_set(arena, list, MUTABLE[i], value_copy(arena, value_get(was, MUTABLE[i])));
        if (!value_len(list))
            value_remove(copy, KINDS[k]);
    }
    return copy;
}

static bool is_set(const Value *resources) {
    return value_len(value_get(resources, "requests")) + value_len(value_get(resources, "limits")) > 0;
}

static bool is_sidecar(const Value *container) {
    return streq(text_of(container, "restartPolicy"), "Always");
}

/* A node that reports no resources of running containers cannot change them. */
static bool node_resizes(const Value *pod) {
    const Value *status;
    VALUE_FOREACH (status, value_path(pod, "status", "containerStatuses", NULL))
        if (value_path(status, "state", "running", NULL))
            return value_get(status, "resources") != NULL;
    return true;
}

static bool same_order(FieldErrors *errors, const Value *spec, const Value *old, const char *list,
                       const FieldPath *path) {
    const Value *now = value_get(spec, list), *was = value_get(old, list);
    FieldPath list_at = FIELD(path, list);
    size_t n = errors->n;
    if (value_len(now) != value_len(was)) {
        field_forbidden(errors, &list_at, "%s may not be added or removed on resize", list);
        return false;
    }
    for (size_t i = 0; i < value_len(now); i++) {
        FieldPath at = FIELD_INDEX(&list_at, i), name = FIELD(&at, "name");
        if (!streq(text_of(value_at(now, i), "name"), text_of(value_at(was, i), "name")))
            field_forbidden(errors, &name, "%s may not be renamed or reordered on resize", list);
    }
    return errors->n == n;
}

static void check_removed(FieldErrors *errors, const Value *resources, const Value *old, const char *what,
                          const FieldPath *path) {
    for (size_t k = 0; k < ELEMENTSOF(KINDS); k++) {
        FieldPath at = FIELD(path, KINDS[k]);
        if (any_removed(value_get(resources, KINDS[k]), value_get(old, KINDS[k])))
            field_forbidden(errors, &at, "%s %s cannot be removed", what, KINDS[k]);
    }
}

static void check_pod_level(FieldErrors *errors, Value *spec, const Value *old, const FieldPath *path) {
    Value *resources = value_get(spec, "resources");
    const Value *was = value_get(old, "resources");
    FieldPath at = FIELD(path, "resources");
    if (was && !resources) {
        field_forbidden(errors, &at, "pod-level resources cannot be removed");
        return;
    }
    check_removed(errors, resources, was, "pod-level resource", &at);
    Value *rest = without_changes(errors->arena, resources, was);
    bool gone = !was && !value_len(rest);
    if (!gone && !value_equal(rest, was))
        field_forbidden(errors, path, "only cpu and memory resources are mutable at pod-level");
    value_set(errors->arena, spec, "resources", gone ? NULL : rest);
}

static void each_removed(FieldErrors *errors, const Value *spec, const Value *old, const char *list,
                         const FieldPath *path) {
    const Value *now = value_get(spec, list), *was = value_get(old, list);
    FieldPath list_at = FIELD(path, list);
    for (size_t i = 0; i < value_len(was); i++) {
        FieldPath at = FIELD_INDEX(&list_at, i), resources = FIELD(&at, "resources");
        check_removed(errors, value_get(value_at(now, i), "resources"), value_get(value_at(was, i), "resources"),
                      "resource", &resources);
    }
}

static void put_back(Arena *arena, Value *container, const Value *old) {
    const Value *was = value_get(old, "resources");
    Value *rest = without_changes(arena, value_get(container, "resources"), was);
    value_remove(rest, "claims");
    value_set(arena, container, "resources", rest);
}

static void check_containers(FieldErrors *errors, Value *spec, const Value *old, const FieldPath *path) {
    Value *now = value_get(spec, "containers"), *init = value_get(spec, "initContainers");
    const Value *policy;
    FieldPath list_at = FIELD(path, "initContainers");
    for (size_t i = 0; i < value_len(now); i++) {
        const Value *was = value_at(value_get(old, "containers"), i);
        put_back(errors->arena, value_at(now, i), was);
        if (!value_equal(value_at(now, i), was))
            field_forbidden(errors, path, "only cpu and memory resources are mutable");
    }
    for (size_t i = 0; i < value_len(init); i++) {
        Value *container = value_at(init, i);
        const Value *was = value_at(value_get(old, "initContainers"), i);
        bool modified = !value_equal(container, was);
        FieldPath at = FIELD_INDEX(&list_at, i);
        put_back(errors->arena, container, was);
        if (!value_equal(container, was))
            field_forbidden(errors, &at, "only cpu and memory resources for init or sidecar containers are mutable");
        VALUE_FOREACH (policy, value_get(container, "resizePolicy"))
            if (modified && !is_sidecar(container) && streq(text_of(policy, "restartPolicy"), "RestartContainer"))
                field_forbidden(
                    errors, &at,
                    "non-sidecar init containers with a resize policy of RestartContainer cannot be resized");
    }
}

void pod_resize_validate(FieldErrors *errors, const Value *pod, const Value *old_pod) {
    Value *spec = value_copy(errors->arena, value_get(pod, "spec"));
    const Value *old = value_get(old_pod, "spec");
    FieldPath nowhere = FIELD(NULL, ""), path = FIELD(NULL, "spec");
    bool mirror = value_path(old_pod, "metadata", "annotations", "kubernetes.io/config.mirror", NULL) != NULL;
    if (mirror || streq(text_of(value_get(old, "os"), "name"), "windows")) {
        errors->n = 0;
        field_forbidden(errors, &nowhere, mirror ? "static pods cannot be resized" : "windows pods cannot be resized");
        return;
    }
    pod_whole_validate(errors, pod);
    const char *class = text_of(value_get(old_pod, "status"), "qosClass");
    if (!streq(*class ? class : pod_qos(old_pod), pod_qos(pod)))
        field_invalid_str(errors, &path, text_of(value_get(pod, "status"), "qosClass"),
                          "Pod QOS Class may not change as a result of resizing");
    if (!node_resizes(old_pod))
        field_forbidden(errors, &path, "Pod running on node without support for resize");
    if (is_set(value_get(old, "resources")) || is_set(value_get(spec, "resources")))
        check_pod_level(errors, spec, old, &path);
    bool same = same_order(errors, spec, old, "containers", &path);
    if (!same_order(errors, spec, old, "initContainers", &path) || !same)
        return;
    each_removed(errors, spec, old, "initContainers", &path);
    each_removed(errors, spec, old, "containers", &path);
    check_containers(errors, spec, old, &path);
    if (!errors->n && !value_equal(spec, old))
        field_forbidden(errors, &path, "only cpu and memory resources are mutable");
}
