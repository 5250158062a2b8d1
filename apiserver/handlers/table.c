/* The Table form (meta.k8s.io/v1): what kubectl get prints. Rows come from the resource's printer. */
#include "apiserver/handlers/encode.h"
#include "api/gen/schemas.h"
#include "apiserver/registry/custom_resources.h"
#include "apiserver/registry/json_path.h"
#include "apiserver/registry/printers.h"
#include "base/clock.h"
#include "base/str.h"

#include <math.h>

/* Columns of metadata say what OpenAPI says of its fields. */
static const char *description_of(const Column *column) {
    static const struct {
        const char *column, *field;
    } rows[] = {{"Name", "name"}, {"Age", "creationTimestamp"}, {"Created At", "creationTimestamp"}};
    for (size_t i = 0; i < ELEMENTSOF(rows); i++)
        if (streq(column->name, rows[i].column))
            return schema_description(
                schema_field(&schema_meta_v1_ObjectMeta, rows[i].field, strlen(rows[i].field))->description);
    return "";
}

static Value *column_value(Arena *arena, const Column *column) {
    Value *v = value_object(arena);
    value_set_str(arena, v, "name", column->name);
    value_set_str(arena, v, "type", column->type);
    value_set_str(arena, v, "format", str_or(column->format, ""));
    value_set_str(arena, v, "description", description_of(column));
    value_set_int(arena, v, "priority", column->priority);
    return v;
}

static Value *custom_columns(Arena *arena, const CustomVersion *version) {
    static const Column name = {"Name", "string", "name", 0, NULL}, age = {"Age", "date", "", 0, NULL};
    Value *definitions = value_array(arena);
    value_append(arena, definitions, column_value(arena, &name));
    for (size_t i = 0; i < version->n_columns; i++) {
        Value *column = column_value(arena, &version->columns[i]);
        value_set_str(arena, column, "description", version->descriptions[i]);
        value_append(arena, definitions, column);
    }
    if (!version->n_columns)
        value_append(arena, definitions, column_value(arena, &age));
    return definitions;
}

static const char *since(Arena *arena, const char *timestamp, const char *otherwise, int64_t now_ns) {
    int64_t then;
    char out[32];
    if (str_empty(timestamp) || rfc3339_parse(timestamp, &then) < 0)
        return otherwise;
    return arena_strdup(arena, duration_human(ns_between(now_ns, then), out));
}

static Value *number_cell(Arena *arena, const Value *v, bool whole) {
    if (!value_is(v, VALUE_INT) && !value_is(v, VALUE_DOUBLE))
        return value_null(arena);
    if (whole && v->type == VALUE_DOUBLE) /* what does not fit is what Go makes of it on amd64 */
        return value_int(arena, fabs(v->number) < 0x1p63 ? (int64_t)v->number : INT64_MIN);
    if (whole)
        return value_int(arena, v->integer);
    return value_double(arena, v->type == VALUE_INT ? (double)v->integer : v->number);
}

static Value *custom_cell(Arena *arena, const Column *column, const Value *object, int64_t now_ns) {
    JsonPathNodes found;
    /* The first of several; what does not fit prints nothing. */
    if (json_path_find(arena, object, column->json_path, &found) < 0 || !found.n)
        return value_null(arena);
    const Value *v = found.items[0];
    if (v->type == VALUE_NULL)
        return value_null(arena);
    if (streq(column->type, "string"))
        return value_string(arena, value_str(v) ? value_str(v) : value_to_text(arena, v));
    if (streq(column->type, "integer") || streq(column->type, "number"))
        return number_cell(arena, v, streq(column->type, "integer"));
    if (streq(column->type, "boolean"))
        return value_is(v, VALUE_BOOL) ? value_bool(arena, v->boolean) : value_null(arena);
    if (streq(column->type, "date") && value_str(v))
        return value_string(arena, since(arena, value_str(v), "<invalid>", now_ns));
    return value_null(arena);
}

static void custom_cells(Arena *arena, const CustomVersion *version, const Value *object, int64_t now_ns,
                         Value *cells) {
    const Value *meta = value_get(object, "metadata");
    value_append(arena, cells, value_string(arena, str_or(value_get_str(meta, "name"), "")));
    for (size_t i = 0; i < version->n_columns; i++)
        value_append(arena, cells, custom_cell(arena, &version->columns[i], object, now_ns));
    if (!version->n_columns)
        value_append(arena, cells,
                     value_string(arena, since(arena, value_get_str(meta, "creationTimestamp"), "<unknown>", now_ns)));
}

Value *print_table_new(Arena *arena, const Resource *resource, bool with_columns) {
    const Printer *printer = printer_of(resource->storage->group, resource->storage->plural);
    Value *table = api_value_new(arena, "meta.k8s.io/v1", "Table"), *definitions = value_array(arena);
    value_set(arena, table, "metadata", value_object(arena));
    for (size_t i = 0; with_columns && !resource->custom && i < printer->n_columns; i++)
        value_append(arena, definitions, column_value(arena, &printer->columns[i]));
    if (with_columns && resource->custom)
        definitions = custom_columns(arena, custom_version(resource));
    value_set(arena, table, "columnDefinitions", with_columns ? definitions : value_null(arena));
    value_set(arena, table, "rows", value_array(arena));
    return table;
}

void print_table_add(Arena *arena, Value *table, const Resource *resource, const Object *object,
                     const char *include_object, int64_t now_ns) {
    const Printer *printer = printer_of(resource->storage->group, resource->storage->plural);
    Value *row = value_object(arena), *cells = value_array(arena), *tree = object_value(object, arena);
    Value *conditions = printer->conditions ? printer->conditions(arena, tree) : NULL;
    if (resource->custom) {
        custom_resource_read(arena, resource, tree);
        custom_cells(arena, custom_version(resource), tree, now_ns, cells);
    } else
        printer_print(printer, arena, tree, now_ns, cells);
    value_set(arena, row, "cells", cells);
    value_set(arena, row, "conditions", conditions);
    if (streq(include_object, "Object"))
        value_set(arena, row, "object", tree);
    else if (!streq(include_object, "None"))
        value_set(arena, row, "object", partial_of(arena, object));
    value_append(arena, value_get(table, "rows"), row);
}
