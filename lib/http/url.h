/* "http[s]://host[:port][/path]", with an IPv6 address in brackets: what a kubeconfig or a webhook names. */
#pragma once

#include "base/mem.h"

typedef struct HttpUrl {
    bool tls;
    uint16_t port; /* that of the scheme when none is named */
    char *host;    /* without brackets */
    char *path;    /* "" when absent */
} HttpUrl;
/* -EINVAL; also for a query, a fragment or a user. */
int http_url_parse(const char *text, HttpUrl *ret);
void http_url_done(HttpUrl *url);
#define _cleanup_http_url_ _cleanup_(http_url_done)
