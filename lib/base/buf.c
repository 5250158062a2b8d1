#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>

void buf_done(Buf *buf) {
    free(buf->data);
    *buf = (Buf){.limit = buf->limit};
}

void buf_clear(Buf *buf) {
    buf->len = 0;
    buf->failed = false;
    if (buf->data)
        buf->data[0] = 0;
}

char *buf_reserve(Buf *buf, size_t n) {
    if (n > buf->limit || buf->len > buf->limit - n || n > SIZE_MAX / 4) {
        buf->failed = true;
        return NULL;
    }
    size_t need = buf->len + n + 1;
    if (need > buf->cap) {
        size_t cap = MAX(buf->cap + buf->cap / 2, need);
        buf->cap = cap < 64 ? 64 : cap;
        buf->data = xrealloc(buf->data, buf->cap);
    }
    return buf->data + buf->len;
}

void buf_append(Buf *buf, const void *p, size_t n) {
    char *to = buf_reserve(buf, n);
    if (!to)
        return;
    if (n)
        memcpy(to, p, n);
    buf->len += n;
    buf->data[buf->len] = 0;
}

void buf_puts(Buf *buf, const char *s) {
    buf_append(buf, s, strlen(s));
}

void buf_printf(Buf *buf, const char *format, ...) {
    va_list ap, again;
    va_start(ap, format);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, format, ap);
    va_end(ap);
    char *to = n >= 0 ? buf_reserve(buf, (size_t)n) : NULL;
    if (to) {
        vsnprintf(to, (size_t)n + 1, format, again);
        buf->len += (size_t)n;
    }
    va_end(again);
}

void buf_consume(Buf *buf, size_t n) {
    n = MIN(n, buf->len);
    if (!n)
        return;
    buf->len -= n;
    memmove(buf->data, buf->data + n, buf->len + 1);
}

char *buf_take(Buf *buf, size_t *ret_len) {
    if (buf->failed)
        return NULL;
    if (!buf->data)
        buf_append(buf, "", 0);
    if (ret_len)
        *ret_len = buf->len;
    char *data = buf->data;
    *buf = (Buf){.limit = buf->limit};
    return data;
}
