/* The Table form (meta.k8s.io/v1): what kubectl get prints. Rows come from the resource's printer. */
#include "apiserver/handlers/encode.h"
#include "apiserver/registry/printers.h"
#include "base/str.h"

#define NAME_DESCRIPTION                                                                                               \
    "Name must be unique within a namespace. Is required when creating resources, although some resources may allow "  \
    "a client to request the generation of an appropriate name automatically. Name is primarily intended for "         \
    "creation idempotence and configuration definition. Cannot be updated. More info: "                                \
    "https://kubernetes.io/docs/concepts/overview/working-with-objects/names#names"
#define CREATED_DESCRIPTION                                                                                            \
    "CreationTimestamp is a timestamp representing the server time when this object was created. It is not "           \
    "guaranteed to be set in happens-before order across separate operations. Clients may not set this value. It is "  \
    "represented in RFC3339 form and is in UTC.\n\nPopulated by the system. Read-only. Null for lists. More info: "    \
    "https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata"

static const char *description_of(const Column *column) {
    if (streq(column->name, "Name"))
        return NAME_DESCRIPTION;
    if (streq(column->name, "Age") || streq(column->name, "Created At"))
        return CREATED_DESCRIPTION;
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

Value *print_table_new(Arena *arena, const Resource *resource, bool with_columns) {
    const Printer *printer = printer_of(resource->storage->group, resource->storage->plural);
    Value *table = api_value_new(arena, "meta.k8s.io/v1", "Table"), *definitions = value_array(arena);
    value_set(arena, table, "metadata", value_object(arena));
    for (size_t i = 0; with_columns && i < printer->n_columns; i++)
        value_append(arena, definitions, column_value(arena, &printer->columns[i]));
    value_set(arena, table, "columnDefinitions", with_columns ? definitions : value_null(arena));
    value_set(arena, table, "rows", value_array(arena));
    return table;
}

void print_table_add(Arena *arena, Value *table, const Resource *resource, const Object *object,
                     const char *include_object, int64_t now_ns) {
    const Printer *printer = printer_of(resource->storage->group, resource->storage->plural);
    Value *row = value_object(arena), *cells = value_array(arena), *tree = object_value(object, arena);
    Value *conditions = printer->conditions ? printer->conditions(arena, tree) : NULL;
    printer_print(printer, arena, tree, now_ns, cells);
    value_set(arena, row, "cells", cells);
    value_set(arena, row, "conditions", conditions);
    if (streq(include_object, "Object"))
        value_set(arena, row, "object", tree);
    else if (!streq(include_object, "None"))
        value_set(arena, row, "object", partial_of(arena, object));
    value_append(arena, value_get(table, "rows"), row);
}
