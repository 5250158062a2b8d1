/* Bytes of a server through the whole client: a socket pair that already holds all of them. */
#include "../../support/grpc_peer.h"
#include "grpc/health.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint64_t deadline = now_monotonic_ns() + 10 * NS_PER_SEC;
    int peer;
    GrpcConnection *c = grpc_peer_new(data, size, 4096, deadline, &peer);
    if (!c)
        return 0;
    for (int i = 0; i < 2; i++) {
        _cleanup_grpc_status_ GrpcStatus status;
        int32_t health;
        health_check(c, "x", deadline, &health, &status);
        if (status.code == GRPC_DEADLINE_EXCEEDED && !status.message)
            abort();
    }
    grpc_close(c);
    close(peer);
    return 0;
}
