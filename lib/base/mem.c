#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

static void *checked(void *p) {
    if (!p) {
        static const char message[] = "lighter: out of memory\n";
        (void)!write(STDERR_FILENO, message, sizeof message - 1);
        abort();
    }
    return p;
}

void *xmalloc(size_t size) {
    return checked(malloc(size ? size : 1));
}

void *xcalloc(size_t n, size_t size) {
    return checked(calloc(n ? n : 1, size ? size : 1));
}

void *xrealloc(void *p, size_t size) {
    return checked(realloc(p, size ? size : 1));
}

void *xreallocn(void *p, size_t n, size_t size) {
    size_t bytes;
    return __builtin_mul_overflow(n, size, &bytes) ? checked(NULL) : xrealloc(p, bytes);
}

char *xstrdup(const char *s) {
    return s ? checked(strdup(s)) : NULL;
}

char *xstrndup(const char *s, size_t n) {
    return checked(strndup(s, n));
}

void *xmemdup(const void *p, size_t n) {
    void *copy = xmalloc(n);
    if (n)
        memcpy(copy, p, n);
    return copy;
}

char *xasprintf(const char *format, ...) {
    va_list ap;
    char *s = NULL;
    va_start(ap, format);
    int r = vasprintf(&s, format, ap);
    va_end(ap);
    return checked(r < 0 ? NULL : s);
}

void closep(int *fd) {
    if (*fd >= 0)
        close(*fd);
}

void wipe(void *p, size_t n) {
    explicit_bzero(p, n);
}

void wipe_freep(char **p) {
    if (!*p)
        return;
    wipe(*p, strlen(*p));
    free(*p);
}
