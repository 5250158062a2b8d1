/* What a plain YAML scalar means: the YAML 1.1 rules of go.yaml.in/yaml/v2, which sigs.k8s.io/yaml uses. Private to the
 * YAML reader and writer. */
#pragma once

#include "api/value.h"

typedef enum ScalarKind {
    SCALAR_STRING,
    SCALAR_NULL,
    SCALAR_BOOL,
    SCALAR_INT,
    SCALAR_FLOAT,
    SCALAR_TIME,
    SCALAR_MERGE
} ScalarKind;

typedef struct Scalar {
    ScalarKind kind;
    bool boolean;
    bool is_unsigned; /* integer is a uint64 above INT64_MAX */
    int64_t integer;
    double number; /* may be infinite or not a number */
    char time[40]; /* RFC 3339 */
} Scalar;

Scalar yaml_scalar_resolve(const char *s);
