/* A JSON value in an arena: what an object is while a request changes it, and only then (at rest it is bytes,
 * object.h). Order of members is kept; absent, null, zero and empty are distinct; integers stay integers. Values borrow
 * everything from the arena they were made in: trees from one arena may be linked into each other freely, never across
 * arenas (value_copy for that). Reading functions accept NULL and answer as if absent, so that paths can be followed
 * without checks. Not thread-safe. */
#pragma once

#include "base/arena.h"
#include "base/buf.h"

typedef enum ValueType {
    VALUE_NULL,
    VALUE_BOOL,
    VALUE_INT,
    VALUE_DOUBLE,
    VALUE_STRING,
    VALUE_ARRAY,
    VALUE_OBJECT
} ValueType;

typedef struct Value Value;
typedef struct Member Member;

struct Value {
    uint8_t type; /* ValueType */
    bool unset;   /* an empty list or map that stands for none (codec.h): equal to an absent one, no member in JSON */
    uint32_t len; /* string bytes, items, members */
    uint32_t cap;
    uint32_t at; /* where json_parse met it, as a member: the offset of its name in the text; 0: not parsed from one */
    union {
        bool boolean;
        int64_t integer;
        double number;
        const char *string; /* NUL-terminated; may hold NULs inside (len) */
        Value **items;
        Member *members;
    };
};

struct Member {
    const char *name; /* NUL-terminated */
    Value *value;     /* never NULL */
};

/* Making. All return a value in the arena, never NULL. */
Value *value_null(Arena *arena);
Value *value_bool(Arena *arena, bool b);
Value *value_int(Arena *arena, int64_t i);
Value *value_double(Arena *arena, double d);
Value *value_string(Arena *arena, const char *s); /* copies */
Value *value_string_n(Arena *arena, const char *s, size_t n);
Value *value_printf(Arena *arena, const char *format, ...) _printf_(2, 3);
Value *value_array(Arena *arena);
Value *value_object(Arena *arena);
Value *value_copy(Arena *arena, const Value *v); /* deep; NULL gives NULL */

/* Reading. */
static inline bool value_is(const Value *v, ValueType type) {
    return v && v->type == type;
}
Value *value_get(const Value *object, const char *name);          /* NULL when absent or not an object */
Value *value_at(const Value *array, size_t index);                /* NULL past the end */
Value *value_path(const Value *v, ...) __attribute__((sentinel)); /* value_path(pod, "spec", "nodeName", NULL) */
size_t value_len(const Value *v);                                 /* items or members; 0 for others */
const char *value_str(const Value *v);                            /* NULL when not a string */
const char *value_get_str(const Value *object, const char *name); /* NULL when absent or not a string */
int64_t value_get_int(const Value *object, const char *name, int64_t otherwise);
bool value_get_bool(const Value *object, const char *name, bool otherwise);
/* What Go's JSON calls it: "null", "bool", "number", "string", "array" or "object". NULL is null. */
const char *value_json_kind(const Value *v);
static inline bool value_is_empty(const Value *v) { /* absent, null, "", [] or {} */
    return !v || v->type == VALUE_NULL || (v->type >= VALUE_STRING && v->len == 0);
}
static inline bool value_is_unset(const Value *v) {
    return v->unset && v->len == 0;
}
bool value_has_unset(const Value *v); /* anywhere in it */
/* Deep; member order does not matter; NULL equals only NULL and what is unset. */
bool value_equal(const Value *a, const Value *b);

#define VALUE_FOREACH(item, array)                                                                                     \
    for (size_t _i_##item = 0;                                                                                         \
         value_is((array), VALUE_ARRAY) && _i_##item < (array)->len && ((item) = (array)->items[_i_##item], true);     \
         _i_##item++)
#define VALUE_FOREACH_MEMBER(member, object)                                                                           \
    for (Member *member = value_is((object), VALUE_OBJECT) && (object)->len ? (object)->members : NULL;                \
         member && member < (object)->members + (object)->len; member++)

/* Changing. `name` is copied into the arena unless it is one of a schema's interned names (then pass through
 * value_set_interned). */
void value_set(Arena *arena, Value *object, const char *name, Value *v); /* replaces; NULL removes */
/* Appends a member that is known to be new, without looking; `name` is not copied. */
void value_add(Arena *arena, Value *object, const char *name, Value *v);
void value_set_interned(Arena *arena, Value *object, const char *static_name, Value *v);
void value_set_str(Arena *arena, Value *object, const char *name, const char *s); /* NULL removes */
void value_set_int(Arena *arena, Value *object, const char *name, int64_t i);
void value_set_bool(Arena *arena, Value *object, const char *name, bool b);
Value *value_ensure_object(Arena *arena, Value *object, const char *name); /* the member, made {} when absent or null */
Value *value_ensure_array(Arena *arena, Value *object, const char *name);
bool value_remove(Value *object, const char *name); /* true when it was there */
void value_sort_members(Value *v);                  /* by their names; of what is no object nothing */
void value_sort_deep(Value *v);                     /* likewise all below; as deep as the value is nested */
void value_append(Arena *arena, Value *array, Value *item);
void value_insert_at(Arena *arena, Value *array, size_t index, Value *item);
void value_remove_at(Value *array, size_t index);

/* Encoding as Go's encoding/json does: compact, <, >, & and U+2028/9 escaped, doubles in Go's shortest form. */
void value_write_json(Buf *out, const Value *v);
void value_write_json_pretty(Buf *out, const Value *v, const char *indent);
void value_write_yaml(Buf *out, const Value *v); /* as sigs.k8s.io/yaml: keys sorted */
/* Go's fmt of a decoded value, as it stands in validation messages: strings quoted, maps as JSON. */
char *value_to_text(Arena *arena, const Value *v);
/* The same string as encoding/json writes it (any bytes), and one number. */
void json_write_string(Buf *out, const char *s, size_t n);
#define JSON_DOUBLE_MAX 40
size_t json_format_double(double d, char out[JSON_DOUBLE_MAX]);
/* Go's %q, as in messages: pods "x" not found. */
void go_quote(Buf *out, const char *s);
void go_quote_n(Buf *out, const char *s, size_t n);
char *go_quoted(Arena *arena, const char *s);
