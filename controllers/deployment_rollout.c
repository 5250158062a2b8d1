/* What a Deployment does to its ReplicaSets. */
#include "controllers/deployment.h"

#include "base/log.h"
#include "base/str.h"
#include "controllers/meta.h"
#include "controllers/pods.h"
#include "controllers/template_hash.h"

#include <errno.h>
#include <limits.h>

#define REVISION_HISTORY_CHARS_MAX 2000 /* the reference's maxRevHistoryLengthInChars */

static const Resource *replicasets(void) {
    return resource_find("apps", "v1", "replicasets");
}

/* ---- annotations ---- */

static bool set_annotation(Arena *arena, Value *object, const char *key, const char *value) {
    const char *now = value_annotation(object, key);
    if (now && streq(now, value))
        return false;
    Value *metadata = value_ensure_object(arena, object, "metadata");
    value_set_str(arena, value_ensure_object(arena, metadata, "annotations"), key, value);
    return true;
}

static bool copy_annotations(Rollout *rollout, Value *set) {
    static const char *const own[] = {"kubectl.kubernetes.io/last-applied-configuration",
                                      REVISION_ANNOTATION,
                                      REVISION_HISTORY_ANNOTATION,
                                      DESIRED_REPLICAS_ANNOTATION,
                                      MAX_REPLICAS_ANNOTATION,
                                      "deprecated.deployment.rollback.to",
                                      NULL};
    bool changed = false;
    VALUE_FOREACH_MEMBER (annotation, value_path(rollout->value, "metadata", "annotations", NULL))
        if (!str_in(annotation->name, own) && value_str(annotation->value))
            changed |= set_annotation(rollout->arena, set, annotation->name, value_str(annotation->value));
    return changed;
}

static void append_history(Arena *arena, Value *set, const char *revision) {
    const char *history = str_or(value_annotation(set, REVISION_HISTORY_ANNOTATION), "");
    if (!*history) {
        set_annotation(arena, set, REVISION_HISTORY_ANNOTATION, revision);
        return;
    }
    while (*history && strlen(history) + strlen(revision) + 1 > REVISION_HISTORY_CHARS_MAX) {
        const char *comma = strchr(history, ',');
        history = comma ? comma + 1 : "";
    }
    set_annotation(arena, set, REVISION_HISTORY_ANNOTATION,
                   *history ? arena_printf(arena, "%s,%s", history, revision) : revision);
}

static bool set_replicas_annotations(Rollout *rollout, Value *set) {
    Arena *arena = rollout->arena;
    long long desired = rollout->replicas, most = desired + deployment_max_surge(rollout);
    bool changed = set_annotation(arena, set, DESIRED_REPLICAS_ANNOTATION, arena_printf(arena, "%lld", desired));
    return set_annotation(arena, set, MAX_REPLICAS_ANNOTATION, arena_printf(arena, "%lld", most)) || changed;
}

static bool set_new_annotations(Rollout *rollout, Value *set, int64_t revision, bool exists) {
    Arena *arena = rollout->arena;
    bool changed = copy_annotations(rollout, set);
    const char *old_text = value_annotation(set, REVISION_ANNOTATION);
    int64_t old = 0;
    if (!str_empty(old_text) && str_to_int64(old_text, &old) < 0)
        return false;
    if (old < revision) {
        set_annotation(arena, set, REVISION_ANNOTATION, arena_printf(arena, "%lld", (long long)revision));
        changed = true;
        if (old_text)
            append_history(arena, set, old_text);
    }
    if (!exists)
        changed |= set_replicas_annotations(rollout, set);
    return changed;
}

/* ---- the new set ---- */

static int update_set(Rollout *rollout, ReplicaView *set, Value *changed) {
    _cleanup_object_ Object *updated = NULL;
    int r = client_update(rollout->client, replicasets(), object_namespace(rollout->object), set->name, NULL, changed,
                          &updated, NULL);
    if (r < 0)
        return r;
    replica_view_read(object_value(updated, rollout->arena), set);
    return 0;
}

/* The revision as the set has it, and a first Progressing condition when there is none. */
static int note_existing(Rollout *rollout) {
    Arena *arena = rollout->arena;
    const char *revision = str_or(value_annotation(rollout->new_set->value, REVISION_ANNOTATION), "");
    bool changed = set_annotation(arena, rollout->value, REVISION_ANNOTATION, revision);
    Value *status = value_ensure_object(arena, rollout->value, "status");
    if (deployment_has_deadline(rollout) && !meta_condition(value_get(status, "conditions"), "Progressing")) {
        char *message = arena_printf(arena, "Found new replica set \"%s\"", rollout->new_set->name);
        deployment_set_condition(arena, status,
                                 deployment_condition(arena, "Progressing", "True", "FoundNewReplicaSet", message));
        changed = true;
    }
    return changed ? deployment_write_status(rollout) : 0;
}

static int sync_existing(Rollout *rollout, int64_t revision) {
    Arena *arena = rollout->arena;
    ReplicaView *set = rollout->new_set;
    Value *copy = value_copy(arena, set->value), *spec = value_ensure_object(arena, copy, "spec");
    int64_t min_ready = value_get_int(rollout->spec, "minReadySeconds", 0);
    bool changed = set_new_annotations(rollout, copy, revision, true);
    if (changed || value_get_int(spec, "minReadySeconds", 0) != min_ready) {
        value_set_int(arena, spec, "minReadySeconds", min_ready);
        return update_set(rollout, set, copy);
    }
    return note_existing(rollout);
}

static Value *new_set_value(Rollout *rollout, const char *hash, int64_t revision) {
    Arena *arena = rollout->arena;
    const char *name = object_name(rollout->object);
    Value *set = value_object(arena);
    value_set_str(arena, set, "apiVersion", "apps/v1");
    value_set_str(arena, set, "kind", "ReplicaSet");
    Value *template = value_copy(arena, value_get(rollout->spec, "template"));
    Value *labels = value_ensure_object(arena, value_ensure_object(arena, template, "metadata"), "labels");
    value_set_str(arena, labels, POD_TEMPLATE_HASH_LABEL, hash);
    Value *selector = value_copy(arena, value_get(rollout->spec, "selector"));
    value_set_str(arena, value_ensure_object(arena, selector, "matchLabels"), POD_TEMPLATE_HASH_LABEL, hash);
    Value *metadata = value_ensure_object(arena, set, "metadata");
    int room = 253 - 1 - (int)strlen(hash); /* a DNS subdomain */
    value_set_str(arena, metadata, "name", arena_printf(arena, "%.*s-%s", room, name, hash));
    value_set_str(arena, metadata, "namespace", object_namespace(rollout->object));
    value_set(arena, metadata, "labels", value_copy(arena, labels));
    value_append(arena, value_ensure_array(arena, metadata, "ownerReferences"),
                 owner_ref_value(arena, rollout->object));
    Value *spec = value_ensure_object(arena, set, "spec");
    value_set_int(arena, spec, "replicas", deployment_new_replicas(rollout, 0));
    if (value_get_int(rollout->spec, "minReadySeconds", 0))
        value_set(arena, spec, "minReadySeconds", value_get(rollout->spec, "minReadySeconds"));
    value_set(arena, spec, "selector", selector);
    value_set(arena, spec, "template", template);
    set_new_annotations(rollout, set, revision, false);
    return set;
}

static int report_create_failure(Rollout *rollout, const char *name, int error, const ApiError *err) {
    Arena *arena = rollout->arena;
    if (error_is_namespace_terminating(err))
        return error;
    char *message = arena_printf(arena, "Failed to create new replica set \"%s\": %s", name,
                                 err->message ? err->message : strerror(-error));
    if (deployment_has_deadline(rollout)) {
        Value *status = value_ensure_object(arena, rollout->value, "status");
        deployment_set_condition(arena, status,
                                 deployment_condition(arena, "Progressing", "False", "ReplicaSetCreateError", message));
        deployment_write_status(rollout);
    }
    event_record(rollout->events, rollout->object, NULL, "Warning", "ReplicaSetCreateError", "%s", message);
    return error;
}

/* The name is taken: by ours, which the cache does not show yet, or by another template of the same hash. */
static int resolve_collision(Rollout *rollout, const char *name, Object **ret) {
    Arena *arena = rollout->arena;
    _cleanup_object_ Object *there = NULL;
    int r = client_get(rollout->client, replicasets(), object_namespace(rollout->object), name, &there, NULL);
    if (r < 0)
        return r;
    const OwnerRef *owner = object_controller(there);
    const Value *template = value_path(object_value(there, arena), "spec", "template", NULL);
    if (owner && streq(owner->uid, object_uid(rollout->object)) &&
        deployment_template_equal(arena, template, value_get(rollout->spec, "template"))) {
        *ret = TAKE_PTR(there);
        return 0;
    }
    Value *status = value_ensure_object(arena, rollout->value, "status");
    value_set_int(arena, status, "collisionCount", value_get_int(status, "collisionCount", 0) + 1);
    deployment_write_status(rollout);
    return -EEXIST;
}

static int create_new(Rollout *rollout, int64_t revision) {
    _cleanup_api_error_ ApiError err = {0};
    _cleanup_object_ Object *created = NULL;
    Arena *arena = rollout->arena;
    int64_t collisions = value_get_int(value_get(rollout->value, "status"), "collisionCount", -1);
    char *hash = pod_template_hash(arena, value_get(rollout->spec, "template"), collisions);
    Value *set = new_set_value(rollout, hash, revision);
    const char *name = value_get_str(value_get(set, "metadata"), "name");
    int64_t replicas = value_get_int(value_get(set, "spec"), "replicas", 0);
    int r = client_create(rollout->client, replicasets(), object_namespace(rollout->object), set, &created, &err);
    bool existed = r == -EEXIST;
    if (existed)
        r = resolve_collision(rollout, name, &created);
    else if (r < 0)
        return report_create_failure(rollout, name, r, &err);
    if (r < 0)
        return r;
    if (!existed && replicas > 0)
        event_record(rollout->events, rollout->object, NULL, "Normal", "ScalingReplicaSet",
                     "Scaled up replica set %s from 0 to %lld", name, (long long)replicas);
    rollout->new_set = &rollout->sets[rollout->n_sets++];
    replica_view_read(object_value(created, arena), rollout->new_set);
    bool changed =
        set_annotation(arena, rollout->value, REVISION_ANNOTATION, arena_printf(arena, "%lld", (long long)revision));
    if (!existed && deployment_has_deadline(rollout)) {
        char *message = arena_printf(arena, "Created new replica set \"%s\"", name);
        deployment_set_condition(arena, value_ensure_object(arena, rollout->value, "status"),
                                 deployment_condition(arena, "Progressing", "True", "NewReplicaSetCreated", message));
        changed = true;
    }
    return changed ? deployment_write_status(rollout) : 0;
}

int deployment_sync_revision(Rollout *rollout, bool create) {
    int64_t newest_old = 0;
    for (size_t i = 0; i < rollout->n_sets; i++)
        if (&rollout->sets[i] != rollout->new_set)
            newest_old = MAX(newest_old, deployment_revision_of(rollout->sets[i].value));
    if (rollout->new_set)
        return sync_existing(rollout, newest_old + 1);
    return create ? create_new(rollout, newest_old + 1) : 0;
}

/* ---- scaling ---- */

int deployment_scale_set(Rollout *rollout, ReplicaView *set, int64_t to, bool force, bool *ret_scaled) {
    Arena *arena = rollout->arena;
    int64_t from = set->replicas;
    if (!force && from == to)
        return 0;
    Value *copy = value_copy(arena, set->value);
    bool annotated = set_replicas_annotations(rollout, copy);
    if (!annotated && from == to)
        return 0;
    value_set_int(arena, value_ensure_object(arena, copy, "spec"), "replicas", to);
    int r = update_set(rollout, set, copy);
    if (r < 0 || from == to)
        return r;
    event_record(rollout->events, rollout->object, NULL, "Normal", "ScalingReplicaSet",
                 "Scaled %s replica set %s from %lld to %lld", from < to ? "up" : "down", set->name, (long long)from,
                 (long long)to);
    if (ret_scaled)
        *ret_scaled = true;
    return 0;
}

static bool is_saturated(const Rollout *rollout, const ReplicaView *set) {
    const char *text = set ? value_annotation(set->value, DESIRED_REPLICAS_ANNOTATION) : NULL;
    int64_t desired;
    return text && str_to_int64(text, &desired) >= 0 && set->replicas == rollout->replicas &&
           desired == rollout->replicas && set->available == rollout->replicas;
}

static int scale_proportionally(Rollout *rollout) {
    int64_t *sizes = arena_alloc0(rollout->arena, (rollout->n_sets + 1) * sizeof(*sizes));
    deployment_proportions(rollout, sizes);
    for (size_t i = 0; i < rollout->n_sets; i++) {
        int r = sizes[i] >= 0 ? deployment_scale_set(rollout, &rollout->sets[i], sizes[i], true, NULL) : 0;
        if (r < 0)
            return r;
    }
    return 0;
}

int deployment_scale(Rollout *rollout) {
    ReplicaView *only = deployment_active_or_latest(rollout);
    if (only)
        return deployment_scale_set(rollout, only, rollout->replicas, false, NULL);
    if (is_saturated(rollout, rollout->new_set)) {
        for (size_t i = 0; i < rollout->n_sets; i++) {
            ReplicaView *set = &rollout->sets[i];
            int r =
                set != rollout->new_set && set->replicas > 0 ? deployment_scale_set(rollout, set, 0, false, NULL) : 0;
            if (r < 0)
                return r;
        }
        return 0;
    }
    return rollout->rolling ? scale_proportionally(rollout) : 0;
}

/* ---- history ---- */

static int compare_revision(const void *a, const void *b) {
    const ReplicaView *x = *(ReplicaView *const *)a, *y = *(ReplicaView *const *)b;
    int64_t rx = deployment_revision_of(x->value), ry = deployment_revision_of(y->value);
    if (rx != ry)
        return rx < ry ? -1 : 1;
    return x < y ? -1 : x > y; /* by age */
}

int deployment_clean_up(Rollout *rollout) {
    int64_t limit = value_get_int(rollout->spec, "revisionHistoryLimit", INT32_MAX);
    ReplicaView **old = arena_alloc0(rollout->arena, (rollout->n_sets + 1) * sizeof(ReplicaView *));
    size_t n = 0;
    if (limit == INT32_MAX)
        return 0;
    for (size_t i = 0; i < rollout->n_sets; i++)
        if (&rollout->sets[i] != rollout->new_set && !rollout->sets[i].deleting)
            old[n++] = &rollout->sets[i];
    if ((int64_t)n <= limit)
        return 0;
    qsort(old, n, sizeof(*old), compare_revision);
    for (size_t i = 0; i < n - (size_t)limit; i++) {
        if (old[i]->actual != 0 || old[i]->replicas != 0 || old[i]->generation > old[i]->observed)
            continue;
        int r = client_delete(rollout->client, replicasets(), object_namespace(rollout->object), old[i]->name,
                              &(ClientDelete){.grace_seconds = -1}, NULL);
        if (r < 0 && r != -ENOENT)
            return r;
    }
    return 0;
}

/* ---- rolling update ---- */

static int grow_new(Rollout *rollout, bool *ret_scaled) {
    ReplicaView *set = rollout->new_set;
    if (set->replicas == rollout->replicas)
        return 0;
    int64_t to =
        set->replicas > rollout->replicas ? rollout->replicas : deployment_new_replicas(rollout, set->replicas);
    return deployment_scale_set(rollout, set, to, false, ret_scaled);
}

/* Takes at most `most` pods from the old sets, the oldest set first; `unhealthy`: only pods that are not available. */
static int shrink_old(Rollout *rollout, int64_t most, bool unhealthy, int64_t *taken) {
    for (size_t i = 0; i < rollout->n_sets && *taken < most; i++) {
        ReplicaView *set = &rollout->sets[i];
        if (set == rollout->new_set || set->replicas == 0)
            continue;
        int64_t count = MIN(most - *taken, unhealthy ? set->replicas - set->available : set->replicas);
        if (count <= 0)
            continue;
        int r = deployment_scale_set(rollout, set, set->replicas - count, false, NULL);
        if (r < 0)
            return r;
        *taken += count;
    }
    return 0;
}

static int shrink_olds(Rollout *rollout, bool *ret_scaled) {
    if (deployment_sum_replicas(rollout, true) == 0)
        return 0;
    int64_t least = rollout->replicas - deployment_max_unavailable(rollout);
    int64_t new_unavailable = rollout->new_set->replicas - rollout->new_set->available;
    int64_t most = deployment_sum_replicas(rollout, false) - least - new_unavailable, cleaned = 0, scaled = 0;
    if (most <= 0)
        return 0;
    int r = shrink_old(rollout, most, true, &cleaned);
    if (r < 0)
        return r;
    int64_t available = deployment_sum_available(rollout);
    /* A set that was asked for fewer just now still reports those it will delete as available: they are not taken twice
     * (the reference takes them, and falls below what must stay available until its next look). */
    if (available > least)
        r = shrink_old(rollout, MIN(available - least, most - cleaned), false, &scaled);
    *ret_scaled = cleaned + scaled > 0;
    return r;
}

int deployment_roll(Rollout *rollout) {
    bool scaled = false;
    int r = deployment_sync_revision(rollout, true);
    if (r >= 0)
        r = grow_new(rollout, &scaled);
    if (r >= 0 && !scaled)
        r = shrink_olds(rollout, &scaled);
    if (r >= 0 && !scaled && deployment_is_complete(rollout, value_get(rollout->value, "status")))
        r = deployment_clean_up(rollout);
    return r < 0 ? r : deployment_sync_rollout_status(rollout);
}

/* ---- recreate ---- */

static bool old_pods_run(const Rollout *rollout, Informer *pods) {
    bool run = false;
    for (size_t i = 0; i < rollout->n_sets && !run; i++) {
        const ReplicaView *set = &rollout->sets[i];
        ClientList list = {0};
        if (set == rollout->new_set)
            continue;
        run = set->actual > 0;
        informer_list_controlled(pods, set->uid, &list);
        for (size_t k = 0; k < list.n && !run; k++)
            run = !pod_is_finished(str_or(object_field(list.items[k], "status.phase"), ""));
        client_list_done(&list);
    }
    return run;
}

int deployment_recreate(Rollout *rollout, Informer *pods) {
    bool scaled = false;
    int r = deployment_sync_revision(rollout, false);
    for (size_t i = 0; i < rollout->n_sets && r >= 0; i++)
        if (&rollout->sets[i] != rollout->new_set && rollout->sets[i].replicas > 0)
            r = deployment_scale_set(rollout, &rollout->sets[i], 0, false, &scaled);
    if (r < 0)
        return r;
    if (scaled || old_pods_run(rollout, pods))
        return deployment_sync_rollout_status(rollout);
    if (!rollout->new_set)
        r = deployment_sync_revision(rollout, true);
    if (r >= 0)
        r = deployment_scale_set(rollout, rollout->new_set, rollout->replicas, false, NULL);
    if (r >= 0 && deployment_is_complete(rollout, value_get(rollout->value, "status")))
        r = deployment_clean_up(rollout);
    return r < 0 ? r : deployment_sync_rollout_status(rollout);
}
