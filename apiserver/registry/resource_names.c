#include "apiserver/registry/resource_names.h"

#include "api/quantity.h"
#include "base/str.h"

#include <stdio.h>

#define HUGE_PAGES "hugepages-"
#define REQUESTS "requests."

bool resource_name_is_native(const char *name) {
    return !strchr(name, '/') || strstr(name, "kubernetes.io/");
}

bool resource_name_is_huge_page(const char *name) {
    return str_has_prefix(name, HUGE_PAGES);
}

static bool is_quota_huge_page(const char *name) {
    return resource_name_is_huge_page(name) || str_has_prefix(name, REQUESTS HUGE_PAGES);
}

bool resource_name_is_extended(const char *name) {
    char quota_name[512];
    if (resource_name_is_native(name) || str_has_prefix(name, REQUESTS) || strlen(name) > 400)
        return false;
    snprintf(quota_name, sizeof(quota_name), REQUESTS "%s", name);
    return name_is_valid(quota_name, name_qualified);
}

bool resource_name_is_integer(const char *name) {
    static const char *const COUNTED[] = {
        "pods",       "resourcequotas",         "services",           "replicationcontrollers", "secrets",
        "configmaps", "persistentvolumeclaims", "services.nodeports", "services.loadbalancers", NULL};
    return str_in(name, COUNTED) || resource_name_is_extended(name);
}

bool resource_name_is_quota(const char *name) {
    static const char *const STANDARD[] = {"cpu",
                                           "memory",
                                           "ephemeral-storage",
                                           "requests.cpu",
                                           "requests.memory",
                                           "requests.storage",
                                           "requests.ephemeral-storage",
                                           "limits.cpu",
                                           "limits.memory",
                                           "limits.ephemeral-storage",
                                           "pods",
                                           "resourcequotas",
                                           "services",
                                           "replicationcontrollers",
                                           "secrets",
                                           "persistentvolumeclaims",
                                           "configmaps",
                                           "services.nodeports",
                                           "services.loadbalancers",
                                           NULL};
    return str_in(name, STANDARD) || is_quota_huge_page(name);
}

void resource_name_validate(FieldErrors *errors, const FieldPath *path, const char *name) {
    size_t before = errors->n;
    field_check_name(errors, path, name, name_qualified);
    if (errors->n == before && !strchr(name, '/') && !resource_name_is_quota(name) && !streq(name, "storage"))
        field_invalid_str(errors, path, name, "must be a standard resource type or fully qualified");
}

void resource_name_validate_for_container(FieldErrors *errors, const FieldPath *path, const char *name) {
    static const char *const STANDARD[] = {"cpu", "memory", "ephemeral-storage", NULL};
    resource_name_validate(errors, path, name);
    if (!strchr(name, '/')) {
        if (!str_in(name, STANDARD) && !resource_name_is_huge_page(name))
            field_invalid_str(errors, path, name, "must be a standard resource for containers");
    } else if (!resource_name_is_native(name) && !resource_name_is_extended(name))
        field_invalid_str(errors, path, name, "doesn't follow extended resource name standard");
}

void resource_name_validate_for_quota(FieldErrors *errors, const FieldPath *path, const char *name) {
    resource_name_validate(errors, path, name);
    if (!strchr(name, '/') && !resource_name_is_quota(name))
        field_invalid_str(errors, path, name, "must be a standard resource for quota");
}

void resource_quantity_validate(FieldErrors *errors, const FieldPath *path, const char *name, const Value *quantity) {
    const char *text = value_str(quantity);
    Quantity q;
    if (!text || quantity_parse(text, &q) < 0)
        return;
    check_quantity_not_negative(errors, path, quantity);
    if (resource_name_is_integer(name) && quantity_milli_value(&q) % 1000)
        field_invalid_str(errors, path, text, "must be an integer");
}
