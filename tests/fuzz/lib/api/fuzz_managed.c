/* FieldsV1 and the whole of managed fields: {"live": Pod, "object": Pod, "applied": Pod, "fields": FieldsV1}. */
#include "api/json.h"
#include "api/managed.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    Value *v, *result;
    FieldSet *set, *again;
    if (size > 65536 || json_parse(arena, (const char *)data, size, &v, NULL, NULL) < 0)
        return 0;
    if (fieldset_from_value(arena, value_get(v, "fields"), &set) == 0) {
        if (fieldset_from_value(arena, fieldset_to_value(arena, set), &again) < 0 || !fieldset_equal(set, again))
            abort();
        if (!fieldset_empty(fieldset_difference(arena, set, again)) ||
            !fieldset_equal(fieldset_union(arena, set, again), set))
            abort();
    }
    static const char *const reset[] = {"status", NULL};
    ManagedInput input = {.schema = schema_by_name("io.k8s.api.core.v1.Pod"),
                          .api_version = "v1",
                          .manager = "kubectl",
                          .reset_fields = reset};
    Value *live = value_get(v, "live"), *object = value_get(v, "object"), *applied = value_get(v, "applied");
    _cleanup_api_error_ ApiError err = {0};
    bool changed;
    live = value_is(live, VALUE_OBJECT) ? live : NULL;
    if (value_is(object, VALUE_OBJECT) && value_is(value_get(object, "metadata"), VALUE_OBJECT))
        managed_update(arena, &input, live, object);
    if (value_is(applied, VALUE_OBJECT)) {
        (void)managed_apply(arena, &input, live, applied, &result, &changed, &err);
        input.force = true;
        (void)managed_apply(arena, &input, live, applied, &result, &changed, &err);
    }
    return 0;
}
