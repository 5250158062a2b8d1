/* Pods that take more of the disk than they may end, and so does one pod at a time while the node runs short of memory
 * or disk: thresholds, order and words of the reference's eviction manager (pkg/kubelet/eviction), its hard thresholds
 * only. Images and pods are taken to share one file system. Looked at every ten seconds, on the node queue. */
#include "kubelet/internal.h"

#include "api/pod_qos.h"
#include "api/pod_resources.h"
#include "api/quantity.h"
#include "api/toleration.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/statvfs.h>

#define TRANSITION_NS (300 * NS_PER_SEC) /* pressure is told for so long after it was seen last */
#define THRESHOLD_TEXT_MAX 32
#define IMMEDIATE_GRACE_SECONDS 1

typedef enum Measure { MEASURE_MEMORY, MEASURE_BYTES, MEASURE_INODES } Measure;

static const struct Signal {
    const char *name, *resource, *threshold; /* the reference's default */
    Pressure pressure;
    Measure measure;
} signals[] = {
    {"memory.available", "memory", "100Mi", PRESSURE_MEMORY, MEASURE_MEMORY},
    {"nodefs.available", "ephemeral-storage", "10%", PRESSURE_DISK, MEASURE_BYTES},
    {"nodefs.inodesFree", "inodes", "5%", PRESSURE_DISK, MEASURE_INODES},
    {"imagefs.available", "ephemeral-storage", "15%", PRESSURE_DISK, MEASURE_BYTES},
    {"imagefs.inodesFree", "inodes", "5%", PRESSURE_DISK, MEASURE_INODES},
};
#define SIGNALS ELEMENTSOF(signals)

static const char *const condition_names[PRESSURES] = {"MemoryPressure", "DiskPressure"};

struct Eviction {
    char thresholds[SIGNALS][THRESHOLD_TEXT_MAX]; /* "": none */
    _Atomic uint64_t seen[PRESSURES];             /* monotonic; 0: never */
};

static int parse_one(struct Eviction *e, const char *text) {
    const char *less = strchr(text, '<');
    Quantity q;
    double percent;
    char unit, rest;
    if (!less || strlen(less + 1) >= THRESHOLD_TEXT_MAX)
        return -EINVAL;
    bool is_percent = sscanf(less + 1, "%lf%c%c", &percent, &unit, &rest) == 2 && unit == '%' && percent >= 0;
    if (!is_percent && quantity_parse(less + 1, &q) < 0)
        return -EINVAL;
    for (size_t i = 0; i < SIGNALS; i++)
        if (strlen(signals[i].name) == (size_t)(less - text) &&
            strncmp(signals[i].name, text, (size_t)(less - text)) == 0) {
            snprintf(e->thresholds[i], THRESHOLD_TEXT_MAX, "%s", less + 1);
            return 0;
        }
    return -EINVAL;
}

struct Eviction *eviction_new(const char *thresholds, char **ret_error) {
    struct Eviction *e = NEW0(struct Eviction);
    for (size_t i = 0; i < SIGNALS && !thresholds; i++)
        snprintf(e->thresholds[i], THRESHOLD_TEXT_MAX, "%s", signals[i].threshold);
    _cleanup_arena_ Arena *arena = arena_new(0);
    size_t n = 0;
    char **list = thresholds ? str_split(arena, thresholds, ',', &n) : NULL;
    for (size_t i = 0; i < n; i++)
        if (*list[i] && parse_one(e, list[i]) < 0) {
            *ret_error = xasprintf("\"%s\" is no eviction threshold; one looks like memory.available<100Mi", list[i]);
            free(e);
            return NULL;
        }
    return e;
}

void eviction_free(struct Eviction *e) {
    free(e);
}

bool eviction_pressure(const struct Eviction *e, Pressure pressure) {
    uint64_t seen = e ? atomic_load(&e->seen[pressure]) : 0;
    return seen && now_monotonic_ns() - seen < TRANSITION_NS;
}

/* ---- what the node has ---- */

typedef struct Observation {
    bool known, met;
    uint64_t available, capacity, threshold;
} Observation;

static uint64_t threshold_of(const char *text, uint64_t capacity) {
    Quantity q;
    double percent;
    if (strchr(text, '%'))
        return sscanf(text, "%lf", &percent) == 1 ? (uint64_t)((double)capacity * percent / 100.0) : 0;
    return quantity_parse(text, &q) == 0 ? (uint64_t)MAX(quantity_value(&q), (int64_t)0) : 0;
}

static void observe(Kubelet *k, Observation out[SIGNALS]) {
    struct statvfs fs;
    NodeMemory memory;
    node_memory_read(&memory);
    bool disk = statvfs(k->config.root_dir, &fs) == 0;
    for (size_t i = 0; i < SIGNALS; i++) {
        Observation o = {0};
        if (signals[i].measure == MEASURE_MEMORY)
            o = (Observation){.known = memory.total > 0, .available = memory.available, .capacity = memory.total};
        else if (disk && signals[i].measure == MEASURE_BYTES)
            o = (Observation){.known = true,
                              .available = (uint64_t)fs.f_bavail * fs.f_frsize,
                              .capacity = (uint64_t)fs.f_blocks * fs.f_frsize};
        else if (disk) /* some file systems count none */
            o = (Observation){.known = fs.f_files > 0, .available = fs.f_ffree, .capacity = fs.f_files};
        const char *text = k->eviction->thresholds[i];
        o.threshold = *text ? threshold_of(text, o.capacity) : 0;
        o.met = o.known && *text && o.available < o.threshold;
        out[i] = o;
    }
}

/* ---- what the pods take ---- */

typedef struct Usage { /* of one active pod */
    Pod *p;
    Object *object;
    const Value *pod;
    PodRuntime rt;
    uint64_t memory, disk;
    uint64_t *container_memory, *container_disk; /* as rt.containers */
    int64_t memory_request, disk_request, priority;
} Usage;

static uint64_t log_bytes(const ContainerStatus *c) {
    _cleanup_free_ char *folder = xstrdup(str_or(c->log_path, ""));
    char *slash = strrchr(folder, '/');
    if (!slash || slash == folder)
        return 0;
    *slash = 0;
    return fs_tree_bytes(AT_FDCWD, folder);
}

/* The folder of an emptyDir on the disk; NULL for one in memory, whose size its file system bounds. */
static char *empty_dir_path(Arena *arena, const Pod *p, const Value *volume) {
    const Value *source = value_get(volume, "emptyDir");
    if (!source || !str_empty(value_get_str(source, "medium")))
        return NULL;
    return arena_printf(arena, "%s/volumes/kubernetes.io~empty-dir/%s", p->dir, value_get_str(volume, "name"));
}

static void measure(Kubelet *k, Arena *arena, Usage *u) {
    u->container_memory = arena_alloc0(arena, (u->rt.n_containers + 1) * sizeof *u->container_memory);
    u->container_disk = arena_alloc0(arena, (u->rt.n_containers + 1) * sizeof *u->container_disk);
    for (size_t i = 0; i < u->rt.n_containers; i++) {
        const ContainerStatus *c = &u->rt.containers[i];
        ContainerStats stats;
        if (c->state != CONTAINER_RUNNING || k->runtime->container_stats(k->runtime, c->id, &stats) < 0)
            continue;
        u->container_memory[i] = stats.memory_working_set;
        u->container_disk[i] = stats.rootfs_bytes + log_bytes(c);
        u->memory += u->container_memory[i];
        u->disk += u->container_disk[i];
    }
    const Value *volume;
    VALUE_FOREACH (volume, value_path(u->pod, "spec", "volumes", NULL)) {
        const char *path = empty_dir_path(arena, u->p, volume);
        u->disk += path ? fs_tree_bytes(AT_FDCWD, path) : 0;
    }
}

static bool usage_load(Kubelet *k, Arena *arena, Pod *p, Usage *ret) {
    Usage u = {.p = p, .object = pod_object(k, p, NULL)};
    PodResources resources;
    u.pod = object_value(u.object, arena);
    if (pod_runtime_load(k, p, &u.rt) < 0) {
        object_unref(u.object);
        return false;
    }
    pod_resources(u.pod, &resources);
    u.memory_request = resources.memory_request;
    u.disk_request = resources.ephemeral_request;
    u.priority = value_get_int(value_get(u.pod, "spec"), "priority", 0);
    *ret = u;
    return true;
}

static Usage *usages_load(Kubelet *k, Arena *arena, size_t *ret_n) {
    size_t n = 0, n_out = 0;
    const char *uid;
    Pod *p;
    pthread_mutex_lock(&k->lock);
    Pod **pods = arena_alloc0(arena, (strmap_size(k->pods) + 1) * sizeof *pods);
    STRMAP_FOREACH (k->pods, uid, p)
        if (p->holds && !p->removed && !p->eviction) {
            p->refs++;
            pods[n++] = p;
        }
    pthread_mutex_unlock(&k->lock);
    Usage *list = arena_alloc0(arena, (n + 1) * sizeof *list);
    for (size_t i = 0; i < n; i++)
        if (usage_load(k, arena, pods[i], &list[n_out]))
            n_out++;
        else
            pod_unref(k, pods[i]);
    *ret_n = n_out;
    return list;
}

static void usages_done(Kubelet *k, Usage *list, size_t n) {
    for (size_t i = 0; i < n; i++) {
        pod_runtime_done(&list[i].rt);
        object_unref(list[i].object);
        pod_unref(k, list[i].p);
    }
}

/* ---- evicting ---- */

void pod_evict(Kubelet *k, Pod *p, const PodEviction *why) {
    PodEviction *e = NEW0(PodEviction);
    *e = (PodEviction){xstrdup(why->reason), xstrdup(why->message), xstrdup(why->disruption), why->grace};
    pthread_mutex_lock(&k->lock);
    if (!p->eviction)
        p->eviction = TAKE_PTR(e);
    pthread_mutex_unlock(&k->lock);
    pod_eviction_free(e); /* somebody was faster */
    workqueue_add(k->pod_queue, p->uid);
}

static bool evict(Kubelet *k, const Usage *u, const char *message, bool disrupts) {
    if (pod_is_critical(u->pod)) {
        log_warn("pod %s/%s is critical and not evicted: %s", u->p->ns, u->p->name, message);
        return false;
    }
    event_record(k->events, u->object, NULL, "Warning", "Evicted", "%s", message);
    log_info("evicting pod %s/%s: %s", u->p->ns, u->p->name, message);
    pod_evict(k, u->p,
              &(PodEviction){(char *)"Evicted", (char *)(uintptr_t)message,
                             disrupts ? (char *)(uintptr_t)message : NULL, IMMEDIATE_GRACE_SECONDS});
    return true;
}

static const char *shown(Arena *arena, uint64_t bytes) {
    char text[QUANTITY_TEXT_MAX];
    Quantity q = quantity_from_int((int64_t)MIN(bytes, (uint64_t)INT64_MAX), QUANTITY_BINARY_SI);
    return arena_strdup(arena, quantity_format(&q, text));
}

/* ---- limits of the pods' own ---- */

static bool over_empty_dir(Arena *arena, const Usage *u, const char **ret) {
    const Value *volume;
    VALUE_FOREACH (volume, value_path(u->pod, "spec", "volumes", NULL)) {
        const char *text = value_get_str(value_get(volume, "emptyDir"), "sizeLimit"),
                   *path = empty_dir_path(arena, u->p, volume);
        Quantity limit;
        if (!path || !text || quantity_parse(text, &limit) < 0 || quantity_value(&limit) <= 0 ||
            fs_tree_bytes(AT_FDCWD, path) <= (uint64_t)quantity_value(&limit))
            continue;
        *ret = arena_printf(arena, "Usage of EmptyDir volume \"%s\" exceeds the limit \"%s\". ",
                            value_get_str(volume, "name"), text);
        return true;
    }
    return false;
}

static int64_t storage_limit(const Value *container) {
    return resource_units(value_get(container, "resources"), "limits", "ephemeral-storage");
}

static bool over_storage(Kubelet *k, Arena *arena, Usage *u, const char **ret) {
    const Value *c;
    int64_t total = 0;
    VALUE_FOREACH (c, pod_containers(u->pod))
        total += MAX(storage_limit(c), (int64_t)0);
    if (total == 0)
        return false;
    measure(k, arena, u);
    if (u->disk > (uint64_t)total) {
        *ret = arena_printf(arena, "Pod ephemeral local storage usage exceeds the total limit of containers %s. ",
                            shown(arena, (uint64_t)total));
        return true;
    }
    VALUE_FOREACH (c, pod_containers(u->pod)) {
        const char *name = str_or(value_get_str(c, "name"), "");
        for (size_t i = 0; i < u->rt.n_containers; i++)
            if (streq(u->rt.containers[i].name, name) && storage_limit(c) > 0 &&
                u->container_disk[i] > (uint64_t)storage_limit(c)) {
                *ret = arena_printf(arena, "Container %s exceeded its local ephemeral storage limit \"%s\". ", name,
                                    shown(arena, (uint64_t)storage_limit(c)));
                return true;
            }
    }
    return false;
}

static bool evict_for_limits(Kubelet *k, Arena *arena, Usage *list, size_t n) {
    bool any = false;
    for (size_t i = 0; i < n; i++) {
        const char *message = NULL;
        if (over_empty_dir(arena, &list[i], &message) || over_storage(k, arena, &list[i], &message))
            any = evict(k, &list[i], message, false) || any;
    }
    return any;
}

/* ---- a node that runs short ---- */

static int64_t excess(const Usage *u, bool memory) {
    return memory ? (int64_t)u->memory - u->memory_request : (int64_t)u->disk - u->disk_request;
}

/* Those over their requests first, then by priority, then by how much they are over. */
static int rank(const Usage *a, const Usage *b, bool memory) {
    int64_t x = excess(a, memory), y = excess(b, memory);
    if ((x > 0) != (y > 0))
        return x > 0 ? -1 : 1;
    if (a->priority != b->priority)
        return a->priority < b->priority ? -1 : 1;
    return x > y ? -1 : x < y;
}
static int rank_memory(const void *a, const void *b) {
    return rank(a, b, true);
}
static int rank_disk(const void *a, const void *b) {
    return rank(a, b, false);
}

static const char *shortage_message(Arena *arena, const Usage *u, const struct Signal *signal, const Observation *o) {
    _cleanup_buf_ Buf text = BUF_INIT(BUF_NO_LIMIT);
    buf_printf(&text, "The node was low on resource: %s. Threshold quantity: %s, available: %s. ", signal->resource,
               shown(arena, o->threshold), shown(arena, o->available));
    bool memory = signal->pressure == PRESSURE_MEMORY;
    for (size_t i = 0; i < u->rt.n_containers && signal->measure != MEASURE_INODES; i++) {
        const ContainerStatus *c = &u->rt.containers[i];
        const Value *container = pod_find_container(u->pod, c->name, NULL);
        int64_t request =
            MAX(resource_units(value_get(container, "resources"), "requests", signal->resource), (int64_t)0);
        uint64_t used = memory ? u->container_memory[i] : u->container_disk[i];
        if (used > (uint64_t)request)
            buf_printf(&text, "Container %s was using %s, request is %s, has larger consumption of %s. ", c->name,
                       shown(arena, used), shown(arena, (uint64_t)request), signal->resource);
    }
    return arena_strdup(arena, text.data);
}

static size_t first_met(const Observation observed[SIGNALS]) {
    for (size_t i = 0; i < SIGNALS; i++)
        if (observed[i].met)
            return i;
    return SIGNALS;
}

static void note_pressure(Kubelet *k, const Observation observed[SIGNALS]) {
    bool before[PRESSURES], news = false;
    for (Pressure p = 0; p < PRESSURES; p++)
        before[p] = eviction_pressure(k->eviction, p);
    for (size_t i = 0; i < SIGNALS; i++)
        if (observed[i].met)
            atomic_store(&k->eviction->seen[signals[i].pressure], now_monotonic_ns());
    for (Pressure p = 0; p < PRESSURES; p++)
        news = news || before[p] != eviction_pressure(k->eviction, p);
    if (news)
        workqueue_add(k->node_queue, "status");
}

static void evict_one(Kubelet *k, Arena *arena, Usage *list, size_t n, size_t signal, const Observation *o) {
    for (size_t i = 0; i < n; i++) {
        list[i].memory = list[i].disk = 0;
        measure(k, arena, &list[i]);
    }
    if (n > 1)
        qsort(list, n, sizeof *list, signals[signal].pressure == PRESSURE_MEMORY ? rank_memory : rank_disk);
    for (size_t i = 0; i < n; i++)
        if (evict(k, &list[i], shortage_message(arena, &list[i], &signals[signal], o), true))
            return;
}

static void relieve(Kubelet *k, Arena *arena, Usage *list, size_t n, Observation observed[SIGNALS]) {
    size_t signal = first_met(observed);
    pthread_mutex_lock(&k->lock);
    _cleanup_object_ Object *node = k->node_ref ? object_ref(k->node_ref) : NULL;
    pthread_mutex_unlock(&k->lock);
    if (node)
        event_record(k->events, node, NULL, "Warning", "EvictionThresholdMet", "Attempting to reclaim %s",
                     signals[signal].resource);
    if (signals[signal].pressure == PRESSURE_DISK) {
        (void)image_gc_unused(k, NULL);
        observe(k, observed);
        if (first_met(observed) == SIGNALS)
            return;
        signal = first_met(observed);
    }
    evict_one(k, arena, list, n, signal, &observed[signal]);
}

int eviction_sync(Kubelet *k) {
    if (!informer_synced(k->pods_informer))
        return 0;
    Observation observed[SIGNALS];
    _cleanup_arena_ Arena *arena = arena_new(0);
    size_t n;
    observe(k, observed);
    note_pressure(k, observed);
    Usage *list = usages_load(k, arena, &n);
    if (!evict_for_limits(k, arena, list, n) && first_met(observed) < SIGNALS)
        relieve(k, arena, list, n, observed);
    usages_done(k, list, n);
    return 0;
}

const char *eviction_refusal(PodSync *s) {
    bool memory = eviction_pressure(s->k->eviction, PRESSURE_MEMORY),
         disk = eviction_pressure(s->k->eviction, PRESSURE_DISK);
    if ((!memory && !disk) || pod_is_critical(s->pod))
        return NULL;
    if (memory && !disk) { /* only those that asked for no memory could make it worse */
        Value *taint = value_object(s->arena), *taints = value_array(s->arena);
        value_set_str(s->arena, taint, "key", "node.kubernetes.io/memory-pressure");
        value_set_str(s->arena, taint, "effect", "NoSchedule");
        value_append(s->arena, taints, taint);
        if (!streq(pod_qos(s->pod), "BestEffort") ||
            !taint_untolerated(taints, value_path(s->pod, "spec", "tolerations", NULL), "NoSchedule"))
            return NULL;
    }
    return arena_printf(s->arena, "The node had condition: [%s%s%s]. ", memory ? condition_names[PRESSURE_MEMORY] : "",
                        memory && disk ? " " : "", disk ? condition_names[PRESSURE_DISK] : "");
}
