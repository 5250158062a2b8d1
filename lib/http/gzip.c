#include "http/conn.h"

#include <errno.h>
#include <isa-l/igzip_lib.h>

#define LEVEL 1             /* as the reference server compresses its replies */
#define STEP (32 * 1024)    /* output comes in such steps */
#define INPUT_MAX (1 << 30) /* of one call: the library counts in 32 bits */

struct Gzip {
    struct isal_zstream stream;
    uint8_t level[ISAL_DEF_LVL1_SMALL], room[STEP];
};

Gzip *gzip_new(void) {
    Gzip *gzip = xmalloc(sizeof *gzip);
    isal_deflate_init(&gzip->stream);
    gzip->stream.level = LEVEL;
    gzip->stream.level_buf = gzip->level;
    gzip->stream.level_buf_size = sizeof gzip->level;
    gzip->stream.gzip_flag = IGZIP_GZIP;
    return gzip;
}

void gzip_free(Gzip *gzip) {
    free(gzip);
}

static int gzip_step(Gzip *gzip, Buf *out) {
    gzip->stream.next_out = gzip->room;
    gzip->stream.avail_out = STEP;
    if (isal_deflate(&gzip->stream) != COMP_OK)
        return -EIO;
    buf_append(out, gzip->room, STEP - gzip->stream.avail_out);
    return out->failed ? -EFBIG : 0;
}

int gzip_write(Gzip *gzip, const void *p, size_t n, bool last, Buf *out) {
    struct isal_zstream *stream = &gzip->stream;
    const uint8_t *from = p;
    do {
        uint32_t part = (uint32_t)MIN(n, (size_t)INPUT_MAX);
        stream->next_in = (uint8_t *)(uintptr_t)from;
        stream->avail_in = part;
        from += part;
        n -= part;
        stream->end_of_stream = last && n == 0;
        do { /* output that fills its room may have more behind it */
            int r = gzip_step(gzip, out);
            if (r < 0)
                return r;
        } while (stream->avail_out == 0 || stream->avail_in > 0);
    } while (n > 0);
    return 0;
}
