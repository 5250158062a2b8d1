#include "apiserver/handlers/encode.h"

Value *partial_of(Arena *arena, const Object *object) {
    Value *partial = api_value_new(arena, "meta.k8s.io/v1", "PartialObjectMetadata"),
          *whole = object_value(object, arena);
    value_set(arena, partial, "metadata", value_get(whole, "metadata"));
    return partial;
}
