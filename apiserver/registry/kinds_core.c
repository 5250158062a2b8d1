/* Namespaces, nodes and endpoints. */
#include "apiserver/registry/checks.h"
#include "apiserver/registry/ip.h"
#include "apiserver/registry/internal_print.h"
#include "apiserver/registry/kinds.h"
#include "apiserver/registry/resource_names.h"
#include "base/str.h"
#include "base/strmap.h"

#define POD_RANGES_CHANGED "node updates may not change podCIDR except from \"\" to valid"

static void namespace_prepare_for_create(StrategyContext *context, Value *ns) {
    Arena *arena = context->arena;
    Value *status = value_object(arena), *spec = value_ensure_object(arena, ns, "spec"), *finalizer;
    Value *finalizers = value_ensure_array(arena, spec, "finalizers");
    value_set_str(arena, status, "phase", "Active");
    value_set(arena, ns, "status", status);
    VALUE_FOREACH (finalizer, finalizers)
        if (streq(str_or(value_str(finalizer), ""), "kubernetes"))
            return;
    value_append(arena, finalizers, value_string(arena, "kubernetes"));
}

/* spec.finalizers changes by the finalize subresource alone. */
static void namespace_prepare_for_update(StrategyContext *context, Value *ns, const Value *old) {
    const Value *finalizers = value_path(old, "spec", "finalizers", NULL);
    if (context->subresource && streq(context->subresource, "finalize"))
        return;
    value_set(context->arena, value_ensure_object(context->arena, ns, "spec"), "finalizers",
              value_copy(context->arena, finalizers));
}

static bool namespace_holds_deletion(const Value *ns) {
    return value_len(value_path(ns, "spec", "finalizers", NULL)) > 0;
}

static void namespace_mark_deleting(StrategyContext *context, Value *ns) {
    value_set_str(context->arena, value_ensure_object(context->arena, ns, "status"), "phase", "Terminating");
}

static void check_finalizer(FieldErrors *errors, const char *name, const FieldPath *path) {
    static const char *const STANDARD[] = {"kubernetes", "orphan", "foregroundDeletion", NULL};
    field_check_name(errors, path, name, name_qualified);
    if (!strchr(name, '/') && !str_in(name, STANDARD))
        field_invalid_str(errors, path, name, "name is neither a standard finalizer name nor is it fully qualified");
}

static void namespace_validate(StrategyContext *context, const Value *ns, FieldErrors *errors) {
    const Value *finalizers = value_path(ns, "spec", "finalizers", NULL);
    bool finalize = context->subresource && streq(context->subresource, "finalize");
    FieldPath spec_at = FIELD(NULL, "spec"), list_at = FIELD(&spec_at, "finalizers");
    for (size_t i = 0; i < value_len(finalizers); i++) {
        FieldPath at = FIELD_INDEX(&list_at, i);
        check_finalizer(errors, str_or(value_str(value_at(finalizers, i)), ""), finalize ? &at : &list_at);
    }
}

static void namespace_validate_status_update(_unused_ StrategyContext *context, const Value *ns,
                                             _unused_ const Value *old, FieldErrors *errors) {
    bool deleting = value_path(ns, "metadata", "deletionTimestamp", NULL) != NULL;
    const char *phase = text_at(value_get(ns, "status"), "phase"), *want = deleting ? "Terminating" : "Active";
    FieldPath status_at = FIELD(NULL, "status"), at = FIELD(&status_at, "Phase");
    if (!streq(phase, want))
        field_invalid_str(errors, &at, phase, "may only be '%s' if `deletionTimestamp` is %sempty", want,
                          deleting ? "not " : "");
}

/* Shown as the reference's internal struct. */
static void duplicate_taint(FieldErrors *errors, const Value *taint, const FieldPath *path) {
    Value *shown = value_object(errors->arena), *added = value_get(taint, "timeAdded");
    value_set_str(errors->arena, shown, "Key", text_at(taint, "key"));
    value_set_str(errors->arena, shown, "Value", text_at(taint, "value"));
    value_set_str(errors->arena, shown, "Effect", text_at(taint, "effect"));
    value_set(errors->arena, shown, "TimeAdded", added ? added : value_null(errors->arena));
    field_duplicate(errors, path, shown);
    if (errors->n > FIELD_ERRORS_MAX)
        return;
    struct FieldError *last = &errors->items[errors->n - 1];
    last->detail = arena_strdup(errors->arena, "taints must be unique by key and effect pair");
    last->message = arena_printf(errors->arena, "%s: %s", last->message, last->detail);
}

static void check_taints(FieldErrors *errors, const Value *taints, const FieldPath *path) {
    static const char *const EFFECTS[] = {"NoSchedule", "PreferNoSchedule", "NoExecute", NULL};
    _cleanup_(strmap_freep) StrMap *seen = strmap_new(NULL);
    for (size_t i = 0; i < value_len(taints); i++) {
        const Value *taint = value_at(taints, i);
        const char *value = text_at(taint, "value"), *effect = text_at(taint, "effect");
        FieldPath at = FIELD_INDEX(path, i), key_at = FIELD(&at, "key"), value_at_ = FIELD(&at, "value"),
                  effect_at = FIELD(&at, "effect");
        NameMessages messages = {.arena = errors->arena};
        field_check_name(errors, &key_at, text_at(taint, "key"), name_qualified);
        name_label_value(value, &messages);
        for (size_t k = 0; k < messages.n; k++)
            field_invalid_str(errors, &value_at_, value, "%s", messages.items[k]);
        if (!*effect)
            field_required(errors, &effect_at, "");
        else
            check_one_of(errors, &effect_at, effect, EFFECTS);
        char *pair = arena_printf(errors->arena, "%s\n%s", effect, text_at(taint, "key"));
        if (!strmap_add(seen, pair))
            duplicate_taint(errors, taint, &at);
    }
}

static void check_node_amounts(FieldErrors *errors, const Value *node, const char *member) {
    FieldPath status_at = FIELD(NULL, "status"), map_at = FIELD(&status_at, member);
    VALUE_FOREACH_MEMBER (m, value_path(node, "status", member, NULL)) {
        FieldPath at = FIELD(&map_at, m->name); /* a path, not a key, in the reference */
        resource_quantity_validate(errors, &at, m->name, m->value);
    }
}

static void check_pod_ranges(FieldErrors *errors, const Value *ranges) {
    FieldPath spec_at = FIELD(NULL, "spec"), list_at = FIELD(&spec_at, "podCIDRs");
    bool v4 = false, v6 = false;
    size_t n = value_len(ranges), wrong = n; /* the first that is none */
    for (size_t i = 0; i < n; i++) {
        const char *text = str_or(value_str(value_at(ranges, i)), "");
        FieldPath at = FIELD_INDEX(&list_at, i);
        IpRange range;
        ip_range_legacy_validate(errors, &at, text, NULL);
        if (ip_range_parse(text, &range))
            *(range.v6 ? &v6 : &v4) = true;
        else
            wrong = MIN(wrong, i);
    }
    if (n > 1 && wrong < n)
        field_internal(errors, &list_at,
                       "invalid PodCIDRs. failed to check with dual stack with error:invalid CIDR[%zu]: <nil> (invalid "
                       "CIDR address: %s)",
                       wrong, str_or(value_str(value_at(ranges, wrong)), ""));
    if (n > 1 && (wrong < n || !v4 || !v6 || n > 2))
        field_invalid(errors, &list_at, ranges, "may specify no more than one CIDR for each IP family");
}

static void node_validate(_unused_ StrategyContext *context, const Value *node, FieldErrors *errors) {
    FieldPath meta_at = FIELD(NULL, "metadata"), taints_at = FIELD(&meta_at, "taints"); /* as the reference has it */
    check_taints(errors, value_path(node, "spec", "taints", NULL), &taints_at);
    check_node_amounts(errors, node, "capacity");
    check_node_amounts(errors, node, "allocatable");
    check_pod_ranges(errors, value_path(node, "spec", "podCIDRs", NULL));
}

static void node_validate_change(_unused_ StrategyContext *context, const Value *node, const Value *old,
                                 FieldErrors *errors) {
    const Value *spec = value_get(node, "spec"), *was = value_get(old, "spec");
    const Value *addresses = value_path(node, "status", "addresses", NULL), *ranges = value_get(was, "podCIDRs");
    FieldPath spec_at = FIELD(NULL, "spec"), ranges_at = FIELD(&spec_at, "podCIDRs"),
              provider_at = FIELD(&spec_at, "providerID"), external_at = FIELD(&spec_at, "externalID"),
              meta_at = FIELD(NULL, "metadata"), taints_at = FIELD(&meta_at, "taints"),
              status_at = FIELD(NULL, "status"), addresses_at = FIELD(&status_at, "addresses");
    check_node_amounts(errors, node, "capacity");
    check_node_amounts(errors, node, "allocatable");
    _cleanup_(strmap_freep) StrMap *seen = strmap_new(NULL);
    for (size_t i = 0; i < value_len(addresses); i++) {
        FieldPath at = FIELD_INDEX(&addresses_at, i);
        char *key = arena_printf(errors->arena, "%s\n%s", text_at(value_at(addresses, i), "type"),
                                 text_at(value_at(addresses, i), "address"));
        if (!strmap_add(seen, key))
            field_duplicate(errors, &at, internal_value(errors->arena, "NodeAddress", value_at(addresses, i), NULL));
    }
    if (value_len(ranges) && !value_equal(ranges, value_get(spec, "podCIDRs")))
        field_forbidden(errors, &ranges_at, POD_RANGES_CHANGED);
    if (*text_at(was, "providerID") && !text_is(spec, "providerID", text_at(was, "providerID")))
        field_forbidden(errors, &provider_at, "node updates may not change providerID except from \"\" to valid");
    check_taints(errors, value_get(spec, "taints"), &taints_at);
    if (!text_is(spec, "externalID", text_at(was, "externalID")))
        field_forbidden(errors, &external_at, "may not be updated");
}

static void node_prepare_for_create(_unused_ StrategyContext *context, Value *node) {
    if (value_get(node, "spec"))
        value_remove(value_get(node, "spec"), "configSource");
    if (value_get(node, "status"))
        value_remove(value_get(node, "status"), "config");
}

static void node_warn(StrategyContext *context, const Value *node) {
    const Value *spec = value_get(node, "spec");
    if (value_is(value_get(spec, "configSource"), VALUE_OBJECT))
        strategy_warn(context, "spec.configSource: the feature is removed");
    if (*text_at(spec, "externalID"))
        strategy_warn(context, "spec.externalID: this field is deprecated, and is unused by Kubernetes");
    const Value *ranges = value_get(spec, "podCIDRs");
    FieldPath spec_at = FIELD(NULL, "spec"), ranges_at = FIELD(&spec_at, "podCIDRs");
    for (size_t i = 0; i < value_len(ranges); i++) {
        FieldPath at = FIELD_INDEX(&ranges_at, i);
        ip_range_warn(context, &at, str_or(value_str(value_at(ranges, i)), ""));
    }
}

static void node_warn_update(StrategyContext *context, const Value *node, _unused_ const Value *old) {
    node_warn(context, node);
}

static void check_address(FieldErrors *errors, const Value *address, const FieldPath *path) {
    const char *ip = text_at(address, "ip");
    FieldPath ip_at = FIELD(path, "ip");
    ip_legacy_validate(errors, &ip_at, ip, NULL);
    check_name_member(errors, address, "hostname", name_dns_label, path);
    check_name_if_present(errors, address, "nodeName", name_dns_subdomain, path);
    ip_endpoint_validate(errors, &ip_at, ip);
}

static void check_endpoint_port(FieldErrors *errors, const Value *port, bool named, const FieldPath *path) {
    static const char *const PROTOCOLS[] = {"SCTP", "TCP", "UDP", NULL};
    FieldPath name_at = FIELD(path, "name"), port_at = FIELD(path, "port"), protocol_at = FIELD(path, "protocol");
    if (*text_at(port, "name"))
        field_check_name(errors, &name_at, text_at(port, "name"), name_dns_label);
    else if (named)
        field_required(errors, &name_at, "");
    field_check_port(errors, &port_at, value_get_int(port, "port", 0));
    if (!*text_at(port, "protocol"))
        field_required(errors, &protocol_at, "");
    else
        check_one_of(errors, &protocol_at, text_at(port, "protocol"), PROTOCOLS);
    check_name_if_present(errors, port, "appProtocol", name_qualified, path);
}

static void check_subset(FieldErrors *errors, const Value *subset, const FieldPath *path) {
    static const char *const LISTS[] = {"addresses", "notReadyAddresses"};
    const Value *ports = value_get(subset, "ports");
    FieldPath ports_at = FIELD(path, "ports");
    if (!value_len(value_get(subset, LISTS[0])) && !value_len(value_get(subset, LISTS[1])))
        field_required(errors, path, "must specify `addresses` or `notReadyAddresses`");
    for (size_t k = 0; k < ELEMENTSOF(LISTS); k++) {
        const Value *list = value_get(subset, LISTS[k]);
        FieldPath list_at = FIELD(path, LISTS[k]);
        for (size_t i = 0; i < value_len(list); i++) {
            FieldPath at = FIELD_INDEX(&list_at, i);
            check_address(errors, value_at(list, i), &at);
        }
    }
    for (size_t i = 0; i < value_len(ports); i++) {
        FieldPath at = FIELD_INDEX(&ports_at, i);
        check_endpoint_port(errors, value_at(ports, i), value_len(ports) > 1, &at);
    }
}

static void endpoints_validate(_unused_ StrategyContext *context, const Value *endpoints, FieldErrors *errors) {
    const Value *subsets = value_get(endpoints, "subsets");
    FieldPath list_at = FIELD(NULL, "subsets");
    for (size_t i = 0; i < value_len(subsets); i++) {
        FieldPath at = FIELD_INDEX(&list_at, i);
        check_subset(errors, value_at(subsets, i), &at);
    }
}

/* What an older server let in stays. */
static void endpoints_validate_update(StrategyContext *context, const Value *endpoints, const Value *old,
                                      FieldErrors *errors) {
    if (!same_value(value_get(endpoints, "subsets"), value_get(old, "subsets")))
        endpoints_validate(context, endpoints, errors);
}

/* The deprecation of Endpoints is told by the API's own warning; this one is about addresses. */
static void endpoints_warn(StrategyContext *context, const Value *endpoints) {
    static const char *const LISTS[] = {"addresses", "notReadyAddresses"};
    const Value *subsets = value_get(endpoints, "subsets");
    FieldPath subsets_at = FIELD(NULL, "subsets");
    for (size_t i = 0; i < value_len(subsets); i++)
        for (size_t k = 0; k < ELEMENTSOF(LISTS); k++) {
            const Value *list = value_get(value_at(subsets, i), LISTS[k]);
            FieldPath subset_at = FIELD_INDEX(&subsets_at, i), list_at = FIELD(&subset_at, LISTS[k]);
            for (size_t j = 0; j < value_len(list); j++) {
                FieldPath at = FIELD_INDEX(&list_at, j), ip_at = FIELD(&at, "ip");
                ip_warn(context, &ip_at, text_at(value_at(list, j), "ip"));
            }
        }
}

static void endpoints_warn_update(StrategyContext *context, const Value *endpoints, _unused_ const Value *old) {
    endpoints_warn(context, endpoints);
}

static const Strategy ROWS[] = {
    {
        .group = "",
        .plural = "namespaces",
        .revalidates_meta = true,
        .allow_unconditional_update = true,
        .validate_name = validate_label_name,
        .prepare_for_create = namespace_prepare_for_create,
        .prepare_for_update = namespace_prepare_for_update,
        .validate = namespace_validate,
        .validate_status_update = namespace_validate_status_update,
        .return_deleted_object = true,
        .holds_deletion = namespace_holds_deletion,
        .mark_deleting = namespace_mark_deleting,
    },
    {
        .group = "",
        .plural = "nodes",
        .revalidates_meta = true,
        .allow_unconditional_update = true,
        .prepare_for_create = node_prepare_for_create,
        .validate = node_validate,
        .validate_update = node_validate_change,
        .validate_status_update = node_validate_change,
        .warn_create = node_warn,
        .warn_update = node_warn_update,
    },
    {
        .group = "",
        .plural = "endpoints",
        .revalidates_meta = true,
        .allow_create_on_update = true,
        .allow_unconditional_update = true,
        .validates_update_alone = true,
        .validate = endpoints_validate,
        .validate_update = endpoints_validate_update,
        .warn_create = endpoints_warn,
        .warn_update = endpoints_warn_update,
    },
};
const StrategyTable strategies_core = {ROWS, ELEMENTSOF(ROWS)};
