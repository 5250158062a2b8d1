#include "scheduler/pod_request.h"

#include "base/clock.h"
#include "base/str.h"
#include "scheduler/pod_resources.h"

typedef struct Compiler {
    Placement *placement;
    Arena *arena;
} Compiler;

static Id name_id(Compiler *c, const char *name) {
    return placement_name(c->placement, str_or(name, ""));
}

static int by_key(const void *a, const void *b) {
    Id x = ((const Label *)a)->key, y = ((const Label *)b)->key;
    return x < y ? -1 : x > y;
}

/* `extra`: one pseudo label more, or key 0. */
static LabelSet compile_labels(Compiler *c, const Value *labels, Label extra) {
    Label *items = arena_alloc(c->arena, (value_len(labels) + 1) * sizeof *items);
    size_t n = 0;
    VALUE_FOREACH_MEMBER (member, labels)
        items[n++] = (Label){name_id(c, member->name), name_id(c, value_str(member->value))};
    if (extra.key)
        items[n++] = extra;
    qsort(items, n, sizeof *items, by_key);
    return (LabelSet){items, n};
}

static bool parse_op(const char *text, RequirementOp *ret) {
    static const struct {
        const char *name;
        RequirementOp op;
    } OPS[] = {{"In", REQUIRE_IN},         {"NotIn", REQUIRE_NOT_IN},
               {"Exists", REQUIRE_EXISTS}, {"DoesNotExist", REQUIRE_NOT_EXISTS},
               {"Gt", REQUIRE_GT},         {"Lt", REQUIRE_LT}};
    for (size_t i = 0; text && i < ELEMENTSOF(OPS); i++)
        if (streq(OPS[i].name, text)) {
            *ret = OPS[i].op;
            return true;
        }
    return false;
}

static Requirement compile_requirement(Compiler *c, const Value *expression, Id key) {
    Requirement r = {.key = key};
    const Value *values = value_get(expression, "values"), *value;
    r.impossible = !parse_op(value_get_str(expression, "operator"), &r.op);
    Id *ids = arena_alloc(c->arena, (value_len(values) + 1) * sizeof(Id));
    VALUE_FOREACH (value, values)
        ids[r.n_values++] = name_id(c, value_str(value));
    r.values = ids;
    if (r.op == REQUIRE_GT || r.op == REQUIRE_LT)
        r.impossible |= r.n_values != 1 || str_to_int64(str_or(value_str(value_at(values, 0)), "x"), &r.number) < 0;
    return r;
}

static Requirement exactly(Compiler *c, Id key, Id value) {
    Id *values = arena_alloc(c->arena, sizeof(Id));
    *values = value;
    return (Requirement){.key = key, .op = REQUIRE_IN, .values = values, .n_values = 1};
}

static size_t compile_map(Compiler *c, const Value *map, Requirement *to) {
    size_t n = 0;
    VALUE_FOREACH_MEMBER (member, map)
        to[n++] = exactly(c, name_id(c, member->name), name_id(c, value_str(member->value)));
    return n;
}

/* A metav1.LabelSelector; absent selects nothing. `also`: matchLabelKeys, taken from the pod's own labels. */
static Requirements compile_selector(Compiler *c, const Value *selector, const Value *match_keys,
                                     const Value *mismatch_keys, const Value *pod_labels) {
    if (!selector || selector->type == VALUE_NULL)
        return (Requirements){.nothing = true};
    const Value *map = value_get(selector, "matchLabels"), *expressions = value_get(selector, "matchExpressions"),
                *item;
    size_t room = value_len(map) + value_len(expressions) + value_len(match_keys) + value_len(mismatch_keys) + 1;
    Requirement *items = arena_alloc(c->arena, room * sizeof *items);
    size_t n = compile_map(c, map, items);
    VALUE_FOREACH (item, expressions)
        items[n++] = compile_requirement(c, item, name_id(c, value_get_str(item, "key")));
    VALUE_FOREACH (item, match_keys)
        if (value_str(item) && value_get_str(pod_labels, value_str(item)))
            items[n++] =
                exactly(c, name_id(c, value_str(item)), name_id(c, value_get_str(pod_labels, value_str(item))));
    VALUE_FOREACH (item, mismatch_keys)
        if (value_str(item) && value_get_str(pod_labels, value_str(item))) {
            items[n] = exactly(c, name_id(c, value_str(item)), name_id(c, value_get_str(pod_labels, value_str(item))));
            items[n++].op = REQUIRE_NOT_IN;
        }
    return (Requirements){.items = items, .n = n};
}

static Requirements compile_node_term(Compiler *c, const Value *term) {
    const Value *expressions = value_get(term, "matchExpressions"), *fields = value_get(term, "matchFields"), *item;
    Requirement *items = arena_alloc(c->arena, (value_len(expressions) + value_len(fields) + 1) * sizeof *items);
    size_t n = 0;
    VALUE_FOREACH (item, expressions)
        items[n++] = compile_requirement(c, item, name_id(c, value_get_str(item, "key")));
    VALUE_FOREACH (item, fields) {
        items[n] = compile_requirement(c, item, placement_field_name(c->placement));
        items[n].impossible |= !streq(str_or(value_get_str(item, "key"), ""), "metadata.name");
        n++;
    }
    return (Requirements){.items = items, .n = n};
}

static void compile_node_affinity(Compiler *c, const Value *spec, PlacementRequest *request) {
    const Value *affinity = value_path(spec, "affinity", "nodeAffinity", NULL), *item;
    const Value *required = value_get(affinity, "requiredDuringSchedulingIgnoredDuringExecution");
    const Value *terms = value_get(required, "nodeSelectorTerms");
    const Value *preferred = value_get(affinity, "preferredDuringSchedulingIgnoredDuringExecution");
    Requirement *selector = arena_alloc(c->arena, (value_len(value_get(spec, "nodeSelector")) + 1) * sizeof *selector);
    request->node_selector.n = compile_map(c, value_get(spec, "nodeSelector"), selector);
    request->node_selector.items = selector;
    request->has_node_terms = value_is(required, VALUE_OBJECT);
    Requirements *compiled = arena_alloc(c->arena, (value_len(terms) + 1) * sizeof *compiled);
    VALUE_FOREACH (item, terms)
        compiled[request->node_terms.n++] = compile_node_term(c, item);
    request->node_terms.items = compiled;
    WeightedNodeTerm *weighted = arena_alloc(c->arena, (value_len(preferred) + 1) * sizeof *weighted);
    VALUE_FOREACH (item, preferred)
        weighted[request->n_preferred_nodes++] =
            (WeightedNodeTerm){.weight = (int32_t)value_get_int(item, "weight", 0),
                               .term = compile_node_term(c, value_get(item, "preference"))};
    request->preferred_nodes = weighted;
}

static AffinityTerm compile_affinity_term(Compiler *c, const Value *term, const Value *metadata) {
    const Value *namespaces = value_get(term, "namespaces"), *selector = value_get(term, "namespaceSelector"), *item;
    const Value *labels = value_get(metadata, "labels");
    AffinityTerm compiled = {.topology_key = name_id(c, value_get_str(term, "topologyKey"))};
    compiled.selector = compile_selector(c, value_get(term, "labelSelector"), value_get(term, "matchLabelKeys"),
                                         value_get(term, "mismatchLabelKeys"), labels);
    compiled.has_namespace_selector = value_is(selector, VALUE_OBJECT);
    if (compiled.has_namespace_selector)
        compiled.namespace_selector = compile_selector(c, selector, NULL, NULL, NULL);
    Id *ids = arena_alloc(c->arena, (value_len(namespaces) + 1) * sizeof(Id));
    VALUE_FOREACH (item, namespaces)
        ids[compiled.n_namespaces++] = name_id(c, value_str(item));
    if (!compiled.n_namespaces && !compiled.has_namespace_selector)
        ids[compiled.n_namespaces++] = name_id(c, value_get_str(metadata, "namespace"));
    compiled.namespaces = ids;
    return compiled;
}

static AffinityTerms compile_affinity_terms(Compiler *c, const Value *terms, bool weighted, const Value *metadata) {
    AffinityTerm *items = arena_alloc(c->arena, (value_len(terms) + 1) * sizeof *items);
    size_t n = 0;
    const Value *term;
    VALUE_FOREACH (term, terms) {
        items[n] = compile_affinity_term(c, weighted ? value_get(term, "podAffinityTerm") : term, metadata);
        items[n++].weight = weighted ? (int32_t)value_get_int(term, "weight", 0) : 0;
    }
    return (AffinityTerms){items, n};
}

static void compile_pod_affinity(Compiler *c, const Value *spec, const Value *metadata, PlacementRequest *request) {
    static const char REQUIRED[] = "requiredDuringSchedulingIgnoredDuringExecution";
    static const char PREFERRED[] = "preferredDuringSchedulingIgnoredDuringExecution";
    const Value *affinity = value_path(spec, "affinity", "podAffinity", NULL);
    const Value *anti = value_path(spec, "affinity", "podAntiAffinity", NULL);
    request->affinity = compile_affinity_terms(c, value_get(affinity, REQUIRED), false, metadata);
    request->preferred_affinity = compile_affinity_terms(c, value_get(affinity, PREFERRED), true, metadata);
    request->anti_affinity = compile_affinity_terms(c, value_get(anti, REQUIRED), false, metadata);
    request->preferred_anti_affinity = compile_affinity_terms(c, value_get(anti, PREFERRED), true, metadata);
}

static SpreadConstraint compile_spread(Compiler *c, const Value *constraint, const Value *labels) {
    return (SpreadConstraint){
        .max_skew = (int32_t)value_get_int(constraint, "maxSkew", 1),
        .min_domains = (int32_t)value_get_int(constraint, "minDomains", 0),
        .topology_key = name_id(c, value_get_str(constraint, "topologyKey")),
        .hard = streq(str_or(value_get_str(constraint, "whenUnsatisfiable"), "DoNotSchedule"), "DoNotSchedule"),
        .honor_affinity = !streq(str_or(value_get_str(constraint, "nodeAffinityPolicy"), "Honor"), "Ignore"),
        .honor_taints = streq(str_or(value_get_str(constraint, "nodeTaintsPolicy"), "Ignore"), "Honor"),
        .selector = compile_selector(c, value_get(constraint, "labelSelector"), value_get(constraint, "matchLabelKeys"),
                                     NULL, labels),
    };
}

/* The reference's system defaults (hostname skew 3, zone skew 5, soft) apply to pods with an owner and no constraint of
 * their own. It finds the pod's kin by the selectors of its Services and controllers; here kin are those of the same
 * controller. */
static void compile_spreads(Compiler *c, const Value *spec, const Value *labels, Id owner, PlacementRequest *request) {
    const Value *constraints = value_get(spec, "topologySpreadConstraints"), *item;
    SpreadConstraint *spreads = arena_alloc(c->arena, (value_len(constraints) + 2) * sizeof *spreads);
    size_t n = 0;
    VALUE_FOREACH (item, constraints)
        spreads[n++] = compile_spread(c, item, labels);
    if (!n && owner) {
        static const struct {
            const char *key;
            int32_t skew;
        } DEFAULTS[] = {{"kubernetes.io/hostname", 3}, {"topology.kubernetes.io/zone", 5}};
        Requirement *same_owner = arena_alloc(c->arena, sizeof *same_owner);
        *same_owner = exactly(c, placement_owner_key(c->placement), owner);
        for (; n < ELEMENTSOF(DEFAULTS); n++)
            spreads[n] = (SpreadConstraint){.max_skew = DEFAULTS[n].skew,
                                            .topology_key = name_id(c, DEFAULTS[n].key),
                                            .by_default = true,
                                            .honor_affinity = true,
                                            .selector = {.items = same_owner, .n = 1}};
    }
    request->spreads = spreads;
    request->n_spreads = n;
}

static TaintEffect parse_effect(const char *effect) {
    if (str_empty(effect))
        return TAINT_ANY;
    if (streq(effect, "NoSchedule"))
        return TAINT_NO_SCHEDULE;
    return streq(effect, "NoExecute") ? TAINT_NO_EXECUTE : TAINT_PREFER_NO_SCHEDULE;
}

static void compile_tolerations(Compiler *c, const Value *spec, PlacementRequest *request) {
    const Value *list = value_get(spec, "tolerations"), *item;
    Toleration *tolerations = arena_alloc(c->arena, (value_len(list) + 1) * sizeof *tolerations);
    VALUE_FOREACH (item, list) {
        const char *key = value_get_str(item, "key");
        tolerations[request->n_tolerations++] =
            (Toleration){.key = str_empty(key) ? 0 : name_id(c, key),
                         .value = name_id(c, value_get_str(item, "value")),
                         .exists = streq(str_or(value_get_str(item, "operator"), "Equal"), "Exists"),
                         .effect = parse_effect(value_get_str(item, "effect"))};
    }
    request->tolerations = tolerations;
}

static void compile_containers(Compiler *c, const Value *spec, PlacementRequest *request) {
    static const char *const LISTS[] = {"containers", "initContainers"};
    const Value *container, *port;
    size_t n_ports = 0, n_images = 0;
    for (size_t l = 0; l < ELEMENTSOF(LISTS); l++)
        VALUE_FOREACH (container, value_get(spec, LISTS[l])) {
            n_ports += value_len(value_get(container, "ports"));
            n_images++;
        }
    HostPort *ports = arena_alloc(c->arena, (n_ports + 1) * sizeof *ports);
    Id *images = arena_alloc(c->arena, (n_images + 1) * sizeof *images);
    for (size_t l = 0; l < ELEMENTSOF(LISTS); l++)
        VALUE_FOREACH (container, value_get(spec, LISTS[l])) {
            images[request->n_images++] = name_id(c, value_get_str(container, "image"));
            bool sidecar = streq(str_or(value_get_str(container, "restartPolicy"), ""), "Always");
            VALUE_FOREACH (port, value_get(container, "ports")) {
                int64_t host_port = value_get_int(port, "hostPort", 0);
                const char *ip = value_get_str(port, "hostIP");
                if (host_port <= 0 || host_port > UINT16_MAX || (l == 1 && !sidecar))
                    continue;
                ports[request->n_ports++] =
                    (HostPort){.protocol = name_id(c, str_or(value_get_str(port, "protocol"), "TCP")),
                               .ip = str_empty(ip) || streq(ip, "0.0.0.0") ? 0 : name_id(c, ip),
                               .port = (uint16_t)host_port};
            }
        }
    request->ports = ports;
    request->images = images;
}

static Id controller_uid(Compiler *c, const Value *metadata) {
    const Value *owner;
    VALUE_FOREACH (owner, value_get(metadata, "ownerReferences"))
        if (value_get_bool(owner, "controller", false))
            return name_id(c, value_get_str(owner, "uid"));
    return 0;
}

PlacementRequest *pod_request_new(Placement *placement, const Value *pod) {
    Compiler compiler = {placement, arena_new(0)}, *c = &compiler;
    PlacementRequest *request = ARENA_NEW0(c->arena, PlacementRequest);
    const Value *metadata = value_get(pod, "metadata"), *spec = value_get(pod, "spec");
    const Value *labels = value_get(metadata, "labels");
    Id owner = controller_uid(c, metadata);
    const char *started = value_get_str(value_get(pod, "status"), "startTime");
    request->arena = c->arena;
    request->uid = name_id(c, value_get_str(metadata, "uid"));
    request->ns_name = arena_strdup(c->arena, str_or(value_get_str(metadata, "namespace"), ""));
    request->ns = name_id(c, request->ns_name);
    request->name = arena_strdup(c->arena, str_or(value_get_str(metadata, "name"), ""));
    request->labels = compile_labels(c, labels, (Label){owner ? placement_owner_key(placement) : 0, owner});
    request->priority = (int32_t)value_get_int(spec, "priority", 0);
    request->never_preempts = streq(str_or(value_get_str(spec, "preemptionPolicy"), ""), "Never");
    request->terminating = value_get(metadata, "deletionTimestamp") != NULL;
    if (started)
        (void)rfc3339_parse(started, &request->started_ns);
    pod_request_amounts(placement, c->arena, spec, &request->resources, &request->n_resources, &request->scored_cpu,
                  &request->scored_memory);
    compile_containers(c, spec, request);
    compile_node_affinity(c, spec, request);
    compile_tolerations(c, spec, request);
    compile_pod_affinity(c, spec, metadata, request);
    compile_spreads(c, spec, labels, owner, request);
    return request;
}

void node_row_set(Placement *placement, const Value *node) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    Compiler compiler = {placement, arena}, *c = &compiler;
    const Value *metadata = value_get(node, "metadata"), *taints = value_path(node, "spec", "taints", NULL);
    const Value *images = value_path(node, "status", "images", NULL), *item, *image_name;
    const char *name = str_or(value_get_str(metadata, "name"), "");
    LabelSet labels =
        compile_labels(c, value_get(metadata, "labels"), (Label){placement_field_name(placement), name_id(c, name)});
    PlacementNode row = {.name = name, .labels = labels.items, .n_labels = labels.n};
    row.unschedulable = value_get_bool(value_get(node, "spec"), "unschedulable", false);
    row.n_allocatable =
        resource_amounts(placement, arena, value_path(node, "status", "allocatable", NULL), &row.allocatable);
    Taint *compiled = arena_alloc(arena, (value_len(taints) + 1) * sizeof *compiled);
    VALUE_FOREACH (item, taints)
        compiled[row.n_taints++] = (Taint){.key = name_id(c, value_get_str(item, "key")),
                                           .value = name_id(c, value_get_str(item, "value")),
                                           .effect = parse_effect(value_get_str(item, "effect"))};
    row.taints = compiled;
    size_t room = 0;
    VALUE_FOREACH (item, images)
        room += value_len(value_get(item, "names"));
    NodeImage *node_images = arena_alloc(arena, (room + 1) * sizeof *node_images);
    VALUE_FOREACH (item, images)
        VALUE_FOREACH (image_name, value_get(item, "names"))
            node_images[row.n_images++] =
                (NodeImage){.name = name_id(c, value_str(image_name)), .size = value_get_int(item, "sizeBytes", 0)};
    row.images = node_images;
    placement_set_node(placement, &row);
}

void namespace_row_set(Placement *placement, const Object *ns) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    size_t n;
    const Pair *pairs = object_labels(ns, &n);
    Label *labels = arena_alloc(arena, (n + 1) * sizeof *labels);
    for (size_t i = 0; i < n; i++)
        labels[i] = (Label){placement_name(placement, pairs[i].key), placement_name(placement, pairs[i].value)};
    qsort(labels, n, sizeof *labels, by_key);
    placement_set_namespace(placement, object_name(ns), labels, n);
}
