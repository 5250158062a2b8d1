#include "http/answer_reader.h"

#include "base/str.h"

#include <ctype.h>
#include <errno.h>

enum { PARSE_BODY = 0, SKIP_BODY = 1, SWITCH_PROTOCOL = 2 }; /* what http-parser wants to hear of a head */

/* Of a head that only leads up to the answer? */
static bool is_interim(const http_parser *parser) {
    return parser->status_code < 200 && parser->status_code != HTTP_STATUS_SWITCHING_PROTOCOLS;
}

static void end_field(AnswerReader *reader) {
    if (reader->in_value && !reader->head_done && !is_interim(&reader->parser))
        reader->ops->header(str_or(reader->name.data, ""), str_or(reader->value.data, ""), reader->userdata);
    buf_clear(&reader->name);
    buf_clear(&reader->value);
    reader->in_value = false;
}

static int on_field(http_parser *parser, const char *at, size_t n) {
    AnswerReader *reader = parser->data;
    if (reader->in_value)
        end_field(reader);
    for (size_t i = 0; i < n; i++)
        buf_putc(&reader->name, (char)tolower((unsigned char)at[i]));
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
    if (is_interim(parser))
        return SKIP_BODY; /* another head follows, whatever this one says */
    reader->head_done = true;
    if (reader->ops->head((int)parser->status_code, reader->userdata) == ANSWER_SWITCHED)
        return SWITCH_PROTOCOL;
    return reader->of_head ? SKIP_BODY : PARSE_BODY;
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

void answer_reader_init(AnswerReader *reader, bool of_head, const AnswerOps *ops, void *userdata) {
    *reader = (AnswerReader){.ops = ops,
                             .userdata = userdata,
                             .of_head = of_head,
                             .name = BUF_INIT(ANSWER_FIELD_MAX),
                             .value = BUF_INIT(ANSWER_FIELD_MAX)};
    http_parser_init(&reader->parser, HTTP_RESPONSE);
    reader->parser.data = reader;
}

void answer_reader_done(AnswerReader *reader) {
    buf_done(&reader->name);
    buf_done(&reader->value);
}

int answer_read(AnswerReader *reader, const void *p, size_t n, size_t *ret_used) {
    size_t used = 0;
    if (!reader->done && !reader->error) {
        used = http_parser_execute(&reader->parser, &settings, p, n);
        if (!reader->done && !reader->error && HTTP_PARSER_ERRNO(&reader->parser) != HPE_OK)
            reader->error = -EPROTO;
    }
    if (reader->error)
        return reader->error;
    if (used < n)
        reader->keeps_alive = false; /* what nobody asked for */
    if (ret_used)
        *ret_used = used;
    return 0;
}

int answer_end(AnswerReader *reader) {
    int r = answer_read(reader, NULL, 0, NULL);
    if (r == 0 && !reader->done)
        r = -ECONNRESET;
    return r == -EPROTO ? -ECONNRESET : r;
}

const char *answer_fault(const AnswerReader *reader) {
    return http_errno_description(HTTP_PARSER_ERRNO(&reader->parser));
}
