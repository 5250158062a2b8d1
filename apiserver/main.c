/* lighter-apiserver: the API server as a daemon of its own. */
#define LOG_COMPONENT "apiserver"
#include "apiserver/server.h"
#include "base/clock.h"
#include "base/flags.h"
#include "base/log.h"
#include "base/str.h"

#include <signal.h>
#include <stdio.h>

static void on_signal(_unused_ Source *source, _unused_ int signo, void *userdata) {
    loop_exit(userdata, 0);
}

static int serve(const ApiServerConfig *config, const FlagList *nodes) {
    _cleanup_(loop_freep) Loop *loop = NULL;
    _cleanup_(source_unrefp) Source *term = NULL, *interrupt = NULL;
    _cleanup_(apiserver_stopp) ApiServer *server = NULL;
    uint64_t started = now_monotonic_ns();
    if (loop_new(&loop) < 0 || loop_add_signal(loop, SIGTERM, on_signal, loop, &term) < 0 ||
        loop_add_signal(loop, SIGINT, on_signal, loop, &interrupt) < 0) {
        log_error("cannot start: the event loop: %m");
        return 1;
    }
    signal(SIGPIPE, SIG_IGN);
    if (apiserver_start(config, &server) < 0)
        return 1;
    for (size_t i = 0; i < nodes->n; i++) {
        static const char *const local[] = {"127.0.0.1", NULL};
        NodeCredentials credentials = {0};
        if (apiserver_node_credentials(server, nodes->items[i], local, &credentials) < 0)
            return 1;
        node_credentials_done(&credentials);
    }
    printf("ready on port %u in %.3f s\n", apiserver_port(server), (double)(now_monotonic_ns() - started) / 1e9);
    fflush(stdout);
    return loop_run_daemon(loop);
}

int main(int argc, char **argv) {
    ApiServerConfig config = {.data_dir = "/var/lib/lighter", .etcd = APISERVER_ETCD_DEFAULTS};
    int64_t port = APISERVER_DEFAULT_PORT, threads = 0;
    TokenIssuerOptions tokens = TOKEN_ISSUER_DEFAULTS;
    FlagList names = {0}, etcd = {0}, nodes = {0}, enabled = {0}, disabled = {0};
    const Flag flags[] = {
        {"data-dir", FLAG_STRING, &config.data_dir, "DIR",
         "where the store, keys and kubeconfigs are (/var/lib/lighter)"},
        {"bind", FLAG_STRING, &config.bind, "ADDRESS", "listen there (127.0.0.1)"},
        {"port", FLAG_INT, &port, "PORT", "listen there (6443; 0: any free one)"},
        {"advertise-address", FLAG_STRING, &config.advertise, "ADDRESS",
         "where others reach this server (what it binds)"},
        {"tls-san", FLAG_LIST, &names, "NAME",
         "a further name or address in the server's certificate; may be repeated"},
        {"token-auth-file", FLAG_STRING, &config.token_auth_file, "FILE",
         "static tokens: token,user,uid,\"group1,group2\""},
        {"service-cluster-ip-range", FLAG_STRING, &config.service_cluster_ip_range, "CIDR",
         "addresses of services (10.96.0.0/16)"},
        APISERVER_DESCRIPTIONS_FLAG(config.openapi_descriptions),
        {"kubeconfig", FLAG_STRING, &config.kubeconfig, "FILE", "write the administrator's kubeconfig there too"},
        {"node-credentials", FLAG_LIST, &nodes, "NAME",
         "write a kubeconfig for the node agent of this name; may be repeated"},
        {"enable-admission-plugins", FLAG_LIST, &enabled, "NAMES",
         "admission plugins to add, with commas between; may be repeated"},
        {"disable-admission-plugins", FLAG_LIST, &disabled, "NAMES",
         "admission plugins to leave out, with commas between; may be repeated"},
        {"cluster-pki-dir", FLAG_STRING, &config.cluster_pki_dir, "DIR",
         "ca.crt, ca.key, sa.key and sa.pub, which servers of one etcd must share (DATA/pki; made when absent)"},
        TOKEN_ISSUER_FLAGS(tokens),
        APISERVER_ETCD_FLAGS(config.etcd, etcd),
        {"threads", FLAG_INT, &threads, "N", "threads that serve connections (one a core)"},
    };
    const Command command = {
        .name = "lighter-apiserver",
        .usage = "lighter-apiserver [flags]",
        .about =
            "Serves the Kubernetes API from a store in one directory, or from an etcd cluster that other servers may\n"
            "share.",
        .flags = flags,
        .n_flags = ELEMENTSOF(flags),
    };
    int n;
    FlagsResult r = flags_parse(&command, argc, argv, &n);
    if (r != FLAGS_OK)
        return r == FLAGS_HELP ? 0 : 2;
    if (port < 0 || port > 65535 || threads < 0 || threads > 1024) {
        fprintf(stderr, "lighter-apiserver: --port is 0 to 65535 and --threads 0 to 1024\n");
        return 2;
    }
    if (!apiserver_etcd_flags_ok("lighter-apiserver", &config.etcd, &etcd) ||
        !token_issuer_options_ok("lighter-apiserver", &tokens))
        return 2;
    config.tokens = &tokens;
    config.port = (uint16_t)port;
    config.threads = (unsigned)threads;
    config.enabled_admission = enabled.n ? enabled.items : NULL;
    config.disabled_admission = disabled.n ? disabled.items : NULL;
    config.flags = flags;
    config.n_flags = ELEMENTSOF(flags);
    config.extra_names = names.n ? names.items : NULL;
    return serve(&config, &nodes);
}
