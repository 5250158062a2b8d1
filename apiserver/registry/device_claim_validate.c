/* ResourceClaims: what they ask for, and what they were given. */
#include "apiserver/registry/checks.h"
#include "apiserver/registry/device_validate.h"
#include "apiserver/registry/internal_print.h"
#include "apiserver/registry/ip.h"
#include "apiserver/registry/pod_validate.h"
#include "apiserver/registry/validate_util.h"

#include <ctype.h>

#define CONSTRAINTS_MAX 32
#define SELECTORS_MAX 32
#define SUBREQUESTS_MAX 8
#define EXPRESSION_MAX (10 * 1024)
#define RESERVED_MAX 256
#define RESULTS_MAX 32
#define STATUS_CONDITIONS_MAX 8
#define INTERFACE_NAME_MAX 256
#define HARDWARE_ADDRESS_MAX 128
#define INTERFACE_IPS_MAX 16
#define UUID_TEXT_LEN 36
#define NO_SUCH_REQUEST                                                                                                \
    "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'"
#define ONE_KIND "exactly one of `exactly` or `firstAvailable` is required"
#define ADMIN_ACCESS_LABEL "resource.kubernetes.io/admin-access"

static void check_class(FieldErrors *errors, const Value *request, const FieldPath *path) {
    check_required(errors, request, "deviceClassName", path);
    check_name_member(errors, request, "deviceClassName", name_dns_subdomain, path);
}

static void check_selector(_unused_ const void *context, FieldErrors *errors, const Value *selector,
                           const FieldPath *path) {
    const Value *cel = value_get(selector, "cel");
    FieldPath cel_at = FIELD(path, "cel"), expression_at = FIELD(&cel_at, "expression");
    if (!value_is(cel, VALUE_OBJECT))
        field_required(errors, &cel_at, "");
    else if (strlen(text_of(cel, "expression")) > EXPRESSION_MAX)
        field_too_long(errors, &expression_at, EXPRESSION_MAX);
}

void device_selectors_validate(FieldErrors *errors, const Value *object, const FieldPath *path) {
    static const DeviceCheck CHECK = {.item = check_selector, .max = SELECTORS_MAX};
    device_list_validate(errors, object, "selectors", &CHECK, path);
}

/* What requests and their alternatives have in common. */
static void check_wish(FieldErrors *errors, const Value *request, const FieldPath *path) {
    static const char *const MODES[] = {"All", "ExactCount", NULL};
    static const DeviceCheck TOLERATIONS = {.item = device_toleration_validate};
    const char *mode = text_of(request, "allocationMode");
    int64_t count = value_get_int(request, "count", 0);
    FieldPath mode_at = FIELD(path, "allocationMode"), count_at = FIELD(path, "count");
    check_class(errors, request, path);
    device_selectors_validate(errors, request, path);
    if (streq(mode, "All") && count)
        field_invalid(errors, &count_at, value_int(errors->arena, count),
                      "must not be specified when allocationMode is 'All'");
    else if (streq(mode, "ExactCount") && count <= 0)
        field_invalid(errors, &count_at, value_int(errors->arena, count), "must be greater than zero");
    else
        check_one_of(errors, &mode_at, mode, MODES);
    device_list_validate(errors, request, "tolerations", &TOLERATIONS, path);
}

static void check_alternative(_unused_ const void *context, FieldErrors *errors, const Value *request,
                              const FieldPath *path) {
    FieldPath name_at = FIELD(path, "name");
    field_check_name(errors, &name_at, text_of(request, "name"), name_dns_label);
    check_wish(errors, request, path);
}

static void check_request(_unused_ const void *context, FieldErrors *errors, const Value *request,
                          const FieldPath *path) {
    static const DeviceCheck ALTERNATIVES = {.item = check_alternative, .max = SUBREQUESTS_MAX, .key = "name"};
    const Value *exactly = value_get(request, "exactly");
    FieldPath name_at = FIELD(path, "name"), exactly_at = FIELD(path, "exactly");
    bool first = value_len(value_get(request, "firstAvailable")), exact = value_is(exactly, VALUE_OBJECT);
    field_check_name(errors, &name_at, text_of(request, "name"), name_dns_label);
    if (!first && !exact)
        field_required(errors, path, ONE_KIND);
    else if (first && exact)
        field_invalid(errors, path, NULL, ONE_KIND ", but multiple fields are set");
    else if (first)
        device_list_validate(errors, request, "firstAvailable", &ALTERNATIVES, path);
    else
        check_wish(errors, exactly, &exactly_at);
}

static const Value *named(const Value *list, const char *name) {
    for (size_t i = 0; i < value_len(list); i++)
        if (streq(text_of(value_at(list, i), "name"), name))
            return value_at(list, i);
    return NULL;
}

/* `requests`: of the claim. */
static void check_request_name(const void *requests, FieldErrors *errors, const Value *item, const FieldPath *path) {
    const char *name = str_or(value_str(item), "");
    size_t n;
    char **parts = device_name_parts(errors->arena, name, &n);
    if (n > 2) {
        field_invalid_str(errors, path, name, NO_SUCH_REQUEST);
        return;
    }
    for (size_t i = 0; i < n; i++)
        field_check_name(errors, path, parts[i], name_dns_label);
    const Value *request = named(requests, parts[0]);
    if (request && n == 2)
        request = named(value_get(request, "firstAvailable"), parts[1]);
    if (!request)
        field_invalid_str(errors, path, name, NO_SUCH_REQUEST);
}

static void check_request_names(const Value *requests, FieldErrors *errors, const Value *object,
                                const FieldPath *path) {
    DeviceCheck check = {check_request_name, requests, DEVICE_REQUESTS_MAX, ""};
    device_list_validate(errors, object, "requests", &check, path);
}

static void check_constraint(const void *requests, FieldErrors *errors, const Value *constraint,
                             const FieldPath *path) {
    static const char *const ATTRIBUTES[] = {"matchAttribute", "distinctAttribute"};
    check_request_names(requests, errors, constraint, path);
    for (size_t i = 0; i < ELEMENTSOF(ATTRIBUTES); i++) {
        const char *name = value_get_str(constraint, ATTRIBUTES[i]);
        FieldPath at = FIELD(path, ATTRIBUTES[i]);
        if (name) {
            device_qualified_validate(errors, name, true, &at);
            return;
        }
    }
    field_required(errors, path,
                   "exactly one of \"matchAttribute\" or \"distinctAttribute\" is required, but multiple fields are "
                   "set");
}

void device_config_validate(const void *stored, FieldErrors *errors, const Value *config, const FieldPath *path) {
    const Value *opaque = value_get(config, "opaque");
    FieldPath opaque_at = FIELD(path, "opaque"), parameters_at = FIELD(&opaque_at, "parameters");
    if (!value_is(opaque, VALUE_OBJECT)) {
        field_required(errors, &opaque_at, "");
        return;
    }
    device_driver_validate(errors, opaque, "driver", &opaque_at);
    device_parameters_validate(errors, value_get(opaque, "parameters"), *(const bool *)stored, &parameters_at);
}

static void check_claim_config(const void *requests, FieldErrors *errors, const Value *config, const FieldPath *path) {
    static const bool STORED = false;
    check_request_names(requests, errors, config, path);
    device_config_validate(&STORED, errors, config, path);
}

void device_claim_spec_validate(FieldErrors *errors, const Value *spec, const FieldPath *path) {
    static const DeviceCheck REQUESTS = {.item = check_request, .max = DEVICE_REQUESTS_MAX, .key = "name"};
    const Value *devices = value_get(spec, "devices"), *requests = value_get(devices, "requests");
    DeviceCheck constraints = {check_constraint, requests, CONSTRAINTS_MAX, NULL},
                config = {check_claim_config, requests, DEVICE_CONFIG_MAX, NULL};
    FieldPath devices_at = FIELD(path, "devices");
    device_list_validate(errors, devices, "requests", &REQUESTS, &devices_at);
    device_list_validate(errors, devices, "constraints", &constraints, &devices_at);
    device_list_validate(errors, devices, "config", &config, &devices_at);
}

static bool namespace_allows(StrategyContext *context) {
    _cleanup_object_ Object *ns = NULL;
    const Resource *namespaces = resource_find("", "v1", "namespaces");
    if (!context->store || store_get(context->store, namespaces, "", context->ns, &ns) < 0)
        return false;
    const char *label = object_label(ns, ADMIN_ACCESS_LABEL);
    return label && streq(label, "true");
}

void device_admin_access_validate(StrategyContext *context, FieldErrors *errors, const Value *spec,
                                  const FieldPath *path) {
    const Value *requests = value_path(spec, "devices", "requests", NULL);
    FieldPath devices_at = FIELD(path, "devices"), requests_at = FIELD(&devices_at, "requests");
    for (size_t i = 0; i < value_len(requests); i++) {
        FieldPath request_at = FIELD_INDEX(&requests_at, i), at = FIELD(&request_at, "adminAccess");
        if (value_get_bool(value_get(value_at(requests, i), "exactly"), "adminAccess", false) &&
            !namespace_allows(context))
            field_forbidden(errors, &at,
                            "admin access to devices requires the `" ADMIN_ACCESS_LABEL
                            ": true` label on the containing namespace");
    }
}

/* The status */

static void check_consumer(_unused_ const void *context, FieldErrors *errors, const Value *consumer,
                           const FieldPath *path) {
    check_required(errors, consumer, "resource", path);
    check_required(errors, consumer, "name", path);
    check_required(errors, consumer, "uid", path);
}

static bool is_uuid(const char *text) {
    for (size_t i = 0; i < UUID_TEXT_LEN; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (dash ? text[i] != '-' : !isxdigit((unsigned char)text[i]) || isupper((unsigned char)text[i]))
            return false;
    }
    return !text[UUID_TEXT_LEN];
}

static void check_share(FieldErrors *errors, const Value *object, const FieldPath *path) {
    const char *id = value_get_str(object, "shareID");
    FieldPath at = FIELD(path, "shareID");
    if (id && !is_uuid(id))
        field_invalid_str(errors, &at, id,
                          "uid must be in RFC 4122 normalized form, `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx` with "
                          "lowercase hexadecimal characters");
}

static void check_result(const void *requests, FieldErrors *errors, const Value *result, const FieldPath *path) {
    FieldPath request_at = FIELD(path, "request"), device_at = FIELD(path, "device");
    const Value *request = value_get(result, "request");
    check_request_name(requests, errors, request ? request : value_string(errors->arena, ""), &request_at);
    device_driver_validate(errors, result, "driver", path);
    device_pool_validate(errors, result, "pool", path);
    field_check_name(errors, &device_at, text_of(result, "device"), name_dns_label);
    device_binding_validate(errors, result, path);
    check_share(errors, result, path);
}

static void check_result_config(const void *requests, FieldErrors *errors, const Value *config, const FieldPath *path) {
    static const char *const SOURCES[] = {"FromClaim", "FromClass", NULL};
    member_one_of(errors, config, "source", SOURCES, path);
    check_claim_config(requests, errors, config, path);
}

static void check_allocation(FieldErrors *errors, const Value *allocation, const Value *requests,
                             const FieldPath *path) {
    DeviceCheck results = {check_result, requests, RESULTS_MAX, NULL},
                config = {check_result_config, requests, 2 * DEVICE_CONFIG_MAX, NULL};
    const Value *devices = value_get(allocation, "devices"), *selector = value_get(allocation, "nodeSelector");
    FieldPath devices_at = FIELD(path, "devices"), selector_at = FIELD(path, "nodeSelector");
    device_list_validate(errors, devices, "results", &results, &devices_at);
    device_list_validate(errors, devices, "config", &config, &devices_at);
    if (value_is(selector, VALUE_OBJECT))
        node_selector_validate(errors, selector, &selector_at);
}

/* A device that may be shared, as the reference prints its identity. */
static Value *device_id(Arena *arena, const Value *device) {
    static const char *const MEMBERS[][2] = {
        {"Driver", "driver"}, {"Pool", "pool"}, {"Device", "device"}, {"ShareID", "shareID"}};
    Value *id = value_object(arena);
    for (size_t i = 0; i < ELEMENTSOF(MEMBERS); i++)
        value_set_str(arena, id, MEMBERS[i][0], text_of(device, MEMBERS[i][1]));
    return id;
}

static bool has_device(Arena *arena, const Value *list, size_t end, const Value *id) {
    for (size_t i = 0; i < end; i++)
        if (value_equal(device_id(arena, value_at(list, i)), id))
            return true;
    return false;
}

static const Value *results_of(const Value *claim) {
    return value_path(value_get(claim, "status"), "allocation", "devices", "results", NULL);
}

void device_claim_drop_statuses(Arena *arena, Value *claim, const Value *old) {
    const Value *now = results_of(claim), *was = results_of(old);
    Value *status = value_get(claim, "status"), *devices = value_get(status, "devices"), *kept = value_array(arena);
    for (size_t i = 0; i < value_len(devices); i++) {
        Value *id = device_id(arena, value_at(devices, i));
        if (!has_device(arena, was, value_len(was), id) || has_device(arena, now, value_len(now), id))
            value_append(arena, kept, devices->items[i]);
    }
    if (value_len(kept) < value_len(devices))
        value_set(arena, status, "devices", kept);
}

static void check_address(_unused_ const void *context, FieldErrors *errors, const Value *item, const FieldPath *path) {
    const char *text = str_or(value_str(item), "");
    char canonical[IP_TEXT_MAX];
    IpRange range;
    if (!ip_range_parse(text, &range)) {
        field_invalid_str(errors, path, text,
                          "must be a valid address in CIDR form, (e.g. 10.9.8.7/24 or 2001:db8::1/64)");
        return;
    }
    const char *want = arena_printf(errors->arena, "%s/%u", ip_format(&range.address, canonical), range.len);
    if (!streq(text, want))
        field_invalid_str(errors, path, text, "must be in canonical form (\"%s\")", want);
}

static void check_network(FieldErrors *errors, const Value *data, const FieldPath *path) {
    static const DeviceCheck ADDRESSES = {.item = check_address, .max = INTERFACE_IPS_MAX, .key = ""};
    FieldPath interface_at = FIELD(path, "interfaceName"), hardware_at = FIELD(path, "hardwareAddress");
    if (strlen(text_of(data, "interfaceName")) > INTERFACE_NAME_MAX)
        field_too_long(errors, &interface_at, INTERFACE_NAME_MAX);
    if (strlen(text_of(data, "hardwareAddress")) > HARDWARE_ADDRESS_MAX)
        field_too_long(errors, &hardware_at, HARDWARE_ADDRESS_MAX);
    device_list_validate(errors, data, "ips", &ADDRESSES, path);
}

/* `results`: the devices that the claim has. */
static void check_device_status(const void *results, FieldErrors *errors, const Value *device, const FieldPath *path) {
    const Value *conditions = value_get(device, "conditions"), *data = value_get(device, "data");
    FieldPath device_at = FIELD(path, "device"), conditions_at = FIELD(path, "conditions"),
              data_at = FIELD(path, "data"), network_at = FIELD(path, "networkData");
    Value *id = device_id(errors->arena, device);
    device_driver_validate(errors, device, "driver", path);
    device_pool_validate(errors, device, "pool", path);
    field_check_name(errors, &device_at, text_of(device, "device"), name_dns_label);
    check_share(errors, device, path);
    if (!has_device(errors->arena, results, value_len(results), id))
        field_invalid(errors, path, id, "must be an allocated device in the claim");
    if (value_len(conditions) > STATUS_CONDITIONS_MAX)
        field_too_many(errors, &conditions_at, (int64_t)value_len(conditions), STATUS_CONDITIONS_MAX);
    check_status_conditions(errors, conditions, &conditions_at);
    if (data && data->type != VALUE_NULL)
        device_parameters_validate(errors, data, false, &data_at);
    check_network(errors, value_get(device, "networkData"), &network_at);
}

static void check_device_statuses(FieldErrors *errors, const Value *status, const Value *results,
                                  const FieldPath *path) {
    const DeviceCheck check = {.item = check_device_status, .context = results};
    const Value *devices = value_get(status, "devices");
    FieldPath devices_at = FIELD(path, "devices");
    device_list_validate(errors, status, "devices", &check, path);
    for (size_t i = 0; i < value_len(devices); i++) {
        Value *id = device_id(errors->arena, value_at(devices, i));
        FieldPath at = FIELD_INDEX(&devices_at, i);
        if (has_device(errors->arena, devices, i, id))
            field_duplicate(errors, &at, id);
    }
}

static bool has_new_consumer(const Value *now, const Value *was) {
    for (size_t i = 0; i < value_len(now); i++) {
        bool known = false;
        for (size_t j = 0; j < value_len(was); j++)
            known |= value_equal(value_at(now, i), value_at(was, j));
        if (!known)
            return true;
    }
    return false;
}

void device_claim_status_validate(FieldErrors *errors, const Value *claim, const Value *old) {
    static const DeviceCheck CONSUMERS = {.item = check_consumer, .max = RESERVED_MAX, .key = "uid"};
    const Value *status = value_get(claim, "status"), *was = value_get(old, "status");
    const Value *allocation = value_get(status, "allocation"), *reserved = value_get(status, "reservedFor");
    FieldPath status_at = FIELD(NULL, "status"), reserved_at = FIELD(&status_at, "reservedFor"),
              allocation_at = FIELD(&status_at, "allocation");
    bool allocated = value_is(allocation, VALUE_OBJECT);
    device_list_validate(errors, status, "reservedFor", &CONSUMERS, &status_at);
    check_device_statuses(errors, status, value_path(allocation, "devices", "results", NULL), &status_at);
    if (value_len(reserved) && !allocated)
        field_forbidden(errors, &reserved_at, "may not be specified when `allocated` is not set");
    else if (value_path(claim, "metadata", "deletionTimestamp", NULL) &&
             has_new_consumer(reserved, value_get(was, "reservedFor")))
        field_forbidden(errors, &reserved_at,
                        "new entries may not be added while `deallocationRequested` or `deletionTimestamp` are set");
    if (allocated && value_is(value_get(was, "allocation"), VALUE_OBJECT))
        member_immutable(errors, status, was, "allocation", "AllocationResult", &status_at);
    else if (allocated)
        check_allocation(errors, allocation, value_path(claim, "spec", "devices", "requests", NULL), &allocation_at);
}
