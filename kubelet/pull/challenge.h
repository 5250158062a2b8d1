/* WWW-Authenticate (RFC 7235), the part registries use: Basic, or Bearer with realm, service and scope. */
#pragma once

#include "base/mem.h"

typedef struct Challenge {
    bool bearer;
    char *realm, *service, *scope; /* owned; NULL when absent */
} Challenge;

#define CHALLENGE_MAX 8192

int challenge_parse(const char *text, Challenge *ret); /* -EINVAL: neither Basic nor Bearer, or malformed */
void challenge_done(Challenge *challenge);
