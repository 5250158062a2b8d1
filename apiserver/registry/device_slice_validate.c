/* ResourceSlices: the devices of a pool, their attributes and capacities. */
#include "api/quantity.h"
#include "apiserver/registry/checks.h"
#include "apiserver/registry/device_validate.h"
#include "apiserver/registry/internal_print.h"
#include "apiserver/registry/pod_validate.h"
#include "apiserver/registry/validate_util.h"

#include <ctype.h>

#define DEVICES_MAX 128
#define FEATURED_DEVICES_MAX 64 /* when any has taints, lists or takes of counters */
#define COUNTER_SETS_MAX 8
#define COUNTERS_MAX 32
#define CONSUMED_SETS_MAX 2
#define TAINTS_MAX 16
#define ATTRIBUTES_MAX 32 /* with the capacities */
#define ATTRIBUTE_VALUES_MAX 48
#define ATTRIBUTE_TEXT_MAX 64
#define OPTIONS_MAX 10
#define KEY_MAX (63 + 1 + 32) /* of a domain, and of a name in it */

#define ONE_OF_DEVICE                                                                                                  \
    "exactly one of `nodeName`, `nodeSelector`, or `allNodes` is required when `perDeviceNodeSelection` is set to "    \
    "true in the ResourceSlice spec"
#define ONE_OF_SLICE "exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required"

/* The places of a map's members; long keys are shown without their middle. */
static const char *shown_key(Arena *arena, const char *key, size_t max) {
    size_t len = strlen(key), rest = max - strlen("...");
    if (len <= max)
        return key;
    return arena_printf(arena, "%.*s...%s", (int)((rest + 1) / 2), key, key + len - rest / 2);
}

/* Semantic versions */

static bool identifier_char(char c) {
    return isalnum((unsigned char)c) || c == '-';
}

/* One identifier at *at: a number without leading zeros, or (`any` of them) with a letter or dash in it. */
static bool skip_identifier(const char **at, bool words, bool zeros) {
    const char *start = *at;
    bool number = true;
    while (words ? identifier_char(**at) : isdigit((unsigned char)**at)) {
        number &= isdigit((unsigned char)**at) != 0;
        (*at)++;
    }
    return *at > start && (!number || zeros || *start != '0' || *at == start + 1);
}

static bool skip_identifiers(const char **at, bool zeros) {
    do {
        (*at)++; /* "-", "+" or "." */
        if (!skip_identifier(at, true, zeros))
            return false;
    } while (**at == '.');
    return true;
}

static bool is_semantic_version(const char *text) {
    for (size_t i = 0; i < 3; i++) {
        if (i && *text++ != '.')
            return false;
        if (!skip_identifier(&text, false, false))
            return false;
    }
    if (*text == '-' && !skip_identifiers(&text, false))
        return false;
    if (*text == '+' && !skip_identifiers(&text, true))
        return false;
    return !*text;
}

/* Attributes */

static void check_text(_unused_ const void *context, FieldErrors *errors, const Value *item, const FieldPath *path) {
    if (value_str(item) && item->len > ATTRIBUTE_TEXT_MAX)
        field_too_long(errors, path, ATTRIBUTE_TEXT_MAX);
}

static void check_version(const void *context, FieldErrors *errors, const Value *item, const FieldPath *path) {
    const char *text = str_or(value_str(item), "");
    if (!is_semantic_version(text))
        field_invalid_str(errors, path, text, "must be a string compatible with semver.org spec 2.0.0");
    check_text(context, errors, item, path);
}

static void check_attribute(FieldErrors *errors, const Value *attribute, const FieldPath *path) {
    static const struct {
        const char *one, *many;
        device_item_check check;
    } KINDS[] = {{"bool", "bools", NULL},
                 {"int", "ints", NULL},
                 {"string", "strings", check_text},
                 {"version", "versions", check_version}};
    size_t n = 0;
    for (size_t i = 0; i < ELEMENTSOF(KINDS); i++) {
        const Value *one = value_get(attribute, KINDS[i].one), *many = value_get(attribute, KINDS[i].many);
        FieldPath one_at = FIELD(path, KINDS[i].one), many_at = FIELD(path, KINDS[i].many);
        n += one != NULL;
        n += many != NULL;
        if (one && KINDS[i].check)
            KINDS[i].check(NULL, errors, one, &one_at);
        if (many && !value_len(many))
            field_invalid(errors, &many_at, many, "must not be empty if specified");
        for (size_t j = 0; KINDS[i].check && j < value_len(many); j++) {
            FieldPath at = FIELD_INDEX(&many_at, j);
            KINDS[i].check(NULL, errors, value_at(many, j), &at);
        }
    }
    if (n == 0)
        field_invalid_str(errors, path, "", "exactly one value must be specified");
    else if (n > 1)
        field_invalid(errors, path, internal_value(errors->arena, "DeviceAttribute", attribute, NULL),
                      "exactly one value must be specified");
}

static size_t attribute_values(const Value *attributes) {
    static const char *const LISTS[] = {"bools", "ints", "strings", "versions"};
    size_t n = 0;
    VALUE_FOREACH_MEMBER (m, attributes) {
        size_t items = 0;
        for (size_t i = 0; i < ELEMENTSOF(LISTS); i++)
            items += value_len(value_get(m->value, LISTS[i]));
        n += items ? items : 1;
    }
    return n;
}

/* Capacities */

static Quantity quantity_of(const Value *v) {
    Quantity q;
    if (quantity_parse(str_or(value_str(v), "0"), &q) < 0)
        q = quantity_from_int(0, QUANTITY_DECIMAL_SI);
    return q;
}

static const char *quantity_text(Arena *arena, const Quantity *q) {
    char text[QUANTITY_TEXT_MAX];
    return arena_strdup(arena, quantity_format(q, text));
}

static void check_options(FieldErrors *errors, const Value *policy, const Quantity *max, const FieldPath *path) {
    const Value *options = value_get(policy, "validValues");
    Quantity normal = quantity_of(value_get(policy, "default"));
    Arena *arena = errors->arena;
    FieldPath at = FIELD(path, "validValues");
    bool found = false;
    for (size_t i = 1; i < value_len(options); i++) {
        Quantity low = quantity_of(value_at(options, i - 1)), high = quantity_of(value_at(options, i));
        FieldPath item_at = FIELD_INDEX(&at, i);
        if (quantity_compare(&low, &high) > 0)
            field_invalid_str(errors, &item_at, quantity_text(arena, &high),
                              "values must be sorted in ascending order");
    }
    if (value_len(options) > OPTIONS_MAX)
        field_too_many(errors, &at, (int64_t)value_len(options), OPTIONS_MAX);
    for (size_t i = 0; i < value_len(options) && value_len(options) <= OPTIONS_MAX; i++) {
        Quantity option = quantity_of(value_at(options, i));
        FieldPath item_at = FIELD_INDEX(&at, i);
        if (quantity_compare(&option, max) > 0)
            field_invalid_str(errors, &item_at, quantity_text(arena, &option),
                              "option is larger than capacity value: %s", quantity_text(arena, max));
        found |= quantity_compare(&option, &normal) == 0;
        for (size_t j = 0; j < i; j++) {
            Quantity other = quantity_of(value_at(options, j));
            if (quantity_value(&other) == quantity_value(&option)) {
                field_duplicate(errors, &item_at, value_printf(arena, "%lld", (long long)quantity_value(&option)));
                break;
            }
        }
    }
    if (!found)
        field_invalid_str(errors, &at, quantity_text(arena, &normal),
                          "default value is not valid according to the requestPolicy");
}

static void check_step(FieldErrors *errors, const Quantity *value, const Quantity *min, const Quantity *step,
                       const FieldPath *path) {
    int64_t size = quantity_value(step), above;
    if (size == 0 || __builtin_sub_overflow(quantity_value(value), quantity_value(min), &above))
        return;
    if (above % size)
        field_invalid_str(errors, path, quantity_text(errors->arena, value),
                          "value is not a multiple of a given step (%s) from (%s)", quantity_text(errors->arena, step),
                          quantity_text(errors->arena, min));
}

static void check_range_max(FieldErrors *errors, const Quantity *high, const Quantity *low, const Quantity *normal,
                            const Quantity *capacity, const FieldPath *path) {
    Arena *arena = errors->arena;
    if (quantity_compare(low, high) > 0)
        field_invalid_str(errors, path, quantity_text(arena, low), "min is larger than max: %s",
                          quantity_text(arena, high));
    if (quantity_compare(high, capacity) > 0)
        field_invalid_str(errors, path, quantity_text(arena, high), "max is larger than capacity value: %s",
                          quantity_text(arena, capacity));
    if (quantity_compare(normal, high) > 0)
        field_invalid_str(errors, path, quantity_text(arena, normal), "default is more than max: %s",
                          quantity_text(arena, high));
}

static void check_range(FieldErrors *errors, const Value *policy, const Quantity *capacity, const FieldPath *path) {
    const Value *range = value_get(policy, "validRange"), *min = value_get(range, "min"),
                *max = value_get(range, "max"), *step = value_get(range, "step");
    Arena *arena = errors->arena;
    Quantity normal = quantity_of(value_get(policy, "default")), low = quantity_of(min), high = quantity_of(max),
             by = quantity_of(step), next = low;
    FieldPath at = FIELD(path, "validRange"), min_at = FIELD(&at, "min"), max_at = FIELD(&at, "max"),
              step_at = FIELD(&at, "step");
    if (!min) {
        field_required(errors, &min_at, "required when validRange is defined");
        return;
    }
    if (quantity_compare(&low, capacity) > 0)
        field_invalid_str(errors, &min_at, quantity_text(arena, &low), "min is larger than capacity value: %s",
                          quantity_text(arena, capacity));
    if (quantity_compare(&normal, &low) < 0)
        field_invalid_str(errors, &min_at, quantity_text(arena, &normal), "default is less than min: %s",
                          quantity_text(arena, &low));
    if (max)
        check_range_max(errors, &high, &low, &normal, capacity, &max_at);
    if (!step)
        return;
    quantity_add(&next, &by);
    if (quantity_compare(&next, capacity) > 0)
        field_invalid_str(errors, &step_at, quantity_text(arena, &by), "one step %s is larger than capacity value: %s",
                          quantity_text(arena, &next), quantity_text(arena, capacity));
    check_step(errors, &normal, &low, &by, &step_at);
    if (max)
        check_step(errors, &high, &low, &by, &step_at);
}

/* `shared`: the device may be given to several claims. */
static void check_capacity(FieldErrors *errors, const Value *capacity, bool shared, const FieldPath *path) {
    const Value *policy = value_get(capacity, "requestPolicy");
    Quantity value = quantity_of(value_get(capacity, "value"));
    FieldPath policy_at = FIELD(path, "requestPolicy"), default_at = FIELD(&policy_at, "default");
    bool options = value_len(value_get(policy, "validValues")),
         range = value_is(value_get(policy, "validRange"), VALUE_OBJECT);
    if (!value_is(policy, VALUE_OBJECT))
        return;
    if (!shared)
        field_forbidden(errors, &policy_at, "allowMultipleAllocations must be true");
    else if (options && range)
        field_forbidden(
            errors, &policy_at,
            "exactly one policy can be specified, cannot specify \"validValues\" and \"validRange\" at the same time");
    else if ((options || range) && !value_str(value_get(policy, "default")))
        field_required(errors, &default_at,
                       options ? "required when validValues is defined" : "required when validRange is defined");
    else if (options)
        check_options(errors, policy, &value, &policy_at);
    else if (range)
        check_range(errors, policy, &value, &policy_at);
}

/* Counters */

static void check_counters(FieldErrors *errors, const Value *object, const FieldPath *path) {
    const Value *counters = value_get(object, "counters");
    FieldPath at = FIELD(path, "counters");
    if (!value_len(counters))
        field_required(errors, &at, "");
    else if (value_len(counters) > COUNTERS_MAX)
        field_too_many(errors, &at, (int64_t)value_len(counters), COUNTERS_MAX);
    else
        VALUE_FOREACH_MEMBER (m, counters)
            field_check_name(errors, &at, m->name, name_dns_label);
}

/* `member`: a const char *, the one that names the set. */
static void check_counter_set(const void *member, FieldErrors *errors, const Value *set, const FieldPath *path) {
    check_required(errors, set, member, path);
    check_name_member(errors, set, member, name_dns_label, path);
    check_counters(errors, set, path);
}

/* Where devices are */

static void check_node_name(FieldErrors *errors, const Value *object, const char *empty, const FieldPath *path) {
    const char *name = value_get_str(object, "nodeName");
    FieldPath at = FIELD(path, "nodeName");
    if (name && !*name)
        field_invalid_str(errors, &at, name, "%s", empty);
    else if (name)
        field_check_name(errors, &at, name, name_dns_subdomain);
}

/* The members set that say where something is: "`nodeName`, `allNodes`". */
static size_t check_where(FieldErrors *errors, const Value *object, const char *empty, bool per_device, Buf *set,
                          const FieldPath *path) {
    static const char *const FLAGS[] = {"allNodes", "perDeviceNodeSelection"};
    const Value *selector = value_get(object, "nodeSelector");
    FieldPath selector_at = FIELD(path, "nodeSelector");
    size_t n = 0;
    check_node_name(errors, object, empty, path);
    if (*text_of(object, "nodeName"))
        buf_printf(set, "%s`nodeName`", n++ ? ", " : "");
    if (value_is(selector, VALUE_OBJECT)) {
        buf_printf(set, "%s`nodeSelector`", n++ ? ", " : "");
        node_selector_validate(errors, selector, &selector_at);
    }
    for (size_t i = 0; i < (per_device ? 2u : 1u); i++) {
        const Value *flag = value_get(object, FLAGS[i]);
        FieldPath at = FIELD(path, FLAGS[i]);
        if (value_get_bool(object, FLAGS[i], false))
            buf_printf(set, "%s`%s`", n++ ? ", " : "", FLAGS[i]);
        else if (flag)
            field_invalid(errors, &at, flag, "must be either unset or set to true");
    }
    return n;
}

static void check_device_place(FieldErrors *errors, const Value *device, bool each, const FieldPath *path) {
    _cleanup_buf_ Buf set = BUF_INIT(256);
    if (!each) {
        if (value_get(device, "nodeName") || value_get(device, "nodeSelector") || value_get(device, "allNodes"))
            field_invalid(
                errors, path, NULL,
                "`nodeName`, `nodeSelector` and `allNodes` can only be set if `perDeviceNodeSelection` is set "
                "to true in the ResourceSlice spec");
        return;
    }
    size_t n = check_where(errors, device, "must not be empty", false, &set, path);
    if (!n)
        field_required(errors, path, ONE_OF_DEVICE);
    else if (n > 1)
        field_invalid_str(errors, path, arena_printf(errors->arena, "{%s}", set.data), ONE_OF_DEVICE);
}

typedef struct SliceContext {
    const Value *old; /* spec; NULL: a creation */
    bool each;        /* devices say where they are */
} SliceContext;

static const Value *old_device(const Value *spec, const char *name) {
    const Value *devices = value_get(spec, "devices");
    for (size_t i = 0; i < value_len(devices); i++)
        if (streq(text_of(value_at(devices, i), "name"), name))
            return value_at(devices, i);
    return NULL;
}

static void check_maps(FieldErrors *errors, const Value *device, const FieldPath *path) {
    const Value *attributes = value_get(device, "attributes"), *capacity = value_get(device, "capacity");
    FieldPath attributes_at = FIELD(path, "attributes"), capacity_at = FIELD(path, "capacity");
    size_t n = value_len(attributes) + value_len(capacity), values = attribute_values(attributes);
    bool shared = value_get_bool(device, "allowMultipleAllocations", false);
    if (n > ATTRIBUTES_MAX)
        field_invalid(errors, path, value_int(errors->arena, (int64_t)n),
                      "the total number of attributes and capacities must not exceed %d", ATTRIBUTES_MAX);
    if (values > ATTRIBUTE_VALUES_MAX)
        field_invalid(errors, path, value_int(errors->arena, (int64_t)values),
                      "the total number of attribute values must not exceed %d", ATTRIBUTE_VALUES_MAX);
    VALUE_FOREACH_MEMBER (m, attributes) {
        FieldPath at = FIELD_KEY(&attributes_at, shown_key(errors->arena, m->name, KEY_MAX));
        device_qualified_validate(errors, m->name, false, &attributes_at);
        check_attribute(errors, m->value, &at);
    }
    VALUE_FOREACH_MEMBER (m, capacity) {
        FieldPath at = FIELD_KEY(&capacity_at, shown_key(errors->arena, m->name, KEY_MAX));
        device_qualified_validate(errors, m->name, false, &capacity_at);
        check_capacity(errors, m->value, shared, &at);
    }
}

static void check_device(const void *userdata, FieldErrors *errors, const Value *device, const FieldPath *path) {
    static const DeviceCheck TAINTS = {.item = device_taint_validate, .max = TAINTS_MAX};
    static const DeviceCheck CONSUMES = {check_counter_set, "counterSet", CONSUMED_SETS_MAX, "counterSet"};
    const SliceContext *context = userdata;
    const Value *was = old_device(context->old, text_of(device, "name"));
    FieldPath name_at = FIELD(path, "name");
    field_check_name(errors, &name_at, text_of(device, "name"), name_dns_label);
    check_maps(errors, device, path);
    if (!was || !same_value(value_get(device, "taints"), value_get(was, "taints")))
        device_list_validate(errors, device, "taints", &TAINTS, path);
    device_list_validate(errors, device, "consumesCounters", &CONSUMES, path);
    check_device_place(errors, device, context->each, path);
    device_binding_validate(errors, device, path);
}

/* Does any device have what makes them larger? */
static bool has_features(const Value *devices) {
    static const char *const LISTS[] = {"bools", "ints", "strings", "versions"};
    for (size_t i = 0; i < value_len(devices); i++) {
        const Value *device = value_at(devices, i);
        if (value_len(value_get(device, "taints")) || value_len(value_get(device, "consumesCounters")))
            return true;
        VALUE_FOREACH_MEMBER (m, value_get(device, "attributes"))
            for (size_t j = 0; j < ELEMENTSOF(LISTS); j++)
                if (value_get(m->value, LISTS[j]))
                    return true;
    }
    return false;
}

static void check_pool(FieldErrors *errors, const Value *pool, const FieldPath *path) {
    int64_t slices = value_get_int(pool, "resourceSliceCount", 0), generation = value_get_int(pool, "generation", 0);
    FieldPath slices_at = FIELD(path, "resourceSliceCount"), generation_at = FIELD(path, "generation");
    device_pool_validate(errors, pool, "name", path);
    if (slices <= 0)
        field_invalid(errors, &slices_at, value_int(errors->arena, slices), "must be greater than zero");
    if (generation < 0)
        field_invalid(errors, &generation_at, value_int(errors->arena, generation),
                      "must be greater than or equal to zero");
}

static void check_slice_place(FieldErrors *errors, const Value *spec, const FieldPath *path) {
    _cleanup_buf_ Buf set = BUF_INIT(256);
    const Value *terms = value_path(spec, "nodeSelector", "nodeSelectorTerms", NULL);
    FieldPath selector_at = FIELD(path, "nodeSelector"), terms_at = FIELD(&selector_at, "nodeSelectorTerms");
    size_t n = check_where(errors, spec, "must be either unset or set to a non-empty string", true, &set, path);
    if (value_is(value_get(spec, "nodeSelector"), VALUE_OBJECT) && value_len(terms) != 1) {
        Value *selector = internal_value(errors->arena, "NodeSelector", value_get(spec, "nodeSelector"), NULL);
        field_invalid(errors, &terms_at, value_get(selector, "NodeSelectorTerms"),
                      "must have exactly one node selector term");
    }
    if (!n)
        field_required(errors, path, ONE_OF_SLICE);
    else if (n > 1)
        field_invalid_str(errors, path, arena_printf(errors->arena, "{%s}", set.data),
                          ONE_OF_SLICE ", but multiple fields are set");
}

void device_slice_validate(FieldErrors *errors, const Value *slice, const Value *old) {
    static const DeviceCheck COUNTERS = {check_counter_set, "name", COUNTER_SETS_MAX, "name"};
    const Value *spec = value_get(slice, "spec"), *was = value_get(old, "spec"), *devices = value_get(spec, "devices");
    SliceContext context = {.old = was, .each = value_get_bool(spec, "perDeviceNodeSelection", false)};
    DeviceCheck each = {check_device, &context, has_features(devices) ? FEATURED_DEVICES_MAX : DEVICES_MAX, "name"};
    FieldPath spec_at = FIELD(NULL, "spec"), pool_at = FIELD(&spec_at, "pool");
    device_driver_validate(errors, spec, "driver", &spec_at);
    check_pool(errors, value_get(spec, "pool"), &pool_at);
    if (was) {
        check_immutable_text(errors, value_get(spec, "pool"), value_get(was, "pool"), "name", &pool_at);
        check_immutable_text(errors, spec, was, "driver", &spec_at);
        check_immutable(errors, spec, was, "nodeName", &spec_at);
    }
    check_slice_place(errors, spec, &spec_at);
    if (value_get(spec, "sharedCounters") && devices)
        field_invalid_str(errors, &spec_at, "", "only one of `sharedCounters` or `devices` is allowed");
    device_list_validate(errors, spec, "devices", &each, &spec_at);
    device_list_validate(errors, spec, "sharedCounters", &COUNTERS, &spec_at);
}
