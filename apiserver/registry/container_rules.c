/* How a container restarts on its own rules, and what resizing does to it. */
#include "apiserver/registry/pod_validate.h"
#include "apiserver/registry/validate_util.h"

#define RULES_MAX 20
#define EXIT_CODES_MAX 255

void container_restart_validate(FieldErrors *errors, const Value *container, const FieldPath *path) {
    static const char *const POLICIES[] = {"Always", "Never", "OnFailure", NULL}, *const OPERATORS[] = {"In", "NotIn",
                                                                                                        NULL};
    static const char *const ACTIONS[] = {"Restart", "RestartAllContainers", NULL};
    const Value *rules = value_get(container, "restartPolicyRules");
    FieldPath policy = FIELD(path, "restartPolicy"), list = FIELD(path, "restartPolicyRules");
    if (!value_get(container, "restartPolicy") && value_len(rules))
        field_required(errors, &policy, "must specify restartPolicy when restart rules are used");
    member_one_of_if_set(errors, container, "restartPolicy", POLICIES, path);
    if (value_len(rules) > RULES_MAX)
        field_too_many(errors, &list, (int64_t)value_len(rules), RULES_MAX);
    for (size_t i = 0; i < value_len(rules); i++) {
        const Value *rule = value_at(rules, i), *codes = value_get(rule, "exitCodes");
        const char *action = text_of(rule, "action"), *op = text_of(codes, "operator");
        FieldPath at = FIELD_INDEX(&list, i), action_at = FIELD(&at, "action"), codes_at = FIELD(&at, "exitCodes"),
                  op_at = FIELD(&codes_at, "operator"), values = FIELD(&codes_at, "values");
        if (!str_in(action, ACTIONS))
            field_not_supported(errors, &action_at, value_string(errors->arena, action), ACTIONS);
        if (!codes) {
            field_required(errors, &codes_at, "must be specified");
            continue;
        }
        if (!str_in(op, OPERATORS))
            field_not_supported(errors, &op_at, value_string(errors->arena, op), OPERATORS);
        if (value_len(value_get(codes, "values")) > EXIT_CODES_MAX)
            field_too_many(errors, &values, (int64_t)value_len(value_get(codes, "values")), EXIT_CODES_MAX);
    }
}

static void check_word(FieldErrors *errors, const char *text, const char *const *values, const FieldPath *path) {
    if (!*text)
        field_required(errors, path, "");
    else if (!str_in(text, values))
        field_not_supported(errors, path, value_string(errors->arena, text), values);
}

void container_resize_policy_validate(const PodValidation *v, const Value *container, const FieldPath *path) {
    static const char *const RESOURCES[] = {"cpu", "memory", NULL}, *const POLICIES[] = {"NotRequired",
                                                                                         "RestartContainer", NULL};
    const Value *list = value_get(container, "resizePolicy");
    FieldPath list_at = FIELD(path, "resizePolicy");
    bool never = streq(text_of(v->spec, "restartPolicy"), "Never");
    for (size_t i = 0; i < value_len(list); i++) {
        const char *resource = text_of(value_at(list, i), "resourceName"),
                   *policy = text_of(value_at(list, i), "restartPolicy");
        FieldPath at = FIELD_INDEX(&list_at, i);
        if (seen_before(v->errors, list, i, "resourceName", resource))
            field_duplicate(v->errors, &at, value_string(v->errors->arena, resource));
        check_word(v->errors, resource, RESOURCES, &list_at);
        check_word(v->errors, policy, POLICIES, &list_at);
        if (never && !streq(policy, "NotRequired"))
            field_invalid_str(v->errors, &list_at, policy, "must be 'NotRequired' when pod `restartPolicy` is 'Never'");
    }
}
