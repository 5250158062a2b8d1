/* The end of a pod and of single containers: preStop hooks, stop signals and grace periods run on a pool; a sync only
 * starts them, and looks again when one is done. All preStop hooks run at once; sidecars are signalled last, in the
 * reverse of the order they started in. */
#include "kubelet/internal.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/str.h"

#include <errno.h>

#define GRACE_MINIMUM_SECONDS 2 /* so that no container is killed for the time its hook took, as the reference */
#define GRACE_MAXIMUM_SECONDS (366 * 24 * 3600)
#define TEARDOWN_RETRY_NS (NS_PER_SEC / 2)

typedef struct Kill { /* (K) */
    unsigned jobs;
    uint64_t deadline; /* monotonic: when it is killed at the latest */
} Kill;

typedef struct KillJob {
    Kubelet *k;
    Pod *p;
    Object *object;
    char *container_id, *container, *pod_ip;
    int64_t grace;
    bool hook, hook_only;
} KillJob;

#define HOOK_MARK "/preStop" /* in Pod.kills after a container's id: its hook runs (jobs 1) or has run (0) */

static void kill_job_free(KillJob *j) {
    object_unref(j->object);
    pod_unref(j->k, j->p);
    free(j->container_id);
    free(j->container);
    free(j->pod_ip);
    free(j);
}

static void kill_end(Kubelet *k, Pod *p, const char *container_id) {
    pthread_mutex_lock(&k->lock);
    Kill *kill = strmap_get(p->kills, container_id);
    if (kill && --kill->jobs == 0) {
        _cleanup_free_ char *mark = xasprintf("%s" HOOK_MARK, container_id);
        strmap_remove(p->kills, container_id);
        strmap_remove(p->kills, mark);
        strmap_remove(p->hooks, container_id);
    }
    pthread_mutex_unlock(&k->lock);
    workqueue_add(k->pod_queue, p->uid);
}

static void hook_mark_end(Kubelet *k, Pod *p, const char *container_id) {
    _cleanup_free_ char *mark = xasprintf("%s" HOOK_MARK, container_id);
    pthread_mutex_lock(&k->lock);
    Kill *kill = strmap_get(p->kills, mark);
    if (kill)
        kill->jobs = 0;
    pthread_mutex_unlock(&k->lock);
    workqueue_add(k->pod_queue, p->uid);
}

/* Runs the preStop hook within the grace period; returns what is left of that. */
static int64_t run_pre_stop(KillJob *j, const Value *pod, const Value *container, Arena *arena) {
    const Value *handler = value_path(container, "lifecycle", "preStop", NULL);
    if (!handler || !j->hook || j->grace <= 0)
        return j->grace;
    _cleanup_free_ char *why = NULL;
    uint64_t start = now_monotonic_ns();
    if (hook_run(j->k, pod, container, j->container_id, handler, j->pod_ip, (uint64_t)j->grace * NS_PER_SEC, &why) <
            0 &&
        !j->k->stopping) {
        log_warn("pod %s/%s: %s", j->p->ns, j->p->name, str_or(why, "a preStop hook failed"));
        event_record(j->k->events, j->object, container_field_path(arena, pod, j->container), "Warning",
                     "FailedPreStopHook", "PreStopHook failed");
    }
    return j->grace - (int64_t)((now_monotonic_ns() - start) / NS_PER_SEC);
}

static void kill_job(void *userdata) {
    KillJob *j = userdata;
    _cleanup_arena_ Arena *arena = arena_new(0);
    const Value *pod = object_value(j->object, arena), *container = pod_find_container(pod, j->container, NULL);
    int64_t grace = run_pre_stop(j, pod, container, arena);
    if (j->hook_only) {
        hook_mark_end(j->k, j->p, j->container_id);
        kill_job_free(j);
        return;
    }
    if (j->k->stopping) { /* the next agent does it over */
        kill_end(j->k, j->p, j->container_id);
        kill_job_free(j);
        return;
    }
    grace = MAX(grace, MIN(j->grace, (int64_t)GRACE_MINIMUM_SECONDS));
    _cleanup_free_ char *why = NULL;
    int r = j->k->runtime->container_stop(j->k->runtime, j->container_id, (uint64_t)grace * NS_PER_SEC, &why);
    if (r < 0 && r != -ENOENT && r != -ECANCELED) {
        log_warn("pod %s/%s: container %s cannot be stopped: %s", j->p->ns, j->p->name, j->container,
                 str_or(why, strerror(-r)));
        event_record(j->k->events, j->object, container_field_path(arena, pod, j->container), "Warning",
                     "FailedKillPod", "error killing pod: %s", str_or(why, strerror(-r)));
    }
    kill_end(j->k, j->p, j->container_id);
    kill_job_free(j);
}

bool kill_pending(Kubelet *k, Pod *p, const char *container_id) {
    pthread_mutex_lock(&k->lock);
    bool pending = strmap_get(p->kills, container_id);
    pthread_mutex_unlock(&k->lock);
    return pending;
}

/* Counts one more job unless one that ends as early runs. *ret_first: none ran. */
static bool kill_begin(PodSync *s, const char *id, int64_t grace, bool *ret_first) {
    uint64_t deadline = now_monotonic_ns() + (uint64_t)grace * NS_PER_SEC;
    pthread_mutex_lock(&s->k->lock);
    Kill *kill = strmap_get(s->p->kills, id);
    bool start = !kill || deadline + NS_PER_SEC < kill->deadline;
    *ret_first = !kill;
    if (!kill) {
        kill = NEW0(Kill);
        strmap_put(s->p->kills, id, kill);
    }
    if (start) {
        kill->jobs++;
        kill->deadline = deadline;
    }
    pthread_mutex_unlock(&s->k->lock);
    return start;
}

static KillJob *kill_job_new(PodSync *s, const ContainerStatus *c, int64_t grace) {
    KillJob *j = NEW0(KillJob);
    *j = (KillJob){.k = s->k,
                   .p = pod_ref(s->k, s->p),
                   .object = object_ref(s->object),
                   .container_id = xstrdup(c->id),
                   .container = xstrdup(c->name),
                   .pod_ip = xstrdup(str_or(s->facts.pod_ip, "")),
                   .grace = grace};
    return j;
}

/* Was its preStop hook started ahead of its turn? */
static bool hook_marked(PodSync *s, const ContainerStatus *c, bool *ret_runs) {
    const char *mark = arena_printf(s->arena, "%s" HOOK_MARK, c->id);
    pthread_mutex_lock(&s->k->lock);
    const Kill *kill = strmap_get(s->p->kills, mark);
    if (ret_runs)
        *ret_runs = kill && kill->jobs > 0;
    pthread_mutex_unlock(&s->k->lock);
    return kill;
}

/* A sidecar whose turn to end has not come: its hook need not wait for that. */
static void run_hook_ahead(PodSync *s, const ContainerStatus *c, int64_t grace) {
    const Value *container = pod_find_container(s->pod, c->name, NULL);
    if (grace <= 0 || !value_path(container, "lifecycle", "preStop", NULL) || hook_marked(s, c, NULL) ||
        kill_pending(s->k, s->p, c->id))
        return;
    Kill *kill = NEW0(Kill);
    kill->jobs = 1;
    pthread_mutex_lock(&s->k->lock);
    strmap_put(s->p->kills, arena_printf(s->arena, "%s" HOOK_MARK, c->id), kill);
    pthread_mutex_unlock(&s->k->lock);
    KillJob *j = kill_job_new(s, c, grace);
    j->hook = j->hook_only = true;
    if (pool_submit(s->k->kill_pool, kill_job, j) < 0) { /* it runs when its turn comes */
        pthread_mutex_lock(&s->k->lock);
        strmap_remove(s->p->kills, arena_printf(s->arena, "%s" HOOK_MARK, c->id));
        pthread_mutex_unlock(&s->k->lock);
        kill_job_free(j);
    }
}

void kill_container(PodSync *s, const ContainerStatus *c, int64_t grace_seconds, const char *message) {
    int64_t grace = grace_seconds < 0 ? pod_grace_seconds(s->pod) : grace_seconds;
    grace = MIN(MAX(grace, (int64_t)0), (int64_t)GRACE_MAXIMUM_SECONDS);
    bool first;
    if (!kill_begin(s, c->id, grace, &first))
        return;
    if (first)
        event_record(s->k->events, s->object, container_field_path(s->arena, s->pod, c->name), "Normal", "Killing",
                     "%s", message ? message : arena_printf(s->arena, "Stopping container %s", c->name));
    KillJob *j = kill_job_new(s, c, grace);
    j->hook = first && grace > 0 && !hook_marked(s, c, NULL);
    if (pool_submit(s->k->kill_pool, kill_job, j) < 0) { /* the next sync tries again */
        kill_end(s->k, s->p, c->id);
        kill_job_free(j);
        sync_again(s, NS_PER_SEC);
    }
}

/* ---- the end of a pod ---- */

/* Seconds left of the pod's grace period. A pod that is gone from the API server has none to claim but the least. */
static int64_t grace_left(const PodSync *s) {
    int64_t grace = pod_grace_seconds(s->pod);
    if (s->p->ending == POD_FINISHED && s->p->evicted && s->p->eviction->grace >= 0)
        grace = MIN(grace, s->p->eviction->grace);
    int64_t used = (int64_t)((now_monotonic_ns() - s->p->end_started) / NS_PER_SEC);
    if (grace <= 1)
        return 1; /* as the reference: never quite at once */
    return MAX(grace - used, (int64_t)GRACE_MINIMUM_SECONDS);
}

static bool is_sidecar(const PodSync *s, const char *name) {
    ContainerKind kind;
    const Value *c = pod_find_container(s->pod, name, &kind);
    return c && kind == CONTAINER_INIT && container_is_sidecar(c);
}

static bool anything_runs(const PodSync *s) {
    for (size_t i = 0; i < s->rt.n_containers; i++)
        if (s->rt.containers[i].state == CONTAINER_RUNNING || kill_pending(s->k, s->p, s->rt.containers[i].id))
            return true;
    return false;
}

static bool kill_all_but_sidecars(PodSync *s, int64_t grace) {
    bool any = false;
    for (size_t i = 0; i < s->rt.n_containers; i++) {
        const ContainerStatus *c = &s->rt.containers[i];
        if (c->state != CONTAINER_RUNNING || is_sidecar(s, c->name))
            continue;
        any = true;
        kill_container(s, c, grace, NULL);
    }
    return any;
}

/* The last of those that run. True when there was one. */
static bool kill_last_sidecar(PodSync *s, int64_t grace) {
    const Value *list = pod_init_containers(s->pod);
    for (size_t i = value_len(list); i-- > 0;) {
        const Value *container = value_at(list, i);
        bool any = false;
        for (size_t n = 0; container_is_sidecar(container) && n < s->rt.n_containers; n++) {
            const ContainerStatus *c = &s->rt.containers[n];
            if (c->state != CONTAINER_RUNNING || !streq(c->name, str_or(value_get_str(container, "name"), "")))
                continue;
            any = true;
            bool hook_runs = false;
            (void)hook_marked(s, c, &hook_runs);
            if (!hook_runs) /* its end brings us here again */
                kill_container(s, c, grace, NULL);
        }
        if (any)
            return true;
    }
    return false;
}

static void run_sidecar_hooks(PodSync *s, int64_t grace) {
    for (size_t i = 0; i < s->rt.n_containers; i++)
        if (s->rt.containers[i].state == CONTAINER_RUNNING && is_sidecar(s, s->rt.containers[i].name))
            run_hook_ahead(s, &s->rt.containers[i], grace < 0 ? pod_grace_seconds(s->pod) : grace);
}

bool pod_kill_containers(PodSync *s, int64_t grace) {
    run_sidecar_hooks(s, grace);
    return kill_all_but_sidecars(s, grace) || kill_last_sidecar(s, grace);
}

static bool stop_sandboxes(PodSync *s, bool all) {
    bool ok = true;
    for (size_t i = 0; i < s->rt.n_sandboxes; i++) {
        _cleanup_free_ char *why = NULL;
        if (!all && !s->rt.sandboxes[i].ready)
            continue;
        int r = s->k->runtime->sandbox_stop(s->k->runtime, s->rt.sandboxes[i].id, &why);
        if (r < 0) {
            log_warn("pod %s/%s: its sandbox cannot be stopped: %s", s->p->ns, s->p->name, str_or(why, strerror(-r)));
            ok = false;
        } else
            s->rt.sandboxes[i].ready = false; /* what the status is computed from */
    }
    return ok;
}

/* The folder itself stays until the object goes: the containers' last words are in it. */
static bool remove_volumes(PodSync *s) {
    static const char *const folders[] = {"volume-subpaths", "volumes"};
    for (size_t i = 0; i < ELEMENTSOF(folders); i++) {
        int r = volumes_tear_down(arena_printf(s->arena, "%s/%s", s->p->dir, folders[i]));
        if (r < 0) {
            log_warn("pod %s/%s: its %s cannot be removed: %s", s->p->ns, s->p->name, folders[i], strerror(-r));
            return false;
        }
    }
    const Value *volume;
    VALUE_FOREACH (volume, value_path(s->pod, "spec", "volumes", NULL))
        if (value_get(volume, "image"))
            (void)image_release(s->k->images,
                                image_volume_lease(s->arena, s->p->uid, str_or(value_get_str(volume, "name"), "")));
    s->p->volumes_ready = false;
    return true;
}

static bool remove_sandboxes(PodSync *s) {
    for (size_t i = 0; i < s->rt.n_sandboxes; i++) {
        _cleanup_free_ char *why = NULL;
        int r = s->k->runtime->sandbox_remove(s->k->runtime, s->rt.sandboxes[i].id, &why);
        if (r < 0) {
            log_warn("pod %s/%s: its sandbox cannot be removed: %s", s->p->ns, s->p->name, str_or(why, strerror(-r)));
            return false;
        }
    }
    return true;
}

static bool remove_cgroup(PodSync *s) {
    int r = cgroups_pod_remove(s->k->cgroups, s->p->uid);
    if (r == -EBUSY) { /* its containers are gone: what is left has no business there */
        cgroups_pod_kill(s->k->cgroups, s->p->uid);
        r = cgroups_pod_remove(s->k->cgroups, s->p->uid);
    }
    if (r < 0 && r != -EBUSY)
        log_warn("pod %s/%s: its cgroup cannot be removed: %s", s->p->ns, s->p->name, strerror(-r));
    return r >= 0;
}

static void forget(PodSync *s) {
    probes_forget(s->k, s->p->uid);
    backoff_forget_prefix(s->k->restarts, s->p->uid);
    backoff_forget_prefix(s->k->image_backoff, s->p->uid);
}

/* Its object may go once nothing of it is left; the status manager sees to that. */
static void tear_down(PodSync *s) {
    if (!stop_sandboxes(s, true) || !remove_sandboxes(s) || !remove_volumes(s) || !remove_cgroup(s)) {
        sync_again(s, TEARDOWN_RETRY_NS);
        return;
    }
    int r = volumes_tear_down(s->p->dir);
    if (r < 0) {
        log_warn("pod %s/%s: its folder cannot be removed: %s", s->p->ns, s->p->name, strerror(-r));
        sync_again(s, TEARDOWN_RETRY_NS);
        return;
    }
    (void)fs_remove_tree(s->p->log_dir);
    forget(s);
    s->p->torn_down = true;
    pthread_mutex_lock(&s->k->lock);
    s->p->delete_ready = true;
    pthread_mutex_unlock(&s->k->lock);
    workqueue_add(s->k->status_queue, s->p->uid);
}

void pod_end_step(PodSync *s) {
    if (s->p->torn_down) {
        workqueue_add(s->k->status_queue, s->p->uid);
        return;
    }
    if (anything_runs(s)) {
        (void)pod_kill_containers(s, grace_left(s));
        sync_again(s, 10 * NS_PER_SEC);
        return;
    }
    if (s->p->ending == POD_FINISHED) {
        if (!stop_sandboxes(s, false) || !remove_volumes(s) || !remove_cgroup(s))
            sync_again(s, TEARDOWN_RETRY_NS);
        s->p->prepared = false;
        return;
    }
    /* Once more with the runtime's last word, then all of it goes. `prepared` is what tells the two looks apart. */
    pthread_mutex_lock(&s->k->lock);
    bool told = s->p->status_json != NULL;
    pthread_mutex_unlock(&s->k->lock);
    bool ready = pod_runtime_sandbox(&s->rt) != NULL;
    if (s->p->prepared || ready || !told) {
        s->p->prepared = false;
        if (!stop_sandboxes(s, false))
            sync_again(s, TEARDOWN_RETRY_NS);
        else
            sync_again(s, 1);
        return;
    }
    tear_down(s);
}
