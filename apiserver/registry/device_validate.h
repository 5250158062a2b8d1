/* What the kinds of resource.k8s.io are checked for. Selectors in CEL are looked at for their length only: nothing here
 * compiles them. `path` is the path of the value itself. Pure; any thread. */
#pragma once

#include "apiserver/registry/strategy.h"

#define DEVICE_CONFIG_MAX 32
#define DEVICE_REQUESTS_MAX 32

typedef struct DeviceCheck DeviceCheck;

/* One item of a list, or one member's value of a map; `context` is the caller's. */
typedef void (*device_item_check)(const void *context, FieldErrors *errors, const Value *item, const FieldPath *path);

struct DeviceCheck {
    device_item_check item;
    const void *context;
    size_t max;      /* items; more are not looked at. 0: any number */
    const char *key; /* items differ in this member; "": in themselves. NULL: they may be alike */
};
/* member `name` of `object`, a list. */
void device_list_validate(FieldErrors *errors, const Value *object, const char *name, const DeviceCheck *check,
                          const FieldPath *path);

/* What stands between slashes: at least one part, which may be empty. */
char **device_name_parts(Arena *arena, const char *name, size_t *ret_n);
void device_driver_validate(FieldErrors *errors, const Value *object, const char *name, const FieldPath *path);
void device_pool_validate(FieldErrors *errors, const Value *object, const char *name, const FieldPath *path);
/* An object of the driver's own, within 10 KiB unless it is `stored` already; `required`: absent is wrong. */
void device_parameters_validate(FieldErrors *errors, const Value *parameters, bool stored, const FieldPath *path);
/* A name within a domain, or (unless `full`) without one. */
void device_qualified_validate(FieldErrors *errors, const char *name, bool full, const FieldPath *path);
void device_label_validate(FieldErrors *errors, const char *key, const FieldPath *path); /* a label's key */
void device_binding_validate(FieldErrors *errors, const Value *object, const FieldPath *path);
void device_taint_validate(const void *context, FieldErrors *errors, const Value *taint, const FieldPath *path);
void device_toleration_validate(const void *context, FieldErrors *errors, const Value *toleration,
                                const FieldPath *path);

/* device_claim_validate.c */
void device_claim_spec_validate(FieldErrors *errors, const Value *spec, const FieldPath *path);
void device_claim_status_validate(FieldErrors *errors, const Value *claim, const Value *old);
/* Takes away what the status says of devices that were taken from the claim. */
void device_claim_drop_statuses(Arena *arena, Value *claim, const Value *old);
void device_selectors_validate(FieldErrors *errors, const Value *object, const FieldPath *path);
/* Its `opaque`; `stored`: a const bool. */
void device_config_validate(const void *stored, FieldErrors *errors, const Value *config, const FieldPath *path);
/* Access for administration is granted in namespaces that are labelled for it. */
void device_admin_access_validate(StrategyContext *context, FieldErrors *errors, const Value *spec,
                                  const FieldPath *path);

/* device_slice_validate.c. `old` NULL: a creation. */
void device_slice_validate(FieldErrors *errors, const Value *slice, const Value *old);
