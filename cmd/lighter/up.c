#define LOG_COMPONENT "lighter"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "apiserver/server.h"
#include "base/clock.h"
#include "base/flags.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/str.h"
#include "client/leader.h"
#include "cmd/lighter/addons.h"
#include "cmd/lighter/agents.h"
#include "cmd/lighter/detach.h"
#include "cmd/lighter/node.h"
#include "cmd/lighter/verbs.h"
#include "controllers/server.h"
#include "loop/loop.h"
#include "scheduler/server.h"

#define READY_TIMEOUT_NS (60 * NS_PER_SEC)
#define READY_POLL_NS (2 * (long)NS_PER_MS)
#define CA_FILE_MAX 65536

typedef struct UpOptions {
    const char *dir, *bind, *kubeconfig, *token_auth_file, *service_range, *openapi_descriptions;
    int64_t port, controllers_port, scheduler_port, nodes;
    bool detach;
    ApiServerEtcd etcd;
    TokenIssuerOptions tokens;
    const Flag *flags; /* what all of this was read from */
    size_t n_flags;
} UpOptions;

/* Everything that runs; stopped in the reverse order of starting. */
typedef struct Up {
    Cluster cluster;
    int lock;
    LocalNode *nodes;
    Loop *loop;
    ApiServer *server;
    Client *controller_client, *scheduler_client;
    char *root_ca, *token_key, *ca_file, *ca_key, *cert_file, *cert_key;
    ControllersConfig controllers_config;
    Controllers *controllers;
    Scheduler *scheduler;
    DaemonServing controllers_serving, scheduler_serving;
    ControllersServer *controllers_server;
    SchedulerServer *scheduler_server;
    /* Over a store that others share: the holders of the leases run controllers and scheduler. NULL: this program does
     * without asking. */
    Leader *controllers_leader, *scheduler_leader;
    Agents *agents;
} Up;

static const char *const AUTHENTICATED[] = {"system:authenticated", NULL};
static const char *const MASTERS[] = {"system:masters", "system:authenticated", NULL};
static const UserInfo CONTROLLER_USER = {.name = "system:kube-controller-manager", .groups = MASTERS};
static const UserInfo SCHEDULER_USER = {.name = "system:kube-scheduler", .groups = AUTHENTICATED};

static void up_stop(Up *up) {
    agents_stop(up->agents);
    scheduler_server_stop(up->scheduler_server); /* these look at what follows */
    controllers_server_stop(up->controllers_server);
    scheduler_stop(up->scheduler);
    controllers_stop(up->controllers);
    leader_free(up->scheduler_leader);
    leader_free(up->controllers_leader);
    client_free(up->scheduler_client);
    client_free(up->controller_client);
    apiserver_stop(up->server);
    loop_free(up->loop);
    free(up->root_ca);
    free(up->token_key);
    free(up->ca_file);
    free(up->ca_key);
    free(up->cert_file);
    free(up->cert_key);
    local_nodes_free(up->nodes, (size_t)up->cluster.nodes);
    cluster_done(&up->cluster);
    closep(&up->lock);
}

static int fail(const char *what, const char *error, int r) {
    fprintf(stderr, "lighter up: cannot %s: %s\n", what, error ? error : strerror(-r));
    return r;
}

/* What the flags and an existing cluster say together. An existing cluster keeps its number of nodes unless told. */
static int plan(Up *up, const UpOptions *options) {
    int r = cluster_load_or_plan(options->dir, &up->cluster);
    Cluster *c = &up->cluster;
    if (r < 0)
        return fail("use the data directory",
                    r == -EADDRINUSE ? "every range of pod addresses is routed already" : NULL, r);
    if (c->nodes && options->nodes && c->nodes != options->nodes)
        return fail("change the number of nodes", "run 'lighter down' first", -EINVAL);
    if (options->nodes)
        c->nodes = options->nodes;
    if (!c->nodes)
        c->nodes = 1;
    if (options->port >= 0)
        c->port = options->port;
    else if (!c->port)
        c->port = APISERVER_DEFAULT_PORT;
    if (options->service_range) {
        free(c->service_cidr);
        c->service_cidr = xstrdup(options->service_range);
    }
    if (options->bind) {
        free(c->bind);
        c->bind = xstrdup(options->bind);
    }
    r = cluster_lock(c, &up->lock);
    if (r == -EBUSY)
        return fail("start", "this data directory's cluster runs already; see 'lighter status'", r);
    return r < 0 ? fail("lock the data directory", NULL, r) : 0;
}

/* Users reach the server on loopback; nodes and pods where the machine is on the network of the nodes, or of the pods
 * when the only node is the machine itself. */
static int choose_addresses(Up *up, char ret_cluster[CIDR_TEXT_MAX]) {
    Cluster *c = &up->cluster;
    if (!c->bind)
        c->bind = xstrdup("127.0.0.1");
    int r = cluster_network_gateway(c->nodes == 1 ? up->nodes[0].pod_cidr : c->node_cidr, ret_cluster);
    return r < 0 ? fail("work out the nodes' addresses", NULL, r) : 0;
}

static int start_server(Up *up, const UpOptions *options) {
    static const char *const LOOPBACK[] = {"127.0.0.1", "localhost", NULL};
    Cluster *c = &up->cluster;
    char cluster_address[CIDR_TEXT_MAX];
    int r = choose_addresses(up, cluster_address);
    if (r < 0)
        return r;
    const ApiServerConfig config = {
        .data_dir = c->dir,
        .bind = c->bind,
        .cluster_address = cluster_address,
        .port = (uint16_t)c->port,
        .extra_names = LOOPBACK,
        .token_auth_file = options->token_auth_file,
        .openapi_descriptions = options->openapi_descriptions,
        .service_cluster_ip_range = c->service_cidr,
        .kubeconfig = options->kubeconfig,
        .etcd = options->etcd,
        .tokens = &options->tokens,
        .flags = options->flags,
        .n_flags = options->n_flags,
    };
    r = apiserver_start(&config, &up->server);
    if (r < 0)
        return fail("start the API server", r == -EADDRINUSE ? "its port is taken; choose another with --port" : NULL,
                    r);
    c->port = apiserver_port(up->server);
    return cluster_save(c);
}

static int install_addons(Up *up) {
    int r = addons_install(&up->cluster, up->nodes, up->server);
    return r < 0 ? fail("make the DNS Service", "its address may be another Service's; see the log", r) : 0;
}

static void lead_controllers(void *userdata) {
    Up *up = userdata;
    if (controllers_start(&up->controllers_config, &up->controllers) < 0)
        loop_exit(up->loop, 1);
    else
        controllers_server_run(up->controllers_server, up->controllers);
}

static void lead_scheduler(void *userdata) {
    Up *up = userdata;
    if (scheduler_start(&(SchedulerConfig){.client = up->scheduler_client}, &up->scheduler) < 0)
        loop_exit(up->loop, 1);
    else
        scheduler_server_run(up->scheduler_server, up->scheduler);
}

/* On loopback. Not the reference's ports unless told, since a machine may have several clusters, and the API server
 * must ask its own. */
static DaemonServing control_serving(const Up *up, int64_t port) {
    return (DaemonServing){.port = port,
                           .bind = "127.0.0.1",
                           .client_ca_file = up->ca_file,
                           .cert_file = up->cert_file, /* the API server's, which is 127.0.0.1's too */
                           .key_file = up->cert_key};
}

static int start_control_servers(Up *up, const UpOptions *options) {
    bool shared = options->etcd.servers != NULL;
    up->controllers_serving = control_serving(up, options->controllers_port);
    up->scheduler_serving = control_serving(up, options->scheduler_port);
    const ControllersServerConfig controllers = {.daemon = {.serving = &up->controllers_serving,
                                                            .authentication = up->controller_client,
                                                            .authorization = up->controller_client,
                                                            .flags = options->flags,
                                                            .n_flags = options->n_flags},
                                                 .controllers = &up->controllers_config,
                                                 .elects = shared};
    const SchedulerServerConfig scheduler = {.daemon = {.serving = &up->scheduler_serving,
                                                        .authentication = up->scheduler_client,
                                                        .authorization = up->scheduler_client,
                                                        .client = up->scheduler_client,
                                                        .flags = options->flags,
                                                        .n_flags = options->n_flags},
                                             .elects = shared};
    int r = controllers_server_start(&controllers, &up->controllers_server);
    r = r < 0 ? r : scheduler_server_start(&scheduler, &up->scheduler_server);
    if (r < 0)
        return r;
    ApiCore *core = apiserver_core(up->server);
    up->cluster.controllers_port = controllers_server_port(up->controllers_server);
    up->cluster.scheduler_port = scheduler_server_port(up->scheduler_server);
    api_core_set_component_port(core, API_CONTROLLERS, (uint16_t)up->cluster.controllers_port);
    api_core_set_component_port(core, API_SCHEDULER, (uint16_t)up->cluster.scheduler_port);
    return cluster_save(&up->cluster);
}

static int start_control(Up *up, const UpOptions *options) {
    const char *signing_key = options->tokens.signing_key_file;
    up->token_key = str_empty(signing_key) ? cluster_path(&up->cluster, "pki/sa.key") : xstrdup(signing_key);
    up->ca_file = cluster_path(&up->cluster, "pki/ca.crt");
    up->ca_key = cluster_path(&up->cluster, "pki/ca.key");
    up->cert_file = cluster_path(&up->cluster, "pki/apiserver.crt");
    up->cert_key = cluster_path(&up->cluster, "pki/apiserver.key");
    if (fs_read_file(up->ca_file, CA_FILE_MAX, &up->root_ca, NULL) < 0)
        log_warn("%s cannot be read; kube-root-ca.crt will not be published", up->ca_file);
    up->controller_client = apiserver_local_client(up->server, &CONTROLLER_USER, "kube-controller-manager");
    up->scheduler_client = apiserver_local_client(up->server, &SCHEDULER_USER, "kube-scheduler");
    up->controllers_config = (ControllersConfig){
        .client = up->controller_client,
        .enabled = "*,bootstrap-signer-controller,token-cleaner-controller", /* as kubeadm has it */
        .service_accounts = true,
        .root_ca_pem = up->root_ca,
        .service_account_key_file = up->token_key,
        .signing_cert_file = up->ca_file,
        .signing_key_file = up->ca_key,
        .cluster_cidr = up->cluster.cidr,
    };
    int r = start_control_servers(up, options);
    if (r < 0)
        return fail("serve health checks", NULL, r);
    if (options->etcd.servers) { /* others share the store */
        up->controllers_leader =
            leader_of_component(up->controller_client, "kube-controller-manager", up->loop, lead_controllers, up);
        up->scheduler_leader =
            leader_of_component(up->scheduler_client, "kube-scheduler", up->loop, lead_scheduler, up);
        if (!up->controllers_leader || !up->scheduler_leader)
            return fail("compete for the leases", NULL, -EAGAIN);
        controllers_server_elect(up->controllers_server, up->controllers_leader);
        scheduler_server_elect(up->scheduler_server, up->scheduler_leader);
        return 0;
    }
    r = controllers_start(&up->controllers_config, &up->controllers);
    if (r < 0)
        return fail("start the controllers", NULL, r);
    controllers_server_run(up->controllers_server, up->controllers);
    r = scheduler_start(&(SchedulerConfig){.client = up->scheduler_client}, &up->scheduler);
    if (r < 0)
        return fail("start the scheduler", NULL, r);
    scheduler_server_run(up->scheduler_server, up->scheduler);
    return 0;
}

static int start(Up *up, const UpOptions *options) {
    _cleanup_free_ char *error = NULL;
    _cleanup_close_ int machine = -1;
    int r = machine_lock(&machine);
    if (r < 0)
        return fail("lock " LAYOUT_MACHINE_LOCK, NULL, r);
    r = plan(up, options);
    if (r < 0)
        return r;
    up->nodes = local_nodes_plan(&up->cluster);
    r = local_nodes_network(&up->cluster, up->nodes, &error);
    if (r < 0)
        return fail("make the network", error, r);
    closep(&machine);
    machine = -1;
    if ((r = start_server(up, options)) < 0 || (r = install_addons(up)) < 0 || (r = start_control(up, options)) < 0)
        return r;
    r = agents_start(&up->cluster, up->nodes, up->server, up->loop, &up->agents, &error);
    return r < 0 ? fail("start the node agents", error, r) : 0;
}

static bool node_ready(Up *up, const char *name) {
    _cleanup_object_ Object *node = NULL;
    _cleanup_arena_ Arena *arena = arena_new(0);
    const Value *condition;
    if (client_get(up->controller_client, resource_find("", "v1", "nodes"), NULL, name, &node, NULL) < 0)
        return false;
    VALUE_FOREACH (condition, value_path(object_value(node, arena), "status", "conditions", NULL))
        if (streq(str_or(value_get_str(condition, "type"), ""), "Ready"))
            return streq(str_or(value_get_str(condition, "status"), ""), "True");
    return false;
}

/* Ready: the server answers, every controller works, every node says so. */
static int wait_ready(Up *up) {
    uint64_t deadline = now_monotonic_ns() + READY_TIMEOUT_NS;
    /* who competes for the lease may have to leave it to others */
    if (!up->controllers_leader && !controllers_wait_ready(up->controllers, READY_TIMEOUT_NS))
        return fail("get ready", "the controllers' caches do not fill; see the log", -ETIMEDOUT);
    for (int64_t i = 0; i < up->cluster.nodes; i++)
        while (!node_ready(up, up->nodes[i].name)) {
            if (now_monotonic_ns() > deadline)
                return fail("get ready", "a node does not become Ready; see the log", -ETIMEDOUT);
            nanosleep(&(struct timespec){.tv_nsec = READY_POLL_NS}, NULL);
        }
    return 0;
}

static void on_signal(_unused_ Source *source, _unused_ int signo, void *userdata) {
    Up *up = userdata;
    if (up->scheduler_server)
        scheduler_server_shut_down(up->scheduler_server);
    loop_exit(up->loop, 0);
}

static int run(const UpOptions *options, int ready_fd, uint64_t begin) {
    _cleanup_(up_stop) Up up = {.lock = -1};
    _cleanup_(source_unrefp) Source *term = NULL, *interrupt = NULL;
    signal(SIGPIPE, SIG_IGN);
    if (loop_new(&up.loop) < 0 || loop_add_signal(up.loop, SIGTERM, on_signal, &up, &term) < 0 ||
        loop_add_signal(up.loop, SIGINT, on_signal, &up, &interrupt) < 0) {
        fail("start the event loop", NULL, -errno);
        return 1;
    }
    if (start(&up, options) < 0 || wait_ready(&up) < 0)
        return 1;
    _cleanup_free_ char *kubeconfig =
        options->kubeconfig ? xstrdup(options->kubeconfig) : cluster_path(&up.cluster, "kubeconfig");
    _cleanup_free_ char *line =
        xasprintf("ready in %.2f s; kubeconfig %s\n", (double)(now_monotonic_ns() - begin) / 1e9, kubeconfig);
    fputs(line, stdout);
    fflush(stdout);
    if (ready_fd >= 0)
        detach_ready(ready_fd, line);
    return loop_run_daemon(up.loop);
}

int verb_up(int argc, char **argv) {
    UpOptions options = {.dir = LAYOUT_DEFAULT_DIR,
                         .port = -1,
                         .controllers_port = DAEMON_ANY_PORT,
                         .scheduler_port = DAEMON_ANY_PORT,
                         .etcd = APISERVER_ETCD_DEFAULTS,
                         .tokens = TOKEN_ISSUER_DEFAULTS};
    FlagList etcd = {0};
    const Flag flags[] = {
        {"data-dir", FLAG_STRING, &options.dir, "DIR", "where the cluster lives (" LAYOUT_DEFAULT_DIR ")"},
        {"port", FLAG_INT, &options.port, "PORT", "of the API server (6443; 0: any free one)"},
        {"bind", FLAG_STRING, &options.bind, "ADDRESS", "the API server listens here (127.0.0.1)"},
        {"controllers-port", FLAG_INT, &options.controllers_port, "PORT",
         "of the controllers' health checks and metrics, on 127.0.0.1 (any free one; 0: none)"},
        {"scheduler-port", FLAG_INT, &options.scheduler_port, "PORT", "of the scheduler's (likewise)"},
        {"nodes", FLAG_INT, &options.nodes, "N", "nodes on this machine (1); several get network namespaces"},
        {"kubeconfig", FLAG_STRING, &options.kubeconfig, "FILE", "write the administrator's kubeconfig here too"},
        {"token-auth-file", FLAG_STRING, &options.token_auth_file, "FILE",
         "static tokens: token,user,uid,\"groups\" a line"},
        APISERVER_DESCRIPTIONS_FLAG(options.openapi_descriptions),
        {"service-cluster-ip-range", FLAG_STRING, &options.service_range, "CIDR",
         "addresses of Services (10.96.0.0/16, or the next that nothing here routes)"},
        TOKEN_ISSUER_FLAGS(options.tokens),
        APISERVER_ETCD_FLAGS(options.etcd, etcd),
        {"detach", FLAG_BOOL, &options.detach, NULL, "go to the background once ready; the log is DIR/log"},
    };
    const Command command = {
        .name = "lighter up",
        .usage = "lighter up [flags]",
        .about = "Starts the cluster of the data directory, or a new one: API server, controllers, scheduler, nodes.\n"
                 "SIGTERM and SIGINT stop it and leave containers running; the next 'lighter up' adopts them.",
        .flags = flags,
        .n_flags = ELEMENTSOF(flags)};
    uint64_t begin = now_monotonic_ns();
    int n, ready_fd = -1;
    options.flags = flags;
    options.n_flags = ELEMENTSOF(flags);
    FlagsResult parsed = flags_parse(&command, argc, argv, &n);
    if (parsed != FLAGS_OK)
        return parsed == FLAGS_HELP ? 0 : 2;
    if (options.port > UINT16_MAX || options.nodes < 0 || options.nodes > MAX_NODES) {
        fprintf(stderr, "lighter up: --port goes to 65535 and --nodes to %d; see 'lighter up --help'\n", MAX_NODES);
        return 2;
    }
    if (!apiserver_etcd_flags_ok("lighter up", &options.etcd, &etcd) ||
        !token_issuer_options_ok("lighter up", &options.tokens))
        return 2;
    if (geteuid() != 0) {
        fprintf(stderr, "lighter up: needs to be root: containers need namespaces, mounts and cgroups\n");
        return 1;
    }
    if (options.detach) {
        _cleanup_free_ char *log_path = xasprintf("%s/log", options.dir);
        int r = fs_mkdir_p(options.dir, 0755);
        ready_fd = r < 0 ? r : detach(log_path);
        if (ready_fd < 0) {
            fail("go to the background", NULL, ready_fd);
            return 1;
        }
    }
    return run(&options, ready_fd, begin);
}
