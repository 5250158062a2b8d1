/* What the agent does regularly, each duty a key of the node queue that puts itself back; among them the node's
 * heartbeat, its lease. */
#include "kubelet/internal.h"

#include <errno.h>

#include "base/str.h"

#define LEASE_NAMESPACE "kube-node-lease"
#define LEASE_SECONDS 40 /* nodeLeaseDurationSeconds of the reference */
#define LEASE_EVERY_NS (10 * NS_PER_SEC)

static Value *lease_of(Kubelet *k, Arena *arena) {
    Value *lease = value_object(arena), *metadata = value_object(arena), *spec = value_object(arena),
          *owner = value_object(arena);
    char now[RFC3339_MAX];
    value_set_str(arena, lease, "apiVersion", "coordination.k8s.io/v1");
    value_set_str(arena, lease, "kind", "Lease");
    value_set_str(arena, metadata, "name", k->config.node_name);
    value_set_str(arena, metadata, "namespace", LEASE_NAMESPACE);
    pthread_mutex_lock(&k->lock);
    if (k->node_ref) {
        value_set_str(arena, owner, "apiVersion", "v1");
        value_set_str(arena, owner, "kind", "Node");
        value_set_str(arena, owner, "name", k->config.node_name);
        value_set_str(arena, owner, "uid", object_uid(k->node_ref));
        value_append(arena, value_ensure_array(arena, metadata, "ownerReferences"), owner);
    }
    pthread_mutex_unlock(&k->lock);
    value_set(arena, lease, "metadata", metadata);
    value_set_str(arena, spec, "holderIdentity", k->config.node_name);
    value_set_int(arena, spec, "leaseDurationSeconds", LEASE_SECONDS);
    value_set_str(arena, spec, "renewTime", rfc3339_format_micro(now_realtime_ns(), now));
    value_set(arena, lease, "spec", spec);
    return lease;
}

static int sync_lease(Kubelet *k) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    _cleanup_api_error_ ApiError err = {0};
    const Resource *leases = resource_find("coordination.k8s.io", "v1", "leases");
    Value *lease = lease_of(k, arena), *patch = value_object(arena);
    value_set(arena, patch, "spec", value_get(lease, "spec"));
    int r = client_patch(k->client, leases, LEASE_NAMESPACE, k->config.node_name, NULL, PATCH_MERGE, patch, NULL, &err);
    if (r == -ENOENT) {
        api_error_done(&err);
        r = client_create(k->client, leases, LEASE_NAMESPACE, lease, NULL, &err);
    }
    if (r < 0)
        log_warn("the lease of node %s cannot be renewed, trying again: %s", k->config.node_name,
                 str_or(err.message, strerror(-r)));
    return r;
}

static const struct {
    const char *key;
    int (*sync)(Kubelet *k);
    uint64_t every_ns;
} duties[] = {
    {"lease", sync_lease, LEASE_EVERY_NS},
    {"status", node_status_sync, NODE_STATUS_EVERY_NS},
    {"housekeeping", housekeeping, NODE_STATUS_EVERY_NS},
    {"eviction", eviction_sync, NODE_STATUS_EVERY_NS},
    {"images", image_gc_sync, IMAGE_GC_EVERY_NS},
};

int node_sync(const char *key, void *userdata) {
    Kubelet *k = userdata;
    int r = 0;
    for (size_t i = 0; i < ELEMENTSOF(duties); i++)
        if (streq(key, duties[i].key)) {
            r = duties[i].sync(k);
            if (r == 0)
                workqueue_add_after(k->node_queue, key, duties[i].every_ns);
        }
    return r;
}
