#include "apiserver/handlers/negotiate.h"
#include "api/codec.h"
#include "apiserver/registry/decode.h"
#include "base/str.h"

#include <ctype.h>
#include <errno.h>
#include <strings.h>

#define ACCEPT_MAX 64 /* alternatives of one header that are looked at */

typedef struct Clause { /* one alternative of an Accept header */
    char *type, *subtype;
    char *as, *group, *version, *stream;
    bool pretty;
    int q; /* thousandths */
} Clause;

static char *trim(char *s) {
    while (isspace((unsigned char)*s))
        s++;
    size_t n = strlen(s);
    while (n && isspace((unsigned char)s[n - 1]))
        s[--n] = 0;
    return s;
}

static char *trim_spaces(char *s) {
    size_t n = strlen(s += strspn(s, " "));
    while (n && s[n - 1] == ' ')
        s[--n] = 0;
    return s;
}

static int quality(const char *text) {
    double q = strtod(text, NULL);
    return q < 0 ? 0 : q > 1 ? 1000 : (int)(q * 1000);
}

static void parse_parameter(Clause *clause, char *text) {
    char *value = strchr(text, '='), *name;
    if (!value || !value[1] || strchr(value + 1, '='))
        return;
    *value++ = 0;
    name = trim_spaces(text);
    value = trim_spaces(value);
    if (streq(name, "q"))
        clause->q = quality(value);
    else if (streq(name, "as"))
        clause->as = value;
    else if (streq(name, "g"))
        clause->group = value;
    else if (streq(name, "v"))
        clause->version = value;
    else if (streq(name, "stream"))
        clause->stream = value;
    else if (streq(name, "pretty"))
        clause->pretty = streq(value, "1");
}

/* False: no media range at all, which counts for nothing. */
static bool parse_clause(Arena *arena, const char *text, Clause *ret) {
    size_t n = 0;
    char **parts = str_split(arena, text, ';', &n);
    Clause clause = {.type = n ? trim_spaces(parts[0]) : (char *)"", .q = 1000};
    char *slash = strchr(clause.type, '/');
    if (!slash && !streq(clause.type, "*"))
        return false;
    clause.subtype = slash ? trim_spaces(slash + 1) : clause.type;
    if (slash)
        *slash = 0;
    clause.type = trim_spaces(clause.type);
    if (!*clause.subtype || strchr(clause.subtype, '/'))
        return false;
    for (size_t i = 1; i < n; i++)
        parse_parameter(&clause, parts[i]);
    *ret = clause;
    return true;
}

/* As the reference's parser orders them: the better liked first, and whatever is named before what is a wildcard. */
static bool goes_before(const Clause *a, const Clause *b) {
    return a->q > b->q || (!streq(a->type, "*") && streq(b->type, "*")) ||
           (!streq(a->subtype, "*") && streq(b->subtype, "*"));
}

static Clause *parse_accept(Arena *arena, const HttpRequest *request, size_t *ret_n) {
    const char *header = http_header(request, "accept");
    size_t n = 0;
    char **parts = str_split(arena, str_empty(header) ? "*/*" : header, ',', &n);
    *ret_n = 0;
    Clause *clauses = arena_alloc0(arena, (n + 1) * sizeof *clauses);
    for (size_t i = 0; i < n && *ret_n < ACCEPT_MAX; i++)
        *ret_n += parse_clause(arena, parts[i], &clauses[*ret_n]);
    for (size_t i = 1; i < *ret_n; i++)
        for (size_t k = i; k && goes_before(&clauses[k], &clauses[k - 1]); k--) {
            Clause kept = clauses[k];
            clauses[k] = clauses[k - 1];
            clauses[k - 1] = kept;
        }
    return clauses;
}

static const struct {
    const char *type, *subtype;
} forms[] = {
    [MEDIA_JSON] = {"application", "json"},
    [MEDIA_YAML] = {"application", "yaml"},
    [MEDIA_PROTOBUF] = {"application", "vnd.kubernetes.protobuf"},
};

static bool covers(const Clause *clause, const char *type, const char *subtype) {
    if (streq(clause->type, "*"))
        return streq(clause->subtype, "*");
    return streq(clause->type, type) && (streq(clause->subtype, "*") || streq(clause->subtype, subtype));
}

static bool form_of(const Clause *clause, MediaForm *ret) {
    for (size_t i = 0; i < ELEMENTSOF(forms); i++)
        if (covers(clause, forms[i].type, forms[i].subtype)) {
            *ret = (MediaForm)i;
            return true;
        }
    return false;
}

static bool as_of(const Clause *clause, MediaForm form, unsigned endpoint, Media *ret) {
    ret->as = AS_OBJECT;
    if (!clause->as && !clause->group && !clause->version)
        return form != MEDIA_PROTOBUF || !(endpoint & MEDIA_NO_MESSAGES);
    if (!(endpoint & MEDIA_VIEWS) || !clause->as || !streq_null(clause->group, "meta.k8s.io") ||
        !(streq_null(clause->version, "v1") || streq_null(clause->version, "v1beta1")))
        return false;
    if (streq(clause->as, "Table"))
        ret->as = AS_TABLE;
    else if (streq(clause->as, "PartialObjectMetadata") || streq(clause->as, "PartialObjectMetadataList"))
        ret->as = AS_PARTIAL;
    else
        return false;
    ret->of_list = str_has_suffix(clause->as, "List");
    return ret->as != AS_TABLE || form != MEDIA_PROTOBUF;
}

/* The first form that an alternative covers and the endpoint has. */
static bool choose_form(const Clause *clause, unsigned endpoint, Media *ret) {
    for (size_t i = 0; i < ELEMENTSOF(forms); i++) {
        MediaForm form = (MediaForm)i;
        bool streams = !clause->stream || (form != MEDIA_YAML && streq(clause->stream, "watch"));
        if (covers(clause, forms[i].type, forms[i].subtype) && streams && as_of(clause, form, endpoint, ret)) {
            ret->form = form;
            return true;
        }
    }
    return false;
}

static bool is_browser(const HttpRequest *request) {
    const char *agent = str_or(http_header(request, "user-agent"), "");
    return str_has_prefix(agent, "curl") || str_has_prefix(agent, "Wget") || str_has_prefix(agent, "Mozilla/5.0");
}

static bool is_pretty(const HttpRequest *request, const Query *query) {
    static const char *const yes[] = {"1", "t", "T", "TRUE", "true", "True", NULL};
    const char *asked = query_get(query, "pretty");
    return str_empty(asked) ? is_browser(request) : str_in(asked, yes);
}

static bool choose(Arena *arena, const HttpRequest *request, const Query *query, unsigned endpoint, Media *ret) {
    size_t n = 0;
    Media media = {.include_object = str_or(query_get(query, "includeObject"), "")};
    const Clause *clauses = parse_accept(arena, request, &n);
    for (size_t i = 0; i < n; i++)
        if (choose_form(&clauses[i], endpoint, &media)) {
            media.pretty = clauses[i].pretty || is_pretty(request, query);
            *ret = media;
            return true;
        }
    return false;
}

int media_negotiate(Arena *arena, const HttpRequest *request, const Query *query, unsigned endpoint, Media *ret,
                    ApiError *err) {
    Media media;
    bool stream = endpoint & MEDIA_STREAM, chosen = choose(arena, request, query, endpoint, &media);
    if (chosen && !(stream && media.form == MEDIA_YAML)) {
        *ret = media;
        return 0;
    }
    return api_error_set(err, 406, "NotAcceptable", "only the following media types are accepted: %s",
                         chosen ? MEDIA_STREAM_TYPES : MEDIA_TYPES);
}

int media_check_produces(const HttpRequest *request, const char *types, ApiError *err) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    const char *accept = http_header(request, "accept");
    size_t n = 0, n_types = 0;
    if (str_empty(accept))
        return 0;
    char **parts = str_split(arena, accept, ',', &n), **all = str_split(arena, types, ',', &n_types);
    for (size_t i = 0; i < n; i++) {
        parts[i][strcspn(parts[i], ";")] = 0;
        const char *type = trim_spaces(parts[i]);
        if (streq(type, "*/*"))
            return 0;
        for (size_t k = 0; k < n_types; k++)
            if (streq(type, trim_spaces(all[k])))
                return 0;
    }
    int r = api_error_set(err, 406, "NotAcceptable", "406: Not Acceptable\n\nAvailable representations: %s", types);
    api_error_details(err, "", "", "", "");
    return r;
}

Media media_of_error(Arena *arena, const HttpRequest *request) {
    Query query;
    Media media;
    query_parse(arena, http_query(request), &query);
    if (!choose(arena, request, &query, 0, &media))
        return (Media){.form = MEDIA_JSON, .pretty = true};
    return media;
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

bool media_wants_aggregated(const HttpRequest *request) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    size_t n = 0;
    MediaForm form;
    const Clause *clauses = parse_accept(arena, request, &n);
    for (size_t i = 0; i < n; i++) {
        const Clause *clause = &clauses[i];
        if (!form_of(clause, &form))
            continue;
        if (!clause->as && !clause->group && !clause->version)
            return false;
        if (streq_null(clause->as, "APIGroupDiscoveryList") && streq_null(clause->group, "apidiscovery.k8s.io") &&
            streq_null(clause->version, "v2") && form == MEDIA_JSON)
            return true;
    }
    return false;
}

static bool page_of(const Clause *clause, const char *kind, PageMedia *ret) {
    const char *version = clause->version;
    bool text = covers(clause, "text", "plain");
    *ret = (PageMedia){0};
    if (!clause->as)
        return text;
    ret->version = streq_null(version, "v1beta1") ? "v1beta1" : streq_null(version, "v1alpha1") ? "v1alpha1" : NULL;
    return ret->version && streq(clause->as, kind) && streq_null(clause->group, PAGE_GROUP) &&
           form_of(clause, &ret->form) && ret->form != MEDIA_PROTOBUF;
}

int media_negotiate_page(Arena *arena, const HttpRequest *request, const char *kind, PageMedia *ret, ApiError *err) {
    size_t n = 0;
    PageMedia media;
    Clause *clauses = parse_accept(arena, request, &n);
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
    const Clause *clauses = parse_accept(arena, request, &n);
    for (size_t i = 0; i < n; i++)
        for (int k = 0; types[k]; k++) {
            char *type = arena_strdup(arena, types[k]), *slash = strchr(type, '/');
            *slash = 0;
            if (covers(&clauses[i], type, slash + 1))
                return k;
        }
    return -1;
}

static bool form_named(const char *type, MediaForm *ret) {
    for (size_t i = 0; i < ELEMENTSOF(forms); i++) {
        size_t n = strlen(forms[i].type);
        if (strncasecmp(type, forms[i].type, n) == 0 && type[n] == '/' &&
            strcasecmp(type + n + 1, forms[i].subtype) == 0) {
            *ret = (MediaForm)i;
            return true;
        }
    }
    return false;
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
    if (!len)
        return api_error_bad_request(err, "empty data");
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
        return api_error_bad_request(err, NO_KIND_REGISTERED, kind, api_version);
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
    bool patch = streq(http_method(request), "PATCH");
    if (patch && str_has_suffix(type, "-patch+yaml"))
        form = MEDIA_YAML;
    else if (patch && str_has_suffix(type, "+json"))
        form = MEDIA_JSON;
    else if (!form_named(type, &form))
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
    if (form == MEDIA_YAML) /* which is read by way of JSON whose keys are sorted: what is told comes in that order */
        value_sort_deep(*ret);
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
