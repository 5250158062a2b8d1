/* An exchange passed on to another server as a reverse proxy does (k8s.io/apimachinery/pkg/util/proxy,
 * UpgradeAwareHandler): any method, the client's body and headers without what was for this server alone, upgrades as
 * tunnels, links and redirects of the reply turned back to this server. */
#pragma once

#include "apiserver/handlers/relay.h"

typedef struct Forward {
    DuplexConnect to;
    const char *path;   /* percent-encoded; "": a GET is redirected to the path with a slash */
    const char *host;   /* the Host header; NULL: the client's */
    const char *prefix; /* of this server's paths that lead there: goes before the links of the reply */
    const char *link_scheme, *link_host; /* of those links; "": none */
    const HttpHeader *headers;           /* more of the request */
    size_t n_headers;
    bool plain_errors;        /* as text with 503, not as a Status */
    uint64_t head_timeout_ns; /* for a reply to begin; 0: none */
} Forward;

bool forward_is_upgrade(const HttpRequest *http);
/* Takes the exchange; the Forward and what it points to live in its arena. On the loop thread. */
void forward_serve(Exchange *exchange, const Forward *forward);
/* A path cleaned as Go's path.Clean and encoded as net/url does; decoded first. NULL: it is malformed. A slash at its
 * end stays. */
char *forward_clean_path(Arena *arena, const char *encoded);
