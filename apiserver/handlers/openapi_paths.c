#include "apiserver/handlers/openapi_parameters.h"
#include "apiserver/registry/strategy.h"
#include "base/str.h"

#include <ctype.h>

typedef enum Body { BODY_NONE, BODY_OBJECT, BODY_PATCH, BODY_DELETE } Body;
typedef enum Result { RESULT_OBJECT, RESULT_LIST, RESULT_STATUS, RESULT_EVENT, RESULT_TEXT } Result;

/* What clients may send and get. */
static const char *const any_type[] = {"*/*", NULL};
static const char *const text_type[] = {"application/json", "application/yaml", NULL};
static const char *const object_types[] = {"application/json", "application/yaml",
                                           "application/vnd.kubernetes.protobuf", NULL};
static const char *const stream_types[] = {"application/json",
                                           "application/yaml",
                                           "application/vnd.kubernetes.protobuf",
                                           "application/json;stream=watch",
                                           "application/vnd.kubernetes.protobuf;stream=watch",
                                           NULL};
static const char *const log_types[] = {"text/plain", "application/json", "application/yaml",
                                        "application/vnd.kubernetes.protobuf", NULL};
static const char *const patch_types[] = {"application/json-patch+json", "application/merge-patch+json",
                                          "application/strategic-merge-patch+json", "application/apply-patch+yaml",
                                          NULL};
static const char *const custom_patch_types[] = {"application/json-patch+json", "application/merge-patch+json",
                                                 "application/apply-patch+yaml", NULL};

/* One method of a path, whatever the resource. */
typedef struct Method {
    uint16_t verb;
    const char *method, *action, *id, *text; /* id: how operationId begins; text: with the kind behind it */
    uint32_t options;
    Body body;
    Result result;
    bool created, accepted; /* may answer 201, 202 */
    const char *const *consumes, *const *produces;
} Method;

#define GIVES any_type, object_types
#define STREAMS any_type, stream_types
#define CUSTOM text_type, text_type

static const Method on_one[] = {
    {VERB_GET, "get", "get", "read", "Gives the", 0, BODY_NONE, RESULT_OBJECT, false, false, GIVES},
    {VERB_UPDATE, "put", "put", "replace", "Replaces the", OPTIONS_UPDATE, BODY_OBJECT, RESULT_OBJECT, true, false,
     GIVES},
    {VERB_DELETE, "delete", "delete", "delete", "Deletes the", OPTIONS_DELETE, BODY_DELETE, RESULT_STATUS, false, true,
     GIVES},
    {VERB_PATCH, "patch", "patch", "patch", "Changes parts of the", OPTIONS_PATCH, BODY_PATCH, RESULT_OBJECT, true,
     false, patch_types, object_types},
    {VERB_CREATE, "post", "post", "create", "Creates a", OPTIONS_CREATE, BODY_OBJECT, RESULT_OBJECT, true, true, GIVES},
};
static const Method on_many[] = {
    {VERB_LIST, "get", "list", "list", "Lists or watches objects:", OPTIONS_LIST, BODY_NONE, RESULT_LIST, false, false,
     STREAMS},
    {VERB_CREATE, "post", "post", "create", "Creates a", OPTIONS_CREATE, BODY_OBJECT, RESULT_OBJECT, true, true, GIVES},
    {VERB_DELETE_COLLECTION, "delete", "deletecollection", "delete",
     "Deletes all that are selected:", OPTIONS_COLLECTION, BODY_DELETE, RESULT_STATUS, false, false, GIVES},
};
static const Method watch_many = {
    VERB_WATCH,   "get",     "watchlist",  "watch", "Watches objects (use watch=true of a list instead):",
    OPTIONS_LIST, BODY_NONE, RESULT_EVENT, false,   false,
    STREAMS};
static const Method watch_one = {VERB_WATCH,
                                 "get",
                                 "watch",
                                 "watch",
                                 "Watches one object (use watch=true of a list with a fieldSelector instead): the",
                                 OPTIONS_LIST,
                                 BODY_NONE,
                                 RESULT_EVENT,
                                 false,
                                 false,
                                 STREAMS};
static const Method read_log = {VERB_GET,        "get",     "get",       "read", "Gives the log of the",
                                OPTIONS_POD_LOG, BODY_NONE, RESULT_TEXT, false,  false,
                                any_type,        log_types};
static const Method on_custom[] = {
    {VERB_GET, "get", "get", "read", "Gives the", OPTIONS_GET, BODY_NONE, RESULT_OBJECT, false, false, CUSTOM},
    {VERB_UPDATE, "put", "put", "replace", "Replaces the", OPTIONS_UPDATE, BODY_OBJECT, RESULT_OBJECT, true, false,
     CUSTOM},
    {VERB_DELETE, "delete", "delete", "delete", "Deletes the", OPTIONS_DELETE, BODY_DELETE, RESULT_STATUS, false, true,
     CUSTOM},
    {VERB_PATCH, "patch", "patch", "patch", "Changes parts of the", OPTIONS_PATCH, BODY_PATCH, RESULT_OBJECT, false,
     false, custom_patch_types, text_type},
};
static const Method on_many_custom[] = {
    {VERB_LIST, "get", "list", "list", "Lists or watches objects:", OPTIONS_LIST, BODY_NONE, RESULT_LIST, false, false,
     CUSTOM},
    {VERB_CREATE, "post", "post", "create", "Creates a", OPTIONS_CREATE, BODY_OBJECT, RESULT_OBJECT, true, true,
     CUSTOM},
    {VERB_DELETE_COLLECTION, "delete", "deletecollection", "delete", "Deletes all that are selected:", OPTIONS_LIST,
     BODY_NONE, RESULT_STATUS, false, false, CUSTOM},
};
/* A connection is made by any of the methods that the subresource has; a proxy, which has them all, by two more. */
static const struct {
    uint16_t verb;
    const char *method;
} connect_methods[] = {{VERB_GET, "get"},        {VERB_UPDATE, "put"},  {VERB_CREATE, "post"}, {VERB_DELETE, "delete"},
                       {VERB_DELETE, "options"}, {VERB_DELETE, "head"}, {VERB_PATCH, "patch"}};

/* One path of a resource. */
typedef struct Target {
    const Resource *resource;
    const Subresource *subresource; /* NULL: the resource itself */
    const char *path;
    uint32_t in_path;  /* PATH_... and QUERY_PRETTY: what each of its operations has */
    bool in_namespace; /* {namespace} is in the path */
    bool all_namespaces;
    const char *id_end; /* how operationId ends: "WithPath" */
} Target;

/* Letters and digits of a text; each that comes after another character is a capital, and the first if asked for. */
static const char *camel(Arena *arena, const char *text, bool capital) {
    char *out = arena_strdup(arena, text);
    size_t n = 0;
    for (const char *c = text; *c; c++) {
        if (!isalnum((unsigned char)*c)) {
            capital = true;
            continue;
        }
        out[n++] = capital ? (char)toupper((unsigned char)*c) : *c;
        capital = false;
    }
    out[n] = 0;
    return out;
}

/* The group as operationIds and tags have it: without the domain of Kubernetes' own. */
static const char *bare_group(Arena *arena, const char *group) {
    size_t n = strlen(group) - (str_has_suffix(group, ".k8s.io") ? strlen(".k8s.io") : 0);
    return *group ? arena_printf(arena, "%.*s", (int)n, group) : "core";
}

static const char *tag_of(Arena *arena, const Resource *r) {
    return arena_printf(arena, "%s_%s", camel(arena, bare_group(arena, r->group), false),
                        camel(arena, r->version, false));
}

static const char *operation_id(OpenApiWriter *w, const Target *t, const Method *m) {
    const Resource *r = t->resource;
    const char *sub = t->subresource ? camel(w->arena, t->subresource->name, true) : "";
    const char *collection = streq(m->action, "deletecollection") ? "Collection" : "";
    const char *method = streq(m->action, "connect") ? camel(w->arena, m->method, true) : "";
    const char *namespaced = t->in_namespace ? "Namespaced" : "";
    bool begins = !*collection && !*method && !*namespaced; /* with the kind: then that has a capital */
    return arena_printf(w->arena, "%s%s%s%s%s%s%s%s%s%s%s", m->id,
                        camel(w->arena, bare_group(w->arena, r->group), true), camel(w->arena, r->version, true),
                        collection, method, namespaced, begins ? camel(w->arena, r->kind, true) : r->kind, sub,
                        streq(m->action, "watchlist") ? "List" : "", t->all_namespaces ? "ForAllNamespaces" : "",
                        t->id_end);
}

static void write_names(Buf *out, const char *key, const char *const *names) {
    buf_printf(out, "\"%s\":[", key);
    for (size_t i = 0; names[i]; i++)
        buf_printf(out, "%s\"%s\"", i ? "," : "", names[i]);
    buf_puts(out, "],");
}

/* ---- what a method takes and gives ---- */

static const char *refer(OpenApiWriter *w, const char *definition) {
    openapi_enqueue(w, schema_by_name(definition));
    return definition;
}

/* The definition of the kind that a path is of. */
static const char *object_definition(OpenApiWriter *w, const Target *t) {
    if (!t->subresource || !t->subresource->schema)
        return openapi_definition_name(w, t->resource);
    if (t->resource->custom && t->subresource->schema == t->resource->schema)
        return openapi_definition_name(w, t->resource);
    return t->subresource->schema->name ? refer(w, t->subresource->schema->name)
                                        : openapi_definition_name(w, t->resource);
}

static const char *body_definition(OpenApiWriter *w, const Target *t, Body body) {
    switch (body) {
    case BODY_OBJECT:
        return object_definition(w, t);
    case BODY_PATCH:
        w->patches = true;
        return OPENAPI_META "Patch";
    case BODY_DELETE:
        return refer(w, OPENAPI_META "DeleteOptions");
    default:
        return NULL;
    }
}

/* NULL: text. */
static const char *result_definition(OpenApiWriter *w, const Target *t, const Method *m) {
    const char *object = NULL;
    if (m->result == RESULT_TEXT)
        return NULL;
    if (m->result == RESULT_EVENT)
        return refer(w, OPENAPI_META "WatchEvent");
    /* A namespace is given as well, but it is still there then. */
    const Strategy *strategy = strategy_of(t->resource);
    bool gives_last =
        m->verb == VERB_DELETE && !t->resource->custom && strategy->return_deleted_object && !strategy->holds_deletion;
    if (m->result == RESULT_STATUS && !gives_last)
        return refer(w, OPENAPI_META "Status");
    object = object_definition(w, t);
    return m->result == RESULT_LIST ? refer(w, arena_printf(w->arena, "%sList", object)) : object;
}

static void write_schema(OpenApiWriter *w, const char *definition) {
    if (definition)
        buf_printf(w->out, "\"schema\":{\"$ref\":\"%s%s\"}", openapi_ref_root(w), definition);
    else
        buf_puts(w->out, "\"schema\":{\"type\":\"string\"}");
}

static void write_content(OpenApiWriter *w, const char *const *types, const char *definition) {
    buf_puts(w->out, "\"content\":{");
    for (size_t i = 0; types[i]; i++) {
        buf_printf(w->out, "%s\"%s\":{", i ? "," : "", types[i]);
        write_schema(w, definition);
        buf_putc(w->out, '}');
    }
    buf_putc(w->out, '}');
}

static void write_response(OpenApiWriter *w, const char *code, const char *text, const char *const *types,
                           const char *definition) {
    buf_printf(w->out, "\"%s\":{\"description\":\"%s\",", code, text);
    if (w->v3)
        write_content(w, types, definition);
    else
        write_schema(w, definition);
    buf_puts(w->out, "},");
}

/* "responses", with what every path may answer. */
static void write_responses(OpenApiWriter *w, const Method *m, const char *definition) {
    buf_puts(w->out, ",\"responses\":{");
    write_response(w, "200", "OK", m->produces, definition);
    if (m->created)
        write_response(w, "201", "Created", m->produces, definition);
    if (m->accepted)
        write_response(w, "202", "Accepted", m->produces, definition);
    buf_puts(w->out, "\"401\":{\"description\":\"Unauthorized\"}}");
}

static void write_head(OpenApiWriter *w, const char *method, const char *tag, const char *id,
                       const char *const *consumes, const char *const *produces) {
    buf_printf(w->out, "\"%s\":{", method);
    if (!w->v3) {
        if (consumes)
            write_names(w->out, "consumes", consumes);
        write_names(w->out, "produces", produces);
        buf_puts(w->out, "\"schemes\":[\"https\"],");
    }
    buf_printf(w->out, "\"tags\":[\"%s\"],\"operationId\":\"%s\"", tag, id);
}

/* And the end of the operation. The reference's v2 document went through a merge, which sorts members. */
static void write_action(OpenApiWriter *w, const char *action, const char *group, const char *version,
                         const char *kind) {
    buf_printf(w->out, ",\"x-kubernetes-action\":\"%s\",\"x-kubernetes-group-version-kind\":{\"group\":\"%s\",", action,
               group);
    if (w->v3)
        buf_printf(w->out, "\"version\":\"%s\",\"kind\":\"%s\"}}", version, kind);
    else
        buf_printf(w->out, "\"kind\":\"%s\",\"version\":\"%s\"}}", kind, version);
}

/* ---- a path ---- */

static void write_method(OpenApiWriter *w, const Target *t, const Method *m, uint64_t common) {
    const Resource *r = t->resource;
    const Subresource *s = t->subresource;
    bool other = s && s->group && !r->custom; /* a custom resource's scale is marked as the resource itself */
    const char *body = body_definition(w, t, m->body), *result = result_definition(w, t, m);
    uint64_t own = openapi_parameters(m->options) & ~common;
    write_head(w, m->method, tag_of(w->arena, r), operation_id(w, t, m), m->consumes, m->produces);
    buf_printf(w->out, ",\"description\":\"%s %s%s%s.\"", m->text, s ? s->name : "", s ? " of the " : "", r->kind);
    if (own || (body && !w->v3)) {
        buf_puts(w->out, ",\"parameters\":[");
        openapi_write_parameters(w, own, w->v3 ? NULL : body, r->kind);
        buf_putc(w->out, ']');
    }
    if (body && w->v3) {
        buf_puts(w->out, ",\"requestBody\":{");
        write_content(w, m->consumes, body);
        buf_puts(w->out, m->body == BODY_DELETE ? "}" : ",\"required\":true}");
    }
    write_responses(w, m, result);
    write_action(w, m->action, other ? s->group : r->group, other ? s->version : r->version,
                 s && !r->custom ? s->kind : r->kind);
}

static void begin_path(OpenApiWriter *w, const char *path) {
    buf_printf(w->out, "%s\"%s\":{", w->comma ? "," : "", path);
    w->comma = true;
}

/* The methods that `verbs` has. What all of them take stands once, at the path. */
static void write_path(OpenApiWriter *w, const Target *t, const Method *methods, size_t n, uint16_t verbs) {
    uint64_t common = UINT64_MAX;
    for (size_t i = 0; i < n; i++)
        if (verbs & methods[i].verb)
            common &= openapi_parameters(methods[i].options);
    if (common == UINT64_MAX)
        return;
    begin_path(w, t->path);
    for (size_t i = 0; i < n; i++)
        if (verbs & methods[i].verb) {
            write_method(w, t, &methods[i], common);
            buf_putc(w->out, ',');
        }
    buf_puts(w->out, "\"parameters\":[");
    openapi_write_parameters(w, common | openapi_parameters(t->in_path), NULL, t->resource->kind);
    buf_puts(w->out, "]}");
}

static void write_connect(OpenApiWriter *w, Target t, uint32_t options) {
    Method methods[ELEMENTSOF(connect_methods)];
    for (size_t i = 0; i < ELEMENTSOF(methods); i++)
        methods[i] = (Method){.verb = connect_methods[i].verb,
                              .method = connect_methods[i].method,
                              .action = "connect",
                              .id = "connect",
                              .text = "Connects to",
                              .options = options,
                              .result = RESULT_TEXT,
                              .consumes = any_type,
                              .produces = any_type};
    t.in_path &= (uint32_t)~QUERY_PRETTY;
    write_path(w, &t, methods, ELEMENTSOF(methods), t.subresource->verbs);
    if (!(t.subresource->verbs & VERB_DELETE)) /* no proxy */
        return;
    t.path = arena_printf(w->arena, "%s/{path}", t.path);
    t.in_path |= PATH_REST;
    t.id_end = "WithPath";
    write_path(w, &t, methods, ELEMENTSOF(methods), t.subresource->verbs);
}

static void write_subresource(OpenApiWriter *w, Target t) {
    const Resource *r = t.resource;
    uint32_t options = openapi_options_of(t.subresource->kind);
    t.path = arena_printf(w->arena, "%s/%s", t.path, t.subresource->name);
    if (options)
        write_connect(w, t, options);
    else if (streq(t.subresource->name, "log"))
        write_path(w, &t, &read_log, 1, VERB_GET);
    else if (r->custom)
        write_path(w, &t, on_custom, ELEMENTSOF(on_custom), t.subresource->verbs);
    else
        write_path(w, &t, on_one, ELEMENTSOF(on_one), t.subresource->verbs);
}

static void write_watch_paths(OpenApiWriter *w, Target many, const char *root, const char *rest) {
    many.path = arena_printf(w->arena, "%s/watch%s", root, rest);
    write_path(w, &many, &watch_many, 1, VERB_WATCH);
    many.path = arena_printf(w->arena, "%s/{name}", many.path);
    many.in_path |= PATH_NAME;
    if (many.resource->verbs & VERB_GET)
        write_path(w, &many, &watch_one, 1, VERB_WATCH);
}

static void write_resource(OpenApiWriter *w, const Resource *r, const char *root) {
    const char *rest = arena_printf(w->arena, "%s/%s", r->namespaced ? "/namespaces/{namespace}" : "", r->plural);
    const char *all_path = arena_printf(w->arena, "%s/%s", root, r->plural);
    bool custom = r->custom != NULL;
    Target many = {.resource = r,
                   .path = arena_printf(w->arena, "%s%s", root, rest),
                   .in_path = QUERY_PRETTY | (r->namespaced ? PATH_NAMESPACE : 0),
                   .in_namespace = r->namespaced,
                   .id_end = ""};
    Target one = many, all = many;
    one.path = arena_printf(w->arena, "%s/{name}", many.path);
    one.in_path |= PATH_NAME;
    all.path = all_path;
    all.in_path = QUERY_PRETTY;
    all.in_namespace = false;
    all.all_namespaces = true;
    write_path(w, &many, custom ? on_many_custom : on_many, 3, r->verbs);
    if (r->namespaced)
        write_path(w, &all, custom ? on_many_custom : on_many, 3, r->verbs & VERB_LIST);
    write_path(w, &one, custom ? on_custom : on_one, 4, r->verbs);
    for (size_t i = 0; i < r->n_subresources; i++) {
        one.subresource = &r->subresources[i];
        write_subresource(w, one);
    }
    if (custom || !(r->verbs & VERB_WATCH))
        return;
    write_watch_paths(w, many, root, rest);
    all.path = arena_printf(w->arena, "%s/watch/%s", root, r->plural);
    if (r->namespaced)
        write_path(w, &all, &watch_many, 1, VERB_WATCH);
}

/* ---- discovery and what else is no resource ---- */

static void write_plain(OpenApiWriter *w, const char *document, const char *tag, const char *id, const char *text,
                        const char *definition, const char *const *consumes, const char *const *produces) {
    Method m = {.produces = produces};
    if (w->v3 && !streq_null(w->document, document))
        return;
    begin_path(w, arena_printf(w->arena, "/%s/", document));
    write_head(w, "get", tag, id, consumes, produces);
    buf_printf(w->out, ",\"description\":\"%s\"", text);
    write_responses(w, &m, definition ? refer(w, definition) : NULL);
    buf_puts(w->out, "}}");
}

static void write_group(OpenApiWriter *w, const char *document, const Resource *r) {
    const char *group = bare_group(w->arena, r->group);
    write_plain(w, document, camel(w->arena, group, false),
                arena_printf(w->arena, "get%sAPIGroup", camel(w->arena, group, true)),
                "Gives the versions of the group.", OPENAPI_META "APIGroup", object_types, object_types);
}

static void write_version(OpenApiWriter *w, const char *document, const Resource *r) {
    const char *group = bare_group(w->arena, r->group);
    write_plain(
        w, document, tag_of(w->arena, r),
        arena_printf(w->arena, "get%s%sAPIResources", camel(w->arena, group, true), camel(w->arena, r->version, true)),
        "Lists the resources of the group in this version.", OPENAPI_META "APIResourceList", object_types,
        object_types);
}

static void write_others(OpenApiWriter *w) {
    static const char *const json[] = {"application/json", NULL}, *const keys[] = {"application/jwk-set+json", NULL};
    write_plain(w, ".well-known/openid-configuration", "WellKnown", "getServiceAccountIssuerOpenIDConfiguration",
                "Gives the configuration of the issuer of service account tokens, as OpenID Connect discovers it.",
                NULL, NULL, json);
    write_plain(w, "api", "core", "getCoreAPIVersions", "Lists the versions of the core group.",
                OPENAPI_META "APIVersions", object_types, object_types);
    write_plain(w, "apis", "apis", "getAPIVersions", "Lists the groups and their versions.",
                OPENAPI_META "APIGroupList", object_types, object_types);
    write_plain(w, "openid/v1/jwks", "openid", "getServiceAccountIssuerOpenIDKeyset",
                "Gives the public keys with which service account tokens are verified, as a JSON Web Key Set.", NULL,
                NULL, keys);
    write_plain(w, "version", "version", "getCodeVersion", "Gives the version of this server.",
                "io.k8s.apimachinery.pkg.version.Info", json, json);
}

void openapi_write_paths(OpenApiWriter *w) {
    const char *last_group = "", *last = "";
    write_others(w);
    for (size_t i = 0; !w->custom_only && resource_builtin(i); i++) {
        const Resource *r = resource_builtin(i);
        const char *root = *r->group ? arena_printf(w->arena, "apis/%s/%s", r->group, r->version)
                                     : arena_printf(w->arena, "api/%s", r->version);
        if (!streq(r->group, last_group))
            write_group(w, arena_printf(w->arena, "apis/%s", r->group), r);
        last_group = r->group;
        if (!streq(root, last))
            write_version(w, root, r);
        last = root;
        if (!w->v3 || streq(root, w->document))
            write_resource(w, r, arena_printf(w->arena, "/%s", root));
    }
    for (size_t i = 0; w->custom[i]; i++)
        write_resource(w, w->custom[i],
                       arena_printf(w->arena, "/apis/%s/%s", w->custom[i]->group, w->custom[i]->version));
}
