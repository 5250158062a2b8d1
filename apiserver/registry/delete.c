/* Deletion: preconditions, grace, finalizers, propagation (registry/rest/delete.go and the store's Delete). */
#include "apiserver/registry/checks.h"
#include "apiserver/registry/convert.h"
#include "apiserver/registry/custom_resources.h"
#include "apiserver/registry/engine.h"
#include "base/clock.h"
#include "base/str.h"

#include <errno.h>

#define DELETE_RETRIES 50
#define ORPHAN "orphan"
#define FOREGROUND "foregroundDeletion"

static const char *const policies[] = {"Foreground", "Background", "Orphan", "nil", NULL};
static const char *const dry_runs[] = {"All", NULL};

static void validate_options(const DeleteOptions *options, FieldErrors *errors) {
    Arena *arena = errors->arena;
    FieldPath propagation = FIELD(NULL, "propagationPolicy"), dry_run = FIELD(NULL, "dryRun");
    if (options->propagation) {
        Value *given = value_string(arena, options->propagation);
        if (options->orphan_set)
            field_invalid(errors, &propagation, given, "orphanDependents and deletionPropagation cannot be both set");
        if (!str_in(options->propagation, policies) || streq(options->propagation, "nil"))
            field_not_supported(errors, &propagation, given, policies);
    }
    const Value *item;
    VALUE_FOREACH (item, options->dry_run)
        if (!streq_null(value_str(item), "All")) {
            field_not_supported(errors, &dry_run, options->dry_run, dry_runs);
            break;
        }
}

int delete_options_read(const Value *body, DeleteOptions *ret, Arena *arena, ApiError *err) {
    const Value *preconditions = value_get(body, "preconditions"), *grace = value_get(body, "gracePeriodSeconds");
    const Value *orphan = value_get(body, "orphanDependents");
    *ret = (DeleteOptions){
        .uid = value_get_str(preconditions, "uid"),
        .resource_version = value_get_str(preconditions, "resourceVersion"),
        .grace_set = value_is(grace, VALUE_INT),
        .grace_seconds = value_get_int(body, "gracePeriodSeconds", 0),
        .propagation = value_get_str(body, "propagationPolicy"),
        .orphan_set = value_is(orphan, VALUE_BOOL),
        .orphan = value_get_bool(body, "orphanDependents", false),
        .dry_run = value_get(body, "dryRun"),
    };
    FieldErrors errors = FIELD_ERRORS_INIT(arena);
    validate_options(ret, &errors);
    return api_error_invalid(err, "meta.k8s.io", "DeleteOptions", "", &errors);
}

/* Kinds whose deletion is a step of their own say it in the store's words, before anything else is looked at. */
static char *unmet(RegistryCall *call, const char *what, const char *expected, const char *have, const char *since) {
    Arena *arena = call->context.arena;
    if (call->strategy->holds_deletion)
        return arena_printf(arena, "Precondition failed: %s in precondition: %s, %s in object meta: %s", what, expected,
                            what, have);
    return arena_printf(arena, "the %s in the precondition (%s) does not match the %s in record (%s). %s", what,
                        expected, what, have, since);
}

static int check_preconditions(RegistryCall *call, const DeleteOptions *options, const Object *object, ApiError *err) {
    const Resource *resource = call->resource;
    const char *kind = call->strategy->holds_deletion ? resource->plural : resource->kind;
    if (options->uid && !streq(options->uid, object_uid(object)))
        return api_error_conflict(err, resource->group, kind, object_name(object),
                                  unmet(call, "UID", options->uid, object_uid(object),
                                        "The object might have been deleted and then recreated"));
    char *revision = arena_printf(call->context.arena, "%llu", (unsigned long long)object_revision(object));
    if (options->resource_version && !streq(options->resource_version, revision))
        return api_error_conflict(err, resource->group, kind, object_name(object),
                                  unmet(call, "ResourceVersion", options->resource_version, revision,
                                        "The object might have been modified"));
    return 0;
}

static bool wants_orphan(const RegistryCall *call, const DeleteOptions *options, const Value *finalizers) {
    if (options->orphan_set)
        return options->orphan;
    if (options->propagation)
        return streq(options->propagation, "Orphan");
    if (list_has(finalizers, ORPHAN))
        return true;
    return !list_has(finalizers, FOREGROUND) && call->strategy->orphan_by_default;
}

static bool wants_foreground(const DeleteOptions *options, const Value *finalizers) {
    if (options->orphan_set)
        return false;
    if (options->propagation)
        return streq(options->propagation, "Foreground");
    return list_has(finalizers, FOREGROUND);
}

/* The garbage collector's finalizers as the options want them. */
static void set_finalizers(RegistryCall *call, const DeleteOptions *options, Value *meta) {
    Arena *arena = call->context.arena;
    Value *finalizers = value_get(meta, "finalizers"), *out = value_array(arena), *item;
    bool orphan = wants_orphan(call, options, finalizers), foreground = wants_foreground(options, finalizers);
    if (list_has(finalizers, ORPHAN) == orphan && list_has(finalizers, FOREGROUND) == foreground)
        return;
    VALUE_FOREACH (item, finalizers)
        if (!streq_null(value_str(item), ORPHAN) && !streq_null(value_str(item), FOREGROUND))
            value_append(arena, out, item);
    if (orphan)
        value_append(arena, out, value_string(arena, ORPHAN));
    if (foreground)
        value_append(arena, out, value_string(arena, FOREGROUND));
    value_set(arena, meta, "finalizers", out->len ? out : NULL);
}

static void set_deletion(RegistryCall *call, Value *meta, int64_t at_ns, int64_t grace) {
    char text[RFC3339_MAX];
    value_set_str(call->context.arena, meta, "deletionTimestamp", rfc3339_format(at_ns, text));
    value_set_int(call->context.arena, meta, "deletionGracePeriodSeconds", grace);
}

static void bump_generation(RegistryCall *call, Value *meta) {
    int64_t generation = value_get_int(meta, "generation", 0);
    if (generation > 0)
        value_set_int(call->context.arena, meta, "generation", generation + 1);
}

static int64_t deletion_time(const Value *meta) {
    int64_t at = 0;
    const char *text = value_get_str(meta, "deletionTimestamp");
    if (text)
        rfc3339_parse(text, &at);
    return at;
}

typedef enum Grace { GRACE_NONE, GRACE_GIVEN, GRACE_PENDING } Grace;

/* A deletion under way may only be hurried. */
static Grace shorten(RegistryCall *call, const DeleteOptions *options, Value *meta) {
    int64_t current = value_get_int(meta, "deletionGracePeriodSeconds", 0), now = call->context.now_ns;
    if (current == 0)
        return GRACE_NONE;
    if (!options->grace_set)
        return GRACE_PENDING;
    int64_t period = MAX(options->grace_seconds < 0 ? 1 : options->grace_seconds, (int64_t)0);
    if (period >= current)
        return GRACE_PENDING;
    int64_t at = deletion_time(meta) + (period - current) * (int64_t)NS_PER_SEC;
    if (at < now) {
        at = now;
        if (period != 0)
            period = 1;
    }
    set_deletion(call, meta, at, period);
    return GRACE_GIVEN;
}

static Grace set_grace(RegistryCall *call, const DeleteOptions *options, Value *object) {
    Value *meta = meta_ensure(call->context.arena, object);
    if (!call->strategy->graceful || !call->strategy->grace_seconds)
        return GRACE_NONE;
    if (value_get(meta, "deletionTimestamp"))
        return shorten(call, options, meta);
    int64_t asked = !options->grace_set ? -1 : options->grace_seconds < 0 ? 1 : options->grace_seconds;
    int64_t grace = call->strategy->grace_seconds(&call->context, object, asked);
    set_deletion(call, meta, call->context.now_ns + grace * (int64_t)NS_PER_SEC, grace);
    bump_generation(call, meta);
    return GRACE_GIVEN;
}

static void mark_deleting(RegistryCall *call, Value *object) {
    Value *meta = meta_ensure(call->context.arena, object);
    if (!value_get(meta, "deletionTimestamp"))
        bump_generation(call, meta);
    int64_t at = deletion_time(meta);
    set_deletion(call, meta, at && at < call->context.now_ns ? at : call->context.now_ns, 0);
    if (call->strategy->holds_deletion) /* namespaces know no grace */
        value_remove(meta, "deletionGracePeriodSeconds");
    if (call->strategy->mark_deleting)
        call->strategy->mark_deleting(&call->context, object);
}

/* `updated`: the deletion is written into the object first, which others see; else they see it as it was stored. */
static int remove_now(RegistryCall *call, Object *old, const Value *object, bool updated, RegistryResult *ret,
                      ApiError *err) {
    _cleanup_object_ Object *last = NULL;
    int r = engine_object(call, value_copy(call->context.arena, object), &last, err);
    if (r < 0)
        return r;
    if (call->context.dry_run) {
        ret->object = object_with_revision(last, object_revision(old));
        ret->deleted = true;
        return 0;
    }
    r = store_delete(registry_store(call->registry), call->resource, object_namespace(old), object_name(old),
                     object_revision(old), updated ? last : NULL, &ret->object);
    if (r < 0)
        return r;
    ret->deleted = true;
    if (call->strategy->after_delete)
        call->strategy->after_delete(&call->context, object);
    return 0;
}

static int keep_for_now(RegistryCall *call, Object *old, const Value *object, RegistryResult *ret, ApiError *err) {
    _cleanup_object_ Object *marked = NULL;
    int r = engine_object(call, value_copy(call->context.arena, object), &marked, err);
    if (r < 0)
        return r;
    if (call->context.dry_run) {
        ret->object = object_with_revision(marked, object_revision(old));
        return 0;
    }
    return store_update(registry_store(call->registry), marked, object_revision(old), &ret->object);
}

static int delete_once(RegistryCall *call, const DeleteOptions *options, Object *old, RegistryResult *ret,
                       ApiError *err) {
    Value *object;
    int r = registry_tree(call, old, &object, err);
    if (r < 0)
        return r;
    r = call->strategy->check_delete ? call->strategy->check_delete(&call->context, object, err) : 0;
    r = r < 0 ? r : check_preconditions(call, options, old, err);
    if (r < 0)
        return r;
    r = engine_admit(call, ADMISSION_DELETE, false, NULL, object, object_name(old), err);
    r = r < 0 ? r : engine_admit(call, ADMISSION_DELETE, true, NULL, object, object_name(old), err);
    if (r < 0)
        return r;
    Grace grace = set_grace(call, options, object);
    if (grace == GRACE_PENDING) {
        ret->object = object_ref(old);
        return 0;
    }
    Value *meta = meta_ensure(call->context.arena, object);
    set_finalizers(call, options, meta);
    bool held = !engine_may_go(call, object);
    if (grace == GRACE_NONE && held)
        mark_deleting(call, object);
    if (held || (grace == GRACE_GIVEN && value_get_int(meta, "deletionGracePeriodSeconds", 0) > 0))
        return keep_for_now(call, old, object, ret, err);
    return remove_now(call, old, object, grace == GRACE_GIVEN, ret, err);
}

int registry_delete(RegistryCall *call, const char *ns, const char *name, const DeleteOptions *options,
                    RegistryResult *ret, ApiError *err) {
    int r = 0;
    if (value_len(options->dry_run))
        call->context.dry_run = true;
    for (int i = 0; i < DELETE_RETRIES; i++) {
        _cleanup_object_ Object *old = NULL;
        r = store_get(registry_store(call->registry), call->resource, ns, name, &old);
        if (r < 0)
            return registry_store_error(call, name, r, err);
        r = delete_once(call, options, old, ret, err);
        if (r != -ESTALE || err->code)
            break;
    }
    return r < 0 && !err->code ? registry_store_error(call, name, r, err) : r;
}

int registry_delete_collection(RegistryCall *call, const DeleteOptions *options, uint64_t at_revision, ObjectList *ret,
                               ApiError *err) {
    const ApiRequest *request = call->request;
    _cleanup_(selector_freep) Selector *labels = NULL, *fields = NULL;
    int r = label_selector_parse(request->options.label_selector, &labels, err);
    r = r < 0 ? r : field_selector_parse(request->options.field_selector, &fields, err);
    if (r < 0)
        return r;
    convert_field_selector(request->resource, fields);
    ListQuery query = {
        .resource = request->resource->storage,
        .ns = request->ns,
        .labels = labels,
        .fields = fields,
        .limit = request->options.limit > 0 ? (size_t)request->options.limit : 0,
        .continue_token = request->options.continue_token,
        .at_revision = at_revision,
    };
    _cleanup_object_list_ ObjectList list = {0};
    r = custom_resources_list(registry_store(call->registry), request->resource, &query, &list, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < list.n; i++) {
        _cleanup_registry_result_ RegistryResult result = {0};
        call->context.ns = object_namespace(list.items[i]);
        r = registry_delete(call, object_namespace(list.items[i]), object_name(list.items[i]), options, &result, err);
        if (r == -ENOENT)
            api_error_done(err);
        else if (r < 0)
            return r;
    }
    *ret = list;
    list = (ObjectList){0};
    return 0;
}
