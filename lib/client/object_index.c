/* Open addressing with linear probing over groups of objects that share a text; removal shifts later slots back, so
 * there are no tombstones. */
#include "client/object_index.h"

#include "base/str.h"
#include "base/strmap.h"

#define SLOTS_FIRST 8

static uint64_t text_hash(IndexText t) {
    uint64_t h = hash_bytes(t.text, strlen(t.text));
    return t.ns ? h * 31 + hash_bytes(t.ns, strlen(t.ns)) : h;
}

static bool text_equal(IndexText a, IndexText b) {
    return streq(a.text, b.text) && streq_null(a.ns, b.ns);
}

void object_index_init(ObjectIndex *index, index_text_fn text, const void *userdata) {
    *index = (ObjectIndex){.text = text, .userdata = userdata};
}

static Object **slot_items(IndexSlot *slot) {
    return slot->cap ? slot->many : &slot->one;
}

void object_index_done(ObjectIndex *index) {
    for (size_t i = 0; i < index->n_slots; i++) {
        IndexSlot *slot = &index->slots[i];
        for (uint32_t k = 0; k < slot->n; k++)
            object_unref(slot_items(slot)[k]);
        if (slot->cap)
            free(slot->many);
    }
    free(index->slots);
    index->slots = NULL;
    index->n_slots = index->n_used = 0;
}

static IndexSlot *find_slot(const ObjectIndex *index, IndexText text, uint64_t hash) {
    if (index->n_slots == 0)
        return NULL;
    for (size_t i = hash & (index->n_slots - 1);; i = (i + 1) & (index->n_slots - 1)) {
        IndexSlot *slot = &index->slots[i];
        if (slot->n == 0 || (slot->hash == hash && text_equal(index->text(slot_items(slot)[0], index->userdata), text)))
            return slot;
    }
}

static void resize(ObjectIndex *index, size_t n_slots) {
    IndexSlot *old = index->slots;
    size_t n_old = index->n_slots;
    index->slots = NEWN0(IndexSlot, n_slots);
    index->n_slots = n_slots;
    for (size_t i = 0; i < n_old; i++) {
        if (old[i].n == 0)
            continue;
        size_t to = old[i].hash & (n_slots - 1);
        while (index->slots[to].n)
            to = (to + 1) & (n_slots - 1);
        index->slots[to] = old[i];
    }
    free(old);
}

void object_index_add(ObjectIndex *index, Object *object) {
    IndexText text = index->text(object, index->userdata);
    if (!text.text)
        return;
    if ((index->n_used + 1) * 4 > index->n_slots * 3)
        resize(index, MAX(index->n_slots * 2, (size_t)SLOTS_FIRST));
    uint64_t hash = text_hash(text);
    IndexSlot *slot = find_slot(index, text, hash);
    if (slot->n == 0) {
        *slot = (IndexSlot){.hash = hash, .n = 1, .one = object_ref(object)};
        index->n_used++;
        return;
    }
    if (slot->cap == 0) {
        Object **many = xreallocn(NULL, 4, sizeof(*many));
        many[0] = slot->one;
        slot->many = many;
        slot->cap = 4;
    } else if (slot->n == slot->cap) {
        slot->many = xreallocn(slot->many, slot->cap * 2, sizeof(*slot->many));
        slot->cap *= 2;
    }
    slot->many[slot->n++] = object_ref(object);
}

static void slot_clear(ObjectIndex *index, IndexSlot *slot) {
    size_t mask = index->n_slots - 1, hole = (size_t)(slot - index->slots);
    if (slot->cap)
        free(slot->many);
    index->n_used--;
    for (size_t i = (hole + 1) & mask; index->slots[i].n; i = (i + 1) & mask) {
        size_t home = index->slots[i].hash & mask;
        if (((i - home) & mask) < ((i - hole) & mask))
            continue;
        index->slots[hole] = index->slots[i];
        hole = i;
    }
    index->slots[hole] = (IndexSlot){0};
}

void object_index_remove(ObjectIndex *index, const Object *object) {
    IndexText text = index->text(object, index->userdata);
    if (!text.text)
        return;
    IndexSlot *slot = find_slot(index, text, text_hash(text));
    if (!slot || slot->n == 0)
        return;
    Object **items = slot_items(slot);
    uint32_t k = 0;
    while (k < slot->n && items[k] != object)
        k++;
    if (k == slot->n)
        return;
    Object *held = items[k];
    items[k] = items[slot->n - 1];
    if (slot->n == 1)
        slot_clear(index, slot);
    else
        slot->n--;
    object_unref(held);
}

Object *const *object_index_find(const ObjectIndex *index, IndexText text, size_t *ret_n) {
    IndexSlot *slot = find_slot(index, text, text_hash(text));
    *ret_n = slot ? slot->n : 0;
    return slot && slot->n ? slot_items(slot) : NULL;
}

Object *const *object_index_next(const ObjectIndex *index, size_t *cursor, size_t *ret_n) {
    while (*cursor < index->n_slots) {
        IndexSlot *slot = &index->slots[(*cursor)++];
        if (slot->n) {
            *ret_n = slot->n;
            return slot_items(slot);
        }
    }
    return NULL;
}
