#include "apiserver/handlers/route.h"
#include "base/str.h"

#define PARTS_MAX 64

typedef struct Parts {
    char **items;
    size_t n;
} Parts;

static const char *part(const Parts *parts, size_t i) {
    return i < parts->n ? parts->items[i] : NULL;
}

/* Decoded first: an escaped slash parts a path as any other. */
static Parts split(Arena *arena, const char *path) {
    size_t n = 0;
    while (*path == '/')
        path++;
    char *decoded = arena_strdup(arena, path);
    int len = percent_decode(decoded, false);
    if (len >= 0)
        decoded[len] = 0;
    char **items = str_split(arena, decoded, '/', &n);
    if (n && !*items[n - 1])
        n--;
    return (Parts){items, MIN(n, (size_t)PARTS_MAX)};
}

/* What is left of the path past the first `i` parts, not decoded. */
static const char *rest_from(const char *path, size_t i) {
    while (*path == '/')
        path++;
    for (; i && (path = strchr(path, '/')); i--)
        path++;
    return path ? path : "";
}

/* namespaces/NAME and its own subresources are the namespace; anything below is inside it. */
static void read_object(const Parts *parts, size_t i, Route *ret) {
    const char *first = part(parts, i), *third = part(parts, i + 2);
    if (first && streq(first, "namespaces") && third && !streq(third, "status") && !streq(third, "finalize")) {
        ret->ns = part(parts, i + 1);
        i += 2;
    }
    ret->plural = part(parts, i);
    ret->name = part(parts, i + 1);
    ret->subresource = part(parts, i + 2);
    ret->rest = rest_from(ret->path, i + 3);
}

static ApiVerb verb_of(const char *method, const Route *route, bool watch) {
    if (route->subresource) {
        static const char *const connected[] = {"exec", "attach", "portforward", "log", "proxy", NULL};
        if (str_in(route->subresource, connected))
            return API_CONNECT;
    }
    if (streq(method, "GET") || streq(method, "HEAD"))
        return watch ? API_WATCH : route->name ? API_GET : API_LIST;
    if (streq(method, "POST"))
        return API_CREATE;
    if (streq(method, "PUT"))
        return API_UPDATE;
    if (streq(method, "PATCH"))
        return API_PATCH;
    return route->name ? API_DELETE : API_DELETE_COLLECTION;
}

static uint16_t verb_bit(ApiVerb verb) {
    static const uint16_t bits[] = {
        [API_GET] = VERB_GET,       [API_LIST] = VERB_LIST,
        [API_WATCH] = VERB_WATCH,   [API_CREATE] = VERB_CREATE,
        [API_UPDATE] = VERB_UPDATE, [API_PATCH] = VERB_PATCH,
        [API_DELETE] = VERB_DELETE, [API_DELETE_COLLECTION] = VERB_DELETE_COLLECTION,
    };
    return verb < ELEMENTSOF(bits) ? bits[verb] : 0;
}

static uint16_t method_bit(const char *method) {
    return streq(method, "GET") || streq(method, "HEAD") ? VERB_GET
           : streq(method, "POST")                       ? VERB_CREATE
           : streq(method, "PUT")                        ? VERB_UPDATE
           : streq(method, "PATCH")                      ? VERB_PATCH
           : streq(method, "DELETE")                     ? VERB_DELETE
                                                         : 0;
}

static bool is_method_ok(const char *method, const Route *route) {
    const Resource *resource = route->resource;
    const Subresource *sub = route->subresource ? resource_subresource(resource, route->subresource) : NULL;
    if (sub && streq(route->subresource, "proxy") && (streq(method, "OPTIONS") || streq(method, "HEAD")))
        return true; /* what the other side allows; discovery has no verb for it */
    if (streq(method, "HEAD") && !resource->custom)
        return false; /* the reference's router has no path for it; the handler of custom resources takes it for GET */
    if (!method_bit(method) || (route->verb == API_WATCH && method_bit(method) != VERB_GET))
        return false;
    if (route->subresource)
        return sub && (sub->verbs & (route->verb == API_CONNECT ? method_bit(method) : verb_bit(route->verb)));
    if (route->verb == API_CREATE && route->name)
        return resource->custom; /* their handler takes the name from the body and does not mind one in the path */
    if (route->verb == API_UPDATE || route->verb == API_PATCH)
        if (!route->name)
            return false;
    /* lists over all namespaces; everything else of a namespaced kind is inside one */
    if (resource->namespaced && !route->ns && route->verb != API_LIST && route->verb != API_WATCH)
        return false;
    return (resource->verbs & verb_bit(route->verb)) != 0;
}

/* Whether the reference's router knows a path of this form, for whatever method: what is not kept (bindings, reviews)
 * has no path of one object, and what is not listed none over all namespaces. */
static bool has_path(const Route *route) {
    const uint16_t of_one = VERB_GET | VERB_UPDATE | VERB_PATCH | VERB_DELETE, of_all = VERB_LIST | VERB_WATCH;
    const Resource *resource = route->resource;
    if (resource->custom) /* one handler for all paths; over all namespaces there are only these verbs */
        return !resource->namespaced || route->ns || route->verb == API_LIST || route->verb == API_WATCH;
    if (route->subresource)
        return resource_subresource(resource, route->subresource);
    if (route->name)
        return resource->verbs & of_one;
    if (route->verb == API_WATCH || (resource->namespaced && !route->ns))
        return resource->verbs & of_all;
    return true;
}

void route_resolve(Route *ret, const char *method, const Resource *resource) {
    ret->resource = resource;
    if (!ret->resource || (ret->resource->namespaced ? ret->name && !ret->ns : ret->ns != NULL) || !has_path(ret) ||
        (*ret->rest && ret->subresource && !streq(ret->subresource, "proxy") && !resource->custom)) {
        ret->resource = NULL;
        return;
    }
    ret->method_ok = is_method_ok(method, ret);
}

void route_parse(Arena *arena, const char *method, const char *path, bool query_watch, Route *ret) {
    Parts parts = split(arena, path);
    *ret = (Route){.kind = ROUTE_PATH, .path = path, .prefix = "", .group = "", .version = "", .rest = ""};
    const char *first = part(&parts, 0);
    bool core = first && streq(first, "api"), grouped = first && streq(first, "apis");
    if (!core && !grouped)
        return;
    size_t i = core ? 2 : 3;
    ret->prefix = first;
    ret->group = core ? "" : str_or(part(&parts, 1), "");
    ret->version = str_or(part(&parts, i - 1), "");
    if (parts.n <= i)
        return;
    bool watch = streq(parts.items[i], "watch") && parts.n > i + 1;
    if (watch)
        i++;
    read_object(&parts, i, ret);
    if (!ret->plural)
        return;
    ret->kind = ROUTE_RESOURCE;
    ret->resource = resource_find(ret->group, ret->version, ret->plural);
    ret->verb = watch ? API_WATCH : verb_of(method, ret, query_watch && !ret->name);
    route_resolve(ret, method, ret->resource);
}
