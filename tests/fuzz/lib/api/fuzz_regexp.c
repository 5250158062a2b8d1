/* A pattern of somebody's schema, a zero byte, and a text. */
#include "api/go_regexp.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const uint8_t *zero = size ? memchr(data, 0, size) : NULL;
    if (!zero)
        return 0;
    GoRegexp *regexp = NULL;
    char *error = NULL;
    int r = go_regexp_compile((const char *)data, &regexp, &error);
    if ((r < 0) != (error != NULL))
        abort();
    if (r == 0)
        (void)go_regexp_matches(regexp, (const char *)zero + 1, size - (size_t)(zero - data) - 1);
    go_regexp_free(regexp);
    free(error);
    return 0;
}
