/* The strategy of every custom resource: what its definition says (custom_resources.h). */
#pragma once

#include "apiserver/registry/strategy.h"

extern const Strategy custom_resource_strategy;
