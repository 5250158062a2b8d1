/* What pods ask for and are held to, by pod, with the names of kube-scheduler's /metrics/resources. */
#pragma once

#include "client/client.h"

/* Each pod that has not ended: a line for each resource and each of request and limit. Any thread. */
void resource_metrics_write(const ClientList *pods, Buf *out);
