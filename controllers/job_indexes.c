#include "controllers/job_indexes.h"

#include "base/str.h"

void index_set_add(IndexSet *set, int64_t index) {
    size_t at = 0;
    while (at < set->n && set->items[at].last + 1 < index)
        at++;
    IndexInterval *here = at < set->n ? &set->items[at] : NULL;
    if (here && index >= here->first - 1 && index <= here->last + 1) {
        here->first = MIN(here->first, index);
        here->last = MAX(here->last, index);
        if (at + 1 < set->n && here[1].first == here->last + 1) {
            here->last = here[1].last;
            memmove(here + 1, here + 2, (set->n - at - 2) * sizeof(*here));
            set->n--;
        }
        return;
    }
    if (set->n == set->cap) {
        size_t cap = MAX(set->cap * 2, (size_t)8);
        IndexInterval *items = arena_alloc(set->arena, cap * sizeof(*items));
        if (set->n)
            memcpy(items, set->items, set->n * sizeof(*items));
        set->items = items;
        set->cap = cap;
    }
    memmove(&set->items[at + 1], &set->items[at], (set->n - at) * sizeof(*set->items));
    set->items[at] = (IndexInterval){index, index};
    set->n++;
}

static void add_interval(IndexSet *set, int64_t first, int64_t last) {
    index_set_add(set, first);
    for (size_t i = 0; i < set->n; i++)
        if (set->items[i].first <= first && first <= set->items[i].last) {
            set->items[i].last = MAX(set->items[i].last, last);
            /* Later intervals that it now covers or touches. */
            while (i + 1 < set->n && set->items[i + 1].first <= set->items[i].last + 1) {
                set->items[i].last = MAX(set->items[i].last, set->items[i + 1].last);
                memmove(&set->items[i + 1], &set->items[i + 2], (set->n - i - 2) * sizeof(*set->items));
                set->n--;
            }
            return;
        }
}

IndexSet index_set_parse(Arena *arena, const char *text, int64_t completions) {
    IndexSet set = INDEX_SET(arena);
    size_t n;
    char **parts = str_split(arena, text ? text : "", ',', &n);
    for (size_t i = 0; i < n; i++) {
        char *dash = strchr(parts[i], '-');
        int64_t first, last;
        if (dash)
            *dash++ = 0;
        if (str_to_int64(parts[i], &first) < 0 || first < 0 || first >= completions)
            continue;
        last = first;
        if (dash && (str_to_int64(dash, &last) < 0 || last < first))
            continue;
        add_interval(&set, first, MIN(last, completions - 1));
    }
    return set;
}

bool index_set_has(const IndexSet *set, int64_t index) {
    for (size_t i = 0; i < set->n && set->items[i].first <= index; i++)
        if (index <= set->items[i].last)
            return true;
    return false;
}

int64_t index_set_total(const IndexSet *set) {
    int64_t total = 0;
    for (size_t i = 0; i < set->n; i++)
        total += set->items[i].last - set->items[i].first + 1;
    return total;
}

char *index_set_text(const IndexSet *set) {
    _cleanup_buf_ Buf out = BUF_INIT(BUF_NO_LIMIT);
    for (size_t i = 0; i < set->n; i++) {
        long long first = set->items[i].first, last = set->items[i].last;
        buf_printf(&out, "%s%lld", i ? "," : "", first);
        if (last > first)
            buf_printf(&out, "%c%lld", last == first + 1 ? ',' : '-', last);
    }
    return arena_strdup(set->arena, out.len ? out.data : "");
}

int64_t index_set_overlap(const IndexSet *a, const IndexSet *b) {
    int64_t overlap = 0;
    for (size_t i = 0, k = 0; i < a->n && k < b->n;) {
        int64_t first = MAX(a->items[i].first, b->items[k].first), last = MIN(a->items[i].last, b->items[k].last);
        overlap += MAX(last - first + 1, (int64_t)0);
        if (a->items[i].last < b->items[k].last)
            i++;
        else
            k++;
    }
    return overlap;
}
