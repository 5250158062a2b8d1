#include "apiserver/registry/custom_checks.h"
#include "api/codec.h"
#include "api/gen/schemas.h"
#include "api/go_text.h"
#include "api/member_index.h"
#include "api/names.h"
#include "apiserver/registry/registry.h"
#include "base/str.h"
#include "base/strmap.h"

#define DEPTH_MAX 128 /* as json_schema_validate */

typedef void (*Visit)(const Value *schema, const Value *v, const FieldPath *path, FieldErrors *errors);

/* Every value that the schema describes, from the outside in. */
static void walk(Visit visit, const Value *schema, const Value *v, const FieldPath *path, FieldErrors *errors,
                 int depth) {
    const Value *properties = value_get(schema, "properties"), *more = value_get(schema, "additionalProperties");
    if (!value_is(schema, VALUE_OBJECT) || depth > DEPTH_MAX)
        return;
    visit(schema, v, path, errors);
    _cleanup_member_index_ MemberIndex by_name = member_index_for(properties, value_len(v));
    VALUE_FOREACH_MEMBER (m, v) {
        const Value *property = member_index_get(&by_name, m->name);
        FieldPath at = property ? FIELD(path, m->name) : FIELD_KEY(path, m->name);
        walk(visit, property ? property : more, m->value, &at, errors, depth + 1);
    }
    for (size_t i = 0; value_is(v, VALUE_ARRAY) && i < v->len; i++) {
        FieldPath at = FIELD_INDEX(path, i);
        walk(visit, value_get(schema, "items"), v->items[i], &at, errors, depth + 1);
    }
}

/* ---- lists ---- */

static Value *keys_of(Arena *arena, const Value *keys, const Value *item) {
    Value *out = value_object(arena);
    const Value *key;
    VALUE_FOREACH (key, keys) {
        const Value *v = value_get(item, str_or(value_str(key), ""));
        if (v)
            value_set(arena, out, value_str(key), value_copy(arena, v));
    }
    return out;
}

/* What comes twice is told once, where it comes again. */
static void tell_twice(StrMap *seen, const Value *v, const FieldPath *path, size_t index, FieldErrors *errors) {
    static const int once, again;
    _cleanup_buf_ Buf text = BUF_INIT(BUF_NO_LIMIT);
    value_write_json(&text, v);
    const void *times = strmap_get(seen, str_or(text.data, ""));
    if (times == &once) {
        FieldPath at = FIELD_INDEX(path, index);
        field_duplicate(errors, &at, v);
    }
    strmap_put(seen, str_or(text.data, ""), (void *)(uintptr_t)(times ? &again : &once));
}

static void visit_list(const Value *schema, const Value *v, const FieldPath *path, FieldErrors *errors) {
    const char *kind = str_or(value_get_str(schema, "x-kubernetes-list-type"), "");
    const Value *keys = value_get(schema, "x-kubernetes-list-map-keys");
    bool map = streq(kind, "map");
    if (!value_is(v, VALUE_ARRAY) || (!map && !streq(kind, "set")))
        return;
    for (size_t i = 0; map && i < v->len; i++)
        if (!value_is(v->items[i], VALUE_OBJECT) && !value_is(v->items[i], VALUE_NULL)) {
            FieldPath at = FIELD_INDEX(path, i);
            field_invalid(errors, &at, v->items[i], "must be an object for an array of list-type map");
            return;
        }
    _cleanup_(strmap_freep) StrMap *seen = strmap_new(NULL);
    for (size_t i = 0; i < v->len; i++)
        tell_twice(seen, map ? keys_of(errors->arena, keys, v->items[i]) : v->items[i], path, i, errors);
}

void custom_check_lists(const Value *schema, const Value *object, FieldErrors *errors) {
    walk(visit_list, schema, object, NULL, errors, 0);
}

/* ---- embedded resources ---- */

/* False, and told, when the member is not a text with something in it. */
static bool check_text(const Value *v, const char *name, const FieldPath *path, FieldErrors *errors) {
    const Value *member = value_get(v, name);
    FieldPath at = FIELD(path, name);
    if (!member)
        field_required(errors, &at, "");
    else if (member->type != VALUE_STRING)
        field_invalid(errors, &at, member, "must be a string");
    else if (!member->len)
        field_invalid_str(errors, &at, "", "must not be empty");
    else
        return true;
    return false;
}

static void visit_embedded(const Value *schema, const Value *v, const FieldPath *path, FieldErrors *errors) {
    FieldPath version_path = FIELD(path, "apiVersion"), kind_path = FIELD(path, "kind"),
              meta_path = FIELD(path, "metadata");
    if (!value_is(v, VALUE_OBJECT) || !value_get_bool(schema, "x-kubernetes-embedded-resource", false))
        return;
    if (check_text(v, "apiVersion", path, errors)) {
        const char *version = value_get_str(v, "apiVersion"), *slash = strchr(version, '/');
        if (slash && strchr(slash + 1, '/'))
            field_invalid_str(errors, &version_path, version, "unexpected GroupVersion string: %s", version);
    }
    if (check_text(v, "kind", path, errors)) {
        const char *kind = value_get_str(v, "kind");
        NameMessages messages = {.arena = errors->arena};
        name_dns1035_label(str_lower(errors->arena, kind), &messages);
        if (messages.n)
            field_invalid_str(errors, &kind_path, kind, "may have mixed case, but should otherwise match: %s",
                              name_messages_text(&messages, ","));
    }
    if (value_is(value_get(v, "metadata"), VALUE_OBJECT))
        meta_validate_embedded(value_get(v, "metadata"), errors, &meta_path);
}

void custom_check_embedded(const Value *schema, const Value *object, FieldErrors *errors) {
    walk(visit_embedded, schema, object, NULL, errors, 0);
}

static void visit_undecoded(const Value *schema, const Value *v, const FieldPath *path, FieldErrors *errors) {
    static const char *const texts[] = {"apiVersion", "kind"};
    const Value *meta = value_get(v, "metadata");
    FieldPath meta_path = FIELD(path, "metadata");
    _cleanup_api_error_ ApiError err = {0};
    if (!value_is(v, VALUE_OBJECT) || !value_get_bool(schema, "x-kubernetes-embedded-resource", false))
        return;
    for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
        const Value *member = value_get(v, texts[i]);
        FieldPath at = FIELD(path, texts[i]);
        if (member && member->type != VALUE_STRING)
            field_invalid(errors, &at, member, "must be a string");
    }
    if (meta &&
        schema_normalize(errors->arena, &schema_meta_v1_ObjectMeta, value_copy(errors->arena, meta), NULL, &err) < 0)
        field_invalid(errors, &meta_path, meta, "%s", str_or(err.message, ""));
}

const char *custom_refuse_embedded(Arena *arena, const Value *schema, const Value *body) {
    FieldErrors errors = FIELD_ERRORS_INIT(arena);
    walk(visit_undecoded, schema, body, NULL, &errors, 0);
    return errors.n ? arena_printf(arena, "%s: %s", errors.items[0].field, errors.items[0].message) : NULL;
}

bool custom_check_undecoded(const Value *schema, const Value *v, const FieldPath *path, FieldErrors *errors) {
    FieldErrors found = FIELD_ERRORS_INIT(errors->arena);
    walk(visit_undecoded, schema, v, path, &found, 0);
    found.n = MIN(found.n, (size_t)1);
    if (!found.n)
        walk(visit_embedded, schema, v, path, &found, 0);
    field_errors_append(errors, &found);
    return found.n == 0;
}

/* ---- scale ---- */

/* The value at a path of members; NULL: none. False, with what is wrong in *ret_why, when there is no way to it. */
static bool find(Arena *arena, const Value *object, const char *path, const Value **ret, char **ret_why) {
    const Value *v = object;
    const char *p = path + (*path == '.');
    while (v) {
        size_t n = strcspn(p, ".");
        if (v->type == VALUE_NULL) { /* there is nothing below */
            v = NULL;
            break;
        }
        if (v->type != VALUE_OBJECT) {
            _cleanup_buf_ Buf text = BUF_INIT(BUF_NO_LIMIT);
            go_write(&text, v, GO_PLAIN);
            *ret_why = arena_printf(
                arena, ".%.*s accessor error: %s is of the type %s, expected map[string]interface{}",
                (int)(p + n - path - (*path == '.')), path + (*path == '.'), str_or(text.data, ""), go_type_of(v));
            return false;
        }
        v = value_get(v, arena_strndup(arena, p, n));
        if (!p[n])
            break;
        p += n + 1;
    }
    *ret = v;
    return true;
}

/* NULL, and told, when what is there is of another type. */
static const Value *scale_value(const Value *object, const char *path, ValueType type, const Value *zero,
                                FieldErrors *errors) {
    const Value *v = NULL;
    char *why = NULL;
    FieldPath at = FIELD(NULL, path);
    if (!path)
        return NULL;
    if (find(errors->arena, object, path, &v, &why)) {
        if (!v || v->type == type)
            return v;
        _cleanup_buf_ Buf text = BUF_INIT(BUF_NO_LIMIT);
        go_write(&text, v, GO_PLAIN);
        why = arena_printf(errors->arena, ".%s accessor error: %s is of the type %s, expected %s",
                           path + (*path == '.'), str_or(text.data, ""),
                           v->type == VALUE_NULL ? "<nil>" : go_type_of(v), type == VALUE_INT ? "int64" : "string");
    }
    field_invalid(errors, &at, zero, "%s", why);
    return NULL;
}

void custom_check_replicas(const Value *object, const char *path, FieldErrors *errors) {
    const Value *v = scale_value(object, path, VALUE_INT, value_int(errors->arena, 0), errors);
    FieldPath at = FIELD(NULL, path);
    if (!v)
        return;
    if (v->integer < 0)
        field_invalid(errors, &at, v, "should be a non-negative integer");
    else if (v->integer > INT32_MAX)
        field_invalid(errors, &at, v, "should be less than or equal to %d", INT32_MAX);
}

void custom_check_selector(const Value *object, const char *path, FieldErrors *errors) {
    scale_value(object, path, VALUE_STRING, value_string(errors->arena, ""), errors);
}
