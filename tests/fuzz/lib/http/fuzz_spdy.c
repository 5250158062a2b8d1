#include "http/spdy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int on_opened(uint32_t stream, const char *headers, size_t n, bool fin, void *userdata) {
    (void)fin;
    const char *port = spdy_header(headers, n, "port");
    *(size_t *)userdata += stream + n + (port ? strlen(port) : 0);
    return stream % 8 == 7 ? -1 : 0;
}

static void on_data(uint32_t stream, const void *p, size_t n, bool fin, void *userdata) {
    size_t *sum = userdata;
    for (size_t i = 0; i < n; i++)
        *sum += ((const unsigned char *)p)[i];
    *sum += stream + fin;
}

static void on_reset(uint32_t stream, void *userdata) {
    *(size_t *)userdata += stream;
}

static void on_goaway(void *userdata) {
    *(size_t *)userdata += 1;
}

static int on_write(const void *head, size_t head_len, const void *p, size_t n, void *userdata) {
    (void)head, (void)p;
    *(size_t *)userdata += head_len + n;
    return 0;
}

/* The first byte says in which pieces the rest arrives. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const SpdyOps ops = {on_opened, on_data, on_reset, on_goaway, on_write};
    size_t sum = 0, piece = size ? data[0] % 64 + 1u : 1;
    Spdy *spdy = NULL;
    if (spdy_new(&ops, &sum, &spdy) < 0)
        abort();
    for (size_t i = 1; i < size; i += piece)
        if (spdy_input(spdy, data + i, MIN(piece, size - i)) < 0)
            break;
    spdy_free(spdy);
    return 0;
}
