/* Deployments: what wakes one, and which of its parts a sync runs. */
#define LOG_COMPONENT "deployment"
#include "controllers/controller.h"

#include "base/log.h"
#include "base/str.h"
#include "controllers/claim.h"
#include "controllers/deployment.h"
#include "controllers/meta.h"

#include <errno.h>

#define SYNC_WORKERS 4

typedef struct Deployments {
    Client *client;
    EventRecorder *events;
    Informer *deployments, *sets, *pods;
    WorkQueue *queue;
} Deployments;

/* Only Recreate waits for pods to be gone. */
static void pod_deleted(Object *pod, void *userdata) {
    Deployments *all = userdata;
    _cleanup_object_ Object *set = controller_owner(all->sets, pod);
    _cleanup_object_ Object *deployment = set ? controller_owner(all->deployments, set) : NULL;
    if (deployment)
        controller_enqueue(all->queue, deployment);
}

static void pod_updated(_unused_ Object *old, Object *pod, void *userdata) {
    const char *phase = str_or(object_field(pod, "status.phase"), "");
    if (streq(phase, "Succeeded") || streq(phase, "Failed"))
        pod_deleted(pod, userdata);
}

/* ---- the sync ---- */

static int compare_age(const void *a, const void *b) {
    const ReplicaView *x = a, *y = b;
    if (x->created_ns != y->created_ns)
        return x->created_ns < y->created_ns ? -1 : 1;
    return strcmp(x->name, y->name);
}

static int read_sets(Deployments *all, Rollout *rollout) {
    _cleanup_(selector_freep) Selector *selector = NULL;
    _cleanup_client_list_ ClientList owned = {0};
    label_selector_from_value(value_get(rollout->spec, "selector"), &selector);
    Claim claim = {.client = all->client, .informer = all->sets, .owner = rollout->object, .selector = selector};
    int r = claim_owned(&claim, &owned);
    if (r < 0)
        return r;
    rollout->sets = arena_alloc0(rollout->arena, (owned.n + 1) * sizeof(ReplicaView));
    for (size_t i = 0; i < owned.n; i++)
        replica_view_read(object_value(owned.items[i], rollout->arena), &rollout->sets[rollout->n_sets++]);
    qsort(rollout->sets, rollout->n_sets, sizeof(*rollout->sets), compare_age);
    for (size_t i = 0; i < rollout->n_sets && !rollout->new_set; i++)
        if (deployment_template_equal(rollout->arena, value_path(rollout->sets[i].value, "spec", "template", NULL),
                                      value_get(rollout->spec, "template")))
            rollout->new_set = &rollout->sets[i];
    return 0;
}

static int check_paused(Rollout *rollout, bool paused) {
    Arena *arena = rollout->arena;
    if (!deployment_has_deadline(rollout))
        return 0;
    Value *status = value_ensure_object(arena, rollout->value, "status");
    const Value *current = meta_condition(value_get(status, "conditions"), "Progressing");
    const char *reason = str_or(value_get_str(current, "reason"), "");
    bool says_paused = streq(reason, "DeploymentPaused");
    if (streq(reason, "ProgressDeadlineExceeded") || paused == says_paused)
        return 0;
    deployment_set_condition(
        arena, status,
        paused ? deployment_condition(arena, "Progressing", "Unknown", "DeploymentPaused", "Deployment is paused")
               : deployment_condition(arena, "Progressing", "Unknown", "DeploymentResumed", "Deployment is resumed"));
    return deployment_write_status(rollout);
}

static bool is_scaling_event(const Rollout *rollout) {
    for (size_t i = 0; i < rollout->n_sets; i++) {
        const char *text = value_annotation(rollout->sets[i].value, DESIRED_REPLICAS_ANNOTATION);
        int64_t desired;
        if (rollout->sets[i].replicas > 0 && text && str_to_int64(text, &desired) >= 0 && desired != rollout->replicas)
            return true;
    }
    return false;
}

static int sync_scale(Rollout *rollout, bool paused) {
    int r = deployment_scale(rollout);
    if (r >= 0 && paused)
        r = deployment_clean_up(rollout);
    return r < 0 ? r : deployment_sync_status(rollout);
}

static int sync_deployment(Deployments *all, Rollout *rollout) {
    rollout->value = object_value(rollout->object, rollout->arena);
    rollout->spec = value_get(rollout->value, "spec");
    rollout->replicas = value_get_int(rollout->spec, "replicas", 1);
    const char *strategy = str_or(value_get_str(value_get(rollout->spec, "strategy"), "type"), "RollingUpdate");
    rollout->rolling = streq(strategy, "RollingUpdate");
    if (value_len(value_get(rollout->spec, "selector")) == 0) {
        event_record(all->events, rollout->object, NULL, "Warning", "SelectingAll",
                     "This deployment is selecting all pods. A non-empty selector is required.");
        return 0;
    }
    int r = read_sets(all, rollout);
    if (r < 0)
        return r;
    bool deleting = object_is_deleting(rollout->object), paused = value_get_bool(rollout->spec, "paused", false);
    if (!deleting && (r = check_paused(rollout, paused)) < 0)
        return r;
    if (deleting || paused || is_scaling_event(rollout)) {
        r = deployment_sync_revision(rollout, false);
        if (r < 0)
            return r;
        return deleting ? deployment_sync_status(rollout) : sync_scale(rollout, paused);
    }
    return rollout->rolling ? deployment_roll(rollout) : deployment_recreate(rollout, all->pods);
}

static int sync_key(const char *key, void *userdata) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    Deployments *all = userdata;
    KeyParts parts;
    if (!controller_key_split(key, &parts))
        return 0;
    _cleanup_object_ Object *object = informer_lookup(all->deployments, parts.ns, parts.name);
    if (!object)
        return 0;
    Rollout rollout = {.client = all->client,
                       .events = all->events,
                       .queue = all->queue,
                       .key = key,
                       .arena = arena,
                       .object = object};
    int r = sync_deployment(all, &rollout);
    if (r < 0)
        log_debug("sync of %s: %s", key, strerror(-r));
    return r;
}

static void *init(Controller *controller) {
    Deployments *all = NEW0(Deployments);
    all->client = controller_client(controller);
    all->events = controller_events(controller, "deployment-controller");
    all->deployments = controller_informer(controller, "apps", "v1", "deployments");
    all->sets = controller_informer(controller, "apps", "v1", "replicasets");
    all->pods = controller_informer(controller, "", "v1", "pods");
    all->queue = controller_queue(controller, "deployment", SYNC_WORKERS, sync_key, all);
    controller_watch(all->deployments, all->queue);
    controller_watch_owned(controller, all->sets, all->deployments, all->queue);
    informer_add_handler(all->pods, &(InformerHandler){NULL, pod_updated, pod_deleted}, all);
    return all;
}

const ControllerRow controller_deployment = {.name = "deployment-controller", .init = init};
