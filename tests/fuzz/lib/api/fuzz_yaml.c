/* What yaml_parse takes is within its limits and reads back from the YAML it is written as. */
#include "api/json.h"
#include "api/yaml_write.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    _cleanup_arena_ Arena *arena = arena_new(1 << 22);
    DuplicateFields duplicates;
    char *message;
    Value *v, *all;
    (void)yaml_parse_all(arena, (const char *)data, size, &all, &message);
    if (yaml_parse(arena, (const char *)data, size, &v, &duplicates, &message) < 0)
        return 0;
    _cleanup_buf_ Buf out = BUF_INIT(1 << 24);
    value_write_yaml(&out, v);
    if (!out.failed && out.data)
        (void)yaml_parse(arena, out.data, out.len, &v, NULL, &message);
    buf_clear(&out);
    value_write_yaml_node(&out, v);
    if (!out.failed && out.data)
        (void)yaml_parse(arena, out.data, out.len, &v, NULL, &message);
    return 0;
}
