#include "base/random.h"

#include <errno.h>
#include <sys/random.h>

void random_bytes(void *p, size_t n) {
    char *to = p;
    while (n) {
        ssize_t r = getrandom(to, n, 0);
        if (r < 0) {
            if (errno == EINTR)
                continue;
            abort();
        }
        to += r;
        n -= (size_t)r;
    }
}

uint64_t random_below(uint64_t n) {
    uint64_t v, limit = UINT64_MAX - UINT64_MAX % n;
    do
        random_bytes(&v, sizeof v);
    while (v >= limit);
    return v % n;
}

char *random_uuid(char out[UUID_LEN + 1]) {
    uint8_t b[16];
    random_bytes(b, sizeof b);
    b[6] = (uint8_t)((b[6] & 0x0F) | 0x40);
    b[8] = (uint8_t)((b[8] & 0x3F) | 0x80);
    static const char DIGITS[] = "0123456789abcdef";
    char *to = out;
    for (size_t i = 0; i < sizeof b; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *to++ = '-';
        *to++ = DIGITS[b[i] >> 4];
        *to++ = DIGITS[b[i] & 0x0F];
    }
    *to = 0;
    return out;
}

char *random_suffix(char *out, size_t n) {
    static const char ALPHABET[] = "bcdfghjklmnpqrstvwxz2456789";
    const size_t letters = sizeof ALPHABET - 1, fair = 256 - 256 % letters;
    uint8_t drawn[16];
    size_t left = 0;
    for (size_t i = 0; i < n;) {
        if (left == 0)
            random_bytes(drawn, left = sizeof drawn);
        uint8_t b = drawn[--left];
        if (b < fair)
            out[i++] = ALPHABET[b % letters];
    }
    out[n] = 0;
    return out;
}
