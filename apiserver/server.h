/* The API server as a whole: store, core, filters and front door, made from one configuration. Used by
 * lighter-apiserver's main and by `lighter up`. */
#pragma once

#include "apiserver/handlers/http.h"
#include "apiserver/local.h"
#include "apiserver/registry/api_services.h"
#include "apiserver/token_issuer.h"
#include "base/flags.h"
#include "client/kubeconfig.h"

#define APISERVER_DEFAULT_PORT 6443
#define APISERVER_SERVICE_RANGE "10.96.0.0/16"
#define APISERVER_STOP_NS (5ull * 1000000000) /* for replies under way at the end */

/* An etcd cluster as the store, which several API servers share; by default the store is a file of data_dir. */
typedef struct ApiServerEtcd {
    const char *const *servers; /* NULL: no etcd. Else NULL-terminated, each one or several URLs with commas between */
    const char *ca_file, *cert_file, *key_file; /* NULL: none */
    const char *prefix;                         /* NULL: /registry */
    int64_t compaction_ns;                      /* 0: this server does not compact; whole seconds */
} ApiServerEtcd;
#define APISERVER_ETCD_DEFAULTS ((ApiServerEtcd){.compaction_ns = 300ll * 1000000000})
/* Rows of a flag table (base/flags.h), with kube-apiserver's names; the servers go to a FlagList. */
#define APISERVER_ETCD_FLAGS(etcd, servers_list)                                                                       \
    {"etcd-servers", FLAG_LIST, &(servers_list), "URLS",                                                               \
     "keep the objects in this etcd cluster (http://HOST:PORT, with commas between; may be repeated)"},                \
        {"etcd-cafile", FLAG_STRING, &(etcd).ca_file, "FILE", "the authority of etcd's certificates"},                 \
        {"etcd-certfile", FLAG_STRING, &(etcd).cert_file, "FILE", "our certificate towards etcd"},                     \
        {"etcd-keyfile", FLAG_STRING, &(etcd).key_file, "FILE", "and its key"},                                        \
        {"etcd-prefix", FLAG_STRING, &(etcd).prefix, "PREFIX", "of all keys in etcd (/registry)"}, {                   \
        "etcd-compaction-interval", FLAG_DURATION, &(etcd).compaction_ns, "DURATION",                                  \
            "drop old states from etcd this often (5m; 0: leave it to others)"                                         \
    }
#define APISERVER_DESCRIPTIONS_FILE "/usr/local/share/lighter/openapi-descriptions.json" /* of hack/descriptions */
#define APISERVER_DESCRIPTIONS_FLAG(file)                                                                              \
    {                                                                                                                  \
        "openapi-descriptions", FLAG_STRING, &(file), "FILE",                                                          \
            "say of the API's types what this Swagger 2 document says (" APISERVER_DESCRIPTIONS_FILE                   \
            ", where it is; '': Lighter's own words)"                                                                  \
    }
/* Takes the servers over; false, with the mistake on stderr, when the flags do not go together. */
bool apiserver_etcd_flags_ok(const char *program, ApiServerEtcd *etcd, const FlagList *servers);

typedef struct ApiServerConfig {
    const char *data_dir; /* made when absent; holds store.db, pki/, kubeconfig, kubeconfigs/ */
    /* Where the cluster's authority and its key for tokens are, which servers of one etcd must share; NULL:
     * data_dir/pki. */
    const char *cluster_pki_dir;
    ApiServerEtcd etcd;
    const TokenIssuerOptions *tokens; /* NULL: TOKEN_ISSUER_DEFAULTS */
    const char *bind;                 /* NULL: 127.0.0.1 */
    uint16_t port;                    /* 0: any free one */
    const char *advertise;            /* address others reach us at; NULL: bind, or 127.0.0.1 for a wildcard */
    /* A further address to listen at, where nodes and pods reach us when they cannot reach `advertise`: it is the
     * endpoint of default/kubernetes and the server of the nodes' kubeconfigs. NULL: none; these are then at
     * `advertise`, or, for a wildcard without one, at the machine's own address (base/host_address.h). */
    const char *cluster_address;
    const char *const
        *extra_names; /* more addresses and names for the server's certificate; NULL-terminated; NULL: none */
    const char *token_auth_file;          /* NULL: none */
    const char *service_cluster_ip_range; /* NULL: APISERVER_SERVICE_RANGE */
    const char *openapi_descriptions;     /* NULL: APISERVER_DESCRIPTIONS_FILE, where it is; "": none */
    const char *kubeconfig;               /* a second place for the administrator's kubeconfig; NULL: none */
    /* Names of admission plugins, each entry one or several with commas between; NULL-terminated; NULL: none. */
    const char *const *enabled_admission, *const *disabled_admission;
    unsigned threads;  /* 0: one per core */
    const Flag *flags; /* the program's, which /flagz shows; read at start */
    size_t n_flags;
} ApiServerConfig;

/* Listening and ready to serve when it returns. Errors are logged. */
int apiserver_start(const ApiServerConfig *config, ApiServer **ret);
/* Ends connections in order; everything acknowledged is durable before. */
void apiserver_stop(ApiServer *server);
DEFINE_CLEANUP(ApiServer, apiserver_stop)
uint16_t apiserver_port(const ApiServer *server);
ApiHttp *apiserver_http(ApiServer *server);
ApiCore *apiserver_core(ApiServer *server);
/* May the user of this request do it? 0, or -EACCES with the 403 Status. For requests that did not come by the door. */
int apiserver_authorize(ApiServer *server, const ApiRequest *request, ApiError *err);
ApiServices *apiserver_api_services(ApiServer *server);
/* How to reach this very server over HTTPS as that user: a fresh client certificate, in memory only. */
int apiserver_own_kubeconfig(ApiServer *server, const UserInfo *user, Kubeconfig *ret);

/* Credentials for a node agent: DIR/pki/nodes/NAME.{crt,key} (client system:node:NAME and server for `addresses`,
 * NULL-terminated) and DIR/kubeconfigs/node-NAME.kubeconfig. *ret_kubeconfig is owned by the caller. */
typedef struct NodeCredentials {
    char *kubeconfig, *cert_file, *key_file, *ca_file;
} NodeCredentials;
int apiserver_node_credentials(ApiServer *server, const char *node, const char *const *addresses, NodeCredentials *ret);
void node_credentials_done(NodeCredentials *credentials);
