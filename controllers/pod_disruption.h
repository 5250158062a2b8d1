/* Ending a pod from the control plane's side: the condition DisruptionTarget that says why, then the deletion. */
#pragma once

#include "client/client.h"

/* Sets DisruptionTarget (and phase Failed when `fail`), then deletes with `grace_seconds` (< 0: the pod's own). A pod
 * that is gone is fine. */
int pod_disrupt(Client *client, const Object *pod, const char *reason, const char *message, bool fail,
                int64_t grace_seconds);
