/* Memory and cleanup helpers.
 *
 * Two kinds of allocation, kept apart on purpose:
 *  - Small allocations of a size the program chose (xmalloc and friends) abort the process when the system is out of
 *    memory. A daemon may be killed at any instant and loses nothing by it, so this is the honest answer.
 *  - Anything whose size comes from outside goes through an Arena or a Buf with a named limit and fails with an error.
 *
 * Cleanup attributes make early returns safe: `_cleanup_free_ char *p = NULL;`, and TAKE_PTR to hand ownership on.
 * Every destructor accepts NULL and returns NULL of its type where that helps (`p = thing_free(p)`). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define _cleanup_(f) __attribute__((cleanup(f)))
#define _printf_(a, b) __attribute__((format(printf, a, b)))
#define _unused_ __attribute__((unused))

#define TAKE_PTR(p)                                                                                                    \
    ({                                                                                                                 \
        __typeof__(p) *_pp = &(p);                                                                                     \
        __typeof__(p) _taken = *_pp;                                                                                   \
        *_pp = NULL;                                                                                                   \
        _taken;                                                                                                        \
    })

#define ELEMENTSOF(a) (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b)                                                                                                      \
    ({                                                                                                                 \
        __typeof__(a) _a = (a);                                                                                        \
        __typeof__(b) _b = (b);                                                                                        \
        _a < _b ? _a : _b;                                                                                             \
    })
#define MAX(a, b)                                                                                                      \
    ({                                                                                                                 \
        __typeof__(a) _a = (a);                                                                                        \
        __typeof__(b) _b = (b);                                                                                        \
        _a > _b ? _a : _b;                                                                                             \
    })
#define CONTAINER_OF(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

/* Abort when the system has no memory; xmallocn and xreallocn also when n * size overflows. */
void *xmalloc(size_t size);
void *xcalloc(size_t n, size_t size);
void *xrealloc(void *p, size_t size);
void *xreallocn(void *p, size_t n, size_t size);
char *xstrdup(const char *s); /* NULL gives NULL */
char *xstrndup(const char *s, size_t n);
void *xmemdup(const void *p, size_t n);
char *xasprintf(const char *format, ...) _printf_(1, 2);

#define NEW(T) ((T *)xmalloc(sizeof(T)))
#define NEW0(T) ((T *)xcalloc(1, sizeof(T)))
#define NEWN0(T, n) ((T *)xcalloc((n), sizeof(T)))

static inline void freep(void *p) {
    free(*(void **)p);
}
#define _cleanup_free_ _cleanup_(freep)

void closep(int *fd); /* closes *fd when it is >= 0 */
#define _cleanup_close_ _cleanup_(closep)

/* DEFINE_CLEANUP(Thing, thing_free) defines thing_freep for _cleanup_(thing_freep). */
#define DEFINE_CLEANUP(T, function)                                                                                    \
    static inline void function##p(T **p) {                                                                            \
        if (*p)                                                                                                        \
            function(*p);                                                                                              \
    }

/* Overwrites secrets so that the compiler cannot drop the stores. */
void wipe(void *p, size_t n);
/* Frees a NUL-terminated secret after wiping it; for _cleanup_(wipe_freep). */
void wipe_freep(char **p);
