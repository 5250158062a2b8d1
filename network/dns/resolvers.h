/* The resolvers of this machine, from resolv.conf, read again when the file changes. One thread. */
#pragma once

#include <netinet/in.h>

#include "base/mem.h"
#include "network/dns/server.h"

typedef struct Resolvers {
    const char *path;
    int64_t mtime_ns; /* of what was read */
    uint64_t checked_ns;
    struct sockaddr_in servers[DNS_UPSTREAMS_MAX];
    size_t n;
} Resolvers;

/* `path` NULL: the usual one. Borrowed. */
void resolvers_init(Resolvers *resolvers, const char *path);
/* Reads what changed, at most once a second; `own` (host order) is never among them: a server that asks itself answers
 * nobody. */
void resolvers_refresh(Resolvers *resolvers, const struct sockaddr_in *own);
