/* The objects of one storage row: the ordered map, an index over one field, and what watches need to know about the
 * row. Changed by the writer under the store's write lock; read under its read lock. A table lives as long as its
 * store. */
#pragma once

#include "apiserver/storage/omap.h"
#include "base/strmap.h"

#include <stdatomic.h>

typedef struct Table {
    char *prefix;                    /* storage_prefix */
    const Resource *_Atomic storage; /* the row as it was asked for last: those of custom resources change */
    uint32_t ttl_seconds;            /* of what is written; 0: for ever. Set before the first write */
    uint64_t bit;                    /* store_row_bit */
    Omap objects;
    const char *indexed_field;         /* NULL: none */
    StrMap *index;                     /* value of the field to Omap */
    StrMap *damaged;                   /* "ns/name" of stored objects that do not parse, to nothing; NULL: none */
    _Atomic uint64_t changed_revision; /* of the last event of this row */
    _Atomic uint64_t dropped_revision; /* of the last event of this row that the ring does not hold any more */
} Table;

/* `storage`: a storage row. `base_revision`: events up to it are not held. */
Table *table_new(const Resource *storage, uint64_t base_revision);
void table_free(Table *table);
DEFINE_CLEANUP(Table, table_free)

/* Takes `object`; returns what it replaced (the caller's reference) or {NULL}. */
OmapEntry table_put(Table *table, Object *object, uint64_t create_revision);
OmapEntry table_remove(Table *table, const char *ns, const char *name);
/* The objects whose indexed field has `value`; NULL when there are none. */
const Omap *table_indexed(const Table *table, const char *value);
bool table_is_damaged(const Table *table, const char *ns, const char *name);
void table_add_damaged(Table *table, const char *ns_and_name);
void table_drop_damaged(Table *table, const char *ns_and_name); /* it is whole again, or gone */
/* Exchanges the objects of two tables of one row. */
void table_swap(Table *a, Table *b);
