/* What a service is given by the server: address families, cluster IPs, node ports. As the reference's
 * registry/core/service/storage: everything is reserved before the service is validated and written; whatever was
 * reserved for a write that fails is given back by the strategy's rollback, and what an update gives up, once it is
 * stored. */
#include "apiserver/registry/services.h"

#include "base/str.h"

#define NO_IP "None"
#define DRY_RUN_PORT 32768 /* dry runs pretend ports after it, as the reference */
#define SINGLE "SingleStack"
#define REQUIRE_DUAL "RequireDualStack"
#define PREFER_DUAL "PreferDualStack"

/* One allocation for a service: what it has reserved so far, to be undone when a later step fails. */
typedef struct Allocation {
    StrategyContext *context;
    Value *service, *spec;
    const Value *old; /* spec of the stored service; NULL: a create */
    Holder holder;
    Value *ips, *ports; /* reserved by this allocation */
    ServiceRanges ranges;
    ApiError *err;
} Allocation;

static Arena *arena_of(const Allocation *a) {
    return a->context->arena;
}

static int refuse(Allocation *a, const FieldErrors *errors) {
    return api_error_invalid(a->err, "", "Service", a->holder.name, errors);
}

static int fail_inside(Allocation *a, const char *message) {
    int r = api_error_set(a->err, 500, "InternalError", "Internal error occurred: %s", message);
    api_error_cause(a->err, "", message, "");
    return r;
}

static const char *policy_of(const Value *spec) {
    return text_at(spec, "ipFamilyPolicy");
}

static bool same_list(const Value *a, const Value *b, const char *name) {
    return same_value(value_get(a, name), value_get(b, name));
}

static size_t count(const Value *spec, const char *name) {
    return value_len(value_get(spec, name));
}

static bool keeps_prefer_dual(const Allocation *a) {
    if (!a->old || !value_get(a->spec, "ipFamilyPolicy") || !text_is(a->old, "type", text_at(a->spec, "type")))
        return false;
    if (!service_needs_cluster_ip(a->spec) || !streq(policy_of(a->spec), PREFER_DUAL))
        return false;
    if (*policy_of(a->old) && !streq(policy_of(a->old), PREFER_DUAL))
        return false;
    return same_list(a->old, a->spec, "clusterIPs") && same_list(a->old, a->spec, "ipFamilies");
}

static void init_policy(Allocation *a) {
    const char *policy = SINGLE;
    if (value_get_str(a->spec, "ipFamilyPolicy")) /* an empty one is wrong, and stays */
        return;
    if (a->old && *policy_of(a->old))
        policy = policy_of(a->old);
    else if (text_is(a->spec, "clusterIP", NO_IP) && !count(a->spec, "selector"))
        policy = REQUIRE_DUAL;
    value_set_str(arena_of(a), a->spec, "ipFamilyPolicy", policy);
}

static void keep_first(Value *spec, const char *name) {
    Value *list = value_get(spec, name);
    while (value_len(list) > 1)
        value_remove_at(list, value_len(list) - 1);
}

static bool reduced(const Allocation *a, const char *name) {
    return count(a->spec, name) && count(a->spec, name) < count(a->old, name);
}

/* The list of strings of `name` as this object's own, to be changed. */
static Value *own_list(Allocation *a, const char *name) {
    Value *list = value_get(a->spec, name);
    list = value_is(list, VALUE_ARRAY) ? value_copy(arena_of(a), list) : value_array(arena_of(a));
    value_set(arena_of(a), a->spec, name, list);
    return list;
}

static void settle_lengths(Allocation *a, FieldErrors *errors) {
    FieldPath spec_at = FIELD(NULL, "spec"), policy_at = FIELD(&spec_at, "ipFamilyPolicy");
    const Value *policy = value_get(a->spec, "ipFamilyPolicy");
    bool single = streq(policy_of(a->spec), SINGLE);
    if (a->old && single) {
        if (same_list(a->old, a->spec, "clusterIPs") && count(a->spec, "clusterIPs") > 1) {
            own_list(a, "clusterIPs");
            keep_first(a->spec, "clusterIPs");
        }
        if (same_list(a->old, a->spec, "ipFamilies") && count(a->spec, "ipFamilies") > 1) {
            own_list(a, "ipFamilies");
            keep_first(a->spec, "ipFamilies");
        }
    } else if (a->old) {
        if (reduced(a, "clusterIPs"))
            field_invalid(errors, &policy_at, policy, "must be 'SingleStack' to release the secondary cluster IP");
        if (reduced(a, "ipFamilies"))
            field_invalid(errors, &policy_at, policy, "must be 'SingleStack' to release the secondary IP family");
    }
    if (single && count(a->spec, "clusterIPs") == 2)
        field_invalid(errors, &policy_at, policy,
                      "must be 'RequireDualStack' or 'PreferDualStack' when multiple cluster IPs are specified");
    if (single && count(a->spec, "ipFamilies") == 2)
        field_invalid(errors, &policy_at, policy,
                      "must be 'RequireDualStack' or 'PreferDualStack' when multiple IP families are specified");
}

static bool family_is_configured(const Allocation *a, const char *family) {
    return streq(family, "IPv6") ? a->ranges.v6 : streq(family, "IPv4") && a->ranges.v4;
}

/* Families of the addresses that are given. */
static void infer_families(Allocation *a, FieldErrors *errors) {
    FieldPath spec_at = FIELD(NULL, "spec"), ips_at = FIELD(&spec_at, "clusterIPs");
    const Value *ips = value_get(a->spec, "clusterIPs");
    Value *families = own_list(a, "ipFamilies");
    for (size_t i = 0; i < value_len(ips); i++) {
        const char *ip = str_or(value_str(value_at(ips, i)), "");
        const char *family = ip_is_v6_text(ip) ? "IPv6" : "IPv4";
        FieldPath at = FIELD_INDEX(&ips_at, i);
        if (streq(ip, NO_IP))
            break;
        if (i < families->len)
            continue;
        if (family_is_configured(a, family))
            value_append(arena_of(a), families, value_string(arena_of(a), family));
        else
            field_invalid(errors, &at, ips, "%s is not configured on this cluster", family);
    }
}

static void add_family(Allocation *a, const char *family) {
    value_append(arena_of(a), own_list(a, "ipFamilies"), value_string(arena_of(a), family));
}

static const char *other_family(const Allocation *a) {
    const Value *first = value_at(value_get(a->spec, "ipFamilies"), 0);
    return streq(str_or(value_str(first), ""), "IPv4") ? "IPv6" : "IPv4";
}

static const char *default_family(const Allocation *a) {
    return a->ranges.default_v6 ? "IPv6" : "IPv4";
}

static void check_configured(Allocation *a, FieldErrors *errors) {
    FieldPath spec_at = FIELD(NULL, "spec"), policy_at = FIELD(&spec_at, "ipFamilyPolicy"),
              families_at = FIELD(&spec_at, "ipFamilies");
    const Value *families = value_get(a->spec, "ipFamilies");
    if (streq(policy_of(a->spec), REQUIRE_DUAL) && !(a->ranges.v4 && a->ranges.v6))
        field_invalid(errors, &policy_at, value_get(a->spec, "ipFamilyPolicy"),
                      "this cluster is not configured for dual-stack services");
    for (size_t i = 0; i < value_len(families); i++) {
        FieldPath at = FIELD_INDEX(&families_at, i);
        if (!family_is_configured(a, str_or(value_str(value_at(families, i)), "")))
            field_invalid(errors, &at, value_at(families, i), "not configured on this cluster");
    }
}

static int init_families(Allocation *a) {
    FieldErrors errors = FIELD_ERRORS_INIT(arena_of(a));
    if (!service_needs_cluster_ip(a->spec) || keeps_prefer_dual(a))
        return 0;
    init_policy(a);
    Value *old = NULL;
    if (a->old) {
        old = value_object(arena_of(a));
        value_set(arena_of(a), old, "spec", (Value *)a->old);
    }
    service_validate_ip_fields(&errors, a->service, old);
    if (errors.n)
        return refuse(a, &errors);
    settle_lengths(a, &errors);
    infer_families(a, &errors);
    if (errors.n)
        return refuse(a, &errors);
    bool single = streq(policy_of(a->spec), SINGLE);
    if (text_is(a->spec, "clusterIP", NO_IP) && !count(a->spec, "selector")) {
        /* May name families this cluster does not have: its endpoints are made by somebody else. */
        if (!count(a->spec, "ipFamilies"))
            add_family(a, default_family(a));
        if (count(a->spec, "ipFamilies") < 2 && !single)
            add_family(a, other_family(a));
        return 0;
    }
    check_configured(a, &errors);
    if (errors.n)
        return refuse(a, &errors);
    if (!count(a->spec, "ipFamilies"))
        add_family(a, default_family(a));
    if (!single && count(a->spec, "ipFamilies") == 1 && a->ranges.v4 && a->ranges.v6)
        add_family(a, other_family(a));
    return 0;
}

/* The address of family `i`: the one asked for, or any. */
static int allocate_ip(Allocation *a, size_t i) {
    FieldPath spec_at = FIELD(NULL, "spec"), ips_at = FIELD(&spec_at, "clusterIPs");
    FieldErrors errors = FIELD_ERRORS_INIT(arena_of(a));
    Value *ips = value_get(a->spec, "clusterIPs");
    const char *family = str_or(value_str(value_at(value_get(a->spec, "ipFamilies"), i)), "");
    const char *wanted = str_or(value_str(value_at(ips, i)), "");
    char *given = NULL;
    ReservationError why;
    if (*wanted) {
        why = ip_reserve(a->context, &a->holder, wanted);
        if (why)
            field_invalid(&errors, &ips_at, ips, "failed to allocate IP %s: %s", wanted, why);
    } else {
        why = ip_reserve_any(a->context, &a->holder, streq(family, "IPv6"), &given);
        if (why && streq(why, RESERVATION_FULL))
            return fail_inside(a, arena_printf(arena_of(a), "failed to allocate a serviceIP for Service \"%s\": %s",
                                               a->holder.name, why));
        if (why)
            field_invalid(&errors, &ips_at, ips, "failed to allocate IP: %s", why);
    }
    if (errors.n)
        return refuse(a, &errors);
    Value *text = value_string(arena_of(a), *wanted ? wanted : given);
    value_append(arena_of(a), a->ips, text);
    ips->items[i] = text;
    if (i == 0)
        value_set(arena_of(a), a->spec, "clusterIP", text);
    return 0;
}

static int allocate_ips(Allocation *a, size_t from) {
    size_t n = count(a->spec, "ipFamilies");
    int r = 0;
    if (!service_needs_cluster_ip(a->spec) || text_is(a->spec, "clusterIP", NO_IP))
        return 0;
    Value *ips = own_list(a, "clusterIPs");
    while (ips->len < n)
        value_append(arena_of(a), ips, value_string(arena_of(a), ""));
    for (size_t i = from; r == 0 && i < n; i++)
        r = allocate_ip(a, i);
    return r;
}

static bool number_in(const Value *list, int64_t n) {
    const Value *item;
    VALUE_FOREACH (item, list)
        if (value_is(item, VALUE_INT) && item->integer == n)
            return true;
    return false;
}

static ReservationError take_port(Allocation *a, int64_t port) {
    ReservationError why =
        number_in(a->ports, port) ? "provided port is already allocated" : port_reserve(a->context, &a->holder, port);
    if (!why)
        value_append(arena_of(a), a->ports, value_int(arena_of(a), port));
    return why;
}

static ReservationError take_any_port(Allocation *a, int64_t *ret) {
    ReservationError why = NULL;
    int64_t port = DRY_RUN_PORT;
    const Value *item;
    if (a->context->dry_run) {
        VALUE_FOREACH (item, a->ports)
            port = MAX(port, item->integer);
        port++;
    } else
        why = port_reserve_any(a->context, &a->holder, &port);
    if (why)
        return why;
    value_append(arena_of(a), a->ports, value_int(arena_of(a), port));
    *ret = port;
    return NULL;
}

static bool wants_node_ports(const Value *spec) {
    return service_has_type(spec, "NodePort") ||
           (service_has_type(spec, "LoadBalancer") && value_get_bool(spec, "allocateLoadBalancerNodePorts", true));
}

static bool may_have_node_ports(const Value *spec) {
    return service_has_type(spec, "NodePort") || service_has_type(spec, "LoadBalancer");
}

static int refuse_port(Allocation *a, size_t i, int64_t port, const char *why) {
    FieldErrors errors = FIELD_ERRORS_INIT(arena_of(a));
    FieldPath spec_at = FIELD(NULL, "spec"), ports_at = FIELD(&spec_at, "ports"), at = FIELD_INDEX(&ports_at, i),
              port_at = FIELD(&at, "nodePort");
    field_invalid(&errors, &port_at, value_int(arena_of(a), port), "%s", why);
    return refuse(a, &errors);
}

static int no_port_left(Allocation *a, const char *why) {
    return fail_inside(a, arena_printf(arena_of(a), "failed to allocate a nodePort: %s", why));
}

static int64_t node_port(const Value *port) {
    return value_get_int(port, "nodePort", 0);
}

/* The node port that another port of the same number has or asks for: TCP and UDP share it. */
static int64_t shared_port(const Value *ports, int64_t number, size_t before) {
    for (size_t i = 0; i < value_len(ports) && i < before; i++)
        if (value_get_int(value_at(ports, i), "port", 0) == number && node_port(value_at(ports, i)))
            return node_port(value_at(ports, i));
    return 0;
}

static int init_node_ports(Allocation *a) {
    Value *ports = value_get(a->spec, "ports");
    for (size_t i = 0; i < value_len(ports); i++) {
        Value *port = value_at(ports, i);
        int64_t number = value_get_int(port, "port", 0), asked = node_port(port), given = shared_port(ports, number, i);
        ReservationError why = NULL;
        if (!asked && !wants_node_ports(a->spec))
            continue;
        if (given && !asked) {
            value_set_int(arena_of(a), port, "nodePort", given);
            continue;
        }
        if (given && asked == given)
            continue;
        if (!given)
            asked = shared_port(ports, number, SIZE_MAX);
        if (asked) {
            why = take_port(a, asked);
            if (why)
                return refuse_port(a, i, asked, why);
        } else {
            why = take_any_port(a, &asked);
            if (why)
                return no_port_left(a, why);
        }
        if (!given)
            value_set_int(arena_of(a), port, "nodePort", asked);
    }
    return 0;
}

static int allocate_health_port(Allocation *a) {
    int64_t port = value_get_int(a->spec, "healthCheckNodePort", 0);
    ReservationError why = port ? take_port(a, port) : take_any_port(a, &port);
    if (why && value_get_int(a->spec, "healthCheckNodePort", 0))
        return fail_inside(
            a, arena_printf(arena_of(a), "failed to allocate requested HealthCheck NodePort %d: %s", (int)port, why));
    if (why)
        return fail_inside(a, arena_printf(arena_of(a), "failed to allocate a HealthCheck NodePort 0: %s", why));
    value_set_int(arena_of(a), a->spec, "healthCheckNodePort", port);
    return 0;
}

static Allocation begin(StrategyContext *context, Value *service, const Value *old, ApiError *err) {
    const Value *meta = value_get(service, "metadata");
    return (Allocation){
        .context = context,
        .service = service,
        .spec = value_ensure_object(context->arena, service, "spec"),
        .old = value_get(old, "spec"),
        .holder = {.ns = arena_strdup(context->arena, text_at(meta, "namespace")),
                   .name = arena_strdup(context->arena, text_at(meta, "name"))},
        .ips = value_array(context->arena),
        .ports = value_array(context->arena),
        .ranges = service_ranges(context),
        .err = err,
    };
}

static int end(Allocation *a, int r) {
    const Value *item;
    if (r == 0)
        return 0;
    VALUE_FOREACH (item, a->ips)
        ip_release(a->context, &a->holder, value_str(item));
    VALUE_FOREACH (item, a->ports)
        port_release(a->context, &a->holder, item->integer);
    return r;
}

int service_allocate_for_create(StrategyContext *context, Value *service, ApiError *err) {
    Allocation a = begin(context, service, NULL, err);
    if (*text_at(a.spec, "clusterIP") && !count(a.spec, "clusterIPs"))
        value_append(arena_of(&a), own_list(&a, "clusterIPs"), value_get(a.spec, "clusterIP"));
    int r = init_families(&a);
    r = r < 0 ? r : allocate_ips(&a, 0);
    if (r == 0 && may_have_node_ports(a.spec))
        r = init_node_ports(&a);
    if (r == 0 && service_needs_health_check(a.spec))
        r = allocate_health_port(&a);
    return end(&a, r);
}

static bool uses_port(const Value *spec, int64_t number) {
    const Value *port;
    VALUE_FOREACH (port, value_get(spec, "ports"))
        if (node_port(port) == number)
            return true;
    return false;
}

static int64_t port_of_name(const Value *spec, const char *name) {
    const Value *port;
    int64_t found = 0;
    VALUE_FOREACH (port, value_get(spec, "ports"))
        if (text_is(port, "name", name))
            found = node_port(port);
    return found;
}

static void take_over(Allocation *a, const char *name) {
    if (value_is_empty(value_get(a->spec, name)) && !value_is_empty(value_get(a->old, name)))
        value_set(arena_of(a), a->spec, name, value_copy(arena_of(a), value_get(a->old, name)));
}

/* What the server had given and the client left out stays. */
static void patch_allocated(Allocation *a) {
    Value *port;
    if (service_needs_cluster_ip(a->old) && service_needs_cluster_ip(a->spec)) {
        take_over(a, "clusterIP");
        take_over(a, "clusterIPs");
    }
    if (wants_node_ports(a->old) && wants_node_ports(a->spec)) {
        Value *used = value_array(arena_of(a));
        VALUE_FOREACH (port, value_get(a->spec, "ports"))
            if (node_port(port) && uses_port(a->old, node_port(port)))
                value_append(arena_of(a), used, value_int(arena_of(a), node_port(port)));
        VALUE_FOREACH (port, value_get(a->spec, "ports")) {
            int64_t was = port_of_name(a->old, text_at(port, "name"));
            if (!node_port(port) && was && !number_in(used, was))
                value_set_int(arena_of(a), port, "nodePort", was);
        }
    }
    if (service_needs_health_check(a->old) && service_needs_health_check(a->spec) &&
        !value_get_int(a->spec, "healthCheckNodePort", 0) && value_get_int(a->old, "healthCheckNodePort", 0))
        value_set_int(arena_of(a), a->spec, "healthCheckNodePort", value_get_int(a->old, "healthCheckNodePort", 0));
}

static void normalize_ips(Allocation *a) {
    const char *now = text_at(a->spec, "clusterIP"), *was = text_at(a->old, "clusterIP");
    if (streq(now, was)) {
        take_over(a, "clusterIPs");
        return;
    }
    if (!same_list(a->old, a->spec, "clusterIPs"))
        return;
    Value *ips = NULL;
    if (*now) {
        ips = value_array(arena_of(a));
        value_append(arena_of(a), ips, value_string(arena_of(a), now));
    }
    value_set(arena_of(a), a->spec, "clusterIPs", ips);
}

static int update_ips(Allocation *a) {
    const Value *first = value_at(value_get(a->old, "clusterIPs"), 0);
    if (keeps_prefer_dual(a))
        return 0;
    if (!service_needs_cluster_ip(a->old) && service_needs_cluster_ip(a->spec))
        return allocate_ips(a, 0);
    if (streq(str_or(value_str(first), ""), NO_IP) || !service_needs_cluster_ip(a->spec))
        return 0;
    if (count(a->old, "ipFamilies") == 1 && count(a->spec, "ipFamilies") == 2)
        return allocate_ips(a, 1);
    return 0;
}

static int update_node_ports(Allocation *a) {
    Value *ports = value_get(a->spec, "ports"), *seen = value_array(arena_of(a));
    for (size_t i = 0; i < value_len(ports); i++) {
        Value *port = value_at(ports, i);
        int64_t number = node_port(port);
        ReservationError why = NULL;
        if (!number && !wants_node_ports(a->spec))
            continue;
        if (!number) {
            why = take_any_port(a, &number);
            if (why)
                return no_port_left(a, why);
            value_set_int(arena_of(a), port, "nodePort", number);
        } else if (!uses_port(a->old, number) && !number_in(a->ports, number)) {
            why = take_port(a, number);
            if (why)
                return refuse_port(a, i, number, why);
        }
        const char *key = arena_printf(arena_of(a), "%d/%s", (int)number, text_at(port, "protocol"));
        if (list_has(seen, key))
            return api_error_set(a->err, 500, "", "duplicate nodePort: {%s %d}", text_at(port, "protocol"),
                                 (int)number);
        value_append(arena_of(a), seen, value_string(arena_of(a), key));
    }
    return 0;
}

int service_allocate_for_update(StrategyContext *context, Value *service, const Value *old, ApiError *err) {
    Allocation a = begin(context, service, old, err);
    if (!a.old)
        a.old = value_object(context->arena);
    patch_allocated(&a);
    normalize_ips(&a);
    int r = init_families(&a);
    r = r < 0 ? r : update_ips(&a);
    if (r == 0 && may_have_node_ports(a.spec))
        r = update_node_ports(&a);
    if (r == 0 && !service_needs_health_check(a.old) && service_needs_health_check(a.spec))
        r = allocate_health_port(&a);
    return end(&a, r);
}

void service_release(StrategyContext *context, const Value *service, const Value *keeper) {
    const Value *spec = value_get(service, "spec"), *kept = value_get(keeper, "spec"), *item;
    const Value *meta = value_get(service, "metadata");
    Holder holder = {.ns = text_at(meta, "namespace"), .name = text_at(meta, "name")};
    int64_t health = value_get_int(spec, "healthCheckNodePort", 0);
    if (context->dry_run)
        return;
    VALUE_FOREACH (item, value_get(spec, "clusterIPs"))
        if (value_str(item) && !list_has(value_get(kept, "clusterIPs"), value_str(item)))
            ip_release(context, &holder, value_str(item));
    VALUE_FOREACH (item, value_get(spec, "ports"))
        if (!uses_port(kept, node_port(item)))
            port_release(context, &holder, node_port(item));
    if (health != value_get_int(kept, "healthCheckNodePort", 0))
        port_release(context, &holder, health);
}
