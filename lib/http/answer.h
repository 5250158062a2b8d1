/* What a server answered, whatever the protocol it came in. */
#pragma once

#include "base/buf.h"

typedef struct HttpAnswer {
    int status;
    Buf body;
    char *content_type, *etag, *location; /* NULL: absent */
} HttpAnswer;
void http_answer_done(HttpAnswer *answer);
#define _cleanup_http_answer_ _cleanup_(http_answer_done)
/* Keeps a header field that an answer has room for: the first of its name, which is in lower case. */
void http_answer_take_header(HttpAnswer *answer, const char *name, const char *value);
