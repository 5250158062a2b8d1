/* Randomness from the kernel. */
#pragma once

#include "base/mem.h"

void random_bytes(void *p, size_t n);
uint64_t random_below(uint64_t n); /* uniform in [0, n); n > 0 */
#define UUID_LEN 36
char *random_uuid(char out[UUID_LEN + 1]); /* version 4 */
/* n characters of the alphabet Kubernetes uses for generated names (no vowels, no 0, 1, 3), NUL-terminated. */
char *random_suffix(char *out, size_t n);
