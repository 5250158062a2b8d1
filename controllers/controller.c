#include "controllers/controller_internal.h"

#include "base/str.h"

#include <assert.h>
#include <stdio.h>

Client *controller_client(const Controller *controller) {
    return controller->client ? controller->client : controller->config->client;
}

const ControllersConfig *controller_config(const Controller *controller) {
    return controller->config;
}

static Informer *need(Controller *controller, Informer *informer) {
    for (size_t i = 0; i < controller->n_needs; i++)
        if (controller->needs[i] == informer)
            return informer;
    if (controller->n_needs < CONTROLLER_NEEDS_MAX)
        controller->needs[controller->n_needs++] = informer;
    return informer;
}

Informer *controller_informer(Controller *controller, const char *group, const char *version, const char *plural) {
    return need(controller, informer_get(controller->informers, resource_find(group, version, plural), NULL, NULL));
}

Informer *controller_informer_selected(Controller *controller, const char *group, const char *version,
                                       const char *plural, const char *field_selector) {
    return need(controller,
                informer_get(controller->informers, resource_find(group, version, plural), NULL, field_selector));
}

Informer *controller_informer_metadata(Controller *controller, const Resource *resource) {
    return need(controller, informer_get_metadata(controller->informers, resource));
}

Informer *controller_add_informer(const Controller *controller, const Resource *resource,
                                  const InformerHandler *handler, void *userdata) {
    return informer_add_metadata(controller->informers, resource, handler, userdata);
}

Discovery *controller_discovery(const Controller *controller) {
    return controller->discovery;
}

void controller_on_discovery(Controller *controller, void (*changed)(Discovery *discovery, void *userdata),
                             void *userdata) {
    controller->discovered = changed;
    controller->discovered_userdata = userdata;
}

WorkQueue *controller_queue(Controller *controller, const char *name, unsigned workers,
                            int (*sync)(const char *key, void *userdata), void *userdata) {
    WorkQueue *queue = workqueue_new(name, workers, sync, userdata);
    workqueue_hold(queue);
    controller->queues[controller->n_queues++] = queue;
    return queue;
}

EventRecorder *controller_events(Controller *controller, const char *component) {
    if (!controller->events)
        controller->events =
            event_recorder_new(controller_client(controller), component, controller_config(controller)->host);
    return controller->events;
}

Ownership *controller_ownership(Controller *controller, Informer *owners, WorkQueue *queue) {
    assert(controller->n_ownerships < CONTROLLER_OWNERSHIPS_MAX);
    Ownership *ownership = &controller->ownerships[controller->n_ownerships++];
    *ownership = (Ownership){owners, queue};
    return ownership;
}

static void write_key(const Object *object, char key[CONTROLLER_KEY_MAX]) {
    const char *ns = object_namespace(object);
    snprintf(key, CONTROLLER_KEY_MAX, "%s%s%s", ns, *ns ? "/" : "", object_name(object));
}

void controller_enqueue(WorkQueue *queue, const Object *object) {
    char key[CONTROLLER_KEY_MAX];
    write_key(object, key);
    workqueue_add(queue, key);
}

void controller_enqueue_after(WorkQueue *queue, const Object *object, uint64_t delay_ns) {
    char key[CONTROLLER_KEY_MAX];
    write_key(object, key);
    workqueue_add_after(queue, key, delay_ns);
}

Object *controller_owner(Informer *owners, const Object *owned) {
    const OwnerRef *owner = object_controller(owned);
    if (!owner || !streq(owner->kind, informer_resource(owners)->kind))
        return NULL;
    Object *object = informer_lookup(owners, object_namespace(owned), owner->name);
    return object && streq(object_uid(object), owner->uid) ? object : object_unref(object);
}

bool controller_key_split(const char *key, KeyParts *ret) {
    const char *slash = strchr(key, '/'), *name = slash ? slash + 1 : key;
    size_t n = slash ? (size_t)(slash - key) : 0;
    if (n >= sizeof ret->ns || strlen(name) >= sizeof ret->name)
        return false;
    memcpy(ret->ns, key, n);
    ret->ns[n] = 0;
    strcpy(ret->name, name);
    return true;
}
