/* Makes the claim of each generic ephemeral volume of a pod, owned by the pod, again when somebody deletes it. */
#include "controllers/controller.h"

#include "base/str.h"
#include "controllers/meta.h"

#include <errno.h>

typedef struct Ephemeral {
    Client *client;
    EventRecorder *events;
    Informer *pods, *claims;
    WorkQueue *queue;
} Ephemeral;

static void pod_changed(Object *pod, void *userdata) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    Value *volume;
    if (object_is_deleting(pod))
        return;
    VALUE_FOREACH (volume, value_path(object_value(pod, arena), "spec", "volumes", NULL))
        if (value_get(volume, "ephemeral")) {
            controller_enqueue(((Ephemeral *)userdata)->queue, pod);
            return;
        }
}

static void claim_deleted(Object *claim, void *userdata) {
    Ephemeral *all = userdata;
    _cleanup_object_ Object *pod = controller_owner(all->pods, claim);
    if (pod)
        pod_changed(pod, userdata);
}

static int ensure_claim(Ephemeral *all, Arena *arena, const Object *pod, const Value *volume,
                        const char **ret_message) {
    _cleanup_api_error_ ApiError err = {0};
    const char *ns = object_namespace(pod);
    const char *name = arena_printf(arena, "%s-%s", object_name(pod), str_or(value_get_str(volume, "name"), ""));
    const Value *template = value_path(volume, "ephemeral", "volumeClaimTemplate", NULL);
    _cleanup_object_ Object *there = informer_lookup(all->claims, ns, name);
    if (there) {
        const OwnerRef *owner = object_controller(there);
        if (owner && streq(owner->uid, object_uid(pod)))
            return 0;
        *ret_message = arena_printf(arena, "PVC %s/%s was not created for pod %s/%s (pod is not owner)", ns, name, ns,
                                    object_name(pod));
        return -EEXIST;
    }
    Value *claim = value_object(arena), *metadata = value_ensure_object(arena, claim, "metadata");
    value_set_str(arena, claim, "apiVersion", "v1");
    value_set_str(arena, claim, "kind", "PersistentVolumeClaim");
    value_set_str(arena, metadata, "name", name);
    value_set_str(arena, metadata, "namespace", ns);
    value_set(arena, metadata, "labels", value_copy(arena, value_path(template, "metadata", "labels", NULL)));
    value_set(arena, metadata, "annotations", value_copy(arena, value_path(template, "metadata", "annotations", NULL)));
    value_append(arena, value_ensure_array(arena, metadata, "ownerReferences"), owner_ref_value(arena, pod));
    value_set(arena, claim, "spec", value_copy(arena, value_get(template, "spec")));
    int r = client_create(all->client, informer_resource(all->claims), ns, claim, NULL, &err);
    if (r < 0)
        *ret_message = arena_printf(arena, "create PVC %s: %s", name, err.message ? err.message : strerror(-r));
    return r;
}

static int sync_key(const char *key, void *userdata) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    Ephemeral *all = userdata;
    KeyParts parts;
    Value *volume;
    if (!controller_key_split(key, &parts))
        return 0;
    _cleanup_object_ Object *pod = informer_lookup(all->pods, parts.ns, parts.name);
    if (!pod || object_is_deleting(pod))
        return 0;
    VALUE_FOREACH (volume, value_path(object_value(pod, arena), "spec", "volumes", NULL)) {
        const char *message = NULL;
        int r = value_get(volume, "ephemeral") ? ensure_claim(all, arena, pod, volume, &message) : 0;
        if (r < 0) {
            event_record(all->events, pod, NULL, "Warning", "FailedBinding", "ephemeral volume %s: %s",
                         str_or(value_get_str(volume, "name"), ""), message);
            return r;
        }
    }
    return 0;
}

static void pod_updated(_unused_ Object *old, Object *pod, void *userdata) {
    pod_changed(pod, userdata);
}

static void *init(Controller *controller) {
    Ephemeral *all = NEW0(Ephemeral);
    all->client = controller_client(controller);
    all->events = controller_events(controller, "ephemeral_volume");
    all->pods = controller_informer(controller, "", "v1", "pods");
    all->claims = controller_informer(controller, "", "v1", "persistentvolumeclaims");
    all->queue = controller_queue(controller, "ephemeral_volume", 1, sync_key, all);
    informer_add_handler(all->pods, &(InformerHandler){pod_changed, pod_updated, NULL}, all);
    informer_add_handler(all->claims, &(InformerHandler){.deleted = claim_deleted}, all);
    return all;
}

const ControllerRow controller_ephemeral_volume = {.name = "ephemeral-volume-controller", .init = init};
