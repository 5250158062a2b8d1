/* A server's answer in HTTP/1.1 in pieces; the first byte says how large, and whether the request was a HEAD. However
 * it is cut, the reader sees the same. */
#include "http/answer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct Seen {
    int status, heads;
    size_t body;
} Seen;

static void on_head(int status, void *userdata) {
    Seen *seen = userdata;
    seen->status = status;
    seen->heads++;
}

static int on_body(const char *p, size_t n, void *userdata) {
    Seen *seen = userdata;
    (void)p;
    seen->body += n;
    return 0;
}

static int read_in(const uint8_t *data, size_t size, size_t piece, bool of_head, Seen *ret) {
    static const AnswerOps ops = {on_head, on_body};
    _cleanup_http_answer_ HttpAnswer answer = {0};
    AnswerReader reader;
    int r = 0;
    answer_reader_init(&reader, of_head, &answer, &ops, ret);
    for (size_t i = 0; r == 0 && !reader.done && i < size; i += piece)
        r = answer_read(&reader, data + i, MIN(piece, size - i));
    if (r == 0 && !reader.done)
        r = answer_end(&reader);
    if (ret->heads > 1)
        abort();
    answer_reader_done(&reader);
    return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (!size)
        return 0;
    Seen whole = {0}, pieces = {0};
    int r = read_in(data + 1, size - 1, SIZE_MAX / 2, data[0] & 1, &whole);
    int again = read_in(data + 1, size - 1, 1 + data[0] / 8, data[0] & 1, &pieces);
    if (r == 0 && (again != 0 || whole.status != pieces.status || whole.body != pieces.body))
        abort();
    return 0;
}
