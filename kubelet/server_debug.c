/* What looks into the agent: its configuration, what runs by the runtime's own account, and checkpoints. */
#include "kubelet/server_internal.h"

#include "base/clock.h"

#include <errno.h>

#define BODY_MAX (64 * 1024 * 1024)

static void reply_json(Call *call, const Value *v) {
    Buf out = BUF_INIT(BODY_MAX);
    value_write_json(&out, v);
    if (out.failed) {
        buf_done(&out);
        call_error(call, 500, "the answer is too long");
    } else
        call_reply(call, 200, "application/json", &out);
    call_free(call);
}

/* ---- /configz: the part of KubeletConfiguration that this agent has ---- */

static void put_strings(Arena *arena, Value *to, const char *name, const char *const *list) {
    if (!list || !*list)
        return;
    Value *v = value_ensure_array(arena, to, name);
    for (; *list; list++)
        value_append(arena, v, value_string(arena, *list));
}

/* "a<1,b<2" as {"a": "1", "b": "2"} */
static void put_map(Arena *arena, Value *to, const char *name, const char *text, char separator) {
    size_t n = 0;
    char **list = text ? str_split(arena, text, ',', &n) : NULL;
    for (size_t i = 0; i < n; i++) {
        char *value = strchr(list[i], separator);
        if (!value)
            continue;
        *value++ = 0;
        value_set_str(arena, value_ensure_object(arena, to, name), list[i], value);
    }
}

static void put_duration(Arena *arena, Value *to, const char *name, uint64_t ns) {
    uint64_t s = ns / NS_PER_SEC;
    value_set(arena, to, name,
              s >= 60 ? value_printf(arena, "%llum%llus", (unsigned long long)(s / 60), (unsigned long long)(s % 60))
                      : value_printf(arena, "%llus", (unsigned long long)s));
}

static void put_security(Kubelet *k, Arena *arena, Value *v) {
    Value *authentication = value_ensure_object(arena, v, "authentication"),
          *authorization = value_ensure_object(arena, v, "authorization");
    value_set_str(arena, value_ensure_object(arena, authentication, "x509"), "clientCAFile",
                  str_or(k->config.client_ca_file, ""));
    value_set(arena, value_ensure_object(arena, authentication, "webhook"), "enabled", value_bool(arena, true));
    value_set(arena, value_ensure_object(arena, authentication, "anonymous"), "enabled", value_bool(arena, false));
    value_set_str(arena, authorization, "mode", "Webhook");
}

void serve_configz(Call *call) {
    Kubelet *k = call->k;
    Arena *arena = call->arena;
    const KubeletConfig *c = &k->config;
    Value *all = value_object(arena), *v = value_ensure_object(arena, all, "kubeletconfig");
    value_set(arena, v, "enableServer", value_bool(arena, true));
    put_duration(arena, v, "nodeStatusUpdateFrequency", NODE_STATUS_EVERY_NS);
    value_set_str(arena, v, "address", c->bind);
    value_set_int(arena, v, "port", server_port(k));
    value_set_str(arena, v, "tlsCertFile", str_or(c->cert_file, ""));
    value_set_str(arena, v, "tlsPrivateKeyFile", str_or(c->key_file, ""));
    put_security(k, arena, v);
    value_set_str(arena, v, "podLogsDir", c->log_dir);
    value_set_str(arena, v, "cgroupRoot", c->cgroup_root);
    value_set_str(arena, v, "cgroupDriver", "cgroupfs");
    value_set(arena, v, "cgroupsPerQOS", value_bool(arena, true));
    value_set_str(arena, v, "clusterDomain", c->cluster_domain);
    put_strings(arena, v, "clusterDNS", c->cluster_dns);
    put_strings(arena, v, "registerWithTaints", c->taints);
    value_set_str(arena, v, "podCIDR", str_or(c->pod_cidr, ""));
    value_set_int(arena, v, "maxPods", c->max_pods);
    value_set_int(arena, v, "imageGCHighThresholdPercent", c->image_gc_high);
    value_set_int(arena, v, "imageGCLowThresholdPercent", c->image_gc_low);
    put_map(arena, v, "evictionHard", c->eviction_hard ? c->eviction_hard : EVICTION_DEFAULT_HARD, '<');
    put_map(arena, v, "evictionSoft", c->eviction_soft, '<');
    put_map(arena, v, "evictionSoftGracePeriod", c->eviction_soft_grace, '=');
    put_map(arena, v, "evictionMinimumReclaim", c->eviction_minimum_reclaim, '=');
    value_set_int(arena, v, "evictionMaxPodGracePeriod", c->eviction_max_pod_grace);
    put_duration(arena, v, "evictionPressureTransitionPeriod",
                 c->eviction_transition_ns > 0 ? (uint64_t)c->eviction_transition_ns
                                               : (uint64_t)EVICTION_DEFAULT_TRANSITION_NS);
    value_set(arena, v, "failSwapOn", value_bool(arena, false));
    value_set_str(arena, v, "kind", "KubeletConfiguration");
    value_set_str(arena, v, "apiVersion", "kubelet.config.k8s.io/v1beta1");
    reply_json(call, all);
}

/* ---- /runningpods: what the runtime has, not what was asked for ---- */

static Value *running_pod(Arena *arena, const SandboxStatus *sandbox, const ContainerStatus *containers, size_t n) {
    Value *pod = value_object(arena), *metadata = value_ensure_object(arena, pod, "metadata"),
          *list = value_array(arena);
    value_set_str(arena, metadata, "name", sandbox->name);
    value_set_str(arena, metadata, "namespace", sandbox->ns);
    value_set_str(arena, metadata, "uid", sandbox->uid);
    for (size_t i = 0; i < n; i++) {
        if (containers[i].state != CONTAINER_RUNNING || !streq(containers[i].sandbox_id, sandbox->id))
            continue;
        Value *c = value_object(arena);
        value_set_str(arena, c, "name", containers[i].name);
        value_set_str(arena, c, "image", str_or(containers[i].image_id, ""));
        value_set(arena, c, "resources", value_object(arena));
        value_append(arena, list, c);
    }
    value_set(arena, value_ensure_object(arena, pod, "spec"), "containers", list);
    value_set(arena, pod, "status", value_object(arena));
    return pod;
}

void serve_running(Call *call) {
    Runtime *runtime = call->k->runtime;
    Arena *arena = call->arena;
    SandboxStatus *sandboxes = NULL;
    ContainerStatus *containers = NULL;
    size_t n_sandboxes = 0, n_containers = 0;
    int r = runtime->sandbox_list(runtime, &sandboxes, &n_sandboxes);
    if (r == 0)
        r = runtime->container_list(runtime, NULL, &containers, &n_containers);
    Value *all = value_object(arena), *items = value_array(arena);
    value_set_str(arena, all, "kind", "PodList");
    value_set_str(arena, all, "apiVersion", "v1");
    value_set(arena, all, "metadata", value_object(arena));
    value_set(arena, all, "items", items);
    for (size_t i = 0; i < n_sandboxes; i++) {
        if (sandboxes[i].ready)
            value_append(arena, items, running_pod(arena, &sandboxes[i], containers, n_containers));
        sandbox_status_done(&sandboxes[i]);
    }
    for (size_t i = 0; i < n_containers; i++)
        container_status_done(&containers[i]);
    free(sandboxes);
    free(containers);
    if (r < 0) {
        call_error(call, 500, "%s", strerror(-r));
        call_free(call);
    } else
        reply_json(call, all);
}

/* ---- /checkpoint: this runtime makes none, as containerd where CRIU is not installed ---- */

void serve_checkpoint(Call *call) {
    Pod *p = call_pod(call, NULL, "pod does not exist");
    _cleanup_object_ Object *object = p ? pod_object(call->k, p, NULL) : NULL;
    if (p && !pod_find_container(object_value(object, call->arena), call->parts[3], NULL))
        call_error(call, 404, "container %s does not exist", call->parts[3]);
    else if (p)
        call_error(call, 500, "checkpointing of %s/%s/%s failed (the container runtime cannot make checkpoints)",
                   call->parts[1], call->parts[2], call->parts[3]);
    pod_unref(call->k, p);
    call_free(call);
}
