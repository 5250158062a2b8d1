/* JSON and merge patches: {"original": ..., "patch": ...}. The original never changes. */
#include "api/codec.h"
#include "api/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    Value *v, *got;
    if (size > 65536 || json_parse(arena, (const char *)data, size, &v, NULL, NULL) < 0)
        return 0;
    const Value *original = value_get(v, "original"), *patch = value_get(v, "patch");
    if (!original || !patch)
        return 0;
    Value *before = value_copy(arena, original);
    _cleanup_api_error_ ApiError err = {0};
    if (json_patch_apply(arena, original, patch, &got, &err) == 0) {
        _cleanup_buf_ Buf out = BUF_INIT(BUF_NO_LIMIT);
        value_write_json(&out, got);
        if (json_parse(arena, out.data, out.len, &got, NULL, NULL) < 0)
            abort(); /* a result must be storable */
    }
    if (merge_patch_apply(arena, original, patch, &got) < 0 || !value_equal(before, original))
        abort();
    return 0;
}
