/* networking.k8s.io and discovery.k8s.io but for services. */
#include "apiserver/registry/checks.h"
#include "apiserver/registry/ip.h"
#include "apiserver/registry/kinds.h"
#include "apiserver/registry/pod_validate.h"
#include "apiserver/registry/validate_util.h"
#include "base/str.h"

#define GROUP "networking.k8s.io"
#define CLASS_ANNOTATION "kubernetes.io/ingress.class"
#define CONTROLLER_MAX 250
#define HTTP_PATH_CHARS "/-._~%!$&'()*+,;=:"
#define ADDRESSES_MAX 100
#define PORTS_MAX 20000
#define ENDPOINTS_MAX 1000
#define HINTS_MAX 8

static const char *const PROTOCOLS[] = {"SCTP", "TCP", "UDP", NULL};

/* Ingress. */

static void check_segment(FieldErrors *errors, const Value *object, const char *name, const FieldPath *path) {
    FieldPath at = FIELD(path, name);
    if (!*text_at(object, name))
        field_required(errors, &at, "");
    else
        field_check_name(errors, &at, text_at(object, name), name_path_segment);
}

static void check_reference(FieldErrors *errors, const Value *reference, const FieldPath *path) {
    FieldPath group_at = FIELD(path, "apiGroup");
    if (value_get_str(reference, "apiGroup"))
        field_check_name(errors, &group_at, text_at(reference, "apiGroup"), name_dns_subdomain);
    check_segment(errors, reference, "kind", path);
    check_segment(errors, reference, "name", path);
}

static void check_service_backend(FieldErrors *errors, const Value *service, const FieldPath *path) {
    const Value *port = value_get(service, "port");
    int64_t number = value_get_int(port, "number", 0);
    FieldPath service_at = FIELD(path, "service"), name_at = FIELD(&service_at, "name"),
              port_at = FIELD(&service_at, "port"), port_name_at = FIELD(&port_at, "name"),
              number_at = FIELD(&port_at, "number");
    if (!*text_at(service, "name"))
        field_required(errors, &name_at, "");
    else
        field_check_name(errors, &name_at, text_at(service, "name"), name_dns_label);
    if (*text_at(port, "name") && number)
        field_invalid_str(errors, path, "", "cannot set both port name & port number");
    else if (*text_at(port, "name"))
        field_check_name(errors, &port_name_at, text_at(port, "name"), name_port);
    else if (number)
        field_check_port(errors, &number_at, number);
    else
        field_required(errors, path, "port name or number is required");
}

static void check_backend(FieldErrors *errors, const Value *backend, const FieldPath *path) {
    const Value *resource = value_get(backend, "resource"), *service = value_get(backend, "service");
    FieldPath resource_at = FIELD(path, "resource");
    if (value_is(resource, VALUE_OBJECT) && value_is(service, VALUE_OBJECT))
        field_invalid_str(errors, path, "", "cannot set both resource and service backends");
    else if (value_is(resource, VALUE_OBJECT))
        check_reference(errors, resource, &resource_at);
    else if (value_is(service, VALUE_OBJECT))
        check_service_backend(errors, service, path);
    else
        field_invalid_str(errors, path, "", "resource or service backend is required");
}

static void check_http_path(FieldErrors *errors, const Value *entry, const FieldPath *at) {
    static const char *const TYPES[] = {"Exact", "ImplementationSpecific", "Prefix", NULL},
                             *const PARTS[] = {"//", "/./", "/../", "%2f", "%2F"}, *const ENDS[] = {"/..", "/."};
    const char *type = value_get_str(entry, "pathType"), *path = text_at(entry, "path");
    FieldPath type_at = FIELD(at, "pathType"), path_at = FIELD(at, "path"), backend_at = FIELD(at, "backend");
    if (!type) {
        field_required(errors, &type_at, "pathType must be specified");
        return;
    }
    bool loose = streq(type, "ImplementationSpecific");
    if (!str_in(type, TYPES))
        check_one_of(errors, &type_at, type, TYPES);
    else if (*path != '/' && !(loose && !*path))
        field_invalid_str(errors, &path_at, path, "must be an absolute path");
    for (size_t i = 0; str_in(type, TYPES) && !loose && i < ELEMENTSOF(PARTS); i++)
        if (strstr(path, PARTS[i]))
            field_invalid_str(errors, &path_at, path, "must not contain '%s'", PARTS[i]);
    for (size_t i = 0; str_in(type, TYPES) && !loose && i < ELEMENTSOF(ENDS); i++)
        if (str_has_suffix(path, ENDS[i]))
            field_invalid_str(errors, &path_at, path, "cannot end with '%s'", ENDS[i]);
    check_backend(errors, value_get(entry, "backend"), &backend_at);
}

static void check_host(FieldErrors *errors, const char *host, const FieldPath *path) {
    field_check_name(errors, path, host, strchr(host, '*') ? name_wildcard_subdomain : name_dns_subdomain);
}

static void check_rule(FieldErrors *errors, const Value *rule, const FieldPath *path) {
    const char *host = text_at(rule, "host");
    const Value *http = value_get(rule, "http"), *paths = value_get(http, "paths");
    FieldPath host_at = FIELD(path, "host"), http_at = FIELD(path, "http"), paths_at = FIELD(&http_at, "paths");
    Ip ip;
    if (*host) {
        if (ip_parse(host, &ip))
            field_invalid_str(errors, &host_at, host, "must be a DNS name, not an IP address");
        check_host(errors, host, &host_at);
    }
    if (!value_is(http, VALUE_OBJECT))
        return;
    if (!value_len(paths))
        field_required(errors, &paths_at, "");
    for (size_t i = 0; i < value_len(paths); i++) {
        FieldPath at = FIELD_INDEX(&paths_at, i);
        check_http_path(errors, value_at(paths, i), &at);
    }
}

static void check_tls(FieldErrors *errors, const Value *tls, const FieldPath *path) {
    const Value *hosts = value_get(tls, "hosts");
    FieldPath hosts_at = FIELD(path, "hosts");
    for (size_t i = 0; i < value_len(hosts); i++) {
        FieldPath at = FIELD_INDEX(&hosts_at, i);
        check_host(errors, str_or(value_str(value_at(hosts, i)), ""), &at);
    }
    check_name_member(errors, tls, "secretName", name_dns_subdomain, path);
}

static void ingress_check(FieldErrors *errors, const Value *ingress) {
    const Value *spec = value_get(ingress, "spec"), *rules = value_get(spec, "rules"), *tls = value_get(spec, "tls");
    const Value *backend = value_get(spec, "defaultBackend");
    FieldPath spec_at = FIELD(NULL, "spec"), backend_at = FIELD(&spec_at, "defaultBackend"),
              rules_at = FIELD(&spec_at, "rules"), tls_at = FIELD(&spec_at, "tls"),
              class_at = FIELD(&spec_at, "ingressClassName");
    if (!value_len(rules) && !value_is(backend, VALUE_OBJECT))
        field_invalid(errors, &spec_at, rules, "either `defaultBackend` or `rules` must be specified");
    if (value_is(backend, VALUE_OBJECT))
        check_backend(errors, backend, &backend_at);
    for (size_t i = 0; i < value_len(rules); i++) {
        FieldPath at = FIELD_INDEX(&rules_at, i);
        check_rule(errors, value_at(rules, i), &at);
    }
    for (size_t i = 0; i < value_len(tls); i++) {
        FieldPath at = FIELD_INDEX(&tls_at, i);
        check_tls(errors, value_at(tls, i), &at);
    }
    if (value_get_str(spec, "ingressClassName"))
        field_check_name(errors, &class_at, text_at(spec, "ingressClassName"), name_dns_subdomain);
}

static void ingress_validate(_unused_ StrategyContext *context, const Value *ingress, FieldErrors *errors) {
    const char *annotation = annotation_of(ingress, CLASS_ANNOTATION);
    const char *class = value_get_str(value_get(ingress, "spec"), "ingressClassName");
    FieldPath annotations_at = FIELD(NULL, "annotations"), at = FIELD(&annotations_at, CLASS_ANNOTATION);
    ingress_check(errors, ingress);
    if (annotation && class && !streq(annotation, class))
        field_invalid_str(errors, &at, annotation, "must match `ingressClassName` when both are specified");
}

static void ingress_validate_update(_unused_ StrategyContext *context, const Value *ingress, _unused_ const Value *old,
                                    FieldErrors *errors) {
    ingress_check(errors, ingress);
}

static void ingress_validate_status(_unused_ StrategyContext *context, const Value *ingress, const Value *old,
                                    FieldErrors *errors) {
    const Value *list = value_path(ingress, "status", "loadBalancer", "ingress", NULL), *item;
    FieldPath status_at = FIELD(NULL, "status"), balancer_at = FIELD(&status_at, "loadBalancer"),
              list_at = FIELD(&balancer_at, "ingress");
    Value *was = value_array(errors->arena);
    VALUE_FOREACH (item, value_path(old, "status", "loadBalancer", "ingress", NULL))
        if (*text_at(item, "ip"))
            value_append(errors->arena, was, value_get(item, "ip"));
    for (size_t i = 0; i < value_len(list); i++) {
        const char *host = text_at(value_at(list, i), "hostname"), *text = text_at(value_at(list, i), "ip");
        FieldPath at = FIELD_INDEX(&list_at, i), ip_at = FIELD(&at, "ip"), host_at = FIELD(&at, "hostname");
        Ip ip;
        if (*text)
            ip_legacy_validate(errors, &ip_at, text, was);
        if (*host)
            field_check_name(errors, &host_at, host, name_dns_subdomain);
        if (*host && ip_parse(host, &ip))
            field_invalid_str(errors, &host_at, host, "must be a DNS name, not an IP address");
    }
}

static void ingress_warn(StrategyContext *context, const Value *ingress) {
    if (annotation_of(ingress, CLASS_ANNOTATION) && !value_path(ingress, "spec", "ingressClassName", NULL))
        strategy_warn(context,
                      "annotation \"" CLASS_ANNOTATION "\" is deprecated, please use 'spec.ingressClassName' instead");
}

/* IngressClass. */

static void check_controller(FieldErrors *errors, const char *controller, const FieldPath *path) {
    const char *slash = strchr(controller, '/');
    if (strlen(controller) > CONTROLLER_MAX)
        field_too_long(errors, path, CONTROLLER_MAX);
    if (!*controller) {
        field_required(errors, path, "");
        return;
    }
    if (!slash || slash == controller || !slash[1]) {
        field_invalid_str(errors, path, controller, "must be a domain-prefixed path (such as \"acme.io/foo\")");
        return;
    }
    field_check_name(errors, path, arena_strndup(errors->arena, controller, (size_t)(slash - controller)),
                     name_dns_subdomain);
    for (const char *p = slash + 1; *p; p++)
        if (!((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') ||
              strchr(HTTP_PATH_CHARS, *p))) {
            field_invalid_str(errors, path, slash + 1,
                              "Invalid path (regex used for validation is '[A-Za-z0-9/\\-._~%%!$&'()*+,;=:]+')");
            return;
        }
}

static void check_class_parameters(FieldErrors *errors, const Value *parameters, const FieldPath *path) {
    static const char *const SCOPES[] = {"Cluster", "Namespace", NULL};
    const char *scope = value_get_str(parameters, "scope"), *ns = value_get_str(parameters, "namespace");
    FieldPath scope_at = FIELD(path, "scope"), ns_at = FIELD(path, "namespace");
    check_reference(errors, parameters, path);
    if (!scope)
        field_required(errors, &scope_at, "");
    else if (!str_in(scope, SCOPES))
        check_one_of(errors, &scope_at, scope, SCOPES);
    else if (streq(scope, "Namespace")) {
        if (!ns)
            field_required(errors, &ns_at, "`parameters.scope` is set to 'Namespace'");
        else
            field_check_name(errors, &ns_at, ns, name_dns_label);
    } else if (ns)
        field_forbidden(errors, &ns_at, "`parameters.scope` is set to 'Cluster'");
}

static void class_validate(_unused_ StrategyContext *context, const Value *class, FieldErrors *errors) {
    const Value *spec = value_get(class, "spec"), *parameters = value_get(spec, "parameters");
    FieldPath spec_at = FIELD(NULL, "spec"), controller_at = FIELD(&spec_at, "controller"),
              parameters_at = FIELD(&spec_at, "parameters");
    check_controller(errors, text_at(spec, "controller"), &controller_at);
    if (value_is(parameters, VALUE_OBJECT))
        check_class_parameters(errors, parameters, &parameters_at);
}

static void class_validate_update(StrategyContext *context, const Value *class, const Value *old, FieldErrors *errors) {
    FieldPath spec_at = FIELD(NULL, "spec");
    check_immutable_text(errors, value_get(class, "spec"), value_get(old, "spec"), "controller", &spec_at);
    class_validate(context, class, errors);
}

/* NetworkPolicy. `was`: ranges that the stored policy has. */

static void check_policy_port(FieldErrors *errors, const Value *entry, const FieldPath *path) {
    static const char *const ALLOWED[] = {"TCP", "UDP", "SCTP", NULL};
    const Value *port = value_get(entry, "port"), *end = value_get(entry, "endPort");
    FieldPath port_at = FIELD(path, "port"), end_at = FIELD(path, "endPort");
    check_member_one_of(errors, entry, "protocol", ALLOWED, path);
    if (value_is(port, VALUE_INT)) {
        field_check_port(errors, &port_at, port->integer);
        if (value_is(end, VALUE_INT)) {
            if (end->integer < port->integer)
                field_invalid(errors, &end_at, port, "must be greater than or equal to `port`");
            field_check_port(errors, &end_at, end->integer);
        }
    } else if (value_is(port, VALUE_STRING)) {
        if (value_is(end, VALUE_INT))
            field_invalid(errors, &end_at, end, "may not be specified when `port` is non-numeric");
        field_check_name(errors, &port_at, port->string, name_port);
    } else if (value_is(end, VALUE_INT))
        field_invalid(errors, &end_at, end, "may not be specified when `port` is not specified");
}

static void check_ip_block(FieldErrors *errors, const Value *block, const Value *was, const FieldPath *path) {
    const Value *except = value_get(block, "except");
    FieldPath range_at = FIELD(path, "cidr"), except_at = FIELD(path, "except");
    IpRange range, inner;
    if (!*text_at(block, "cidr")) {
        field_required(errors, &range_at, "");
        return;
    }
    ip_range_legacy_validate(errors, &range_at, text_at(block, "cidr"), was);
    if (!ip_range_parse(text_at(block, "cidr"), &range))
        return;
    for (size_t i = 0; i < value_len(except); i++) {
        const char *text = str_or(value_str(value_at(except, i)), "");
        FieldPath at = FIELD_INDEX(&except_at, i);
        ip_range_legacy_validate(errors, &at, text, was);
        if (ip_range_parse(text, &inner) && (!ip_range_contains_range(&range, &inner) || inner.len == range.len))
            field_invalid_str(errors, &at, text, "must be a strict subset of `cidr`");
    }
}

static void check_peer(FieldErrors *errors, const Value *peer, const Value *was, const FieldPath *path) {
    const Value *pods = value_get(peer, "podSelector"), *namespaces = value_get(peer, "namespaceSelector");
    const Value *block = value_get(peer, "ipBlock");
    FieldPath pods_at = FIELD(path, "podSelector"), namespaces_at = FIELD(path, "namespaceSelector"),
              block_at = FIELD(path, "ipBlock");
    bool has_selector = value_is(pods, VALUE_OBJECT) || value_is(namespaces, VALUE_OBJECT);
    field_check_label_selector(errors, &pods_at, pods);
    field_check_label_selector(errors, &namespaces_at, namespaces);
    if (value_is(block, VALUE_OBJECT)) {
        check_ip_block(errors, block, was, &block_at);
        if (has_selector)
            field_forbidden(errors, path, "may not specify both ipBlock and another peer");
    } else if (!has_selector)
        field_required(errors, path, "must specify a peer");
}

static void check_policy_rules(FieldErrors *errors, const Value *spec, const char *name, const char *peers,
                               const Value *was) {
    const Value *rules = value_get(spec, name);
    FieldPath spec_at = FIELD(NULL, "spec"), rules_at = FIELD(&spec_at, name);
    for (size_t i = 0; i < value_len(rules); i++) {
        const Value *ports = value_get(value_at(rules, i), "ports"), *list = value_get(value_at(rules, i), peers);
        FieldPath rule_at = FIELD_INDEX(&rules_at, i), ports_at = FIELD(&rule_at, "ports"),
                  peers_at = FIELD(&rule_at, peers);
        for (size_t k = 0; k < value_len(ports); k++) {
            FieldPath at = FIELD_INDEX(&ports_at, k);
            check_policy_port(errors, value_at(ports, k), &at);
        }
        for (size_t k = 0; k < value_len(list); k++) {
            FieldPath at = FIELD_INDEX(&peers_at, k);
            check_peer(errors, value_at(list, k), was, &at);
        }
    }
}

static void policy_check(FieldErrors *errors, const Value *policy, const Value *was) {
    static const char *const TYPES[] = {"Ingress", "Egress", NULL};
    const Value *spec = value_get(policy, "spec"), *types = value_get(spec, "policyTypes");
    FieldPath spec_at = FIELD(NULL, "spec"), pods_at = FIELD(&spec_at, "podSelector"),
              types_at = FIELD(&spec_at, "policyTypes");
    field_check_label_selector(errors, &pods_at, value_get(spec, "podSelector"));
    check_policy_rules(errors, spec, "ingress", "from", was);
    check_policy_rules(errors, spec, "egress", "to", was);
    if (value_len(types) > 2) {
        field_invalid(errors, &types_at, types, "may not specify more than two policyTypes");
        return;
    }
    for (size_t i = 0; i < value_len(types); i++) {
        FieldPath at = FIELD_INDEX(&types_at, i);
        check_one_of(errors, &at, str_or(value_str(value_at(types, i)), ""), TYPES);
    }
}

static void policy_validate(_unused_ StrategyContext *context, const Value *policy, FieldErrors *errors) {
    policy_check(errors, policy, NULL);
}

typedef void (*RangeVisitor)(void *userdata, const FieldPath *path, Value *range);

static void visit_ranges(const Value *policy, RangeVisitor visit, void *userdata) {
    static const char *const RULES[][2] = {{"ingress", "from"}, {"egress", "to"}};
    FieldPath spec_at = FIELD(NULL, "spec");
    for (size_t k = 0; k < ELEMENTSOF(RULES); k++) {
        const Value *rules = value_path(policy, "spec", RULES[k][0], NULL);
        FieldPath rules_at = FIELD(&spec_at, RULES[k][0]);
        for (size_t i = 0; i < value_len(rules); i++) {
            const Value *peers = value_get(value_at(rules, i), RULES[k][1]);
            FieldPath rule_at = FIELD_INDEX(&rules_at, i), peers_at = FIELD(&rule_at, RULES[k][1]);
            for (size_t j = 0; j < value_len(peers); j++) {
                const Value *block = value_get(value_at(peers, j), "ipBlock"), *except = value_get(block, "except");
                FieldPath peer_at = FIELD_INDEX(&peers_at, j), block_at = FIELD(&peer_at, "ipBlock"),
                          range_at = FIELD(&block_at, "cidr"), except_at = FIELD(&block_at, "except");
                if (value_get(block, "cidr"))
                    visit(userdata, &range_at, value_get(block, "cidr"));
                for (size_t n = 0; n < value_len(except); n++) {
                    FieldPath at = FIELD_INDEX(&except_at, n);
                    visit(userdata, &at, value_at(except, n));
                }
            }
        }
    }
}

typedef struct Collected {
    Arena *arena;
    Value *list;
} Collected;

static void collect_range(void *userdata, _unused_ const FieldPath *path, Value *range) {
    Collected *collected = userdata;
    value_append(collected->arena, collected->list, range);
}

static void policy_validate_update(_unused_ StrategyContext *context, const Value *policy, const Value *old,
                                   FieldErrors *errors) {
    Collected collected = {errors->arena, value_array(errors->arena)};
    visit_ranges(old, collect_range, &collected);
    policy_check(errors, policy, collected.list);
}

static void warn_range(void *userdata, const FieldPath *path, Value *range) {
    ip_range_warn(userdata, path, str_or(value_str(range), ""));
}

static void policy_warn(StrategyContext *context, const Value *policy) {
    visit_ranges(policy, warn_range, context);
}

static void policy_warn_update(StrategyContext *context, const Value *policy, _unused_ const Value *old) {
    policy_warn(context, policy);
}

/* EndpointSlice. */

static void check_qualified_domain(FieldErrors *errors, const char *name, const FieldPath *path) {
    size_t n = strlen(name);
    if (!n) {
        field_required(errors, path, "");
        return;
    }
    name = arena_strndup(errors->arena, name, name[n - 1] == '.' ? n - 1 : n);
    size_t before = errors->n;
    field_check_name(errors, path, name, name_dns_subdomain);
    if (errors->n == before && !strchr(name, '.'))
        field_invalid_str(errors, path, name, "should be a domain with at least two segments separated by dots");
}

static void check_slice_address(FieldErrors *errors, const char *address, const char *type, const FieldPath *list_at,
                                size_t i) {
    FieldPath at = FIELD_INDEX(list_at, i);
    size_t before = errors->n;
    bool v6 = streq(type, "IPv6");
    Ip ip;
    if (streq(type, "FQDN"))
        check_qualified_domain(errors, address, &at);
    if (!v6 && !streq(type, "IPv4"))
        return;
    if (v6)
        ip_validate(errors, &at, address);
    else
        ip_legacy_validate(errors, &at, address, NULL);
    if (errors->n != before || !ip_parse(address, &ip))
        return;
    if (ip.v6 != v6)
        field_invalid_str(errors, list_at, address, "must be an %s address", type);
    ip_endpoint_validate(errors, &at, address);
}

static void check_hints(FieldErrors *errors, const Value *hints, const char *member, name_check check,
                        const FieldPath *path) {
    const Value *list = value_get(hints, member);
    FieldPath list_at = FIELD(path, member);
    if (value_len(list) > HINTS_MAX) {
        field_too_many(errors, &list_at, (int64_t)value_len(list), HINTS_MAX);
        return;
    }
    for (size_t i = 0; i < value_len(list); i++) {
        const char *name = text_at(value_at(list, i), "name");
        FieldPath at = FIELD_INDEX(&list_at, i), name_at = FIELD(&at, "name");
        if (seen_before(errors, list, i, "name", name))
            field_duplicate(errors, &name_at, value_string(errors->arena, name));
        field_check_name(errors, &name_at, name, check);
    }
}

static void check_endpoint(FieldErrors *errors, const Value *endpoint, const char *type, const FieldPath *path) {
    const Value *addresses = value_get(endpoint, "addresses");
    FieldPath addresses_at = FIELD(path, "addresses"), topology_at = FIELD(path, "deprecatedTopology"),
              hints_at = FIELD(path, "hints");
    if (!value_len(addresses))
        field_required(errors, &addresses_at, "must contain at least 1 address");
    else if (value_len(addresses) > ADDRESSES_MAX)
        field_too_many(errors, &addresses_at, (int64_t)value_len(addresses), ADDRESSES_MAX);
    for (size_t i = 0; i < value_len(addresses); i++)
        check_slice_address(errors, str_or(value_str(value_at(addresses, i)), ""), type, &addresses_at, i);
    check_name_if_present(errors, endpoint, "nodeName", name_dns_subdomain, path);
    field_check_labels(errors, &topology_at, value_get(endpoint, "deprecatedTopology"));
    check_name_if_present(errors, endpoint, "hostname", name_dns_label, path);
    check_hints(errors, value_get(endpoint, "hints"), "forZones", name_label_value, &hints_at);
    check_hints(errors, value_get(endpoint, "hints"), "forNodes", name_dns_subdomain, &hints_at);
}

static void check_slice_ports(FieldErrors *errors, const Value *ports) {
    FieldPath ports_at = FIELD(NULL, "ports");
    if (value_len(ports) > PORTS_MAX) {
        field_too_many(errors, &ports_at, (int64_t)value_len(ports), PORTS_MAX);
        return;
    }
    for (size_t i = 0; i < value_len(ports); i++) {
        const Value *port = value_at(ports, i);
        FieldPath at = FIELD_INDEX(&ports_at, i), name_at = FIELD(&at, "name"), protocol_at = FIELD(&at, "protocol");
        check_name_member(errors, port, "name", name_dns_label, &at);
        if (seen_before(errors, ports, i, "name", text_at(port, "name")))
            field_duplicate(errors, &name_at, value_string(errors->arena, text_at(port, "name")));
        if (!value_get_str(port, "protocol"))
            field_required(errors, &protocol_at, "");
        check_member_one_of(errors, port, "protocol", PROTOCOLS, &at);
        check_name_if_present(errors, port, "appProtocol", name_qualified, &at);
    }
}

static void slice_check(FieldErrors *errors, const Value *slice, const Value *old) {
    static const char *const TYPES[] = {"FQDN", "IPv4", "IPv6", NULL};
    const char *type = text_at(slice, "addressType");
    const Value *endpoints = value_get(slice, "endpoints");
    FieldPath type_at = FIELD(NULL, "addressType"), endpoints_at = FIELD(NULL, "endpoints");
    if (!*type)
        field_required(errors, &type_at, "");
    else
        check_one_of(errors, &type_at, type, TYPES);
    check_slice_ports(errors, value_get(slice, "ports"));
    if (old && same_value(endpoints, value_get(old, "endpoints")))
        return;
    if (value_len(endpoints) > ENDPOINTS_MAX) {
        field_too_many(errors, &endpoints_at, (int64_t)value_len(endpoints), ENDPOINTS_MAX);
        return;
    }
    for (size_t i = 0; i < value_len(endpoints); i++) {
        FieldPath at = FIELD_INDEX(&endpoints_at, i);
        check_endpoint(errors, value_at(endpoints, i), type, &at);
    }
}

static void slice_validate(_unused_ StrategyContext *context, const Value *slice, FieldErrors *errors) {
    slice_check(errors, slice, NULL);
}

static void slice_validate_update(_unused_ StrategyContext *context, const Value *slice, const Value *old,
                                  FieldErrors *errors) {
    slice_check(errors, slice, old);
    check_immutable(errors, slice, old, "addressType", NULL);
}

/* Changed labels count as a new generation here. */
static void slice_prepare_for_update(StrategyContext *context, Value *slice, const Value *old) {
    Value *meta = value_get(slice, "metadata");
    const Value *was = value_get(old, "metadata");
    if (!same_value(value_get(meta, "labels"), value_get(was, "labels")))
        value_set_int(context->arena, meta, "generation", value_get_int(was, "generation", 0) + 1);
}

static void slice_warn(StrategyContext *context, const Value *slice) {
    const Value *endpoints = value_get(slice, "endpoints");
    FieldPath endpoints_at = FIELD(NULL, "endpoints");
    if (text_is(slice, "addressType", "FQDN")) {
        strategy_warn(context, "spec.addressType: FQDN endpoints are deprecated");
        return;
    }
    for (size_t i = 0; i < value_len(endpoints); i++) {
        const Value *addresses = value_get(value_at(endpoints, i), "addresses");
        FieldPath at = FIELD_INDEX(&endpoints_at, i), list_at = FIELD(&at, "addresses");
        for (size_t j = 0; j < value_len(addresses); j++) {
            FieldPath address_at = FIELD_INDEX(&list_at, j);
            ip_warn(context, &address_at, str_or(value_str(value_at(addresses, j)), ""));
        }
    }
}

/* IPAddress and ServiceCIDR. */

static void address_validate_name(const char *name, _unused_ bool prefix, FieldErrors *errors, const FieldPath *path) {
    ip_validate(errors, path, name);
}

static void address_validate(_unused_ StrategyContext *context, const Value *address, FieldErrors *errors) {
    const Value *parent = value_path(address, "spec", "parentRef", NULL);
    FieldPath spec_at = FIELD(NULL, "spec"), at = FIELD(&spec_at, "parentRef");
    if (!value_is(parent, VALUE_OBJECT)) {
        field_required(errors, &at, "");
        return;
    }
    check_name_member(errors, parent, "group", name_dns_subdomain, &at);
    check_segment(errors, parent, "resource", &at);
    check_segment(errors, parent, "name", &at);
    check_name_member(errors, parent, "namespace", name_path_segment, &at);
}

static void address_validate_update(_unused_ StrategyContext *context, const Value *address, const Value *old,
                                    FieldErrors *errors) {
    FieldPath spec_at = FIELD(NULL, "spec");
    member_immutable(errors, value_get(address, "spec"), value_get(old, "spec"), "parentRef", "ParentReference",
                     &spec_at);
}

static void range_validate(_unused_ StrategyContext *context, const Value *service_range, FieldErrors *errors) {
    const Value *ranges = value_path(service_range, "spec", "cidrs", NULL);
    FieldPath spec_at = FIELD(NULL, "spec"), ranges_at = FIELD(&spec_at, "cidrs");
    IpRange first, second;
    if (!value_len(ranges)) {
        field_required(errors, &ranges_at, "at least one CIDR required");
        return;
    }
    if (value_len(ranges) > 2) {
        Value *shown = value_object(errors->arena);
        value_set(errors->arena, shown, "CIDRs", value_copy(errors->arena, ranges));
        field_invalid(errors, &ranges_at, shown, "may only hold up to 2 values");
        return;
    }
    for (size_t i = 0; i < value_len(ranges); i++) {
        FieldPath at = FIELD_INDEX(&ranges_at, i);
        ip_range_validate(errors, &at, str_or(value_str(value_at(ranges, i)), ""));
    }
    if (value_len(ranges) == 2 && ip_range_parse(str_or(value_str(value_at(ranges, 0)), ""), &first) &&
        ip_range_parse(str_or(value_str(value_at(ranges, 1)), ""), &second) && first.v6 == second.v6)
        field_invalid(errors, &ranges_at, ranges,
                      "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64");
}

static void range_validate_update(StrategyContext *context, const Value *service_range, const Value *old,
                                  FieldErrors *errors) {
    const Value *now = value_path(service_range, "spec", "cidrs", NULL), *was = value_path(old, "spec", "cidrs", NULL);
    FieldPath spec_at = FIELD(NULL, "spec"), list_at = FIELD(&spec_at, "cidrs");
    bool extended = value_len(was) == 1 && value_len(now) == 2;
    if (value_len(now) != value_len(was) && !extended) {
        field_invalid(errors, &list_at, now, MUST_NOT_CHANGE);
        return;
    }
    for (size_t i = 0; i < value_len(was); i++) {
        FieldPath at = FIELD_INDEX(&list_at, i);
        if (!value_equal(value_at(now, i), value_at(was, i)))
            field_invalid(errors, &at, value_at(now, i), MUST_NOT_CHANGE);
    }
    if (extended)
        range_validate(context, service_range, errors);
}

static const Strategy ROWS[] = {
    {
        .group = GROUP,
        .plural = "ingresses",
        .revalidates_meta = true,
        .has_generation = true,
        .allow_unconditional_update = true,
        .prepare_for_create = kinds_reset_status,
        .validates_update_alone = true,
        .validate = ingress_validate,
        .validate_update = ingress_validate_update,
        .validate_status_update = ingress_validate_status,
        .warn_create = ingress_warn,
        .warn_status_update = ip_warn_balancer,
    },
    {
        .group = GROUP,
        .plural = "ingressclasses",
        .revalidates_meta = true,
        .has_generation = true,
        .allow_unconditional_update = true,
        .validates_update_alone = true,
        .validate = class_validate,
        .validate_update = class_validate_update,
    },
    {
        .group = GROUP,
        .plural = "networkpolicies",
        .has_generation = true,
        .allow_unconditional_update = true,
        .validates_update_alone = true,
        .validate = policy_validate,
        .validate_update = policy_validate_update,
        .warn_create = policy_warn,
        .warn_update = policy_warn_update,
    },
    {
        .group = GROUP,
        .plural = "ipaddresses",
        .revalidates_meta = true,
        .allow_unconditional_update = true,
        .validate_name = address_validate_name,
        .validate = address_validate,
        .validate_update = address_validate_update,
    },
    {
        .group = GROUP,
        .plural = "servicecidrs",
        .allow_unconditional_update = true,
        .prepare_for_create = kinds_reset_status,
        .validates_update_alone = true,
        .validate = range_validate,
        .validate_update = range_validate_update,
    },
    {
        .group = "discovery.k8s.io",
        .plural = "endpointslices",
        .has_generation = true,
        .allow_unconditional_update = true,
        .prepare_for_update = slice_prepare_for_update,
        .validates_update_alone = true,
        .validate = slice_validate,
        .validate_update = slice_validate_update,
        .warn_create = slice_warn,
    },
};
const StrategyTable strategies_network = {ROWS, ELEMENTSOF(ROWS)};
