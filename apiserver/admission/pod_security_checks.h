/* The checks of the Pod Security Standards, in every version they have had (k8s.io/pod-security-admission/policy).
 * Pure. */
#pragma once

#include "api/value.h"

typedef enum SecurityLevel { SECURITY_PRIVILEGED, SECURITY_BASELINE, SECURITY_RESTRICTED } SecurityLevel;
#define SECURITY_LATEST INT32_MAX

typedef struct SecurityPolicy {
    SecurityLevel level;
    int version; /* 1.N; SECURITY_LATEST: the newest */
} SecurityPolicy;

/* What a pod does that the policy forbids: reasons, and reasons with details, each joined by ", ". */
typedef struct SecurityVerdict {
    bool allowed;
    char *reasons, *details; /* in the arena; NULL when allowed */
} SecurityVerdict;

/* `meta` and `spec` of a pod or of a pod template. */
SecurityVerdict pod_security_check(Arena *arena, SecurityPolicy policy, const Value *meta, const Value *spec);
