/* Every active namespace has a ConfigMap kube-root-ca.crt with the certificate authority of the API server. */
#include "controllers/controller.h"

#include "base/str.h"
#include "controllers/meta.h"

#include <errno.h>

#define ROOT_CA_NAME "kube-root-ca.crt"

typedef struct RootCa {
    Client *client;
    const char *pem; /* of the configuration */
    Informer *namespaces, *maps;
    WorkQueue *queue;
} RootCa;

static void namespace_changed(Object *ns, void *userdata) {
    workqueue_add(((RootCa *)userdata)->queue, object_name(ns));
}

static void namespace_updated(_unused_ Object *old, Object *ns, void *userdata) {
    namespace_changed(ns, userdata);
}

static void map_changed(Object *map, void *userdata) {
    workqueue_add(((RootCa *)userdata)->queue, object_namespace(map));
}

static void map_updated(_unused_ Object *old, Object *map, void *userdata) {
    map_changed(map, userdata);
}

static void set_content(RootCa *all, Arena *arena, Value *map) {
    Value *data = value_object(arena), *metadata = value_ensure_object(arena, map, "metadata");
    value_set_str(arena, data, "ca.crt", all->pem);
    value_set(arena, map, "data", data);
    value_set_str(arena, value_ensure_object(arena, metadata, "annotations"), "kubernetes.io/description",
                  "The certificate authority of this cluster's API server, for clients inside the cluster.");
}

static int sync_key(const char *name, void *userdata) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    _cleanup_api_error_ ApiError err = {0};
    RootCa *all = userdata;
    _cleanup_object_ Object *ns = informer_lookup(all->namespaces, NULL, name);
    _cleanup_object_ Object *object = informer_lookup(all->maps, name, ROOT_CA_NAME);
    if (!ns || object_is_deleting(ns))
        return 0;
    if (object) {
        Value *map = object_value(object, arena), *was = value_copy(arena, map);
        set_content(all, arena, map);
        if (value_equal(value_get(map, "data"), value_get(was, "data")) &&
            value_equal(value_path(map, "metadata", "annotations", NULL),
                        value_path(was, "metadata", "annotations", NULL)))
            return 0;
        return client_update(all->client, informer_resource(all->maps), name, ROOT_CA_NAME, NULL, map, NULL, NULL);
    }
    Value *map = value_object(arena);
    value_set_str(arena, map, "apiVersion", "v1");
    value_set_str(arena, map, "kind", "ConfigMap");
    value_set_str(arena, value_ensure_object(arena, map, "metadata"), "name", ROOT_CA_NAME);
    value_set_str(arena, value_ensure_object(arena, map, "metadata"), "namespace", name);
    set_content(all, arena, map);
    int r = client_create(all->client, informer_resource(all->maps), name, map, NULL, &err);
    /* 403 and 404: the namespace is going or gone. */
    return r == -EEXIST || err.code == 403 || err.code == 404 ? 0 : r;
}

static void *init(Controller *controller) {
    if (str_empty(controller_config(controller)->root_ca_pem))
        return NULL;
    RootCa *all = NEW0(RootCa);
    all->client = controller_client(controller);
    all->pem = controller_config(controller)->root_ca_pem;
    all->namespaces = controller_informer(controller, "", "v1", "namespaces");
    all->maps = controller_informer_selected(controller, "", "v1", "configmaps", "metadata.name=" ROOT_CA_NAME);
    all->queue = controller_queue(controller, "root_ca_cert_publisher", 1, sync_key, all);
    informer_add_handler(all->namespaces, &(InformerHandler){namespace_changed, namespace_updated, NULL}, all);
    informer_add_handler(all->maps, &(InformerHandler){.updated = map_updated, .deleted = map_changed}, all);
    return all;
}

const ControllerRow controller_root_ca = {
    .name = "root-ca-certificate-publisher-controller", .account = "root-ca-cert-publisher", .init = init};
