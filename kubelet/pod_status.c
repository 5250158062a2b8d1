#include "kubelet/pod_status.h"

#include "api/pod_qos.h"
#include "base/clock.h"
#include "base/str.h"

#define CONTAINER_GONE_MESSAGE                                                                                         \
    "The container could not be located when the pod was deleted.  The container used to be Running"
#define CONTAINER_LOST_MESSAGE "The container could not be located when the pod was terminated"

const ContainerStatus *observation_find(const PodObservation *o, const char *container) {
    for (size_t i = 0; i < o->n_containers; i++)
        if (streq(o->containers[i].name, container))
            return &o->containers[i];
    return NULL;
}

bool container_will_start(const Value *pod, const Value *container, const ContainerStatus *status) {
    if (pod_is_deleting(pod))
        return false;
    if (!status || status->state == CONTAINER_CREATED || status->state == CONTAINER_UNKNOWN)
        return true;
    return status->state == CONTAINER_EXITED && container_should_restart(pod, container, status->exit_code);
}

bool pod_has_initialized(const Value *pod, const ContainerStatus *containers, size_t n, const char *sandbox_id) {
    for (size_t i = 0; i < n; i++) {
        ContainerKind kind;
        if (sandbox_id && !streq(containers[i].sandbox_id, sandbox_id))
            continue;
        if (pod_find_container(pod, containers[i].name, &kind) && kind == CONTAINER_REGULAR)
            return true;
    }
    return false;
}

/* ---- container statuses ---- */

static void set_time(Arena *arena, Value *v, const char *name, int64_t ns) {
    char text[RFC3339_MAX];
    if (ns)
        value_set_str(arena, v, name, rfc3339_format(ns, text));
    else
        value_set(arena, v, name, value_null(arena));
}

static Value *terminated_state(Arena *arena, const ContainerStatus *c, const char *id) {
    Value *state = value_object(arena), *t = value_ensure_object(arena, state, "terminated");
    value_set_int(arena, t, "exitCode", c->exit_code);
    value_set_str(arena, t, "reason", str_or(c->reason, c->exit_code == 0 ? "Completed" : "Error"));
    if (!str_empty(c->message))
        value_set_str(arena, t, "message", c->message);
    set_time(arena, t, "startedAt", c->started_ns);
    set_time(arena, t, "finishedAt", c->finished_ns);
    value_set_str(arena, t, "containerID", id);
    return state;
}

static Value *waiting_state(Arena *arena, const char *reason, const char *message) {
    Value *state = value_object(arena), *w = value_ensure_object(arena, state, "waiting");
    if (!str_empty(reason))
        value_set_str(arena, w, "reason", reason);
    if (!str_empty(message))
        value_set_str(arena, w, "message", message);
    return state;
}

static Value *inferred_termination(Arena *arena, const char *message) {
    Value *state = value_object(arena), *t = value_ensure_object(arena, state, "terminated");
    value_set_int(arena, t, "exitCode", 137);
    value_set_str(arena, t, "reason", REASON_STATUS_UNKNOWN);
    value_set_str(arena, t, "message", message);
    value_set(arena, t, "startedAt", value_null(arena));
    value_set(arena, t, "finishedAt", value_null(arena));
    return state;
}

static Value *state_of(Arena *arena, const ContainerStatus *c, const char *id, const Value *old) {
    switch (c->state) {
    case CONTAINER_RUNNING: {
        Value *state = value_object(arena);
        set_time(arena, value_ensure_object(arena, state, "running"), "startedAt", c->started_ns);
        return state;
    }
    case CONTAINER_EXITED:
        return terminated_state(arena, c, id);
    case CONTAINER_UNKNOWN:
        if (value_path(old, "state", "running", NULL))
            return inferred_termination(arena, CONTAINER_LOST_MESSAGE);
        break;
    case CONTAINER_CREATED:
        break;
    }
    return waiting_state(arena, NULL, NULL);
}

static void set_volume_mounts(Arena *arena, Value *status, const Value *container) {
    const Value *mount;
    VALUE_FOREACH (mount, value_get(container, "volumeMounts")) {
        Value *v = value_object(arena);
        bool read_only = value_get_bool(mount, "readOnly", false);
        value_set_str(arena, v, "name", value_get_str(mount, "name"));
        value_set_str(arena, v, "mountPath", value_get_str(mount, "mountPath"));
        if (read_only) {
            const char *mode = str_or(value_get_str(mount, "recursiveReadOnly"), "Disabled");
            value_set_bool(arena, v, "readOnly", true);
            value_set_str(arena, v, "recursiveReadOnly", streq(mode, "Disabled") ? "Disabled" : "Enabled");
        }
        value_append(arena, value_ensure_array(arena, status, "volumeMounts"), v);
    }
}

static Value *status_skeleton(Arena *arena, const Value *container, bool has_init) {
    Value *status = value_object(arena);
    value_set_str(arena, status, "name", value_get_str(container, "name"));
    value_set(arena, status, "state",
              waiting_state(arena, has_init ? REASON_POD_INITIALIZING : REASON_CONTAINER_CREATING, NULL));
    value_set(arena, status, "lastState", value_object(arena));
    value_set_bool(arena, status, "ready", false);
    value_set_int(arena, status, "restartCount", 0);
    value_set_str(arena, status, "image", str_or(value_get_str(container, "image"), ""));
    value_set_str(arena, status, "imageID", "");
    set_volume_mounts(arena, status, container);
    return status;
}

/* The runtime has nothing of that name: keep what was known, and tell a lost container from one that never ran. */
static void infer_missing(Arena *arena, const Value *pod, Value *status, const Value *old) {
    if (!value_path(old, "state", "running", NULL) || value_path(status, "lastState", "terminated", NULL))
        return;
    value_set(arena, status, "lastState", inferred_termination(arena, CONTAINER_GONE_MESSAGE));
    if (!pod_is_deleting(pod))
        value_set_int(arena, status, "restartCount", value_get_int(status, "restartCount", 0) + 1);
}

#define IMAGE_REF_ANNOTATION "lighter.io/image-ref" /* written by the container's creator: what imageID says */

static const char *image_id_of(const ContainerStatus *c) {
    for (size_t i = 0; i < c->n_annotations; i++)
        if (streq(c->annotations[i].key, IMAGE_REF_ANNOTATION))
            return c->annotations[i].value;
    return str_or(c->image_id, "");
}

static void fill_from_runtime(Arena *arena, Value *status, const Value *container, const PodObservation *o,
                              const Value *old) {
    const char *name = value_get_str(container, "name");
    size_t seen = 0;
    for (size_t i = 0; i < o->n_containers && seen < 2; i++) {
        const ContainerStatus *c = &o->containers[i];
        if (!streq(c->name, name))
            continue;
        const char *id = arena_printf(arena, "%s://%s", o->runtime_name, c->id);
        Value *state = state_of(arena, c, id, old);
        if (seen++) {
            value_set(arena, status, "lastState", state);
            continue;
        }
        value_set(arena, status, "state", state);
        value_set_int(arena, status, "restartCount",
                      MAX((int64_t)c->attempt, value_get_int(status, "restartCount", 0)));
        value_set_str(arena, status, "image", str_or(c->image_ref, str_or(value_get_str(container, "image"), "")));
        value_set_str(arena, status, "imageID", image_id_of(c));
        value_set_str(arena, status, "containerID", id);
        const Value *resources = value_get(container, "resources"), *requests = value_get(resources, "requests");
        if (!value_is_empty(requests))
            value_set(arena, status, "allocatedResources", value_copy(arena, requests));
        const Value *given = c->state == CONTAINER_RUNNING && o->resources ? o->resources(o->resources_data, c) : NULL;
        resources = given ? given : resources;
        value_set(arena, status, "resources", resources ? value_copy(arena, resources) : value_object(arena));
        /* lastState: what the status said of the container before this one */
        const char *old_id = value_get_str(old, "containerID");
        const Value *ended = value_path(old, "state", "terminated", NULL);
        if (old_id && !streq(old_id, id) && ended)
            value_set(arena, status, "lastState", value_copy(arena, value_get(old, "state")));
    }
}

static void apply_waiting(Arena *arena, const Value *pod, const Value *container, Value *status,
                          const PodObservation *o, bool init) {
    const char *name = value_get_str(container, "name");
    const ContainerStatus *c = observation_find(o, name);
    if (init && c && c->state == CONTAINER_EXITED && c->exit_code == 0 && !container_is_sidecar(container))
        return;
    if (init && !c && !container_is_sidecar(container) && value_path(status, "state", "waiting", NULL) &&
        o->sandbox_id && pod_has_initialized(pod, o->containers, o->n_containers, NULL)) {
        Value *state = value_object(arena), *t = value_ensure_object(arena, state, "terminated");
        value_set_int(arena, t, "exitCode", 0);
        value_set_str(arena, t, "reason", "Completed");
        value_set_str(
            arena, t, "message",
            "Unable to get init container status from container runtime and pod has been initialized, treat it "
            "as exited normally");
        value_set(arena, t, "startedAt", value_null(arena));
        value_set(arena, t, "finishedAt", value_null(arena));
        value_set(arena, status, "state", state);
        return;
    }
    if (!container_will_start(pod, container, c))
        return;
    for (size_t i = 0; i < o->n_waiting; i++) {
        if (!streq(o->waiting[i].container, name))
            continue;
        if (value_path(status, "state", "terminated", NULL))
            value_set(arena, status, "lastState", value_get(status, "state"));
        value_set(arena, status, "state", waiting_state(arena, o->waiting[i].reason, o->waiting[i].message));
    }
}

static void apply_probes(Arena *arena, const Value *container, Value *status, const PodObservation *o,
                         ContainerKind kind) {
    if (kind == CONTAINER_EPHEMERAL)
        return;
    const char *name = value_get_str(container, "name");
    const ContainerStatus *c = observation_find(o, name);
    bool running = value_path(status, "state", "running", NULL) && c;
    bool started = running && (!o->started || o->started(o->probe_data, name, c->id));
    bool ready = started && (!o->ready || o->ready(o->probe_data, name, c->id));
    if (kind == CONTAINER_INIT && !container_is_sidecar(container)) {
        const Value *ended = value_path(status, "state", "terminated", NULL);
        ready = ended && value_get_int(ended, "exitCode", 1) == 0;
    }
    value_set_bool(arena, status, "started", started);
    value_set_bool(arena, status, "ready", ready);
}

static int compare_status(const void *a, const void *b) {
    return strcmp(str_or(value_get_str(*(Value *const *)a, "name"), ""),
                  str_or(value_get_str(*(Value *const *)b, "name"), ""));
}

static Value *container_statuses(Arena *arena, const Value *pod, const Value *old_list, const PodObservation *o,
                                 ContainerKind kind) {
    Value *list = value_array(arena);
    const Value *container;
    bool has_init = value_len(pod_init_containers(pod)) > 0;
    VALUE_FOREACH (container, pod_containers_of(pod, kind)) {
        const char *name = value_get_str(container, "name");
        if (!name)
            continue;
        const Value *old = status_find(old_list, name);
        bool known = observation_find(o, name);
        Value *status = status_skeleton(arena, container, has_init);
        if (old && value_path(old, "state", "terminated", NULL) && !known)
            status = value_copy(arena, old);
        else if (old) {
            value_set_int(arena, status, "restartCount", value_get_int(old, "restartCount", 0));
            if (!value_is_empty(value_get(old, "lastState")))
                value_set(arena, status, "lastState", value_copy(arena, value_get(old, "lastState")));
        }
        if (known)
            fill_from_runtime(arena, status, container, o, old);
        else if (old)
            infer_missing(arena, pod, status, old);
        apply_waiting(arena, pod, container, status, o, kind == CONTAINER_INIT);
        apply_probes(arena, container, status, o, kind);
        value_append(arena, list, status);
    }
    if (kind != CONTAINER_INIT && list->len > 1)
        qsort(list->items, list->len, sizeof *list->items, compare_status);
    return list;
}

/* ---- phase ---- */

typedef struct PhaseCounts {
    int pending_init, pending_sidecars, failed_init_final;
    int unknown, running, waiting, stopped, stopped_final, succeeded;
} PhaseCounts;

static const Value *last_terminated(const Value *status) {
    return value_path(status, "lastState", "terminated", NULL);
}

static void count_init(const Value *pod, const Value *c, const Value *status, PhaseCounts *n) {
    const Value *ended = value_path(status, "state", "terminated", NULL);
    if (!ended && value_path(status, "state", "waiting", NULL))
        ended = last_terminated(status);
    if (!ended || value_path(status, "state", "running", NULL)) {
        n->pending_init++;
        return;
    }
    int code = (int)value_get_int(ended, "exitCode", 0);
    if (code != 0 && !container_should_restart(pod, c, code))
        n->failed_init_final++;
    /* one that failed and will be tried again counts for nothing: unknown regular containers keep the pod Pending */
}

static void count_sidecar(const Value *status, PhaseCounts *n) {
    if (!status)
        n->unknown++;
    else if (value_path(status, "state", "running", NULL)) {
        if (!value_get_bool(status, "started", false))
            n->pending_sidecars++;
        n->running++;
    } else if (value_path(status, "state", "waiting", NULL)) {
        if (!last_terminated(status)) {
            n->pending_sidecars++;
            n->waiting++;
        }
    } else if (!value_path(status, "state", "terminated", NULL)) {
        n->pending_sidecars++;
        n->unknown++;
    }
}

static void count_regular(const Value *pod, const Value *c, const Value *status, PhaseCounts *n) {
    const Value *ended = value_path(status, "state", "terminated", NULL);
    bool waiting = value_path(status, "state", "waiting", NULL);
    if (value_path(status, "state", "running", NULL))
        n->running++;
    else if (ended || (waiting && last_terminated(status))) {
        int code = (int)value_get_int(ended ? ended : last_terminated(status), "exitCode", 0);
        n->stopped++;
        if (!container_should_restart(pod, c, code))
            n->stopped_final++;
        if (ended && code == 0)
            n->succeeded++;
    } else if (waiting)
        n->waiting++;
    else
        n->unknown++;
}

const char *pod_phase(const Value *pod, const Value *statuses, bool terminal, bool initialized) {
    PhaseCounts n = {0};
    const Value *c;
    VALUE_FOREACH (c, pod_init_containers(pod)) {
        const Value *status = status_find(statuses, value_get_str(c, "name"));
        if (container_is_sidecar(c))
            count_sidecar(status, &n);
        else
            count_init(pod, c, status, &n);
    }
    VALUE_FOREACH (c, pod_containers(pod))
        count_regular(pod, c, status_find(statuses, value_get_str(c, "name")), &n);

    if (n.failed_init_final)
        return "Failed";
    if (n.pending_init || (n.pending_sidecars && !initialized) || n.waiting)
        return "Pending";
    if (n.running && !n.unknown)
        return "Running";
    if (!n.running && n.stopped && !n.unknown) {
        if (!terminal || pod_is_static(pod))
            if (n.stopped != n.stopped_final)
                return "Running";
        return n.stopped == n.succeeded ? "Succeeded" : "Failed";
    }
    return "Pending";
}

/* ---- conditions ---- */

void condition_set(Arena *arena, Value *conditions, const Value *old_conditions, const char *type, bool status,
                   const char *reason, const char *message, int64_t generation, int64_t now_ns) {
    const Value *old = condition_find(old_conditions, type);
    const char *text = status ? "True" : "False", *since = value_get_str(old, "lastTransitionTime");
    char now[RFC3339_MAX];
    if (!old || !since || !streq_null(value_get_str(old, "status"), text))
        since = rfc3339_format(now_ns, now);
    Value *c = value_object(arena);
    value_set_str(arena, c, "type", type);
    if (generation)
        value_set_int(arena, c, "observedGeneration", generation);
    value_set_str(arena, c, "status", text);
    value_set(arena, c, "lastProbeTime", value_null(arena));
    value_set_str(arena, c, "lastTransitionTime", since);
    if (!str_empty(reason))
        value_set_str(arena, c, "reason", reason);
    if (!str_empty(message))
        value_set_str(arena, c, "message", message);
    for (uint32_t i = 0; i < conditions->len; i++)
        if (streq_null(value_get_str(conditions->items[i], "type"), type)) {
            conditions->items[i] = c;
            return;
        }
    value_append(arena, conditions, c);
}

/* Go's %s of a []string: "[a b]". */
static void add_names(Buf *out, const char *what, const Buf *names) {
    if (names->len)
        buf_printf(out, "%scontainers with %s status: [%s]", out->len ? ", " : "", what, names->data);
}

static void add_name(Buf *names, const char *name) {
    buf_printf(names, "%s%s", names->len ? " " : "", name);
}

typedef struct Verdict {
    bool status;
    const char *reason, *message;
} Verdict;

static Verdict containers_ready(Arena *arena, const Value *pod, const Value *statuses, const char *phase) {
    _cleanup_buf_ Buf unknown = BUF_INIT(BUF_NO_LIMIT), unready = BUF_INIT(BUF_NO_LIMIT), text = BUF_INIT(BUF_NO_LIMIT);
    for (ContainerKind kind = CONTAINER_INIT + 1; kind-- > CONTAINER_REGULAR;) {
        const Value *c;
        VALUE_FOREACH (c, pod_containers_of(pod, kind)) {
            if (kind == CONTAINER_INIT && !container_is_sidecar(c))
                continue;
            const char *name = str_or(value_get_str(c, "name"), "");
            const Value *status = status_find(statuses, name);
            if (!status)
                add_name(&unknown, name);
            else if (!value_get_bool(status, "ready", false))
                add_name(&unready, name);
        }
    }
    if (streq(phase, "Succeeded") && !unknown.len)
        return (Verdict){false, "PodCompleted", NULL};
    if (streq(phase, "Failed"))
        return (Verdict){false, "PodFailed", NULL};
    add_names(&text, "unknown", &unknown);
    add_names(&text, "unready", &unready);
    if (text.len)
        return (Verdict){false, "ContainersNotReady", arena_strdup(arena, text.data)};
    return (Verdict){true, NULL, NULL};
}

static Verdict pod_ready(Arena *arena, const Value *pod, const Value *conditions, Verdict ready) {
    if (!ready.status)
        return ready;
    _cleanup_buf_ Buf text = BUF_INIT(BUF_NO_LIMIT);
    const Value *gate;
    VALUE_FOREACH (gate, value_path(pod, "spec", "readinessGates", NULL)) {
        const char *type = str_or(value_get_str(gate, "conditionType"), "");
        const Value *c = condition_find(conditions, type);
        const char *separator = text.len ? ", " : "";
        if (!c)
            buf_printf(&text, "%scorresponding condition of pod readiness gate \"%s\" does not exist.", separator,
                       type);
        else if (!streq_null(value_get_str(c, "status"), "True"))
            buf_printf(&text, "%sthe status of pod readiness gate \"%s\" is not \"True\", but %s", separator, type,
                       str_or(value_get_str(c, "status"), ""));
    }
    if (text.len)
        return (Verdict){false, "ReadinessGatesNotReady", arena_strdup(arena, text.data)};
    return ready;
}

static Verdict initialized(Arena *arena, const Value *pod, const Value *statuses, const Value *old_conditions,
                           const char *phase) {
    _cleanup_buf_ Buf unknown = BUF_INIT(BUF_NO_LIMIT), incomplete = BUF_INIT(BUF_NO_LIMIT),
                      text = BUF_INIT(BUF_NO_LIMIT);
    const Value *c;
    VALUE_FOREACH (c, pod_init_containers(pod)) {
        const char *name = str_or(value_get_str(c, "name"), "");
        const Value *status = status_find(statuses, name);
        if (!status)
            add_name(&unknown, name);
        else if (!value_get_bool(status, container_is_sidecar(c) ? "started" : "ready", false))
            add_name(&incomplete, name);
    }
    if (streq(phase, "Succeeded") && !unknown.len)
        return (Verdict){true, "PodCompleted", NULL};
    VALUE_FOREACH (c, pod_containers(pod)) {
        const Value *status = status_find(statuses, value_get_str(c, "name"));
        if (value_path(status, "state", "running", NULL) || value_path(status, "state", "terminated", NULL) ||
            value_get_bool(status, "started", false))
            return (Verdict){true, NULL, NULL};
    }
    add_names(&text, "unknown", &unknown);
    add_names(&text, "incomplete", &incomplete);
    if (!text.len || streq_null(value_get_str(condition_find(old_conditions, "Initialized"), "status"), "True"))
        return (Verdict){true, NULL, NULL};
    return (Verdict){false, "ContainersNotInitialized", arena_strdup(arena, text.data)};
}

static const char *const own_conditions[] = {"PodScheduled",
                                             "Ready",
                                             "Initialized",
                                             "ContainersReady",
                                             "PodReadyToStartContainers",
                                             "DisruptionTarget",
                                             "PodResizePending",
                                             "PodResizeInProgress",
                                             NULL};

static void add_resize(Arena *arena, Value *conditions, const Value *old, const PodObservation *o) {
    const ResizeConditions *r = o->resize;
    if (r && r->pending_reason)
        condition_set(arena, conditions, old, "PodResizePending", true, r->pending_reason, r->pending_message,
                      r->pending_generation, o->now_ns);
    if (r && r->in_progress)
        condition_set(arena, conditions, old, "PodResizeInProgress", true, r->error ? "Error" : NULL, r->error,
                      r->progress_generation, o->now_ns);
}

static Value *build_conditions(Arena *arena, const Value *pod, const Value *old, const Value *statuses,
                               const char *phase, const PodObservation *o) {
    Value *conditions = value_array(arena);
    const Value *old_conditions = value_get(old, "conditions"), *c;
    int64_t generation = value_get_int(value_get(pod, "metadata"), "generation", 0);
    VALUE_FOREACH (c, value_path(pod, "status", "conditions", NULL))
        if (!str_in(str_or(value_get_str(c, "type"), ""), own_conditions))
            value_append(arena, conditions, value_copy(arena, c));
    if ((c = condition_find(old_conditions, "DisruptionTarget")) ||
        (c = condition_find(value_path(pod, "status", "conditions", NULL), "DisruptionTarget")))
        value_append(arena, conditions, value_copy(arena, c));
    if (o->disruption)
        condition_set(arena, conditions, old_conditions, "DisruptionTarget", true, "TerminationByKubelet",
                      o->disruption, generation, o->now_ns);
    add_resize(arena, conditions, old_conditions, o);
    condition_set(arena, conditions, old_conditions, "PodReadyToStartContainers", o->sandbox_id != NULL, NULL, NULL,
                  generation, o->now_ns);
    Verdict v = initialized(arena, pod, statuses, old_conditions, phase);
    condition_set(arena, conditions, old_conditions, "Initialized", v.status, v.reason, v.message, generation,
                  o->now_ns);
    Verdict ready = containers_ready(arena, pod, statuses, phase);
    v = pod_ready(arena, pod, conditions, ready);
    condition_set(arena, conditions, old_conditions, "Ready", v.status, v.reason, v.message, generation, o->now_ns);
    condition_set(arena, conditions, old_conditions, "ContainersReady", ready.status, ready.reason, ready.message,
                  generation, o->now_ns);
    condition_set(arena, conditions, old_conditions, "PodScheduled", true, NULL, NULL, generation, o->now_ns);
    return conditions;
}

/* ---- the whole ---- */

static void set_ips(Arena *arena, Value *status, const char *one, const char *many, const char *const *ips) {
    if (!ips || !ips[0] || !*ips[0])
        return;
    value_set_str(arena, status, one, ips[0]);
    Value *list = value_array(arena);
    for (size_t i = 0; ips[i]; i++) {
        Value *v = value_object(arena);
        value_set_str(arena, v, "ip", ips[i]);
        value_append(arena, list, v);
    }
    value_set(arena, status, many, list);
}

static void set_phase(Arena *arena, const Value *pod, const Value *old, Value *status, const char *phase,
                      const PodObservation *o) {
    const char *old_phase = str_or(value_get_str(old, "phase"), "");
    const char *api_phase =
        str_or(value_path(pod, "status", NULL) ? value_get_str(value_get(pod, "status"), "phase") : NULL, "");
    if (!phase_is_terminal(phase))
        phase = phase_is_terminal(old_phase) ? old_phase : phase_is_terminal(api_phase) ? api_phase : phase;
    const char *reason = NULL, *message = NULL;
    if (streq(phase, old_phase)) {
        reason = value_get_str(old, "reason");
        message = value_get_str(old, "message");
    }
    if (o->failed_reason) {
        phase = "Failed";
        reason = o->failed_reason;
        message = o->failed_message;
    }
    if (phase_is_terminal(api_phase))
        phase = api_phase; /* no way out of a terminal phase */
    value_set_str(arena, status, "phase", phase);
    if (!str_empty(reason))
        value_set_str(arena, status, "reason", reason);
    if (!str_empty(message))
        value_set_str(arena, status, "message", message);
}

/* As the reference leaves it: what the API server knows stays, and what ends a pod's readiness is said. */
static Value *rejected_status(Arena *arena, const Value *pod, const Value *old, const PodObservation *o) {
    Value *status = value_object(arena), *conditions = value_array(arena);
    const Value *have = value_path(pod, "status", "conditions", NULL), *c;
    int64_t generation = value_get_int(value_get(pod, "metadata"), "generation", 0);
    char now[RFC3339_MAX];
    VALUE_FOREACH (c, have)
        value_append(arena, conditions, value_copy(arena, c));
    condition_set(arena, conditions, have, "Ready", false, "PodFailed", NULL, generation, o->now_ns);
    condition_set(arena, conditions, have, "ContainersReady", false, "PodFailed", NULL, generation, o->now_ns);
    if (generation)
        value_set_int(arena, status, "observedGeneration", generation);
    set_phase(arena, pod, old, status, "Failed", o);
    value_set(arena, status, "conditions", conditions);
    const char *start = value_get_str(old, "startTime");
    value_set_str(arena, status, "startTime", str_empty(start) ? rfc3339_format(o->now_ns, now) : start);
    value_set_str(arena, status, "qosClass", pod_qos(pod));
    return status;
}

Value *pod_status_build(Arena *arena, const Value *pod, const Value *old, const PodObservation *o) {
    if (o->rejected)
        return rejected_status(arena, pod, old, o);
    Value *status = value_object(arena), *all = value_array(arena);
    Value *init = container_statuses(arena, pod, value_get(old, "initContainerStatuses"), o, CONTAINER_INIT);
    Value *regular = container_statuses(arena, pod, value_get(old, "containerStatuses"), o, CONTAINER_REGULAR);
    Value *ephemeral =
        container_statuses(arena, pod, value_get(old, "ephemeralContainerStatuses"), o, CONTAINER_EPHEMERAL);
    for (uint32_t i = 0; i < init->len; i++)
        value_append(arena, all, init->items[i]);
    for (uint32_t i = 0; i < regular->len; i++)
        value_append(arena, all, regular->items[i]);

    int64_t generation = value_get_int(value_get(pod, "metadata"), "generation", 0);
    if (generation)
        value_set_int(arena, status, "observedGeneration", generation);
    bool has_run = pod_has_initialized(pod, o->containers, o->n_containers, o->sandbox_id);
    set_phase(arena, pod, old, status, pod_phase(pod, all, o->terminal, has_run), o);
    value_set(arena, status, "conditions", build_conditions(arena, pod, old, all, value_get_str(status, "phase"), o));
    set_ips(arena, status, "hostIP", "hostIPs", o->host_ips);
    set_ips(arena, status, "podIP", "podIPs", o->pod_ips);
    const char *start = value_get_str(old, "startTime");
    char now[RFC3339_MAX];
    value_set_str(arena, status, "startTime", str_empty(start) ? rfc3339_format(o->now_ns, now) : start);
    value_set_str(arena, status, "qosClass", pod_qos(pod));
    pod_resources_status(arena, pod, old, o->cgroup, status);
    if (init->len)
        value_set(arena, status, "initContainerStatuses", init);
    if (regular->len)
        value_set(arena, status, "containerStatuses", regular);
    if (ephemeral->len)
        value_set(arena, status, "ephemeralContainerStatuses", ephemeral);
    return status;
}
