#define LOG_COMPONENT "authn"
#include "apiserver/filters/token_authn.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/str.h"
#include "base/strmap.h"

#include <errno.h>

#define TOKEN_FILE_MAX (4 * 1024 * 1024)
#define FIELDS_MAX 16

struct StaticTokens {
    Arena *arena;
    StrMap *users; /* token to UserInfo in the arena */
};

/* Reads one CSV field (RFC 4180) and moves *at behind it and its comma; *ret_last: it ends the record. */
static int read_field(Arena *arena, const char **at, char **ret, bool *ret_last) {
    const char *p = *at;
    char *out = arena_alloc(arena, strlen(p) + 1 < 4096 ? strlen(p) + 1 : 4096), *end = out + 4095;
    char *start = out;
    if (*p == '"') {
        for (p++; *p && !(*p == '"' && p[1] != '"'); p++) {
            p += *p == '"';
            if (out == end)
                return -EBADMSG;
            *out++ = *p;
        }
        if (*p++ != '"' || (*p && !strchr(",\r\n", *p)))
            return -EBADMSG;
    } else {
        for (; *p && *p != ',' && *p != '\n'; p++) {
            if (*p == '"' || out == end)
                return -EBADMSG;
            if (!(*p == '\r' && p[1] == '\n'))
                *out++ = *p;
        }
    }
    *out = 0;
    p += *p == '\r';
    *ret_last = *p != ',';
    *at = *p ? p + 1 : p;
    *ret = start;
    return 0;
}

static void add(StaticTokens *tokens, char **fields, size_t n) {
    size_t n_groups = 0;
    const char *const *groups =
        n >= 4 ? (const char *const *)str_split(tokens->arena, fields[3], ',', &n_groups) : NULL;
    strmap_put(tokens->users, fields[0], user_info_new(tokens->arena, fields[1], fields[2], groups));
}

static int parse_tokens(StaticTokens *tokens, const char *path, const char *text) {
    for (size_t record = 1; *text; record++) {
        char *fields[FIELDS_MAX];
        size_t n = 0;
        for (bool last = false; !last;) {
            if (n == FIELDS_MAX || read_field(tokens->arena, &text, &fields[n], &last) < 0) {
                log_error("token file %s: record %zu is not CSV", path, record);
                return -EBADMSG;
            }
            n++;
        }
        if (n == 1 && !*fields[0])
            continue; /* an empty line */
        if (n < 3) {
            log_error("token file '%s' must have at least 3 columns (token, user name, user uid), found %zu", path, n);
            return -EBADMSG;
        }
        if (!*fields[0])
            log_warn("empty token has been found in token file '%s', record number '%zu'", path, record);
        else
            add(tokens, fields, n);
    }
    return 0;
}

int static_tokens_load(const char *path, StaticTokens **ret) {
    _cleanup_(wipe_freep) char *text = NULL;
    size_t len;
    int r = fs_read_file(path, TOKEN_FILE_MAX, &text, &len);
    if (r < 0) {
        log_error("token file %s: %s", path, strerror(-r));
        return r;
    }
    StaticTokens *tokens = NEW0(StaticTokens);
    tokens->arena = arena_new(0);
    tokens->users = strmap_new(NULL);
    r = parse_tokens(tokens, path, text);
    if (r < 0) {
        static_tokens_free(tokens);
        return r;
    }
    *ret = tokens;
    return 0;
}

void static_tokens_free(StaticTokens *tokens) {
    if (!tokens)
        return;
    strmap_free(tokens->users);
    arena_free(tokens->arena);
    free(tokens);
}

UserInfo *static_tokens_find(const StaticTokens *tokens, const char *token, Arena *arena) {
    const UserInfo *user = strmap_get(tokens->users, token);
    return user ? user_info_new(arena, user->name, user->uid, user->groups) : NULL;
}
