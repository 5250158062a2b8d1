/* CustomResourceDefinitions: k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation. What they serve is made
 * by custom_resources.c. */
#include "api/names.h"
#include "apiserver/registry/checks.h"
#include "apiserver/registry/crd_approval.h"
#include "apiserver/registry/crd_defaults.h"
#include "apiserver/registry/crd_schema_validate.h"
#include "apiserver/registry/strategy.h"
#include "apiserver/registry/webhook_validate.h"
#include "base/clock.h"
#include "base/str.h"
#include "apiserver/registry/validate_util.h"

#define CLEANUP_FINALIZER "customresourcecleanup.apiextensions.k8s.io"
#define SELECTABLE_FIELDS_MAX 8
#define DEPRECATION_MAX 256 /* bytes of a warning */

static const char *text(const Value *v, const char *name) {
    return str_or(value_get_str(v, name), "");
}

/* `name` must be a DNS-1035 label; `shown` is what was written. */
static void check_label(FieldErrors *errors, const FieldPath *path, const char *name, const char *shown,
                        const char *prefix) {
    NameMessages messages = {.arena = errors->arena};
    name_dns1035_label(name, &messages);
    if (messages.n)
        field_invalid_str(errors, path, shown, "%s%s", prefix, name_messages_text(&messages, ","));
}

static bool same(const Value *a, const Value *b) {
    return a ? b && value_equal(a, b) : !b;
}

/* The reference keeps what all versions have alike in the spec itself, and names it there. */
static bool is_shared(const Value *versions, const char *name) {
    for (size_t i = 1; i < value_len(versions); i++)
        if (!same(value_get(value_at(versions, i), name), value_get(value_at(versions, 0), name)))
            return false;
    return true;
}

/* ---- versions ---- */

static void check_simple_path(const char *s, FieldErrors *errors, const FieldPath *path) {
    if (*s != '.')
        field_invalid_str(errors, path, s, "must be a simple json path starting with .");
}

static void check_scale(const Value *scale, FieldErrors *errors, const FieldPath *path) {
    static const struct {
        const char *name, *field, *root, *other, *says;
    } paths[] = {
        {"specReplicasPath", "scale.specReplicasPath", ".spec.", ".spec.", "should be a json path under .spec"},
        {"statusReplicasPath", "scale.statusReplicasPath", ".status.", ".status.",
         "should be a json path under .status"},
        {"labelSelectorPath", "scale.labelSelectorPath", ".spec.", ".status.",
         "should be a json path under either .spec or .status"},
    };
    for (size_t i = 0; value_is(scale, VALUE_OBJECT) && i < ELEMENTSOF(paths); i++) {
        const char *s = text(scale, paths[i].name);
        FieldPath at = FIELD(path, paths[i].field);
        if (!*s && i < 2)
            field_required(errors, &at, "");
        else if (*s && *s != '.')
            check_simple_path(s, errors, &at);
        else if (*s && !str_has_prefix(s, paths[i].root) && !str_has_prefix(s, paths[i].other))
            field_invalid_str(errors, &at, s, "%s", paths[i].says);
    }
}

static void check_column(const Value *column, FieldErrors *errors, const FieldPath *path) {
    static const char *const types[] = {"boolean", "date", "integer", "number", "string", NULL};
    static const char *const formats[] = {"byte",  "date",  "date-time", "double", "float",
                                          "int32", "int64", "password",  NULL};
    static const char one_type[] = "must be one of boolean,date,integer,number,string";
    FieldPath name = FIELD(path, "name"), type = FIELD(path, "type"), json = FIELD(path, "JSONPath");
    FieldPath format = FIELD(path, "format");
    if (!*text(column, "name"))
        field_required(errors, &name, "");
    if (!*text(column, "type"))
        field_required(errors, &type, one_type);
    else if (!str_in(text(column, "type"), types))
        field_invalid_str(errors, &type, text(column, "type"), one_type);
    if (*text(column, "format") && !str_in(text(column, "format"), formats))
        field_invalid_str(errors, &format, text(column, "format"),
                          "must be one of byte,date,date-time,double,float,int32,int64,password");
    if (!*text(column, "jsonPath"))
        field_required(errors, &json, "");
    else
        check_simple_path(text(column, "jsonPath"), errors, &json);
}

static void check_columns(const Value *columns, FieldErrors *errors, const FieldPath *path) {
    FieldPath list = FIELD(path, "additionalPrinterColumns");
    for (size_t i = 0; i < value_len(columns); i++) {
        FieldPath at = FIELD_INDEX(&list, i);
        check_column(value_at(columns, i), errors, &at);
    }
}

static void check_selectable_field(const char *s, const Value *schema, Value *seen, FieldErrors *errors,
                                   const FieldPath *path) {
    static const char *const types[] = {"string", "boolean", "integer", NULL};
    const char *field = "", *why = "";
    if (!*s) {
        field_required(errors, path, "");
        return;
    }
    const Value *found = crd_schema_field(errors->arena, schema, s, false, &field, &why);
    if (!found) {
        field_invalid_str(errors, path, s, "is an invalid path: %s", why);
        return;
    }
    if (streq(field, "metadata") || str_has_prefix(field, "metadata."))
        field_invalid_str(errors, path, s, "must not point to fields in metadata");
    if (!str_in(text(found, "type"), types))
        field_invalid_str(
            errors, path, s,
            "must point to a field of type string, boolean or integer. Enum string fields and strings with "
            "formats are allowed.");
    if (list_has(seen, field))
        field_duplicate(errors, path, value_string(errors->arena, s));
    else
        value_append(errors->arena, seen, value_string(errors->arena, field));
}

static void check_selectable(const Value *fields, const Value *validation, const char *no_schema, FieldErrors *errors,
                             const FieldPath *path) {
    const Value *schema = value_get(validation, "openAPIV3Schema");
    FieldPath list = FIELD(path, "selectableFields");
    Value *seen = value_array(errors->arena);
    if (value_len(fields) && !schema)
        field_invalid_str(errors, &list, "", "%s", no_schema);
    for (size_t i = 0; schema && i < value_len(fields); i++) {
        FieldPath item = FIELD_INDEX(&list, i), at = FIELD(&item, "jsonPath");
        check_selectable_field(text(value_at(fields, i), "jsonPath"), schema, seen, errors, &at);
    }
    if (seen->len > SELECTABLE_FIELDS_MAX)
        field_too_many(errors, &list, seen->len, SELECTABLE_FIELDS_MAX);
}

static void check_warning(const Value *version, FieldErrors *errors, const FieldPath *path) {
    const Value *v = value_get(version, "deprecationWarning");
    const char *says = value_str(v);
    FieldPath at = FIELD(path, "deprecationWarning");
    if (!says)
        return;
    if (!value_get_bool(version, "deprecated", false)) {
        field_invalid(errors, &at, v, "can only be set for deprecated versions");
        return;
    }
    if (strlen(says) > DEPRECATION_MAX)
        field_invalid(errors, &at, v, "must be <= 256 characters long");
    if (!*says)
        field_invalid(errors, &at, v, "must not be an empty string");
    for (size_t i = 0; says[i]; i++)
        if ((unsigned char)says[i] < 0x20 || says[i] == 0x7F) {
            field_invalid(errors, &at, v,
                          "must only contain printable UTF-8 characters; non-printable character found at index %zu",
                          i);
            break;
        }
}

static bool has_status(const Value *version) {
    return value_is(value_path(version, "subresources", "status", NULL), VALUE_OBJECT);
}

typedef struct Shared {
    bool schema, subresources, columns, selectable;
} Shared;

static void check_version(const Value *version, Shared shared, FieldErrors *errors, const FieldPath *path) {
    FieldPath name = FIELD(path, "name"), schema = FIELD(path, "schema"), subresources = FIELD(path, "subresources");
    check_label(errors, &name, text(version, "name"), text(version, "name"), "");
    check_warning(version, errors, path);
    if (!shared.schema)
        crd_schema_validate(value_get(version, "schema"), has_status(version), errors, &schema);
    if (!shared.subresources)
        check_scale(value_path(version, "subresources", "scale", NULL), errors, &subresources);
    if (!shared.columns)
        check_columns(value_get(version, "additionalPrinterColumns"), errors, path);
    if (!shared.selectable)
        check_selectable(value_get(version, "selectableFields"), shared.schema ? NULL : value_get(version, "schema"),
                         "may only be set when `version.schema.openAPIV3Schema` is not included", errors, path);
}

static void check_version_list(const Value *versions, FieldErrors *errors, const FieldPath *path) {
    size_t stored = 0;
    bool twice = false;
    for (size_t i = 0; i < value_len(versions); i++) {
        const Value *version = value_at(versions, i);
        stored += value_get_bool(version, "storage", false);
        twice = twice || seen_before(errors, versions, i, "name", text(version, "name"));
    }
    if (twice)
        field_invalid(errors, path, versions, "must contain unique version names");
    if (stored != 1)
        field_invalid(errors, path, versions, "must have exactly one version marked as storage version");
}

static Shared check_versions(const Value *versions, FieldErrors *errors, const FieldPath *spec) {
    const Value *first = value_at(versions, 0);
    FieldPath path = FIELD(spec, "versions"), name = FIELD(spec, "version");
    Shared shared = {is_shared(versions, "schema"), is_shared(versions, "subresources"),
                     is_shared(versions, "additionalPrinterColumns"), is_shared(versions, "selectableFields")};
    bool one_for_all = shared.schema && value_path(first, "schema", "openAPIV3Schema", NULL);
    for (size_t i = 0; !one_for_all && i < value_len(versions); i++) {
        FieldPath version = FIELD_INDEX(&path, i), schema = FIELD(&version, "schema");
        FieldPath at = FIELD(&schema, "openAPIV3Schema");
        if (!value_is(value_path(value_at(versions, i), "schema", "openAPIV3Schema", NULL), VALUE_OBJECT))
            field_required(errors, &at, "");
    }
    for (size_t i = 0; i < value_len(versions); i++) {
        FieldPath at = FIELD_INDEX(&path, i);
        check_version(value_at(versions, i), shared, errors, &at);
    }
    check_version_list(versions, errors, &path);
    if (*text(first, "name"))
        check_label(errors, &name, text(first, "name"), text(first, "name"), "");
    return shared;
}

/* What all versions share. */
static void check_shared(const Value *versions, Shared shared, FieldErrors *errors, const FieldPath *spec) {
    const Value *first = value_at(versions, 0);
    FieldPath validation = FIELD(spec, "validation"), subresources = FIELD(spec, "subresources");
    bool status = false;
    for (size_t i = 0; i < value_len(versions); i++)
        status = status || has_status(value_at(versions, i));
    if (shared.schema)
        crd_schema_validate(value_get(first, "schema"), status, errors, &validation);
    if (shared.subresources)
        check_scale(value_path(first, "subresources", "scale", NULL), errors, &subresources);
    if (shared.columns)
        check_columns(value_get(first, "additionalPrinterColumns"), errors, spec);
    if (shared.selectable)
        check_selectable(value_get(first, "selectableFields"), shared.schema ? value_get(first, "schema") : NULL,
                         "may only be set when validations.schema is included", errors, spec);
}

/* ---- names ---- */

static char *lower(Arena *arena, const char *s) {
    char *out = arena_strdup(arena, s);
    for (char *p = out; *p; p++)
        *p = *p >= 'A' && *p <= 'Z' ? (char)(*p - 'A' + 'a') : *p;
    return out;
}

static void check_accepted(const Value *names, FieldErrors *errors, const FieldPath *path) {
    static const char *const labels[] = {"plural", "singular"}, *const kinds[] = {"kind", "listKind"},
                             *const lists[] = {"shortNames", "categories"};
    FieldPath list_kind = FIELD(path, "listKind");
    for (size_t i = 0; i < ELEMENTSOF(labels); i++) {
        FieldPath at = FIELD(path, labels[i]);
        if (*text(names, labels[i]))
            check_label(errors, &at, text(names, labels[i]), text(names, labels[i]), "");
    }
    for (size_t i = 0; i < ELEMENTSOF(kinds); i++) {
        FieldPath at = FIELD(path, kinds[i]);
        const char *kind = text(names, kinds[i]);
        if (*kind)
            check_label(errors, &at, lower(errors->arena, kind), kind,
                        "may have mixed case, but should otherwise match: ");
    }
    for (size_t i = 0; i < ELEMENTSOF(lists); i++) {
        FieldPath at = FIELD(path, lists[i]);
        if (i == 1 && *text(names, "kind") && streq(text(names, "kind"), text(names, "listKind")))
            field_invalid_str(errors, &list_kind, text(names, "listKind"), "kind and listKind may not be the same");
        for (size_t j = 0; j < value_len(value_get(names, lists[i])); j++) {
            FieldPath item = FIELD_INDEX(&at, j);
            const char *name = str_or(value_str(value_at(value_get(names, lists[i]), j)), "");
            check_label(errors, &item, name, name, "");
        }
    }
}

static void check_names(const Value *names, FieldErrors *errors, const FieldPath *path) {
    static const char *const needed[] = {"plural", "singular", "kind", "listKind"};
    for (size_t i = 0; i < ELEMENTSOF(needed); i++) {
        FieldPath at = FIELD(path, needed[i]);
        if (!*text(names, needed[i]))
            field_required(errors, &at, "");
    }
    check_accepted(names, errors, path);
}

static void check_group(const char *group, FieldErrors *errors, const FieldPath *path) {
    NameMessages messages = {.arena = errors->arena};
    if (!*group) {
        field_required(errors, path, "");
        return;
    }
    name_dns_subdomain(group, &messages);
    if (messages.n)
        field_invalid_str(errors, path, group, "%s", name_messages_text(&messages, ","));
    else if (!strchr(group, '.'))
        field_invalid_str(errors, path, group, "should be a domain with at least one dot");
}

static void check_review_versions(const Value *versions, FieldErrors *errors, const FieldPath *path) {
    if (!value_len(versions))
        field_required(errors, path, "");
    for (size_t i = 0; i < value_len(versions); i++) {
        const char *version = str_or(value_str(value_at(versions, i)), "");
        FieldPath at = FIELD_INDEX(path, i);
        if (seen_before(errors, versions, i, NULL, version))
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

static bool has_defaults(const Value *versions) {
    const Value *version;
    VALUE_FOREACH (version, versions)
        if (crd_defaults_any(value_path(version, "schema", "openAPIV3Schema", NULL)))
            return true;
    return false;
}

static void check_spec(const Value *spec, FieldErrors *errors) {
    static const char *const scopes[] = {"Cluster", "Namespaced", NULL};
    FieldPath path = FIELD(NULL, "spec"), group = FIELD(&path, "group"), scope = FIELD(&path, "scope");
    FieldPath names = FIELD(&path, "names"), conversion = FIELD(&path, "conversion"),
              preserve = FIELD(&path, "preserveUnknownFields");
    const Value *versions = value_get(spec, "versions");
    check_group(text(spec, "group"), errors, &group);
    if (!*text(spec, "scope"))
        field_required(errors, &scope, "");
    else if (!str_in(text(spec, "scope"), scopes))
        field_not_supported(errors, &scope, value_get(spec, "scope"), scopes);
    if (value_get_bool(spec, "preserveUnknownFields", false) && has_defaults(versions))
        field_invalid(errors, &preserve, value_get(spec, "preserveUnknownFields"),
                      "must be false in order to use defaults in the schema");
    Shared shared = check_versions(versions, errors, &path);
    check_names(value_get(spec, "names"), errors, &names);
    check_shared(versions, shared, errors, &path);
    check_conversion(value_get(spec, "conversion"), errors, &conversion);
}

static void validate_stored(const Value *object, FieldErrors *errors) {
    const Value *stored = value_path(object, "status", "storedVersions", NULL),
                *versions = value_path(object, "spec", "versions", NULL), *version;
    FieldPath status = FIELD(NULL, "status"), path = FIELD(&status, "storedVersions");
    if (!value_len(stored)) {
        field_invalid(errors, &path, NULL, "must have at least one stored version");
        return;
    }
    for (size_t i = 0; i < value_len(versions); i++) {
        const char *name = text(value_at(versions, i), "name");
        bool told = list_has(stored, name) && !seen_before(errors, versions, i, "name", name);
        if (value_get_bool(value_at(versions, i), "storage", false) && !told)
            field_invalid(errors, &path, stored, "must have the storage version %s", name);
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

/* ---- API approval ---- */

static void check_approval(const Value *object, const Value *old, FieldErrors *errors) {
    const char *message, *before;
    CrdApproval approval = crd_approval(errors->arena, object, &message);
    FieldPath meta = FIELD(NULL, "metadata"), annotations = FIELD(&meta, "annotations"),
              at = FIELD_KEY(&annotations, CRD_APPROVAL_ANNOTATION);
    if (old && crd_approval_state(errors->arena, old, &before) == approval)
        return;
    if (approval == CRD_APPROVAL_MISSING)
        field_required(errors, &at, message);
    else if (approval == CRD_APPROVAL_INVALID)
        field_invalid(errors, &at, value_path(object, "metadata", "annotations", CRD_APPROVAL_ANNOTATION, NULL), "%s",
                      message);
}

/* ---- the strategy ---- */

static void check_all(const Value *object, const Value *old, FieldErrors *errors) {
    const Value *spec = value_get(object, "spec");
    FieldPath path = FIELD(NULL, "spec"), preserve = FIELD(&path, "preserveUnknownFields");
    FieldPath status = FIELD(NULL, "status"), accepted = FIELD(&status, "acceptedNames");
    check_accepted(value_path(object, "status", "acceptedNames", NULL), errors, &accepted);
    validate_stored(object, errors);
    check_approval(object, old, errors);
    if (value_get_bool(spec, "preserveUnknownFields", false) &&
        !value_get_bool(value_get(old, "spec"), "preserveUnknownFields", false))
        field_invalid(errors, &preserve, value_get(spec, "preserveUnknownFields"),
                      "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in "
                      "spec.versions[*].schema instead");
}

static void validate(StrategyContext *context, const Value *object, FieldErrors *errors) {
    (void)context;
    const Value *spec = value_get(object, "spec");
    const char *name = text(value_get(object, "metadata"), "name");
    FieldPath meta = FIELD(NULL, "metadata"), at = FIELD(&meta, "name");
    if (*name && !streq(name, arena_printf(errors->arena, "%s.%s", text(value_get(spec, "names"), "plural"),
                                           text(spec, "group"))))
        field_invalid_str(errors, &at, name, "must be spec.names.plural+\".\"+spec.group");
    check_spec(spec, errors);
    check_all(object, NULL, errors);
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
    check_spec(spec, errors);
    if (is_true(old, "Established")) {
        immutable(spec, was, "scope", errors, &path);
        immutable(value_get(spec, "names"), value_get(was, "names"), "kind", errors, &names);
    }
    immutable(spec, was, "group", errors, &path);
    immutable(value_get(spec, "names"), value_get(was, "names"), "plural", errors, &names);
    check_all(object, old, errors);
}

/* The version that is stored from now on joins those that may be in the store. */
static void note_stored(StrategyContext *context, Value *object) {
    Value *stored =
        value_ensure_array(context->arena, value_ensure_object(context->arena, object, "status"), "storedVersions");
    const Value *version;
    VALUE_FOREACH (version, value_path(object, "spec", "versions", NULL))
        if (value_get_bool(version, "storage", false)) {
            if (!list_has(stored, text(version, "name")))
                value_append(context->arena, stored, value_string(context->arena, text(version, "name")));
            return;
        }
}

static void prepare_for_create(StrategyContext *context, Value *object) {
    value_set(context->arena, object, "status", value_object(context->arena));
    note_stored(context, object);
}

static void prepare_for_update(StrategyContext *context, Value *object, const Value *old) {
    (void)old;
    note_stored(context, object);
}

static Value *unknown_formats(Arena *arena, const Value *object) {
    const Value *versions = value_path(object, "spec", "versions", NULL);
    Value *found = value_array(arena);
    size_t n = is_shared(versions, "schema") ? MIN(value_len(versions), (size_t)1) : value_len(versions);
    for (size_t i = 0; i < n; i++)
        crd_schema_formats(arena, value_path(value_at(versions, i), "schema", "openAPIV3Schema", NULL), found);
    return found;
}

static void warn_update(StrategyContext *context, const Value *object, const Value *old) {
    const Value *before = old ? unknown_formats(context->arena, old) : NULL, *format;
    VALUE_FOREACH (format, unknown_formats(context->arena, object))
        if (!list_has(before, value_str(format)))
            strategy_warn(context, "unrecognized format %s", go_quoted(context->arena, value_str(format)));
}

static void warn_create(StrategyContext *context, const Value *object) {
    warn_update(context, object, NULL);
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
    if (!list_has(finalizers, CLEANUP_FINALIZER))
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
        .validates_update_alone = true,
        .warn_create = warn_create,
        .warn_update = warn_update,
        .holds_deletion = holds_deletion,
        .mark_deleting = mark_deleting,
    },
};
const StrategyTable strategies_crds = {rows, ELEMENTSOF(rows)};
