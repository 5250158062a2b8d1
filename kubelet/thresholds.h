/* When a node is short of something: hard and soft eviction thresholds, what they become as time goes on, and which
 * conditions of the node follow (pkg/kubelet/eviction of the reference). Pure: observations and the time come from
 * outside. One thread at a time. */
#pragma once

#include "api/quantity.h"

typedef enum EvictionSignal {
    SIGNAL_MEMORY,             /* before all others */
    SIGNAL_ALLOCATABLE_MEMORY, /* of what pods together may have; its hard threshold is that of SIGNAL_MEMORY */
    SIGNAL_NODEFS,
    SIGNAL_NODEFS_INODES,
    SIGNAL_IMAGEFS,
    SIGNAL_IMAGEFS_INODES,
    SIGNAL_CONTAINERFS,
    SIGNAL_CONTAINERFS_INODES,
    SIGNAL_PIDS,
    EVICTION_SIGNALS
} EvictionSignal;

typedef enum Pressure { PRESSURE_MEMORY, PRESSURE_DISK, PRESSURE_PIDS, PRESSURES } Pressure;

typedef struct EvictionSignalInfo {
    const char *name;     /* "memory.available" */
    const char *resource; /* as events and messages name it */
    Pressure pressure;
    bool bytes; /* shown as 1Gi; otherwise a count */
} EvictionSignalInfo;
const EvictionSignalInfo *eviction_signal(EvictionSignal signal);
const char *pressure_name(Pressure pressure); /* of the node's condition */

#define EVICTION_DEFAULT_TRANSITION_NS (300 * NS_PER_SEC)
#define EVICTION_DEFAULT_HARD                                                                                          \
    "memory.available<100Mi,nodefs.available<10%,nodefs.inodesFree<5%,imagefs.available<15%,imagefs.inodesFree<5%"

/* As kubelet's flags of these names have them: "memory.available<100Mi,nodefs.available<10%". */
typedef struct EvictionSettings {
    const char *hard;            /* NULL: the reference's defaults */
    const char *soft;            /* NULL: none */
    const char *soft_grace;      /* "memory.available=1m30s": each soft threshold needs one */
    const char *minimum_reclaim; /* "nodefs.available=500Mi"; NULL: none */
    int64_t transition_ns;       /* a condition stays for so long after it was seen last; 0: 5 minutes */
} EvictionSettings;

typedef struct Observation {
    bool known;
    uint64_t available, capacity;
} Observation;

typedef struct ThresholdValue {
    bool is_percent;
    double percent;
    uint64_t amount;
} ThresholdValue;

typedef struct Threshold {
    EvictionSignal signal;
    ThresholdValue value, reclaim; /* reclaim: this much more must be free before it is no longer met */
    uint64_t grace_ns;             /* 0: a hard one */
    uint64_t first_seen;           /* monotonic; 0: it is not met */
    bool acts;                     /* it is met, and has been for its grace period */
} Threshold;

#define THRESHOLDS_MAX (2 * EVICTION_SIGNALS)
typedef struct Thresholds {
    Threshold list[THRESHOLDS_MAX];
    size_t n;
    uint64_t transition_ns;
    uint64_t seen[PRESSURES]; /* monotonic; 0: never */
} Thresholds;

/* What is on one disk with what. */
typedef struct DiskLayout {
    bool image_fs;     /* images are on another file system than the pods' folders */
    bool container_fs; /* and what containers write is not with the images but with the pods' folders */
} DiskLayout;

int thresholds_parse(const EvictionSettings *settings, Thresholds *ret, char **ret_error); /* -EINVAL */
/* The thresholds of what containers write are those of the file system it is on; any that were given go. */
void thresholds_set_layout(Thresholds *t, DiskLayout layout);
uint64_t threshold_quantity(const ThresholdValue *value, uint64_t capacity);
/* The hard threshold of this signal; NULL: none. */
const ThresholdValue *thresholds_hard(const Thresholds *t, EvictionSignal signal);
/* One round: sets `first_seen`, `acts` and `seen`. */
void thresholds_observe(Thresholds *t, const Observation observed[EVICTION_SIGNALS], uint64_t now);
/* Is any below its quantity and what is to be reclaimed besides, whatever its grace? */
bool thresholds_short(const Thresholds *t, const Observation observed[EVICTION_SIGNALS]);
/* The one to act on: memory first; NULL: none. */
const Threshold *thresholds_first(const Thresholds *t);
/* The first acting threshold of this resource, whose numbers a message tells; NULL: none. */
const Threshold *thresholds_of_resource(const Thresholds *t, const char *resource);
