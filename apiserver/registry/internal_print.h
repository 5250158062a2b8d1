/* Values as the reference's internal types print in messages: JSON of Go structs without tags, so capitalised names in
 * the order of the struct, null or a zero value for what is not set. By the tables of gen/internal_types.c. Pure. */
#pragma once

#include "api/value.h"

typedef enum PrintKind {
    PRINT_STRING,
    PRINT_BOOL,
    PRINT_INT,
    PRINT_QUANTITY,
    PRINT_MAP,
    PRINT_LIST,      /* both of InternalField.type, or of plain values */
    PRINT_STRUCT,    /* InternalField.type */
    PRINT_AS_SERVED, /* a type that both forms share, with its JSON names */
    PRINT_MEMBERS,   /* such a type, embedded: its members stand in the struct itself */
} PrintKind;

typedef struct InternalType InternalType;

typedef struct InternalField {
    const char *name, *member; /* the Go name; the member of the served object */
    PrintKind kind;
    bool in_parent;  /* the served form has the member one level up */
    bool is_pointer; /* null when absent */
    const InternalType *type;
} InternalField;

struct InternalType {
    const char *name; /* PodSpec */
    const InternalField *fields;
    size_t n_fields;
};

extern const InternalType *const internal_types; /* gen/internal_types.c */
extern const size_t internal_types_n;

/* What an object of the served API prints as when it is an internal `type`. `parent`: the object around it; may be
 * NULL. A type without a table is printed as it is served. Never NULL. */
Value *internal_value(Arena *arena, const char *type, const Value *served, const Value *parent);
Value *internal_list(Arena *arena, const char *type, const Value *list); /* of such */
/* k8s.io/apimachinery/pkg/util/diff: the unified diff (three lines of context) of the two printed with one space of
 * indent; "" when they print alike. */
char *internal_diff(Arena *arena, const Value *a, const Value *b);
