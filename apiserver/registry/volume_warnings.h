/* Warnings about persistent volumes and claims (the reference's pkg/api/persistentvolume and persistentvolumeclaim), in
 * its words and order. For Strategy.warn_create and, with the old object, warn_update. */
#pragma once

#include "apiserver/registry/strategy.h"

void volume_warn(StrategyContext *context, const Value *volume);
void volume_warn_update(StrategyContext *context, const Value *volume, const Value *old);
void claim_warn(StrategyContext *context, const Value *claim);
void claim_warn_update(StrategyContext *context, const Value *claim, const Value *old);
