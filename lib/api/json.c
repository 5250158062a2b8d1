/* The JSON decoder. One pass; the members and items of open objects and arrays wait on a scratch stack and move to the
 * arena in one piece when their object or array closes, so that a finished tree holds no slack. Messages are those of
 * Go's scanner, which names the state it was in. */
#include "api/json.h"
#include "api/utf8.h"
#include "base/strmap.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define SCRATCH_FIRST 192
#define LINEAR_MEMBERS_MAX 24 /* objects with more members look names up in a table while they are read */
#define DUPLICATES_MAX 100    /* as sigs.k8s.io/json */

typedef struct Slot {
    const char *name;
    Value *value;
    uint32_t name_len, hash;
} Slot;

typedef struct Frame Frame; /* where we are, for the paths of duplicates */
struct Frame {
    const Frame *up;
    const char *name; /* NULL: an index */
    size_t index;
};

typedef struct Parser {
    Arena *arena;
    const char *text, *p, *end;
    Slot *scratch;
    size_t n_scratch, cap_scratch;
    DuplicateFields *duplicates;
    char **err_message;
    int depth;
    Slot first[SCRATCH_FIRST];
} Parser;

static void quote_byte(unsigned char c, char out[16]) {
    if (c == '\'' || c == '"')
        strcpy(out, c == '"' ? "'\"'" : "'\\''");
    else if (c == '\\')
        strcpy(out, "'\\\\'");
    else if (c >= 7 && c <= 13)
        snprintf(out, 16, "'\\%c'", "abtnvfr"[c - 7]);
    else if (c < 0x20 || c == 0x7f)
        snprintf(out, 16, "'\\x%02x'", c);
    else if (c < 0x80)
        snprintf(out, 16, "'%c'", c);
    else if (!utf8_is_printable(c))
        snprintf(out, 16, "'\\u%04x'", c);
    else { /* Go's string(byte) is the character of that number */
        char text[5] = {0};
        utf8_encode(c, text);
        snprintf(out, 16, "'%s'", text);
    }
}

static int fail(Parser *parser, const char *where, const char *context) {
    if (!parser->err_message)
        return -EBADMSG;
    if (where >= parser->end)
        *parser->err_message = arena_strdup(parser->arena, "unexpected end of JSON input");
    else {
        char quoted[16];
        quote_byte((unsigned char)*where, quoted);
        *parser->err_message = arena_printf(parser->arena, "invalid character %s %s", quoted, context);
    }
    return -EBADMSG;
}

static void skip_space(Parser *parser) {
    while (parser->p < parser->end &&
           (*parser->p == ' ' || *parser->p == '\n' || *parser->p == '\t' || *parser->p == '\r'))
        parser->p++;
}

static int push(Parser *parser, Slot slot) {
    if (parser->n_scratch == parser->cap_scratch) {
        size_t cap = parser->cap_scratch * 2;
        Slot *more = parser->scratch == parser->first ? NULL : parser->scratch;
        more = realloc(more, cap * sizeof(Slot));
        if (!more)
            return -ENOMEM;
        if (parser->scratch == parser->first)
            memcpy(more, parser->first, parser->n_scratch * sizeof(Slot));
        parser->scratch = more;
        parser->cap_scratch = cap;
    }
    parser->scratch[parser->n_scratch++] = slot;
    return 0;
}

static int hex4(const char *p, uint32_t *ret) {
    uint32_t v = 0;
    for (int i = 0; i < 4; i++) {
        char c = p[i];
        if (c >= '0' && c <= '9')
            v = v << 4 | (uint32_t)(c - '0');
        else if ((c | 32) >= 'a' && (c | 32) <= 'f')
            v = v << 4 | (uint32_t)((c | 32) - 'a' + 10);
        else
            return i;
    }
    *ret = v;
    return 4;
}

/* Checks the string whose first byte is at `from` and finds its closing quote. */
static int string_scan(Parser *parser, const char *from, const char **ret_end) {
    for (const char *p = from;; p++) {
        if (p >= parser->end)
            return fail(parser, p, NULL);
        unsigned char c = (unsigned char)*p;
        if (c == '"') {
            *ret_end = p;
            return 0;
        }
        if (c < 0x20)
            return fail(parser, p, "in string literal");
        if (c != '\\')
            continue;
        if (++p >= parser->end)
            return fail(parser, p, NULL);
        if (*p == 'u') {
            for (int i = 1; i <= 4; i++)
                if (p + i >= parser->end || !strchr("0123456789abcdefABCDEF", p[i]) || !p[i])
                    return fail(parser, p + i, "in \\u hexadecimal character escape");
            p += 4;
        } else if (!*p || !strchr("\"\\/bfnrt", *p))
            return fail(parser, p, "in string escape code");
    }
}

/* Reads \uXXXX, and its second half when it is a surrogate pair; a half alone is U+FFFD. p is at the backslash. */
static uint32_t unicode_escape(const char **p, const char *end) {
    uint32_t rune = 0, low = 0;
    hex4(*p + 2, &rune);
    *p += 6;
    if (rune >= 0xD800 && rune < 0xDC00 && end - *p >= 6 && (*p)[0] == '\\' && (*p)[1] == 'u' &&
        hex4(*p + 2, &low) == 4 && low >= 0xDC00 && low < 0xE000) {
        *p += 6;
        return 0x10000 + ((rune - 0xD800) << 10 | (low - 0xDC00));
    }
    return rune;
}

/* Unescapes a checked string; with out NULL only counts. */
static size_t string_unescape(const char *p, const char *end, char *out) {
    size_t n = 0;
    while (p < end) {
        char encoded[4];
        size_t width = 1;
        uint32_t rune;
        if (*p == '\\' && p[1] == 'u') {
            width = utf8_encode(unicode_escape(&p, end), encoded);
        } else if (*p == '\\') {
            static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";
            const char *named = strchr(from, p[1]);
            encoded[0] = named ? to[named - from] : p[1];
            p += 2;
        } else {
            size_t used = utf8_decode(p, (size_t)(end - p), &rune);
            width = utf8_encode(rune, encoded);
            p += used;
        }
        if (out)
            memcpy(out + n, encoded, width);
        n += width;
    }
    return n;
}

#define EACH_BYTE(b) (0x0101010101010101ull * (uint8_t)(b))
#define HAS_ZERO(w) (((w)-EACH_BYTE(1)) & ~(w)&EACH_BYTE(0x80))

/* The first byte from p that is a quote, a backslash, a control or not ASCII. */
static const char *ascii_run(const char *p, const char *end) {
    for (; end - p >= 8; p += 8) {
        uint64_t w;
        memcpy(&w, p, 8);
        if ((w & EACH_BYTE(0x80)) | HAS_ZERO(w & EACH_BYTE(0xE0)) | HAS_ZERO(w ^ EACH_BYTE('"')) |
            HAS_ZERO(w ^ EACH_BYTE('\\')))
            break;
    }
    while (p < end && (unsigned char)*p >= 0x20 && (unsigned char)*p < 0x80 && *p != '"' && *p != '\\')
        p++;
    return p;
}

/* Reads the string at p (after its quote) into one allocation of `head` bytes and the text. */
static int parse_string(Parser *parser, size_t head, char **ret, size_t *ret_len) {
    const char *from = parser->p, *end = ascii_run(from, parser->end);
    bool plain = end < parser->end && *end == '"';
    if (!plain) {
        int r = string_scan(parser, end, &end);
        if (r < 0)
            return r;
    }
    size_t n = plain ? (size_t)(end - from) : string_unescape(from, end, NULL);
    char *block = arena_try_alloc(parser->arena, head + n + 1);
    if (!block)
        return -ENOMEM;
    if (plain)
        memcpy(block + head, from, n);
    else
        string_unescape(from, end, block + head);
    block[head + n] = 0;
    parser->p = end + 1;
    *ret = block;
    *ret_len = n;
    return 0;
}

static int make(Parser *parser, ValueType type, Value **ret) {
    Value *v = arena_try_alloc(parser->arena, sizeof(Value));
    if (!v)
        return -ENOMEM;
    *v = (Value){.type = (uint8_t)type};
    *ret = v;
    return 0;
}

/* Finds the end of the number at p and says whether it is written as an integer. */
static int number_scan(Parser *parser, const char **ret_end, bool *ret_integer) {
    const char *p = parser->p, *end = parser->end;
#define DIGIT() (p < end && *p >= '0' && *p <= '9')
    *ret_integer = true;
    if (*p == '-')
        p++;
    if (!DIGIT())
        return fail(parser, p, "in numeric literal");
    if (*p == '0')
        p++;
    else
        while (DIGIT())
            p++;
    if (p < end && *p == '.') {
        *ret_integer = false;
        p++;
        if (!DIGIT())
            return fail(parser, p, "after decimal point in numeric literal");
        while (DIGIT())
            p++;
    }
    if (p < end && (*p == 'e' || *p == 'E')) {
        *ret_integer = false;
        p++;
        if (p < end && (*p == '+' || *p == '-'))
            p++;
        if (!DIGIT())
            return fail(parser, p, "in exponent of numeric literal");
        while (DIGIT())
            p++;
    }
#undef DIGIT
    *ret_end = p;
    return 0;
}

static int parse_number(Parser *parser, Value **ret) {
    const char *end = NULL;
    bool integer = false;
    int r = number_scan(parser, &end, &integer);
    if (r < 0 || (r = make(parser, VALUE_INT, ret)) < 0)
        return r;
    const char *from = parser->p;
    size_t n = (size_t)(end - from);
    parser->p = end;
    if (integer && n <= 18) {
        int64_t v = 0;
        for (const char *p = from + (*from == '-'); p < end; p++)
            v = v * 10 + (*p - '0');
        (*ret)->integer = *from == '-' ? -v : v;
        return 0;
    }
    char *text = arena_try_alloc(parser->arena, n + 1);
    if (!text)
        return -ENOMEM;
    memcpy(text, from, n);
    text[n] = 0;
    errno = 0;
    if (integer) {
        (*ret)->integer = strtoll(text, NULL, 10);
        if (errno == 0)
            return 0;
        errno = 0;
    }
    double d = strtod(text, NULL);
    if (errno == ERANGE && (d > 1 || d < -1)) {
        if (parser->err_message)
            *parser->err_message =
                arena_printf(parser->arena, "json: cannot unmarshal number %.*s into Go value of type float64",
                             (int)MIN(n, (size_t)200), text);
        return -EBADMSG;
    }
    **ret = (Value){.type = VALUE_DOUBLE, .number = d};
    return 0;
}

static int parse_literal(Parser *parser, const char *word, ValueType type, bool boolean, Value **ret) {
    for (const char *w = word; *w; w++, parser->p++)
        if (parser->p >= parser->end || *parser->p != *w) {
            char context[64];
            snprintf(context, sizeof(context), "in literal %s (expecting '%c')", word, *w);
            return fail(parser, parser->p, context);
        }
    int r = make(parser, type, ret);
    if (r == 0 && type == VALUE_BOOL)
        (*ret)->boolean = boolean;
    return r;
}

static void path_write(Buf *out, const Frame *frame) {
    if (!frame)
        return;
    path_write(out, frame->up);
    if (frame->name)
        buf_printf(out, "%s%s", out->len ? "." : "", frame->name);
    else
        buf_printf(out, "[%zu]", frame->index);
}

static void report_duplicate(Parser *parser, const Frame *up, const char *name, uint32_t at) {
    DuplicateFields *d = parser->duplicates;
    if (!d || d->n >= DUPLICATES_MAX)
        return;
    _cleanup_buf_ Buf path = BUF_INIT(65536);
    Frame here = {.up = up, .name = name};
    path_write(&path, &here);
    char *text = arena_printf(parser->arena, "duplicate field \"%s\"", path.data ? path.data : "");
    for (size_t i = 0; i < d->n; i++)
        if (strcmp(d->messages[i], text) == 0)
            return;
    if (d->n == 0) {
        d->messages = arena_alloc(parser->arena, DUPLICATES_MAX * sizeof(char *));
        d->at = arena_alloc(parser->arena, DUPLICATES_MAX * sizeof *d->at);
    }
    d->at[d->n] = at;
    d->messages[d->n++] = text;
}

/* Names of one open object with many members: an open-addressed table of scratch indexes plus one. */
typedef struct NameTable {
    uint32_t *slots;
    size_t size;
} NameTable;

static void name_table_add(NameTable *table, const Slot *members, size_t index) {
    size_t at = members[index].hash & (table->size - 1);
    while (table->slots[at])
        at = (at + 1) & (table->size - 1);
    table->slots[at] = (uint32_t)index + 1;
}

static bool slot_is(const Slot *slot, uint32_t hash, const char *name, size_t len) {
    return slot->hash == hash && slot->name_len == len && memcmp(slot->name, name, len) == 0;
}

static int name_table_grow(NameTable *table, const Slot *members, size_t n) {
    if (n * 2 < table->size)
        return 0;
    size_t size = table->size ? table->size * 2 : LINEAR_MEMBERS_MAX * 4;
    while (size & (size - 1))
        size += size & -size;
    free(table->slots);
    table->slots = calloc(size, sizeof(uint32_t));
    table->size = table->slots ? size : 0;
    if (!table->slots)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++)
        name_table_add(table, members, i);
    return 0;
}

static Slot *member_find(Parser *parser, NameTable *table, size_t base, uint32_t hash, const char *name, size_t len) {
    Slot *members = parser->scratch + base;
    size_t n = parser->n_scratch - base;
    if (!table->slots) {
        for (size_t i = 0; i < n; i++)
            if (slot_is(&members[i], hash, name, len))
                return &members[i];
        return NULL;
    }
    for (size_t at = hash & (table->size - 1); table->slots[at]; at = (at + 1) & (table->size - 1))
        if (slot_is(&members[table->slots[at] - 1], hash, name, len))
            return &members[table->slots[at] - 1];
    return NULL;
}

static int parse_value(Parser *parser, const Frame *up, Value **ret);

static int parse_member_name(Parser *parser, char **ret, size_t *ret_len) {
    skip_space(parser);
    if (parser->p >= parser->end || *parser->p != '"')
        return fail(parser, parser->p, "looking for beginning of object key string");
    parser->p++;
    int r = parse_string(parser, 0, ret, ret_len);
    if (r < 0)
        return r;
    skip_space(parser);
    if (parser->p >= parser->end || *parser->p != ':')
        return fail(parser, parser->p, "after object key");
    parser->p++;
    return 0;
}

static int parse_member(Parser *parser, const Frame *up, NameTable *table, size_t base) {
    char *name;
    size_t len;
    skip_space(parser);
    uint32_t at = (uint32_t)(parser->p - parser->text);
    int r = parse_member_name(parser, &name, &len);
    if (r < 0)
        return r;
    Frame here = {.up = up, .name = name};
    Value *v;
    r = parse_value(parser, &here, &v);
    if (r < 0)
        return r;
    v->at = at;
    uint32_t hash = 0;
    if (table->slots || parser->n_scratch - base >= LINEAR_MEMBERS_MAX)
        hash = (uint32_t)hash_bytes(name, len);
    if (!table->slots && parser->n_scratch - base == LINEAR_MEMBERS_MAX)
        for (size_t i = base; i < parser->n_scratch; i++)
            parser->scratch[i].hash = (uint32_t)hash_bytes(parser->scratch[i].name, parser->scratch[i].name_len);
    if (parser->n_scratch - base >= LINEAR_MEMBERS_MAX &&
        (r = name_table_grow(table, parser->scratch + base, parser->n_scratch - base)) < 0)
        return r;
    Slot *before = member_find(parser, table, base, hash, name, len);
    if (before) {
        report_duplicate(parser, up, name, v->at);
        before->value = v;
        return 0;
    }
    r = push(parser, (Slot){.name = name, .value = v, .name_len = (uint32_t)len, .hash = hash});
    if (r == 0 && table->slots)
        name_table_add(table, parser->scratch + base, parser->n_scratch - base - 1);
    return r;
}

/* Moves the slots from `base` on into the object or array. */
static int close_container(Parser *parser, Value *v, size_t base) {
    size_t n = parser->n_scratch - base;
    const Slot *from = parser->scratch + base;
    parser->n_scratch = base;
    v->len = v->cap = (uint32_t)n;
    if (!n)
        return 0;
    void *to = arena_try_alloc(parser->arena, n * (v->type == VALUE_OBJECT ? sizeof(Member) : sizeof(Value *)));
    if (!to)
        return -ENOMEM;
    if (v->type == VALUE_OBJECT) {
        v->members = to;
        for (size_t i = 0; i < n; i++)
            v->members[i] = (Member){.name = from[i].name, .value = from[i].value};
    } else {
        v->items = to;
        for (size_t i = 0; i < n; i++)
            v->items[i] = from[i].value;
    }
    return 0;
}

static int parse_members(Parser *parser, const Frame *up, NameTable *table, size_t base) {
    for (;;) {
        int r = parse_member(parser, up, table, base);
        if (r < 0)
            return r;
        skip_space(parser);
        char c = parser->p < parser->end ? *parser->p : 0;
        if (c != ',' && c != '}')
            return fail(parser, parser->p, "after object key:value pair");
        parser->p++;
        if (c == '}')
            return 0;
    }
}

static int parse_object(Parser *parser, const Frame *up, Value **ret) {
    Value *v = NULL;
    int r = make(parser, VALUE_OBJECT, &v);
    if (r < 0)
        return r;
    size_t base = parser->n_scratch;
    parser->p++;
    skip_space(parser);
    if (parser->p < parser->end && *parser->p == '}')
        parser->p++;
    else {
        NameTable table = {0};
        r = parse_members(parser, up, &table, base);
        free(table.slots);
        if (r < 0)
            return r;
    }
    *ret = v;
    return close_container(parser, v, base);
}

static int parse_array(Parser *parser, const Frame *up, Value **ret) {
    Value *v = NULL;
    int r = make(parser, VALUE_ARRAY, &v);
    if (r < 0)
        return r;
    size_t base = parser->n_scratch;
    parser->p++;
    skip_space(parser);
    if (parser->p < parser->end && *parser->p == ']')
        parser->p++;
    else
        for (char c = ','; c == ',';) {
            Frame here = {.up = up, .index = parser->n_scratch - base};
            Value *item;
            r = parse_value(parser, &here, &item);
            if (r < 0 || (r = push(parser, (Slot){.value = item})) < 0)
                return r;
            skip_space(parser);
            c = parser->p < parser->end ? *parser->p : 0;
            if (c != ',' && c != ']')
                return fail(parser, parser->p, "after array element");
            parser->p++;
        }
    *ret = v;
    return close_container(parser, v, base);
}

static int parse_container(Parser *parser, const Frame *up, Value **ret) {
    if (parser->depth >= JSON_DEPTH_MAX) {
        if (parser->err_message)
            *parser->err_message = arena_strdup(parser->arena, "exceeded max depth");
        return -ELOOP;
    }
    parser->depth++;
    int r = *parser->p == '{' ? parse_object(parser, up, ret) : parse_array(parser, up, ret);
    parser->depth--;
    return r;
}

static int parse_value(Parser *parser, const Frame *up, Value **ret) {
    skip_space(parser);
    if (parser->p >= parser->end)
        return fail(parser, parser->p, NULL);
    switch (*parser->p) {
    case '{':
    case '[':
        return parse_container(parser, up, ret);
    case '"': {
        char *block;
        size_t len;
        parser->p++;
        int r = parse_string(parser, sizeof(Value), &block, &len);
        if (r < 0)
            return r;
        *ret = (Value *)(void *)block;
        **ret = (Value){.type = VALUE_STRING, .len = (uint32_t)len, .string = block + sizeof(Value)};
        return 0;
    }
    case 't':
        return parse_literal(parser, "true", VALUE_BOOL, true, ret);
    case 'f':
        return parse_literal(parser, "false", VALUE_BOOL, false, ret);
    case 'n':
        return parse_literal(parser, "null", VALUE_NULL, false, ret);
    case '-':
    case '0' ... '9':
        return parse_number(parser, ret);
    default:
        return fail(parser, parser->p, "looking for beginning of value");
    }
}

int json_parse(Arena *arena, const char *text, size_t len, Value **ret, DuplicateFields *duplicates,
               char **err_message) {
    if (len > UINT32_MAX / 4)
        return -ENOMEM;
    Parser parser;
    parser.arena = arena;
    parser.text = parser.p = text;
    parser.end = text + len;
    parser.scratch = parser.first;
    parser.n_scratch = 0;
    parser.cap_scratch = SCRATCH_FIRST;
    parser.duplicates = duplicates;
    parser.err_message = err_message;
    parser.depth = 0;
    if (duplicates)
        *duplicates = (DuplicateFields){0};
    Value *v = NULL;
    int r = parse_value(&parser, NULL, &v);
    if (r == 0) {
        skip_space(&parser);
        if (parser.p < parser.end)
            r = fail(&parser, parser.p, "after top-level value");
    }
    if (parser.scratch != parser.first)
        free(parser.scratch);
    if (r == 0)
        *ret = v;
    return r;
}
