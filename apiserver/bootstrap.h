/* What a cluster has from its first start: namespaces and priority classes. Written through the
 * core as system:apiserver, and only what is missing. */
#pragma once

#include "apiserver/handlers/api.h"
#include "apiserver/health.h"

typedef struct BootstrapSpec {
    const char *advertise; /* where pods reach this server */
    uint16_t port;
    const char *service_range; /* of one address family */
    const char *service_ip;    /* its first */
    Health *health;
} BootstrapSpec;
/* Runs fn(0) to fn(n - 1) side by side on a few threads, so that what they write waits for the disk together. Returns
 * when all have: 0, or an error of one of them. */
int bootstrap_together(size_t n, int (*fn)(size_t index, void *userdata), void *userdata);
int bootstrap_cluster(ApiCore *core, Health *health);
/* Makes the object of this JSON unless it is there; with `replace`, one that differs in a member besides its metadata
 * is overwritten. Errors are logged. */
int bootstrap_ensure(ApiCore *core, const char *group, const char *version, const char *plural, const char *ns,
                     const char *name, const char *json, bool replace);
/* As field manager `manager`; NULL: the server. */
int bootstrap_ensure_by(ApiCore *core, const char *manager, const char *group, const char *version, const char *plural,
                        const char *ns, const char *name, const char *json, bool replace);
/* Gives an object that is there this status, unless it has conditions. Errors are logged. */
int bootstrap_ensure_status(ApiCore *core, const char *group, const char *version, const char *plural, const char *ns,
                            const char *name, const char *json);
/* The N-th address of a range: with 1, 10.96.0.1 of 10.96.0.0/16. -EINVAL. */
int service_range_address(const char *range, uint8_t n, char out[64]);
