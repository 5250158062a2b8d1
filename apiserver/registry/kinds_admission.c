/* admissionregistration.k8s.io. What expressions say is checked by who compiles them. */
#include "apiserver/registry/checks.h"
#include "apiserver/registry/internal_print.h"
#include "apiserver/registry/kinds.h"
#include "apiserver/registry/webhook_validate.h"
#include "base/str.h"
#include "apiserver/registry/validate_util.h"
#include "base/strmap.h"

#include <ctype.h>

#define GROUP "admissionregistration.k8s.io"
#define CONDITIONS_MAX 64
#define AUDIT_ANNOTATIONS_MAX 20
#define AUDIT_EXPRESSION_MAX (5 * 1024)
#define TIMEOUT_MAX 30

static const char *const FAILURES[] = {"Fail", "Ignore", NULL}, *const MATCHES[] = {"Equivalent", "Exact", NULL};

static bool is_blank(const char *text) {
    while (isspace((unsigned char)*text))
        text++;
    return !*text;
}

/* A list that must not be empty, and holds "*" alone. */
static void check_wildcard_list(FieldErrors *errors, const Value *rule, const char *name, const char *what,
                                const FieldPath *path) {
    const Value *list = value_get(rule, name);
    FieldPath at = FIELD(path, name);
    if (!value_len(list))
        field_required(errors, &at, "");
    if (value_len(list) > 1 && list_has(list, "*"))
        field_invalid(errors, &at, list, "if '*' is present, must not specify other %s", what);
}

static void check_resources(FieldErrors *errors, const Value *rule, const FieldPath *path) {
    const Value *list = value_get(rule, "resources");
    FieldPath list_at = FIELD(path, "resources");
    _cleanup_(strmap_freep) StrMap *wildcards = strmap_new(NULL); /* earlier ones, as "pods/" and "/status" */
    bool plain = false;
    if (!value_len(list))
        field_required(errors, &list_at, "");
    for (size_t i = 0; i < value_len(list); i++) {
        const char *text = item_text(list, i), *slash = strchr(text, '/');
        FieldPath at = FIELD_INDEX(&list_at, i);
        if (!*text) {
            field_required(errors, &at, "");
            continue;
        }
        if (!slash) {
            plain = !streq(text, "*");
            continue;
        }
        const char *resource = arena_strndup(errors->arena, text, (size_t)(slash - text));
        const char *all_of_it = arena_printf(errors->arena, "%s/", resource);
        if (strmap_get(wildcards, all_of_it))
            field_invalid_str(errors, &at, text, "if '%s/*' is present, must not specify %s", resource, text);
        if (strmap_get(wildcards, slash))
            field_invalid_str(errors, &at, text, "if '*/%s' is present, must not specify %s", slash + 1, text);
        if (streq(slash + 1, "*"))
            strmap_add(wildcards, all_of_it);
        if (streq(resource, "*"))
            strmap_add(wildcards, slash);
    }
    if (value_len(list) > 1 && list_has(list, "*/*"))
        field_invalid(errors, &list_at, list, "if '*/*' is present, must not specify other resources");
    if (list_has(list, "*") && plain)
        field_invalid(errors, &list_at, list,
                      "if '*' is present, must not specify other resources without subresources");
}

static void check_rule(FieldErrors *errors, const Value *rule, const FieldPath *path) {
    static const char *const OPERATIONS[] = {"*", "CONNECT", "CREATE", "DELETE", "UPDATE", NULL}, *const SCOPES[] = {
                                                                                                      "*", "Cluster",
                                                                                                      "Namespaced",
                                                                                                      NULL};
    const Value *operations = value_get(rule, "operations"), *versions = value_get(rule, "apiVersions");
    FieldPath operations_at = FIELD(path, "operations"), versions_at = FIELD(path, "apiVersions");
    check_wildcard_list(errors, rule, "operations", "operations", path);
    for (size_t i = 0; i < value_len(operations); i++) {
        FieldPath at = FIELD_INDEX(&operations_at, i);
        check_one_of(errors, &at, item_text(operations, i), OPERATIONS);
    }
    check_wildcard_list(errors, rule, "apiGroups", "API groups", path);
    check_wildcard_list(errors, rule, "apiVersions", "API versions", path);
    for (size_t i = 0; i < value_len(versions); i++) {
        FieldPath at = FIELD_INDEX(&versions_at, i);
        if (!*item_text(versions, i))
            field_required(errors, &at, "");
    }
    check_resources(errors, rule, path);
    check_member_one_of(errors, rule, "scope", SCOPES, path);
}

static void check_qualified_name(FieldErrors *errors, const Value *hook, const FieldPath *path) {
    const char *name = text_at(hook, "name");
    FieldPath at = FIELD(path, "name");
    size_t before = errors->n, dots = 0;
    for (const char *p = name; *p; p++)
        dots += *p == '.';
    if (!*name) {
        field_required(errors, &at, "");
        return;
    }
    field_check_name(errors, &at, name, name_dns_subdomain);
    if (errors->n == before && dots < 2)
        field_invalid_str(errors, &at, name, "should be a domain with at least three segments separated by dots");
}

static void check_duplicate_name(FieldErrors *errors, const Value *list, size_t i, const char *member,
                                 const FieldPath *path) {
    const char *name = text_at(value_at(list, i), member);
    FieldPath at = FIELD(path, member);
    for (size_t j = 0; *name && j < i; j++)
        if (text_is(value_at(list, j), member, name)) {
            field_duplicate(errors, &at, value_string(errors->arena, name));
            return;
        }
}

static void check_conditions(FieldErrors *errors, const Value *conditions, const FieldPath *path) {
    if (value_len(conditions) > CONDITIONS_MAX)
        field_too_many(errors, path, (int64_t)value_len(conditions), CONDITIONS_MAX);
    for (size_t i = 0; i < value_len(conditions); i++) {
        const Value *condition = value_at(conditions, i);
        FieldPath at = FIELD_INDEX(path, i), expression_at = FIELD(&at, "expression");
        if (is_blank(text_at(condition, "expression")))
            field_required(errors, &expression_at, "");
        check_required(errors, condition, "name", &at);
        check_name_member(errors, condition, "name", name_qualified, &at);
        check_duplicate_name(errors, conditions, i, "name", &at);
    }
}

static void check_review_versions(FieldErrors *errors, const Value *hook, const FieldPath *path) {
    const Value *versions = value_get(hook, "admissionReviewVersions");
    FieldPath list_at = FIELD(path, "admissionReviewVersions");
    if (!value_len(versions)) {
        field_required(errors, &list_at, "must specify one of v1, v1beta1");
        return;
    }
    for (size_t i = 0; i < value_len(versions); i++) {
        const char *version = item_text(versions, i);
        FieldPath at = FIELD_INDEX(&list_at, i);
        if (seen_before(errors, versions, i, NULL, version))
            field_invalid_str(errors, &at, version, "duplicate version");
        else
            field_check_name(errors, &at, version, name_dns1035_label);
    }
    if (!list_has(versions, "v1") && !list_has(versions, "v1beta1"))
        field_invalid(errors, &list_at, versions, "must include at least one of v1, v1beta1");
}

static void check_hook(FieldErrors *errors, const Value *hook, const FieldPath *path) {
    static const char *const EFFECTS[] = {"None", "NoneOnDryRun", NULL}, *const AGAIN[] = {"IfNeeded", "Never", NULL};
    const Value *rules = value_get(hook, "rules"), *timeout = value_get(hook, "timeoutSeconds");
    FieldPath rules_at = FIELD(path, "rules"), effects_at = FIELD(path, "sideEffects"),
              timeout_at = FIELD(path, "timeoutSeconds"), namespaces_at = FIELD(path, "namespaceSelector"),
              objects_at = FIELD(path, "objectSelector"), client_at = FIELD(path, "clientConfig"),
              conditions_at = FIELD(path, "matchConditions");
    check_qualified_name(errors, hook, path);
    for (size_t i = 0; i < value_len(rules); i++) {
        FieldPath at = FIELD_INDEX(&rules_at, i);
        check_rule(errors, value_at(rules, i), &at);
    }
    check_member_one_of(errors, hook, "failurePolicy", FAILURES, path);
    check_member_one_of(errors, hook, "matchPolicy", MATCHES, path);
    if (!value_get_str(hook, "sideEffects"))
        field_required(errors, &effects_at, "must specify one of None, NoneOnDryRun");
    check_member_one_of(errors, hook, "sideEffects", EFFECTS, path);
    if (value_is(timeout, VALUE_INT) && (timeout->integer < 1 || timeout->integer > TIMEOUT_MAX))
        field_invalid(errors, &timeout_at, timeout, "the timeout value must be between 1 and 30 seconds");
    field_check_label_selector(errors, &namespaces_at, value_get(hook, "namespaceSelector"));
    field_check_label_selector(errors, &objects_at, value_get(hook, "objectSelector"));
    check_member_one_of(errors, hook, "reinvocationPolicy", AGAIN, path);
    webhook_client_validate(errors, value_get(hook, "clientConfig"), &client_at);
    check_conditions(errors, value_get(hook, "matchConditions"), &conditions_at);
}

static void webhooks_validate(_unused_ StrategyContext *context, const Value *configuration, FieldErrors *errors) {
    const Value *hooks = value_get(configuration, "webhooks");
    FieldPath list_at = FIELD(NULL, "webhooks");
    for (size_t i = 0; i < value_len(hooks); i++) {
        FieldPath at = FIELD_INDEX(&list_at, i);
        check_hook(errors, value_at(hooks, i), &at);
        check_review_versions(errors, value_at(hooks, i), &at);
        check_duplicate_name(errors, hooks, i, "name", &at);
    }
}

/* Policies. */

static void check_param_kind(FieldErrors *errors, const Value *kind, const FieldPath *path) {
    const char *version = text_at(kind, "apiVersion"), *name = text_at(kind, "kind"), *slash = strchr(version, '/');
    FieldPath version_at = FIELD(path, "apiVersion"), kind_at = FIELD(path, "kind");
    if (!*version)
        field_required(errors, &version_at, "");
    else if (slash && strchr(slash + 1, '/'))
        field_invalid_str(errors, &version_at, version, "unexpected GroupVersion string: %s", version);
    else {
        if (slash && slash > version)
            field_check_name(errors, &version_at, arena_strndup(errors->arena, version, (size_t)(slash - version)),
                             name_dns_subdomain);
        if (!*(slash ? slash + 1 : version))
            field_invalid_str(errors, &version_at, version, "version must be specified");
        else
            field_check_name(errors, &version_at, slash ? slash + 1 : version, name_dns1035_label);
    }
    if (!*name) {
        field_required(errors, &kind_at, "");
        return;
    }
    char *lower = arena_strdup(errors->arena, name);
    for (char *p = lower; *p; p++)
        *p = (char)tolower((unsigned char)*p);
    NameMessages messages = {.arena = errors->arena};
    name_dns1035_label(lower, &messages);
    for (size_t i = 0; i < messages.n; i++)
        field_invalid_str(errors, &kind_at, name, "may have mixed case, but should otherwise match: %s",
                          messages.items[i]);
}

static void check_named_rules(FieldErrors *errors, const Value *match, const char *member, const FieldPath *path) {
    const Value *rules = value_get(match, member);
    FieldPath list_at = FIELD(path, member);
    for (size_t i = 0; i < value_len(rules); i++) {
        const Value *names = value_get(value_at(rules, i), "resourceNames");
        FieldPath at = FIELD_INDEX(&list_at, i), names_at = FIELD(&at, "resourceNames");
        for (size_t k = 0; k < value_len(names); k++) {
            FieldPath name_at = FIELD_INDEX(&names_at, k);
            field_check_name(errors, &name_at, item_text(names, k), name_path_segment);
            if (seen_before(errors, names, k, NULL, item_text(names, k)))
                field_duplicate(errors, &name_at, value_at(names, k));
        }
        check_rule(errors, value_at(rules, i), &at);
    }
}

static void check_match(FieldErrors *errors, const Value *match, const FieldPath *path) {
    static const char *const SELECTORS[] = {"namespaceSelector", "objectSelector"};
    FieldPath policy_at = FIELD(path, "matchPolicy");
    if (!value_is(match, VALUE_OBJECT))
        return;
    if (!value_get_str(match, "matchPolicy"))
        field_required(errors, &policy_at, "");
    check_member_one_of(errors, match, "matchPolicy", MATCHES, path);
    for (size_t i = 0; i < ELEMENTSOF(SELECTORS); i++) {
        FieldPath at = FIELD(path, SELECTORS[i]);
        if (!value_is(value_get(match, SELECTORS[i]), VALUE_OBJECT))
            field_required(errors, &at, "");
        else
            field_check_label_selector(errors, &at, value_get(match, SELECTORS[i]));
    }
    check_named_rules(errors, match, "resourceRules", path);
    check_named_rules(errors, match, "excludeResourceRules", path);
}

static bool is_identifier(const char *name) {
    static const char *const RESERVED[] = {
        "true", "false",  "null", "in",   "as",      "break",     "const",  "continue", "else", "for",   "function",
        "if",   "import", "let",  "loop", "package", "namespace", "return", "var",      "void", "while", NULL};
    if (isdigit((unsigned char)*name) || str_in(name, RESERVED))
        return false;
    for (const char *p = name; *p; p++)
        if (!isalnum((unsigned char)*p) && *p != '_')
            return false;
    return *name;
}

static void check_variables(FieldErrors *errors, const Value *variables, const FieldPath *spec_at) {
    FieldPath list_at = FIELD(spec_at, "variables");
    for (size_t i = 0; i < value_len(variables); i++) {
        const char *name = text_at(value_at(variables, i), "name");
        FieldPath at = FIELD_INDEX(&list_at, i), name_at = FIELD(&at, "name"), expression_at = FIELD(&at, "expression");
        if (is_blank(name))
            field_required(errors, &name_at, "name is not specified");
        else if (!is_identifier(name))
            field_invalid_str(errors, &name_at, name, "must be a valid CEL identifier");
        if (is_blank(text_at(value_at(variables, i), "expression")))
            field_required(errors, &expression_at, "expression is not specified");
    }
}

static void check_validation(FieldErrors *errors, const Value *validation, const FieldPath *path) {
    static const char *const REASONS[] = {"Forbidden", "Invalid", "RequestEntityTooLarge", NULL};
    const char *message = text_at(validation, "message"), *expression = text_at(validation, "messageExpression");
    FieldPath expression_at = FIELD(path, "expression"), text_expression_at = FIELD(path, "messageExpression"),
              message_at = FIELD(path, "message");
    if (is_blank(text_at(validation, "expression")))
        field_required(errors, &expression_at, "expression is not specified");
    if (*expression && is_blank(expression))
        field_invalid_str(errors, &text_expression_at, expression, "must be non-empty if specified");
    if (*message && is_blank(message))
        field_invalid_str(errors, &message_at, message, "must be non-empty if specified");
    else if (strpbrk(message, "\n\r"))
        field_invalid_str(errors, &message_at, message, "must not contain line breaks");
    check_member_one_of(errors, validation, "reason", REASONS, path);
}

/* Keys are made unique by the policy's `name`. */
static void check_audit(FieldErrors *errors, const Value *annotations, const char *name, const FieldPath *spec_at) {
    FieldPath list_at = FIELD(spec_at, "auditAnnotations");
    if (value_len(annotations) > AUDIT_ANNOTATIONS_MAX)
        field_invalid(errors, &list_at, internal_list(errors->arena, "AuditAnnotation", annotations),
                      "must not have more than %d auditAnnotations", AUDIT_ANNOTATIONS_MAX);
    for (size_t i = 0; i < value_len(annotations); i++) {
        const Value *annotation = value_at(annotations, i);
        const char *expression = text_at(annotation, "valueExpression");
        FieldPath at = FIELD_INDEX(&list_at, i), expression_at = FIELD(&at, "valueExpression"),
                  key_at = FIELD(&at, "key");
        const char *key = text_at(annotation, "key");
        if (*name)
            field_check_name(errors, &key_at, arena_printf(errors->arena, "%s/%s", name, key), name_qualified);
        else
            field_invalid_str(errors, &key_at, key, "requires metadata.name be non-empty");
        if (is_blank(expression))
            field_required(errors, &expression_at, "valueExpression is not specified");
        else if (strlen(expression) > AUDIT_EXPRESSION_MAX)
            field_required(errors, &expression_at, "must not exceed 5120 bytes in length");
        check_duplicate_name(errors, annotations, i, "key", &at);
    }
}

/* What both kinds of policies have. */
static void check_policy(FieldErrors *errors, const Value *spec, const FieldPath *spec_at) {
    const Value *match = value_get(spec, "matchConstraints"), *param = value_get(spec, "paramKind");
    FieldPath failure_at = FIELD(spec_at, "failurePolicy"), param_at = FIELD(spec_at, "paramKind"),
              match_at = FIELD(spec_at, "matchConstraints"), rules_at = FIELD(&match_at, "resourceRules"),
              conditions_at = FIELD(spec_at, "matchConditions");
    if (!value_get_str(spec, "failurePolicy"))
        field_required(errors, &failure_at, "");
    check_member_one_of(errors, spec, "failurePolicy", FAILURES, spec_at);
    if (value_is(param, VALUE_OBJECT))
        check_param_kind(errors, param, &param_at);
    if (!value_is(match, VALUE_OBJECT))
        field_required(errors, &match_at, "");
    else {
        check_match(errors, match, &match_at);
        if (!value_len(value_get(match, "resourceRules")))
            field_required(errors, &rules_at, "");
    }
    check_conditions(errors, value_get(spec, "matchConditions"), &conditions_at);
    check_variables(errors, value_get(spec, "variables"), spec_at);
}

static void validating_validate(_unused_ StrategyContext *context, const Value *policy, FieldErrors *errors) {
    static const char ONE[] = "validations or auditAnnotations must contain at least one item";
    const Value *spec = value_get(policy, "spec"), *validations = value_get(spec, "validations");
    const Value *audit = value_get(spec, "auditAnnotations");
    FieldPath spec_at = FIELD(NULL, "spec"), list_at = FIELD(&spec_at, "validations"),
              audit_at = FIELD(&spec_at, "auditAnnotations");
    check_policy(errors, spec, &spec_at);
    if (!value_len(validations) && !value_len(audit)) {
        field_required(errors, &list_at, ONE);
        field_required(errors, &audit_at, ONE);
        return;
    }
    for (size_t i = 0; i < value_len(validations); i++) {
        FieldPath at = FIELD_INDEX(&list_at, i);
        check_validation(errors, value_at(validations, i), &at);
    }
    check_audit(errors, audit, text_at(value_get(policy, "metadata"), "name"), &spec_at);
}

/* Connections and deletions change nothing. The place is the reference's: without indexes. */
static void check_mutating_operations(FieldErrors *errors, const Value *match, const char *member,
                                      const FieldPath *path) {
    static const char *const OPERATIONS[] = {"*", "CONNECT", "CREATE", "UPDATE", NULL};
    FieldPath match_at = FIELD(path, member), rules_at = FIELD(&match_at, "resourceRules"),
              at = FIELD(&rules_at, "operations");
    const Value *rule, *operation;
    VALUE_FOREACH (rule, value_get(match, "resourceRules"))
        VALUE_FOREACH (operation, value_get(rule, "operations"))
            check_one_of(errors, &at, str_or(value_str(operation), ""), OPERATIONS);
}

static void check_mutation(FieldErrors *errors, const Value *mutation, const FieldPath *path) {
    static const char *const TYPES[] = {"ApplyConfiguration", "JSONPatch", NULL}, *const MEMBERS[] = {
                                                                                      "applyConfiguration",
                                                                                      "jsonPatch"};
    const char *type = text_at(mutation, "patchType");
    FieldPath type_at = FIELD(path, "patchType");
    if (!*type) {
        field_required(errors, &type_at, "");
        return;
    }
    check_one_of(errors, &type_at, type, TYPES);
    for (size_t i = 0; str_in(type, TYPES) && i < ELEMENTSOF(MEMBERS); i++) {
        const Value *how = value_get(mutation, MEMBERS[i]);
        bool wanted = streq(type, TYPES[i]), there = value_is(how, VALUE_OBJECT);
        FieldPath at = FIELD(path, MEMBERS[i]), expression_at = FIELD(&at, "expression");
        if (wanted && !there)
            field_required(errors, &at, arena_printf(errors->arena, "must be specified when patchType is %s", type));
        else if (wanted && is_blank(text_at(how, "expression")))
            field_required(errors, &expression_at, "");
        else if (!wanted && there)
            field_invalid_str(errors, &at, arena_printf(errors->arena, "{%s}", MEMBERS[i]),
                              "must not be specified when patchType is %s", type);
    }
}

static void mutating_validate(_unused_ StrategyContext *context, const Value *policy, FieldErrors *errors) {
    static const char *const AGAIN[] = {"IfNeeded", "Never", NULL};
    const Value *spec = value_get(policy, "spec"), *mutations = value_get(spec, "mutations");
    FieldPath spec_at = FIELD(NULL, "spec"), list_at = FIELD(&spec_at, "mutations"),
              again_at = FIELD(&spec_at, "reinvocationPolicy");
    check_policy(errors, spec, &spec_at);
    if (!value_len(mutations))
        field_required(errors, &list_at, "mutations must contain at least one item");
    for (size_t i = 0; i < value_len(mutations); i++) {
        FieldPath at = FIELD_INDEX(&list_at, i);
        check_mutation(errors, value_at(mutations, i), &at);
    }
    check_mutating_operations(errors, value_get(spec, "matchConstraints"), "matchConstraints", &spec_at);
    if (!value_get_str(spec, "reinvocationPolicy"))
        field_required(errors, &again_at, "");
    check_member_one_of(errors, spec, "reinvocationPolicy", AGAIN, &spec_at);
}

static void check_param_ref(FieldErrors *errors, const Value *reference, const FieldPath *path) {
    static const char *const ACTIONS[] = {"Deny", "Allow", NULL};
    const char *name = text_at(reference, "name");
    bool selects = value_is(value_get(reference, "selector"), VALUE_OBJECT);
    FieldPath name_at = FIELD(path, "name"), selector_at = FIELD(path, "selector"),
              action_at = FIELD(path, "parameterNotFoundAction");
    if (!value_is(reference, VALUE_OBJECT))
        return;
    if (*name) {
        field_check_name(errors, &name_at, name, name_path_segment);
        if (selects)
            field_forbidden(errors, &name_at, "name and selector are mutually exclusive");
    }
    if (selects) {
        field_check_label_selector(errors, &selector_at, value_get(reference, "selector"));
        if (*name)
            field_forbidden(errors, &selector_at, "name and selector are mutually exclusive");
    } else if (!*name)
        field_required(errors, path, "one of name or selector must be specified");
    if (!*text_at(reference, "parameterNotFoundAction"))
        field_required(errors, &action_at, "");
    else
        check_one_of(errors, &action_at, text_at(reference, "parameterNotFoundAction"), ACTIONS);
}

static void check_actions(FieldErrors *errors, const Value *actions, const FieldPath *path) {
    static const char *const ACTIONS[] = {"Audit", "Deny", "Warn", NULL};
    for (size_t i = 0; i < value_len(actions); i++) {
        FieldPath at = FIELD_INDEX(path, i);
        check_one_of(errors, &at, item_text(actions, i), ACTIONS);
        if (seen_before(errors, actions, i, NULL, item_text(actions, i)))
            field_duplicate(errors, &at, value_at(actions, i));
    }
    if (list_has(actions, "Deny") && list_has(actions, "Warn"))
        field_invalid(errors, path, actions,
                      "must not contain both Deny and Warn (repeating the same validation failure information in the "
                      "API response and headers serves no purpose)");
    if (!value_len(actions))
        field_required(errors, path, "at least one validation action is required");
}

static void binding_validate(StrategyContext *context, const Value *binding, FieldErrors *errors) {
    const Value *spec = value_get(binding, "spec");
    FieldPath spec_at = FIELD(NULL, "spec"), param_at = FIELD(&spec_at, "paramRef"),
              match_at = FIELD(&spec_at, "matchResources"), actions_at = FIELD(&spec_at, "validationActions");
    check_required(errors, spec, "policyName", &spec_at);
    check_name_member(errors, spec, "policyName", name_dns_subdomain, &spec_at);
    check_param_ref(errors, value_get(spec, "paramRef"), &param_at);
    check_match(errors, value_get(spec, "matchResources"), &match_at);
    if (str_has_prefix(context->resource->plural, "validating"))
        check_actions(errors, value_get(spec, "validationActions"), &actions_at);
    else
        check_mutating_operations(errors, value_get(spec, "matchResources"), "matchResources", &spec_at);
}

/* Files of a server's may bring such objects too; their names end so. */
#define STATIC_SUFFIX ".static.k8s.io"

static void warn_reserved(StrategyContext *context, const Value *object) {
    if (str_has_suffix(text_at(value_get(object, "metadata"), "name"), STATIC_SUFFIX))
        strategy_warn(context, "metadata.name: names ending with \"" STATIC_SUFFIX
                               "\" are reserved for static manifest-based configurations and cannot be managed via "
                               "the API");
}

static void warn_reserved_update(StrategyContext *context, const Value *object, _unused_ const Value *old) {
    warn_reserved(context, object);
}

#define ROW(name, check)                                                                                               \
    {                                                                                                                  \
        .group = GROUP, .plural = (name), .has_generation = true, .validate = (check), .warn_create = warn_reserved,   \
        .warn_update = warn_reserved_update                                                                            \
    }
static const Strategy ROWS[] = {
    ROW("validatingwebhookconfigurations", webhooks_validate),
    ROW("mutatingwebhookconfigurations", webhooks_validate),
    {
        .group = GROUP,
        .plural = "validatingadmissionpolicies",
        .has_generation = true,
        .prepare_for_create = kinds_reset_status,
        .validate = validating_validate,
        .warn_create = warn_reserved,
        .warn_update = warn_reserved_update,
    },
    ROW("mutatingadmissionpolicies", mutating_validate),
    ROW("validatingadmissionpolicybindings", binding_validate),
    ROW("mutatingadmissionpolicybindings", binding_validate),
};
const StrategyTable strategies_admission = {ROWS, ELEMENTSOF(ROWS)};
