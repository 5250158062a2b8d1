#include "scheduler/placement/internal.h"

#include <assert.h>
#include <stdio.h>

Placement *placement_new(void) {
    Placement *p = NEW0(Placement);
    p->names = interner_new();
    p->by_node = strmap_new(NULL);
    p->by_uid = strmap_new(NULL);
    p->by_namespace = strmap_new(free);
    p->image_nodes = strmap_new(NULL);
    p->field_name = interner_add(p->names, "\x01metadata.name");
    p->owner_key = interner_add(p->names, "\x01owner");
    p->hostname_key = interner_add(p->names, "kubernetes.io/hostname");
    p->unschedulable_taint = interner_add(p->names, "node.kubernetes.io/unschedulable");
    static const char *const BASIC[] = {"cpu", "memory", "ephemeral-storage", "pods"};
    for (size_t i = 0; i < ELEMENTSOF(BASIC); i++)
        placement_resource(p, BASIC[i]);
    return p;
}

static void node_clear(Node *node) {
    free(node->labels);
    free(node->taints);
    free(node->images);
    node->labels = NULL;
    node->taints = NULL;
    node->images = NULL;
    node->n_labels = node->n_taints = node->n_images = 0;
}

void placement_free(Placement *p) {
    if (!p)
        return;
    const char *uid;
    Resident *resident;
    STRMAP_FOREACH (p->by_uid, uid, resident) {
        placement_request_free(resident->request);
        free(resident);
    }
    for (uint32_t i = 0; i < p->n_slots; i++) {
        node_clear(&p->nodes[i]);
        free(p->nodes[i].residents);
    }
    for (uint32_t r = 0; r < p->n_resources; r++) {
        free(p->allocatable[r]);
        free(p->used[r]);
    }
    free(p->allocatable);
    free(p->used);
    free(p->scored_cpu);
    free(p->scored_memory);
    free(p->resource_names);
    free(p->resource_reasons);
    free(p->nodes);
    free(p->with_terms);
    strmap_free(p->by_node);
    strmap_free(p->by_uid);
    strmap_free(p->by_namespace);
    strmap_free(p->image_nodes);
    interner_free(p->names);
    free(p);
}

Interner *placement_names(Placement *p) {
    return p->names;
}

Id placement_name(Placement *p, const char *name) {
    return interner_add(p->names, name);
}

Id placement_field_name(Placement *p) {
    return p->field_name;
}

Id placement_owner_key(Placement *p) {
    return p->owner_key;
}

const char *placement_resource_name(const Placement *p, uint32_t resource) {
    return interner_name(p->names, p->resource_names[resource]);
}

uint32_t placement_resource(Placement *p, const char *name) {
    Id id = interner_add(p->names, name);
    for (uint32_t r = 0; r < p->n_resources; r++)
        if (p->resource_names[r] == id)
            return r;
    uint32_t r = p->n_resources++;
    p->resource_names = xreallocn(p->resource_names, p->n_resources, sizeof(Id));
    p->resource_reasons = xreallocn(p->resource_reasons, p->n_resources, sizeof(Id));
    p->allocatable = xreallocn(p->allocatable, p->n_resources, sizeof(int64_t *));
    p->used = xreallocn(p->used, p->n_resources, sizeof(int64_t *));
    _cleanup_free_ char *reason = r == RESOURCE_PODS ? xstrdup("Too many pods") : xasprintf("Insufficient %s", name);
    p->resource_names[r] = id;
    p->resource_reasons[r] = interner_add(p->names, reason);
    p->allocatable[r] = NEWN0(int64_t, p->cap_slots);
    p->used[r] = NEWN0(int64_t, p->cap_slots);
    return r;
}

static int64_t *grow_column(int64_t *column, uint32_t from, uint32_t to) {
    column = xreallocn(column, to, sizeof(int64_t));
    memset(column + from, 0, (to - from) * sizeof(int64_t));
    return column;
}

static uint32_t slot_of(Placement *p, const char *name) {
    uintptr_t known = (uintptr_t)strmap_get(p->by_node, name);
    if (known)
        return (uint32_t)(known - 1);
    if (p->n_slots == p->cap_slots) {
        uint32_t cap = p->cap_slots ? p->cap_slots * 2 : 16;
        p->nodes = xreallocn(p->nodes, cap, sizeof(Node));
        for (uint32_t r = 0; r < p->n_resources; r++) {
            p->allocatable[r] = grow_column(p->allocatable[r], p->cap_slots, cap);
            p->used[r] = grow_column(p->used[r], p->cap_slots, cap);
        }
        p->scored_cpu = grow_column(p->scored_cpu, p->cap_slots, cap);
        p->scored_memory = grow_column(p->scored_memory, p->cap_slots, cap);
        p->cap_slots = cap;
    }
    uint32_t slot = p->n_slots++;
    p->nodes[slot] = (Node){.name = interner_add(p->names, name)};
    strmap_put(p->by_node, name, (void *)(uintptr_t)(slot + 1));
    return slot;
}

static void count_images(Placement *p, const Node *node, intptr_t by) {
    for (uint32_t i = 0; i < node->n_images; i++) {
        const char *name = interner_name(p->names, node->images[i].name);
        strmap_put(p->image_nodes, name, (void *)((intptr_t)strmap_get(p->image_nodes, name) + by));
    }
}

void placement_set_node(Placement *p, const PlacementNode *from) {
    uint32_t slot = slot_of(p, from->name);
    Node *node = &p->nodes[slot];
    count_images(p, node, -1);
    node_clear(node);
    p->n_present += !node->present;
    node->present = true;
    node->unschedulable = from->unschedulable;
    node->labels = xmemdup(from->labels, from->n_labels * sizeof(Label));
    node->n_labels = (uint32_t)from->n_labels;
    node->taints = xmemdup(from->taints, from->n_taints * sizeof(Taint));
    node->n_taints = (uint32_t)from->n_taints;
    node->images = xmemdup(from->images, from->n_images * sizeof(NodeImage));
    node->n_images = (uint32_t)from->n_images;
    count_images(p, node, 1);
    for (uint32_t r = 0; r < p->n_resources; r++)
        p->allocatable[r][slot] = 0;
    for (size_t i = 0; i < from->n_allocatable; i++)
        p->allocatable[from->allocatable[i].resource][slot] = from->allocatable[i].amount;
}

void placement_remove_node(Placement *p, const char *name) {
    uintptr_t known = (uintptr_t)strmap_get(p->by_node, name);
    if (!known || !p->nodes[known - 1].present)
        return;
    Node *node = &p->nodes[known - 1];
    count_images(p, node, -1);
    node_clear(node);
    node->present = false;
    p->n_present--;
}

size_t placement_node_count(const Placement *p) {
    return p->n_present;
}

size_t placement_resident_count(const Placement *p) {
    return strmap_size(p->by_uid);
}

void placement_set_namespace(Placement *p, const char *ns, const Label *labels, size_t n) {
    if (n == 0) {
        strmap_remove(p->by_namespace, ns);
        return;
    }
    NamespaceLabels *copy = xmalloc(sizeof *copy + n * sizeof(Label));
    copy->n = n;
    memcpy(copy->labels, labels, n * sizeof(Label));
    strmap_put(p->by_namespace, ns, copy);
}

static void account(Placement *p, const PlacementRequest *request, uint32_t slot, int sign) {
    for (size_t i = 0; i < request->n_resources; i++)
        p->used[request->resources[i].resource][slot] += sign * request->resources[i].amount;
    p->used[RESOURCE_PODS][slot] += sign;
    p->scored_cpu[slot] += sign * request->scored_cpu;
    p->scored_memory[slot] += sign * request->scored_memory;
}

static bool has_terms(const PlacementRequest *r) {
    return r->affinity.n || r->anti_affinity.n || r->preferred_affinity.n || r->preferred_anti_affinity.n;
}

void placement_add_resident(Placement *p, PlacementRequest *request, const char *node_name) {
    const char *uid = interner_name(p->names, request->uid);
    placement_remove_resident(p, uid);
    Resident *resident = NEW0(Resident);
    resident->request = request;
    resident->node = slot_of(p, node_name);
    Node *node = &p->nodes[resident->node];
    if (node->n_residents == node->cap_residents) {
        node->cap_residents = node->cap_residents ? node->cap_residents * 2 : 8;
        node->residents = xreallocn(node->residents, node->cap_residents, sizeof(Resident *));
    }
    resident->position = node->n_residents;
    node->residents[node->n_residents++] = resident;
    if (has_terms(request)) {
        if (p->n_with_terms == p->cap_with_terms) {
            p->cap_with_terms = p->cap_with_terms ? p->cap_with_terms * 2 : 8;
            p->with_terms = xreallocn(p->with_terms, p->cap_with_terms, sizeof(Resident *));
        }
        p->with_terms[p->n_with_terms++] = resident;
        resident->terms_position = p->n_with_terms;
    }
    account(p, request, resident->node, 1);
    strmap_put(p->by_uid, uid, resident);
}

bool placement_remove_resident(Placement *p, const char *uid) {
    Resident *resident = strmap_take(p->by_uid, uid);
    if (!resident)
        return false;
    Node *node = &p->nodes[resident->node];
    account(p, resident->request, resident->node, -1);
    node->residents[resident->position] = node->residents[--node->n_residents];
    node->residents[resident->position]->position = resident->position;
    if (resident->terms_position) {
        Resident *last = p->with_terms[--p->n_with_terms];
        p->with_terms[resident->terms_position - 1] = last;
        last->terms_position = resident->terms_position;
    }
    placement_request_free(resident->request);
    free(resident);
    return true;
}

const char *placement_resident_node(const Placement *p, const char *uid) {
    const Resident *resident = strmap_get(p->by_uid, uid);
    return resident ? interner_name(p->names, p->nodes[resident->node].name) : NULL;
}

bool node_label(const Placement *p, uint32_t slot, Id key, Id *ret_value) {
    LabelSet set = {p->nodes[slot].labels, p->nodes[slot].n_labels};
    return label_set_get(&set, key, ret_value);
}

static size_t pair_slot(const PairCounts *counts, uint64_t pair) {
    size_t at = (size_t)(pair * 0x9E3779B97F4A7C15u >> 32) & (counts->cap - 1);
    while (counts->slots[at].pair && counts->slots[at].pair != pair)
        at = (at + 1) & (counts->cap - 1);
    return at;
}

int64_t *pair_count(PairCounts *counts, Id key, Id value) {
    uint64_t pair = (uint64_t)key << 32 | value;
    if ((counts->n + 1) * 2 > counts->cap) {
        PairCounts bigger = {.arena = counts->arena, .cap = counts->cap ? counts->cap * 2 : 64, .n = counts->n};
        bigger.slots = arena_alloc0(counts->arena, bigger.cap * sizeof *bigger.slots);
        for (size_t i = 0; i < counts->cap; i++)
            if (counts->slots[i].pair)
                bigger.slots[pair_slot(&bigger, counts->slots[i].pair)] = counts->slots[i];
        *counts = bigger;
    }
    size_t at = pair_slot(counts, pair);
    counts->n += counts->slots[at].pair == 0;
    counts->slots[at].pair = pair;
    return &counts->slots[at].count;
}

int64_t pair_count_get(const PairCounts *counts, Id key, Id value) {
    if (!counts->cap)
        return 0;
    return counts->slots[pair_slot(counts, (uint64_t)key << 32 | value)].count;
}
