/* What the API server says of each FlowSchema in its status, as the configuration controller of the reference's API
 * priority and fairness does: the condition Dangling tells whether the priority level that it names is there. Nothing
 * is said of priority levels. */
#pragma once

#include "client/client.h"

typedef struct FlowSchemaStatus FlowSchemaStatus;

/* `client` must outlive it. It goes on by threads of its own; writes that fail are tried again. */
FlowSchemaStatus *flow_schema_status_start(Client *client);
void flow_schema_status_stop(FlowSchemaStatus *status); /* NULL is fine */
