#include "http/url.h"

#include "base/buf.h"
#include "base/str.h"

#include <errno.h>
#include <strings.h>

/* "host[:port]" in n bytes; sets host and port, for which url->tls says the default. */
static int parse_authority(const char *text, size_t n, HttpUrl *url) {
    const char *host = text, *end = text + n;
    const char *bracket = n && *host == '[' ? memchr(host, ']', n) : NULL;
    const char *from = bracket ? bracket : host, *colon = memchr(from, ':', (size_t)(end - from));
    uint64_t port = url->tls ? 443 : 80;
    if (colon) {
        _cleanup_free_ char *digits = xstrndup(colon + 1, (size_t)(end - colon - 1));
        if (str_to_uint64(digits, &port) < 0)
            return -EINVAL;
        end = colon;
    }
    if (n && *host == '[' && !bracket)
        return -EINVAL;
    if (bracket) {
        if (end != bracket + 1)
            return -EINVAL;
        host++;
        end = bracket;
    }
    if (end == host || port < 1 || port > UINT16_MAX || strcspn(text, "@ \"<>\\^`{|}") < n)
        return -EINVAL;
    url->port = (uint16_t)port;
    url->host = xstrndup(host, (size_t)(end - host));
    return 0;
}

int http_url_parse(const char *text, HttpUrl *ret) {
    HttpUrl url = {.tls = str_has_prefix(text, "https://")};
    if ((!url.tls && !str_has_prefix(text, "http://")) || strpbrk(text, "?#@ \r\n"))
        return -EINVAL;
    const char *host = strstr(text, "://") + 3, *path = host + strcspn(host, "/");
    int r = parse_authority(host, (size_t)(path - host), &url);
    if (r < 0)
        return r;
    url.path = xstrdup(path);
    *ret = url;
    return 0;
}

/* A path that begins with '/', without its "." and ".." (RFC 3986, 5.2.4). */
static void remove_dots(Buf *out, const char *path, size_t n) {
    for (size_t i = 0; i < n;) { /* at a '/', a segment behind it */
        const char *segment = path + i + 1, *slash = memchr(segment, '/', n - i - 1);
        size_t length = slash ? (size_t)(slash - segment) : n - i - 1;
        bool up = length == 2 && memcmp(segment, "..", 2) == 0, here = length == 1 && *segment == '.';
        if (up)
            while (out->len && out->data[--out->len] != '/')
                ;
        if (!up && !here)
            buf_append(out, path + i, length + 1);
        else if (!slash)
            buf_putc(out, '/'); /* it names the folder */
        i += length + 1;
    }
}

/* The bytes of a scheme before its ':'; 0: there is none. */
static size_t scheme_length(const char *reference) {
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", rest[] = "0123456789+-.";
    size_t n = strspn(reference, letters);
    while (n && reference[n] && (strchr(letters, reference[n]) || strchr(rest, reference[n])))
        n++;
    return reference[n] == ':' ? n : 0;
}

bool http_url_is_absolute(const char *reference) {
    return scheme_length(reference) > 0;
}

static bool has_control(const char *text) {
    for (; *text; text++)
        if ((unsigned char)*text < ' ' || *text == 0x7f)
            return true;
    return false;
}

int http_url_resolve(const HttpUrl *base, const char *reference, HttpUrl *ret) {
    HttpUrl url = {.tls = base->tls, .port = base->port};
    const char *at = reference, *base_query = base->path + strcspn(base->path, "?");
    size_t scheme = scheme_length(reference);
    if (has_control(reference))
        return -EINVAL;
    if (scheme) {
        url.tls = scheme == 5 && strncasecmp(reference, "https", 5) == 0;
        if (!url.tls && (scheme != 4 || strncasecmp(reference, "http", 4) != 0))
            return -EPROTONOSUPPORT;
        at += scheme + 1;
    }
    bool has_host = str_has_prefix(at, "//");
    if (scheme && !has_host)
        return -EINVAL;
    if (has_host) {
        size_t n = strcspn(at + 2, "/?#");
        int r = parse_authority(at + 2, n, &url);
        if (r < 0)
            return r;
        at += 2 + n;
    } else
        url.host = xstrdup(base->host);
    size_t n = strcspn(at, "?#"), query = at[n] == '?' ? strcspn(at + n, "#") : 0;
    _cleanup_buf_ Buf path = BUF_INIT(BUF_NO_LIMIT), out = BUF_INIT(BUF_NO_LIMIT);
    if (has_host || (n && *at == '/'))
        buf_append(&path, at, n);
    else { /* beside what was asked, or, when empty, just that */
        const char *end = base_query;
        while (n && end > base->path && end[-1] != '/')
            end--;
        buf_append(&path, base->path, (size_t)(end - base->path));
        buf_append(&path, at, n);
    }
    if (!path.len || path.data[0] != '/')
        buf_putc(&out, '/');
    remove_dots(&out, str_or(path.data, ""), path.len);
    if (query)
        buf_append(&out, at + n, query);
    else if (!has_host && !n)
        buf_puts(&out, base_query);
    url.path = buf_take(&out, NULL);
    *ret = url;
    return 0;
}

void http_url_done(HttpUrl *url) {
    free(url->host);
    free(url->path);
    *url = (HttpUrl){0};
}
