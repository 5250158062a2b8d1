/* Liveness, readiness and startup probes. A worker is one probe of one container of one pod; its key ("uid/container/
 * kind") is queued when it is due. Results belong to a container id: a new container starts over. */
#include "kubelet/env.h"
#include "kubelet/internal.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/str.h"

#include <errno.h>

#define PROBE_PERIOD 10 /* the API's defaults, for objects that were stored without them */
#define PROBE_FAILURES 3
#define PROBE_KEY_MAX 512
#define PROBE_TRIES 3 /* of one that cannot be run at all, as the reference */

typedef enum ProbeKind { PROBE_LIVENESS, PROBE_READINESS, PROBE_STARTUP, PROBE_KINDS } ProbeKind;
typedef enum ProbeResult { PROBE_UNKNOWN, PROBE_SUCCESS, PROBE_FAILURE } ProbeResult;

static const struct {
    const char *name, *title, *field;
} kinds[PROBE_KINDS] = {
    [PROBE_LIVENESS] = {"liveness", "Liveness", "livenessProbe"},
    [PROBE_READINESS] = {"readiness", "Readiness", "readinessProbe"},
    [PROBE_STARTUP] = {"startup", "Startup", "startupProbe"},
};

static const char *const outcomes[] = {"unknown", "successful", "failed"}; /* by ProbeResult */
static const double bounds[] = {0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10};

typedef struct Counts { /* since the agent follows the container, whatever its id */
    uint64_t outcomes[ELEMENTSOF(outcomes)], within[ELEMENTSOF(bounds)];
    double seconds; /* of those that succeeded */
} Counts;

typedef struct Worker {
    char *ns, *pod;
    Counts counts;
    char *container_id;
    ProbeResult result, last;
    unsigned run; /* how often `last` came in a row */
    bool on_hold; /* until there is a new container */
    bool scheduled;
    uint64_t due; /* monotonic */
} Worker;

struct ProbeTable {
    pthread_mutex_t lock;
    StrMap *workers;  /* key -> Worker */
    StrMap *followed; /* "uid/container" -> the container id that probes_follow saw last */
};

static void worker_free(void *p) {
    Worker *w = p;
    free(w->ns);
    free(w->pod);
    free(w->container_id);
    free(w);
}

struct ProbeTable *probes_new(void) {
    struct ProbeTable *t = NEW0(struct ProbeTable);
    pthread_mutex_init(&t->lock, NULL);
    t->workers = strmap_new(worker_free);
    t->followed = strmap_new(free);
    return t;
}

void probes_free(struct ProbeTable *t) {
    if (!t)
        return;
    strmap_free(t->workers);
    strmap_free(t->followed);
    pthread_mutex_destroy(&t->lock);
    free(t);
}

static const char *probe_key(char out[PROBE_KEY_MAX], const char *uid, const char *container, ProbeKind kind) {
    snprintf(out, PROBE_KEY_MAX, "%s/%s/%s", uid, container, kinds[kind].name);
    return out;
}

static Worker *worker_find(const struct ProbeTable *t, const char *uid, const char *container, ProbeKind kind) {
    char key[PROBE_KEY_MAX];
    return strmap_get(t->workers, probe_key(key, uid, container, kind));
}

/* What the last status said of this very container: after a restart of the agent it stays ready and started until a
 * probe says otherwise. */
static bool was(const PodSync *s, const char *container, const char *id, const char *what) {
    static const char *const lists[] = {"containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses"};
    for (size_t i = 0; i < ELEMENTSOF(lists); i++) {
        const Value *status = status_find(value_get(s->old_status, lists[i]), container);
        const char *known = value_get_str(status, "containerID");
        if (known && str_has_suffix(known, id) && value_get_bool(status, what, false))
            return true;
    }
    return false;
}

static ProbeResult initial_result(const PodSync *s, const char *container, const char *id, ProbeKind kind) {
    switch (kind) {
    case PROBE_LIVENESS:
        return PROBE_SUCCESS;
    case PROBE_READINESS:
        return was(s, container, id, "ready") ? PROBE_SUCCESS : PROBE_FAILURE;
    default:
        return was(s, container, id, "started") ? PROBE_SUCCESS : PROBE_UNKNOWN;
    }
}

static uint64_t first_due(const Value *probe, const ContainerStatus *c) {
    int64_t delay = value_get_int(probe, "initialDelaySeconds", 0) * (int64_t)NS_PER_SEC;
    int64_t gone = MAX(now_realtime_ns() - c->started_ns, (int64_t)0);
    return now_monotonic_ns() + (uint64_t)MAX(delay - gone, (int64_t)0);
}

/* Under the table's lock. Returns how long to wait for the first probe, UINT64_MAX for none. */
static uint64_t follow_one(PodSync *s, const char *name, const Value *probe, ProbeKind kind, const ContainerStatus *c) {
    struct ProbeTable *t = s->k->probes;
    char key[PROBE_KEY_MAX];
    Worker *w = worker_find(t, s->p->uid, name, kind);
    if (!w) {
        w = NEW0(Worker);
        w->ns = xstrdup(s->p->ns);
        w->pod = xstrdup(s->p->name);
        strmap_put(t->workers, probe_key(key, s->p->uid, name, kind), w);
    }
    if (!streq_null(w->container_id, c->id)) {
        free(w->container_id);
        *w = (Worker){.ns = w->ns,
                      .pod = w->pod,
                      .counts = w->counts,
                      .container_id = xstrdup(c->id),
                      .result = initial_result(s, name, c->id, kind)};
        w->on_hold = kind == PROBE_STARTUP && w->result == PROBE_SUCCESS;
    }
    if (c->state != CONTAINER_RUNNING) {
        w->result = PROBE_FAILURE;
        w->on_hold = true;
        return UINT64_MAX;
    }
    if (w->on_hold || w->scheduled)
        return UINT64_MAX;
    w->scheduled = true;
    w->due = first_due(probe, c);
    uint64_t now = now_monotonic_ns();
    return w->due > now ? w->due - now : 0;
}

void probes_follow(PodSync *s, const Value *container, const ContainerStatus *c) {
    const char *name = value_get_str(container, "name");
    if (!name || !c || !c->id)
        return;
    struct ProbeTable *t = s->k->probes;
    char key[PROBE_KEY_MAX];
    uint64_t wait[PROBE_KINDS];
    pthread_mutex_lock(&t->lock);
    for (ProbeKind kind = 0; kind < PROBE_KINDS; kind++) {
        const Value *probe = value_get(container, kinds[kind].field);
        wait[kind] = value_is(probe, VALUE_OBJECT) ? follow_one(s, name, probe, kind, c) : UINT64_MAX;
    }
    snprintf(key, sizeof key, "%s/%s", s->p->uid, name);
    const char *known = strmap_get(t->followed, key);
    if (!streq_null(known, c->id))
        strmap_put(t->followed, key, xstrdup(c->id));
    pthread_mutex_unlock(&t->lock);
    for (ProbeKind kind = 0; kind < PROBE_KINDS; kind++)
        if (wait[kind] != UINT64_MAX)
            workqueue_add_after(s->k->probe_queue, probe_key(key, s->p->uid, name, kind), wait[kind]);
}

static void forget_in(StrMap *map, const char *prefix) {
    for (bool again = true; again;) { /* a map must not change while it is walked */
        const char *key, *found = NULL;
        void *value;
        again = false;
        STRMAP_FOREACH (map, key, value)
            if (str_has_prefix(key, prefix)) {
                found = key;
                break;
            }
        if (found) {
            char copy[PROBE_KEY_MAX];
            snprintf(copy, sizeof copy, "%s", found);
            strmap_remove(map, copy);
            again = true;
        }
    }
}

void probes_forget(Kubelet *k, const char *uid) {
    char prefix[PROBE_KEY_MAX];
    snprintf(prefix, sizeof prefix, "%s/", uid);
    pthread_mutex_lock(&k->probes->lock);
    forget_in(k->probes->workers, prefix);
    forget_in(k->probes->followed, prefix);
    pthread_mutex_unlock(&k->probes->lock);
}

/* ---- what others ask ---- */

/* Does the pod's definition have that probe? For a container that was not followed yet. */
static bool is_defined(Kubelet *k, const char *uid, const char *container, ProbeKind kind) {
    Pod *p = pod_get(k, uid);
    if (!p)
        return false;
    _cleanup_arena_ Arena *arena = arena_new(0);
    _cleanup_object_ Object *object = pod_object(k, p, NULL);
    const Value *c = pod_find_container(object_value(object, arena), container, NULL);
    bool defined = value_is(value_get(c, kinds[kind].field), VALUE_OBJECT);
    pod_unref(k, p);
    return defined;
}

/* PROBE_SUCCESS when there is no such probe. */
static ProbeResult result_of(Kubelet *k, const char *uid, const char *container, const char *id, ProbeKind kind) {
    struct ProbeTable *t = k->probes;
    char key[PROBE_KEY_MAX];
    snprintf(key, sizeof key, "%s/%s", uid, container);
    pthread_mutex_lock(&t->lock);
    const Worker *w = worker_find(t, uid, container, kind);
    bool mine = w && streq_null(w->container_id, id);
    ProbeResult result = mine ? w->result : PROBE_SUCCESS;
    const char *followed = strmap_get(t->followed, key);
    bool known = mine || streq_null(followed, id);
    pthread_mutex_unlock(&t->lock);
    if (!known && is_defined(k, uid, container, kind))
        return PROBE_UNKNOWN;
    return result;
}

bool probes_started(Kubelet *k, const char *uid, const char *container, const char *id) {
    return result_of(k, uid, container, id, PROBE_STARTUP) == PROBE_SUCCESS;
}

bool probes_ready(Kubelet *k, const char *uid, const char *container, const char *id) {
    return probes_started(k, uid, container, id) && result_of(k, uid, container, id, PROBE_READINESS) == PROBE_SUCCESS;
}

const char *probes_condemned(Kubelet *k, const char *uid, const char *container, const char *id) {
    const ProbeKind order[] = {PROBE_LIVENESS, PROBE_STARTUP};
    const char *by = NULL;
    pthread_mutex_lock(&k->probes->lock);
    for (size_t i = 0; i < ELEMENTSOF(order) && !by; i++) {
        const Worker *w = worker_find(k->probes, uid, container, order[i]);
        if (w && streq_null(w->container_id, id) && w->result == PROBE_FAILURE)
            by = kinds[order[i]].name;
    }
    pthread_mutex_unlock(&k->probes->lock);
    return by;
}

/* ---- one probe ---- */

typedef struct ProbeRun {
    Kubelet *k;
    Pod *p;
    char *uid, *container;
    ProbeKind kind;
    char *id; /* of the container that is probed */
    Arena *arena;
    Object *object;
    const Value *pod, *definition, *probe;
} ProbeRun;

static int run_parse(const char *key, ProbeRun *run) {
    size_t n;
    char **parts = str_split(run->arena, key, '/', &n);
    if (n != 3)
        return -EINVAL;
    run->uid = parts[0];
    run->container = parts[1];
    for (run->kind = 0; run->kind < PROBE_KINDS; run->kind++)
        if (streq(parts[2], kinds[run->kind].name))
            return 0;
    return -EINVAL;
}

/* Is it this worker's turn? Otherwise 0, and the key is queued again where there is something to wait for. */
static bool run_is_due(ProbeRun *run, const char *key) {
    struct ProbeTable *t = run->k->probes;
    uint64_t now = now_monotonic_ns(), wait = 0;
    bool due = false;
    pthread_mutex_lock(&t->lock);
    Worker *w = worker_find(t, run->uid, run->container, run->kind);
    if (w && !w->on_hold && w->scheduled) {
        if (w->due > now)
            wait = w->due - now;
        else {
            due = true;
            run->id = arena_strdup(run->arena, w->container_id);
        }
    }
    pthread_mutex_unlock(&t->lock);
    if (wait)
        workqueue_add_after(run->k->probe_queue, key, wait);
    return due;
}

/* Under no lock. `again`: probe on; otherwise the worker waits for a new container. */
static void run_done(ProbeRun *run, const char *key, bool again) {
    struct ProbeTable *t = run->k->probes;
    uint64_t wait = 0;
    pthread_mutex_lock(&t->lock);
    Worker *w = worker_find(t, run->uid, run->container, run->kind);
    if (w && streq_null(w->container_id, run->id)) {
        again = again && !w->on_hold;
        w->scheduled = again;
        wait = (uint64_t)MAX(value_get_int(run->probe, "periodSeconds", PROBE_PERIOD), (int64_t)1) * NS_PER_SEC;
        w->due += wait;
        uint64_t now = now_monotonic_ns();
        if (w->due < now) /* it took longer than its period */
            w->due = now;
        wait = w->due - now;
    } else
        again = w && w->scheduled && !w->on_hold; /* a new container came meanwhile; its own time stands */
    pthread_mutex_unlock(&t->lock);
    if (again)
        workqueue_add_after(run->k->probe_queue, key, wait);
}

static void set_result(ProbeRun *run, ProbeResult result, bool hold) {
    struct ProbeTable *t = run->k->probes;
    bool changed = false;
    pthread_mutex_lock(&t->lock);
    Worker *w = worker_find(t, run->uid, run->container, run->kind);
    if (w && streq_null(w->container_id, run->id)) {
        changed = w->result != result;
        w->result = result;
        if (hold) {
            w->on_hold = true;
            w->run = 0;
        }
    }
    pthread_mutex_unlock(&t->lock);
    if (!changed)
        return;
    workqueue_add(run->k->pod_queue, run->uid);
    if (run->kind != PROBE_STARTUP || result != PROBE_SUCCESS)
        return;
    char key[PROBE_KEY_MAX]; /* what waited for it need not wait for its own period */
    for (ProbeKind kind = 0; kind < PROBE_STARTUP; kind++) {
        pthread_mutex_lock(&t->lock);
        w = worker_find(t, run->uid, run->container, kind);
        bool wake = w && w->scheduled && streq_null(w->container_id, run->id);
        if (wake)
            w->due = now_monotonic_ns();
        pthread_mutex_unlock(&t->lock);
        if (wake)
            workqueue_add(run->k->probe_queue, probe_key(key, run->uid, run->container, kind));
    }
}

/* A result counts once it came so often in a row as the probe's threshold says. */
static void count_result(ProbeRun *run, ProbeResult result) {
    struct ProbeTable *t = run->k->probes;
    int64_t threshold = result == PROBE_FAILURE ? value_get_int(run->probe, "failureThreshold", PROBE_FAILURES)
                                                : value_get_int(run->probe, "successThreshold", 1);
    bool reached = false;
    pthread_mutex_lock(&t->lock);
    Worker *w = worker_find(t, run->uid, run->container, run->kind);
    if (w && streq_null(w->container_id, run->id)) {
        w->run = w->last == result ? w->run + 1 : 1;
        w->last = result;
        reached = w->run >= (uint64_t)MAX(threshold, (int64_t)1);
    }
    pthread_mutex_unlock(&t->lock);
    if (reached)
        set_result(run, result, run->kind == PROBE_STARTUP || (run->kind == PROBE_LIVENESS && result == PROBE_FAILURE));
}

static void count(ProbeRun *run, ProbeResult result, double seconds) {
    struct ProbeTable *t = run->k->probes;
    pthread_mutex_lock(&t->lock);
    Worker *w = worker_find(t, run->uid, run->container, run->kind);
    if (w) {
        w->counts.outcomes[result]++;
        for (size_t i = 0; result == PROBE_SUCCESS && i < ELEMENTSOF(bounds); i++)
            w->counts.within[i] += seconds <= bounds[i];
        w->counts.seconds += result == PROBE_SUCCESS ? seconds : 0;
    }
    pthread_mutex_unlock(&t->lock);
}

/* An exec probe's command with the $(NAME)s that the container's definition itself gives values. */
static const char *static_env(const char *name, void *userdata) {
    const Value *e;
    VALUE_FOREACH (e, value_get(userdata, "env"))
        if (streq_null(value_get_str(e, "name"), name))
            return str_or(value_get_str(e, "value"), "");
    return NULL;
}

static const Value *expand_command(ProbeRun *run) {
    const Value *command = value_path(run->probe, "exec", "command", NULL), *word;
    if (!value_len(command))
        return run->probe;
    Value *probe = value_copy(run->arena, run->probe), *words = value_array(run->arena);
    VALUE_FOREACH (word, command)
        value_append(run->arena, words,
                     value_string(run->arena, env_expand(run->arena, str_or(value_str(word), ""), static_env,
                                                         (void *)(uintptr_t)run->definition)));
    value_set(run->arena, value_get(probe, "exec"), "command", words);
    return probe;
}

static void probe_now(ProbeRun *run, const ContainerStatus *c) {
    Kubelet *k = run->k;
    _cleanup_free_ char *error = NULL;
    _cleanup_free_ char *ip = NULL;
    if (pod_host_network(run->pod))
        ip = xstrdup(k->node_ip);
    else {
        SandboxStatus sandbox = {0};
        if (k->runtime->sandbox_status(k->runtime, c->sandbox_id, &sandbox) == 0) {
            ip = xstrdup(str_or(sandbox.ip, ""));
            sandbox_status_done(&sandbox);
        }
    }
    uint64_t timeout = (uint64_t)MAX(value_get_int(run->probe, "timeoutSeconds", 1), (int64_t)1) * NS_PER_SEC;
    int r = -EINVAL;
    const Value *handler = expand_command(run);
    uint64_t start = now_monotonic_ns();
    for (int i = 0; i < PROBE_TRIES && r == -EINVAL && !k->stopping; i++) {
        error = (free(error), NULL);
        r = handler_run(k, run->pod, run->definition, run->id, handler, str_or(ip, ""), timeout, &error);
    }
    if (k->stopping) /* it was cut short */
        return;
    bool unknown = r == -EINVAL; /* what was known stays */
    if (!unknown)                /* a result that is not known is thrown away */
        count(run, r < 0 ? PROBE_FAILURE : PROBE_SUCCESS, (double)(now_monotonic_ns() - start) / (double)NS_PER_SEC);
    if (r < 0) {
        char *path = container_field_path(run->arena, run->pod, run->container);
        event_record(k->events, run->object, path, "Warning", "Unhealthy",
                     unknown ? "%s probe errored and resulted in unknown state: %s" : "%s probe failed: %s",
                     kinds[run->kind].title, str_or(error, strerror(-r)));
        log_debug("%s probe of %s/%s %s failed: %s", kinds[run->kind].name, run->p->ns, run->p->name, run->container,
                  str_or(error, strerror(-r)));
    } else if (r == HANDLER_WARNED)
        event_record(run->k->events, run->object, container_field_path(run->arena, run->pod, run->container), "Warning",
                     "ProbeWarning", "%s probe warning: %s", kinds[run->kind].title, str_or(error, ""));
    if (!unknown)
        count_result(run, r < 0 ? PROBE_FAILURE : PROBE_SUCCESS);
}

/* Returns whether to probe again. */
static bool probe_step(ProbeRun *run) {
    Kubelet *k = run->k;
    ContainerStatus c = {0};
    int r = k->runtime->container_status(k->runtime, run->id, &c);
    if (r < 0 && r != -ENOENT)
        return true;
    if (r < 0 || c.state != CONTAINER_RUNNING) {
        if (r == 0)
            container_status_done(&c);
        set_result(run, PROBE_FAILURE, true);
        return false;
    }
    bool again = true;
    if (run->kind != PROBE_READINESS && pod_is_deleting(run->pod)) {
        set_result(run, PROBE_SUCCESS, true);
        again = false;
    } else if (run->kind == PROBE_STARTUP || probes_started(k, run->uid, run->container, run->id))
        probe_now(run, &c);
    container_status_done(&c);
    return again;
}

int probe_sync(const char *key, void *userdata) {
    Kubelet *k = userdata;
    _cleanup_arena_ Arena *arena = arena_new(0);
    ProbeRun run = {.k = k, .arena = arena};
    if (run_parse(key, &run) < 0 || !run_is_due(&run, key))
        return 0;
    run.p = pod_get(k, run.uid);
    if (!run.p)
        return 0;
    run.object = pod_object(k, run.p, NULL);
    run.pod = object_value(run.object, arena);
    run.definition = pod_find_container(run.pod, run.container, NULL);
    run.probe = value_get(run.definition, kinds[run.kind].field);
    if (value_is(run.probe, VALUE_OBJECT))
        run_done(&run, key, probe_step(&run));
    object_unref(run.object);
    pod_unref(k, run.p);
    return 0;
}

/* ---- what they came to ---- */

typedef struct Row { /* of the table, with its labels */
    const Worker *w;
    const char *uid, *container;
    ProbeKind kind;
} Row;

static void put_outcomes(Buf *out, const Row *r) {
    for (size_t i = 0; i < ELEMENTSOF(outcomes); i++)
        if (r->w->counts.outcomes[i])
            buf_printf(out,
                       "prober_probe_total{container=\"%s\",namespace=\"%s\",pod=\"%s\",pod_uid=\"%s\","
                       "probe_type=\"%s\",result=\"%s\"} %llu\n",
                       r->container, r->w->ns, r->w->pod, r->uid, kinds[r->kind].title, outcomes[i],
                       (unsigned long long)r->w->counts.outcomes[i]);
}

static void put_durations(Buf *out, const Row *r) {
    const Counts *c = &r->w->counts;
    unsigned long long n = c->outcomes[PROBE_SUCCESS];
    _cleanup_free_ char *labels = xasprintf("container=\"%s\",namespace=\"%s\",pod=\"%s\",probe_type=\"%s\"",
                                            r->container, r->w->ns, r->w->pod, kinds[r->kind].title);
    if (!n)
        return;
    for (size_t i = 0; i < ELEMENTSOF(bounds); i++)
        buf_printf(out, "prober_probe_duration_seconds_bucket{%s,le=\"%g\"} %llu\n", labels, bounds[i],
                   (unsigned long long)c->within[i]);
    buf_printf(out, "prober_probe_duration_seconds_bucket{%s,le=\"+Inf\"} %llu\n", labels, n);
    buf_printf(out, "prober_probe_duration_seconds_sum{%s} %.9g\n", labels, c->seconds);
    buf_printf(out, "prober_probe_duration_seconds_count{%s} %llu\n", labels, n);
}

static void each_row(Kubelet *k, Buf *out, void (*fn)(Buf *out, const Row *row)) {
    const char *key;
    Worker *w;
    pthread_mutex_lock(&k->probes->lock);
    STRMAP_FOREACH (k->probes->workers, key, w) {
        _cleanup_arena_ Arena *arena = arena_new(0);
        ProbeRun run = {.arena = arena};
        if (run_parse(key, &run) == 0)
            fn(out, &(Row){w, run.uid, run.container, run.kind});
    }
    pthread_mutex_unlock(&k->probes->lock);
}

void probes_metrics(Kubelet *k, Buf *out) {
    buf_puts(out, "# HELP prober_probe_total [BETA] Cumulative number of a liveness, readiness or startup probe for a "
                  "container by result.\n# TYPE prober_probe_total counter\n");
    each_row(k, out, put_outcomes);
    buf_puts(out, "# HELP prober_probe_duration_seconds [ALPHA] Duration in seconds for a probe response.\n"
                  "# TYPE prober_probe_duration_seconds histogram\n");
    each_row(k, out, put_durations);
}
