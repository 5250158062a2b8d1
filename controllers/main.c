/* lighter-controllers: the controllers as a daemon of their own. */
#define LOG_COMPONENT "controllers"
#include "controllers/controllers.h"

#include "base/flags.h"
#include "base/fs.h"
#include "base/log.h"
#include "client/kubeconfig.h"
#include "client/leader.h"
#include "controllers/server.h"
#include "loop/loop.h"

#include <malloc.h>
#include <signal.h>
#include <stdio.h>

#define CA_FILE_MAX (1024 * 1024)

typedef struct Daemon {
    const char *kubeconfig, *root_ca_file;
    bool elects;
    DaemonServing serving;
    const Flag *flags; /* what all of this was read from */
    size_t n_flags;
    Loop *loop;
    ControllersConfig config;
    ControllersServer *server;
    Controllers *controllers;
} Daemon;

static void on_signal(_unused_ Source *source, _unused_ int signo, void *userdata) {
    loop_exit(userdata, 0);
}

static void lead(void *userdata) {
    Daemon *daemon = userdata;
    if (controllers_start(&daemon->config, &daemon->controllers) < 0)
        loop_exit(daemon->loop, 1);
    else
        controllers_server_run(daemon->server, daemon->controllers);
}

static int run(Daemon *daemon) {
    Leader *leader = NULL;
    if (!daemon->elects)
        lead(daemon);
    else {
        leader = leader_of_component(daemon->config.client, "kube-controller-manager", daemon->loop, lead, daemon);
        if (!leader)
            return 1;
        controllers_server_elect(daemon->server, leader);
    }
    int code = loop_run_daemon(daemon->loop);
    controllers_server_stop(TAKE_PTR(daemon->server)); /* it looks at the others */
    controllers_stop(TAKE_PTR(daemon->controllers));
    leader_free(leader);
    return code;
}

/* The CA that is published to every namespace: --root-ca-file, else the kubeconfig's. */
static char *read_root_ca(const char *path, const Kubeconfig *kubeconfig) {
    char *pem = NULL;
    size_t n;
    if (!path)
        return xstrdup(kubeconfig->ca_pem);
    int r = fs_read_file(path, CA_FILE_MAX, &pem, &n);
    if (r < 0)
        log_error("cannot read --root-ca-file %s: %s", path, strerror(-r));
    return pem;
}

static int serve(Daemon *daemon) {
    _cleanup_(loop_freep) Loop *loop = NULL;
    _cleanup_(client_freep) Client *client = NULL;
    _cleanup_(source_unrefp) Source *term = NULL, *interrupt = NULL;
    _cleanup_free_ char *error = NULL, *ca = NULL;
    _cleanup_kubeconfig_ Kubeconfig kubeconfig = {0};
    if (loop_new(&loop) < 0 || loop_add_signal(loop, SIGTERM, on_signal, loop, &term) < 0 ||
        loop_add_signal(loop, SIGINT, on_signal, loop, &interrupt) < 0) {
        log_error("cannot start: the event loop: %m");
        return 1;
    }
    if (kubeconfig_load(daemon->kubeconfig, NULL, &kubeconfig, &error) < 0 ||
        client_http_from_kubeconfig(daemon->kubeconfig, "kube-controller-manager", &client, &error) < 0) {
        log_error("cannot use kubeconfig: %s", error);
        return 1;
    }
    ca = read_root_ca(daemon->root_ca_file, &kubeconfig);
    if (daemon->root_ca_file && !ca)
        return 1;
    daemon->loop = loop;
    daemon->config.client = client;
    daemon->config.host = NULL; /* the reference's controllers leave source.host empty */
    daemon->config.root_ca_pem = ca;
    const ControllersServerConfig server = {.daemon = {.serving = &daemon->serving,
                                                       .kubeconfig = daemon->kubeconfig,
                                                       .flags = daemon->flags,
                                                       .n_flags = daemon->n_flags},
                                            .controllers = &daemon->config,
                                            .elects = daemon->elects};
    return controllers_server_start(&server, &daemon->server) < 0 ? 1 : run(daemon);
}

int main(int argc, char **argv) {
    Daemon daemon = {.config.service_accounts = true, .serving = DAEMON_SERVING_DEFAULTS};
    int64_t mask = 0;
    const Flag flags[] = {
        {"kubeconfig", FLAG_STRING, &daemon.kubeconfig, "FILE",
         "how to reach the API server, as system:kube-controller-manager"},
        {"leader-elect", FLAG_BOOL, &daemon.elects, NULL,
         "run only while holding the Lease kube-system/kube-controller-manager"},
        {"controllers", FLAG_STRING, &daemon.config.enabled, "LIST",
         "\"*\" all, \"foo\" this one, \"-foo\" not this one; comma separated (*)"},
        {"root-ca-file", FLAG_STRING, &daemon.root_ca_file, "FILE",
         "CA for kube-root-ca.crt in every namespace (the kubeconfig's)"},
        {"use-service-account-credentials", FLAG_BOOL, &daemon.config.service_accounts, NULL,
         "each controller acts as its own service account in kube-system (yes); =false: as the kubeconfig's user, who "
         "must then be allowed everything"},
        {"service-account-private-key-file", FLAG_STRING, &daemon.config.service_account_key_file, "FILE",
         "signs the tokens of service account token secrets (none are made)"},
        {"cluster-signing-cert-file", FLAG_STRING, &daemon.config.signing_cert_file, "FILE",
         "CA that signs certificate requests (none are signed)"},
        {"cluster-signing-key-file", FLAG_STRING, &daemon.config.signing_key_file, "FILE", "its key"},
        {"cluster-cidr", FLAG_STRING, &daemon.config.cluster_cidr, "CIDR",
         "give each node a part of it as its podCIDR"},
        {"node-cidr-mask-size", FLAG_INT, &mask, "BITS", "size of a node's part (24)"},
        {"terminated-pod-gc-threshold", FLAG_INT, &daemon.config.terminated_pod_gc_threshold, "N",
         "finished pods kept before the oldest are deleted (12500)"},
        {"node-monitor-period", FLAG_DURATION, &daemon.config.node_monitor_period_ns, "TIME",
         "how often nodes are looked at (5s)"},
        {"node-monitor-grace-period", FLAG_DURATION, &daemon.config.node_monitor_grace_ns, "TIME",
         "silence after which a node's status is Unknown (50s)"},
        {"node-startup-grace-period", FLAG_DURATION, &daemon.config.node_startup_grace_ns, "TIME",
         "the same for a node that has just started (1m)"},
        DAEMON_SERVING_FLAGS(daemon.serving, CONTROLLERS_PORT_TEXT),
    };
    const Command command = {
        .name = "lighter-controllers",
        .usage = "lighter-controllers --kubeconfig FILE [flags]",
        .about = "Runs the controllers: Deployments, ReplicaSets, Jobs, namespaces, garbage collection, "
                 "nodes, endpoints and others.",
        .flags = flags,
        .n_flags = ELEMENTSOF(flags)};
    int n;
    FlagsResult r = flags_parse(&command, argc, argv, &n);
    if (r != FLAGS_OK)
        return r == FLAGS_HELP ? 0 : 2;
    if (!daemon.kubeconfig) {
        fprintf(stderr, "lighter-controllers: --kubeconfig is missing; see 'lighter-controllers --help'\n");
        return 2;
    }
    daemon.config.node_cidr_mask = (int)mask;
    mallopt(M_ARENA_MAX, 2); /* many short-lived threads; an arena each would cost memory for nothing */
    daemon.flags = flags;
    daemon.n_flags = ELEMENTSOF(flags);
    return serve(&daemon);
}
