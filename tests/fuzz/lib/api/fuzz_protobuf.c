/* Any bytes: an error, or a tree that encodes to bytes that decode to the same tree. */
#include <stdio.h>

#include "api/codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    static const char *const kinds[] = {
        "io.k8s.api.core.v1.Pod",
        "io.k8s.api.apps.v1.Deployment",
        "io.k8s.api.core.v1.Secret",
        "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition",
        "io.k8s.api.authentication.v1.TokenReview",
        "io.k8s.api.apps.v1.ControllerRevision",
        "io.k8s.api.coordination.v1.Lease"};
    _cleanup_arena_ Arena *arena = arena_new(64 << 20);
    const char *api_version, *kind;
    const void *raw;
    size_t raw_len;
    protobuf_decode(arena, data, n, &api_version, &kind, &raw, &raw_len);
    if (n < 1)
        return 0;
    const Schema *schema = schema_by_name(kinds[data[0] % ELEMENTSOF(kinds)]);
    Value *first, *second;
    if (protobuf_decode_message(arena, schema, data + 1, n - 1, &first) < 0)
        return 0;
    _cleanup_buf_ Buf bytes = BUF_INIT(64 << 20), again = BUF_INIT(64 << 20);
    if (protobuf_encode(&bytes, schema, first, "v1", "X") < 0)
        abort();
    if (protobuf_decode(arena, bytes.data, bytes.len, &api_version, &kind, &raw, &raw_len) < 0 ||
        protobuf_decode_message(arena, schema, raw, raw_len, &second) < 0)
        abort();
    if (protobuf_encode(&again, schema, second, "v1", "X") < 0 || again.len != bytes.len ||
        memcmp(again.data, bytes.data, bytes.len) != 0)
        abort();
    return 0;
}
