#include "apiserver/handlers/request_body.h"
#include "apiserver/handlers/options.h"
#include "apiserver/registry/decode.h"
#include "base/str.h"

#include <errno.h>

#define SUMMARY_BYTES 30

/* What the reference shows of a body that it cannot read. */
static const char *summary_of(Arena *arena, const char *data, size_t len) {
    _cleanup_buf_ Buf out = BUF_INIT(256);
    if (!len)
        return "<empty>";
    if (*data == '{')
        buf_append(&out, data, MIN(len, (size_t)SUMMARY_BYTES));
    else
        hex_encode(&out, data, MIN(len, (size_t)SUMMARY_BYTES));
    return arena_printf(arena, "%.*s%s", (int)out.len, out.data, len > SUMMARY_BYTES ? " ..." : "");
}

/* Whom the reference's decoders of patches blame depends on the patch, and on whether fields are looked at. */
static int unreadable_patch(Exchange *exchange, const char *message, ApiError *err) {
    const ApiOptions *options = &exchange->request.options;
    bool plain = field_validation_of(options->field_validation) == FIELD_VALIDATION_IGNORE;
    const char *prefix = options->patch_type == PATCH_APPLY ? "error decoding YAML: error converting YAML to JSON: "
                         : plain || options->patch_type == PATCH_STRATEGIC ? ""
                                                                           : "error decoding patch: ";
    return api_error_bad_request(err, "%s%s", prefix, message);
}

static bool is_scale(const ApiRequest *request) {
    return request->subresource && streq(request->subresource, "scale");
}

/* A body that says nothing of what it is. */
static int unrecognized(Exchange *exchange, const char *why, ApiError *err) {
    const ApiRequest *request = &exchange->request;
    size_t len;
    const char *data = http_body(exchange->http, &len), *kind = request->resource->kind;
    const Subresource *part =
        request->subresource ? resource_subresource(request->resource, request->subresource) : NULL;
    if (part && !str_empty(part->kind))
        kind = part->kind;
    if (request->resource->custom && is_scale(request))
        return registry_refuse_custom_scale(err);
    return api_error_bad_request(err, "the object provided is unrecognized (must be of type %s): %s (%s)", kind, why,
                                 summary_of(exchange->arena, data, len));
}

/* What a decoder says of a body that is no object at all. */
static int unreadable(Exchange *exchange, MediaForm form, ApiError *err) {
    static const char *const prefixes[] = {[MEDIA_JSON] = NO_KIND_PREFIX, [MEDIA_YAML] = "", [MEDIA_PROTOBUF] = ""};
    if (err->code != 400)
        return -EINVAL;
    ApiVerb verb = exchange->request.verb;
    char *message = err->message ? arena_strdup(exchange->arena, err->message) : (char *)"";
    api_error_done(err);
    if (verb == API_PATCH)
        return unreadable_patch(exchange, message, err);
    if (verb == API_DELETE || verb == API_DELETE_COLLECTION)
        return api_error_bad_request(err, "%s%s", prefixes[form], message);
    return unrecognized(exchange, arena_printf(exchange->arena, "%s%s", prefixes[form], message), err);
}

/* Kind and version are looked at before the decoder of the kind begins. Custom resources say their kind; that of
 * others, and of a Scale, is taken from the path where they do not. */
static int check_type(Exchange *exchange, const Value *body, ApiError *err) {
    const ApiRequest *request = &exchange->request;
    Arena *arena = exchange->arena;
    if (request->verb != API_CREATE && request->verb != API_UPDATE)
        return 0;
    VALUE_FOREACH_MEMBER (m, body) {
        bool tells = streq(m->name, "kind") || streq(m->name, "apiVersion");
        const char *why = tells ? registry_type_error(arena, m->name, m->value) : NULL;
        if (why)
            return unrecognized(exchange, why, err);
    }
    const char *version = str_or(value_get_str(body, "apiVersion"), "");
    if (strchr(version, '/') != strrchr(version, '/'))
        return unrecognized(exchange, arena_printf(arena, "unexpected GroupVersion string: %s", version), err);
    if (!request->resource->custom || is_scale(request) || !str_empty(value_get_str(body, "kind")))
        return 0;
    size_t len;
    const char *data = http_body(exchange->http, &len);
    return unrecognized(exchange, arena_printf(arena, "Object 'Kind' is missing in '%.*s'", (int)len, data), err);
}

/* Go's decoder takes null for an object without members, and no other value. */
static int check_object(Exchange *exchange, Value **body, ApiError *err) {
    ApiVerb verb = exchange->request.verb;
    PatchType type = exchange->request.options.patch_type;
    bool patch = verb == API_PATCH;
    if (patch && (type == PATCH_JSON || type == PATCH_MERGE))
        return 0; /* theirs to say */
    if (!*body || (*body)->type == VALUE_NULL)
        *body = value_object(exchange->arena);
    if ((*body)->type == VALUE_OBJECT || (patch && type == PATCH_STRATEGIC))
        return 0;
    const char *what = value_json_kind(*body);
    if (patch)
        return api_error_bad_request(err,
                                     "error decoding YAML: error unmarshaling JSON: while decoding JSON: json: cannot "
                                     "unmarshal %s into Go value of type map[string]interface {}",
                                     what);
    api_error_bad_request(err,
                          "json: cannot unmarshal %s into Go value of type struct { APIVersion string "
                          "\"json:\\\"apiVersion,omitempty\\\"\"; Kind string \"json:\\\"kind,omitempty\\\"\" }",
                          what);
    return unreadable(exchange, MEDIA_JSON, err);
}

static int set_option(Arena *arena, Value *options, const Query *query, const char *name, ApiError *err) {
    const char *text = query_get(query, name);
    int64_t n = 0;
    if (!text)
        return 0;
    if (streq(name, "gracePeriodSeconds")) {
        int r = options_read_int(query, name, &n, err);
        if (r < 0)
            return r;
        value_set_int(arena, options, name, n);
    } else if (streq(name, "orphanDependents"))
        value_set_bool(arena, options, name, query_bool(query, name));
    else if (streq(name, "dryRun"))
        value_append(arena, value_ensure_array(arena, options, name), value_string(arena, text));
    else
        value_set_str(arena, options, name, text);
    return 0;
}

/* The body's DeleteOptions, or else the query's. */
static int delete_body(Exchange *exchange, Value *body, Value **ret, ApiError *err) {
    static const char *const names[] = {"gracePeriodSeconds", "orphanDependents", "propagationPolicy", "dryRun"};
    Arena *arena = exchange->arena;
    if (body) {
        const char *kind = str_or(value_get_str(body, "kind"), "DeleteOptions"),
                   *version = str_or(value_get_str(body, "apiVersion"), "meta.k8s.io/v1");
        if (!streq(kind, "DeleteOptions"))
            return api_error_bad_request(err, NO_KIND_REGISTERED, kind, version);
        const Schema *schema = schema_by_name("io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions");
        int r = schema ? schema_normalize(arena, schema, body, NULL, err) : 0;
        if (r < 0)
            return r;
        exchange->request.options.dry_run = value_len(value_get(body, "dryRun")) > 0; /* not the query's */
        *ret = body;
        return 0;
    }
    Value *options = value_object(arena);
    int r = 0;
    for (size_t i = 0; r == 0 && i < ELEMENTSOF(names); i++)
        r = set_option(arena, options, &exchange->query, names[i], err);
    *ret = options;
    return r;
}

int request_body_read(Exchange *exchange, DuplicateFields *duplicates, ApiError *err) {
    ApiRequest *request = &exchange->request;
    MediaForm form = MEDIA_JSON;
    Value *body = NULL;
    int r = 0;
    if (request->verb == API_PATCH) {
        r = options_check_patch(exchange->arena, &request->options, err);
        if (r < 0)
            return r;
    }
    bool deletes = request->verb == API_DELETE || request->verb == API_DELETE_COLLECTION;
    size_t len;
    (void)http_body(exchange->http, &len);
    if (!deletes || len) {
        r = body_decode(exchange->arena, exchange->http, &form, &body, duplicates, err);
        r = r < 0 ? unreadable(exchange, form, err) : check_object(exchange, &body, err);
        r = r < 0 ? r : check_type(exchange, body, err);
    }
    if (r == 0 && deletes)
        r = delete_body(exchange, body, &body, err);
    request->body = body;
    return r;
}
