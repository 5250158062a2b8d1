/* Semantic validation of the kinds that make pods (the reference's pkg/apis/apps/validation and parts of core). Objects
 * are whole, versioned, normalised and defaulted; metadata is the engine's. Pure; errors in the reference's words and
 * order. */
#pragma once

#include "apiserver/registry/strategy.h"

void deployment_validate(StrategyContext *context, const Value *object, FieldErrors *errors);
void deployment_validate_update(StrategyContext *context, const Value *object, const Value *old, FieldErrors *errors);
void deployment_validate_status(StrategyContext *context, const Value *object, const Value *old, FieldErrors *errors);
void replicaset_validate(StrategyContext *context, const Value *object, FieldErrors *errors);
void replicaset_validate_update(StrategyContext *context, const Value *object, const Value *old, FieldErrors *errors);
void replicaset_validate_status(StrategyContext *context, const Value *object, const Value *old, FieldErrors *errors);
void statefulset_validate(StrategyContext *context, const Value *object, FieldErrors *errors);
void statefulset_validate_update(StrategyContext *context, const Value *object, const Value *old, FieldErrors *errors);
void statefulset_validate_status(StrategyContext *context, const Value *object, const Value *old, FieldErrors *errors);
void daemonset_validate(StrategyContext *context, const Value *object, FieldErrors *errors);
void daemonset_validate_update(StrategyContext *context, const Value *object, const Value *old, FieldErrors *errors);
void daemonset_validate_status(StrategyContext *context, const Value *object, const Value *old, FieldErrors *errors);
void controller_revision_validate(StrategyContext *context, const Value *object, FieldErrors *errors);
void controller_revision_validate_update(StrategyContext *context, const Value *object, const Value *old,
                                         FieldErrors *errors);
void replication_controller_validate(StrategyContext *context, const Value *object, FieldErrors *errors);
void replication_controller_validate_status(StrategyContext *context, const Value *object, const Value *old,
                                            FieldErrors *errors);
void pod_template_object_validate(StrategyContext *context, const Value *object, FieldErrors *errors);

/* job_validate.c (the reference's pkg/apis/batch/validation). */
void job_validate(StrategyContext *context, const Value *object, FieldErrors *errors);
void job_validate_update(StrategyContext *context, const Value *object, const Value *old, FieldErrors *errors);
void job_validate_status(StrategyContext *context, const Value *object, const Value *old, FieldErrors *errors);
/* A JobSpec in a CronJob: no selector is asked for. */
void job_template_validate(FieldErrors *errors, const Value *template, const FieldPath *path);

/* cronjob_validate.c */
void cronjob_validate(StrategyContext *context, const Value *object, FieldErrors *errors);
void cronjob_validate_update(StrategyContext *context, const Value *object, const Value *old, FieldErrors *errors);

/* Does the selector (a LabelSelector; absent selects nothing) select the template's labels? An error at the labels of
 * the template when not. `skip_empty`: a selector that selects everything is not asked. */
void template_selected_validate(FieldErrors *errors, const Value *selector, const Value *template, bool skip_empty,
                                const FieldPath *template_path);
bool label_selector_is_sound(const Value *selector); /* LabelSelectorAsSelector gives no error */
/* Status counters that may not shrink (collisionCount). */
void status_not_decremented(FieldErrors *errors, const Value *status, const Value *old, const char *name);
