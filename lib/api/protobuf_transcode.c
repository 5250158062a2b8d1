/* JSON at rest to protobuf in one pass, without a tree between. The text is what value_write_json made of a normalised
 * tree (object.h): no space, no member twice, members of a struct in Go's order. Whatever is not as expected, and the
 * rarer types, end in false or go through a tree; the bytes are the same either way, which the tests compare.
 *
 * Members come in the order of the Go struct and go out in the order of their numbers, with what Go writes of absent
 * members in between. So each member is written where it comes, as a segment, and the message is put together from the
 * segments behind the last of them, then moved down over them with its length in front. */
#include <errno.h>

#include "api/json.h"
#include "api/protobuf.h"
#include "api/scalar.h"
#include "base/str.h"

#if defined __SSE2__
#include <emmintrin.h>
#endif

#define VARINT_MAX 10

typedef struct Transcoder {
    const char *p, *end; /* *end is NUL */
    Buf *out;
    Arena *scratch;
    int depth;
} Transcoder;

typedef struct Segment {
    size_t from, to; /* offsets in out */
} Segment;

typedef struct Message { /* being put together */
    Transcoder *t;
    const Schema *schema;
    Segment segments[SCHEMA_FIELDS_MAX], run; /* run: segments side by side, copied in one go */
    uint8_t where[SCHEMA_FIELDS_MAX];         /* of schema->fields[i]: 1 + its segment; 0: absent */
    uint8_t n;
} Message;

static bool write_value(Transcoder *t, uint64_t number, const Schema *schema);

/* ---- output ---- */

static inline uint8_t *room(Transcoder *t, size_t n) {
    Buf *out = t->out;
    return (uint8_t *)(out->cap - out->len > n ? out->data + out->len : buf_reserve(out, n));
}

static inline uint8_t *varint(uint8_t *to, uint64_t value) {
    while (value > 0x7f) {
        *to++ = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    *to++ = (uint8_t)value;
    return to;
}

static inline size_t varint_size(uint64_t value) {
    return (size_t)(63 - __builtin_clzll(value | 1)) / 7 + 1;
}

static inline uint8_t *key(uint8_t *to, uint64_t number, WireType type) {
    return varint(to, number << 3 | type);
}

static void wrote(Transcoder *t, const uint8_t *to) {
    t->out->len = (size_t)((const char *)to - t->out->data);
}

static inline bool put_bytes(Transcoder *t, uint64_t number, const char *s, size_t n) {
    uint8_t *to = room(t, n + 2 * VARINT_MAX);
    if (!to)
        return false;
    to = varint(key(to, number, WIRE_BYTES), n);
    memcpy(to, s, n);
    wrote(t, to + n);
    return true;
}

static inline bool put_number(Transcoder *t, uint64_t number, uint64_t value) {
    uint8_t *to = room(t, 2 * VARINT_MAX);
    if (to)
        wrote(t, varint(key(to, number, WIRE_VARINT), value));
    return to != NULL;
}

/* ---- input ---- */

static inline bool take(Transcoder *t, char c) {
    if (*t->p != c)
        return false;
    t->p++;
    return true;
}

/* The first quote or backslash, many bytes at a time; the end when there is none. */
static inline const char *find_quote(const char *p, const char *end) {
#if defined __SSE2__
    const __m128i quotes = _mm_set1_epi8('"'), backslashes = _mm_set1_epi8('\\');
    for (; end - p >= 16; p += 16) {
        __m128i some = _mm_loadu_si128((const __m128i *)p);
        __m128i found = _mm_or_si128(_mm_cmpeq_epi8(some, quotes), _mm_cmpeq_epi8(some, backslashes));
        unsigned where = (unsigned)_mm_movemask_epi8(found);
        if (where)
            return p + __builtin_ctz(where);
    }
#elif __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    const uint64_t ones = 0x0101010101010101u, highs = 0x8080808080808080u;
    for (; end - p >= 8; p += 8) {
        uint64_t word, quote, backslash, found;
        memcpy(&word, p, 8);
        quote = word ^ ones * '"';
        backslash = word ^ ones * '\\';
        found = (((quote - ones) & ~quote) | ((backslash - ones) & ~backslash)) & highs; /* its lowest bit is exact */
        if (found)
            return p + __builtin_ctzll(found) / 8;
    }
#endif
    while (p < end && *p != '"' && *p != '\\')
        p++;
    return p;
}

/* What stands between the quotes, as it is. */
static bool take_string(Transcoder *t, const char **ret, size_t *ret_n, bool *ret_escaped) {
    if (!take(t, '"'))
        return false;
    const char *start = t->p, *p = find_quote(start, t->end);
    *ret_escaped = p < t->end && *p == '\\';
    while (p < t->end && *p == '\\')
        p = find_quote(MIN(p + 2, t->end), t->end);
    if (p >= t->end)
        return false;
    *ret = start;
    *ret_n = (size_t)(p - start);
    t->p = p + 1;
    return true;
}

static bool skip_string(Transcoder *t) {
    const char *s;
    size_t n;
    bool escaped;
    return take_string(t, &s, &n, &escaped);
}

static bool skip_value(Transcoder *t) {
    int open = 0;
    do {
        char c = *t->p;
        if (c == '"') {
            if (!skip_string(t))
                return false;
        } else if (c == '{' || c == '[') {
            open++;
            t->p++;
        } else if (c == '}' || c == ']') {
            open--;
            t->p++;
        } else if (c == ',' || c == ':') {
            t->p++;
        } else {
            size_t n = strcspn(t->p, ",:{}[]\"");
            if (n == 0)
                return false; /* the end */
            t->p += n;
        }
    } while (open > 0);
    return open == 0;
}

/* A string as it is meant: borrowed from the text, or unescaped in the scratch arena. */
static bool take_text(Transcoder *t, const char **ret, size_t *ret_n) {
    const char *from = t->p;
    bool escaped;
    Value *v;
    if (!take_string(t, ret, ret_n, &escaped))
        return false;
    if (!escaped)
        return true;
    if (json_parse(t->scratch, from, (size_t)(t->p - from), &v, NULL, NULL) < 0 || !value_is(v, VALUE_STRING))
        return false;
    *ret = v->string;
    *ret_n = v->len;
    return true;
}

static inline bool take_literal(Transcoder *t, const char *text) {
    size_t n = strlen(text);
    if (*t->p != *text || strncmp(t->p, text, n) != 0)
        return false;
    t->p += n;
    return true;
}

static bool take_int(Transcoder *t, int64_t *ret) {
    if (*t->p == 't' || *t->p == 'f') {
        *ret = *t->p == 't';
        return take_literal(t, *ret ? "true" : "false");
    }
    bool negative = take(t, '-');
    uint64_t n = 0;
    size_t digits = 0;
    for (; *t->p >= '0' && *t->p <= '9' && digits < 19; digits++)
        n = n * 10 + (uint64_t)(*t->p++ - '0');
    /* more digits, a fraction, an exponent: for a tree */
    if (digits == 0 || n > INT64_MAX || (*t->p >= '0' && *t->p <= '9') || *t->p == '.' || *t->p == 'e')
        return false;
    *ret = negative ? -(int64_t)n : (int64_t)n;
    return true;
}

/* ---- values ---- */

static bool write_by_tree(Transcoder *t, uint64_t number, const Schema *schema) {
    const char *from = t->p;
    Value *v;
    return skip_value(t) && json_parse(t->scratch, from, (size_t)(t->p - from), &v, NULL, NULL) == 0 &&
           protobuf_write_field(t->out, number, schema, v) == 0;
}

static bool write_zero(Transcoder *t, uint64_t number, const Schema *schema) {
    switch (schema->type) {
    case SCHEMA_STRING:
        return put_bytes(t, number, "", 0);
    case SCHEMA_BOOL:
    case SCHEMA_INT32:
    case SCHEMA_INT64:
        return put_number(t, number, 0);
    default:
        return protobuf_write_field(t->out, number, schema, NULL) == 0;
    }
}

static bool write_quantity(Transcoder *t, uint64_t number) {
    const char *text;
    size_t n;
    if (!take_text(t, &text, &n))
        return false;
    if (n == 0) {
        text = "0";
        n = 1;
    }
    uint8_t *to = room(t, 2 * VARINT_MAX);
    if (!to)
        return false;
    wrote(t, varint(key(to, number, WIRE_BYTES), 1 + varint_size(n) + n));
    return put_bytes(t, 1, text, n);
}

static bool write_int_or_string(Transcoder *t, uint64_t number) {
    const char *text = "";
    size_t n = 0;
    int64_t i = 0;
    bool is_text = *t->p == '"';
    if (is_text ? !take_text(t, &text, &n) : !take_int(t, &i))
        return false;
    size_t start = wire_begin(t->out, number);
    bool good = put_number(t, 1, is_text) && put_number(t, 2, (uint64_t)i) && put_bytes(t, 3, text, n);
    wire_end(t->out, start);
    return good;
}

static bool write_time(Transcoder *t, uint64_t number, bool micro) {
    const char *text;
    char *message;
    size_t n;
    TimePoint at = {.seconds = TIME_ZERO_SECONDS};
    if (!take_text(t, &text, &n) || (n > 0 && time_point_parse(t->scratch, text, n, micro, &at, &message) < 0))
        return false;
    size_t start = wire_begin(t->out, number);
    bool good =
        (at.seconds == TIME_ZERO_SECONDS && at.nanos == 0) ||
        (put_number(t, 1, (uint64_t)at.seconds) && put_number(t, 2, micro ? (uint64_t)(at.nanos / 1000 * 1000) : 0));
    wire_end(t->out, start);
    return good;
}

/* JSON within is bytes of the message: those that are there. */
static bool write_raw(Transcoder *t, uint64_t number) {
    const char *from = t->p;
    if (!skip_value(t))
        return false;
    size_t n = (size_t)(t->p - from);
    uint8_t *to = room(t, 2 * VARINT_MAX);
    if (!to)
        return false;
    wrote(t, varint(key(to, number, WIRE_BYTES), 1 + varint_size(n) + n));
    return put_bytes(t, 1, from, n);
}

static bool write_list(Transcoder *t, uint64_t number, const Schema *schema) {
    if (!take(t, '['))
        return false;
    if (take(t, ']'))
        return true;
    do {
        bool null = take_literal(t, "null");
        if (null ? !write_zero(t, number, schema->element) : !write_value(t, number, schema->element))
            return false;
    } while (take(t, ','));
    return take(t, ']');
}

/* False when this key may not follow that one: protobuf has them sorted. */
static bool is_after(const char *last, size_t last_n, const char *name, size_t n) {
    int c = last ? memcmp(last, name, MIN(last_n, n)) : -1;
    return c < 0 || (c == 0 && last_n < n);
}

static bool write_entry(Transcoder *t, uint64_t number, const Schema *element, const char *name, size_t n) {
    size_t start = wire_begin(t->out, number);
    bool null = take_literal(t, "null");
    bool good = put_bytes(t, 1, name, n) &&
                (!null ? write_value(t, 2, element) : element->type == SCHEMA_BYTES || write_zero(t, 2, element));
    wire_end(t->out, start);
    return good;
}

static bool write_map(Transcoder *t, uint64_t number, const Schema *schema) {
    const char *begin = t->p, *name, *last = NULL;
    size_t start = t->out->len, n, last_n = 0;
    bool escaped;
    if (!take(t, '{'))
        return false;
    if (take(t, '}'))
        return true;
    do {
        if (!take_string(t, &name, &n, &escaped) || !take(t, ':'))
            return false;
        if (escaped || !is_after(last, last_n, name, n)) { /* not in order: a tree sorts them */
            t->p = begin;
            t->out->len = start;
            return write_by_tree(t, number, schema);
        }
        if (!write_entry(t, number, schema->element, name, n))
            return false;
        last = name;
        last_n = n;
    } while (take(t, ','));
    return take(t, '}');
}

/* ---- messages ---- */

/* Whether `name` and a quote stand at `text`, and where they end. Most names differ in their first byte. */
static inline bool is_name(const char *name, const char *text, const char **ret_end) {
    while (*name && *name == *text)
        name++, text++;
    if (*name || *text != '"')
        return false;
    *ret_end = text + 1;
    return true;
}

/* Takes the name of a member and its colon. The search goes on where the last one ended; n_fields: no such field. */
static bool take_field(Transcoder *t, const Schema *schema, size_t *at, size_t *ret) {
    size_t i = schema->n_fields;
    if (*t->p != '"')
        return false;
    for (size_t k = 0; k < schema->n_fields; k++) {
        size_t tried = *at;
        *at = tried + 1 < schema->n_fields ? tried + 1 : 0;
        if (is_name(schema->fields[tried].name, t->p + 1, &t->p)) {
            i = tried;
            break;
        }
    }
    *ret = i;
    return (i < schema->n_fields || skip_string(t)) && take(t, ':');
}

/* The field as its message numbers it: the struct's own, or of the embedded struct it is in. NULL: in none. */
static const SchemaField *numbered(const Schema *schema, size_t index) {
    const SchemaField *field = &schema->fields[index];
    if (field->number)
        return field;
    for (size_t i = 0; i < schema->n_inlines; i++) {
        const SchemaInline *e = &schema->inlines[i];
        if (!e->number || index < e->first || index - e->first >= (size_t)MIN(e->count, e->schema->n_fields))
            continue;
        const SchemaField *inner = &e->schema->fields[index - e->first];
        return inner->number && streq(inner->name, field->name) ? inner : NULL;
    }
    return NULL;
}

static bool write_member(Message *m, size_t *at) {
    Transcoder *t = m->t;
    size_t i;
    if (!take_field(t, m->schema, at, &i))
        return false;
    const SchemaField *field = i < m->schema->n_fields ? numbered(m->schema, i) : NULL;
    if (!field)
        return skip_value(t); /* kind and apiVersion */
    if (take_literal(t, "null"))
        return true;
    if (m->where[i])
        return false;
    Segment *segment = &m->segments[m->n++];
    m->where[i] = m->n;
    segment->from = t->out->len;
    if (!write_value(t, field->number, field->schema))
        return false;
    segment->to = t->out->len;
    return true;
}

static bool copy_run(Message *m) {
    size_t n = m->run.to - m->run.from;
    uint8_t *to = n ? room(m->t, n) : NULL;
    if (n && !to)
        return false;
    if (n)
        memcpy(to, m->t->out->data + m->run.from, n);
    m->t->out->len += n;
    m->run = (Segment){0};
    return true;
}

static bool add_segment(Message *m, const Segment *segment) {
    if (segment->from != m->run.to || m->run.to == 0) {
        if (!copy_run(m))
            return false;
        m->run.from = segment->from;
    }
    m->run.to = segment->to;
    return true;
}

/* fields[index] of `schema`, which are those of the message from `first` on. */
static bool add_field(Message *m, const Schema *schema, size_t index, size_t first) {
    const SchemaField *field = &schema->fields[index];
    uint8_t at = m->where[first + index];
    if (at)
        return add_segment(m, &m->segments[at - 1]);
    if (protobuf_is_left_out(field, NULL))
        return true;
    return copy_run(m) && write_zero(m->t, field->number, field->schema);
}

static bool add_inline(Message *m, const SchemaInline *e) {
    if (!copy_run(m) || e->schema->n_fields > e->count)
        return false;
    size_t start = wire_begin(m->t->out, e->number);
    for (size_t i = 0; i < e->schema->n_by_number; i++) {
        size_t index = e->schema->by_number[i];
        if (index >= e->schema->n_fields || !add_field(m, e->schema, index, e->first))
            return false; /* one embedded in another */
    }
    if (!copy_run(m))
        return false;
    wire_end(m->t->out, start);
    return true;
}

static bool assemble(Message *m) {
    const Schema *schema = m->schema;
    for (size_t i = 0; i < schema->n_by_number; i++) {
        size_t index = schema->by_number[i];
        bool own = index < schema->n_fields;
        if (!(own ? add_field(m, schema, index, 0) : add_inline(m, &schema->inlines[index - schema->n_fields])))
            return false;
    }
    return true;
}

/* Moves what stands at `from` down to `start`, behind its length when it is framed. */
static bool settle(Transcoder *t, size_t start, size_t from, bool framed) {
    Buf *out = t->out;
    size_t n = out->len - from, head = framed ? varint_size(n) : 0;
    if (!room(t, VARINT_MAX))
        return false;
    memmove(out->data + start + head, out->data + from, n);
    if (framed)
        varint((uint8_t *)out->data + start, n);
    out->len = start + head + n;
    return true;
}

static bool write_message(Transcoder *t, const Schema *schema, bool framed) {
    size_t start = t->out->len, at = 0;
    Message m;
    if (schema->n_fields > SCHEMA_FIELDS_MAX || ++t->depth > PROTOBUF_DEPTH_MAX || !take(t, '{'))
        return false;
    m.t = t;
    m.schema = schema;
    m.n = 0;
    m.run = (Segment){0};
    memset(m.where, 0, schema->n_fields);
    if (!take(t, '}')) {
        do {
            if (!write_member(&m, &at))
                return false;
        } while (take(t, ','));
        if (!take(t, '}'))
            return false;
    }
    size_t members = t->out->len;
    if (!assemble(&m))
        return false;
    t->depth--;
    if (t->out->len == members && m.run.from == start && m.run.to == members) /* they stand as they should */
        return settle(t, start, start, framed);
    return copy_run(&m) && settle(t, start, members, framed);
}

static bool write_struct(Transcoder *t, uint64_t number, const Schema *schema) {
    uint8_t *to = room(t, VARINT_MAX);
    if (!to)
        return false;
    wrote(t, key(to, number, WIRE_BYTES));
    return write_message(t, schema, true);
}

static bool write_value(Transcoder *t, uint64_t number, const Schema *schema) {
    const char *text;
    size_t n;
    int64_t i;
    switch (schema->type) {
    case SCHEMA_STRING:
        return take_text(t, &text, &n) && put_bytes(t, number, text, n);
    case SCHEMA_BOOL:
    case SCHEMA_INT32:
    case SCHEMA_INT64:
        return take_int(t, &i) && put_number(t, number, (uint64_t)i);
    case SCHEMA_STRUCT:
        return write_struct(t, number, schema);
    case SCHEMA_MAP:
        return write_map(t, number, schema);
    case SCHEMA_LIST:
        return schema->list_wrapped ? write_by_tree(t, number, schema) : write_list(t, number, schema);
    case SCHEMA_QUANTITY:
        return write_quantity(t, number);
    case SCHEMA_INT_OR_STRING:
        return write_int_or_string(t, number);
    case SCHEMA_TIME:
    case SCHEMA_MICRO_TIME:
        return write_time(t, number, schema->type == SCHEMA_MICRO_TIME);
    case SCHEMA_RAW:
    case SCHEMA_FIELDS_V1:
        return write_raw(t, number);
    default:
        return write_by_tree(t, number, schema);
    }
}

int protobuf_transcode_message(Buf *out, Arena *scratch, const Schema *schema, const char *json, size_t n) {
    Transcoder t = {.p = json, .end = json + n, .out = out, .scratch = scratch};
    size_t before = out->len;
    if (schema->type == SCHEMA_STRUCT && write_message(&t, schema, false) && t.p == t.end && out->len <= out->limit) {
        if (room(&t, 0))
            out->data[out->len] = 0;
        return 0;
    }
    out->failed |= out->len > out->limit;
    if (out->data && !out->failed) {
        out->len = before;
        out->data[before] = 0;
    }
    return out->failed ? -EFBIG : -EOPNOTSUPP;
}
