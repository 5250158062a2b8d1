/* StatefulSets: pods name-0 to name-(n-1), each with its own claims, made in order, taken away and updated in reverse.
 */
#define LOG_COMPONENT "statefulset"
#include "controllers/controller.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "controllers/claim.h"
#include "controllers/expectations.h"
#include "controllers/meta.h"
#include "controllers/pods.h"
#include "controllers/revisions.h"
#include "controllers/stateful_claims.h"

#include <errno.h>
#include <stdio.h>

#define HASH_LABEL "controller-revision-hash" /* here: the revision's name */
#define POD_NAME_LABEL "statefulset.kubernetes.io/pod-name"
#define POD_INDEX_LABEL "apps.kubernetes.io/pod-index"
#define ORDINALS_MAX 100000
#define STALE_CLAIM_RETRY_NS NS_PER_SEC

typedef struct StatefulSets {
    Client *client;
    EventRecorder *events;
    Informer *sets, *pods, *claims, *revisions;
    WorkQueue *queue;
    Expectations *expectations, *status_writes, *claim_writes; /* of pods; of sets; of claims */
} StatefulSets;

typedef struct StatefulPod {
    PodInfo info; /* holds a reference; object NULL: there is none */
    int64_t ordinal;
    const char *revision; /* name */
    bool available;
} StatefulPod;

typedef struct Sync {
    StatefulSets *all;
    const char *key;
    Arena *arena;
    Object *set;
    Value *value, *spec;
    StatefulClaims claims;
    Revisions revisions;
    const Revision *current, *update; /* what pods came from, and what they are to become */
    StatefulPod *pods;                /* all of them */
    size_t n_pods;
    StatefulPod **replicas; /* by ordinal - start; NULL entries have to be made */
    int64_t start, n_replicas, min_ready, partition, now_ns;
    bool parallel, rolling;
} Sync;

/* ---- names ---- */

/* The ordinal in "<set>-<ordinal>"; -1 when the name is not of this form. */
static int64_t ordinal_of(const Object *set, const char *pod_name) {
    size_t n = strlen(object_name(set));
    int64_t ordinal;
    if (strncmp(pod_name, object_name(set), n) != 0 || pod_name[n] != '-' ||
        str_to_int64(pod_name + n + 1, &ordinal) < 0)
        return -1;
    return ordinal >= 0 ? ordinal : -1;
}

/* ---- pods ---- */

static void add_claim_volumes(Sync *sync, Value *pod_spec, int64_t ordinal) {
    Arena *arena = sync->arena;
    Value *volumes = value_ensure_array(arena, pod_spec, "volumes"), *template;
    VALUE_FOREACH (template, value_get(sync->spec, "volumeClaimTemplates")) {
        const char *name = str_or(value_get_str(value_get(template, "metadata"), "name"), "");
        for (size_t i = value_len(volumes); i-- > 0;)
            if (streq(str_or(value_get_str(value_at(volumes, i), "name"), ""), name))
                value_remove_at(volumes, i);
        Value *volume = value_object(arena), *claim = value_object(arena);
        value_set_str(arena, claim, "claimName", stateful_claim_name(&sync->claims, template, ordinal));
        value_set_str(arena, volume, "name", name);
        value_set(arena, volume, "persistentVolumeClaim", claim);
        value_append(arena, volumes, volume);
    }
    if (value_len(volumes) == 0)
        value_remove(pod_spec, "volumes");
}

/* An event about a pod, as the reference words it: "Create", "Update", "Delete". */
static void tell(Sync *sync, const char *verb, const char *pod, const char *error) {
    const char *set = object_name(sync->set);
    char reason[32];
    snprintf(reason, sizeof reason, "%s%s", error ? "Failed" : "Successful", verb);
    if (error)
        event_record(sync->all->events, sync->set, NULL, "Warning", reason,
                     "%s Pod %s in StatefulSet %s failed error: %s", verb, pod, set, error);
    else
        event_record(sync->all->events, sync->set, NULL, "Normal", reason, "%s Pod %s in StatefulSet %s successful",
                     verb, pod, set);
}

static int make_pod(Sync *sync, int64_t ordinal, const Revision *revision) {
    _cleanup_api_error_ ApiError err = {0};
    _cleanup_object_ Object *created = NULL;
    Arena *arena = sync->arena;
    const char *name = arena_printf(arena, "%s-%lld", object_name(sync->set), (long long)ordinal), *why = NULL;
    int r = stateful_claims_ensure(&sync->claims, ordinal, &why);
    if (r < 0) {
        tell(sync, "Create", name, why);
        return r;
    }
    Value *template = value_copy(arena, revision_template(revision));
    value_remove(template, "$patch");
    Value *pod = pod_from_template(arena, template, sync->set, name), *spec = value_get(pod, "spec");
    Value *labels = value_ensure_object(arena, value_get(pod, "metadata"), "labels");
    value_set_str(arena, labels, HASH_LABEL, revision->name);
    value_set_str(arena, labels, POD_NAME_LABEL, name);
    value_set(arena, labels, POD_INDEX_LABEL, value_printf(arena, "%lld", (long long)ordinal));
    value_set_str(arena, spec, "hostname", name);
    value_set_str(arena, spec, "subdomain", value_get_str(sync->spec, "serviceName"));
    add_claim_volumes(sync, spec, ordinal);
    r = client_create(sync->all->client, informer_resource(sync->all->pods), object_namespace(sync->set), pod, &created,
                      &err);
    if (r < 0) {
        if (r == -EEXIST || error_is_namespace_terminating(&err))
            return r == -EEXIST ? r : 0;
        tell(sync, "Create", name, err.message ? err.message : strerror(-r));
        return r;
    }
    expectations_wrote(sync->all->expectations, sync->key, created);
    tell(sync, "Create", name, NULL);
    r = stateful_claims_own(&sync->claims, ordinal, created, false);
    return MIN(r, 0);
}

static int delete_pod(Sync *sync, StatefulPod *pod) {
    _cleanup_api_error_ ApiError err = {0};
    Object *object = pod->info.object;
    if (pod->info.deleting)
        return 0;
    int r = client_delete(sync->all->client, object_resource(object), object_namespace(object), object_name(object),
                          &(ClientDelete){.uid = object_uid(object), .grace_seconds = -1}, &err);
    if (r == -ENOENT)
        return 0;
    if (r < 0) {
        tell(sync, "Delete", object_name(object), err.message ? err.message : strerror(-r));
        return r;
    }
    expectations_deleted(sync->all->expectations, sync->key, object);
    pod->info.deleting = true; /* the status counts it no more, and so decides what its successor is made from */
    tell(sync, "Delete", object_name(object), NULL);
    return 0;
}

/* Which revision a new pod of this ordinal is made from. */
static const Revision *revision_for(const Sync *sync, int64_t ordinal) {
    if (!sync->rolling)
        return sync->update;
    bool by_partition = value_path(sync->spec, "updateStrategy", "rollingUpdate", NULL) != NULL;
    int64_t current_replicas = value_get_int(value_get(sync->value, "status"), "currentReplicas", 0);
    int64_t limit = sync->start + (by_partition ? sync->partition : current_replicas);
    return ordinal < limit ? sync->current : sync->update;
}

static bool has_claim_volume(const StatefulPod *pod, Arena *arena, const char *name, const char *claim) {
    Value *volume;
    VALUE_FOREACH (volume, value_path(object_value(pod->info.object, arena), "spec", "volumes", NULL)) {
        const char *source = value_get_str(value_get(volume, "persistentVolumeClaim"), "claimName");
        if (streq_null(value_get_str(volume, "name"), name))
            return source && streq(source, claim);
    }
    return false;
}

static bool storage_matches(Sync *sync, const StatefulPod *pod) {
    Value *template;
    VALUE_FOREACH (template, value_get(sync->spec, "volumeClaimTemplates"))
        if (!has_claim_volume(pod, sync->arena, value_get_str(value_get(template, "metadata"), "name"),
                              stateful_claim_name(&sync->claims, template, pod->ordinal)))
            return false;
    return true;
}

/* What a pod that was adopted or changed by hand lacks: its labels, its volumes, the owners of its claims. */
static int conform_pod(Sync *sync, StatefulPod *pod) {
    Arena *arena = sync->arena;
    _cleanup_api_error_ ApiError err = {0};
    _cleanup_object_ Object *updated = NULL;
    const char *name = object_name(pod->info.object), *why = NULL;
    bool identity = streq(str_or(object_label(pod->info.object, POD_NAME_LABEL), ""), name);
    bool storage = storage_matches(sync, pod);
    int r = storage ? 0 : stateful_claims_ensure(&sync->claims, pod->ordinal, &why);
    if (r >= 0)
        r = stateful_claims_own(&sync->claims, pod->ordinal, pod->info.object, false);
    if (r < 0) {
        tell(sync, "Update", name, why ? why : strerror(-r));
        return r;
    }
    if (identity && storage && r == 0)
        return 0;
    if (!identity || !storage) {
        Value *value = object_value(pod->info.object, arena);
        Value *labels = value_ensure_object(arena, value_get(value, "metadata"), "labels");
        value_set_str(arena, labels, POD_NAME_LABEL, name);
        value_set(arena, labels, POD_INDEX_LABEL, value_printf(arena, "%lld", (long long)pod->ordinal));
        if (!storage)
            add_claim_volumes(sync, value_get(value, "spec"), pod->ordinal);
        r = client_update(sync->all->client, informer_resource(sync->all->pods), object_namespace(sync->set), name,
                          NULL, value, &updated, &err);
        if (r >= 0)
            expectations_wrote(sync->all->expectations, sync->key, updated);
    }
    tell(sync, "Update", name, r < 0 ? str_or(err.message, strerror(-r)) : NULL);
    return MIN(r, 0);
}

/* One that is there. 1: wait here. */
static int process_present(Sync *sync, StatefulPod *pod) {
    if (pod_is_finished(pod->info.phase)) {
        int r = pod->info.deleting ? 0 : delete_pod(sync, pod); /* it is made again once it is gone */
        return r < 0 ? r : 1;
    }
    if (streq(pod->info.phase, "Pending")) {
        const char *why = NULL;
        int r = stateful_claims_ensure(&sync->claims, pod->ordinal, &why);
        if (r >= 0)
            r = stateful_claims_own(&sync->claims, pod->ordinal, pod->info.object, false);
        if (r < 0)
            return r;
    }
    if (!sync->parallel && (!pod->available || pod->info.deleting))
        return 1;
    return conform_pod(sync, pod);
}

/* In order: each is made, and waited for, before the next. 1: wait here. */
static int process_replicas(Sync *sync) {
    for (int64_t i = 0; i < sync->n_replicas; i++) {
        StatefulPod *pod = sync->replicas[i];
        int64_t ordinal = sync->start + i;
        bool stale = !pod && stateful_claims_stale(&sync->claims, ordinal);
        if (stale) /* nothing tells when the garbage collector is through with them */
            workqueue_add_after(sync->all->queue, sync->key, STALE_CLAIM_RETRY_NS);
        int r = stale ? 1 : pod ? process_present(sync, pod) : make_pod(sync, ordinal, revision_for(sync, ordinal));
        if (r < 0)
            return r;
        if (!sync->parallel && (!pod || r > 0))
            return 1;
    }
    return 0;
}

static int compare_ordinal_down(const void *a, const void *b) {
    int64_t x = (*(StatefulPod *const *)a)->ordinal, y = (*(StatefulPod *const *)b)->ordinal;
    return x > y ? -1 : x < y;
}

/* The highest ordinal first, one at a time; in order, one that is not available stops the rest, unless all below it are
 * (those that stay are: process_replicas waits for them). */
static int process_condemned(Sync *sync) {
    StatefulPod **condemned = arena_alloc(sync->arena, (sync->n_pods + 1) * sizeof(*condemned));
    size_t n = 0;
    for (size_t i = 0; i < sync->n_pods; i++)
        if (sync->pods[i].ordinal >= 0 &&
            (sync->pods[i].ordinal < sync->start || sync->pods[i].ordinal >= sync->start + sync->n_replicas))
            condemned[n++] = &sync->pods[i];
    qsort(condemned, n, sizeof(*condemned), compare_ordinal_down);
    for (size_t i = 0; i < n; i++) {
        int r = stateful_claims_own(&sync->claims, condemned[i]->ordinal, condemned[i]->info.object, true);
        if (r < 0)
            return r;
    }
    const StatefulPod *first_unhealthy = NULL;
    for (size_t i = 0; i < n; i++)
        if (!condemned[i]->available || condemned[i]->info.deleting)
            first_unhealthy = condemned[i];
    for (size_t i = 0; i < n; i++) {
        bool waits = condemned[i]->info.deleting || (!condemned[i]->available && condemned[i] != first_unhealthy);
        if (!sync->parallel && waits)
            return 1;
        int r = delete_pod(sync, condemned[i]);
        if (r < 0 || !sync->parallel)
            return r < 0 ? r : 1;
    }
    return 0;
}

static int process_update(Sync *sync) {
    if (!sync->rolling)
        return 0;
    for (int64_t i = sync->n_replicas - 1; i >= sync->partition; i--) {
        StatefulPod *pod = sync->replicas[i];
        if (pod && !streq(pod->revision, sync->update->name) && !pod->info.deleting)
            return delete_pod(sync, pod);
        if (!pod || !pod->available)
            return 0;
    }
    return 0;
}

/* ---- reading ---- */

static bool has_our_name(const Object *pod, void *userdata) {
    return ordinal_of(userdata, object_name(pod)) >= 0;
}

static int read_pods(Sync *sync) {
    _cleanup_(selector_freep) Selector *selector = NULL;
    _cleanup_client_list_ ClientList owned = {0};
    label_selector_from_value(value_get(sync->spec, "selector"), &selector);
    Claim claim = {.client = sync->all->client,
                   .informer = sync->all->pods,
                   .owner = sync->set,
                   .selector = selector,
                   .candidate = has_our_name,
                   .userdata = sync->set};
    int r = claim_owned(&claim, &owned);
    if (r < 0)
        return r;
    sync->pods = arena_alloc0(sync->arena, (owned.n + 1) * sizeof(StatefulPod));
    sync->replicas = arena_alloc0(sync->arena, ((size_t)sync->n_replicas + 1) * sizeof(StatefulPod *));
    for (size_t i = 0; i < owned.n; i++) {
        StatefulPod *pod = &sync->pods[sync->n_pods++];
        pod_info_read(owned.items[i], &pod->info);
        object_ref(owned.items[i]);
        pod->ordinal = ordinal_of(sync->set, object_name(owned.items[i]));
        pod->revision = str_or(object_label(owned.items[i], HASH_LABEL), "");
        pod->available = !pod->info.deleting && streq(pod->info.phase, "Running") &&
                         pod_is_available(&pod->info, sync->min_ready, sync->now_ns, NULL);
        if (pod->ordinal >= sync->start && pod->ordinal < sync->start + sync->n_replicas)
            sync->replicas[pod->ordinal - sync->start] = pod;
    }
    return 0;
}

static void read_spec(Sync *sync) {
    sync->value = object_value(sync->set, sync->arena);
    sync->spec = value_get(sync->value, "spec");
    sync->start = value_get_int(value_get(sync->spec, "ordinals"), "start", 0);
    sync->n_replicas = MIN(value_get_int(sync->spec, "replicas", 1), (int64_t)ORDINALS_MAX);
    sync->min_ready = value_get_int(sync->spec, "minReadySeconds", 0);
    sync->now_ns = now_realtime_ns();
    sync->parallel = streq(str_or(value_get_str(sync->spec, "podManagementPolicy"), ""), "Parallel");
    const Value *strategy = value_get(sync->spec, "updateStrategy");
    sync->rolling = !streq(str_or(value_get_str(strategy, "type"), "RollingUpdate"), "OnDelete");
    sync->partition = value_get_int(value_get(strategy, "rollingUpdate"), "partition", 0);
}

static int read_revisions(Sync *sync) {
    const Value *status = value_get(sync->value, "status");
    int r = revisions_sync(&revisions_of_statefulset, sync->all->client, sync->all->revisions, sync->arena, sync->set,
                           sync->value, value_get_int(status, "collisionCount", -1), &sync->revisions);
    if (r < 0)
        return r;
    const char *current = value_get_str(status, "currentRevision");
    sync->update = sync->revisions.current;
    sync->current = sync->update;
    for (size_t i = 0; i < sync->revisions.n && current; i++)
        if (streq(sync->revisions.items[i].name, current))
            sync->current = &sync->revisions.items[i];
    return 0;
}

/* ---- status ---- */

static void count(Arena *arena, Value *status, const char *name, int64_t n, bool always) {
    if (n || always)
        value_set_int(arena, status, name, n);
}

static int write_status(Sync *sync) {
    Arena *arena = sync->arena;
    const Value *old = value_get(sync->value, "status");
    int64_t replicas = 0, ready = 0, available = 0, current = 0, updated = 0;
    for (size_t i = 0; i < sync->n_pods; i++) {
        const StatefulPod *pod = &sync->pods[i];
        bool live = !pod->info.deleting;
        replicas++;
        ready += pod->info.ready && streq(pod->info.phase, "Running");
        available += pod->available;
        current += live && streq(pod->revision, sync->current->name);
        updated += live && streq(pod->revision, sync->update->name);
    }
    const Revision *shown = sync->current;
    /* completeRollingUpdate: everything is of the new revision and ready. */
    if (sync->rolling && updated == replicas && ready == replicas && replicas == sync->n_replicas &&
        sync->current != sync->update) {
        shown = sync->update;
        current = updated;
    }
    Value *status = value_object(arena);
    count(arena, status, "observedGeneration", value_get_int(value_get(sync->value, "metadata"), "generation", 0),
          false);
    count(arena, status, "replicas", replicas, true);
    count(arena, status, "readyReplicas", ready, false);
    count(arena, status, "currentReplicas", current, false);
    count(arena, status, "updatedReplicas", updated, false);
    value_set_str(arena, status, "currentRevision", shown->name);
    value_set_str(arena, status, "updateRevision", sync->update->name);
    value_set_int(arena, status, "collisionCount", MAX(sync->revisions.collisions, (int64_t)0));
    count(arena, status, "availableReplicas", available, true);
    if (value_get(old, "conditions"))
        value_set(arena, status, "conditions", value_copy(arena, value_get(old, "conditions")));
    if (sync->min_ready > 0 && ready != available)
        workqueue_add_after(sync->all->queue, sync->key, (uint64_t)sync->min_ready * NS_PER_SEC);
    if (old && value_equal(old, status))
        return 0;
    value_set(arena, sync->value, "status", status);
    _cleanup_object_ Object *updated_set = NULL;
    int r = client_update(sync->all->client, object_resource(sync->set), object_namespace(sync->set),
                          object_name(sync->set), "status", sync->value, &updated_set, NULL);
    if (r >= 0)
        expectations_wrote(sync->all->status_writes, sync->key, updated_set);
    return r == -ENOENT ? 0 : r;
}

/* ---- the sync ---- */

static bool revision_in_use(const Revision *revision, void *userdata) {
    const Sync *sync = userdata;
    if (revision == sync->current)
        return true;
    for (size_t i = 0; i < sync->n_pods; i++)
        if (streq(sync->pods[i].revision, revision->name))
            return true;
    return false;
}

static int sync_set(Sync *sync) {
    read_spec(sync);
    sync->claims = (StatefulClaims){.client = sync->all->client,
                                    .events = sync->all->events,
                                    .informer = sync->all->claims,
                                    .writes = sync->all->claim_writes,
                                    .key = sync->key,
                                    .arena = sync->arena,
                                    .set = sync->set,
                                    .spec = sync->spec};
    int r = read_revisions(sync);
    if (r >= 0)
        r = read_pods(sync);
    if (r < 0)
        return r;
    int acted = 0;
    if (!object_is_deleting(sync->set)) {
        acted = process_replicas(sync);
        if (acted == 0)
            acted = process_condemned(sync);
        if (acted == 0)
            acted = process_update(sync);
    }
    r = write_status(sync);
    if (acted < 0 || r < 0)
        return acted < 0 ? acted : r;
    return revisions_trim(sync->all->client, &sync->revisions, value_get_int(sync->spec, "revisionHistoryLimit", 10),
                          revision_in_use, sync);
}

static int sync_key(const char *key, void *userdata) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    StatefulSets *all = userdata;
    KeyParts parts;
    if (!controller_key_split(key, &parts))
        return 0;
    _cleanup_object_ Object *set = informer_lookup(all->sets, parts.ns, parts.name);
    if (!set) {
        expectations_forget(all->expectations, key);
        expectations_forget(all->status_writes, key);
        expectations_forget(all->claim_writes, key);
        return 0;
    }
    /* What a pod is made from depends on the counts in the status: they must be those last written. */
    if (!expectations_satisfied(all->expectations, key) || !expectations_satisfied(all->status_writes, key) ||
        !expectations_satisfied(all->claim_writes, key)) {
        workqueue_add_after(all->queue, key, EXPECTATIONS_RETRY_NS);
        return 0;
    }
    Sync sync = {.all = all, .key = key, .arena = arena, .set = set};
    int r = sync_set(&sync);
    for (size_t i = 0; i < sync.n_pods; i++)
        object_unref(sync.pods[i].info.object);
    revisions_done(&sync.revisions);
    if (r < 0)
        log_debug("sync of %s: %s", key, strerror(-r));
    return r;
}

static void *init(Controller *controller) {
    StatefulSets *all = NEW0(StatefulSets);
    all->client = controller_client(controller);
    all->events = controller_events(controller, "statefulset-controller");
    all->sets = controller_informer(controller, "apps", "v1", "statefulsets");
    all->pods = controller_informer(controller, "", "v1", "pods");
    all->claims = controller_informer(controller, "", "v1", "persistentvolumeclaims");
    all->revisions = controller_informer(controller, "apps", "v1", "controllerrevisions");
    all->expectations = expectations_new(all->pods);
    all->status_writes = expectations_new(all->sets);
    all->claim_writes = expectations_new(all->claims);
    all->queue = controller_queue(controller, "statefulset", 2, sync_key, all);
    controller_watch(all->sets, all->queue);
    controller_watch_owned(controller, all->pods, all->sets, all->queue);
    return all;
}

static void free_all(void *data) {
    expectations_free(((StatefulSets *)data)->expectations);
    expectations_free(((StatefulSets *)data)->status_writes);
    expectations_free(((StatefulSets *)data)->claim_writes);
    free(data);
}

const ControllerRow controller_statefulset = {.name = "statefulset-controller", .init = init, .free = free_all};
