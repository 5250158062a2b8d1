/* The reference turns the map that a strategic merge patch leaves into its Go struct without going through JSON
 * (k8s.io/apimachinery/pkg/runtime/converter.go). That conversion has messages and leniencies of its own: the first
 * error ends it, numbers are converted where they can be, and unknown members come in alphabetical order. */
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#include "api/normalize.h"
#include "api/scalar.h"
#include "base/str.h"

static int convert(Walk *walk, const Frame *frame, const Schema *schema, Value *v);

static _printf_(2, 3) int refuse(Walk *walk, const char *format, ...) {
    char text[512];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof(text), format, ap);
    va_end(ap);
    walk->last_word = arena_strdup(walk->arena, text);
    return -EINVAL;
}

static const char *kind_of(const Value *v) {
    static const char *const names[] = {"invalid", "bool", "int64", "float64", "string", "slice", "map"};
    return names[v->type];
}

static int convert_int(Walk *walk, const Schema *schema, Value *v) {
    if (v->type == VALUE_DOUBLE) {
        if (v->number != trunc(v->number))
            return refuse(walk, "cannot convert float64 to %s", schema->go_type);
        bool fits = fabs(v->number) < 9223372036854775808.0; /* else as Go's conversion on amd64 */
        *v = (Value){.type = VALUE_INT, .integer = fits ? (int64_t)v->number : INT64_MIN};
    }
    if (v->type != VALUE_INT)
        return refuse(walk, "unrecognized type: %s", schema->type == SCHEMA_INT32 ? "int32" : "int64");
    if (schema->type == SCHEMA_INT32)
        v->integer = (int32_t)v->integer; /* as Go's conversion */
    return 0;
}

static int convert_bytes(Walk *walk, Value *v) {
    static const Schema byte = {.type = SCHEMA_INT64, .go_type = "uint8"};
    Value *item;
    size_t n, at;
    bool canonical;
    VALUE_FOREACH (item, v) {
        if (item->type != VALUE_INT && item->type != VALUE_DOUBLE && item->type != VALUE_NULL)
            return refuse(walk, "unrecognized type: uint8");
        int r = item->type == VALUE_NULL ? 0 : convert_int(walk, &byte, item);
        if (r < 0)
            return r;
        item->integer = item->type == VALUE_INT ? (uint8_t)item->integer : 0; /* as Go's conversion */
    }
    if (v->type != VALUE_STRING)
        return v->type == VALUE_ARRAY ? 0 : refuse(walk, "cannot restore slice from %s", kind_of(v));
    if (base64_go_decode(v->string, v->len, NULL, &n, &canonical, &at) < 0)
        return refuse(walk, "error decoding from json: illegal base64 data at input byte %zu", at);
    return 0;
}

/* Types with a decoder of their own are given JSON: their messages know no place. */
static int convert_leaf(Walk *walk, const Schema *schema, Value *v) {
    ApiError err = {0};
    if (schema_normalize(walk->arena, schema, v, NULL, &err) == 0)
        return 0;
    walk->last_word = arena_strdup(walk->arena, err.message);
    api_error_done(&err);
    return -EINVAL;
}

static int convert_struct(Walk *walk, const Frame *frame, const Schema *schema, Value *v) {
    if (v->type != VALUE_OBJECT)
        return refuse(walk, "cannot restore struct from: %s", kind_of(v));
    for (size_t i = 0; i < schema->n_fields; i++) {
        const SchemaField *field = &schema->fields[i];
        Value *member = value_get(v, field->name);
        Frame inner = {.parent = frame, .owner = schema, .field = field};
        int r = member ? convert(walk, &inner, field->schema, member) : 0;
        if (r < 0)
            return r;
    }
    VALUE_FOREACH_MEMBER (member, v)
        if (!schema_field(schema, member->name, strlen(member->name)))
            walk_note_unknown(walk, frame, member);
    return 0;
}

static int convert_list(Walk *walk, const Frame *frame, const Schema *schema, Value *v) {
    if (v->type != VALUE_ARRAY)
        return refuse(walk, "cannot restore slice from %s", kind_of(v));
    for (size_t i = 0; i < v->len; i++) {
        Frame inner = {.parent = frame, .index = i};
        int r = convert(walk, &inner, schema->element, v->items[i]);
        if (r < 0)
            return r;
    }
    return 0;
}

/* Its keys are not part of the path that unknown members are listed by. */
static int convert_map(Walk *walk, const Frame *frame, const Schema *schema, Value *v) {
    if (v->type != VALUE_OBJECT)
        return refuse(walk, "cannot restore map from %s", kind_of(v));
    for (size_t i = 0; i < v->len; i++) {
        int r = convert(walk, frame, schema->element, v->members[i].value);
        if (r < 0)
            return r;
    }
    return 0;
}

static int convert(Walk *walk, const Frame *frame, const Schema *schema, Value *v) {
    if (v->type == VALUE_NULL)
        return 0;
    switch (schema->type) {
    case SCHEMA_STRUCT:
        return convert_struct(walk, frame, schema, v);
    case SCHEMA_LIST:
        return convert_list(walk, frame, schema, v);
    case SCHEMA_MAP:
        return convert_map(walk, frame, schema, v);
    case SCHEMA_STRING:
        if (v->type == VALUE_INT) /* Go converts integers to text of one character, so this has another message */
            return refuse(walk, "cannot convert int64 to %s", schema->go_type);
        return v->type == VALUE_STRING ? 0 : refuse(walk, "unrecognized type: string");
    case SCHEMA_BOOL:
        return v->type == VALUE_BOOL ? 0 : refuse(walk, "unrecognized type: bool");
    case SCHEMA_DOUBLE:
        return v->type == VALUE_INT || v->type == VALUE_DOUBLE ? 0 : refuse(walk, "unrecognized type: float64");
    case SCHEMA_INT32:
    case SCHEMA_INT64:
        return convert_int(walk, schema, v);
    case SCHEMA_BYTES:
        return convert_bytes(walk, v);
    default:
        return convert_leaf(walk, schema, v);
    }
}

static int compare_texts(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

int schema_from_unstructured(Arena *arena, const Schema *schema, Value *v, UnknownFields *unknown, ApiError *err) {
    Walk walk = {.arena = arena, .unknown = unknown, .unquoted = true};
    if (convert(&walk, NULL, schema, v) < 0)
        return err ? api_error_bad_request(err, "%s", walk.last_word) : -EINVAL;
    if (unknown && unknown->n)
        qsort(unknown->messages, unknown->n, sizeof(char *), compare_texts);
    return schema_decode(arena, schema, v, NULL, err);
}
