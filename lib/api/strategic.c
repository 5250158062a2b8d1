/* Strategic merge patch, as k8s.io/apimachinery/pkg/util/strategicpatch applies one to an object of a known Go type:
 * maps are merged, lists by their patchStrategy and patchMergeKey, with the directives $patch, $retainKeys,
 * $setElementOrder/LIST and $deleteFromPrimitiveList/LIST. Both trees are copied first and then changed freely. */
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <strings.h>

#include "api/codec.h"
#include "api/go_text.h"
#include "base/str.h"
#include "base/strmap.h"

#define DIRECTIVE "$patch"
#define RETAIN_KEYS "$retainKeys"
#define SET_ORDER "$setElementOrder"
#define DELETE_FROM "$deleteFromPrimitiveList"
#define TEXT_MAX (256 << 10)

typedef struct Merge {
    Arena *arena;
    ApiError *err;
    int result; /* negative errno of the first failure */
} Merge;

/* What the Go struct's tags say of a member. */
typedef struct ListMeta {
    const Schema *element;
    bool merge;
    const char *key; /* NULL: none */
} ListMeta;

static Value *merge_map(Merge *m, Value *original, Value *patch, const Schema *schema);

/* Messages */

static const char *go_text(Merge *m, const Value *v, bool as_string) {
    _cleanup_buf_ Buf text = BUF_INIT(TEXT_MAX);
    go_write(&text, v, as_string ? GO_STRING : GO_PLAIN);
    return arena_strdup(m->arena, text.data ? text.data : "");
}

/* Failures that the reference knows are the client's. */
static void *bad_request(Merge *m, const char *message) {
    if (m->result == 0)
        m->result = api_error_bad_request(m->err, "%s", message);
    return NULL;
}

/* All others it answers with 500 and the message alone. */
static _printf_(2, 3) void *fail(Merge *m, const char *format, ...) {
    if (m->result)
        return NULL;
    char *message = NULL;
    va_list ap;
    va_start(ap, format);
    if (vasprintf(&message, format, ap) < 0)
        message = NULL;
    va_end(ap);
    m->result = api_error_set(m->err, 500, "", "%s", message ? message : "");
    m->err->no_details = true;
    free(message);
    return NULL;
}

static void *no_merge_key(Merge *m, const Value *map, const char *key) {
    return fail(m, "map: %s does not contain declared merge key: %s", go_text(m, map, false), key);
}

static void *bad_type(Merge *m, const char *expected, const Value *actual) {
    return fail(m, "expected a %s, but received a %s", expected, go_type_of(actual));
}
#define GO_LIST "[]interface {}"
#define GO_MAP "map[string]interface {}"

static void *bad_patch_type(Merge *m, const Value *directive, const Value *map) {
    return fail(m, "unknown patch type: %s in map: %s", go_text(m, directive, true), go_text(m, map, false));
}

/* Schema */

static const char *go_kind(const Schema *schema) {
    switch (schema->type) {
    case SCHEMA_MAP:
        return "map";
    case SCHEMA_LIST:
    case SCHEMA_BYTES:
        return "slice";
    case SCHEMA_STRING:
        return "string";
    case SCHEMA_BOOL:
        return "bool";
    case SCHEMA_INT32:
        return "int32";
    case SCHEMA_INT64:
        return "int64";
    case SCHEMA_DOUBLE:
        return "float64";
    default:
        return "struct";
    }
}

/* The decoder of tags, unlike that of objects, does not insist on the case of names. */
static const SchemaField *find_field(Merge *m, const Schema *schema, const char *name) {
    if (streq(go_kind(schema), "struct")) {
        const SchemaField *field = schema_field(schema, name, strlen(name));
        for (size_t i = 0; i < schema->n_fields && !field; i++)
            if (strcasecmp(schema->fields[i].name, name) == 0)
                field = &schema->fields[i];
        const char *dot = schema->go_type ? strrchr(schema->go_type, '.') : NULL;
        if (field)
            return field;
        return fail(m, "unable to find api field in struct %s for the json field \"%s\"", dot ? dot + 1 : "", name);
    }
    return fail(m, "merging an object in json but data type is not struct, instead is: %s", go_kind(schema));
}

static bool find_list(Merge *m, const Schema *schema, const char *name, ListMeta *ret) {
    const SchemaField *field = find_field(m, schema, name);
    if (!field)
        return false;
    if (field->schema->type != SCHEMA_LIST) {
        fail(m, "expected slice or array type, but got: struct");
        return false;
    }
    *ret = (ListMeta){field->schema->element, field->flags & FIELD_MERGE, field->patch_merge_key};
    if (ret->element->type == SCHEMA_LIST)
        fail(m, "unexpected slice of slice");
    return m->result == 0;
}

/* Values */

/* Go's == of two interfaces that hold scalars. */
static bool same_scalar(const Value *a, const Value *b) {
    if (!a || !b)
        return !a && !b;
    return a->type == b->type && a->type < VALUE_ARRAY && value_equal(a, b);
}

static const Value *identity(const Value *item, const char *key) {
    return key ? value_get(item, key) : item;
}

/* Where the items of a list stand. Long lists are looked up in a table, for outside lists may have any length. */
typedef struct Index {
    const Value *list;
    const char *key;
    StrMap *table; /* place + 1 by identity; NULL for short lists */
} Index;

#define SHORT_LIST 16

/* Equal for scalars that are equal, and only for those. */
static char *scalar_text(const Value *v) {
    _cleanup_buf_ Buf text = BUF_INIT(BUF_NO_LIMIT);
    buf_putc(&text, (char)('0' + (v ? v->type : VALUE_NULL)));
    if (value_is(v, VALUE_STRING))
        buf_append(&text, v->string, v->len);
    else if (v && v->type < VALUE_ARRAY)
        value_write_json(&text, v);
    return buf_take(&text, NULL);
}

static void index_add(Index *index, const Value *item, size_t place) {
    _cleanup_free_ char *text = scalar_text(identity(item, index->key));
    if (!strmap_get(index->table, text))
        strmap_put(index->table, text, (void *)(uintptr_t)(place + 1));
}

static Index index_new(const Value *list, const char *key) {
    Index index = {.list = list, .key = key};
    if (value_len(list) > SHORT_LIST) {
        index.table = strmap_new(NULL);
        for (size_t i = 0; i < list->len; i++)
            index_add(&index, list->items[i], i);
    }
    return index;
}

static void index_done(Index *index) {
    strmap_free(index->table);
}
#define _cleanup_index_ _cleanup_(index_done)

/* -1 when no item has this identity. */
static long index_find(const Index *index, const Value *value) {
    if (index->table) {
        _cleanup_free_ char *text = scalar_text(value);
        return (long)(uintptr_t)strmap_get(index->table, text) - 1;
    }
    for (size_t i = 0; i < value_len(index->list); i++)
        if (same_scalar(value, identity(index->list->items[i], index->key)))
            return (long)i;
    return -1;
}

/* The reference looks through a list for an item, and stops at what is no map. LONG_MAX: all are. */
static long first_no_map(const Value *list) {
    for (size_t i = 0; i < value_len(list); i++)
        if (!value_is(list->items[i], VALUE_OBJECT))
            return (long)i;
    return LONG_MAX;
}

static bool all_maps(Merge *m, const Value *list) {
    long at = first_no_map(list);
    if (at < LONG_MAX)
        fail(m, "value for key %ld is not a map", at);
    return at == LONG_MAX;
}

/* The type all elements share, or NULL and a failure. */
static const Value *element_sample(Merge *m, const Value *a, const Value *b) {
    const Value *sample = NULL;
    const Value *lists[] = {a, b};
    for (size_t l = 0; l < 2; l++)
        for (size_t i = 0; i < value_len(lists[l]); i++) {
            const Value *item = lists[l]->items[i];
            if (!sample) {
                sample = item;
                if (item->type == VALUE_ARRAY) {
                    /* errors.NewGenericServerResponse of 422 */
                    if (m->result == 0)
                        m->result = api_error_set(m->err, 422, "Invalid",
                                                  "the server rejected our request due to an error in our request");
                    return NULL;
                }
            } else if (sample->type != item->type)
                return fail(m, "list element types are not identical: [%s %s]", a ? go_text(m, a, false) : "[]",
                            b ? go_text(m, b, false) : "[]");
        }
    return sample ? sample : fail(m, "no elements in any of the given slices");
}

static bool is_delete(const Value *item) {
    const char *directive = value_get_str(item, DIRECTIVE);
    return directive && streq(directive, "delete");
}

/* Order: $setElementOrder, then the patch's, then the object's. */

static bool has_merge_keys(Merge *m, const Value *list, const char *key) {
    const Value *item;
    VALUE_FOREACH (item, list) {
        if (!value_is(item, VALUE_OBJECT))
            bad_type(m, GO_MAP, item);
        else if (!value_get(item, key))
            no_merge_key(m, item, key);
    }
    return m->result == 0;
}

typedef struct Placed {
    Value *item;
    long place;
    size_t rank;
} Placed;

static int compare_placed(const void *a, const void *b) {
    const Placed *x = a, *y = b;
    if (x->place != y->place)
        return x->place < y->place ? -1 : 1;
    return (x->rank > y->rank) - (x->rank < y->rank);
}

/* A stable sort of `list` by the places of its items in `order`; those to be deleted go last. All other items are in
 * `order`, for both lists were parted by it. */
static Value *sort_by_order(Merge *m, const Value *list, const Index *order) {
    if (order->key && (!has_merge_keys(m, list, order->key) || !has_merge_keys(m, order->list, order->key)))
        return NULL;
    _cleanup_free_ Placed *placed = xmalloc((list->len + 1u) * sizeof(Placed));
    for (size_t i = 0; i < list->len; i++) {
        Value *item = list->items[i];
        placed[i] =
            (Placed){item, order->key && is_delete(item) ? LONG_MAX : index_find(order, identity(item, order->key)), i};
    }
    qsort(placed, list->len, sizeof(Placed), compare_placed);
    Value *sorted = value_array(m->arena);
    for (size_t i = 0; i < list->len; i++)
        value_append(m->arena, sorted, placed[i].item);
    return sorted;
}

/* Interleaves what only the object has with what the patch names, by the object's order as far as it tells. */
static Value *interleave(Merge *m, const Value *left, const Value *right, const Index *order) {
    Value *merged = value_array(m->arena);
    size_t i = 0, j = 0;
    while (i < left->len || j < right->len) {
        bool take_left = j >= right->len;
        if (!take_left && i < left->len) {
            long l = index_find(order, identity(left->items[i], order->key));
            long r = index_find(order, identity(right->items[j], order->key));
            take_left = l >= 0 && r >= 0 && l < r;
        }
        value_append(m->arena, merged, take_left ? left->items[i++] : right->items[j++]);
    }
    return merged;
}

/* Parts `merged` into what `by` names and what it does not, and puts each and both in order. */
static Value *put_in_order(Merge *m, const Value *merged, const Value *by, const Value *object_order, const char *key) {
    _cleanup_index_ Index named_order = index_new(by, key), others_order = index_new(object_order, key);
    Value *named = value_array(m->arena), *others = value_array(m->arena);
    Value *item;
    long first_other = key ? first_no_map(by) : LONG_MAX;
    VALUE_FOREACH (item, merged) {
        if (key && !value_is(item, VALUE_OBJECT))
            return bad_type(m, GO_MAP, item);
        const Value *value = identity(item, key);
        if (!value)
            return no_merge_key(m, item, key);
        long place = index_find(&named_order, value);
        if (first_other < LONG_MAX && (place < 0 || place > first_other))
            return fail(m, "value for key %ld is not a map", first_other);
        value_append(m->arena, place >= 0 ? named : others, item);
    }
    named = sort_by_order(m, named, &named_order);
    others = named ? sort_by_order(m, others, &others_order) : NULL;
    return others ? interleave(m, others, named, &others_order) : NULL;
}

/* Directives */

/* *keep is false when the value is a directive itself. */
static Value *remove_directives(Value *v, bool *keep) {
    *keep = true;
    uint32_t kept = 0;
    if (v->type == VALUE_OBJECT) {
        if (value_get(v, DIRECTIVE)) {
            *keep = false;
            return v;
        }
        for (size_t i = 0; i < v->len; i++) {
            bool keep_member;
            remove_directives(v->members[i].value, &keep_member);
            if (keep_member)
                v->members[kept++] = v->members[i];
        }
        v->len = kept;
    } else if (v->type == VALUE_ARRAY) {
        for (size_t i = 0; i < v->len; i++) {
            bool keep_item;
            remove_directives(v->items[i], &keep_item);
            if (keep_item)
                v->items[kept++] = v->items[i];
        }
        v->len = kept;
    }
    return v;
}

static void discard_nulls(Value *v) {
    if (v->type == VALUE_OBJECT) {
        uint32_t kept = 0;
        for (size_t i = 0; i < v->len; i++)
            if (v->members[i].value->type != VALUE_NULL) {
                discard_nulls(v->members[i].value);
                v->members[kept++] = v->members[i];
            }
        v->len = kept;
        return;
    }
    Value *item;
    VALUE_FOREACH (item, v)
        discard_nulls(item);
}

static bool is_parallel_key(const char *key) {
    return str_has_prefix(key, DELETE_FROM) || str_has_prefix(key, SET_ORDER);
}

static bool is_named(const Index *keys, const char *name) {
    Value text = {.type = VALUE_STRING, .string = name, .len = (uint32_t)strlen(name)};
    return index_find(keys, &text) >= 0;
}

static void apply_retain_keys(Merge *m, Value *original, Value *patch) {
    Value *list = value_get(patch, RETAIN_KEYS);
    if (!list)
        return;
    value_remove(patch, RETAIN_KEYS);
    _cleanup_index_ Index keys = index_new(list, NULL);
    bool lawful = list->type == VALUE_ARRAY;
    VALUE_FOREACH_MEMBER (member, patch)
        if (member->value->type != VALUE_NULL && !is_parallel_key(member->name))
            lawful = lawful && is_named(&keys, member->name);
    if (!lawful) {
        bad_request(m, "invalid patch format of retainKeys");
        return;
    }
    uint32_t kept = 0;
    for (size_t i = 0; i < original->len; i++)
        if (is_named(&keys, original->members[i].name))
            original->members[kept++] = original->members[i];
    original->len = kept;
}

/* The part of `key` after its directive; NULL and a failure when there is none. */
static const char *list_name(Merge *m, const char *key, const char *directive) {
    size_t n = strlen(directive);
    if (strncmp(key, directive, n) == 0 && key[n] == '/')
        return key + n + 1;
    return bad_request(m, streq(directive, SET_ORDER) ? "invalid patch format of setElementOrder list"
                                                      : "invalid patch format of primitive list");
}

/* The items of the patch must stand in the order's order (deletions may stand anywhere). */
static bool check_order(Merge *m, const Value *patch, const Value *order, const char *key) {
    if (!value_len(patch) || !value_len(order))
        return true;
    size_t p = 0, o = 0;
    const Value *item;
    if (key)
        VALUE_FOREACH (item, patch)
            if (!value_is(item, VALUE_OBJECT)) {
                bad_type(m, GO_MAP, item);
                return false;
            }
    for (;;) {
        while (p < patch->len && value_is(patch->items[p], VALUE_OBJECT) &&
               (value_get(patch->items[p], DIRECTIVE) || (key && is_delete(patch->items[p]))))
            p++;
        if (p == patch->len || o == order->len)
            break;
        const Value *have = patch->items[p], *want = order->items[o++];
        if (key && !value_is(want, VALUE_OBJECT)) {
            bad_type(m, GO_MAP, want);
            return false;
        }
        const Value *missing = !key ? NULL : !value_get(have, key) ? have : !value_get(want, key) ? want : NULL;
        if (missing) {
            no_merge_key(m, missing, key);
            return false;
        }
        p += same_scalar(identity(have, key), identity(want, key));
    }
    if (p == patch->len)
        return true;
    fail(m, "The order in patch list:\n%s\n doesn't match $setElementOrder list:\n%s\n", go_text(m, patch, false),
         go_text(m, order, false));
    return false;
}

/* Lists */

/* `gone`: scalars. */
static void delete_matching(Value *list, const char *key, const Value *gone) {
    _cleanup_index_ Index index = index_new(gone, NULL);
    uint32_t kept = 0;
    for (size_t i = 0; gone->len && i < list->len; i++)
        if (index_find(&index, value_get(list->items[i], key)) < 0)
            list->items[kept++] = list->items[i];
    list->len = gone->len ? kept : list->len;
}

/* Takes the elements with directives out of the patch and does what they say. */
static bool apply_special_elements(Merge *m, Value **original, Value **patch, const char *key) {
    Value *plain = value_array(m->arena), *gone = value_array(m->arena), *item;
    bool replace = false;
    VALUE_FOREACH (item, *patch) {
        const Value *directive = value_get(item, DIRECTIVE);
        const char *text = value_str(directive);
        if (!directive)
            value_append(m->arena, plain, item);
        else if (text && streq(text, "delete")) {
            const Value *value = value_get(item, key);
            if (!value)
                no_merge_key(m, item, key);
            else if ((gone->len || all_maps(m, *original)) && value->type < VALUE_ARRAY)
                value_append(m->arena, gone, (Value *)value);
        } else if (text && streq(text, "replace"))
            replace = true;
        else if (text && streq(text, "merge"))
            fail(m, "merging lists cannot yet be specified in the patch");
        else
            bad_patch_type(m, directive, item);
        if (m->result)
            return false;
    }
    delete_matching(*original, key, gone);
    *original = replace ? plain : *original;
    *patch = replace ? value_array(m->arena) : plain;
    return true;
}

static Value *merge_maps_by_key(Merge *m, const Value *original, const Value *patch, const ListMeta *meta) {
    Value *merged = value_array(m->arena), *item;
    _cleanup_index_ Index places = {.list = merged, .key = meta->key, .table = strmap_new(NULL)};
    VALUE_FOREACH (item, original) {
        if (value_get(item, meta->key))
            index_add(&places, item, merged->len);
        value_append(m->arena, merged, item);
    }
    VALUE_FOREACH (item, patch) {
        const Value *value = value_get(item, meta->key);
        if (!value)
            return no_merge_key(m, item, meta->key);
        long at = index_find(&places, value);
        if (at < 0) {
            index_add(&places, item, merged->len);
            value_append(m->arena, merged, item);
            continue;
        }
        merged->items[at] = merge_map(m, merged->items[at], item, meta->element);
        if (m->result)
            return NULL;
    }
    return merged;
}

/* Each scalar once. Where the reference's own way of dropping the others would leave them does not matter: the list is
 * put in order afterwards. */
static Value *merge_scalars(Merge *m, const Value *original, const Value *patch) {
    Value *merged = value_array(m->arena), *item;
    _cleanup_index_ Index seen = {.list = merged, .table = strmap_new(NULL)};
    const Value *lists[] = {original, patch};
    for (size_t l = 0; l < 2; l++)
        VALUE_FOREACH (item, lists[l])
            if (index_find(&seen, item) < 0) {
                index_add(&seen, item, merged->len);
                value_append(m->arena, merged, item);
            }
    return merged;
}

static Value *delete_scalars(Merge *m, const Value *original, const Value *patch) {
    Value *left = value_array(m->arena), *item;
    _cleanup_index_ Index named = index_new(patch, NULL);
    VALUE_FOREACH (item, original)
        if (index_find(&named, item) < 0)
            value_append(m->arena, left, item);
    return left;
}

static Value *merge_list(Merge *m, Value *original, Value *patch, const ListMeta *meta, bool deletes) {
    if (!meta->merge && !deletes)
        return patch;
    if (original->len == 0 && patch->len == 0)
        return original;
    const Value *sample = element_sample(m, original, patch);
    if (!sample)
        return NULL;
    Value *merged;
    if (sample->type != VALUE_OBJECT) {
        if (deletes)
            return delete_scalars(m, original, patch);
        merged = merge_scalars(m, original, patch);
        return put_in_order(m, merged, patch, original, NULL);
    }
    if (!meta->key)
        return fail(m, "cannot merge lists without merge key for %s", go_kind(meta->element));
    if (!apply_special_elements(m, &original, &patch, meta->key))
        return NULL;
    /* Merging changes the elements in place, so the order is taken from the same elements. */
    merged = merge_maps_by_key(m, original, patch, meta);
    return merged ? put_in_order(m, merged, patch, original, meta->key) : NULL;
}

/* One $setElementOrder list, together with the list of the patch that it orders. */
static void merge_ordered_list(Merge *m, Value *original, Value *patch, const Schema *schema, const char *key,
                               Value *order) {
    if (order->type != VALUE_ARRAY) {
        bad_type(m, GO_LIST, order);
        return;
    }
    const char *name = list_name(m, key, SET_ORDER);
    if (!name)
        return;
    Value *there = value_get(original, name), *change = value_get(patch, name);
    if (there && there->type != VALUE_ARRAY)
        bad_type(m, GO_LIST, there);
    else if (change && change->type != VALUE_ARRAY)
        bad_type(m, GO_LIST, change);
    ListMeta meta;
    if (m->result || !find_list(m, schema, name, &meta) || !check_order(m, change, order, meta.key) ||
        (!there && !change))
        return;
    bool keep;
    Value *merged = !change  ? there
                    : !there ? remove_directives(change, &keep)
                             : merge_list(m, there, change, &meta, false);
    if (!merged || !element_sample(m, there, change))
        return;
    merged = put_in_order(m, merged, order, there, meta.key);
    if (!merged)
        return;
    value_set(m->arena, original, name, merged);
    value_remove(patch, name);
}

static void merge_ordered_lists(Merge *m, Value *original, Value *patch, const Schema *schema) {
    for (size_t i = 0; i < patch->len && m->result == 0;) {
        const char *key = patch->members[i].name;
        if (!str_has_prefix(key, SET_ORDER)) {
            i++;
            continue;
        }
        Value *order = patch->members[i].value;
        value_remove(patch, key);
        merge_ordered_list(m, original, patch, schema, key, order);
        i = 0; /* the list itself went away too */
    }
}

/* Maps */

/* The object being merged into. A large one is looked up in a table while it changes; members that go leave a NULL
 * value until editor_done. */
typedef struct Editor {
    Arena *arena;
    Value *object;
    StrMap *table; /* place + 1 by name; NULL for small objects */
} Editor;

static Editor editor_new(Arena *arena, Value *object, const Value *patch) {
    Editor e = {.arena = arena, .object = object};
    if (patch->len > SHORT_LIST) {
        e.table = strmap_new(NULL);
        for (size_t i = 0; i < object->len; i++)
            strmap_put(e.table, object->members[i].name, (void *)(uintptr_t)(i + 1));
    }
    return e;
}

static void editor_done(Editor *e) {
    if (!e->table)
        return;
    strmap_free(e->table);
    uint32_t kept = 0;
    for (size_t i = 0; i < e->object->len; i++)
        if (e->object->members[i].value)
            e->object->members[kept++] = e->object->members[i];
    e->object->len = kept;
}

static Value *editor_get(const Editor *e, const char *name) {
    if (!e->table)
        return value_get(e->object, name);
    uintptr_t place = (uintptr_t)strmap_get(e->table, name);
    return place ? e->object->members[place - 1].value : NULL;
}

/* NULL removes. */
static void editor_set(Editor *e, const char *name, Value *v) {
    if (!e->table) {
        value_set(e->arena, e->object, name, v);
        return;
    }
    uintptr_t place = (uintptr_t)strmap_get(e->table, name);
    if (place) {
        e->object->members[place - 1].value = v;
    } else if (v) {
        Value *object = e->object;
        if (object->len == object->cap) {
            uint32_t cap = object->cap ? object->cap * 2 : 8;
            Member *members = arena_alloc(e->arena, cap * sizeof(Member));
            if (object->len)
                memcpy(members, object->members, object->len * sizeof(Member));
            object->members = members;
            object->cap = cap;
        }
        object->members[object->len++] = (Member){name, v};
        strmap_put(e->table, name, (void *)(uintptr_t)object->len);
    }
}

static void set_from_patch(Editor *e, const char *name, Value *v, bool discard) {
    bool keep;
    if (discard)
        discard_nulls(v);
    if (v->type == VALUE_ARRAY) { /* what goes from it stays in the patch */
        Value *list = value_array(e->arena), *item;
        VALUE_FOREACH (item, v)
            value_append(e->arena, list, item);
        v = list;
    }
    v = remove_directives(v, &keep);
    editor_set(e, name, keep ? v : NULL);
}

static void merge_member(Merge *m, Editor *e, const Schema *schema, const char *key, Value *change) {
    const char *name = key;
    bool deletes = str_has_prefix(key, DELETE_FROM);
    if (deletes) {
        name = list_name(m, key, DELETE_FROM);
        if (!name)
            return;
        name = *name ? name : key;
    }
    if (change->type == VALUE_NULL) {
        editor_set(e, name, NULL);
        return;
    }
    Value *there = editor_get(e, name), *merged = NULL;
    if (!there || there->type != change->type) {
        if (!deletes)
            set_from_patch(e, name, change, true);
        return;
    }
    if (there->type == VALUE_OBJECT) {
        const SchemaField *field = find_field(m, schema, name);
        if (field)
            merged = field->flags & FIELD_REPLACE ? change : merge_map(m, there, change, field->schema);
    } else if (there->type == VALUE_ARRAY) {
        ListMeta meta;
        if (find_list(m, schema, name, &meta))
            merged = merge_list(m, there, change, &meta, deletes);
    } else {
        set_from_patch(e, name, change, false);
        return;
    }
    if (merged && m->result == 0)
        editor_set(e, name, merged);
}

static Value *merge_map(Merge *m, Value *original, Value *patch, const Schema *schema) {
    const Value *directive = value_get(patch, DIRECTIVE);
    const char *text = value_str(directive);
    if (text && streq(text, "replace")) {
        value_remove(patch, DIRECTIVE);
        return patch;
    }
    if (text && streq(text, "delete"))
        return value_object(m->arena);
    if (directive)
        return bad_patch_type(m, directive, patch);
    apply_retain_keys(m, original, patch);
    if (m->result == 0)
        merge_ordered_lists(m, original, patch, schema);
    Editor e = editor_new(m->arena, original, patch);
    for (size_t i = 0; i < patch->len && m->result == 0; i++)
        merge_member(m, &e, schema, patch->members[i].name, patch->members[i].value);
    editor_done(&e);
    return m->result ? NULL : original;
}

int strategic_merge_consume(Arena *arena, const Schema *schema, const Value *original, Value *patch, Value **ret,
                            ApiError *err) {
    if (!schema || !schema->go_type)
        return api_error_bad_request(err, "strategic merge patch format is not supported");
    if (!value_is(patch, VALUE_OBJECT))
        return api_error_bad_request(err, "json: cannot unmarshal %s into Go value of type map[string]interface {}",
                                     value_json_kind(patch));
    Merge m = {.arena = arena, .err = err};
    Value *copy = original ? value_copy(arena, original) : value_object(arena);
    Value *merged = merge_map(&m, copy, patch, schema);
    if (m.result < 0)
        return m.result;
    *ret = merged;
    return 0;
}

int strategic_merge_apply(Arena *arena, const Schema *schema, const Value *original, const Value *patch, Value **ret,
                          ApiError *err) {
    return strategic_merge_consume(arena, schema, original, patch ? value_copy(arena, patch) : NULL, ret, err);
}
