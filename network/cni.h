/* The Container Network Interface, specification 1.0: runs the plugins of a network list to attach a network namespace,
 * check it and detach it. What an ADD was made with is kept in cache_dir until the DEL has succeeded, so that a
 * namespace can be detached after a crash and after the configuration has changed. Blocking; thread-safe. */
#pragma once

#include "base/buf.h"

typedef struct CniNetwork {
    const char *bin_dir;   /* where the plugins are; several, separated by ':' */
    const char *conf_dir;  /* its first *.conflist (or *.conf) in alphabetic order is the network */
    const char *cache_dir; /* made when missing */
} CniNetwork;

typedef struct CniPort {
    const char *protocol; /* "tcp", "udp", "sctp" */
    uint16_t container_port, host_port;
    const char *host_ip; /* NULL or "": every address */
} CniPort;

typedef struct CniAttachment {
    const char *container_id, *netns_path;
    const char *interface;                          /* NULL: eth0 */
    const char *pod_namespace, *pod_name, *pod_uid; /* for CNI_ARGS; NULL: none */
    const CniPort *ports;                           /* for plugins with the capability portMappings */
    size_t n_ports;
} CniAttachment;

typedef struct CniResult {
    char **ips; /* without prefix length, NULL-terminated; owned */
    size_t n_ips;
} CniResult;
void cni_result_done(CniResult *result);

#define CNI_TIMEOUT_SECONDS 60 /* for one plugin */
#define CNI_CONFIG_MAX (1024 * 1024)

/* A failed ADD is undone (DEL) before it returns. Errors: -ENOENT without a network list, -EINVAL for one that is not
 * valid, -EIO when a plugin refuses (its message in *ret_error), -ETIMEDOUT. */
int cni_add(const CniNetwork *network, const CniAttachment *attachment, CniResult *ret, char **ret_error);
int cni_check(const CniNetwork *network, const CniAttachment *attachment, char **ret_error);
/* Idempotent: 0 when nothing is known of the attachment, and when the namespace is gone already. */
int cni_del(const CniNetwork *network, const CniAttachment *attachment, char **ret_error);
/* Is there a usable network list? -ENOENT or -EINVAL with the reason (the node's NetworkReady condition). */
int cni_status(const CniNetwork *network, char **ret_error);
