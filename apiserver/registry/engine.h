/* What the files of the engine share with each other. */
#pragma once

#include "apiserver/registry/registry.h"

const AdmissionHooks *registry_admission(const Registry *registry);
/* Runs a hook of admission over `object` (the tree the engine holds) and `old`. */
int engine_admit(RegistryCall *call, AdmissionOperation operation, bool validate, Value *object, const Value *old,
                 const char *name, ApiError *err);
/* The request's namespace must be the object's: fills it in or refuses. */
int engine_match_namespace(RegistryCall *call, Value *object, ApiError *err);
/* Of owner references that come twice one stays, with a warning; before admission not in patches, as in the reference.
 */
void engine_dedup_owners(RegistryCall *call, Value *object, bool after_admission);
/* Whether an object that is being deleted has nothing left that holds it. */
bool engine_may_go(const RegistryCall *call, const Value *object);
/* managedFields after a write, from what was there before (NULL: nothing). */
void engine_track_fields(RegistryCall *call, const Value *old, Value *object);
/* The object at rest of a tree that strategies and admission have changed: members back in the order of the struct, in
 * the version that is stored. The tree itself takes that form; nothing else may share parts of it. The last step before
 * each write: -ETIMEDOUT past the request's deadline. */
int engine_object(RegistryCall *call, Value *object, Object **ret, ApiError *err);
/* Metadata, naming, strategy and validation of a create, up to the store. */
int engine_before_create(RegistryCall *call, Value *object, ApiError *err);
