#include "http/conn.h"

#include <errno.h>
#include <limits.h>
#include <zlib.h>

#define GZIP_LEVEL 1          /* as the reference server compresses its replies */
#define GZIP_WINDOW (15 + 16) /* zlib: 16 asks for a gzip header */

int gzip_compress(const void *p, size_t n, Buf *out) {
    if (n > UINT_MAX)
        return -EFBIG;
    z_stream z = {0};
    if (deflateInit2(&z, GZIP_LEVEL, Z_DEFLATED, GZIP_WINDOW, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return -ENOMEM;
    size_t bound = deflateBound(&z, (uLong)n);
    char *room = bound <= UINT_MAX ? buf_reserve(out, bound) : NULL;
    if (!room) {
        deflateEnd(&z);
        return -ENOMEM;
    }
    z.next_in = (Bytef *)(uintptr_t)p;
    z.avail_in = (uInt)n;
    z.next_out = (Bytef *)room;
    z.avail_out = (uInt)bound;
    int r = deflate(&z, Z_FINISH);
    out->len += z.total_out;
    deflateEnd(&z);
    if (r != Z_STREAM_END)
        return -EIO;
    out->data = xrealloc(out->data, out->len + 1); /* deflateBound is generous */
    out->cap = out->len + 1;
    out->data[out->len] = 0;
    return 0;
}
