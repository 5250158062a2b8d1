#include "controllers/server.h"

#include "base/clock.h"
#include "base/process_metrics.h"
#include "base/str.h"

#include <stdatomic.h>

struct ControllersServer {
    ControllersServerConfig config;
    Checks *checks;
    DaemonServer *daemon; /* NULL: nothing is served */
    _Atomic(Leader *) leader;
    _Atomic(Controllers *) controllers;
};

static const char *ask_leader(void *userdata, _unused_ Arena *arena) {
    const Leader *leader = atomic_load(&((ControllersServer *)userdata)->leader);
    return leader && leader_is_stuck(leader) ? "failed election to renew leadership on lease kube-controller-manager"
                                             : NULL;
}

/* The first; a row for each controller follows once it has been started. */
static const Check election = {"leaderElection", CHECK_HEALTHZ, ask_leader, 0};

/* ---- pages ---- */

static void write_metrics(Buf *out, void *userdata) {
    ControllersServer *server = userdata;
    const Leader *leader = atomic_load(&server->leader);
    Controllers *controllers = atomic_load(&server->controllers);
    if (leader)
        leader_write_metrics(leader, out);
    process_metrics_write(out);
    client_write_metrics(server->config.controllers->client, out);
    if (controllers)
        controllers_write_metrics(controllers, out);
}

static void set_duration(Arena *arena, Value *v, const char *name, int64_t ns, int64_t otherwise) {
    char text[48];
    value_set_str(arena, v, name, duration_format(ns ? ns : otherwise, text));
}

static void describe_signer(Arena *arena, Value *signing, const ControllersConfig *c) {
    value_set_str(arena, signing, "ClusterSigningCertFile", str_or(c->signing_cert_file, ""));
    value_set_str(arena, signing, "ClusterSigningKeyFile", str_or(c->signing_key_file, ""));
}

static Value *names_enabled(Arena *arena, const char *list) {
    size_t n;
    char **names = str_split(arena, str_or(list, "*"), ',', &n);
    Value *array = value_array(arena);
    for (size_t i = 0; i < n; i++)
        value_append(arena, array, value_string(arena, names[i]));
    return array;
}

static void write_config(Buf *out, void *userdata) {
    const ControllersServer *server = userdata;
    const ControllersConfig *c = server->config.controllers;
    _cleanup_arena_ Arena *arena = arena_new(0);
    Value *all = value_object(arena), *config = value_ensure_object(arena, all, "kubecontrollermanager.config.k8s.io");
    value_set_str(arena, config, "kind", "KubeControllerManagerConfiguration");
    value_set_str(arena, config, "apiVersion", "kubecontrollermanager.config.k8s.io/v1alpha1");
    Value *generic = value_ensure_object(arena, config, "Generic");
    if (server->config.daemon.kubeconfig)
        value_set_str(arena, value_ensure_object(arena, generic, "ClientConnection"), "kubeconfig",
                      server->config.daemon.kubeconfig);
    leader_describe(arena, value_ensure_object(arena, generic, "LeaderElection"), server->config.elects,
                    "kube-controller-manager");
    value_set(arena, generic, "Controllers", names_enabled(arena, c->enabled));
    Value *shared = value_ensure_object(arena, config, "KubeCloudShared");
    value_set_bool(arena, shared, "UseServiceAccountCredentials", c->service_accounts);
    set_duration(arena, shared, "NodeMonitorPeriod", c->node_monitor_period_ns, CONTROLLERS_NODE_MONITOR_PERIOD_NS);
    value_set_str(arena, shared, "ClusterCIDR", str_or(c->cluster_cidr, ""));
    value_set_bool(arena, shared, "AllocateNodeCIDRs", !str_empty(c->cluster_cidr));
    describe_signer(arena, value_ensure_object(arena, config, "CSRSigningController"), c);
    value_set_int(arena, value_ensure_object(arena, config, "NodeIPAMController"), "NodeCIDRMaskSize",
                  c->node_cidr_mask ? c->node_cidr_mask : CONTROLLERS_NODE_CIDR_MASK);
    Value *lifecycle = value_ensure_object(arena, config, "NodeLifecycleController");
    set_duration(arena, lifecycle, "NodeStartupGracePeriod", c->node_startup_grace_ns,
                 CONTROLLERS_NODE_STARTUP_GRACE_NS);
    set_duration(arena, lifecycle, "NodeMonitorGracePeriod", c->node_monitor_grace_ns,
                 CONTROLLERS_NODE_MONITOR_GRACE_NS);
    value_set_int(arena, value_ensure_object(arena, config, "PodGCController"), "TerminatedPodGCThreshold",
                  c->terminated_pod_gc_threshold ? c->terminated_pod_gc_threshold
                                                 : CONTROLLERS_TERMINATED_POD_GC_THRESHOLD);
    value_set_str(arena, value_ensure_object(arena, config, "SAController"), "ServiceAccountKeyFile",
                  str_or(c->service_account_key_file, ""));
    value_write_json(out, all);
}

static const DaemonPage pages[] = {
    {"/metrics", DAEMON_METRICS_TYPE, true, write_metrics},
    {"/configz", "application/json", false, write_config},
};

/* ---- its life ---- */

static size_t count_names(void) {
    size_t n = 0;
    while (controllers_name(n))
        n++;
    return n;
}

int controllers_server_start(const ControllersServerConfig *config, ControllersServer **ret) {
    _cleanup_(controllers_server_stopp) ControllersServer *server = NEW0(ControllersServer);
    server->config = *config;
    server->checks = checks_new(&(ChecksConfig){.component = "kube-controller-manager",
                                                .rows = &election,
                                                .n = config->elects,
                                                .room = count_names(),
                                                .roots = CHECK_HEALTHZ,
                                                .whole = true,
                                                .userdata = server});
    DaemonServerConfig *daemon = &server->config.daemon;
    daemon->component = "kube-controller-manager";
    daemon->default_port = CONTROLLERS_PORT;
    daemon->client = config->controllers->client;
    daemon->checks = server->checks;
    daemon->pages = pages;
    daemon->n_pages = ELEMENTSOF(pages);
    daemon->userdata = server;
    int r = daemon_server_start(daemon, &server->daemon);
    if (r == 0)
        *ret = TAKE_PTR(server);
    return r;
}

void controllers_server_elect(ControllersServer *server, Leader *leader) {
    atomic_store(&server->leader, leader);
}

void controllers_server_run(ControllersServer *server, Controllers *controllers) {
    const char *name;
    for (size_t i = 0; (name = controllers_started_name(controllers, i)); i++)
        checks_add(server->checks, &(Check){name, CHECK_HEALTHZ, check_ping, 0});
    atomic_store(&server->controllers, controllers);
}

uint16_t controllers_server_port(const ControllersServer *server) {
    return server->daemon ? daemon_server_port(server->daemon) : 0;
}

void controllers_server_stop(ControllersServer *server) {
    if (!server)
        return;
    daemon_server_stop(server->daemon);
    checks_free(server->checks);
    free(server);
}
