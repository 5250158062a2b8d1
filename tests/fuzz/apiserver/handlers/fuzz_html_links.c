/* Pages in pieces: what comes out is what went in, but for the marks before links; the pieces do not matter. */
#include "apiserver/handlers/html_links.h"

#include <stdlib.h>

static void nothing(void *userdata, const char *link, Buf *out) {
    (void)userdata;
    buf_puts(out, link);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    size_t step = size ? 1 + data[0] % 17 : 1;
    const char *page = (const char *)data + (size > 0);
    size -= size > 0;
    if (size && memchr(page, 0, size))
        return 0; /* a link ends at a NUL */
    _cleanup_(html_links_freep) HtmlLinks *links = html_links_new(nothing, NULL);
    _cleanup_buf_ Buf out = BUF_INIT(BUF_NO_LIMIT);
    for (size_t i = 0; i < size; i += step)
        html_links_feed(links, page + i, MIN(step, size - i), false, &out);
    html_links_feed(links, "", 0, true, &out);
    if (out.len != size || (size && memcmp(out.data, page, size) != 0))
        abort();
    return 0;
}
