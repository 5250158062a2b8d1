/* The other groups: networking, policy, access, storage, scheduling, admission. */
#include "apiserver/registry/printers_internal.h"

#include <inttypes.h>

#include "base/clock.h"
#include "base/str.h"

#define LIST_SHOWN 3    /* hosts of an ingress */
#define METRICS_SHOWN 2 /* metrics of an autoscaler */

static const char *str_at(const Value *o, const char *name) {
    return value_get_str(o, name);
}

static const char *annotation(const Value *o, const char *key) {
    return str_or(value_str(value_path(o, "metadata", "annotations", key, NULL)), "");
}

static void cell_name_default(Arena *arena, Value *cells, const Value *o, bool is_default) {
    const char *name = str_or(str_at(value_get(o, "metadata"), "name"), "");
    cell_str(arena, cells, is_default ? arena_printf(arena, "%s (default)", name) : name);
}

static const char *ingress_hosts(Arena *arena, const Value *rules) {
    _cleanup_buf_ Buf text = BUF_INIT(64 * 1024);
    const Value *rule;
    size_t shown = 0;
    bool more = false;
    VALUE_FOREACH (rule, rules) {
        const char *host = str_at(rule, "host");
        more |= shown == LIST_SHOWN;
        if (!more && !str_empty(host))
            buf_printf(&text, "%s%s", shown++ ? "," : "", host);
    }
    if (!shown)
        return "*";
    if (more)
        buf_printf(&text, " + %zu more...", value_len(rules) - LIST_SHOWN);
    return arena_strdup(arena, text.data);
}

static void print_ingress(Arena *arena, const Value *o, int64_t now_ns, Value *cells) {
    const Value *spec = value_get(o, "spec"), *ingress = value_path(o, "status", "loadBalancer", "ingress", NULL),
                *item;
    _cleanup_buf_ Buf address = BUF_INIT(BUF_NO_LIMIT);
    VALUE_FOREACH (item, ingress)
        buf_printf(&address, "%s%s", address.len ? "," : "",
                   str_or(str_or(str_at(item, "ip"), str_at(item, "hostname")), ""));
    cell_name(arena, cells, o);
    cell_or(arena, cells, str_at(spec, "ingressClassName"), "<none>");
    cell_str(arena, cells, ingress_hosts(arena, value_get(spec, "rules")));
    cell_str(arena, cells, str_or(address.data, ""));
    cell_str(arena, cells, value_len(value_get(spec, "tls")) ? "80, 443" : "80");
    cell_age(arena, cells, o, now_ns);
}

static void print_ingress_class(Arena *arena, const Value *o, int64_t now_ns, Value *cells) {
    const Value *spec = value_get(o, "spec"), *parameters = value_get(spec, "parameters");
    const char *group = str_at(parameters, "apiGroup"), *text = "<none>";
    if (parameters)
        text = arena_printf(arena, "%s%s%s/%s", str_or(str_at(parameters, "kind"), ""), group ? "." : "",
                            str_or(group, ""), str_or(str_at(parameters, "name"), ""));
    cell_name_default(arena, cells, o, streq(annotation(o, "ingressclass.kubernetes.io/is-default-class"), "true"));
    cell_str(arena, cells, str_at(spec, "controller"));
    cell_str(arena, cells, text);
    cell_age(arena, cells, o, now_ns);
}

static void print_network_policy(Arena *arena, const Value *o, int64_t now_ns, Value *cells) {
    cell_name(arena, cells, o);
    cell_selector(arena, cells, value_path(o, "spec", "podSelector", NULL));
    cell_age(arena, cells, o, now_ns);
}

static void print_ip_address(Arena *arena, const Value *o, int64_t now_ns, Value *cells) {
    const Value *parent = value_path(o, "spec", "parentRef", NULL);
    const char *group = str_or(str_at(parent, "group"), ""), *ns = str_or(str_at(parent, "namespace"), "");
    cell_name(arena, cells, o);
    cell_str(arena, cells,
             parent ? arena_printf(arena, "%s%s%s%s%s/%s", str_or(str_at(parent, "resource"), ""), *group ? "." : "",
                                   group, *ns ? "/" : "", ns, str_or(str_at(parent, "name"), ""))
                    : "<none>");
    cell_age(arena, cells, o, now_ns);
}

static const char *int_or_string(Arena *arena, const Value *v) {
    if (!v)
        return "N/A";
    return v->type == VALUE_INT ? arena_printf(arena, "%" PRId64, v->integer) : str_or(value_str(v), "");
}

static void print_pdb(Arena *arena, const Value *o, int64_t now_ns, Value *cells) {
    const Value *spec = value_get(o, "spec");
    cell_name(arena, cells, o);
    cell_str(arena, cells, int_or_string(arena, value_get(spec, "minAvailable")));
    cell_str(arena, cells, int_or_string(arena, value_get(spec, "maxUnavailable")));
    cell_int(arena, cells, value_get_int(value_get(o, "status"), "disruptionsAllowed", 0));
    cell_age(arena, cells, o, now_ns);
}

static char *subjects(Arena *arena, const Value *o, const char *kind) {
    _cleanup_buf_ Buf text = BUF_INIT(BUF_NO_LIMIT);
    const Value *subject;
    VALUE_FOREACH (subject, value_get(o, "subjects")) {
        const char *name = str_or(str_at(subject, "name"), "");
        if (!streq(str_or(str_at(subject, "kind"), ""), kind))
            continue;
        if (streq(kind, "ServiceAccount"))
            name = arena_printf(arena, "%s/%s", str_or(str_at(subject, "namespace"), ""), name);
        buf_printf(&text, "%s%s", text.len ? ", " : "", name);
    }
    return arena_strdup(arena, str_or(text.data, ""));
}

static void print_binding(Arena *arena, const Value *o, int64_t now_ns, Value *cells) {
    const Value *role = value_get(o, "roleRef");
    cell_name(arena, cells, o);
    cell_str(arena, cells,
             arena_printf(arena, "%s/%s", str_or(str_at(role, "kind"), ""), str_or(str_at(role, "name"), "")));
    cell_age(arena, cells, o, now_ns);
    cell_str(arena, cells, subjects(arena, o, "User"));
    cell_str(arena, cells, subjects(arena, o, "Group"));
    cell_str(arena, cells, subjects(arena, o, "ServiceAccount"));
}

static void print_csr(Arena *arena, const Value *o, int64_t now_ns, Value *cells) {
    const Value *spec = value_get(o, "spec"), *status = value_get(o, "status"),
                *conditions = value_get(status, "conditions");
    const Value *duration = value_get(spec, "expirationSeconds");
    char human[32];
    const char *state = find_by(conditions, "type", "Denied")     ? "Denied"
                        : find_by(conditions, "type", "Approved") ? "Approved"
                                                                  : "Pending";
    cell_name(arena, cells, o);
    cell_age(arena, cells, o, now_ns);
    cell_or(arena, cells, str_at(spec, "signerName"), "<none>");
    cell_str(arena, cells, str_at(spec, "username"));
    cell_str(arena, cells, duration ? duration_human(duration->integer * (int64_t)NS_PER_SEC, human) : "<none>");
    cell_str(arena, cells,
             arena_printf(arena, "%s%s%s", state, find_by(conditions, "type", "Failed") ? ",Failed" : "",
                          str_empty(str_at(status, "certificate")) ? "" : ",Issued"));
}

static void print_storage_class(Arena *arena, const Value *o, int64_t now_ns, Value *cells) {
    bool is_default = streq(annotation(o, "storageclass.kubernetes.io/is-default-class"), "true") ||
                      streq(annotation(o, "storageclass.beta.kubernetes.io/is-default-class"), "true");
    cell_name_default(arena, cells, o, is_default);
    cell_str(arena, cells, str_at(o, "provisioner"));
    cell_or(arena, cells, str_at(o, "reclaimPolicy"), "Delete");
    cell_or(arena, cells, str_at(o, "volumeBindingMode"), "Immediate");
    cell_bool(arena, cells, value_get_bool(o, "allowVolumeExpansion", false));
    cell_age(arena, cells, o, now_ns);
}

static void print_csi_driver(Arena *arena, const Value *o, int64_t now_ns, Value *cells) {
    const Value *spec = value_get(o, "spec"), *tokens = value_get(spec, "tokenRequests");
    cell_name(arena, cells, o);
    cell_bool(arena, cells, value_get_bool(spec, "attachRequired", true));
    cell_bool(arena, cells, value_get_bool(spec, "podInfoOnMount", false));
    cell_bool(arena, cells, value_get_bool(spec, "storageCapacity", false));
    cell_str(arena, cells, tokens ? text_join(arena, tokens, "audience", ",") : "<unset>");
    cell_bool(arena, cells, value_get_bool(spec, "requiresRepublish", false));
    cell_or(arena, cells, text_join(arena, value_get(spec, "volumeLifecycleModes"), NULL, ","), "<none>");
    cell_age(arena, cells, o, now_ns);
}

static void print_param_kind(Arena *arena, const Value *o, int64_t now_ns, Value *cells) {
    const Value *spec = value_get(o, "spec"), *kind = value_get(spec, "paramKind"),
                *rules = value_get(spec, "validations");
    cell_name(arena, cells, o);
    cell_int(arena, cells, (int64_t)value_len(rules ? rules : value_get(spec, "mutations")));
    cell_str(
        arena, cells,
        kind ? arena_printf(arena, "%s/%s", str_or(str_at(kind, "apiVersion"), ""), str_or(str_at(kind, "kind"), ""))
             : "<unset>");
    cell_age(arena, cells, o, now_ns);
}

static void print_policy_binding(Arena *arena, const Value *o, int64_t now_ns, Value *cells) {
    const Value *spec = value_get(o, "spec"), *ref = value_get(spec, "paramRef");
    const char *name = str_at(ref, "name");
    cell_name(arena, cells, o);
    cell_str(arena, cells, str_at(spec, "policyName"));
    if (!str_empty(name))
        cell_str(arena, cells, arena_printf(arena, "%s/%s", str_or(str_at(ref, "namespace"), "*"), name));
    else if (value_get(ref, "selector"))
        cell_selector(arena, cells, value_get(ref, "selector"));
    else
        cell_str(arena, cells, "<unset>");
    cell_age(arena, cells, o, now_ns);
}

static void print_flow_schema(Arena *arena, const Value *o, int64_t now_ns, Value *cells) {
    const Value *spec = value_get(o, "spec"),
                *dangling = find_by(value_path(o, "status", "conditions", NULL), "type", "Dangling");
    cell_name(arena, cells, o);
    cell_str(arena, cells, value_str(value_path(spec, "priorityLevelConfiguration", "name", NULL)));
    cell_int(arena, cells, value_get_int(spec, "matchingPrecedence", 0));
    cell_or(arena, cells, value_str(value_path(spec, "distinguisherMethod", "type", NULL)), "<none>");
    cell_age(arena, cells, o, now_ns);
    cell_or(arena, cells, str_at(dangling, "status"), "?");
}

static void cell_int_or_none(Arena *arena, Value *cells, const Value *v) {
    if (v)
        cell_int(arena, cells, v->integer);
    else
        cell_str(arena, cells, "<none>");
}

static void print_priority_level(Arena *arena, const Value *o, int64_t now_ns, Value *cells) {
    const Value *spec = value_get(o, "spec"), *limited = value_get(spec, "limited");
    const Value *queuing = value_path(limited, "limitResponse", "queuing", NULL);
    cell_name(arena, cells, o);
    cell_str(arena, cells, str_at(spec, "type"));
    cell_int_or_none(arena, cells, value_get(limited, "nominalConcurrencyShares"));
    cell_int_or_none(arena, cells, value_get(queuing, "queues"));
    cell_int_or_none(arena, cells, value_get(queuing, "handSize"));
    cell_int_or_none(arena, cells, value_get(queuing, "queueLengthLimit"));
    cell_age(arena, cells, o, now_ns);
}

/* One metric of an autoscaler: current against target. The source's member is named after its type. */
static const char *metric_text(Arena *arena, const Value *spec, const Value *status) {
    static const struct {
        const char *type, *member;
        bool utilization;
    } SOURCES[] = {{"Resource", "resource", true},
                   {"ContainerResource", "containerResource", true},
                   {"Pods", "pods", false},
                   {"Object", "object", false},
                   {"External", "external", false}};
    for (size_t i = 0; i < ELEMENTSOF(SOURCES); i++) {
        if (!streq(str_or(str_at(spec, "type"), ""), SOURCES[i].type))
            continue;
        const Value *source = value_get(spec, SOURCES[i].member), *target = value_get(source, "target");
        const Value *current = value_path(status, SOURCES[i].member, "current", NULL),
                    *utilization = value_get(current, "averageUtilization");
        const char *average = str_at(target, "averageValue");
        const char *prefix =
            SOURCES[i].utilization ? arena_printf(arena, "%s: ", str_or(str_at(source, "name"), "")) : "";
        if (average)
            return arena_printf(arena, "%s%s/%s%s", prefix, str_or(str_at(current, "averageValue"), "<unknown>"),
                                average, SOURCES[i].utilization || streq(SOURCES[i].type, "Pods") ? "" : " (avg)");
        if (!SOURCES[i].utilization)
            return arena_printf(arena, "%s/%s", str_or(str_at(current, "value"), "<unknown>"),
                                str_or(str_at(target, "value"), "0"));
        const Value *wanted = value_get(target, "averageUtilization");
        return arena_printf(arena, "%s%s/%s", prefix,
                            utilization ? arena_printf(arena, "%" PRId64 "%%", utilization->integer) : "<unknown>",
                            wanted ? arena_printf(arena, "%" PRId64 "%%", wanted->integer) : "<auto>");
    }
    return "<unknown type>";
}

static const char *hpa_metrics(Arena *arena, const Value *o) {
    const Value *metrics = value_path(o, "spec", "metrics", NULL),
                *statuses = value_path(o, "status", "currentMetrics", NULL);
    size_t n = value_len(metrics);
    char *text = arena_strdup(arena, "");
    for (size_t i = 0; i < MIN(n, (size_t)METRICS_SHOWN); i++)
        text = arena_printf(arena, "%s%s%s", text, i ? ", " : "",
                            metric_text(arena, value_at(metrics, i), value_at(statuses, i)));
    if (n > METRICS_SHOWN)
        text = arena_printf(arena, "%s + %zu more...", text, n - METRICS_SHOWN);
    return n ? text : "<none>";
}

static void print_hpa(Arena *arena, const Value *o, int64_t now_ns, Value *cells) {
    const Value *spec = value_get(o, "spec"), *target = value_get(spec, "scaleTargetRef"),
                *least = value_get(spec, "minReplicas");
    cell_name(arena, cells, o);
    cell_str(arena, cells,
             arena_printf(arena, "%s/%s", str_or(str_at(target, "kind"), ""), str_or(str_at(target, "name"), "")));
    cell_str(arena, cells, hpa_metrics(arena, o));
    cell_str(arena, cells, least ? arena_printf(arena, "%" PRId64, least->integer) : "<unset>");
    cell_int(arena, cells, value_get_int(spec, "maxReplicas", 0));
    cell_int(arena, cells, value_get_int(value_get(o, "status"), "currentReplicas", 0));
    cell_age(arena, cells, o, now_ns);
}

static void print_claim(Arena *arena, const Value *o, int64_t now_ns, Value *cells) {
    bool deleted = value_path(o, "metadata", "deletionTimestamp", NULL) != NULL;
    const char *state = value_path(o, "status", "allocation", NULL) ? "allocated" : deleted ? "" : "pending";
    if (*state == 'a' && value_len(value_path(o, "status", "reservedFor", NULL)))
        state = "allocated,reserved";
    cell_name(arena, cells, o);
    cell_str(arena, cells,
             arena_printf(arena, "%s%s%s", deleted ? "deleted" : "", deleted && *state ? "," : "", state));
    cell_age(arena, cells, o, now_ns);
}

#define NAME_CELL                                                                                                      \
    { CELL_TEXT, "metadata.name", NULL }
#define AGE_CELL                                                                                                       \
    { CELL_AGE, NULL, NULL }
static const Column NAME_AGE[] = {COLUMN_NAME, COLUMN_AGE};
static const Cell NAME_AGE_CELLS[] = {NAME_CELL, AGE_CELL};
static const Column INGRESS[] = {
    COLUMN_NAME, COLUMN_TEXT("Class"), COLUMN_TEXT("Hosts"), COLUMN_TEXT("Address"), COLUMN_TEXT("Ports"), COLUMN_AGE};
static const Column INGRESS_CLASS[] = {COLUMN_NAME, COLUMN_TEXT("Controller"), COLUMN_TEXT("Parameters"), COLUMN_AGE};
static const Column POLICY[] = {COLUMN_NAME, COLUMN_TEXT("Pod-Selector"), COLUMN_AGE};
static const Column CIDR[] = {COLUMN_NAME, COLUMN_TEXT("CIDRs"), COLUMN_AGE};
static const Cell CIDR_CELLS[] = {NAME_CELL, {CELL_JOINED, "spec.cidrs", NULL}, AGE_CELL};
/* as the reference: its rows have an age, and no column for it */
static const Column ADDRESS[] = {COLUMN_NAME, COLUMN_TEXT("ParentRef")};
static const Column PDB[] = {COLUMN_NAME, COLUMN_TEXT("Min Available"), COLUMN_TEXT("Max Unavailable"),
                             COLUMN_INT("Allowed Disruptions"), COLUMN_AGE};
static const Column BINDING[] = {COLUMN_NAME,          COLUMN_TEXT("Role"),   COLUMN_AGE,
                                 COLUMN_WIDE("Users"), COLUMN_WIDE("Groups"), COLUMN_WIDE("ServiceAccounts")};
static const Column CSR[] = {COLUMN_NAME,
                             COLUMN_AGE,
                             COLUMN_TEXT("SignerName"),
                             COLUMN_TEXT("Requestor"),
                             COLUMN_TEXT("RequestedDuration"),
                             COLUMN_TEXT("Condition")};
static void print_api_service(Arena *arena, const Value *object, int64_t now_ns, Value *cells) {
    const Value *service = value_path(object, "spec", "service", NULL),
                *condition = find_by(value_path(object, "status", "conditions", NULL), "type", "Available");
    const char *status = str_or(value_get_str(condition, "status"), "Unknown"),
               *reason = value_get_str(condition, "reason");
    cell_name(arena, cells, object);
    cell_str(arena, cells,
             service ? arena_printf(arena, "%s/%s", str_or(value_get_str(service, "namespace"), ""),
                                    str_or(value_get_str(service, "name"), ""))
                     : "Local");
    cell_str(arena, cells,
             streq(status, "True") || str_empty(reason) ? status : arena_printf(arena, "%s (%s)", status, reason));
    cell_age(arena, cells, object, now_ns);
}

static const Column LEASE[] = {COLUMN_NAME, COLUMN_TEXT("Holder"), COLUMN_AGE};
static const Cell LEASE_CELLS[] = {NAME_CELL, {CELL_TEXT, "spec.holderIdentity", NULL}, AGE_CELL};
static const Column STORAGE_CLASS[] = {COLUMN_NAME,
                                       COLUMN_TEXT("Provisioner"),
                                       COLUMN_TEXT("ReclaimPolicy"),
                                       COLUMN_TEXT("VolumeBindingMode"),
                                       COLUMN_TEXT("AllowVolumeExpansion"),
                                       COLUMN_AGE};
static const Column VAC[] = {COLUMN_NAME, COLUMN_TEXT("DriverName"), COLUMN_AGE};
static const Cell VAC_CELLS[] = {NAME_CELL, {CELL_TEXT, "driverName", NULL}, AGE_CELL};
static const Column ATTACHMENT[] = {COLUMN_NAME,
                                    {"Attacher", "string", "name", 0, NULL},
                                    COLUMN_TEXT("PV"),
                                    COLUMN_TEXT("Node"),
                                    COLUMN_BOOL("Attached"),
                                    COLUMN_AGE};
static const Cell ATTACHMENT_CELLS[] = {NAME_CELL,
                                        {CELL_TEXT, "spec.attacher", NULL},
                                        {CELL_TEXT, "spec.source.persistentVolumeName", NULL},
                                        {CELL_TEXT, "spec.nodeName", NULL},
                                        {CELL_BOOL, "status.attached", NULL},
                                        AGE_CELL};
static const Column CSI_NODE[] = {COLUMN_NAME, COLUMN_INT("Drivers"), COLUMN_AGE};
static const Cell CSI_NODE_CELLS[] = {NAME_CELL, {CELL_COUNT, "spec.drivers", NULL}, AGE_CELL};
static const Column CSI_DRIVER[] = {COLUMN_NAME,
                                    COLUMN_BOOL("AttachRequired"),
                                    COLUMN_BOOL("PodInfoOnMount"),
                                    COLUMN_BOOL("StorageCapacity"),
                                    COLUMN_TEXT("TokenRequests"),
                                    COLUMN_BOOL("RequiresRepublish"),
                                    COLUMN_TEXT("Modes"),
                                    COLUMN_AGE};
static const Column CAPACITY[] = {COLUMN_NAME, COLUMN_TEXT("StorageClassName"), COLUMN_TEXT("Capacity")};
static const Cell CAPACITY_CELLS[] = {
    NAME_CELL, {CELL_TEXT, "storageClassName", NULL}, {CELL_TEXT, "capacity", "<unset>"}};
static const Column PRIORITY[] = {COLUMN_NAME, COLUMN_INT("Value"), COLUMN_BOOL("Global-Default"), COLUMN_AGE,
                                  COLUMN_TEXT("PreemptionPolicy")};
static const Cell PRIORITY_CELLS[] = {NAME_CELL,
                                      {CELL_INT, "value", NULL},
                                      {CELL_BOOL, "globalDefault", NULL},
                                      AGE_CELL,
                                      {CELL_TEXT, "preemptionPolicy", NULL}};
static const Column RUNTIME_CLASS[] = {COLUMN_NAME, COLUMN_TEXT("Handler"), COLUMN_AGE};
static const Cell RUNTIME_CLASS_CELLS[] = {NAME_CELL, {CELL_TEXT, "handler", NULL}, AGE_CELL};
static const Column WEBHOOK[] = {COLUMN_NAME, COLUMN_INT("Webhooks"), COLUMN_AGE};
static const Cell WEBHOOK_CELLS[] = {NAME_CELL, {CELL_COUNT, "webhooks", NULL}, AGE_CELL};
static const Column VALIDATING[] = {COLUMN_NAME, COLUMN_INT("Validations"), COLUMN_TEXT("ParamKind"), COLUMN_AGE};
static const Column MUTATING[] = {COLUMN_NAME, COLUMN_INT("Mutations"), COLUMN_TEXT("ParamKind"), COLUMN_AGE};
static const Column POLICY_BINDING[] = {COLUMN_NAME, COLUMN_TEXT("PolicyName"), COLUMN_TEXT("ParamRef"), COLUMN_AGE};
static const Column FLOW[] = {
    COLUMN_NAME, COLUMN_TEXT("PriorityLevel"), COLUMN_TEXT("MatchingPrecedence"), COLUMN_TEXT("DistinguisherMethod"),
    COLUMN_AGE,  COLUMN_TEXT("MissingPL")};
static const Column LEVEL[] = {COLUMN_NAME,
                               COLUMN_TEXT("Type"),
                               COLUMN_TEXT("NominalConcurrencyShares"),
                               COLUMN_TEXT("Queues"),
                               COLUMN_TEXT("HandSize"),
                               COLUMN_TEXT("QueueLengthLimit"),
                               COLUMN_AGE};
static const Column HPA[] = {COLUMN_NAME,
                             COLUMN_TEXT("Reference"),
                             COLUMN_TEXT("Targets"),
                             COLUMN_TEXT("MinPods"),
                             COLUMN_TEXT("MaxPods"),
                             COLUMN_TEXT("Replicas"),
                             COLUMN_AGE};
static const Column CLAIM[] = {COLUMN_NAME, COLUMN_TEXT("State"), COLUMN_AGE};
static const Column SLICE[] = {COLUMN_NAME, COLUMN_TEXT("Node"), COLUMN_TEXT("Driver"), COLUMN_TEXT("Pool"),
                               COLUMN_AGE};
static const Cell SLICE_CELLS[] = {NAME_CELL,
                                   {CELL_TEXT, "spec.nodeName", NULL},
                                   {CELL_TEXT, "spec.driver", NULL},
                                   {CELL_TEXT, "spec.pool.name", NULL},
                                   AGE_CELL};

static const Column API_SERVICE[] = {COLUMN_NAME, COLUMN_TEXT("Service"), COLUMN_TEXT("Available"), COLUMN_AGE};

#define ROW(group, plural, columns, print)                                                                             \
    { group, plural, columns, ELEMENTSOF(columns), NULL, print, NULL }
#define CELLS(group, plural, columns, cells)                                                                           \
    { group, plural, columns, ELEMENTSOF(columns), cells, NULL, NULL }
static const Printer ROWS[] = {
    ROW("apiregistration.k8s.io", "apiservices", API_SERVICE, print_api_service),
    ROW("networking.k8s.io", "ingresses", INGRESS, print_ingress),
    ROW("networking.k8s.io", "ingressclasses", INGRESS_CLASS, print_ingress_class),
    ROW("networking.k8s.io", "networkpolicies", POLICY, print_network_policy),
    CELLS("networking.k8s.io", "servicecidrs", CIDR, CIDR_CELLS),
    ROW("networking.k8s.io", "ipaddresses", ADDRESS, print_ip_address),
    ROW("policy", "poddisruptionbudgets", PDB, print_pdb),
    ROW("rbac.authorization.k8s.io", "rolebindings", BINDING, print_binding),
    ROW("rbac.authorization.k8s.io", "clusterrolebindings", BINDING, print_binding),
    ROW("certificates.k8s.io", "certificatesigningrequests", CSR, print_csr),
    CELLS("coordination.k8s.io", "leases", LEASE, LEASE_CELLS),
    ROW("storage.k8s.io", "storageclasses", STORAGE_CLASS, print_storage_class),
    CELLS("storage.k8s.io", "volumeattributesclasses", VAC, VAC_CELLS),
    CELLS("storage.k8s.io", "volumeattachments", ATTACHMENT, ATTACHMENT_CELLS),
    CELLS("storage.k8s.io", "csinodes", CSI_NODE, CSI_NODE_CELLS),
    ROW("storage.k8s.io", "csidrivers", CSI_DRIVER, print_csi_driver),
    CELLS("storage.k8s.io", "csistoragecapacities", CAPACITY, CAPACITY_CELLS),
    CELLS("scheduling.k8s.io", "priorityclasses", PRIORITY, PRIORITY_CELLS),
    CELLS("node.k8s.io", "runtimeclasses", RUNTIME_CLASS, RUNTIME_CLASS_CELLS),
    CELLS("admissionregistration.k8s.io", "mutatingwebhookconfigurations", WEBHOOK, WEBHOOK_CELLS),
    CELLS("admissionregistration.k8s.io", "validatingwebhookconfigurations", WEBHOOK, WEBHOOK_CELLS),
    ROW("admissionregistration.k8s.io", "validatingadmissionpolicies", VALIDATING, print_param_kind),
    ROW("admissionregistration.k8s.io", "validatingadmissionpolicybindings", POLICY_BINDING, print_policy_binding),
    ROW("admissionregistration.k8s.io", "mutatingadmissionpolicies", MUTATING, print_param_kind),
    ROW("admissionregistration.k8s.io", "mutatingadmissionpolicybindings", POLICY_BINDING, print_policy_binding),
    ROW("flowcontrol.apiserver.k8s.io", "flowschemas", FLOW, print_flow_schema),
    ROW("flowcontrol.apiserver.k8s.io", "prioritylevelconfigurations", LEVEL, print_priority_level),
    ROW("autoscaling", "horizontalpodautoscalers", HPA, print_hpa),
    CELLS("resource.k8s.io", "deviceclasses", NAME_AGE, NAME_AGE_CELLS),
    ROW("resource.k8s.io", "resourceclaims", CLAIM, print_claim),
    CELLS("resource.k8s.io", "resourceclaimtemplates", NAME_AGE, NAME_AGE_CELLS),
    CELLS("resource.k8s.io", "resourceslices", SLICE, SLICE_CELLS),
};
const PrinterTable printers_cluster = {ROWS, ELEMENTSOF(ROWS)};
