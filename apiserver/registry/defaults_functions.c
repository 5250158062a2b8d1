#include "apiserver/registry/defaults_functions.h"

#include "api/quantity.h"
#include "base/clock.h"
#include "base/str.h"

static bool absent(const Value *object, const char *name) {
    const Value *v = value_get(object, name);
    return !v || v->type == VALUE_NULL;
}

static bool is_str(const Value *object, const char *name, const char *want) {
    return streq(str_or(value_get_str(object, name), ""), want);
}

static void if_absent_int(Arena *arena, Value *object, const char *name, int64_t i) {
    if (absent(object, name))
        value_set_int(arena, object, name, i);
}

static void if_absent_bool(Arena *arena, Value *object, const char *name, bool b) {
    if (absent(object, name))
        value_set_bool(arena, object, name, b);
}

static void if_empty_str(Arena *arena, Value *object, const char *name, const char *s) {
    if (value_is_empty(value_get(object, name)))
        value_set_str(arena, object, name, s);
}

/* Members of `from` that `to` lacks. */
static void fill_map(Arena *arena, Value *to, const Value *from) {
    VALUE_FOREACH_MEMBER (member, from)
        if (!value_get(to, member->name))
            value_set(arena, to, member->name, value_copy(arena, member->value));
}

/* What the reference's parser refuses, and so sees no tag in: blanks, and capitals in what is not the registry's name.
 */
#define IMAGE_NAME_MAX 255

static bool is_lower_or_digit(char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

/* Letters and digits, with ".", "_", "__" or dashes between. */
static bool is_image_component(const char *p, const char *end) {
    for (;;) {
        const char *start = p;
        while (p < end && is_lower_or_digit(*p))
            p++;
        if (p == start)
            return false;
        if (p == end)
            return true;
        size_t n = *p == '-' ? strspn(p, "-") : *p == '_' ? strspn(p, "_") : *p == '.' ? 1 : 0;
        if (!n || (*p == '_' && n > 2))
            return false;
        p += n;
    }
}

static bool image_parses(const char *image) {
    const char *slash = strchr(image, '/');
    bool registry = false;
    for (const char *p = image; slash && p < slash; p++)
        registry |= *p == '.' || *p == ':' || (*p >= 'A' && *p <= 'Z');
    registry |= slash && slash - image == 9 && strncmp(image, "localhost", 9) == 0;
    const char *name = registry ? slash + 1 : image, *end = name + strcspn(name, ":@");
    if (registry && !(is_lower_or_digit(*image) || (*image >= 'A' && *image <= 'Z')))
        return false;
    if (end - image > IMAGE_NAME_MAX || image[strcspn(image, " \t\n\v\f\r")])
        return false;
    for (const char *p = name; p <= end; p++) {
        const char *stop = memchr(p, '/', (size_t)(end - p));
        stop = stop ? stop : end;
        if (!is_image_component(p, stop))
            return false;
        p = stop;
    }
    return true;
}

/* Does the image reference name the tag "latest", or no tag and no digest? */
static bool image_is_latest(const char *image) {
    if (!image_parses(image))
        return false;
    const char *slash = strrchr(image, '/'), *last = slash ? slash + 1 : image;
    const char *digest = strchr(last, '@'), *colon = strchr(last, ':');
    if (colon && (!digest || colon < digest)) {
        size_t n = digest ? (size_t)(digest - colon - 1) : strlen(colon + 1);
        return n == 6 && strncmp(colon + 1, "latest", 6) == 0;
    }
    return !digest;
}

void default_container(Arena *arena, Value *container) {
    const char *image = str_or(value_get_str(container, "image"), "");
    if_empty_str(arena, container, "terminationMessagePath", "/dev/termination-log");
    if_empty_str(arena, container, "terminationMessagePolicy", "File");
    /* A reference that does not parse has no tag. */
    if_empty_str(arena, container, "imagePullPolicy", *image && image_is_latest(image) ? "Always" : "IfNotPresent");
}

void default_volume(Arena *arena, Value *volume) {
    size_t sources = 0;
    VALUE_FOREACH_MEMBER (member, volume)
        sources += !streq(member->name, "name") && member->value->type != VALUE_NULL;
    if (sources == 0)
        value_set(arena, volume, "emptyDir", value_object(arena));
    Value *image = value_get(volume, "image");
    if (value_is(image, VALUE_OBJECT)) {
        const char *reference = str_or(value_get_str(image, "reference"), "");
        if_empty_str(arena, image, "pullPolicy", *reference && image_is_latest(reference) ? "Always" : "IfNotPresent");
    }
}

/* SetDefaults_ResourceList: amounts finer than a thousandth are rounded up. */
static void round_up_list(Arena *arena, Value *list) {
    VALUE_FOREACH_MEMBER (member, list) {
        Quantity q;
        const char *text = value_str(member->value);
        if (!text || quantity_parse(text, &q) < 0 || q.exponent >= -3)
            continue;
        Quantity rounded = quantity_from_milli(quantity_milli_value(&q), q.format);
        char out[QUANTITY_TEXT_MAX];
        if (quantity_compare(&rounded, &q) != 0)
            member->value = value_string(arena, quantity_format(&rounded, out));
    }
}

void default_resource_lists(Arena *arena, Value *requirements) {
    round_up_list(arena, value_get(requirements, "limits"));
    round_up_list(arena, value_get(requirements, "requests"));
}

static void requests_from_limits(Arena *arena, Value *containers) {
    Value *container;
    VALUE_FOREACH (container, containers) {
        Value *resources = value_get(container, "resources"), *limits = value_get(resources, "limits");
        if (value_len(limits))
            fill_map(arena, value_ensure_object(arena, resources, "requests"), limits);
    }
}

static void host_ports(Arena *arena, Value *containers) {
    Value *container, *port;
    VALUE_FOREACH (container, containers)
        VALUE_FOREACH (port, value_get(container, "ports"))
            if (value_get_int(port, "hostPort", 0) == 0)
                value_set_int(arena, port, "hostPort", value_get_int(port, "containerPort", 0));
}

static bool pod_level_resource(const char *name) {
    return streq(name, "cpu") || streq(name, "memory") || str_has_prefix(name, "hugepages-");
}

static Value *add_quantities(Arena *arena, const Value *a, const Value *b) {
    Quantity x, y;
    char out[QUANTITY_TEXT_MAX];
    if (quantity_parse(value_str(a), &x) < 0 || quantity_parse(value_str(b), &y) < 0)
        return value_copy(arena, a);
    quantity_add(&x, &y);
    return value_string(arena, quantity_format(&x, out));
}

static void add_list(Arena *arena, Value *to, const Value *list) {
    VALUE_FOREACH_MEMBER (member, list) {
        const Value *now = value_get(to, member->name);
        if (value_str(member->value))
            value_set(arena, to, member->name,
                      now ? add_quantities(arena, now, member->value) : value_copy(arena, member->value));
    }
}

static void raise_list(Arena *arena, Value *to, const Value *list) {
    VALUE_FOREACH_MEMBER (member, list) {
        const Value *now = value_get(to, member->name);
        Quantity x, y;
        if (!now || (value_str(member->value) && quantity_parse(value_str(now), &x) == 0 &&
                     quantity_parse(value_str(member->value), &y) == 0 && quantity_compare(&x, &y) < 0))
            value_set(arena, to, member->name, value_copy(arena, member->value));
    }
}

/* What the containers need together: the sum of those that run side by side, or the peak while init containers run. */
static Value *aggregate(Arena *arena, const Value *spec, const char *which) {
    Value *total = value_object(arena), *sidecars = value_object(arena), *peak = value_object(arena);
    const Value *container;
    VALUE_FOREACH (container, value_get(spec, "containers"))
        add_list(arena, total, value_path(container, "resources", which, NULL));
    VALUE_FOREACH (container, value_get(spec, "initContainers")) {
        const Value *list = value_path(container, "resources", which, NULL);
        if (is_str(container, "restartPolicy", "Always")) {
            add_list(arena, sidecars, list);
            add_list(arena, total, list);
            raise_list(arena, peak, sidecars);
            continue;
        }
        Value *during = value_copy(arena, sidecars);
        add_list(arena, during, list);
        raise_list(arena, peak, during);
    }
    raise_list(arena, total, peak);
    return total;
}

/* Pod-level resources that are partly given are completed (KEP-2837). */
static void pod_level_defaults(Arena *arena, Value *spec) {
    Value *resources = value_get(spec, "resources");
    if (!value_len(value_get(resources, "limits")) && !value_len(value_get(resources, "requests")))
        return;
    Value *limits = value_copy(arena, value_get(resources, "limits")),
          *of_containers = aggregate(arena, spec, "limits");
    limits = limits ? limits : value_object(arena);
    VALUE_FOREACH_MEMBER (member, of_containers)
        if (str_has_prefix(member->name, "hugepages-") && !value_path(resources, "requests", member->name, NULL) &&
            !value_get(limits, member->name))
            value_set(arena, limits, member->name, member->value);
    if (!value_len(limits))
        return;
    value_set(arena, resources, "limits", limits);
    Value *requests = value_copy(arena, value_get(resources, "requests"));
    requests = requests ? requests : value_object(arena);
    of_containers = aggregate(arena, spec, "requests");
    VALUE_FOREACH_MEMBER (member, of_containers)
        if (!value_get(requests, member->name) && (streq(member->name, "cpu") || streq(member->name, "memory")))
            value_set(arena, requests, member->name, member->value);
    VALUE_FOREACH_MEMBER (member, limits)
        if (!value_get(requests, member->name) && pod_level_resource(member->name))
            value_set(arena, requests, member->name, value_copy(arena, member->value));
    if (value_len(requests))
        value_set(arena, resources, "requests", requests);
}

void default_pod(Arena *arena, Value *pod) {
    Value *spec = value_get(pod, "spec");
    if (!value_is(spec, VALUE_OBJECT))
        return;
    requests_from_limits(arena, value_get(spec, "containers"));
    requests_from_limits(arena, value_get(spec, "initContainers"));
    pod_level_defaults(arena, spec);
    if_absent_bool(arena, spec, "enableServiceLinks", true);
    if (value_get_bool(spec, "hostNetwork", false)) {
        host_ports(arena, value_get(spec, "containers"));
        host_ports(arena, value_get(spec, "initContainers"));
    }
}

/* serviceAccount is the old name of serviceAccountName: both always say the same. */
void default_pod_spec(Arena *arena, Value *spec) {
    const char *name = value_get_str(spec, "serviceAccountName");
    if (str_empty(name))
        name = value_get_str(spec, "serviceAccount");
    if (str_empty(name))
        return;
    value_set_str(arena, spec, "serviceAccountName", name);
    value_set_str(arena, spec, "serviceAccount", name);
}

static void default_session_affinity(Arena *arena, Value *spec) {
    if_empty_str(arena, spec, "sessionAffinity", "None");
    if (is_str(spec, "sessionAffinity", "None"))
        value_remove(spec, "sessionAffinityConfig");
    if (!is_str(spec, "sessionAffinity", "ClientIP") ||
        value_path(spec, "sessionAffinityConfig", "clientIP", "timeoutSeconds", NULL))
        return;
    Value *config = value_object(arena);
    value_set_int(arena, value_ensure_object(arena, config, "clientIP"), "timeoutSeconds", 10800);
    value_set(arena, spec, "sessionAffinityConfig", config);
}

static void default_service_ports(Arena *arena, Value *spec) {
    Value *port;
    VALUE_FOREACH (port, value_get(spec, "ports")) {
        const Value *target = value_get(port, "targetPort");
        if_empty_str(arena, port, "protocol", "TCP");
        if (value_is_empty(target) || (target->type == VALUE_INT && target->integer == 0))
            value_set_int(arena, port, "targetPort", value_get_int(port, "port", 0));
    }
}

void default_service(Arena *arena, Value *service) {
    Value *spec = value_get(service, "spec"), *ingress;
    if (!value_is(spec, VALUE_OBJECT))
        return;
    default_session_affinity(arena, spec);
    if_empty_str(arena, spec, "type", "ClusterIP");
    default_service_ports(arena, spec);
    bool balancer = is_str(spec, "type", "LoadBalancer"), node_port = is_str(spec, "type", "NodePort");
    bool cluster_ip = is_str(spec, "type", "ClusterIP");
    if (balancer || node_port || (cluster_ip && value_len(value_get(spec, "externalIPs"))))
        if_empty_str(arena, spec, "externalTrafficPolicy", "Cluster");
    if (absent(spec, "internalTrafficPolicy") && (balancer || node_port || cluster_ip))
        value_set_str(arena, spec, "internalTrafficPolicy", "Cluster");
    if (!balancer)
        return;
    if_absent_bool(arena, spec, "allocateLoadBalancerNodePorts", true);
    VALUE_FOREACH (ingress, value_path(service, "status", "loadBalancer", "ingress", NULL))
        if (!str_empty(value_get_str(ingress, "ip")) && absent(ingress, "ipMode"))
            value_set_str(arena, ingress, "ipMode", "VIP");
}

void default_namespace(Arena *arena, Value *ns) {
    Value *metadata = value_get(ns, "metadata");
    const char *name = value_get_str(metadata, "name");
    if (!str_empty(name))
        value_set_str(arena, value_ensure_object(arena, metadata, "labels"), "kubernetes.io/metadata.name", name);
}

void default_node(Arena *arena, Value *node) {
    Value *status = value_get(node, "status"), *capacity = value_get(status, "capacity");
    if (capacity && !value_len(value_get(status, "allocatable")))
        value_set(arena, status, "allocatable", value_copy(arena, capacity));
    round_up_list(arena, value_get(status, "capacity"));
    round_up_list(arena, value_get(status, "allocatable"));
}

void default_limit_range_item(Arena *arena, Value *item) {
    static const char *const LISTS[] = {"max", "min", "default", "defaultRequest", "maxLimitRequestRatio"};
    if (is_str(item, "type", "Container")) {
        Value *limit = value_ensure_object(arena, item, "default");
        fill_map(arena, limit, value_get(item, "max"));
        Value *request = value_ensure_object(arena, item, "defaultRequest");
        fill_map(arena, request, limit);
        fill_map(arena, request, value_get(item, "min"));
        if (!value_len(limit))
            value_remove(item, "default");
        if (!value_len(request))
            value_remove(item, "defaultRequest");
    }
    for (size_t i = 0; i < ELEMENTSOF(LISTS); i++)
        round_up_list(arena, value_get(item, LISTS[i]));
}

void default_replication_controller(Arena *arena, Value *rc) {
    Value *spec = value_get(rc, "spec"), *metadata = value_get(rc, "metadata");
    const Value *labels = value_path(spec, "template", "metadata", "labels", NULL);
    if (!value_len(labels))
        return;
    if (!value_len(value_get(spec, "selector")))
        value_set(arena, spec, "selector", value_copy(arena, labels));
    if (!value_len(value_get(metadata, "labels")))
        value_set(arena, metadata, "labels", value_copy(arena, labels));
}

void default_persistent_volume(Arena *arena, Value *pv) {
    Value *spec = value_get(pv, "spec");
    if_empty_str(arena, value_ensure_object(arena, pv, "status"), "phase", "Pending");
    if (!value_is(spec, VALUE_OBJECT))
        return;
    if_empty_str(arena, spec, "persistentVolumeReclaimPolicy", "Retain");
    if (absent(spec, "volumeMode"))
        value_set_str(arena, spec, "volumeMode", "Filesystem");
    round_up_list(arena, value_get(spec, "capacity"));
}

void default_persistent_volume_claim(Arena *arena, Value *pvc) {
    if_empty_str(arena, value_ensure_object(arena, pvc, "status"), "phase", "Pending");
    round_up_list(arena, value_path(pvc, "status", "capacity", NULL));
    round_up_list(arena, value_path(pvc, "status", "allocatedResources", NULL));
}

void default_deployment_strategy(Arena *arena, Value *strategy) {
    if_empty_str(arena, strategy, "type", "RollingUpdate");
    if (!is_str(strategy, "type", "RollingUpdate"))
        return;
    Value *rolling = value_ensure_object(arena, strategy, "rollingUpdate");
    if (absent(rolling, "maxUnavailable"))
        value_set_str(arena, rolling, "maxUnavailable", "25%");
    if (absent(rolling, "maxSurge"))
        value_set_str(arena, rolling, "maxSurge", "25%");
}

void default_daemon_set(Arena *arena, Value *set) {
    Value *annotations = value_ensure_object(arena, value_ensure_object(arena, set, "metadata"), "annotations");
    if_empty_str(arena, annotations, TEMPLATE_GENERATION, "0");
}

void default_daemon_set_strategy(Arena *arena, Value *strategy) {
    if_empty_str(arena, strategy, "type", "RollingUpdate");
    if (!is_str(strategy, "type", "RollingUpdate"))
        return;
    Value *rolling = value_ensure_object(arena, strategy, "rollingUpdate");
    if_absent_int(arena, rolling, "maxUnavailable", 1);
    if_absent_int(arena, rolling, "maxSurge", 0);
}

void default_stateful_set_strategy(Arena *arena, Value *strategy) {
    if (value_is_empty(value_get(strategy, "type"))) {
        value_set_str(arena, strategy, "type", "RollingUpdate");
        value_ensure_object(arena, strategy, "rollingUpdate");
    }
    Value *rolling = value_get(strategy, "rollingUpdate");
    if (is_str(strategy, "type", "RollingUpdate") && value_is(rolling, VALUE_OBJECT))
        if_absent_int(arena, rolling, "partition", 0);
}

void default_stateful_set_spec(Arena *arena, Value *spec) {
    Value *policy = value_ensure_object(arena, spec, "persistentVolumeClaimRetentionPolicy");
    if_empty_str(arena, policy, "whenDeleted", "Retain");
    if_empty_str(arena, policy, "whenScaled", "Retain");
}

void default_job(Arena *arena, Value *job) {
    Value *spec = value_get(job, "spec"), *metadata = value_get(job, "metadata");
    if (!value_is(spec, VALUE_OBJECT))
        return;
    if (absent(spec, "completions") && absent(spec, "parallelism"))
        value_set_int(arena, spec, "completions", 1);
    if_absent_int(arena, spec, "parallelism", 1);
    if_absent_int(arena, spec, "backoffLimit", absent(spec, "backoffLimitPerIndex") ? 6 : INT32_MAX);
    Value *labels = value_path(spec, "template", "metadata", "labels", NULL);
    if (labels && !value_len(value_get(metadata, "labels")))
        value_set(arena, metadata, "labels",
                  labels); /* the same map, as in the reference: what is added shows in both */
    if (absent(spec, "completionMode"))
        value_set_str(arena, spec, "completionMode", "NonIndexed");
    if_absent_bool(arena, spec, "suspend", false);
    if (absent(spec, "podReplacementPolicy"))
        value_set_str(arena, spec, "podReplacementPolicy",
                      absent(spec, "podFailurePolicy") ? "TerminatingOrFailed" : "Failed");
    if_absent_bool(arena, spec, "manualSelector", false);
}

void default_network_policy(Arena *arena, Value *policy) {
    Value *spec = value_get(policy, "spec");
    if (!value_is(spec, VALUE_OBJECT) || value_len(value_get(spec, "policyTypes")))
        return;
    Value *types = value_array(arena);
    value_append(arena, types, value_string(arena, "Ingress"));
    if (value_len(value_get(spec, "egress")))
        value_append(arena, types, value_string(arena, "Egress"));
    value_set(arena, spec, "policyTypes", types);
}

void default_subject(Arena *arena, Value *subject) {
    if (is_str(subject, "kind", "User") || is_str(subject, "kind", "Group"))
        if_empty_str(arena, subject, "apiGroup", "rbac.authorization.k8s.io");
}

void default_device_request(Arena *arena, Value *request) {
    if_empty_str(arena, request, "allocationMode", "ExactCount");
    if (is_str(request, "allocationMode", "ExactCount") && value_get_int(request, "count", 0) == 0)
        value_set_int(arena, request, "count", 1);
}

void default_device_taint(Arena *arena, Value *taint) {
    char now[RFC3339_MAX];
    if (absent(taint, "timeAdded"))
        value_set_str(arena, taint, "timeAdded", rfc3339_format(now_realtime_ns(), now));
}

static void scaling_policy(Arena *arena, Value *policies, const char *type, int64_t value) {
    Value *policy = value_object(arena);
    value_set_str(arena, policy, "type", type);
    value_set_int(arena, policy, "value", value);
    value_set_int(arena, policy, "periodSeconds", 15);
    value_append(arena, policies, policy);
}

static void default_scaling_rules(Arena *arena, Value *behavior, const char *direction, bool up) {
    Value *rules = value_ensure_object(arena, behavior, direction);
    if (up)
        if_absent_int(arena, rules, "stabilizationWindowSeconds", 0);
    if (absent(rules, "selectPolicy"))
        value_set_str(arena, rules, "selectPolicy", "Max");
    if (value_get(rules, "policies")) /* none at all is wrong, and stays */
        return;
    Value *policies = value_ensure_array(arena, rules, "policies");
    if (up)
        scaling_policy(arena, policies, "Pods", 4);
    scaling_policy(arena, policies, "Percent", 100);
}

Value *cpu_metric(Arena *arena, int64_t share) {
    Value *metric = value_object(arena), *resource = value_ensure_object(arena, metric, "resource");
    value_set_str(arena, metric, "type", "Resource");
    value_set_str(arena, resource, "name", "cpu");
    Value *target = value_ensure_object(arena, resource, "target");
    value_set_str(arena, target, "type", "Utilization");
    value_set_int(arena, target, "averageUtilization", share);
    return metric;
}

void default_hpa_behavior(Arena *arena, Value *behavior) {
    if (value_is(behavior, VALUE_OBJECT)) {
        default_scaling_rules(arena, behavior, "scaleUp", true);
        default_scaling_rules(arena, behavior, "scaleDown", false);
    }
}

void default_hpa_v2(Arena *arena, Value *hpa) {
    Value *spec = value_get(hpa, "spec");
    if (!value_is(spec, VALUE_OBJECT))
        return;
    if_absent_int(arena, spec, "minReplicas", 1);
    if (!value_len(value_get(spec, "metrics")))
        value_append(arena, value_ensure_array(arena, spec, "metrics"), cpu_metric(arena, DEFAULT_CPU_UTILIZATION));
    default_hpa_behavior(arena, value_get(spec, "behavior"));
}

void default_crd(Arena *arena, Value *crd) {
    Value *spec = value_get(crd, "spec"), *names = value_get(spec, "names"), *version;
    if (!value_is(spec, VALUE_OBJECT))
        return;
    const char *kind = value_get_str(names, "kind");
    if (!str_empty(kind) && value_is(names, VALUE_OBJECT)) {
        char *lower = arena_strdup(arena, kind);
        for (char *p = lower; *p; p++)
            *p = *p >= 'A' && *p <= 'Z' ? (char)(*p - 'A' + 'a') : *p;
        if_empty_str(arena, names, "singular", lower);
        if_empty_str(arena, names, "listKind", arena_printf(arena, "%sList", kind));
    }
    if (absent(spec, "conversion"))
        value_set_str(arena, value_ensure_object(arena, spec, "conversion"), "strategy", "None");
    Value *status = value_ensure_object(arena, crd, "status");
    if (value_len(value_get(status, "storedVersions")))
        return;
    VALUE_FOREACH (version, value_get(spec, "versions"))
        if (value_get_bool(version, "storage", false)) {
            Value *stored = value_array(arena);
            value_append(arena, stored, value_string(arena, value_get_str(version, "name")));
            value_set(arena, status, "storedVersions", stored);
            return;
        }
}
