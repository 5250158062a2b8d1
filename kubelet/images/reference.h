/* Image references, as in github.com/distribution/reference: [host/]path[:tag][@digest]. */
#pragma once

#include "base/mem.h"

typedef struct ImageReference {
    char *host;   /* "docker.io" when none was written */
    char *path;   /* "library/nginx" */
    char *tag;    /* NULL with a digest only; "latest" when neither was written */
    char *digest; /* "sha256:<64 hex>" or NULL */
} ImageReference;

#define IMAGE_REFERENCE_MAX 512

int image_reference_parse(const char *text, ImageReference *ret); /* -EINVAL */
void image_reference_done(ImageReference *reference);
/* host/path@digest, or host/path:tag. */
char *image_reference_text(const ImageReference *reference);
bool digest_is_valid(const char *digest); /* sha256:<64 lower-case hex> */
