/* The snapshot the placement core decides on: nodes as columns of integers, residents by node. Kept up to date in steps
 * by its owner (the scheduler's cache), one thread at a time; deciding only reads it. */
#pragma once

#include "scheduler/placement/request.h"

typedef struct Placement Placement;

/* Columns that are always there; others (extended resources) follow as they are named. */
enum { RESOURCE_CPU, RESOURCE_MEMORY, RESOURCE_EPHEMERAL_STORAGE, RESOURCE_PODS, RESOURCE_FIRST_EXTENDED };

typedef struct NodeImage {
    Id name;
    int64_t size;
} NodeImage;

typedef struct PlacementNode { /* what placement_set_node copies; the arrays stay the caller's */
    const char *name;
    const Label *labels; /* sorted by key; with the node's name under placement_field_name() */
    size_t n_labels;
    const Taint *taints;
    size_t n_taints;
    bool unschedulable;
    const ResourceAmount *allocatable; /* cpu in thousandths, others in units; pods is a resource too */
    size_t n_allocatable;
    const NodeImage *images;
    size_t n_images;
} PlacementNode;

Placement *placement_new(void);
void placement_free(Placement *placement); /* and the residents */
DEFINE_CLEANUP(Placement, placement_free)
Interner *placement_names(Placement *placement);
Id placement_name(Placement *placement, const char *name); /* interner_add */
/* The column of a resource by name ("cpu", "nvidia.com/gpu"), added when new. */
uint32_t placement_resource(Placement *placement, const char *name);
const char *placement_resource_name(const Placement *placement, uint32_t resource); /* that of a column */
/* The pseudo label key under which a node carries its name, for matchFields metadata.name. */
Id placement_field_name(Placement *placement);
/* The pseudo label key under which a pod carries its controller's uid, for default spreading. */
Id placement_owner_key(Placement *placement);

void placement_set_node(Placement *placement, const PlacementNode *node); /* adds or replaces */
void placement_remove_node(Placement *placement, const char *name);       /* its residents are kept for its return */
size_t placement_node_count(const Placement *placement);
size_t placement_resident_count(const Placement *placement);
void placement_set_namespace(Placement *placement, const char *ns, const Label *labels,
                             size_t n); /* n 0: none or gone */

/* Takes the request. A resident of an unknown node waits for the node. Replaces one with the same uid. */
void placement_add_resident(Placement *placement, PlacementRequest *request, const char *node);
/* False when there is none. */
bool placement_remove_resident(Placement *placement, const char *uid);
/* The node a resident is on, or NULL. */
const char *placement_resident_node(const Placement *placement, const char *uid);
