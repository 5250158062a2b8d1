/* OpenAPI documents as protobuf, in gnostic's messages (OpenAPIv2.proto, OpenAPIv3.proto): the words of the tables in
 * openapi_v2.c and openapi_v3.c, one for each message, and the one walk over them. Inside lib/api only. */
#pragma once

#include "api/value.h"
#include "base/mem.h"

typedef enum OpenApiRowType {
    ROW_STRING,
    ROW_STRINGS, /* an array, or one string alone */
    ROW_BOOL,
    ROW_INT,
    ROW_DOUBLE,
    ROW_ANY, /* the value as YAML */
    ROW_ANYS,
    ROW_MESSAGE,
    ROW_MESSAGES, /* an array, or one object alone */
    /* An object whose members become messages of a name and a value, but for extensions and what other rows name. */
    ROW_NAMED,         /* the value is a message */
    ROW_NAMED_STRING,  /* a string */
    ROW_NAMED_STRINGS, /* a message of nothing but strings */
    ROW_NAMED_ANY      /* as YAML */
} OpenApiRowType;

typedef struct OpenApiMessage OpenApiMessage;

typedef struct OpenApiRow {
    const char *name; /* the member; NULL: the value itself, of messages that only wrap or choose */
    uint8_t number, type;
    const OpenApiMessage *of;
    const char *when, *is; /* only if the value has the member `when` (and it is `is`) */
} OpenApiRow;

struct OpenApiMessage {
    const OpenApiRow *rows;     /* in the order of their numbers, but for choices */
    uint8_t n_rows, extensions; /* the number that members named x-... are under; 0: none */
    bool one_of;                /* the first row that applies */
};

#define OPENAPI_MESSAGE(rows_, extensions_)                                                                            \
    { .rows = (rows_), .n_rows = ELEMENTSOF(rows_), .extensions = (extensions_) }
#define OPENAPI_ONE_OF(rows_)                                                                                          \
    { .rows = (rows_), .n_rows = ELEMENTSOF(rows_), .one_of = true }

/* The messages that are the same in both versions. */
extern const OpenApiMessage openapi_external_docs, openapi_xml, openapi_contact, openapi_license, openapi_tag,
    openapi_security_requirement;

/* Appends the message. Members without a row are left out, as are those of another type than their row's. -EFBIG past
 * the limit of `out`, -ELOOP for values nested deeper than PROTOBUF_DEPTH_MAX. */
int openapi_message_encode(Buf *out, const OpenApiMessage *message, const Value *v);
