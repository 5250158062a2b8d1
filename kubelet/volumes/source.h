/* Where the kubelet's parts read what a pod refers to, and the field references of the downward API. */
#pragma once

#include "client/client.h"

typedef struct ObjectSource {
    /* `plural`: "configmaps" or "secrets". -ENOENT with *err when absent. Blocks. */
    int (*get)(void *userdata, const char *plural, const char *ns, const char *name, Object **ret, ApiError *err);
    /* POST serviceaccounts/NAME/token; *ret in the arena. */
    int (*token)(void *userdata, const char *ns, const char *account, const Value *request, Arena *arena, Value **ret,
                 ApiError *err);
    void *userdata;
} ObjectSource;

/* What a pod may ask about the node and itself beyond its own object. */
typedef struct PodFacts {
    const char *host_ip, *host_ips; /* comma-separated */
    const char *pod_ip, *pod_ips;   /* "" while there is none */
    int64_t allocatable_cpu_milli, allocatable_memory, allocatable_ephemeral;
} PodFacts;

/* "metadata.name", "metadata.labels['k']", "metadata.labels", "status.podIP", ... *ret is "" for a key that is not
 * there. -EINVAL with a sentence in the arena for a path that is not supported. */
int field_reference(Arena *arena, const Value *pod, const PodFacts *facts, const char *path, const char **ret,
                    const char **ret_error);
/* resourceFieldRef of `container` (limits.cpu, requests.memory, ...), rounded up to the divisor; a limit that is not
 * set is the node's allocatable. */
int resource_field_reference(Arena *arena, const Value *container, const PodFacts *facts, const Value *reference,
                             const char **ret, const char **ret_error);
