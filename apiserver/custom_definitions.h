/* The keeper of CustomResourceDefinitions: a thread that follows them in the store, accepts their names, establishes
 * them, serves their resources (registry/custom_resources.h), and empties them before they go. */
#pragma once

#include "apiserver/health.h"
#include "apiserver/registry/custom_resources.h"
#include "apiserver/registry/registry.h"

#define CUSTOM_DEFINITIONS_RETRY_SECONDS 1 /* between looks at a definition whose objects are not gone yet */

typedef struct CustomDefinitions CustomDefinitions;

/* Serves what is stored before it returns. The registry, the set and the health are borrowed until
 * custom_definitions_stop. */
CustomDefinitions *custom_definitions_start(Registry *registry, CustomResources *set, Health *health);
void custom_definitions_stop(CustomDefinitions *definitions);
