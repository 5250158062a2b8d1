#include "kubelet/pull/challenge.h"

#include <errno.h>
#include <strings.h>

void challenge_done(Challenge *c) {
    free(c->realm);
    free(c->service);
    free(c->scope);
    *c = (Challenge){0};
}

/* A token or a quoted string; moves *at behind it. */
static char *take_value(const char **at) {
    const char *p = *at;
    if (*p != '"') {
        size_t n = strcspn(p, ", \t");
        *at = p + n;
        return xstrndup(p, n);
    }
    char *out = xmalloc(strlen(p)), *to = out;
    for (p++; *p && *p != '"'; p++) {
        if (*p == '\\' && p[1])
            p++;
        *to++ = *p;
    }
    *to = 0;
    if (!*p) {
        free(out);
        return NULL;
    }
    *at = p + 1;
    return out;
}

int challenge_parse(const char *text, Challenge *ret) {
    if (strlen(text) > CHALLENGE_MAX)
        return -EINVAL;
    size_t n = strcspn(text, " ");
    _cleanup_(challenge_done) Challenge c = {.bearer = n == 6 && strncasecmp(text, "bearer", 6) == 0};
    if (!c.bearer && !(n == 5 && strncasecmp(text, "basic", 5) == 0))
        return -EINVAL;
    for (const char *p = text + n;;) {
        p += strspn(p, " \t,");
        if (!*p)
            break;
        size_t key = strcspn(p, "= \t,");
        if (p[key] != '=') { /* another challenge follows */
            if (p[key] == ' ')
                break;
            return -EINVAL;
        }
        const char *name = p;
        p += key + 1;
        char *value = take_value(&p);
        if (!value)
            return -EINVAL;
        char **to = key == 5 && strncasecmp(name, "realm", 5) == 0     ? &c.realm
                    : key == 7 && strncasecmp(name, "service", 7) == 0 ? &c.service
                    : key == 5 && strncasecmp(name, "scope", 5) == 0   ? &c.scope
                                                                       : NULL;
        if (to && !*to)
            *to = value;
        else
            free(value);
    }
    *ret = c;
    c = (Challenge){0};
    return 0;
}
