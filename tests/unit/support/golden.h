/* Files of tests/golden/api. */
#pragma once

#include "base/arena.h"
#include "base/fs.h"

#define GOLDEN_MAX (8 * 1024 * 1024)

/* In the arena, with a NUL behind. */
static char *golden_read(Arena *arena, const char *name, size_t *ret_n) {
    _cleanup_free_ char *path = xasprintf(LIGHTER_SOURCE_DIR "/tests/golden/api/%s", name), *text = NULL;
    assert_int_equal(fs_read_file(path, GOLDEN_MAX, &text, ret_n), 0);
    char *copy = arena_alloc(arena, *ret_n + 1);
    memcpy(copy, text, *ret_n + 1);
    return copy;
}
