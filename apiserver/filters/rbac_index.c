#include "apiserver/filters/rbac_index.h"
#include "base/str.h"
#include "base/strmap.h"

#define WASTE_MIN 256 /* replaced ones that are never too many */

typedef struct BindingList {
    const RbacBinding **items;
    size_t n, cap;
} BindingList;

struct RbacIndex {
    Arena *arena;
    StrMap *roles;    /* "ns/name" to rules */
    StrMap *bindings; /* "ns/name" to RbacBinding */
    StrMap *named;    /* subject_key to BindingList */
    size_t n_replaced;
};

static void list_free(void *value) {
    BindingList *list = value;
    free(list->items);
    free(list);
}

RbacIndex *rbac_index_new(void) {
    RbacIndex *index = NEW0(RbacIndex);
    index->arena = arena_new(0);
    index->roles = strmap_new(NULL);
    index->bindings = strmap_new(NULL);
    index->named = strmap_new(list_free);
    return index;
}

void rbac_index_free(RbacIndex *index) {
    if (!index)
        return;
    strmap_free(index->roles);
    strmap_free(index->bindings);
    strmap_free(index->named);
    arena_free(index->arena);
    free(index);
}

static const char *key_of(Arena *arena, const char *ns, const char *name) {
    return arena_printf(arena, "%s/%s", ns, name);
}

static const char *user_key(Arena *arena, const char *ns, const char *name) {
    return arena_printf(arena, "%s/user/%s", ns, name);
}

static const char *group_key(Arena *arena, const char *ns, const char *name) {
    return arena_printf(arena, "%s/group/%s", ns, name);
}

/* Whom a subject of a binding in `ns` means; NULL: nobody. A service account is the user of its name. */
static const char *subject_key(Arena *arena, const char *ns, const Value *subject) {
    const char *kind = str_or(value_get_str(subject, "kind"), ""), *name = str_or(value_get_str(subject, "name"), "");
    if (streq(kind, "User"))
        return user_key(arena, ns, name);
    if (streq(kind, "Group"))
        return group_key(arena, ns, name);
    const char *account_ns = str_or(value_get_str(subject, "namespace"), ns);
    if (!streq(kind, "ServiceAccount") || !*account_ns)
        return NULL;
    return user_key(arena, ns, arena_printf(arena, "system:serviceaccount:%s:%s", account_ns, name));
}

static bool is_binding(const Object *object) {
    return str_has_suffix(object_resource(object)->plural, "bindings");
}

static void name_binding(RbacIndex *index, const char *key, const RbacBinding *binding) {
    BindingList *list = strmap_get(index->named, key);
    if (!list)
        strmap_put(index->named, key, list = NEW0(BindingList));
    if (list->n && list->items[list->n - 1] == binding)
        return; /* it names the same twice */
    if (list->n == list->cap) {
        list->cap = MAX(list->cap * 2, (size_t)1);
        list->items = xreallocn(list->items, list->cap, sizeof(const RbacBinding *));
    }
    list->items[list->n++] = binding;
}

static void unname_binding(RbacIndex *index, const char *key, const RbacBinding *binding) {
    BindingList *list = strmap_get(index->named, key);
    for (size_t i = 0; list && i < list->n; i++)
        if (list->items[i] == binding) {
            list->items[i] = list->items[--list->n];
            break;
        }
    if (list && !list->n)
        strmap_remove(index->named, key);
}

static void remove_binding(RbacIndex *index, const char *key) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    const RbacBinding *binding = strmap_take(index->bindings, key);
    const Value *subject;
    if (!binding)
        return;
    index->n_replaced++;
    VALUE_FOREACH (subject, binding->subjects) {
        const char *who = subject_key(arena, binding->ns, subject);
        if (who)
            unname_binding(index, who, binding);
    }
}

static void put_binding(RbacIndex *index, const char *key, const Object *object, const Value *v) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    RbacBinding *binding = ARENA_NEW0(index->arena, RbacBinding);
    const Value *subject;
    *binding = (RbacBinding){
        .ns = arena_strdup(index->arena, object_namespace(object)),
        .name = arena_strdup(index->arena, object_name(object)),
        .role = value_copy(index->arena, value_get(v, "roleRef")),
        .subjects = value_copy(index->arena, value_get(v, "subjects")),
    };
    remove_binding(index, key);
    strmap_put(index->bindings, key, binding);
    VALUE_FOREACH (subject, binding->subjects) {
        const char *who = subject_key(arena, binding->ns, subject);
        if (who)
            name_binding(index, who, binding);
    }
}

static void put_rules(RbacIndex *index, const char *key, const Value *rules) {
    Value *copy = value_is(rules, VALUE_ARRAY) ? value_copy(index->arena, rules) : value_array(index->arena);
    if (!strmap_put(index->roles, key, copy))
        index->n_replaced++;
}

void rbac_index_put(RbacIndex *index, const Object *object) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    const char *key = key_of(arena, object_namespace(object), object_name(object));
    const Value *v = object_value(object, arena);
    if (is_binding(object))
        put_binding(index, key, object, v);
    else
        put_rules(index, key, value_get(v, "rules"));
}

void rbac_index_remove(RbacIndex *index, const Object *object) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    const char *key = key_of(arena, object_namespace(object), object_name(object));
    if (is_binding(object))
        remove_binding(index, key);
    else if (strmap_take(index->roles, key))
        index->n_replaced++;
}

bool rbac_index_is_wasteful(const RbacIndex *index) {
    return index->n_replaced > MAX((size_t)WASTE_MIN, strmap_size(index->roles) + strmap_size(index->bindings));
}

const Value *rbac_index_rules(const RbacIndex *index, Arena *arena, const char *ns, const char *name) {
    return strmap_get(index->roles, key_of(arena, ns, name));
}

static int by_name(const void *a, const void *b) {
    return strcmp((*(const RbacBinding *const *)a)->name, (*(const RbacBinding *const *)b)->name);
}

size_t rbac_index_bindings(const RbacIndex *index, Arena *arena, const char *ns, const UserInfo *user,
                           const RbacBinding ***ret) {
    size_t n_groups = 0, n_lists = 0, total = 0, n = 0;
    while (user->groups && user->groups[n_groups])
        n_groups++;
    const BindingList **lists = arena_alloc(arena, (n_groups + 1) * sizeof *lists);
    for (size_t i = 0; i <= n_groups; i++) {
        const char *key = i < n_groups ? group_key(arena, ns, user->groups[i]) : user_key(arena, ns, user->name);
        const BindingList *list = strmap_get(index->named, key);
        if (list)
            total += (lists[n_lists++] = list)->n;
    }
    const RbacBinding **all = *ret = arena_alloc(arena, (total + 1) * sizeof(const RbacBinding *));
    for (size_t i = 0; i < n_lists; i++)
        for (size_t j = 0; j < lists[i]->n; j++)
            all[n++] = lists[i]->items[j];
    qsort(all, n, sizeof(const RbacBinding *), by_name);
    size_t kept = 0;
    for (size_t i = 0; i < n; i++)
        if (!kept || all[kept - 1] != all[i])
            all[kept++] = all[i];
    return kept;
}
