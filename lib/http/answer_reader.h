/* The reader of one answer in HTTP/1.1 (RFC 9112): pushed the bytes as they come, it calls back with the head's fields,
 * the status and the body. */
#pragma once

#include "base/buf.h"

#include <http_parser.h>

#define ANSWER_FIELD_MAX (64 * 1024) /* bytes of one header field; http-parser holds heads to HTTP_MAX_HEADER_SIZE */

typedef enum AnswerRest {
    ANSWER_BODY,     /* the body that the head describes */
    ANSWER_SWITCHED, /* the answer is over: what follows is in another protocol (RFC 9110 section 15.2.2) */
} AnswerRest;

/* The heads that only lead up to the answer (1xx but 101) and trailers are passed over. */
typedef struct AnswerOps {
    void (*header)(const char *name, const char *value, void *userdata); /* in order; the name in lower case */
    AnswerRest (*head)(int status, void *userdata);                      /* after its fields: what follows */
    int (*body)(const char *p, size_t n, void *userdata);                /* negative errno: no more */
} AnswerOps;

/* Set up by answer_reader_init, freed by answer_reader_done. The callbacks run inside answer_read and answer_end. */
typedef struct AnswerReader {
    http_parser parser;
    const AnswerOps *ops; /* borrowed */
    void *userdata;
    Buf name, value; /* of the field being read */
    bool of_head;    /* the request was a HEAD: no body follows */
    bool in_value, head_done;
    bool done; /* the answer is whole */
    bool keeps_alive;
    int error;
} AnswerReader;
void answer_reader_init(AnswerReader *reader, bool of_head, const AnswerOps *ops, void *userdata);
void answer_reader_done(AnswerReader *reader);
/* 0: more may come, or reader->done; *ret_used (may be NULL) of the bytes were the answer's. -EPROTO, or what `body`
 * gave, now and at every later call. */
int answer_read(AnswerReader *reader, const void *p, size_t n, size_t *ret_used);
/* The connection has ended in good order: 0 where that ends the answer, -ECONNRESET where it cuts it. */
int answer_end(AnswerReader *reader);
/* After -EPROTO: what is wrong, in http-parser's words. */
const char *answer_fault(const AnswerReader *reader);
