/* Walks over trees by schema: what is one leaf, what is compared member by member, how list items are named. Everything
 * else of server-side apply is set arithmetic over what these walks return. */
#include "api/typed.h"
#include "api/json.h"
#include "api/typed_list.h"

#include <math.h>

typedef enum Shape { SHAPE_LEAF, SHAPE_MAP, SHAPE_LIST } Shape;

static bool value_absent_or_object(const Value *v) {
    return !v || v->type == VALUE_NULL || v->type == VALUE_OBJECT;
}

/* An undeclared member, or a value of any type that a custom resource's schema keeps: objects are walked, the rest are
 * leaves. */
static bool is_deduced(const Schema *schema) {
    return !schema || (schema->type == SCHEMA_JSON && schema->preserve_unknown);
}

/* Is a list, map or struct one leaf? */
static bool is_atomic(const Schema *schema, uint16_t flags) {
    if (schema->type == SCHEMA_LIST)
        return (flags & FIELD_ATOMIC) || schema->list_kind == LIST_ATOMIC;
    if (schema->type != SCHEMA_STRUCT && schema->type != SCHEMA_MAP)
        return false;
    return (flags & FIELD_ATOMIC) || (schema->map_atomic && !(flags & FIELD_GRANULAR));
}

static Shape shape_of(const Schema *schema, uint16_t flags, const Value *a, const Value *b) {
    if (flags & FIELD_ATOMIC)
        return SHAPE_LEAF;
    if (is_deduced(schema))
        return value_absent_or_object(a) && value_absent_or_object(b) &&
                       (value_is(a, VALUE_OBJECT) || value_is(b, VALUE_OBJECT))
                   ? SHAPE_MAP
                   : SHAPE_LEAF;
    switch (schema->type) {
    case SCHEMA_STRUCT:
    case SCHEMA_MAP:
        return is_atomic(schema, flags) ? SHAPE_LEAF : SHAPE_MAP;
    case SCHEMA_LIST:
        return is_atomic(schema, flags) ? SHAPE_LEAF : SHAPE_LIST;
    default:
        return SHAPE_LEAF;
    }
}

/* The schema of a member; *ret_named when the struct declares it. */
static const Schema *member_schema(const Schema *schema, const char *name, uint16_t *ret_flags, bool *ret_named) {
    *ret_flags = 0;
    *ret_named = false;
    if (is_deduced(schema))
        return NULL;
    if (schema->type == SCHEMA_MAP)
        return schema->element;
    const SchemaField *field = schema_field(schema, name, strlen(name));
    if (!field)
        return NULL;
    *ret_flags = field->flags;
    *ret_named = true;
    return field->schema;
}

static bool is_empty(const Value *v) {
    return value_len(v) == 0;
}

bool typed_equal(const Value *a, const Value *b) {
    if (a && b && a->type != b->type) {
        if (a->type == VALUE_INT && b->type == VALUE_DOUBLE)
            return (double)a->integer == b->number;
        if (a->type == VALUE_DOUBLE && b->type == VALUE_INT)
            return a->number == (double)b->integer;
    }
    return value_equal(a, b);
}

/* ---- fields owned under an earlier schema ---- */

/* The schema of what the element stands for; NULL where it says nothing of it. */
static const Schema *element_schema(const Schema *schema, const FieldNode *node, uint16_t *ret_flags) {
    bool named;
    *ret_flags = 0;
    if (is_deduced(schema))
        return NULL;
    if (schema->type == SCHEMA_LIST)
        return schema->element;
    if (schema->type != SCHEMA_MAP && (schema->type != SCHEMA_STRUCT || node->kind != ELEMENT_FIELD))
        return NULL;
    return member_schema(schema, node->text, ret_flags, &named);
}

FieldSet *typed_reconcile(Arena *arena, const Schema *schema, FieldSet *set) {
    FieldSet *out = set;
    for (size_t i = 0; set && i < set->n; i++) {
        const FieldNode *node = &set->nodes[i];
        uint16_t flags;
        const Schema *inner = node->children ? element_schema(schema, node, &flags) : NULL;
        if (!inner)
            continue;
        bool leaf = is_atomic(inner, flags);
        FieldSet *children = leaf ? NULL : typed_reconcile(arena, inner, node->children);
        if (children == node->children)
            continue;
        if (out == set) {
            out = ARENA_NEW0(arena, FieldSet);
            for (size_t k = 0; k < set->n; k++)
                fieldset_add(arena, out, set->nodes[k]);
        }
        out->nodes[i].children = children;
        out->nodes[i].member = node->member || leaf;
    }
    return out;
}

/* ---- sorted views ---- */

static int compare_members(const void *pa, const void *pb) {
    return strcmp((*(const Member *const *)pa)->name, (*(const Member *const *)pb)->name);
}

/* Pointers to the members in order of their names. */
static Member **sorted_members(Arena *arena, const Value *v, size_t *ret_n) {
    size_t n = value_is(v, VALUE_OBJECT) ? v->len : 0;
    *ret_n = n;
    Member **sorted = arena_alloc(arena, n * sizeof(Member *));
    for (size_t i = 0; i < n; i++) {
        size_t j = i;
        Member *m = &v->members[i];
        if (n <= 24)
            for (; j > 0 && strcmp(sorted[j - 1]->name, m->name) > 0; j--)
                sorted[j] = sorted[j - 1];
        sorted[j] = m;
    }
    if (n > 24)
        qsort(sorted, n, sizeof(Member *), compare_members);
    return sorted;
}

/* ---- compare ---- */

enum { MARK_REMOVED = 1, MARK_MODIFIED = 2, MARK_ADDED = 4 };

typedef struct Sets { /* what one level found; made when first needed */
    FieldSet *set[3]; /* removed, modified, added */
} Sets;

static void sets_add(Arena *arena, Sets *sets, ElementKind kind, const char *text, unsigned marks, const Sets *below) {
    for (int i = 0; i < 3; i++) {
        FieldSet *children = below ? below->set[i] : NULL;
        bool member = marks & (1u << i);
        if (!member && !children)
            continue;
        if (!sets->set[i])
            sets->set[i] = ARENA_NEW0(arena, FieldSet);
        fieldset_add(arena, sets->set[i],
                     (FieldNode){.text = text, .kind = kind, .member = member, .children = children});
    }
}

static unsigned compare_node(Arena *arena, const Schema *schema, uint16_t flags, const Value *l, const Value *r,
                             Sets *below);

static void compare_members_of(Arena *arena, const Schema *schema, const Value *l, const Value *r, Sets *sets) {
    size_t nl, nr;
    Member **ml = sorted_members(arena, l, &nl), **mr = sorted_members(arena, r, &nr);
    for (size_t i = 0, j = 0; i < nl || j < nr;) {
        int order = i == nl ? 1 : j == nr ? -1 : strcmp(ml[i]->name, mr[j]->name);
        const char *name = order <= 0 ? ml[i]->name : mr[j]->name;
        const Value *lv = order <= 0 ? ml[i++]->value : NULL, *rv = order >= 0 ? mr[j++]->value : NULL;
        uint16_t flags;
        bool named;
        const Schema *inner = member_schema(schema, name, &flags, &named);
        Sets below = {0};
        unsigned marks = compare_node(arena, inner, flags, lv, rv, &below);
        sets_add(arena, sets, ELEMENT_FIELD, name, marks, &below);
    }
}

static size_t run_length(const ListItem *items, size_t from, size_t n) {
    size_t end = from + 1;
    while (end < n && list_item_compare(&items[from], &items[end]) == 0)
        end++;
    return end - from;
}

static void compare_items_of(Arena *arena, const Schema *schema, const Value *l, const Value *r, Sets *sets) {
    ListItems il = list_items(arena, schema, l, true), ir = list_items(arena, schema, r, true);
    for (size_t i = 0, j = 0; i < il.n || j < ir.n;) {
        int order = i == il.n ? 1 : j == ir.n ? -1 : list_item_compare(&il.items[i], &ir.items[j]);
        const ListItem *name = order <= 0 ? &il.items[i] : &ir.items[j], *li = &il.items[i], *ri = &ir.items[j];
        size_t cl = order <= 0 ? run_length(il.items, i, il.n) : 0, cr = order >= 0 ? run_length(ir.items, j, ir.n) : 0;
        unsigned marks = 0;
        Sets below = {0};
        i += cl;
        j += cr;
        if (cl <= 1 && cr <= 1)
            marks = compare_node(arena, schema->element, 0, cl ? li->value : NULL, cr ? ri->value : NULL, &below);
        else if (cl >= 2 && cr >= 2) { /* duplicates on both sides are one atomic thing */
            bool same = cl == cr;
            for (size_t k = 0; same && k < cl; k++)
                same = typed_equal(li[k].value, ri[k].value);
            marks = same ? 0 : MARK_MODIFIED;
        } else if (cl >= 2)
            marks = (cr ? compare_node(arena, schema->element, 0, NULL, ri->value, &below) : 0) | MARK_REMOVED;
        else
            marks = (cl ? compare_node(arena, schema->element, 0, li->value, NULL, &below) : 0) | MARK_ADDED;
        sets_add(arena, sets, name->kind, name->text, marks, &below);
    }
}

/* Marks for the node itself; what is below goes into `below`. At most one of l and r is NULL. */
static unsigned compare_node(Arena *arena, const Schema *schema, uint16_t flags, const Value *l, const Value *r,
                             Sets *below) {
    Shape shape = shape_of(schema, flags, l, r);
    bool reshaped =
        is_deduced(schema) && l && r && l->type != r->type && l->type != VALUE_NULL && r->type != VALUE_NULL;
    if (reshaped && !(flags & FIELD_ATOMIC)) { /* what was below an object goes, or what is below one comes */
        compare_members_of(arena, schema, l->type == VALUE_OBJECT ? l : NULL, r->type == VALUE_OBJECT ? r : NULL,
                           below);
        return typed_equal(l, r) ? 0 : MARK_MODIFIED;
    }
    if (shape == SHAPE_LEAF || (is_empty(l) && is_empty(r)))
        return !l ? MARK_ADDED : !r ? MARK_REMOVED : typed_equal(l, r) ? 0 : MARK_MODIFIED;
    if (shape == SHAPE_MAP)
        compare_members_of(arena, schema, l, r, below);
    else
        compare_items_of(arena, schema, l, r, below);
    return !l ? MARK_ADDED : !r ? MARK_REMOVED : 0;
}

Comparison typed_compare(Arena *arena, const Schema *schema, const Value *before, const Value *after) {
    Sets sets = {0};
    compare_node(arena, schema, 0, before, after, &sets);
    return (Comparison){.removed = sets.set[0], .modified = sets.set[1], .added = sets.set[2]};
}

/* ---- to field set ---- */

static FieldSet *fieldset_below(Arena *arena, const Schema *schema, uint16_t flags, const Value *v, bool *ret_member);

static FieldSet *fieldset_of_members(Arena *arena, const Schema *schema, const Value *v) {
    size_t n;
    Member **members = sorted_members(arena, v, &n);
    FieldSet *set = ARENA_NEW0(arena, FieldSet);
    for (size_t i = 0; i < n; i++) {
        uint16_t flags;
        bool named, member;
        const Value *value = members[i]->value;
        const Schema *inner = member_schema(schema, members[i]->name, &flags, &named);
        FieldSet *below = fieldset_below(arena, inner, flags, value, &member);
        member = member || !named || value->type == VALUE_NULL || (value->type == VALUE_OBJECT && value->len == 0);
        if (member || below)
            fieldset_add(arena, set, (FieldNode){.text = members[i]->name, .member = member, .children = below});
    }
    return set->n ? set : NULL;
}

static FieldSet *fieldset_of_items(Arena *arena, const Schema *schema, const Value *v) {
    ListItems items = list_items(arena, schema, v, true);
    FieldSet *set = ARENA_NEW0(arena, FieldSet);
    for (size_t i = 0; i < items.n;) {
        size_t run = run_length(items.items, i, items.n);
        bool member;
        FieldNode node = {.text = items.items[i].text, .kind = items.items[i].kind, .member = true};
        if (run == 1)
            node.children = fieldset_below(arena, schema->element, 0, items.items[i].value, &member);
        fieldset_add(arena, set, node);
        i += run;
    }
    return set->n ? set : NULL;
}

static FieldSet *fieldset_below(Arena *arena, const Schema *schema, uint16_t flags, const Value *v, bool *ret_member) {
    Shape shape = shape_of(schema, flags, v, NULL);
    *ret_member = shape == SHAPE_LEAF;
    if (shape == SHAPE_MAP)
        return fieldset_of_members(arena, schema, v);
    return shape == SHAPE_LIST ? fieldset_of_items(arena, schema, v) : NULL;
}

FieldSet *typed_fieldset(Arena *arena, const Schema *schema, const Value *v) {
    bool member;
    return fieldset_below(arena, schema, 0, v, &member);
}

/* ---- merge ---- */

static Value *merge_node(Arena *arena, const Schema *schema, uint16_t flags, Value *l, Value *r);

static Value *merge_members(Arena *arena, const Schema *schema, Value *l, Value *r) {
    Value *out = value_object(arena);
    size_t nr = value_len(r), taken = 0;
    Member **sorted = sorted_members(arena, r, &nr);
    bool *used = arena_alloc0(arena, nr + 1);
    out->cap = (uint32_t)(value_len(l) + nr);
    out->members = arena_alloc(arena, out->cap * sizeof(Member));
    VALUE_FOREACH_MEMBER (m, l) {
        Member **found = bsearch(&m, sorted, nr, sizeof(Member *), compare_members);
        uint16_t flags;
        bool named;
        const Schema *inner = member_schema(schema, m->name, &flags, &named);
        if (found) {
            used[*found - r->members] = true;
            taken++;
        }
        Value *v = merge_node(arena, inner, flags, m->value, found ? (*found)->value : NULL);
        out->members[out->len++] = (Member){.name = m->name, .value = v};
    }
    for (size_t i = 0; i < nr && taken < nr; i++)
        if (!used[i])
            out->members[out->len++] = r->members[i];
    return out;
}

typedef struct ListMerge {
    Arena *arena;
    const Schema *schema;
    ListItems left, right; /* in the order of the lists */
    ListItems left_by_name, right_by_name;
    Value *out;
} ListMerge;

static void merge_take(ListMerge *merge, Value *l, Value *r) {
    value_append(merge->arena, merge->out, merge_node(merge->arena, merge->schema->element, 0, l, r));
}

/* The live item of that name to merge with; NULL when there is none or several. */
static Value *merge_partner(const ListMerge *merge, const ListItem *item) {
    size_t n;
    const ListItem *found = list_items_find(&merge->left_by_name, item, &n);
    return found && n == 1 ? found->value : NULL;
}

/* The items of both lists: shared ones in the order of the right, the others of the left where they were among them. */
static Value *merge_items(Arena *arena, const Schema *schema, Value *l, Value *r) {
    ListMerge merge = {.arena = arena, .schema = schema, .out = value_array(arena)};
    merge.left = list_items(arena, schema, l, false);
    merge.right = list_items(arena, schema, r, false);
    merge.left_by_name = list_items_sorted(arena, &merge.left);
    merge.right_by_name = list_items_sorted(arena, &merge.right);
    bool *merged = arena_alloc0(arena, merge.right.n + 1); /* by index of the right list */
    size_t li = 0, ri = 0, shared = 0, n;
    while (li < merge.left.n || ri < merge.right.n) {
        /* the next right item that the left has too, and that has not been merged */
        while (shared < merge.right.n &&
               (merged[shared] || !list_items_find(&merge.left_by_name, &merge.right.items[shared], &n)))
            shared++;
        const ListItem *left = li < merge.left.n ? &merge.left.items[li] : NULL;
        const ListItem *in_right = left ? list_items_find(&merge.right_by_name, left, &n) : NULL;
        if (left && ri < merge.right.n) {
            if (list_item_compare(left, &merge.right.items[ri]) == 0) {
                merged[ri] = true;
                merge_take(&merge, merge_partner(&merge, left), merge.right.items[ri].value);
                li++;
                ri++;
                continue;
            }
            if (in_right && shared < merge.right.n && list_item_compare(&merge.right.items[shared], left) != 0) {
                li++; /* shared, but not the one whose turn it is */
                continue;
            }
        }
        if (left && !in_right) {
            merge_take(&merge, left->value, NULL);
            li++;
            continue;
        }
        if (left && merged[in_right->index])
            li++;
        if (ri < merge.right.n) {
            merged[ri] = true;
            merge_take(&merge, merge_partner(&merge, &merge.right.items[ri]), merge.right.items[ri].value);
            ri++;
        }
    }
    return merge.out;
}

static Value *merge_node(Arena *arena, const Schema *schema, uint16_t flags, Value *l, Value *r) {
    if (!l || !r)
        return l ? l : r;
    Shape shape = shape_of(schema, flags, l, r);
    if (shape == SHAPE_LEAF || (is_empty(l) && is_empty(r)))
        return r;
    return shape == SHAPE_MAP ? merge_members(arena, schema, l, r) : merge_items(arena, schema, l, r);
}

Value *typed_merge(Arena *arena, const Schema *schema, Value *live, Value *applied) {
    return merge_node(arena, schema, 0, live, applied);
}

/* ---- remove ---- */

static Value *remove_node(Arena *arena, const Schema *schema, uint16_t flags, Value *v, const FieldSet *remove);

static Value *remove_members(Arena *arena, const Schema *schema, Value *v, const FieldSet *remove) {
    Value *out = value_object(arena);
    VALUE_FOREACH_MEMBER (m, v) {
        const FieldNode *node = fieldset_find(remove, ELEMENT_FIELD, m->name);
        if (node && node->member)
            continue;
        uint16_t flags;
        bool named;
        const Schema *inner = member_schema(schema, m->name, &flags, &named);
        value_add(arena, out, m->name, node ? remove_node(arena, inner, flags, m->value, node->children) : m->value);
    }
    return out;
}

static Value *remove_items(Arena *arena, const Schema *schema, Value *v, const FieldSet *remove) {
    ListItems items = list_items(arena, schema, v, false);
    Value *out = value_array(arena);
    for (size_t i = 0; i < items.n; i++) {
        const FieldNode *node = fieldset_find(remove, items.items[i].kind, items.items[i].text);
        if (node && node->member)
            continue;
        Value *item = items.items[i].value;
        value_append(arena, out, node ? remove_node(arena, schema->element, 0, item, node->children) : item);
    }
    return out;
}

/* What becomes empty becomes null, as in the reference; normalising drops it. */
static Value *remove_node(Arena *arena, const Schema *schema, uint16_t flags, Value *v, const FieldSet *remove) {
    Shape shape = shape_of(schema, flags, v, NULL);
    if (!value_is(v, VALUE_OBJECT) && !value_is(v, VALUE_ARRAY))
        return v;
    Value *out = NULL;
    if (shape == SHAPE_MAP)
        out = remove_members(arena, schema, v, remove);
    else if (shape == SHAPE_LIST)
        out = remove_items(arena, schema, v, remove);
    return out && out->len ? out : value_null(arena);
}

Value *typed_remove(Arena *arena, const Schema *schema, Value *v, const FieldSet *remove) {
    if (fieldset_empty(remove))
        return v;
    Value *out = remove_node(arena, schema, 0, v, remove);
    return value_is(out, VALUE_OBJECT) ? out : value_object(arena);
}

FieldSet *typed_with_named_fields(Arena *arena, const Schema *schema, FieldSet *set) {
    if (fieldset_empty(set))
        return NULL;
    FieldSet *out = ARENA_NEW0(arena, FieldSet);
    for (size_t i = 0; i < set->n; i++) {
        FieldNode node = set->nodes[i];
        const Schema *inner = NULL;
        if (node.kind == ELEMENT_FIELD) {
            uint16_t flags;
            bool named;
            inner = member_schema(schema, node.text, &flags, &named);
            node.member = node.member || named;
        } else if (schema && schema->type == SCHEMA_LIST)
            inner = schema->element;
        node.children = typed_with_named_fields(arena, inner, node.children);
        fieldset_add(arena, out, node);
    }
    return out;
}

/* ---- zero values ---- */

static Value *zero_of(Arena *arena, const Schema *schema) {
    switch (schema->type) {
    case SCHEMA_STRUCT:
        return typed_zero(arena, schema);
    case SCHEMA_STRING:
        return value_string(arena, "");
    case SCHEMA_BOOL:
        return value_bool(arena, false);
    case SCHEMA_INT32:
    case SCHEMA_INT64:
    case SCHEMA_DOUBLE:
    case SCHEMA_INT_OR_STRING:
        return value_int(arena, 0);
    case SCHEMA_QUANTITY:
        return value_string(arena, "0");
    case SCHEMA_DURATION:
        return value_string(arena, "0s");
    default:
        return value_null(arena);
    }
}

Value *typed_zero(Arena *arena, const Schema *schema) {
    Value *v = value_object(arena);
    for (size_t i = 0; schema && i < schema->n_fields; i++) {
        const SchemaField *field = &schema->fields[i];
        if (field->flags & FIELD_WRITE_NULL)
            value_set_interned(arena, v, field->name, value_null(arena));
        else if (!(field->flags & (FIELD_OMIT_EMPTY | FIELD_OMIT_ZERO | FIELD_POINTER)))
            value_set_interned(arena, v, field->name, zero_of(arena, field->schema));
    }
    return v;
}
