/* Tells the agents of nodes by annotation how long they may keep Secrets and ConfigMaps: longer in larger clusters. */
#include "controllers/controller.h"

#include "base/str.h"
#include "controllers/meta.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>

#define TTL_ANNOTATION "node.alpha.kubernetes.io/ttl"

typedef struct NodeTtl {
    Client *client;
    Informer *nodes;
    WorkQueue *queue;
    pthread_mutex_t lock;
    size_t step; /* of the table below */
} NodeTtl;

/* The ranges overlap, so that a cluster at a boundary does not go to and fro. */
static const struct {
    size_t least, most;
    int seconds;
} steps[] = {{0, 100, 0}, {90, 500, 15}, {450, 1000, 30}, {900, 2000, 60}, {1800, SIZE_MAX, 300}};

static int wanted_seconds(NodeTtl *all) {
    _cleanup_client_list_ ClientList nodes = {0};
    informer_list(all->nodes, NULL, NULL, &nodes);
    pthread_mutex_lock(&all->lock);
    while (nodes.n > steps[all->step].most)
        all->step++;
    while (nodes.n < steps[all->step].least)
        all->step--;
    int seconds = steps[all->step].seconds;
    pthread_mutex_unlock(&all->lock);
    return seconds;
}

static int sync_key(const char *name, void *userdata) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    NodeTtl *all = userdata;
    _cleanup_object_ Object *node = informer_lookup(all->nodes, NULL, name);
    if (!node)
        return 0;
    const char *now = value_annotation(object_value(node, arena), TTL_ANNOTATION);
    const char *wanted = arena_printf(arena, "%d", wanted_seconds(all));
    if (now && streq(now, wanted))
        return 0;
    Value *patch = value_object(arena), *metadata = value_ensure_object(arena, patch, "metadata");
    value_set_str(arena, value_ensure_object(arena, metadata, "annotations"), TTL_ANNOTATION, wanted);
    int r = client_patch(all->client, object_resource(node), NULL, name, NULL, PATCH_STRATEGIC, patch, NULL, NULL);
    return r == -ENOENT ? 0 : r;
}

static void *init(Controller *controller) {
    NodeTtl *all = NEW0(NodeTtl);
    pthread_mutex_init(&all->lock, NULL);
    all->client = controller_client(controller);
    all->nodes = controller_informer(controller, "", "v1", "nodes");
    all->queue = controller_queue(controller, "ttlcontroller", 1, sync_key, all);
    controller_watch(all->nodes, all->queue); /* heartbeats come too: that is how a change of the size spreads */
    return all;
}

static void free_all(void *data) {
    pthread_mutex_destroy(&((NodeTtl *)data)->lock);
    free(data);
}

const ControllerRow controller_node_ttl = {.name = "ttl-controller", .init = init, .free = free_all};
