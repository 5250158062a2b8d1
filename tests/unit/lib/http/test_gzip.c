/* What gzip_write makes, read by another implementation (zlib). */
#include "base/random.h"
#include "http/conn.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <zlib.h>

#include <cmocka.h>

#define BODY (3 * 1024 * 1024)

static char *inflated(const Buf *in, size_t *ret_n) {
    char *out = xmalloc(BODY + 1);
    z_stream z = {
        .next_in = (Bytef *)in->data, .avail_in = (uInt)in->len, .next_out = (Bytef *)out, .avail_out = BODY + 1};
    assert_int_equal(inflateInit2(&z, 15 + 16), Z_OK);
    assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
    assert_int_equal(z.avail_in, 0); /* nothing after its end */
    *ret_n = z.total_out;
    inflateEnd(&z);
    return out;
}

static void round_trip(const char *body, size_t n, size_t part) {
    _cleanup_(gzip_freep) Gzip *gzip = gzip_new();
    _cleanup_buf_ Buf out = BUF_INIT(2 * BODY);
    for (size_t at = 0; at < n; at += part)
        assert_int_equal(gzip_write(gzip, body + at, MIN(part, n - at), false, &out), 0);
    assert_int_equal(gzip_write(gzip, "", 0, true, &out), 0);
    size_t got;
    _cleanup_free_ char *back = inflated(&out, &got);
    assert_int_equal(got, n);
    assert_memory_equal(back, body, n);
}

static void comes_back(void **state) {
    (void)state;
    static const size_t parts[] = {1000, 65536, BODY};
    _cleanup_free_ char *noise = xmalloc(BODY), *text = xmalloc(BODY);
    random_bytes(noise, BODY);
    for (size_t i = 0; i < BODY; i++)
        text[i] = "abcdefgh{}\",:"[(i * 7 + i / 1000) % 14];
    for (size_t i = 0; i < ELEMENTSOF(parts); i++) {
        round_trip(noise, BODY, parts[i]);
        round_trip(text, BODY, parts[i]);
    }
    round_trip(text, 70000, 1);
    round_trip("", 0, 1);
}

static void is_written_whole_in_one_call(void **state) {
    (void)state;
    _cleanup_(gzip_freep) Gzip *gzip = gzip_new();
    _cleanup_buf_ Buf out = BUF_INIT(BODY);
    _cleanup_free_ char *body = xmalloc(BODY);
    memset(body, 'x', BODY);
    assert_int_equal(gzip_write(gzip, body, BODY, true, &out), 0);
    assert_true(out.len < BODY / 100);
    size_t n;
    _cleanup_free_ char *back = inflated(&out, &n);
    assert_int_equal(n, BODY);
    assert_memory_equal(back, body, BODY);
}

static void stops_at_the_limit(void **state) {
    (void)state;
    _cleanup_(gzip_freep) Gzip *gzip = gzip_new();
    _cleanup_buf_ Buf out = BUF_INIT(100 * 1024);
    _cleanup_free_ char *noise = xmalloc(BODY);
    random_bytes(noise, BODY);
    assert_int_equal(gzip_write(gzip, noise, BODY, true, &out), -EFBIG);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comes_back),
        cmocka_unit_test(is_written_whole_in_one_call),
        cmocka_unit_test(stops_at_the_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
