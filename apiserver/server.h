/* The API server as a whole: store, core, filters and front door, made from one configuration. Used by
 * lighter-apiserver's main and by `lighter up`. */
#pragma once

#include "apiserver/handlers/http.h"
#include "apiserver/local.h"

#define APISERVER_DEFAULT_PORT 6443
#define APISERVER_SERVICE_RANGE "10.96.0.0/16"
#define APISERVER_STOP_NS (5ull * 1000000000) /* for replies under way at the end */

typedef struct ApiServerConfig {
    const char *data_dir;  /* made when absent; holds store.db, pki/, kubeconfig, kubeconfigs/ */
    const char *bind;      /* NULL: 127.0.0.1 */
    uint16_t port;         /* 0: any free one */
    const char *advertise; /* address others reach us at; NULL: bind, or 127.0.0.1 for a wildcard */
    /* A further address to listen at, where nodes and pods reach us when they cannot reach `advertise`: it is the
     * endpoint of default/kubernetes and the server of the nodes' kubeconfigs. NULL: none. */
    const char *cluster_address;
    const char *const
        *extra_names; /* more addresses and names for the server's certificate; NULL-terminated; NULL: none */
    const char *token_auth_file;          /* NULL: none */
    const char *service_cluster_ip_range; /* NULL: APISERVER_SERVICE_RANGE */
    const char *kubeconfig;               /* a second place for the administrator's kubeconfig; NULL: none */
    /* Names of admission plugins, each entry one or several with commas between; NULL-terminated; NULL: none. */
    const char *const *enabled_admission, *const *disabled_admission;
    unsigned threads; /* 0: one per core */
} ApiServerConfig;

/* Listening and ready to serve when it returns. Errors are logged. */
int apiserver_start(const ApiServerConfig *config, ApiServer **ret);
/* Ends connections in order; everything acknowledged is durable before. */
void apiserver_stop(ApiServer *server);
DEFINE_CLEANUP(ApiServer, apiserver_stop)
uint16_t apiserver_port(const ApiServer *server);
ApiHttp *apiserver_http(ApiServer *server);
ApiCore *apiserver_core(ApiServer *server);

/* Credentials for a node agent: DIR/pki/nodes/NAME.{crt,key} (client system:node:NAME and server for `addresses`,
 * NULL-terminated) and DIR/kubeconfigs/node-NAME.kubeconfig. *ret_kubeconfig is owned by the caller. */
typedef struct NodeCredentials {
    char *kubeconfig, *cert_file, *key_file, *ca_file;
} NodeCredentials;
int apiserver_node_credentials(ApiServer *server, const char *node, const char *const *addresses, NodeCredentials *ret);
void node_credentials_done(NodeCredentials *credentials);
