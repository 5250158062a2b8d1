/* Small things that many controllers say about objects: owner references, conditions, times. */
#pragma once

#include "api/object.h"

/* metav1.NewControllerRef: controller and blockOwnerDeletion are true. */
Value *owner_ref_value(Arena *arena, const Object *owner);
/* The entry of a list of conditions; NULL when absent. */
Value *meta_condition(const Value *conditions, const char *type);
/* Its status ("True", "False", "Unknown"); "" when absent. */
const char *condition_status(const Value *conditions, const char *type);
Value *condition_new(Arena *arena, const char *type, const char *status, const char *reason, const char *message);
void condition_remove(Value *conditions, const char *type);
/* Member `name` as a time in ns since 1970; 0 when absent or not a time. */
int64_t value_get_time(const Value *object, const char *name);
Value *value_time(Arena *arena, int64_t unix_ns);
Value *value_now(Arena *arena);
/* metadata.annotations[key] or metadata.labels[key]. */
const char *value_annotation(const Value *object, const char *key);
const char *value_label(const Value *object, const char *key);
/* intstr.GetScaledValueFromIntOrPercent; absent values give `otherwise`. */
int64_t int_or_percent(const Value *v, int64_t total, bool round_up, int64_t otherwise);
/* Is the name in metadata.finalizers? */
bool has_finalizer(const Value *object, const char *name);
/* A patch skeleton {"metadata": {"uid": uid}}: the server refuses it when the object is another one by now. */
Value *patch_for_uid(Arena *arena, const char *uid, Value **ret_metadata);
