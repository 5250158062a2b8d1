/* Jobs: their specs, and what of them may change. Their statuses are in job_status_validate.c. */
#include "apiserver/registry/job_validate.h"

#include <inttypes.h>

#include "api/selector.h"
#include "apiserver/registry/internal_print.h"
#include "apiserver/registry/pod_validate.h"
#include "apiserver/registry/validate_util.h"
#include "base/strmap.h"

#define INDEXED_PARALLELISM_MAX 100000
#define INDEXED_FAILED_MAX 100000
#define COMPLETIONS_SOFT_LIMIT 100000
#define HIGH_COMPLETIONS_PARALLELISM_MAX 10000
#define HIGH_COMPLETIONS_FAILED_MAX 10000
#define FAILURE_RULES_MAX 20
#define EXIT_CODES_MAX 255
#define CONDITION_PATTERNS_MAX 20
#define MANAGED_BY_MAX 63
#define SUCCESS_INDEXES_MAX (64 * 1024)
#define SUCCESS_RULES_MAX 20

static const char CONTROLLER_UID[] = "batch.kubernetes.io/controller-uid", JOB_NAME[] = "batch.kubernetes.io/job-name";

static bool get_int(const Value *object, const char *name, int64_t *ret) {
    const Value *v = value_get(object, name);
    if (!value_is(v, VALUE_INT))
        return false;
    *ret = v->integer;
    return true;
}

/* ---- policies ---- */

static void check_exit_codes(FieldErrors *errors, const Value *requirement, const Value *template,
                             const FieldPath *path) {
    static const char *const OPERATORS[] = {"In", "NotIn", NULL};
    const char *op = text_of(requirement, "operator"), *name = value_get_str(requirement, "containerName");
    const Value *values = value_get(requirement, "values"), *pod = value_get(template, "spec");
    const Value *regular = value_get(pod, "containers"), *init = value_get(pod, "initContainers");
    FieldPath op_at = FIELD(path, "operator"), name_at = FIELD(path, "containerName"),
              values_at = FIELD(path, "values");
    _cleanup_(strmap_freep) StrMap *codes = strmap_new(NULL);
    bool ordered = true;
    if (!*op)
        field_required(errors, &op_at,
                       arena_printf(errors->arena, "valid values: %s", go_quoted_list(errors->arena, OPERATORS)));
    else
        member_one_of_if_set(errors, requirement, "operator", OPERATORS, path);
    if (name && !seen_before(errors, regular, value_len(regular), "name", name) &&
        !seen_before(errors, init, value_len(init), "name", name))
        field_invalid_str(errors, &name_at, name,
                          "must be one of the container or initContainer names in the pod template");
    if (!value_len(values))
        field_invalid(errors, &values_at, values, "at least one value is required");
    else if (value_len(values) > EXIT_CODES_MAX)
        field_too_many(errors, &values_at, value_len(values), EXIT_CODES_MAX);
    for (size_t i = 0; i < value_len(values); i++) {
        const Value *code = value_at(values, i);
        FieldPath at = FIELD_INDEX(&values_at, i);
        if (streq(op, "In") && code->integer == 0)
            field_invalid(errors, &at, code, "must not be 0 for the In operator");
        if (!strmap_add(codes, arena_printf(errors->arena, "%" PRId64, code->integer)))
            field_duplicate(errors, &at, code);
        ordered &= i == 0 || value_at(values, i - 1)->integer <= code->integer;
    }
    if (!ordered)
        field_invalid(errors, &values_at, values, "must be ordered");
}

static void check_condition_patterns(FieldErrors *errors, const Value *patterns, const FieldPath *path) {
    static const char *const STATUSES[] = {"False", "True", "Unknown", NULL};
    if (value_len(patterns) > CONDITION_PATTERNS_MAX)
        field_too_many(errors, path, value_len(patterns), CONDITION_PATTERNS_MAX);
    for (size_t i = 0; i < value_len(patterns); i++) {
        const Value *pattern = value_at(patterns, i);
        FieldPath at = FIELD_INDEX(path, i), type = FIELD(&at, "type"), status = FIELD(&at, "status");
        field_check_name(errors, &type, text_of(pattern, "type"), name_qualified);
        if (!*text_of(pattern, "status"))
            field_required(errors, &status,
                           arena_printf(errors->arena, "valid values: %s", go_quoted_list(errors->arena, STATUSES)));
        else
            member_one_of_if_set(errors, pattern, "status", STATUSES, &at);
    }
}

static void check_failure_rule(FieldErrors *errors, const Value *spec, const Value *rule, const FieldPath *path) {
    static const char *const ACTIONS[] = {"Count", "FailIndex", "FailJob", "Ignore", NULL};
    const char *action = text_of(rule, "action");
    const Value *codes = value_get(rule, "onExitCodes"), *conditions = value_get(rule, "onPodConditions");
    FieldPath action_at = FIELD(path, "action"), codes_at = FIELD(path, "onExitCodes"),
              conditions_at = FIELD(path, "onPodConditions");
    if (!*action)
        field_required(errors, &action_at,
                       arena_printf(errors->arena, "valid values: %s", go_quoted_list(errors->arena, ACTIONS)));
    else if (streq(action, "FailIndex")) {
        if (!value_get(spec, "backoffLimitPerIndex"))
            field_invalid_str(errors, &action_at, action, "requires the backoffLimitPerIndex to be set");
    } else
        member_one_of_if_set(errors, rule, "action", ACTIONS, path);
    if (codes)
        check_exit_codes(errors, codes, value_get(spec, "template"), &codes_at);
    check_condition_patterns(errors, conditions, &conditions_at);
    if (codes && value_len(conditions))
        field_invalid_plain(errors, path, "specifying both OnExitCodes and OnPodConditions is not supported");
    if (!codes && !value_len(conditions))
        field_invalid_plain(errors, path, "specifying one of OnExitCodes and OnPodConditions is required");
}

static void check_failure_policy(FieldErrors *errors, const Value *spec, const FieldPath *path) {
    const Value *policy = value_get(spec, "podFailurePolicy"), *rules = value_get(policy, "rules");
    FieldPath at = FIELD(path, "podFailurePolicy"), rules_at = FIELD(&at, "rules");
    if (value_len(rules) > FAILURE_RULES_MAX)
        field_too_many(errors, &rules_at, value_len(rules), FAILURE_RULES_MAX);
    for (size_t i = 0; i < value_len(rules); i++) {
        FieldPath rule = FIELD_INDEX(&rules_at, i);
        check_failure_rule(errors, spec, value_at(rules, i), &rule);
    }
}

static void check_success_rule(FieldErrors *errors, const Value *rule, int64_t completions, const FieldPath *path) {
    const char *indexes = value_get_str(rule, "succeededIndexes");
    FieldPath indexes_at = FIELD(path, "succeededIndexes"), count_at = FIELD(path, "succeededCount");
    int64_t count, total = 0;
    bool has_count = get_int(rule, "succeededCount", &count);
    if (!has_count && !indexes)
        field_required(errors, path, "at least one of succeededCount or succeededIndexes must be specified");
    if (indexes) {
        if (strlen(indexes) > SUCCESS_INDEXES_MAX)
            field_too_long(errors, &indexes_at, SUCCESS_INDEXES_MAX);
        const char *wrong = job_indexes_check(errors->arena, indexes, completions, &total);
        if (wrong)
            field_invalid_str(errors, &indexes_at, indexes, "error parsing succeededIndexes: %s", wrong);
    }
    if (!has_count)
        return;
    member_nonnegative(errors, rule, "succeededCount", path);
    if (count > completions)
        field_invalid(errors, &count_at, value_get(rule, "succeededCount"),
                      "must be less than or equal to %" PRId64 " (the number of specified completions)", completions);
    if (indexes && count > total)
        field_invalid(errors, &count_at, value_get(rule, "succeededCount"),
                      "must be less than or equal to %" PRId64
                      " (the number of indexes in the specified succeededIndexes field)",
                      total);
}

static void check_success_policy(FieldErrors *errors, const Value *spec, const FieldPath *path) {
    const Value *policy = value_get(spec, "successPolicy"), *rules = value_get(policy, "rules");
    FieldPath at = FIELD(path, "successPolicy"), rules_at = FIELD(&at, "rules");
    if (!job_is_indexed(spec)) {
        field_invalid(errors, &at, internal_value(errors->arena, "SuccessPolicy", policy, NULL),
                      "requires indexed completion mode");
        return;
    }
    if (!value_len(rules))
        field_required(errors, &rules_at, "at least one rules must be specified when the successPolicy is specified");
    if (value_len(rules) > SUCCESS_RULES_MAX)
        field_too_many(errors, &rules_at, value_len(rules), SUCCESS_RULES_MAX);
    for (size_t i = 0; i < value_len(rules); i++) {
        FieldPath rule = FIELD_INDEX(&rules_at, i);
        check_success_rule(errors, value_at(rules, i), value_get_int(spec, "completions", 0), &rule);
    }
}

static void check_replacement(FieldErrors *errors, const Value *spec, const FieldPath *path) {
    static const char *const ALL[] = {"Failed", "TerminatingOrFailed", NULL}, *const FAILED[] = {"Failed", NULL};
    member_one_of_if_set(errors, spec, "podReplacementPolicy", value_get(spec, "podFailurePolicy") ? FAILED : ALL,
                         path);
}

/* ---- the spec ---- */

static void check_managed_by(FieldErrors *errors, const Value *spec, const FieldPath *path) {
    const char *text = value_get_str(spec, "managedBy");
    FieldPath at = FIELD(path, "managedBy");
    if (!text)
        return;
    field_check_domain_path(errors, &at, text);
    if (strlen(text) > MANAGED_BY_MAX)
        field_too_long(errors, &at, MANAGED_BY_MAX);
}

static void at_most(FieldErrors *errors, const Value *spec, const char *name, int64_t max, const char *message,
                    const FieldPath *path) {
    int64_t n;
    FieldPath at = FIELD(path, name);
    if (get_int(spec, name, &n) && n > max)
        field_invalid(errors, &at, value_get(spec, name), "%s", message);
}

static void check_indexed(FieldErrors *errors, const Value *spec, const FieldPath *path) {
    int64_t completions = 0;
    bool bounded = get_int(spec, "completions", &completions);
    FieldPath completions_at = FIELD(path, "completions"), failed_at = FIELD(path, "maxFailedIndexes");
    if (!bounded)
        field_required(errors, &completions_at, "when completion mode is Indexed");
    at_most(errors, spec, "parallelism", INDEXED_PARALLELISM_MAX,
            "must be less than or equal to 100000 when completion mode is Indexed", path);
    if (bounded)
        at_most(errors, spec, "maxFailedIndexes", completions, "must be less than or equal to completions", path);
    at_most(errors, spec, "maxFailedIndexes", INDEXED_FAILED_MAX, "must be less than or equal to 100000", path);
    if (!bounded || completions <= COMPLETIONS_SOFT_LIMIT || !value_get(spec, "backoffLimitPerIndex"))
        return;
    if (!value_get(spec, "maxFailedIndexes"))
        field_required(errors, &failed_at, "must be specified when completions is above 100000");
    at_most(
        errors, spec, "parallelism", HIGH_COMPLETIONS_PARALLELISM_MAX,
        "must be less than or equal to 10000 when completions are above 100000 and used with backoff limit per index",
        path);
    at_most(
        errors, spec, "maxFailedIndexes", HIGH_COMPLETIONS_FAILED_MAX,
        "must be less than or equal to 10000 when completions are above 100000 and used with backoff limit per index",
        path);
}

static void check_mode(FieldErrors *errors, const Value *spec, const FieldPath *path) {
    static const char *const MODES[] = {"NonIndexed", "Indexed", NULL};
    static const char *const FOR_INDEXED[] = {"backoffLimitPerIndex", "maxFailedIndexes"};
    const char *mode = value_get_str(spec, "completionMode");
    member_one_of_if_set(errors, spec, "completionMode", MODES, path);
    if (job_is_indexed(spec))
        check_indexed(errors, spec, path);
    for (size_t i = 0; (!mode || streq(mode, "NonIndexed")) && i < ELEMENTSOF(FOR_INDEXED); i++) {
        FieldPath at = FIELD(path, FOR_INDEXED[i]);
        if (value_get(spec, FOR_INDEXED[i]))
            field_invalid(errors, &at, value_get(spec, FOR_INDEXED[i]), "requires indexed completion mode");
    }
}

static void check_restart(FieldErrors *errors, const Value *spec, const FieldPath *path) {
    static const char *const POLICIES[] = {"OnFailure", "Never", NULL};
    const char *policy = text_of(value_path(spec, "template", "spec", NULL), "restartPolicy");
    FieldPath template = FIELD(path, "template"), pod = FIELD(&template, "spec"), at = FIELD(&pod, "restartPolicy");
    if (!*policy || streq(policy, "Always"))
        field_required(errors, &at, "valid values: \"OnFailure\", \"Never\"");
    else if (!str_in(policy, POLICIES))
        field_not_supported(errors, &at, value_string(errors->arena, policy), POLICIES);
    else if (value_get(spec, "podFailurePolicy") && !streq(policy, "Never"))
        field_invalid_str(errors, &at, policy, "only \"Never\" is supported when podFailurePolicy is specified");
}

/* A JobSpec but for its selector. */
static void check_spec(FieldErrors *errors, const Value *spec, const FieldPath *path) {
    static const char *const COUNTS[] = {
        "parallelism",          "completions",     "activeDeadlineSeconds", "backoffLimit", "ttlSecondsAfterFinished",
        "backoffLimitPerIndex", "maxFailedIndexes"};
    FieldPath per_index = FIELD(path, "backoffLimitPerIndex"), template = FIELD(path, "template");
    for (size_t i = 0; i < ELEMENTSOF(COUNTS); i++)
        member_nonnegative(errors, spec, COUNTS[i], path);
    if (value_get(spec, "maxFailedIndexes") && !value_get(spec, "backoffLimitPerIndex"))
        field_required(errors, &per_index, "when maxFailedIndexes is specified");
    check_managed_by(errors, spec, path);
    check_mode(errors, spec, path);
    if (value_get(spec, "podFailurePolicy"))
        check_failure_policy(errors, spec, path);
    if (value_get(spec, "successPolicy"))
        check_success_policy(errors, spec, path);
    check_replacement(errors, spec, path);
    pod_template_validate(errors, value_get(spec, "template"), &template);
    check_restart(errors, spec, path);
}

static void check_spec_and_selector(FieldErrors *errors, const Value *spec, const FieldPath *path) {
    const Value *selector = value_get(spec, "selector");
    FieldPath at = FIELD(path, "selector"), template = FIELD(path, "template");
    check_spec(errors, spec, path);
    if (!value_is(selector, VALUE_OBJECT))
        field_required(errors, &at, "");
    else
        field_check_label_selector(errors, &at, selector);
    if (label_selector_is_sound(selector))
        template_selected_validate(errors, selector, value_get(spec, "template"), false, &template);
}

void job_template_validate(FieldErrors *errors, const Value *template, const FieldPath *path) {
    static const char *const NO_MANUAL[] = {"nil", "false", NULL};
    const Value *spec = value_get(template, "spec");
    FieldPath at = FIELD(path, "spec"), selector = FIELD(&at, "selector"), manual = FIELD(&at, "manualSelector");
    check_spec(errors, spec ? spec : value_object(errors->arena), &at);
    if (value_get(spec, "selector"))
        field_invalid(errors, &selector, value_get(spec, "selector"), "`selector` will be auto-generated");
    if (value_get_bool(spec, "manualSelector", false))
        field_not_supported(errors, &manual, value_get(spec, "manualSelector"), NO_MANUAL);
}

/* ---- jobs ---- */

static void check_label(FieldErrors *errors, const Value *labels, const char *key, const char *value) {
    FieldPath spec = FIELD(NULL, "spec"), template = FIELD(&spec, "template"), meta = FIELD(&template, "metadata"),
              labels_at = FIELD(&meta, "labels"), at = FIELD_KEY(&labels_at, key);
    const char *have = value_get_str(labels, key), *must = arena_printf(errors->arena, "must be '%s'", value);
    if (!have)
        field_required(errors, &at, must);
    else if (!streq(have, value))
        field_invalid(errors, &at, labels, "%s", must);
}

/* The labels and the selector that a job without a selector of its own gets from the server. */
static void check_generated(FieldErrors *errors, const Value *job, bool prefixed) {
    const Value *spec = value_get(job, "spec"), *selector = value_get(spec, "selector"),
                *metadata = value_get(job, "metadata");
    const Value *labels = value_path(spec, "template", "metadata", "labels", NULL);
    const char *uid = text_of(metadata, "uid"), *name = text_of(metadata, "name");
    FieldPath meta_at = FIELD(NULL, "metadata"), uid_at = FIELD(&meta_at, "uid"), spec_at = FIELD(NULL, "spec"),
              selector_at = FIELD(&spec_at, "selector");
    _cleanup_(selector_freep) Selector *parsed = NULL;
    Value *expected = value_object(errors->arena);
    if (value_get_bool(spec, "manualSelector", false) || !value_is(selector, VALUE_OBJECT))
        return;
    if (!*uid)
        field_required(errors, &uid_at, "");
    check_label(errors, labels, "controller-uid", uid);
    check_label(errors, labels, "job-name", name);
    if (prefixed) {
        check_label(errors, labels, CONTROLLER_UID, uid);
        check_label(errors, labels, JOB_NAME, name);
        value_set_str(errors->arena, expected, CONTROLLER_UID, uid);
        value_set_str(errors->arena, expected, JOB_NAME, name);
    }
    value_set_str(errors->arena, expected, "controller-uid", uid);
    value_set_str(errors->arena, expected, "job-name", name);
    if (label_selector_is_sound(selector) && label_selector_from_value(selector, &parsed) == 0 &&
        !label_selector_matches_value(parsed, expected))
        field_invalid(errors, &selector_at, selector, "`selector` not auto-generated");
}

static void check_job(FieldErrors *errors, const Value *job, bool prefixed) {
    const Value *spec = value_get(job, "spec");
    const char *name = text_of(value_get(job, "metadata"), "name");
    FieldPath path = FIELD(NULL, "spec"), meta = FIELD(NULL, "metadata"), name_at = FIELD(&meta, "name");
    int64_t completions = value_get_int(spec, "completions", 0);
    check_generated(errors, job, prefixed);
    check_spec_and_selector(errors, spec ? spec : value_object(errors->arena), &path);
    if (!job_is_indexed(spec) || completions <= 0)
        return;
    char *host = arena_printf(errors->arena, "%s-%" PRId64, name, completions - 1);
    if (!name_is_valid(host, name_dns_label))
        field_invalid_str(errors, &name_at, name, "will not able to create pod with invalid DNS label: %s", host);
}

void job_validate(_unused_ StrategyContext *context, const Value *object, FieldErrors *errors) {
    check_job(errors, object, true);
}

/* A suspended job that has not run may be placed elsewhere: the old template with what may change taken from the new.
 */
static const Value *with_new_directives(Arena *arena, const Value *old_template, const Value *template) {
    static const char *const OF_SPEC[] = {"nodeSelector", "tolerations", "schedulingGates"}, *const OF_META[] = {
                                                                                                 "annotations",
                                                                                                 "labels"};
    Value *old = value_copy(arena, old_template), *spec = value_ensure_object(arena, old, "spec"),
          *meta = value_ensure_object(arena, old, "metadata");
    const Value *node = value_path(template, "spec", "affinity", "nodeAffinity", NULL);
    for (size_t i = 0; i < ELEMENTSOF(OF_SPEC); i++)
        value_set(arena, spec, OF_SPEC[i], value_copy(arena, value_path(template, "spec", OF_SPEC[i], NULL)));
    for (size_t i = 0; i < ELEMENTSOF(OF_META); i++)
        value_set(arena, meta, OF_META[i], value_copy(arena, value_path(template, "metadata", OF_META[i], NULL)));
    if (value_path(template, "spec", "affinity", NULL))
        value_set(arena, value_ensure_object(arena, spec, "affinity"), "nodeAffinity", value_copy(arena, node));
    else if (value_get(spec, "affinity")) {
        value_remove(value_get(spec, "affinity"), "nodeAffinity");
        if (!value_len(value_get(spec, "affinity")))
            value_remove(spec, "affinity");
    }
    return old;
}

/* The old pod spec with the new one's resources, container by container. */
static const Value *with_new_resources(Arena *arena, const Value *old_pod, const Value *pod) {
    static const char *const LISTS[] = {"containers", "initContainers"};
    Value *copy = value_copy(arena, old_pod);
    for (size_t l = 0; l < ELEMENTSOF(LISTS); l++) {
        Value *old = value_get(copy, LISTS[l]);
        const Value *new = value_get(pod, LISTS[l]);
        for (size_t i = 0; value_len(old) == value_len(new) && i < value_len(new); i++)
            if (streq(text_of(value_at(old, i), "name"), text_of(value_at(new, i), "name")))
                value_set(arena, value_at(old, i), "resources",
                          value_copy(arena, value_get(value_at(new, i), "resources")));
    }
    return copy;
}

static void check_template_update(FieldErrors *errors, const Value *job, const Value *old, const FieldPath *path) {
    const Value *spec = value_get(job, "spec"), *old_spec = value_get(old, "spec"), *status = value_get(old, "status");
    const Value *template = value_get(spec, "template"), *old_template = value_get(old_spec, "template");
    Arena *arena = errors->arena;
    FieldPath template_at = FIELD(path, "template"), pod_at = FIELD(path, "template.spec");
    bool suspended = value_get_bool(old_spec, "suspend", false);
    bool open = suspended && value_get_int(status, "active", 0) == 0 &&
                (!value_get(status, "startTime") || job_condition_is(old, "Suspended", "True"));
    if (open)
        old_template = with_new_directives(arena, old_template, template);
    if (!open) {
        if (!value_equal(template, old_template))
            field_invalid(errors, &template_at, internal_value(arena, "PodTemplateSpec", template, NULL),
                          MUST_BE_IMMUTABLE);
        return;
    }
    const Value *pod = value_get(template, "spec");
    if (!value_equal(pod, with_new_resources(arena, value_get(old_template, "spec"), pod)))
        field_invalid(errors, &pod_at, internal_value(arena, "PodSpec", pod, NULL), MUST_BE_IMMUTABLE);
}

static void check_completions(FieldErrors *errors, const Value *spec, const Value *old_spec, const FieldPath *path) {
    const Value *completions = value_get(spec, "completions");
    FieldPath at = FIELD(path, "completions");
    if (!job_is_indexed(spec))
        member_immutable(errors, spec, old_spec, "completions", NULL, path);
    else if (completions && !value_equal(completions, value_get(old_spec, "completions")) &&
             !value_equal(completions, value_get(spec, "parallelism")))
        field_invalid(errors, &at, completions, "can only be modified in tandem with spec.parallelism");
}

void job_validate_update(_unused_ StrategyContext *context, const Value *object, const Value *old,
                         FieldErrors *errors) {
    const Value *spec = value_get(object, "spec"), *old_spec = value_get(old, "spec");
    const Value *labels = value_path(old_spec, "template", "metadata", "labels", NULL);
    FieldPath path = FIELD(NULL, "spec");
    check_job(errors, object, value_get(labels, CONTROLLER_UID) && value_get(labels, JOB_NAME));
    check_spec_and_selector(errors, spec, &path);
    check_completions(errors, spec, old_spec, &path);
    member_immutable(errors, spec, old_spec, "selector", NULL, &path);
    check_template_update(errors, object, old, &path);
    member_immutable(errors, spec, old_spec, "completionMode", NULL, &path);
    member_immutable(errors, spec, old_spec, "podFailurePolicy", "PodFailurePolicy", &path);
    member_immutable(errors, spec, old_spec, "backoffLimitPerIndex", NULL, &path);
    member_immutable(errors, spec, old_spec, "managedBy", NULL, &path);
    member_immutable(errors, spec, old_spec, "successPolicy", "SuccessPolicy", &path);
}
