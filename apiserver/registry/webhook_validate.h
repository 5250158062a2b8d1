/* The check of a clientConfig, as webhook configurations and CustomResourceDefinitions have it
 * (k8s.io/apiserver/pkg/util/webhook/validation.go). Pure; any thread. */
#pragma once

#include "api/status.h"

/* Exactly one of url and service, and each well-formed. */
void webhook_client_validate(FieldErrors *errors, const Value *client, const FieldPath *path);
