/* Answers of HTTP/1.1 servers, cut in two anywhere: what is read must not depend on where, nor must what is left over;
 * fields come before their status, and a body after it. */
#include "base/str.h"
#include "http/answer.h"
#include "http/answer_reader.h"
#include "http/url.h"

#include <ctype.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct Read {
    HttpAnswer answer;
    AnswerReader reader;
    size_t used, fields;
    bool of_head, switched;
    int result;
} Read;

static void on_header(const char *name, const char *value, void *userdata) {
    Read *read = userdata;
    if (read->answer.status)
        abort();
    for (const char *p = name; *p; p++)
        if (*p != tolower((unsigned char)*p))
            abort();
    read->fields++;
    http_answer_take_header(&read->answer, name, value);
}

static AnswerRest on_head(int status, void *userdata) {
    Read *read = userdata;
    if (read->answer.status || status < 100)
        abort();
    read->answer.status = status;
    read->switched = status == 101;
    return read->switched ? ANSWER_SWITCHED : ANSWER_BODY;
}

static int on_body(const char *p, size_t n, void *userdata) {
    Read *read = userdata;
    if (!read->answer.status || read->of_head || read->switched)
        abort();
    buf_append(&read->answer.body, p, n);
    return 0;
}

static void feed(Read *read, const char *p, size_t n) {
    size_t used = 0;
    read->result = answer_read(&read->reader, p, n, &used);
    read->used += used;
    if (used > n || (used < n && read->result == 0 && !read->reader.done))
        abort();
}

static void read_in(Read *read, const char *p, size_t n, size_t cut, bool of_head) {
    static const AnswerOps ops = {on_header, on_head, on_body};
    *read = (Read){.answer.body = BUF_INIT(BUF_NO_LIMIT), .of_head = of_head};
    answer_reader_init(&read->reader, of_head, &ops, read);
    if (cut > 0) /* no bytes at all are the end, to the parser */
        feed(read, p, cut);
    if (cut < n && read->result == 0 && !read->reader.done)
        feed(read, p + cut, n - cut);
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
         whole.used != parts.used || whole.fields != parts.fields ||
         !streq_null(whole.answer.content_type, parts.answer.content_type) ||
         !streq_null(whole.answer.etag, parts.answer.etag) ||
         !streq_null(whole.answer.location, parts.answer.location)))
        abort();
    http_answer_done(&whole.answer);
    http_answer_done(&parts.answer);
    _cleanup_free_ char *line = xstrndup(text, n);
    HttpUrl url = {0};
    if (http_url_parse(line, &url) == 0 && (!*url.host || !url.port))
        abort();
    http_url_done(&url);
    const HttpUrl base = {.port = 80, .host = (char *)"a", .path = (char *)"/b/c?d"};
    if (http_url_resolve(&base, line, &url) == 0 &&
        (!*url.host || !url.port || *url.path != '/' || strchr(url.path, '#')))
        abort();
    http_url_done(&url);
    return 0;
}
