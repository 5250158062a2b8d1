/* Every active namespace has a ServiceAccount called default. */
#include "controllers/controller.h"

#include "base/str.h"
#include "controllers/meta.h"

#include <errno.h>

typedef struct Accounts {
    Client *client;
    Informer *namespaces, *accounts;
    WorkQueue *queue;
} Accounts;

static void namespace_changed(Object *ns, void *userdata) {
    workqueue_add(((Accounts *)userdata)->queue, object_name(ns));
}

static void namespace_updated(_unused_ Object *old, Object *ns, void *userdata) {
    namespace_changed(ns, userdata);
}

static void account_deleted(Object *account, void *userdata) {
    if (streq(object_name(account), "default"))
        workqueue_add(((Accounts *)userdata)->queue, object_namespace(account));
}

static int sync_key(const char *name, void *userdata) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    Accounts *all = userdata;
    _cleanup_object_ Object *ns = informer_lookup(all->namespaces, NULL, name);
    _cleanup_object_ Object *account = informer_lookup(all->accounts, name, "default");
    if (!ns || account || object_is_deleting(ns))
        return 0;
    Value *v = value_object(arena);
    value_set_str(arena, v, "apiVersion", "v1");
    value_set_str(arena, v, "kind", "ServiceAccount");
    Value *metadata = value_ensure_object(arena, v, "metadata");
    value_set_str(arena, metadata, "name", "default");
    value_set_str(arena, metadata, "namespace", name);
    _cleanup_api_error_ ApiError err = {0};
    int r = client_create(all->client, informer_resource(all->accounts), name, v, NULL, &err);
    /* 403 and 404: the namespace is going or gone. */
    return r == -EEXIST || err.code == 403 || err.code == 404 ? 0 : r;
}

static void *init(Controller *controller) {
    Accounts *all = NEW0(Accounts);
    all->client = controller_client(controller);
    all->namespaces = controller_informer(controller, "", "v1", "namespaces");
    all->accounts = controller_informer(controller, "", "v1", "serviceaccounts");
    all->queue = controller_queue(controller, "serviceaccount", 1, sync_key, all);
    informer_add_handler(all->namespaces, &(InformerHandler){namespace_changed, namespace_updated, NULL}, all);
    informer_add_handler(all->accounts, &(InformerHandler){.deleted = account_deleted}, all);
    return all;
}

const ControllerRow controller_serviceaccount = {
    .name = "serviceaccount-controller", .account = "service-account-controller", .init = init};
