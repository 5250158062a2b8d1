/* Items of keyed and set lists by name. Private to typed.c and typed_validate.c. */
#pragma once

#include "api/typed.h"

typedef struct ListItem {
    ElementKind kind;
    const char *text;
    Value *value;
    size_t index;
} ListItem;

typedef struct ListItems {
    ListItem *items;
    size_t n;
} ListItems;

/* Items that cannot be named are left out. */
ListItems list_items(Arena *arena, const Schema *list, const Value *v, bool sorted);
ListItems list_items_sorted(Arena *arena, const ListItems *items);
int list_item_compare(const ListItem *a, const ListItem *b);
/* The first of that name in sorted items and how many there are; NULL when none. */
const ListItem *list_items_find(const ListItems *sorted, const ListItem *name, size_t *ret_n);
/* The element of one item; NULL or why it has none. */
const char *list_item_name(Arena *arena, const Schema *list, const Value *item, ElementKind *ret_kind,
                           const char **ret);
