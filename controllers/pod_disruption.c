#include "controllers/pod_disruption.h"

#include "base/str.h"
#include "controllers/meta.h"
#include "controllers/pods.h"

#include <errno.h>

static int mark(Client *client, const Object *pod, const char *reason, const char *message, bool fail) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    Value *value = object_value(pod, arena), *status = value_ensure_object(arena, value, "status");
    Value *conditions = value_ensure_array(arena, status, "conditions");
    const Value *now = meta_condition(conditions, "DisruptionTarget");
    bool marked = now && streq(str_or(value_get_str(now, "reason"), ""), reason);
    if (marked && !fail)
        return 0;
    condition_remove(conditions, "DisruptionTarget");
    value_append(arena, conditions, condition_new(arena, "DisruptionTarget", "True", reason, message));
    if (fail)
        value_set_str(arena, status, "phase", "Failed");
    return client_update(client, object_resource(pod), object_namespace(pod), object_name(pod), "status", value, NULL,
                         NULL);
}

int pod_disrupt(Client *client, const Object *pod, const char *reason, const char *message, bool fail,
                int64_t grace_seconds) {
    if (!pod_is_finished(str_or(object_field(pod, "status.phase"), ""))) {
        int r = mark(client, pod, reason, message, fail);
        if (r < 0)
            return r == -ENOENT ? 0 : r;
    }
    ClientDelete options = {.uid = object_uid(pod), .grace_seconds = grace_seconds};
    int r = client_delete(client, object_resource(pod), object_namespace(pod), object_name(pod), &options, NULL);
    return r == -ENOENT ? 0 : r;
}
