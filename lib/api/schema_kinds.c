#include "api/schema_kinds.h"

#include <string.h>

const SchemaKind *schema_kinds_of(const char *definition) {
    size_t low = 0, high = schema_kinds_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (strcmp(schema_kinds[middle].definition, definition) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < schema_kinds_count && strcmp(schema_kinds[low].definition, definition) == 0 ? &schema_kinds[low]
                                                                                             : NULL;
}

const SchemaKind *schema_kinds_find(const char *group, const char *version, const char *kind) {
    for (size_t i = 0; i < schema_kinds_count; i++) {
        const SchemaKind *row = &schema_kinds[i];
        if (strcmp(row->kind, kind) == 0 && strcmp(row->version, version) == 0 && strcmp(row->group, group) == 0)
            return row;
    }
    return NULL;
}
