/* Frames of an HTTP/2 client through the whole connection code. The input is a row of frames, each with a short head
 * (type, flags, stream, two bytes of length) from which one that fits is made here; what HPACK reads is as it is. */
#include "../../support/http_peer.h"

#define PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
#define SHORT_HEAD 5
#define FRAMES_MAX 512

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const uint8_t settings[] = {0, 0, 0, 4, 0, 0, 0, 0, 0};
    _cleanup_buf_ Buf out = BUF_INIT(HTTP_PEER_INPUT_MAX);
    buf_puts(&out, PREFACE);
    buf_append(&out, settings, sizeof settings);
    for (int i = 0; i < FRAMES_MAX && size >= SHORT_HEAD; i++) {
        size_t n = MIN((size_t)data[3] << 8 | data[4], size - SHORT_HEAD);
        const uint8_t head[] = {0, (uint8_t)(n >> 8), (uint8_t)n, data[0], data[1], 0, 0, 0, data[2]};
        buf_append(&out, head, sizeof head);
        buf_append(&out, data + SHORT_HEAD, n);
        data += SHORT_HEAD + n;
        size -= SHORT_HEAD + n;
    }
    if (!out.failed)
        http_peer_run((const uint8_t *)out.data, out.len, true, http_peer_handle, NULL);
    return 0;
}
