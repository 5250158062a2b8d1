/* Decoded values as Go's fmt writes them, as they stand in messages of the reference. */
#pragma once

#include "api/value.h"

typedef enum GoVerb {
    GO_PLAIN,  /* %v: map[a:1 b:[x y]] */
    GO_STRING, /* %s, with the complaint that it makes of other types: %!s(int64=1) */
    GO_SYNTAX, /* %#v: map[string]interface {}{"a":1} */
} GoVerb;

/* Members come in the order of their names. */
void go_write(Buf *out, const Value *v, GoVerb verb);
/* %T */
const char *go_type_of(const Value *v);
