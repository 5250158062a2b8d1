#include "apiserver/storage/table.h"
#include "base/str.h"

/* Fields that get an index: every node agent and the node controllers ask for the pods of one node. */
static const char *const indexed_fields[] = {"spec.nodeName", NULL};

static void free_omap(void *value) {
    omap_done(value);
    free(value);
}

Table *table_new(const Resource *storage, uint64_t base_revision) {
    Table *table = NEW0(Table);
    table->prefix = xstrdup(storage->storage_prefix);
    atomic_init(&table->storage, storage);
    table->bit = 1ull << (hash_bytes(table->prefix, strlen(table->prefix)) % 64);
    for (const char *const *field = storage->selectable_fields; field && *field; field++)
        for (const char *const *indexed = indexed_fields; *indexed; indexed++)
            if (streq(*field, *indexed))
                table->indexed_field = *indexed;
    if (table->indexed_field)
        table->index = strmap_new(free_omap);
    atomic_init(&table->changed_revision, base_revision);
    atomic_init(&table->dropped_revision, base_revision);
    return table;
}

void table_free(Table *table) {
    if (!table)
        return;
    omap_done(&table->objects);
    strmap_free(table->index);
    strmap_free(table->damaged);
    free(table->prefix);
    free(table);
}

static const char *indexed_value(const Table *table, const Object *object) {
    return str_or(object_field(object, table->indexed_field), "");
}

static void index_remove(Table *table, const Object *object) {
    const char *value = indexed_value(table, object);
    Omap *map = strmap_get(table->index, value);
    if (!map)
        return;
    object_unref(omap_remove(map, object_namespace(object), object_name(object)).object);
    if (map->count == 0)
        strmap_remove(table->index, value);
}

static void index_put(Table *table, Object *object, uint64_t create_revision) {
    const char *value = indexed_value(table, object);
    Omap *map = strmap_get(table->index, value);
    if (!map) {
        map = NEW0(Omap);
        strmap_put(table->index, value, map);
    }
    object_unref(omap_put(map, object_ref(object), create_revision).object);
}

OmapEntry table_put(Table *table, Object *object, uint64_t create_revision) {
    OmapEntry old = omap_put(&table->objects, object, create_revision);
    if (table->index) {
        if (old.object && !streq(indexed_value(table, old.object), indexed_value(table, object)))
            index_remove(table, old.object);
        index_put(table, object, create_revision);
    }
    return old;
}

OmapEntry table_remove(Table *table, const char *ns, const char *name) {
    OmapEntry old = omap_remove(&table->objects, ns, name);
    if (old.object && table->index)
        index_remove(table, old.object);
    return old;
}

const Omap *table_indexed(const Table *table, const char *value) {
    return strmap_get(table->index, value);
}

static char *damaged_key(const char *ns, const char *name) {
    return *ns ? xasprintf("%s/%s", ns, name) : xstrdup(name);
}

bool table_is_damaged(const Table *table, const char *ns, const char *name) {
    if (!table->damaged)
        return false;
    _cleanup_free_ char *key = damaged_key(ns, name);
    return strmap_get(table->damaged, key) != NULL;
}

void table_add_damaged(Table *table, const char *ns_and_name) {
    if (!table->damaged)
        table->damaged = strmap_new(NULL);
    strmap_put(table->damaged, ns_and_name, table);
}

void table_drop_damaged(Table *table, const char *ns_and_name) {
    if (!table->damaged)
        return;
    strmap_remove(table->damaged, ns_and_name);
    if (strmap_size(table->damaged) == 0) {
        strmap_free(table->damaged);
        table->damaged = NULL;
    }
}

void table_swap(Table *a, Table *b) {
    Table old = {.objects = a->objects, .index = a->index, .damaged = a->damaged};
    a->objects = b->objects;
    a->index = b->index;
    a->damaged = b->damaged;
    b->objects = old.objects;
    b->index = old.index;
    b->damaged = old.damaged;
}
