/* Writes as they are asked for, on their way to the writer or to a shared driver. */
#include "apiserver/storage/internal.h"
#include "base/clock.h"
#include "base/str.h"

#include <errno.h>

static int perform(Store *store, Op *op, Object **ret) {
    char key[STORE_KEY_MAX];
    int r = store_key(op->table, op->ns, op->name, key);
    if (r < 0)
        return r;
    op->key = key;
    return store_shares(store) ? shared_perform(store, op, ret) : writer_perform(store, op, ret);
}

static int write_object(Store *store, OpKind kind, Object *object, uint64_t expect, Object **ret) {
    Op op = {
        .kind = kind,
        .table = store_table(store, object_resource(object)),
        .ns = object_namespace(object),
        .name = object_name(object),
        .object = object,
        .stored = BUF_INIT(STORE_OBJECT_MAX),
        .expect = expect,
    };
    int r = stored_encode(store->driver->encoding, object, &op.stored);
    r = r < 0 ? r : perform(store, &op, ret);
    buf_done(&op.stored);
    return r;
}

int store_create(Store *store, Object *object, Object **ret) {
    return write_object(store, OP_CREATE, object, 0, ret);
}

/* Would this update change no byte of what is stored? Then it is answered without a write, as in the reference. */
static bool changes_nothing(Store *store, Object *object, uint64_t expect, Object **ret) {
    _cleanup_object_ Object *current = NULL;
    if (store_get(store, object_resource(object), object_namespace(object), object_name(object), &current) < 0)
        return false;
    if (expect && expect != object_revision(current))
        return false;
    _cleanup_buf_ Buf old = BUF_INIT(STORE_OBJECT_MAX), new = BUF_INIT(STORE_OBJECT_MAX);
    object_stored_json(current, &old);
    object_stored_json(object, &new);
    if (old.failed || new.failed || old.len != new.len || memcmp(old.data, new.data, old.len) != 0)
        return false;
    if (ret)
        *ret = TAKE_PTR(current);
    return true;
}

int store_update(Store *store, Object *object, uint64_t expect, Object **ret) {
    /* what another server wrote just now may still be on its way here: the state that is not changed must be current */
    if (changes_nothing(store, object, expect, NULL)) {
        int r = store_sync(store, now_monotonic_ns() + STORE_WRITE_NS);
        if (r < 0)
            return r;
        if (changes_nothing(store, object, expect, ret))
            return 0;
    }
    return write_object(store, OP_UPDATE, object, expect, ret);
}

int store_delete(Store *store, const Resource *resource, const char *ns, const char *name, uint64_t expect,
                 Object *last, Object **ret) {
    Op op = {
        .kind = OP_DELETE,
        .table = store_table(store, resource),
        .ns = str_or(ns, ""),
        .name = name,
        .object = last,
        .expect = expect,
    };
    return perform(store, &op, ret);
}
