/* Trees as YAML: sorted keys, literal blocks for text with line breaks, quotes where a plain word would mean something
 * else; the layout is libyaml's, which go-yaml's emitter is a port of. */
#include "api/yaml_scalar.h"

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

void value_write_yaml(Buf *out, const Value *v) {
    yaml_emitter_t emitter;
    yaml_event_t event;
    if (!yaml_emitter_initialize(&emitter)) {
        out->failed = true;
        return;
    }
    yaml_emitter_set_output(&emitter, to_buf, out);
    yaml_emitter_set_unicode(&emitter, 1);
    bool ok =
        yaml_stream_start_event_initialize(&event, YAML_UTF8_ENCODING) && yaml_emitter_emit(&emitter, &event) &&
        yaml_document_start_event_initialize(&event, NULL, NULL, NULL, 1) && yaml_emitter_emit(&emitter, &event) &&
        emit(&emitter, v) && yaml_document_end_event_initialize(&event, 1) && yaml_emitter_emit(&emitter, &event) &&
        yaml_stream_end_event_initialize(&event) && yaml_emitter_emit(&emitter, &event) && yaml_emitter_flush(&emitter);
    if (!ok)
        out->failed = true;
    yaml_emitter_delete(&emitter);
}
