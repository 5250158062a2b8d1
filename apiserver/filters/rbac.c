#define LOG_COMPONENT "rbac"
#include "apiserver/filters/rbac.h"
#include "apiserver/filters/authn.h"
#include "base/log.h"
#include "base/str.h"
#include "base/strmap.h"

#include <errno.h>
#include <pthread.h>

#define RBAC_GROUP "rbac.authorization.k8s.io"

enum { ROLES, CLUSTER_ROLES, ROLE_BINDINGS, CLUSTER_ROLE_BINDINGS, TABLES };
static const char *const plurals[TABLES] = {"roles", "clusterroles", "rolebindings", "clusterrolebindings"};

struct Rbac {
    Store *store;
    pthread_rwlock_t lock; /* over all below */
    uint64_t seen[TABLES];
    bool fresh;
    Arena *arena;          /* what was read */
    StrMap *roles;         /* "ns/name", or "name" of cluster roles, to rules */
    StrMap *role_bindings; /* namespace to an array of bindings */
    Value *cluster_role_bindings;
};

static const Resource *table_row(int table) {
    return resource_find(RBAC_GROUP, "v1", plurals[table]);
}

Rbac *rbac_new(Store *store) {
    Rbac *rbac = NEW0(Rbac);
    rbac->store = store;
    pthread_rwlock_init(&rbac->lock, NULL);
    return rbac;
}

static void forget(Rbac *rbac) {
    strmap_free(TAKE_PTR(rbac->roles));
    strmap_free(TAKE_PTR(rbac->role_bindings));
    arena_free(TAKE_PTR(rbac->arena));
    rbac->cluster_role_bindings = NULL;
    rbac->fresh = false;
}

void rbac_free(Rbac *rbac) {
    if (!rbac)
        return;
    forget(rbac);
    pthread_rwlock_destroy(&rbac->lock);
    free(rbac);
}

static void keep_object(Rbac *rbac, int table, const Object *object) {
    Value *v = object_value(object, rbac->arena);
    const char *ns = object_namespace(object), *name = object_name(object);
    if (table == ROLES || table == CLUSTER_ROLES) {
        const char *key = *ns ? arena_printf(rbac->arena, "%s/%s", ns, name) : name;
        Value *rules = value_get(v, "rules");
        strmap_put(rbac->roles, key, value_is(rules, VALUE_ARRAY) ? rules : value_array(rbac->arena));
    } else if (table == CLUSTER_ROLE_BINDINGS) {
        value_append(rbac->arena, rbac->cluster_role_bindings, v);
    } else {
        Value *list = strmap_get(rbac->role_bindings, ns);
        if (!list)
            strmap_put(rbac->role_bindings, ns, list = value_array(rbac->arena));
        value_append(rbac->arena, list, v);
    }
}

/* Reads everything again. On failure nobody gets in whom no other authorizer lets. */
static void read_all(Rbac *rbac) {
    forget(rbac);
    rbac->arena = arena_new(0);
    rbac->roles = strmap_new(NULL);
    rbac->role_bindings = strmap_new(NULL);
    rbac->cluster_role_bindings = value_array(rbac->arena);
    for (int table = 0; table < TABLES; table++) {
        const Resource *row = table_row(table);
        /* before the list: a change meanwhile makes the next request read again */
        rbac->seen[table] = store_changed_revision(rbac->store, row);
        _cleanup_object_list_ ObjectList list = {0};
        _cleanup_api_error_ ApiError err = {0};
        if (store_list(rbac->store, &(ListQuery){.resource = row}, &list, &err) < 0)
            log_error("cannot read %s: %s", plurals[table], str_or(err.message, "?"));
        for (size_t i = 0; i < list.n; i++)
            keep_object(rbac, table, list.items[i]);
    }
    rbac->fresh = true;
}

static bool is_fresh(const Rbac *rbac) {
    for (int table = 0; table < TABLES; table++)
        if (!rbac->fresh || rbac->seen[table] != store_changed_revision(rbac->store, table_row(table)))
            return false;
    return true;
}

static void lock_fresh(Rbac *rbac) {
    pthread_rwlock_rdlock(&rbac->lock);
    while (!is_fresh(rbac)) {
        pthread_rwlock_unlock(&rbac->lock);
        pthread_rwlock_wrlock(&rbac->lock);
        if (!is_fresh(rbac))
            read_all(rbac);
        pthread_rwlock_unlock(&rbac->lock);
        pthread_rwlock_rdlock(&rbac->lock);
    }
}

static bool list_has(const Value *list, const char *s, bool star) {
    const Value *item;
    VALUE_FOREACH (item, list) {
        const char *text = str_or(value_str(item), "");
        if (streq(text, s) || (star && streq(text, "*")))
            return true;
    }
    return false;
}

static bool resource_matches(const Value *resources, const AuthzAttributes *attributes) {
    const char *resource = str_or(attributes->resource, ""), *subresource = str_or(attributes->subresource, "");
    size_t n = strlen(resource);
    const Value *item;
    VALUE_FOREACH (item, resources) {
        const char *text = str_or(value_str(item), "");
        if (streq(text, "*") || (!*subresource && streq(text, resource)))
            return true;
        if (*subresource && strncmp(text, resource, n) == 0 && text[n] == '/' && streq(text + n + 1, subresource))
            return true;
        if (*subresource && str_has_prefix(text, "*/") && streq(text + 2, subresource))
            return true;
    }
    return false;
}

static bool url_matches(const Value *urls, const char *path) {
    const Value *item;
    VALUE_FOREACH (item, urls) {
        const char *text = str_or(value_str(item), "");
        size_t n = strlen(text);
        if (streq(text, "*") || streq(text, path) || (n > 0 && text[n - 1] == '*' && strncmp(text, path, n - 1) == 0))
            return true;
    }
    return false;
}

static bool rule_allows(const Value *rule, const AuthzAttributes *attributes) {
    if (!list_has(value_get(rule, "verbs"), attributes->verb, true))
        return false;
    if (!attributes->is_resource)
        return url_matches(value_get(rule, "nonResourceURLs"), str_or(attributes->path, ""));
    const Value *names = value_get(rule, "resourceNames");
    return list_has(value_get(rule, "apiGroups"), str_or(attributes->group, ""), true) &&
           resource_matches(value_get(rule, "resources"), attributes) &&
           (value_len(names) == 0 || list_has(names, str_or(attributes->name, ""), false));
}

bool rbac_rules_allow(const Value *rules, const AuthzAttributes *attributes) {
    const Value *rule;
    VALUE_FOREACH (rule, rules)
        if (rule_allows(rule, attributes))
            return true;
    return false;
}

static bool is_service_account(const char *user, const char *ns, const char *name) {
    static const char prefix[] = "system:serviceaccount:";
    size_t n = strlen(ns);
    if (!str_has_prefix(user, prefix))
        return false;
    user += strlen(prefix);
    return n > 0 && strncmp(user, ns, n) == 0 && user[n] == ':' && streq(user + n + 1, name);
}

/* The subject of a binding that the user is; NULL: none. */
static const Value *applies_to(const Value *binding, const char *ns, const UserInfo *user) {
    const Value *subject;
    VALUE_FOREACH (subject, value_get(binding, "subjects")) {
        const char *kind = str_or(value_get_str(subject, "kind"), ""),
                   *name = str_or(value_get_str(subject, "name"), "");
        if ((streq(kind, "User") && streq(name, user->name)) || (streq(kind, "Group") && user_in_group(user, name)) ||
            (streq(kind, "ServiceAccount") &&
             is_service_account(user->name, str_or(value_get_str(subject, "namespace"), ns), name)))
            return subject;
    }
    return NULL;
}

/* Why, for SubjectAccessReview. */
static const char *reason_of(Arena *arena, const Value *binding, const char *ns, const Value *subject) {
    const Value *ref = value_get(binding, "roleRef");
    const char *kind = str_or(value_get_str(subject, "kind"), ""), *of = "", *slash = "";
    if (streq(kind, "ServiceAccount")) {
        of = str_or(value_get_str(subject, "namespace"), ns);
        slash = "/";
    }
    return arena_printf(arena, "RBAC: allowed by %s \"%s%s%s\" of %s \"%s\" to %s \"%s%s%s\"",
                        *ns ? "RoleBinding" : "ClusterRoleBinding",
                        str_or(value_get_str(value_get(binding, "metadata"), "name"), ""), *ns ? "/" : "", ns,
                        str_or(value_get_str(ref, "kind"), ""), str_or(value_get_str(ref, "name"), ""), kind,
                        str_or(value_get_str(subject, "name"), ""), slash, of);
}

/* The rules a binding in `ns` ("" for cluster-wide ones) refers to; NULL and a message when there is no such role. */
static const Value *rules_of(const Rbac *rbac, const Value *binding, const char *ns, Buf *problems) {
    const Value *ref = value_get(binding, "roleRef");
    const char *kind = str_or(value_get_str(ref, "kind"), ""), *name = str_or(value_get_str(ref, "name"), "");
    bool cluster = streq(kind, "ClusterRole");
    _cleanup_free_ char *key = cluster ? xstrdup(name) : xasprintf("%s/%s", ns, name);
    const Value *rules = strmap_get(rbac->roles, key);
    if (!rules)
        buf_printf(problems, "%s%s." RBAC_GROUP " \"%s\" not found", problems->len ? ", " : "",
                   cluster ? "clusterrole" : "role", name);
    return rules;
}

/* Why it is allowed, in the arena, "" where nobody asked; NULL: it is not. */
static const char *bindings_allow(const Rbac *rbac, const Value *bindings, const char *ns,
                                  const AuthzAttributes *attributes, Arena *arena, Buf *problems) {
    const Value *binding;
    VALUE_FOREACH (binding, bindings) {
        const Value *subject = applies_to(binding, ns, attributes->user);
        if (subject && rbac_rules_allow(rules_of(rbac, binding, ns, problems), attributes))
            return attributes->explain ? reason_of(arena, binding, ns, subject) : "";
    }
    return NULL;
}

bool rbac_allows(Rbac *rbac, const AuthzAttributes *attributes, Arena *arena, const char **ret_reason) {
    _cleanup_buf_ Buf problems = BUF_INIT(16 * 1024);
    const char *ns = str_or(attributes->ns, "");
    lock_fresh(rbac);
    const char *why = bindings_allow(rbac, rbac->cluster_role_bindings, "", attributes, arena, &problems);
    if (!why && *ns)
        why = bindings_allow(rbac, strmap_get(rbac->role_bindings, ns), ns, attributes, arena, &problems);
    pthread_rwlock_unlock(&rbac->lock);
    bool several = problems.len > 0 && strstr(problems.data, ", ");
    *ret_reason = why                 ? why
                  : problems.len == 0 ? ""
                                      : arena_printf(arena, several ? "RBAC: [%s]" : "RBAC: %s", problems.data);
    return why != NULL;
}

static void add_rules(Arena *arena, Value *all, const Value *rules) {
    const Value *rule;
    VALUE_FOREACH (rule, rules)
        value_append(arena, all, value_copy(arena, rule));
}

static void add_bound_rules(const Rbac *rbac, const Value *bindings, const char *ns, const UserInfo *user, Arena *arena,
                            Value *all, Buf *problems) {
    const Value *binding;
    VALUE_FOREACH (binding, bindings)
        if (applies_to(binding, ns, user))
            add_rules(arena, all, rules_of(rbac, binding, ns, problems));
}

Value *rbac_user_rules(Rbac *rbac, const UserInfo *user, const char *ns, Arena *arena, Buf *problems) {
    Value *all = value_array(arena);
    lock_fresh(rbac);
    add_bound_rules(rbac, rbac->cluster_role_bindings, "", user, arena, all, problems);
    if (*ns)
        add_bound_rules(rbac, strmap_get(rbac->role_bindings, ns), ns, user, arena, all, problems);
    pthread_rwlock_unlock(&rbac->lock);
    return all;
}
