/* Trees as YAML: literal blocks for text with line breaks, quotes where a plain word would mean something else; of
 * objects the keys are sorted and the layout is libyaml's, which go-yaml's emitter is a port of. */
#include "api/yaml_write.h"
#include "api/yaml_scalar.h"
#include "base/str.h"

#include <yaml.h>

static bool is_letter(unsigned char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c >= 0x80;
}

static bool is_digit(unsigned char c) {
    return c >= '0' && c <= '9';
}

/* go-yaml's order of keys: numbers inside by their value, other signs before letters. */
static int compare_keys(const void *pa, const void *pb) {
    const unsigned char *a = (const unsigned char *)(*(const Member *const *)pa)->name;
    const unsigned char *b = (const unsigned char *)(*(const Member *const *)pb)->name;
    size_t i = 0;
    while (a[i] && a[i] == b[i])
        i++;
    if (!a[i] || !b[i])
        return (a[i] != 0) - (b[i] != 0);
    if (is_letter(a[i]) && is_letter(b[i]))
        return a[i] < b[i] ? -1 : 1;
    if (is_letter(a[i]) || is_letter(b[i]))
        return is_letter(b[i]) ? -1 : 1;
    uint64_t an = 0, bn = 0;
    if (a[i] == '0' || b[i] == '0')
        for (size_t j = i; j-- > 0 && is_digit(a[j]);)
            if (a[j] != '0') {
                an = bn = 1;
                break;
            }
    size_t ai = i, bi = i;
    for (; is_digit(a[ai]); ai++)
        an = an * 10 + (uint64_t)(a[ai] - '0');
    for (; is_digit(b[bi]); bi++)
        bn = bn * 10 + (uint64_t)(b[bi] - '0');
    if (an != bn)
        return an < bn ? -1 : 1;
    if (ai != bi)
        return ai < bi ? -1 : 1;
    return a[i] < b[i] ? -1 : 1;
}

/* [-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?: a number in YAML 1.1, so it needs quotes for other readers. */
static bool is_base60(const char *s) {
    s += *s == '-' || *s == '+';
    if (!is_digit((unsigned char)*s))
        return false;
    s += strspn(s, "0123456789_");
    int parts = 0;
    while (*s == ':' && is_digit((unsigned char)s[1])) {
        size_t n = 1 + (is_digit((unsigned char)s[2]) ? 1 : 0);
        if (n == 2 && s[1] > '5')
            return false;
        s += 1 + n;
        parts++;
    }
    if (*s == '.')
        s += 1 + strspn(s + 1, "0123456789_");
    return parts && !*s;
}

static int emit_text(yaml_emitter_t *emitter, const char *s, size_t n, yaml_scalar_style_t style) {
    yaml_event_t event;
    bool plain = style == YAML_PLAIN_SCALAR_STYLE;
    if (!yaml_scalar_event_initialize(&event, NULL, NULL, (const unsigned char *)s, (int)n, plain, !plain, style))
        return 0;
    return yaml_emitter_emit(emitter, &event);
}

static int emit_string(yaml_emitter_t *emitter, const char *s, size_t n) {
    yaml_scalar_style_t style = YAML_PLAIN_SCALAR_STYLE;
    yaml_event_t event;
    if (memchr(s, '\n', n))
        style = YAML_LITERAL_SCALAR_STYLE;
    else if (yaml_scalar_resolve(s).kind != SCALAR_STRING || is_base60(s))
        style = YAML_DOUBLE_QUOTED_SCALAR_STYLE;
    /* Both flags: where plain cannot hold the text, the emitter falls back to quotes by itself. */
    if (!yaml_scalar_event_initialize(&event, NULL, NULL, (const unsigned char *)s, (int)n, 1, 1, style))
        return 0;
    return yaml_emitter_emit(emitter, &event);
}

static int emit(yaml_emitter_t *emitter, const Value *v);

static int emit_object(yaml_emitter_t *emitter, const Value *v) {
    yaml_event_t event;
    yaml_mapping_style_t style = v->len ? YAML_BLOCK_MAPPING_STYLE : YAML_FLOW_MAPPING_STYLE;
    if (!yaml_mapping_start_event_initialize(&event, NULL, NULL, 1, style) || !yaml_emitter_emit(emitter, &event))
        return 0;
    Member **sorted = xreallocn(NULL, v->len + 1, sizeof(Member *));
    for (size_t i = 0; i < v->len; i++)
        sorted[i] = &v->members[i];
    qsort(sorted, v->len, sizeof(Member *), compare_keys);
    int ok = 1;
    for (size_t i = 0; i < v->len && ok; i++)
        ok = emit_string(emitter, sorted[i]->name, strlen(sorted[i]->name)) && emit(emitter, sorted[i]->value);
    free(sorted);
    return ok && yaml_mapping_end_event_initialize(&event) && yaml_emitter_emit(emitter, &event);
}

static int emit_array(yaml_emitter_t *emitter, const Value *v) {
    yaml_event_t event;
    yaml_sequence_style_t style = v->len ? YAML_BLOCK_SEQUENCE_STYLE : YAML_FLOW_SEQUENCE_STYLE;
    if (!yaml_sequence_start_event_initialize(&event, NULL, NULL, 1, style) || !yaml_emitter_emit(emitter, &event))
        return 0;
    for (size_t i = 0; i < v->len; i++)
        if (!emit(emitter, v->items[i]))
            return 0;
    return yaml_sequence_end_event_initialize(&event) && yaml_emitter_emit(emitter, &event);
}

static int emit(yaml_emitter_t *emitter, const Value *v) {
    if (value_is(v, VALUE_OBJECT))
        return emit_object(emitter, v);
    if (value_is(v, VALUE_ARRAY))
        return emit_array(emitter, v);
    if (value_is(v, VALUE_STRING))
        return emit_string(emitter, v->string, v->len);
    _cleanup_buf_ Buf text = BUF_INIT(256);
    value_write_json(&text, v);
    return emit_text(emitter, text.data, text.len, YAML_PLAIN_SCALAR_STYLE);
}

static int to_buf(void *data, unsigned char *bytes, size_t n) {
    Buf *out = data;
    buf_append(out, bytes, n);
    return !out->failed;
}

/* Columns of indentation and of a line; 0: the defaults, 2 and 80. */
static bool begin(yaml_emitter_t *emitter, Buf *out, int indent, int width) {
    yaml_event_t event;
    if (!yaml_emitter_initialize(emitter))
        return false;
    yaml_emitter_set_output(emitter, to_buf, out);
    yaml_emitter_set_unicode(emitter, 1);
    yaml_emitter_set_indent(emitter, indent);
    yaml_emitter_set_width(emitter, width);
    return yaml_stream_start_event_initialize(&event, YAML_UTF8_ENCODING) && yaml_emitter_emit(emitter, &event) &&
           yaml_document_start_event_initialize(&event, NULL, NULL, NULL, 1) && yaml_emitter_emit(emitter, &event);
}

static bool end(yaml_emitter_t *emitter) {
    yaml_event_t event;
    return yaml_document_end_event_initialize(&event, 1) && yaml_emitter_emit(emitter, &event) &&
           yaml_stream_end_event_initialize(&event) && yaml_emitter_emit(emitter, &event) &&
           yaml_emitter_flush(emitter);
}

void value_write_yaml(Buf *out, const Value *v) {
    yaml_emitter_t emitter;
    if (!begin(&emitter, out, 0, 0) || !emit(&emitter, v) || !end(&emitter))
        out->failed = true;
    yaml_emitter_delete(&emitter);
}

/* The layout of yaml.v3: lists within objects are indented too, and all but what follows a dash by four columns. The
 * emitter's is fixed to that of yaml.v2, so it only writes the texts that are not plain words. */

#define NODE_INDENT 4

typedef enum Place { AT_ROOT, AFTER_KEY, AFTER_DASH } Place;

static void put_indent(Buf *out, int indent) {
    for (int i = 0; i < indent; i++)
        buf_putc(out, ' ');
}

static int inner_indent(int indent, Place place) {
    return place == AT_ROOT ? 0 : place == AFTER_DASH ? indent + 2 : indent / NODE_INDENT * NODE_INDENT + NODE_INDENT;
}

/* Would it be a string without quotes? By YAML 1.2, in which "yes" and "off" are no booleans. */
static bool is_plain(const char *s) {
    Scalar scalar = yaml_scalar_resolve(s);
    return scalar.kind == SCALAR_STRING || scalar.kind == SCALAR_MERGE ||
           (scalar.kind == SCALAR_BOOL && strcasecmp(s, "true") != 0 && strcasecmp(s, "false") != 0);
}

static bool is_word(const char *s, size_t n) {
    static const char signs[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./-";
    return n && is_letter((unsigned char)*s) && strspn(s, signs) == n;
}

/* The emitter's text of the only item of a list: `- text`, and further lines indented. */
static bool emit_item(Buf *out, const char *s, size_t n, yaml_scalar_style_t style) {
    yaml_emitter_t emitter;
    yaml_event_t event;
    bool ok = begin(&emitter, out, NODE_INDENT, -1) &&
              yaml_sequence_start_event_initialize(&event, NULL, NULL, 1, YAML_BLOCK_SEQUENCE_STYLE) &&
              yaml_emitter_emit(&emitter, &event) &&
              yaml_scalar_event_initialize(&event, NULL, NULL, (const unsigned char *)s, (int)n, 1, 1, style) &&
              yaml_emitter_emit(&emitter, &event) && yaml_sequence_end_event_initialize(&event) &&
              yaml_emitter_emit(&emitter, &event) && end(&emitter);
    yaml_emitter_delete(&emitter);
    return ok && out->len > 2;
}

/* Without the line break at its end. `indent`: of the lines of a text that has more than one. */
static void put_text(Buf *out, const char *s, size_t n, int indent, bool is_key) {
    yaml_scalar_style_t style = YAML_PLAIN_SCALAR_STYLE;
    _cleanup_buf_ Buf item = BUF_INIT(BUF_NO_LIMIT);
    if (memchr(s, '\n', n))
        style = is_key ? YAML_DOUBLE_QUOTED_SCALAR_STYLE : YAML_LITERAL_SCALAR_STYLE;
    else if (!is_plain(s))
        style = YAML_DOUBLE_QUOTED_SCALAR_STYLE;
    else if (is_word(s, n)) {
        buf_append(out, s, n);
        return;
    }
    if (!emit_item(&item, s, n, style)) {
        out->failed = true;
        return;
    }
    if (str_has_suffix(item.data, "\n...\n")) /* after a text that ends in empty lines */
        item.data[item.len -= 4] = 0;
    const char *line = item.data + 2, *stop = item.data + item.len - 1;
    for (;;) {
        const char *next = memchr(line, '\n', (size_t)(stop - line));
        buf_append(out, line, (size_t)((next ? next : stop) - line));
        if (!next)
            return;
        buf_putc(out, '\n');
        line = next + 1;
        if (stop - line < NODE_INDENT || *line == '\n')
            continue;
        put_indent(out, indent);
        line += NODE_INDENT;
    }
}

static void put_node(Buf *out, const Value *v, int indent, Place place);

static void put_container(Buf *out, const Value *v, int indent, Place place) {
    int inner = inner_indent(indent, place);
    bool object = value_is(v, VALUE_OBJECT);
    if (place == AFTER_KEY)
        buf_putc(out, '\n');
    else if (place == AFTER_DASH)
        buf_putc(out, ' ');
    for (size_t i = 0; i < v->len; i++) {
        if (i || place != AFTER_DASH)
            put_indent(out, inner);
        if (object) {
            const char *name = v->members[i].name;
            put_text(out, name, strlen(name), inner, true);
            buf_putc(out, ':');
            put_node(out, v->members[i].value, inner, AFTER_KEY);
        } else {
            buf_putc(out, '-');
            put_node(out, v->items[i], inner, AFTER_DASH);
        }
    }
}

static void put_node(Buf *out, const Value *v, int indent, Place place) {
    bool container = value_is(v, VALUE_OBJECT) || value_is(v, VALUE_ARRAY);
    if (container && v->len) {
        put_container(out, v, indent, place);
        return;
    }
    if (place != AT_ROOT)
        buf_putc(out, ' ');
    if (value_is(v, VALUE_STRING))
        put_text(out, v->string, v->len, place == AT_ROOT ? NODE_INDENT : inner_indent(indent, place), false);
    else
        value_write_json(out, v); /* [], {}, and what is written alike */
    buf_putc(out, '\n');
}

void value_write_yaml_node(Buf *out, const Value *v) {
    put_node(out, v, 0, AT_ROOT);
}
