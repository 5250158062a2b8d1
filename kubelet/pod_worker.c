/* One sync of one pod: read what is wanted (API) and what is (runtime), take the next steps that do not wait, publish
 * the status, and say when to look again. Everything that takes long (pulls, hooks, grace periods) runs elsewhere and
 * queues the pod when it is done. */
#include "kubelet/internal.h"
#include "kubelet/logs.h"

#include "api/json.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/str.h"

#include <errno.h>

#define TERMINATION_MESSAGE_MAX 4096
#define TERMINATION_LOG_TAIL 2048 /* bytes, as the reference */
#define TERMINATION_LOG_LINES 80  /* likewise */

static void sync_facts(PodSync *s) {
    const SandboxStatus *sandbox = pod_runtime_sandbox(&s->rt);
    s->facts.host_ip = s->facts.host_ips = s->k->node_ip;
    node_allocatable(s->k, &s->facts.allocatable_cpu_milli, &s->facts.allocatable_memory,
                     &s->facts.allocatable_ephemeral);
    if (pod_host_network(s->pod)) {
        s->facts.pod_ip = s->facts.pod_ips = s->k->node_ip;
        return;
    }
    s->facts.pod_ip = s->facts.pod_ips = "";
    if (sandbox && !str_empty(sandbox->ip)) {
        s->facts.pod_ip = arena_strdup(s->arena, sandbox->ip);
        const char *all = "";
        for (size_t i = 0; sandbox->ips && sandbox->ips[i]; i++)
            all = arena_printf(s->arena, "%s%s%s", all, i ? "," : "", sandbox->ips[i]);
        s->facts.pod_ips = *all ? all : s->facts.pod_ip;
    }
}

/* ---- termination messages ---- */

static char *log_tail(const char *path) {
    static const LogOptions options = {
        .stdout_ = true, .stderr_ = true, .tail_lines = TERMINATION_LOG_LINES, .limit_bytes = -1};
    _cleanup_(log_reader_freep) LogReader *reader = NULL;
    _cleanup_buf_ Buf out = BUF_INIT(CONTAINER_LOG_LINE_MAX + 2 * LOG_READ_CHUNK);
    if (str_empty(path) || log_reader_open(path, &options, &reader) < 0)
        return NULL;
    for (int r = LOG_READ_MORE; r == LOG_READ_MORE;) {
        r = log_reader_read(reader, true, &out);
        if (out.len > TERMINATION_LOG_TAIL)
            buf_consume(&out, out.len - TERMINATION_LOG_TAIL);
    }
    return out.len ? xstrdup(out.data) : NULL;
}

/* The container's own last words, from the file it was given, or its log when the policy says so. */
static void read_termination_messages(PodSync *s) {
    for (size_t i = 0; i < s->rt.n_containers; i++) {
        ContainerStatus *c = &s->rt.containers[i];
        const Value *container = pod_find_container(s->pod, c->name, NULL);
        if (c->state != CONTAINER_EXITED || !container)
            continue;
        char *path = termination_log_path(s->arena, s->p, c->name, c->attempt), *text = NULL;
        size_t n = 0;
        if (fs_read_file(path, TERMINATION_MESSAGE_MAX * 16, &text, &n) < 0)
            text = NULL;
        if (str_empty(text) && c->exit_code != 0 &&
            streq_null(value_get_str(container, "terminationMessagePolicy"), "FallbackToLogsOnError")) {
            free(text);
            text = log_tail(c->log_path);
        }
        if (!str_empty(text)) {
            if (strlen(text) > TERMINATION_MESSAGE_MAX)
                text[TERMINATION_MESSAGE_MAX] = 0;
            free(c->message);
            c->message = TAKE_PTR(text);
        }
        free(text);
    }
}

/* ---- status ---- */

typedef struct ProbeScope {
    Kubelet *k;
    Pod *p;
} ProbeScope;

static bool scope_started(void *userdata, const char *container, const char *id) {
    const ProbeScope *scope = userdata;
    /* what starts after it waits for its postStart hook, and so does its readiness */
    return !hook_pending(scope->k, scope->p, id) && probes_started(scope->k, scope->p->uid, container, id);
}
static bool scope_ready(void *userdata, const char *container, const char *id) {
    const ProbeScope *scope = userdata;
    return probes_ready(scope->k, scope->p->uid, container, id);
}

static const Value *scope_resources(void *userdata, const ContainerStatus *c) {
    return resize_given(userdata, c);
}

static const char *const *observed_ips(PodSync *s) {
    const SandboxStatus *sandbox = pod_runtime_sandbox(&s->rt);
    const char **list = arena_alloc0(s->arena, 18 * sizeof *list);
    size_t n = 0;
    if (pod_host_network(s->pod))
        list[n++] = s->k->node_ip;
    else if (sandbox && !str_empty(sandbox->ip)) {
        list[n++] = sandbox->ip;
        for (size_t i = 1; sandbox->ips && sandbox->ips[0] && sandbox->ips[i] && n < 16; i++)
            list[n++] = sandbox->ips[i];
    } else { /* the address it had stays in the status of a pod that ended */
        const Value *ip;
        VALUE_FOREACH (ip, value_get(s->old_status, "podIPs"))
            if (n < 16 && value_get_str(ip, "ip"))
                list[n++] = value_get_str(ip, "ip");
    }
    return list;
}

static Value *compute_status(PodSync *s, bool terminal) {
    read_termination_messages(s);
    ProbeScope scope = {s->k, s->p};
    size_t n = 0;
    WaitingReason *waiting = arena_alloc0(s->arena, (strmap_size(s->p->waiting) + 1) * sizeof *waiting);
    const char *name;
    Waiting *w;
    STRMAP_FOREACH (s->p->waiting, name, w)
        waiting[n++] = (WaitingReason){name, w->reason, w->message};
    const SandboxStatus *sandbox = pod_runtime_sandbox(&s->rt);
    const char *hosts[] = {s->k->node_ip, NULL};
    PodCgroup cgroup;
    bool has_cgroup = cgroups_pod_read(s->k->cgroups, s->pod, &cgroup) == 0;
    PodObservation o = {
        .containers = s->rt.containers,
        .n_containers = s->rt.n_containers,
        .sandbox_id = sandbox ? sandbox->id : NULL,
        .pod_ips = observed_ips(s),
        .host_ips = hosts,
        .runtime_name = "lighter",
        .waiting = waiting,
        .n_waiting = n,
        .started = scope_started,
        .ready = scope_ready,
        .probe_data = &scope,
        .resources = scope_resources,
        .resources_data = s,
        .resize = &s->p->resize,
        .cgroup = has_cgroup ? &cgroup : NULL,
        .terminal = terminal,
        .rejected = s->p->rejected,
        .disruption = s->p->evicted ? s->p->eviction->disruption : NULL,
        .failed_reason = s->p->failed_reason,
        .failed_message = s->p->failed_message,
        .now_ns = now_realtime_ns(),
    };
    return pod_status_build(s->arena, s->pod, s->old_status, &o);
}

static bool anything_runs(const PodRuntime *rt) {
    for (size_t i = 0; i < rt->n_containers; i++)
        if (rt->containers[i].state == CONTAINER_RUNNING)
            return true;
    return false;
}

/* ---- deciding ---- */

static void check_deadline(PodSync *s) {
    int64_t seconds = value_get_int(value_get(s->pod, "spec"), "activeDeadlineSeconds", 0), start;
    const char *since = value_get_str(s->old_status, "startTime");
    if (seconds <= 0 || !since || rfc3339_parse(since, &start) < 0 || s->p->failed_reason)
        return;
    int64_t left = ns_between(ns_after(start, seconds), now_realtime_ns());
    if (left > 0) {
        sync_again(s, (uint64_t)left);
        return;
    }
    s->p->failed_reason = xstrdup("DeadlineExceeded");
    s->p->failed_message = xstrdup("Pod was active on the node longer than the specified deadline");
    event_record(s->k->events, s->object, NULL, "Normal", "DeadlineExceeded", "%s", s->p->failed_message);
}

static void check_eviction(PodSync *s) {
    pthread_mutex_lock(&s->k->lock);
    const PodEviction *why = s->p->eviction;
    pthread_mutex_unlock(&s->k->lock);
    if (!why || s->p->failed_reason)
        return;
    s->p->evicted = true;
    s->p->failed_reason = xstrdup(why->reason);
    s->p->failed_message = xstrdup(why->message);
}

/* False: there is nothing to do yet. */
static bool decide(PodSync *s, bool removed) {
    Pod *p = s->p;
    const char *phase = value_get_str(s->old_status, "phase");
    if (removed || pod_is_deleting(s->pod)) {
        if (p->ending != POD_DELETED) {
            p->ending = POD_DELETED;
            p->end_started = now_monotonic_ns();
        }
        resize_consider(s, false);
        return true;
    }
    if (p->ending == POD_RUNS && !phase_is_terminal(phase)) {
        if (!pod_admit(s))
            return false;
        resize_consider(s, true);
        check_deadline(s);
        check_eviction(s);
    } else
        resize_consider(s, false);
    if (streq_null(phase, "Failed") && !s->rt.n_sandboxes && !value_get(s->old_status, "containerStatuses"))
        p->rejected = true; /* by an agent before this one */
    if (p->ending == POD_RUNS && (phase_is_terminal(phase) || p->failed_reason)) {
        p->ending = POD_FINISHED;
        p->end_started = now_monotonic_ns();
    }
    return true;
}

static void load_old_status(PodSync *s) {
    pthread_mutex_lock(&s->k->lock);
    char *json = xstrdup(s->p->status_json);
    pthread_mutex_unlock(&s->k->lock);
    Value *own = NULL;
    if (json && json_parse(s->arena, json, strlen(json), &own, NULL, NULL) == 0)
        s->old_status = own;
    else
        s->old_status = value_get(s->pod, "status");
    free(json);
}

static void sync_one(PodSync *s, bool removed) {
    if (!decide(s, removed))
        return;
    sync_facts(s);
    /* Steps that change the runtime are followed by another look, so that each starts from what is. */
    for (int round = 0; round < 16; round++) {
        s->changed = false;
        if (s->p->ending == POD_RUNS)
            pod_run_step(s);
        else
            pod_end_step(s);
        if (!s->changed)
            break;
        PodRuntime fresh;
        if (pod_runtime_load(s->k, s->p, &fresh) < 0) {
            sync_again(s, NS_PER_SEC);
            break;
        }
        pod_runtime_done(&s->rt);
        s->rt = fresh;
        sync_facts(s);
    }
    if (s->p->ending != POD_RUNS && !anything_runs(&s->rt))
        pod_release(s->k, s->p);
    if (s->p->torn_down)
        return; /* its last status was published before its containers were removed */
    if (s->p->ending == POD_RUNS && pod_replaces_container(s))
        return;
    Value *status = compute_status(s, s->p->ending != POD_RUNS && !anything_runs(&s->rt));
    status_publish(s->k, s->p, status);
    if (s->p->ending == POD_RUNS && phase_is_terminal(value_get_str(status, "phase")))
        sync_again(s, 1);
}

static int sync_pod(Kubelet *k, const char *key) {
    Pod *p = pod_get(k, key);
    if (!p)
        return 0;
    _cleanup_(arena_freep) Arena *arena = arena_new(0);
    PodSync s = {.k = k, .p = p, .arena = arena};
    bool removed = false;
    s.object = pod_object(k, p, &removed);
    s.pod = object_value(s.object, arena);
    load_old_status(&s);
    int r = pod_runtime_load(k, p, &s.rt);
    if (r < 0) {
        log_warn("pod %s/%s: the runtime does not answer: %s", p->ns, p->name, strerror(-r));
        sync_again(&s, NS_PER_SEC);
    } else
        sync_one(&s, removed);
    pod_runtime_done(&s.rt);
    object_unref(s.object);
    if (s.again_ns)
        workqueue_add_after(k->pod_queue, key, s.again_ns);
    pod_unref(k, p);
    return 0;
}

int pod_sync(const char *key, void *userdata) {
    Kubelet *k = userdata;
    atomic_fetch_add(&k->syncs, 1);
    int r = k->stopping ? 0 : sync_pod(k, key);
    atomic_fetch_sub(&k->syncs, 1);
    return r;
}
