/* The core group's other kinds: nodes, services, configuration, volumes, events. */
#include "apiserver/registry/printers_internal.h"

#include <inttypes.h>

#include "base/str.h"

#define LIST_SHOWN 3 /* endpoints and the like: so many, then "+ N more..." */

static const char *str_at(const Value *o, const char *name) {
    return value_get_str(o, name);
}

static int by_text(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static char *join_sorted(Arena *arena, const char **items, size_t n) {
    _cleanup_buf_ Buf text = BUF_INIT(64 * 1024);
    qsort(items, n, sizeof *items, by_text);
    buf_puts(&text, "");
    for (size_t i = 0; i < n; i++) {
        if (i && streq(items[i], items[i - 1]))
            continue;
        buf_printf(&text, "%s%s", i ? "," : "", items[i]);
    }
    return arena_strdup(arena, text.data);
}

static const char *node_roles(Arena *arena, const Value *node) {
    static const char PREFIX[] = "node-role.kubernetes.io/";
    const Value *labels = value_path(node, "metadata", "labels", NULL);
    const char **roles = arena_alloc(arena, (value_len(labels) + 1) * sizeof *roles);
    size_t n = 0;
    VALUE_FOREACH_MEMBER (label, labels) {
        if (str_has_prefix(label->name, PREFIX) && label->name[sizeof PREFIX - 1])
            roles[n++] = label->name + sizeof PREFIX - 1;
        else if (streq(label->name, "kubernetes.io/role") && !str_empty(value_str(label->value)))
            roles[n++] = value_str(label->value);
    }
    return str_or(join_sorted(arena, roles, n), "<none>");
}

static void print_node(Arena *arena, const Value *o, int64_t now_ns, Value *cells) {
    const Value *status = value_get(o, "status"), *info = value_get(status, "nodeInfo"),
                *addresses = value_get(status, "addresses");
    const Value *ready = find_by(value_get(status, "conditions"), "type", "Ready");
    const char *state = !ready ? "Unknown" : streq(str_or(str_at(ready, "status"), ""), "True") ? "Ready" : "NotReady";
    const char *kernel = str_or(str_at(info, "kernelVersion"), "<unknown>"), *arch = str_at(info, "architecture");
    bool cordoned = value_get_bool(value_get(o, "spec"), "unschedulable", false);
    cell_name(arena, cells, o);
    cell_str(arena, cells, cordoned ? arena_printf(arena, "%s,SchedulingDisabled", state) : state);
    cell_str(arena, cells, node_roles(arena, o));
    cell_age(arena, cells, o, now_ns);
    cell_str(arena, cells, str_at(info, "kubeletVersion"));
    cell_or(arena, cells, str_at(find_by(addresses, "type", "InternalIP"), "address"), "<none>");
    cell_or(arena, cells, str_at(find_by(addresses, "type", "ExternalIP"), "address"), "<none>");
    cell_or(arena, cells, str_at(info, "osImage"), "<unknown>");
    cell_str(arena, cells, str_empty(arch) ? kernel : arena_printf(arena, "%s (%s)", kernel, arch));
    cell_or(arena, cells, str_at(info, "containerRuntimeVersion"), "<unknown>");
}

static const char *balancer_text(Arena *arena, const Value *balancer) {
    const Value *ingress = value_get(balancer, "ingress"), *item;
    const char **items = arena_alloc(arena, (value_len(ingress) + 1) * sizeof *items);
    size_t n = 0;
    VALUE_FOREACH (item, ingress) {
        const char *text = str_or(str_at(item, "ip"), str_at(item, "hostname"));
        if (!str_empty(text))
            items[n++] = text;
    }
    return join_sorted(arena, items, n);
}

static const char *service_external_ip(Arena *arena, const Value *o) {
    const Value *spec = value_get(o, "spec");
    const char *type = str_or(str_at(spec, "type"), ""),
               *external = text_join(arena, value_get(spec, "externalIPs"), NULL, ",");
    if (streq(type, "ClusterIP") || streq(type, "NodePort"))
        return str_or(external, "<none>");
    if (streq(type, "ExternalName"))
        return str_or(str_at(spec, "externalName"), "");
    if (!streq(type, "LoadBalancer"))
        return "<unknown>";
    const char *balanced = balancer_text(arena, value_path(o, "status", "loadBalancer", NULL));
    if (*external)
        return *balanced ? arena_printf(arena, "%s,%s", balanced, external) : external;
    return str_or(balanced, "<pending>");
}

static const char *service_ports(Arena *arena, const Value *spec) {
    _cleanup_buf_ Buf text = BUF_INIT(64 * 1024);
    const Value *port;
    VALUE_FOREACH (port, value_get(spec, "ports")) {
        int64_t node_port = value_get_int(port, "nodePort", 0);
        buf_printf(&text, "%s%" PRId64, _i_port ? "," : "", value_get_int(port, "port", 0));
        if (node_port > 0)
            buf_printf(&text, ":%" PRId64, node_port);
        buf_printf(&text, "/%s", str_or(str_at(port, "protocol"), ""));
    }
    return text.data ? arena_strdup(arena, text.data) : "<none>";
}

static void print_service(Arena *arena, const Value *o, int64_t now_ns, Value *cells) {
    const Value *spec = value_get(o, "spec");
    cell_name(arena, cells, o);
    cell_str(arena, cells, str_at(spec, "type"));
    cell_or(arena, cells, value_str(value_at(value_get(spec, "clusterIPs"), 0)), "<none>");
    cell_str(arena, cells, service_external_ip(arena, o));
    cell_str(arena, cells, service_ports(arena, spec));
    cell_age(arena, cells, o, now_ns);
    cell_labels(arena, cells, value_get(spec, "selector"));
}

/* The first few of a list, and how many more there are. */
typedef struct Shown {
    Buf text;
    size_t shown, count;
} Shown;

static void show(Shown *s, const char *item) {
    if (s->shown < LIST_SHOWN)
        buf_printf(&s->text, "%s%s", s->shown++ ? "," : "", item);
    s->count++;
}

static const char *shown_text(Arena *arena, Shown *s, const char *when_empty) {
    if (s->count > LIST_SHOWN)
        buf_printf(&s->text, " + %zu more...", s->count - LIST_SHOWN);
    const char *text = arena_strdup(arena, s->text.len ? s->text.data : when_empty);
    buf_done(&s->text);
    return text;
}

static void print_endpoints(Arena *arena, const Value *o, int64_t now_ns, Value *cells) {
    Shown s = {.text = BUF_INIT(64 * 1024)};
    const Value *subset, *port, *address;
    VALUE_FOREACH (subset, value_get(o, "subsets")) {
        const Value *ports = value_get(subset, "ports"), *addresses = value_get(subset, "addresses");
        if (!value_len(ports))
            VALUE_FOREACH (address, addresses)
                show(&s, str_or(str_at(address, "ip"), ""));
        VALUE_FOREACH (port, ports)
            VALUE_FOREACH (address, addresses) {
                const char *ip = str_or(str_at(address, "ip"), "");
                bool v6 = strchr(ip, ':');
                show(&s, arena_printf(arena, "%s%s%s:%" PRId64, v6 ? "[" : "", ip, v6 ? "]" : "",
                                      value_get_int(port, "port", 0)));
            }
    }
    cell_name(arena, cells, o);
    cell_str(arena, cells, shown_text(arena, &s, value_len(value_get(o, "subsets")) ? "" : "<none>"));
    cell_age(arena, cells, o, now_ns);
}

static void print_endpoint_slice(Arena *arena, const Value *o, int64_t now_ns, Value *cells) {
    Shown ports = {.text = BUF_INIT(64 * 1024)}, endpoints = {.text = BUF_INIT(64 * 1024)};
    const Value *port, *endpoint, *address;
    VALUE_FOREACH (port, value_get(o, "ports")) {
        const Value *number = value_get(port, "port");
        show(&ports, number                    ? arena_printf(arena, "%" PRId64, number->integer)
                     : value_get(port, "name") ? str_at(port, "name")
                                               : "*");
    }
    VALUE_FOREACH (endpoint, value_get(o, "endpoints"))
        VALUE_FOREACH (address, value_get(endpoint, "addresses"))
            show(&endpoints, str_or(value_str(address), ""));
    cell_name(arena, cells, o);
    cell_str(arena, cells, str_at(o, "addressType"));
    cell_str(arena, cells, shown_text(arena, &ports, "<unset>"));
    cell_str(arena, cells, shown_text(arena, &endpoints, "<unset>"));
    cell_age(arena, cells, o, now_ns);
}

static void print_namespace(Arena *arena, const Value *o, int64_t now_ns, Value *cells) {
    cell_name(arena, cells, o);
    cell_str(arena, cells, str_at(value_get(o, "status"), "phase"));
    cell_age(arena, cells, o, now_ns);
}

static void print_config_map(Arena *arena, const Value *o, int64_t now_ns, Value *cells) {
    cell_name(arena, cells, o);
    cell_int(arena, cells, (int64_t)(value_len(value_get(o, "data")) + value_len(value_get(o, "binaryData"))));
    cell_age(arena, cells, o, now_ns);
}

static void print_secret(Arena *arena, const Value *o, int64_t now_ns, Value *cells) {
    cell_name(arena, cells, o);
    cell_str(arena, cells, str_at(o, "type"));
    cell_int(arena, cells, (int64_t)value_len(value_get(o, "data")));
    cell_age(arena, cells, o, now_ns);
}

static void print_name_and_age(Arena *arena, const Value *o, int64_t now_ns, Value *cells) {
    cell_name(arena, cells, o);
    cell_age(arena, cells, o, now_ns);
}

/* "RWO,ROX" in the reference's order. */
static const char *access_modes(Arena *arena, const Value *modes) {
    static const char *const NAMES[][2] = {
        {"ReadWriteOnce", "RWO"}, {"ReadOnlyMany", "ROX"}, {"ReadWriteMany", "RWX"}, {"ReadWriteOncePod", "RWOP"}};
    char *text = arena_strdup(arena, "");
    const Value *mode;
    for (size_t i = 0; i < ELEMENTSOF(NAMES); i++)
        VALUE_FOREACH (mode, modes)
            if (streq(str_or(value_str(mode), ""), NAMES[i][0])) {
                text = arena_printf(arena, "%s%s%s", text, *text ? "," : "", NAMES[i][1]);
                break;
            }
    return text;
}

static const char *phase_of(const Value *o) {
    return value_path(o, "metadata", "deletionTimestamp", NULL) ? "Terminating"
                                                                : str_at(value_get(o, "status"), "phase");
}

static const char *class_of(const Value *o) {
    const char *annotated =
        value_str(value_path(o, "metadata", "annotations", "volume.beta.kubernetes.io/storage-class", NULL));
    return annotated ? annotated : str_at(value_get(o, "spec"), "storageClassName");
}

static void print_pv(Arena *arena, const Value *o, int64_t now_ns, Value *cells) {
    const Value *spec = value_get(o, "spec"), *claim = value_get(spec, "claimRef");
    cell_name(arena, cells, o);
    cell_or(arena, cells, value_str(value_path(spec, "capacity", "storage", NULL)), "0");
    cell_str(arena, cells, access_modes(arena, value_get(spec, "accessModes")));
    cell_str(arena, cells, str_at(spec, "persistentVolumeReclaimPolicy"));
    cell_str(arena, cells, phase_of(o));
    cell_str(
        arena, cells,
        claim ? arena_printf(arena, "%s/%s", str_or(str_at(claim, "namespace"), ""), str_or(str_at(claim, "name"), ""))
              : "");
    cell_str(arena, cells, class_of(o));
    cell_or(arena, cells, str_at(spec, "volumeAttributesClassName"), "<unset>");
    cell_str(arena, cells, str_at(value_get(o, "status"), "reason"));
    cell_age(arena, cells, o, now_ns);
    cell_or(arena, cells, str_at(spec, "volumeMode"), "<unset>");
}

static void print_pvc(Arena *arena, const Value *o, int64_t now_ns, Value *cells) {
    const Value *spec = value_get(o, "spec"), *status = value_get(o, "status");
    bool bound = !str_empty(str_at(spec, "volumeName"));
    cell_name(arena, cells, o);
    cell_str(arena, cells, phase_of(o));
    cell_str(arena, cells, str_at(spec, "volumeName"));
    cell_str(arena, cells, bound ? str_or(value_str(value_path(status, "capacity", "storage", NULL)), "0") : "");
    cell_str(arena, cells, bound ? access_modes(arena, value_get(status, "accessModes")) : "");
    cell_str(arena, cells, class_of(o));
    cell_or(arena, cells, str_at(spec, "volumeAttributesClassName"), "<unset>");
    cell_age(arena, cells, o, now_ns);
    cell_or(arena, cells, str_at(spec, "volumeMode"), "<unset>");
}

static char *lower(Arena *arena, const char *s) {
    char *copy = arena_strdup(arena, s);
    for (char *p = copy; *p; p++)
        *p = *p >= 'A' && *p <= 'Z' ? (char)(*p + ('a' - 'A')) : *p;
    return copy;
}

static char *trimmed(Arena *arena, const char *s) {
    while (*s && strchr(" \t\r\n", *s))
        s++;
    size_t n = strlen(s);
    while (n && strchr(" \t\r\n", s[n - 1]))
        n--;
    return arena_strndup(arena, s, n);
}

static void print_event(Arena *arena, const Value *o, int64_t now_ns, Value *cells) {
    const Value *about = value_get(o, "involvedObject"), *source = value_get(o, "source"),
                *series = value_get(o, "series");
    const char *first = text_since(arena, str_or(str_at(o, "firstTimestamp"), str_at(o, "eventTime")), now_ns),
               *last = first;
    const char *kind = lower(arena, str_or(str_at(about, "kind"), "")), *name = str_or(str_at(about, "name"), "");
    const char *component = str_or(str_at(source, "component"), str_at(o, "reportingComponent"));
    const char *host = str_or(str_at(source, "host"), str_at(o, "reportingInstance"));
    int64_t count = value_get_int(o, "count", 0);
    if (!str_empty(str_at(o, "lastTimestamp")))
        last = text_since(arena, str_at(o, "lastTimestamp"), now_ns);
    if (value_is(series, VALUE_OBJECT)) {
        last = text_since(arena, str_at(series, "lastObservedTime"), now_ns);
        count = value_get_int(series, "count", 0);
    }
    cell_str(arena, cells, last);
    cell_str(arena, cells, str_at(o, "type"));
    cell_str(arena, cells, str_at(o, "reason"));
    cell_str(arena, cells, *name ? arena_printf(arena, "%s/%s", kind, name) : kind);
    cell_str(arena, cells, str_at(about, "fieldPath"));
    cell_str(arena, cells, str_empty(host) ? component : arena_printf(arena, "%s, %s", str_or(component, ""), host));
    cell_str(arena, cells, trimmed(arena, str_or(str_at(o, "message"), "")));
    cell_str(arena, cells, first);
    cell_int(arena, cells, count ? count : 1);
    cell_name(arena, cells, o);
}

static void print_quota(Arena *arena, const Value *o, int64_t now_ns, Value *cells) {
    const Value *hard = value_path(o, "status", "hard", NULL), *used = value_path(o, "status", "used", NULL);
    const char **names = arena_alloc(arena, (value_len(hard) + 1) * sizeof *names);
    char *columns[2] = {arena_strdup(arena, ""), arena_strdup(arena, "")}; /* requests, limits */
    size_t n = 0;
    VALUE_FOREACH_MEMBER (member, hard)
        names[n++] = member->name;
    qsort(names, n, sizeof *names, by_text);
    for (size_t i = 0; i < n; i++) {
        char **column = &columns[str_has_prefix(names[i], "limits.")];
        *column = arena_printf(arena, "%s%s%s: %s/%s", *column, **column ? ", " : "", names[i],
                               str_or(str_at(used, names[i]), "0"), str_or(str_at(hard, names[i]), "0"));
    }
    cell_name(arena, cells, o);
    cell_str(arena, cells, columns[0]);
    cell_str(arena, cells, columns[1]);
    cell_age(arena, cells, o, now_ns);
}

static void print_component_status(Arena *arena, const Value *o, _unused_ int64_t now_ns, Value *cells) {
    const Value *healthy = find_by(value_get(o, "conditions"), "type", "Healthy");
    cell_name(arena, cells, o);
    cell_str(arena, cells,
             !healthy                                               ? "Unknown"
             : streq(str_or(str_at(healthy, "status"), ""), "True") ? "Healthy"
                                                                    : "Unhealthy");
    cell_str(arena, cells, str_at(healthy, "message"));
    cell_str(arena, cells, str_at(healthy, "error"));
}

static const Column NODE[] = {COLUMN_NAME,
                              COLUMN_TEXT("Status"),
                              COLUMN_TEXT("Roles"),
                              COLUMN_AGE,
                              COLUMN_TEXT("Version"),
                              COLUMN_WIDE("Internal-IP"),
                              COLUMN_WIDE("External-IP"),
                              COLUMN_WIDE("OS-Image"),
                              COLUMN_WIDE("Kernel-Version"),
                              COLUMN_WIDE("Container-Runtime")};
static const Column SERVICE[] = {
    COLUMN_NAME, COLUMN_TEXT("Type"),    COLUMN_TEXT("Cluster-IP"), COLUMN_TEXT("External-IP"), COLUMN_TEXT("Port(s)"),
    COLUMN_AGE,  COLUMN_WIDE("Selector")};
static const Column ENDPOINTS[] = {COLUMN_NAME, COLUMN_TEXT("Endpoints"), COLUMN_AGE};
static const Column SLICE[] = {COLUMN_NAME, COLUMN_TEXT("AddressType"), COLUMN_TEXT("Ports"), COLUMN_TEXT("Endpoints"),
                               COLUMN_AGE};
static const Column STATUS_AGE[] = {COLUMN_NAME, COLUMN_TEXT("Status"), COLUMN_AGE};
static const Column DATA_AGE[] = {COLUMN_NAME, COLUMN_TEXT("Data"), COLUMN_AGE};
static const Column SECRET[] = {COLUMN_NAME, COLUMN_TEXT("Type"), COLUMN_TEXT("Data"), COLUMN_AGE};
static const Column NAME_AGE[] = {COLUMN_NAME, COLUMN_AGE};
static const Column PV[] = {COLUMN_NAME,
                            COLUMN_TEXT("Capacity"),
                            COLUMN_TEXT("Access Modes"),
                            COLUMN_TEXT("Reclaim Policy"),
                            COLUMN_TEXT("Status"),
                            COLUMN_TEXT("Claim"),
                            COLUMN_TEXT("StorageClass"),
                            COLUMN_TEXT("VolumeAttributesClass"),
                            COLUMN_TEXT("Reason"),
                            COLUMN_AGE,
                            COLUMN_WIDE("VolumeMode")};
static const Column PVC[] = {COLUMN_NAME,
                             COLUMN_TEXT("Status"),
                             COLUMN_TEXT("Volume"),
                             COLUMN_TEXT("Capacity"),
                             COLUMN_TEXT("Access Modes"),
                             COLUMN_TEXT("StorageClass"),
                             COLUMN_TEXT("VolumeAttributesClass"),
                             COLUMN_AGE,
                             COLUMN_WIDE("VolumeMode")};
static const Column EVENT[] = {COLUMN_TEXT("Last Seen"), COLUMN_TEXT("Type"),
                               COLUMN_TEXT("Reason"),    COLUMN_TEXT("Object"),
                               COLUMN_WIDE("Subobject"), COLUMN_WIDE("Source"),
                               COLUMN_TEXT("Message"),   COLUMN_WIDE("First Seen"),
                               COLUMN_WIDE("Count"),     {"Name", "string", "name", 1, NULL}};
static const Column QUOTA[] = {COLUMN_NAME, COLUMN_TEXT("Request"), COLUMN_TEXT("Limit"), COLUMN_AGE};
static const Column COMPONENT[] = {COLUMN_NAME, COLUMN_TEXT("Status"), COLUMN_TEXT("Message"), COLUMN_TEXT("Error")};

#define ROW(group, plural, columns, print)                                                                             \
    { group, plural, columns, ELEMENTSOF(columns), NULL, print, NULL }
static const Printer ROWS[] = {
    ROW("", "nodes", NODE, print_node),
    ROW("", "services", SERVICE, print_service),
    ROW("", "endpoints", ENDPOINTS, print_endpoints),
    ROW("discovery.k8s.io", "endpointslices", SLICE, print_endpoint_slice),
    ROW("", "namespaces", STATUS_AGE, print_namespace),
    ROW("", "configmaps", DATA_AGE, print_config_map),
    ROW("", "secrets", SECRET, print_secret),
    ROW("", "serviceaccounts", NAME_AGE, print_name_and_age),
    ROW("", "persistentvolumes", PV, print_pv),
    ROW("", "persistentvolumeclaims", PVC, print_pvc),
    ROW("", "events", EVENT, print_event),
    ROW("events.k8s.io", "events", EVENT, print_event),
    ROW("", "resourcequotas", QUOTA, print_quota),
    ROW("", "componentstatuses", COMPONENT, print_component_status),
};
const PrinterTable printers_core = {ROWS, ELEMENTSOF(ROWS)};
