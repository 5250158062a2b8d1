/* Values of etcd, whoever wrote them: what is read can be written and read again. The first byte says of which kind. */
#include "apiserver/storage/codec.h"
#include "base/str.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    size_t n = 0;
    if (!size)
        return 0;
    while (resource_builtin(n))
        n++;
    const Resource *row = resource_builtin(data[0] % n)->storage;
    _cleanup_object_ Object *object = NULL, *again = NULL;
    _cleanup_buf_ Buf bytes = BUF_INIT(1 << 22);
    if (stored_decode(STORE_KUBERNETES, row, NULL, data + 1, size - 1, 1, &object) < 0)
        return 0;
    if (stored_encode(STORE_KUBERNETES, object, &bytes) == 0 &&
        stored_decode(STORE_KUBERNETES, row, NULL, bytes.data, bytes.len, 1, &again) < 0)
        abort();
    return 0;
}
