/* Statuses on their way to the API server. What a worker computed is kept on the pod; one queue sends it, the newest
 * each time, and retries until it is accepted. Nothing is lost: after a restart the status is computed again. */
#include "kubelet/internal.h"

#include <errno.h>

#include "api/json.h"
#include "base/str.h"

void status_publish(Kubelet *k, Pod *p, Value *status) {
    _cleanup_buf_ Buf json = BUF_INIT(STATUS_JSON_MAX);
    value_write_json(&json, status);
    if (json.failed) {
        log_error("pod %s/%s: its status is larger than %d bytes", p->ns, p->name, STATUS_JSON_MAX);
        return;
    }
    pthread_mutex_lock(&k->lock);
    bool news = !p->status_json || !streq(p->status_json, json.data);
    if (news) {
        free(p->status_json);
        p->status_json = buf_take(&json, NULL);
    }
    bool send = news || p->delete_ready;
    pthread_mutex_unlock(&k->lock);
    if (send)
        workqueue_add(k->status_queue, p->uid);
}

/* Conditions this agent owns; the others are their writers'. */
static const char *const PASSING_CONDITIONS[] = {"PodResizePending", "PodResizeInProgress", NULL};

static bool own_condition(const char *type) {
    static const char *const OWN[] = {
        "PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled",
        "DisruptionTarget",          NULL};
    return str_in(type, OWN) || str_in(type, PASSING_CONDITIONS);
}

/* Conditions that come and go: one that the API server has and we do not is taken away. */
static void delete_passed(Arena *arena, Value *own, const Value *have) {
    for (const char *const *type = PASSING_CONDITIONS; *type; type++) {
        if (!condition_find(have, *type) || condition_find(own, *type))
            continue;
        Value *directive = value_object(arena);
        value_set_str(arena, directive, "type", *type);
        value_set_str(arena, directive, "$patch", "delete");
        value_append(arena, own, directive);
    }
}

/* Members that are gone must be said to be gone in a merge. */
static void null_when_absent(Arena *arena, Value *object, const char *const *names) {
    for (; *names; names++)
        if (!value_get(object, *names))
            value_set(arena, object, *names, value_null(arena));
}

/* A list with a merge key that is to be replaced as a whole. */
static void replace_list(Arena *arena, Value *status, const char *name) {
    Value *list = value_get(status, name), *directive = value_object(arena);
    if (!value_is(list, VALUE_ARRAY))
        return;
    value_set_str(arena, directive, "$patch", "replace");
    value_append(arena, list, directive);
}

/* The computed status as a strategic merge patch. */
static Value *patch_of(Arena *arena, const Object *pod, Value *status) {
    static const char *const OPTIONAL[] = {
        "reason", "message", "containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses", NULL};
    static const char *const CONDITION[] = {"reason", "message", NULL};
    Value *patch = value_object(arena), *metadata = value_object(arena), *own = value_array(arena), *condition;
    VALUE_FOREACH (condition, value_get(status, "conditions")) {
        if (!own_condition(str_or(value_get_str(condition, "type"), "")))
            continue;
        null_when_absent(arena, condition, CONDITION);
        value_append(arena, own, condition);
    }
    delete_passed(arena, own, value_path(object_value(pod, arena), "status", "conditions", NULL));
    value_set(arena, status, "conditions", own);
    value_remove(status, "nominatedNodeName");
    null_when_absent(arena, status, OPTIONAL);
    replace_list(arena, status, "podIPs");
    replace_list(arena, status, "hostIPs");
    value_set_str(arena, metadata, "uid", object_uid(pod));
    value_set(arena, patch, "metadata", metadata);
    value_set(arena, patch, "status", status);
    return patch;
}

static int send_status(Kubelet *k, Pod *p, const Object *pod, const char *json) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    _cleanup_api_error_ ApiError err = {0};
    Value *status = NULL;
    if (json_parse(arena, json, strlen(json), &status, NULL, NULL) < 0)
        return 0; /* it was written by status_publish */
    int r = client_patch(k->client, RES("pods"), p->ns, p->name, "status", PATCH_STRATEGIC,
                         patch_of(arena, pod, status), NULL, &err);
    if (r == -ENOENT || r == -ESTALE)
        return 0; /* it is gone, or another has its name: the watch will say so */
    if (r < 0) {
        log_warn("pod %s/%s: its status cannot be written, trying again: %s", p->ns, p->name,
                 str_or(err.message, strerror(-r)));
        return r;
    }
    pthread_mutex_lock(&k->lock);
    free(p->sent_json);
    p->sent_json = xstrdup(json);
    pthread_mutex_unlock(&k->lock);
    return 0;
}

/* Nothing of it is left on the node: the object may go. */
static int finish_deletion(Kubelet *k, const Pod *p) {
    int r =
        client_delete(k->client, RES("pods"), p->ns, p->name, &(ClientDelete){.uid = p->uid, .grace_seconds = 0}, NULL);
    return r == -ENOENT || r == -ESTALE ? 0 : r;
}

int status_sync(const char *key, void *userdata) {
    Kubelet *k = userdata;
    Pod *p = pod_get(k, key);
    if (!p)
        return 0;
    pthread_mutex_lock(&k->lock);
    bool removed = p->removed, ready = p->delete_ready;
    bool unsent = p->status_json && !streq_null(p->status_json, p->sent_json);
    _cleanup_object_ Object *pod = object_ref(p->object);
    _cleanup_free_ char *json = unsent ? xstrdup(p->status_json) : NULL;
    pthread_mutex_unlock(&k->lock);
    int r = 0;
    if (removed) {
        if (ready)
            pod_drop(k, p);
    } else {
        if (unsent)
            r = send_status(k, p, pod, json);
        if (r == 0 && ready && object_is_deleting(pod))
            r = finish_deletion(k, p);
    }
    pod_unref(k, p);
    return r;
}
