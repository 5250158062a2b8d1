/* Admission of connections (exec, attach, portforward, proxy): before anything is connected, with the query as the
 * options object of the subresource (PodExecOptions, ...). */
#pragma once

#include "apiserver/handlers/http.h"

/* Logs are read, not connected to. */
bool connect_is_admitted(const Route *route);
/* May block on webhooks: not on a loop's thread. What webhooks change in the options is not followed. */
int connect_admit(Exchange *exchange, ApiError *err);
