/* YAML into trees, as sigs.k8s.io/yaml: libyaml's events, YAML 1.1 scalars, merge keys, keys made strings. An alias
 * gives a copy of what its anchor held (trees must not share parts: they will be changed), counted against
 * YAML_ALIAS_MAX. */
#include "api/json.h"
#include "api/yaml_scalar.h"
#include "base/str.h"
#include "base/strmap.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <yaml.h>

typedef struct Reader {
    yaml_parser_t parser;
    yaml_event_t event;
    bool have_event;
    Arena *arena;
    StrMap *anchors; /* name to Value; to `open` while the anchored node is being read */
    Value open;
    size_t aliased, depth;
    DuplicateFields *duplicates;
    Buf duplicate_lines;
    char **err_message;
} Reader;

static int fail(Reader *reader, int r, const char *format, const char *what) {
    if (reader->err_message && r != -ENOMEM)
        *reader->err_message = arena_printf(reader->arena, format, what);
    return r;
}

static int parser_failed(Reader *reader) {
    const yaml_parser_t *p = &reader->parser;
    if (p->error == YAML_MEMORY_ERROR)
        return -ENOMEM;
    size_t line = p->problem_mark.line;
    if (line)
        line += p->error == YAML_SCANNER_ERROR;
    else
        line = p->context_mark.line;
    if (reader->err_message) {
        const char *problem = p->problem ? p->problem : "unknown problem parsing YAML content";
        *reader->err_message = line ? arena_printf(reader->arena, "yaml: line %zu: %s", line, problem)
                                    : arena_printf(reader->arena, "yaml: %s", problem);
    }
    return -EBADMSG;
}

static void event_drop(Reader *reader) {
    if (reader->have_event)
        yaml_event_delete(&reader->event);
    reader->have_event = false;
}

static int event_next(Reader *reader) {
    event_drop(reader);
    if (!yaml_parser_parse(&reader->parser, &reader->event))
        return parser_failed(reader);
    reader->have_event = true;
    return 0;
}

static int make(Reader *reader, ValueType type, Value **ret) {
    Value *v = arena_try_alloc(reader->arena, sizeof(Value));
    if (!v)
        return -ENOMEM;
    *v = (Value){.type = (uint8_t)type};
    *ret = v;
    return 0;
}

static int make_string(Reader *reader, const char *s, size_t n, Value **ret) {
    char *copy = arena_try_alloc(reader->arena, n + 1);
    int r = copy ? make(reader, VALUE_STRING, ret) : -ENOMEM;
    if (r < 0)
        return r;
    memcpy(copy, s, n);
    copy[n] = 0;
    (*ret)->string = copy;
    (*ret)->len = (uint32_t)n;
    return 0;
}

/* A float as it stands after a trip through JSON: whole numbers become integers. */
static int make_number(Reader *reader, double d, Value **ret) {
    if (!isfinite(d))
        return fail(reader, -EBADMSG, "json: unsupported value: %s", isnan(d) ? "NaN" : d > 0 ? "+Inf" : "-Inf");
    int r = make(reader, VALUE_DOUBLE, ret);
    if (r < 0)
        return r;
    if (d == floor(d) && fabs(d) < 9.2e18)
        **ret = (Value){.type = VALUE_INT, .integer = (int64_t)d};
    else
        (*ret)->number = d;
    return 0;
}

#define TAG_PREFIX "tag:yaml.org,2002:"

static int binary_value(Reader *reader, const char *text, Value **ret) {
    _cleanup_buf_ Buf packed = BUF_INIT(BUF_NO_LIMIT);
    for (const char *p = text; *p; p++)
        if (*p != '\n' && *p != '\r')
            buf_putc(&packed, *p);
    uint8_t *bytes;
    size_t n;
    if (base64_decode(packed.data ? packed.data : "", packed.len, &bytes, &n) < 0)
        return fail(reader, -EBADMSG, "yaml: !!binary value contains invalid base64 data%s", "");
    int r = make_string(reader, (const char *)bytes, n, ret);
    free(bytes);
    return r;
}

static bool tag_agrees(const char *tag, ScalarKind kind) {
    static const char *const names[] = {"str", "null", "bool", "int", "float", "timestamp", "merge"};
    return streq(tag, names[kind]) || (streq(tag, "float") && kind == SCALAR_INT);
}

/* The scalar of the current event: its meaning, or SCALAR_STRING. */
static int scalar_of_event(Reader *reader, Scalar *ret, bool *ret_binary) {
    const char *tag = (const char *)reader->event.data.scalar.tag;
    const char *text = (const char *)reader->event.data.scalar.value;
    *ret_binary = false;
    *ret = (Scalar){.kind = SCALAR_STRING};
    if (!tag || streq(tag, "!")) {
        if (reader->event.data.scalar.plain_implicit)
            *ret = yaml_scalar_resolve(text);
        return 0;
    }
    if (!str_has_prefix(tag, TAG_PREFIX))
        return 0;
    tag += strlen(TAG_PREFIX);
    *ret_binary = streq(tag, "binary");
    if (streq(tag, "str") || *ret_binary)
        return 0;
    static const char *const resolvable[] = {"bool", "int", "float", "null", "timestamp", NULL};
    if (!str_in(tag, resolvable)) {
        if (streq(tag, "merge"))
            ret->kind = SCALAR_MERGE;
        return 0;
    }
    *ret = yaml_scalar_resolve(text);
    if (!tag_agrees(tag, ret->kind)) {
        char *why = arena_printf(reader->arena, "`%.200s` as a !!%s", text, tag);
        return fail(reader, -EBADMSG, "yaml: cannot decode %s", why);
    }
    if (streq(tag, "float") && ret->kind == SCALAR_INT)
        *ret = (Scalar){.kind = SCALAR_FLOAT, .number = (double)ret->integer};
    return 0;
}

static int scalar_value(Reader *reader, Value **ret) {
    Scalar scalar;
    bool binary;
    int r = scalar_of_event(reader, &scalar, &binary);
    if (r < 0)
        return r;
    const char *text = (const char *)reader->event.data.scalar.value;
    if (binary)
        return binary_value(reader, text, ret);
    switch (scalar.kind) {
    case SCALAR_NULL:
        return make(reader, VALUE_NULL, ret);
    case SCALAR_BOOL:
        if ((r = make(reader, VALUE_BOOL, ret)) == 0)
            (*ret)->boolean = scalar.boolean;
        return r;
    case SCALAR_INT:
        if (scalar.is_unsigned)
            return make_number(reader, (double)(uint64_t)scalar.integer, ret);
        if ((r = make(reader, VALUE_INT, ret)) == 0)
            (*ret)->integer = scalar.integer;
        return r;
    case SCALAR_FLOAT:
        return make_number(reader, scalar.number, ret);
    case SCALAR_TIME:
        return make_string(reader, scalar.time, strlen(scalar.time), ret);
    case SCALAR_STRING:
    case SCALAR_MERGE:
        break;
    }
    return make_string(reader, text, reader->event.data.scalar.length, ret);
}

static void float_key(double d, char out[40]) { /* strconv.FormatFloat(d, 'g', -1, 32) */
    if (!isfinite(d)) {
        strcpy(out, isnan(d) ? ".nan" : d > 0 ? ".inf" : "-.inf");
        return;
    }
    for (int precision = 1; precision <= 9; precision++) {
        snprintf(out, 40, "%.*g", precision, (double)(float)d);
        if (strtof(out, NULL) == (float)d)
            return;
    }
}

/* The current event as a member's name; *ret_merge for `<<`. */
static int key_of_event(Reader *reader, char **ret, bool *ret_merge) {
    *ret_merge = false;
    if (reader->event.type != YAML_SCALAR_EVENT)
        return fail(reader, -EBADMSG, "yaml: invalid map key: %s", "only scalars can be keys");
    Scalar scalar;
    bool binary;
    int r = scalar_of_event(reader, &scalar, &binary);
    if (r < 0)
        return r;
    char buffer[40];
    const char *text = (const char *)reader->event.data.scalar.value;
    if (scalar.kind == SCALAR_MERGE)
        *ret_merge = true;
    else if (scalar.kind == SCALAR_NULL || scalar.kind == SCALAR_TIME)
        return fail(reader, -EBADMSG, "unsupported map key: %s", str_or(text, "null"));
    else if (scalar.kind == SCALAR_BOOL)
        text = scalar.boolean ? "true" : "false";
    else if (scalar.kind == SCALAR_INT) {
        snprintf(buffer, sizeof(buffer), scalar.is_unsigned ? "%llu" : "%lld", (long long)scalar.integer);
        text = buffer;
    } else if (scalar.kind == SCALAR_FLOAT) {
        float_key(scalar.number, buffer);
        text = buffer;
    }
    size_t n = strlen(text);
    *ret = arena_try_alloc(reader->arena, n + 1);
    if (!*ret)
        return -ENOMEM;
    memcpy(*ret, text, n + 1);
    return 0;
}

/* Bytes and values of a tree. */
static void measure(const Value *v, size_t *values, size_t *bytes) {
    ++*values;
    *bytes += sizeof(Value) + (v->type == VALUE_STRING ? v->len + 8 : 0);
    for (size_t i = 0; i < value_len(v); i++) {
        *bytes += 32;
        if (v->type == VALUE_OBJECT)
            *bytes += strlen(v->members[i].name);
        measure(v->type == VALUE_OBJECT ? v->members[i].value : v->items[i], values, bytes);
    }
}

static int copy_aliased(Reader *reader, const Value *v, Value **ret) {
    size_t values = 0, bytes = 0;
    measure(v, &values, &bytes);
    reader->aliased += values;
    if (reader->aliased > YAML_ALIAS_MAX)
        return fail(reader, -EBADMSG, "yaml: document contains excessive aliasing%s", "");
    if (!arena_try_alloc(reader->arena, bytes)) /* held against the limit before value_copy takes it */
        return -ENOMEM;
    *ret = value_copy(reader->arena, v);
    return 0;
}

static int alias_value(Reader *reader, Value **ret) {
    const char *name = (const char *)reader->event.data.alias.anchor;
    const Value *v = strmap_get(reader->anchors, name);
    if (!v)
        return fail(reader, -EBADMSG, "yaml: unknown anchor '%s' referenced", name);
    if (v == &reader->open)
        return fail(reader, -EBADMSG, "yaml: anchor '%s' value contains itself", name);
    return copy_aliased(reader, v, ret);
}

#define DUPLICATES_MAX 100

static void report_duplicate(Reader *reader, const char *name, size_t line) {
    DuplicateFields *d = reader->duplicates;
    if (!d || d->n >= DUPLICATES_MAX)
        return;
    _cleanup_buf_ Buf message = BUF_INIT(65536);
    buf_printf(&message, "line %zu: key ", line + 1);
    go_quote(&message, name);
    buf_puts(&message, " already set in map");
    if (!d->n)
        d->messages = arena_alloc(reader->arena, DUPLICATES_MAX * sizeof(char *));
    d->messages[d->n++] = arena_strdup(reader->arena, message.failed ? "" : message.data);
    buf_printf(&reader->duplicate_lines, "\n  %s", d->messages[d->n - 1]);
}

static int node_value(Reader *reader, Value **ret);

static int append(Reader *reader, Value *array, Value *item) {
    if (array->len == array->cap && !arena_try_alloc(reader->arena, array->cap * 2 * sizeof(Value *)))
        return -ENOMEM;
    value_append(reader->arena, array, item);
    return 0;
}

/* Members of one mapping being read; large ones get a table so that keys from outside cannot make it quadratic. */
typedef struct Mapping {
    Value *object;
    StrMap *table; /* name to index + 1 */
} Mapping;

#define LINEAR_MEMBERS_MAX 32

static size_t mapping_find(const Mapping *mapping, const char *name) {
    if (mapping->table)
        return (size_t)(uintptr_t)strmap_get(mapping->table, name);
    for (size_t i = 0; i < mapping->object->len; i++)
        if (streq(mapping->object->members[i].name, name))
            return i + 1;
    return 0;
}

/* Takes a name that is already in the arena. */
static int mapping_put(Reader *reader, Mapping *mapping, const char *name, Value *v) {
    Value *object = mapping->object;
    size_t at = mapping_find(mapping, name);
    if (at) {
        object->members[at - 1].value = v;
        return 0;
    }
    if (object->len == object->cap) {
        uint32_t cap = object->cap ? object->cap * 2 : 4;
        Member *members = arena_try_alloc(reader->arena, cap * sizeof(Member));
        if (!members)
            return -ENOMEM;
        if (object->len)
            memcpy(members, object->members, object->len * sizeof(Member));
        object->members = members;
        object->cap = cap;
    }
    object->members[object->len++] = (Member){.name = name, .value = v};
    if (!mapping->table && object->len > LINEAR_MEMBERS_MAX) {
        mapping->table = strmap_new(NULL);
        for (size_t i = 0; i + 1 < object->len; i++)
            strmap_put(mapping->table, object->members[i].name, (void *)(uintptr_t)(i + 1));
    }
    if (mapping->table)
        strmap_put(mapping->table, name, (void *)(uintptr_t)object->len);
    return 0;
}

static int merge_into(Reader *reader, Mapping *mapping, const Value *from) {
    if (!value_is(from, VALUE_OBJECT))
        return fail(reader, -EBADMSG, "yaml: map merge requires map or sequence of maps as the value%s", "");
    VALUE_FOREACH_MEMBER (m, from) {
        int r = mapping_put(reader, mapping, m->name, m->value);
        if (r < 0)
            return r;
    }
    return 0;
}

/* `<<`: of a sequence the first map wins, so they are laid down from the last. */
static int merge_key(Reader *reader, Mapping *mapping) {
    Value *v;
    int r = event_next(reader);
    if (r < 0 || (r = node_value(reader, &v)) < 0)
        return r;
    if (!value_is(v, VALUE_ARRAY))
        return merge_into(reader, mapping, v);
    for (size_t i = v->len; i-- > 0 && r == 0;)
        r = merge_into(reader, mapping, v->items[i]);
    return r;
}

static int mapping_members(Reader *reader, Mapping *mapping) {
    for (;;) {
        int r = event_next(reader);
        if (r < 0)
            return r;
        if (reader->event.type == YAML_MAPPING_END_EVENT)
            return 0;
        char *name = NULL;
        bool merge = false;
        if ((r = key_of_event(reader, &name, &merge)) < 0)
            return r;
        if (merge) {
            if ((r = merge_key(reader, mapping)) < 0)
                return r;
            continue;
        }
        Value *v;
        if ((r = event_next(reader)) < 0)
            return r;
        size_t line = reader->event.start_mark.line; /* where the value begins is what the reference tells */
        if ((r = node_value(reader, &v)) < 0)
            return r;
        if (mapping_find(mapping, name))
            report_duplicate(reader, name, line);
        if ((r = mapping_put(reader, mapping, name, v)) < 0)
            return r;
    }
}

static int mapping_value(Reader *reader, Value **ret) {
    Mapping mapping = {0};
    int r = make(reader, VALUE_OBJECT, &mapping.object);
    if (r < 0)
        return r;
    r = mapping_members(reader, &mapping);
    strmap_free(mapping.table);
    *ret = mapping.object;
    return r;
}

static int sequence_value(Reader *reader, Value **ret) {
    int r = make(reader, VALUE_ARRAY, ret);
    while (r == 0) {
        Value *item;
        if ((r = event_next(reader)) < 0 || reader->event.type == YAML_SEQUENCE_END_EVENT)
            break;
        if ((r = node_value(reader, &item)) == 0)
            r = append(reader, *ret, item);
    }
    return r;
}

static const char *event_anchor(const yaml_event_t *event) {
    if (event->type == YAML_SCALAR_EVENT)
        return (const char *)event->data.scalar.anchor;
    if (event->type == YAML_SEQUENCE_START_EVENT)
        return (const char *)event->data.sequence_start.anchor;
    return event->type == YAML_MAPPING_START_EVENT ? (const char *)event->data.mapping_start.anchor : NULL;
}

/* The node whose first event is current. */
static int node_value(Reader *reader, Value **ret) {
    if (reader->event.type == YAML_ALIAS_EVENT)
        return alias_value(reader, ret);
    if (reader->depth >= JSON_DEPTH_MAX)
        return fail(reader, -ELOOP, "yaml: exceeded max depth%s", "");
    _cleanup_free_ char *anchor = xstrdup(event_anchor(&reader->event));
    if (anchor)
        strmap_put(reader->anchors, anchor, &reader->open);
    reader->depth++;
    int r;
    if (reader->event.type == YAML_SCALAR_EVENT)
        r = scalar_value(reader, ret);
    else if (reader->event.type == YAML_MAPPING_START_EVENT)
        r = mapping_value(reader, ret);
    else
        r = sequence_value(reader, ret);
    reader->depth--;
    if (r == 0 && anchor)
        strmap_put(reader->anchors, anchor, *ret);
    return r;
}

static int nesting_of(const yaml_event_t *event) {
    switch (event->type) {
    case YAML_SEQUENCE_START_EVENT:
    case YAML_MAPPING_START_EVENT:
        return 1;
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        return -1;
    default:
        return 0;
    }
}

/* The reference parses the document before it looks at meanings: an error of syntax further on comes first. Each token
 * costs libyaml as many steps as it is deep, so what is nested too deeply is not read on. */
static int drain(Reader *reader, int r) {
    int depth = 0;
    while (depth < JSON_DEPTH_MAX && reader->parser.error == YAML_NO_ERROR && reader->have_event &&
           reader->event.type != YAML_DOCUMENT_END_EVENT) {
        if (event_next(reader) < 0)
            return -EBADMSG;
        depth += nesting_of(&reader->event);
    }
    return r;
}

/* Reads the next document; *ret NULL at the end of the stream. */
static int document_next(Reader *reader, Value **ret) {
    *ret = NULL;
    int r;
    do
        if ((r = event_next(reader)) < 0)
            return r;
    while (reader->event.type == YAML_STREAM_START_EVENT || reader->event.type == YAML_DOCUMENT_END_EVENT);
    if (reader->event.type == YAML_STREAM_END_EVENT)
        return 0;
    strmap_clear(reader->anchors);
    if ((r = event_next(reader)) < 0)
        return r;
    r = node_value(reader, ret);
    if (r < 0 && r != -ENOMEM && r != -ELOOP)
        r = drain(reader, r);
    return r;
}

static int reader_open(Reader *reader, Arena *arena, const char *text, size_t len, char **err_message) {
    *reader = (Reader){.arena = arena, .err_message = err_message, .duplicate_lines = BUF_INIT(1 << 20)};
    if (!yaml_parser_initialize(&reader->parser))
        return -ENOMEM;
    yaml_parser_set_input_string(&reader->parser, (const unsigned char *)text, len);
    yaml_parser_set_encoding(&reader->parser, YAML_UTF8_ENCODING);
    reader->anchors = strmap_new(NULL);
    return 0;
}

static void reader_close(Reader *reader) {
    event_drop(reader);
    yaml_parser_delete(&reader->parser);
    strmap_free(reader->anchors);
    buf_done(&reader->duplicate_lines);
}

int yaml_parse(Arena *arena, const char *text, size_t len, Value **ret, DuplicateFields *duplicates,
               char **err_message) {
    Reader reader;
    int r = reader_open(&reader, arena, text, len, err_message);
    if (r < 0)
        return r;
    if (duplicates)
        *duplicates = (DuplicateFields){0};
    reader.duplicates = duplicates;
    Value *v = NULL;
    r = document_next(&reader, &v);
    if (r == 0 && !v)
        r = make(&reader, VALUE_NULL, &v);
    if (r == 0 && duplicates && duplicates->n)
        duplicates->yaml_message = arena_printf(arena, "yaml: unmarshal errors:%s", reader.duplicate_lines.data);
    reader_close(&reader);
    if (r == 0)
        *ret = v;
    return r;
}

int yaml_parse_all(Arena *arena, const char *text, size_t len, Value **ret_array, char **err_message) {
    Reader reader;
    int r = reader_open(&reader, arena, text, len, err_message);
    if (r < 0)
        return r;
    Value *all = NULL, *v = NULL;
    r = make(&reader, VALUE_ARRAY, &all);
    while (r == 0 && (r = document_next(&reader, &v)) == 0 && v)
        if (v->type != VALUE_NULL)
            r = append(&reader, all, v);
    reader_close(&reader);
    if (r == 0)
        *ret_array = all;
    return r;
}
