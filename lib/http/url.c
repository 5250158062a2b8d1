#include "http/url.h"

#include "base/str.h"

#include <errno.h>

int http_url_parse(const char *text, HttpUrl *ret) {
    HttpUrl url = {.tls = str_has_prefix(text, "https://")};
    if (!url.tls && !str_has_prefix(text, "http://"))
        return -EINVAL;
    const char *host = strstr(text, "://") + 3, *path = host + strcspn(host, "/"), *end = path;
    const char *bracket = *host == '[' ? memchr(host, ']', (size_t)(path - host)) : NULL;
    const char *from = bracket ? bracket : host, *colon = memchr(from, ':', (size_t)(path - from));
    uint64_t port = url.tls ? 443 : 80;
    if (colon) {
        _cleanup_free_ char *digits = xstrndup(colon + 1, (size_t)(path - colon - 1));
        if (str_to_uint64(digits, &port) < 0)
            return -EINVAL;
        end = colon;
    }
    if (bracket) {
        if (end != bracket + 1)
            return -EINVAL;
        host++;
        end = bracket;
    }
    if (end == host || port < 1 || port > UINT16_MAX || strpbrk(text, "?#@ \r\n"))
        return -EINVAL;
    url.port = (uint16_t)port;
    url.host = xstrndup(host, (size_t)(end - host));
    url.path = xstrdup(path);
    *ret = url;
    return 0;
}

void http_url_done(HttpUrl *url) {
    free(url->host);
    free(url->path);
    *url = (HttpUrl){0};
}
