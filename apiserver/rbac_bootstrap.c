#include "apiserver/rbac_bootstrap.h"
#include "apiserver/bootstrap.h"
#include "base/str.h"
#include "loop/pool.h"

#include <errno.h>
#include <pthread.h>

#define RBAC "rbac.authorization.k8s.io"
#define OBJECT_MAX (256 * 1024)
#define WRITERS 16 /* writes that wait for the disk together */

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
    value_set_str(arena, annotations, "rbac.authorization.kubernetes.io/autoupdate", "true");
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

typedef struct Bootstrap {
    ApiCore *core;
    pthread_mutex_t lock;
    int result;
} Bootstrap;

typedef struct Job {
    Bootstrap *bootstrap;
    const RbacRole *role;
    const RbacBinding *binding;
} Job;

static void run_job(void *userdata) {
    Job *job = userdata;
    _cleanup_arena_ Arena *arena = arena_new(0);
    _cleanup_buf_ Buf json = BUF_INIT(OBJECT_MAX);
    const char *name = job->role ? job->role->name : job->binding->name,
               *ns = job->role ? job->role->ns : job->binding->ns;
    const char *plural = job->role ? (ns ? "roles" : "clusterroles") : ns ? "rolebindings" : "clusterrolebindings";
    value_write_json(&json, job->role ? role_of(arena, job->role) : binding_of(arena, job->binding));
    int r =
        json.failed ? -EFBIG : bootstrap_ensure(job->bootstrap->core, RBAC, "v1", plural, ns, name, json.data, false);
    if (r < 0) {
        pthread_mutex_lock(&job->bootstrap->lock);
        job->bootstrap->result = job->bootstrap->result ? job->bootstrap->result : r;
        pthread_mutex_unlock(&job->bootstrap->lock);
    }
    free(job);
}

static void submit(Pool *pool, Job job) {
    Job *copy = NEW(Job);
    *copy = job;
    if (pool_submit(pool, run_job, copy) < 0)
        run_job(copy);
}

int rbac_bootstrap(ApiCore *core) {
    Bootstrap bootstrap = {.core = core, .lock = PTHREAD_MUTEX_INITIALIZER};
    Pool *pool = pool_new("rbac", WRITERS, 1024);
    for (const RbacRole *role = rbac_roles; role->name; role++)
        submit(pool, (Job){&bootstrap, role, NULL});
    for (const RbacBinding *row = rbac_bindings, *last = NULL; row->name; last = row++)
        if (!last || !streq(last->name, row->name) || !streq_null(last->ns, row->ns))
            submit(pool, (Job){&bootstrap, NULL, row});
    pool_free(pool); /* waits */
    pthread_mutex_destroy(&bootstrap.lock);
    return bootstrap.result;
}
