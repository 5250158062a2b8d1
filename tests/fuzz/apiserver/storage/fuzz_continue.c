/* Continue tokens: as they come; and what the JSON of one says, written anew, reads as the same place. */
#include "apiserver/storage/internal.h"
#include "base/str.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const char *text, bool namespaced, const char *ns) {
    ContinueToken first = {0}, second = {0};
    _cleanup_api_error_ ApiError err = {0}, again = {0};
    int r = continue_token_parse(text, namespaced, ns, &first, &err);
    if ((r < 0) != (err.code != 0))
        abort();
    if (r < 0)
        return;
    _cleanup_free_ char *written = continue_token_write(namespaced, ns, first.ns, first.name, first.revision);
    if (continue_token_parse(written, namespaced, ns, &second, &again) == 0 &&
        (!streq(first.ns, second.ns) || !streq(first.name, second.name) || first.revision != second.revision))
        abort();
    continue_token_done(&first);
    continue_token_done(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    _cleanup_free_ char *text = xstrndup((const char *)data, size);
    _cleanup_buf_ Buf encoded = BUF_INIT(BUF_NO_LIMIT);
    base64url_encode(&encoded, data, size);
    _cleanup_free_ char *as_json = xstrndup(encoded.len ? encoded.data : "", encoded.len);
    const char *const texts[] = {text, as_json};
    for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
        check(texts[i], false, NULL);
        check(texts[i], true, NULL);
        check(texts[i], true, "default");
    }
    return 0;
}
