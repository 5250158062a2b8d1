/* Answers of an API server, whoever it is: a document as an object, a list, an event of a watch and a Status. The first
 * byte says of which kind. */
#include "api/json.h"
#include "client/http_request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void take(Arena *arena, const Resource *row, Value *v) {
    (void)http_answer_is_object(arena, row, v);
    (void)http_answer_revision(v);
    for (int metadata_only = 0; metadata_only < 2; metadata_only++) {
        _cleanup_object_ Object *object = http_answer_object(arena, row, value_copy(arena, v), metadata_only);
        (void)object;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    size_t n = 0;
    if (!size)
        return 0;
    while (resource_builtin(n))
        n++;
    const Resource *row = resource_builtin(data[0] % n);
    _cleanup_arena_ Arena *arena = arena_new(0);
    Value *v, *item;
    if (size > 65536 || json_parse(arena, (const char *)data + 1, size - 1, &v, NULL, NULL) < 0 ||
        !value_is(v, VALUE_OBJECT))
        return 0;
    take(arena, row, v);
    if (value_is(value_get(v, "object"), VALUE_OBJECT))
        take(arena, row, value_get(v, "object"));
    const Value *items = value_get(v, "items");
    if (value_is(items, VALUE_ARRAY))
        VALUE_FOREACH (item, items)
            if (value_is(item, VALUE_OBJECT))
                take(arena, row, item);
    _cleanup_api_error_ ApiError err = {0};
    if (api_error_from_status(&err, v, 500) >= 0)
        abort();
    return 0;
}
