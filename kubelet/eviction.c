/* Pods that take more of the disk than they may end, and so does one pod at a time while the node runs short of memory,
 * disk or process ids: order and words of the reference's eviction manager (pkg/kubelet/eviction); when it is short is
 * decided in thresholds.c. Looked at every ten seconds, on the node queue. */
#include "kubelet/internal.h"
#include "kubelet/samples.h"
#include "kubelet/thresholds.h"

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
#include <sys/stat.h>
#include <sys/statvfs.h>

#define IMMEDIATE_GRACE_SECONDS 1
#define CLEANUP_NS (30 * NS_PER_SEC) /* who was evicted has so long to leave before the next one must */

struct Eviction {
    Thresholds thresholds; /* of the node queue's thread, which runs one eviction_sync at a time */
    DiskLayout layout;
    bool layout_known;
    ThresholdValue memory_kept, disk_kept; /* of the hard thresholds; as at the start, for any thread */
    uint64_t cleanup_until;                /* monotonic */
    int64_t max_pod_grace;                 /* seconds, at a soft threshold */
    _Atomic uint64_t seen[PRESSURES];      /* as thresholds.seen, for any thread */
};

struct Eviction *eviction_new(const KubeletConfig *config, char **ret_error) {
    struct Eviction *e = NEW0(struct Eviction);
    const EvictionSettings settings = {
        .hard = config->eviction_hard,
        .soft = config->eviction_soft,
        .soft_grace = config->eviction_soft_grace,
        .minimum_reclaim = config->eviction_minimum_reclaim,
        .transition_ns = config->eviction_transition_ns,
    };
    e->max_pod_grace = config->eviction_max_pod_grace;
    if (thresholds_parse(&settings, &e->thresholds, ret_error) < 0) {
        free(e);
        return NULL;
    }
    const ThresholdValue *memory = thresholds_hard(&e->thresholds, SIGNAL_MEMORY),
                         *disk = thresholds_hard(&e->thresholds, SIGNAL_NODEFS);
    e->memory_kept = memory ? *memory : (ThresholdValue){0};
    e->disk_kept = disk ? *disk : (ThresholdValue){0};
    return e;
}

void eviction_kept(const struct Eviction *e, uint64_t memory, uint64_t disk, int64_t *ret_memory, int64_t *ret_disk) {
    *ret_memory = e ? (int64_t)MIN(threshold_quantity(&e->memory_kept, memory), (uint64_t)INT64_MAX) : 0;
    *ret_disk = e ? (int64_t)MIN(threshold_quantity(&e->disk_kept, disk), (uint64_t)INT64_MAX) : 0;
}

void eviction_free(struct Eviction *e) {
    free(e);
}

bool eviction_pressure(const struct Eviction *e, Pressure pressure) {
    uint64_t seen = e ? atomic_load(&e->seen[pressure]) : 0;
    return seen && now_monotonic_ns() - seen < e->thresholds.transition_ns;
}

/* ---- what the node has ---- */

static dev_t device_of(const char *path) {
    struct stat st;
    return path && stat(path, &st) == 0 ? st.st_dev : 0;
}

static void find_layout(Kubelet *k) {
    struct Eviction *e = k->eviction;
    dev_t pods = device_of(k->config.root_dir), images = device_of(image_store_root(k->images)),
          containers = device_of(k->runtime->container_fs);
    containers = containers ? containers : pods;
    if (e->layout_known)
        return;
    e->layout.image_fs = images != pods;
    e->layout.container_fs = e->layout.image_fs && containers != images;
    thresholds_set_layout(&e->thresholds, e->layout);
    e->layout_known = true;
}

static void observe_disk(const char *path, Observation *bytes, Observation *inodes) {
    struct statvfs fs;
    if (!path || statvfs(path, &fs) < 0)
        return;
    *bytes = (Observation){true, (uint64_t)fs.f_bavail * fs.f_frsize, (uint64_t)fs.f_blocks * fs.f_frsize};
    /* some file systems count none */
    *inodes = (Observation){fs.f_files > 0, fs.f_ffree, fs.f_files};
}

static void observe_pods_memory(Kubelet *k, Observation *out) {
    uint64_t used, limit = (uint64_t)k->for_pods.memory;
    if (cgroups_working_set(k->cgroups, &used) < 0)
        return;
    uint64_t available = limit > used ? limit - used : 0;
    *out = (Observation){true, available, available + used};
}

static void observe(Kubelet *k, Observation out[EVICTION_SIGNALS]) {
    NodeMemory memory;
    const char *containers = str_or(k->runtime->container_fs, k->config.root_dir);
    memset(out, 0, EVICTION_SIGNALS * sizeof *out);
    node_memory_read(&memory);
    out[SIGNAL_MEMORY] = (Observation){memory.total > 0, memory.available, memory.total};
    observe_pods_memory(k, &out[SIGNAL_ALLOCATABLE_MEMORY]);
    observe_disk(k->config.root_dir, &out[SIGNAL_NODEFS], &out[SIGNAL_NODEFS_INODES]);
    observe_disk(image_store_root(k->images), &out[SIGNAL_IMAGEFS], &out[SIGNAL_IMAGEFS_INODES]);
    observe_disk(containers, &out[SIGNAL_CONTAINERFS], &out[SIGNAL_CONTAINERFS_INODES]);
    uint64_t most, tasks;
    if (node_pids_read(&most, &tasks))
        out[SIGNAL_PIDS] = (Observation){true, most > tasks ? most - tasks : 0, most};
}

/* ---- what the pods take ---- */

typedef enum DiskPart { PART_ROOTFS = 1, PART_LOGS = 2, PART_VOLUMES = 4 } DiskPart;

typedef struct ContainerUsage {
    uint64_t memory, pids;
    FsUsage rootfs, logs;
} ContainerUsage;

typedef struct Usage { /* of one active pod */
    Pod *p;
    Object *object;
    const Value *pod;
    PodRuntime rt;
    ContainerUsage *containers; /* as rt.containers */
    uint64_t memory, pids;
    FsUsage volumes;
    int64_t memory_request, disk_request, priority;
    uint64_t disk; /* of what the pods are ranked by */
} Usage;

/* The folder of an emptyDir on the disk; NULL for one in memory, whose size its file system bounds. */
static char *empty_dir_path(Arena *arena, const Pod *p, const Value *volume) {
    const Value *source = value_get(volume, "emptyDir");
    if (!source || !str_empty(value_get_str(source, "medium")))
        return NULL;
    return arena_printf(arena, "%s/volumes/kubernetes.io~empty-dir/%s", p->dir, value_get_str(volume, "name"));
}

static void measure(Kubelet *k, Arena *arena, Usage *u) {
    const Value *volume;
    u->memory = u->pids = 0;
    u->volumes = (FsUsage){0};
    u->containers = arena_alloc0(arena, (u->rt.n_containers + 1) * sizeof *u->containers);
    for (size_t i = 0; i < u->rt.n_containers; i++) {
        const ContainerStatus *c = &u->rt.containers[i];
        ContainerUsage *to = &u->containers[i];
        ContainerStats stats;
        if (c->state != CONTAINER_RUNNING || k->runtime->container_stats(k->runtime, c->id, &stats) < 0)
            continue;
        *to = (ContainerUsage){
            stats.memory_working_set, stats.pids, {stats.rootfs_bytes, stats.rootfs_inodes}, container_log_usage(c)};
        u->memory += to->memory;
        u->pids += to->pids;
    }
    VALUE_FOREACH (volume, value_path(u->pod, "spec", "volumes", NULL)) {
        const char *path = empty_dir_path(arena, u->p, volume);
        FsUsage used = path ? fs_tree_usage(AT_FDCWD, path) : (FsUsage){0};
        u->volumes.bytes += used.bytes;
        u->volumes.inodes += used.inodes;
    }
}

static uint64_t disk_of(const Usage *u, unsigned parts, bool inodes) {
    FsUsage sum = {0};
    for (size_t i = 0; i < u->rt.n_containers; i++) {
        const ContainerUsage *c = &u->containers[i];
        sum.bytes += (parts & PART_ROOTFS ? c->rootfs.bytes : 0) + (parts & PART_LOGS ? c->logs.bytes : 0);
        sum.inodes += (parts & PART_ROOTFS ? c->rootfs.inodes : 0) + (parts & PART_LOGS ? c->logs.inodes : 0);
    }
    if (parts & PART_VOLUMES) {
        sum.bytes += u->volumes.bytes;
        sum.inodes += u->volumes.inodes;
    }
    return inodes ? sum.inodes : sum.bytes;
}

static bool usage_load(Kubelet *k, Arena *arena, Pod *p, Usage *ret) {
    Usage u = {.p = p, .object = pod_object(k, p, NULL)};
    u.pod = object_value(u.object, arena);
    if (pod_runtime_load(k, p, &u.rt) < 0) {
        object_unref(u.object);
        return false;
    }
    PodDemand demand;
    demand_of(u.pod, &demand);
    u.memory_request = demand_amount(&demand, "memory");
    u.disk_request = demand_amount(&demand, "ephemeral-storage");
    demand_done(&demand);
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

static bool evict(Kubelet *k, const Usage *u, const char *message, bool disrupts, int64_t grace) {
    if (pod_is_critical(u->pod)) {
        log_warn("pod %s/%s is critical and not evicted: %s", u->p->ns, u->p->name, message);
        return false;
    }
    event_record(k->events, u->object, NULL, "Warning", "Evicted", "%s", message);
    log_info("evicting pod %s/%s: %s", u->p->ns, u->p->name, message);
    pod_evict(k, u->p,
              &(PodEviction){(char *)"Evicted", (char *)(uintptr_t)message,
                             disrupts ? (char *)(uintptr_t)message : NULL, grace});
    return true;
}

static const char *shown(Arena *arena, uint64_t amount, bool bytes) {
    char text[QUANTITY_TEXT_MAX];
    Quantity q =
        quantity_from_int((int64_t)MIN(amount, (uint64_t)INT64_MAX), bytes ? QUANTITY_BINARY_SI : QUANTITY_DECIMAL_SI);
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

/* What counts against the limit of a container: its logs, and its own files where they share the pods' disk. */
static bool over_container_storage(Kubelet *k, const Usage *u, const char *name, const Quantity *limit) {
    for (size_t i = 0; i < u->rt.n_containers; i++) {
        const ContainerUsage *c = &u->containers[i];
        uint64_t used = c->logs.bytes + (k->eviction->layout.image_fs ? 0 : c->rootfs.bytes);
        if (streq(u->rt.containers[i].name, name) && used > (uint64_t)MAX(quantity_value(limit), (int64_t)0))
            return true;
    }
    return false;
}

static bool over_storage(Kubelet *k, Arena *arena, Usage *u, const char **ret) {
    const Value *c;
    char text[QUANTITY_TEXT_MAX];
    ResourceList limits = pod_limits(arena, u->pod, (PodResourcesOptions){0});
    const Quantity *total = resource_list_get(&limits, "ephemeral-storage");
    if (!total)
        return false;
    measure(k, arena, u);
    if (disk_of(u, PART_ROOTFS | PART_LOGS | PART_VOLUMES, false) > (uint64_t)MAX(quantity_value(total), (int64_t)0)) {
        *ret = arena_printf(arena, "Pod ephemeral local storage usage exceeds the total limit of containers %s. ",
                            quantity_format(total, text));
        return true;
    }
    VALUE_FOREACH (c, pod_containers(u->pod)) {
        ResourceList own = resource_list_read(arena, value_path(c, "resources", "limits", NULL));
        const Quantity *limit = resource_list_get(&own, "ephemeral-storage");
        const char *name = str_or(value_get_str(c, "name"), "");
        if (!limit || quantity_sign(limit) == 0 || !over_container_storage(k, u, name, limit))
            continue;
        *ret = arena_printf(arena, "Container %s exceeded its local ephemeral storage limit \"%s\". ", name,
                            quantity_format(limit, text));
        return true;
    }
    return false;
}

static bool evict_for_limits(Kubelet *k, Arena *arena, Usage *list, size_t n) {
    bool any = false;
    for (size_t i = 0; i < n; i++) {
        const char *message = NULL;
        if (over_empty_dir(arena, &list[i], &message) || over_storage(k, arena, &list[i], &message))
            any = evict(k, &list[i], message, false, IMMEDIATE_GRACE_SECONDS) || any;
    }
    return any;
}

/* ---- a node that runs short ---- */

static int compare(uint64_t a, uint64_t b) {
    return a < b ? -1 : a > b;
}

static int by_priority(const Usage *a, const Usage *b) {
    return a->priority == b->priority ? 0 : a->priority < b->priority ? -1 : 1;
}

/* Those over their requests first, then by priority, then by how much they are over. */
static int by_excess(const Usage *a, const Usage *b, uint64_t a_used, uint64_t b_used, int64_t a_asked, int64_t b_asked,
                     int64_t a_part, int64_t b_part) {
    bool a_over = a_used > (uint64_t)a_asked, b_over = b_used > (uint64_t)b_asked;
    if (a_over != b_over)
        return a_over ? -1 : 1;
    int r = by_priority(a, b);
    int64_t x = (int64_t)a_used - a_part, y = (int64_t)b_used - b_part;
    return r ? r : x > y ? -1 : x < y;
}

static int rank_memory(const void *p, const void *q) {
    const Usage *a = p, *b = q;
    return by_excess(a, b, a->memory, b->memory, a->memory_request, b->memory_request, a->memory_request,
                     b->memory_request);
}
static int rank_disk(const void *p, const void *q) {
    const Usage *a = p, *b = q;
    return by_excess(a, b, a->disk, b->disk, a->disk_request, b->disk_request, a->disk_request, b->disk_request);
}
static int rank_inodes(const void *p, const void *q) { /* nobody can ask for inodes; the rest is as for bytes */
    const Usage *a = p, *b = q;
    return by_excess(a, b, a->disk, b->disk, 0, 0, a->disk_request, b->disk_request);
}
static int rank_pids(const void *p, const void *q) {
    const Usage *a = p, *b = q;
    int r = by_priority(a, b);
    return r ? r : compare(b->pids, a->pids);
}

/* What of a pod lies on the disk that is short. */
static unsigned parts_of(EvictionSignal signal, DiskLayout layout) {
    bool images = signal == SIGNAL_IMAGEFS || signal == SIGNAL_IMAGEFS_INODES,
         pods = signal == SIGNAL_NODEFS || signal == SIGNAL_NODEFS_INODES;
    if (!layout.image_fs || (layout.container_fs && !images))
        return PART_ROOTFS | PART_LOGS | PART_VOLUMES;
    if (layout.container_fs)
        return 0; /* images alone: no pod has a part in it */
    return pods ? PART_LOGS | PART_VOLUMES : PART_ROOTFS;
}

static void rank(Kubelet *k, Arena *arena, Usage *list, size_t n, EvictionSignal signal) {
    const EvictionSignalInfo *info = eviction_signal(signal);
    bool inodes = info->pressure == PRESSURE_DISK && !info->bytes;
    for (size_t i = 0; i < n; i++) {
        measure(k, arena, &list[i]);
        list[i].disk = disk_of(&list[i], parts_of(signal, k->eviction->layout), inodes);
    }
    if (n > 1)
        qsort(list, n, sizeof *list,
              info->pressure == PRESSURE_MEMORY ? rank_memory
              : info->pressure == PRESSURE_PIDS ? rank_pids
              : inodes                          ? rank_inodes
                                                : rank_disk);
}

static void add_consumers(Arena *arena, Buf *text, const Usage *u, const char *resource) {
    bool memory = streq(resource, "memory");
    if (memory && pod_has_own_resources(u->pod)) {
        const Value *own = value_path(u->pod, "spec", "resources", NULL);
        int64_t request = resource_units(own, "requests", resource);
        if (request >= 0)
            buf_printf(text, "Pod %s was using %s, request is %s, has larger consumption of %s. ", u->p->name,
                       shown(arena, u->memory, true), shown(arena, (uint64_t)request, true), resource);
    }
    for (size_t i = 0; i < u->rt.n_containers && (memory || streq(resource, "ephemeral-storage")); i++) {
        const ContainerStatus *c = &u->rt.containers[i];
        const ContainerUsage *has = &u->containers[i];
        const Value *container = pod_find_container(u->pod, c->name, NULL);
        int64_t request = MAX(resource_units(value_get(container, "resources"), "requests", resource), (int64_t)0);
        uint64_t used = memory ? has->memory : has->rootfs.bytes + has->logs.bytes;
        if (used > (uint64_t)request)
            buf_printf(text, "Container %s was using %s, request is %s, has larger consumption of %s. ", c->name,
                       shown(arena, used, true), shown(arena, (uint64_t)request, true), resource);
    }
}

static const char *shortage_message(Kubelet *k, Arena *arena, const Usage *u, const char *resource,
                                    const Observation observed[EVICTION_SIGNALS]) {
    _cleanup_buf_ Buf text = BUF_INIT(BUF_NO_LIMIT);
    const Threshold *t = thresholds_of_resource(&k->eviction->thresholds, resource);
    buf_printf(&text, "The node was low on resource: %s. ", resource);
    if (t) {
        const Observation *o = &observed[t->signal];
        bool bytes = eviction_signal(t->signal)->bytes;
        buf_printf(&text, "Threshold quantity: %s, available: %s. ",
                   shown(arena, threshold_quantity(&t->value, o->capacity), bytes), shown(arena, o->available, bytes));
    }
    add_consumers(arena, &text, u, resource);
    return arena_strdup(arena, text.data);
}

/* What pods share and nobody needs goes before any pod does: unused images. False: it is still short. */
static bool reclaim(Kubelet *k, EvictionSignal signal) {
    bool images = signal == SIGNAL_IMAGEFS || signal == SIGNAL_IMAGEFS_INODES,
         containers = signal == SIGNAL_CONTAINERFS || signal == SIGNAL_CONTAINERFS_INODES;
    DiskLayout layout = k->eviction->layout;
    bool with_images = images || !layout.image_fs || (containers && !layout.container_fs);
    if (eviction_signal(signal)->pressure != PRESSURE_DISK || !with_images)
        return false;
    Observation after[EVICTION_SIGNALS];
    (void)image_gc_unused(k, NULL);
    observe(k, after);
    return !thresholds_short(&k->eviction->thresholds, after);
}

static int64_t grace_of(const Kubelet *k, const Threshold *t, const Usage *u) {
    if (!t->grace_ns)
        return IMMEDIATE_GRACE_SECONDS;
    return MIN(k->eviction->max_pod_grace,
               value_get_int(value_get(u->pod, "spec"), "terminationGracePeriodSeconds", INT64_MAX));
}

static void relieve(Kubelet *k, Arena *arena, Usage *list, size_t n, const Threshold *t,
                    const Observation observed[EVICTION_SIGNALS]) {
    const char *resource = eviction_signal(t->signal)->resource;
    pthread_mutex_lock(&k->lock);
    _cleanup_object_ Object *node = k->node_ref ? object_ref(k->node_ref) : NULL;
    pthread_mutex_unlock(&k->lock);
    if (node)
        event_record(k->events, node, NULL, "Warning", "EvictionThresholdMet", "Attempting to reclaim %s", resource);
    if (reclaim(k, t->signal))
        return;
    rank(k, arena, list, n, t->signal);
    for (size_t i = 0; i < n; i++)
        if (evict(k, &list[i], shortage_message(k, arena, &list[i], resource, observed), true,
                  grace_of(k, t, &list[i]))) {
            k->eviction->cleanup_until = now_monotonic_ns() + CLEANUP_NS;
            return;
        }
}

static void note_pressure(Kubelet *k) {
    bool news = false;
    for (Pressure p = 0; p < PRESSURES; p++) {
        bool before = eviction_pressure(k->eviction, p);
        atomic_store(&k->eviction->seen[p], k->eviction->thresholds.seen[p]);
        news = news || before != eviction_pressure(k->eviction, p);
    }
    if (news)
        workqueue_add(k->node_queue, "status");
}

static bool evicted_one_is_there(Kubelet *k) {
    const char *uid;
    const Pod *p;
    bool there = false;
    if (now_monotonic_ns() >= k->eviction->cleanup_until)
        return false;
    pthread_mutex_lock(&k->lock);
    STRMAP_FOREACH (k->pods, uid, p)
        there = there || (p->holds && !p->removed && p->eviction);
    pthread_mutex_unlock(&k->lock);
    return there;
}

int eviction_sync(Kubelet *k) {
    if (!informer_synced(k->pods_informer))
        return 0;
    Observation observed[EVICTION_SIGNALS];
    _cleanup_arena_ Arena *arena = arena_new(0);
    size_t n;
    find_layout(k);
    observe(k, observed);
    thresholds_observe(&k->eviction->thresholds, observed, now_monotonic_ns());
    note_pressure(k);
    if (evicted_one_is_there(k))
        return 0;
    const Threshold *t = thresholds_first(&k->eviction->thresholds);
    Usage *list = usages_load(k, arena, &n);
    if (!evict_for_limits(k, arena, list, n) && t)
        relieve(k, arena, list, n, t, observed);
    usages_done(k, list, n);
    return 0;
}

const char *eviction_refusal(PodSync *s) {
    bool has[PRESSURES], any = false, others = false;
    for (Pressure p = 0; p < PRESSURES; p++) {
        has[p] = eviction_pressure(s->k->eviction, p);
        any = any || has[p];
        others = others || (has[p] && p != PRESSURE_MEMORY);
    }
    if (!any || pod_is_critical(s->pod))
        return NULL;
    if (!others) { /* only those that asked for no memory could make it worse */
        Value *taint = value_object(s->arena), *taints = value_array(s->arena);
        value_set_str(s->arena, taint, "key", "node.kubernetes.io/memory-pressure");
        value_set_str(s->arena, taint, "effect", "NoSchedule");
        value_append(s->arena, taints, taint);
        if (!streq(pod_qos(s->pod), "BestEffort") ||
            !taint_untolerated(taints, value_path(s->pod, "spec", "tolerations", NULL), "NoSchedule"))
            return NULL;
    }
    const char *list = "";
    for (Pressure p = 0; p < PRESSURES; p++)
        if (has[p])
            list = arena_printf(s->arena, "%s%s%s", list, *list ? " " : "", pressure_name(p));
    return arena_printf(s->arena, "The node had condition: [%s]. ", list);
}
