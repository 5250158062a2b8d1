/* The body of an answer in pieces (the first byte says how large), and the health response that is in it. */
#include "grpc/health.h"
#include "grpc/message.h"

#define LIMIT 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (!size)
        return 0;
    size_t piece = (size_t)data[0] + 1;
    data++, size--;
    _cleanup_grpc_status_ GrpcStatus status = {0};
    MessageReader reader = MESSAGE_READER_INIT(LIMIT);
    int r = 0;
    for (size_t at = 0, n; r >= 0 && at < size; at += n) {
        n = MIN(piece, size - at);
        const uint8_t *p = data + at;
        size_t left = n;
        while (left && (r = message_reader_feed(&reader, &p, &left, &status)) > 0) {
            _cleanup_buf_ Buf body = message_reader_take(&reader);
            int32_t health = 0;
            char name[HEALTH_NAME_MAX];
            if (body.len > LIMIT)
                abort();
            if (health_decode(body.data, body.len, &health) == 0 && !*health_name(health, name))
                abort();
        }
    }
    if (r >= 0)
        r = message_reader_finish(&reader, &status);
    if ((r < 0) != (status.code != GRPC_OK) || reader.body.len > LIMIT)
        abort();
    message_reader_done(&reader);
    _cleanup_free_ char *text = xstrndup((const char *)data, size);
    size_t before = strlen(text);
    grpc_message_decode(text);
    if (strlen(text) > before)
        abort();
    return 0;
}
