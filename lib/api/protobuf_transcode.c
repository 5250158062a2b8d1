/* JSON at rest to protobuf in one pass, without a tree between. The text is what value_write_json made of a normalised
 * tree (object.h): no space, no member twice, members of a struct in Go's order. Whatever is not as expected, and the
 * rarer types, end in false or go through a tree; the bytes are the same either way, which the tests compare.
 *
 * Members come in the order of the Go struct and go out in the order of their numbers, with what Go writes of absent
 * members in between. As long as the one order is the other, a message is made where it stands. From the first member
 * that comes late, each is written where it comes, as a segment, and the message is put together from the segments
 * behind the last of them, then moved down over them. */
#include <errno.h>

#include "api/json.h"
#include "api/protobuf.h"
#include "api/scalar.h"
#include "base/str.h"

#if defined __SSE2__
#include <emmintrin.h>
#endif

#define VARINT_MAX 10
#define BLOCK 64         /* bytes looked at in one go: as many as a word has bits */
#define STRING_SHORT 128 /* no string within so many bytes is longer than its length has room for in one byte */

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
    Segment segments[2 * SCHEMA_FIELDS_MAX], run; /* run: segments side by side, copied in one go */
    uint64_t present, zeros;          /* a bit for each of schema->fields that has a segment; that was absent so far */
    uint8_t where[SCHEMA_FIELDS_MAX]; /* their segments */
    uint8_t n;
    bool in_order;
    size_t next, last; /* while it is: the place in schema->by_number up to which all is written; the last number */
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

/* A number, or the length of what comes next. */
static inline bool put_head(Transcoder *t, uint64_t number, WireType type, uint64_t value) {
    uint8_t *to = room(t, 2 * VARINT_MAX);
    if (to)
        wrote(t, varint(key(to, number, type), value));
    return to != NULL;
}

static inline bool put_number(Transcoder *t, uint64_t number, uint64_t value) {
    return put_head(t, number, WIRE_VARINT, value);
}

/* A message within, as wire_begin and wire_end have it; begin: 0 when there is no room. */
static inline size_t begin(Transcoder *t, uint64_t number) {
    uint8_t *to = room(t, VARINT_MAX + 1);
    if (!to)
        return 0;
    wrote(t, key(to, number, WIRE_BYTES) + 1);
    return t->out->len;
}

static inline bool end(Transcoder *t, size_t start) {
    Buf *out = t->out;
    size_t n = out->len - start, more = varint_size(n) - 1;
    if (!room(t, VARINT_MAX))
        return false;
    if (more > 0)
        memmove(out->data + start + more, out->data + start, n);
    varint((uint8_t *)out->data + start - 1, n);
    out->len += more;
    return true;
}

/* ---- input ---- */

static inline bool take(Transcoder *t, char c) {
    if (*t->p != c)
        return false;
    t->p++;
    return true;
}

#if defined __SSE2__
/* Which of 16 bytes are `c`, a bit each. */
static inline unsigned which_are(__m128i some, char c) {
    return (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(some, _mm_set1_epi8(c)));
}
#endif

/* The first quote or backslash, many bytes at a time; the end when there is none. */
static inline const char *find_quote(const char *p, const char *end) {
#if defined __SSE2__
    for (; end - p >= 16; p += 16) {
        __m128i some = _mm_loadu_si128((const __m128i *)p);
        unsigned where = which_are(some, '"') | which_are(some, '\\');
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

/* What stands where in BLOCK bytes, a bit each, the first one's the lowest. */
typedef struct Block {
    uint64_t quotes, backslashes, opens, closes;
} Block;

static inline Block block_of(const char *p) {
    Block b = {0};
#if defined __SSE2__
    for (unsigned i = 0; i < BLOCK; i += 16) {
        __m128i some = _mm_loadu_si128((const __m128i *)(p + i));
        __m128i folded = _mm_or_si128(some, _mm_set1_epi8('{' ^ '[')); /* [ and ] become { and } */
        b.quotes |= (uint64_t)which_are(some, '"') << i;
        b.backslashes |= (uint64_t)which_are(some, '\\') << i;
        b.opens |= (uint64_t)which_are(folded, '{') << i;
        b.closes |= (uint64_t)which_are(folded, '}') << i;
    }
#else
    for (unsigned i = 0; i < BLOCK; i++) {
        b.quotes |= (uint64_t)(p[i] == '"') << i;
        b.backslashes |= (uint64_t)(p[i] == '\\') << i;
        b.opens |= (uint64_t)(p[i] == '{' || p[i] == '[') << i;
        b.closes |= (uint64_t)(p[i] == '}' || p[i] == ']') << i;
    }
#endif
    return b;
}

/* The bytes that a backslash stands before; *escaped: the first byte of this block, then of the next one. */
static inline uint64_t escaped_bytes(uint64_t backslashes, uint64_t *escaped) {
    uint64_t found = *escaped, bit;
    for (backslashes &= ~found, *escaped = 0; backslashes; backslashes &= ~(bit | bit << 1)) {
        bit = backslashes & -backslashes;
        found |= bit << 1;
        *escaped = bit >> (BLOCK - 1);
    }
    return found;
}

/* Each bit becomes the parity of itself and those below: ones from each odd quote up to the next. */
static inline uint64_t between(uint64_t quotes) {
    for (unsigned n = 1; n < BLOCK; n *= 2)
        quotes ^= quotes << n;
    return quotes;
}

/* An object or array, block by block: only the brackets outside of strings count. */
static bool skip_nested(Transcoder *t) {
    uint64_t escaped = 0, inside = 0; /* inside: all ones when a block begins within a string */
    size_t depth = 0;
    char rest[BLOCK];
    size_t left = (size_t)(t->end - t->p);
    for (const char *p = t->p; left > 0; p += MIN(left, (size_t)BLOCK), left = (size_t)(t->end - p)) {
        if (left < BLOCK)
            memset((char *)memcpy(rest, p, left) + left, 0, BLOCK - left);
        Block b = block_of(left < BLOCK ? rest : p);
        uint64_t strings = between(b.quotes & ~escaped_bytes(b.backslashes, &escaped)) ^ inside;
        uint64_t opens = b.opens & ~strings, closes = b.closes & ~strings;
        inside = -(strings >> (BLOCK - 1));
        size_t n_closes = (size_t)__builtin_popcountll(closes);
        if (n_closes < depth) { /* the end is not in here */
            depth += (size_t)__builtin_popcountll(opens) - n_closes;
            continue;
        }
        for (uint64_t both = opens | closes; both; both &= both - 1) {
            if (both & -both & opens)
                depth++;
            else if (--depth == 0) {
                t->p = p + __builtin_ctzll(both) + 1;
                return true;
            }
        }
    }
    return false;
}

static bool skip_value(Transcoder *t) {
    if (*t->p == '"')
        return skip_string(t);
    if (*t->p == '{' || *t->p == '[')
        return skip_nested(t);
    size_t n = strcspn(t->p, ",:{}[]\"");
    t->p += n;
    return n > 0;
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

/* A short string is copied while its end is looked for. */
static bool write_string(Transcoder *t, uint64_t number) {
    const char *text;
    size_t n = 0;
#if defined __SSE2__
    uint8_t *to = room(t, VARINT_MAX + 1 + STRING_SHORT);
    if (!to)
        return false;
    to = key(to, number, WIRE_BYTES) + 1;
    const char *from = t->p + 1;
    while (*t->p == '"' && n < STRING_SHORT && t->end - from >= (ptrdiff_t)n + 16) {
        __m128i some = _mm_loadu_si128((const __m128i *)(from + n));
        unsigned where = which_are(some, '"') | which_are(some, '\\');
        _mm_storeu_si128((__m128i *)(to + n), some);
        n += where ? (unsigned)__builtin_ctz(where) : 16;
        if (where && from[n] == '"') {
            to[-1] = (uint8_t)n;
            t->p = from + n + 1;
            wrote(t, to + n);
            return true;
        }
        if (where)
            break;
    }
#endif
    return take_text(t, &text, &n) && put_bytes(t, number, text, n);
}

static bool write_by_tree(Transcoder *t, uint64_t number, const Schema *schema) {
    const char *from = t->p;
    Value *v;
    return skip_value(t) && json_parse(t->scratch, from, (size_t)(t->p - from), &v, NULL, NULL) == 0 &&
           protobuf_write_field(t->out, number, schema, v) == 0;
}

static bool write_zero(Transcoder *t, uint64_t number, const Schema *schema) {
    switch (schema->type) {
    case SCHEMA_STRING:
        return put_head(t, number, WIRE_BYTES, 0);
    case SCHEMA_BOOL:
    case SCHEMA_INT32:
    case SCHEMA_INT64:
        return put_head(t, number, WIRE_VARINT, 0);
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
    return put_head(t, number, WIRE_BYTES, 1 + varint_size(n) + n) && put_bytes(t, 1, text, n);
}

static bool write_int_or_string(Transcoder *t, uint64_t number) {
    const char *text = "";
    size_t n = 0;
    int64_t i = 0;
    bool is_text = *t->p == '"';
    if (is_text ? !take_text(t, &text, &n) : !take_int(t, &i))
        return false;
    size_t start = begin(t, number);
    return start && put_number(t, 1, is_text) && put_number(t, 2, (uint64_t)i) && put_bytes(t, 3, text, n) &&
           end(t, start);
}

static bool write_time(Transcoder *t, uint64_t number, bool micro) {
    const char *text;
    char *message;
    size_t n;
    TimePoint at = {.seconds = TIME_ZERO_SECONDS};
    if (!take_text(t, &text, &n) || (n > 0 && time_point_parse(t->scratch, text, n, micro, &at, &message) < 0))
        return false;
    size_t start = begin(t, number);
    bool good =
        (at.seconds == TIME_ZERO_SECONDS && at.nanos == 0) ||
        (put_number(t, 1, (uint64_t)at.seconds) && put_number(t, 2, micro ? (uint64_t)(at.nanos / 1000 * 1000) : 0));
    return start && good && end(t, start);
}

/* JSON within is bytes of the message: those that are there. */
static bool write_raw(Transcoder *t, uint64_t number) {
    const char *from = t->p;
    if (!skip_value(t))
        return false;
    size_t n = (size_t)(t->p - from);
    return put_head(t, number, WIRE_BYTES, 1 + varint_size(n) + n) && put_bytes(t, 1, from, n);
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
    size_t start = begin(t, number);
    bool null = take_literal(t, "null");
    return start && put_bytes(t, 1, name, n) &&
           (!null ? write_value(t, 2, element) : element->type == SCHEMA_BYTES || write_zero(t, 2, element)) &&
           end(t, start);
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

static void add_segment(Message *m, size_t index, size_t from) {
    m->present |= UINT64_C(1) << index;
    m->where[index] = m->n;
    m->segments[m->n++] = (Segment){from, m->t->out->len};
}

/* In order: writes what Go does of absent members with a number below that of fields[index]; of all, for n_fields. */
static bool fill_before(Message *m, size_t index) {
    const Schema *schema = m->schema;
    while (m->next < schema->n_by_number) {
        size_t i = schema->by_number[m->next++], from = m->t->out->len;
        if (i == index)
            return true;
        if (i >= schema->n_fields || protobuf_is_left_out(&schema->fields[i], NULL))
            continue;
        if (!write_zero(m->t, schema->fields[i].number, schema->fields[i].schema))
            return false;
        m->zeros |= UINT64_C(1) << i;
        add_segment(m, i, from);
    }
    return true;
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
    if ((m->present & ~m->zeros) >> i & 1)
        return false;
    m->in_order = m->in_order && field->number > m->last;
    m->last = field->number;
    if (m->in_order && !fill_before(m, i))
        return false;
    size_t from = t->out->len;
    if (!write_value(t, field->number, field->schema))
        return false;
    m->zeros &= ~(UINT64_C(1) << i);
    add_segment(m, i, from);
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

static bool copy_segment(Message *m, const Segment *segment) {
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
    if (m->present >> (first + index) & 1)
        return copy_segment(m, &m->segments[m->where[first + index]]);
    if (protobuf_is_left_out(field, NULL))
        return true;
    return copy_run(m) && write_zero(m->t, field->number, field->schema);
}

static bool add_inline(Message *m, const SchemaInline *e) {
    size_t start = copy_run(m) ? begin(m->t, e->number) : 0;
    if (!start || e->schema->n_fields > e->count)
        return false;
    for (size_t i = 0; i < e->schema->n_by_number; i++) {
        size_t index = e->schema->by_number[i];
        if (index >= e->schema->n_fields || !add_field(m, e->schema, index, e->first))
            return false; /* one embedded in another */
    }
    return copy_run(m) && end(m->t, start);
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

/* The members are all written, from `start` on. */
static bool finish(Message *m, size_t start) {
    Buf *out = m->t->out;
    size_t members = out->len;
    if (m->in_order)
        return fill_before(m, m->schema->n_fields);
    if (!assemble(m) || !copy_run(m))
        return false;
    size_t n = out->len - members;
    if (n > 0)
        memmove(out->data + start, out->data + members, n);
    out->len = start + n;
    return true;
}

static bool write_message(Transcoder *t, const Schema *schema) {
    size_t start = t->out->len, at = 0;
    Message m;
    if (schema->n_fields > SCHEMA_FIELDS_MAX || ++t->depth > PROTOBUF_DEPTH_MAX || !take(t, '{'))
        return false;
    m.t = t;
    m.schema = schema;
    m.n = 0;
    m.run = (Segment){0};
    m.present = m.zeros = 0;
    m.next = m.last = 0;
    m.in_order = true;
    for (size_t i = 0; i < schema->n_inlines; i++)
        m.in_order = m.in_order && schema->inlines[i].number == 0;
    if (!take(t, '}')) {
        do {
            if (!write_member(&m, &at))
                return false;
        } while (take(t, ','));
        if (!take(t, '}'))
            return false;
    }
    t->depth--;
    return finish(&m, start);
}

static bool write_struct(Transcoder *t, uint64_t number, const Schema *schema) {
    size_t start = begin(t, number);
    return start && write_message(t, schema) && end(t, start);
}

static bool write_value(Transcoder *t, uint64_t number, const Schema *schema) {
    int64_t i;
    switch (schema->type) {
    case SCHEMA_STRING:
        return write_string(t, number);
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
    if (schema->type == SCHEMA_STRUCT && write_message(&t, schema) && t.p == t.end && out->len <= out->limit) {
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
