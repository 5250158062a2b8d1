/* The members of one object by name, for who looks up many: value_get walks, so that a loop of it over an object from
 * outside is quadratic. Borrows the object, of which nothing may go or be renamed meanwhile; what is added is not
 * found. Small objects are walked still. */
#pragma once

#include "api/value.h"

typedef struct MemberIndex {
    const Value *object;
    uint32_t *slots; /* places + 1, open addressing; NULL while a walk is as fast */
    size_t mask;
    size_t n; /* members when it was made */
} MemberIndex;

MemberIndex member_index_new(const Value *object); /* NULL and what is no object: has no members */
/* The same for that many lookups: no table where these are too few to pay for one. */
MemberIndex member_index_for(const Value *object, size_t lookups);
Member *member_index_find(const MemberIndex *index, const char *name); /* NULL when absent; valid until one is added */
Value *member_index_get(const MemberIndex *index, const char *name);   /* as value_get */
void member_index_done(MemberIndex *index);
#define _cleanup_member_index_ _cleanup_(member_index_done)
