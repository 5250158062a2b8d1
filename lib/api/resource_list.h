/* Amounts by resource name (core/v1 ResourceList), sorted by name, and what limits and quotas compute with them. In an
 * arena; not thread-safe. */
#pragma once

#include "api/quantity.h"
#include "api/value.h"

typedef struct ResourceAmount {
    const char *name;
    Quantity quantity;
} ResourceAmount;

typedef struct ResourceList {
    Arena *arena;
    ResourceAmount *items;
    size_t n, cap;
} ResourceList;
#define RESOURCE_LIST_INIT(a) ((ResourceList){.arena = (a)})

/* From a map of quantities (NULL: empty). Text that is no quantity counts as zero; validation refuses it elsewhere. */
ResourceList resource_list_read(Arena *arena, const Value *map);
Value *resource_list_value(const ResourceList *list);
const Quantity *resource_list_get(const ResourceList *list, const char *name); /* NULL when absent */
/* `name` is borrowed when it is new; one that is there keeps its own. */
void resource_list_set(ResourceList *list, const char *name, Quantity quantity);
void resource_list_set_int(ResourceList *list, const char *name, int64_t value);
void resource_list_add(ResourceList *list, const ResourceList *other);
/* The larger of each. */
void resource_list_max(ResourceList *list, const ResourceList *other);
/* a - b, nothing below zero; names of both. */
ResourceList resource_list_excess(const ResourceList *a, const ResourceList *b);
/* Those of `list` whose names `names` has too. */
ResourceList resource_list_mask(const ResourceList *list, const ResourceList *names);
void resource_list_drop_zeros(ResourceList *list);
bool resource_list_equal(const ResourceList *a, const ResourceList *b);
/* "cpu=1,memory=2Gi" in the arena. */
char *resource_list_text(const ResourceList *list);
