#include "apiserver/registry/decode.h"
#include "apiserver/registry/convert.h"
#include "api/gen/schemas.h"
#include "api/schema_kinds.h"
#include "api/structural.h"
#include "apiserver/registry/custom_checks.h"
#include "apiserver/registry/custom_resources.h"
#include "apiserver/registry/defaults.h"
#include "api/go_text.h"
#include "base/str.h"

#include <errno.h>
#include <stdlib.h>

FieldValidation field_validation_of(const char *text) {
    if (str_empty(text) || streq(text, "Warn"))
        return FIELD_VALIDATION_WARN;
    return streq(text, "Strict") ? FIELD_VALIDATION_STRICT : FIELD_VALIDATION_IGNORE;
}

static const char *group_version(Arena *arena, const char *group, const char *version) {
    return *group ? arena_printf(arena, "%s/%s", group, version) : version;
}

/* A patched tree as the reference's patch library leaves it: objects that the patch went into have their keys sorted,
 * the others are as they were. */
static void sort_touched(Value *patched, const Value *original) {
    if (!value_is(patched, VALUE_OBJECT) || value_equal(patched, original))
        return;
    value_sort_members(patched);
    VALUE_FOREACH_MEMBER (m, patched)
        sort_touched(m->value, value_get(original, m->name));
}

/* A JSON patch sorts the objects that its pointers go through; what it puts there stays as the client wrote it. */
static void sort_along(Arena *arena, Value *v, const char *pointer) {
    size_t n;
    char **tokens = str_split(arena, pointer, '/', &n);
    value_sort_members(v);
    for (size_t i = 1; i + 1 < n; i++) {
        char *token = json_pointer_token(arena, tokens[i], strlen(tokens[i]));
        v = value_is(v, VALUE_ARRAY) ? value_at(v, strtoul(token, NULL, 10)) : value_get(v, token);
        value_sort_members(v);
    }
}

/* The offending text as the reference shows it: Go's %+v of a strategic patch, the patched JSON of others. */
static void write_patched(Buf *out, const DecodeInput *input, Arena *arena, const Value *patched) {
    if (input->strategic_patch) {
        go_write(out, input->strategic_patch, GO_PLAIN);
        return;
    }
    Value *copy = value_copy(arena, patched), *operation;
    value_sort_members(copy);
    VALUE_FOREACH (operation, input->json_patch) {
        sort_along(arena, copy, str_or(value_get_str(operation, "path"), ""));
        sort_along(arena, copy, str_or(value_get_str(operation, "from"), ""));
    }
    if (!input->json_patch)
        VALUE_FOREACH_MEMBER (m, copy)
            sort_touched(m->value, value_get(input->patched_from, m->name));
    value_write_json(out, copy);
}

static int patched_error(const DecodeInput *input, Arena *arena, const Value *patched, const char *why, ApiError *err) {
    _cleanup_buf_ Buf text = BUF_INIT(BUF_NO_LIMIT);
    FieldErrors errors = FIELD_ERRORS_INIT(arena);
    FieldPath at = FIELD(NULL, "patch");
    write_patched(&text, input, arena, patched);
    field_invalid_str(&errors, &at, text.data, "%s", why);
    return api_error_invalid(err, "", "", "", &errors);
}

/* `kind` and `version`: those of the body. */
static int misfit(RegistryCall *call, const DecodeInput *input, const char *kind, const char *version, const char *why,
                  ApiError *err) {
    if (input->patched_from)
        return patched_error(input, call->context.arena, input->body, why, err);
    if (input->resource->custom && input->schema == &schema_autoscaling_v1_Scale)
        return registry_refuse_custom_scale(err);
    return api_error_bad_request(err, "%s in version \"%s\" cannot be handled as a %s: %s", kind, version, input->kind,
                                 why);
}

static int decode_error(RegistryCall *call, const DecodeInput *input, const char *why, ApiError *err) {
    return misfit(call, input, input->kind, input->version, why, err);
}

int registry_refuse_custom_scale(ApiError *err) {
    return api_error_bad_request(err, "no kind is registered for the type v1.Scale in scheme " REGISTRY_SCHEME);
}

const char *registry_type_error(Arena *arena, const char *name, const Value *value) {
    if (!value || value->type == VALUE_NULL || value->type == VALUE_STRING)
        return NULL;
    return arena_printf(arena, NO_KIND_PREFIX "json: cannot unmarshal %s into Go struct field .%s of type string",
                        value_json_kind(value), name);
}

/* A patch that took away what the object is. */
static int check_patched_kind(RegistryCall *call, const DecodeInput *input, ApiError *err) {
    Arena *arena = call->context.arena;
    const Value *kind = value_get(input->body, "kind");
    const char *why = registry_type_error(arena, "kind", kind);
    if (why)
        return patched_error(input, arena, input->body, why, err);
    if (str_empty(value_str(kind))) {
        _cleanup_buf_ Buf text = BUF_INIT(BUF_NO_LIMIT);
        buf_puts(&text, "Object 'Kind' is missing in '");
        write_patched(&text, input, arena, input->body);
        buf_puts(&text, "'");
        return patched_error(input, arena, input->body, text.data, err);
    }
    if (str_empty(value_get_str(input->body, "apiVersion")))
        return api_error_internal(err, "Object 'apiVersion' is missing in 'object has no apiVersion field'");
    return 0;
}

/* The body of a request has passed request_body_read, which wants a kind. What a patch makes of the status is no
 * matter: all else stays as it was. */
static int check_custom_kind(RegistryCall *call, const DecodeInput *input, const char *want, ApiError *err) {
    Arena *arena = call->context.arena;
    int r = input->patched_from ? check_patched_kind(call, input, err) : 0;
    if (r < 0)
        return r;
    const char *version = str_or(value_get_str(input->body, "apiVersion"), ""),
               *kind = str_or(value_get_str(input->body, "kind"), "");
    if (!input->patched_from && !streq(version, want))
        return api_error_bad_request(
            err, "the API version in the data (%s) does not match the expected API version (%s)", version, want);
    if (input->patched_from && call->request->subresource) {
        value_set_str(arena, input->body, "apiVersion", want);
        value_set_str(arena, input->body, "kind", input->kind);
        return 0;
    }
    FieldErrors errors = FIELD_ERRORS_INIT(arena);
    FieldPath of_kind = FIELD(NULL, "kind"), of_version = FIELD(NULL, "apiVersion");
    if (!streq(kind, input->kind))
        field_invalid_str(&errors, &of_kind, kind, "must be %s", input->kind);
    if (!streq(version, want))
        field_invalid_str(&errors, &of_version, version, "must be %s", want);
    const char *group = arena_strndup(arena, version, strchr(version, '/') ? strcspn(version, "/") : 0);
    const char *name = str_or(meta_get(input->body, "name"), "");
    return errors.n ? api_error_invalid(err, group, kind, name, &errors) : 0;
}

const char *registry_internal_type(Arena *arena, const char *group, const char *kind) {
    const char *named = *group && !streq(group, "events.k8s.io") ? group : "core";
    return arena_printf(arena, "%.*s.%s", (int)strcspn(named, "."), named, kind);
}

/* What the reference's decoder says of a body whose apiVersion and kind are not those of the route; NULL: it is the
 * kind expected, in another version. */
static const char *why_other_kind(Arena *arena, const DecodeInput *input, const char *version, const char *kind) {
    const char *slash = strchr(version, '/');
    if (slash && strchr(slash + 1, '/'))
        return arena_printf(arena, "unexpected GroupVersion string: %s", version);
    const char *group = slash ? arena_strndup(arena, version, (size_t)(slash - version)) : "";
    const SchemaKind *found = schema_kinds_find(group, slash ? slash + 1 : version, kind);
    if (!found)
        return arena_printf(arena, NO_KIND_REGISTERED, kind, version);
    const Schema *schema = schema_by_name(found->definition);
    _cleanup_api_error_ ApiError inner = {0};
    if (schema && schema_normalize(arena, schema, value_copy(arena, input->body), NULL, &inner) < 0)
        return arena_strdup(arena, str_or(inner.message, ""));
    if (streq(kind, input->kind))
        return NULL;
    return arena_printf(arena, "converting (%s) to (%s): unknown conversion",
                        str_or(schema ? schema->go_type : NULL, kind),
                        registry_internal_type(arena, input->group, input->kind));
}

/* Absent kind and apiVersion are the expected ones (but for custom resources), as the reference's decoder takes its
 * default from the route. */
static int check_kind(RegistryCall *call, const DecodeInput *input, ApiError *err) {
    Arena *arena = call->context.arena;
    const char *want = group_version(arena, input->group, input->version);
    if (input->resource->custom && input->schema == input->resource->schema)
        return check_custom_kind(call, input, want, err);
    const char *version = value_get_str(input->body, "apiVersion"), *kind = value_get_str(input->body, "kind");
    if (str_empty(version))
        value_set_str(arena, input->body, "apiVersion", version = want);
    if (str_empty(kind))
        value_set_str(arena, input->body, "kind", kind = input->kind);
    if (streq(version, want) && streq(kind, input->kind))
        return 0;
    const char *slash = strchr(version, '/'), *only_version = slash ? slash + 1 : version;
    const char *why = why_other_kind(arena, input, version, kind);
    if (why)
        return misfit(call, input, kind, only_version, why, err);
    return api_error_bad_request(err, "the API version in the data (%s) does not match the expected API version (%s)",
                                 version, want);
}

static void list_strict(Buf *text, const char *what) {
    buf_printf(text, "%s%s", text->len ? ", " : "", what);
}

/* As the text goes, except where unknown fields are found later: of custom resources, YAML and strategic patches. */
static bool comes_first(const DecodeInput *input, const UnknownFields *unknown, size_t duplicate, size_t other) {
    const DuplicateFields *duplicates = input->duplicates;
    return input->resource->custom || input->strategic_patch || !duplicates->at ||
           duplicates->at[duplicate] < unknown->at[other];
}

static int strictness(RegistryCall *call, const DecodeInput *input, const UnknownFields *unknown, ApiError *err) {
    FieldValidation how = field_validation_of(call->request->options.field_validation);
    size_t duplicates = input->duplicates ? input->duplicates->n : 0;
    if (how == FIELD_VALIDATION_IGNORE || duplicates + unknown->n == 0)
        return 0;
    char **messages = duplicates ? input->duplicates->messages : NULL, *all;
    if (duplicates && how == FIELD_VALIDATION_STRICT && input->duplicates->yaml_message) {
        all = input->duplicates->yaml_message;
        messages = &all;
        duplicates = 1;
    }
    _cleanup_buf_ Buf text = BUF_INIT(256 * 1024);
    for (size_t i = 0, d = 0, u = 0; i < duplicates + unknown->n; i++) {
        const char *what;
        if (d < duplicates && (u == unknown->n || comes_first(input, unknown, d, u)))
            what = messages[d++];
        else
            what = unknown->messages[u++];
        if (how == FIELD_VALIDATION_WARN)
            strategy_warn(&call->context, "%s", what);
        else
            list_strict(&text, what);
    }
    if (how == FIELD_VALIDATION_WARN)
        return 0;
    char *why = arena_printf(call->context.arena, "strict decoding error: %s", text.data);
    return decode_error(call, input, why, err);
}

/* Of custom resources, whose metadata is looked at first. */
static int compare_unknown(const void *a, const void *b) {
    static const char META[] = "unknown field \"metadata.";
    const char *x = *(char *const *)a, *y = *(char *const *)b;
    int meta = str_has_prefix(y, META) - str_has_prefix(x, META);
    return meta ? meta : strcmp(x, y);
}

int registry_decode_kind(RegistryCall *call, const DecodeInput *input, Value **ret, ApiError *err) {
    Arena *arena = call->context.arena;
    if (!value_is(input->body, VALUE_OBJECT))
        return decode_error(call, input, "json: cannot unmarshal into Go value of the kind expected: not an object",
                            err);
    /* What a strategic patch makes is taken for the kind it is, whatever it says. */
    bool unstructured = input->strategic_patch && input->schema->go_type;
    int r = unstructured ? 0 : check_kind(call, input, err);
    if (r < 0)
        return r;
    UnknownFields unknown = {0};
    ApiError inner = {0};
    DecodeInput pristine = *input;
    if (input->patched_from)
        pristine.body = value_copy(arena, input->body);
    const CustomVersion *custom = input->schema == input->resource->schema ? custom_version(input->resource) : NULL;
    bool embedded = custom && json_schema_has_embedded(custom->validator);
    const char *why = embedded ? custom_refuse_embedded(arena, custom->schema, input->body) : NULL;
    if (why)
        return decode_error(call, &pristine, why, err);
    r = (unstructured ? schema_from_unstructured : schema_decode)(arena, input->schema, input->body, &unknown, &inner);
    if (r < 0) {
        int code = decode_error(call, &pristine, inner.message ? inner.message : "cannot be decoded", err);
        api_error_done(&inner);
        return code;
    }
    if (unstructured) {
        value_set_str(arena, input->body, "apiVersion", group_version(arena, input->group, input->version));
        value_set_str(arena, input->body, "kind", input->kind);
    }
    if (custom)
        structural_drop_nulls(custom->schema, input->body);
    if (input->resource->custom && unknown.n)
        qsort(unknown.messages, unknown.n, sizeof *unknown.messages, compare_unknown);
    r = strictness(call, &pristine, &unknown, err);
    if (r == 0)
        *ret = input->body;
    return r;
}

void registry_set_defaults(Arena *arena, const Resource *resource, Value *object) {
    const Strategy *strategy = strategy_of(resource);
    if (resource->custom) {
        custom_resource_default(arena, resource, object);
        return;
    }
    convert_aliases(arena, resource, object);
    defaults_apply(arena, resource->schema, object);
    if (strategy->set_defaults)
        strategy->set_defaults(arena, object);
}

int registry_decode(RegistryCall *call, const DecodeInput *input, Value **ret, ApiError *err) {
    Value *object;
    int r = registry_decode_kind(call, input, &object, err);
    if (r < 0)
        return r;
    registry_set_defaults(call->context.arena, input->resource, object);
    *ret = convert_object(call->context.arena, input->resource, call->resource, object);
    return 0;
}
