#include "api/list_index.h"
#include "base/str.h"

#define SHORT 32 /* a list up to this is gone through as it is */

typedef struct Entry {
    const char *text;
    size_t at;
} Entry;

struct ListIndex {
    ListIndex *next;
    const Value *list;
    const char *name;
    size_t n;
    Entry entries[]; /* by text, then by place */
};

static const char *text_at(const Value *list, const char *name, size_t i) {
    const Value *item = value_at(list, i);
    return str_or(name ? value_get_str(item, name) : value_str(item), "");
}

static int compare(const void *a, const void *b) {
    const Entry *x = a, *y = b;
    int r = strcmp(x->text, y->text);
    return r ? r : (x->at > y->at) - (x->at < y->at);
}

static ListIndex *index_of(ListIndexes *indexes, const Value *list, const char *name) {
    for (ListIndex **link = &indexes->first; *link; link = &(*link)->next) {
        ListIndex *index = *link;
        if (index->list != list || !streq_null(index->name, name))
            continue;
        *link = index->next; /* the next question is likely about the same */
        index->next = indexes->first;
        return indexes->first = index;
    }
    ListIndex *index = arena_alloc(indexes->arena, sizeof *index + list->len * sizeof(Entry));
    *index = (ListIndex){.next = indexes->first, .list = list, .name = name, .n = list->len};
    for (size_t i = 0; i < index->n; i++)
        index->entries[i] = (Entry){text_at(list, name, i), i};
    qsort(index->entries, index->n, sizeof(Entry), compare);
    return indexes->first = index;
}

size_t list_index_find(ListIndexes *indexes, const Value *list, const char *name, const char *text) {
    size_t n = value_is(list, VALUE_ARRAY) ? list->len : 0, low = 0;
    if (n <= SHORT) {
        for (size_t i = 0; i < n; i++)
            if (streq(text_at(list, name, i), text))
                return i;
        return LIST_INDEX_NONE;
    }
    const ListIndex *index = index_of(indexes, list, name);
    for (size_t high = n; low < high;) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(index->entries[middle].text, text) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < n && streq(index->entries[low].text, text) ? index->entries[low].at : LIST_INDEX_NONE;
}
