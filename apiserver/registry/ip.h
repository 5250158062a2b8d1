/* IP addresses and ranges in API fields: Go's rules of parsing and printing (net, net/netip, k8s.io/utils/net) and the
 * reference's checks of them (k8s.io/apimachinery/pkg/util/validation/ip.go). Pure; any thread. */
#pragma once

#include "apiserver/registry/strategy.h"

#define IP_TEXT_MAX 48

typedef struct Ip {
    uint8_t bytes[16]; /* IPv4 in the last four, below ::ffff:0:0/96 */
    bool v6;           /* false for IPv4, also when it was written as ::ffff:1.2.3.4 */
    bool mapped;       /* written so */
} Ip;

typedef struct IpRange {
    Ip base;      /* the first address: host bits cleared */
    Ip address;   /* as written */
    unsigned len; /* of the prefix, within 32 or 128 */
    bool v6;
} IpRange;

/* Leading zeros in IPv4 are read as decimal (ParseIPSloppy). */
bool ip_parse(const char *text, Ip *ret);
bool ip_range_parse(const char *text, IpRange *ret);
char *ip_format(const Ip *ip, char out[IP_TEXT_MAX]); /* Go's net.IP.String */
char *ip_range_text(Arena *arena, const IpRange *range);
bool ip_range_contains(const IpRange *range, const Ip *ip);
bool ip_range_contains_range(const IpRange *outer, const IpRange *inner);
bool ip_is_v6_text(const char *text); /* an address, and IPv6 */
int ip_compare(const Ip *a, const Ip *b);

/* Fields that were once checked loosely: `was` (a list of strings) names values that stay allowed. */
void ip_legacy_validate(FieldErrors *errors, const FieldPath *path, const char *text, const Value *was);
void ip_range_legacy_validate(FieldErrors *errors, const FieldPath *path, const char *text, const Value *was);
/* Canonical form is required. */
void ip_validate(FieldErrors *errors, const FieldPath *path, const char *text);
void ip_range_validate(FieldErrors *errors, const FieldPath *path, const char *text);
/* Neither unspecified, loopback nor link-local. */
void ip_endpoint_validate(FieldErrors *errors, const FieldPath *path, const char *text);
void ip_warn(StrategyContext *context, const FieldPath *path, const char *text);
void ip_range_warn(StrategyContext *context, const FieldPath *path, const char *text);
/* Of a status.loadBalancer: the addresses of its ingress. For Strategy.warn_status_update. */
void ip_warn_balancer(StrategyContext *context, const Value *object);
