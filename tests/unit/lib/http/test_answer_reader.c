/* Answers of HTTP/1.1 servers, given whole and byte by byte. */
#include "base/str.h"
#include "http/answer_reader.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define BODY_MAX 32

typedef struct Heard {
    AnswerReader reader;
    Buf fields, body; /* "name=value;", ... */
    int status;
    AnswerRest rest; /* what the head's callback says */
} Heard;

static void on_header(const char *name, const char *value, void *userdata) {
    Heard *heard = userdata;
    assert_int_equal(heard->status, 0);
    buf_printf(&heard->fields, "%s=%s;", name, value);
}

static AnswerRest on_head(int status, void *userdata) {
    Heard *heard = userdata;
    assert_int_equal(heard->status, 0);
    heard->status = status;
    return heard->rest;
}

static int on_body(const char *p, size_t n, void *userdata) {
    Heard *heard = userdata;
    buf_append(&heard->body, p, n);
    return heard->body.failed ? -EFBIG : 0;
}

static void begin(Heard *heard, bool of_head, AnswerRest rest) {
    static const AnswerOps ops = {on_header, on_head, on_body};
    *heard = (Heard){.fields = BUF_INIT(BUF_NO_LIMIT), .body = BUF_INIT(BODY_MAX), .rest = rest};
    answer_reader_init(&heard->reader, of_head, &ops, heard);
}

static void end(Heard *heard) {
    answer_reader_done(&heard->reader);
    buf_done(&heard->fields);
    buf_done(&heard->body);
}

/* In pieces of this many bytes; how many were the answer's. */
static int feed(Heard *heard, const char *text, size_t piece, size_t *ret_used) {
    size_t n = strlen(text), all = 0;
    for (size_t at = 0; at < n && !heard->reader.done; at += piece) {
        size_t used = SIZE_MAX;
        int r = answer_read(&heard->reader, text + at, MIN(piece, n - at), &used);
        if (r < 0)
            return r;
        all += used;
    }
    *ret_used = all;
    return 0;
}

static void reads(void **state) {
    (void)state;
    static const struct {
        const char *text, *after; /* after: what is not the answer's */
        bool of_head, keeps_alive;
        AnswerRest rest;
        int status;
        const char *fields, *body;
    } rows[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Empty:\r\nETag: \"a\"\r\n\r\nhi", "", false, true, ANSWER_BODY, 200,
         "content-length=2;x-empty=;etag=\"a\";", "hi"},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-Trailer: 1\r\n\r\n", "", false, true,
         ANSWER_BODY, 200, "transfer-encoding=chunked;", "hi"},
        {"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n", "", false, false, ANSWER_BODY, 204,
         "connection=close;", ""},
        {"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", "", true, true, ANSWER_BODY, 200, "content-length=9;", ""},
        /* Interim answers (RFC 9110 section 15.2), whatever they say of a body. */
        {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\nContent-Length: 7\r\n\r\n"
         "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
         "", false, true, ANSWER_BODY, 404, "content-length=0;", ""},
        {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", "HTTP/1.1 200 OK", false, false, ANSWER_BODY, 200,
         "content-length=2;", "hi"},
        {"HTTP/1.1 101 Switching Protocols\r\nUpgrade: tcp\r\nConnection: Upgrade\r\n\r\n", "\x01spdy", false, false,
         ANSWER_SWITCHED, 101, "upgrade=tcp;connection=Upgrade;", ""},
        /* Not the length of anything: the switch is at the end of the head. */
        {"HTTP/1.1 101 Switching Protocols\r\nContent-Length: 3\r\n\r\n", "abc", false, false, ANSWER_SWITCHED, 101,
         "content-length=3;", ""},
    };
    for (size_t i = 0; i < ELEMENTSOF(rows); i++)
        for (size_t whole = 0; whole < 2; whole++) {
            Heard heard;
            size_t used;
            _cleanup_free_ char *text = xasprintf("%s%s", rows[i].text, rows[i].after);
            begin(&heard, rows[i].of_head, rows[i].rest);
            assert_int_equal(feed(&heard, text, whole ? strlen(text) : 1, &used), 0);
            assert_true(heard.reader.done);
            assert_int_equal(used, strlen(rows[i].text));
            assert_int_equal(heard.status, rows[i].status);
            assert_string_equal(str_or(heard.fields.data, ""), rows[i].fields);
            assert_string_equal(str_or(heard.body.data, ""), rows[i].body);
            if (whole) /* byte by byte nothing was given after its end */
                assert_int_equal(heard.reader.keeps_alive, rows[i].keeps_alive);
            assert_int_equal(answer_end(&heard.reader), 0);
            end(&heard);
        }
}

/* What the end of the connection is to an answer. */
static void ends(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int result;
    } rows[] = {
        {"", -ECONNRESET},
        {"HTTP/1.1 200 OK\r\nConte", -ECONNRESET},
        {"HTTP/1.1 100 Continue\r\n\r\n", -ECONNRESET},
        {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi", -ECONNRESET},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n", -ECONNRESET},
        {"HTTP/1.1 200 OK\r\n\r\nhi", 0}, /* a body without a length */
    };
    for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
        Heard heard;
        size_t used;
        begin(&heard, false, ANSWER_BODY);
        assert_int_equal(feed(&heard, rows[i].text, 1, &used), 0);
        assert_false(heard.reader.done);
        assert_int_equal(answer_end(&heard.reader), rows[i].result);
        assert_int_equal(heard.reader.done, rows[i].result == 0);
        assert_false(heard.reader.keeps_alive);
        end(&heard);
    }
}

static void fails(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int error;
        const char *fault; /* NULL: not the parser's */
    } rows[] = {
        {"SSH-2.0-OpenSSH\r\n\r\n", -EPROTO, "invalid constant string"},
        {"HTTP/1.1 099 Odd\r\n\r\n", -EPROTO, "the on_headers_complete callback failed"},
        {"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", -EPROTO, "invalid character in content-length header"},
        {"HTTP/1.1 200 OK\r\n\r\n123456789012345678901234567890123", -EFBIG, NULL},
    };
    for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
        Heard heard;
        size_t used;
        begin(&heard, false, ANSWER_BODY);
        assert_int_equal(feed(&heard, rows[i].text, 1, &used), rows[i].error);
        if (rows[i].fault)
            assert_string_equal(answer_fault(&heard.reader), rows[i].fault);
        assert_int_equal(answer_read(&heard.reader, "x", 1, &used), rows[i].error);
        assert_false(heard.reader.done);
        end(&heard);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads),
        cmocka_unit_test(ends),
        cmocka_unit_test(fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
