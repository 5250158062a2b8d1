/* What the walks along a schema share: where they are, for messages, and what they have found. Inside lib/api only. */
#pragma once

#include "api/codec.h"

/* Where the walk is: one of field, key or index. Linked on the stack, read only for messages. */
typedef struct Frame {
    const struct Frame *parent;
    const Schema *owner; /* the struct that `field` belongs to */
    const SchemaField *field;
    const char *key;
    size_t index;
} Frame;

typedef struct Walk {
    Arena *arena;
    UnknownFields *unknown;
    char *first_error, *last_word; /* the remembered one, and the one that ended the walk */
    bool keep_unset;               /* schema_decode */
    bool sort;                     /* custom resources: members in alphabetical order */
    bool unquoted;                 /* paths of unknown members stand between quotes as they are */
} Walk;

/* Lists the member `name` of the place `frame` as unknown, in the words of the strict decoder. */
void walk_note_unknown(Walk *walk, const Frame *frame, const Member *member);
