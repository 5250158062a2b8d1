#define LOG_COMPONENT "lighter"
#include "cmd/lighter/node.h"

#include <dirent.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <arpa/inet.h>
#include <stdio.h>
#include <sys/mount.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/log.h"
#include "base/str.h"
#include "kubelet/runtime/oci.h"

#define MOUNTINFO_MAX (4 * 1024 * 1024)

void local_nodes_free(LocalNode *nodes, size_t n) {
    for (size_t i = 0; nodes && i < n; i++) {
        char *owned[] = {nodes[i].name,     nodes[i].root,       nodes[i].cni_dir, nodes[i].address,
                         nodes[i].pod_cidr, nodes[i].netns_path, nodes[i].bridge,  nodes[i].cgroup};
        for (size_t k = 0; k < ELEMENTSOF(owned); k++)
            free(owned[k]);
    }
    free(nodes);
}

LocalNode *local_nodes_plan(const Cluster *cluster) {
    LocalNode *nodes = NEWN0(LocalNode, (size_t)cluster->nodes);
    for (unsigned i = 0; i < (unsigned)cluster->nodes; i++) {
        LocalNode *node = &nodes[i];
        node->index = i;
        node->name = xasprintf("lighter-%u", i);
        node->root = cluster_path(cluster, "nodes/%s", node->name);
        node->cni_dir = cluster_path(cluster, "nodes/%s/cni", node->name);
        node->bridge = cluster->nodes == 1 ? xasprintf("lb-%s", cluster->id) : xstrdup("cni0");
        node->cgroup = xasprintf("/lighter-%s-%u", cluster->id, i);
    }
    return nodes;
}

char *local_machine_address(void) {
    struct ifaddrs *all = NULL;
    char text[INET_ADDRSTRLEN] = "127.0.0.1";
    if (getifaddrs(&all) == 0)
        for (struct ifaddrs *a = all; a; a = a->ifa_next) {
            if (!a->ifa_addr || a->ifa_addr->sa_family != AF_INET || a->ifa_flags & IFF_LOOPBACK ||
                !(a->ifa_flags & IFF_UP) || str_has_prefix(a->ifa_name, "lb-") || str_has_prefix(a->ifa_name, "ln-"))
                continue;
            inet_ntop(AF_INET, &((struct sockaddr_in *)(void *)a->ifa_addr)->sin_addr, text, sizeof text);
            break;
        }
    freeifaddrs(all);
    return xstrdup(text);
}

static int write_network_list(LocalNode *node, char **ret_error) {
    _cleanup_free_ char *ipam = xasprintf("%s/ipam", node->root);
    int r = fs_mkdir_p(node->cni_dir, 0755);
    if (r == 0)
        r = fs_mkdir_p(ipam, 0755);
    return r < 0 ? r : cni_write_conflist(node->cni_dir, node->bridge, node->pod_cidr, ipam, ret_error);
}

static int network_of_many(const Cluster *cluster, LocalNode *nodes, char **ret_error) {
    _cleanup_free_ char *dir = cluster_path(cluster, "netns"), *range = xstrdup(cluster->node_cidr);
    NodeNetwork *made = NULL;
    char *slash = strchr(range, '/');
    if (slash)
        memcpy(slash, "/24", 4);
    int r = cluster_network_create(&(ClusterNetwork){.cluster = cluster->id,
                                                     .node_cidr = range,
                                                     .pod_cidr = cluster->cidr,
                                                     .service_cidr = cluster->service_cidr,
                                                     .netns_dir = dir,
                                                     .n_nodes = (unsigned)cluster->nodes},
                                   &made, ret_error);
    if (r < 0)
        return r;
    for (unsigned i = 0; i < (unsigned)cluster->nodes && r == 0; i++) {
        nodes[i].address = xstrdup(made[i].address);
        nodes[i].pod_cidr = xstrdup(made[i].pod_cidr);
        nodes[i].netns_path = xstrdup(made[i].netns_path);
        r = write_network_list(&nodes[i], ret_error);
    }
    cluster_network_free(made, (unsigned)cluster->nodes);
    return r;
}

int local_nodes_network(const Cluster *cluster, LocalNode *nodes, char **ret_error) {
    char pod_cidr[CIDR_TEXT_MAX];
    if (cluster->nodes > 1)
        return network_of_many(cluster, nodes, ret_error);
    int r = cidr_subnet(cluster->cidr, 0, pod_cidr);
    if (r < 0)
        return r;
    nodes[0].address = local_machine_address();
    nodes[0].pod_cidr = xstrdup(pod_cidr);
    r = cluster_network_create_host(
        &(ClusterNetwork){.cluster = cluster->id, .pod_cidr = cluster->cidr, .service_cidr = cluster->service_cidr},
        nodes[0].bridge, ret_error);
    return r < 0 ? r : write_network_list(&nodes[0], ret_error);
}

int local_image_store(const Cluster *cluster, ImageStore **ret, char **ret_error) {
    _cleanup_free_ char *root = cluster_path(cluster, "images");
    return image_store_open(&(ImageStoreConfig){.root = root}, ret, ret_error);
}

int local_node_runtime(const LocalNode *node, ImageStore *images, Runtime **ret, char **ret_error) {
    _cleanup_free_ char *root = xasprintf("%s/runtime", node->root);
    int r = fs_mkdir_p(root, 0711);
    return r < 0 ? r
                 : oci_runtime_new(
                       &(OciConfig){
                           .root = root, .images = images, .cni_conf_dir = node->cni_dir, .cgroup_root = node->cgroup},
                       ret, ret_error);
}

/* What is still mounted below `root`, deepest first: volumes, secrets in memory, namespaces. */
static void unmount_below(const char *root) {
    _cleanup_free_ char *text = NULL;
    if (fs_read_file("/proc/self/mountinfo", MOUNTINFO_MAX, &text, NULL) < 0)
        return;
    size_t n = 0, cap = 0, length = strlen(root);
    _cleanup_free_ char **points = NULL;
    char *save = NULL;
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        char *field = line;
        for (int i = 0; i < 4 && field; i++)
            field = (field = strchr(field, ' ')) ? field + 1 : NULL;
        char *end = field ? strchr(field, ' ') : NULL;
        if (!end)
            continue;
        *end = 0;
        if (strncmp(field, root, length) != 0 || field[length] != '/')
            continue;
        if (n == cap) {
            cap = cap ? cap * 2 : 16;
            points = xreallocn(points, cap, sizeof *points);
        }
        points[n++] = field;
    }
    while (n-- > 0) /* later mounts lie on top of earlier ones */
        if (umount2(points[n], MNT_DETACH) < 0)
            log_debug("umount %s: %m", points[n]);
}

/* cgroups go from the leaves up; files in them vanish with them. */
static void remove_cgroup_tree(const char *path) {
    DIR *dir = opendir(path);
    if (!dir)
        return;
    for (struct dirent *e; (e = readdir(dir));)
        if (e->d_type == DT_DIR && !streq(e->d_name, ".") && !streq(e->d_name, "..")) {
            _cleanup_free_ char *child = xasprintf("%s/%s", path, e->d_name);
            remove_cgroup_tree(child);
        }
    closedir(dir);
    if (rmdir(path) < 0 && errno != ENOENT)
        log_debug("rmdir %s: %m", path);
}

static void remove_cgroups(const char *cgroup) {
    static const char BASE[] = "/sys/fs/cgroup";
    DIR *dir = opendir(BASE);
    _cleanup_free_ char *unified = xasprintf("%s%s", BASE, cgroup);
    remove_cgroup_tree(unified);
    if (!dir)
        return;
    for (struct dirent *e; (e = readdir(dir));) {
        _cleanup_free_ char *path = xasprintf("%s/%s%s", BASE, e->d_name, cgroup);
        if (e->d_name[0] != '.')
            remove_cgroup_tree(path);
    }
    closedir(dir);
}

int local_node_clear(const LocalNode *node, ImageStore *images, char **ret_error) {
    Runtime *runtime = NULL;
    SandboxStatus *sandboxes = NULL;
    size_t n = 0;
    int failed = 0;
    if (!fs_exists(node->root))
        return 0;
    int r = local_node_runtime(node, images, &runtime, ret_error);
    if (r < 0)
        return r;
    r = runtime->sandbox_list(runtime, &sandboxes, &n);
    for (size_t i = 0; r == 0 && i < n; i++) {
        _cleanup_free_ char *error = NULL;
        int one = runtime->sandbox_stop(runtime, sandboxes[i].id, &error);
        if (one == 0)
            one = runtime->sandbox_remove(runtime, sandboxes[i].id, &error);
        if (one < 0) {
            log_warn("cannot remove the sandbox of pod %s/%s: %s", sandboxes[i].ns, sandboxes[i].name,
                     str_or(error, strerror(-one)));
            failed = one;
        }
    }
    for (size_t i = 0; i < n; i++)
        sandbox_status_done(&sandboxes[i]);
    free(sandboxes);
    runtime->free(runtime);
    unmount_below(node->root);
    remove_cgroups(node->cgroup);
    return r < 0 ? r : failed;
}
