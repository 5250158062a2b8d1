#include "base/buf.h"
#include "base/fs.h"
#include "base/str.h"
#include "http/spdy.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

typedef struct Seen {
    Buf log, out;
} Seen;

static int on_opened(uint32_t stream, const char *headers, size_t n, bool fin, void *userdata) {
    Seen *seen = userdata;
    buf_printf(&seen->log, "open %u %s %s %s %d\n", stream, str_or(spdy_header(headers, n, "streamtype"), "-"),
               str_or(spdy_header(headers, n, "port"), "-"), str_or(spdy_header(headers, n, "requestid"), "-"), fin);
    return 0;
}

static void on_data(uint32_t stream, const void *p, size_t n, bool fin, void *userdata) {
    buf_printf(&((Seen *)userdata)->log, "data %u %.*s %d\n", stream, (int)n, n ? (const char *)p : "", fin);
}

static void on_reset(uint32_t stream, void *userdata) {
    buf_printf(&((Seen *)userdata)->log, "reset %u\n", stream);
}

static void on_goaway(void *userdata) {
    buf_puts(&((Seen *)userdata)->log, "goaway\n");
}

static int on_write(const void *head, size_t head_len, const void *p, size_t n, void *userdata) {
    Seen *seen = userdata;
    buf_append(&seen->out, head, head_len);
    buf_append(&seen->out, p, n);
    return 0;
}

static const SpdyOps ops = {on_opened, on_data, on_reset, on_goaway, on_write};

static int setup(void **state) {
    Seen *seen = NEW0(Seen);
    seen->log = BUF_INIT(65536);
    seen->out = BUF_INIT(1024 * 1024);
    *state = seen;
    return 0;
}

static int teardown(void **state) {
    Seen *seen = *state;
    buf_done(&seen->log);
    buf_done(&seen->out);
    free(seen);
    return 0;
}

/* The corpus holds what a client sends to forward a port (after one byte for the fuzzer): headers compressed with the
 * published dictionary, by another implementation of zlib's format. */
static void test_a_port_forward_client(void **state) {
    Seen *seen = *state;
    _cleanup_free_ char *input = NULL;
    size_t n = 0;
    assert_int_equal(
        fs_read_file(LIGHTER_SOURCE_DIR "/tests/fuzz/lib/http/corpus/fuzz_spdy/portforward", 65536, &input, &n), 0);
    for (size_t piece = 1; piece < n; piece += 7) {
        _cleanup_(spdy_freep) Spdy *spdy = NULL;
        assert_int_equal(spdy_new(&ops, seen, &spdy), 0);
        buf_clear(&seen->log);
        buf_clear(&seen->out);
        for (size_t i = 1; i < n; i += piece)
            assert_int_equal(spdy_input(spdy, input + i, MIN(piece, n - i)), 0);
        const char *text = seen->log.data;
        assert_non_null(strstr(text, "open 1 error 80 0 0\nopen 3 data 80 0 0\n"));
        assert_non_null(strstr(text, "data 3  1\n"));
        assert_non_null(strstr(text, "reset 3\ngoaway\n"));
        /* SYN_REPLY to the first, before anything else. */
        assert_memory_equal(seen->out.data, "\x80\x03\x00\x02\x00", 5);
        assert_memory_equal(seen->out.data + 8, "\0\0\0\1", 4);
    }
}

static void test_what_is_sent(void **state) {
    Seen *seen = *state;
    _cleanup_(spdy_freep) Spdy *spdy = NULL;
    assert_int_equal(spdy_new(&ops, seen, &spdy), 0);
    assert_int_equal(spdy_send_data(spdy, 5, "abc", 3, true), 0);
    assert_memory_equal(seen->out.data, "\0\0\0\5\1\0\0\3abc", 11);
    buf_clear(&seen->out);
    char large[SPDY_DATA_MAX + 1] = "";
    assert_int_equal(spdy_send_data(spdy, 5, large, sizeof large, true), 0);
    assert_int_equal(seen->out.len, sizeof large + 16);
    assert_int_equal(seen->out.data[4], 0); /* only the last piece ends the stream */
    assert_int_equal(seen->out.data[8 + SPDY_DATA_MAX + 4], 1);
    buf_clear(&seen->out);
    assert_int_equal(spdy_send_reset(spdy, 7, SPDY_CANCEL), 0);
    assert_memory_equal(seen->out.data, "\x80\3\0\3\0\0\0\x8\0\0\0\7\0\0\0\5", 16);
    buf_clear(&seen->out);
    assert_int_equal(spdy_input(spdy, "\x80\3\0\6\0\0\0\4\0\0\0\1", 12), 0); /* a ping comes back */
    assert_memory_equal(seen->out.data, "\x80\3\0\6\0\0\0\4\0\0\0\1", 12);
}

static void expect_error(Seen *seen, const char *p, size_t n, int error) {
    _cleanup_(spdy_freep) Spdy *spdy = NULL;
    assert_int_equal(spdy_new(&ops, seen, &spdy), 0);
    assert_int_equal(spdy_input(spdy, p, n), error);
}

static void test_faults(void **state) {
    Seen *seen = *state;
    expect_error(seen, "\x80\2\0\6\0\0\0\4\0\0\0\1", 12, -EPROTO); /* version 2 */
    expect_error(seen, "\x80\3\0\1\0\0\0\4\0\0\0\1", 12, -EPROTO); /* SYN_STREAM cut short */
    expect_error(seen, "\x80\3\0\1\0\xff\xff\xff", 8, -EFBIG);     /* 16 MB of headers */
    expect_error(seen, "\0\0\0\0\0\0\0\1x", 9, -EPROTO);           /* data of no stream */
    expect_error(seen, "\x80\3\0\1\0\0\0\xe\0\0\0\1\0\0\0\0\0\0junk", 22, -EPROTO);
    expect_error(seen, "\x80\3\0\x63\0\0\0\1x", 9, 0); /* unknown types are ignored */
}

int main(void) {
#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
    const struct CMUnitTest tests[] = {TEST(test_a_port_forward_client), TEST(test_what_is_sent), TEST(test_faults)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
