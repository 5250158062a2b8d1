/* OpenAPI 3 documents as protobuf: the messages of gnostic's openapi.v3 (OpenAPIv3.proto), the other form in which
 * client-go's openapi package asks for /openapi/v3/.... */
#pragma once

#include "api/value.h"

/* Appends the message Document. Members that the format has no field for are left out (the default of a schema that is
 * an object or a list is such a value), as are those of another type than OpenAPI's. -EFBIG past the limit of `out`,
 * -ELOOP for schemas nested too deeply. */
int openapi_v3_encode(Buf *out, const Value *document);
