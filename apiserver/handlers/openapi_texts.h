/* What OpenAPI documents say of types and their members in other words than this project's (lib/api/descriptions):
 * those of a Swagger 2 document, as "kubectl get --raw /openapi/v2" of any cluster of this version of Kubernetes gives
 * it. Immutable once read; any thread. */
#pragma once

#include "api/value.h"

#define OPENAPI_TEXTS_FILE_MAX (32 * 1024 * 1024)

typedef struct OpenApiTexts OpenApiTexts;

/* -EINVAL for a file that is no such document or describes nothing, else the error of reading it; *ret_error, which the
 * caller frees, says what to do. */
int openapi_texts_read(const char *path, OpenApiTexts **ret, char **ret_error);
void openapi_texts_free(OpenApiTexts *texts);
DEFINE_CLEANUP(OpenApiTexts, openapi_texts_free)
/* Into the definitions of a document (2 or 3), in `arena`. What the texts do not know keeps its own; paths do, too. */
void openapi_texts_put(const OpenApiTexts *texts, Arena *arena, Value *document);
