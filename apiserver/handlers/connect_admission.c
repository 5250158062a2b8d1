#include "apiserver/handlers/connect_admission.h"
#include "api/codec.h"
#include "base/str.h"

bool connect_is_admitted(const Route *route) {
    return route->subresource && !streq(route->subresource, "log");
}

/* One parameter of the query as its field's type has it. */
static void set_parameter(Arena *arena, const Query *query, const QueryItem *item, const Schema *schema, Value *ret) {
    const SchemaField *field = schema_field(schema, item->key, strlen(item->key));
    int64_t n = 0;
    if (!field)
        return;
    switch (field->schema->type) {
    case SCHEMA_BOOL:
        value_set_bool(arena, ret, item->key, query_bool(query, item->key));
        break;
    case SCHEMA_STRING:
        value_set_str(arena, ret, item->key, item->value);
        break;
    case SCHEMA_LIST:
        if (field->schema->element->type == SCHEMA_STRING)
            value_append(arena, value_ensure_array(arena, ret, item->key), value_string(arena, item->value));
        else if (str_to_int64(item->value, &n) == 0)
            value_append(arena, value_ensure_array(arena, ret, item->key), value_int(arena, n));
        break;
    default:
        break;
    }
}

static Value *options_of(Exchange *exchange, const Subresource *row) {
    Arena *arena = exchange->arena;
    const Query *query = &exchange->query;
    Value *options = api_value_new(arena, "v1", row->kind);
    for (size_t i = 0; row->schema && i < query->n; i++)
        set_parameter(arena, query, &query->items[i], row->schema, options);
    if (streq(row->name, "proxy") && !str_empty(exchange->route.rest))
        value_set_str(arena, options, "path", arena_printf(arena, "/%s", exchange->route.rest));
    if (row->schema)
        schema_normalize(arena, row->schema, options, NULL, NULL);
    return options;
}

int connect_admit(Exchange *exchange, ApiError *err) {
    const ApiRequest *request = &exchange->request;
    const Subresource *row = resource_subresource(request->resource, request->subresource);
    RegistryCall call;
    if (!row)
        return 0;
    registry_call_init(&call, api_core_registry(api_http_config(exchange->api)->core), request);
    return registry_admit_connect(&call, options_of(exchange, row), str_or(request->name, ""), err);
}
