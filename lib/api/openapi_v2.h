/* Swagger 2 documents as protobuf: the messages of gnostic's openapi.v2 (OpenAPIv2.proto), which client-go's discovery
 * asks /openapi/v2 for; kubectl before 1.29 and helm know the schemas from nothing else. */
#pragma once

#include "api/value.h"

/* Appends the message Document. Members that the format has no field for are left out, as are those of another type
 * than Swagger's. -EFBIG past the limit of `out`, -ELOOP for schemas nested too deeply. */
int openapi_v2_encode(Buf *out, const Value *document);
