/* SHA-256 as it streams by. */
#pragma once

#include "base/mem.h"

typedef struct Digest Digest;
#define DIGEST_TEXT (7 + 64) /* "sha256:" and hex */

Digest *digest_new(void);
void digest_free(Digest *digest);
DEFINE_CLEANUP(Digest, digest_free)
void digest_update(Digest *digest, const void *p, size_t n);
/* Ends the stream; the digest may then only be freed. */
void digest_text(Digest *digest, char out[DIGEST_TEXT + 1]);
void digest_of(const void *p, size_t n, char out[DIGEST_TEXT + 1]);
