#include "api/fieldset.h"
#include "api/json.h"

#include <errno.h>
#include <stdlib.h>

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

/* JSON texts of keys and values: byte by byte, but where they differ inside a number the longer run of digits is the
 * larger. Strings and numbers do not mix at one place of well-formed keys. */
static int compare_json(const char *a, const char *b) {
    size_t i = 0;
    bool quoted = false;
    for (; a[i] && a[i] == b[i]; i++)
        if (a[i] == '"' && (i == 0 || a[i - 1] != '\\'))
            quoted = !quoted;
    if (!quoted && (is_digit(a[i]) || is_digit(b[i])) &&
        (is_digit(a[i]) == is_digit(b[i]) || (i && is_digit(a[i - 1])))) {
        size_t na = strspn(a + i, "0123456789"), nb = strspn(b + i, "0123456789");
        if (na != nb)
            return na < nb ? -1 : 1;
    }
    return (unsigned char)a[i] - (unsigned char)b[i];
}

int element_compare(ElementKind a_kind, const char *a, ElementKind b_kind, const char *b) {
    if (a_kind != b_kind)
        return a_kind < b_kind ? -1 : 1;
    if (a == b)
        return 0;
    return a_kind == ELEMENT_FIELD ? strcmp(a, b) : compare_json(a, b);
}

static int compare_nodes(const void *pa, const void *pb) {
    const FieldNode *a = pa, *b = pb;
    return element_compare(a->kind, a->text, b->kind, b->text);
}

void fieldset_add(Arena *arena, FieldSet *set, FieldNode node) {
    if (set->n == set->cap) {
        uint32_t cap = set->cap ? set->cap * 2 : 8;
        FieldNode *nodes = arena_alloc(arena, cap * sizeof(FieldNode));
        if (set->n)
            memcpy(nodes, set->nodes, set->n * sizeof(FieldNode));
        set->nodes = nodes;
        set->cap = cap;
    }
    set->nodes[set->n++] = node;
}

void fieldset_sort(FieldSet *set) {
    for (size_t i = 1; i < set->n; i++)
        if (compare_nodes(&set->nodes[i - 1], &set->nodes[i]) > 0) {
            qsort(set->nodes, set->n, sizeof(FieldNode), compare_nodes);
            return;
        }
}

const FieldNode *fieldset_find(const FieldSet *set, ElementKind kind, const char *text) {
    size_t low = 0, high = set ? set->n : 0;
    while (low < high) {
        size_t middle = (low + high) / 2;
        int r = element_compare(kind, text, set->nodes[middle].kind, set->nodes[middle].text);
        if (r == 0)
            return &set->nodes[middle];
        if (r < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

bool fieldset_equal(const FieldSet *a, const FieldSet *b) {
    if (fieldset_empty(a) || fieldset_empty(b))
        return fieldset_empty(a) && fieldset_empty(b);
    if (a->n != b->n)
        return false;
    for (size_t i = 0; i < a->n; i++)
        if (compare_nodes(&a->nodes[i], &b->nodes[i]) != 0 || a->nodes[i].member != b->nodes[i].member ||
            !fieldset_equal(a->nodes[i].children, b->nodes[i].children))
            return false;
    return true;
}

typedef enum SetOperation { SET_UNION, SET_INTERSECTION, SET_DIFFERENCE, SET_DIFFERENCE_DEEP } SetOperation;

static FieldSet *combine(Arena *arena, FieldSet *a, FieldSet *b, SetOperation operation);

/* What is left of an element that both sets have. */
static FieldNode combine_node(Arena *arena, const FieldNode *a, const FieldNode *b, SetOperation operation) {
    FieldNode node = *a;
    switch (operation) {
    case SET_UNION:
        node.member = a->member || b->member;
        break;
    case SET_INTERSECTION:
        node.member = a->member && b->member;
        break;
    case SET_DIFFERENCE:
    case SET_DIFFERENCE_DEEP:
        node.member = a->member && !b->member;
        break;
    }
    if (operation == SET_DIFFERENCE_DEEP && b->member)
        node.children = NULL;
    else
        node.children = combine(arena, a->children, b->children, operation);
    return node;
}

/* An intersection or a difference of a small set and a large one: what the small one has is looked up, so that many
 * small sets against one change do not take the product of their sizes. */
static FieldSet *combine_few(Arena *arena, FieldSet *few, FieldSet *many, bool few_first, SetOperation operation) {
    FieldSet *out = ARENA_NEW0(arena, FieldSet);
    for (size_t i = 0; i < few->n; i++) {
        const FieldNode *one = &few->nodes[i], *other = fieldset_find(many, one->kind, one->text);
        if (!other && operation == SET_INTERSECTION)
            continue;
        FieldNode node =
            other ? combine_node(arena, few_first ? one : other, few_first ? other : one, operation) : *one;
        if (!other || node.member || node.children)
            fieldset_add(arena, out, node);
    }
    return out->n ? out : NULL;
}

#define FEW_OF 16

static FieldSet *combine(Arena *arena, FieldSet *a, FieldSet *b, SetOperation operation) {
    if (a == b && operation <= SET_INTERSECTION)
        return a;
    if (fieldset_empty(a))
        return operation == SET_UNION && !fieldset_empty(b) ? b : NULL;
    if (fieldset_empty(b))
        return operation == SET_INTERSECTION ? NULL : a;
    if (operation != SET_UNION && a->n < b->n / FEW_OF)
        return combine_few(arena, a, b, true, operation);
    if (operation == SET_INTERSECTION && b->n < a->n / FEW_OF)
        return combine_few(arena, b, a, false, operation);
    FieldSet *out = ARENA_NEW0(arena, FieldSet);
    size_t i = 0, j = 0;
    while (i < a->n || j < b->n) {
        int order = i == a->n ? 1 : j == b->n ? -1 : compare_nodes(&a->nodes[i], &b->nodes[j]);
        if (order == 0) {
            FieldNode node = combine_node(arena, &a->nodes[i++], &b->nodes[j++], operation);
            if (node.member || node.children)
                fieldset_add(arena, out, node);
        } else if (order < 0) {
            if (operation != SET_INTERSECTION)
                fieldset_add(arena, out, a->nodes[i]);
            i++;
        } else {
            if (operation == SET_UNION)
                fieldset_add(arena, out, b->nodes[j]);
            j++;
        }
    }
    return out->n ? out : NULL;
}

FieldSet *fieldset_union(Arena *arena, FieldSet *a, FieldSet *b) {
    return combine(arena, a, b, SET_UNION);
}

FieldSet *fieldset_union_all(Arena *arena, FieldSet *const *sets, size_t n) {
    if (n <= 1)
        return n ? sets[0] : NULL;
    return fieldset_union(arena, fieldset_union_all(arena, sets, n / 2),
                          fieldset_union_all(arena, sets + n / 2, n - n / 2));
}

FieldSet *fieldset_intersection(Arena *arena, FieldSet *a, FieldSet *b) {
    return combine(arena, a, b, SET_INTERSECTION);
}

FieldSet *fieldset_difference(Arena *arena, FieldSet *a, FieldSet *b) {
    return combine(arena, a, b, SET_DIFFERENCE);
}

FieldSet *fieldset_difference_deep(Arena *arena, FieldSet *a, FieldSet *b) {
    return combine(arena, a, b, SET_DIFFERENCE_DEEP);
}

/* The canonical text of a key or value element, as fieldsets keep it: keys in order of their names. */
static int element_text(Arena *arena, ElementKind kind, const char *json, const char **ret) {
    Value *v;
    int r = json_parse(arena, json, strlen(json), &v, NULL, NULL);
    if (r < 0 || (kind == ELEMENT_KEY && !value_is(v, VALUE_OBJECT)))
        return r < 0 ? r : -EBADMSG;
    if (kind == ELEMENT_INDEX && !value_is(v, VALUE_INT))
        return -EBADMSG;
    if (kind == ELEMENT_KEY)
        value_sort_members(v);
    _cleanup_buf_ Buf buf = BUF_INIT(BUF_NO_LIMIT);
    value_write_json(&buf, v);
    *ret = arena_strndup(arena, buf.data, buf.len);
    return 0;
}

static int read_set(Arena *arena, const Value *v, FieldSet **ret, bool *ret_member);

/* One entry of FieldsV1; *ret_known false for kinds of the future. */
static int read_node(Arena *arena, const Member *m, FieldNode *ret, bool *ret_known) {
    static const char kinds[] = "fkvi";
    if (strlen(m->name) < 2 || m->name[1] != ':')
        return -EBADMSG;
    const char *kind = strchr(kinds, m->name[0]);
    *ret_known = kind != NULL;
    if (!kind)
        return 0;
    *ret = (FieldNode){.kind = (ElementKind)(kind - kinds), .text = m->name + 2};
    int r = ret->kind == ELEMENT_FIELD ? 0 : element_text(arena, ret->kind, m->name + 2, &ret->text);
    return r < 0 ? r : read_set(arena, m->value, &ret->children, &ret->member);
}

static FieldNode union_of_nodes(Arena *arena, const FieldNode *nodes, size_t n) {
    if (n == 1)
        return *nodes;
    FieldNode left = union_of_nodes(arena, nodes, n / 2), right = union_of_nodes(arena, nodes + n / 2, n - n / 2);
    return combine_node(arena, &left, &right, SET_UNION);
}

/* Elements given in several spellings become one. */
static void unite_equal(Arena *arena, FieldSet *set) {
    uint32_t kept = 0;
    for (size_t i = 0, end; i < set->n; i = end) {
        for (end = i + 1; end < set->n && compare_nodes(&set->nodes[i], &set->nodes[end]) == 0;)
            end++;
        set->nodes[kept++] = union_of_nodes(arena, &set->nodes[i], end - i);
    }
    set->n = kept;
}

static int read_set(Arena *arena, const Value *v, FieldSet **ret, bool *ret_member) {
    *ret = NULL;
    *ret_member = false;
    if (!value_is(v, VALUE_OBJECT) && !value_is(v, VALUE_NULL))
        return -EBADMSG;
    FieldSet *set = ARENA_NEW0(arena, FieldSet);
    VALUE_FOREACH_MEMBER (m, v) {
        if (m->name[0] == '.' && !m->name[1]) {
            *ret_member = true;
            continue;
        }
        FieldNode node;
        bool known;
        int r = read_node(arena, m, &node, &known);
        if (r < 0)
            return r;
        if (known)
            fieldset_add(arena, set, node);
    }
    fieldset_sort(set);
    unite_equal(arena, set);
    if (set->n)
        *ret = set;
    else
        *ret_member = true;
    return 0;
}

int fieldset_from_value(Arena *arena, const Value *fields_v1, FieldSet **ret) {
    bool member;
    if (!fields_v1) {
        *ret = NULL;
        return 0;
    }
    return read_set(arena, fields_v1, ret, &member);
}

Value *fieldset_to_value(Arena *arena, const FieldSet *set) {
    static const char prefixes[] = "fkvi";
    Value *v = value_object(arena);
    size_t n = set ? set->n : 0;
    v->members = n ? arena_alloc(arena, (n + 1) * sizeof(Member)) : NULL; /* one more for "." of the caller */
    v->cap = n ? (uint32_t)n + 1 : 0;
    for (size_t i = 0; i < n; i++) {
        const FieldNode *node = &set->nodes[i];
        size_t len = strlen(node->text);
        char *name = arena_alloc(arena, len + 3);
        name[0] = prefixes[node->kind];
        name[1] = ':';
        memcpy(name + 2, node->text, len + 1);
        Value *below = fieldset_to_value(arena, node->children);
        if (node->member && below->len) {
            memmove(below->members + 1, below->members, below->len * sizeof(Member));
            below->members[0] = (Member){.name = ".", .value = value_object(arena)};
            below->len++;
        }
        v->members[v->len++] = (Member){.name = name, .value = below};
    }
    return v;
}

FieldSet *fieldset_from_paths(Arena *arena, const char *const *paths) {
    FieldSet *all = NULL;
    for (size_t i = 0; paths && paths[i]; i++) {
        char *path = arena_strdup(arena, paths[i]), *dot;
        FieldSet *one = NULL;
        bool last = true;
        do { /* from the last name to the first */
            dot = strrchr(path, '.');
            FieldSet *outer = ARENA_NEW0(arena, FieldSet);
            fieldset_add(arena, outer, (FieldNode){.text = dot ? dot + 1 : path, .member = last, .children = one});
            one = outer;
            last = false;
            if (dot)
                *dot = 0;
        } while (dot);
        all = fieldset_union(arena, all, one);
    }
    return all;
}

/* As value.ToString prints it: strings quoted, members without a mark around or between them. */
static void write_value(Buf *out, const Value *v) {
    const char *comma = "";
    const Value *item;
    if (value_is(v, VALUE_STRING))
        go_quote_n(out, v->string, v->len);
    else if (value_is(v, VALUE_OBJECT))
        VALUE_FOREACH_MEMBER (m, v) {
            buf_printf(out, "%s=", m->name);
            write_value(out, m->value);
        }
    else if (value_is(v, VALUE_ARRAY)) {
        buf_putc(out, '[');
        VALUE_FOREACH (item, v) {
            buf_puts(out, comma);
            write_value(out, item);
            comma = ",";
        }
        buf_putc(out, ']');
    } else
        value_write_json(out, v);
}

void element_write(Buf *out, ElementKind kind, const char *text) {
    if (kind == ELEMENT_FIELD) {
        buf_putc(out, '.');
        buf_puts(out, text);
        return;
    }
    _cleanup_arena_ Arena *arena = arena_new(0);
    Value *v = NULL;
    if (json_parse(arena, text, strlen(text), &v, NULL, NULL) < 0)
        v = value_string(arena, text);
    buf_putc(out, '[');
    if (kind == ELEMENT_KEY) {
        const char *comma = "";
        VALUE_FOREACH_MEMBER (m, v) {
            buf_printf(out, "%s%s=", comma, m->name);
            write_value(out, m->value);
            comma = ",";
        }
    } else {
        if (kind == ELEMENT_VALUE)
            buf_putc(out, '=');
        write_value(out, v);
    }
    buf_putc(out, ']');
}

static void each_below(const FieldSet *set, Buf *path, fieldset_each_fn each, void *user, bool members) {
    for (size_t i = 0; set && i < set->n; i++) {
        const FieldNode *node = &set->nodes[i];
        size_t before = path->len;
        if (members ? !node->member : !node->children)
            continue;
        element_write(path, node->kind, node->text);
        if (members)
            each(user, path->data);
        else {
            each_below(node->children, path, each, user, true);
            each_below(node->children, path, each, user, false);
        }
        path->len = before;
        path->data[before] = 0;
    }
}

void fieldset_each(const FieldSet *set, fieldset_each_fn each, void *user) {
    _cleanup_buf_ Buf path = BUF_INIT(BUF_NO_LIMIT);
    each_below(set, &path, each, user, true); /* members of a level before what is below them */
    each_below(set, &path, each, user, false);
}
