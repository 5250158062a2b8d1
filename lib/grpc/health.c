#include "grpc/health.h"

#include "grpc/gen/health.pb-c.h"

#include <errno.h>
#include <stdio.h>

#define HEALTH_PATH "/grpc.health.v1.Health/Check"

int health_decode(const void *data, size_t n, int32_t *ret_health) {
    Grpc__Health__V1__HealthCheckResponse *response =
        grpc__health__v1__health_check_response__unpack(NULL, n, n ? data : (const void *)"");
    if (!response)
        return -EBADMSG;
    *ret_health = (int32_t)response->status;
    grpc__health__v1__health_check_response__free_unpacked(response, NULL);
    return 0;
}

void health_check(GrpcConnection *connection, const char *service, uint64_t deadline_ns, int32_t *ret_health,
                  GrpcStatus *ret_status) {
    Grpc__Health__V1__HealthCheckRequest request = GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;
    _cleanup_free_ char *name = xstrdup(service ? service : "");
    request.service = name;
    size_t n = grpc__health__v1__health_check_request__get_packed_size(&request);
    _cleanup_free_ uint8_t *packed = xmalloc(n + 1);
    grpc__health__v1__health_check_request__pack(&request, packed);
    _cleanup_buf_ Buf answer = {0};
    grpc_call(connection, &(GrpcRequest){.path = HEALTH_PATH, .message = packed, .n = n, .deadline_ns = deadline_ns},
              &answer, ret_status);
    if (ret_status->code == GRPC_OK && health_decode(answer.data, answer.len, ret_health) < 0)
        grpc_status_set(ret_status, GRPC_INTERNAL,
                        "grpc: failed to unmarshal the received message: not a HealthCheckResponse");
}

const char *health_name(int32_t health, char out[HEALTH_NAME_MAX]) {
    const ProtobufCEnumValue *value = protobuf_c_enum_descriptor_get_value(
        &grpc__health__v1__health_check_response__serving_status__descriptor, health);
    if (value)
        return value->name;
    snprintf(out, HEALTH_NAME_MAX, "%d", health);
    return out;
}
