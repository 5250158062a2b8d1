/* The HTTPS port that a daemon of the control plane has for itself (the scheduler's 10259, the controllers' 10257):
 * health checks, metrics and other pages, for whom the API server lets see them, as k8s.io/apiserver's SecureServing
 * with delegated authentication and authorization has it. Any method does; what is asked for is a row of `pages`, a
 * health check, /metrics/slis, /flagz or /statusz (as text). */
#pragma once

#include "base/flags.h"
#include "daemon/checks.h"
#include "daemon/delegate.h"

#define DAEMON_THREADS 4                   /* requests that are answered at once */
#define DAEMON_QUEUE 64                    /* and that wait for it; past it 429 */
#define DAEMON_CONNECTIONS 256             /* open at once */
#define DAEMON_PAGE_MAX (64 * 1024 * 1024) /* bytes; /metrics/resources has lines for each pod */
#define DAEMON_REVIEW_TTL_NS                                                                                           \
    (10 * NS_PER_SEC)                   /* answers of the API server are remembered for so long: the reference's */
#define DAEMON_STOP_NS (5 * NS_PER_SEC) /* at the end replies under way have so long, as in kube-scheduler */

typedef struct DaemonServer DaemonServer;

#define DAEMON_DEFAULT_PORT (-1) /* the component's own */
#define DAEMON_ANY_PORT (-2)     /* a free one */

/* What the flags say; DAEMON_SERVING_DEFAULTS first. */
typedef struct DaemonServing {
    int64_t port; /* or one of these; 0: nothing is served */
    const char *bind, *cert_file, *key_file, *client_ca_file, *authentication_kubeconfig, *authorization_kubeconfig;
    FlagList always_allow; /* empty: the default */
} DaemonServing;
#define DAEMON_SERVING_DEFAULTS                                                                                        \
    { .port = DAEMON_DEFAULT_PORT }
#define DAEMON_SERVING_FLAGS(serving, default_port)                                                                    \
    {"secure-port", FLAG_INT, &(serving).port, "PORT",                                                                 \
     "of health checks and metrics, HTTPS (" default_port ", or none when that is taken; 0: none)"},                   \
        {"bind-address", FLAG_STRING, &(serving).bind, "ADDRESS", "that port listens there (0.0.0.0)"},                \
        {"tls-cert-file", FLAG_STRING, &(serving).cert_file, "FILE", "its certificate (a self-signed one)"},           \
        {"tls-private-key-file", FLAG_STRING, &(serving).key_file, "FILE", "the key of that"},                         \
        {"client-ca-file", FLAG_STRING, &(serving).client_ca_file, "FILE",                                             \
         "the CA that clients' certificates must be of (what the API server publishes)"},                              \
        {"authentication-kubeconfig", FLAG_STRING, &(serving).authentication_kubeconfig, "FILE",                       \
         "how to ask who clients are (not at all: they are anonymous)"},                                               \
        {"authorization-kubeconfig", FLAG_STRING, &(serving).authorization_kubeconfig, "FILE",                         \
         "how to ask what they may do (not at all: only what is always allowed)"},                                     \
    {                                                                                                                  \
        "authorization-always-allow-paths", FLAG_LIST, &(serving).always_allow, "PATH,...",                            \
            "these need no permission; a * at the end: all that begin so (/healthz,/readyz,/livez)"                    \
    }

typedef struct DaemonPage {
    const char *path, *content_type;
    bool sniffs; /* x-content-type-options is left out, where the reference does */
    void (*write)(Buf *out, void *userdata);
} DaemonPage;
#define DAEMON_METRICS_TYPE "text/plain; version=0.0.4; charset=utf-8"

typedef struct DaemonServerConfig { /* all of it is borrowed until daemon_server_stop */
    const char *component;          /* "kube-scheduler" */
    uint16_t default_port;
    const char *default_bind; /* NULL: 0.0.0.0 */
    const DaemonServing *serving;
    /* Who is asked about clients: these, or those of the serving's kubeconfigs. NULL and no kubeconfig: nobody. */
    Client *authentication, *authorization;
    /* What `kubeconfig` leads to, which a kubeconfig of the serving may name too. */
    Client *client;
    const char *kubeconfig;
    Checks *checks;
    const DaemonPage *pages;
    size_t n_pages;
    const Flag *flags; /* for /flagz, read at start */
    size_t n_flags;
    void *userdata;
} DaemonServerConfig;
/* 0 with *ret NULL: nothing is served, as was asked for, or because the default port is taken (a warning; another
 * cluster on this machine has it). Negative errno: logged. */
int daemon_server_start(const DaemonServerConfig *config, DaemonServer **ret);
uint16_t daemon_server_port(const DaemonServer *server);
/* Lets replies under way end. */
void daemon_server_stop(DaemonServer *server);
DEFINE_CLEANUP(DaemonServer, daemon_server_stop)

/* Does this list of paths hold `path`? For tests. */
bool daemon_path_allowed(const FlagList *list, const char *path);
