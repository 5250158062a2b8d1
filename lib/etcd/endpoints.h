/* Where an etcd cluster is: the servers of one cluster, and connecting to any of them. Immutable once made; any thread.
 */
#pragma once

#include "grpc/client.h"

#define ETCD_CONNECT_NS (5ull * 1000000000) /* for one server; as etcd's own client */
/* A server that is silent for so long while it owes us something is asked for a sign of life, and has as long to give
 * one; kube-apiserver's client waits 30 s, but does not depend on one connection. etcd turns away who asks more often
 * than every 5 s (--grpc-keepalive-min-time). */
#define ETCD_KEEPALIVE_SECONDS 6
#define ETCD_MESSAGE_MAX (64u * 1024 * 1024) /* of an answer: a page of a load, or a batch of events */
#define ETCD_ENDPOINTS_MAX 64

typedef struct EtcdConfig {
    /* "http://127.0.0.1:2379", "https://etcd-1:2379"; each entry one or several with commas between; NULL-terminated.
     * Without a scheme: https when there is any of the files below. */
    const char *const *servers;
    const char *ca_file, *cert_file, *key_file; /* NULL: none */
} EtcdConfig;

typedef struct EtcdEndpoints EtcdEndpoints;

/* -EINVAL with a sentence in *ret_error (owned by the caller): an address that is none. */
int etcd_endpoints_new(const EtcdConfig *config, EtcdEndpoints **ret, char **ret_error);
void etcd_endpoints_free(EtcdEndpoints *endpoints);
DEFINE_CLEANUP(EtcdEndpoints, etcd_endpoints_free)
/* Connects to server *at (modulo their number), else to the next ones; *at is then the one that answered, or that was
 * not tried for want of time. A server that says nothing costs half of ETCD_CONNECT_NS when there are others. Errors:
 * of the last one, as grpc_open. */
int etcd_connect(const EtcdEndpoints *endpoints, size_t *at, uint64_t deadline_ns, GrpcConnection **ret);
/* The servers, for messages: "http://a:1,http://b:2". */
const char *etcd_endpoints_text(const EtcdEndpoints *endpoints);
