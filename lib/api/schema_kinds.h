/* Which kinds the definitions of the published API are, as OpenAPI documents mark them. One definition may be a kind of
 * many groups and versions (DeleteOptions). */
#pragma once

#include <stddef.h>

typedef struct SchemaKind {
    const char *definition, *group, *version, *kind;
} SchemaKind;

extern const SchemaKind schema_kinds[]; /* sorted */
extern const size_t schema_kinds_count;
/* The first row of a definition, which its others follow; NULL: it is no kind. */
const SchemaKind *schema_kinds_of(const char *definition);
/* NULL: the published API has no such kind. Looks at every row. */
const SchemaKind *schema_kinds_find(const char *group, const char *version, const char *kind);
