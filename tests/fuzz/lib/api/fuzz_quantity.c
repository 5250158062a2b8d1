/* The canonical text of a quantity parses to the same value. */
#include "api/quantity.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char text[128], canonical[QUANTITY_TEXT_MAX];
    if (size >= sizeof(text))
        return 0;
    memcpy(text, data, size);
    text[size] = 0;
    Quantity q, again;
    if (quantity_parse(text, &q) < 0)
        return 0;
    quantity_format(&q, canonical);
    if (quantity_parse(canonical, &again) < 0 || quantity_compare(&q, &again) != 0)
        abort();
    (void)quantity_milli_value(&q);
    quantity_add(&q, &again);
    quantity_sub(&q, &again);
    return 0;
}
