/* flowcontrol.apiserver.k8s.io. */
#include "apiserver/registry/checks.h"
#include "apiserver/registry/kinds.h"
#include "base/str.h"
#include "apiserver/registry/validate_util.h"

#include <math.h>

#define GROUP "flowcontrol.apiserver.k8s.io"
#define PRECEDENCE_MAX 10000
#define QUEUES_MAX 10000000
#define HASH_BITS 60 /* of what deals the queues of a flow */
#define EXEMPT "exempt"

static const char *name_of(const Value *object) {
    return text_at(value_get(object, "metadata"), "name");
}

static void check_own_member(FieldErrors *errors, const Value *member, const char *name, const char *kind,
                             const FieldPath *path) {
    FieldPath at = FIELD(path, name), ns_at = FIELD(&at, "namespace"), name_at = FIELD(&at, "name");
    if (!value_is(member, VALUE_OBJECT)) {
        field_required(errors, &at,
                       arena_printf(errors->arena, "%s is required when subject kind is '%s'", name, kind));
        return;
    }
    check_required(errors, member, "name", &at);
    if (!streq(kind, "ServiceAccount"))
        return;
    if (*text_at(member, "name") && !text_is(member, "name", "*"))
        field_check_name(errors, &name_at, text_at(member, "name"), name_dns_subdomain);
    if (!*text_at(member, "namespace"))
        field_required(errors, &ns_at, "must specify namespace for service account");
    check_name_member(errors, member, "namespace", name_dns_label, &at);
}

/* The member of a subject that its kind asks for, and no other. */
static void check_subject(FieldErrors *errors, const Value *subject, const FieldPath *path) {
    static const char *const KINDS[] = {"Group", "ServiceAccount", "User", NULL}, *const MEMBERS[] = {"group",
                                                                                                      "serviceAccount",
                                                                                                      "user"};
    const char *kind = text_at(subject, "kind");
    FieldPath kind_at = FIELD(path, "kind");
    if (!str_in(kind, KINDS)) {
        check_one_of(errors, &kind_at, kind, KINDS);
        return;
    }
    size_t own = 0;
    while (!streq(kind, KINDS[own]))
        own++;
    check_own_member(errors, value_get(subject, MEMBERS[own]), MEMBERS[own], kind, path);
    /* Of the others the reference names accounts before users before groups. */
    static const size_t ORDER[] = {1, 2, 0};
    for (size_t i = 0; i < ELEMENTSOF(ORDER); i++) {
        size_t other = ORDER[i];
        FieldPath at = FIELD(path, MEMBERS[other]);
        if (other != own && value_is(value_get(subject, MEMBERS[other]), VALUE_OBJECT))
            field_forbidden(errors, &at, "%s is forbidden when subject kind is not '%s'", MEMBERS[other], KINDS[other]);
    }
}

static void check_verbs(FieldErrors *errors, const Value *rule, const FieldPath *path) {
    static const char *const VERBS[] = {"create", "delete", "deletecollection", "get",   "list",
                                        "patch",  "proxy",  "update",           "watch", NULL};
    const Value *verbs = value_get(rule, "verbs"), *verb;
    FieldPath at = FIELD(path, "verbs");
    if (!value_len(verbs))
        field_required(errors, &at, "verbs must contain at least one value");
    else if (list_has(verbs, "*")) {
        if (value_len(verbs) > 1)
            field_invalid(errors, &at, verbs, "if '*' is present, must not specify other verbs");
    } else
        VALUE_FOREACH (verb, verbs)
            if (!str_in(str_or(value_str(verb), ""), VERBS)) {
                field_not_supported(errors, &at, verbs, VERBS);
                break;
            }
}

static void check_list(FieldErrors *errors, const Value *rule, const char *name, const char *missing,
                       const char *others, const FieldPath *path) {
    const Value *list = value_get(rule, name);
    FieldPath at = FIELD(path, name);
    if (!value_len(list))
        field_required(errors, &at, missing);
    else if (value_len(list) > 1 && list_has(list, "*"))
        field_invalid(errors, &at, list, "if '*' is present, must not specify other %s", others);
}

static void check_namespaces(FieldErrors *errors, const Value *rule, const FieldPath *path) {
    const Value *list = value_get(rule, "namespaces");
    FieldPath list_at = FIELD(path, "namespaces");
    if (!value_len(list) && !value_get_bool(rule, "clusterScope", false))
        field_required(errors, &list_at,
                       "resource rules that are not cluster scoped must supply at least one namespace");
    else if (list_has(list, "*")) {
        if (value_len(list) > 1)
            field_invalid(errors, &list_at, list, "if '*' is present, must not specify other namespaces");
    } else
        for (size_t i = 0; i < value_len(list); i++) {
            FieldPath at = FIELD_INDEX(&list_at, i);
            NameMessages messages = {.arena = errors->arena};
            name_dns_label(item_text(list, i), &messages);
            for (size_t k = 0; k < messages.n; k++)
                field_invalid_str(errors, &at, item_text(list, i),
                                  "each member of this list must be '*' or a DNS-1123 label; %s", messages.items[k]);
        }
}

static void check_urls(FieldErrors *errors, const Value *rule, const FieldPath *path) {
    const Value *urls = value_get(rule, "nonResourceURLs");
    FieldPath list_at = FIELD(path, "nonResourceURLs");
    check_list(errors, rule, "nonResourceURLs", "nonResourceURLs must contain at least one value", "non-resource URLs",
               path);
    for (size_t i = 0; i < value_len(urls) && !list_has(urls, "*"); i++) {
        const char *url = item_text(urls, i), *star = strchr(url, '*');
        FieldPath at = FIELD_INDEX(&list_at, i);
        if (!*url)
            field_invalid_str(errors, &at, url, "must not be empty");
        else if (streq(url, "/"))
            continue;
        else if (*url != '/')
            field_invalid_str(errors, &at, url, "must start with slash");
        else if (strchr(url, ' '))
            field_invalid_str(errors, &at, url, "must not contain white-space");
        else if (strstr(url, "//"))
            field_invalid_str(errors, &at, url, "must not contain double slash");
        else if (star && (star[1] || star[-1] != '/'))
            field_invalid_str(errors, &at, url, "wildcard can only do suffix matching");
    }
}

static void check_schema_rule(FieldErrors *errors, const Value *rule, const FieldPath *path) {
    const Value *subjects = value_get(rule, "subjects"), *resources = value_get(rule, "resourceRules");
    const Value *urls = value_get(rule, "nonResourceRules");
    FieldPath subjects_at = FIELD(path, "subjects"), resources_at = FIELD(path, "resourceRules"),
              urls_at = FIELD(path, "nonResourceRules");
    if (!value_len(subjects))
        field_required(errors, &subjects_at, "subjects must contain at least one value");
    for (size_t i = 0; i < value_len(subjects); i++) {
        FieldPath at = FIELD_INDEX(&subjects_at, i);
        check_subject(errors, value_at(subjects, i), &at);
    }
    if (!value_len(resources) && !value_len(urls))
        field_required(errors, path, "at least one of resourceRules and nonResourceRules has to be non-empty");
    for (size_t i = 0; i < value_len(resources); i++) {
        FieldPath at = FIELD_INDEX(&resources_at, i);
        const Value *resource_rule = value_at(resources, i);
        check_verbs(errors, resource_rule, &at);
        check_list(errors, resource_rule, "apiGroups", "resource rules must supply at least one api group",
                   "api groups", &at);
        check_list(errors, resource_rule, "resources", "resource rules must supply at least one resource", "resources",
                   &at);
        check_namespaces(errors, resource_rule, &at);
    }
    for (size_t i = 0; i < value_len(urls); i++) {
        FieldPath at = FIELD_INDEX(&urls_at, i);
        check_verbs(errors, value_at(urls, i), &at);
        check_urls(errors, value_at(urls, i), &at);
    }
}

static void schema_validate(_unused_ StrategyContext *context, const Value *schema, FieldErrors *errors) {
    static const char *const METHODS[] = {"ByNamespace", "ByUser", NULL};
    const Value *spec = value_get(schema, "spec"), *method = value_get(spec, "distinguisherMethod");
    const Value *rules = value_get(spec, "rules");
    int64_t precedence = value_get_int(spec, "matchingPrecedence", 0);
    const char *level = text_at(value_get(spec, "priorityLevelConfiguration"), "name");
    FieldPath spec_at = FIELD(NULL, "spec"), precedence_at = FIELD(&spec_at, "matchingPrecedence"),
              method_at = FIELD(&spec_at, "distinguisherMethod"), type_at = FIELD(&method_at, "type"),
              level_at = FIELD(&spec_at, "priorityLevelConfiguration"), name_at = FIELD(&level_at, "name"),
              rules_at = FIELD(&spec_at, "rules");
    const Value *shown = value_int(errors->arena, precedence);
    if (precedence <= 0)
        field_invalid(errors, &precedence_at, shown, "must be a positive value");
    if (precedence > PRECEDENCE_MAX)
        field_invalid(errors, &precedence_at, shown, "must not be greater than %d", PRECEDENCE_MAX);
    if (precedence == 1 && !streq(name_of(schema), EXEMPT))
        field_invalid(errors, &precedence_at, shown, "only the schema named 'exempt' may have matchingPrecedence 1");
    if (value_is(method, VALUE_OBJECT) && !str_in(text_at(method, "type"), METHODS)) {
        Value *internal = value_object(errors->arena);
        value_set_str(errors->arena, internal, "Type", text_at(method, "type"));
        field_not_supported(errors, &type_at, internal, METHODS);
    }
    if (*level)
        field_check_name(errors, &name_at, level, name_dns_subdomain);
    else
        field_required(errors, &name_at, "must reference a priority level");
    for (size_t i = 0; i < value_len(rules); i++) {
        FieldPath at = FIELD_INDEX(&rules_at, i);
        check_schema_rule(errors, value_at(rules, i), &at);
    }
}

static void check_at_least_0(FieldErrors *errors, const Value *part, const char *name, const char *message,
                             const FieldPath *path) {
    const Value *n = value_get(part, name);
    FieldPath at = FIELD(path, name);
    if (value_is(n, VALUE_INT) && n->integer < 0)
        field_invalid(errors, &at, n, "%s", message);
}

static void check_percents(FieldErrors *errors, const Value *part, const FieldPath *path) {
    const Value *percent = value_get(part, "lendablePercent");
    FieldPath percent_at = FIELD(path, "lendablePercent");
    if (value_is(percent, VALUE_INT) && (percent->integer < 0 || percent->integer > 100))
        field_invalid(errors, &percent_at, percent, "must be between 0 and 100, inclusive");
    check_at_least_0(errors, part, "borrowingLimitPercent", "if specified, must be a non-negative integer", path);
}

static void check_queuing(FieldErrors *errors, const Value *queuing, const FieldPath *path) {
    int64_t queues = value_get_int(queuing, "queues", 0), hand = value_get_int(queuing, "handSize", 0);
    int64_t limit = value_get_int(queuing, "queueLengthLimit", 0);
    FieldPath queues_at = FIELD(path, "queues"), hand_at = FIELD(path, "handSize"),
              limit_at = FIELD(path, "queueLengthLimit");
    if (limit <= 0)
        field_invalid(errors, &limit_at, value_int(errors->arena, limit), "must be positive");
    if (queues <= 0)
        field_invalid(errors, &queues_at, value_int(errors->arena, queues), "must be positive");
    else if (queues > QUEUES_MAX)
        field_invalid(errors, &queues_at, value_int(errors->arena, queues), "must not be greater than %d", QUEUES_MAX);
    if (hand <= 0)
        field_invalid(errors, &hand_at, value_int(errors->arena, hand), "must be positive");
    else if (hand > queues)
        field_invalid(errors, &hand_at, value_int(errors->arena, hand), "should not be greater than queues (%d)",
                      (int)queues);
    else if (queues > 0 && ceil(log2((double)queues) * (double)hand) > HASH_BITS)
        field_invalid(errors, &hand_at, value_int(errors->arena, hand),
                      "required entropy bits of deckSize %d and handSize %d should not be greater than %d", (int)queues,
                      (int)hand, HASH_BITS);
}

static void check_response(FieldErrors *errors, const Value *response, const FieldPath *path) {
    static const char *const TYPES[] = {"Queue", "Reject", NULL};
    const Value *queuing = value_get(response, "queuing");
    const char *type = text_at(response, "type");
    FieldPath queuing_at = FIELD(path, "queuing"), type_at = FIELD(path, "type");
    bool there = value_is(queuing, VALUE_OBJECT);
    if (streq(type, "Reject")) {
        if (there)
            field_forbidden(errors, &queuing_at, "must be nil if limited.limitResponse.type is not Limited");
    } else if (streq(type, "Queue")) {
        if (!there)
            field_required(errors, &queuing_at, "must not be empty if limited.limitResponse.type is Limited");
        else
            check_queuing(errors, queuing, &queuing_at);
    } else if (!*type)
        field_required(errors, &type_at, "");
    else
        check_one_of(errors, &type_at, type, TYPES);
}

static void level_validate(_unused_ StrategyContext *context, const Value *level, FieldErrors *errors) {
    static const char *const TYPES[] = {"Exempt", "Limited", NULL};
    const Value *spec = value_get(level, "spec"), *limited = value_get(spec, "limited"),
                *exempt = value_get(spec, "exempt");
    const char *type = text_at(spec, "type");
    FieldPath spec_at = FIELD(NULL, "spec"), type_at = FIELD(&spec_at, "type"), limited_at = FIELD(&spec_at, "limited"),
              exempt_at = FIELD(&spec_at, "exempt"), response_at = FIELD(&limited_at, "limitResponse");
    if (streq(name_of(level), EXEMPT) != streq(type, "Exempt"))
        field_invalid_str(errors, &type_at, type, "must be 'Exempt' if and only if `name` is 'exempt'");
    if (streq(type, "Exempt")) {
        if (value_is(limited, VALUE_OBJECT))
            field_forbidden(errors, &limited_at, "must be nil if the type is not Limited");
        check_at_least_0(errors, exempt, "nominalConcurrencyShares", "must be a non-negative integer", &exempt_at);
        check_percents(errors, exempt, &exempt_at);
    } else if (streq(type, "Limited")) {
        if (value_is(exempt, VALUE_OBJECT))
            field_forbidden(errors, &exempt_at, "must be nil if the type is Limited");
        if (!value_is(limited, VALUE_OBJECT))
            field_required(errors, &limited_at, "must not be empty when type is Limited");
        else {
            check_at_least_0(errors, limited, "nominalConcurrencyShares", "must be a non-negative integer",
                             &limited_at);
            check_response(errors, value_get(limited, "limitResponse"), &response_at);
            check_percents(errors, limited, &limited_at);
        }
    } else if (!*type)
        field_required(errors, &type_at, "");
    else
        check_one_of(errors, &type_at, type, TYPES);
}

static void validate_status(_unused_ StrategyContext *context, const Value *object, _unused_ const Value *old,
                            FieldErrors *errors) {
    const Value *conditions = value_path(object, "status", "conditions", NULL);
    FieldPath status_at = FIELD(NULL, "status"), list_at = FIELD(&status_at, "conditions");
    for (size_t i = 0; i < value_len(conditions); i++) {
        const char *type = text_at(value_at(conditions, i), "type");
        FieldPath at = FIELD_INDEX(&list_at, i), type_at = FIELD(&at, "type");
        if (seen_before(errors, conditions, i, "type", type))
            field_duplicate(errors, &type_at, value_string(errors->arena, type));
        if (!*type)
            field_required(errors, &type_at, "");
    }
}

static const Strategy ROWS[] = {
    {
        .group = GROUP,
        .plural = "flowschemas",
        .has_generation = true,
        .allow_unconditional_update = true,
        .prepare_for_create = kinds_reset_status,
        .validate = schema_validate,
        .validate_status_update = validate_status,
    },
    {
        .group = GROUP,
        .plural = "prioritylevelconfigurations",
        .has_generation = true,
        .allow_unconditional_update = true,
        .prepare_for_create = kinds_reset_status,
        .validate = level_validate,
        .validate_status_update = validate_status,
    },
};
const StrategyTable strategies_flowcontrol = {ROWS, ELEMENTSOF(ROWS)};
