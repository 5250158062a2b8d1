/* The generic engine: what every resource has in common, between a decoded request and the store. It knows ObjectMeta,
 * optimistic concurrency, generated names, graceful deletion, finalizers, dry run; what a resource does of its own is
 * its strategy (strategy.h).
 *
 * Trees that go through the engine are in the form of the storage row (convert.h), those of custom resources in that of
 * the version asked for (custom_resources.h), normalised and with defaults. All
 * functions may block on the store's disk; any thread. Errors: negative errno and the Status in *err. */
#pragma once

#include "apiserver/registry/strategy.h"
#include "api/managed.h"
#include "client/api.h"

typedef struct Registry Registry;

typedef enum AdmissionOperation {
    ADMISSION_CREATE,
    ADMISSION_UPDATE,
    ADMISSION_DELETE,
    ADMISSION_CONNECT
} AdmissionOperation;

struct CustomResources;

/* What an admission plugin is told. */
typedef struct AdmissionRequest {
    AdmissionOperation operation;
    const ApiRequest *request; /* resource, subresource, user, options */
    const Resource *resource;  /* the row whose form the objects have */
    const char *ns, *name;     /* "" when there is none */
    Value *object;    /* new state; mutating plugins change it; NULL for deletes. For subresources with a kind of
                         their own (Binding, Eviction, TokenRequest), that */
    const Value *old; /* NULL for creates */
    Store *store;
    StrategyContext *strategy;      /* arena, settings, warnings */
    struct Admission *admission;    /* who asks the plugins; set by them */
    struct CustomResources *custom; /* may be NULL */
    /* Set by plugins: a webhook changed the object, so all that change objects run once more, and are running so. */
    struct {
        bool wanted, running;
        struct WebhookReinvocation *webhooks;
    } reinvocation;
} AdmissionRequest;

typedef struct AdmissionHooks {
    int (*mutate)(void *userdata, AdmissionRequest *request, ApiError *err);
    int (*validate)(void *userdata, AdmissionRequest *request, ApiError *err);
    void *userdata;
    /* After all that change the object, and before anything looks whether it is valid: may the user write this? */
    int (*guard)(void *userdata, AdmissionRequest *request, ApiError *err);
    void *guard_userdata;
} AdmissionHooks;

typedef struct RegistryConfig {
    Store *store;
    struct CustomResources *custom; /* borrowed; NULL: none */
    StrategySettings settings;
    AdmissionHooks admission; /* functions may be NULL */
} RegistryConfig;

Registry *registry_new(const RegistryConfig *config);
void registry_free(Registry *registry);
DEFINE_CLEANUP(Registry, registry_free)
Store *registry_store(Registry *registry);
struct CustomResources *registry_custom(Registry *registry); /* custom_resources.h; may be NULL */
const StrategySettings *registry_settings(Registry *registry);

/* The state of one request in the engine: made once, then passed to one of the functions below. */
typedef struct RegistryCall {
    Registry *registry;
    const ApiRequest *request;
    const Resource *resource; /* the row whose form trees have */
    const Strategy *strategy;
    StrategyContext context;
    bool keep_managed_fields; /* the write does not pass through the field manager (subresources without one) */
} RegistryCall;
void registry_call_init(RegistryCall *call, Registry *registry, const ApiRequest *request);

typedef struct RegistryResult {
    Object *object; /* a reference; of a dry run: not stored */
    bool created, deleted;
} RegistryResult;
static inline void registry_result_done(RegistryResult *result) {
    object_unref(result->object);
    result->object = NULL;
}
#define _cleanup_registry_result_ _cleanup_(registry_result_done)

/* Admission of a create through a subresource with a kind of its own (TokenRequest, Eviction): `object` is that, `name`
 * the main resource's. May change the object. */
int registry_admit_create(RegistryCall *call, Value *object, const char *name, ApiError *err);

/* A create of what is answered and not stored (reviews), up to the answer: metadata, mutating admission, `check` of
 * what that left, validating admission. Changes the object. */
int registry_admit_unstored(RegistryCall *call, Value *object,
                            int (*check)(void *userdata, const ApiRequest *request, Value *object, ApiError *err),
                            void *userdata, ApiError *err);

/* Admission of a connection through a subresource: `options` is the object of its kind (PodExecOptions). */
int registry_admit_connect(RegistryCall *call, Value *options, const char *name, ApiError *err);

/* A stored object as a tree of the engine, in the call's arena. */
int registry_tree(RegistryCall *call, const Object *object, Value **ret, ApiError *err);
int registry_get(RegistryCall *call, const char *ns, const char *name, Object **ret, ApiError *err);
/* `object` is changed in place. */
int registry_create(RegistryCall *call, Value *object, RegistryResult *ret, ApiError *err);

typedef struct RegistryUpdate {
    /* Makes the new object from the stored one (`old` NULL: absent, with create_absent or where the
     * strategy allows it). Runs again whenever somebody wrote in between; an object that names the revision its client
     * read then gives a conflict. Result: normalised, defaulted, storage form, in call->context.arena. */
    int (*transform)(void *userdata, const Value *old, Value **ret, ApiError *err);
    void *userdata;
    bool check_uid;     /* the object's uid, when it has one, is a precondition */
    bool create_absent; /* server-side apply, but for subresources */
    bool apply;         /* server-side apply: the transform has set managedFields itself */
    bool admitted;      /* the caller has asked admission (registry_admit_create) */
} RegistryUpdate;
int registry_update(RegistryCall *call, const RegistryUpdate *update, RegistryResult *ret, ApiError *err);

typedef struct DeleteOptions {
    const char *uid, *resource_version; /* preconditions; NULL: none */
    bool grace_set;
    int64_t grace_seconds;
    const char *propagation; /* NULL: not said */
    bool orphan_set, orphan; /* orphanDependents, the old way */
    const Value *dry_run;    /* as sent; NULL: none */
} DeleteOptions;
/* From a DeleteOptions tree and the query; validates. */
int delete_options_read(const Value *body, DeleteOptions *ret, Arena *arena, ApiError *err);
int registry_delete(RegistryCall *call, const char *ns, const char *name, const DeleteOptions *options,
                    RegistryResult *ret, ApiError *err);
/* Deletes what the request's options select, of what there was at a revision (0: is now); *ret are the items deleted.
 */
int registry_delete_collection(RegistryCall *call, const DeleteOptions *options, uint64_t at_revision, ObjectList *ret,
                               ApiError *err);

/* meta.c: the rules of ObjectMeta. */
void meta_validate(const Strategy *strategy, const Resource *resource, const Value *object, bool strict_name,
                   FieldErrors *errors);
/* Of an object within another: its name and namespace may be empty. */
void meta_validate_embedded(const Value *meta, FieldErrors *errors, const FieldPath *path);
void meta_validate_update(const Value *object, const Value *old, FieldErrors *errors);
/* What built-in kinds ask of finalizers besides. */
void meta_validate_finalizers(const Resource *resource, const Value *object, FieldErrors *errors);
/* fields.c: how this request's writes are tracked in managedFields. */
/* The trees of managed_update and managed_apply have the form of registry_managed_row: the request's, where the
 * engine's is another. */
void registry_managed_input(RegistryCall *call, ManagedInput *ret);
const Resource *registry_managed_row(const RegistryCall *call);
const char *meta_get(const Value *object, const char *name); /* metadata.NAME when a string, else NULL */
Value *meta_ensure(Arena *arena, Value *object);

/* From errno of the store, with the resource's names. */
/* 400 where the request's namespace and the object's are both given and are not the same. */
int registry_check_namespace(const char *want, const char *have, ApiError *err);
/* 404, or 400 where no object can have this name. */
int registry_not_found(const Resource *resource, const char *name, ApiError *err);
int registry_store_error(const RegistryCall *call, const char *name, int r, ApiError *err);
