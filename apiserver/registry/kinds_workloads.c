/* The kinds that make pods: apps, batch, and the core group's replication controllers and pod templates. */
#include "apiserver/registry/defaults_functions.h"
#include "apiserver/registry/kinds.h"

#include <inttypes.h>

#include "apiserver/registry/job_validate.h"
#include "apiserver/registry/pod_validate.h"
#include "apiserver/registry/pod_warnings.h"
#include "apiserver/registry/validate_util.h"

#define MANY_COMPLETIONS 100000
#define MUCH_PARALLELISM 10000

/* The spec of the pods that an object makes. */
static Value *pods_of(const Value *object) {
    const Value *spec = value_get(object, "spec"), *job = value_path(spec, "jobTemplate", "spec", NULL);
    Value *pod = value_path(job ? job : spec, "template", "spec", NULL);
    return pod ? pod : value_path(object, "template", "spec", NULL);
}

static void prepare_for_create(StrategyContext *context, Value *object) {
    kinds_reset_status(context, object);
    pod_drop_disabled(pods_of(object), NULL);
}

static void prepare_for_update(_unused_ StrategyContext *context, Value *object, const Value *old) {
    pod_drop_disabled(pods_of(object), pods_of(old));
}

static void pod_template_prepare_for_create(_unused_ StrategyContext *context, Value *object) {
    pod_drop_disabled(pods_of(object), NULL);
}

/* ---- warnings ---- */

static void warn_name(StrategyContext *context, const Value *object) {
    NameMessages messages = {.arena = context->arena};
    char *list = arena_strdup(context->arena, "");
    name_dns_label(text_of(value_get(object, "metadata"), "name"), &messages);
    for (size_t i = 0; i < messages.n; i++)
        list = arena_printf(context->arena, "%s%s%s", list, i ? " " : "", messages.items[i]);
    if (messages.n)
        strategy_warn(
            context,
            "metadata.name: this is used in Pod names and hostnames, which can result in surprising behavior; a "
            "DNS label is recommended: [%s]",
            list);
}

static void warn_spec_template(StrategyContext *context, const Value *object) {
    FieldPath spec = FIELD(NULL, "spec"), path = FIELD(&spec, "template");
    pod_template_warn(context, value_path(object, "spec", "template", NULL), &path);
}

static void warn_named_create(StrategyContext *context, const Value *object) {
    warn_name(context, object);
    warn_spec_template(context, object);
}

static bool has_new_generation(const Value *object, const Value *old) {
    return value_get_int(value_get(object, "metadata"), "generation", 0) !=
           value_get_int(value_get(old, "metadata"), "generation", 0);
}

static void warn_changed(StrategyContext *context, const Value *object, const Value *old) {
    if (has_new_generation(object, old))
        warn_spec_template(context, object);
}

static void warn_job_spec(StrategyContext *context, const Value *spec, const FieldPath *path) {
    FieldPath template = FIELD(path, "template");
    if (job_is_indexed(spec) && value_get_int(spec, "completions", 0) > MANY_COMPLETIONS &&
        value_get_int(spec, "parallelism", 0) > MUCH_PARALLELISM)
        strategy_warn(context,
                      "%s: In Indexed Jobs with a number of completions higher than 10^5 and a parallelism higher than "
                      "10^4, Kubernetes might not be able to track completedIndexes when a big number of indexes fail",
                      field_path_text(context->arena, path));
    pod_template_warn(context, value_get(spec, "template"), &template);
}

static void job_warn_create(StrategyContext *context, const Value *job) {
    FieldPath spec = FIELD(NULL, "spec");
    warn_name(context, job);
    warn_job_spec(context, value_get(job, "spec"), &spec);
}

static void job_warn_update(StrategyContext *context, const Value *job, const Value *old) {
    FieldPath spec = FIELD(NULL, "spec");
    if (!context->subresource && has_new_generation(job, old))
        warn_job_spec(context, value_get(job, "spec"), &spec);
}

static void cronjob_warn_spec(StrategyContext *context, const Value *cronjob) {
    FieldPath spec = FIELD(NULL, "spec"), template = FIELD(&spec, "jobTemplate"), path = FIELD(&template, "spec");
    warn_job_spec(context, value_path(cronjob, "spec", "jobTemplate", "spec", NULL), &path);
}

static void cronjob_warn_create(StrategyContext *context, const Value *cronjob) {
    warn_name(context, cronjob);
    cronjob_warn_spec(context, cronjob);
}

static void cronjob_warn_update(StrategyContext *context, const Value *cronjob, const Value *old) {
    if (context->subresource)
        return;
    if (has_new_generation(cronjob, old))
        cronjob_warn_spec(context, cronjob);
    if (strstr(text_of(value_get(cronjob, "spec"), "schedule"), "TZ"))
        strategy_warn(context, "cannot use TZ or CRON_TZ in spec.spec.schedule, use timeZone instead, see "
                               "https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for more details");
}

static void statefulset_warn_history(StrategyContext *context, const Value *set) {
    if (value_get_int(value_get(set, "spec"), "revisionHistoryLimit", 0) < 0)
        strategy_warn(context,
                      "spec.revisionHistoryLimit: a negative value retains all historical revisions; a value >= 0 is "
                      "recommended");
}

static void statefulset_warn_claims(StrategyContext *context, const Value *set, bool update) {
    const Value *claims = value_path(set, "spec", "volumeClaimTemplates", NULL);
    FieldPath spec = FIELD(NULL, "spec"), list = FIELD(&spec, "volumeClaimTemplates");
    for (size_t i = 0; i < value_len(claims); i++) {
        FieldPath at = FIELD_INDEX(&list, i),
                  claim_spec = FIELD(&at, "Spec"); /* so the reference writes it on updates */
        claim_spec_warn(context, value_get(value_at(claims, i), "spec"), update ? &claim_spec : &at);
    }
}

static void statefulset_warn_create(StrategyContext *context, const Value *set) {
    warn_spec_template(context, set);
    statefulset_warn_claims(context, set, false);
    statefulset_warn_history(context, set);
}

static void statefulset_warn_update(StrategyContext *context, const Value *set, const Value *old) {
    warn_changed(context, set, old);
    if (context->subresource)
        return;
    statefulset_warn_claims(context, set, true);
    statefulset_warn_history(context, set);
}

static void warn_template_create(StrategyContext *context, const Value *object) {
    warn_spec_template(context, object);
}

static void daemonset_warn_update(StrategyContext *context, const Value *set, const Value *old) {
    if (!context->subresource &&
        !value_equal(value_path(set, "spec", "template", NULL), value_path(old, "spec", "template", NULL)))
        warn_spec_template(context, set);
}

static void pod_template_warn_create(StrategyContext *context, const Value *object) {
    FieldPath path = FIELD(NULL, "template");
    pod_template_warn(context, value_get(object, "template"), &path);
}

static void pod_template_warn_update(StrategyContext *context, const Value *object, const Value *old) {
    if (has_new_generation(object, old))
        pod_template_warn_create(context, object);
}

/* ---- preparing ---- */

/* Deployments: a new generation for new annotations too. */
static void deployment_prepare_for_update(StrategyContext *context, Value *object, const Value *old) {
    prepare_for_update(context, object, old);
    const Value *old_meta = value_get(old, "metadata");
    Value *meta = value_ensure_object(context->arena, object, "metadata"), *now = value_get(meta, "annotations"),
          *was = value_get(old_meta, "annotations");
    if (value_len(now) + value_len(was) && !value_equal(now, was))
        value_set_int(context->arena, meta, "generation", value_get_int(old_meta, "generation", 0) + 1);
}

static void deployment_prepare_for_status(StrategyContext *context, Value *object, const Value *old) {
    const Value *labels = value_path(old, "metadata", "labels", NULL);
    value_set(context->arena, value_ensure_object(context->arena, object, "metadata"), "labels",
              value_copy(context->arena, labels));
}

/* The claims of a stateful set say what they are, always. */
static void statefulset_set_defaults(Arena *arena, Value *set) {
    Value *claim;
    VALUE_FOREACH (claim, value_path(set, "spec", "volumeClaimTemplates", NULL)) {
        if (!value_is(claim, VALUE_OBJECT))
            continue;
        Value *named = value_object(arena);
        value_set_str(arena, named, "kind", "PersistentVolumeClaim");
        value_set_str(arena, named, "apiVersion", "v1");
        VALUE_FOREACH_MEMBER (member, claim)
            if (!value_get(named, member->name))
                value_set(arena, named, member->name, member->value);
        *claim = *named;
    }
}

/* maxUnavailable of stateful sets is behind a feature gate that is off in this version. */
static void drop_max_unavailable(Value *set, const Value *old) {
    Value *rolling = value_path(set, "spec", "updateStrategy", "rollingUpdate", NULL);
    if (rolling && !value_path(old, "spec", "updateStrategy", "rollingUpdate", "maxUnavailable", NULL))
        value_remove(rolling, "maxUnavailable");
}

static void statefulset_prepare_for_create(StrategyContext *context, Value *set) {
    prepare_for_create(context, set);
    drop_max_unavailable(set, NULL);
}

static void statefulset_prepare_for_update(StrategyContext *context, Value *set, const Value *old) {
    prepare_for_update(context, set, old);
    drop_max_unavailable(set, old);
}

static int64_t template_generation(const Value *set) {
    int64_t n = 0;
    const char *text = value_get_str(value_path(set, "metadata", "annotations", NULL), TEMPLATE_GENERATION);
    return text && str_to_int64(text, &n) == 0 ? n : 0;
}

static void set_template_generation(StrategyContext *context, Value *set, int64_t n) {
    Value *meta = value_ensure_object(context->arena, set, "metadata");
    value_set(context->arena, value_ensure_object(context->arena, meta, "annotations"), TEMPLATE_GENERATION,
              value_printf(context->arena, "%" PRId64, n));
}

static void daemonset_prepare_for_create(StrategyContext *context, Value *set) {
    prepare_for_create(context, set);
    set_template_generation(context, set, MAX(template_generation(set), (int64_t)1));
}

static void daemonset_prepare_for_update(StrategyContext *context, Value *set, const Value *old) {
    prepare_for_update(context, set, old);
    bool same = value_equal(value_path(set, "spec", "template", NULL), value_path(old, "spec", "template", NULL));
    set_template_generation(context, set, template_generation(old) + !same);
}

static void daemonset_prepare_for_status(StrategyContext *context, Value *set, const Value *old) {
    set_template_generation(context, set, template_generation(old));
}

/* A job without a selector of its own gets one by its uid, and its pods the labels for it. */
static void job_prepare_for_create(StrategyContext *context, Value *job) {
    static const char *const NAME_LABELS[] = {"job-name", "batch.kubernetes.io/job-name"};
    static const char *const UID_LABELS[] = {"controller-uid", "batch.kubernetes.io/controller-uid"};
    Arena *arena = context->arena;
    Value *spec = value_get(job, "spec"), *template = value_get(spec, "template");
    const Value *metadata = value_get(job, "metadata");
    const char *uid = text_of(metadata, "uid"), *name = text_of(metadata, "name");
    prepare_for_create(context, job);
    if (!value_is(spec, VALUE_OBJECT) || !value_is(template, VALUE_OBJECT) ||
        value_get_bool(spec, "manualSelector", false))
        return;
    Value *labels = value_ensure_object(arena, value_ensure_object(arena, template, "metadata"), "labels");
    /* A job without labels of its own has its pods' (default_job), with what is added to them here; one whose template
     * has none either gets them when it is read back. */
    const Value *own = value_get(metadata, "labels");
    bool shared = own == labels || !value_len(own);
    for (size_t i = 0; i < ELEMENTSOF(NAME_LABELS); i++)
        if (!value_get(labels, NAME_LABELS[i]))
            value_set_str(arena, labels, NAME_LABELS[i], name);
    for (size_t i = 0; i < ELEMENTSOF(UID_LABELS); i++)
        if (!value_get(labels, UID_LABELS[i]))
            value_set_str(arena, labels, UID_LABELS[i], uid);
    value_sort_members(labels);
    if (shared)
        value_set(arena, value_ensure_object(arena, job, "metadata"), "labels", value_copy(arena, labels));
    Value *match = value_ensure_object(arena, value_ensure_object(arena, spec, "selector"), "matchLabels");
    if (!value_get(match, UID_LABELS[1]))
        value_set_str(arena, match, UID_LABELS[1], uid);
    value_sort_members(match);
}

static void check_name(const char *name, bool prefix, FieldErrors *errors, const FieldPath *path) {
    /* A generated name's prefix may end with a dash: what follows it makes a label of it. */
    size_t n = strlen(name);
    char *text = arena_strdup(errors->arena, name);
    if (prefix && n && text[n - 1] == '-')
        text[n - 1] = 'a';
    NameMessages messages = {.arena = errors->arena};
    name_dns_label(text, &messages);
    for (size_t i = 0; i < messages.n; i++)
        field_invalid_str(errors, path, name, "%s", messages.items[i]);
}

static const Strategy ROWS[] = {
    {
        .group = "apps",
        .plural = "deployments",
        .has_generation = true,
        .allow_unconditional_update = true,
        .prepare_for_create = prepare_for_create,
        .prepare_for_update = deployment_prepare_for_update,
        .prepare_for_status_update = deployment_prepare_for_status,
        .validate = deployment_validate,
        .validate_update = deployment_validate_update,
        .validate_status_update = deployment_validate_status,
        .warn_create = warn_named_create,
        .warn_update = warn_changed,
    },
    {
        .group = "apps",
        .plural = "replicasets",
        .has_generation = true,
        .allow_unconditional_update = true,
        .prepare_for_create = prepare_for_create,
        .prepare_for_update = prepare_for_update,
        .validate = replicaset_validate,
        .validate_update = replicaset_validate_update,
        .validate_status_update = replicaset_validate_status,
        .warn_create = warn_named_create,
        .warn_update = warn_changed,
    },
    {
        .group = "apps",
        .plural = "statefulsets",
        .has_generation = true,
        .allow_unconditional_update = true,
        .set_defaults = statefulset_set_defaults,
        .prepare_for_create = statefulset_prepare_for_create,
        .prepare_for_update = statefulset_prepare_for_update,
        .validate = statefulset_validate,
        .validate_update = statefulset_validate_update,
        .validates_update_alone = true,
        .validate_status_update = statefulset_validate_status,
        .validate_name = check_name,
        .warn_create = statefulset_warn_create,
        .warn_update = statefulset_warn_update,
    },
    {
        .group = "apps",
        .plural = "daemonsets",
        .has_generation = true,
        .allow_unconditional_update = true,
        .prepare_for_create = daemonset_prepare_for_create,
        .prepare_for_update = daemonset_prepare_for_update,
        .prepare_for_status_update = daemonset_prepare_for_status,
        .validate = daemonset_validate,
        .validate_update = daemonset_validate_update,
        .validates_update_alone = true,
        .validate_status_update = daemonset_validate_status,
        .warn_create = warn_template_create,
        .warn_update = daemonset_warn_update,
    },
    {
        .group = "apps",
        .plural = "controllerrevisions",
        .revalidates_meta = true,
        .allow_unconditional_update = true,
        .validate = controller_revision_validate,
        .validate_update = controller_revision_validate_update,
        .validates_update_alone = true,
    },
    {
        .group = "batch",
        .plural = "cronjobs",
        .has_generation = true,
        .allow_unconditional_update = true,
        .prepare_for_create = prepare_for_create,
        .prepare_for_update = prepare_for_update,
        .validate = cronjob_validate,
        .validate_update = cronjob_validate_update,
        .validates_update_alone = true,
        .warn_create = cronjob_warn_create,
        .warn_update = cronjob_warn_update,
    },
    {
        .group = "batch",
        .plural = "jobs",
        .revalidates_meta = true,
        .has_generation = true,
        .allow_unconditional_update = true,
        .orphan_by_default = true,
        .prepare_for_create = job_prepare_for_create,
        .prepare_for_update = prepare_for_update,
        .validate = job_validate,
        .validate_update = job_validate_update,
        .validates_update_alone = true,
        .validate_status_update = job_validate_status,
        .warn_create = job_warn_create,
        .warn_update = job_warn_update,
    },
    {
        .group = "",
        .plural = "replicationcontrollers",
        .has_generation = true,
        .allow_unconditional_update = true,
        .orphan_by_default = true,
        .prepare_for_create = prepare_for_create,
        .prepare_for_update = prepare_for_update,
        .validate = replication_controller_validate,
        .validate_status_update = replication_controller_validate_status,
        .warn_create = warn_named_create,
        .warn_update = warn_changed,
    },
    {
        .group = "",
        .plural = "podtemplates",
        .has_generation = true,
        .allow_unconditional_update = true,
        .prepare_for_create = pod_template_prepare_for_create,
        .prepare_for_update = prepare_for_update,
        .validate = pod_template_object_validate,
        .warn_create = pod_template_warn_create,
        .warn_update = pod_template_warn_update,
        .return_deleted_object = true,
    },
};
const StrategyTable strategies_workloads = {ROWS, ELEMENTSOF(ROWS)};
