/* Claims, volumes and volume attribute classes stay while something uses them: each has a finalizer (given at its
 * creation by admission, or here), which goes when the object is being deleted and nothing uses it any more. */
#define LOG_COMPONENT "storage-protection"
#include "controllers/controller.h"

#include "base/log.h"
#include "base/str.h"
#include "controllers/meta.h"

#include <errno.h>

typedef struct Protection Protection;

typedef struct Kind {
    const char *group, *plural, *finalizer, *queue;
    /* 1: something uses it; 0: nothing does; negative errno. */
    int (*used)(Protection *all, const Object *object, Arena *arena);
} Kind;

struct Protection {
    const Kind *kind;
    Client *client;
    Informer *objects, *pods, *claims, *volumes; /* those that the kind does not need are NULL */
    WorkQueue *queue;
};

static void changed(Object *object, void *userdata) {
    controller_enqueue(((Protection *)userdata)->queue, object);
}

static void updated(_unused_ Object *old, Object *object, void *userdata) {
    changed(object, userdata);
}

/* The claim a volume of a pod names, in the arena; NULL: none. Generic ephemeral volumes have a claim of the pod's. */
static const char *claim_of(Arena *arena, const Object *pod, const Value *volume) {
    if (value_get(volume, "ephemeral"))
        return arena_printf(arena, "%s-%s", object_name(pod), str_or(value_get_str(volume, "name"), ""));
    return value_get_str(value_get(volume, "persistentVolumeClaim"), "claimName");
}

static bool is_shut_down(const Object *pod, const Value *v) {
    return object_is_deleting(pod) && value_get_int(value_get(v, "metadata"), "deletionGracePeriodSeconds", -1) == 0;
}

/* A pod that is not on a node yet will not start with a claim that is going. */
static bool pod_uses(Arena *arena, const Object *pod, const Object *claim) {
    Value *v = object_value(pod, arena), *volume;
    const OwnerRef *owner = object_controller(claim);
    if (str_empty(value_get_str(value_get(v, "spec"), "nodeName")))
        return false;
    VALUE_FOREACH (volume, value_path(v, "spec", "volumes", NULL)) {
        bool ephemeral = value_get(volume, "ephemeral") != NULL;
        const char *name = claim_of(arena, pod, volume);
        if (!name || !streq(name, object_name(claim)))
            continue;
        if (!ephemeral || (!is_shut_down(pod, v) && owner && streq(owner->uid, object_uid(pod))))
            return true;
    }
    return false;
}

static int any_uses(const ClientList *pods, const Object *claim) {
    for (size_t i = 0; i < pods->n; i++) {
        _cleanup_arena_ Arena *arena = arena_new(0);
        if (pod_uses(arena, pods->items[i], claim))
            return 1;
    }
    return 0;
}

static int claim_used(Protection *all, const Object *claim, _unused_ Arena *arena) {
    ClientList pods = {0};
    informer_list(all->pods, object_namespace(claim), NULL, &pods);
    int r = any_uses(&pods, claim);
    client_list_done(&pods);
    if (r)
        return r;
    /* the cache may not know the newest pod: the server decides */
    pods = (ClientList){0};
    r = client_list(all->client, informer_resource(all->pods), object_namespace(claim), NULL, &pods, NULL);
    r = r < 0 ? r : any_uses(&pods, claim);
    client_list_done(&pods);
    return r;
}

static int volume_used(_unused_ Protection *all, const Object *volume, Arena *arena) {
    const char *phase = value_get_str(value_get(object_value(volume, arena), "status"), "phase");
    return phase && streq(phase, "Bound");
}

/* Every class that a claim or a volume names, in the arena. */
#define CLASS_NAMES_MAX 3
static size_t class_names(Arena *arena, const Object *object, const char *names[CLASS_NAMES_MAX]) {
    Value *v = object_value(object, arena), *status = value_get(v, "status");
    const char *all[CLASS_NAMES_MAX] = {
        value_get_str(value_get(v, "spec"), "volumeAttributesClassName"),
        value_get_str(status, "currentVolumeAttributesClassName"),
        value_get_str(value_get(status, "modifyVolumeStatus"), "targetVolumeAttributesClassName"),
    };
    size_t n = 0;
    for (size_t i = 0; i < CLASS_NAMES_MAX; i++)
        if (!str_empty(all[i]))
            names[n++] = all[i];
    return n;
}

static bool any_names(Informer *informer, const char *class) {
    ClientList list = {0};
    bool found = false;
    informer_list(informer, NULL, NULL, &list);
    for (size_t i = 0; !found && i < list.n; i++) {
        _cleanup_arena_ Arena *arena = arena_new(0);
        const char *names[CLASS_NAMES_MAX];
        for (size_t n = class_names(arena, list.items[i], names); n > 0; n--)
            found |= streq(names[n - 1], class);
    }
    client_list_done(&list);
    return found;
}

static int class_used(Protection *all, const Object *class, _unused_ Arena *arena) {
    return any_names(all->volumes, object_name(class)) || any_names(all->claims, object_name(class));
}

static const Kind claims = {"", "persistentvolumeclaims", "kubernetes.io/pvc-protection", "pvcprotection", claim_used};
static const Kind volumes = {"", "persistentvolumes", "kubernetes.io/pv-protection", "pvprotection", volume_used};
static const Kind classes = {"storage.k8s.io", "volumeattributesclasses", "kubernetes.io/vac-protection",
                             "vacprotection", class_used};

static int write_finalizer(Protection *all, const Object *object, bool add) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    _cleanup_api_error_ ApiError err = {0};
    Value *v = object_value(object, arena), *metadata = value_get(v, "metadata"), *item;
    Value *before = value_get(metadata, "finalizers"), *after = value_array(arena);
    VALUE_FOREACH (item, before)
        if (!streq(str_or(value_str(item), ""), all->kind->finalizer))
            value_append(arena, after, item);
    if (add)
        value_append(arena, after, value_string(arena, all->kind->finalizer));
    value_set(arena, metadata, "finalizers", after);
    int r = client_update(all->client, informer_resource(all->objects), object_namespace(object), object_name(object),
                          NULL, v, NULL, &err);
    if (r < 0 && r != -ENOENT && r != -ESTALE)
        log_warn("%s of %s %s: %s", add ? "protection" : "end of protection", all->kind->plural, object_name(object),
                 str_or(err.message, strerror(-r)));
    return r == -ENOENT ? 0 : r;
}

static int sync_key(const char *key, void *userdata) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    Protection *all = userdata;
    KeyParts parts;
    if (!controller_key_split(key, &parts))
        return 0;
    _cleanup_object_ Object *object = informer_lookup(all->objects, parts.ns, parts.name);
    if (!object)
        return 0;
    bool has = has_finalizer(object_value(object, arena), all->kind->finalizer);
    if (!object_is_deleting(object))
        return has ? 0 : write_finalizer(all, object, true);
    if (!has)
        return 0;
    int used = all->kind->used(all, object, arena);
    return used == 0 ? write_finalizer(all, object, false) : MIN(used, 0);
}

/* A pod that ended or left, or was given its node: the claims it names are to be looked at. */
static void pod_changed(Object *pod, void *userdata) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    Protection *all = userdata;
    Value *volume;
    VALUE_FOREACH (volume, value_path(object_value(pod, arena), "spec", "volumes", NULL)) {
        const char *name = claim_of(arena, pod, volume);
        if (name)
            workqueue_add(all->queue, arena_printf(arena, "%s/%s", object_namespace(pod), name));
    }
}

static void pod_updated(_unused_ Object *old, Object *pod, void *userdata) {
    if (object_is_deleting(pod))
        pod_changed(pod, userdata);
}

/* A claim or a volume that names a class, or did. */
static void user_changed(Object *object, void *userdata) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    Protection *all = userdata;
    const char *names[CLASS_NAMES_MAX];
    for (size_t n = class_names(arena, object, names); n > 0; n--)
        workqueue_add(all->queue, names[n - 1]);
}

static void user_updated(Object *old, _unused_ Object *object, void *userdata) {
    user_changed(old, userdata);
}

static Protection *make(Controller *controller, const Kind *kind) {
    Protection *all = NEW0(Protection);
    all->kind = kind;
    all->client = controller_client(controller);
    all->objects = controller_informer(controller, kind->group, "v1", kind->plural);
    all->queue = controller_queue(controller, kind->queue, 1, sync_key, all);
    informer_add_handler(all->objects, &(InformerHandler){changed, updated, NULL}, all);
    return all;
}

static void *init_claims(Controller *controller) {
    Protection *all = make(controller, &claims);
    all->pods = controller_informer(controller, "", "v1", "pods");
    informer_add_handler(all->pods, &(InformerHandler){NULL, pod_updated, pod_changed}, all);
    return all;
}

static void *init_volumes(Controller *controller) {
    return make(controller, &volumes);
}

static void *init_classes(Controller *controller) {
    Protection *all = make(controller, &classes);
    all->claims = controller_informer(controller, "", "v1", "persistentvolumeclaims");
    all->volumes = controller_informer(controller, "", "v1", "persistentvolumes");
    informer_add_handler(all->claims, &(InformerHandler){NULL, user_updated, user_changed}, all);
    informer_add_handler(all->volumes, &(InformerHandler){NULL, user_updated, user_changed}, all);
    return all;
}

const ControllerRow controller_pvc_protection = {
    .name = "persistentvolumeclaim-protection-controller", .account = "pvc-protection-controller", .init = init_claims};
const ControllerRow controller_pv_protection = {
    .name = "persistentvolume-protection-controller", .account = "pv-protection-controller", .init = init_volumes};
const ControllerRow controller_vac_protection = {.name = "volumeattributesclass-protection-controller",
                                                 .init = init_classes};
