#include "http/answer.h"

#include "base/str.h"

#include <errno.h>
#include <strings.h>

void http_answer_done(HttpAnswer *answer) {
    buf_done(&answer->body);
    free(answer->content_type);
    free(answer->etag);
    *answer = (HttpAnswer){0};
}

void http_answer_take_header(HttpAnswer *answer, const char *name, const char *value) {
    char **keep = strcasecmp(name, "content-type") == 0 ? &answer->content_type
                  : strcasecmp(name, "etag") == 0       ? &answer->etag
                                                        : NULL;
    if (keep && !*keep)
        *keep = xstrdup(value);
}

static void end_field(AnswerReader *reader) {
    if (reader->in_value && !reader->head_done && reader->parser.status_code >= 200)
        http_answer_take_header(reader->answer, str_or(reader->name.data, ""), str_or(reader->value.data, ""));
    buf_clear(&reader->name);
    buf_clear(&reader->value);
    reader->in_value = false;
}

static int on_field(http_parser *parser, const char *at, size_t n) {
    AnswerReader *reader = parser->data;
    if (reader->in_value)
        end_field(reader);
    buf_append(&reader->name, at, n);
    return reader->name.failed;
}

static int on_value(http_parser *parser, const char *at, size_t n) {
    AnswerReader *reader = parser->data;
    reader->in_value = true;
    buf_append(&reader->value, at, n);
    return reader->value.failed;
}

static int on_head(http_parser *parser) {
    AnswerReader *reader = parser->data;
    end_field(reader);
    if (parser->status_code < 100)
        return -1; /* no status there is */
    if (parser->status_code < 200 && parser->status_code != 101)
        return 1; /* another head follows, never a body, whatever this one says */
    reader->head_done = true;
    reader->answer->status = (int)parser->status_code;
    if (reader->ops->head)
        reader->ops->head(reader->answer->status, reader->userdata);
    return reader->of_head; /* 1: no body follows, whatever the head says */
}

static int on_body(http_parser *parser, const char *at, size_t n) {
    AnswerReader *reader = parser->data;
    reader->error = reader->ops->body(at, n, reader->userdata);
    return reader->error < 0;
}

static int on_complete(http_parser *parser) {
    AnswerReader *reader = parser->data;
    end_field(reader);
    if (!reader->head_done)
        return 0; /* another head follows */
    reader->done = true;
    reader->keeps_alive = http_should_keep_alive(parser) && !parser->upgrade;
    http_parser_pause(parser, 1);
    return 0;
}

static const http_parser_settings settings = {
    .on_header_field = on_field,
    .on_header_value = on_value,
    .on_headers_complete = on_head,
    .on_body = on_body,
    .on_message_complete = on_complete,
};

void answer_reader_init(AnswerReader *reader, bool of_head, HttpAnswer *answer, const AnswerOps *ops, void *userdata) {
    *reader = (AnswerReader){.answer = answer,
                             .ops = ops,
                             .userdata = userdata,
                             .of_head = of_head,
                             .name = BUF_INIT(HTTP_ANSWER_HEAD_MAX),
                             .value = BUF_INIT(HTTP_ANSWER_HEAD_MAX)};
    http_parser_init(&reader->parser, HTTP_RESPONSE);
    reader->parser.data = reader;
}

void answer_reader_done(AnswerReader *reader) {
    buf_done(&reader->name);
    buf_done(&reader->value);
}

int answer_read(AnswerReader *reader, const void *p, size_t n) {
    if (reader->done || reader->error)
        return reader->error;
    size_t parsed = http_parser_execute(&reader->parser, &settings, p, n);
    enum http_errno e = HTTP_PARSER_ERRNO(&reader->parser);
    if (!reader->done && !reader->error && e != HPE_OK)
        reader->error = -EPROTO;
    if (reader->done && parsed < n)
        reader->keeps_alive = false; /* what nobody asked for */
    return reader->error;
}

int answer_end(AnswerReader *reader) {
    int r = answer_read(reader, NULL, 0);
    if (r == 0 && !reader->done)
        r = -ECONNRESET;
    return r == -EPROTO ? -ECONNRESET : r;
}
