#define LOG_COMPONENT "controllers"
#include "controllers/claim.h"

#include "base/log.h"
#include "base/str.h"
#include "controllers/meta.h"

#include <errno.h>

/* Before the first adoption the owner is read live: it may be deleted, or another of the same name, by now. */
static int may_adopt(const Claim *claim, int *checked) {
    if (*checked <= 0)
        return *checked;
    _cleanup_object_ Object *live = NULL;
    const Object *owner = claim->owner;
    int r = client_get(claim->client, object_resource(owner), object_namespace(owner), object_name(owner), &live, NULL);
    if (r >= 0 && (!streq(object_uid(live), object_uid(owner)) || object_is_deleting(live)))
        r = -ESTALE;
    return *checked = r;
}

static int adopt(const Claim *claim, Object *object, Object **ret) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    _cleanup_api_error_ ApiError err = {0};
    Value *metadata, *patch = patch_for_uid(arena, object_uid(object), &metadata);
    value_append(arena, value_ensure_array(arena, metadata, "ownerReferences"), owner_ref_value(arena, claim->owner));
    if (claim->finalizer)
        value_append(arena, value_ensure_array(arena, metadata, "finalizers"), value_string(arena, claim->finalizer));
    return client_patch(claim->client, object_resource(object), object_namespace(object), object_name(object), NULL,
                        PATCH_STRATEGIC, patch, ret, &err);
}

static int disown(const Claim *claim, Object *object) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    _cleanup_api_error_ ApiError err = {0};
    Value *metadata, *patch = patch_for_uid(arena, object_uid(object), &metadata), *ref = value_object(arena);
    value_set_str(arena, ref, "$patch", "delete");
    value_set_str(arena, ref, "uid", object_uid(claim->owner));
    value_append(arena, value_ensure_array(arena, metadata, "ownerReferences"), ref);
    if (claim->finalizer)
        value_append(arena, value_ensure_array(arena, metadata, "$deleteFromPrimitiveList/finalizers"),
                     value_string(arena, claim->finalizer));
    int r = client_patch(claim->client, object_resource(object), object_namespace(object), object_name(object), NULL,
                         PATCH_STRATEGIC, patch, NULL, &err);
    /* Gone, or another object by now: nothing is left to release. */
    return r == -ENOENT || err.code == 422 || err.code == 409 ? 0 : r;
}

static void keep(ClientList *list, Object *object) {
    list->items = xreallocn(list->items, list->n + 1, sizeof(*list->items));
    list->items[list->n++] = object_ref(object);
}

static int claim_controlled(const Claim *claim, ClientList *ret) {
    ClientList mine = {0};
    int result = 0;
    informer_list_controlled(claim->informer, object_uid(claim->owner), &mine);
    for (size_t i = 0; i < mine.n; i++) {
        Object *object = mine.items[i];
        if (claim->candidate && !claim->candidate(object, claim->userdata))
            continue;
        if (label_selector_matches(claim->selector, object)) {
            keep(ret, object);
            continue;
        }
        if (object_is_deleting(claim->owner))
            continue;
        int r = disown(claim, object);
        if (r < 0)
            result = r;
    }
    client_list_done(&mine);
    return result;
}

static int claim_orphans(const Claim *claim, ClientList *ret) {
    ClientList orphans = {0};
    int result = 0, checked = 1;
    if (object_is_deleting(claim->owner))
        return 0;
    informer_list_orphans(claim->informer, object_namespace(claim->owner), &orphans);
    for (size_t i = 0; i < orphans.n; i++) {
        Object *object = orphans.items[i];
        _cleanup_object_ Object *adopted = NULL;
        if (object_is_deleting(object) || !label_selector_matches(claim->selector, object) ||
            (claim->candidate && !claim->candidate(object, claim->userdata)))
            continue;
        int r = may_adopt(claim, &checked);
        if (r >= 0)
            r = adopt(claim, object, &adopted);
        if (r >= 0)
            keep(ret, adopted);
        else if (r != -ENOENT)
            result = r;
    }
    client_list_done(&orphans);
    return result;
}

int claim_owned(const Claim *claim, ClientList *ret) {
    *ret = (ClientList){0};
    int r = claim_controlled(claim, ret), r2 = claim_orphans(claim, ret);
    return r < 0 ? r : r2;
}
