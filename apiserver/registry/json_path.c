#include "apiserver/registry/json_path.h"
#include "base/str.h"

#include <ctype.h>
#include <errno.h>

typedef struct Search {
    Arena *arena;
    JsonPathNodes nodes;
    size_t cap;
    int depth;
} Search;

static int find(Arena *arena, JsonPathNodes from, const char *path, int depth, JsonPathNodes *ret);

static int add(Search *to, const Value *v) {
    if (to->nodes.n == JSON_PATH_NODES_MAX)
        return -E2BIG;
    if (to->nodes.n == to->cap) {
        const Value **more = arena_alloc(to->arena, MAX(to->cap * 2, (size_t)8) * sizeof *more);
        if (to->nodes.n)
            memcpy(more, to->nodes.items, to->nodes.n * sizeof *more);
        to->cap = MAX(to->cap * 2, (size_t)8);
        to->nodes.items = more;
    }
    to->nodes.items[to->nodes.n++] = v;
    return 0;
}

static int add_members(Search *to, const Value *v) {
    const Value *item;
    int r = 0;
    VALUE_FOREACH (item, v)
        r = r < 0 ? r : add(to, item);
    VALUE_FOREACH_MEMBER (m, v)
        r = r < 0 ? r : add(to, m->value);
    return r;
}

/* A value that holds others, then all below it. */
static int add_all_below(Search *to, const Value *v, int depth) {
    const Value *item;
    if (depth > JSON_PATH_DEPTH_MAX || !value_len(v) || !(value_is(v, VALUE_OBJECT) || value_is(v, VALUE_ARRAY)))
        return 0;
    int r = add(to, v);
    VALUE_FOREACH (item, v)
        r = r < 0 ? r : add_all_below(to, item, depth + 1);
    VALUE_FOREACH_MEMBER (m, v)
        r = r < 0 ? r : add_all_below(to, m->value, depth + 1);
    return r;
}

/* ---- members ---- */

static int step_member(Search *to, JsonPathNodes from, const char *name) {
    for (size_t i = 0; i < from.n; i++) {
        const Value *v = value_is(from.items[i], VALUE_OBJECT) ? value_get(from.items[i], name) : NULL;
        int r = v ? add(to, v) : 0;
        if (r < 0)
            return r;
    }
    return 0;
}

/* A name up to the next step; backslashes take the meaning of what follows away. */
static const char *read_name(Arena *arena, const char *p, char **ret) {
    _cleanup_buf_ Buf name = BUF_INIT(BUF_NO_LIMIT);
    for (; *p && !strchr(" .[]$@{}", *p); p++) {
        if (*p == '\\' && p[1])
            p++;
        buf_putc(&name, *p);
    }
    *ret = arena_strdup(arena, str_or(name.data, ""));
    return p;
}

/* ---- brackets ---- */

typedef struct Slice {
    int64_t from, to, step;
    bool has_from, has_to, has_step, derived;
} Slice;

/* [a], [a:b:c]: any part may be left out. */
static bool read_slice(const char *text, Slice *ret) {
    int64_t *const numbers[] = {&ret->from, &ret->to, &ret->step};
    bool *const known[] = {&ret->has_from, &ret->has_to, &ret->has_step};
    size_t i = 0;
    *ret = (Slice){0};
    for (;; i++) {
        char number[24];
        size_t n = strcspn(text, ":");
        if (i == 3 || n >= sizeof number)
            return false;
        memcpy(number, text, n);
        number[n] = 0;
        if (n && str_to_int64(number, numbers[i]) < 0)
            return false;
        *known[i] = n > 0;
        if (!text[n])
            break;
        text += n + 1;
    }
    if (i == 0) {
        ret->to = ret->from + 1;
        ret->has_to = ret->derived = true;
        return ret->has_from;
    }
    return true;
}

static int step_slice(Search *to, JsonPathNodes from, Slice slice) {
    for (size_t i = 0; i < from.n; i++) {
        const Value *v = from.items[i];
        int64_t n = (int64_t)value_len(v), first = slice.from, last = slice.has_to ? slice.to : n;
        if (v->type == VALUE_NULL)
            continue;
        if (!value_is(v, VALUE_ARRAY))
            return -ENOENT;
        first += first < 0 ? n : 0;
        last += last < 0 || (last == 0 && slice.derived) ? n : 0;
        if (first == last)
            continue;
        if (first < 0 || first >= n || last < 0 || last > n || first > last || (slice.has_step && slice.step <= 0))
            return -ENOENT;
        for (int64_t k = first; k < last; k += slice.has_step ? slice.step : 1) {
            int r = add(to, value_at(v, (size_t)k));
            if (r < 0)
                return r;
        }
    }
    return 0;
}

/* ---- filters ---- */

static int compare_numbers(const Value *a, const Value *b) {
    if (a->type == VALUE_INT)
        return (a->integer > b->integer) - (a->integer < b->integer);
    return (a->number > b->number) - (a->number < b->number);
}

/* Values of one type only. */
static int compare(const Value *a, const char *operator, const Value * b, bool *ret) {
    int order = 0;
    bool equality = streq(operator, "==") || streq(operator, "!=");
    if (a->type != b->type)
        return -ENOENT;
    if (a->type == VALUE_STRING)
        order = strcmp(a->string, b->string);
    else if (a->type == VALUE_INT || a->type == VALUE_DOUBLE)
        order = compare_numbers(a, b);
    else if (a->type == VALUE_BOOL && equality)
        order = (int)a->boolean - (int)b->boolean;
    else
        return -ENOENT;
    *ret = streq(operator, "==")   ? order == 0
           : streq(operator, "!=") ? order != 0
           : streq(operator, "<")  ? order < 0
           : streq(operator, "<=") ? order <= 0
           : streq(operator, ">")  ? order > 0
                                   : order >= 0;
    return 0;
}

/* A side of a comparison: a literal, or a path from the item. */
static int side(Arena *arena, const Value *item, char *text, int depth, JsonPathNodes *ret) {
    const Value **one = arena_alloc(arena, sizeof *one);
    size_t n = strlen(text);
    int64_t integer;
    char *end;
    while (n && isspace((unsigned char)text[n - 1]))
        text[--n] = 0;
    while (isspace((unsigned char)*text))
        text++, n--;
    *ret = (JsonPathNodes){.items = one, .n = 1};
    if (n >= 2 && (*text == '"' || *text == '\'') && text[n - 1] == *text)
        *one = value_string(arena, arena_strndup(arena, text + 1, n - 2));
    else if (streq(text, "true") || streq(text, "false"))
        *one = value_bool(arena, *text == 't');
    else if (str_to_int64(text, &integer) == 0)
        *one = value_int(arena, integer);
    else if (isdigit((unsigned char)*text) || *text == '-') {
        *one = value_double(arena, strtod(text, &end));
        return *end ? -EINVAL : 0;
    } else if (*text == '@') {
        *one = item;
        return find(arena, *ret, text + 1, depth + 1, ret);
    } else
        return -EINVAL;
    return 0;
}

static int passes(Arena *arena, const Value *item, const char *text, int depth, bool *ret) {
    static const char *const operators[] = {"==", "!=", "<=", ">=", "<", ">", NULL};
    size_t at = strcspn(text, "!<>="), n = strspn(text + at, "!<>=");
    JsonPathNodes left, right;
    char *operator= arena_strndup(arena, text + at, n);
    int r = side(arena, item, arena_strndup(arena, text, at), depth, &left);
    *ret = false;
    if (!n) {
        *ret = r == 0 && left.n > 0;
        return r == -EINVAL ? r : 0;
    }
    if (!str_in(operator, operators))
        return -EINVAL;
    r = r < 0 ? r : side(arena, item, arena_strdup(arena, text + at + n), depth, &right);
    if (r < 0 || left.n == 0 || right.n == 0)
        return r;
    return left.n > 1 || right.n > 1 ? -ENOENT : compare(left.items[0], operator, right.items[0], ret);
}

static int step_filter(Search *to, JsonPathNodes from, const char *text) {
    for (size_t i = 0; i < from.n; i++) {
        const Value *item;
        if (!value_is(from.items[i], VALUE_ARRAY))
            return -ENOENT;
        VALUE_FOREACH (item, from.items[i]) {
            bool pass;
            int r = passes(to->arena, item, text, to->depth, &pass);
            r = r == 0 && pass ? add(to, item) : r;
            if (r < 0)
                return r;
        }
    }
    return 0;
}

/* Where the bracket that starts at p ends; quotes and brackets inside do not count. NULL: nowhere. */
static const char *closing(const char *p) {
    char quote = 0;
    int open = 0;
    for (; *p; p++) {
        if (quote)
            quote = *p == quote && p[-1] != '\\' ? 0 : quote;
        else if (*p == '"' || *p == '\'')
            quote = *p;
        else if (*p == '[')
            open++;
        else if (*p == ']' && --open == 0)
            return p;
    }
    return NULL;
}

static int step_bracket(Search *to, JsonPathNodes from, char *text);

static int step_union(Search *to, JsonPathNodes from, char *text) {
    for (char *part = text, *comma; part; part = comma) {
        comma = strchr(part, ',');
        if (comma)
            *comma++ = 0;
        part += strspn(part, " ");
        for (size_t n = strlen(part); n && part[n - 1] == ' '; n--)
            part[n - 1] = 0;
        int r = step_bracket(to, from, part);
        if (r < 0)
            return r;
    }
    return 0;
}

static int step_bracket(Search *to, JsonPathNodes from, char *text) {
    Slice slice;
    size_t n = strlen(text);
    if (str_has_prefix(text, "?(") && text[n - 1] == ')') {
        text[n - 1] = 0;
        return step_filter(to, from, text + 2);
    }
    if (strchr(text, ','))
        return step_union(to, from, text);
    if (n >= 2 && text[0] == '\'' && text[n - 1] == '\'') {
        text[n - 1] = 0;
        return step_member(to, from, text + 1);
    }
    if (streq(text, "*"))
        return step_slice(to, from, (Slice){0});
    return read_slice(text, &slice) ? step_slice(to, from, slice) : -EINVAL;
}

/* ---- the walk ---- */

static int step(Search *to, JsonPathNodes from, const char **at) {
    const char *p = *at;
    char *name;
    int r = 0;
    if (*p == '[') {
        const char *end = closing(p);
        if (!end)
            return -EINVAL;
        *at = end + 1;
        return step_bracket(to, from, arena_strndup(to->arena, p + 1, (size_t)(end - p - 1)));
    }
    if (*p != '.')
        return -EINVAL;
    if (p[1] == '.') {
        *at = p + 1; /* what follows is a step of its own */
        for (size_t i = 0; r == 0 && i < from.n; i++)
            r = add_all_below(to, from.items[i], 0);
        return r;
    }
    *at = read_name(to->arena, p + 1, &name);
    if (!streq(name, "*"))
        return *name || **at == '[' ? (*name ? step_member(to, from, name) : (to->nodes = from, 0)) : -EINVAL;
    for (size_t i = 0; r == 0 && i < from.n; i++)
        r = add_members(to, from.items[i]);
    return r;
}

static int find(Arena *arena, JsonPathNodes from, const char *path, int depth, JsonPathNodes *ret) {
    if (depth > JSON_PATH_DEPTH_MAX)
        return -EINVAL;
    while (*path) {
        Search search = {.arena = arena, .depth = depth};
        int r = step(&search, from, &path);
        if (r < 0)
            return r;
        from = search.nodes;
    }
    *ret = from;
    return 0;
}

int json_path_find(Arena *arena, const Value *root, const char *path, JsonPathNodes *ret) {
    const Value **one = arena_alloc(arena, sizeof *one);
    *one = root;
    if (streq(path, "."))
        path = "";
    return find(arena, (JsonPathNodes){.items = one, .n = 1}, path, 0, ret);
}
