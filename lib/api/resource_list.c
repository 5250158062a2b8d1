#include "api/resource_list.h"
#include "base/str.h"

/* Where `name` is or belongs. */
static size_t place(const ResourceList *list, const char *name, bool *ret_there) {
    size_t low = 0, high = list->n;
    *ret_there = false;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int c = strcmp(list->items[middle].name, name);
        if (c == 0) {
            *ret_there = true;
            return middle;
        }
        if (c < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void grow(ResourceList *list) {
    size_t cap = list->cap ? list->cap * 2 : 8;
    ResourceAmount *items = arena_alloc(list->arena, cap * sizeof *items);
    if (list->n)
        memcpy(items, list->items, list->n * sizeof *items);
    list->items = items;
    list->cap = cap;
}

void resource_list_set(ResourceList *list, const char *name, Quantity quantity) {
    bool there;
    size_t i = place(list, name, &there);
    if (!there) {
        if (list->n == list->cap)
            grow(list);
        memmove(list->items + i + 1, list->items + i, (list->n - i) * sizeof *list->items);
        list->n++;
        list->items[i].name = name;
    }
    list->items[i].quantity = quantity;
}

void resource_list_set_int(ResourceList *list, const char *name, int64_t value) {
    resource_list_set(list, name, quantity_from_int(value, QUANTITY_DECIMAL_SI));
}

const Quantity *resource_list_get(const ResourceList *list, const char *name) {
    bool there;
    size_t i = place(list, name, &there);
    return there ? &list->items[i].quantity : NULL;
}

ResourceList resource_list_read(Arena *arena, const Value *map) {
    ResourceList list = RESOURCE_LIST_INIT(arena);
    VALUE_FOREACH_MEMBER (m, map) {
        Quantity q;
        const char *text = value_str(m->value);
        if (!text || quantity_parse(text, &q) < 0)
            q = quantity_from_int(0, QUANTITY_DECIMAL_SI);
        resource_list_set(&list, m->name, q);
    }
    return list;
}

Value *resource_list_value(const ResourceList *list) {
    Value *v = value_object(list->arena);
    char text[QUANTITY_TEXT_MAX];
    for (size_t i = 0; i < list->n; i++)
        value_set_str(list->arena, v, list->items[i].name, quantity_format(&list->items[i].quantity, text));
    return v;
}

void resource_list_add(ResourceList *list, const ResourceList *other) {
    for (size_t i = 0; i < other->n; i++) {
        const Quantity *have = resource_list_get(list, other->items[i].name);
        Quantity sum = have ? *have : other->items[i].quantity;
        if (have)
            quantity_add(&sum, &other->items[i].quantity);
        resource_list_set(list, other->items[i].name, sum);
    }
}

void resource_list_max(ResourceList *list, const ResourceList *other) {
    for (size_t i = 0; i < other->n; i++) {
        const Quantity *have = resource_list_get(list, other->items[i].name);
        if (!have || quantity_compare(&other->items[i].quantity, have) > 0)
            resource_list_set(list, other->items[i].name, other->items[i].quantity);
    }
}

ResourceList resource_list_excess(const ResourceList *a, const ResourceList *b) {
    ResourceList out = RESOURCE_LIST_INIT(a->arena);
    for (size_t i = 0; i < a->n; i++) {
        Quantity q = a->items[i].quantity;
        const Quantity *other = resource_list_get(b, a->items[i].name);
        if (other)
            quantity_sub(&q, other);
        resource_list_set(&out, a->items[i].name,
                          quantity_sign(&q) > 0 ? q : quantity_from_int(0, QUANTITY_DECIMAL_SI));
    }
    for (size_t i = 0; i < b->n; i++)
        if (!resource_list_get(&out, b->items[i].name))
            resource_list_set_int(&out, b->items[i].name, 0);
    return out;
}

ResourceList resource_list_mask(const ResourceList *list, const ResourceList *names) {
    ResourceList out = RESOURCE_LIST_INIT(list->arena);
    for (size_t i = 0; i < list->n; i++)
        if (resource_list_get(names, list->items[i].name))
            resource_list_set(&out, list->items[i].name, list->items[i].quantity);
    return out;
}

void resource_list_drop_zeros(ResourceList *list) {
    size_t kept = 0;
    for (size_t i = 0; i < list->n; i++)
        if (quantity_sign(&list->items[i].quantity) != 0)
            list->items[kept++] = list->items[i];
    list->n = kept;
}

bool resource_list_equal(const ResourceList *a, const ResourceList *b) {
    if (a->n != b->n)
        return false;
    for (size_t i = 0; i < a->n; i++)
        if (!streq(a->items[i].name, b->items[i].name) ||
            quantity_compare(&a->items[i].quantity, &b->items[i].quantity) != 0)
            return false;
    return true;
}

char *resource_list_text(const ResourceList *list) {
    _cleanup_buf_ Buf text = BUF_INIT(BUF_NO_LIMIT);
    char amount[QUANTITY_TEXT_MAX];
    for (size_t i = 0; i < list->n; i++)
        buf_printf(&text, "%s%s=%s", i ? "," : "", list->items[i].name,
                   quantity_format(&list->items[i].quantity, amount));
    return arena_strdup(list->arena, str_or(text.data, ""));
}
