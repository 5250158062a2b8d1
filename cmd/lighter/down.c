#define LOG_COMPONENT "lighter"
#include <errno.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/flags.h"
#include "base/fs.h"
#include "base/str.h"
#include "cmd/lighter/node.h"
#include "cmd/lighter/verbs.h"

#define STOP_TIMEOUT_NS (60 * NS_PER_SEC)

static int complain(const char *what, const char *error, int r) {
    fprintf(stderr, "lighter down: cannot %s: %s\n", what, error ? error : strerror(-r));
    return 1;
}

static int take_down(const Cluster *cluster) {
    _cleanup_(image_store_freep) ImageStore *images = NULL;
    _cleanup_free_ char *error = NULL, *netns = cluster_path(cluster, "netns");
    LocalNode *nodes = local_nodes_plan(cluster);
    int code = 0, r = local_image_store(cluster, &images, &error);
    if (r < 0)
        code = complain("open the image store", error, r);
    for (int64_t i = 0; code == 0 && i < cluster->nodes; i++) {
        r = local_node_clear(&nodes[i], images, &error);
        if (r < 0)
            code = complain("remove what a node runs", error, r);
    }
    r = cluster_network_remove(cluster->id, netns, cluster->nodes == 1 ? nodes[0].bridge : NULL, &error);
    if (r < 0)
        code = complain("remove the network", error, r);
    for (int64_t i = 0; code == 0 && i < cluster->nodes; i++)
        (void)fs_remove_tree(nodes[i].root);
    local_nodes_free(nodes, (size_t)cluster->nodes);
    return code;
}

int verb_down(int argc, char **argv) {
    const char *dir = LAYOUT_DEFAULT_DIR;
    bool purge = false;
    const Flag flags[] = {
        {"data-dir", FLAG_STRING, &dir, "DIR", "the cluster's data directory (" LAYOUT_DEFAULT_DIR ")"},
        {"purge", FLAG_BOOL, &purge, NULL, "remove the data directory too: database, keys and images"},
    };
    const Command command = {
        .name = "lighter down",
        .usage = "lighter down [--data-dir DIR] [--purge]",
        .about = "Stops the daemons and removes every container, mount, network namespace, rule and cgroup that the\n"
                 "cluster made, and nothing else. The database and the images stay.",
        .flags = flags,
        .n_flags = ELEMENTSOF(flags)};
    int n;
    FlagsResult parsed = flags_parse(&command, argc, argv, &n);
    if (parsed != FLAGS_OK)
        return parsed == FLAGS_HELP ? 0 : 2;
    _cleanup_cluster_ Cluster cluster = {0};
    int r = cluster_load(dir, &cluster);
    if (r == -ENOENT) { /* images may have been pulled into it all the same */
        printf("no cluster in %s\n", dir);
        return purge && fs_remove_tree(dir) < 0 ? 1 : 0;
    }
    if (r < 0)
        return complain("read the cluster's description", NULL, r);
    r = cluster_stop(cluster.dir, STOP_TIMEOUT_NS);
    if (r < 0)
        return complain("stop the daemons", r == -ETIMEDOUT ? "they do not end; see the log" : NULL, r);
    int code = take_down(&cluster);
    if (code == 0 && purge && (r = fs_remove_tree(cluster.dir)) < 0)
        return complain("remove the data directory", NULL, r);
    return code;
}
