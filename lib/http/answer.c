#include "http/answer.h"

#include "base/str.h"

void http_answer_done(HttpAnswer *answer) {
    buf_done(&answer->body);
    free(answer->content_type);
    free(answer->etag);
    free(answer->location);
    *answer = (HttpAnswer){0};
}

void http_answer_take_header(HttpAnswer *answer, const char *name, const char *value) {
    char **keep = streq(name, "content-type") ? &answer->content_type
                  : streq(name, "etag")       ? &answer->etag
                  : streq(name, "location")   ? &answer->location
                                              : NULL;
    if (keep && !*keep)
        *keep = xstrdup(value);
}
