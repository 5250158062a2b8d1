#include "api/quota.h"
#include "api/pod_qos.h"
#include "api/pod_resources.h"
#include "base/clock.h"
#include "base/str.h"

#define REQUESTS "requests."
#define LIMITS "limits."
#define HUGE_PAGES "hugepages-"
#define DEVICE_CLASS "deviceclass.resource.kubernetes.io/"
#define CLASS_DEVICES ".deviceclass.resource.k8s.io/devices"
#define CLASS_SUFFIX ".storageclass.storage.k8s.io/"
#define DEVICES_MAX 32 /* resource.k8s.io AllocationResultsMaxSize: what "All" may come to */

static const char *count_name(Arena *arena, const Resource *resource) {
    return arena_printf(arena, "count/%s%s%s", resource->plural, *resource->group ? "." : "", resource->group);
}

static bool is_count_name(Arena *arena, const Resource *resource, const char *name) {
    return streq(name, count_name(arena, resource));
}

static ResourceList counted(Arena *arena, const Resource *resource) {
    ResourceList list = RESOURCE_LIST_INIT(arena);
    resource_list_set_int(&list, count_name(arena, resource), 1);
    return list;
}

static bool is_in(const Value *values, const char *text) {
    const Value *v;
    VALUE_FOREACH (v, values)
        if (streq_null(value_str(v), text))
            return true;
    return false;
}

/* A scope's selector against the one label that the object may have. */
static bool selects(const char *op, const Value *values, const char *have) {
    if (streq(op, "Exists"))
        return have != NULL;
    if (streq(op, "DoesNotExist"))
        return have == NULL;
    if (streq(op, "In"))
        return have && is_in(values, have);
    return !have || !is_in(values, have);
}

/* Objects that are only counted. */

static const char *alias_of(const Resource *resource) {
    static const char *const aliases[] = {"configmaps", "resourcequotas", "replicationcontrollers", "secrets", NULL};
    return !*resource->group && str_in(resource->plural, aliases) ? resource->plural : NULL;
}

static bool count_accounts(Arena *arena, const Resource *resource, const char *name) {
    return is_count_name(arena, resource, name) || streq_null(alias_of(resource), name);
}

static ResourceList count_usage(Arena *arena, const Resource *resource, _unused_ const Value *object,
                                _unused_ int64_t now_ns) {
    ResourceList list = counted(arena, resource);
    if (alias_of(resource))
        resource_list_set_int(&list, alias_of(resource), 1);
    return list;
}

/* Pods. */

static bool has_deadline(const Value *pod) {
    return value_get_int(value_get(pod, "spec"), "activeDeadlineSeconds", -1) >= 0;
}

static bool is_native(const char *name) {
    return !strchr(name, '/') || strstr(name, "kubernetes.io/");
}

static bool pod_accounts(Arena *arena, const Resource *resource, const char *name) {
    static const char *const names[] = {"cpu",
                                        "memory",
                                        "ephemeral-storage",
                                        "requests.cpu",
                                        "requests.memory",
                                        "requests.ephemeral-storage",
                                        "limits.cpu",
                                        "limits.memory",
                                        "limits.ephemeral-storage",
                                        "pods",
                                        NULL};
    if (str_in(name, names) || is_count_name(arena, resource, name) || str_has_prefix(name, HUGE_PAGES) ||
        str_has_prefix(name, REQUESTS HUGE_PAGES))
        return true;
    return str_has_prefix(name, REQUESTS) && (!is_native(name) || str_has_prefix(name, REQUESTS DEVICE_CLASS));
}

static bool is_extended(const char *name) {
    return str_has_prefix(name, DEVICE_CLASS) || (!is_native(name) && !str_has_prefix(name, REQUESTS));
}

/* The names that quotas have for requests and limits. */
static ResourceList as_quota(const ResourceList *requests, const ResourceList *limits) {
    static const char *const both[] = {"cpu", "memory", "ephemeral-storage", NULL};
    Arena *arena = requests->arena;
    ResourceList list = RESOURCE_LIST_INIT(arena);
    resource_list_set_int(&list, "pods", 1);
    for (size_t i = 0; i < requests->n; i++) {
        const char *name = requests->items[i].name;
        bool plain = str_in(name, both) || str_has_prefix(name, HUGE_PAGES);
        if (plain)
            resource_list_set(&list, name, requests->items[i].quantity);
        if (plain || is_extended(name))
            resource_list_set(&list, arena_printf(arena, REQUESTS "%s", name), requests->items[i].quantity);
    }
    for (size_t i = 0; i < limits->n; i++)
        if (str_in(limits->items[i].name, both))
            resource_list_set(&list, arena_printf(arena, LIMITS "%s", limits->items[i].name),
                              limits->items[i].quantity);
    return list;
}

/* A pod that has ended, or whose grace is long over, takes nothing any more. */
static bool pod_counts(const Value *pod, int64_t now_ns) {
    const char *phase = str_or(value_get_str(value_get(pod, "status"), "phase"), "");
    const Value *meta = value_get(pod, "metadata");
    const char *deleted = value_get_str(meta, "deletionTimestamp");
    int64_t at;
    if (streq(phase, "Failed") || streq(phase, "Succeeded"))
        return false;
    if (!deleted || !value_get(meta, "deletionGracePeriodSeconds") || rfc3339_parse(deleted, &at) < 0)
        return true;
    return now_ns <= at + value_get_int(meta, "deletionGracePeriodSeconds", 0) * (int64_t)NS_PER_SEC;
}

static ResourceList pod_usage(Arena *arena, const Resource *resource, const Value *pod, int64_t now_ns) {
    const PodResourcesOptions options = {.use_status = true, .overhead = true, .huge_pages = true};
    ResourceList list = counted(arena, resource);
    if (!pod_counts(pod, now_ns))
        return list;
    ResourceList requests = pod_requests(arena, pod, options), limits = pod_limits(arena, pod, options);
    ResourceList more = as_quota(&requests, &limits);
    resource_list_add(&list, &more);
    return list;
}

static bool terms_cross(const Value *terms, bool weighted) {
    const Value *term;
    VALUE_FOREACH (term, terms) {
        const Value *t = weighted ? value_get(term, "podAffinityTerm") : term;
        if (value_len(value_get(t, "namespaces")) || value_get(t, "namespaceSelector"))
            return true;
    }
    return false;
}

static bool crosses_namespaces(const Value *pod) {
    static const char *const kinds[] = {"podAffinity", "podAntiAffinity"};
    for (size_t i = 0; i < ELEMENTSOF(kinds); i++) {
        const Value *affinity = value_path(pod, "spec", "affinity", kinds[i], NULL);
        if (terms_cross(value_get(affinity, "requiredDuringSchedulingIgnoredDuringExecution"), false) ||
            terms_cross(value_get(affinity, "preferredDuringSchedulingIgnoredDuringExecution"), true))
            return true;
    }
    return false;
}

static bool pod_in_scope(const Value *pod, const char *scope, const char *op, const Value *values) {
    if (streq(scope, "Terminating"))
        return has_deadline(pod);
    if (streq(scope, "NotTerminating"))
        return !has_deadline(pod);
    if (streq(scope, "BestEffort") || streq(scope, "NotBestEffort"))
        return streq(pod_qos(pod), "BestEffort") == streq(scope, "BestEffort");
    if (streq(scope, "PriorityClass")) {
        const char *name = value_get_str(value_get(pod, "spec"), "priorityClassName");
        return selects(op, values, str_empty(name) ? NULL : name);
    }
    return streq(scope, "CrossNamespacePodAffinity") && crosses_namespaces(pod);
}

static void add_sorted(const char **names, size_t *n, const char *name) {
    size_t i = 0;
    while (i < *n && strcmp(names[i], name) < 0)
        i++;
    if (i < *n && streq(names[i], name))
        return;
    memmove(names + i + 1, names + i, (*n - i) * sizeof *names);
    names[i] = name;
    ++*n;
}

/* The containers that do not say `name`, sorted, joined by commas; NULL when all do. */
static char *silent_containers(Arena *arena, const Value *pod, const char *name) {
    static const char *const lists[] = {"containers", "initContainers"};
    const Value *spec = value_get(pod, "spec"), *container;
    const char **names = arena_alloc(
        arena, (value_len(value_get(spec, lists[0])) + value_len(value_get(spec, lists[1])) + 1) * sizeof *names);
    size_t n = 0;
    for (size_t i = 0; i < ELEMENTSOF(lists); i++)
        VALUE_FOREACH (container, value_get(spec, lists[i])) {
            ResourceList requests = resource_list_read(arena, value_path(container, "resources", "requests", NULL));
            ResourceList limits = resource_list_read(arena, value_path(container, "resources", "limits", NULL));
            ResourceList said = as_quota(&requests, &limits);
            if (!resource_list_get(&said, name))
                add_sorted(names, &n, str_or(value_get_str(container, "name"), ""));
        }
    _cleanup_buf_ Buf text = BUF_INIT(BUF_NO_LIMIT);
    for (size_t i = 0; i < n; i++)
        buf_printf(&text, "%s%s", i ? "," : "", names[i]);
    return n ? arena_strdup(arena, str_or(text.data, "")) : NULL;
}

static char *pod_missing(Arena *arena, const Value *pod, const ResourceList *names) {
    static const char *const demanded[] = {"cpu",           "memory", "requests.cpu", "requests.memory", "limits.cpu",
                                           "limits.memory", NULL};
    char *text = NULL;
    if (pod_has_own_resources(pod))
        return NULL;
    for (size_t i = 0; i < names->n; i++) {
        char *silent =
            str_in(names->items[i].name, demanded) ? silent_containers(arena, pod, names->items[i].name) : NULL;
        if (silent)
            text = arena_printf(arena, "%s%s%s for: %s", text ? text : "must specify ", text ? "; " : "",
                                names->items[i].name, silent);
    }
    return text;
}

/* Services. */

static bool service_accounts(Arena *arena, const Resource *resource, const char *name) {
    static const char *const names[] = {"services", "services.nodeports", "services.loadbalancers", NULL};
    return str_in(name, names) || is_count_name(arena, resource, name);
}

static ResourceList service_usage(Arena *arena, const Resource *resource, const Value *service,
                                  _unused_ int64_t now_ns) {
    const Value *spec = value_get(service, "spec"), *ports = value_get(spec, "ports"), *port;
    const char *type = str_or(value_get_str(spec, "type"), "");
    bool balancer = streq(type, "LoadBalancer");
    int64_t node_ports = streq(type, "NodePort") || balancer ? (int64_t)value_len(ports) : 0;
    if (balancer && !value_get_bool(spec, "allocateLoadBalancerNodePorts", true)) {
        node_ports = 0;
        VALUE_FOREACH (port, ports)
            node_ports += value_get_int(port, "nodePort", 0) != 0;
    }
    ResourceList list = counted(arena, resource);
    resource_list_set_int(&list, "services", 1);
    resource_list_set_int(&list, "services.nodeports", node_ports);
    resource_list_set_int(&list, "services.loadbalancers", balancer);
    return list;
}

/* Claims of storage. */

static bool claim_accounts(Arena *arena, const Resource *resource, const char *name) {
    return is_count_name(arena, resource, name) || streq(name, "persistentvolumeclaims") ||
           streq(name, "requests.storage") || str_has_suffix(name, CLASS_SUFFIX "persistentvolumeclaims") ||
           str_has_suffix(name, CLASS_SUFFIX "requests.storage");
}

static const char *storage_class(const Value *claim) {
    const char *old_way =
        value_get_str(value_path(claim, "metadata", "annotations", NULL), "volume.beta.kubernetes.io/storage-class");
    return str_or(old_way ? old_way : value_get_str(value_get(claim, "spec"), "storageClassName"), "");
}

static ResourceList claim_usage(Arena *arena, const Resource *resource, const Value *claim, _unused_ int64_t now_ns) {
    ResourceList list = counted(arena, resource),
                 asked = resource_list_read(arena, value_path(claim, "spec", "resources", "requests", NULL));
    ResourceList given = resource_list_read(arena, value_path(claim, "status", "allocatedResources", NULL));
    const Quantity *size = resource_list_get(&asked, "storage"), *allocated = resource_list_get(&given, "storage");
    const char *class = storage_class(claim);
    resource_list_set_int(&list, "persistentvolumeclaims", 1);
    if (*class)
        resource_list_set_int(&list, arena_printf(arena, "%s" CLASS_SUFFIX "persistentvolumeclaims", class), 1);
    if (!size)
        return list;
    if (allocated && quantity_compare(allocated, size) > 0)
        size = allocated;
    Quantity whole = quantity_from_int(quantity_value(size), size->format);
    resource_list_set(&list, "requests.storage", whole);
    if (*class)
        resource_list_set(&list, arena_printf(arena, "%s" CLASS_SUFFIX "requests.storage", class), whole);
    return list;
}

static bool claim_in_scope(const Value *claim, const char *scope, const char *op, const Value *values) {
    const Value *status = value_get(claim, "status");
    const char *names[] = {
        value_get_str(value_get(claim, "spec"), "volumeAttributesClassName"),
        value_get_str(status, "currentVolumeAttributesClassName"),
        value_get_str(value_get(status, "modifyVolumeStatus"), "targetVolumeAttributesClassName"),
    };
    bool any = false;
    if (!streq(scope, "VolumeAttributesClass"))
        return false;
    for (size_t i = 0; i < ELEMENTSOF(names); i++) {
        if (str_empty(names[i]))
            continue;
        any = true;
        if (selects(op, values, names[i]))
            return true;
    }
    return !any && selects(op, values, NULL);
}

/* Claims of devices. */

static bool device_accounts(Arena *arena, const Resource *resource, const char *name) {
    return is_count_name(arena, resource, name) || str_has_suffix(name, CLASS_DEVICES);
}

static int64_t devices_of(const Value *request) {
    const char *mode = str_or(value_get_str(request, "allocationMode"), "");
    return streq(mode, "All") ? DEVICES_MAX : streq(mode, "ExactCount") ? value_get_int(request, "count", 0) : 0;
}

static const char *device_name(Arena *arena, const Value *request) {
    return arena_printf(arena, "%s" CLASS_DEVICES, str_or(value_get_str(request, "deviceClassName"), ""));
}

static ResourceList device_usage(Arena *arena, const Resource *resource, const Value *claim, _unused_ int64_t now_ns) {
    ResourceList list = counted(arena, resource);
    const Value *item, *sub;
    VALUE_FOREACH (item, value_path(claim, "spec", "devices", "requests", NULL)) {
        const Value *exactly = value_get(item, "exactly");
        ResourceList one = RESOURCE_LIST_INIT(arena);
        if (exactly)
            resource_list_set_int(&one, device_name(arena, exactly), devices_of(exactly));
        VALUE_FOREACH (sub, value_get(item, "firstAvailable")) {
            /* of several choices the worst of each class */
            ResourceList choice = RESOURCE_LIST_INIT(arena);
            if (devices_of(sub) > 0)
                resource_list_set_int(&choice, device_name(arena, sub), devices_of(sub));
            resource_list_max(&one, &choice);
        }
        resource_list_add(&list, &one);
    }
    return list;
}

static const QuotaKind kinds[] = {
    {"", "pods", pod_accounts, pod_usage, pod_in_scope, pod_missing},
    {"", "services", service_accounts, service_usage, NULL, NULL},
    {"", "persistentvolumeclaims", claim_accounts, claim_usage, claim_in_scope, NULL},
    {"resource.k8s.io", "resourceclaims", device_accounts, device_usage, NULL, NULL},
    {NULL, NULL, count_accounts, count_usage, NULL, NULL},
};

const QuotaKind *quota_kind_of(const Resource *resource) {
    static const char *const reviews[] = {"tokenreviews",
                                          "selfsubjectreviews",
                                          "subjectaccessreviews",
                                          "selfsubjectaccessreviews",
                                          "localsubjectaccessreviews",
                                          "selfsubjectrulesreviews",
                                          NULL};
    static const char *const core[] = {"bindings", "componentstatuses", "events", NULL};
    if ((!*resource->group && str_in(resource->plural, core)) ||
        (streq(resource->group, "events.k8s.io") && streq(resource->plural, "events")) ||
        (streq(resource->group, "authentication.k8s.io") && str_in(resource->plural, reviews)) ||
        (streq(resource->group, "authorization.k8s.io") && str_in(resource->plural, reviews)))
        return NULL;
    for (size_t i = 0;; i++)
        if (!kinds[i].group || (streq(kinds[i].group, resource->group) && streq(kinds[i].plural, resource->plural)))
            return &kinds[i];
}

bool quota_has_in_scope(const QuotaKind *kind, const Value *quota_spec, const Value *object) {
    const Value *item;
    VALUE_FOREACH (item, value_get(quota_spec, "scopes"))
        if (!kind->in_scope || !kind->in_scope(object, str_or(value_str(item), ""), "Exists", NULL))
            return false;
    VALUE_FOREACH (item, value_path(quota_spec, "scopeSelector", "matchExpressions", NULL))
        if (!kind->in_scope || !kind->in_scope(object, str_or(value_get_str(item, "scopeName"), ""),
                                               str_or(value_get_str(item, "operator"), ""), value_get(item, "values")))
            return false;
    return true;
}

ResourceList quota_accounted(const QuotaKind *kind, const Resource *resource, const ResourceList *hard) {
    ResourceList list = RESOURCE_LIST_INIT(hard->arena);
    for (size_t i = 0; i < hard->n; i++)
        if (kind->accounts(hard->arena, resource, hard->items[i].name))
            resource_list_set(&list, hard->items[i].name, hard->items[i].quantity);
    return list;
}
