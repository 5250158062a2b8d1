/* A growing byte buffer with a named limit. Appending past the limit sets `failed` and drops the bytes, so a writer may
 * append freely and check once at the end. The bytes are always followed by a NUL that `len` does not count. */
#pragma once

#include "base/mem.h"

typedef struct Buf {
    char *data; /* owned; NULL while empty */
    size_t len, cap, limit;
    bool failed;
} Buf;

#define BUF_INIT(max) ((Buf){.limit = (max)})
#define BUF_NO_LIMIT SIZE_MAX

void buf_done(Buf *buf); /* frees; for _cleanup_(buf_done) */
#define _cleanup_buf_ _cleanup_(buf_done)
void buf_clear(Buf *buf); /* keeps the memory */
void buf_append(Buf *buf, const void *p, size_t n);
void buf_puts(Buf *buf, const char *s);
static inline void buf_putc(Buf *buf, char c) {
    if (buf->len + 1 < buf->cap && buf->len < buf->limit) {
        buf->data[buf->len++] = c;
        buf->data[buf->len] = 0;
    } else
        buf_append(buf, &c, 1);
}
void buf_printf(Buf *buf, const char *format, ...) _printf_(2, 3);
/* Room for n more bytes to be written at data + len (the caller then adds to len); NULL past the limit. */
char *buf_reserve(Buf *buf, size_t n);
void buf_consume(Buf *buf, size_t n); /* drops the first n bytes */
/* Hands the NUL-terminated bytes to the caller (never NULL unless failed) and leaves the buffer empty. */
char *buf_take(Buf *buf, size_t *ret_len);
