#include "apiserver/registry/engine.h"
#include "base/clock.h"
#include "base/random.h"
#include "base/str.h"

#include <errno.h>

#define GENERATED_SUFFIX 5
#define GENERATED_BASE_MAX (63 - GENERATED_SUFFIX)
#define GENERATE_ATTEMPTS 8 /* as the reference since 1.30 */

int engine_admit(RegistryCall *call, AdmissionOperation operation, bool validate, Value *object, const Value *old,
                 const char *name, ApiError *err) {
    const AdmissionHooks *hooks = registry_admission(call->registry);
    int (*hook)(void *, AdmissionRequest *, ApiError *) = validate ? hooks->validate : hooks->mutate;
    bool guarded = !validate && hooks->guard;
    bool writes = !validate && (operation == ADMISSION_CREATE || operation == ADMISSION_UPDATE);
    if (!hook && !guarded && !writes)
        return 0;
    AdmissionRequest request = {
        .operation = operation,
        .request = call->request,
        .resource = call->resource,
        .ns = str_or(call->request->ns, ""),
        .name = str_or(name, ""),
        .object = object,
        .old = old,
        .store = registry_store(call->registry),
        .strategy = &call->context,
        .custom = registry_custom(call->registry),
    };
    int r = hook ? hook(hooks->userdata, &request, err) : 0;
    r = r == 0 && guarded ? hooks->guard(hooks->guard_userdata, &request, err) : r;
    if (r == 0 && writes)
        engine_dedup_owners(call, object, true);
    return r;
}

int registry_admit_create(RegistryCall *call, Value *object, const char *name, ApiError *err) {
    int r = engine_admit(call, ADMISSION_CREATE, false, object, NULL, name, err);
    return r < 0 ? r : engine_admit(call, ADMISSION_CREATE, true, object, NULL, name, err);
}

int registry_admit_connect(RegistryCall *call, Value *options, const char *name, ApiError *err) {
    int r = engine_admit(call, ADMISSION_CONNECT, false, options, NULL, name, err);
    return r < 0 ? r : engine_admit(call, ADMISSION_CONNECT, true, options, NULL, name, err);
}

int engine_match_namespace(RegistryCall *call, Value *object, ApiError *err) {
    const char *want = call->resource->namespaced ? str_or(call->request->ns, "") : "";
    const char *have = str_or(meta_get(object, "namespace"), "");
    Value *meta = meta_ensure(call->context.arena, object);
    if (streq(want, have))
        return 0;
    int r = registry_check_namespace(want, have, err);
    if (r < 0)
        return r;
    if (*want)
        value_set_str(call->context.arena, meta, "namespace", want);
    else
        value_remove(meta, "namespace");
    return 0;
}

/* What clients may not decide. */
static void wipe_system_fields(Value *meta) {
    static const char *const fields[] = {"creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "uid",
                                         "selfLink"};
    for (size_t i = 0; i < ELEMENTSOF(fields); i++)
        value_remove(meta, fields[i]);
}

static void fill_system_fields(RegistryCall *call, Value *meta) {
    char uid[UUID_LEN + 1], time[RFC3339_MAX];
    value_set_str(call->context.arena, meta, "uid", random_uuid(uid));
    value_set_str(call->context.arena, meta, "creationTimestamp", rfc3339_format(call->context.now_ns, time));
}

static void generate_name(RegistryCall *call, Value *meta) {
    const char *base = value_get_str(meta, "generateName");
    char suffix[GENERATED_SUFFIX + 1];
    random_suffix(suffix, GENERATED_SUFFIX);
    int keep = (int)MIN(strlen(base), (size_t)GENERATED_BASE_MAX);
    value_set(call->context.arena, meta, "name", value_printf(call->context.arena, "%.*s%s", keep, base, suffix));
}

static int validate_create(RegistryCall *call, const Value *object, ApiError *err) {
    const Resource *resource = call->resource;
    FieldErrors errors = FIELD_ERRORS_INIT(call->context.arena);
    meta_validate(call->strategy, resource, object, true, &errors);
    meta_validate_finalizers(resource, object, &errors);
    if (call->strategy->validate)
        call->strategy->validate(&call->context, object, &errors);
    return api_error_invalid(err, resource->group, resource->kind, meta_get(object, "name"), &errors);
}

/* The name in the path, where a custom resource is posted to one: then the object may have another. */
static const char *admitted_name(const RegistryCall *call, const Value *object) {
    const char *name = call->request->name;
    return str_empty(name) ? meta_get(object, "name") : name;
}

int engine_before_create(RegistryCall *call, Value *object, ApiError *err) {
    const Strategy *strategy = call->strategy;
    Value *meta = meta_ensure(call->context.arena, object);
    int r = engine_match_namespace(call, object, err);
    if (r < 0)
        return r;
    if (strategy->has_generation)
        value_set_int(call->context.arena, meta, "generation", 1);
    if (strategy->prepare_for_create)
        strategy->prepare_for_create(&call->context, object);
    r = validate_create(call, object, err);
    if (r < 0)
        return r;
    if (strategy->warn_create)
        strategy->warn_create(&call->context, object);
    return engine_admit(call, ADMISSION_CREATE, true, object, NULL, admitted_name(call, object), err);
}

static int exists_error(RegistryCall *call, const Value *object, ApiError *err) {
    const Resource *resource = call->request->resource;
    const char *name = meta_get(object, "name");
    _cleanup_object_ Object *there = NULL;
    if (!str_empty(meta_get(object, "generateName"))) {
        int r = api_error_already_exists(err, resource->group, resource->plural, name);
        if (err) {
            free(err->message);
            err->message = xasprintf(
                "%s%s%s \"%s\" already exists, the server was not able to generate a unique name for the object",
                resource->plural, *resource->group ? "." : "", resource->group, name);
            err->retry_after = 1;
        }
        return r;
    }
    int r = registry_store_error(call, name, -EEXIST, err);
    if (err && store_get(registry_store(call->registry), call->resource, call->context.ns, name, &there) == 0 &&
        object_is_deleting(there)) {
        char *text = xasprintf("object is being deleted: %s", err->message);
        free(err->message);
        err->message = text;
    }
    return r;
}

/* The version that the object was taken from, 0: none, or it is not one. A dry run shows it, the store takes none. */
static int read_version(const RegistryCall *call, const Value *object, uint64_t *ret, ApiError *err) {
    const char *sent = str_or(meta_get(object, "resourceVersion"), "");
    if (str_to_uint64(sent, ret) < 0)
        *ret = 0;
    if (*ret && !call->context.dry_run)
        return api_error_set(err, 500, "", "resourceVersion should not be set on objects to be created");
    return 0;
}

/* A dry run touches nothing, but says what would have happened. */
static int write_new(RegistryCall *call, Value *object, RegistryResult *ret, ApiError *err) {
    _cleanup_object_ Object *made = NULL;
    uint64_t sent;
    int r = read_version(call, object, &sent, err);
    r = r < 0 ? r : engine_object(call, object, &made, err);
    if (r < 0)
        return r;
    Store *store = registry_store(call->registry);
    if (!call->context.dry_run)
        return store_create(store, made, &ret->object);
    _cleanup_object_ Object *there = NULL;
    if (store_get(store, call->resource, object_namespace(made), object_name(made), &there) == 0)
        return -EEXIST;
    ret->object = object_with_revision(made, sent);
    return 0;
}

static int create_once(RegistryCall *call, Value *object, RegistryResult *ret, ApiError *err) {
    const Strategy *strategy = call->strategy;
    Value *meta = meta_ensure(call->context.arena, object);
    fill_system_fields(call, meta);
    if (!str_empty(value_get_str(meta, "generateName")) && str_empty(value_get_str(meta, "name")))
        generate_name(call, meta);
    /* The reference reserves cluster IPs and node ports before it validates. */
    if (strategy->begin_create) {
        int r = engine_match_namespace(call, object, err);
        r = r < 0 ? r : strategy->begin_create(&call->context, object, err);
        if (r < 0)
            return r;
    }
    int r = engine_before_create(call, object, err);
    bool stored = false;
    if (r == 0) {
        r = write_new(call, object, ret, err);
        stored = r == 0;
        if (r == -EEXIST)
            r = exists_error(call, object, err);
        else if (r < 0 && !err->code)
            r = registry_store_error(call, meta_get(object, "name"), r, err);
    }
    if ((!stored || call->context.dry_run) && strategy->rollback)
        strategy->rollback(&call->context, object);
    return r;
}

/* Up to what mutating admission makes of the object. */
static int begin_create(RegistryCall *call, Value *object, ApiError *err) {
    wipe_system_fields(meta_ensure(call->context.arena, object));
    int r = engine_match_namespace(call, object, err);
    if (r < 0)
        return r;
    engine_dedup_owners(call, object, false);
    engine_track_fields(call, NULL, object);
    return engine_admit(call, ADMISSION_CREATE, false, object, NULL, admitted_name(call, object), err);
}

int registry_admit_unstored(RegistryCall *call, Value *object,
                            int (*check)(void *userdata, const ApiRequest *request, Value *object, ApiError *err),
                            void *userdata, ApiError *err) {
    int r = begin_create(call, object, err);
    r = r < 0 ? r : check(userdata, call->request, object, err);
    return r < 0 ? r : engine_admit(call, ADMISSION_CREATE, true, object, NULL, admitted_name(call, object), err);
}

int registry_create(RegistryCall *call, Value *object, RegistryResult *ret, ApiError *err) {
    Arena *arena = call->context.arena;
    int r = begin_create(call, object, err);
    if (r < 0)
        return r;
    bool generated = str_empty(meta_get(object, "name")) && !str_empty(meta_get(object, "generateName"));
    for (int attempt = 1;; attempt++) {
        Value *copy = generated ? value_copy(arena, object) : object;
        r = create_once(call, copy, ret, err);
        if (r != -EEXIST || !generated || attempt == GENERATE_ATTEMPTS)
            break;
        api_error_done(err);
    }
    if (r == 0)
        ret->created = true;
    return r;
}
