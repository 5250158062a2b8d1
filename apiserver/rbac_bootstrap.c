#define LOG_COMPONENT "rbac"
#include "apiserver/rbac_bootstrap.h"
#include "apiserver/bootstrap.h"
#include "apiserver/rbac_reconcile.h"
#include "base/log.h"
#include "base/str.h"

#include <errno.h>

#define RBAC "rbac.authorization.k8s.io"
#define AUTOUPDATE "rbac.authorization.kubernetes.io/autoupdate"
#define TRIES 4    /* when others write the same */

static Value *list_of(Arena *arena, const char *text) {
    Value *list = value_array(arena);
    size_t n;
    char **parts = str_split(arena, text, ',', &n);
    for (size_t i = 0; i < n; i++)
        value_append(arena, list, value_string(arena, parts[i]));
    if (n == 0)
        value_append(arena, list, value_string(arena, ""));
    return list;
}

static Value *rule_of(Arena *arena, const RbacRule *row) {
    const struct {
        const char *name, *text;
    } lists[] = {{"apiGroups", row->groups},
                 {"nonResourceURLs", row->urls},
                 {"resourceNames", row->names},
                 {"resources", row->resources},
                 {"verbs", row->verbs}};
    Value *rule = value_object(arena);
    for (size_t i = 0; i < ELEMENTSOF(lists); i++)
        if (lists[i].text)
            value_set(arena, rule, lists[i].name, list_of(arena, lists[i].text));
    return rule;
}

static char *aggregate_label(Arena *arena, const char *to) {
    return arena_printf(arena, RBAC "/aggregate-to-%s", to);
}

static Value *head_of(Arena *arena, const char *kind, const char *name, const char *aggregate_to) {
    Value *v = api_value_new(arena, RBAC "/v1", kind), *meta = value_object(arena), *labels = value_object(arena),
          *annotations = value_object(arena);
    value_set_str(arena, annotations, AUTOUPDATE, "true");
    value_set_str(arena, labels, "kubernetes.io/bootstrapping", "rbac-defaults");
    if (aggregate_to)
        value_set_str(arena, labels, aggregate_label(arena, aggregate_to), "true");
    value_set_str(arena, meta, "name", name);
    value_set(arena, meta, "annotations", annotations);
    value_set(arena, meta, "labels", labels);
    value_set(arena, v, "metadata", meta);
    return v;
}

static Value *aggregation_of(Arena *arena, const char *label) {
    Value *rule = value_object(arena), *selectors = value_array(arena), *selector = value_object(arena),
          *labels = value_object(arena);
    value_set_str(arena, labels, aggregate_label(arena, label), "true");
    value_set(arena, selector, "matchLabels", labels);
    value_append(arena, selectors, selector);
    value_set(arena, rule, "clusterRoleSelectors", selectors);
    return rule;
}

static Value *role_of(Arena *arena, const RbacRole *role) {
    Value *v = head_of(arena, role->ns ? "Role" : "ClusterRole", role->name, role->aggregate_to),
          *rules = value_array(arena);
    for (const RbacRule *row = rbac_rules; row->role; row++)
        if (streq(row->role, role->name) && streq_null(row->ns, role->ns))
            value_append(arena, rules, rule_of(arena, row));
    value_set(arena, v, "rules", rules);
    if (role->gathers)
        value_set(arena, v, "aggregationRule", aggregation_of(arena, role->gathers));
    return v;
}

static Value *subject_of(Arena *arena, const RbacBinding *row) {
    Value *v = value_object(arena);
    value_set_str(arena, v, "kind", row->subject_kind);
    value_set_str(arena, v, "name", row->subject);
    if (row->subject_ns)
        value_set_str(arena, v, "namespace", row->subject_ns);
    else
        value_set_str(arena, v, "apiGroup", RBAC);
    return v;
}

/* The row, and those of its further subjects. */
static Value *binding_of(Arena *arena, const RbacBinding *row) {
    Value *v = head_of(arena, row->ns ? "RoleBinding" : "ClusterRoleBinding", row->name, NULL),
          *ref = value_object(arena), *subjects = value_array(arena);
    const char *name = row->name, *ns = row->ns;
    value_set_str(arena, ref, "apiGroup", RBAC);
    value_set_str(arena, ref, "kind", row->role_kind);
    value_set_str(arena, ref, "name", row->role);
    for (; row->name && streq(row->name, name) && streq_null(row->ns, ns); row++)
        if (row->subject)
            value_append(arena, subjects, subject_of(arena, row));
    value_set(arena, v, "roleRef", ref);
    if (subjects->len)
        value_set(arena, v, "subjects", subjects);
    return v;
}

typedef struct Task { /* one object to be put right */
    ApiCore *core;
    Arena *arena;
    const char *plural, *ns, *name;
    const Value *wanted;
} Task;

static int execute(const Task *task, ApiVerb verb, const Value *body, Object **ret, ApiError *err) {
    static const char *const groups[] = {"system:masters", "system:authenticated", NULL};
    static const UserInfo user = {.name = "system:apiserver", .groups = groups};
    _cleanup_api_response_ ApiResponse response = {0};
    ApiRequest request = {
        .verb = verb,
        .resource = resource_find(RBAC, "v1", task->plural),
        .ns = task->ns,
        .name = verb == API_CREATE ? NULL : task->name,
        .user = &user,
        .user_agent = "kube-apiserver",
        .arena = task->arena,
        .body = body,
    };
    int r = api_execute(task->core, &request, NULL, &response, err);
    if (r == 0 && ret)
        *ret = TAKE_PTR(response.object);
    return r;
}

/* Deletes the one that was looked at, and makes it anew. */
static int recreate(const Task *task, const Object *old, ApiError *err) {
    Value *options = api_value_new(task->arena, "v1", "DeleteOptions"),
          *conditions = value_ensure_object(task->arena, options, "preconditions");
    value_set_str(task->arena, conditions, "uid", object_uid(old));
    int r = execute(task, API_DELETE, options, NULL, err);
    if (r < 0 && r != -ENOENT)
        return r;
    api_error_done(err);
    *err = (ApiError){0};
    return execute(task, API_CREATE, task->wanted, NULL, err);
}

/* One look, and what follows from it. -ESTALE, -EEXIST and -ENOENT: somebody wrote in between. */
static int put_right(const Task *task, ApiError *err) {
    _cleanup_object_ Object *old = NULL;
    int r = execute(task, API_GET, NULL, &old, err);
    if (r == -ENOENT) {
        api_error_done(err);
        *err = (ApiError){0};
        return execute(task, API_CREATE, task->wanted, NULL, err);
    }
    if (r < 0)
        return r;
    Value *have = object_value(old, task->arena);
    bool role = !str_has_suffix(task->plural, "bindings");
    switch ((role ? rbac_reconcile_role : rbac_reconcile_binding)(task->arena, task->wanted, have)) {
    case RBAC_SAME:
        return 0;
    case RBAC_PROTECTED:
        log_warn("%s %s lacks what it should have, and stays so: " AUTOUPDATE " is \"false\"", task->plural,
                 task->name);
        return 0;
    case RBAC_UPDATE:
        return execute(task, API_UPDATE, have, NULL, err);
    case RBAC_RECREATE:
        return recreate(task, old, err);
    }
    return -EINVAL;
}

static int reconcile(const Task *task) {
    int r = -ESTALE;
    for (int i = 0; i < TRIES && (r == -ESTALE || r == -EEXIST || r == -ENOENT); i++) {
        _cleanup_api_error_ ApiError err = {0};
        r = put_right(task, &err);
        if (r < 0)
            log_info("cannot write %s %s: %s", task->plural, task->name, str_or(err.message, strerror(-r)));
    }
    return r;
}

static int reconcile_row(ApiCore *core, const RbacRole *role, const RbacBinding *binding) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    const char *ns = binding ? binding->ns : role->ns;
    Task task = {
        .core = core,
        .arena = arena,
        .plural = binding ? (ns ? "rolebindings" : "clusterrolebindings")
                  : ns    ? "roles"
                          : "clusterroles",
        .ns = ns,
        .name = binding ? binding->name : role->name,
        .wanted = binding ? binding_of(arena, binding) : role_of(arena, role),
    };
    int r = reconcile(&task);
    if (r < 0)
        log_error("%s %s is not as it should be: %s", task.plural, task.name, strerror(-r));
    return r;
}

static int reconcile_role(size_t index, void *userdata) {
    return reconcile_row(userdata, &rbac_roles[index], NULL);
}

/* The subjects of a binding stand together: the first row is the binding's. */
static int reconcile_binding(size_t index, void *userdata) {
    const RbacBinding *row = &rbac_bindings[index], *last = row - 1;
    bool further = index && streq(last->name, row->name) && streq_null(last->ns, row->ns);
    return further ? 0 : reconcile_row(userdata, NULL, row);
}

int rbac_bootstrap(ApiCore *core) {
    size_t roles = 0, bindings = 0;
    while (rbac_roles[roles].name)
        roles++;
    while (rbac_bindings[bindings].name)
        bindings++;
    int r = bootstrap_together(roles, reconcile_role, core);
    int of_bindings = bootstrap_together(bindings, reconcile_binding, core);
    return r < 0 ? r : of_bindings;
}
