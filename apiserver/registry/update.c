#include "apiserver/registry/engine.h"
#include "base/clock.h"
#include "base/str.h"

#include <errno.h>

#define UPDATE_RETRIES 50 /* writes that lose this often to others give up with a conflict */

typedef struct UpdateState {
    RegistryCall *call;
    const RegistryUpdate *update;
    Object *old; /* what is stored; NULL: absent */
    Value *old_value, *object;
} UpdateState;

static bool str_list_empty(const Value *meta, const char *name) {
    return value_len(value_get(meta, name)) == 0;
}

bool engine_may_go(const RegistryCall *call, const Value *object) {
    const Value *meta = value_get(object, "metadata");
    if (!str_list_empty(meta, "finalizers"))
        return false;
    return !call->strategy->holds_deletion || !call->strategy->holds_deletion(object);
}

/* Emptied finalizers of an object whose grace is over: the update is its end. */
static bool deletes(const UpdateState *state) {
    const Value *old_meta = value_get(state->old_value, "metadata");
    return value_get(old_meta, "deletionTimestamp") && value_get_int(old_meta, "deletionGracePeriodSeconds", 0) == 0 &&
           engine_may_go(state->call, state->object);
}

/* The version that the object was taken from; 0: it does not say. */
static int read_revision(const Value *object, uint64_t *ret, ApiError *err) {
    const char *sent = meta_get(object, "resourceVersion");
    uint64_t revision = 0;
    int r = str_empty(sent) ? 0 : str_to_uint64(sent, &revision);
    if (r < 0)
        return api_error_set(err, 500, "", "strconv.ParseUint: parsing \"%s\": %s", sent,
                             r == -ERANGE ? "value out of range" : "invalid syntax");
    *ret = revision;
    return 0;
}

static int check_revision(UpdateState *state, ApiError *err) {
    RegistryCall *call = state->call;
    const Resource *resource = call->request->resource;
    const char *name = call->request->name;
    uint64_t revision;
    int r = read_revision(state->object, &revision, err);
    if (r < 0)
        return r;
    if (revision == 0) {
        if (call->strategy->allow_unconditional_update)
            return 0;
        FieldErrors errors = FIELD_ERRORS_INIT(call->context.arena);
        FieldPath meta = FIELD(NULL, "metadata"), at = FIELD(&meta, "resourceVersion");
        field_invalid(&errors, &at, value_int(call->context.arena, 0), "must be specified for an update");
        return api_error_invalid(err, resource->group, resource->plural, name, &errors);
    }
    if (revision != object_revision(state->old))
        return registry_store_error(call, name, -ESTALE, err);
    return 0;
}

/* `have`: the uid of what is stored; "": nothing is. */
static int uid_conflict(RegistryCall *call, const char *wanted, const char *have, ApiError *err) {
    const Resource *resource = call->request->resource;
    const char *ns = call->resource->namespaced ? str_or(call->request->ns, "") : "", *name = call->request->name;
    char *why = arena_printf(call->context.arena,
                             "StorageError: invalid object, Code: 4, Key: /registry/%s/%s%s%s, ResourceVersion: 0, "
                             "AdditionalErrorMsg: Precondition failed: UID in precondition: %s, UID in object meta: %s",
                             call->resource->storage_prefix, ns, *ns ? "/" : "", name, wanted, have);
    return api_error_conflict(err, resource->group, resource->plural, name, why);
}

static int check_identity(UpdateState *state, ApiError *err) {
    const char *uid = meta_get(state->object, "uid");
    bool same = str_empty(uid) || streq(uid, object_uid(state->old));
    return same ? 0 : uid_conflict(state->call, uid, object_uid(state->old), err);
}

static bool same_but_generation(Arena *arena, const Value *a, const Value *b) {
    /* metadata and status do not count: the spec, or whatever else the kind has, does */
    Value *x = value_object(arena), *y = value_object(arena);
    VALUE_FOREACH_MEMBER (m, a)
        if (!streq(m->name, "metadata") && !streq(m->name, "status"))
            value_set_interned(arena, x, m->name, m->value);
    VALUE_FOREACH_MEMBER (m, b)
        if (!streq(m->name, "metadata") && !streq(m->name, "status"))
            value_set_interned(arena, y, m->name, m->value);
    return value_equal(x, y);
}

static void carry_over(Arena *arena, Value *object, const Value *old, const char *member) {
    const Value *v = value_get(old, member);
    value_set(arena, object, member, v ? value_copy(arena, v) : NULL);
}

/* What a write of the status says of other members is ignored; the strategy says what of metadata. */
static void keep_but_status(Arena *arena, Value *object, const Value *old) {
    Value *metadata = value_get(object, "metadata"), *status = value_get(object, "status");
    object->len = 0;
    VALUE_FOREACH_MEMBER (m, old)
        if (!streq(m->name, "metadata") && !streq(m->name, "status"))
            value_set(arena, object, m->name, value_copy(arena, m->value));
    value_set(arena, object, "metadata", metadata);
    value_set(arena, object, "status", status);
}

/* Subresources that write past the strategy: their handlers let nothing through but their part of the object. */
static bool is_partial(const char *subresource) {
    static const char *const partial[] = {"binding", "eviction", NULL};
    return subresource && str_in(subresource, partial);
}

static void prepare(UpdateState *state) {
    RegistryCall *call = state->call;
    Arena *arena = call->context.arena;
    Value *object = state->object, *meta = meta_ensure(arena, object);
    const Value *old = state->old_value, *old_meta = value_get(old, "metadata");
    int64_t generation = value_get_int(old_meta, "generation", 0);
    const char *subresource = call->request->subresource;
    value_set(arena, meta, "generation", generation ? value_int(arena, generation) : NULL);
    if (subresource && streq(subresource, "status")) {
        keep_but_status(arena, object, old);
        if (call->strategy->prepare_for_status_update)
            call->strategy->prepare_for_status_update(&call->context, object, old);
    } else {
        if (!subresource && resource_subresource(call->resource, "status"))
            carry_over(arena, object, old, "status");
        if (call->strategy->prepare_for_update && !is_partial(subresource))
            call->strategy->prepare_for_update(&call->context, object, old);
        if (call->strategy->has_generation && !is_partial(subresource) && !same_but_generation(arena, object, old))
            value_set_int(arena, meta, "generation", generation + 1);
    }
    if (str_empty(value_get_str(meta, "uid")))
        carry_over(arena, meta, old_meta, "uid");
    carry_over(arena, meta, old_meta, "creationTimestamp");
    if (value_get(old_meta, "deletionTimestamp"))
        carry_over(arena, meta, old_meta, "deletionTimestamp");
    if (!value_get(meta, "deletionGracePeriodSeconds"))
        carry_over(arena, meta, old_meta, "deletionGracePeriodSeconds");
}

static int validate(UpdateState *state, ApiError *err) {
    RegistryCall *call = state->call;
    const Strategy *strategy = call->strategy;
    FieldErrors errors = FIELD_ERRORS_INIT(call->context.arena);
    bool status = call->request->subresource && streq(call->request->subresource, "status");
    if (call->request->subresource && streq(call->request->subresource, "binding"))
        return 0; /* as in the reference, labels that a binding brings are taken as they are */
    meta_validate(strategy, call->resource, state->object, false, &errors);
    /* Once for all resources, once by the resource's own validation: the reference lists both. */
    meta_validate_update(state->object, state->old_value, &errors);
    if (!strategy->no_meta_update)
        meta_validate_update(state->object, state->old_value, &errors);
    if (strategy->revalidates_meta && !status && !is_partial(call->request->subresource))
        meta_validate(strategy, call->resource, state->object, true, &errors);
    meta_validate_finalizers(call->resource, state->object, &errors);
    if (status && strategy->validate_status_update)
        strategy->validate_status_update(&call->context, state->object, state->old_value, &errors);
    else if (!status && !is_partial(call->request->subresource)) {
        if (strategy->validate && !strategy->validates_update_alone)
            strategy->validate(&call->context, state->object, &errors);
        if (strategy->validate_update)
            strategy->validate_update(&call->context, state->object, state->old_value, &errors);
    }
    int r =
        api_error_invalid(err, call->resource->group, call->resource->kind, meta_get(state->object, "name"), &errors);
    if (r == 0 && status && strategy->warn_status_update)
        strategy->warn_status_update(&call->context, state->object);
    if (r == 0 && strategy->warn_update && !status && !is_partial(call->request->subresource))
        strategy->warn_update(&call->context, state->object, state->old_value);
    return r;
}

/* managedFields that differ only in their times are left as they were, so that a write that changes nothing is none. */
static void keep_managed_times(Arena *arena, Value *object, const Value *old) {
    Value *meta = meta_ensure(arena, object);
    const Value *now = value_get(meta, "managedFields"), *was = value_get(value_get(old, "metadata"), "managedFields");
    if (!now || !was || value_len(now) != value_len(was))
        return;
    Value *x = value_copy(arena, object), *y = value_copy(arena, old);
    Value *entry;
    VALUE_FOREACH (entry, value_get(value_get(x, "metadata"), "managedFields"))
        value_remove(entry, "time");
    VALUE_FOREACH (entry, value_get(value_get(y, "metadata"), "managedFields"))
        value_remove(entry, "time");
    value_remove(value_get(x, "metadata"), "resourceVersion");
    value_remove(value_get(y, "metadata"), "resourceVersion");
    if (value_equal(x, y))
        value_set(arena, meta, "managedFields", value_copy(arena, was));
}

static int store_result(UpdateState *state, RegistryResult *ret, ApiError *err) {
    RegistryCall *call = state->call;
    Store *store = registry_store(call->registry);
    uint64_t expect = object_revision(state->old);
    _cleanup_object_ Object *made = NULL;
    bool gone = deletes(state);
    int r = engine_object(call, value_copy(call->context.arena, state->object), &made, err);
    if (r < 0)
        return r;
    if (call->context.dry_run) {
        ret->object = object_with_revision(made, expect);
        return 0;
    }
    if (!gone) {
        r = store_update(store, made, expect, &ret->object);
        if (r == 0 && call->strategy->after_update)
            call->strategy->after_update(&call->context, state->object, state->old_value);
        return r;
    }
    /* Watchers see what was stored; who let it go, what they sent. */
    r = store_delete(store, call->resource, object_namespace(made), object_name(made), expect, NULL, NULL);
    if (r < 0)
        return r;
    ret->object = object_with_revision(made, expect);
    ret->deleted = true;
    if (call->strategy->after_delete)
        call->strategy->after_delete(&call->context, state->object);
    return 0;
}

static int update_existing(UpdateState *state, RegistryResult *ret, ApiError *err) {
    RegistryCall *call = state->call;
    const Strategy *strategy = call->strategy;
    int r = engine_match_namespace(call, state->object, err);
    if (r == 0 && state->update->check_uid)
        r = check_identity(state, err);
    r = r < 0 ? r : check_revision(state, err);
    if (r < 0)
        return r;
    bool begun = false;
    if (strategy->begin_update && !call->request->subresource) {
        r = strategy->begin_update(&call->context, state->object, state->old_value, err);
        if (r < 0)
            return r;
        begun = true;
    }
    prepare(state);
    r = validate(state, err);
    if (r == 0) {
        keep_managed_times(call->context.arena, state->object, state->old_value);
        if (!state->update->admitted)
            r = engine_admit(call, ADMISSION_UPDATE, true, state->object, state->old_value, call->request->name, err);
    }
    if (r == 0) {
        r = store_result(state, ret, err);
        if (r < 0 && r != -ESTALE && !err->code)
            r = registry_store_error(call, call->request->name, r, err);
    }
    if (begun && (r < 0 || call->context.dry_run) && strategy->rollback)
        strategy->rollback(&call->context, state->object);
    return r;
}

static int create_absent(UpdateState *state, RegistryResult *ret, ApiError *err) {
    RegistryCall *call = state->call;
    const char *uid = meta_get(state->object, "uid");
    const Resource *resource = call->request->resource;
    if (!str_empty(uid) && state->update->check_uid)
        return uid_conflict(call, uid, "", err);
    if (!str_empty(uid))
        return api_error_conflict(
            err, resource->group, resource->plural, call->request->name,
            arena_printf(call->context.arena,
                         "uid mismatch: the provided object specified uid %s, and no existing object was found", uid));
    /* Whatever version it was taken from, as long as it is one. */
    uint64_t revision;
    int r = read_revision(state->object, &revision, err);
    if (r < 0)
        return r;
    value_set(call->context.arena, value_get(state->object, "metadata"), "resourceVersion", NULL);
    return registry_create(call, state->object, ret, err);
}

static int attempt(UpdateState *state, RegistryResult *ret, ApiError *err) {
    RegistryCall *call = state->call;
    const ApiRequest *request = call->request;
    const char *ns = call->resource->namespaced ? str_or(request->ns, "") : "";
    state->old = object_unref(state->old);
    int r = store_get(registry_store(call->registry), call->resource, ns, request->name, &state->old);
    bool absent = r == -ENOENT;
    if (r < 0 && !(absent && (state->update->create_absent || call->strategy->allow_create_on_update)))
        return registry_store_error(call, request->name, r, err);
    state->old_value = NULL;
    r = absent ? 0 : registry_tree(call, state->old, &state->old_value, err);
    if (r < 0)
        return r;
    r = state->update->transform(state->update->userdata, state->old_value, &state->object, err);
    if (r < 0)
        return r;
    engine_dedup_owners(call, state->object, false);
    if (absent) {
        if (!state->update->apply)
            return create_absent(state, ret, err);
        call->keep_managed_fields = true;
        return create_absent(state, ret, err);
    }
    if (!state->update->apply)
        engine_track_fields(call, state->old_value, state->object);
    if (!state->update->admitted)
        r = engine_admit(call, ADMISSION_UPDATE, false, state->object, state->old_value, request->name, err);
    return r < 0 ? r : update_existing(state, ret, err);
}

int registry_update(RegistryCall *call, const RegistryUpdate *update, RegistryResult *ret, ApiError *err) {
    UpdateState state = {.call = call, .update = update};
    size_t warned = call->context.n_warnings; /* of the body, before there was an update */
    int r = 0;
    for (int i = 0; i < UPDATE_RETRIES; i++) {
        call->context.n_warnings = warned;
        r = attempt(&state, ret, err);
        /* -ESTALE without a Status is the store's: somebody wrote in between. */
        if (r != -ESTALE || err->code)
            break;
    }
    if (r == -ESTALE && !err->code)
        r = registry_store_error(call, call->request->name, -ESTALE, err);
    object_unref(state.old);
    return r;
}
