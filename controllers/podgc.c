/* Pods that nobody else will remove: finished ones past a threshold, those of nodes that are gone, those being deleted
 * that never got a node, those being deleted on nodes declared out of service. */
#define LOG_COMPONENT "podgc"
#include "controllers/controller.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "base/strmap.h"
#include "controllers/meta.h"
#include "controllers/pod_disruption.h"
#include "controllers/pods.h"
#include "controllers/taints.h"

#include <errno.h>

#define PERIOD_NS (20 * NS_PER_SEC)     /* the reference's gcCheckPeriod */
#define QUARANTINE_NS (40 * NS_PER_SEC) /* how long a node must be missing */

typedef struct PodGc {
    Client *client;
    Informer *pods, *nodes;
    WorkQueue *queue; /* one key */
    int64_t threshold;
    StrMap *missing; /* node name to the monotonic time (uint64_t *) since when; of the only worker */
} PodGc;

static int compare_age(const void *a, const void *b) {
    const Object *x = *(Object *const *)a, *y = *(Object *const *)b;
    int64_t cx = object_created_ns(x), cy = object_created_ns(y);
    return cx != cy ? (cx < cy ? -1 : 1) : strcmp(object_name(x), object_name(y));
}

static void force_delete(PodGc *gc, const Object *pod, const char *why) {
    log_info("deleting pod %s/%s: %s", object_namespace(pod), object_name(pod), why);
    client_delete(gc->client, object_resource(pod), object_namespace(pod), object_name(pod),
                  &(ClientDelete){.uid = object_uid(pod), .grace_seconds = 0}, NULL);
}

static void collect_finished(PodGc *gc, const ClientList *pods) {
    Object **finished = xcalloc(pods->n, sizeof(*finished));
    size_t n = 0;
    for (size_t i = 0; i < pods->n; i++)
        if (pod_is_finished(str_or(object_field(pods->items[i], "status.phase"), "")) &&
            !object_is_deleting(pods->items[i]))
            finished[n++] = pods->items[i];
    if ((int64_t)n > gc->threshold) {
        qsort(finished, n, sizeof(*finished), compare_age);
        for (size_t i = 0; i < n - (size_t)gc->threshold; i++)
            force_delete(gc, finished[i], "too many finished pods");
    }
    free(finished);
}

static void collect_unscheduled(PodGc *gc, const ClientList *pods) {
    for (size_t i = 0; i < pods->n; i++)
        if (object_is_deleting(pods->items[i]) && str_empty(object_field(pods->items[i], "spec.nodeName")))
            force_delete(gc, pods->items[i], "it was deleted before it had a node");
}

/* Seen missing for the quarantine, and missing on the server too. */
static bool node_is_gone(PodGc *gc, const char *name) {
    uint64_t now = now_monotonic_ns(), *since = strmap_get(gc->missing, name);
    if (!since) {
        since = NEW(uint64_t);
        *since = now;
        strmap_put(gc->missing, name, since);
        workqueue_add_after(gc->queue, "gc", QUARANTINE_NS);
    }
    if (now - *since < QUARANTINE_NS)
        return false;
    return client_get(gc->client, informer_resource(gc->nodes), NULL, name, NULL, NULL) == -ENOENT;
}

static void collect_orphaned(PodGc *gc, const ClientList *pods) {
    for (size_t i = 0; i < pods->n; i++) {
        const char *name = object_field(pods->items[i], "spec.nodeName");
        if (str_empty(name))
            continue;
        _cleanup_object_ Object *node = informer_lookup(gc->nodes, NULL, name);
        if (node)
            strmap_remove(gc->missing, name);
        else if (node_is_gone(gc, name)) {
            log_info("deleting pod %s/%s: node %s is gone", object_namespace(pods->items[i]),
                     object_name(pods->items[i]), name);
            pod_disrupt(gc->client, pods->items[i], "DeletionByPodGC", "PodGC: node no longer exists", true, 0);
        }
    }
}

static void collect_out_of_service(PodGc *gc, const ClientList *pods) {
    for (size_t i = 0; i < pods->n; i++) {
        const char *name = object_field(pods->items[i], "spec.nodeName");
        if (!object_is_deleting(pods->items[i]) || str_empty(name))
            continue;
        _cleanup_object_ Object *node = informer_lookup(gc->nodes, NULL, name);
        _cleanup_arena_ Arena *arena = arena_new(0);
        if (!node)
            continue;
        Value *value = object_value(node, arena), *taints = value_path(value, "spec", "taints", NULL);
        bool ready = streq(condition_status(value_path(value, "status", "conditions", NULL), "Ready"), "True");
        if (!ready && (taint_exists(taints, TAINT_OUT_OF_SERVICE, "NoExecute") ||
                       taint_exists(taints, TAINT_OUT_OF_SERVICE, "NoSchedule")))
            pod_disrupt(gc->client, pods->items[i], "DeletionByPodGC", "PodGC: node no longer exists", true, 0);
    }
}

static int sync_all(const char *key, void *userdata) {
    PodGc *gc = userdata;
    _cleanup_client_list_ ClientList pods = {0};
    informer_list(gc->pods, NULL, NULL, &pods);
    collect_finished(gc, &pods);
    collect_out_of_service(gc, &pods);
    collect_orphaned(gc, &pods);
    collect_unscheduled(gc, &pods);
    workqueue_add_after(gc->queue, key, PERIOD_NS);
    return 0;
}

static void *init(Controller *controller) {
    PodGc *gc = NEW0(PodGc);
    gc->client = controller_client(controller);
    gc->pods = controller_informer(controller, "", "v1", "pods");
    gc->nodes = controller_informer(controller, "", "v1", "nodes");
    gc->threshold = controller_config(controller)->terminated_pod_gc_threshold;
    if (gc->threshold == 0)
        gc->threshold = CONTROLLERS_TERMINATED_POD_GC_THRESHOLD;
    gc->missing = strmap_new(free);
    gc->queue = controller_queue(controller, "podgc", 1, sync_all, gc);
    workqueue_add(gc->queue, "gc");
    return gc;
}

static void free_all(void *data) {
    strmap_free(((PodGc *)data)->missing);
    free(data);
}

const ControllerRow controller_podgc = {
    .name = "pod-garbage-collector-controller", .account = "pod-garbage-collector", .init = init, .free = free_all};
