/* The target of a request ("PATH?QUERY" after a line with the method): its route, its options for every verb, and the
 * selectors and revision of a list. */
#include "apiserver/handlers/api.h"
#include "apiserver/handlers/options.h"
#include "apiserver/handlers/route.h"
#include "base/str.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_list(Arena *arena, const Route *route, const ApiOptions *options, bool watch) {
    ApiRequest request = {.verb = watch ? API_WATCH : API_LIST,
                          .resource = route->resource,
                          .ns = route->ns,
                          .name = route->name,
                          .options = *options,
                          .arena = arena};
    ListParameters parameters = {0};
    _cleanup_api_error_ ApiError err = {0};
    int r = list_parameters_read(&request, watch, &parameters, &err);
    if ((r < 0) != (err.code != 0))
        abort();
    if (r == 0)
        list_parameters_done(&parameters);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    _cleanup_free_ char *method = xstrndup((const char *)data, size);
    char *path = strchr(method, '\n');
    if (!path)
        return 0;
    *path++ = 0;
    char *raw = strchr(path, '?');
    if (raw)
        *raw++ = 0;
    _cleanup_arena_ Arena *arena = arena_new(0);
    Query query;
    query_parse(arena, str_or(raw, ""), &query);
    Route route = {0};
    route_parse(arena, method, path, query_bool(&query, "watch"), &route);
    if (route.kind == ROUTE_RESOURCE && !route.plural)
        abort();
    for (ApiVerb verb = API_GET; verb <= API_CONNECT; verb++) {
        ApiOptions options = {0};
        _cleanup_api_error_ ApiError err = {0};
        int r = options_read(arena, &query, verb, &options, &err);
        if ((r < 0) != (err.code != 0))
            abort();
        if (r == 0 && route.resource && (verb == API_LIST || verb == API_WATCH))
            check_list(arena, &route, &options, verb == API_WATCH);
    }
    return 0;
}
