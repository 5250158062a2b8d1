/* The quality of service class of a pod, from its containers' requests and limits (or its own, where it has any), as
 * pkg/apis/core/helper/qos of the reference computes it. Pure. */
#pragma once

#include "api/value.h"

const char *pod_qos(const Value *pod); /* "Guaranteed", "Burstable" or "BestEffort" */
