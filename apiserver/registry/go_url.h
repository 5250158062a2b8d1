/* URLs of users, taken apart and refused as Go's net/url.Parse does, which takes nearly everything for a URL: the
 * reference judges by what it finds. For URLs that are to be reached see http/url.h. */
#pragma once

#include "base/arena.h"

typedef struct GoUrl { /* in the arena; "" for what is not there, nothing decoded */
    const char *scheme, *host, *path, *query, *fragment;
    const char *user; /* NULL: there is none */
} GoUrl;
/* NULL and *ret, or what is wrong with it, in the arena. */
const char *go_url_parse(Arena *arena, const char *text, GoUrl *ret);
