/* What a resource does that the generic engine (registry.h) does not know: its strategy. One file a group of kinds;
 * each file exports one table of rows, and strategies.c lists the tables. Every function may be NULL: the generic
 * behaviour.
 *
 * Order of a create: decode and normalise (schema) -> set_defaults -> admission -> prepare_for_create -> validate ->
 * begin_create -> store -> reply; of an update: ... -> prepare_for_update -> validate (of the whole new object) and
 * validate_update -> begin_update -> store. The generic parts (ObjectMeta rules, uid, timestamps, generation where
 * `has_generation`, immutable metadata, managedFields, status kept on main updates and spec kept on status updates
 * where the resource has a status subresource) are the engine's.
 *
 * set_defaults, prepare_* and validate* are pure: no I/O, no clock of their own. Messages are the reference's. */
#pragma once

#include "api/codec.h"
#include "apiserver/storage/store.h"

/* What the server was told at its start and strategies need. */
typedef struct StrategySettings {
    const char *service_cluster_ip_range; /* "10.96.0.0/16" */
    uint16_t node_port_first, node_port_last;
} StrategySettings;

typedef struct StrategyContext {
    Arena *arena;
    const StrategySettings *settings;
    const Resource *resource;  /* the storage row, whose form objects have */
    const Resource *requested; /* the row of the request; NULL: the same */
    const char *ns;
    const char *subresource;          /* NULL: the main resource */
    const char *user;                 /* the requester's name */
    const struct UserInfo *requester; /* client/api.h; NULL: nobody */
    Store *store;                     /* for begin_* and checks against other objects */
    bool dry_run;
    int64_t now_ns;
    char **warnings; /* in the arena; strategy_warn */
    size_t n_warnings;
    Pair *annotations; /* in the arena; strategy_annotate */
    size_t n_annotations;
} StrategyContext;

/* Warnings kept: headers hold 4,096 characters of them in all, so more could never be sent. */
#define STRATEGY_WARNINGS_MAX 8192
bool strategy_is_full(const StrategyContext *context);
/* Adds a Warning header to the answer. */
void strategy_warn(StrategyContext *context, const char *format, ...) _printf_(2, 3);
/* Keeps an annotation for the request's audit event. */
void strategy_annotate(StrategyContext *context, const char *key, const char *value);

/* set_defaults comes after defaults.h and is for what is a resource's own, not its types'. What a resource prints is in
 * printers.h. */
typedef struct Strategy {
    const char *group, *plural; /* all versions of it, unless `version` is set */
    const char *version;
    bool has_generation;             /* metadata.generation follows spec changes */
    bool allow_create_on_update;     /* PUT of an absent object creates it */
    bool allow_unconditional_update; /* PUT without resourceVersion is allowed */
    void (*set_defaults)(Arena *arena, Value *object);
    void (*prepare_for_create)(StrategyContext *context, Value *object);
    void (*prepare_for_update)(StrategyContext *context, Value *object, const Value *old);
    void (*prepare_for_status_update)(StrategyContext *context, Value *object, const Value *old);
    void (*validate)(StrategyContext *context, const Value *object, FieldErrors *errors);
    void (*validate_update)(StrategyContext *context, const Value *object, const Value *old, FieldErrors *errors);
    /* How often an update lists what is wrong with metadata besides the once of all kinds: */
    bool revalidates_meta;       /* its update is validated as a creation too */
    bool no_meta_update;         /* its own validation leaves metadata alone */
    bool validates_update_alone; /* an update runs validate_update only, not validate before it */
    void (*validate_status_update)(StrategyContext *context, const Value *object, const Value *old,
                                   FieldErrors *errors);
    /* Checks metadata.name; returns a message list through errors. NULL: DNS-1123 subdomain. */
    void (*validate_name)(const char *name, bool prefix, FieldErrors *errors, const FieldPath *path);
    void (*warn_create)(StrategyContext *context, const Value *object);
    void (*warn_update)(StrategyContext *context, const Value *object, const Value *old);
    void (*warn_status_update)(StrategyContext *context, const Value *object);
    /* Work against other objects just before the write (cluster IPs, node ports). May change the object. rollback
     * undoes it when the write fails. */
    int (*begin_create)(StrategyContext *context, Value *object, ApiError *err);
    int (*begin_update)(StrategyContext *context, Value *object, const Value *old, ApiError *err);
    void (*rollback)(StrategyContext *context, const Value *object);
    void (*after_update)(StrategyContext *context, const Value *object, const Value *old); /* once it is stored */
    void (*after_delete)(StrategyContext *context, const Value *object);
    /* Graceful deletion: the seconds this object is to be given; 0: at once. `requested` < 0: not said. */
    int64_t (*grace_seconds)(StrategyContext *context, const Value *object, int64_t requested);
    bool return_deleted_object; /* a delete answers with the object's last state, not a Status */
    bool orphan_by_default;     /* the dependents stay when nobody says otherwise (core/v1 rc, batch/v1 jobs) */
    bool graceful;              /* grace_seconds applies: deletion may wait for the node (pods) */
    /* Whether something but metadata.finalizers holds a deleted object (Namespace: spec.finalizers); when a deletion is
     * held, mark_deleting makes the object say so. */
    bool (*holds_deletion)(const Value *object);
    void (*mark_deleting)(StrategyContext *context, Value *object);
    /* Refuses a deletion; before anything else. */
    int (*check_delete)(StrategyContext *context, const Value *object, ApiError *err);
} Strategy;

typedef struct StrategyTable {
    const Strategy *rows;
    size_t n;
} StrategyTable;

/* The strategy of a resource, from the tables that strategy_tables.h lists; a static empty one when it has none. Never
 * NULL. */
const Strategy *strategy_of(const Resource *resource);
