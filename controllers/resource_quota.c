/* ResourceQuota: status.hard follows spec.hard, and status.used is counted anew from what there is: when a quota
 * changes, when something it counts goes or stops counting, and every few minutes. Admission charges what comes in
 * between. */
#define LOG_COMPONENT "resourcequota"
#include "controllers/controller.h"

#include "api/quota.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "controllers/meta.h"

#include <errno.h>
#include <pthread.h>

#define RESYNC_NS (300 * NS_PER_SEC) /* as the reference */

typedef struct Quotas Quotas;

/* A resource that quotas count. Never freed while the controller lives: an informer's handlers hold it. */
typedef struct Counted {
    Quotas *all;
    const Resource *resource;
    const QuotaKind *kind;
    Informer *objects; /* under the lock; NULL: not served now */
} Counted;

struct Quotas {
    Client *client;
    Controller *controller;
    Informer *quotas;
    WorkQueue *queue;
    pthread_mutex_t lock;
    Counted **counted;
    size_t n_counted;
};

static void quota_added(Object *quota, void *userdata) {
    controller_enqueue(((Quotas *)userdata)->queue, quota);
}

static void quota_updated(Object *old, Object *quota, void *userdata) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    const Value *was = value_get(object_value(old, arena), "spec"),
                *now = value_get(object_value(quota, arena), "spec");
    /* what admission charges is no reason to count */
    if (!value_equal(was, now))
        quota_added(quota, userdata);
}

/* Something of this kind in the namespace counts less than before. */
static void replenish(const Counted *counted, const char *ns) {
    ClientList list = {0};
    informer_list(counted->all->quotas, ns, NULL, &list);
    for (size_t i = 0; i < list.n; i++) {
        _cleanup_arena_ Arena *arena = arena_new(0);
        Value *v = object_value(list.items[i], arena);
        ResourceList hard = resource_list_read(arena, value_path(v, "spec", "hard", NULL));
        if (quota_accounted(counted->kind, counted->resource, &hard).n)
            controller_enqueue(counted->all->queue, list.items[i]);
    }
    client_list_done(&list);
}

static void object_deleted(Object *object, void *userdata) {
    replenish(userdata, object_namespace(object));
}

static void object_updated(Object *old, Object *object, void *userdata) {
    const Counted *counted = userdata;
    _cleanup_arena_ Arena *arena = arena_new(0);
    int64_t now = now_realtime_ns();
    ResourceList was = counted->kind->usage(arena, counted->resource, object_value(old, arena), now);
    ResourceList is = counted->kind->usage(arena, counted->resource, object_value(object, arena), now);
    if (!resource_list_equal(&was, &is))
        replenish(counted, object_namespace(object));
}

static void count_kind(const Counted *counted, const Object *quota, const Value *spec, const ResourceList *hard,
                       ResourceList *used) {
    ClientList list = {0};
    ResourceList names = quota_accounted(counted->kind, counted->resource, hard);
    int64_t now = now_realtime_ns();
    pthread_mutex_lock(&counted->all->lock);
    Informer *objects = counted->objects;
    pthread_mutex_unlock(&counted->all->lock);
    if (!objects)
        return;
    for (size_t i = 0; i < names.n; i++)
        resource_list_set_int(used, names.items[i].name, 0);
    if (!names.n)
        return;
    informer_list(objects, object_namespace(quota), NULL, &list);
    for (size_t i = 0; i < list.n; i++) {
        _cleanup_arena_ Arena *arena = arena_new(0);
        Value *v = object_value(list.items[i], arena);
        if (!quota_has_in_scope(counted->kind, spec, v))
            continue;
        ResourceList usage = counted->kind->usage(arena, counted->resource, v, now);
        usage = resource_list_mask(&usage, &names);
        resource_list_add(used, &usage);
    }
    client_list_done(&list);
}

static int write_status(Quotas *all, const Object *quota, Value *v, const ResourceList *hard,
                        const ResourceList *used) {
    _cleanup_api_error_ ApiError err = {0};
    Value *status = value_ensure_object(hard->arena, v, "status");
    value_set(hard->arena, status, "hard", resource_list_value(hard));
    value_set(hard->arena, status, "used", resource_list_value(used));
    int r = client_update(all->client, informer_resource(all->quotas), object_namespace(quota), object_name(quota),
                          "status", v, NULL, &err);
    if (r < 0 && r != -ENOENT && r != -ESTALE)
        log_warn("quota %s/%s: %s", object_namespace(quota), object_name(quota), str_or(err.message, strerror(-r)));
    return r == -ENOENT ? 0 : r;
}

/* NULL past the end. */
static const Counted *counted_at(Quotas *all, size_t i) {
    pthread_mutex_lock(&all->lock);
    const Counted *counted = i < all->n_counted ? all->counted[i] : NULL;
    pthread_mutex_unlock(&all->lock);
    return counted;
}

static int sync_key(const char *key, void *userdata) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    Quotas *all = userdata;
    KeyParts parts;
    size_t i = 0;
    if (!controller_key_split(key, &parts))
        return 0;
    _cleanup_object_ Object *quota = informer_lookup(all->quotas, parts.ns, parts.name);
    if (!quota)
        return 0;
    Value *v = object_value(quota, arena), *spec = value_get(v, "spec"), *status = value_get(v, "status");
    ResourceList hard = resource_list_read(arena, value_get(spec, "hard"));
    ResourceList said_hard = resource_list_read(arena, value_get(status, "hard"));
    ResourceList said = resource_list_read(arena, value_get(status, "used")), used = RESOURCE_LIST_INIT(arena);
    /* what nobody counts here stays as it is */
    resource_list_add(&used, &said);
    for (const Counted *counted; (counted = counted_at(all, i)); i++)
        count_kind(counted, quota, spec, &hard, &used);
    used = resource_list_mask(&used, &hard);
    workqueue_add_after(all->queue, key, RESYNC_NS);
    if (resource_list_equal(&hard, &said_hard) && resource_list_equal(&used, &said))
        return 0;
    return write_status(all, quota, v, &hard, &used);
}

static bool is_counted(const Resource *resource) {
    const uint16_t verbs = VERB_LIST | VERB_WATCH | VERB_DELETE;
    return resource->namespaced && (resource->verbs & verbs) == verbs && quota_kind_of(resource);
}

static Counted *add_counted(Quotas *all, const Resource *resource) {
    Counted *counted = NEW0(Counted);
    *counted = (Counted){.all = all, .resource = resource, .kind = quota_kind_of(resource)};
    pthread_mutex_lock(&all->lock);
    all->counted = xreallocn(all->counted, all->n_counted + 1, sizeof *all->counted);
    all->counted[all->n_counted++] = counted;
    pthread_mutex_unlock(&all->lock);
    return counted;
}

static void count_builtin(Quotas *all, const Resource *resource) {
    Counted *counted = add_counted(all, resource);
    InformerHandler handler = {NULL, object_updated, object_deleted};
    /* those that are only counted need no content */
    if (!counted->kind->group) {
        counted->objects = controller_informer_metadata(all->controller, resource);
        handler.updated = NULL;
    } else
        counted->objects = controller_informer(all->controller, resource->group, resource->version, resource->plural);
    informer_add_handler(counted->objects, &handler, counted);
}

static void set_objects(Counted *counted, Informer *objects) {
    pthread_mutex_lock(&counted->all->lock);
    counted->objects = objects;
    pthread_mutex_unlock(&counted->all->lock);
}

/* Quotas that were counted before these objects were known count again. */
static void follow(Quotas *all, const Resource *resource) {
    static const InformerHandler handler = {object_deleted, NULL, object_deleted};
    Counted *counted = NULL;
    for (size_t i = 0; i < all->n_counted && !counted; i++)
        if (all->counted[i]->resource == resource)
            counted = all->counted[i];
    if (counted && counted->objects)
        return;
    if (!counted)
        counted = add_counted(all, resource);
    set_objects(counted, controller_add_informer(all->controller, resource, &handler, counted));
}

static bool has_row(const Resource *const *rows, const Resource *resource) {
    for (; *rows; rows++)
        if (*rows == resource)
            return true;
    return false;
}

/* Looks alone add after init, one at a time, so it may look without the lock. */
static void on_discovery(Discovery *discovery, void *userdata) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    Quotas *all = userdata;
    const Resource **served = discovery_preferred(discovery, arena);
    for (size_t i = 0; i < all->n_counted; i++) {
        Counted *counted = all->counted[i];
        if (!counted->resource->discovered || !counted->objects || has_row(served, counted->resource))
            continue;
        informer_remove_handler(counted->objects, counted);
        set_objects(counted, NULL);
    }
    for (size_t i = 0; served[i]; i++)
        if (served[i]->discovered && is_counted(served[i]))
            follow(all, served[i]);
}

static void *init(Controller *controller) {
    Quotas *all = NEW0(Quotas);
    const Resource *resource;
    all->client = controller_client(controller);
    all->controller = controller;
    pthread_mutex_init(&all->lock, NULL);
    all->quotas = controller_informer(controller, "", "v1", "resourcequotas");
    all->queue = controller_queue(controller, "resourcequota_primary", 2, sync_key, all);
    informer_add_handler(all->quotas, &(InformerHandler){quota_added, quota_updated, NULL}, all);
    for (size_t i = 0; (resource = resource_builtin(i)); i++)
        if (resource->storage == resource && is_counted(resource))
            count_builtin(all, resource);
    controller_on_discovery(controller, on_discovery, all);
    return all;
}

static void free_all(void *data) {
    Quotas *all = data;
    for (size_t i = 0; i < all->n_counted; i++)
        free(all->counted[i]);
    free(all->counted);
    pthread_mutex_destroy(&all->lock);
    free(all);
}

const ControllerRow controller_resource_quota = {.name = "resourcequota-controller", .init = init, .free = free_all};
