/* What a server answers, and the reader of one answer in HTTP/1.1 (RFC 9112). */
#pragma once

#include "base/buf.h"

#include <http_parser.h>

#define HTTP_ANSWER_HEAD_MAX                                                                                           \
    (64 * 1024) /* bytes of one header field; http-parser holds heads to HTTP_MAX_HEADER_SIZE */

typedef struct HttpAnswer {
    int status;
    Buf body;
    char *content_type, *etag; /* NULL: absent */
} HttpAnswer;
void http_answer_done(HttpAnswer *answer);
#define _cleanup_http_answer_ _cleanup_(http_answer_done)
/* Keeps a header field that an answer has room for: the first of its name. */
void http_answer_take_header(HttpAnswer *answer, const char *name, const char *value);

typedef struct AnswerOps {
    void (*head)(int status, void *userdata); /* not of the heads that only lead up to it (1xx); may be NULL */
    int (*body)(const char *p, size_t n, void *userdata); /* negative errno: no more */
} AnswerOps;

/* Set up by answer_reader_init, freed by answer_reader_done. The callbacks run inside answer_read and answer_end. */
typedef struct AnswerReader {
    http_parser parser;
    HttpAnswer *answer; /* borrowed; its body is the callback's */
    const AnswerOps *ops;
    void *userdata;
    bool of_head; /* the request was a HEAD: no body follows */
    Buf name, value;
    bool in_value, head_done, done, keeps_alive;
    int error;
} AnswerReader;
void answer_reader_init(AnswerReader *reader, bool of_head, HttpAnswer *answer, const AnswerOps *ops, void *userdata);
void answer_reader_done(AnswerReader *reader);
/* 0: more may come, or reader->done (bytes after it are not looked at, and the connection not kept). -EPROTO, or what
 * `body` gave. */
int answer_read(AnswerReader *reader, const void *p, size_t n);
/* The connection has ended in good order: 0 where that ends the answer, -ECONNRESET where it cuts it. */
int answer_end(AnswerReader *reader);
