/* Any text straight to protobuf: bytes or a refusal. What a tree of it, normalised, is written as gives the same bytes
 * as the tree. The first byte chooses the kind. */
#include "api/codec.h"
#include "api/json.h"
#include "api/protobuf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    static const char *const kinds[] = {
        "io.k8s.api.core.v1.Pod",
        "io.k8s.api.apps.v1.Deployment",
        "io.k8s.api.core.v1.Secret",
        "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition",
        "io.k8s.api.core.v1.PersistentVolume",
        "io.k8s.api.apps.v1.ControllerRevision",
        "io.k8s.api.coordination.v1.Lease"};
    if (n < 1)
        return 0;
    _cleanup_arena_ Arena *arena = arena_new(64 << 20);
    const Schema *schema = schema_by_name(kinds[data[0] % ELEMENTSOF(kinds)]);
    _cleanup_free_ char *text = xstrndup((const char *)data + 1, n - 1);
    _cleanup_buf_ Buf raw = BUF_INIT(64 << 20), json = BUF_INIT(64 << 20), tree = BUF_INIT(64 << 20),
                      direct = BUF_INIT(64 << 20);
    protobuf_transcode_message(&raw, arena, schema, text, strlen(text));
    Value *v;
    if (json_parse(arena, text, strlen(text), &v, NULL, NULL) < 0 || schema_normalize(arena, schema, v, NULL, NULL) < 0)
        return 0;
    value_write_json(&json, v);
    int r = protobuf_encode(&tree, schema, v, "v1", "X");
    if (protobuf_encode_stored(&direct, schema, json.data, json.len, "v1", "X", NULL) != r)
        abort();
    if (r == 0 && (tree.len != direct.len || memcmp(tree.data, direct.data, tree.len) != 0))
        abort();
    return 0;
}
