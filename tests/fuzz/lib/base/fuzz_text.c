/* base64, percent-coding, numbers, times and durations: what decodes encodes to text that decodes to the same. */
#include "base/clock.h"
#include "base/str.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef int (*decode_fn)(const char *s, size_t n, uint8_t **ret, size_t *ret_n);
typedef void (*encode_fn)(Buf *out, const void *data, size_t n);

static void check_base64(decode_fn decode, encode_fn encode, const char *text, size_t size) {
    uint8_t *first = NULL, *second = NULL;
    size_t n = 0, m = 0;
    _cleanup_buf_ Buf out = BUF_INIT(BUF_NO_LIMIT);
    encode(&out, text, size); /* any bytes there and back */
    if (decode(out.len ? out.data : "", out.len, &first, &n) < 0 || n != size || memcmp(first, text, n) != 0)
        abort();
    free(first);
    first = NULL;
    if (decode(text, size, &first, &n) < 0)
        return;
    buf_done(&out);
    out = BUF_INIT(BUF_NO_LIMIT);
    encode(&out, first, n);
    if (decode(out.len ? out.data : "", out.len, &second, &m) < 0 || m != n || memcmp(first, second, n) != 0)
        abort();
    free(first);
    free(second);
}

static void check_percent(const char *text, bool plus_is_space) {
    _cleanup_free_ char *decoded = xstrdup(text);
    int n = percent_decode(decoded, plus_is_space);
    if (n < 0)
        return;
    decoded[n] = 0;
    _cleanup_buf_ Buf out = BUF_INIT(BUF_NO_LIMIT);
    percent_encode(&out, decoded, "");
    _cleanup_free_ char *again = xstrndup(out.len ? out.data : "", out.len);
    int m = percent_decode(again, plus_is_space);
    if (m != n || memcmp(again, decoded, (size_t)n) != 0)
        abort();
}

static void check_times(const char *text) {
    char written[RFC3339_MAX], human[32];
    int64_t ns, again;
    if (rfc3339_parse(text, &ns) == 0 && ns >= 0) {
        rfc3339_format_nano(ns, written);
        if (rfc3339_parse(written, &again) < 0 || again != ns)
            abort();
    }
    if (duration_parse(text, &ns) == 0)
        duration_human(ns, human);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    _cleanup_free_ char *text = xstrndup((const char *)data, size);
    int64_t i;
    uint64_t u;
    check_base64(base64_decode, base64_encode, (const char *)data, size);
    check_base64(base64url_decode, base64url_encode, (const char *)data, size);
    check_percent(text, false);
    check_percent(text, true);
    check_times(text);
    if (str_to_int64(text, &i) == 0 && *text != '-' && (str_to_uint64(text, &u) < 0 || u != (uint64_t)i))
        abort();
    return 0;
}
