/* The node object: registration, capacity, conditions. */
#include "kubelet/internal.h"

#include <errno.h>
#include <stdio.h>
#include <sys/statvfs.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/str.h"
#include "base/version.h"

#define FACT_FILE_MAX 8192

static char *first_line(const char *path) {
    char *text = NULL;
    if (fs_read_file(path, FACT_FILE_MAX, &text, NULL) < 0)
        return xstrdup("");
    text[strcspn(text, "\n")] = 0;
    return text;
}

static char *os_name(void) {
    _cleanup_free_ char *text = NULL;
    if (fs_read_file("/etc/os-release", FACT_FILE_MAX, &text, NULL) < 0)
        return xstrdup("Linux");
    char *name = strstr(text, "PRETTY_NAME=");
    if (!name)
        return xstrdup("Linux");
    name += strlen("PRETTY_NAME=");
    name += *name == '"';
    return xstrndup(name, strcspn(name, "\"\n"));
}

static int load_for_pods(Kubelet *k, char **ret_error) {
    uint64_t pids = 0, running;
    (void)node_pids_read(&pids, &running);
    NodeAmounts has = {k->cpus * 1000, (int64_t)k->memory, (int64_t)k->disk, (int64_t)pids}, reserved = {0};
    int r = reserved_add(&reserved, k->config.system_reserved, ret_error);
    r = r < 0 ? r : reserved_add(&reserved, k->config.kube_reserved, ret_error);
    return r < 0 ? r : reserved_rest(&has, &reserved, &k->for_pods, ret_error);
}

int node_facts_load(Kubelet *k, char **ret_error) {
    struct sysinfo info;
    struct utsname uts;
    struct statvfs disk;
    char host[256] = "localhost", *name = NULL, *version = NULL;
    if (sysinfo(&info) < 0 || uname(&uts) < 0 || statvfs(k->config.root_dir, &disk) < 0) {
        int r = -errno;
        *ret_error = xasprintf("cannot learn about this machine: %s", strerror(-r));
        return r;
    }
    (void)gethostname(host, sizeof host - 1);
    k->host_name = xstrdup(host);
    k->cpus = sysconf(_SC_NPROCESSORS_ONLN);
    k->memory = (uint64_t)info.totalram * info.mem_unit;
    k->disk = (uint64_t)disk.f_blocks * disk.f_frsize;
    k->machine_id = first_line("/etc/machine-id");
    k->boot_id = first_line("/proc/sys/kernel/random/boot_id");
    k->system_uuid = first_line("/sys/class/dmi/id/product_uuid");
    k->kernel = xstrdup(uts.release);
    k->os_image = os_name();
    if (k->runtime->version(k->runtime, &name, &version) == 0)
        k->runtime_version = xasprintf("lighter://%s", version ? version : LIGHTER_VERSION);
    else
        k->runtime_version = xstrdup("lighter://" LIGHTER_VERSION);
    free(name);
    free(version);
    return load_for_pods(k, ret_error);
}

void node_facts_done(Kubelet *k) {
    char *owned[] = {k->host_name, k->machine_id, k->boot_id,        k->system_uuid,
                     k->kernel,    k->os_image,   k->runtime_version};
    for (size_t i = 0; i < ELEMENTSOF(owned); i++)
        free(owned[i]);
}

void node_allocatable(const Kubelet *k, int64_t *ret_cpu_milli, int64_t *ret_memory, int64_t *ret_disk) {
    int64_t memory_kept, disk_kept;
    eviction_kept(k->eviction, k->memory, k->disk, &memory_kept, &disk_kept);
    *ret_cpu_milli = k->for_pods.cpu_milli;
    *ret_memory = MAX(k->for_pods.memory - memory_kept, (int64_t)0);
    *ret_disk = MAX(k->for_pods.disk - disk_kept, (int64_t)0);
}

void node_limit_pods(Kubelet *k) {
    _cleanup_free_ char *error = NULL;
    int r = cgroups_limit(k->cgroups, &k->for_pods, &error);
    if (r < 0 && r != k->limit_error)
        log_warn("pods together are not limited to what is not reserved, trying again: %s", error);
    k->limit_error = r;
}

static Value *capacity(Kubelet *k, Arena *arena, bool allocatable) {
    Value *v = value_object(arena);
    char text[QUANTITY_TEXT_MAX];
    int64_t cpu, memory, disk;
    node_allocatable(k, &cpu, &memory, &disk);
    Quantity cpus = quantity_from_milli(allocatable ? cpu : k->cpus * 1000, QUANTITY_DECIMAL_SI);
    value_set_str(arena, v, "cpu", quantity_format(&cpus, text));
    value_set(arena, v, "memory",
              value_printf(arena, "%lldKi", (long long)(allocatable ? memory : (int64_t)k->memory) / 1024));
    if (allocatable)
        value_set(arena, v, "ephemeral-storage", value_printf(arena, "%lld", (long long)disk));
    else
        value_set(arena, v, "ephemeral-storage", value_printf(arena, "%lluKi", (unsigned long long)k->disk / 1024));
    value_set_str(arena, v, "hugepages-1Gi", "0");
    value_set_str(arena, v, "hugepages-2Mi", "0");
    value_set(arena, v, "pods", value_printf(arena, "%lld", (long long)k->config.max_pods));
    return v;
}

/* Others set these in the capacity of the node's object; all of it may be given to pods. */
static void share_extended(Arena *arena, Value *allocatable, const Value *old) {
    const Value *capacity = value_get(old, "capacity");
    VALUE_FOREACH_MEMBER (m, capacity)
        if (resource_is_extended(m->name))
            value_set(arena, allocatable, m->name, value_copy(arena, m->value));
    VALUE_FOREACH_MEMBER (m, value_get(old, "allocatable"))
        if (resource_is_extended(m->name) && !value_get(capacity, m->name))
            value_set(arena, allocatable, m->name, value_null(arena));
}

static void add_address(Arena *arena, Value *addresses, const char *type, const char *address) {
    Value *v = value_object(arena);
    value_set_str(arena, v, "address", address);
    value_set_str(arena, v, "type", type);
    value_append(arena, addresses, v);
}

/* A condition with now as its heartbeat; the transition time is kept while the status does not change. */
static void add_condition(Arena *arena, Value *list, const Value *old, const char *type, bool status,
                          const char *reason, const char *message) {
    const Value *before = condition_find(old, type);
    const char *text = status ? "True" : "False";
    char now[RFC3339_MAX];
    Value *v = value_object(arena);
    rfc3339_format(now_realtime_ns(), now);
    bool same = streq(str_or(value_get_str(before, "status"), ""), text);
    value_set_str(arena, v, "type", type);
    value_set_str(arena, v, "status", text);
    value_set_str(arena, v, "lastHeartbeatTime", now);
    value_set_str(arena, v, "lastTransitionTime",
                  same ? str_or(value_get_str(before, "lastTransitionTime"), now) : now);
    value_set_str(arena, v, "reason", reason);
    value_set_str(arena, v, "message", message);
    value_append(arena, list, v);
}

static void add_pressure(Arena *arena, Value *list, const Value *old, const char *type, bool pressure,
                         const char *const reasons[2], const char *const messages[2]) {
    add_condition(arena, list, old, type, pressure, reasons[pressure], messages[pressure]);
}

static Value *conditions(const Kubelet *k, Arena *arena, const Value *old) {
    Value *list = value_array(arena);
    add_pressure(
        arena, list, old, "MemoryPressure", eviction_pressure(k->eviction, PRESSURE_MEMORY),
        (const char *const[]){"KubeletHasSufficientMemory", "KubeletHasInsufficientMemory"},
        (const char *const[]){"kubelet has sufficient memory available", "kubelet has insufficient memory available"});
    add_pressure(arena, list, old, "DiskPressure", eviction_pressure(k->eviction, PRESSURE_DISK),
                 (const char *const[]){"KubeletHasNoDiskPressure", "KubeletHasDiskPressure"},
                 (const char *const[]){"kubelet has no disk pressure", "kubelet has disk pressure"});
    add_pressure(
        arena, list, old, "PIDPressure", eviction_pressure(k->eviction, PRESSURE_PIDS),
        (const char *const[]){"KubeletHasSufficientPID", "KubeletHasInsufficientPID"},
        (const char *const[]){"kubelet has sufficient PID available", "kubelet has insufficient PID available"});
    add_condition(arena, list, old, "Ready", true, "KubeletReady", "kubelet is posting ready status");
    return list;
}

static Value *node_info(Kubelet *k, Arena *arena) {
    Value *v = value_object(arena);
    value_set_str(arena, v, "machineID", k->machine_id);
    value_set_str(arena, v, "systemUUID", k->system_uuid);
    value_set_str(arena, v, "bootID", k->boot_id);
    value_set_str(arena, v, "kernelVersion", k->kernel);
    value_set_str(arena, v, "osImage", k->os_image);
    value_set_str(arena, v, "containerRuntimeVersion", k->runtime_version);
    value_set_str(arena, v, "kubeletVersion", KUBERNETES_VERSION);
    value_set_str(arena, v, "kubeProxyVersion", "");
    value_set_str(arena, v, "operatingSystem", "linux");
    value_set_str(arena, v, "architecture", "amd64");
    return v;
}

static Value *images_of(Kubelet *k, Arena *arena) {
    Image **images = NULL;
    size_t n = 0;
    Value *list = value_array(arena);
    if (image_list(k->images, &images, &n) < 0)
        return list;
    for (size_t i = 0; i < n; i++) {
        Value *v = value_object(arena), *names = value_array(arena);
        for (char **name = images[i]->digests; name && *name; name++)
            value_append(arena, names, value_string(arena, *name));
        for (char **name = images[i]->tags; name && *name; name++)
            value_append(arena, names, value_string(arena, *name));
        value_set(arena, v, "names", names);
        value_set_int(arena, v, "sizeBytes", (int64_t)images[i]->size);
        if (i < PREFERRED_IMAGE_LIST && value_len(names))
            value_append(arena, list, v);
        image_free(images[i]);
    }
    free(images);
    return list;
}

static Value *status_of(Kubelet *k, Arena *arena, const Value *old) {
    Value *status = value_object(arena), *addresses = value_array(arena), *port = value_object(arena),
          *endpoints = value_object(arena);
    add_address(arena, addresses, "InternalIP", k->node_ip);
    add_address(arena, addresses, "Hostname", k->config.node_name);
    value_set_int(arena, port, "Port", server_port(k));
    value_set(arena, endpoints, "kubeletEndpoint", port);
    value_set(arena, status, "capacity", capacity(k, arena, false));
    Value *allocatable = capacity(k, arena, true);
    share_extended(arena, allocatable, old);
    value_set(arena, status, "allocatable", allocatable);
    value_set(arena, status, "conditions", conditions(k, arena, value_get(old, "conditions")));
    value_set(arena, status, "addresses", addresses);
    value_set(arena, status, "daemonEndpoints", endpoints);
    value_set(arena, status, "nodeInfo", node_info(k, arena));
    value_set(arena, status, "images", images_of(k, arena));
    return status;
}

static void set_pair(Arena *arena, Value *labels, const char *pair) {
    const char *equals = strchr(pair, '=');
    if (equals)
        value_set_str(arena, labels, arena_strndup(arena, pair, (size_t)(equals - pair)), equals + 1);
}

static Value *labels_of(Kubelet *k, Arena *arena) {
    Value *labels = value_object(arena);
    value_set_str(arena, labels, "beta.kubernetes.io/arch", "amd64");
    value_set_str(arena, labels, "beta.kubernetes.io/os", "linux");
    value_set_str(arena, labels, "kubernetes.io/arch", "amd64");
    value_set_str(arena, labels, "kubernetes.io/hostname", k->config.node_name);
    value_set_str(arena, labels, "kubernetes.io/os", "linux");
    for (const char *const *pair = k->config.labels; pair && *pair; pair++)
        set_pair(arena, labels, *pair);
    return labels;
}

/* "key=value:Effect" or "key:Effect". */
static void add_taint(Arena *arena, Value *taints, const char *text) {
    const char *colon = strrchr(text, ':'), *equals = strchr(text, '=');
    if (!colon)
        return;
    Value *v = value_object(arena);
    const char *end = equals && equals < colon ? equals : colon;
    value_set_str(arena, v, "key", arena_strndup(arena, text, (size_t)(end - text)));
    if (end == equals)
        value_set_str(arena, v, "value", arena_strndup(arena, equals + 1, (size_t)(colon - equals - 1)));
    value_set_str(arena, v, "effect", colon + 1);
    value_append(arena, taints, v);
}

static int create_node(Kubelet *k, Arena *arena, Object **ret, ApiError *err) {
    Value *node = value_object(arena), *metadata = value_object(arena), *spec = value_object(arena),
          *taints = value_array(arena);
    value_set_str(arena, node, "apiVersion", "v1");
    value_set_str(arena, node, "kind", "Node");
    value_set_str(arena, metadata, "name", k->config.node_name);
    value_set(arena, metadata, "labels", labels_of(k, arena));
    value_set(arena, node, "metadata", metadata);
    if (!str_empty(k->config.pod_cidr)) {
        value_set_str(arena, spec, "podCIDR", k->config.pod_cidr);
        value_append(arena, value_ensure_array(arena, spec, "podCIDRs"), value_string(arena, k->config.pod_cidr));
    }
    for (const char *const *taint = k->config.taints; taint && *taint; taint++)
        add_taint(arena, taints, *taint);
    if (value_len(taints))
        value_set(arena, spec, "taints", taints);
    value_set(arena, node, "spec", spec);
    value_set(arena, node, "status", status_of(k, arena, NULL));
    return client_create(k->client, RES("nodes"), NULL, node, ret, err);
}

/* Events about what changed in the node's conditions; `old` NULL: there were none. */
static void announce(Kubelet *k, const Object *node, const Value *old, const Value *list) {
    static const struct {
        const char *type, *reasons[2]; /* of False and True; NULL: the other kind of event */
    } names[] = {{"MemoryPressure", {"NodeHasSufficientMemory", "NodeHasInsufficientMemory"}},
                 {"DiskPressure", {"NodeHasNoDiskPressure", "NodeHasDiskPressure"}},
                 {"PIDPressure", {"NodeHasSufficientPID", "NodeHasInsufficientPID"}},
                 {"Ready", {"NodeNotReady", "NodeReady"}}};
    for (size_t i = 0; i < ELEMENTSOF(names); i++) {
        const char *now = value_get_str(condition_find(list, names[i].type), "status"),
                   *before = value_get_str(condition_find(old, names[i].type), "status");
        const char *reason = names[i].reasons[streq_null(now, "True")];
        if (now && !streq_null(before, now))
            event_record(k->events, node, NULL, "Normal", reason, "Node %s status is now: %s", k->config.node_name,
                         reason);
    }
}

static int patch_status(Kubelet *k, Arena *arena, const Object *node, bool is_new, ApiError *err) {
    const Value *old = value_get(object_value(node, arena), "status");
    Value *patch = value_object(arena);
    value_set(arena, patch, "status", status_of(k, arena, old));
    int r =
        client_patch(k->client, RES("nodes"), NULL, k->config.node_name, "status", PATCH_STRATEGIC, patch, NULL, err);
    if (r == 0)
        announce(k, node, is_new ? NULL : value_get(old, "conditions"),
                 value_path(patch, "status", "conditions", NULL));
    return r;
}

int node_status_sync(Kubelet *k) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    _cleanup_api_error_ ApiError err = {0};
    _cleanup_object_ Object *node = NULL;
    int r = client_get(k->client, RES("nodes"), NULL, k->config.node_name, &node, &err);
    bool created = r == -ENOENT;
    if (created) {
        api_error_done(&err);
        r = create_node(k, arena, &node, &err);
    }
    if (r == 0) {
        pthread_mutex_lock(&k->lock);
        object_unref(k->node_ref);
        k->node_ref = object_ref(node);
        pthread_mutex_unlock(&k->lock);
    }
    if (r == 0)
        r = patch_status(k, arena, node, created, &err);
    if (r < 0)
        log_warn("the status of node %s cannot be written, trying again: %s", k->config.node_name,
                 str_or(err.message, strerror(-r)));
    else if (created)
        log_info("registered node %s", k->config.node_name);
    return r;
}
