/* Gives each node a part of the cluster's CIDR (IPv4) as its pod CIDR. What nodes have is what is taken: nothing else
 * is remembered but what this process gave and does not see yet. */
#define LOG_COMPONENT "node-ipam"
#include "controllers/controller.h"

#include "base/log.h"
#include "base/str.h"
#include "controllers/meta.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>

typedef struct Ipam {
    Client *client;
    EventRecorder *events;
    Informer *nodes;
    WorkQueue *queue;
    uint32_t base; /* host order */
    int bits, node_bits;
    size_t n_parts;
    uint8_t *given; /* by index: given by this process; of the only worker */
} Ipam;

static bool cidr_parse(const char *text, uint32_t *ret_base, int *ret_bits) {
    char address[32];
    const char *slash = strchr(text, '/');
    struct in_addr in;
    int64_t bits;
    if (!slash || (size_t)(slash - text) >= sizeof address || str_to_int64(slash + 1, &bits) < 0 || bits < 0 ||
        bits > 32)
        return false;
    snprintf(address, sizeof address, "%.*s", (int)(slash - text), text);
    if (inet_pton(AF_INET, address, &in) != 1)
        return false;
    uint32_t mask = bits == 0 ? 0 : UINT32_MAX << (32 - bits);
    *ret_base = ntohl(in.s_addr) & mask;
    *ret_bits = (int)bits;
    return true;
}

static void mark_taken(const Ipam *ipam, uint8_t *taken, const char *cidr) {
    uint32_t base;
    int bits;
    if (!cidr || !cidr_parse(cidr, &base, &bits) || base < ipam->base)
        return;
    int shift = 32 - ipam->node_bits;
    uint64_t first = (base - ipam->base) >> shift,
             count = bits < ipam->node_bits ? 1ull << (ipam->node_bits - bits) : 1;
    for (uint64_t i = first; i < first + count && i < ipam->n_parts; i++)
        taken[i] = 1;
}

static size_t first_free(const Ipam *ipam) {
    _cleanup_client_list_ ClientList nodes = {0};
    _cleanup_free_ uint8_t *taken = xmemdup(ipam->given, ipam->n_parts);
    size_t i = 0;
    informer_list(ipam->nodes, NULL, NULL, &nodes);
    for (size_t k = 0; k < nodes.n; k++) {
        _cleanup_arena_ Arena *arena = arena_new(0);
        mark_taken(ipam, taken, value_get_str(value_get(object_value(nodes.items[k], arena), "spec"), "podCIDR"));
    }
    while (i < ipam->n_parts && taken[i])
        i++;
    return i;
}

static int sync_node(const char *name, void *userdata) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    Ipam *ipam = userdata;
    _cleanup_object_ Object *node = informer_lookup(ipam->nodes, NULL, name);
    char address[INET_ADDRSTRLEN];
    if (!node || object_is_deleting(node) ||
        !str_empty(value_get_str(value_get(object_value(node, arena), "spec"), "podCIDR")))
        return 0;
    size_t index = first_free(ipam);
    if (index == ipam->n_parts) {
        event_record(ipam->events, node, NULL, "Normal", "CIDRNotAvailable", "Node %s status is now: CIDRNotAvailable",
                     name);
        return -ENOSPC;
    }
    struct in_addr in = {.s_addr = htonl(ipam->base + ((uint32_t)index << (32 - ipam->node_bits)))};
    inet_ntop(AF_INET, &in, address, sizeof address);
    const char *cidr = arena_printf(arena, "%s/%d", address, ipam->node_bits);
    Value *metadata, *patch = patch_for_uid(arena, object_uid(node), &metadata);
    Value *spec = value_ensure_object(arena, patch, "spec");
    value_set_str(arena, spec, "podCIDR", cidr);
    value_append(arena, value_ensure_array(arena, spec, "podCIDRs"), value_string(arena, cidr));
    int r = client_patch(ipam->client, object_resource(node), NULL, name, NULL, PATCH_STRATEGIC, patch, NULL, NULL);
    if (r < 0)
        return r == -ENOENT ? 0 : r;
    ipam->given[index] = 1;
    log_info("node %s: %s", name, cidr);
    return 0;
}

static void node_changed(Object *node, void *userdata) {
    workqueue_add(((Ipam *)userdata)->queue, object_name(node));
}

static void node_updated(_unused_ Object *old, Object *node, void *userdata) {
    node_changed(node, userdata);
}

/* A part is free again when its node is gone: forget what was given, the nodes say what is taken. Runs on the queue, as
 * everything that touches `given`. */
static int sync_key(const char *key, void *userdata) {
    Ipam *ipam = userdata;
    if (*key != '-')
        return sync_node(key, userdata);
    uint32_t base;
    int bits;
    if (cidr_parse(key + 1, &base, &bits) && base >= ipam->base &&
        (base - ipam->base) >> (32 - ipam->node_bits) < ipam->n_parts)
        ipam->given[(base - ipam->base) >> (32 - ipam->node_bits)] = 0;
    return 0;
}

static void node_deleted(Object *node, void *userdata) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    const char *cidr = value_get_str(value_get(object_value(node, arena), "spec"), "podCIDR");
    if (!str_empty(cidr))
        workqueue_add(((Ipam *)userdata)->queue, arena_printf(arena, "-%s", cidr));
}

static void *init(Controller *controller) {
    const ControllersConfig *config = controller_config(controller);
    Ipam ipam = {.node_bits = config->node_cidr_mask ? config->node_cidr_mask : CONTROLLERS_NODE_CIDR_MASK};
    if (str_empty(config->cluster_cidr))
        return NULL;
    if (!cidr_parse(config->cluster_cidr, &ipam.base, &ipam.bits) || ipam.node_bits < ipam.bits ||
        ipam.node_bits > 30 || ipam.node_bits - ipam.bits > 16) {
        log_error("--cluster-cidr %s cannot be cut into /%d: node IPAM is off", config->cluster_cidr, ipam.node_bits);
        return NULL;
    }
    Ipam *all = xmemdup(&ipam, sizeof ipam);
    all->n_parts = (size_t)1 << (ipam.node_bits - ipam.bits);
    all->given = xcalloc(all->n_parts, 1);
    all->client = controller_client(controller);
    all->events = controller_events(controller, "cidrAllocator");
    all->nodes = controller_informer(controller, "", "v1", "nodes");
    all->queue = controller_queue(controller, "cidrallocator_node", 1, sync_key, all);
    informer_add_handler(all->nodes, &(InformerHandler){node_changed, node_updated, node_deleted}, all);
    return all;
}

static void free_all(void *data) {
    free(((Ipam *)data)->given);
    free(data);
}

const ControllerRow controller_nodeipam = {
    .name = "node-ipam-controller", .account = "node-controller", .init = init, .free = free_all};
