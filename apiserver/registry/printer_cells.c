#include "apiserver/registry/printers_internal.h"

#include "api/selector.h"
#include "base/clock.h"
#include "base/str.h"

#define CELL_MAX (64 * 1024)

void cell_str(Arena *arena, Value *cells, const char *s) {
    value_append(arena, cells, value_string(arena, s ? s : ""));
}

void cell_or(Arena *arena, Value *cells, const char *s, const char *otherwise) {
    cell_str(arena, cells, str_or(s, otherwise));
}

void cell_int(Arena *arena, Value *cells, int64_t i) {
    value_append(arena, cells, value_int(arena, i));
}

void cell_bool(Arena *arena, Value *cells, bool b) {
    value_append(arena, cells, value_bool(arena, b));
}

void cell_name(Arena *arena, Value *cells, const Value *object) {
    cell_str(arena, cells, value_get_str(value_get(object, "metadata"), "name"));
}

const char *text_since(Arena *arena, const char *timestamp, int64_t now_ns) {
    int64_t then;
    char out[32];
    if (str_empty(timestamp) || rfc3339_parse(timestamp, &then) < 0)
        return "<unknown>";
    return arena_strdup(arena, duration_human(ns_between(now_ns, then), out));
}

void cell_age(Arena *arena, Value *cells, const Value *object, int64_t now_ns) {
    cell_str(arena, cells,
             text_since(arena, value_get_str(value_get(object, "metadata"), "creationTimestamp"), now_ns));
}

char *text_join(Arena *arena, const Value *items, const char *field, const char *separator) {
    _cleanup_buf_ Buf text = BUF_INIT(CELL_MAX);
    const Value *item;
    buf_puts(&text, "");
    VALUE_FOREACH (item, items) {
        if (_i_item)
            buf_puts(&text, separator);
        buf_puts(&text, str_or(field ? value_get_str(item, field) : value_str(item), ""));
    }
    return arena_strdup(arena, text.data);
}

void cell_containers(Arena *arena, Value *cells, const Value *pod_spec) {
    const Value *containers = value_get(pod_spec, "containers");
    cell_str(arena, cells, text_join(arena, containers, "name", ","));
    cell_str(arena, cells, text_join(arena, containers, "image", ","));
}

static void write_selector(Arena *arena, Value *cells, const Selector *selector) {
    _cleanup_buf_ Buf text = BUF_INIT(CELL_MAX);
    buf_puts(&text, "");
    if (selector)
        selector_write(&text, selector);
    cell_or(arena, cells, text.data, "<none>");
}

void cell_labels(Arena *arena, Value *cells, const Value *map) {
    _cleanup_(selector_freep) Selector *selector = label_selector_from_map(map);
    write_selector(arena, cells, selector);
}

void cell_selector(Arena *arena, Value *cells, const Value *label_selector) {
    _cleanup_(selector_freep) Selector *selector = NULL;
    if (label_selector && label_selector_from_value(label_selector, &selector) < 0)
        cell_str(arena, cells, "<error>");
    else
        write_selector(arena, cells, label_selector ? selector : NULL);
}

const Value *find_by(const Value *list, const char *key, const char *value) {
    const Value *item;
    VALUE_FOREACH (item, list)
        if (streq(str_or(value_get_str(item, key), ""), value))
            return item;
    return NULL;
}
