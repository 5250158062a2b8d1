/* Two JSON documents, parted by a zero byte: the patch applies to the object or is refused; the inputs stay as they are
 * and normalising the result is stable. */
#include <stdio.h>

#include "api/codec.h"
#include "api/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    const uint8_t *zero = n ? memchr(data, 0, n) : NULL;
    if (!zero)
        return 0;
    _cleanup_arena_ Arena *arena = arena_new(64 << 20);
    const Schema *schema = schema_by_name("io.k8s.api.core.v1.Pod");
    Value *original, *patch, *result;
    size_t first = (size_t)(zero - data);
    if (json_parse(arena, (const char *)data, first, &original, NULL, NULL) < 0 ||
        json_parse(arena, (const char *)zero + 1, n - first - 1, &patch, NULL, NULL) < 0 ||
        original->type != VALUE_OBJECT)
        return 0;
    Value *original_before = value_copy(arena, original), *patch_before = value_copy(arena, patch);
    _cleanup_api_error_ ApiError err = {0};
    int r = strategic_merge_apply(arena, schema, original, patch, &result, &err);
    if (!value_equal(original, original_before) || !value_equal(patch, patch_before))
        abort();
    if ((r < 0) != (err.code != 0))
        abort();
    UnknownFields unknown = {0};
    if (r < 0 || schema_from_unstructured(arena, schema, result, &unknown, NULL) < 0)
        return 0;
    _cleanup_buf_ Buf once = BUF_INIT(64 << 20), twice = BUF_INIT(64 << 20);
    value_write_json(&once, result);
    if (schema_normalize(arena, schema, result, NULL, NULL) < 0)
        abort();
    value_write_json(&twice, result);
    if (once.len != twice.len || memcmp(once.data, twice.data, once.len) != 0)
        abort();
    return 0;
}
