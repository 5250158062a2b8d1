/* The status subresource: what the node agent and the scheduler may say of a pod. */
#include "apiserver/registry/internal_print.h"
#include "apiserver/registry/ip.h"
#include "apiserver/registry/pod_update.h"
#include "apiserver/registry/validate_util.h"

#define HEALTH_MESSAGE_MAX 1024

static void check_conditions(FieldErrors *errors, const Value *conditions, const FieldPath *path) {
    static const char *const OWN[] = {"PodScheduled", "Ready", "Initialized", NULL};
    FieldPath list = FIELD(path, "conditions");
    for (size_t i = 0; i < value_len(conditions); i++) {
        const Value *condition = value_at(conditions, i);
        FieldPath at = FIELD_INDEX(&list, i), type = FIELD(&at, "Type"), generation = FIELD(&at, "observedGeneration");
        if (value_get_int(condition, "observedGeneration", 0) < 0)
            field_invalid(errors, &generation, value_get(condition, "observedGeneration"),
                          "must be a non-negative integer");
        if (!str_in(text_of(condition, "type"), OWN))
            field_check_name(errors, &type, text_of(condition, "type"), name_qualified);
    }
}

/* ---- containers that have ended ---- */

static const Value *matching_rule(const Value *container, int64_t code) {
    const Value *rule, *value;
    VALUE_FOREACH (rule, value_get(container, "restartPolicyRules")) {
        const Value *codes = value_get(rule, "exitCodes");
        bool found = false;
        VALUE_FOREACH (value, value_get(codes, "values"))
            found |= value->integer == code;
        if (codes && ((streq(text_of(codes, "operator"), "In") && found) ||
                      (streq(text_of(codes, "operator"), "NotIn") && !found)))
            return rule;
    }
    return NULL;
}

static bool should_restart(const Value *container, const Value *spec, int64_t code) {
    const char *policy = value_get_str(container, "restartPolicy");
    if (policy) {
        const char *action = text_of(matching_rule(container, code), "action");
        if (streq(action, "Restart") || streq(action, "RestartAllContainers"))
            return true;
    } else
        policy = text_of(spec, "restartPolicy");
    return streq(policy, "OnFailure") ? code != 0 : !streq(policy, "Never");
}

static bool restarts_all(const Value *spec) {
    static const char *const LISTS[] = {"initContainers", "containers"};
    const Value *container, *rule;
    for (size_t l = 0; l < ELEMENTSOF(LISTS); l++)
        VALUE_FOREACH (container, value_get(spec, LISTS[l]))
            VALUE_FOREACH (rule, value_get(container, "restartPolicyRules"))
                if (streq(text_of(rule, "action"), "RestartAllContainers"))
                    return true;
    return false;
}

static const Value *by_name(const Value *list, const char *name) {
    const Value *item;
    VALUE_FOREACH (item, list)
        if (streq(text_of(item, "name"), name))
            return item;
    return NULL;
}

/* `containers`: NULL where nothing ever restarts. */
static void check_transitions(FieldErrors *errors, const Value *statuses, const Value *old, const Value *containers,
                              const Value *spec, const FieldPath *path) {
    for (size_t i = 0; i < value_len(old); i++) {
        const char *name = text_of(value_at(old, i), "name");
        const Value *ended = value_path(value_at(old, i), "state", "terminated", NULL), *now = by_name(statuses, name),
                    *container = by_name(containers, name);
        FieldPath at = FIELD_INDEX(path, i), state = FIELD(&at, "state");
        if (!ended || !now || value_path(now, "state", "terminated", NULL))
            continue;
        if (!container || !should_restart(container, spec, value_get_int(ended, "exitCode", 0)))
            field_forbidden(errors, &state, "may not be transitioned to non-terminated state");
    }
}

/* ---- addresses ---- */

static void check_addresses(FieldErrors *errors, const Value *status, const Value *old, const char *list,
                            const FieldPath *path) {
    const Value *addresses = value_get(status, list), *item;
    Value *was = value_array(errors->arena);
    size_t n_v6 = 0, n = value_len(addresses), n_good = 0; /* the first that are addresses */
    FieldPath list_at = FIELD(path, list);
    VALUE_FOREACH (item, value_get(old, list))
        value_append(errors->arena, was, value_string(errors->arena, text_of(item, "ip")));
    for (size_t i = 0; i < n; i++) {
        FieldPath at = FIELD_INDEX(&list_at, i);
        ip_legacy_validate(errors, &at, text_of(value_at(addresses, i), "ip"), was);
        n_v6 += ip_is_v6_text(text_of(value_at(addresses, i), "ip"));
        n_good += n_good == i && ip_parse(text_of(value_at(addresses, i), "ip"), &(Ip){0});
    }
    if (n < 2 || (n == 2 && n_good == 2 && n_v6 == 1))
        return;
    if (n_good < n)
        field_internal(errors, &list_at, "failed to check for dual stack with error:invalid IP[%zu]: %s", n_good,
                       text_of(value_at(addresses, n_good), "ip"));
    Value *printed = value_array(errors->arena);
    VALUE_FOREACH (item, addresses) {
        Value *address = value_object(errors->arena);
        value_set_str(errors->arena, address, "IP", text_of(item, "ip"));
        value_append(errors->arena, printed, address);
    }
    field_invalid(errors, &list_at, printed, "may specify no more than one IP for each IP family");
}

static void check_host_ip(FieldErrors *errors, const Value *status, const FieldPath *path) {
    const Value *first = value_at(value_get(status, "hostIPs"), 0);
    FieldPath list = FIELD(path, "hostIPs"), at = FIELD_INDEX(&list, 0), ip = FIELD(&at, "ip");
    if (first && !streq(text_of(first, "ip"), text_of(status, "hostIP")))
        field_invalid_str(errors, &ip, text_of(first, "ip"), "must be equal to `hostIP`");
}

/* ---- what statuses of containers say ---- */

static void check_users(FieldErrors *errors, const Value *statuses, bool windows, const FieldPath *path) {
    static const char *const IDS[] = {"uid", "gid"};
    for (size_t i = 0; i < value_len(statuses); i++) {
        const Value *user = value_path(value_at(statuses, i), "user", "linux", NULL),
                    *groups = value_get(user, "supplementalGroups");
        FieldPath at = FIELD_INDEX(path, i), user_at = FIELD(&at, "user"), linux_at = FIELD(&user_at, "linux"),
                  groups_at = FIELD(&linux_at, "supplementalGroups");
        if (!user)
            continue;
        if (windows) {
            field_forbidden(errors, &linux_at, "cannot be set for a windows pod");
            continue;
        }
        for (size_t k = 0; k < ELEMENTSOF(IDS); k++) {
            FieldPath id = FIELD(&linux_at, IDS[k]);
            field_check_range(errors, &id, value_get_int(user, IDS[k], 0), 0, INT32_MAX);
        }
        for (size_t g = 0; g < value_len(groups); g++) {
            FieldPath group = FIELD_INDEX(&groups_at, g);
            field_check_range(errors, &group, value_at(groups, g)->integer, 0, INT32_MAX);
        }
    }
}

static bool has_claim(Arena *arena, const Value *container, const char *name) {
    const Value *claim;
    VALUE_FOREACH (claim, value_path(container, "resources", "claims", NULL)) {
        const char *request = text_of(claim, "request");
        if (streq(name, arena_printf(arena, "claim:%s%s%s", text_of(claim, "name"), *request ? "/" : "", request)))
            return true;
    }
    return false;
}

static void check_health(FieldErrors *errors, const Value *resources, const FieldPath *path) {
    static const char *const HEALTH[] = {"Healthy", "Unhealthy", "Unknown", NULL};
    FieldPath list = FIELD(path, "resources");
    for (size_t i = 0; i < value_len(resources); i++) {
        const Value *resource = value_at(resources, i);
        const char *health = text_of(resource, "health"), *message = value_get_str(resource, "message"),
                   *id = text_of(resource, "resourceID");
        FieldPath at = FIELD_INDEX(&list, i), health_at = FIELD(&at, "health"), message_at = FIELD(&at, "message"),
                  id_at = FIELD(&at, "resourceID");
        if (!str_in(health, HEALTH))
            field_not_supported(errors, &health_at, value_string(errors->arena, health), HEALTH);
        if (message && !*message)
            field_required(errors, &message_at, "must be non-empty if specified");
        else if (message && strlen(message) > HEALTH_MESSAGE_MAX)
            field_too_long(errors, &message_at, HEALTH_MESSAGE_MAX);
        if (seen_before(errors, resources, i, "resourceID", id))
            field_duplicate(errors, &id_at, value_string(errors->arena, id));
    }
}

static void check_allocated(FieldErrors *errors, const Value *statuses, const Value *containers,
                            const FieldPath *path) {
    for (size_t i = 0; i < value_len(statuses); i++) {
        const Value *allocated = value_get(value_at(statuses, i), "allocatedResourcesStatus"),
                    *container = by_name(containers, text_of(value_at(statuses, i), "name"));
        FieldPath at = FIELD_INDEX(path, i), list = FIELD(&at, "allocatedResourcesStatus");
        for (size_t j = 0; j < value_len(allocated); j++) {
            const char *name = text_of(value_at(allocated, j), "name");
            bool claim = str_has_prefix(name, "claim:");
            FieldPath item = FIELD_INDEX(&list, j), name_at = FIELD(&item, "name");
            if (container && claim && !has_claim(errors->arena, container, name))
                field_invalid_str(errors, &name_at, name,
                                  "must match one of the container's resource claims in a format "
                                  "'claim:<claimName>/<request>' or 'claim:<claimName>' if request is empty");
            else if (container && !claim && !value_path(container, "resources", "requests", name, NULL))
                field_invalid_str(errors, &name_at, name, "must match one of the container's resource requests");
            check_health(errors, value_get(value_at(allocated, j), "resources"), &item);
        }
    }
}

static void check_not_allocated(FieldErrors *errors, const Value *statuses, const FieldPath *path) {
    for (size_t i = 0; i < value_len(statuses); i++) {
        FieldPath at = FIELD_INDEX(path, i), list = FIELD(&at, "allocatedResourcesStatus");
        if (value_len(value_get(value_at(statuses, i), "allocatedResourcesStatus")))
            field_forbidden(errors, &list, "must not be specified in container status");
    }
}

static void check_claims(FieldErrors *errors, const Value *status, const Value *spec, const FieldPath *path) {
    const Value *statuses = value_get(status, "resourceClaimStatuses"), *claims = value_get(spec, "resourceClaims");
    FieldPath list = FIELD(path, "resourceClaimStatuses");
    for (size_t i = 0; i < value_len(statuses); i++) {
        const char *name = text_of(value_at(statuses, i), "name");
        FieldPath at = FIELD_INDEX(&list, i), name_at = FIELD(&at, "name");
        if (!by_name(claims, name))
            field_invalid_str(errors, &name_at, name, "must match the name of an entry in `spec.resourceClaims`");
        if (seen_before(errors, statuses, i, "name", name))
            field_duplicate(errors, &name_at, value_string(errors->arena, name));
        member_name_if_set(errors, value_at(statuses, i), "resourceClaimName", name_dns_subdomain, &at);
    }
}

static void check_placement(FieldErrors *errors, const Value *pod, const Value *old_pod, const FieldPath *path) {
    const Value *status = value_get(pod, "status"), *old = value_get(old_pod, "status");
    const char *nominated = text_of(status, "nominatedNodeName"),
               *node = text_of(value_get(old_pod, "spec"), "nodeName");
    FieldPath nominated_at = FIELD(path, "nominatedNodeName"), node_at = FIELD(path, "nodeName"),
              generation = FIELD(path, "observedGeneration");
    bool news = *nominated && !streq(nominated, text_of(old, "nominatedNodeName"));
    if (!streq(text_of(value_get(pod, "spec"), "nodeName"), node))
        field_forbidden(errors, &node_at, "may not be changed directly");
    if (news)
        field_check_name(errors, &nominated_at, nominated, name_dns_subdomain);
    if (news && *node)
        field_forbidden(errors, &nominated_at, "may not be set on pods that are already bound to a node");
    if (value_get_int(status, "observedGeneration", 0) < 0)
        field_invalid(errors, &generation, value_get(status, "observedGeneration"), "must be a non-negative integer");
}

void pod_status_validate(FieldErrors *errors, const Value *pod, const Value *old_pod) {
    static const struct {
        const char *statuses, *containers;
    } LISTS[] = {{"containerStatuses", "containers"},
                 {"initContainerStatuses", "initContainers"},
                 {"ephemeralContainerStatuses", NULL}};
    const Value *status = value_get(pod, "status"), *old = value_get(old_pod, "status"), *spec = value_get(pod, "spec"),
                *old_spec = value_get(old_pod, "spec");
    FieldPath path = FIELD(NULL, "status"), paths[ELEMENTSOF(LISTS)], qos = FIELD(&path, "qosClass");
    pod_annotations_update_validate(errors, pod, old_pod);
    check_conditions(errors, value_get(status, "conditions"), &path);
    check_placement(errors, pod, old_pod, &path);
    if (!streq(text_of(status, "qosClass"), text_of(old, "qosClass")))
        field_invalid_str(errors, &qos, text_of(status, "qosClass"), MUST_BE_IMMUTABLE);
    for (size_t l = 0; l < ELEMENTSOF(LISTS); l++) {
        paths[l] = FIELD(&path, LISTS[l].statuses);
        if (!LISTS[l].containers || !restarts_all(old_spec))
            check_transitions(errors, value_get(status, LISTS[l].statuses), value_get(old, LISTS[l].statuses),
                              LISTS[l].containers ? value_get(old_spec, LISTS[l].containers) : NULL, old_spec,
                              &paths[l]);
    }
    check_claims(errors, status, spec, &path);
    check_addresses(errors, status, old, "podIPs", &path);
    check_host_ip(errors, status, &path);
    check_addresses(errors, status, old, "hostIPs", &path);
    bool windows = streq(text_of(value_get(spec, "os"), "name"), "windows");
    for (size_t l = 0; l < ELEMENTSOF(LISTS); l++)
        check_users(errors, value_get(status, LISTS[l].statuses), windows, &paths[l]);
    for (size_t l = 0; l < ELEMENTSOF(LISTS); l++) {
        const Value *statuses = value_get(status, LISTS[l].statuses);
        if (LISTS[l].containers)
            check_allocated(errors, statuses, value_get(spec, LISTS[l].containers), &paths[l]);
        else
            check_not_allocated(errors, statuses, &paths[l]);
    }
}
