#include <errno.h>
#include <stdio.h>

#include "base/flags.h"
#include "base/fs.h"
#include "base/str.h"
#include "client/client.h"
#include "cmd/lighter/layout.h"
#include "cmd/lighter/verbs.h"

#define STATUS_FILE_MAX 65536

static long resident_kib(pid_t pid) {
    _cleanup_free_ char *path = xasprintf("/proc/%d/status", (int)pid), *text = NULL;
    if (fs_read_file(path, STATUS_FILE_MAX, &text, NULL) < 0)
        return 0;
    const char *line = strstr(text, "VmRSS:");
    return line ? strtol(line + 6, NULL, 10) : 0;
}

static bool node_is_ready(const Object *node, Arena *arena) {
    const Value *condition;
    VALUE_FOREACH (condition, value_path(object_value(node, arena), "status", "conditions", NULL))
        if (streq(str_or(value_get_str(condition, "type"), ""), "Ready"))
            return streq(str_or(value_get_str(condition, "status"), ""), "True");
    return false;
}

static int show_objects(Client *client) {
    _cleanup_client_list_ ClientList nodes = {0}, pods = {0};
    _cleanup_api_error_ ApiError err = {0};
    int r = client_list(client, resource_find("", "v1", "nodes"), NULL, NULL, &nodes, &err);
    if (r == 0)
        r = client_list(client, resource_find("", "v1", "pods"), NULL, NULL, &pods, &err);
    if (r < 0) {
        fprintf(stderr, "lighter status: the API server does not answer: %s\n", str_or(err.message, strerror(-r)));
        return 1;
    }
    for (size_t i = 0; i < nodes.n; i++) {
        _cleanup_arena_ Arena *arena = arena_new(0);
        size_t running = 0, all = 0;
        for (size_t k = 0; k < pods.n; k++) {
            if (!streq(str_or(object_field(pods.items[k], "spec.nodeName"), ""), object_name(nodes.items[i])))
                continue;
            all++;
            running += streq(str_or(object_field(pods.items[k], "status.phase"), ""), "Running");
        }
        printf("node %-24s %-9s %zu of %zu pods running\n", object_name(nodes.items[i]),
               node_is_ready(nodes.items[i], arena) ? "Ready" : "NotReady", running, all);
    }
    return 0;
}

static void show_port(const char *component, int64_t port) {
    if (port)
        printf("%s: health checks and metrics at https://127.0.0.1:%lld\n", component, (long long)port);
}

int verb_status(int argc, char **argv) {
    const char *dir = LAYOUT_DEFAULT_DIR;
    const Flag flags[] = {
        {"data-dir", FLAG_STRING, &dir, "DIR", "the cluster's data directory (" LAYOUT_DEFAULT_DIR ")"}};
    const Command command = {
        .name = "lighter status",
        .usage = "lighter status [--data-dir DIR]",
        .about = "Says whether the cluster runs, and its nodes and pods. Exit status 1 when it does not run.",
        .flags = flags,
        .n_flags = ELEMENTSOF(flags)};
    int n;
    FlagsResult parsed = flags_parse(&command, argc, argv, &n);
    if (parsed != FLAGS_OK)
        return parsed == FLAGS_HELP ? 0 : 2;
    _cleanup_cluster_ Cluster cluster = {0};
    pid_t pid;
    int r = cluster_load(dir, &cluster);
    if (r < 0) {
        printf("no cluster in %s\n", dir);
        return 1;
    }
    r = cluster_running(cluster.dir, &pid);
    if (r < 0) {
        printf("stopped; 'lighter up --data-dir %s' starts it\n", dir);
        return 1;
    }
    printf("running as process %d, %.1f MiB resident, API at https://%s:%lld\n", (int)pid,
           (double)resident_kib(pid) / 1024, str_or(cluster.bind, "127.0.0.1"), (long long)cluster.port);
    show_port("controllers", cluster.controllers_port);
    show_port("scheduler", cluster.scheduler_port);
    _cleanup_(client_freep) Client *client = NULL;
    _cleanup_free_ char *kubeconfig = cluster_path(&cluster, "kubeconfig"), *error = NULL;
    if (client_http_from_kubeconfig(kubeconfig, "lighter-status", &client, &error) < 0) {
        fprintf(stderr, "lighter status: %s: %s\n", kubeconfig, str_or(error, "cannot be read"));
        return 1;
    }
    return show_objects(client);
}
