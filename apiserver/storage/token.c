/* Continue tokens in the reference's form: base64url of {"v":"meta.k8s.io/v1","rv":REVISION,"start":KEY}, where KEY is
 * relative to what is listed and ends with a NUL: the list goes on after it. */
#include "apiserver/storage/internal.h"
#include "api/json.h"
#include "base/str.h"

#include <errno.h>

#define TOKEN_MAX 4096
#define TOKEN_ARENA (64 * 1024)
#define TOKEN_VERSION "meta.k8s.io/v1"
#define NOT_VALID "invalid continue token: continue key is not valid"

void continue_token_done(ContinueToken *token) {
    free(token->ns);
    free(token->name);
    *token = (ContinueToken){0};
}

/* Where Go's decoder of unpadded base64url stops. */
static size_t first_illegal_byte(const char *s, size_t n) {
    for (size_t i = 0; i < n; i++) {
        bool legal = (s[i] >= 'A' && s[i] <= 'Z') || (s[i] >= 'a' && s[i] <= 'z') || (s[i] >= '0' && s[i] <= '9') ||
                     s[i] == '-' || s[i] == '_';
        if (!legal)
            return i;
    }
    return n - 1;
}

/* Would path.Clean leave "/" + key as it is? Keys that climb or repeat slashes are refused. */
static bool is_clean(const char *key) {
    for (;;) {
        size_t n = strcspn(key, "/");
        if (n == 0 || (n == 1 && key[0] == '.') || (n == 2 && key[0] == '.' && key[1] == '.'))
            return false;
        if (!key[n])
            return true;
        key += n + 1;
    }
}

/* As Go decodes into the reference's struct: null is as good as absent. */
static int check_types(const Value *token, ApiError *err) {
    static const struct {
        const char *name, *go_type;
        ValueType type;
    } fields[] = {{"v", "string", VALUE_STRING}, {"rv", "int64", VALUE_INT}, {"start", "string", VALUE_STRING}};
    if (token->type != VALUE_OBJECT && token->type != VALUE_NULL)
        return api_error_bad_request(
            err, NOT_VALID ": json: cannot unmarshal %s into Go value of type storage.continueToken",
            value_json_kind(token));
    for (size_t i = 0; i < ELEMENTSOF(fields); i++) {
        const Value *v = value_get(token, fields[i].name);
        if (v && v->type != VALUE_NULL && v->type != fields[i].type)
            return api_error_bad_request(
                err, NOT_VALID ": json: cannot unmarshal %s into Go struct field continueToken.%s of type %s",
                value_json_kind(v), fields[i].name, fields[i].go_type);
    }
    return 0;
}

static int parse_fields(const Value *token, const char **ret_start, size_t *ret_len, int64_t *ret_revision,
                        ApiError *err) {
    const char *version = str_or(value_get_str(token, "v"), "");
    if (!streq(version, TOKEN_VERSION))
        return api_error_bad_request(err, NOT_VALID ": server does not recognize this encoded version %s", version);
    int64_t revision = value_get_int(token, "rv", 0);
    if (revision == 0)
        return api_error_bad_request(err,
                                     NOT_VALID ": incorrect encoded start resourceVersion (version " TOKEN_VERSION ")");
    const Value *start = value_get(token, "start");
    if (!value_is(start, VALUE_STRING) || start->len == 0)
        return api_error_bad_request(err, NOT_VALID ": encoded start key empty (version " TOKEN_VERSION ")");
    if (!is_clean(start->string + (start->string[0] == '/')))
        return api_error_bad_request(err, NOT_VALID ": %s", start->string);
    *ret_start = start->string + (start->string[0] == '/');
    *ret_len = start->len - (start->string[0] == '/');
    *ret_revision = revision;
    return 0;
}

int continue_token_parse(const char *text, bool namespaced, const char *ns, ContinueToken *ret, ApiError *err) {
    size_t n = strlen(text), len;
    if (n > TOKEN_MAX)
        return api_error_bad_request(err, NOT_VALID ": longer than %d bytes", TOKEN_MAX);
    _cleanup_free_ uint8_t *json = NULL;
    if (base64url_decode(text, n, &json, &len) < 0)
        return api_error_bad_request(err, NOT_VALID ": illegal base64 data at input byte %zu",
                                     first_illegal_byte(text, n));
    _cleanup_arena_ Arena *arena = arena_new(TOKEN_ARENA);
    Value *token;
    char *message = NULL;
    if (json_parse(arena, (const char *)json, len, &token, NULL, &message) < 0)
        return api_error_bad_request(err, NOT_VALID ": %s", str_or(message, "not JSON"));
    const char *start = NULL;
    size_t start_len = 0;
    int64_t revision = 0;
    int r = check_types(token, err);
    r = r < 0 ? r : parse_fields(token, &start, &start_len, &revision, err);
    if (r < 0)
        return r;
    bool whole_row = namespaced && str_empty(ns);
    const char *slash = whole_row ? strchr(start, '/') : NULL;
    *ret = (ContinueToken){
        .ns = slash       ? xstrndup(start, (size_t)(slash - start))
              : whole_row ? xstrdup(start)
                          : xstrdup(str_or(ns, "")),
        .name = slash ? xstrdup(slash + 1) : xstrdup(whole_row ? "" : start),
        .side = strlen(start) < start_len ? OMAP_AFTER : OMAP_BEFORE,
        .revision = revision,
    };
    return 0;
}

char *continue_token_write(bool namespaced, const char *ns, const char *last_ns, const char *last_name,
                           int64_t revision) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    bool whole_row = namespaced && str_empty(ns);
    char *key = arena_printf(arena, "%s%s%s", whole_row ? last_ns : "", whole_row ? "/" : "", last_name);
    Value *token = value_object(arena);
    value_set_str(arena, token, "v", TOKEN_VERSION);
    value_set_int(arena, token, "rv", revision);
    value_set(arena, token, "start", value_string_n(arena, key, strlen(key) + 1)); /* with its NUL */
    _cleanup_buf_ Buf json = BUF_INIT(BUF_NO_LIMIT);
    value_write_json(&json, token);
    Buf text = BUF_INIT(BUF_NO_LIMIT);
    base64url_encode(&text, json.data, json.len);
    return buf_take(&text, NULL);
}
