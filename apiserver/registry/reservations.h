/* What services hold of what there is only one of: cluster IPs and node ports. A reservation is an object of the store
 * whose name is what is reserved, so that making it is atomic and outlives a crash: an IPAddress of networking.k8s.io
 * for a cluster IP, as the reference has it; a private row for a node port. Each names the service that holds it. One
 * whose service is gone, or no longer has it, and that is older than RESERVATION_GRACE is left over from a crash: it is
 * taken away when somebody needs its place. */
#pragma once

#include "apiserver/registry/ip.h"

#define RESERVATION_GRACE_S 60

typedef struct Holder {
    const char *ns, *name;
} Holder;

/* Why a reservation failed, in the reference's words; static or in the context's arena. */
typedef const char *ReservationError;
#define RESERVATION_FULL "range is full"

/* The ranges services take their addresses from: of the ServiceCIDRs that are ready, and of the settings until there is
 * the one that is made of them. */
typedef struct ServiceRanges {
    IpRange *items; /* in the arena */
    size_t n;
    bool v4, v6;     /* families of the settings */
    bool default_v6; /* the first of them */
} ServiceRanges;
ServiceRanges service_ranges(StrategyContext *context);

/* NULL when done. A dry run reserves nothing. */
ReservationError ip_reserve(StrategyContext *context, const Holder *holder, const char *text);
ReservationError ip_reserve_any(StrategyContext *context, const Holder *holder, bool v6, char **ret);
void ip_release(StrategyContext *context, const Holder *holder, const char *text);

ReservationError port_reserve(StrategyContext *context, const Holder *holder, int64_t port);
ReservationError port_reserve_any(StrategyContext *context, const Holder *holder, int64_t *ret);
void port_release(StrategyContext *context, const Holder *holder, int64_t port);
