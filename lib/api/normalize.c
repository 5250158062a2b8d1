/* One walk that does to a tree what decoding it into a Go struct and encoding that again would do.
 *
 * Two kinds of failure are kept apart, as in sigs.k8s.io/json: a value of the wrong type is remembered (the first one
 * wins) and the walk goes on; a text that a type's own decoder refuses (quantities, times) ends it and is reported
 * instead. */
#include <errno.h>
#include <stdio.h>

#include "api/gen/schemas.h"
#include "api/normalize.h"
#include "api/quantity.h"
#include "api/scalar.h"
#include "base/clock.h"
#include "base/str.h"

#define SLOTS_ON_STACK 64

static int walk_value(Walk *walk, const Frame *frame, const Schema *schema, Value *v, Value **ret);
static Value *zero_value(Walk *walk, const Schema *schema);

/* FieldStack of the Go decoder: names of fields, and of the embedded structs they come from. */
static void write_go_field(Buf *out, const Schema *owner, const SchemaField *field) {
    size_t at = (size_t)(field - owner->fields);
    for (bool deeper = true; deeper;) {
        deeper = false;
        for (size_t i = 0; i < owner->n_inlines && !deeper; i++) {
            const SchemaInline *e = &owner->inlines[i];
            if (at >= e->first && at < (size_t)e->first + e->count) {
                buf_printf(out, "%s.", e->go_name);
                at -= e->first;
                owner = e->schema;
                deeper = true;
            }
        }
    }
    buf_puts(out, field->name);
}

/* Metadata of custom resources: a Go struct by itself in what is none. */
static bool is_go_root(const Frame *frame) {
    return frame && frame->field && !frame->owner->go_type && frame->field->schema->go_type;
}

static void write_go_path(Buf *out, const Frame *frame) {
    if (!frame)
        return;
    if (!is_go_root(frame->parent))
        write_go_path(out, frame->parent);
    if (!frame->field)
        return;
    if (out->len)
        buf_putc(out, '.');
    write_go_field(out, frame->owner, frame->field);
}

static const char *go_name(const Schema *schema) {
    const char *dot = schema->go_type ? strrchr(schema->go_type, '.') : NULL;
    return dot ? dot + 1 : "";
}

#define MESSAGE_MAX 16384

static char *type_error_text(Walk *walk, const Frame *frame, const char *what, const char *go_type) {
    const Frame *inside = frame;
    while (inside && !inside->field)
        inside = inside->parent;
    if (!inside)
        return arena_printf(walk->arena, "json: cannot unmarshal %s into Go value of type %s", what, go_type);
    _cleanup_buf_ Buf path = BUF_INIT(MESSAGE_MAX);
    write_go_path(&path, frame);
    return arena_printf(walk->arena, "json: cannot unmarshal %s into Go struct field %s.%s of type %s", what,
                        go_name(inside->owner), path.data ? path.data : "", go_type);
}

/* "number 1.5": a number that does not fit its field. */
static const char *number_text(Walk *walk, const Value *v) {
    if (v->type == VALUE_DOUBLE && v->number > -1e15 && v->number < 1e15 && v->number == (double)(int64_t)v->number)
        return arena_printf(walk->arena, "number %.1f", v->number);
    _cleanup_buf_ Buf text = BUF_INIT(64);
    value_write_json(&text, v);
    return arena_printf(walk->arena, "number %s", text.data ? text.data : "");
}

static void type_error(Walk *walk, const Frame *frame, const char *what, const Schema *schema) {
    if (!walk->first_error)
        walk->first_error = type_error_text(walk, frame, what, schema->go_type);
}

static int refuse(Walk *walk, const char *message) {
    walk->last_word = arena_strdup(walk->arena, message);
    return -EINVAL;
}

static void write_strict_path(Buf *out, const Frame *frame) {
    if (!frame)
        return;
    write_strict_path(out, frame->parent);
    if (!frame->field && !frame->key) {
        buf_printf(out, "[%zu]", frame->index);
        return;
    }
    if (out->len)
        buf_putc(out, '.');
    buf_puts(out, frame->field ? frame->field->name : frame->key);
}

/* strconv.Quote, except that characters above ASCII stand as they are. */
static void write_go_quoted(Buf *out, const char *s, size_t n) {
    static const char *const short_escapes = "abtnvfr"; /* 7 to 13 */
    buf_putc(out, '"');
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];
        if (c == '"' || c == '\\')
            buf_printf(out, "\\%c", c);
        else if (c >= 7 && c <= 13)
            buf_printf(out, "\\%c", short_escapes[c - 7]);
        else if (c < ' ' || c == 0x7f)
            buf_printf(out, "\\x%02x", c);
        else
            buf_putc(out, (char)c);
    }
    buf_putc(out, '"');
}

void walk_note_unknown(Walk *walk, const Frame *frame, const Member *member) {
    UnknownFields *unknown = walk->unknown;
    if (!unknown || unknown->n >= UNKNOWN_FIELDS_MAX)
        return;
    _cleanup_buf_ Buf path = BUF_INIT(MESSAGE_MAX), text = BUF_INIT(4 * MESSAGE_MAX);
    write_strict_path(&path, frame);
    if (path.len)
        buf_putc(&path, '.');
    buf_puts(&path, member->name);
    buf_puts(&text, "unknown field ");
    if (walk->unquoted)
        buf_printf(&text, "\"%s\"", path.data ? path.data : "");
    else
        write_go_quoted(&text, path.data ? path.data : "", path.len);
    for (size_t i = 0; i < unknown->n && !walk->unquoted; i++)
        if (streq(unknown->messages[i], text.data))
            return;
    if (!unknown->messages) {
        unknown->messages = arena_alloc(walk->arena, UNKNOWN_FIELDS_MAX * sizeof(char *));
        unknown->at = arena_alloc(walk->arena, UNKNOWN_FIELDS_MAX * sizeof *unknown->at);
    }
    unknown->at[unknown->n] = member->value->at;
    unknown->messages[unknown->n++] = arena_strndup(walk->arena, text.data, text.len);
}

/* Scalars */

static int walk_int(Walk *walk, const Frame *frame, const Schema *schema, Value *v) {
    if (v->type == VALUE_INT && (schema->type == SCHEMA_INT64 || (v->integer >= INT32_MIN && v->integer <= INT32_MAX)))
        return 0;
    bool number = v->type == VALUE_INT || v->type == VALUE_DOUBLE;
    type_error(walk, frame, number ? number_text(walk, v) : value_json_kind(v), schema);
    return 0;
}

static int walk_int_or_string(Walk *walk, const Frame *frame, Value *v) {
    if (v->type == VALUE_STRING || (v->type == VALUE_INT && v->integer >= INT32_MIN && v->integer <= INT32_MAX))
        return 0;
    bool number = v->type == VALUE_INT || v->type == VALUE_DOUBLE;
    return refuse(walk, type_error_text(walk, frame, number ? number_text(walk, v) : value_json_kind(v), "int32"));
}

static int walk_quantity(Walk *walk, Value *v) {
    const char *text;
    if (v->type == VALUE_STRING) {
        size_t n = v->len;
        const char *s = v->string;
        while (n && (s[n - 1] == ' ' || (s[n - 1] >= '\t' && s[n - 1] <= '\r')))
            n--;
        while (n && (*s == ' ' || (*s >= '\t' && *s <= '\r'))) {
            s++;
            n--;
        }
        text = n == v->len ? v->string : arena_strndup(walk->arena, s, n);
    } else if (v->type == VALUE_INT || v->type == VALUE_DOUBLE)
        text = number_text(walk, v) + strlen("number ");
    else
        text = value_json_kind(v);
    Quantity q;
    if (quantity_parse(text, &q) < 0)
        return refuse(walk, quantity_parse_message(text));
    char canonical[QUANTITY_TEXT_MAX];
    quantity_format(&q, canonical);
    if (v->type != VALUE_STRING || !streq(v->string, canonical))
        *v = *value_string(walk->arena, canonical);
    return 0;
}

/* *v becomes NULL for the zero time. */
static int walk_time(Walk *walk, const Frame *frame, bool micro, Value **v) {
    if ((*v)->type != VALUE_STRING)
        return refuse(walk, type_error_text(walk, frame, value_json_kind(*v), "string"));
    if (time_text_is_canonical((*v)->string, (*v)->len, micro))
        return 0;
    TimePoint t;
    int r = time_point_parse(walk->arena, (*v)->string, (*v)->len, micro, &t, &walk->last_word);
    if (r < 0)
        return r;
    if (t.seconds == TIME_ZERO_SECONDS && t.nanos == 0) {
        *v = NULL;
        return 0;
    }
    char text[TIME_POINT_TEXT_MAX];
    time_point_format(t, micro, text);
    if (!streq((*v)->string, text))
        **v = *value_string(walk->arena, text);
    return 0;
}

static int walk_duration(Walk *walk, const Frame *frame, Value *v) {
    int64_t ns;
    if (v->type != VALUE_STRING)
        return refuse(walk, type_error_text(walk, frame, value_json_kind(v), "string"));
    if (duration_parse(v->string, &ns) < 0)
        return refuse(walk, arena_printf(walk->arena, "time: invalid duration \"%s\"", v->string));
    return 0;
}

static void set_base64(Walk *walk, Value *v, const uint8_t *data, size_t n) {
    _cleanup_buf_ Buf text = BUF_INIT(BUF_NO_LIMIT);
    base64_encode(&text, data, n);
    *v = *value_string_n(walk->arena, text.data ? text.data : "", text.len);
}

static int walk_bytes(Walk *walk, const Frame *frame, const Schema *schema, Value *v) {
    if (v->type == VALUE_ARRAY) { /* Go also takes a list of numbers */
        uint8_t *data = arena_alloc(walk->arena, v->len + 1u);
        for (size_t i = 0; i < v->len; i++) {
            const Value *item = v->items[i];
            Schema byte = {.go_type = "uint8"};
            data[i] = 0;
            if (item->type == VALUE_INT && item->integer >= 0 && item->integer <= 255)
                data[i] = (uint8_t)item->integer;
            else if (item->type == VALUE_INT || item->type == VALUE_DOUBLE)
                type_error(walk, frame, number_text(walk, item), &byte);
            else if (item->type != VALUE_NULL)
                type_error(walk, frame, value_json_kind(item), &byte);
        }
        set_base64(walk, v, data, v->len);
        return 0;
    }
    if (v->type != VALUE_STRING) {
        type_error(walk, frame, value_json_kind(v), schema);
        return 0;
    }
    size_t n, at;
    bool canonical;
    if (base64_go_decode(v->string, v->len, NULL, &n, &canonical, &at) < 0) {
        if (!walk->first_error)
            walk->first_error = arena_printf(walk->arena, "illegal base64 data at input byte %zu", at);
        return 0;
    }
    if (!canonical) {
        uint8_t *data = arena_alloc(walk->arena, v->len / 4u * 3u + 3u);
        base64_go_decode(v->string, v->len, data, &n, &canonical, &at);
        set_base64(walk, v, data, n);
    }
    return 0;
}

/* apiextensions' unions decode their parts on their own, without strictness. */
static int walk_union(Walk *walk, const Frame *frame, const Schema *schema, Value **v) {
    static const Schema string = {.type = SCHEMA_STRING, .go_type = "string"};
    static const Schema strings = {.type = SCHEMA_LIST, .element = &string, .go_type = "[]string"};
    static const Schema schemas = {
        .type = SCHEMA_LIST, .element = &schema_apiextensions_v1_JSONSchemaProps, .go_type = "[]v1.JSONSchemaProps"};
    UnknownFields *unknown = walk->unknown;
    walk->unknown = NULL;
    int r = 0;
    if ((*v)->type == VALUE_OBJECT)
        r = walk_value(walk, frame, &schema_apiextensions_v1_JSONSchemaProps, *v, v);
    else if (str_has_suffix(schema->name, "OrBool"))
        r = (*v)->type == VALUE_BOOL ? 0 : refuse(walk, "boolean or JSON schema expected");
    else if ((*v)->type == VALUE_ARRAY && (*v)->len)
        r = walk_value(walk, frame, str_has_suffix(schema->name, "OrStringArray") ? &strings : &schemas, *v, v);
    else
        *v = NULL;
    walk->unknown = unknown;
    return r;
}

/* Containers */

typedef struct Ranked {
    Member member;
    uint32_t rank;
} Ranked;

static int compare_ranked(const void *a, const void *b) {
    const Ranked *x = a, *y = b;
    int r = strcmp(x->member.name, y->member.name);
    return r ? r : (x->rank > y->rank) - (x->rank < y->rank);
}

/* Go writes maps in the order of their keys. Of equal ones (only protobuf can bring them) the last counts. */
static void sort_members(Arena *arena, Value *v) {
    size_t i = 1;
    while (i < v->len && strcmp(v->members[i - 1].name, v->members[i].name) < 0)
        i++;
    if (i >= v->len)
        return;
    Ranked *ranked = arena_alloc(arena, v->len * sizeof(Ranked));
    for (i = 0; i < v->len; i++)
        ranked[i] = (Ranked){v->members[i], (uint32_t)i};
    qsort(ranked, v->len, sizeof(Ranked), compare_ranked);
    size_t kept = 0;
    for (i = 0; i < v->len; i++)
        if (i + 1 == v->len || strcmp(ranked[i].member.name, ranked[i + 1].member.name) != 0)
            v->members[kept++] = ranked[i].member;
    v->len = (uint32_t)kept;
}

static void walk_stray(Walk *walk, const Frame *frame, const Schema *schema, Value *v);

static int walk_map(Walk *walk, const Frame *frame, const Schema *schema, Value *v) {
    if (v->type != VALUE_OBJECT) {
        if (schema->go_type)
            type_error(walk, frame, value_json_kind(v), schema);
        else
            walk_stray(walk, frame, schema, v);
        return 0;
    }
    const Schema *element = schema->element;
    for (size_t i = 0; i < v->len; i++) {
        Member *m = &v->members[i];
        if (element->type == SCHEMA_STRING && m->value->type == VALUE_STRING)
            continue;
        Frame inner = {.parent = frame, .key = m->name};
        Value *kept = m->value;
        int r = walk_value(walk, &inner, element, m->value, &kept);
        if (r < 0)
            return r;
        m->value = kept ? kept : schema->element_pointer ? value_null(walk->arena) : zero_value(walk, element);
    }
    sort_members(walk->arena, v);
    return 0;
}

static int walk_list(Walk *walk, const Frame *frame, const Schema *schema, Value *v) {
    if (v->type != VALUE_ARRAY) {
        if (schema->go_type)
            type_error(walk, frame, value_json_kind(v), schema);
        else
            walk_stray(walk, frame, schema, v);
        return 0;
    }
    const Schema *element = schema->element;
    for (size_t i = 0; i < v->len; i++) {
        if (element->type == SCHEMA_STRING && v->items[i]->type == VALUE_STRING)
            continue;
        Frame inner = {.parent = frame, .index = i};
        Value *kept = v->items[i];
        int r = walk_value(walk, &inner, element, v->items[i], &kept);
        if (r < 0)
            return r;
        v->items[i] = kept ? kept : schema->element_pointer ? value_null(walk->arena) : zero_value(walk, element);
    }
    return 0;
}

static bool is_go_empty(const Value *v) {
    switch (v->type) {
    case VALUE_NULL:
        return true;
    case VALUE_BOOL:
        return !v->boolean;
    case VALUE_INT:
        return v->integer == 0;
    case VALUE_DOUBLE:
        return v->number == 0;
    default:
        return v->len == 0;
    }
}

static bool is_empty_container(const Schema *schema, const Value *v) {
    return (schema->type == SCHEMA_LIST && value_is(v, VALUE_ARRAY) && v->len == 0) ||
           (schema->type == SCHEMA_MAP && value_is(v, VALUE_OBJECT) && v->len == 0);
}

/* What Go writes for a member whose decoded value is v (NULL: nil or never set); NULL: nothing. */
static Value *member_written(Walk *walk, const SchemaField *field, Value *v) {
    if (!v && (field->flags & FIELD_WRITE_NULL))
        return value_null(walk->arena);
    if (field->flags & FIELD_POINTER)
        return v;
    if ((field->flags & FIELD_OMIT_EMPTY) && walk->keep_unset && is_empty_container(field->schema, v)) {
        v->unset = true;
        return v;
    }
    if (field->flags & FIELD_OMIT_EMPTY)
        return v && !is_go_empty(v) ? v : NULL;
    return v ? v : zero_value(walk, field->schema);
}

/* Decoded members in the order of the struct's fields become the object's members. */
static void write_members(Walk *walk, const Schema *schema, Value *v, Value **slots) {
    size_t n = 0;
    for (size_t i = 0; i < schema->n_fields; i++) {
        slots[i] = member_written(walk, &schema->fields[i], slots[i]);
        n += slots[i] != NULL;
    }
    if (n > v->cap) {
        v->members = arena_alloc(walk->arena, n * sizeof(Member));
        v->cap = (uint32_t)n;
    }
    v->len = 0;
    for (size_t i = 0; i < schema->n_fields; i++)
        if (slots[i])
            v->members[v->len++] = (Member){schema->fields[i].name, slots[i]};
    if (walk->sort)
        sort_members(walk->arena, v);
}

/* Documents come in one of two orders: alphabetical, or that of the Go struct. So the member after fields[last] is
 * likely one of the next fields, or the next name. */
static const SchemaField *find_field(const Schema *schema, const char *name, size_t *last) {
    for (size_t i = *last; i < schema->n_fields && i < *last + 2; i++)
        if (streq(schema->fields[i].name, name)) {
            *last = i + 1;
            return &schema->fields[i];
        }
    const SchemaField *field = schema_field(schema, name, strlen(name));
    if (field)
        *last = (size_t)(field - schema->fields) + 1;
    return field;
}

static int walk_struct(Walk *walk, const Frame *frame, const Schema *schema, Value *v) {
    if (v->type != VALUE_OBJECT) {
        type_error(walk, frame, value_json_kind(v), schema);
        return 0;
    }
    Value *on_stack[SLOTS_ON_STACK], **slots = on_stack;
    size_t size = schema->n_fields * sizeof(Value *);
    if (schema->n_fields > SLOTS_ON_STACK)
        slots = arena_alloc(walk->arena, size);
    memset(slots, 0, size);
    size_t last = 0;
    for (size_t i = 0; i < v->len; i++) {
        const Member *m = &v->members[i];
        const SchemaField *field = find_field(schema, m->name, &last);
        if (!field) {
            walk_note_unknown(walk, frame, m);
            continue;
        }
        Frame inner = {.parent = frame, .owner = schema, .field = field};
        int r = walk_value(walk, &inner, field->schema, m->value, &slots[field - schema->fields]);
        if (r < 0)
            return r;
    }
    write_members(walk, schema, v, slots);
    return 0;
}

/* Objects where a custom resource's schema has none keep no members, wherever they are; validation tells of their type.
 */
static void walk_stray(Walk *walk, const Frame *frame, const Schema *schema, Value *v) {
    if (schema && schema->preserve_unknown)
        return;
    if (v->type == VALUE_ARRAY)
        for (size_t i = 0; i < v->len; i++)
            walk_stray(walk, &(Frame){.parent = frame, .index = i}, NULL, v->items[i]);
    else if (v->type == VALUE_OBJECT) {
        for (size_t i = 0; i < v->len; i++)
            walk_note_unknown(walk, frame, &v->members[i]);
        v->len = 0;
    }
}

/* A struct of a custom resource: nothing is checked, added or emptied. */
static int walk_custom(Walk *walk, const Frame *frame, const Schema *schema, Value *v) {
    if (v->type != VALUE_OBJECT) {
        walk_stray(walk, frame, schema, v);
        return 0;
    }
    size_t kept = 0;
    for (size_t i = 0; i < v->len; i++) {
        Member m = v->members[i];
        const SchemaField *field = schema_field(schema, m.name, strlen(m.name));
        if (!field && !schema->preserve_unknown) {
            walk_note_unknown(walk, frame, &m);
            continue;
        }
        if (field && m.value->type != VALUE_NULL) {
            Frame inner = {.parent = frame, .owner = schema, .field = field};
            int r = walk_value(walk, &inner, field->schema, m.value, &m.value);
            if (r < 0)
                return r;
            if (!m.value)
                continue;
            m.name = field->name;
        }
        v->members[kept++] = m;
    }
    v->len = (uint32_t)kept;
    sort_members(walk->arena, v);
    return 0;
}

/* *ret is NULL where Go's value would be nil or zero without a text. */
static int walk_value(Walk *walk, const Frame *frame, const Schema *schema, Value *v, Value **ret) {
    bool untyped = !schema->go_type;
    *ret = v->type == VALUE_NULL && !untyped ? NULL : v;
    if (v->type == VALUE_NULL)
        return 0;
    switch (schema->type) {
    case SCHEMA_STRUCT:
        return untyped ? walk_custom(walk, frame, schema, v) : walk_struct(walk, frame, schema, v);
    case SCHEMA_MAP:
        return walk_map(walk, frame, schema, v);
    case SCHEMA_LIST:
        return walk_list(walk, frame, schema, v);
    default:
        break;
    }
    if (untyped) {
        if (schema->type != SCHEMA_JSON) /* which is any value */
            walk_stray(walk, frame, schema, v);
        return 0;
    }
    switch (schema->type) {
    case SCHEMA_STRING:
        if (v->type != VALUE_STRING)
            type_error(walk, frame, value_json_kind(v), schema);
        return 0;
    case SCHEMA_BOOL:
        if (v->type != VALUE_BOOL)
            type_error(walk, frame, value_json_kind(v), schema);
        return 0;
    case SCHEMA_DOUBLE:
        if (v->type != VALUE_INT && v->type != VALUE_DOUBLE)
            type_error(walk, frame, value_json_kind(v), schema);
        return 0;
    case SCHEMA_INT32:
    case SCHEMA_INT64:
        return walk_int(walk, frame, schema, v);
    case SCHEMA_BYTES:
        return walk_bytes(walk, frame, schema, v);
    case SCHEMA_QUANTITY:
        return walk_quantity(walk, v);
    case SCHEMA_INT_OR_STRING:
        return walk_int_or_string(walk, frame, v);
    case SCHEMA_TIME:
    case SCHEMA_MICRO_TIME:
        return walk_time(walk, frame, schema->type == SCHEMA_MICRO_TIME, ret);
    case SCHEMA_DURATION:
        return walk_duration(walk, frame, v);
    case SCHEMA_JSON_UNION:
        return walk_union(walk, frame, schema, ret);
    default: /* any value, kept as it is */
        return 0;
    }
}

/* The encoding of a Go zero value. */
static Value *zero_value(Walk *walk, const Schema *schema) {
    if (!schema->go_type)
        return value_null(walk->arena);
    switch (schema->type) {
    case SCHEMA_STRUCT: {
        Value *v = value_object(walk->arena), *same;
        walk_value(walk, NULL, schema, v, &same);
        return v;
    }
    case SCHEMA_STRING:
        return value_string_n(walk->arena, "", 0);
    case SCHEMA_BOOL:
        return value_bool(walk->arena, false);
    case SCHEMA_INT32:
    case SCHEMA_INT64:
    case SCHEMA_DOUBLE:
    case SCHEMA_INT_OR_STRING:
        return value_int(walk->arena, 0);
    case SCHEMA_QUANTITY:
        return value_string_n(walk->arena, "0", 1);
    case SCHEMA_DURATION:
        return value_string_n(walk->arena, "0s", 2);
    case SCHEMA_JSON_UNION:
        return str_has_suffix(schema->name, "OrBool") ? value_bool(walk->arena, false) : value_null(walk->arena);
    default:
        return value_null(walk->arena);
    }
}

static int normalize(Walk *walk, const Schema *schema, Value *v, ApiError *err) {
    Value *kept;
    int r = walk_value(walk, NULL, schema, v, &kept);
    const char *message = r < 0 ? walk->last_word : walk->first_error;
    if (!message)
        return 0;
    if (!err)
        return -EINVAL;
    return api_error_bad_request(err, "%s", message);
}

int schema_normalize(Arena *arena, const Schema *schema, Value *v, UnknownFields *unknown, ApiError *err) {
    Walk walk = {.arena = arena, .unknown = unknown, .sort = !schema->go_type};
    return normalize(&walk, schema, v, err);
}

int schema_decode(Arena *arena, const Schema *schema, Value *v, UnknownFields *unknown, ApiError *err) {
    Walk walk = {.arena = arena, .unknown = unknown, .sort = !schema->go_type, .keep_unset = true};
    return normalize(&walk, schema, v, err);
}

static void member_as_stored(const SchemaField *field, Value *v) {
    if ((field->flags & FIELD_WRITE_NULL) && (v->type == VALUE_ARRAY || v->type == VALUE_OBJECT) && v->len == 0 &&
        (field->schema->type == SCHEMA_LIST || field->schema->type == SCHEMA_MAP))
        *v = (Value){.type = VALUE_NULL};
    else
        schema_as_stored(field->schema, v);
}

void schema_as_stored(const Schema *schema, Value *v) {
    if (!schema->go_type)
        return;
    if (schema->type == SCHEMA_STRUCT && v->type == VALUE_OBJECT) {
        size_t last = 0;
        for (size_t i = 0; i < v->len; i++) {
            const SchemaField *field = find_field(schema, v->members[i].name, &last);
            if (field)
                member_as_stored(field, v->members[i].value);
        }
    } else if (schema->type == SCHEMA_LIST && v->type == VALUE_ARRAY) {
        if (schema->element->type == SCHEMA_STRUCT || schema->element->type == SCHEMA_LIST)
            for (size_t i = 0; i < v->len; i++)
                schema_as_stored(schema->element, v->items[i]);
    } else if (schema->type == SCHEMA_MAP && v->type == VALUE_OBJECT)
        for (size_t i = 0; i < v->len; i++) {
            Value *element = v->members[i].value;
            if (schema->element->type == SCHEMA_BYTES && element->type == VALUE_NULL)
                *element = (Value){.type = VALUE_STRING, .string = ""};
            else
                schema_as_stored(schema->element, element);
        }
}
