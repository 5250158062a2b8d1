#include "api/member_index.h"
#include "base/str.h"
#include "base/strmap.h"

#define LINEAR_MEMBERS_MAX 32
#define LINEAR_LOOKUPS_MAX 8

/* The slot of `name`, or the free one where it belongs. */
static uint32_t *slot_of(const MemberIndex *index, const char *name) {
    size_t at = hash_bytes(name, strlen(name)) & index->mask;
    while (index->slots[at] && !streq(index->object->members[index->slots[at] - 1].name, name))
        at = (at + 1) & index->mask;
    return &index->slots[at];
}

MemberIndex member_index_for(const Value *object, size_t lookups) {
    MemberIndex index = {.object = value_is(object, VALUE_OBJECT) ? object : NULL};
    size_t n = index.n = value_len(index.object), size = 2 * LINEAR_MEMBERS_MAX;
    if (n <= LINEAR_MEMBERS_MAX || lookups <= LINEAR_LOOKUPS_MAX)
        return index;
    while (size < n * 2)
        size *= 2;
    index.mask = size - 1;
    index.slots = NEWN0(uint32_t, size);
    for (size_t i = 0; i < n; i++) {
        uint32_t *slot = slot_of(&index, object->members[i].name);
        if (!*slot) /* the first of one name counts, as in a walk */
            *slot = (uint32_t)i + 1;
    }
    return index;
}

MemberIndex member_index_new(const Value *object) {
    return member_index_for(object, SIZE_MAX);
}

Member *member_index_find(const MemberIndex *index, const char *name) {
    if (index->slots) {
        uint32_t place = *slot_of(index, name);
        return place ? &index->object->members[place - 1] : NULL;
    }
    for (size_t i = 0; i < index->n; i++)
        if (streq(index->object->members[i].name, name))
            return &index->object->members[i];
    return NULL;
}

Value *member_index_get(const MemberIndex *index, const char *name) {
    const Member *m = member_index_find(index, name);
    return m ? m->value : NULL;
}

void member_index_done(MemberIndex *index) {
    free(index->slots);
    index->slots = NULL;
}
