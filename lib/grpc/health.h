/* The health checking protocol of gRPC, grpc.health.v1.Health/Check. */
#pragma once

#include "grpc/client.h"

/* As the protocol numbers them; a server may send other numbers. */
typedef enum HealthStatus {
    HEALTH_UNKNOWN,
    HEALTH_SERVING,
    HEALTH_NOT_SERVING,
    HEALTH_SERVICE_UNKNOWN,
} HealthStatus;

/* Asks for the health of a service; "" (or NULL) is the server as a whole. *ret_health is set when ret_status->code is
 * GRPC_OK and untouched otherwise; *ret_status always (it may be garbage before), to be freed with grpc_status_done. */
void health_check(GrpcConnection *connection, const char *service, uint64_t deadline_ns, int32_t *ret_health,
                  GrpcStatus *ret_status);
/* "NOT_SERVING"; a number without a name is written as a number. Returns out or a constant. */
#define HEALTH_NAME_MAX 16
const char *health_name(int32_t health, char out[HEALTH_NAME_MAX]);
/* A HealthCheckResponse. -EBADMSG. */
int health_decode(const void *data, size_t n, int32_t *ret_health);
