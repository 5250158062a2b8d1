/* What the files of kinds share. */
#pragma once

#include "apiserver/registry/strategy.h"

#define IS(object, name, text) streq(str_or(value_get_str((object), (name)), ""), (text))

/* prepare_for_create of kinds whose status is written by controllers alone: it starts empty. */
void kinds_reset_status(StrategyContext *context, Value *object);
