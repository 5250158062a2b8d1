#include "apiserver/registry/go_url.h"
#include "api/value.h"
#include "base/str.h"

#include <arpa/inet.h>
#include <ctype.h>

#define ALNUM "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
#define DIGITS "0123456789"
#define USER_LETTERS ALNUM "-._:~!$&'()*+,;=%@"
#define HOST_LETTERS ALNUM "-._~!$&'()*+,;=:[]<>\""

/* In a host, only what is not ASCII may be escaped, and a percent sign. */
static const char *wrong_escape(Arena *arena, const char *text, bool in_host) {
    for (const char *p = strchr(text, '%'); p; p = strchr(p + 1, '%')) {
        bool good = isxdigit((unsigned char)p[1]) && isxdigit((unsigned char)p[2]);
        if (!good || (in_host && p[1] < '8' && strncmp(p, "%25", 3) != 0))
            return arena_printf(arena, "invalid URL escape %s",
                                go_quoted(arena, arena_strndup(arena, p, strnlen(p, 3))));
    }
    return NULL;
}

static const char *wrong_letter(Arena *arena, const char *host) {
    for (const char *p = host; *p; p++)
        if ((unsigned char)*p < 0x80 && *p != '%' && !strchr(HOST_LETTERS, *p))
            return arena_printf(arena, "invalid character %s in host name",
                                go_quoted(arena, arena_strndup(arena, p, 1)));
    return wrong_escape(arena, host, true);
}

static const char *wrong_port(Arena *arena, const char *port) {
    if (!*port || (*port == ':' && !port[1 + strspn(port + 1, DIGITS)]))
        return NULL;
    return arena_printf(arena, "invalid port %s after host", go_quoted(arena, port));
}

/* "[address%25zone]:port" */
static const char *wrong_literal(Arena *arena, const char *host) {
    const char *end = strrchr(host, ']');
    struct in6_addr address;
    if (!end)
        return "missing ']' in host";
    const char *name = arena_strndup(arena, host + 1, (size_t)(end - host - 1)), *zone = strstr(name, "%25");
    const char *plain = zone ? arena_strndup(arena, name, (size_t)(zone - name)) : name;
    const char *wrong = wrong_port(arena, end + 1);
    if (!wrong && inet_pton(AF_INET6, plain, &address) != 1)
        wrong = arena_printf(arena, "invalid host: ParseAddr(%s): unable to parse IP", go_quoted(arena, name));
    return wrong;
}

static const char *wrong_host(Arena *arena, const char *scheme, const char *host) {
    const char *bracket = strrchr(host, '[');
    if (bracket && bracket > host)
        return "invalid IP-literal";
    if (bracket)
        return wrong_literal(arena, host);
    bool web = streq(scheme, "http") || streq(scheme, "https"); /* others may name several hosts */
    const char *port = web ? strchr(host, ':') : strrchr(host, ':'), *wrong = port ? wrong_port(arena, port) : NULL;
    return wrong ? wrong : wrong_letter(arena, host);
}

static const char *parse_authority(Arena *arena, const char *text, GoUrl *url) {
    const char *at = strrchr(text, '@'), *wrong;
    url->host = at ? at + 1 : text;
    if ((wrong = wrong_host(arena, url->scheme, url->host)) || !at)
        return wrong;
    url->user = arena_strndup(arena, text, (size_t)(at - text));
    if (url->user[strspn(url->user, USER_LETTERS)])
        return "net/url: invalid userinfo";
    return wrong_escape(arena, url->user, false);
}

static bool has_control(const char *text) {
    for (; *text; text++)
        if ((unsigned char)*text < ' ' || *text == 0x7f)
            return true;
    return false;
}

/* What stands before the first `separator`; *rest then begins behind it, and is "" without one. */
static const char *cut(Arena *arena, const char *text, char separator, const char **rest) {
    const char *end = strchrnul(text, separator);
    *rest = *end ? end + 1 : end;
    return arena_strndup(arena, text, (size_t)(end - text));
}

static const char *parse_scheme(Arena *arena, const char **text, GoUrl *url) {
    size_t n = strspn(*text, ALNUM "+-.");
    if (**text == ':')
        return "missing protocol scheme";
    if (!isalpha((unsigned char)**text) || (*text)[n] != ':')
        return NULL;
    char *scheme = arena_strndup(arena, *text, n);
    for (char *p = scheme; *p; p++)
        *p = (char)tolower((unsigned char)*p);
    url->scheme = scheme;
    *text += n + 1;
    return NULL;
}

static const char *parse(Arena *arena, const char *text, GoUrl *url) {
    const char *wrong, *ignored;
    if (has_control(text))
        return "net/url: invalid control character in URL";
    if ((wrong = parse_scheme(arena, &text, url)))
        return wrong;
    const char *rest = cut(arena, text, '?', &url->query);
    if (*rest != '/' && *url->scheme)
        return NULL; /* opaque, as "mailto:" */
    if (*rest != '/' && strchr(cut(arena, rest, '/', &ignored), ':'))
        return "first path segment in URL cannot contain colon";
    if (str_has_prefix(rest, "//") && (*url->scheme || !str_has_prefix(rest, "///"))) {
        size_t n = strcspn(rest + 2, "/");
        if ((wrong = parse_authority(arena, arena_strndup(arena, rest + 2, n), url)))
            return wrong;
        rest += 2 + n;
    }
    url->path = rest;
    return wrong_escape(arena, rest, false);
}

const char *go_url_parse(Arena *arena, const char *text, GoUrl *ret) {
    GoUrl url = {.scheme = "", .host = "", .path = "", .query = ""};
    const char *whole = cut(arena, text, '#', &url.fragment), *wrong = parse(arena, whole, &url);
    if (!wrong && (wrong = wrong_escape(arena, url.fragment, false)))
        whole = text;
    if (wrong)
        return arena_printf(arena, "parse %s: %s", go_quoted(arena, whole), wrong);
    *ret = url;
    ret->fragment = arena_strdup(arena, url.fragment);
    return NULL;
}
