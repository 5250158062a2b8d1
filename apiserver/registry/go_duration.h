/* Durations of clients, refused in the words of Go's time.ParseDuration. */
#pragma once

#include "base/arena.h"

/* NULL and *ret_ns, or what is wrong with it, in the arena. */
const char *go_duration_parse(Arena *arena, const char *text, int64_t *ret_ns);
