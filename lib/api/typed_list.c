#include "api/typed_list.h"

#include "base/str.h"

static const char *key_default(const Schema *list, const char *key) {
    const SchemaField *field = list->element ? schema_field(list->element, key, strlen(key)) : NULL;
    if (!field)
        return NULL;
    if (field->default_json || !(field->flags & FIELD_ZERO_DEFAULT))
        return field->default_json;
    switch (field->schema->type) {
    case SCHEMA_STRING:
        return "\"\"";
    case SCHEMA_INT32:
    case SCHEMA_INT64:
        return "0";
    default:
        return NULL;
    }
}

#define KEYS_MAX 8 /* no published list has more than three */

static const char *keyed_name(Arena *arena, const Schema *list, const Value *item, const char **ret) {
    if (value_is(item, VALUE_NULL))
        return "associative list with keys may not have a null element";
    if (!value_is(item, VALUE_OBJECT))
        return "associative list with keys may not have non-map elements";
    const char *keys[KEYS_MAX];
    size_t n = 0;
    for (const char *const *key = list->list_map_keys; *key && n < KEYS_MAX; key++) {
        size_t at = n++;
        for (; at > 0 && strcmp(keys[at - 1], *key) > 0; at--)
            keys[at] = keys[at - 1];
        keys[at] = *key;
    }
    _cleanup_buf_ Buf buf = BUF_INIT(BUF_NO_LIMIT);
    for (size_t i = 0; i < n; i++) {
        const Value *v = value_get(item, keys[i]);
        const char *otherwise = v ? NULL : key_default(list, keys[i]);
        if (!v && !otherwise)
            continue;
        buf_putc(&buf, buf.len ? ',' : '{');
        json_write_string(&buf, keys[i], strlen(keys[i]));
        buf_putc(&buf, ':');
        if (v)
            value_write_json(&buf, v);
        else
            buf_puts(&buf, otherwise);
    }
    if (!buf.len) {
        buf_puts(&buf, "associative list with keys has an element that omits all key fields [");
        for (size_t i = 0; list->list_map_keys[i]; i++) {
            if (i)
                buf_putc(&buf, ' ');
            go_quote(&buf, list->list_map_keys[i]);
        }
        buf_puts(&buf, "] (and doesn't have default values for any key fields)");
        return arena_strndup(arena, buf.data, buf.len);
    }
    buf_putc(&buf, '}');
    *ret = arena_strndup(arena, buf.data, buf.len);
    return NULL;
}

const char *list_item_name(Arena *arena, const Schema *list, const Value *item, ElementKind *ret_kind,
                           const char **ret) {
    *ret_kind = ELEMENT_KEY;
    if (list->list_kind == LIST_MAP && list->list_map_keys && list->list_map_keys[0])
        return keyed_name(arena, list, item, ret);
    *ret_kind = ELEMENT_VALUE;
    if (value_is(item, VALUE_OBJECT))
        return "associative list without keys has an element that's a map type";
    if (value_is(item, VALUE_ARRAY))
        return "not supported: associative list with lists as elements";
    if (value_is(item, VALUE_NULL))
        return "associative list without keys has an element that's an explicit null";
    _cleanup_buf_ Buf buf = BUF_INIT(BUF_NO_LIMIT);
    value_write_json(&buf, item);
    *ret = arena_strndup(arena, buf.data, buf.len);
    return NULL;
}

int list_item_compare(const ListItem *a, const ListItem *b) {
    return element_compare(a->kind, a->text, b->kind, b->text);
}

static int compare_stable(const void *pa, const void *pb) {
    const ListItem *a = pa, *b = pb;
    int order = list_item_compare(a, b);
    return order ? order : (a->index > b->index) - (a->index < b->index);
}

ListItems list_items(Arena *arena, const Schema *list, const Value *v, bool sorted) {
    size_t n = value_is(v, VALUE_ARRAY) ? v->len : 0;
    ListItems items = {.items = arena_alloc(arena, (n + 1) * sizeof(ListItem))}; /* never NULL: walks look one past */
    for (size_t i = 0; i < n; i++) {
        ListItem item = {.value = v->items[i], .index = items.n};
        if (!list_item_name(arena, list, v->items[i], &item.kind, &item.text))
            items.items[items.n++] = item;
    }
    if (sorted && items.n > 1)
        qsort(items.items, items.n, sizeof(ListItem), compare_stable);
    return items;
}

ListItems list_items_sorted(Arena *arena, const ListItems *items) {
    ListItems copy = {.n = items->n, .items = arena_alloc(arena, (items->n + 1) * sizeof(ListItem))};
    memcpy(copy.items, items->items, items->n * sizeof(ListItem));
    qsort(copy.items, copy.n, sizeof(ListItem), compare_stable);
    return copy;
}

const ListItem *list_items_find(const ListItems *sorted, const ListItem *name, size_t *ret_n) {
    size_t low = 0, high = sorted->n;
    while (low < high) { /* the first that is not before name */
        size_t middle = (low + high) / 2;
        if (list_item_compare(&sorted->items[middle], name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *ret_n = 0;
    while (low + *ret_n < sorted->n && list_item_compare(&sorted->items[low + *ret_n], name) == 0)
        ++*ret_n;
    return *ret_n ? &sorted->items[low] : NULL;
}
