/* What a running pod needs next: cgroup, volumes, sandbox, init containers in their order, sidecars, containers;
 * restarts with back-off. The decisions are those of the reference's computePodActions. */
#include "kubelet/internal.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/str.h"

#include <errno.h>

#define MOUNT_DELAY_FIRST_NS (NS_PER_SEC / 2) /* as the reference's volume operations back off */
#define MOUNT_DELAY_MAX_NS (122 * NS_PER_SEC)
#define SANDBOX_RETRY_NS (2 * NS_PER_SEC)
#define DEAD_KEPT 2 /* containers of one name: the last one and the one before */

/* ---- cgroup, folders, volumes ---- */

static bool prepare(PodSync *s) {
    if (s->p->prepared)
        return true;
    _cleanup_free_ char *why = NULL;
    int r = cgroups_pod_apply(s->k->cgroups, s->pod, &why);
    if (r < 0) {
        event_record(s->k->events, s->object, NULL, "Warning", "FailedCreatePodContainer",
                     "unable to ensure pod container exists: %s", str_or(why, strerror(-r)));
        sync_again(s, SANDBOX_RETRY_NS);
        return false;
    }
    r = fs_mkdir_p(s->p->dir, 0750);
    if (r == 0)
        r = fs_mkdir_p(s->p->log_dir, 0755);
    if (r < 0) {
        event_record(s->k->events, s->object, NULL, "Warning", "Failed", "error making pod data directories: %s",
                     strerror(-r));
        sync_again(s, SANDBOX_RETRY_NS);
        return false;
    }
    s->p->prepared = true;
    return true;
}

static bool volumes_step(PodSync *s) {
    ObjectSource source;
    kubelet_source(s->k, &source);
    VolumeContext context = {.arena = s->arena,
                             .pod_dir = s->p->dir,
                             .pod = s->pod,
                             .facts = &s->facts,
                             .source = &source,
                             .tokens = s->k->tokens};
    volume_context_init(&context);
    const char *error = NULL;
    uint64_t now = now_monotonic_ns();
    if (s->p->volumes_ready) {
        if (now - s->p->volumes_at >= VOLUME_REFRESH_NS) {
            if (volumes_refresh(&context, &error) < 0)
                log_info("pod %s/%s: %s", s->p->ns, s->p->name, str_or(error, "volumes cannot be refreshed"));
            s->p->volumes_at = now;
        }
        sync_again(s, VOLUME_REFRESH_NS);
        return true;
    }
    VolumePath *paths = NULL;
    size_t n = 0;
    if (s->p->mount_delay_ns && now - s->p->volumes_at < s->p->mount_delay_ns) {
        sync_again(s, s->p->mount_delay_ns - (now - s->p->volumes_at));
        return false;
    }
    int r = volumes_set_up(&context, &paths, &n, &error);
    s->p->volumes_at = now;
    if (r < 0) {
        event_record(s->k->events, s->object, NULL, "Warning", "FailedMount", "%s", str_or(error, strerror(-r)));
        s->p->mount_delay_ns =
            s->p->mount_delay_ns ? MIN(s->p->mount_delay_ns * 2, MOUNT_DELAY_MAX_NS) : MOUNT_DELAY_FIRST_NS;
        sync_again(s, s->p->mount_delay_ns);
        return false;
    }
    s->p->mount_delay_ns = 0;
    s->p->volumes_ready = true;
    sync_again(s, VOLUME_REFRESH_NS);
    return true;
}

/* ---- the sandbox ---- */

/* A pod that never restarts and has run, or whose containers have all done their work, gets no new sandbox. */
static bool wants_sandbox(const PodSync *s) {
    if (!s->rt.n_containers)
        return true;
    const char *policy = pod_restart_policy(s->pod);
    const Value *c;
    VALUE_FOREACH (c, pod_containers(s->pod)) {
        const ContainerStatus *status = pod_runtime_find(&s->rt, str_or(value_get_str(c, "name"), ""));
        if (status ? container_will_start(s->pod, c, status) : !streq(policy, "Never"))
            return true;
    }
    return false;
}

/* Two at most: the new one and the last, whose containers' ends the status tells. */
static void remove_old_sandboxes(PodSync *s) {
    for (size_t i = 1; i < s->rt.n_sandboxes; i++) {
        _cleanup_free_ char *why = NULL;
        if (s->k->runtime->sandbox_stop(s->k->runtime, s->rt.sandboxes[i].id, &why) < 0 ||
            s->k->runtime->sandbox_remove(s->k->runtime, s->rt.sandboxes[i].id, &why) < 0)
            log_warn("pod %s/%s: an old sandbox cannot be removed: %s", s->p->ns, s->p->name,
                     str_or(why, "no reason given"));
    }
}

static void sandbox_failed(PodSync *s, int r, const char *why) {
    const char *text = str_or(why, strerror(-r));
    if (!streq_null(s->p->sandbox_error, text)) {
        free(s->p->sandbox_error);
        s->p->sandbox_error = xstrdup(text);
        log_warn("pod %s/%s: no sandbox: %s", s->p->ns, s->p->name, text);
    }
    event_record(s->k->events, s->object, NULL, "Warning", "FailedCreatePodSandBox", "Failed to create pod sandbox: %s",
                 text);
    sync_again(s, SANDBOX_RETRY_NS);
}

static void create_sandbox(PodSync *s) {
    SandboxSpec spec;
    uint32_t attempt = s->rt.n_sandboxes ? s->rt.sandboxes[0].attempt + 1 : 0;
    _cleanup_free_ char *id = NULL, *why = NULL;
    int r = sandbox_spec_build(s, attempt, &spec);
    if (r == 0 && s->rt.n_sandboxes) {
        event_record(s->k->events, s->object, NULL, "Normal", "SandboxChanged",
                     "Pod sandbox changed, it will be killed and re-created.");
        _cleanup_free_ char *ignored = NULL;
        (void)s->k->runtime->sandbox_stop(s->k->runtime, s->rt.sandboxes[0].id, &ignored);
        remove_old_sandboxes(s);
    }
    if (r == 0)
        r = s->k->runtime->sandbox_create(s->k->runtime, &spec, &id, &why);
    if (r < 0) {
        sandbox_failed(s, r, why);
        return;
    }
    free(s->p->sandbox_error);
    s->p->sandbox_error = NULL;
    pod_remember_sandbox(s->k, s->p, id);
    s->changed = true;
}

/* ---- one container ---- */

/* Go's Duration of whole seconds: "10s", "1m20s", "5m0s". */
static const char *go_seconds(Arena *arena, int64_t ns) {
    long long seconds = ns / (int64_t)NS_PER_SEC;
    return seconds < 60 ? arena_printf(arena, "%llds", seconds)
                        : arena_printf(arena, "%lldm%llds", seconds / 60, seconds % 60);
}

/* True: too early to start it again. */
static bool in_backoff(PodSync *s, const Value *container, const ContainerStatus *last) {
    if (!last || last->state != CONTAINER_EXITED)
        return false;
    const char *name = last->name;
    const char *key = arena_printf(s->arena, "%s/%s/%s", s->p->uid, name, container_hash(s->arena, container));
    int64_t left = backoff_remaining(s->k->restarts, key, last->finished_ns, now_realtime_ns());
    if (left <= 0) {
        backoff_next(s->k->restarts, key, last->finished_ns);
        return false;
    }
    const Waiting *w = strmap_get(s->p->waiting, name);
    const char *message =
        arena_printf(s->arena, "back-off %s restarting failed container=%s pod=%s",
                     go_seconds(s->arena, backoff_get(s->k->restarts, key)), name, pod_format(s->arena, s->pod));
    if (!w || !streq(w->reason, REASON_CRASH_LOOP) || !streq(w->message, message))
        event_record(s->k->events, s->object, container_field_path(s->arena, s->pod, name), "Warning", "BackOff",
                     "Back-off restarting failed container %s in pod %s", name, pod_format(s->arena, s->pod));
    pod_set_waiting(s->p, name, REASON_CRASH_LOOP, message);
    sync_again(s, (uint64_t)left);
    return true;
}

/* This one was ended so that another of its name may run, whatever the restart policy says of those that end alone. */
static bool is_replaced(const PodSync *s, const ContainerStatus *c) {
    return c && streq_null(strmap_get(s->p->replaced, c->name), c->id);
}

bool pod_replaces_container(const PodSync *s) {
    const char *name, *id;
    if (!pod_runtime_sandbox(&s->rt))
        return false;
    STRMAP_FOREACH (s->p->replaced, name, id)
        if (is_replaced(s, pod_runtime_find(&s->rt, name)))
            return true;
    return false;
}

static void replace_container(PodSync *s, const ContainerStatus *c, int64_t grace, const char *message) {
    strmap_put(s->p->replaced, c->name, xstrdup(c->id));
    kill_container(s, c, grace, message);
}

/* A start that was let through and waits for its image must not count the same end a second time. */
static bool launch(PodSync *s, const SandboxStatus *sandbox, const Value *container, ContainerKind kind,
                   const ContainerStatus *last) {
    bool waits = image_awaited(s->k, s->p, str_or(value_get_str(container, "image"), ""));
    int r = !waits && in_backoff(s, container, last) ? -EBUSY : container_launch(s, sandbox, container, kind);
    if (r != -EAGAIN) /* its image is not there yet */
        strmap_remove(s->p->replaced, str_or(value_get_str(container, "name"), ""));
    return r == 0;
}

static const char *annotation(const ContainerStatus *c, const char *key) {
    for (size_t i = 0; i < c->n_annotations; i++)
        if (streq(c->annotations[i].key, key))
            return c->annotations[i].value;
    return NULL;
}

static int64_t probe_grace(const PodSync *s, const Value *container, const char *probe) {
    int64_t own = value_get_int(value_get(container, probe), "terminationGracePeriodSeconds", -1);
    return own >= 0 ? own : pod_grace_seconds(s->pod);
}

/* Looks after one that runs: ends it when its definition changed or a probe or its hook condemned it. True: it stays.
 */
static bool tend(PodSync *s, const Value *container, ContainerKind kind, const ContainerStatus *c) {
    const char *name = c->name, *hash = annotation(c, "io.kubernetes.container.hash");
    if (kill_pending(s->k, s->p, c->id))
        return false;
    const char *failure = hook_failure(s, c->id);
    if (failure) {
        pod_set_waiting(s->p, name, "PostStartHookError", failure);
        kill_container(s, c, -1, "FailedPostStartHook");
        return false;
    }
    if (kind == CONTAINER_EPHEMERAL)
        return true;
    bool is_init = kind == CONTAINER_INIT;
    const char *what = is_init ? "Init container" : "Container";
    const char *condemned = probes_condemned(s->k, s->p->uid, name, c->id);
    if (hash && !streq(hash, container_hash(s->arena, container))) {
        replace_container(s, c, -1,
                          arena_printf(s->arena, "%s %s definition changed, will be restarted", what, name));
        return false;
    }
    if (resize_wants_restart(s, container, c)) {
        replace_container(s, c, -1, arena_printf(s->arena, "Container %s resize requires restart", name));
        return false;
    }
    if (condemned) {
        int64_t grace = probe_grace(s, container, streq(condemned, "startup") ? "startupProbe" : "livenessProbe");
        const char *why = arena_printf(s->arena, "%s %s failed %s probe", what, name, condemned);
        if (is_init || !streq(pod_restart_policy(s->pod), "Never"))
            replace_container(s, c, grace, arena_printf(s->arena, "%s, will be restarted", why));
        else
            kill_container(s, c, grace, why);
        return false;
    }
    pod_set_waiting(s->p, name, NULL, NULL);
    if (!hook_pending(s->k, s->p, c->id))
        probes_follow(s, container, c);
    return true;
}

/* The newest of that name in this sandbox. */
static const ContainerStatus *find_here(const PodSync *s, const SandboxStatus *sandbox, const char *name) {
    for (size_t i = 0; i < s->rt.n_containers; i++)
        if (streq(s->rt.containers[i].name, name) && streq(s->rt.containers[i].sandbox_id, sandbox->id))
            return &s->rt.containers[i];
    return NULL;
}

/* ---- init containers ---- */

static bool sidecar_step(PodSync *s, const SandboxStatus *sandbox, const Value *container, const ContainerStatus *c) {
    if (c && c->state == CONTAINER_RUNNING)
        return tend(s, container, CONTAINER_INIT, c) && !hook_pending(s->k, s->p, c->id) &&
               probes_started(s->k, s->p->uid, c->name, c->id);
    if (!c || !kill_pending(s->k, s->p, c->id))
        (void)launch(s, sandbox, container, CONTAINER_INIT, c);
    return false;
}

static bool init_step(PodSync *s, const SandboxStatus *sandbox, const Value *container, const ContainerStatus *c) {
    if (c && c->state == CONTAINER_RUNNING) {
        if (kill_pending(s->k, s->p, c->id))
            return false;
        pod_set_waiting(s->p, c->name, NULL, NULL);
        return false;
    }
    if (c && c->state == CONTAINER_EXITED) {
        if (c->exit_code == 0)
            return true;
        if (!container_should_restart(s->pod, container, c->exit_code))
            return false; /* the phase is Failed now */
    }
    (void)launch(s, sandbox, container, CONTAINER_INIT, c);
    return false;
}

static bool any_later_init(const PodSync *s, const SandboxStatus *sandbox, size_t index) {
    const Value *list = pod_init_containers(s->pod);
    for (size_t i = index + 1; i < value_len(list); i++)
        if (find_here(s, sandbox, str_or(value_get_str(value_at(list, i), "name"), "")))
            return true;
    return false;
}

/* True when the regular containers may start. */
static bool init_containers_step(PodSync *s, const SandboxStatus *sandbox) {
    const Value *list = pod_init_containers(s->pod);
    bool initialized = pod_has_initialized(s->pod, s->rt.containers, s->rt.n_containers, sandbox->id);
    for (size_t i = 0; i < value_len(list); i++) {
        const Value *container = value_at(list, i);
        const ContainerStatus *c = find_here(s, sandbox, str_or(value_get_str(container, "name"), ""));
        if (container_is_sidecar(container)) {
            /* one that fails once its turn has passed is restarted beside what goes on */
            if (!sidecar_step(s, sandbox, container, c) && !initialized && !any_later_init(s, sandbox, i))
                return false;
        } else if (!initialized && !init_step(s, sandbox, container, c))
            return false;
        if (s->changed)
            return false;
    }
    return true;
}

/* ---- the rest ---- */

static bool will_run(PodSync *s, const Value *container) {
    const ContainerStatus *c = pod_runtime_find(&s->rt, str_or(value_get_str(container, "name"), ""));
    return !c || c->state == CONTAINER_RUNNING || is_replaced(s, c) || container_will_start(s->pod, container, c);
}

/* All containers have ended for good: what still runs beside them ends too. */
static bool is_over(PodSync *s) {
    const Value *c;
    VALUE_FOREACH (c, pod_containers(s->pod))
        if (will_run(s, c))
            return false;
    return true;
}

static void regular_containers_step(PodSync *s, const SandboxStatus *sandbox) {
    const Value *container;
    VALUE_FOREACH (container, pod_containers(s->pod)) {
        const char *name = str_or(value_get_str(container, "name"), "");
        const ContainerStatus *c = pod_runtime_find(&s->rt, name);
        if (c && kill_pending(s->k, s->p, c->id))
            continue;
        if (c && c->state == CONTAINER_RUNNING) {
            (void)tend(s, container, CONTAINER_REGULAR, c);
            if (hook_pending(s->k, s->p, c->id))
                return; /* the next one starts after this one's postStart hook */
            continue;
        }
        if ((is_replaced(s, c) || container_will_start(s->pod, container, c)) &&
            launch(s, sandbox, container, CONTAINER_REGULAR, c) &&
            value_path(container, "lifecycle", "postStart", NULL))
            return;
    }
}

static void ephemeral_containers_step(PodSync *s, const SandboxStatus *sandbox) {
    const Value *container;
    VALUE_FOREACH (container, pod_ephemeral_containers(s->pod)) {
        const char *name = str_or(value_get_str(container, "name"), "");
        const ContainerStatus *c = pod_runtime_find(&s->rt, name);
        if (c && c->state == CONTAINER_RUNNING)
            (void)tend(s, container, CONTAINER_EPHEMERAL, c);
        else if (!c || c->state == CONTAINER_CREATED)
            (void)container_launch(s, sandbox, container, CONTAINER_EPHEMERAL);
    }
}

/* Dead ones that nothing speaks of any more. */
static void remove_dead(PodSync *s) {
    for (size_t i = 0; i < s->rt.n_containers; i++) {
        const ContainerStatus *c = &s->rt.containers[i];
        size_t newer = 0;
        for (size_t j = 0; j < i; j++)
            newer += streq(s->rt.containers[j].name, c->name);
        if (newer < DEAD_KEPT || c->state != CONTAINER_EXITED || kill_pending(s->k, s->p, c->id))
            continue;
        _cleanup_free_ char *why = NULL;
        if (s->k->runtime->container_remove(s->k->runtime, c->id, &why) < 0)
            log_warn("pod %s/%s: container %s cannot be removed: %s", s->p->ns, s->p->name, c->id,
                     str_or(why, "no reason given"));
        else
            (void)fs_remove_tree(termination_log_path(s->arena, s->p, c->name, c->attempt));
    }
}

static bool end_leftovers(PodSync *s) {
    bool any = false;
    for (size_t i = 0; i < s->rt.n_containers; i++)
        if (s->rt.containers[i].state == CONTAINER_RUNNING) {
            any = true;
            kill_container(s, &s->rt.containers[i], -1, NULL);
        }
    return any;
}

void pod_run_step(PodSync *s) {
    const SandboxStatus *sandbox = pod_runtime_sandbox(&s->rt);
    if (!sandbox && (end_leftovers(s) || !wants_sandbox(s)))
        return;
    if (!prepare(s) || !volumes_step(s))
        return;
    if (!sandbox) {
        create_sandbox(s);
        return;
    }
    remove_dead(s);
    if (is_over(s)) {
        (void)pod_kill_containers(s, -1);
        return;
    }
    (void)resize_step(s, sandbox);
    ephemeral_containers_step(s, sandbox);
    if (init_containers_step(s, sandbox) && !s->changed)
        regular_containers_step(s, sandbox);
}
