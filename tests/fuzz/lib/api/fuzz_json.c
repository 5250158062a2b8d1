/* What json_parse takes can be written and read back, and is the same from then on. */
#include "api/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    _cleanup_arena_ Arena *arena = arena_new(1 << 22);
    DuplicateFields duplicates;
    char *message;
    Value *v, *again;
    if (json_parse(arena, (const char *)data, size, &v, &duplicates, &message) < 0)
        return 0;
    /* Once written, text is stable: -0.0 becomes the integer 0 and a name is cut at a NUL on the first way. */
    _cleanup_buf_ Buf first = BUF_INIT(BUF_NO_LIMIT), second = BUF_INIT(BUF_NO_LIMIT), third = BUF_INIT(BUF_NO_LIMIT);
    value_write_json(&first, v);
    _cleanup_arena_ Arena *other = arena_new(0);
    if (json_parse(other, first.data, first.len, &again, NULL, NULL) < 0)
        abort();
    value_write_json(&second, again);
    if (json_parse(other, second.data, second.len, &again, NULL, NULL) < 0)
        abort();
    value_write_json(&third, again);
    if (second.len != third.len || memcmp(second.data, third.data, third.len) != 0)
        abort();
    return 0;
}
