/* Objects as github.com/davecgh/go-spew prints the Go structs that the reference decodes them to (%#v with sorted keys
 * and without methods): what the hash of a pod template is taken over, so every byte counts. By the tables of
 * gen/go_types.c. As after decoding from protobuf, which is what controllers of the reference see: empty lists and maps
 * are nil, quantities are read from their canonical text. Pure. */
#pragma once

#include "api/value.h"

typedef enum GoKind {
    GO_STRING,
    GO_BOOL,
    GO_INT,
    GO_STRINGS, /* slices */
    GO_INTS,
    GO_STRUCTS,
    GO_MAP,        /* map[string]string */
    GO_QUANTITIES, /* map[string]resource.Quantity */
    GO_STRUCT,
    GO_QUANTITY,
    GO_INT_OR_STRING,
    GO_TIME,
    GO_FIELDS, /* metav1.FieldsV1 */
} GoKind;

typedef struct GoType GoType;

typedef struct GoField {
    const char *name, *member; /* the Go name; the member of the served object, "" for an embedded struct's own */
    const char *type;          /* "[]v1.Container"; of a pointer what it points to */
    GoKind kind;
    bool is_pointer;
    const GoType *element; /* of GO_STRUCT and GO_STRUCTS */
} GoField;

struct GoType {
    const GoField *fields;
    size_t n_fields;
};

extern const GoType *const go_type_pod_template; /* v1.PodTemplateSpec */

typedef void (*GoWrite)(const char *text, size_t n, void *userdata);
/* Prints `v` as a value (not a pointer) of that type named `name` ("v1.PodTemplateSpec"), piece by piece. */
void go_print(const GoType *type, const char *name, const Value *v, GoWrite write, void *userdata);
