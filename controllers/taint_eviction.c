/* Pods leave nodes with NoExecute taints that they do not tolerate, at once or when their tolerationSeconds are over.
 */
#define LOG_COMPONENT "taint-eviction"
#include "controllers/controller.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "controllers/meta.h"
#include "controllers/pod_disruption.h"
#include "controllers/taints.h"

typedef struct Eviction {
    Client *client;
    EventRecorder *events;
    Informer *pods, *nodes;
    WorkQueue *queue; /* pods */
} Eviction;

static void pod_added(Object *pod, void *userdata) {
    if (!str_empty(object_field(pod, "spec.nodeName")) && !object_is_deleting(pod))
        controller_enqueue(((Eviction *)userdata)->queue, pod);
}

static void pod_updated(Object *old, Object *pod, void *userdata) {
    /* Only the binding and added tolerations matter; both change the spec's bytes, the status does not. */
    if (str_empty(object_field(old, "spec.nodeName")))
        pod_added(pod, userdata);
}

static void enqueue_pods_of(Eviction *all, const Object *node) {
    _cleanup_client_list_ ClientList pods = {0};
    informer_list_by_field(all->pods, "spec.nodeName", object_name(node), &pods);
    for (size_t i = 0; i < pods.n; i++)
        controller_enqueue(all->queue, pods.items[i]);
}

static bool has_no_execute(const Object *node) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    Value *taint;
    VALUE_FOREACH (taint, value_path(object_value(node, arena), "spec", "taints", NULL))
        if (streq(str_or(value_get_str(taint, "effect"), ""), "NoExecute"))
            return true;
    return false;
}

static void node_added(Object *node, void *userdata) {
    if (has_no_execute(node))
        enqueue_pods_of(userdata, node);
}

static void node_updated(_unused_ Object *old, Object *node, void *userdata) {
    node_added(node, userdata);
}

static int sync_pod(const char *key, void *userdata) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    Eviction *all = userdata;
    KeyParts parts;
    if (!controller_key_split(key, &parts))
        return 0;
    _cleanup_object_ Object *pod = informer_lookup(all->pods, parts.ns, parts.name), *node = NULL;
    if (!pod || object_is_deleting(pod))
        return 0;
    node = informer_lookup(all->nodes, NULL, str_or(object_field(pod, "spec.nodeName"), ""));
    if (!node)
        return 0;
    const Value *taints = value_path(object_value(node, arena), "spec", "taints", NULL);
    const Value *tolerations = value_path(object_value(pod, arena), "spec", "tolerations", NULL);
    int64_t seconds = 0, since = 0, now = now_realtime_ns();
    TaintVerdict verdict = taint_verdict(taints, tolerations, &seconds, &since);
    if (verdict == TAINT_STAY)
        return 0;
    if (verdict == TAINT_EVICT_LATER) {
        int64_t wait = ns_between(ns_after(since ? since : now, seconds), now);
        if (wait > 0) {
            workqueue_add_after(all->queue, key, (uint64_t)wait);
            return 0;
        }
    }
    event_record(all->events, pod, NULL, "Normal", "TaintManagerEviction", "Marking for deletion Pod %s", key);
    return pod_disrupt(all->client, pod, "DeletionByTaintManager", "Taint manager: deleting due to NoExecute taint",
                       false, -1);
}

static void *init(Controller *controller) {
    Eviction *all = NEW0(Eviction);
    all->client = controller_client(controller);
    all->events = controller_events(controller, "taint-eviction-controller");
    all->pods = controller_informer(controller, "", "v1", "pods");
    informer_index_field(all->pods, "spec.nodeName");
    all->nodes = controller_informer(controller, "", "v1", "nodes");
    all->queue = controller_queue(controller, "noexec_taint_pod", 4, sync_pod, all);
    informer_add_handler(all->pods, &(InformerHandler){pod_added, pod_updated, NULL}, all);
    informer_add_handler(all->nodes, &(InformerHandler){node_added, node_updated, NULL}, all);
    return all;
}

const ControllerRow controller_taint_eviction = {
    .name = "taint-eviction-controller", .account = "node-controller", .init = init};
