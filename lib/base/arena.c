#include "base/arena.h"
#include "base/sanitizer.h"

#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>

/* Under the address sanitizer what was not handed out is poisoned, with a gap behind each piece: a write past its end
 * is found as one past the end of malloc's would be. */
#ifdef ADDRESS_SANITIZER
#include <sanitizer/asan_interface.h>
#define ARENA_GAP 8u
#else
#define ARENA_GAP 0u
#define ASAN_POISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
#define ASAN_UNPOISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
#endif

typedef struct Chunk Chunk;
struct Chunk {
    Chunk *next;
    size_t size, used;
    max_align_t data[];
};

struct Arena {
    Chunk *chunks; /* newest first */
    size_t limit, total;
};

static void chunk_empty(Chunk *chunk) {
    chunk->used = 0;
    ASAN_POISON_MEMORY_REGION(chunk->data, chunk->size);
}

static void chunk_free(Chunk *chunk) {
    ASAN_UNPOISON_MEMORY_REGION(chunk->data, chunk->size);
    free(chunk);
}

Arena *arena_new(size_t limit) {
    Arena *arena = NEW0(Arena);
    arena->limit = limit;
    return arena;
}

void arena_free(Arena *arena) {
    if (!arena)
        return;
    for (Chunk *c = arena->chunks, *next; c; c = next) {
        next = c->next;
        chunk_free(c);
    }
    bool large = arena->total >= ARENA_TRIM;
    free(arena);
    if (large) /* many chunks below the size that the allocator returns by itself */
        malloc_trim(0);
}

void arena_reset(Arena *arena) {
    Chunk *keep = NULL;
    for (Chunk *c = arena->chunks, *next; c; c = next) {
        next = c->next;
        if (next)
            chunk_free(c);
        else
            keep = c;
    }
    if (keep)
        chunk_empty(keep);
    arena->chunks = keep;
    arena->total = 0;
}

size_t arena_used(const Arena *arena) {
    return arena->total;
}

void *arena_alloc(Arena *arena, size_t size) {
    Chunk *c = arena->chunks;
    /* A type that wants 16 bytes (one with an __int128) has a size that is a multiple of them; others pay no padding.
     */
    if (size && size % 16 == 0 && c && c->used % 16 && c->used < c->size)
        c->used += 8;
    size_t asked = size;
    size = ((size + 7) & ~(size_t)7) + ARENA_GAP;
    if (!c || c->size - c->used < size) {
        size_t want = c ? MIN(c->size * 2, (size_t)1 << 20) : ARENA_FIRST_CHUNK - sizeof(Chunk);
        want = MAX(want, size);
        c = xmalloc(sizeof(Chunk) + want);
        c->size = want;
        chunk_empty(c);
        c->next = arena->chunks;
        arena->chunks = c;
    }
    void *p = (char *)c->data + c->used;
    ASAN_UNPOISON_MEMORY_REGION(p, asked);
    c->used += size;
    arena->total += size;
    return p;
}

void *arena_try_alloc(Arena *arena, size_t size) {
    if (size > SIZE_MAX / 2 || (arena->limit && (size > arena->limit || arena->total > arena->limit - size)))
        return NULL;
    return arena_alloc(arena, size);
}

void *arena_alloc0(Arena *arena, size_t size) {
    return memset(arena_alloc(arena, size), 0, size);
}

char *arena_strndup(Arena *arena, const char *s, size_t n) {
    char *copy = arena_alloc(arena, n + 1);
    memcpy(copy, s, n);
    copy[n] = 0;
    return copy;
}

char *arena_strdup(Arena *arena, const char *s) {
    return s ? arena_strndup(arena, s, strlen(s)) : NULL;
}

char *arena_printf(Arena *arena, const char *format, ...) {
    va_list ap, again;
    va_start(ap, format);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, format, ap);
    va_end(ap);
    char *s = arena_alloc(arena, (size_t)MAX(n, 0) + 1);
    vsnprintf(s, (size_t)MAX(n, 0) + 1, format, again);
    va_end(again);
    return s;
}
