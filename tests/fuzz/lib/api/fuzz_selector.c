/* Label and field selectors: the canonical text of a label selector parses to itself. */
#include "api/selector.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    _cleanup_free_ char *text = xstrndup((const char *)data, size);
    _cleanup_(selector_freep) Selector *selector = NULL, *again = NULL, *fields = NULL;
    _cleanup_api_error_ ApiError err = {0};
    (void)field_selector_parse(text, &fields, &err);
    if (label_selector_parse(text, &selector, &err) < 0 || !selector)
        return 0;
    _cleanup_buf_ Buf first = BUF_INIT(BUF_NO_LIMIT), second = BUF_INIT(BUF_NO_LIMIT);
    selector_write(&first, selector);
    if (first.len <= SELECTOR_TEXT_MAX) {
        if (label_selector_parse(first.data, &again, &err) < 0)
            abort();
        selector_write(&second, again);
        if (first.len != second.len)
            abort();
    }
    label_selector_matches_value(selector, NULL);
    return 0;
}
