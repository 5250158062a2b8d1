#include "http/websocket.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void on_message(bool text, const void *p, size_t n, void *userdata) {
    (void)text;
    size_t *sum = userdata;
    for (size_t i = 0; i < n; i++)
        *sum += ((const unsigned char *)p)[i];
}

static void on_close(unsigned code, void *userdata) {
    *(size_t *)userdata += code;
}

static int on_write(const void *head, size_t head_len, const void *p, size_t n, void *userdata) {
    (void)head, (void)p;
    *(size_t *)userdata += head_len + n;
    return 0;
}

/* The first byte says in which pieces the rest arrives. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const WebSocketOps ops = {on_message, on_close, on_write};
    size_t sum = 0, piece = size ? data[0] % 64 + 1u : 1;
    WebSocket *ws = NULL;
    if (websocket_new(&ops, &sum, &ws) < 0)
        abort();
    for (size_t i = 1; i < size; i += piece)
        if (websocket_input(ws, data + i, MIN(piece, size - i)) < 0)
            break;
    websocket_free(ws);
    return 0;
}
