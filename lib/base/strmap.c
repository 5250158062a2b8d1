#include "base/strmap.h"

#include "base/clock.h"

#include <pthread.h>
#include <sys/random.h>

typedef struct Entry Entry;
struct Entry {
    Entry *next; /* same bucket */
    uint64_t hash;
    void *value;
    char key[];
};

struct StrMap {
    Entry **buckets;
    size_t n_buckets, size; /* n_buckets is a power of two; 0 until something is put */
    strmap_free_fn free_value;
};

/* Written once, before any reader, by pthread_once. */
static struct { uint64_t start, factor; } hash_secret;
static pthread_once_t hash_once = PTHREAD_ONCE_INIT;

static void make_secret(void) {
    if (getrandom(&hash_secret, sizeof hash_secret, 0) != (ssize_t)sizeof hash_secret)
        hash_secret.start = hash_secret.factor = (uintptr_t)&hash_secret ^ (uint64_t)now_realtime_ns();
    hash_secret.factor |= 1;
}

/* The halves of the product with a factor nobody knows: with one that is known, texts could be made that differ and
 * hash alike whatever the start is. */
static inline uint64_t mix(uint64_t h) {
    unsigned __int128 product = (unsigned __int128)h * hash_secret.factor;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

uint64_t hash_bytes(const void *p, size_t n) {
    pthread_once(&hash_once, make_secret);
    const uint8_t *s = p;
    uint64_t h = hash_secret.start ^ n, w;
    for (; n >= sizeof w; n -= sizeof w, s += sizeof w) {
        memcpy(&w, s, sizeof w);
        h = mix(h ^ w);
    }
    w = 0;
    memcpy(&w, s, n);
    return mix(mix(h ^ w) ^ hash_secret.start);
}

StrMap *strmap_new(strmap_free_fn free_value) {
    StrMap *map = NEW0(StrMap);
    map->free_value = free_value;
    return map;
}

void strmap_clear(StrMap *map) {
    for (size_t i = 0; i < map->n_buckets; i++) {
        for (Entry *e = map->buckets[i], *next; e; e = next) {
            next = e->next;
            if (map->free_value)
                map->free_value(e->value);
            free(e);
        }
        map->buckets[i] = NULL;
    }
    map->size = 0;
}

void strmap_free(StrMap *map) {
    if (!map)
        return;
    strmap_clear(map);
    free(map->buckets);
    free(map);
}

size_t strmap_size(const StrMap *map) {
    return map->size;
}

/* Only of a map that has buckets. */
static Entry **find(const StrMap *map, const char *key, uint64_t hash) {
    Entry **at = &map->buckets[hash & (map->n_buckets - 1)];
    while (*at && ((*at)->hash != hash || strcmp((*at)->key, key) != 0))
        at = &(*at)->next;
    return at;
}

void *strmap_get(const StrMap *map, const char *key) {
    Entry *e = map->size ? *find(map, key, hash_bytes(key, strlen(key))) : NULL;
    return e ? e->value : NULL;
}

static void grow(StrMap *map) {
    size_t n = MAX(map->n_buckets * 2, (size_t)8);
    Entry **buckets = NEWN0(Entry *, n);
    for (size_t i = 0; i < map->n_buckets; i++)
        for (Entry *e = map->buckets[i], *next; e; e = next) {
            next = e->next;
            e->next = buckets[e->hash & (n - 1)];
            buckets[e->hash & (n - 1)] = e;
        }
    free(map->buckets);
    map->buckets = buckets;
    map->n_buckets = n;
}

bool strmap_put(StrMap *map, const char *key, void *value) {
    size_t n = strlen(key);
    uint64_t hash = hash_bytes(key, n);
    if (map->size >= map->n_buckets)
        grow(map);
    Entry **at = find(map, key, hash);
    if (*at) {
        if (map->free_value && (*at)->value != value)
            map->free_value((*at)->value);
        (*at)->value = value;
        return false;
    }
    Entry *e = xmalloc(sizeof(Entry) + n + 1);
    *e = (Entry){.next = NULL, .hash = hash, .value = value};
    memcpy(e->key, key, n + 1);
    *at = e;
    map->size++;
    return true;
}

bool strmap_add(StrMap *set, const char *key) {
    return strmap_put(set, key, set);
}

void *strmap_take(StrMap *map, const char *key) {
    if (!map->size)
        return NULL;
    Entry **at = find(map, key, hash_bytes(key, strlen(key)));
    Entry *e = *at;
    if (!e)
        return NULL;
    void *value = e->value;
    *at = e->next;
    free(e);
    map->size--;
    return value;
}

void strmap_remove(StrMap *map, const char *key) {
    void *value = strmap_take(map, key);
    if (value && map->free_value)
        map->free_value(value);
}

/* The cursor is bucket << 20 | (position within it + 1). */
bool strmap_next(const StrMap *map, size_t *cursor, const char **ret_key, void **ret_value) {
    size_t bucket = *cursor >> 20, position = *cursor & 0xFFFFF;
    for (; bucket < map->n_buckets; bucket++, position = 0) {
        Entry *e = map->buckets[bucket];
        for (size_t i = 0; e && i < position; i++)
            e = e->next;
        if (e) {
            *cursor = bucket << 20 | (position + 1);
            *ret_key = e->key;
            *ret_value = e->value;
            return true;
        }
    }
    return false;
}
