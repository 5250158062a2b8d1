#define LOG_COMPONENT "rbac"
#include "apiserver/filters/rbac.h"
#include "apiserver/filters/authn.h"
#include "apiserver/filters/rbac_index.h"
#include "base/log.h"
#include "base/str.h"

#include <errno.h>
#include <pthread.h>

#define RBAC_GROUP "rbac.authorization.k8s.io"

enum { ROLES, CLUSTER_ROLES, ROLE_BINDINGS, CLUSTER_ROLE_BINDINGS, TABLES };
static const char *const plurals[TABLES] = {"roles", "clusterroles", "rolebindings", "clusterrolebindings"};

struct Rbac {
    Store *store;
    pthread_rwlock_t lock; /* over all below */
    RbacIndex *index;
    Watch *watches[TABLES]; /* each has been followed into the index; NULL: read everything again */
    bool partial;           /* something could not be read: try again when anything changes */
};

static const Resource *table_row(int table) {
    return resource_find(RBAC_GROUP, "v1", plurals[table]);
}

Rbac *rbac_new(Store *store) {
    Rbac *rbac = NEW0(Rbac);
    rbac->store = store;
    rbac->index = rbac_index_new();
    pthread_rwlock_init(&rbac->lock, NULL);
    return rbac;
}

static void forget_watch(Rbac *rbac, int table) {
    watch_close(TAKE_PTR(rbac->watches[table]));
}

void rbac_free(Rbac *rbac) {
    if (!rbac)
        return;
    for (int table = 0; table < TABLES; table++)
        forget_watch(rbac, table);
    rbac_index_free(rbac->index);
    pthread_rwlock_destroy(&rbac->lock);
    free(rbac);
}

/* On failure nobody gets in whom no other authorizer lets, until something changes. */
static int read_table(Rbac *rbac, int table) {
    _cleanup_object_list_ ObjectList list = {0};
    _cleanup_api_error_ ApiError err = {0};
    WatchQuery query = {.resource = table_row(table), .since = store_revision(rbac->store)};
    int r = store_list(rbac->store, &(ListQuery){.resource = query.resource}, &list, &err);
    if (r < 0) {
        log_error("cannot read %s: %s", plurals[table], str_or(err.message, "?"));
        rbac->partial = true;
    } else
        query.since = list.revision;
    for (size_t i = 0; i < list.n; i++)
        rbac_index_put(rbac->index, list.items[i]);
    return store_watch(rbac->store, &query, &rbac->watches[table]);
}

static void read_all(Rbac *rbac) {
    rbac_index_free(rbac->index);
    rbac->index = rbac_index_new();
    rbac->partial = false;
    for (int table = 0; table < TABLES; table++) {
        forget_watch(rbac, table);
        if (read_table(rbac, table) < 0) /* what was read is too old to go on from: the next request reads again */
            return;
    }
}

/* False: what happened since is not known any more. */
static bool follow(Rbac *rbac, int table) {
    WatchEvent event;
    int r;
    while ((r = watch_next(rbac->watches[table], &event)) > 0) {
        if (event.type == WATCH_DELETED)
            rbac_index_remove(rbac->index, event.object);
        else
            rbac_index_put(rbac->index, event.object);
        object_unref(event.object);
    }
    return r == 0;
}

static bool is_fresh(const Rbac *rbac) {
    for (int table = 0; table < TABLES; table++) {
        const Watch *watch = rbac->watches[table];
        if (!watch || watch_revision(watch) < store_changed_revision(rbac->store, table_row(table)))
            return false;
    }
    return true;
}

static void refresh(Rbac *rbac) {
    bool known = !rbac->partial && !rbac_index_is_wasteful(rbac->index);
    for (int table = 0; known && table < TABLES; table++)
        known = rbac->watches[table] && follow(rbac, table);
    if (!known)
        read_all(rbac);
}

static void lock_fresh(Rbac *rbac) {
    pthread_rwlock_rdlock(&rbac->lock);
    while (!is_fresh(rbac)) {
        pthread_rwlock_unlock(&rbac->lock);
        pthread_rwlock_wrlock(&rbac->lock);
        if (!is_fresh(rbac))
            refresh(rbac);
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
static const Value *applies_to(const RbacBinding *binding, const UserInfo *user) {
    const Value *subject;
    VALUE_FOREACH (subject, binding->subjects) {
        const char *kind = str_or(value_get_str(subject, "kind"), ""),
                   *name = str_or(value_get_str(subject, "name"), "");
        if ((streq(kind, "User") && streq(name, user->name)) || (streq(kind, "Group") && user_in_group(user, name)) ||
            (streq(kind, "ServiceAccount") &&
             is_service_account(user->name, str_or(value_get_str(subject, "namespace"), binding->ns), name)))
            return subject;
    }
    return NULL;
}

/* Why, for SubjectAccessReview. */
static const char *reason_of(Arena *arena, const RbacBinding *binding, const UserInfo *user) {
    const Value *ref = binding->role, *subject = applies_to(binding, user);
    const char *ns = binding->ns, *kind = str_or(value_get_str(subject, "kind"), ""), *of = "", *slash = "";
    if (streq(kind, "ServiceAccount")) {
        of = str_or(value_get_str(subject, "namespace"), ns);
        slash = "/";
    }
    return arena_printf(arena, "RBAC: allowed by %s \"%s%s%s\" of %s \"%s\" to %s \"%s%s%s\"",
                        *ns ? "RoleBinding" : "ClusterRoleBinding", binding->name, *ns ? "/" : "", ns,
                        str_or(value_get_str(ref, "kind"), ""), str_or(value_get_str(ref, "name"), ""), kind,
                        str_or(value_get_str(subject, "name"), ""), slash, of);
}

/* The rules a binding refers to; NULL and a message when there is no such role. */
static const Value *rules_of(const Rbac *rbac, Arena *arena, const RbacBinding *binding, Buf *problems) {
    const char *kind = str_or(value_get_str(binding->role, "kind"), ""),
               *name = str_or(value_get_str(binding->role, "name"), "");
    bool cluster = streq(kind, "ClusterRole");
    const Value *rules = rbac_index_rules(rbac->index, arena, cluster ? "" : binding->ns, name);
    if (!rules)
        buf_printf(problems, "%s%s." RBAC_GROUP " \"%s\" not found", problems->len ? ", " : "",
                   cluster ? "clusterrole" : "role", name);
    return rules;
}

/* Why it is allowed by a binding in `ns`, in the arena, "" where nobody asked; NULL: it is not. */
static const char *bindings_allow(const Rbac *rbac, const char *ns, const AuthzAttributes *attributes, Arena *arena,
                                  Buf *problems) {
    const RbacBinding **bindings;
    size_t n = rbac_index_bindings(rbac->index, arena, ns, attributes->user, &bindings);
    for (size_t i = 0; i < n; i++)
        if (rbac_rules_allow(rules_of(rbac, arena, bindings[i], problems), attributes))
            return attributes->explain ? reason_of(arena, bindings[i], attributes->user) : "";
    return NULL;
}

bool rbac_allows(Rbac *rbac, const AuthzAttributes *attributes, Arena *arena, const char **ret_reason) {
    _cleanup_buf_ Buf problems = BUF_INIT(16 * 1024);
    const char *ns = str_or(attributes->ns, "");
    lock_fresh(rbac);
    const char *why = bindings_allow(rbac, "", attributes, arena, &problems);
    if (!why && *ns)
        why = bindings_allow(rbac, ns, attributes, arena, &problems);
    pthread_rwlock_unlock(&rbac->lock);
    bool several = problems.len > 0 && strstr(problems.data, ", ");
    *ret_reason = why                 ? why
                  : problems.len == 0 ? ""
                                      : arena_printf(arena, several ? "RBAC: [%s]" : "RBAC: %s", problems.data);
    return why != NULL;
}

static void add_bound_rules(const Rbac *rbac, const char *ns, const UserInfo *user, Arena *arena, Value *all,
                            Buf *problems) {
    const RbacBinding **bindings;
    size_t n = rbac_index_bindings(rbac->index, arena, ns, user, &bindings);
    for (size_t i = 0; i < n; i++) {
        const Value *rule;
        VALUE_FOREACH (rule, rules_of(rbac, arena, bindings[i], problems))
            value_append(arena, all, value_copy(arena, rule));
    }
}

Value *rbac_user_rules(Rbac *rbac, const UserInfo *user, const char *ns, Arena *arena, Buf *problems) {
    Value *all = value_array(arena);
    lock_fresh(rbac);
    add_bound_rules(rbac, "", user, arena, all, problems);
    if (*ns)
        add_bound_rules(rbac, ns, user, arena, all, problems);
    pthread_rwlock_unlock(&rbac->lock);
    return all;
}
