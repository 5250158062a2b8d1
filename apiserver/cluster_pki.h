/* The keys and certificates of a cluster, below DIR/pki, and the kubeconfigs made of them. The authority and the key
 * for tokens may be in a directory that several servers share; what a server signs for itself is its own. */
#pragma once

#include "http/pki.h"

typedef struct ClusterPki {
    PkiCa *ca;
    char *dir, *ca_file, *server_cert, *server_key, *token_key, *token_public, *node_client_cert, *node_client_key;
    /* Of front proxies, who name the user they speak for: their own CA, and our certificate of it. */
    char *front_ca_file, *front_client_cert, *front_client_key;
} ClusterPki;

typedef struct ClusterPkiSpec {
    const char *data_dir, *advertise, *service_ip;
    const char *cluster_address;    /* as in server.h */
    const char *cluster_dir;        /* holds ca.crt, ca.key, sa.key and sa.pub, made when absent; NULL: data_dir/pki */
    const char *const *extra_names; /* NULL-terminated; NULL: none */
} ClusterPkiSpec;
#define CLUSTER_PKI_FRONT_NAME "front-proxy-client" /* as kubeadm names it */
int cluster_pki_open(const ClusterPkiSpec *spec, ClusterPki *ret);
void cluster_pki_done(ClusterPki *pki);

/* A client certificate (kept below DIR/pki/clients) and a kubeconfig with everything in it, mode 0600, at `path`. */
int cluster_pki_kubeconfig(const ClusterPki *pki, const char *server_url, const char *name, const char *user,
                           const char *const *organizations, const char *path);
/* The same of a certificate that is there. */
int cluster_pki_write_kubeconfig(const ClusterPki *pki, const char *server_url, const char *name, const char *cert_file,
                                 const char *key_file, const char *path);
