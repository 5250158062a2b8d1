/* Services (the reference's registry/core/service). */
#include "apiserver/registry/services.h"

#include "apiserver/registry/kinds.h"
#include "base/str.h"

static bool same_member(const Value *a, const Value *b, const char *name) {
    return same_value(value_get(a, name), value_get(b, name));
}

static bool adds_node_ports(const Value *spec, const Value *old) {
    const Value *port;
    uint64_t had[(UINT16_MAX + 1) / 64] = {1}; /* 0: none is asked for */
    VALUE_FOREACH (port, value_get(old, "ports")) {
        uint16_t number = (uint16_t)value_get_int(port, "nodePort", 0);
        had[number / 64] |= 1ull << number % 64;
    }
    VALUE_FOREACH (port, value_get(spec, "ports")) {
        int64_t number = value_get_int(port, "nodePort", 0);
        if (number < 0 || number > UINT16_MAX || !(had[number / 64] >> number % 64 & 1))
            return true;
    }
    return false;
}

static bool has_node_ports(const Value *spec) {
    return service_has_type(spec, "NodePort") || service_has_type(spec, "LoadBalancer");
}

/* A policy that types without a cluster IP were given by mistake long ago: it is not shown. One that is wrong stays, to
 * be refused. */
static void drop_internal_policy(Value *spec) {
    if (!service_needs_cluster_ip(spec) &&
        (text_is(spec, "internalTrafficPolicy", "Cluster") || text_is(spec, "internalTrafficPolicy", "Local")))
        value_remove(spec, "internalTrafficPolicy");
}

static void prepare_for_create(StrategyContext *context, Value *service) {
    kinds_reset_status(context, service);
    drop_internal_policy(value_get(service, "spec"));
}

/* The type says which members have a meaning: those that lost theirs, and that the client did not change, go. */
static void prepare_for_update(StrategyContext *context, Value *service, const Value *old_service) {
    Value *spec = value_get(service, "spec"), *port;
    const Value *old = value_get(old_service, "spec");
    drop_internal_policy(spec);
    if (service_needs_cluster_ip(old) && !service_needs_cluster_ip(spec)) {
        if (same_member(spec, old, "clusterIP") && same_member(spec, old, "clusterIPs")) {
            value_remove(spec, "clusterIP");
            value_remove(spec, "clusterIPs");
        }
        if (same_member(spec, old, "ipFamilies"))
            value_remove(spec, "ipFamilies");
        if (same_member(spec, old, "ipFamilyPolicy"))
            value_remove(spec, "ipFamilyPolicy");
    }
    if (has_node_ports(old) && !has_node_ports(spec) && !adds_node_ports(spec, old))
        VALUE_FOREACH (port, value_get(spec, "ports"))
            value_remove(port, "nodePort");
    if (service_needs_health_check(old) && !service_needs_health_check(spec) &&
        same_member(spec, old, "healthCheckNodePort"))
        value_remove(spec, "healthCheckNodePort");
    if (service_has_type(old, "LoadBalancer") && !service_has_type(spec, "LoadBalancer")) {
        if (same_member(spec, old, "allocateLoadBalancerNodePorts"))
            value_remove(spec, "allocateLoadBalancerNodePorts");
        if (same_member(spec, old, "loadBalancerClass"))
            value_remove(spec, "loadBalancerClass");
    }
    if (service_is_reachable(old) && !service_is_reachable(spec) && same_member(spec, old, "externalTrafficPolicy"))
        value_remove(spec, "externalTrafficPolicy");
    if (!service_has_type(spec, "LoadBalancer") && value_get(service, "status"))
        value_set(context->arena, value_get(service, "status"), "loadBalancer", value_object(context->arena));
}

static void warn_addresses(StrategyContext *context, const Value *spec, const char *name,
                           void (*warn)(StrategyContext *, const FieldPath *, const char *)) {
    FieldPath spec_at = FIELD(NULL, "spec"), list_at = FIELD(&spec_at, name);
    const Value *list = value_get(spec, name);
    for (size_t i = 0; i < value_len(list); i++) {
        FieldPath at = FIELD_INDEX(&list_at, i);
        warn(context, &at, str_or(value_str(value_at(list, i)), ""));
    }
}

static void warn_headless(StrategyContext *context, const Value *spec) {
    if (*text_at(spec, "loadBalancerIP"))
        strategy_warn(context, "spec.loadBalancerIP is ignored for headless services");
    if (value_len(value_get(spec, "externalIPs")))
        strategy_warn(context, "spec.externalIPs is ignored for headless services");
    if (!text_is(spec, "sessionAffinity", "None"))
        strategy_warn(context, "spec.SessionAffinity is ignored for headless services");
}

static void warn_create(StrategyContext *context, const Value *service) {
    const Value *spec = value_get(service, "spec");
    const char *ip = text_at(spec, "clusterIP");
    bool headless = service_has_type(spec, "ClusterIP") && streq(ip, "None");
    bool external_ips = value_len(value_get(spec, "externalIPs")) > 0;
    FieldPath spec_at = FIELD(NULL, "spec"), balancer_at = FIELD(&spec_at, "loadBalancerIP");
    if (annotation_of(service, "service.kubernetes.io/topology-aware-hints"))
        strategy_warn(context, "annotation service.kubernetes.io/topology-aware-hints is deprecated, please use "
                               "service.kubernetes.io/topology-mode instead");
    if (*ip && !streq(ip, "None"))
        warn_addresses(context, spec, "clusterIPs", ip_warn);
    if (headless)
        warn_headless(context, spec);
    warn_addresses(context, spec, "externalIPs", ip_warn);
    if (external_ips && !headless && service_needs_cluster_ip(spec))
        strategy_warn(context, "spec.externalIPs is deprecated and may no longer be implemented in some clusters");
    if (*text_at(spec, "loadBalancerIP"))
        ip_warn(context, &balancer_at, text_at(spec, "loadBalancerIP"));
    warn_addresses(context, spec, "loadBalancerSourceRanges", ip_range_warn);
    if (!service_needs_cluster_ip(spec) && external_ips)
        strategy_warn(context, "spec.externalIPs is ignored when spec.type is \"ExternalName\"");
    if (service_needs_cluster_ip(spec) && *text_at(spec, "externalName"))
        strategy_warn(context, "spec.externalName is ignored when spec.type is not \"ExternalName\"");
    if (text_is(spec, "trafficDistribution", "PreferClose"))
        strategy_warn(context, "spec.trafficDistribution: \"PreferClose\" is deprecated; use \"PreferSameZone\"");
}

static void warn_update(StrategyContext *context, const Value *service, _unused_ const Value *old) {
    warn_create(context, service);
}

/* A write failed: what was reserved for it goes back, except what the stored service of that name has. */
static void rollback(StrategyContext *context, const Value *service) {
    const Value *meta = value_get(service, "metadata");
    _cleanup_object_ Object *stored = NULL;
    const Value *keeper = NULL;
    if (store_get(context->store, context->resource, text_at(meta, "namespace"), text_at(meta, "name"), &stored) == 0)
        keeper = object_value(stored, context->arena);
    service_release(context, service, keeper);
}

static void after_update(StrategyContext *context, const Value *service, const Value *old) {
    service_release(context, old, service);
}

/* Endpoints go with their service, so that a new one of this name does not begin with them. */
static void after_delete(StrategyContext *context, const Value *service) {
    const Resource *endpoints = resource_find("", "v1", "endpoints");
    const Value *meta = value_get(service, "metadata");
    if (context->dry_run)
        return;
    if (endpoints)
        store_delete(context->store, endpoints->storage, text_at(meta, "namespace"), text_at(meta, "name"), 0, NULL,
                     NULL);
    service_release(context, service, NULL);
}

static const Strategy ROWS[] = {
    {
        .group = "",
        .plural = "services",
        .allow_create_on_update = true,
        .allow_unconditional_update = true,
        .validate_name = validate_label_name,
        .prepare_for_create = prepare_for_create,
        .prepare_for_update = prepare_for_update,
        .validate = service_validate,
        .validates_update_alone = true,
        .validate_update = service_validate_update,
        .validate_status_update = service_validate_status_update,
        .warn_create = warn_create,
        .warn_update = warn_update,
        .warn_status_update = ip_warn_balancer,
        .begin_create = service_allocate_for_create,
        .begin_update = service_allocate_for_update,
        .rollback = rollback,
        .after_update = after_update,
        .after_delete = after_delete,
        .return_deleted_object = true,
    },
};
const StrategyTable strategies_services = {ROWS, ELEMENTSOF(ROWS)};
