#define LOG_COMPONENT "scheduler"
#include "scheduler/outcome.h"

#include <errno.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"

#define EVENT_NOTE_MAX 1024 /* events.k8s.io NoteLengthLimit */

int outcome_bind(Client *client, EventRecorder *events, const Object *pod, const char *node, ApiError *err) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    Value *binding = value_object(arena), *metadata = value_object(arena), *target = value_object(arena),
          *answer = NULL;
    value_set_str(arena, binding, "apiVersion", "v1");
    value_set_str(arena, binding, "kind", "Binding");
    value_set_str(arena, metadata, "name", object_name(pod));
    value_set_str(arena, metadata, "namespace", object_namespace(pod));
    value_set_str(arena, metadata, "uid", object_uid(pod));
    value_set(arena, binding, "metadata", metadata);
    value_set_str(arena, target, "kind", "Node");
    value_set_str(arena, target, "name", node);
    value_set(arena, binding, "target", target);
    int r = client_create_subresource(client, object_resource(pod), object_namespace(pod), object_name(pod), "binding",
                                      binding, arena, &answer, err);
    if (r == 0)
        event_record(events, pod, NULL, "Normal", "Scheduled", "Successfully assigned %s/%s to %s",
                     object_namespace(pod), object_name(pod), node);
    return r;
}

static Value *condition(Arena *arena, const char *type, const char *status, const char *reason, const char *message) {
    Value *c = value_object(arena);
    char now[RFC3339_MAX];
    value_set_str(arena, c, "type", type);
    value_set_str(arena, c, "status", status);
    value_set_str(arena, c, "reason", reason);
    value_set_str(arena, c, "message", message);
    value_set_str(arena, c, "lastTransitionTime", rfc3339_format(now_realtime_ns(), now));
    return c;
}

static const Value *find_condition(const Value *pod, const char *type) {
    const Value *c;
    VALUE_FOREACH (c, value_path(pod, "status", "conditions", NULL))
        if (streq(str_or(value_get_str(c, "type"), ""), type))
            return c;
    return NULL;
}

static int patch_status(Client *client, Arena *arena, const Object *pod, Value *status) {
    Value *patch = value_object(arena), *metadata = value_object(arena);
    value_set_str(arena, metadata, "uid", object_uid(pod));
    value_set(arena, patch, "metadata", metadata);
    value_set(arena, patch, "status", status);
    return client_patch(client, object_resource(pod), object_namespace(pod), object_name(pod), "status",
                        PATCH_STRATEGIC, patch, NULL, NULL);
}

static bool says_so_already(const Value *pod, const char *reason, const char *message, const char *nominated_node) {
    const Value *c = find_condition(pod, "PodScheduled");
    const char *nominated = str_or(value_get_str(value_get(pod, "status"), "nominatedNodeName"), "");
    return c && streq(str_or(value_get_str(c, "status"), ""), "False") &&
           streq(str_or(value_get_str(c, "reason"), ""), reason) &&
           streq(str_or(value_get_str(c, "message"), ""), message) && streq(nominated, str_or(nominated_node, ""));
}

int outcome_unschedulable(Client *client, EventRecorder *events, const Object *pod, const char *reason,
                          const char *message, const char *nominated_node) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    Value *tree = object_value(pod, arena);
    event_record(events, pod, NULL, "Warning", "FailedScheduling", "%.*s", EVENT_NOTE_MAX, message);
    if (says_so_already(tree, reason, message, nominated_node))
        return 0;
    Value *status = value_object(arena), *conditions = value_array(arena);
    Value *c = condition(arena, "PodScheduled", "False", reason, message);
    const Value *old = find_condition(tree, "PodScheduled");
    if (old && streq(str_or(value_get_str(old, "status"), ""), "False"))
        value_remove(c, "lastTransitionTime");
    value_append(arena, conditions, c);
    value_set(arena, status, "conditions", conditions);
    if (nominated_node)
        value_set_str(arena, status, "nominatedNodeName", nominated_node);
    int r = patch_status(client, arena, pod, status);
    if (r < 0 && r != -ENOENT)
        log_warn("cannot mark pod %s/%s as unschedulable: %s", object_namespace(pod), object_name(pod), strerror(-r));
    return r;
}

int outcome_preempt(Client *client, EventRecorder *events, const Object *victim, const Object *preemptor,
                    const char *node) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    Value *status = value_object(arena), *conditions = value_array(arena);
    value_append(arena, conditions,
                 condition(arena, "DisruptionTarget", "True", "PreemptionByScheduler",
                           "default-scheduler: preempting to accommodate a higher priority pod"));
    value_set(arena, status, "conditions", conditions);
    int r = patch_status(client, arena, victim, status);
    if (r < 0)
        return r == -ENOENT ? 0 : r;
    r = client_delete(client, object_resource(victim), object_namespace(victim), object_name(victim),
                      &(ClientDelete){.uid = object_uid(victim), .grace_seconds = -1}, NULL);
    if (r < 0)
        return r == -ENOENT ? 0 : r;
    event_record(events, victim, NULL, "Normal", "Preempted", "Preempted by pod %s on node %s", object_uid(preemptor),
                 node);
    return 0;
}
