/* The claims of a StatefulSet's pods: made before the pod, and owned by the set, the pod or nobody, as
 * spec.persistentVolumeClaimRetentionPolicy says. Inside controllers only. */
#pragma once

#include "client/events.h"
#include "client/informer.h"
#include "controllers/expectations.h"

typedef struct StatefulClaims { /* everything borrowed */
    Client *client;
    EventRecorder *events;
    Informer *informer; /* of claims */
    Expectations *writes;
    const char *key; /* of the set, in `writes` */
    Arena *arena;
    Object *set;
    const Value *spec; /* of the set */
} StatefulClaims;

/* In the arena. */
const char *stateful_claim_name(const StatefulClaims *claims, const Value *template, int64_t ordinal);
/* Makes those that are missing, with events. *ret_message says why on failure (in the arena); a claim that is being
 * deleted is -EBUSY. */
int stateful_claims_ensure(const StatefulClaims *claims, int64_t ordinal, const char **ret_message);
/* A claim still belongs to a pod of this name that is gone: until it is deleted too, no pod is made. */
bool stateful_claims_stale(const StatefulClaims *claims, int64_t ordinal);
/* Brings the owners of the pod's claims in line. `pod` NULL: it has just been made and is not in the cache.
 * `condemned`: it is to be scaled down. 1: some were changed. */
int stateful_claims_own(const StatefulClaims *claims, int64_t ordinal, const Object *pod, bool condemned);
