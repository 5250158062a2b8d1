/* PodSecurity: a namespace's labels say what its pods may do: enforce refuses pods, warn warns about them and about
 * what makes pods (k8s.io/pod-security-admission/admission). The audit mode is evaluated by the audit log, which is not
 * part of this server. */
#include "apiserver/admission/admission.h"
#include "apiserver/admission/pod_security_checks.h"
#include "base/clock.h"
#include "base/str.h"
#include "base/strmap.h"

#include <errno.h>

#define PREFIX "pod-security.kubernetes.io/"
#define PODS_CHECKED_MAX 3000 /* of a namespace whose level is raised, as the reference */
#define CHECK_NS (1 * NS_PER_SEC)

typedef enum Mode { MODE_ENFORCE, MODE_AUDIT, MODE_WARN, MODES } Mode;
static const char *const level_labels[MODES] = {PREFIX "enforce", PREFIX "audit", PREFIX "warn"};
static const char *const version_labels[MODES] = {PREFIX "enforce-version", PREFIX "audit-version",
                                                  PREFIX "warn-version"};
static const char *const level_names[] = {"privileged", "baseline", "restricted"};

typedef struct Policies {
    SecurityPolicy modes[MODES];
} Policies;

static bool parse_level(const char *text, SecurityLevel *ret) {
    for (size_t i = 0; i < ELEMENTSOF(level_names); i++)
        if (streq(text, level_names[i])) {
            *ret = (SecurityLevel)i;
            return true;
        }
    return false;
}

/* "latest" or v1.N without leading zeros. */
static bool parse_version(const char *text, int *ret) {
    int64_t n;
    if (streq(text, "latest")) {
        *ret = SECURITY_LATEST;
        return true;
    }
    if (!str_has_prefix(text, "v1.") || text[3] < '0' || text[3] > '9' || (text[3] == '0' && text[4]) ||
        str_to_int64(text + 3, &n) < 0)
        return false;
    *ret = n > SECURITY_LATEST - 1 ? SECURITY_LATEST - 1 : (int)n;
    return true;
}

static void add_error(FieldErrors *errors, const char *label, const char *value, const char *why) {
    FieldPath meta = FIELD(NULL, "metadata"), labels = FIELD(&meta, "labels"), key = FIELD_KEY(&labels, label);
    field_invalid_str(errors, &key, value, "%s", why);
}

/* What is wrong counts as restricted where it is enforced, and not at all elsewhere. */
static Policies read_policies(const Value *labels, FieldErrors *errors) {
    Policies p;
    bool level_set[MODES] = {0}, level_fine[MODES] = {0}, version_set[MODES] = {0};
    for (int m = 0; m < MODES; m++) {
        const char *level_label = level_labels[m], *version_label = version_labels[m];
        const char *level = value_get_str(labels, level_label), *version = value_get_str(labels, version_label);
        p.modes[m] = (SecurityPolicy){SECURITY_PRIVILEGED, SECURITY_LATEST};
        level_set[m] = level != NULL;
        version_set[m] = version != NULL;
        level_fine[m] = level && parse_level(level, &p.modes[m].level);
        if (level && !level_fine[m]) {
            p.modes[m].level = m == MODE_ENFORCE ? SECURITY_RESTRICTED : SECURITY_PRIVILEGED;
            add_error(errors, level_label, level, "must be one of privileged, baseline, restricted");
        }
        if (version && !parse_version(version, &p.modes[m].version)) {
            p.modes[m].version = SECURITY_LATEST;
            add_error(errors, version_label, version, "must be \"latest\" or \"v1.x\"");
        }
    }
    SecurityPolicy *enforce = &p.modes[MODE_ENFORCE], *warn = &p.modes[MODE_WARN];
    if (!level_set[MODE_WARN] && level_fine[MODE_ENFORCE] && enforce->level > warn->level) {
        warn->level = enforce->level;
        if (!version_set[MODE_WARN])
            warn->version = enforce->version;
    }
    return p;
}

static const char *policy_text(Arena *arena, SecurityPolicy policy) {
    if (policy.version == SECURITY_LATEST)
        return arena_printf(arena, "%s:latest", level_names[policy.level]);
    return arena_printf(arena, "%s:v1.%d", level_names[policy.level], policy.version);
}

static int get_policies(AdmissionRequest *request, Policies *ret, bool *ret_fine) {
    _cleanup_object_ Object *ns = NULL;
    Arena *arena = request->strategy->arena;
    FieldErrors errors = FIELD_ERRORS_INIT(arena);
    size_t n;
    if (store_get(request->store, resource_find("", "v1", "namespaces"), "", request->ns, &ns) < 0)
        return -ENOENT;
    const Pair *pairs = object_labels(ns, &n);
    Value *labels = value_object(arena);
    for (size_t i = 0; i < n; i++)
        if (str_has_prefix(pairs[i].key, PREFIX))
            value_set_str(arena, labels, pairs[i].key, pairs[i].value);
    *ret = read_policies(labels, &errors);
    *ret_fine = errors.n == 0;
    return 0;
}

static int evaluate(AdmissionRequest *request, const Policies *policies, const Value *meta, const Value *spec,
                    bool enforce, ApiError *err) {
    Arena *arena = request->strategy->arena;
    SecurityPolicy strict = policies->modes[MODE_ENFORCE], warn = policies->modes[MODE_WARN];
    if (enforce) {
        SecurityVerdict v = pod_security_check(arena, strict, meta, spec);
        if (!v.allowed)
            return admission_forbid(request, err, "violates PodSecurity \"%s\": %s", policy_text(arena, strict),
                                    v.details);
    }
    SecurityVerdict v = pod_security_check(arena, warn, meta, spec);
    if (!v.allowed)
        strategy_warn(request->strategy, "would violate PodSecurity \"%s\": %s", policy_text(arena, warn), v.details);
    return 0;
}

static bool image_changed(const Value *a, const Value *b) {
    return !streq(str_or(value_get_str(a, "image"), ""), str_or(value_get_str(b, "image"), ""));
}

static const Value *find_named(const Value *list, const char *name) {
    const Value *item;
    VALUE_FOREACH (item, list)
        if (streq_null(value_get_str(item, "name"), name))
            return item;
    return NULL;
}

/* Only what a pod runs can change what it may do. */
static bool is_significant(const Value *pod, const Value *old) {
    static const char *const lists[] = {"containers", "initContainers"};
    const Value *now = value_get(pod, "spec"), *was = value_get(old, "spec"), *c;
    for (size_t i = 0; i < ELEMENTSOF(lists); i++) {
        const Value *a = value_get(now, lists[i]), *b = value_get(was, lists[i]);
        if (value_len(a) != value_len(b))
            return true;
        for (size_t j = 0; j < value_len(a); j++)
            if (image_changed(value_at(a, j), value_at(b, j)))
                return true;
    }
    VALUE_FOREACH (c, value_get(now, "ephemeralContainers")) {
        const Value *before = find_named(value_get(was, "ephemeralContainers"), str_or(value_get_str(c, "name"), ""));
        if (!before || image_changed(c, before))
            return true;
    }
    return false;
}

static int check_pod(AdmissionRequest *request, ApiError *err) {
    static const char *const ignored[] = {"exec",        "attach", "binding", "eviction", "log",
                                          "portforward", "proxy",  "status",  NULL};
    const char *subresource = request->request->subresource;
    Policies policies;
    bool fine;
    if (subresource && str_in(subresource, ignored))
        return 0;
    if (get_policies(request, &policies, &fine) < 0)
        return api_error_set(err, 500, "InternalError", "Internal error occurred: failed to lookup namespace \"%s\"",
                             request->ns);
    if (fine && !policies.modes[MODE_ENFORCE].level && !policies.modes[MODE_AUDIT].level &&
        !policies.modes[MODE_WARN].level)
        return 0;
    if (request->operation == ADMISSION_UPDATE && !is_significant(request->object, request->old))
        return 0;
    return evaluate(request, &policies, value_get(request->object, "metadata"), value_get(request->object, "spec"),
                    true, err);
}

static const struct {
    const char *group, *plural;
    const char *path[4]; /* to the pod template */
} makers[] = {
    {"", "podtemplates", {"template"}},
    {"", "replicationcontrollers", {"spec", "template"}},
    {"apps", "replicasets", {"spec", "template"}},
    {"apps", "deployments", {"spec", "template"}},
    {"apps", "daemonsets", {"spec", "template"}},
    {"apps", "statefulsets", {"spec", "template"}},
    {"batch", "jobs", {"spec", "template"}},
    {"batch", "cronjobs", {"spec", "jobTemplate", "spec", "template"}},
};

static const Value *template_of(const AdmissionRequest *request) {
    for (size_t i = 0; i < ELEMENTSOF(makers); i++) {
        if (!admission_is(request, makers[i].group, makers[i].plural))
            continue;
        const Value *v = request->object;
        for (size_t j = 0; j < ELEMENTSOF(makers[i].path) && makers[i].path[j]; j++)
            v = value_get(v, makers[i].path[j]);
        return v;
    }
    return NULL;
}

static int check_maker(AdmissionRequest *request, const Value *template, ApiError *err) {
    Policies policies;
    bool fine;
    if (get_policies(request, &policies, &fine) < 0)
        return 0;
    return evaluate(request, &policies, value_get(template, "metadata"), value_get(template, "spec"), false, err);
}

typedef struct Violation {
    char *reasons;
    const char *pod; /* the first by name */
    size_t n;
} Violation;

static int by_reasons(const void *a, const void *b) {
    return strcmp(((const Violation *)a)->reasons, ((const Violation *)b)->reasons);
}

/* Pods of a controller that was already looked at come last: they are most likely the same. */
static size_t order_pods(const ObjectList *list, const Object **ordered, Arena *arena) {
    StrMap *seen = strmap_new(NULL);
    const Object **rest = arena_alloc(arena, (list->n + 1) * sizeof *rest);
    size_t n = 0, n_rest = 0;
    for (size_t i = 0; i < list->n; i++) {
        const OwnerRef *owner = object_controller(list->items[i]);
        if (owner && !strmap_put(seen, owner->uid, list->items[i]))
            rest[n_rest++] = list->items[i];
        else
            ordered[n++] = list->items[i];
    }
    if (n_rest)
        memcpy(ordered + n, rest, n_rest * sizeof *rest);
    strmap_free(seen);
    return n + n_rest;
}

static void count_violation(Violation *violations, size_t *n, char *reasons, const char *pod) {
    size_t i = 0;
    while (i < *n && !streq(violations[i].reasons, reasons))
        i++;
    if (i == *n)
        violations[(*n)++] = (Violation){.reasons = reasons, .pod = pod};
    violations[i].n++;
    if (strcmp(pod, violations[i].pod) < 0)
        violations[i].pod = pod;
}

static void warn_violations(AdmissionRequest *request, SecurityPolicy policy, Violation *violations, size_t n) {
    Arena *arena = request->strategy->arena;
    if (n)
        strategy_warn(request->strategy,
                      "existing pods in namespace \"%s\" violate the new PodSecurity enforce level \"%s\"",
                      meta_get(request->object, "name"), policy_text(arena, policy));
    /* the reference sorts the lines, which begin with the name of a pod */
    for (size_t i = 0; i < n; i++) {
        Violation *v = &violations[i];
        v->reasons = v->n == 1   ? arena_printf(arena, "%s: %s", v->pod, v->reasons)
                     : v->n == 2 ? arena_printf(arena, "%s (and 1 other pod): %s", v->pod, v->reasons)
                                 : arena_printf(arena, "%s (and %zu other pods): %s", v->pod, v->n - 1, v->reasons);
    }
    qsort(violations, n, sizeof *violations, by_reasons);
    for (size_t i = 0; i < n; i++)
        strategy_warn(request->strategy, "%s", violations[i].reasons);
}

static void warn_existing(AdmissionRequest *request, SecurityPolicy policy) {
    _cleanup_object_list_ ObjectList list = {0};
    _cleanup_api_error_ ApiError ignored = {0};
    Arena *arena = request->strategy->arena;
    uint64_t until = now_monotonic_ns() + CHECK_NS;
    if (admission_list(request, "", "v1", "pods", meta_get(request->object, "name"), &list, &ignored) < 0) {
        strategy_warn(request->strategy, "failed to list pods while checking new PodSecurity enforce level");
        return;
    }
    const Object **pods = arena_alloc(arena, (list.n + 1) * sizeof *pods);
    size_t n = order_pods(&list, pods, arena), most = MIN(n, (size_t)PODS_CHECKED_MAX), checked = 0, n_violations = 0;
    Violation *violations = arena_alloc(arena, (most + 1) * sizeof *violations);
    while (checked < most && now_monotonic_ns() < until) {
        const Object *pod = pods[checked++];
        _cleanup_arena_ Arena *own = arena_new(0);
        Value *v = object_value(pod, own);
        SecurityVerdict verdict = pod_security_check(own, policy, value_get(v, "metadata"), value_get(v, "spec"));
        if (!verdict.allowed)
            count_violation(violations, &n_violations, arena_strdup(arena, verdict.reasons),
                            arena_strdup(arena, object_name(pod)));
    }
    if (checked < n)
        strategy_warn(request->strategy,
                      "new PodSecurity enforce level only checked against the first %zu of %zu existing pods", checked,
                      n);
    warn_violations(request, policy, violations, n_violations);
}

static bool same_errors(const FieldErrors *a, const FieldErrors *b) {
    if (a->n != b->n)
        return false;
    for (size_t i = 0; i < a->n; i++)
        if (!streq(a->items[i].field, b->items[i].field) || !streq(a->items[i].message, b->items[i].message))
            return false;
    return true;
}

static int check_namespace(AdmissionRequest *request, ApiError *err) {
    FieldErrors errors = FIELD_ERRORS_INIT(request->strategy->arena), old_errors = errors;
    Policies now = read_policies(value_path(request->object, "metadata", "labels", NULL), &errors);
    const char *name = *request->name ? request->name : str_or(meta_get(request->object, "name"), "");
    if (request->operation == ADMISSION_CREATE)
        return api_error_invalid(err, "", "Namespace", name, &errors);
    Policies was = read_policies(value_path(request->old, "metadata", "labels", NULL), &old_errors);
    if (errors.n && !same_errors(&errors, &old_errors))
        return api_error_invalid(err, "", "Namespace", name, &errors);
    SecurityPolicy a = now.modes[MODE_ENFORCE], b = was.modes[MODE_ENFORCE];
    if (a.level != SECURITY_PRIVILEGED && (a.version != b.version || a.level > b.level))
        warn_existing(request, a);
    return 0;
}

static int validate(AdmissionRequest *request, ApiError *err) {
    if (request->operation > ADMISSION_UPDATE)
        return 0;
    if (admission_is(request, "", "namespaces"))
        return check_namespace(request, err);
    if (!*request->resource->group && streq(request->resource->plural, "pods"))
        return check_pod(request, err);
    const Value *template = template_of(request);
    return template ? check_maker(request, template, err) : 0;
}

const AdmissionPlugin admission_pod_security = {"PodSecurity", NULL, validate};
