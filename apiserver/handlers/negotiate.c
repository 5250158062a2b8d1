#include "apiserver/handlers/negotiate.h"
#include "api/codec.h"
#include "base/str.h"

#include <ctype.h>
#include <errno.h>
#include <strings.h>

#define MEDIA_TYPES "application/json, application/yaml, application/vnd.kubernetes.protobuf"

typedef struct Clause { /* one alternative of an Accept header */
    char *type;
    char *as, *group, *version, *stream;
    int q; /* thousandths */
    size_t order;
} Clause;

static char *trim(char *s) {
    while (isspace((unsigned char)*s))
        s++;
    size_t n = strlen(s);
    while (n && isspace((unsigned char)s[n - 1]))
        s[--n] = 0;
    return s;
}

static int quality(const char *text) {
    double q = strtod(text, NULL);
    return q < 0 ? 0 : q > 1 ? 1000 : (int)(q * 1000);
}

static Clause parse_clause(Arena *arena, const char *text, size_t order) {
    size_t n = 0;
    char **parts = str_split(arena, text, ';', &n);
    Clause clause = {.type = n ? trim(parts[0]) : (char *)"", .q = 1000, .order = order};
    for (size_t i = 1; i < n; i++) {
        char *name = trim(parts[i]), *equals = strchr(name, '=');
        if (!equals)
            continue;
        *equals = 0;
        char *value = trim(equals + 1);
        name = trim(name);
        if (streq(name, "q"))
            clause.q = quality(value);
        else if (streq(name, "as"))
            clause.as = value;
        else if (streq(name, "g"))
            clause.group = value;
        else if (streq(name, "v"))
            clause.version = value;
        else if (streq(name, "stream"))
            clause.stream = value;
    }
    return clause;
}

static int compare_clauses(const void *a, const void *b) {
    const Clause *x = a, *y = b;
    if (x->q != y->q)
        return y->q - x->q;
    return x->order < y->order ? -1 : 1;
}

static Clause *parse_accept(Arena *arena, const char *header, size_t *ret_n) {
    char **parts = str_split(arena, str_or(header, "*/*"), ',', ret_n);
    Clause *clauses = arena_alloc0(arena, (*ret_n + 1) * sizeof *clauses);
    for (size_t i = 0; i < *ret_n; i++)
        clauses[i] = parse_clause(arena, parts[i], i);
    qsort(clauses, *ret_n, sizeof *clauses, compare_clauses);
    return clauses;
}

static bool form_of(const char *type, MediaForm *ret) {
    static const struct {
        const char *type;
        MediaForm form;
    } forms[] = {
        {"application/json", MEDIA_JSON},
        {"application/yaml", MEDIA_YAML},
        {"application/vnd.kubernetes.protobuf", MEDIA_PROTOBUF},
        {"*/*", MEDIA_JSON},
        {"application/*", MEDIA_JSON},
    };
    for (size_t i = 0; i < ELEMENTSOF(forms); i++)
        if (strcasecmp(forms[i].type, type) == 0) {
            *ret = forms[i].form;
            return true;
        }
    return false;
}

static bool as_of(const Clause *clause, MediaAs *ret) {
    *ret = AS_OBJECT;
    if (!clause->as)
        return true;
    if (!streq_null(clause->group, "meta.k8s.io") ||
        !(streq_null(clause->version, "v1") || streq_null(clause->version, "v1beta1")))
        return false;
    if (streq(clause->as, "Table"))
        *ret = AS_TABLE;
    else if (streq(clause->as, "PartialObjectMetadata") || streq(clause->as, "PartialObjectMetadataList"))
        *ret = AS_PARTIAL;
    else
        return false;
    return true;
}

static bool is_browser(const HttpRequest *request) {
    const char *agent = str_or(http_header(request, "user-agent"), "");
    return str_has_prefix(agent, "curl") || str_has_prefix(agent, "Wget") || str_has_prefix(agent, "Mozilla/5.0");
}

int media_negotiate(Arena *arena, const HttpRequest *request, const Query *query, unsigned endpoint, Media *ret,
                    ApiError *err) {
    bool stream = endpoint & MEDIA_STREAM;
    size_t n = 0;
    Clause *clauses = parse_accept(arena, http_header(request, "accept"), &n);
    for (size_t i = 0; i < n; i++) {
        Media media = {.include_object = str_or(query_get(query, "includeObject"), "")};
        if (!form_of(clauses[i].type, &media.form) || !as_of(&clauses[i], &media.as))
            continue;
        if ((stream && media.form == MEDIA_YAML) || (media.as != AS_OBJECT && !(endpoint & MEDIA_VIEWS)))
            continue;
        media.pretty = query_get(query, "pretty") ? query_bool(query, "pretty") : is_browser(request);
        *ret = media;
        return 0;
    }
    return api_error_set(err, 406, "NotAcceptable", "only the following media types are accepted: %s",
                         stream ? "application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch"
                                : MEDIA_TYPES);
}

Media media_plain(const HttpRequest *request) {
    return (Media){.form = MEDIA_JSON, .pretty = is_browser(request)};
}

const char *media_content_type(const Media *media, bool stream) {
    switch (media->form) {
    case MEDIA_YAML:
        return "application/yaml";
    case MEDIA_PROTOBUF:
        return stream ? "application/vnd.kubernetes.protobuf;stream=watch" : "application/vnd.kubernetes.protobuf";
    default:
        return "application/json";
    }
}

bool media_wants_aggregated(const HttpRequest *request, bool *ret_unsupported) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    size_t n = 0;
    MediaForm form;
    Clause *clauses = parse_accept(arena, http_header(request, "accept"), &n);
    *ret_unsupported = false;
    for (size_t i = 0; i < n; i++) {
        if (!form_of(clauses[i].type, &form))
            continue;
        if (!clauses[i].as)
            return false;
        if (streq(clauses[i].as, "APIGroupDiscoveryList") && streq_null(clauses[i].group, "apidiscovery.k8s.io") &&
            streq_null(clauses[i].version, "v2") && form == MEDIA_JSON)
            return true;
    }
    *ret_unsupported = true;
    return false;
}

static bool page_of(const Clause *clause, const char *kind, PageMedia *ret) {
    const char *version = clause->version;
    bool text = str_in(clause->type, (const char *const[]){"text/plain", "text/*", "*/*", NULL});
    *ret = (PageMedia){0};
    if (!clause->as)
        return text;
    ret->version = streq_null(version, "v1beta1") ? "v1beta1" : streq_null(version, "v1alpha1") ? "v1alpha1" : NULL;
    return ret->version && streq(clause->as, kind) && streq_null(clause->group, PAGE_GROUP) &&
           form_of(clause->type, &ret->form) && ret->form != MEDIA_PROTOBUF;
}

int media_negotiate_page(Arena *arena, const HttpRequest *request, const char *kind, PageMedia *ret, ApiError *err) {
    size_t n = 0;
    PageMedia media;
    Clause *clauses = parse_accept(arena, http_header(request, "accept"), &n);
    for (size_t i = 0; i < n; i++)
        if (page_of(&clauses[i], kind, &media)) {
            *ret = media;
            return 0;
        }
    return api_error_set(err, 406, "NotAcceptable",
                         "only the following media types are accepted: application/json, application/yaml, text/plain");
}

int media_choose(const HttpRequest *request, const char *const *types) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    size_t n = 0;
    Clause *clauses = parse_accept(arena, http_header(request, "accept"), &n);
    for (size_t i = 0; i < n; i++) {
        const char *type = clauses[i].type;
        for (int k = 0; types[k]; k++)
            if (streq(type, types[k]) || streq(type, "*/*") ||
                (str_has_suffix(type, "/*") && strncmp(type, types[k], strlen(type) - 1) == 0))
                return k;
    }
    return -1;
}

static const char *bare_type(Arena *arena, const char *header) {
    size_t n = 0;
    char **parts = str_split(arena, header, ';', &n);
    return n ? trim(parts[0]) : "";
}

/* Bodies that may name any kind are decoded by the kind they name. */
static int decode_protobuf(Arena *arena, const char *data, size_t len, Value **ret, ApiError *err) {
    const char *api_version, *kind;
    const void *raw;
    size_t raw_len;
    int r = protobuf_decode(arena, data, len, &api_version, &kind, &raw, &raw_len);
    if (r < 0)
        return api_error_bad_request(
            err, "provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]");
    const char *slash = strchr(api_version, '/');
    char *group = slash ? arena_strndup(arena, api_version, (size_t)(slash - api_version)) : (char *)"";
    const char *version = slash ? slash + 1 : api_version;
    const Schema *schema = NULL;
    const Resource *resource = resource_find_kind(group, version, kind);
    if (resource)
        schema = resource->schema;
    else if (streq(kind, "DeleteOptions"))
        schema = schema_by_name("io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions");
    for (size_t i = 0; !schema && resource_builtin(i); i++)
        for (size_t j = 0; j < resource_builtin(i)->n_subresources && !schema; j++)
            if (streq(resource_builtin(i)->subresources[j].kind, kind))
                schema = resource_builtin(i)->subresources[j].schema;
    if (!schema)
        return api_error_bad_request(
            err, "no kind \"%s\" is registered for version \"%s\" in scheme \"pkg/api/legacyscheme/scheme.go:30\"",
            kind, api_version);
    r = protobuf_decode_message(arena, schema, raw, raw_len, ret);
    if (r < 0)
        return api_error_bad_request(err, "unable to decode the protobuf message of a %s", kind);
    value_set_str(arena, *ret, "apiVersion", api_version);
    value_set_str(arena, *ret, "kind", kind);
    return 0;
}

int body_decode(Arena *arena, const HttpRequest *request, MediaForm *ret_form, Value **ret, DuplicateFields *duplicates,
                ApiError *err) {
    size_t len = 0;
    const char *data = http_body(request, &len), *header = http_header(request, "content-type");
    const char *type = str_empty(header) ? "application/json" : bare_type(arena, header);
    MediaForm form;
    char *message = NULL;
    int r;
    if (str_has_suffix(type, "-patch+yaml"))
        form = MEDIA_YAML;
    else if (str_has_suffix(type, "+json"))
        form = MEDIA_JSON;
    else if (strchr(type, '*') || !form_of(type, &form))
        return api_error_set(
            err, 415, "UnsupportedMediaType",
            "the body of the request was in an unknown format - accepted media types include: " MEDIA_TYPES);
    *ret_form = form;
    if (form == MEDIA_PROTOBUF)
        return decode_protobuf(arena, data, len, ret, err);
    r = form == MEDIA_JSON ? json_parse(arena, data, len, ret, duplicates, &message)
                           : yaml_parse(arena, data, len, ret, duplicates, &message);
    if (r == -ENOMEM)
        return api_error_set(err, 413, "RequestEntityTooLarge",
                             "Request entity too large: the decoded body needs too much memory");
    if (r < 0)
        return api_error_bad_request(err, "%s", str_or(message, "the body cannot be parsed"));
    return 0;
}

int patch_type_read(const HttpRequest *request, const Resource *resource, PatchType *ret, ApiError *err) {
    static const struct {
        const char *type;
        PatchType patch;
    } types[] = {
        {"application/json-patch+json", PATCH_JSON},
        {"application/merge-patch+json", PATCH_MERGE},
        {"application/strategic-merge-patch+json", PATCH_STRATEGIC},
        {"application/apply-patch+yaml", PATCH_APPLY},
    };
    _cleanup_arena_ Arena *arena = arena_new(0);
    const char *type = bare_type(arena, str_or(http_header(request, "content-type"), ""));
    for (size_t i = 0; i < ELEMENTSOF(types); i++)
        if (streq(type, types[i].type) && !(types[i].patch == PATCH_STRATEGIC && resource->custom)) {
            *ret = types[i].patch;
            return 0;
        }
    if (resource->custom)
        return api_error_set(err, 415, "UnsupportedMediaType",
                             "the body of the request was in an unknown format - accepted media types include: "
                             "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml");
    int r = api_error_set(err, 415, "UnsupportedMediaType", "415: Unsupported Media Type");
    api_error_details(err, "", "", "", ""); /* as the reference's router, which knows the four types */
    return r;
}
