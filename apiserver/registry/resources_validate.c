/* Requests and limits. */
#include "apiserver/registry/pod_validate.h"

#include "api/quantity.h"
#include "base/str.h"

static bool is_huge_page(const char *name) {
    return str_has_prefix(name, "hugepages-");
}

static bool is_native(const char *name) {
    return !strchr(name, '/') || strstr(name, "kubernetes.io/");
}

static bool overcommit_allowed(const char *name) {
    return is_native(name) && !is_huge_page(name);
}

static bool is_standard(const char *name) {
    static const char *const NAMES[] = {"cpu",
                                        "memory",
                                        "ephemeral-storage",
                                        "requests.cpu",
                                        "requests.memory",
                                        "requests.ephemeral-storage",
                                        "limits.cpu",
                                        "limits.memory",
                                        "limits.ephemeral-storage",
                                        "pods",
                                        "resourcequotas",
                                        "services",
                                        "replicationcontrollers",
                                        "secrets",
                                        "configmaps",
                                        "persistentvolumeclaims",
                                        "storage",
                                        "requests.storage",
                                        "services.nodeports",
                                        "services.loadbalancers",
                                        NULL};
    return str_in(name, NAMES) || is_huge_page(name) || str_has_prefix(name, "requests.hugepages-");
}

static bool check_general_name(FieldErrors *errors, const char *name, const FieldPath *path) {
    size_t n = errors->n;
    field_check_name(errors, path, name, name_qualified);
    if (errors->n == n && !strchr(name, '/') && !is_standard(name))
        field_invalid_str(errors, path, name, "must be a standard resource type or fully qualified");
    return errors->n == n;
}

static void check_container_name(FieldErrors *errors, const char *name, const FieldPath *path) {
    check_general_name(errors, name, path);
    if (!strchr(name, '/')) {
        if (!streq(name, "cpu") && !streq(name, "memory") && !streq(name, "ephemeral-storage") && !is_huge_page(name))
            field_invalid_str(errors, path, name, "must be a standard resource for containers");
    } else if (!is_native(name)) {
        const char *for_quota = arena_printf(errors->arena, "requests.%s", name);
        if (str_has_prefix(name, "requests.") || !name_is_valid(for_quota, name_qualified))
            field_invalid_str(errors, path, name, "doesn't follow extended resource name standard");
    }
}

static void check_pod_name(FieldErrors *errors, const char *name, const FieldPath *path) {
    static const char *const SUPPORTED[] = {"cpu", "hugepages-", "memory", NULL};
    if (check_general_name(errors, name, path) && !streq(name, "cpu") && !streq(name, "memory") && !is_huge_page(name))
        field_not_supported(errors, path, value_string(errors->arena, name), SUPPORTED);
}

/* Huge pages come in whole pages of the size that their name says. */
static void check_pages(FieldErrors *errors, const char *name, const char *text, const Quantity *q,
                        const FieldPath *path) {
    Quantity size;
    const char *size_text = name + strlen("hugepages-");
    if (!is_huge_page(name) || quantity_parse(size_text, &size) < 0 || quantity_sign(&size) <= 0)
        return;
    if (quantity_value(q) % quantity_value(&size) != 0)
        field_invalid_str(errors, path, text, "%s is not positive integer multiple of %s", text, name);
}

static void check_amount(FieldErrors *errors, const char *name, const char *text, const Quantity *q,
                         const FieldPath *path) {
    if (quantity_sign(q) < 0)
        field_invalid_str(errors, path, text, "must be greater than or equal to 0");
    if (!is_native(name) && quantity_milli_value(q) % 1000 != 0)
        field_invalid_str(errors, path, text, "must be an integer");
}

static void check_against_limit(FieldErrors *errors, const char *name, const char *text, const Quantity *request,
                                const Value *limits, const FieldPath *requests, const FieldPath *limits_at) {
    const char *limit_text = value_get_str(limits, name);
    Quantity limit;
    if (!limit_text || quantity_parse(limit_text, &limit) < 0) {
        if (!overcommit_allowed(name))
            field_required(errors, limits_at, "Limit must be set for non overcommitable resources");
        return;
    }
    int order = quantity_compare(request, &limit);
    if (order != 0 && !overcommit_allowed(name))
        field_invalid_str(errors, requests, text, "must be equal to %s limit of %s", name, limit_text);
    else if (order > 0)
        field_invalid_str(errors, requests, text, "must be less than or equal to %s limit of %s", name, limit_text);
}

typedef struct Seen {
    bool huge_pages, compute;
} Seen;

static void note(Seen *seen, const char *name) {
    seen->huge_pages |= is_huge_page(name);
    seen->compute |= streq(name, "cpu") || streq(name, "memory");
}

void resource_requirements_validate(FieldErrors *errors, const Value *resources, const FieldPath *path) {
    resource_lists_validate(errors, resources, false, path);
}

void resource_lists_validate(FieldErrors *errors, const Value *resources, bool of_pod, const FieldPath *path) {
    void (*check_name)(FieldErrors *, const char *, const FieldPath *) = of_pod ? check_pod_name : check_container_name;
    const Value *limits = value_get(resources, "limits"), *requests = value_get(resources, "requests");
    FieldPath limits_at = FIELD(path, "limits"), requests_at = FIELD(path, "requests");
    Seen seen = {0};
    Quantity q;
    VALUE_FOREACH_MEMBER (member, limits) {
        FieldPath at = FIELD_KEY(&limits_at, member->name);
        const char *text = str_or(value_str(member->value), "0");
        check_name(errors, member->name, &at);
        if (quantity_parse(text, &q) == 0) {
            check_amount(errors, member->name, text, &q, &at);
            check_pages(errors, member->name, text, &q, &at);
        }
        note(&seen, member->name);
    }
    VALUE_FOREACH_MEMBER (member, requests) {
        FieldPath at = FIELD_KEY(&requests_at, member->name);
        const char *text = str_or(value_str(member->value), "0");
        check_name(errors, member->name, &at);
        if (quantity_parse(text, &q) == 0) {
            check_amount(errors, member->name, text, &q, &at);
            check_against_limit(errors, member->name, text, &q, limits, &requests_at, &limits_at);
            check_pages(errors, member->name, text, &q, &at);
        }
        note(&seen, member->name);
    }
    if (seen.huge_pages && !seen.compute)
        field_forbidden(errors, path, "HugePages require cpu or memory");
}
