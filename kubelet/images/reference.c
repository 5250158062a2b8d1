#include "kubelet/images/reference.h"

#include "base/str.h"
#include "kubelet/images/images.h"

#include <ctype.h>
#include <errno.h>

#define TAG_MAX 128
#define PATH_MAX_LENGTH 255

void image_reference_done(ImageReference *r) {
    free(r->host);
    free(r->path);
    free(r->tag);
    free(r->digest);
    *r = (ImageReference){0};
}

bool digest_is_valid(const char *digest) {
    if (!str_has_prefix(digest, "sha256:") || strlen(digest) != 7 + 64)
        return false;
    return strspn(digest + 7, "0123456789abcdef") == 64;
}

/* A component: runs of a-z0-9 joined by '.', '_', '__' or dashes. */
static bool path_is_valid(const char *path) {
    if (!*path || strlen(path) > PATH_MAX_LENGTH)
        return false;
    for (const char *p = path;;) {
        size_t run = strspn(p, "abcdefghijklmnopqrstuvwxyz0123456789");
        if (!run)
            return false;
        p += run;
        if (!*p)
            return true;
        if (*p == '/') {
            p++;
            continue;
        }
        size_t dashes = strspn(p, "-"), underscores = strspn(p, "_");
        if (*p == '.')
            p++;
        else if (dashes)
            p += dashes;
        else if (underscores == 1 || underscores == 2)
            p += underscores;
        else
            return false;
    }
}

static bool tag_is_valid(const char *tag) {
    size_t n = strlen(tag);
    if (n == 0 || n > TAG_MAX || tag[0] == '.' || tag[0] == '-')
        return false;
    for (; *tag; tag++)
        if (!isalnum((unsigned char)*tag) && !strchr("_.-", *tag))
            return false;
    return true;
}

static bool host_is_valid(const char *host) {
    size_t n = strcspn(host, ":");
    if (host[0] == '[') {
        n = strspn(host + 1, "0123456789abcdefABCDEF:.") + 2;
        if (n > strlen(host) || host[n - 1] != ']')
            return false;
    } else if (n == 0 || host[0] == '-')
        return false;
    else
        for (size_t i = 0; i < n; i++)
            if (!isalnum((unsigned char)host[i]) && host[i] != '.' && host[i] != '-')
                return false;
    if (!host[n])
        return true;
    size_t digits = strspn(host + n + 1, "0123456789");
    return host[n] == ':' && digits >= 1 && digits <= 5 && !host[n + 1 + digits];
}

static bool names_a_host(const char *text, size_t n) {
    if (n == 9 && strncmp(text, "localhost", 9) == 0)
        return true;
    for (size_t i = 0; i < n; i++)
        if (text[i] == '.' || text[i] == ':' || isupper((unsigned char)text[i]))
            return true;
    return false;
}

int image_reference_parse(const char *text, ImageReference *ret) {
    if (strlen(text) > IMAGE_REFERENCE_MAX)
        return -EINVAL;
    _cleanup_(image_reference_done) ImageReference r = {0};
    _cleanup_free_ char *rest = xstrdup(text);
    char *at = strchr(rest, '@');
    if (at) {
        *at = 0;
        r.digest = xstrdup(at + 1);
        if (!digest_is_valid(r.digest))
            return -EINVAL;
    }
    char *slash = strchr(rest, '/'), *path = rest;
    if (slash && names_a_host(rest, (size_t)(slash - rest))) {
        r.host = xstrndup(rest, (size_t)(slash - rest));
        path = slash + 1;
    } else
        r.host = xstrdup("docker.io");
    if (streq(r.host, "index.docker.io")) {
        free(r.host);
        r.host = xstrdup("docker.io");
    }
    char *colon = strchr(path, ':');
    if (colon) {
        *colon = 0;
        r.tag = xstrdup(colon + 1);
    } else if (!r.digest)
        r.tag = xstrdup("latest");
    r.path = streq(r.host, "docker.io") && !strchr(path, '/') ? xasprintf("library/%s", path) : xstrdup(path);
    if (!host_is_valid(r.host) || !path_is_valid(r.path) || (r.tag && !tag_is_valid(r.tag)))
        return -EINVAL;
    *ret = r;
    r = (ImageReference){0};
    return 0;
}

char *image_reference_text(const ImageReference *r) {
    return r->digest ? xasprintf("%s/%s@%s", r->host, r->path, r->digest)
                     : xasprintf("%s/%s:%s", r->host, r->path, r->tag);
}

int image_reference_normalize(const char *reference, char **ret) {
    _cleanup_(image_reference_done) ImageReference r = {0};
    int code = image_reference_parse(reference, &r);
    if (code < 0)
        return code;
    *ret = image_reference_text(&r);
    return 0;
}

int image_reference_host(const char *reference, char **ret) {
    _cleanup_(image_reference_done) ImageReference r = {0};
    int code = image_reference_parse(reference, &r);
    if (code < 0)
        return code;
    *ret = TAKE_PTR(r.host);
    return 0;
}
