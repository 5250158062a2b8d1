/* The parameters of operations in OpenAPI documents. A set of them is a mask of rows, which stand in the order in which
 * documents list them. */
#pragma once

#include "apiserver/handlers/openapi_writer.h"

/* The options types whose fields may be asked for in the query, and what stands in the path. */
enum {
    OPTIONS_LIST = 1 << 0,
    OPTIONS_CREATE = 1 << 1,
    OPTIONS_UPDATE = 1 << 2,
    OPTIONS_PATCH = 1 << 3,
    OPTIONS_DELETE = 1 << 4,
    OPTIONS_GET = 1 << 5,
    OPTIONS_POD_LOG = 1 << 6,
    OPTIONS_POD_ATTACH = 1 << 7,
    OPTIONS_POD_EXEC = 1 << 8,
    OPTIONS_POD_PORT_FORWARD = 1 << 9,
    OPTIONS_POD_PROXY = 1 << 10,
    OPTIONS_SERVICE_PROXY = 1 << 11,
    OPTIONS_NODE_PROXY = 1 << 12,
    OPTIONS_COLLECTION = 1 << 13, /* deletecollection: those of delete and those of a list that is no watch */
    PATH_NAME = 1 << 14,
    PATH_NAMESPACE = 1 << 15,
    PATH_REST = 1 << 16, /* {path} of a proxy */
    QUERY_PRETTY = 1 << 17,
};

/* The rows of these options. */
uint64_t openapi_parameters(uint32_t options);
/* The options of a kind such as PodExecOptions; 0: it has none. */
uint32_t openapi_options_of(const char *kind);
/* The list of these rows, separated by commas, without brackets; `body` stands first unless it is NULL. `kind` is whose
 * name {name} is. */
void openapi_write_parameters(OpenApiWriter *w, uint64_t rows, const char *body, const char *kind);
