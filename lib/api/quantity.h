/* resource.Quantity of k8s.io/apimachinery: exact decimal arithmetic within int64 scaled values and a decimal fallback,
 * canonical text in the format it was written in. */
#pragma once

#include "base/mem.h"

typedef enum QuantityFormat { QUANTITY_DECIMAL_SI, QUANTITY_BINARY_SI, QUANTITY_DECIMAL_EXPONENT } QuantityFormat;

typedef struct Quantity { /* value = unscaled * 10^exponent, exponent in [-9, 18] after rounding up to nano, as the
                             reference */
    __int128 unscaled;
    int exponent;
    QuantityFormat format;
    bool as_written; /* the reference writes the text it was parsed from ("1.234", "+5"), not the canonical one */
} Quantity;

#define QUANTITY_TEXT_MAX 64
int quantity_parse(const char *s, Quantity *ret);  /* -EINVAL */
const char *quantity_parse_message(const char *s); /* why it does not parse, as the reference says it; NULL: it does */
char *quantity_format(const Quantity *q, char out[QUANTITY_TEXT_MAX]); /* canonical */
/* What the reference's struct holds after it parsed a canonical text. */
typedef struct QuantityForm {
    bool is_decimal; /* an inf.Dec of scale 9, else an int64 and a scale */
    int64_t value;
    int scale;
    bool negative;
    unsigned __int128 unscaled; /* of the inf.Dec; of up to 38 digits, more are cut */
    QuantityFormat format;
    bool keeps_text; /* it remembers the text */
} QuantityForm;
int quantity_form(const char *canonical, QuantityForm *ret); /* -EINVAL, and a zero form */
int quantity_compare(const Quantity *a, const Quantity *b);
int quantity_sign(const Quantity *q);
void quantity_add(Quantity *a, const Quantity *b);
void quantity_sub(Quantity *a, const Quantity *b);
/* Rounded up, saturated: whole units and thousandths. */
int64_t quantity_value(const Quantity *q);
int64_t quantity_milli_value(const Quantity *q);
Quantity quantity_from_int(int64_t value, QuantityFormat format);
Quantity quantity_from_milli(int64_t milli, QuantityFormat format);
