#include "api/schema.h"

#include "api/gen/schemas.h"

/* Compares a counted name with a NUL-terminated one, in strcmp's order. */
static int name_compare(const char *name, size_t len, const char *other) {
    int r = strncmp(name, other, len);
    return r != 0 ? r : -(other[len] != 0);
}

const SchemaField *schema_field(const Schema *schema, const char *name, size_t len) {
    if (!schema || schema->type != SCHEMA_STRUCT || memchr(name, 0, len))
        return NULL;
    size_t low = 0, high = schema->n_fields;
    while (low < high) {
        size_t middle = (low + high) / 2;
        const SchemaField *field = &schema->fields[schema->by_name[middle]];
        int r = name_compare(name, len, field->name);
        if (r == 0)
            return field;
        if (r < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

static int compare_schema_name(const void *key, const void *row) {
    return strcmp(key, ((const SchemaName *)row)->name);
}

const Schema *schema_by_name(const char *name) {
    const SchemaName *row = bsearch(name, schema_names, schema_names_count, sizeof(SchemaName), compare_schema_name);
    return row ? row->schema : NULL;
}
