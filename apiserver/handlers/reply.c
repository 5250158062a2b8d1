#include "apiserver/handlers/reply.h"
#include "apiserver/handlers/encode.h"
#include "base/str.h"

#include <openssl/sha.h>
#include <stdio.h>

#define WARNINGS_MAX 4096                    /* characters of all warnings of a reply, as the reference; past it */
#define WARNING_CUT_MAX 256                  /* each is cut to this many */
#define WARNING_BYTES_MAX (8 * WARNINGS_MAX) /* of one, quoted */

static void add_header(ReplyHeaders *headers, const char *name, const char *value) {
    if (headers->n < REPLY_HEADERS_MAX)
        headers->items[headers->n++] = (HttpHeader){name, value};
}

void reply_headers_init(ReplyHeaders *headers, const char *content_type) {
    headers->n = 0;
    add_header(headers, "audit-id", random_uuid(headers->audit_id));
    add_header(headers, "cache-control", "no-cache, private");
    add_header(headers, "content-type", content_type);
}

void reply_headers_set(ReplyHeaders *headers, const char *name, const char *value) {
    for (size_t i = 0; i < headers->n; i++)
        if (streq(headers->items[i].name, name))
            headers->items[i].value = value;
}

/* RFC 7234 warn-text, as k8s.io/apimachinery/pkg/util/net.NewWarningHeader. */
static char *warning_text(Arena *arena, const char *text, size_t len) {
    _cleanup_buf_ Buf out = BUF_INIT(WARNING_BYTES_MAX);
    buf_puts(&out, "299 - \"");
    for (const char *end = text + len; text < end; text++) {
        if (*text == '"' || *text == '\\')
            buf_putc(&out, '\\');
        buf_putc(&out, (unsigned char)*text < 0x20 ? ' ' : *text);
    }
    buf_putc(&out, '"');
    return arena_strndup(arena, str_or(out.data, ""), out.len);
}

/* Bytes of the first `max` characters of `text`, and how many these are. */
static size_t characters(const char *text, size_t max, size_t *ret_n) {
    size_t len = 0, n = 0;
    for (; text[len]; len++)
        if (((unsigned char)text[len] & 0xc0) != 0x80 && n++ == max) {
            n--;
            break;
        }
    *ret_n = n;
    return len;
}

static bool said_before(char *const *warnings, size_t i) {
    for (size_t j = 0; j < i; j++)
        if (streq(warnings[i], warnings[j]))
            return true;
    return false;
}

void reply_headers_warn(ReplyHeaders *headers, Arena *arena, char *const *warnings, size_t n) {
    size_t total = 0, written = 0, count;
    for (size_t i = 0; i < n; i++)
        if (!said_before(warnings, i)) {
            characters(warnings[i], SIZE_MAX, &count);
            total += count;
        }
    for (size_t i = 0; i < n && written < WARNINGS_MAX; i++) {
        if (said_before(warnings, i))
            continue;
        size_t len = characters(warnings[i], total > WARNINGS_MAX ? WARNING_CUT_MAX : SIZE_MAX, &count);
        add_header(headers, "warning", warning_text(arena, warnings[i], len));
        written += count;
    }
}

void http_reply_text(HttpRequest *http, int status, const char *content_type, const char *text) {
    ReplyHeaders headers;
    reply_headers_init(&headers, content_type);
    add_header(&headers, "x-content-type-options", "nosniff");
    http_reply(http, status, headers.items, headers.n, http_bytes_copy(text, strlen(text)));
}

void http_reply_value(HttpRequest *http, const Media *media, int status, const Schema *schema, const Value *v) {
    static const Media json = {.form = MEDIA_JSON};
    ReplyHeaders headers;
    HttpBytes body;
    if (!media || (media->form == MEDIA_PROTOBUF && !schema))
        media = &json;
    if (encode_value(NULL, media, schema, v, &body) < 0 && encode_value(NULL, media = &json, NULL, v, &body) < 0)
        body = (HttpBytes){0};
    reply_headers_init(&headers, media_content_type(media, false));
    http_reply(http, status, headers.items, headers.n, body);
}

void http_reply_page(HttpRequest *http, Arena *arena, const PageMedia *page, const char *kind, const Value *v) {
    Media media = {.form = page->form, .pretty = true};
    ReplyHeaders headers;
    HttpBytes body;
    if (encode_value(arena, &media, NULL, v, &body) < 0)
        body = (HttpBytes){0};
    reply_headers_init(&headers, arena_printf(arena, "%s;g=" PAGE_GROUP ";v=%s;as=%s",
                                              media_content_type(&media, false), page->version, kind));
    if (streq(page->version, "v1alpha1")) {
        char *name = str_lower(arena, kind);
        char *warning =
            arena_printf(arena, "This version of the %s endpoint is deprecated. Please use a newer version.", name);
        reply_headers_warn(&headers, arena, &warning, 1);
    }
    http_reply(http, 200, headers.items, headers.n, body);
}

void http_reply_error_with(HttpRequest *http, const ApiError *err, char *const *warnings, size_t n) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    char retry[16];
    ReplyHeaders headers;
    HttpBytes body;
    Media media = media_of_error(arena, http);
    Value *status = api_error_to_status(arena, err);
    if (encode_value(arena, &media, schema_by_name("io.k8s.apimachinery.pkg.apis.meta.v1.Status"), status, &body) < 0)
        body = (HttpBytes){0};
    reply_headers_init(&headers, media_content_type(&media, false));
    if (err->retry_after) {
        snprintf(retry, sizeof retry, "%d", err->retry_after);
        add_header(&headers, "retry-after", retry);
    }
    if (err->code == 401)
        add_header(&headers, "www-authenticate", "Bearer realm=\"kubernetes-master\"");
    reply_headers_warn(&headers, arena, warnings, n);
    http_reply(http, err->code, headers.items, headers.n, body);
}

void http_reply_error(HttpRequest *http, const ApiError *err) {
    http_reply_error_with(http, err, NULL, 0);
}

int api_error_not_allowed(ApiError *err) {
    int r =
        api_error_set(err, 405, "MethodNotAllowed", "the server does not allow this method on the requested resource");
    api_error_details(err, "", "", "", "");
    return r;
}

void http_reply_not_allowed(HttpRequest *http) {
    _cleanup_api_error_ ApiError err = {0};
    api_error_not_allowed(&err);
    http_reply_error(http, &err);
}

void http_hash_of(const void *bytes, size_t len, char ret[HTTP_HASH_MAX]) {
    unsigned char digest[SHA256_DIGEST_LENGTH];
    _cleanup_buf_ Buf hex = BUF_INIT(128);
    SHA256(bytes, len, digest);
    hex_encode(&hex, digest, sizeof digest);
    snprintf(ret, HTTP_HASH_MAX, "%s", hex.data);
}

void http_etag_of(const char *hash, char ret[HTTP_ETAG_MAX]) {
    snprintf(ret, HTTP_ETAG_MAX, "\"%s\"", hash);
}

bool http_has_etag(const HttpRequest *http, const char *tag) {
    const char *known = http_header(http, "if-none-match");
    return known && (streq(known, "*") || strstr(known, tag));
}
