/* Do a certificate and a key, both PEM, belong together? Pure; any thread. */
#pragma once

#include "base/arena.h"

/* NULL when they do; else why not, in the words of Go's crypto/tls (in the arena). */
const char *key_pair_error(Arena *arena, const void *certificate, size_t certificate_len, const void *key,
                           size_t key_len);
