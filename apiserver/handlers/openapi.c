#include "apiserver/handlers/openapi.h"
#include "api/json.h"
#include "api/openapi_v2.h"
#include "api/openapi_v3.h"
#include "apiserver/handlers/negotiate.h"
#include "apiserver/handlers/openapi_merge.h"
#include "apiserver/handlers/openapi_schema.h"
#include "apiserver/handlers/openapi_texts.h"
#include "apiserver/registry/api_services.h"
#include "apiserver/registry/custom_resources.h"
#include "base/log.h"
#include "base/str.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <time.h>

#define OPENAPI_MAX (64 * 1024 * 1024) /* bytes of one document */

typedef struct Document {
    char *path; /* "apis/apps/v1" */
    Buf json;   /* of v3 and built-in resources only the hash is kept: it is written again when asked for */
    char hash[HTTP_HASH_MAX];
    const Resource *like; /* v3: a row of the group and version it is of; NULL: of none */
    bool custom;          /* of definitions: written anew when they change */
} Document;

struct OpenApi {
    pthread_mutex_t lock;
    Document v2;
    Buf v2_protobuf; /* of v2; empty until asked for */
    Document *v3;
    size_t n_v3, cap_v3;
    bool built;
    CustomResources *custom;
    ApiServices *services;
    const char *descriptions; /* the file of the texts; NULL: none, or it was read */
    OpenApiTexts *texts;
    uint64_t generation; /* of the definitions in the documents */
    uint64_t merged;     /* of the list of services in the v2 document */
};

OpenApi *openapi_new(CustomResources *custom, ApiServices *services, const char *descriptions) {
    OpenApi *openapi = NEW0(OpenApi);
    openapi->custom = custom;
    openapi->v2_protobuf = BUF_INIT(OPENAPI_MAX);
    openapi->services = services;
    openapi->descriptions = str_empty(descriptions) ? NULL : descriptions;
    pthread_mutex_init(&openapi->lock, NULL);
    return openapi;
}

static void document_done(Document *document) {
    free(document->path);
    buf_done(&document->json);
}

void openapi_free(OpenApi *openapi) {
    if (!openapi)
        return;
    document_done(&openapi->v2);
    buf_done(&openapi->v2_protobuf);
    for (size_t i = 0; i < openapi->n_v3; i++)
        document_done(&openapi->v3[i]);
    free(openapi->v3);
    openapi_texts_free(openapi->texts);
    pthread_mutex_destroy(&openapi->lock);
    free(openapi);
}

static void seal(Document *document) {
    http_hash_of(document->json.data, document->json.len, document->hash);
}

static void read_texts(OpenApi *openapi) {
    _cleanup_free_ char *why = NULL;
    const char *path = TAKE_PTR(openapi->descriptions);
    int r = path ? openapi_texts_read(path, &openapi->texts, &why) : 0;
    if (r < 0 && r != -ENOENT)
        log_warn("%s; OpenAPI has Lighter's own descriptions", why);
}

/* What has been written, in the words of the file, if there is one. */
static void reword(OpenApi *openapi, Buf *json) {
    read_texts(openapi);
    if (!openapi->texts)
        return;
    _cleanup_arena_ Arena *arena = arena_new(0);
    Value *document;
    if (json_parse(arena, json->data, json->len, &document, NULL, NULL) < 0)
        return;
    openapi_texts_put(openapi->texts, arena, document);
    buf_clear(json);
    value_write_json(json, document);
}

static void write_v3(OpenApi *openapi, Buf *out, const char *path, const Resource *like, const Resource **custom) {
    openapi_write_v3(out, path, like, custom);
    reword(openapi, out);
}

/* The rows of one group and version. */
static const Resource **rows_of(Arena *arena, const Resource **all, const Resource *like) {
    size_t n = 0, kept = 0;
    while (all[n])
        n++;
    const Resource **out = arena_alloc0(arena, (n + 1) * sizeof *out);
    for (size_t i = 0; i < n; i++)
        if (streq(all[i]->group, like->group) && streq(all[i]->version, like->version))
            out[kept++] = all[i];
    return out;
}

static Document *new_document(OpenApi *openapi) {
    if (openapi->n_v3 == openapi->cap_v3) {
        openapi->cap_v3 = MAX(openapi->cap_v3 * 2, (size_t)64);
        openapi->v3 = xreallocn(openapi->v3, openapi->cap_v3, sizeof *openapi->v3);
    }
    return &openapi->v3[openapi->n_v3++];
}

/* Takes the path. `like`: a row of the group and version it is of; NULL: of none. `custom`: all there are; NULL: it is
 * a document of built-in rows. */
static void add_document(OpenApi *openapi, char *path, const Resource *like, const Resource **custom) {
    for (size_t i = 0; i < openapi->n_v3; i++)
        if (streq(openapi->v3[i].path, path)) {
            free(path);
            return;
        }
    _cleanup_arena_ Arena *arena = arena_new(0);
    Document *document = new_document(openapi);
    *document = (Document){.path = path, .json = BUF_INIT(OPENAPI_MAX), .like = like, .custom = custom != NULL};
    write_v3(openapi, &document->json, path, like, custom ? rows_of(arena, custom, like) : NULL);
    seal(document);
    if (!custom)
        buf_done(&document->json);
}

static void add_group(OpenApi *openapi, const Resource *resource, const Resource **custom) {
    bool core = !*resource->group;
    if (!core && !custom)
        add_document(openapi, xasprintf("apis/%s", resource->group), NULL, NULL);
    add_document(openapi,
                 core ? xasprintf("api/%s", resource->version)
                      : xasprintf("apis/%s/%s", resource->group, resource->version),
                 resource, custom);
}

static void drop_v2(OpenApi *openapi) {
    document_done(&openapi->v2);
    buf_done(&openapi->v2_protobuf);
    openapi->v2 = (Document){0};
    openapi->v2_protobuf = BUF_INIT(OPENAPI_MAX);
}

/* Forgets what older definitions left. */
static void drop_stale(OpenApi *openapi) {
    uint64_t generation = custom_resources_generation(openapi->custom);
    size_t kept = 0;
    if (generation == openapi->generation)
        return;
    for (size_t i = 0; i < openapi->n_v3; i++)
        if (openapi->v3[i].custom)
            document_done(&openapi->v3[i]);
        else
            openapi->v3[kept++] = openapi->v3[i];
    openapi->n_v3 = kept;
    drop_v2(openapi);
    openapi->built = false;
    openapi->generation = generation;
}

static int by_path(const void *a, const void *b) {
    return strcmp(((const Document *)a)->path, ((const Document *)b)->path);
}

static void build_v3(OpenApi *openapi) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    static const char *const others[] = {".well-known/openid-configuration", "api", "apis", "openid/v1/jwks",
                                         "version"};
    if (openapi->built)
        return;
    for (size_t i = 0; i < ELEMENTSOF(others); i++)
        add_document(openapi, xstrdup(others[i]), NULL, NULL);
    for (size_t i = 0; resource_builtin(i); i++)
        add_group(openapi, resource_builtin(i), NULL);
    const Resource **custom = custom_resources_all(openapi->custom, arena);
    for (size_t i = 0; custom[i]; i++)
        add_group(openapi, custom[i], custom);
    openapi->built = true;
    qsort(openapi->v3, openapi->n_v3, sizeof *openapi->v3, by_path);
}

#define FRESH_SECONDS (365 * 24 * 3600) /* of what was asked for by its hash: a client may keep it so long */

/* `by_hash`: the document of this hash was asked for, which never changes. */
static void reply(HttpRequest *http, const char *type, const Buf *bytes, const char *hash, bool by_hash) {
    char etag[HTTP_ETAG_MAX], expires[64];
    time_t until = time(NULL) + FRESH_SECONDS;
    struct tm tm;
    http_etag_of(hash, etag);
    strftime(expires, sizeof expires, "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&until, &tm));
    HttpHeader headers[5] = {
        {"cache-control", by_hash ? "public, immutable" : "no-cache, private"}, {"vary", "Accept"}, {"etag", etag}};
    size_t n = 3;
    if (by_hash)
        headers[n++] = (HttpHeader){"expires", expires};
    if (http_has_etag(http, hash)) {
        http_reply(http, 304, headers, n, (HttpBytes){0});
        return;
    }
    headers[n++] = (HttpHeader){"content-type", type};
    http_reply(http, 200, headers, n, http_bytes_copy(bytes->data, bytes->len));
}

/* What the indexes of aggregated servers say of their own groups. */
static void write_remote_index(Buf *out, const ApiServiceList *services) {
    for (size_t i = 0; i < services->n; i++) {
        const ApiService *service = &services->items[i];
        char key[512];
        snprintf(key, sizeof key, "apis/%s/%s", service->group, service->version);
        const Value *entry =
            service->remote && service->documents ? value_get(service->documents->openapi_v3, key) : NULL;
        if (!entry)
            continue;
        buf_putc(out, ',');
        json_write_string(out, key, strlen(key));
        buf_putc(out, ':');
        value_write_json(out, entry);
    }
}

static void serve_index(OpenApi *openapi, HttpRequest *http, const ApiServiceList *services) {
    _cleanup_buf_ Buf out = BUF_INIT(1024 * 1024);
    buf_puts(&out, "{\"paths\":{");
    for (size_t i = 0; i < openapi->n_v3; i++)
        buf_printf(&out, "%s\"%s\":{\"serverRelativeURL\":\"/openapi/v3/%s?hash=%.64s\"}", i ? "," : "",
                   openapi->v3[i].path, openapi->v3[i].path, openapi->v3[i].hash);
    write_remote_index(&out, services);
    buf_puts(&out, "}}");
    http_reply_text(http, 200, "text/plain; charset=utf-8", out.data);
}

/* The documents of aggregated servers go into ours, as trees. */
static void merge_remote(Document *document, const ApiServiceList *services, Arena *arena) {
    Value *whole = NULL;
    for (size_t i = 0; i < services->n; i++) {
        const ApiDocuments *documents = services->items[i].documents;
        if (!services->items[i].remote || !documents || !documents->openapi_v2)
            continue;
        if (!whole && json_parse(arena, document->json.data, document->json.len, &whole, NULL, NULL) < 0)
            return;
        openapi_merge(arena, whole, documents->openapi_v2);
    }
    if (!whole)
        return;
    buf_clear(&document->json);
    value_write_json(&document->json, whole);
}

static void build_v2(OpenApi *openapi, const ApiServiceList *services) {
    Document *document = &openapi->v2;
    if (openapi->merged != services->generation)
        drop_v2(openapi);
    openapi->merged = services->generation;
    if (document->json.data)
        return;
    document->json = BUF_INIT(OPENAPI_MAX);
    _cleanup_arena_ Arena *arena = arena_new(0);
    openapi_write_v2(&document->json, custom_resources_all(openapi->custom, arena));
    reword(openapi, &document->json);
    merge_remote(document, services, arena);
    seal(document);
}

typedef int (*Encode)(Buf *out, const Value *document);

static int to_protobuf(Buf *out, const Buf *json, Encode encode) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    Value *document;
    int r = json_parse(arena, json->data, json->len, &document, NULL, NULL);
    return r < 0 ? r : encode(out, document);
}

static int build_v2_protobuf(OpenApi *openapi) {
    if (openapi->v2_protobuf.data)
        return 0;
    _cleanup_buf_ Buf out = BUF_INIT(OPENAPI_MAX);
    int r = to_protobuf(&out, &openapi->v2.json, openapi_v2_encode);
    if (r < 0)
        return r;
    openapi->v2_protobuf = out;
    out = BUF_INIT(0);
    return 0;
}

/* The types of a version: JSON, protobuf, and protobuf by the name it had first, which is no valid media type. */
#define PROTOBUF_TYPE(version) "application/com.github.proto-openapi.spec." version ".v1.0+protobuf"
#define TYPES(version)                                                                                                 \
    {                                                                                                                  \
        "application/json", PROTOBUF_TYPE(version),                                                                    \
            "application/com.github.proto-openapi.spec." version "@v1.0+protobuf", NULL                                \
    }

static void not_acceptable(HttpRequest *http) {
    HttpHeader headers[] = {{"cache-control", "no-cache, private"}, {"vary", "Accept"}};
    http_reply(http, 406, headers, ELEMENTSOF(headers), (HttpBytes){0});
}

static void not_built(HttpRequest *http) {
    http_reply_text(http, 503, "text/plain; charset=utf-8", "");
}

static void serve_v2(OpenApi *openapi, HttpRequest *http, const ApiServiceList *services) {
    static const char *const types[] = TYPES("v2");
    int type = media_choose(http, types);
    if (type < 0) {
        not_acceptable(http);
        return;
    }
    build_v2(openapi, services);
    if (type == 0)
        reply(http, types[0], &openapi->v2.json, openapi->v2.hash, false);
    else if (build_v2_protobuf(openapi) == 0)
        reply(http, types[1], &openapi->v2_protobuf, openapi->v2.hash, false);
    else
        not_built(http);
}

/* Asked for by a hash that is no more: the one that is has its own URL. */
static void redirect(HttpRequest *http, const Document *document, const char *type) {
    char etag[HTTP_ETAG_MAX], *to = xasprintf("/openapi/v3/%s?hash=%.64s", document->path, document->hash);
    http_etag_of(document->hash, etag);
    HttpHeader headers[] = {{"location", to},
                            {"cache-control", "no-cache, private"},
                            {"vary", "Accept"},
                            {"etag", etag},
                            {"content-type", type}};
    http_reply(http, 301, headers, ELEMENTSOF(headers), (HttpBytes){0});
    free(to);
}

static const char *const types_v3[] = TYPES("v3");

/* Of what is not kept no more is written than the client does not have. The hash is that of the JSON in either form. */
static void reply_v3(OpenApi *openapi, HttpRequest *http, const Document *document, bool as_protobuf, bool by_hash) {
    _cleanup_buf_ Buf written = BUF_INIT(OPENAPI_MAX), protobuf = BUF_INIT(OPENAPI_MAX);
    const Buf *json = document->custom ? &document->json : &written;
    bool known = http_has_etag(http, document->hash);
    if (!document->custom && !known)
        write_v3(openapi, &written, document->path, document->like, NULL);
    if (!as_protobuf)
        reply(http, types_v3[0], json, document->hash, by_hash);
    else if (known || to_protobuf(&protobuf, json, openapi_v3_encode) == 0)
        reply(http, types_v3[1], &protobuf, document->hash, by_hash);
    else
        not_built(http);
}

static void serve_v3(OpenApi *openapi, HttpRequest *http, Arena *arena, const char *name) {
    const Document *found = NULL;
    Query query;
    query_parse(arena, http_query(http), &query);
    const char *hash = query_get(&query, "hash");
    int type = media_choose(http, types_v3);
    for (size_t i = 0; i < openapi->n_v3 && !found; i++)
        if (streq(openapi->v3[i].path, name))
            found = &openapi->v3[i];
    if (!found)
        http_reply(http, 404, NULL, 0, (HttpBytes){0});
    else if (type < 0)
        not_acceptable(http);
    else if (!str_empty(hash) && !streq(hash, found->hash))
        redirect(http, found, types_v3[type > 0]);
    else
        reply_v3(openapi, http, found, type > 0, !str_empty(hash));
}

void openapi_serve(OpenApi *openapi, HttpRequest *http, Arena *arena, const char *path) {
    _cleanup_(api_service_list_unrefp) ApiServiceList *services = api_services_get(openapi->services);
    pthread_mutex_lock(&openapi->lock);
    drop_stale(openapi);
    if (streq(path, "/openapi/v2"))
        serve_v2(openapi, http, services);
    else if (str_has_prefix(path, "/openapi/v3")) {
        build_v3(openapi);
        const char *rest = path + strlen("/openapi/v3");
        while (*rest == '/')
            rest++;
        if (*rest)
            serve_v3(openapi, http, arena, rest);
        else
            serve_index(openapi, http, services);
    } else
        http_reply_text(http, 404, "text/plain; charset=utf-8", "404 page not found\n");
    pthread_mutex_unlock(&openapi->lock);
}
