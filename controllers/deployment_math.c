/* The arithmetic of rollouts. No I/O, no clock. */
#include "controllers/deployment.h"

#include "base/str.h"
#include "controllers/meta.h"

#include <limits.h>

void replica_view_read(Value *replicaset, ReplicaView *ret) {
    const Value *metadata = value_get(replicaset, "metadata"), *status = value_get(replicaset, "status");
    *ret = (ReplicaView){.value = replicaset,
                         .name = value_get_str(metadata, "name"),
                         .uid = value_get_str(metadata, "uid"),
                         .created_ns = value_get_time(metadata, "creationTimestamp"),
                         .deleting = !value_is_empty(value_get(metadata, "deletionTimestamp")),
                         .replicas = value_get_int(value_get(replicaset, "spec"), "replicas", 1),
                         .actual = value_get_int(status, "replicas", 0),
                         .ready = value_get_int(status, "readyReplicas", 0),
                         .available = value_get_int(status, "availableReplicas", 0),
                         .observed = value_get_int(status, "observedGeneration", 0),
                         .generation = value_get_int(metadata, "generation", 0),
                         .terminating = value_get_int(status, "terminatingReplicas", -1)};
}

static void fenceposts(const Rollout *rollout, int64_t *surge, int64_t *unavailable) {
    const Value *rolling = value_path(rollout->spec, "strategy", "rollingUpdate", NULL);
    *surge = int_or_percent(value_get(rolling, "maxSurge"), rollout->replicas, true, 0);
    *unavailable = int_or_percent(value_get(rolling, "maxUnavailable"), rollout->replicas, false, 0);
    /* Both zero (25 % of 1, say) would never move. */
    if (*surge == 0 && *unavailable == 0)
        *unavailable = 1;
}

int64_t deployment_max_surge(const Rollout *rollout) {
    int64_t surge, unavailable;
    if (!rollout->rolling)
        return 0;
    fenceposts(rollout, &surge, &unavailable);
    return surge;
}

int64_t deployment_max_unavailable(const Rollout *rollout) {
    int64_t surge, unavailable;
    if (!rollout->rolling || rollout->replicas == 0)
        return 0;
    fenceposts(rollout, &surge, &unavailable);
    return MIN(unavailable, rollout->replicas);
}

int64_t deployment_sum_replicas(const Rollout *rollout, bool old_only) {
    int64_t sum = 0;
    for (size_t i = 0; i < rollout->n_sets; i++)
        if (!old_only || &rollout->sets[i] != rollout->new_set)
            sum += rollout->sets[i].replicas;
    return sum;
}

int64_t deployment_sum_available(const Rollout *rollout) {
    int64_t sum = 0;
    for (size_t i = 0; i < rollout->n_sets; i++)
        sum += rollout->sets[i].available;
    return sum;
}

int64_t deployment_new_replicas(const Rollout *rollout, int64_t new_set_replicas) {
    if (!rollout->rolling)
        return rollout->replicas;
    const Value *surge = value_path(rollout->spec, "strategy", "rollingUpdate", "maxSurge", NULL);
    int64_t most = rollout->replicas + int_or_percent(surge, rollout->replicas, true, 0);
    int64_t now = deployment_sum_replicas(rollout, false);
    if (now >= most)
        return new_set_replicas;
    return new_set_replicas + MIN(most - now, rollout->replicas - new_set_replicas);
}

ReplicaView *deployment_active_or_latest(const Rollout *rollout) {
    ReplicaView *active = NULL, *latest_old = NULL;
    size_t n_active = 0;
    for (size_t i = 0; i < rollout->n_sets; i++) {
        ReplicaView *set = &rollout->sets[i];
        if (set->replicas > 0) {
            active = set;
            n_active++;
        }
        if (set != rollout->new_set)
            latest_old = set; /* sets are ordered by age */
    }
    if (n_active == 0)
        return rollout->new_set ? rollout->new_set : latest_old;
    return n_active == 1 ? active : NULL;
}

/* ---- proportional scaling ---- */

/* Larger sets first; of equal ones the newer first when growing, the older first when shrinking. */
typedef struct BySize {
    const ReplicaView *sets;
    bool newer_first;
} BySize;

static int compare_size(const void *a, const void *b, void *userdata) {
    const BySize *by = userdata;
    size_t ia = *(const size_t *)a, ib = *(const size_t *)b;
    if (by->sets[ia].replicas != by->sets[ib].replicas)
        return by->sets[ia].replicas > by->sets[ib].replicas ? -1 : 1;
    int age = ia < ib ? -1 : 1; /* sets are ordered by age */
    return by->newer_first ? -age : age;
}

static int64_t fraction_of(const Rollout *rollout, const ReplicaView *set) {
    if (rollout->replicas == 0)
        return -set->replicas;
    int64_t most = rollout->replicas + deployment_max_surge(rollout), before = 0;
    const char *annotation = value_annotation(set->value, MAX_REPLICAS_ANNOTATION);
    if (!annotation || str_to_int64(annotation, &before) < 0 || before <= 0 || before > INT32_MAX)
        before = value_get_int(value_get(rollout->value, "status"), "replicas", 0);
    if (before == 0)
        return 0;
    return (2 * set->replicas * most + before) / (2 * before) - set->replicas; /* rounded half up; all are positive */
}

void deployment_proportions(const Rollout *rollout, int64_t *sizes) {
    size_t *order = arena_alloc(rollout->arena, (rollout->n_sets + 1) * sizeof(*order)), n = 0;
    int64_t total = 0, added = 0;
    for (size_t i = 0; i < rollout->n_sets; i++) {
        sizes[i] = -1;
        if (rollout->sets[i].replicas > 0) {
            sizes[i] = rollout->sets[i].replicas;
            total += sizes[i];
            order[n++] = i;
        }
    }
    int64_t allowed = rollout->replicas > 0 ? rollout->replicas + deployment_max_surge(rollout) : 0;
    int64_t to_add = allowed - total;
    if (to_add == 0 || n == 0)
        return;
    qsort_r(order, n, sizeof(*order), compare_size, &(BySize){rollout->sets, to_add > 0});
    for (size_t i = 0; i < n && added != to_add; i++) {
        int64_t part = fraction_of(rollout, &rollout->sets[order[i]]), left = to_add - added;
        part = to_add > 0 ? MIN(part, left) : MAX(part, left);
        sizes[order[i]] += part;
        added += part;
    }
    sizes[order[0]] = MAX(sizes[order[0]] + to_add - added, (int64_t)0);
}

/* ---- templates ---- */

static Value *without_hash(Arena *arena, const Value *template) {
    Value *copy = value_copy(arena, template), *metadata = value_get(copy, "metadata");
    if (!metadata)
        return copy;
    value_remove(value_get(metadata, "labels"), POD_TEMPLATE_HASH_LABEL);
    value_remove(metadata, "creationTimestamp");
    if (value_is_empty(value_get(metadata, "labels")))
        value_remove(metadata, "labels");
    if (value_len(metadata) == 0)
        value_remove(copy, "metadata");
    return copy;
}

bool deployment_template_equal(Arena *arena, const Value *a, const Value *b) {
    return value_equal(without_hash(arena, a), without_hash(arena, b));
}

bool deployment_is_complete(const Rollout *rollout, const Value *status) {
    return value_get_int(status, "updatedReplicas", 0) == rollout->replicas &&
           value_get_int(status, "replicas", 0) == rollout->replicas &&
           value_get_int(status, "availableReplicas", 0) == rollout->replicas &&
           value_get_int(status, "observedGeneration", 0) >=
               value_get_int(value_get(rollout->value, "metadata"), "generation", 0);
}

bool deployment_has_deadline(const Rollout *rollout) {
    int64_t seconds = value_get_int(rollout->spec, "progressDeadlineSeconds", INT32_MAX);
    return seconds != INT32_MAX;
}

int64_t deployment_revision_of(const Value *object) {
    const char *text = value_annotation(object, REVISION_ANNOTATION);
    int64_t revision;
    return text && str_to_int64(text, &revision) >= 0 ? revision : 0;
}
