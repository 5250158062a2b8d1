/* Bytes of an HTTP/1.1 client through the whole connection code. */
#include "../../support/http_peer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    http_peer_run(data, size, false, http_peer_handle, NULL);
    return 0;
}
