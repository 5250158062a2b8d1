/* OpenAPI documents of aggregated servers, {"prefix": ..., "document": ..., "other": ...}: what is ours is picked,
 * merged, and written as protobuf. */
#include "api/json.h"
#include "api/openapi_v2.h"
#include "api/openapi_v3.h"
#include "apiserver/handlers/openapi_merge.h"
#include "base/str.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    Value *v;
    if (size > 65536 || json_parse(arena, (const char *)data, size, &v, NULL, NULL) < 0)
        return 0;
    Value *document = value_get(v, "document"), *other = value_get(v, "other");
    _cleanup_buf_ Buf out = BUF_INIT(16 << 20);
    if (value_is(other, VALUE_OBJECT))
        other = openapi_filter(arena, other, str_or(value_get_str(v, "prefix"), "/apis/"));
    if (value_is(document, VALUE_OBJECT)) {
        if (other)
            openapi_merge(arena, document, other);
        (void)openapi_v2_encode(&out, document);
        buf_clear(&out);
        (void)openapi_v3_encode(&out, document);
    }
    return 0;
}
