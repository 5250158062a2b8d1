/* "http[s]://host[:port][/path]", with an IPv6 address in brackets: what kubeconfigs, webhooks and redirects name. */
#pragma once

#include "base/mem.h"

typedef struct HttpUrl {
    bool tls;
    uint16_t port; /* that of the scheme when none is named */
    char *host;    /* without brackets */
    char *path;    /* "" when absent; with its query where http_url_resolve made it */
} HttpUrl;
/* -EINVAL; also for a query, a fragment or a user. */
int http_url_parse(const char *text, HttpUrl *ret);
/* What a reference (a Location) means to who asked `base`, whose path has its query (RFC 3986, 5.2). The fragment is
 * dropped. -EINVAL, also for a user; -EPROTONOSUPPORT for another scheme than http and https. */
int http_url_resolve(const HttpUrl *base, const char *reference, HttpUrl *ret);
/* Does a reference name its scheme? */
bool http_url_is_absolute(const char *reference);
void http_url_done(HttpUrl *url);
#define _cleanup_http_url_ _cleanup_(http_url_done)
