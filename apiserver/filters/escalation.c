#include "apiserver/filters/escalation.h"
#include "api/json.h"
#include "apiserver/filters/authn.h"
#include "apiserver/filters/rbac.h"
#include "apiserver/filters/rbac_rules.h"
#include "base/str.h"

#include <errno.h>

#define RBAC_GROUP "rbac.authorization.k8s.io"
#define MESSAGE_MAX (256 * 1024)

static int compare_texts(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Each missing rule once, in order. */
static void write_missing(Arena *arena, const Value *missing, Buf *out) {
    const Value *rules = rbac_compact_rules(arena, missing);
    size_t n = value_len(rules);
    const char **texts = arena_alloc0(arena, (n + 1) * sizeof *texts);
    for (size_t i = 0; i < n; i++)
        texts[i] = rbac_rule_text(arena, value_at(rules, i));
    qsort(texts, n, sizeof *texts, compare_texts);
    for (size_t i = 0; i < n; i++)
        if (!i || !streq(texts[i], texts[i - 1]))
            buf_printf(out, "\n%s", texts[i]);
}

/* NULL: the user holds all of these rules in the namespace. Else the message, in the arena. */
static char *find_escalation(Authorizer *authorizer, const AdmissionRequest *request, const Value *rules) {
    Arena *arena = request->strategy->arena;
    const UserInfo *user = request->request->user;
    const char *problems = NULL;
    Value *own;
    authorizer_user_rules(authorizer, user, request->ns, arena, &own, &problems);
    const Value *missing = rbac_missing_rules(arena, own, rules);
    if (!value_len(missing))
        return NULL;
    _cleanup_buf_ Buf out = BUF_INIT(MESSAGE_MAX);
    buf_printf(&out, "user %s (groups=[", go_quoted(arena, user->name));
    for (size_t i = 0; user->groups && user->groups[i]; i++)
        buf_printf(&out, "%s%s", i ? " " : "", go_quoted(arena, user->groups[i]));
    buf_puts(&out, "]) is attempting to grant RBAC permissions not currently held:");
    write_missing(arena, missing, &out);
    if (problems)
        buf_printf(&out, "; resolution errors: [%s]", problems);
    return arena_strdup(arena, out.data);
}

static int forbid(const AdmissionRequest *request, const char *why, ApiError *err) {
    return api_error_forbidden(err, RBAC_GROUP, request->resource->plural,
                               value_get_str(value_get(request->object, "metadata"), "name"), why);
}

static bool may(Authorizer *authorizer, const AdmissionRequest *request, const char *verb, const char *plural,
                const char *name) {
    const char *ignored;
    AuthzAttributes asked = {
        .user = request->request->user,
        .verb = verb,
        .is_resource = true,
        .group = RBAC_GROUP,
        .version = "*",
        .resource = plural,
        .ns = request->ns,
        .name = name,
    };
    return authorizer_allows(authorizer, &asked, request->strategy->arena, &ignored);
}

/* Who gathers rules may come to hold any. */
static const Value *full_authority(Arena *arena) {
    static const char json[] = "[{\"verbs\":[\"*\"],\"apiGroups\":[\"*\"],\"resources\":[\"*\"]},"
                               "{\"verbs\":[\"*\"],\"nonResourceURLs\":[\"*\"]}]";
    Value *v = NULL;
    json_parse(arena, json, strlen(json), &v, NULL, NULL);
    return v;
}

static bool gathers(const Value *role) {
    return value_len(value_path(role, "aggregationRule", "clusterRoleSelectors", NULL)) > 0;
}

static int guard_role(Authorizer *authorizer, const AdmissionRequest *request, ApiError *err) {
    if (may(authorizer, request, "escalate", request->resource->plural, request->request->name))
        return 0;
    const char *why = find_escalation(authorizer, request, value_get(request->object, "rules"));
    if (!why && (gathers(request->object) || gathers(request->old)) &&
        find_escalation(authorizer, request, full_authority(request->strategy->arena)))
        why = "must have cluster-admin privileges to use the aggregationRule";
    return why ? forbid(request, why, err) : 0;
}

static int guard_binding(Authorizer *authorizer, const AdmissionRequest *request, ApiError *err) {
    const Value *ref = value_get(request->object, "roleRef");
    const char *kind = str_or(value_get_str(ref, "kind"), ""), *name = str_or(value_get_str(ref, "name"), "");
    bool cluster = streq(kind, "ClusterRole");
    if (!cluster && !streq(kind, "Role"))
        return 0; /* which does not validate */
    const char *plural = cluster ? "clusterroles" : "roles";
    if (may(authorizer, request, "bind", plural, name))
        return 0;
    _cleanup_object_ Object *role = NULL;
    int r = store_get(request->store, resource_find(RBAC_GROUP, "v1", plural), cluster ? "" : request->ns, name, &role);
    if (r == -ENOENT)
        return api_error_not_found(err, RBAC_GROUP, request->resource->plural, name); /* the reference's words */
    if (r < 0)
        return api_error_from_errno(err, r, "read the role");
    const Value *rules = value_get(object_value(role, request->strategy->arena), "rules");
    const char *why = find_escalation(authorizer, request, rules);
    return why ? forbid(request, why, err) : 0;
}

/* Only what lets the garbage collector end the object differs. */
static bool only_frees(Arena *arena, const Value *object, const Value *old) {
    static const char *const members[] = {"ownerReferences", "finalizers", "managedFields", "resourceVersion"};
    if (!old)
        return false;
    Value *a = value_copy(arena, object), *b = value_copy(arena, old);
    for (size_t i = 0; i < ELEMENTSOF(members); i++) {
        value_remove(value_get(a, "metadata"), members[i]);
        value_remove(value_get(b, "metadata"), members[i]);
    }
    return value_equal(a, b);
}

int escalation_guard(void *userdata, AdmissionRequest *request, ApiError *err) {
    static const struct {
        const char *plural;
        int (*guard)(Authorizer *authorizer, const AdmissionRequest *request, ApiError *err);
    } rows[] = {{"roles", guard_role},
                {"clusterroles", guard_role},
                {"rolebindings", guard_binding},
                {"clusterrolebindings", guard_binding}};
    const UserInfo *user = request->request->user;
    bool writes = request->operation == ADMISSION_CREATE || request->operation == ADMISSION_UPDATE;
    if (!writes || !streq(request->resource->group, RBAC_GROUP) || !user || user_in_group(user, "system:masters") ||
        only_frees(request->strategy->arena, request->object, request->old))
        return 0;
    for (size_t i = 0; i < ELEMENTSOF(rows); i++)
        if (streq(rows[i].plural, request->resource->plural))
            return rows[i].guard(userdata, request, err);
    return 0;
}
