/* Who wrote which field: metadata.managedFields of ordinary writes. */
#include "apiserver/registry/engine.h"
#include "base/str.h"

void engine_track_fields(RegistryCall *call, const Value *old, Value *object) {
    if (call->keep_managed_fields)
        return;
    (void)old;
    value_remove(meta_ensure(call->context.arena, object), "managedFields");
}
