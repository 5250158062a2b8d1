/* An arena: allocations that live and die together, such as the tree of one request. Not thread-safe; one owner.
 * Memory comes in chunks that double from ARENA_FIRST_CHUNK; arena_reset keeps the first. */
#pragma once

#include "base/mem.h"

#define ARENA_FIRST_CHUNK 8192
#define ARENA_TRIM (16 * 1024 * 1024) /* memory of one that held so much goes back to the system at once */

typedef struct Arena Arena;

/* `limit`: bytes that arena_try_alloc may hand out in all; 0 means no limit. */
Arena *arena_new(size_t limit);
void arena_free(Arena *arena);
DEFINE_CLEANUP(Arena, arena_free)
#define _cleanup_arena_ _cleanup_(arena_freep)
void arena_reset(Arena *arena);
size_t arena_used(const Arena *arena);

/* For decoders of outside data: NULL past the limit. Aligned to 8 bytes, and to 16 where the size is a multiple of 16;
 * not zeroed. */
void *arena_try_alloc(Arena *arena, size_t size);
/* For code that builds on what was decoded: never NULL, not held to the limit (but counted). */
void *arena_alloc(Arena *arena, size_t size);
void *arena_alloc0(Arena *arena, size_t size);
char *arena_strdup(Arena *arena, const char *s); /* NULL gives NULL */
char *arena_strndup(Arena *arena, const char *s, size_t n);
char *arena_printf(Arena *arena, const char *format, ...) _printf_(2, 3);

#define ARENA_NEW0(arena, T) ((T *)arena_alloc0((arena), sizeof(T)))
