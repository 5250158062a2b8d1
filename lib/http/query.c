#include "http/query.h"

#include "base/str.h"

#include <strings.h>

void query_parse(Arena *arena, const char *raw, Query *ret) {
    size_t n = 0;
    char **pairs = str_split(arena, raw, '&', &n);
    ret->items = arena_alloc0(arena, (n + 1) * sizeof(QueryItem));
    ret->n = 0;
    for (size_t i = 0; i < n; i++) {
        char *equals = strchr(pairs[i], '='), *value = equals ? equals + 1 : pairs[i] + strlen(pairs[i]);
        if (!*pairs[i])
            continue;
        if (equals)
            *equals = 0;
        int key_len = percent_decode(pairs[i], true), value_len = percent_decode(value, true);
        if (key_len < 0 || value_len < 0)
            continue;
        pairs[i][key_len] = 0;
        value[value_len] = 0;
        ret->items[ret->n++] = (QueryItem){pairs[i], value};
    }
}

const char *query_get(const Query *query, const char *name) {
    for (size_t i = 0; i < query->n; i++)
        if (streq(query->items[i].key, name))
            return query->items[i].value;
    return NULL;
}

bool query_bool(const Query *query, const char *name) {
    const char *v = query_get(query, name);
    return v && strcasecmp(v, "false") != 0 && !streq(v, "0");
}
