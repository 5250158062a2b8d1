#include "controllers/pods.h"

#include "base/clock.h"
#include "base/str.h"
#include "controllers/meta.h"

#include <errno.h>

static void read_restarts(const Value *pod, PodInfo *info) {
    Value *status, *container;
    VALUE_FOREACH (status, value_path(pod, "status", "containerStatuses", NULL))
        info->restarts = MAX(info->restarts, value_get_int(status, "restartCount", 0));
    VALUE_FOREACH (status, value_path(pod, "status", "initContainerStatuses", NULL)) {
        const char *name = value_get_str(status, "name");
        VALUE_FOREACH (container, value_path(pod, "spec", "initContainers", NULL)) {
            const char *policy = value_get_str(container, "restartPolicy");
            if (policy && streq(policy, "Always") && streq_null(value_get_str(container, "name"), name))
                info->sidecar_restarts = MAX(info->sidecar_restarts, value_get_int(status, "restartCount", 0));
        }
    }
}

void pod_info_read(Object *pod, PodInfo *ret) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    Value *v = object_value(pod, arena);
    const Value *ready = meta_condition(value_path(v, "status", "conditions", NULL), "Ready");
    const char *status = value_get_str(ready, "status"), *cost;
    PodInfo info = {.object = pod,
                    .node = str_or(object_field(pod, "spec.nodeName"), ""),
                    .phase = str_or(object_field(pod, "status.phase"), ""),
                    .deleting = object_is_deleting(pod),
                    .ready = status && streq(status, "True"),
                    .created_ns = object_created_ns(pod)};
    if (info.ready)
        info.ready_since_ns = value_get_time(ready, "lastTransitionTime");
    cost = value_annotation(v, "controller.kubernetes.io/pod-deletion-cost");
    if (cost && str_to_int64(cost, &info.deletion_cost) < 0)
        info.deletion_cost = 0;
    read_restarts(v, &info);
    *ret = info;
}

bool pod_is_finished(const char *phase) {
    return streq(phase, "Succeeded") || streq(phase, "Failed");
}

bool pod_is_active(const PodInfo *pod) {
    return !pod->deleting && !pod_is_finished(pod->phase);
}

bool pod_is_available(const PodInfo *pod, int64_t min_ready_seconds, int64_t now_ns, int64_t *ret_wait_ns) {
    if (ret_wait_ns)
        *ret_wait_ns = 0;
    if (!pod->ready)
        return false;
    if (min_ready_seconds == 0)
        return true;
    if (pod->ready_since_ns == 0)
        return false;
    int64_t wait = ns_between(ns_after(pod->ready_since_ns, min_ready_seconds), now_ns);
    if (wait <= 0)
        return true;
    if (ret_wait_ns)
        *ret_wait_ns = wait;
    return false;
}

/* ---- deletion order ---- */

static int phase_ordinal(const char *phase) {
    return streq(phase, "Running") ? 2 : streq(phase, "Unknown") ? 1 : 0;
}

static int compare_int(int64_t a, int64_t b) {
    return a < b ? -1 : a > b;
}

static int log2_of(int64_t n) {
    return n > 0 ? 63 - __builtin_clzll((uint64_t)n) : -1;
}

/* The younger first; ages are compared by their power of two, and within one the uid decides, so that scaling down does
 * not always hit the newest failure domain. */
static int compare_age(const PodInfo *a, const PodInfo *b, int64_t a_ns, int64_t b_ns, int64_t now_ns) {
    if (a_ns == 0 || b_ns == 0)
        return a_ns == 0 ? -1 : 1;
    int64_t age_a = ns_between(now_ns, a_ns), age_b = ns_between(now_ns, b_ns);
    int log_a = log2_of(age_a), log_b = log2_of(age_b);
    if (log_a == log_b)
        return strcmp(object_uid(a->object), object_uid(b->object));
    return compare_int(log_a, log_b);
}

int pod_deletion_compare(const PodInfo *a, const PodInfo *b, int64_t now_ns) {
    bool assigned_a = *a->node, assigned_b = *b->node;
    int r;
    if (assigned_a != assigned_b)
        return assigned_a ? 1 : -1;
    if ((r = compare_int(phase_ordinal(a->phase), phase_ordinal(b->phase))) != 0)
        return r;
    if (a->ready != b->ready)
        return a->ready ? 1 : -1;
    if ((r = compare_int(a->deletion_cost, b->deletion_cost)) != 0)
        return r;
    if ((r = compare_int(b->rank, a->rank)) != 0)
        return r;
    if (a->ready && a->ready_since_ns != b->ready_since_ns)
        return compare_age(a, b, a->ready_since_ns, b->ready_since_ns, now_ns);
    if ((r = compare_int(b->restarts, a->restarts)) != 0)
        return r;
    if ((r = compare_int(b->sidecar_restarts, a->sidecar_restarts)) != 0)
        return r;
    if (a->created_ns != b->created_ns)
        return compare_age(a, b, a->created_ns, b->created_ns, now_ns);
    return 0;
}

static int compare_with_now(const void *a, const void *b, void *now) {
    return pod_deletion_compare(a, b, *(int64_t *)now);
}

void pod_deletion_sort(PodInfo *pods, size_t n, int64_t now_ns) {
    qsort_r(pods, n, sizeof(*pods), compare_with_now, &now_ns);
}

/* ---- making and deleting ---- */

Value *pod_from_template(Arena *arena, const Value *template, const Object *owner, const char *name) {
    Value *pod = value_object(arena);
    value_set_str(arena, pod, "apiVersion", "v1");
    value_set_str(arena, pod, "kind", "Pod");
    Value *metadata = value_ensure_object(arena, pod, "metadata");
    const Value *from = value_get(template, "metadata");
    if (name)
        value_set_str(arena, metadata, "name", name);
    else {
        /* getPodsPrefix: the owner's name and a dash, unless that is no valid prefix */
        const char *prefix = arena_printf(arena, "%s-", object_name(owner));
        value_set_str(arena, metadata, "generateName", strlen(prefix) > 253 ? object_name(owner) : prefix);
    }
    value_set_str(arena, metadata, "namespace", object_namespace(owner));
    static const char *const kept[] = {"labels", "annotations", "finalizers"};
    for (size_t i = 0; i < ELEMENTSOF(kept); i++)
        if (!value_is_empty(value_get(from, kept[i])))
            value_set(arena, metadata, kept[i], value_copy(arena, value_get(from, kept[i])));
    value_append(arena, value_ensure_array(arena, metadata, "ownerReferences"), owner_ref_value(arena, owner));
    value_set(arena, pod, "spec", value_copy(arena, value_get(template, "spec")));
    return pod;
}

bool error_is_namespace_terminating(const ApiError *err) {
    for (size_t i = 0; i < err->n_causes; i++)
        if (err->causes[i].reason && streq(err->causes[i].reason, "NamespaceTerminating"))
            return true;
    return false;
}

static const Resource *pods(void) {
    return resource_find("", "v1", "pods");
}

int pod_create(Client *client, EventRecorder *events, const Object *owner, const Value *pod, Object **ret,
               ApiError *err) {
    _cleanup_api_error_ ApiError own = {0};
    _cleanup_object_ Object *created = NULL;
    if (!err)
        err = &own;
    int r = client_create(client, pods(), object_namespace(owner), pod, &created, err);
    if (r < 0) {
        if (!error_is_namespace_terminating(err))
            event_record(events, owner, NULL, "Warning", "FailedCreate", "Error creating: %s",
                         err->message ? err->message : strerror(-r));
        return r;
    }
    event_record(events, owner, NULL, "Normal", "SuccessfulCreate", "Created pod: %s", object_name(created));
    if (ret)
        *ret = TAKE_PTR(created);
    return 0;
}

int pod_delete(Client *client, EventRecorder *events, const Object *owner, const char *name, ApiError *err) {
    _cleanup_api_error_ ApiError own = {0};
    if (!err)
        err = &own;
    int r = client_delete(client, pods(), object_namespace(owner), name, &(ClientDelete){.grace_seconds = -1}, err);
    if (r == -ENOENT)
        return r;
    if (r < 0) {
        event_record(events, owner, NULL, "Warning", "FailedDelete", "Error deleting: %s",
                     err->message ? err->message : strerror(-r));
        return r;
    }
    event_record(events, owner, NULL, "Normal", "SuccessfulDelete", "Deleted pod: %s", name);
    return 0;
}
