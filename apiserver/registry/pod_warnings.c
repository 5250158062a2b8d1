#include "apiserver/registry/pod_warnings.h"

#include <inttypes.h>

#include "api/quantity.h"
#include "apiserver/registry/ip.h"
#include "apiserver/registry/node_label_warnings.h"
#include "apiserver/registry/validate_util.h"
#include "base/strmap.h"

static const char REQUIRED[] = "requiredDuringSchedulingIgnoredDuringExecution";
static const char PREFERRED[] = "preferredDuringSchedulingIgnoredDuringExecution";
static const char *const CONTAINER_LISTS[] = {"initContainers", "containers", "ephemeralContainers"};

typedef struct Warner {
    StrategyContext *context;
    const Value *spec, *annotations;
    const FieldPath *root; /* NULL: a pod, not a template */
    FieldPath path;        /* of spec */
    ListIndexes *lists;
} Warner;

static const char *at_text(const Warner *w, const FieldPath *path) {
    return field_path_text(w->context->arena, path);
}

/* ---- node labels ---- */

static void warn_nodes(const Warner *w) {
    const Value *affinity = value_path(w->spec, "affinity", "nodeAffinity", NULL);
    const Value *terms = value_path(affinity, REQUIRED, "nodeSelectorTerms", NULL),
                *preferred = value_get(affinity, PREFERRED);
    FieldPath selector = FIELD(&w->path, "nodeSelector"), affinity_at = FIELD(&w->path, "affinity"),
              node = FIELD(&affinity_at, "nodeAffinity"), required_at = FIELD(&node, REQUIRED),
              terms_at = FIELD(&required_at, "nodeSelectorTerms"), preferred_at = FIELD(&node, PREFERRED);
    VALUE_FOREACH_MEMBER (member, value_get(w->spec, "nodeSelector")) {
        FieldPath at = FIELD_KEY(&selector, member->name);
        if (node_label_deprecation(member->name))
            strategy_warn(w->context, "%s: %s", at_text(w, &at), node_label_deprecation(member->name));
    }
    for (size_t i = 0; i < value_len(terms); i++) {
        FieldPath at = FIELD_INDEX(&terms_at, i);
        node_term_warn(w->context, value_at(terms, i), false, &at);
    }
    for (size_t i = 0; i < value_len(preferred); i++) {
        FieldPath at = FIELD_INDEX(&preferred_at, i), preference = FIELD(&at, "preference");
        node_term_warn(w->context, value_get(value_at(preferred, i), "preference"), true, &preference);
    }
}

static void warn_spread(const Warner *w) {
    const Value *list = value_get(w->spec, "topologySpreadConstraints");
    FieldPath list_at = FIELD(&w->path, "topologySpreadConstraints");
    for (size_t i = 0; i < value_len(list); i++) {
        const char *key = text_of(value_at(list, i), "topologyKey"), *why = node_label_deprecation(key);
        FieldPath at = FIELD_INDEX(&list_at, i), key_at = FIELD(&at, "topologyKey"),
                  selector = FIELD(&at, "labelSelector");
        if (why)
            strategy_warn(w->context, "%s: %s is %s", at_text(w, &key_at), key, why);
        if (!value_get(value_at(list, i), "labelSelector"))
            strategy_warn(w->context, "%s: a null labelSelector results in matching no pod", at_text(w, &selector));
    }
}

/* ---- annotations ---- */

static void warn_annotations(const Warner *w) {
    static const char *const ANNOTATIONS[][2] = {
        {"scheduler.alpha.kubernetes.io/critical-pod",
         "non-functional in v1.16+; use the \"priorityClassName\" field instead"},
        {"security.alpha.kubernetes.io/sysctls", "non-functional in v1.11+; use the \"sysctls\" field instead"},
        {"security.alpha.kubernetes.io/unsafe-sysctls", "non-functional in v1.11+; use the \"sysctls\" field instead"},
    };
    FieldPath meta = FIELD(w->root, "metadata"), list = FIELD(&meta, "annotations");
    for (size_t i = 0; i < ELEMENTSOF(ANNOTATIONS); i++) {
        FieldPath at = FIELD_KEY(&list, ANNOTATIONS[i][0]);
        if (value_get(w->annotations, ANNOTATIONS[i][0]))
            strategy_warn(w->context, "%s: %s", at_text(w, &at), ANNOTATIONS[i][1]);
    }
}

/* ---- quantities ---- */

static void warn_fraction(const Warner *w, const Value *list, const char *name, const FieldPath *path) {
    const char *text = value_get_str(list, name);
    FieldPath at = FIELD_KEY(path, name);
    Quantity q;
    if (text && quantity_parse(text, &q) == 0 && quantity_milli_value(&q) % 1000 != 0)
        strategy_warn(w->context, "%s: fractional byte value %s is invalid, must be an integer", at_text(w, &at),
                      go_quoted(w->context->arena, text));
}

static void warn_claim(const Warner *w, const Value *spec, const FieldPath *path) {
    FieldPath resources = FIELD(path, "resources"), requests = FIELD(&resources, "requests"),
              limits = FIELD(&resources, "limits");
    warn_fraction(w, value_path(spec, "resources", "requests", NULL), "storage", &requests);
    warn_fraction(w, value_path(spec, "resources", "limits", NULL), "storage", &limits);
}

/* ---- volumes ---- */

static void warn_volume_kinds(const Warner *w) {
    static const struct {
        const char *member, *shown, *since;
    } KINDS[] = {
        {"photonPersistentDisk", "photonPersistentDisk", "deprecated in v1.11, non-functional in v1.16+"},
        {"gitRepo", "gitRepo", "deprecated in v1.11, and disabled by default in v1.33+"},
        {"scaleIO", "scaleIO", "deprecated in v1.16, non-functional in v1.22+"},
        {"flocker", "flocker", "deprecated in v1.22, non-functional in v1.25+"},
        {"storageos", "storageOS", "deprecated in v1.22, non-functional in v1.25+"},
        {"quobyte", "quobyte", "deprecated in v1.22, non-functional in v1.25+"},
        {"glusterfs", "glusterfs", "deprecated in v1.25, non-functional in v1.26+"},
        {"ephemeral", NULL, NULL}, /* here, in this order, come the claim's own warnings */
        {"cephfs", "cephfs", "deprecated in v1.28, non-functional in v1.31+"},
        {"rbd", "rbd", "deprecated in v1.28, non-functional in v1.31+"},
    };
    const Value *volumes = value_get(w->spec, "volumes");
    FieldPath list = FIELD(&w->path, "volumes");
    for (size_t i = 0; i < value_len(volumes); i++)
        for (size_t k = 0; k < ELEMENTSOF(KINDS); k++) {
            const Value *source = value_get(value_at(volumes, i), KINDS[k].member);
            FieldPath at = FIELD_INDEX(&list, i),
                      source_at = FIELD(&at, KINDS[k].shown ? KINDS[k].shown : KINDS[k].member);
            FieldPath template = FIELD(&source_at, "volumeClaimTemplate"), claim = FIELD(&template, "spec");
            if (source && KINDS[k].since)
                strategy_warn(w->context, "%s: %s", at_text(w, &source_at), KINDS[k].since);
            else if (source)
                warn_claim(w, value_path(source, "volumeClaimTemplate", "spec", NULL), &claim);
        }
}

/* A file that a volume writes. */
typedef struct Place {
    const char *path, *source; /* source: shown behind the path; "" when all come from one */
} Place;

static char *place_text(Arena *arena, const Place *place) {
    char *quoted = go_quoted(arena, place->path);
    return *place->source ? arena_printf(arena, "%s (%s)", quoted, place->source) : quoted;
}

/* Is `inner` the same as `outer`, or below it? */
static bool is_within(const char *inner, const char *outer) {
    size_t n = strlen(outer);
    return strncmp(inner, outer, n) == 0 && (inner[n] == 0 || inner[n] == '/');
}

/* Warns where a new place overlaps one of those before it, and adds it to them. */
static void add_place(const Warner *w, Place *places, size_t *n, Place place, const char *volume, const char *kind) {
    Arena *arena = w->context->arena;
    size_t len = strlen(place.path);
    while (len && place.path[len - 1] == '/')
        len--;
    place.path = arena_strndup(arena, place.path, len);
    for (size_t i = 0; len && i < *n; i++)
        if (*places[i].path && (is_within(places[i].path, place.path) || is_within(place.path, places[i].path)))
            strategy_warn(w->context, "volume %s (%s): overlapping paths: %s with %s", go_quoted(arena, volume), kind,
                          place_text(arena, &place), place_text(arena, &places[i]));
    places[(*n)++] = place;
}

static void add_items(const Warner *w, Place *places, size_t *n, const Value *items, const char *source,
                      const char *volume, const char *kind) {
    const Value *item;
    VALUE_FOREACH (item, items)
        add_place(w, places, n, (Place){text_of(item, "path"), source}, volume, kind);
}

static void warn_projected(const Warner *w, const Value *volume, Place *places) {
    static const char *const CERTIFICATE[][2] = {{"certificateChainPath", "PodCertificate chain"},
                                                 {"keyPath", "PodCertificate key"},
                                                 {"credentialBundlePath", "PodCertificate credential bundle"}};
    Arena *arena = w->context->arena;
    const char *name = text_of(volume, "name");
    const Value *source;
    size_t n = 0;
    VALUE_FOREACH (source, value_path(volume, "projected", "sources", NULL)) {
        const Value *map = value_get(source, "configMap"), *secret = value_get(source, "secret"),
                    *downward = value_get(source, "downwardAPI"), *token = value_get(source, "serviceAccountToken"),
                    *bundle = value_get(source, "clusterTrustBundle"),
                    *certificate = value_get(source, "podCertificate");
        if (!value_len(source))
            strategy_warn(w->context, "volume %s (Projected) has no sources provided", go_quoted(arena, name));
        else if (value_get(map, "items"))
            add_items(w, places, &n, value_get(map, "items"),
                      arena_printf(arena, "ConfigMap %s", go_quoted(arena, text_of(map, "name"))), name, "Projected");
        else if (value_get(secret, "items"))
            add_items(w, places, &n, value_get(secret, "items"),
                      arena_printf(arena, "Secret %s", go_quoted(arena, text_of(secret, "name"))), name, "Projected");
        else if (value_get(downward, "items"))
            add_items(w, places, &n, value_get(downward, "items"), "DownwardAPI", name, "Projected");
        else if (token)
            add_place(w, places, &n, (Place){text_of(token, "path"), "ServiceAccountToken"}, name, "Projected");
        else if (bundle) {
            const char *which = str_or(value_get_str(bundle, "name"), text_of(bundle, "signerName"));
            char *shown = arena_printf(arena, "ClusterTrustBundle %s", go_quoted(arena, which));
            add_place(w, places, &n, (Place){text_of(bundle, "path"), shown}, name, "Projected");
        } else
            for (size_t i = 0; i < ELEMENTSOF(CERTIFICATE); i++)
                if (*text_of(certificate, CERTIFICATE[i][0]))
                    add_place(w, places, &n, (Place){text_of(certificate, CERTIFICATE[i][0]), CERTIFICATE[i][1]}, name,
                              "Projected");
    }
}

static size_t count_items(const Value *v) {
    const Value *source;
    size_t n = value_len(value_get(v, "items"));
    VALUE_FOREACH (source, value_get(v, "sources")) {
        n += ELEMENTSOF(CONTAINER_LISTS); /* a certificate's three paths, at most */
        VALUE_FOREACH_MEMBER (member, source)
            n += value_len(value_get(member->value, "items"));
    }
    return n;
}

static void warn_overlaps(const Warner *w) {
    static const char *const KINDS[][2] = {{"configMap", "name"}, {"secret", "secretName"}, {"downwardAPI", ""}};
    Arena *arena = w->context->arena;
    const Value *volume;
    VALUE_FOREACH (volume, value_get(w->spec, "volumes")) {
        for (size_t k = 0; k < ELEMENTSOF(KINDS); k++) {
            const Value *source = value_get(volume, KINDS[k][0]);
            size_t n = 0;
            Place *places = arena_alloc(arena, (count_items(source) + 1) * sizeof *places);
            const char *kind = "DownwardAPI";
            if (k < 2)
                kind = arena_printf(arena, k ? "Secret %s" : "ConfigMap %s",
                                    go_quoted(arena, text_of(source, KINDS[k][1])));
            add_items(w, places, &n, value_get(source, "items"), "", text_of(volume, "name"), kind);
        }
        if (value_get(volume, "projected"))
            warn_projected(w, volume,
                           arena_alloc(arena, (count_items(value_get(volume, "projected")) + 1) * sizeof(Place)));
    }
}

/* ---- lists of the spec ---- */

static bool is_before(const Warner *w, const Value *list, size_t end, const char *member, const char *text) {
    size_t at = list_index_find(w->lists, list, member, text);
    return at != LIST_INDEX_NONE && at < end;
}

static void warn_duplicates(const Warner *w, const char *list_name, const char *member) {
    const Value *list = value_get(w->spec, list_name);
    FieldPath list_at = FIELD(&w->path, list_name);
    for (size_t i = 1; i < value_len(list); i++) {
        const char *text = text_of(value_at(list, i), member);
        FieldPath at = FIELD_INDEX(&list_at, i), member_at = FIELD(&at, member);
        if (is_before(w, list, i, member, text))
            strategy_warn(w->context, "%s: duplicate %s %s", at_text(w, &member_at), member,
                          go_quoted(w->context->arena, text));
    }
}

static void warn_lists(const Warner *w) {
    const Value *secrets = value_get(w->spec, "imagePullSecrets"), *overhead = value_get(w->spec, "overhead");
    FieldPath secrets_at = FIELD(&w->path, "imagePullSecrets"), overhead_at = FIELD(&w->path, "overhead");
    warn_duplicates(w, "hostAliases", "ip");
    warn_duplicates(w, "imagePullSecrets", "name");
    for (size_t i = 0; i < value_len(secrets); i++) {
        FieldPath at = FIELD_INDEX(&secrets_at, i), name = FIELD(&at, "name");
        if (!*text_of(value_at(secrets, i), "name"))
            strategy_warn(w->context, "%s: invalid empty name \"\"", at_text(w, &name));
    }
    warn_fraction(w, overhead, "memory", &overhead_at);
    warn_fraction(w, overhead, "ephemeral-storage", &overhead_at);
}

/* ---- containers ---- */

static void warn_profiles(const Warner *w, const Value *container) {
    Arena *arena = w->context->arena;
    const Value *context = value_get(container, "securityContext");
    char *seccomp =
             arena_printf(arena, "container.seccomp.security.alpha.kubernetes.io/%s", text_of(container, "name")),
         *apparmor =
             arena_printf(arena, "container.apparmor.security.beta.kubernetes.io/%s", text_of(container, "name"));
    FieldPath meta = FIELD(w->root, "metadata"), list = FIELD(&meta, "annotations"),
              seccomp_at = FIELD_KEY(&list, seccomp), apparmor_at = FIELD_KEY(&list, apparmor);
    if (!value_get(context, "seccompProfile") && value_get(w->annotations, seccomp))
        strategy_warn(w->context, "%s: non-functional in v1.27+; use the \"seccompProfile\" field instead",
                      at_text(w, &seccomp_at));
    if (w->root && !value_get(context, "appArmorProfile") && value_get(w->annotations, apparmor))
        strategy_warn(w->context, "%s: deprecated since v1.30; use the \"appArmorProfile\" field instead",
                      at_text(w, &apparmor_at));
}

static void warn_env(const Warner *w, const Value *container, const FieldPath *path) {
    const Value *env = value_get(container, "env");
    FieldPath list = FIELD(path, "env");
    for (size_t i = 1; i < value_len(env); i++) {
        const Value *variable = value_at(env, i);
        const char *name = text_of(variable, "name"), *value = text_of(variable, "value");
        char *ref = arena_printf(w->context->arena, "$(%s)", name);
        FieldPath at = FIELD_INDEX(&list, i);
        /* A variable may build on an earlier one of its name: $(PATH):/more. */
        if (is_before(w, env, i, "name", name) &&
            (value_get(variable, "valueFrom") || streq(value, ref) || !strstr(value, ref)))
            strategy_warn(w->context, "%s: hides previous definition of %s, which may be dropped when using apply",
                          at_text(w, &at), go_quoted(w->context->arena, name));
    }
}

static void warn_container(const Warner *w, const Value *container, const FieldPath *path) {
    static const char *const NAMES[] = {"memory", "ephemeral-storage"}, *const LISTS[] = {"limits", "requests"};
    const Value *resources = value_get(container, "resources");
    FieldPath resources_at = FIELD(path, "resources");
    warn_profiles(w, container);
    for (size_t n = 0; n < ELEMENTSOF(NAMES); n++)
        for (size_t l = 0; l < ELEMENTSOF(LISTS); l++) {
            FieldPath at = FIELD(&resources_at, LISTS[l]);
            warn_fraction(w, value_get(resources, LISTS[l]), NAMES[n], &at);
        }
    warn_env(w, container, path);
}

static void each_container(const Warner *w, void (*visit)(const Warner *, const Value *, const FieldPath *)) {
    for (size_t l = 0; l < ELEMENTSOF(CONTAINER_LISTS); l++) {
        const Value *list = value_get(w->spec, CONTAINER_LISTS[l]);
        FieldPath list_at = FIELD(&w->path, CONTAINER_LISTS[l]);
        for (size_t i = 0; i < value_len(list); i++) {
            FieldPath at = FIELD_INDEX(&list_at, i);
            visit(w, value_at(list, i), &at);
        }
    }
}

/* ---- ports ---- */

typedef struct Port {
    const Value *port;
    const char *at;
    struct Port *next; /* with the same number and protocol, further on */
} Port;

static void warn_port_pair(const Warner *w, const Port *port, const Port *other) {
    int64_t host = value_get_int(port->port, "hostPort", 0), other_host = value_get_int(other->port, "hostPort", 0);
    const char *ip = text_of(port->port, "hostIP"), *other_ip = text_of(other->port, "hostIP");
    if (streq(ip, other_ip) && host == other_host)
        strategy_warn(w->context, "%s: duplicate port definition with %s", port->at, other->at);
    else if (host == 0 || other_host == 0)
        strategy_warn(w->context, "%s: overlapping port definition with %s", port->at, other->at);
    else if (host == other_host && !*ip != !*other_ip)
        strategy_warn(w->context, "%s: dangerously ambiguous port definition with %s", port->at, other->at);
}

static Port *collect_ports(const Warner *w, size_t *ret_n) {
    size_t n = 0, cap = 0;
    const Value *container;
    for (size_t l = 0; l < ELEMENTSOF(CONTAINER_LISTS); l++)
        VALUE_FOREACH (container, value_get(w->spec, CONTAINER_LISTS[l]))
            cap += value_len(value_get(container, "ports"));
    Port *ports = arena_alloc(w->context->arena, (cap + 1) * sizeof *ports);
    for (size_t l = 0; l < ELEMENTSOF(CONTAINER_LISTS); l++) {
        const Value *list = value_get(w->spec, CONTAINER_LISTS[l]);
        FieldPath list_at = FIELD(&w->path, CONTAINER_LISTS[l]);
        for (size_t c = 0; c < value_len(list); c++) {
            const Value *own = value_get(value_at(list, c), "ports");
            FieldPath container_at = FIELD_INDEX(&list_at, c), ports_at = FIELD(&container_at, "ports");
            for (size_t i = 0; i < value_len(own); i++) {
                FieldPath at = FIELD_INDEX(&ports_at, i);
                ports[n++] = (Port){.port = value_at(own, i), .at = at_text(w, &at)};
            }
        }
    }
    *ret_n = n;
    return ports;
}

/* Each with those before it that have its number and protocol, which stand in chains. */
static void warn_port_pairs(const Warner *w, Port *ports, size_t n) {
    _cleanup_(strmap_freep) StrMap *firsts = strmap_new(NULL), *lasts = strmap_new(NULL);
    for (size_t i = 0; i < n && !strategy_is_full(w->context); i++) {
        const Value *port = ports[i].port;
        char *key = arena_printf(w->context->arena, "%" PRId64 "/%s", value_get_int(port, "containerPort", 0),
                                 text_of(port, "protocol"));
        Port *first = strmap_get(firsts, key), *last = strmap_get(lasts, key);
        if (*text_of(port, "hostIP") && !value_get_int(port, "hostPort", 0))
            strategy_warn(w->context,
                          "%s: hostIP set without hostPort: {Name:%s HostPort:0 ContainerPort:%" PRId64
                          " Protocol:%s HostIP:%s}",
                          ports[i].at, text_of(port, "name"), value_get_int(port, "containerPort", 0),
                          text_of(port, "protocol"), text_of(port, "hostIP"));
        for (const Port *other = first; other && !strategy_is_full(w->context); other = other->next)
            warn_port_pair(w, &ports[i], other);
        if (last)
            last->next = &ports[i];
        else
            strmap_put(firsts, key, &ports[i]);
        strmap_put(lasts, key, &ports[i]);
    }
}

static void warn_ports(const Warner *w) {
    _cleanup_(strmap_freep) StrMap *named = strmap_new(NULL);
    size_t n;
    Port *ports = collect_ports(w, &n);
    warn_port_pairs(w, ports, n);
    for (size_t i = 0; i < n; i++) {
        const char *name = text_of(ports[i].port, "name");
        const Port *first = strmap_get(named, name);
        if (first)
            strategy_warn(
                w->context,
                "%s: duplicate port name %s with %s, services and probes that select ports by name will use %s",
                ports[i].at, go_quoted(w->context->arena, name), first->at, first->at);
        else if (*name)
            strmap_put(named, name, &ports[i]);
    }
}

/* ---- the rest ---- */

static void warn_pod_affinity(const Warner *w) {
    static const char *const KINDS[] = {"podAffinity", "podAntiAffinity"};
    FieldPath affinity_at = FIELD(&w->path, "affinity");
    for (size_t k = 0; k < ELEMENTSOF(KINDS); k++) {
        const Value *affinity = value_path(w->spec, "affinity", KINDS[k], NULL),
                    *required = value_get(affinity, REQUIRED), *preferred = value_get(affinity, PREFERRED);
        FieldPath at = FIELD(&affinity_at, KINDS[k]), required_at = FIELD(&at, REQUIRED),
                  preferred_at = FIELD(&at, PREFERRED);
        for (size_t i = 0; i < value_len(required); i++) {
            FieldPath item = FIELD_INDEX(&required_at, i), selector = FIELD(&item, "labelSelector");
            if (!value_get(value_at(required, i), "labelSelector"))
                strategy_warn(w->context, "%s: a null labelSelector results in matching no pod", at_text(w, &selector));
        }
        for (size_t i = 0; i < value_len(preferred); i++) {
            FieldPath item = FIELD_INDEX(&preferred_at, i), term = FIELD(&item, "podAffinityTerm"),
                      selector = FIELD(&term, "labelSelector");
            if (!value_path(value_at(preferred, i), "podAffinityTerm", "labelSelector", NULL))
                strategy_warn(w->context, "%s: a null labelSelector results in matching no pod", at_text(w, &selector));
        }
    }
}

static void warn_addresses(const Warner *w) {
    const Value *servers = value_path(w->spec, "dnsConfig", "nameservers", NULL),
                *aliases = value_get(w->spec, "hostAliases");
    FieldPath dns = FIELD(&w->path, "dnsConfig"), servers_at = FIELD(&dns, "nameservers"),
              aliases_at = FIELD(&w->path, "hostAliases");
    for (size_t i = 0; i < value_len(servers); i++) {
        FieldPath at = FIELD_INDEX(&servers_at, i);
        ip_warn(w->context, &at, item_text(servers, i));
    }
    for (size_t i = 0; i < value_len(aliases); i++) {
        FieldPath at = FIELD_INDEX(&aliases_at, i), ip = FIELD(&at, "ip");
        ip_warn(w->context, &ip, text_of(value_at(aliases, i), "ip"));
    }
}

static void warn_pod_profile(const Warner *w) {
    static const char KEY[] = "seccomp.security.alpha.kubernetes.io/pod";
    FieldPath meta = FIELD(w->root, "metadata"), list = FIELD(&meta, "annotations"), at = FIELD_KEY(&list, KEY);
    if (!value_path(w->spec, "securityContext", "seccompProfile", NULL) && value_get(w->annotations, KEY))
        strategy_warn(w->context, "%s: non-functional in v1.27+; use the \"seccompProfile\" field instead",
                      at_text(w, &at));
}

static void warn_all(StrategyContext *context, const Value *object, const FieldPath *root) {
    ListIndexes lists = {.arena = context->arena};
    Warner w = {
        .context = context,
        .lists = &lists,
        .spec = value_get(object, "spec"),
        .annotations = value_path(object, "metadata", "annotations", NULL),
        .root = root,
        .path = FIELD(root, "spec"),
    };
    FieldPath grace = FIELD(&w.path, "terminationGracePeriodSeconds");
    warn_nodes(&w);
    warn_spread(&w);
    warn_annotations(&w);
    warn_volume_kinds(&w);
    warn_overlaps(&w);
    warn_lists(&w);
    warn_pod_profile(&w);
    each_container(&w, warn_container);
    warn_ports(&w);
    if (value_get_int(w.spec, "terminationGracePeriodSeconds", 0) < 0)
        strategy_warn(context, "%s: must be >= 0; negative values are invalid and will be treated as 1",
                      at_text(&w, &grace));
    warn_pod_affinity(&w);
    warn_addresses(&w);
}

void pod_warn(StrategyContext *context, const Value *pod) {
    NameMessages messages = {.arena = context->arena};
    char *list = arena_strdup(context->arena, "");
    name_dns_label(text_of(value_get(pod, "metadata"), "name"), &messages);
    for (size_t i = 0; i < messages.n; i++)
        list = arena_printf(context->arena, "%s%s%s", list, i ? " " : "", messages.items[i]);
    if (messages.n)
        strategy_warn(
            context,
            "metadata.name: this is used in the Pod's hostname, which can result in surprising behavior; a DNS label "
            "is recommended: [%s]",
            list);
    warn_all(context, pod, NULL);
}

void pod_warn_status(StrategyContext *context, const Value *pod) {
    static const char *const LISTS[] = {"podIPs", "hostIPs"};
    FieldPath status_at = FIELD(NULL, "status");
    for (size_t l = 0; l < ELEMENTSOF(LISTS); l++) {
        const Value *list = value_get(value_get(pod, "status"), LISTS[l]);
        FieldPath list_at = FIELD(&status_at, LISTS[l]);
        for (size_t i = 0; i < value_len(list); i++) {
            FieldPath at = FIELD_INDEX(&list_at, i), ip_at = FIELD(&at, "ip");
            ip_warn(context, &ip_at, text_of(value_at(list, i), "ip"));
        }
    }
}

void claim_spec_warn(StrategyContext *context, const Value *spec, const FieldPath *path) {
    Warner w = {.context = context};
    warn_claim(&w, spec, path);
}

void pod_template_warn(StrategyContext *context, const Value *template, const FieldPath *path) {
    if (template)
        warn_all(context, template, path);
}
