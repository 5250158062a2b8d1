#include "network/node.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/routes.h"
#include "base/str.h"
#include "loop/process.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/vfs.h>
#include <unistd.h>

#define NSFS_MAGIC_NUMBER 0x6e736673
#define TOOL_SECONDS 30
#define SCRIPT_MAX (1024 * 1024)

static int fail(char **ret_error, int r, char *message) {
    if (ret_error)
        *ret_error = message;
    else
        free(message);
    return r;
}

static bool cluster_is_valid(const char *cluster) {
    size_t n = strlen(cluster);
    return n > 0 && n <= CLUSTER_NAME_MAX && strspn(cluster, "abcdefghijklmnopqrstuvwxyz0123456789") == n;
}

static int cidr_parse(const char *cidr, uint32_t *ret_network, unsigned *ret_bits) {
    _cleanup_free_ char *copy = xstrdup(cidr);
    char *slash = strchr(copy, '/');
    struct in_addr address;
    uint64_t bits;
    if (!slash)
        return -EINVAL;
    *slash = 0;
    if (inet_pton(AF_INET, copy, &address) != 1 || str_to_uint64(slash + 1, &bits) < 0 || bits < 8 || bits > 30)
        return -EINVAL;
    *ret_network = ntohl(address.s_addr) & ~((1u << (32 - bits)) - 1);
    *ret_bits = (unsigned)bits;
    return 0;
}

static void address_text(uint32_t address, char out[CIDR_TEXT_MAX]) {
    struct in_addr a = {htonl(address)};
    inet_ntop(AF_INET, &a, out, CIDR_TEXT_MAX);
}

int cidr_subnet(const char *cidr, unsigned index, char ret[CIDR_TEXT_MAX]) {
    uint32_t network;
    unsigned bits;
    int r = cidr_parse(cidr, &network, &bits);
    if (r < 0)
        return r;
    if (bits > 24 || index >= 1u << (24 - bits))
        return -ERANGE;
    char text[CIDR_TEXT_MAX];
    address_text(network + (index << 8), text);
    snprintf(ret, CIDR_TEXT_MAX, "%.15s/24", text);
    return 0;
}

int cluster_network_gateway(const char *cidr, char ret[CIDR_TEXT_MAX]) {
    uint32_t network;
    unsigned bits;
    int r = cidr_parse(cidr, &network, &bits);
    if (r == 0)
        address_text(network + 1, ret);
    return r;
}

void cluster_network_free(NodeNetwork *nodes, unsigned n_nodes) {
    for (unsigned i = 0; nodes && i < n_nodes; i++)
        free(nodes[i].netns_path);
    free(nodes);
}

/* Feeds a script to `ip -batch -` or `nft -f -`, in a namespace when netns_fd is not 0. */
static int tool_run(const char *const *argv, const Buf *script, int netns_fd, char **ret_error) {
    if (script->failed)
        return fail(ret_error, -E2BIG, xstrdup("too many nodes"));
    if (!script->len)
        return 0;
    _cleanup_process_result_ ProcessResult result = {0};
    int r = process_run(&(ProcessSpec){.argv = argv,
                                       .input = script->data,
                                       .input_len = script->len,
                                       .netns_fd = netns_fd,
                                       .timeout_ns = TOOL_SECONDS * NS_PER_SEC},
                        &result);
    if (r < 0)
        return fail(ret_error, r, xasprintf("%s: %s", argv[0], r == -ENOENT ? "not installed" : strerror(-r)));
    if (result.status != 0)
        return fail(ret_error, -EIO, xasprintf("%s: %.400s", argv[0], result.err.len ? result.err.data : "failed"));
    return 0;
}

static const char *const IP_BATCH[] = {"ip", "-batch", "-", NULL};
static const char *const NFT_FILE[] = {"nft", "-f", "-", NULL};

static bool link_exists(const char *name) {
    _cleanup_free_ char *path = xasprintf("/sys/class/net/%s", name);
    return fs_exists(path);
}

static bool is_pinned(const char *path) {
    struct statfs st;
    return statfs(path, &st) == 0 && st.f_type == NSFS_MAGIC_NUMBER;
}

static void *pin_thread(void *userdata) {
    const char *path = userdata;
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return (void *)(intptr_t)-errno;
    close(fd);
    if (unshare(CLONE_NEWNET) < 0 || mount("/proc/thread-self/ns/net", path, NULL, MS_BIND, NULL) < 0)
        return (void *)(intptr_t)-errno;
    /* What the kernel allows through this namespace is its own setting. */
    return (void *)(intptr_t)fs_write_control("/proc/sys/net/ipv4/ip_forward", "1");
}

static int netns_make(const char *path, char **ret_error) {
    if (is_pinned(path))
        return 0;
    pthread_t thread;
    void *result = NULL;
    int r = -pthread_create(&thread, NULL, pin_thread, (void *)path);
    if (r == 0) {
        pthread_join(thread, &result);
        r = (int)(intptr_t)result;
    }
    return r < 0 ? fail(ret_error, r, xasprintf("the network namespace %s: %s", path, strerror(-r))) : 0;
}

/* Replaces the cluster's table: `add` first, so that `delete` finds it. */
static int masquerade(const char *cluster, const char *sources, char **ret_error) {
    _cleanup_buf_ Buf script = BUF_INIT(SCRIPT_MAX);
    buf_printf(&script,
               "add table ip lighter_%s\ndelete table ip lighter_%s\ntable ip lighter_%s {\n chain postrouting {\n"
               "  type nat hook postrouting priority srcnat; policy accept;\n"
               "  ip saddr { %s } ip daddr != { %s, 224.0.0.0/4 } masquerade\n }\n}\n",
               cluster, cluster, cluster, sources, sources);
    return tool_run(NFT_FILE, &script, 0, ret_error);
}

/* Routes of others within the cluster's ranges would be replaced by its own, and gone with its links: -EADDRINUSE. */
static int ranges_are_free(const ClusterNetwork *spec, const char *bridge, char **ret_error) {
    const char *const ranges[] = {spec->node_cidr, spec->pod_cidr, spec->service_cidr};
    _cleanup_free_ Route *routes = NULL;
    size_t n;
    int r = routes_read(&routes, &n);
    if (r < 0)
        return fail(ret_error, r, xasprintf("the routes of this machine: %s", strerror(-r)));
    for (size_t k = 0; k < ELEMENTSOF(ranges); k++) {
        uint32_t network;
        unsigned bits;
        if (!ranges[k] || cidr_parse(ranges[k], &network, &bits) < 0)
            continue;
        for (const Route *route = routes; route < routes + n; route++)
            if (route->mask && (route->network ^ network) >> (32 - bits) == 0 && !streq(route->device, bridge))
                return fail(ret_error, -EADDRINUSE,
                            xasprintf("cluster network: addresses of %s are routed to %s already; remove that network, "
                                      "or make a new cluster, which takes ranges that are free",
                                      ranges[k], route->device));
    }
    return 0;
}

static void service_route(const ClusterNetwork *spec, const char *bridge, Buf *out) {
    uint32_t network;
    unsigned bits;
    if (spec->service_cidr && cidr_parse(spec->service_cidr, &network, &bits) == 0)
        buf_printf(out, "route replace %s dev %s\n", spec->service_cidr, bridge);
}

/* The bridge as the CNI plugin would make it with the first pod. An address of its own for the link, or it would take
 * and lose those of pods. */
static int make_pod_bridge(const ClusterNetwork *spec, const char *bridge, char **ret_error) {
    char subnet[CIDR_TEXT_MAX], gateway[CIDR_TEXT_MAX];
    uint32_t network;
    unsigned bits;
    int r = cidr_subnet(spec->pod_cidr, 0, subnet);
    if (r < 0 || (r = cidr_parse(subnet, &network, &bits)) < 0)
        return fail(ret_error, r, xasprintf("cluster network: %s holds no node's pods", spec->pod_cidr));
    address_text(++network, gateway);
    _cleanup_buf_ Buf script = BUF_INIT(SCRIPT_MAX);
    if (!link_exists(bridge))
        buf_printf(&script, "link add %s address 0a:58:%02x:%02x:%02x:%02x type bridge\n", bridge, network >> 24,
                   network >> 16 & 255, network >> 8 & 255, network & 255);
    buf_printf(&script, "addr replace %s/%u dev %s\nlink set %s up\n", gateway, bits, bridge, bridge);
    service_route(spec, bridge, &script);
    return tool_run(IP_BATCH, &script, 0, ret_error);
}

int cluster_network_create_host(const ClusterNetwork *spec, const char *pod_bridge, char **ret_error) {
    uint32_t network;
    unsigned bits;
    if (!cluster_is_valid(spec->cluster) || cidr_parse(spec->pod_cidr, &network, &bits) < 0)
        return fail(ret_error, -EINVAL,
                    xasprintf("cluster network: invalid name %s or pod CIDR %s", spec->cluster, spec->pod_cidr));
    int r = ranges_are_free(spec, pod_bridge, ret_error);
    if (r < 0)
        return r;
    r = fs_write_control("/proc/sys/net/ipv4/ip_forward", "1");
    if (r < 0)
        return fail(ret_error, r, xasprintf("/proc/sys/net/ipv4/ip_forward: %s", strerror(-r)));
    r = make_pod_bridge(spec, pod_bridge, ret_error);
    return r < 0 ? r : masquerade(spec->cluster, spec->pod_cidr, ret_error);
}

/* The bridge that a cluster's nodes hang on; the caller frees it. */
static char *nodes_bridge(const char *cluster) {
    return xasprintf("ln-%s", cluster);
}

/* The machine's side: the bridge, a link into each node, routes to the nodes' pods. */
static void host_script(const ClusterNetwork *spec, const NodeNetwork *nodes, const char *gateway, unsigned bits,
                        Buf *out) {
    _cleanup_free_ char *bridge = nodes_bridge(spec->cluster);
    if (!link_exists(bridge))
        buf_printf(out, "link add %s type bridge\n", bridge);
    buf_printf(out, "addr replace %s/%u dev %s\nlink set %s up\n", gateway, bits, bridge, bridge);
    service_route(spec, bridge, out);
    for (unsigned i = 0; i < spec->n_nodes; i++) {
        _cleanup_free_ char *link = xasprintf("lv-%s.%u", spec->cluster, i);
        if (!link_exists(link))
            buf_printf(out, "link add %s type veth peer name eth0 netns %s\n", link, nodes[i].netns_path);
        buf_printf(out, "link set %s master %s up\n", link, bridge);
        buf_printf(out, "route replace %s via %s dev %s\n", nodes[i].pod_cidr, nodes[i].address, bridge);
    }
}

static void node_script(const ClusterNetwork *spec, const NodeNetwork *nodes, unsigned self, const char *gateway,
                        unsigned bits, Buf *out) {
    buf_printf(out,
               "link set lo up\naddr replace %s/%u dev eth0\nlink set eth0 up\nroute replace default via %s dev eth0\n",
               nodes[self].address, bits, gateway);
    for (unsigned i = 0; i < spec->n_nodes; i++)
        if (i != self)
            buf_printf(out, "route replace %s via %s dev eth0\n", nodes[i].pod_cidr, nodes[i].address);
}

static int set_up_links(const ClusterNetwork *spec, const NodeNetwork *nodes, unsigned bits, char **ret_error) {
    char gateway[CIDR_TEXT_MAX];
    cluster_network_gateway(spec->node_cidr, gateway);
    _cleanup_buf_ Buf host = BUF_INIT(SCRIPT_MAX);
    host_script(spec, nodes, gateway, bits, &host);
    int r = tool_run(IP_BATCH, &host, 0, ret_error);
    for (unsigned i = 0; r == 0 && i < spec->n_nodes; i++) {
        _cleanup_close_ int fd = open(nodes[i].netns_path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            return fail(ret_error, -errno, xasprintf("%s: %s", nodes[i].netns_path, strerror(errno)));
        _cleanup_buf_ Buf script = BUF_INIT(SCRIPT_MAX);
        node_script(spec, nodes, i, gateway, bits, &script);
        r = tool_run(IP_BATCH, &script, fd, ret_error);
    }
    return r;
}

int cluster_network_create(const ClusterNetwork *spec, NodeNetwork **ret, char **ret_error) {
    uint32_t network, pods;
    unsigned bits, pod_bits;
    if (!cluster_is_valid(spec->cluster) || spec->n_nodes == 0 || spec->n_nodes > NODES_MAX)
        return fail(ret_error, -EINVAL,
                    xasprintf("cluster network: invalid name %s or number of nodes %u", spec->cluster, spec->n_nodes));
    if (cidr_parse(spec->node_cidr, &network, &bits) < 0 || cidr_parse(spec->pod_cidr, &pods, &pod_bits) < 0 ||
        spec->n_nodes + 2 >= 1u << (32 - bits) || pod_bits > 24 || spec->n_nodes > 1u << (24 - pod_bits))
        return fail(ret_error, -EINVAL,
                    xasprintf("cluster network: %s and %s do not hold %u nodes", spec->node_cidr, spec->pod_cidr,
                              spec->n_nodes));
    _cleanup_free_ char *bridge = nodes_bridge(spec->cluster);
    int r = ranges_are_free(spec, bridge, ret_error);
    if (r < 0)
        return r;
    r = fs_mkdir_p(spec->netns_dir, 0711);
    if (r == 0)
        r = fs_write_control("/proc/sys/net/ipv4/ip_forward", "1");
    if (r < 0)
        return fail(ret_error, r, xasprintf("%s: %s", spec->netns_dir, strerror(-r)));
    NodeNetwork *nodes = NEWN0(NodeNetwork, spec->n_nodes);
    for (unsigned i = 0; r == 0 && i < spec->n_nodes; i++) {
        nodes[i].netns_path = xasprintf("%s/%s-%u", spec->netns_dir, spec->cluster, i);
        address_text(network + 2 + i, nodes[i].address);
        cidr_subnet(spec->pod_cidr, i, nodes[i].pod_cidr);
        r = netns_make(nodes[i].netns_path, ret_error);
    }
    r = r == 0 ? set_up_links(spec, nodes, bits, ret_error) : r;
    if (r == 0) {
        _cleanup_free_ char *sources = xasprintf("%s, %s", spec->pod_cidr, spec->node_cidr);
        r = masquerade(spec->cluster, sources, ret_error);
    }
    if (r < 0) {
        cluster_network_free(nodes, spec->n_nodes);
        (void)cluster_network_remove(spec->cluster, spec->netns_dir, NULL, NULL);
        return r;
    }
    *ret = nodes;
    return 0;
}

static int remove_namespaces(const char *cluster, const char *netns_dir) {
    DIR *dir = opendir(netns_dir);
    if (!dir)
        return errno == ENOENT ? 0 : -errno;
    _cleanup_free_ char *prefix = xasprintf("%s-", cluster);
    int r = 0;
    for (struct dirent *e; (e = readdir(dir));) {
        int64_t index;
        if (!str_has_prefix(e->d_name, prefix) || str_to_int64(e->d_name + strlen(prefix), &index) < 0)
            continue;
        _cleanup_free_ char *path = xasprintf("%s/%s", netns_dir, e->d_name);
        while (is_pinned(path) && umount2(path, MNT_DETACH) == 0) {
        }
        if (unlink(path) < 0)
            r = -errno;
    }
    closedir(dir);
    return r;
}

/* Links go by name: those whose peers went with their namespace are gone already. */
static void remove_links_script(const char *cluster, const char *pod_bridge, Buf *out) {
    _cleanup_free_ char *prefix = xasprintf("lv-%s.", cluster), *bridge = nodes_bridge(cluster);
    DIR *dir = opendir("/sys/class/net");
    for (struct dirent *e; dir && (e = readdir(dir));)
        if (str_has_prefix(e->d_name, prefix) || streq(e->d_name, bridge) ||
            (pod_bridge && streq(e->d_name, pod_bridge)))
            buf_printf(out, "link del %s\n", e->d_name);
    if (dir)
        closedir(dir);
}

/* portmap's own chains are shared by all its users and never removed by it. Without a mapping left they serve nobody
 * (it makes them anew with the next), so the last to go takes them along. */
static void remove_idle_portmap(void) {
    static const char *const list[] = {"iptables", "-w", "-t", "nat", "-S", NULL};
    static const char *const restore[] = {"iptables-restore", "-w", "--noflush", NULL};
    _cleanup_process_result_ ProcessResult rules = {0};
    int r = process_run(&(ProcessSpec){.argv = list, .timeout_ns = TOOL_SECONDS * NS_PER_SEC}, &rules);
    if (r < 0 || rules.status != 0 || !rules.out.data || !strstr(rules.out.data, "-N CNI-HOSTPORT-DNAT\n") ||
        strstr(rules.out.data, "-A CNI-HOSTPORT-DNAT ") || strstr(rules.out.data, "-N CNI-DN-"))
        return; /* not installed, not there, or in use */
    _cleanup_buf_ Buf jumps = BUF_INIT(SCRIPT_MAX), flushes = BUF_INIT(SCRIPT_MAX), chains = BUF_INIT(SCRIPT_MAX);
    char *rest = NULL;
    for (char *line = strtok_r(rules.out.data, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        if (str_has_prefix(line, "-N CNI-HOSTPORT-")) {
            /* Not the mappings: if one comes meanwhile, -X refuses and with it the whole transaction. */
            if (!streq(line + 3, "CNI-HOSTPORT-DNAT"))
                buf_printf(&flushes, "-F %s\n", line + 3);
            buf_printf(&chains, "-X %s\n", line + 3);
        } else if (str_has_prefix(line, "-A ") && !str_has_prefix(line, "-A CNI-") && strstr(line, " -j CNI-HOSTPORT-"))
            buf_printf(&jumps, "-D %s\n", line + 3);
    }
    _cleanup_buf_ Buf script = BUF_INIT(SCRIPT_MAX);
    buf_printf(&script, "*nat\n%s%s%sCOMMIT\n", jumps.data ? jumps.data : "", flushes.data ? flushes.data : "",
               chains.data ? chains.data : "");
    _cleanup_free_ char *why = NULL;
    if (tool_run(restore, &script, 0, &why) < 0)
        log_debug("the chains of portmap stay: %s", why ? why : "");
}

int cluster_network_remove(const char *cluster, const char *netns_dir, const char *pod_bridge, char **ret_error) {
    if (!cluster_is_valid(cluster))
        return fail(ret_error, -EINVAL, xasprintf("cluster network: invalid name %s", cluster));
    _cleanup_buf_ Buf links = BUF_INIT(SCRIPT_MAX), rules = BUF_INIT(SCRIPT_MAX);
    remove_links_script(cluster, pod_bridge, &links);
    int r = tool_run(IP_BATCH, &links, 0, ret_error);
    if (r < 0)
        return r;
    r = netns_dir ? remove_namespaces(cluster, netns_dir) : 0;
    if (r < 0)
        return fail(ret_error, r, xasprintf("%s: %s", netns_dir, strerror(-r)));
    static const char *const tables[] = {"", CLUSTER_PROXY_SUFFIX};
    for (size_t i = 0; i < ELEMENTSOF(tables); i++)
        buf_printf(&rules, "add table ip lighter_%s%s\ndelete table ip lighter_%s%s\n", cluster, tables[i], cluster,
                   tables[i]);
    r = tool_run(NFT_FILE, &rules, 0, ret_error);
    if (r == 0)
        remove_idle_portmap();
    return r;
}

int cni_write_conflist(const char *dir, const char *bridge, const char *pod_cidr, const char *ipam_dir,
                       char **ret_error) {
    int r = fs_mkdir_p(dir, 0700);
    /* hairpin: a pod may reach itself by a host port; promiscuous mode would deliver twice. */
    json_t *list =
        json_pack("{s:s, s:s, s:[{s:s, s:s, s:b, s:b, s:{s:s, s:s, s:[[{s:s}]], s:[{s:s}]}}, {s:s, s:{s:b}}]}",
                  "cniVersion", "1.0.0", "name", "lighter", "plugins", "type", "bridge", "bridge", bridge, "isGateway",
                  1, "hairpinMode", 1, "ipam", "type", "host-local", "dataDir", ipam_dir, "ranges", "subnet", pod_cidr,
                  "routes", "dst", "0.0.0.0/0", "type", "portmap", "capabilities", "portMappings", 1);
    _cleanup_free_ char *text = list ? json_dumps(list, JSON_INDENT(1)) : NULL,
                        *path = xasprintf("%s/10-lighter.conflist", dir);
    json_decref(list);
    if (r == 0)
        r = text ? fs_write_atomic(path, text, strlen(text), 0600) : -EINVAL;
    return r < 0 ? fail(ret_error, r, xasprintf("%s: %s", path, strerror(-r))) : 0;
}
