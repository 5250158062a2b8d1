/* Warnings about pods and templates of pods: what is deprecated in them, without effect, or probably not meant (the
 * reference's pkg/api/pod/warnings.go), in its words and order. */
#pragma once

#include "apiserver/registry/strategy.h"

void pod_warn(StrategyContext *context, const Value *pod);
void pod_warn_status(StrategyContext *context, const Value *pod);
/* A PodTemplateSpec at `path`; NULL: nothing. */
void pod_template_warn(StrategyContext *context, const Value *template, const FieldPath *path);
/* A PersistentVolumeClaimSpec at `path`. */
void claim_spec_warn(StrategyContext *context, const Value *spec, const FieldPath *path);
