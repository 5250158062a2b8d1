/* Answers of HTTP/1.1 servers, cut in two anywhere: what is read must not depend on where, and a body that was given
 * out belongs to an answer with a status. */
#include "base/str.h"
#include "http/answer.h"
#include "http/url.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct Read {
    HttpAnswer answer;
    AnswerReader reader;
    int heads, result;
} Read;

static void on_head(int status, void *userdata) {
    Read *read = userdata;
    if (status != read->answer.status || read->heads++)
        abort();
}

static int on_body(const char *p, size_t n, void *userdata) {
    Read *read = userdata;
    if (!read->heads)
        abort();
    buf_append(&read->answer.body, p, n);
    return 0;
}

static void read_in(Read *read, const char *p, size_t n, size_t cut, bool of_head) {
    static const AnswerOps ops = {.head = on_head, .body = on_body};
    *read = (Read){.answer.body = BUF_INIT(BUF_NO_LIMIT)};
    answer_reader_init(&read->reader, of_head, &read->answer, &ops, read);
    if (cut > 0) /* no bytes at all are the end, to the parser */
        read->result = answer_read(&read->reader, p, cut);
    if (cut < n && read->result == 0 && !read->reader.done)
        read->result = answer_read(&read->reader, p + cut, n - cut);
    if (read->result == 0 && !read->reader.done)
        read->result = answer_end(&read->reader);
    answer_reader_done(&read->reader);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2)
        return 0;
    const char *text = (const char *)data + 2;
    size_t n = size - 2, cut = n ? (data[0] | (size_t)(data[1] & 0x7f) << 8) % n : 0;
    bool of_head = data[1] & 0x80;
    Read whole, parts;
    read_in(&whole, text, n, n, of_head);
    read_in(&parts, text, n, cut, of_head);
    if (whole.result != parts.result)
        abort();
    if (whole.result == 0 &&
        (whole.answer.status != parts.answer.status || whole.answer.body.len != parts.answer.body.len ||
         !streq_null(whole.answer.content_type, parts.answer.content_type) ||
         !streq_null(whole.answer.etag, parts.answer.etag)))
        abort();
    http_answer_done(&whole.answer);
    http_answer_done(&parts.answer);
    _cleanup_free_ char *line = xstrndup(text, n);
    HttpUrl url = {0};
    if (http_url_parse(line, &url) == 0 && (!*url.host || !url.port))
        abort();
    http_url_done(&url);
    return 0;
}
