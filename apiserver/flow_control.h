/* The priority levels and flow schemas that every cluster has (the reference's flow control bootstrap). They are stored
 * and served; requests do not queue by them yet. At each start what is missing is made. The mandatory ones are as the
 * table says, the suggested ones are brought there while their annotation apf.kubernetes.io/autoupdate-spec is not
 * "false". */
#pragma once

#include "apiserver/handlers/api.h"

/* Rows of apiserver/gen/flow_control.c; the last has no plural. */
typedef struct FlowControlRow {
    const char *plural, *name;
    bool mandatory;
    const char *json;
} FlowControlRow;
extern const FlowControlRow flow_control_rows[];

/* Blocks until all are durable. The first error. */
int flow_control_bootstrap(ApiCore *core);
