/* Owner references that come twice. */
#include "apiserver/registry/engine.h"
#include "base/str.h"
#include "base/strmap.h"

#define TWICE ".metadata.ownerReferences contains duplicate entries"
#define ADVICE                                                                                                         \
    "; API server dedups owner references in 1.20+, and may reject such requests as early as 1.24; please fix your "   \
    "requests; duplicate UID(s) observed: "

void engine_dedup_owners(RegistryCall *call, Value *object, bool after_admission) {
    Arena *arena = call->context.arena;
    Value *meta = value_get(object, "metadata"), *owners = value_get(meta, "ownerReferences"), *owner;
    if (value_len(owners) < 2 || (!after_admission && call->request->verb == API_PATCH))
        return;
    _cleanup_(strmap_freep) StrMap *seen = strmap_new(NULL);
    _cleanup_buf_ Buf text = BUF_INIT(BUF_NO_LIMIT), uids = BUF_INIT(BUF_NO_LIMIT);
    Value *kept = value_array(arena);
    VALUE_FOREACH (owner, owners) {
        buf_clear(&text);
        value_write_json(&text, owner);
        if (strmap_add(seen, text.data)) {
            value_append(arena, kept, owner);
            continue;
        }
        buf_printf(&uids, "%s%s", uids.len ? ", " : "", str_or(value_get_str(owner, "uid"), ""));
    }
    if (value_len(kept) == value_len(owners))
        return;
    strategy_warn(&call->context, TWICE "%s" ADVICE "%s", after_admission ? " after mutating admission happens" : "",
                  str_or(uids.data, ""));
    value_set(arena, meta, "ownerReferences", kept);
}
