/* Printer columns: a path, a zero byte, and the document it is read from. */
#include "api/json.h"
#include "apiserver/registry/json_path.h"
#include "base/str.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const uint8_t *zero = size ? memchr(data, 0, size) : NULL;
    if (!zero)
        return 0;
    _cleanup_arena_ Arena *arena = arena_new(64 << 20);
    size_t first = (size_t)(zero - data);
    Value *root;
    JsonPathNodes nodes = {0};
    if (json_parse(arena, (const char *)zero + 1, size - first - 1, &root, NULL, NULL) < 0)
        return 0;
    if (json_path_find(arena, root, (const char *)data, &nodes) == 0 && nodes.n > JSON_PATH_NODES_MAX)
        abort();
    return 0;
}
