/* What the writers of an OpenAPI document share: the document so far, and the definitions it has referred to, which are
 * written once the paths are. */
#pragma once

#include "api/resource.h"
#include "base/strmap.h"

#define OPENAPI_META "io.k8s.apimachinery.pkg.apis.meta.v1."
#define OPENAPI_SCHEMAS_MAX 8192

typedef struct OpenApiWriter {
    Buf *out;
    bool v3;
    const char *document;        /* v3: the part of the API it is of, "apis/apps/v1", "version" */
    const char *group, *version; /* of `document`; NULL: it is of no group and version */
    StrMap *seen;                /* definition names written or queued */
    const Schema **queue;        /* OPENAPI_SCHEMAS_MAX */
    size_t n, next;
    bool comma;
    bool patches;            /* metav1.Patch has been referred to */
    const Resource **custom; /* rows of definitions to be written; ends with NULL */
    bool custom_only;
    Arena *arena;
} OpenApiWriter;

/* The definition will be written, once. NULL and anonymous schemas are left out. */
void openapi_enqueue(OpenApiWriter *w, const Schema *schema);
/* The prefix of a reference to a definition. */
const char *openapi_ref_root(const OpenApiWriter *w);
/* The name of the definition of a row's kind, custom or not. Borrowed, or of the writer's arena. */
const char *openapi_definition_name(OpenApiWriter *w, const Resource *resource);
/* "type" of a field as a parameter says it: lists are said by their elements. */
const char *openapi_scalar_type(const Schema *schema);

/* The paths of the document (openapi_paths.c), inside the braces of "paths". */
void openapi_write_paths(OpenApiWriter *w);
/* The parameters that operations of a v2 document refer to (openapi_parameters.c), inside the braces of "parameters".
 */
void openapi_write_shared_parameters(OpenApiWriter *w);
