/* CustomResourceDefinitions: k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation. What they serve is made
 * by custom_resources.c. */
#include "api/json_schema.h"
#include "api/names.h"
#include "apiserver/registry/custom_resources.h"
#include "apiserver/registry/checks.h"
#include "apiserver/registry/webhook_validate.h"
#include "base/clock.h"
#include "base/str.h"

#define CLEANUP_FINALIZER "customresourcecleanup.apiextensions.k8s.io"
#define SELECTABLE_FIELDS_MAX 8
#define SCHEMA_DEPTH_MAX 100

static const char *text(const Value *v, const char *name) {
    return str_or(value_get_str(v, name), "");
}

static bool has_text(const Value *list, const char *s) {
    const Value *item;
    VALUE_FOREACH (item, list)
        if (streq_null(value_str(item), s))
            return true;
    return false;
}

/* ---- schemas ---- */

static void check_schema(const Value *schema, const char *what, FieldErrors *errors, const FieldPath *path, int depth);

static void check_type(const Value *schema, const char *what, FieldErrors *errors, const FieldPath *path) {
    static const char *const types[] = {"array", "boolean", "integer", "number", "object", "string", NULL};
    const char *type = text(schema, "type");
    FieldPath at = FIELD(path, "type");
    bool free_type = value_get_bool(schema, "x-kubernetes-int-or-string", false) ||
                     value_get_bool(schema, "x-kubernetes-preserve-unknown-fields", false);
    if (!*type) {
        if (what && !free_type)
            field_required(errors, &at, arena_printf(errors->arena, "must not be empty %s", what));
    } else if (!str_in(type, types))
        field_not_supported(errors, &at, value_string(errors->arena, type), types);
}

static void check_list_marks(const Value *schema, FieldErrors *errors, const FieldPath *path) {
    static const char *const kinds[] = {"atomic", "map", "set", NULL};
    const char *kind = text(schema, "x-kubernetes-list-type");
    const Value *keys = value_get(schema, "x-kubernetes-list-map-keys"), *key;
    FieldPath kind_path = FIELD(path, "x-kubernetes-list-type"), keys_path = FIELD(path, "x-kubernetes-list-map-keys");
    FieldPath type_path = FIELD(path, "type");
    if (*kind && !str_in(kind, kinds))
        field_not_supported(errors, &kind_path, value_string(errors->arena, kind), kinds);
    if (*kind && !streq(text(schema, "type"), "array"))
        field_invalid_str(errors, &type_path, text(schema, "type"),
                          "must be array if x-kubernetes-list-type is specified");
    if (streq(kind, "map") && !value_len(keys))
        field_required(errors, &keys_path, "must not be empty if x-kubernetes-list-type is map");
    if (!streq(kind, "map") && value_len(keys))
        field_forbidden(errors, &keys_path, "must not be set if x-kubernetes-list-type is not map");
    VALUE_FOREACH (key, keys)
        if (streq(kind, "map") && !value_path(schema, "items", "properties", str_or(value_str(key), ""), NULL))
            field_invalid(errors, &keys_path, keys, "entries must all be names of item properties");
}

static void check_default(const Value *schema, FieldErrors *errors, const FieldPath *path) {
    const Value *v = value_get(schema, "default");
    FieldPath at = FIELD(path, "default");
    _cleanup_(json_schema_freep) JsonSchema *validator = NULL;
    const char *ignored;
    if (v && v->type != VALUE_NULL && json_schema_new(schema, &validator, &ignored) == 0)
        json_schema_validate(validator, NULL, &at, v, NULL, errors);
}

static void check_forbidden(const Value *schema, FieldErrors *errors, const FieldPath *path) {
    const Value *more = value_get(schema, "additionalProperties");
    FieldPath ref = FIELD(path, "$ref"), unique = FIELD(path, "uniqueItems"),
              more_path = FIELD(path, "additionalProperties");
    FieldPath pattern_path = FIELD(path, "pattern");
    const char *pattern = NULL;
    _cleanup_(json_schema_freep) JsonSchema *validator = NULL;
    if (!str_empty(value_get_str(schema, "$ref")))
        field_forbidden(errors, &ref, "$ref is not supported");
    if (value_get_bool(schema, "uniqueItems", false))
        field_forbidden(errors, &unique,
                        "uniqueItems cannot be set to true since the runtime complexity becomes quadratic");
    if (value_is(more, VALUE_BOOL) && !more->boolean)
        field_forbidden(errors, &more_path, "additionalProperties cannot be set to false");
    if (more && value_len(value_get(schema, "properties")))
        field_forbidden(errors, &more_path, "additionalProperties and properties are mutual exclusive");
    if (!str_empty(value_get_str(schema, "pattern")) && json_schema_new(schema, &validator, &pattern) < 0 &&
        streq(pattern, value_get_str(schema, "pattern")))
        field_invalid_str(errors, &pattern_path, pattern,
                          "must be a valid regular expression that this server knows (no lazy repetition, no Unicode "
                          "classes)");
}

static void check_schema(const Value *schema, const char *what, FieldErrors *errors, const FieldPath *path, int depth) {
    const Value *items = value_get(schema, "items"), *more = value_get(schema, "additionalProperties");
    FieldPath properties = FIELD(path, "properties"), items_path = FIELD(path, "items");
    FieldPath more_path = FIELD(path, "additionalProperties");
    if (!value_is(schema, VALUE_OBJECT) || depth > SCHEMA_DEPTH_MAX)
        return;
    check_type(schema, what, errors, path);
    check_forbidden(schema, errors, path);
    check_list_marks(schema, errors, path);
    check_default(schema, errors, path);
    VALUE_FOREACH_MEMBER (m, value_get(schema, "properties")) {
        FieldPath at = FIELD_KEY(&properties, m->name);
        bool meta = depth == 0 && streq(m->name, "metadata");
        check_schema(m->value, meta ? NULL : "for specified object fields", errors, &at, depth + 1);
    }
    if (value_is(items, VALUE_ARRAY))
        field_forbidden(errors, &items_path, "items must be a schema object and not an array");
    else
        check_schema(items, "for specified array items", errors, &items_path, depth + 1);
    if (streq(text(schema, "type"), "array") && !items)
        field_required(errors, &items_path, "must be specified");
    check_schema(more, "for specified object fields", errors, &more_path, depth + 1);
}

static void check_version_schema(const Value *version, FieldErrors *errors, const FieldPath *path) {
    const Value *schema = value_path(version, "schema", "openAPIV3Schema", NULL);
    FieldPath outer = FIELD(path, "schema"), at = FIELD(&outer, "openAPIV3Schema"), type = FIELD(&at, "type");
    if (!value_is(schema, VALUE_OBJECT)) {
        field_required(errors, &at, "");
        return;
    }
    check_schema(schema, "at the root", errors, &at, 0);
    if (*text(schema, "type") && !streq(text(schema, "type"), "object"))
        field_invalid_str(errors, &type, text(schema, "type"), "must be object at the root");
}

/* ---- versions ---- */

static void check_scale(const Value *scale, FieldErrors *errors, const FieldPath *path) {
    static const struct {
        const char *name, *root;
        bool required;
    } paths[] = {{"specReplicasPath", ".spec.", true},
                 {"statusReplicasPath", ".status.", true},
                 {"labelSelectorPath", ".s", false}};
    for (size_t i = 0; value_is(scale, VALUE_OBJECT) && i < ELEMENTSOF(paths); i++) {
        const char *s = text(scale, paths[i].name);
        FieldPath at = FIELD(path, paths[i].name);
        if (!*s && paths[i].required)
            field_required(errors, &at, "");
        else if (*s && !custom_resource_path_ok(s))
            field_invalid_str(errors, &at, s, "not a valid simple JSON path with . notation");
        else if (*s && !str_has_prefix(s, paths[i].root))
            field_invalid_str(errors, &at, s, "should be a json path under %.*s", (int)strlen(paths[i].root) - 1,
                              paths[i].root);
    }
}

static void check_column(const Value *column, FieldErrors *errors, const FieldPath *path) {
    static const char *const types[] = {"boolean", "date", "integer", "number", "string", NULL};
    FieldPath name = FIELD(path, "name"), type = FIELD(path, "type"), json = FIELD(path, "jsonPath");
    if (!*text(column, "name"))
        field_required(errors, &name, "");
    if (!*text(column, "type"))
        field_required(errors, &type, arena_strdup(errors->arena, "must be one of boolean,date,integer,number,string"));
    else if (!str_in(text(column, "type"), types))
        field_invalid_str(errors, &type, text(column, "type"), "must be one of boolean,date,integer,number,string");
    if (!*text(column, "jsonPath"))
        field_required(errors, &json, "");
    else if (!custom_resource_path_ok(text(column, "jsonPath")))
        field_invalid_str(errors, &json, text(column, "jsonPath"),
                          "this server prints simple paths only, such as .spec.list[0].name");
}

static void check_selectable(const Value *fields, FieldErrors *errors, const FieldPath *path) {
    if (value_len(fields) > SELECTABLE_FIELDS_MAX)
        field_too_many(errors, path, (int64_t)value_len(fields), SELECTABLE_FIELDS_MAX);
    for (size_t i = 0; i < value_len(fields); i++) {
        FieldPath item = FIELD_INDEX(path, i), at = FIELD(&item, "jsonPath");
        const char *s = text(value_at(fields, i), "jsonPath");
        if (!*s)
            field_required(errors, &at, "");
        else if (!custom_resource_path_ok(s) || strchr(s, '['))
            field_invalid_str(errors, &at, s, "is an invalid path: must be a simple path without indexes");
        else if (str_has_prefix(s, ".metadata"))
            field_invalid_str(errors, &at, s, "must not point to fields in metadata");
    }
}

static void check_version(const Value *version, FieldErrors *errors, const FieldPath *path) {
    FieldPath warning = FIELD(path, "deprecationWarning"), subresources = FIELD(path, "subresources");
    FieldPath scale = FIELD(&subresources, "scale"), columns = FIELD(path, "additionalPrinterColumns");
    FieldPath selectable = FIELD(path, "selectableFields"), name = FIELD(path, "name");
    const char *says = value_get_str(version, "deprecationWarning");
    field_check_name(errors, &name, text(version, "name"), name_dns1035_label);
    if (says && !value_get_bool(version, "deprecated", false))
        field_invalid_str(errors, &warning, says, "can only be set for deprecated versions");
    else if (says && !*says)
        field_invalid_str(errors, &warning, says, "must not be an empty string");
    else if (says && strlen(says) > 256)
        field_invalid_str(errors, &warning, says, "must be <= 256 characters long");
    check_version_schema(version, errors, path);
    check_scale(value_path(version, "subresources", "scale", NULL), errors, &scale);
    for (size_t i = 0; i < value_len(value_get(version, "additionalPrinterColumns")); i++) {
        FieldPath at = FIELD_INDEX(&columns, i);
        check_column(value_at(value_get(version, "additionalPrinterColumns"), i), errors, &at);
    }
    check_selectable(value_get(version, "selectableFields"), errors, &selectable);
}

static void check_versions(const Value *versions, FieldErrors *errors, const FieldPath *path) {
    size_t stored = 0;
    bool twice = false;
    for (size_t i = 0; i < value_len(versions); i++) {
        const Value *version = value_at(versions, i);
        FieldPath at = FIELD_INDEX(path, i);
        stored += value_get_bool(version, "storage", false);
        for (size_t j = 0; j < i; j++)
            twice = twice || streq(text(value_at(versions, j), "name"), text(version, "name"));
        check_version(version, errors, &at);
    }
    if (twice)
        field_invalid(errors, path, versions, "must contain unique version names");
    if (stored != 1)
        field_invalid(errors, path, versions, "must have exactly one version marked as storage version");
}

/* ---- names ---- */

static void check_label(FieldErrors *errors, const FieldPath *path, const char *name) {
    NameMessages messages = {.arena = errors->arena};
    name_dns1035_label(name, &messages);
    for (size_t i = 0; i < messages.n; i++)
        field_invalid_str(errors, path, name, "%s", messages.items[i]);
}

static char *lower(Arena *arena, const char *s) {
    char *out = arena_strdup(arena, s);
    for (char *p = out; *p; p++)
        *p = *p >= 'A' && *p <= 'Z' ? (char)(*p - 'A' + 'a') : *p;
    return out;
}

static void check_names(const Value *names, FieldErrors *errors, const FieldPath *path) {
    static const char *const needed[] = {"plural", "singular", "kind", "listKind"};
    FieldPath list_kind = FIELD(path, "listKind");
    for (size_t i = 0; i < ELEMENTSOF(needed); i++) {
        FieldPath at = FIELD(path, needed[i]);
        if (!*text(names, needed[i]))
            field_required(errors, &at, "");
    }
    for (size_t i = 0; i < ELEMENTSOF(needed); i++) {
        FieldPath at = FIELD(path, needed[i]);
        const char *name = text(names, needed[i]);
        if (*name)
            check_label(errors, &at, i < 2 ? name : lower(errors->arena, name));
    }
    static const char *const lists[] = {"shortNames", "categories"};
    for (size_t i = 0; i < ELEMENTSOF(lists); i++) {
        FieldPath at = FIELD(path, lists[i]);
        for (size_t j = 0; j < value_len(value_get(names, lists[i])); j++) {
            FieldPath item = FIELD_INDEX(&at, j);
            check_label(errors, &item, str_or(value_str(value_at(value_get(names, lists[i]), j)), ""));
        }
    }
    if (*text(names, "kind") && streq(text(names, "kind"), text(names, "listKind")))
        field_invalid_str(errors, &list_kind, text(names, "listKind"), "kind and listKind may not be the same");
}

static void check_group(const char *group, FieldErrors *errors, const FieldPath *path) {
    if (!*group)
        field_required(errors, path, "");
    else if (!name_is_valid(group, name_dns_subdomain))
        field_check_name(errors, path, group, name_dns_subdomain);
    else if (!strchr(group, '.'))
        field_invalid_str(errors, path, group, "should be a domain with at least one dot");
}

static void check_review_versions(const Value *versions, FieldErrors *errors, const FieldPath *path) {
    if (!value_len(versions))
        field_required(errors, path, "");
    for (size_t i = 0; i < value_len(versions); i++) {
        const char *version = str_or(value_str(value_at(versions, i)), "");
        FieldPath at = FIELD_INDEX(path, i);
        if (value_index_of(versions, version) < i)
            field_invalid_str(errors, &at, version, "duplicate version");
        else
            field_check_name(errors, &at, version, name_dns1035_label);
    }
    if (value_len(versions) && !list_has(versions, "v1") && !list_has(versions, "v1beta1"))
        field_invalid(errors, path, versions, "must include at least one of v1, v1beta1");
}

/* Paths are those of the internal type, as in the reference's messages. */
static void check_conversion_webhook(const Value *webhook, bool wanted, FieldErrors *errors, const FieldPath *path) {
    static const char why_not[] = "should not be set when strategy is not set to Webhook";
    const Value *client = value_get(webhook, "clientConfig"),
                *versions = value_get(webhook, "conversionReviewVersions");
    FieldPath client_at = FIELD(path, "webhookClientConfig"), versions_at = FIELD(path, "conversionReviewVersions");
    if (!wanted) {
        if (client)
            field_forbidden(errors, &client_at, why_not);
        if (value_len(versions))
            field_forbidden(errors, &versions_at, why_not);
        return;
    }
    if (client)
        webhook_client_validate(errors, client, &client_at);
    else
        field_required(errors, &client_at, "required when strategy is set to Webhook");
    check_review_versions(versions, errors, &versions_at);
}

static void check_conversion(const Value *conversion, FieldErrors *errors, const FieldPath *path) {
    static const char *const strategies[] = {"None", "Webhook", NULL};
    FieldPath at = FIELD(path, "strategy");
    const char *strategy = text(conversion, "strategy");
    if (!conversion)
        return;
    if (!*strategy)
        field_required(errors, &at, "");
    else if (!str_in(strategy, strategies))
        field_not_supported(errors, &at, value_string(errors->arena, strategy), strategies);
    check_conversion_webhook(value_get(conversion, "webhook"), streq(strategy, "Webhook"), errors, path);
}

static void check_spec(const Value *spec, FieldErrors *errors) {
    static const char *const scopes[] = {"Cluster", "Namespaced", NULL};
    FieldPath path = FIELD(NULL, "spec"), group = FIELD(&path, "group"), scope = FIELD(&path, "scope");
    FieldPath versions = FIELD(&path, "versions"), names = FIELD(&path, "names"),
              conversion = FIELD(&path, "conversion");
    FieldPath preserve = FIELD(&path, "preserveUnknownFields");
    check_group(text(spec, "group"), errors, &group);
    if (!*text(spec, "scope"))
        field_required(errors, &scope, "");
    else if (!str_in(text(spec, "scope"), scopes))
        field_not_supported(errors, &scope, value_get(spec, "scope"), scopes);
    check_versions(value_get(spec, "versions"), errors, &versions);
    check_names(value_get(spec, "names"), errors, &names);
    check_conversion(value_get(spec, "conversion"), errors, &conversion);
    if (value_get_bool(spec, "preserveUnknownFields", false))
        field_invalid(errors, &preserve, value_get(spec, "preserveUnknownFields"),
                      "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in "
                      "spec.versions[*].schema instead");
}

static void validate_stored(const Value *object, FieldErrors *errors) {
    const Value *stored = value_path(object, "status", "storedVersions", NULL),
                *versions = value_path(object, "spec", "versions", NULL), *version;
    FieldPath status = FIELD(NULL, "status"), path = FIELD(&status, "storedVersions");
    if (!value_len(stored)) {
        field_invalid(errors, &path, stored, "must have at least one stored version");
        return;
    }
    for (size_t i = 0; i < stored->len; i++) {
        const char *name = str_or(value_str(stored->items[i]), "");
        FieldPath at = FIELD_INDEX(&path, i);
        bool found = false;
        VALUE_FOREACH (version, versions)
            found = found || streq(text(version, "name"), name);
        if (!found)
            field_invalid_str(errors, &at, name,
                              "missing from spec.versions; %s was previously a storage version, and must remain in "
                              "spec.versions until a storage migration ensures no data remains persisted in %s and "
                              "removes %s from status.storedVersions",
                              name, name, name);
    }
}

/* ---- the strategy ---- */

static void validate(StrategyContext *context, const Value *object, FieldErrors *errors) {
    (void)context;
    const Value *spec = value_get(object, "spec");
    const char *name = text(value_get(object, "metadata"), "name");
    FieldPath meta = FIELD(NULL, "metadata"), at = FIELD(&meta, "name");
    if (!streq(name,
               arena_printf(errors->arena, "%s.%s", text(value_get(spec, "names"), "plural"), text(spec, "group"))))
        field_invalid_str(errors, &at, name, "must be spec.names.plural+\".\"+spec.group");
    check_spec(spec, errors);
    validate_stored(object, errors);
}

static bool is_true(const Value *object, const char *type) {
    const Value *condition;
    VALUE_FOREACH (condition, value_path(object, "status", "conditions", NULL))
        if (streq(text(condition, "type"), type))
            return streq(text(condition, "status"), "True");
    return false;
}

static void immutable(const Value *now, const Value *was, const char *name, FieldErrors *errors,
                      const FieldPath *path) {
    FieldPath at = FIELD(path, name);
    if (!streq(text(now, name), text(was, name)))
        field_invalid_str(errors, &at, text(now, name), "field is immutable");
}

static void validate_update(StrategyContext *context, const Value *object, const Value *old, FieldErrors *errors) {
    (void)context;
    const Value *spec = value_get(object, "spec"), *was = value_get(old, "spec");
    FieldPath path = FIELD(NULL, "spec"), names = FIELD(&path, "names");
    if (is_true(old, "Established")) {
        immutable(spec, was, "group", errors, &path);
        immutable(spec, was, "scope", errors, &path);
        immutable(value_get(spec, "names"), value_get(was, "names"), "kind", errors, &names);
    }
    immutable(value_get(spec, "names"), value_get(was, "names"), "plural", errors, &names);
}

/* The version that is stored from now on joins those that may be in the store. */
static void note_stored(StrategyContext *context, Value *object) {
    Value *stored =
        value_ensure_array(context->arena, value_ensure_object(context->arena, object, "status"), "storedVersions");
    const Value *version;
    VALUE_FOREACH (version, value_path(object, "spec", "versions", NULL))
        if (value_get_bool(version, "storage", false) && !has_text(stored, text(version, "name")))
            value_append(context->arena, stored, value_string(context->arena, text(version, "name")));
}

static void prepare_for_create(StrategyContext *context, Value *object) {
    value_set(context->arena, object, "status", value_object(context->arena));
    note_stored(context, object);
}

static void prepare_for_update(StrategyContext *context, Value *object, const Value *old) {
    (void)old;
    note_stored(context, object);
}

/* A first deletion waits for the objects (the definitions' keeper deletes them and then lets go). */
static bool holds_deletion(const Value *object) {
    return !value_path(object, "metadata", "deletionTimestamp", NULL);
}

static void mark_deleting(StrategyContext *context, Value *object) {
    char now[RFC3339_MAX];
    Arena *arena = context->arena;
    Value *finalizers = value_ensure_array(arena, value_ensure_object(arena, object, "metadata"), "finalizers");
    Value *conditions = value_ensure_array(arena, value_ensure_object(arena, object, "status"), "conditions");
    if (!has_text(finalizers, CLEANUP_FINALIZER))
        value_append(arena, finalizers, value_string(arena, CLEANUP_FINALIZER));
    if (is_true(object, "Terminating"))
        return;
    Value *condition = value_object(arena);
    value_set_str(arena, condition, "type", "Terminating");
    value_set_str(arena, condition, "status", "True");
    value_set_str(arena, condition, "lastTransitionTime", rfc3339_format(context->now_ns, now));
    value_set_str(arena, condition, "reason", "InstanceDeletionPending");
    value_set_str(arena, condition, "message",
                  "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon");
    value_append(arena, conditions, condition);
}

static const Strategy rows[] = {
    {
        .group = "apiextensions.k8s.io",
        .plural = "customresourcedefinitions",
        .has_generation = true,
        .prepare_for_create = prepare_for_create,
        .prepare_for_update = prepare_for_update,
        .validate = validate,
        .validate_update = validate_update,
        .holds_deletion = holds_deletion,
        .mark_deleting = mark_deleting,
    },
};
const StrategyTable strategies_crds = {rows, ELEMENTSOF(rows)};
