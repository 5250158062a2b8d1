/* What wakes the keys of a controller's queue, for the controllers whose objects own others. */
#include "controllers/controller.h"

#include "base/str.h"

static void own_changed(Object *object, void *userdata) {
    controller_enqueue(userdata, object);
}

static void own_updated(_unused_ Object *old, Object *object, void *userdata) {
    own_changed(object, userdata);
}

void controller_watch(Informer *informer, WorkQueue *queue) {
    informer_add_handler(informer, &(InformerHandler){own_changed, own_updated, own_changed}, queue);
}

Selector *controller_selector(const Resource *owners, const Value *spec) {
    const Value *v = value_get(spec, "selector");
    Selector *selector = NULL;
    if (value_len(v) == 0)
        return NULL;
    if (!*owners->group) /* ReplicationControllers: a plain map */
        return label_selector_from_map(v);
    label_selector_from_value(v, &selector);
    return selector;
}

static void wake_owner(const Ownership *ownership, const Object *owned) {
    _cleanup_object_ Object *owner = controller_owner(ownership->owners, owned);
    if (owner)
        controller_enqueue(ownership->queue, owner);
}

/* Those that may adopt it. */
static void wake_selecting(const Ownership *ownership, const Object *orphan) {
    _cleanup_client_list_ ClientList owners = {0};
    informer_list(ownership->owners, object_namespace(orphan), NULL, &owners);
    for (size_t i = 0; i < owners.n; i++) {
        _cleanup_arena_ Arena *arena = arena_new(0);
        const Value *spec = value_get(object_value(owners.items[i], arena), "spec");
        _cleanup_(selector_freep) Selector *selector = controller_selector(object_resource(owners.items[i]), spec);
        if (selector && label_selector_matches(selector, orphan))
            controller_enqueue(ownership->queue, owners.items[i]);
    }
}

static void owned_added(Object *owned, void *userdata) {
    if (object_controller(owned))
        wake_owner(userdata, owned);
    else if (!object_is_deleting(owned))
        wake_selecting(userdata, owned);
}

static void owned_updated(Object *old, Object *owned, void *userdata) {
    const OwnerRef *before = object_controller(old), *now = object_controller(owned);
    if (before && (!now || !streq(before->uid, now->uid)))
        wake_owner(userdata, old);
    owned_added(owned, userdata);
}

static void owned_deleted(Object *owned, void *userdata) {
    wake_owner(userdata, owned);
}

void controller_watch_owned(Controller *controller, Informer *owned, Informer *owners, WorkQueue *queue) {
    informer_add_handler(owned, &(InformerHandler){owned_added, owned_updated, owned_deleted},
                         controller_ownership(controller, owners, queue));
}
