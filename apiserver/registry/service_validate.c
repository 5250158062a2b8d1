#include "apiserver/registry/pod_validate.h"
#include "apiserver/registry/services.h"
#include "apiserver/registry/validate_util.h"
#include "base/str.h"
#include "base/strmap.h"

#include <ctype.h>
#include <inttypes.h>

#define AFFINITY_SECONDS_MAX 86400
#define TOPOLOGY_HINTS "service.kubernetes.io/topology-aware-hints"
#define TOPOLOGY_MODE "service.kubernetes.io/topology-mode"
#define SOURCE_RANGES "service.beta.kubernetes.io/load-balancer-source-ranges"
#define ONLY_BALANCER "may only be used when `type` is 'LoadBalancer'"
#define ONCE_SET "may not change once set"

static void validate_given_families(FieldErrors *errors, const Value *spec, const FieldPath *spec_at) {
    static const char *const FAMILIES[] = {"IPv4", "IPv6", NULL}, *const POLICIES[] = {"PreferDualStack",
                                                                                       "RequireDualStack",
                                                                                       "SingleStack", NULL};
    const Value *families = value_get(spec, "ipFamilies");
    FieldPath families_at = FIELD(spec_at, "ipFamilies");
    for (size_t i = 0; i < value_len(families); i++) {
        const char *family = str_or(value_str(value_at(families, i)), "");
        FieldPath at = FIELD_INDEX(&families_at, i);
        check_one_of(errors, &at, family, FAMILIES);
        if (seen_before(errors, families, i, NULL, family))
            field_duplicate(errors, &at, value_at(families, i));
    }
    check_member_one_of(errors, spec, "ipFamilyPolicy", POLICIES, spec_at);
}

static bool validate_ips(FieldErrors *errors, const Value *ips, const Value *was, const FieldPath *path) {
    size_t before = errors->n;
    for (size_t i = 0; i < value_len(ips); i++) {
        const char *ip = str_or(value_str(value_at(ips, i)), "");
        FieldPath at = FIELD_INDEX(path, i);
        if (i == 0 && streq(ip, "None")) {
            if (value_len(ips) > 1)
                field_invalid(errors, path, ips, "'None' must be the first and only value");
            continue;
        }
        ip_legacy_validate(errors, &at, ip, was);
    }
    bool fine = errors->n == before;
    if (value_len(ips) > 2)
        field_invalid(errors, path, ips, "may only hold up to 2 values");
    return fine;
}

static bool spans_families(const Value *ips) {
    bool v4 = false, v6 = false;
    const Value *ip;
    VALUE_FOREACH (ip, ips) {
        bool six = ip_is_v6_text(str_or(value_str(ip), ""));
        v6 |= six;
        v4 |= !six;
    }
    return v4 && v6;
}

void service_validate_ip_fields(FieldErrors *errors, const Value *service, const Value *old) {
    const Value *spec = value_get(service, "spec"), *ips = value_get(spec, "clusterIPs");
    const Value *families = value_get(spec, "ipFamilies");
    FieldPath spec_at = FIELD(NULL, "spec"), ips_at = FIELD(&spec_at, "clusterIPs");
    const char *ip = text_at(spec, "clusterIP");
    if (!service_needs_cluster_ip(spec))
        return;
    if (*ip) {
        if (!value_len(ips))
            field_required(errors, &ips_at, "");
        else if (!streq(str_or(value_str(value_at(ips, 0)), ""), ip))
            field_invalid(errors, &ips_at, ips, "first value must match `clusterIP`");
    } else if (value_len(ips))
        field_invalid(errors, &ips_at, ips, "must be empty when `clusterIP` is not specified");
    validate_given_families(errors, spec, &spec_at);
    if (!validate_ips(errors, ips, value_path(old, "spec", "clusterIPs", NULL), &ips_at))
        return;
    if (value_len(ips) > 1 && !spans_families(ips))
        field_invalid(errors, &ips_at, ips, "may specify no more than one IP for each IP family");
    for (size_t i = 0; !service_is_headless(spec) && i < MIN(value_len(ips), value_len(families)); i++) {
        const char *family = str_or(value_str(value_at(families, i)), "");
        FieldPath at = FIELD_INDEX(&ips_at, i);
        bool v6 = ip_is_v6_text(str_or(value_str(value_at(ips, i)), ""));
        if ((streq(family, "IPv4") && v6) || (streq(family, "IPv6") && !v6))
            field_invalid(errors, &at, value_at(ips, i), "expected an %s value as indicated by `ipFamilies[%zu]`",
                          family, i);
    }
}

static void validate_external_name(FieldErrors *errors, const Value *spec, const FieldPath *spec_at) {
    static const char *const UNSET[] = {"clusterIPs", "ipFamilies", "ipFamilyPolicy"};
    const char *name = text_at(spec, "externalName");
    size_t n = strlen(name);
    FieldPath name_at = FIELD(spec_at, "externalName");
    for (size_t i = 0; i < ELEMENTSOF(UNSET); i++) {
        FieldPath at = FIELD(spec_at, UNSET[i]);
        if (!value_is_empty(value_get(spec, UNSET[i])))
            field_forbidden(errors, &at, "may not be set for ExternalName services");
    }
    name = arena_strndup(errors->arena, name, n && name[n - 1] == '.' ? n - 1 : n);
    if (*name)
        field_check_name(errors, &name_at, name, name_dns_subdomain);
    else
        field_required(errors, &name_at, "");
}

static void validate_type_and_ips(FieldErrors *errors, const Value *spec, const FieldPath *spec_at) {
    FieldPath ports_at = FIELD(spec_at, "ports"), ips_at = FIELD(spec_at, "clusterIPs"),
              first_at = FIELD_INDEX(&ips_at, 0);
    const char *type = text_at(spec, "type");
    if (!value_len(value_get(spec, "ports")) && !service_is_headless(spec) && service_needs_cluster_ip(spec))
        field_required(errors, &ports_at, "");
    if (streq(type, "ExternalName"))
        validate_external_name(errors, spec, spec_at);
    else if (service_is_headless(spec) && (streq(type, "LoadBalancer") || streq(type, "NodePort")))
        field_invalid_str(errors, &first_at, "None", "may not be set to 'None' for %s services", type);
}

static void validate_port(FieldErrors *errors, const Value *ports, size_t i, const FieldPath *path) {
    static const char *const PROTOCOLS[] = {"SCTP", "TCP", "UDP", NULL};
    const Value *port = value_at(ports, i);
    const char *name = text_at(port, "name"), *protocol = text_at(port, "protocol");
    FieldPath name_at = FIELD(path, "name"), port_at = FIELD(path, "port"), protocol_at = FIELD(path, "protocol"),
              target_at = FIELD(path, "targetPort"), app_at = FIELD(path, "appProtocol");
    if (*name) {
        field_check_name(errors, &name_at, name, name_dns_label);
        if (seen_before(errors, ports, i, "name", name))
            field_duplicate(errors, &name_at, value_get(port, "name"));
    } else if (value_len(ports) > 1)
        field_required(errors, &name_at, "");
    field_check_port(errors, &port_at, value_get_int(port, "port", 0));
    if (!*protocol)
        field_required(errors, &protocol_at, "");
    else
        check_one_of(errors, &protocol_at, protocol, PROTOCOLS);
    port_number_or_name_validate(errors, value_get(port, "targetPort"), &target_at);
    if (value_get_str(port, "appProtocol"))
        field_check_name(errors, &app_at, text_at(port, "appProtocol"), name_qualified);
}

static void validate_affinity(FieldErrors *errors, const Value *spec, const FieldPath *spec_at) {
    static const char *const AFFINITIES[] = {"ClientIP", "None", NULL};
    const char *affinity = text_at(spec, "sessionAffinity");
    const Value *config = value_get(spec, "sessionAffinityConfig"), *client = value_get(config, "clientIP");
    const Value *timeout = value_get(client, "timeoutSeconds");
    FieldPath at = FIELD(spec_at, "sessionAffinity"), config_at = FIELD(spec_at, "sessionAffinityConfig"),
              client_at = FIELD(&config_at, "clientIP"), timeout_at = FIELD(&client_at, "timeoutSeconds");
    if (!*affinity)
        field_required(errors, &at, "");
    else
        check_one_of(errors, &at, affinity, AFFINITIES);
    if (streq(affinity, "None") && value_is(config, VALUE_OBJECT))
        field_forbidden(errors, &config_at, "must not be set when session affinity is None");
    if (!streq(affinity, "ClientIP"))
        return;
    const FieldPath *missing = !value_is(config, VALUE_OBJECT)   ? &config_at
                               : !value_is(client, VALUE_OBJECT) ? &client_at
                               : !value_is(timeout, VALUE_INT)   ? &timeout_at
                                                                 : NULL;
    if (missing)
        field_required(errors, missing, "when session affinity type is ClientIP");
    else if (timeout->integer <= 0 || timeout->integer > AFFINITY_SECONDS_MAX)
        field_invalid(errors, &timeout_at, timeout, "must be greater than 0 and less than %d", AFFINITY_SECONDS_MAX);
}

static void validate_external_ips(FieldErrors *errors, const Value *spec, const Value *old, const FieldPath *spec_at) {
    const Value *ips = value_get(spec, "externalIPs");
    FieldPath ips_at = FIELD(spec_at, "externalIPs");
    for (size_t i = 0; i < value_len(ips); i++) {
        const char *ip = str_or(value_str(value_at(ips, i)), "");
        FieldPath at = FIELD_INDEX(&ips_at, i);
        size_t before = errors->n;
        ip_legacy_validate(errors, &at, ip, value_get(old, "externalIPs"));
        if (errors->n == before)
            ip_endpoint_validate(errors, &at, ip);
    }
}

/* Whether a port of the same protocol had this number before; from now on it does. */
static bool had(StrMap *before, Arena *arena, const Value *port, const char *number) {
    char *key = arena_printf(arena, "%s/%" PRId64, text_at(port, "protocol"), value_get_int(port, number, 0));
    return !strmap_add(before, key);
}

/* A duplicate is named by the Go struct of its key. */
static Value *port_key(Arena *arena, const Value *port) {
    Value *key = value_object(arena);
    value_set_str(arena, key, "Name", "");
    value_set_str(arena, key, "Protocol", text_at(port, "protocol"));
    value_set(arena, key, "AppProtocol", value_null(arena));
    value_set_int(arena, key, "Port", value_get_int(port, "port", 0));
    value_set_int(arena, key, "TargetPort", 0);
    value_set_int(arena, key, "NodePort", 0);
    return key;
}

static void validate_port_numbers(FieldErrors *errors, const Value *spec, const FieldPath *spec_at) {
    const Value *ports = value_get(spec, "ports");
    FieldPath ports_at = FIELD(spec_at, "ports");
    _cleanup_(strmap_freep) StrMap *node_ports = strmap_new(NULL), *numbers = strmap_new(NULL);
    for (size_t i = 0; service_has_type(spec, "ClusterIP") && i < value_len(ports); i++) {
        FieldPath at = FIELD_INDEX(&ports_at, i), node_at = FIELD(&at, "nodePort");
        if (value_get_int(value_at(ports, i), "nodePort", 0))
            field_forbidden(errors, &node_at, "may not be used when `type` is 'ClusterIP'");
    }
    for (size_t i = 0; i < value_len(ports); i++) {
        FieldPath at = FIELD_INDEX(&ports_at, i), node_at = FIELD(&at, "nodePort");
        if (value_get_int(value_at(ports, i), "nodePort", 0) &&
            had(node_ports, errors->arena, value_at(ports, i), "nodePort"))
            field_duplicate(errors, &node_at, value_get(value_at(ports, i), "nodePort"));
    }
    for (size_t i = 0; i < value_len(ports); i++) {
        FieldPath at = FIELD_INDEX(&ports_at, i);
        if (had(numbers, errors->arena, value_at(ports, i), "port"))
            field_duplicate(errors, &at, port_key(errors->arena, value_at(ports, i)));
    }
}

static char *trimmed(Arena *arena, const char *text) {
    size_t n;
    while (isspace((unsigned char)*text))
        text++;
    for (n = strlen(text); n && isspace((unsigned char)text[n - 1]);)
        n--;
    return arena_strndup(arena, text, n);
}

static void validate_source_annotation(FieldErrors *errors, const Value *service, const Value *old, const char *text) {
    FieldPath meta_at = FIELD(NULL, "metadata"), annotations_at = FIELD(&meta_at, "annotations"),
              at = FIELD_KEY(&annotations_at, SOURCE_RANGES);
    if (!service_has_type(value_get(service, "spec"), "LoadBalancer"))
        field_forbidden(errors, &at, ONLY_BALANCER);
    if (old && streq(str_or(annotation_of(old, SOURCE_RANGES), ""), text))
        return;
    char **parts = str_split(errors->arena, trimmed(errors->arena, text), ',', NULL);
    for (size_t i = 0; parts[i]; i++)
        ip_range_legacy_validate(errors, &at, trimmed(errors->arena, parts[i]), NULL);
}

static void validate_source_ranges(FieldErrors *errors, const Value *service, const Value *old) {
    const Value *spec = value_get(service, "spec"), *ranges = value_get(spec, "loadBalancerSourceRanges"), *item;
    const char *annotation = annotation_of(service, SOURCE_RANGES);
    FieldPath spec_at = FIELD(NULL, "spec"), ranges_at = FIELD(&spec_at, "LoadBalancerSourceRanges");
    Value *was = value_array(errors->arena);
    if (!value_len(ranges)) {
        if (annotation)
            validate_source_annotation(errors, service, old, annotation);
        return;
    }
    if (!service_has_type(spec, "LoadBalancer"))
        field_forbidden(errors, &ranges_at, ONLY_BALANCER);
    VALUE_FOREACH (item, value_path(old, "spec", "loadBalancerSourceRanges", NULL))
        value_append(errors->arena, was,
                     value_string(errors->arena, trimmed(errors->arena, str_or(value_str(item), ""))));
    for (size_t i = 0; i < value_len(ranges); i++) {
        FieldPath at = FIELD_INDEX(&ranges_at, i);
        ip_range_legacy_validate(errors, &at, trimmed(errors->arena, str_or(value_str(value_at(ranges, i)), "")), was);
    }
}

static void validate_balancer_class(FieldErrors *errors, const Value *spec, const Value *old) {
    FieldPath spec_at = FIELD(NULL, "spec"), at = FIELD(&spec_at, "loadBalancerClass");
    const Value *class = value_get(spec, "loadBalancerClass");
    bool balancer = service_has_type(spec, "LoadBalancer");
    if (old && balancer && service_has_type(old, "LoadBalancer") &&
        !(value_str(class) ? value_equal(class, value_get(old, "loadBalancerClass"))
                           : !value_str(value_get(old, "loadBalancerClass"))))
        field_invalid(errors, &at, class, ONCE_SET);
    if (!value_str(class))
        return;
    if (balancer)
        field_check_name(errors, &at, value_str(class), name_qualified);
    else
        field_forbidden(errors, &at, ONLY_BALANCER);
}

static void validate_traffic(FieldErrors *errors, const Value *spec, const FieldPath *spec_at) {
    static const char *const POLICIES[] = {"Cluster", "Local", NULL}, *const DISTRIBUTIONS[] = {"PreferClose",
                                                                                                "PreferSameZone",
                                                                                                "PreferSameNode", NULL};
    const char *policy = text_at(spec, "externalTrafficPolicy");
    int64_t health = value_get_int(spec, "healthCheckNodePort", 0);
    FieldPath policy_at = FIELD(spec_at, "externalTrafficPolicy"), health_at = FIELD(spec_at, "healthCheckNodePort"),
              internal_at = FIELD(spec_at, "internalTrafficPolicy");
    if (!service_is_reachable(spec)) {
        if (*policy)
            field_invalid_str(errors, &policy_at, policy, "may only be set for externally-accessible services");
    } else if (!*policy)
        field_required(errors, &policy_at, "");
    else
        check_one_of(errors, &policy_at, policy, POLICIES);
    if (!service_needs_health_check(spec)) {
        if (health)
            field_invalid(errors, &health_at, value_int(errors->arena, health),
                          "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'");
    } else if (!health)
        field_required(errors, &health_at, "");
    else
        field_check_port(errors, &health_at, health);
    if (!value_get_str(spec, "internalTrafficPolicy") &&
        (service_has_type(spec, "NodePort") || service_has_type(spec, "LoadBalancer") ||
         service_has_type(spec, "ClusterIP")))
        field_required(errors, &internal_at, "");
    check_member_one_of(errors, spec, "internalTrafficPolicy", POLICIES, spec_at);
    check_member_one_of(errors, spec, "trafficDistribution", DISTRIBUTIONS, spec_at);
}

static void validate_balancer_ports(FieldErrors *errors, const Value *spec, const FieldPath *spec_at) {
    bool given = value_is(value_get(spec, "allocateLoadBalancerNodePorts"), VALUE_BOOL);
    bool balancer = service_has_type(spec, "LoadBalancer");
    FieldPath at = FIELD(spec_at, "allocateLoadBalancerNodePorts"),
              alone_at = FIELD(NULL, "allocateLoadBalancerNodePorts"); /* the reference leaves "spec" out here */
    if (given && !balancer)
        field_forbidden(errors, &at, ONLY_BALANCER);
    if (!given && balancer)
        field_required(errors, &alone_at, "");
}

static void validate_whole(FieldErrors *errors, const Value *service, const Value *old) {
    static const char *const TYPES[] = {"ClusterIP", "ExternalName", "LoadBalancer", "NodePort", NULL};
    const Value *spec = value_get(service, "spec"), *old_spec = value_get(old, "spec");
    const Value *ports = value_get(spec, "ports");
    const char *hints = annotation_of(service, TOPOLOGY_HINTS), *mode = annotation_of(service, TOPOLOGY_MODE);
    FieldPath spec_at = FIELD(NULL, "spec"), ports_at = FIELD(&spec_at, "ports"), type_at = FIELD(&spec_at, "type"),
              selector_at = FIELD(&spec_at, "selector"), meta_at = FIELD(NULL, "metadata"),
              annotations_at = FIELD(&meta_at, "annotations"), mode_at = FIELD_KEY(&annotations_at, TOPOLOGY_MODE);
    if (hints && mode && !streq(hints, mode))
        field_invalid_str(errors, &mode_at, mode, "must match annotations[%s] when both are specified", TOPOLOGY_HINTS);
    validate_type_and_ips(errors, spec, &spec_at);
    for (size_t i = 0; i < value_len(ports); i++) {
        FieldPath at = FIELD_INDEX(&ports_at, i);
        validate_port(errors, ports, i, &at);
    }
    field_check_labels(errors, &selector_at, value_get(spec, "selector"));
    validate_affinity(errors, spec, &spec_at);
    service_validate_ip_fields(errors, service, old);
    validate_external_ips(errors, spec, old_spec, &spec_at);
    if (!*text_at(spec, "type"))
        field_required(errors, &type_at, "");
    else
        check_one_of(errors, &type_at, text_at(spec, "type"), TYPES);
    validate_port_numbers(errors, spec, &spec_at);
    validate_source_ranges(errors, service, old);
    validate_balancer_ports(errors, spec, &spec_at);
    validate_balancer_class(errors, spec, NULL);
    validate_traffic(errors, spec, &spec_at);
}

void service_validate(_unused_ StrategyContext *context, const Value *service, FieldErrors *errors) {
    validate_whole(errors, service, NULL);
}

static bool equal_at(const Value *a, const Value *b, size_t i) {
    return value_equal(value_at(a, i), value_at(b, i));
}

/* A second address or family may come and go; the first stays. `shown`: the value in messages about the first. */
static void validate_list_change(FieldErrors *errors, const Value *spec, const Value *old, const char *name) {
    bool is_ips = streq(name, "clusterIPs");
    const Value *now = value_get(spec, name), *was = value_get(old, name);
    const Value *ips = value_get(spec, "clusterIPs"), *policy = value_get(spec, "ipFamilyPolicy");
    FieldPath spec_at = FIELD(NULL, "spec"), at = FIELD(&spec_at, name), first_at = FIELD_INDEX(&at, 0),
              policy_at = FIELD(&spec_at, "ipFamilyPolicy");
    if (value_len(now) == value_len(was)) {
        for (size_t i = 0; i < value_len(was); i++) {
            FieldPath item_at = FIELD_INDEX(&at, is_ips ? i : 0);
            if (!equal_at(now, was, i))
                field_invalid(errors, &item_at, now, ONCE_SET);
        }
        return;
    }
    bool released = value_len(was) > value_len(now);
    if (released && !value_len(ips))
        field_invalid(errors, &first_at, now, "primary %s can not be unset", is_ips ? "clusterIP" : "ipFamily");
    if (value_len(was) && value_len(now) && !equal_at(now, was, 0))
        field_invalid(errors, &first_at, ips, ONCE_SET);
    if (released && value_len(now) == 1 && !streq(str_or(value_str(policy), ""), "SingleStack"))
        field_invalid(errors, &policy_at, policy, "must be set to 'SingleStack' when releasing the secondary %s",
                      is_ips ? "clusterIP" : "ipFamily");
}

static void validate_address_change(FieldErrors *errors, const Value *spec, const Value *old) {
    bool headless = service_is_headless(spec), was_headless = service_is_headless(old);
    if (!service_needs_cluster_ip(spec) || !service_needs_cluster_ip(old))
        return;
    if (!(headless && was_headless))
        validate_list_change(errors, spec, old, "clusterIPs");
    if (!headless && !was_headless)
        validate_list_change(errors, spec, old, "ipFamilies");
}

void service_validate_update(_unused_ StrategyContext *context, const Value *service, const Value *old_service,
                             FieldErrors *errors) {
    const Value *spec = value_get(service, "spec"), *old = value_get(old_service, "spec");
    FieldPath spec_at = FIELD(NULL, "spec"), health_at = FIELD(&spec_at, "healthCheckNodePort");
    validate_address_change(errors, spec, old);
    validate_balancer_class(errors, spec, old);
    if (service_needs_health_check(spec) && service_needs_health_check(old) &&
        value_get_int(spec, "healthCheckNodePort", 0) != value_get_int(old, "healthCheckNodePort", 0))
        field_forbidden(errors, &health_at, MUST_NOT_CHANGE);
    validate_whole(errors, service, old_service);
}

static void validate_ingress(FieldErrors *errors, const Value *ingress, const Value *was, const FieldPath *path) {
    static const char *const MODES[] = {"Proxy", "VIP", NULL};
    const char *ip = text_at(ingress, "ip"), *mode = value_get_str(ingress, "ipMode"),
               *host = text_at(ingress, "hostname");
    FieldPath ip_at = FIELD(path, "ip"), mode_at = FIELD(path, "ipMode"), host_at = FIELD(path, "hostname");
    Ip parsed;
    if (*ip)
        ip_legacy_validate(errors, &ip_at, ip, was);
    if (!mode && *ip)
        field_required(errors, &mode_at, "must be specified when `ip` is set");
    else if (mode && !*ip)
        field_forbidden(errors, &mode_at, "may not be specified when `ip` is not set");
    else if (mode)
        check_one_of(errors, &mode_at, mode, MODES);
    if (!*host)
        return;
    field_check_name(errors, &host_at, host, name_dns_subdomain);
    if (ip_parse(host, &parsed))
        field_invalid_str(errors, &host_at, host, "must be a DNS name, not an IP address");
}

void service_validate_status_update(_unused_ StrategyContext *context, const Value *service, const Value *old,
                                    FieldErrors *errors) {
    const Value *ingress = value_path(service, "status", "loadBalancer", "ingress", NULL), *item;
    FieldPath status_at = FIELD(NULL, "status"), balancer_at = FIELD(&status_at, "loadBalancer"),
              ingress_at = FIELD(&balancer_at, "ingress");
    Value *was = value_array(errors->arena);
    if (!service_has_type(value_get(service, "spec"), "LoadBalancer") && value_len(ingress)) {
        field_forbidden(errors, &ingress_at, "may only be used when `spec.type` is 'LoadBalancer'");
        return;
    }
    VALUE_FOREACH (item, value_path(old, "status", "loadBalancer", "ingress", NULL))
        if (*text_at(item, "ip"))
            value_append(errors->arena, was, value_get(item, "ip"));
    for (size_t i = 0; i < value_len(ingress); i++) {
        FieldPath at = FIELD_INDEX(&ingress_at, i);
        validate_ingress(errors, value_at(ingress, i), was, &at);
    }
}
