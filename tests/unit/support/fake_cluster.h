/* Controllers over the API server in memory, with a node agent of sorts: fake_kubelet() makes the pods that are there
 * run, and removes those that are being deleted. */
#pragma once

#include "fake_api.h"
#include "controllers/controllers.h"

typedef struct Cluster {
    FakeApi *api;
    Client *client;
    Controllers *controllers;
} Cluster;

static void cluster_start(Cluster *cluster, const char *enabled, const ControllersConfig *more) {
    ControllersConfig config = more ? *more : (ControllersConfig){0};
    config.service_accounts = true; /* so that each does no more than its roles say */
    config.client = cluster->client;
    config.enabled = enabled;
    if (controllers_start(&config, &cluster->controllers) < 0 ||
        !controllers_wait_ready(cluster->controllers, 10 * NS_PER_SEC))
        abort();
}

_unused_ static int cluster_setup(void **state) {
    Cluster *cluster = NEW0(Cluster);
    cluster->api = fake_api_new(&cluster->client);
    *state = cluster;
    return 0;
}

_unused_ static int cluster_teardown(void **state) {
    Cluster *cluster = *state;
    controllers_stop(cluster->controllers);
    client_free(cluster->client);
    free(cluster);
    return 0;
}

static void set_pod_status(Client *client, const char *ns, const char *name, const char *phase, bool ready) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    char now[RFC3339_MAX];
    _cleanup_object_ Object *pod = NULL;
    if (client_get(client, fake_resource("", "pods"), ns, name, &pod, NULL) < 0)
        return;
    Value *v = object_value(pod, arena), *status = value_object(arena), *condition = value_object(arena);
    value_set_str(arena, status, "phase", phase);
    value_set_str(arena, condition, "type", "Ready");
    value_set_str(arena, condition, "status", ready ? "True" : "False");
    value_set_str(arena, condition, "lastTransitionTime", rfc3339_format(now_realtime_ns(), now));
    value_append(arena, value_ensure_array(arena, status, "conditions"), condition);
    value_set(arena, v, "status", status);
    client_update(client, fake_resource("", "pods"), ns, name, "status", v, NULL, NULL);
}

_unused_ static void fake_kubelet(Cluster *cluster) {
    _cleanup_client_list_ ClientList pods = {0};
    client_list(cluster->client, fake_resource("", "pods"), NULL, NULL, &pods, NULL);
    for (size_t i = 0; i < pods.n; i++) {
        const char *phase = object_field(pods.items[i], "status.phase");
        if (object_is_deleting(pods.items[i])) {
            pthread_mutex_lock(&cluster->api->lock);
            ssize_t slot = fake_find(cluster->api, fake_resource("", "pods"), object_namespace(pods.items[i]),
                                     object_name(pods.items[i]));
            if (slot >= 0 && !object_has_finalizers(cluster->api->objects[slot]))
                fake_remove(cluster->api, slot);
            pthread_mutex_unlock(&cluster->api->lock);
        } else if (!phase || !*phase)
            set_pod_status(cluster->client, object_namespace(pods.items[i]), object_name(pods.items[i]), "Running",
                           true);
    }
}

/* A number in an object: status.readyReplicas and the like; -1 when the object is not there. */
_unused_ static int64_t fake_number(Cluster *cluster, const char *group, const char *plural, const char *name,
                                    const char *part, const char *field) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    _cleanup_object_ Object *object = NULL;
    if (client_get(cluster->client, fake_resource(group, plural), "default", name, &object, NULL) < 0)
        return -1;
    return value_get_int(value_get(object_value(object, arena), part), field, 0);
}

/* Merge-patches with JSON. */
_unused_ static void fake_merge(Cluster *cluster, const char *group, const char *plural, const char *name,
                                const char *json) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    Value *patch = NULL;
    if (json_parse(arena, json, strlen(json), &patch, NULL, NULL) < 0 ||
        client_patch(cluster->client, fake_resource(group, plural), "default", name, NULL, PATCH_MERGE, patch, NULL,
                     NULL) < 0)
        abort();
}
