/* A Service and the endpoints of its slices as what carries traffic reads them: parsed once, checked, with the defaults
 * of the API. Addresses that do not parse, and those of the other family, are left out. Pure; everything is in the
 * caller's arena. */
#pragma once

#include "api/object.h"

#define SERVICE_AFFINITY_SECONDS 10800 /* ClientIP without a timeout, as the API's default */

typedef struct ServicePortView {
    const char *name;     /* "" for the only one without a name */
    const char *protocol; /* "tcp", "udp", "sctp" */
    uint16_t port;
    uint16_t node_port; /* 0: none */
} ServicePortView;

typedef struct ServiceView {
    const char *ns, *name;
    const char *type;          /* "ClusterIP", ... */
    const char *external_name; /* of type ExternalName; else NULL */
    const char *cluster_ip;    /* IPv4; NULL: none */
    bool headless;             /* clusterIP "None" */
    bool other_proxy;          /* a label hands it to another proxy */
    bool publish_not_ready;
    const char **external_ips, **ingress_ips, **source_ranges; /* NULL-terminated; never NULL */
    int64_t affinity_seconds;                                  /* 0: no session affinity */
    bool internal_local, external_local;                       /* traffic policies */
    uint16_t health_check_port;                                /* 0: none */
    ServicePortView *ports;
    size_t n_ports;
} ServiceView;
/* Does a label of this Service or slice hand it to another proxy, or say that it needs none? */
bool service_is_for_others(const Object *object);
void service_view(Arena *arena, const Object *service, ServiceView *ret);
/* Can it be reached by anything but its cluster IP? */
bool service_is_external(const ServiceView *service, const ServicePortView *port);

typedef struct EndpointView {
    const char *ip; /* IPv4 */
    uint16_t port;
    const char *node;     /* NULL: unknown */
    const char *hostname; /* NULL: none */
    bool ready, serving, terminating;
    const char **zone_hints, **node_hints; /* NULL-terminated; never NULL */
} EndpointView;

typedef struct EndpointViews {
    EndpointView *items;
    size_t n;
} EndpointViews;
/* The endpoints that stand behind one port, each address and port once; every slice is of the same Service. `port`
 * NULL: all addresses whatever their ports, with port 0 (names of a headless Service). Sorted by address and port. */
void service_endpoints(Arena *arena, Object *const *slices, size_t n_slices, const ServicePortView *port,
                       EndpointViews *ret);
