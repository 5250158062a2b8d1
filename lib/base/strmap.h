/* A hash map from strings to pointers. Keys are copied; values are borrowed unless a destructor is given. Not
 * thread-safe. The hash is keyed by secrets of the process, so outside input cannot choose collisions. */
#pragma once

#include "base/mem.h"

typedef struct StrMap StrMap;
typedef void (*strmap_free_fn)(void *value);

StrMap *strmap_new(strmap_free_fn free_value); /* free_value may be NULL */
void strmap_free(StrMap *map);
DEFINE_CLEANUP(StrMap, strmap_free)
size_t strmap_size(const StrMap *map);
void *strmap_get(const StrMap *map, const char *key); /* NULL when absent */
/* Replaces (and destroys) an older value. Returns true when the key is new. */
bool strmap_put(StrMap *map, const char *key, void *value);
/* Of a set of texts: a map without destructor whose values only say that the key is there. True when it is new. */
bool strmap_add(StrMap *set, const char *key);
/* Removes without destroying; returns the value or NULL. */
void *strmap_take(StrMap *map, const char *key);
void strmap_remove(StrMap *map, const char *key); /* removes and destroys */
void strmap_clear(StrMap *map);
/* Iterates in no order: cursor starts at 0; false at the end. The map must not change meanwhile. */
bool strmap_next(const StrMap *map, size_t *cursor, const char **ret_key, void **ret_value);

#define STRMAP_FOREACH(map, k, v)                                                                                      \
    for (size_t _cursor_##v = 0; strmap_next((map), &_cursor_##v, &(k), (void **)&(v));)

/* By secrets of the process: another one hashes otherwise. For tables, not for signatures. */
uint64_t hash_bytes(const void *p, size_t n);
