/* In-place resize of pods. What a pod asks for (its definition), what it was allocated (there is room for it), and what
 * its containers were given (their cgroups) may differ for a while. A container's annotation says what it was made
 * with; the pod's record, a file in its folder, says what was allocated and given since, so that both are known after a
 * restart. The rules are the reference's (pkg/kubelet/allocation, kuberuntime_manager.go: computePodResizeAction). */
#include "kubelet/internal.h"

#include "api/json.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/str.h"

#include <errno.h>

#define RETRY_NS (180 * NS_PER_SEC) /* of a resize that waits for room, as the reference */
#define ERROR_RETRY_NS (5 * NS_PER_SEC)
#define RECORD_MAX (1024 * 1024)
#define POD_KEY "" /* the pod's own resources, among those of its containers: no container has that name */

/* ---- amounts ---- */

static const struct {
    const char *list, *name;
    bool milli;
} amounts[] = {
    {"requests", "cpu", true}, {"limits", "cpu", true}, {"requests", "memory", false}, {"limits", "memory", false}};

static int64_t amount(const Value *resources, size_t i) {
    int64_t n = amounts[i].milli ? resource_milli(resources, amounts[i].list, amounts[i].name)
                                 : resource_units(resources, amounts[i].list, amounts[i].name);
    return MAX(n, (int64_t)0);
}

static bool same_amounts(const Value *a, const Value *b) {
    for (size_t i = 0; i < ELEMENTSOF(amounts); i++)
        if (amount(a, i) != amount(b, i))
            return false;
    return true;
}

static const Value *annotated(Arena *arena, const RuntimePair *annotations, size_t n, const char *key) {
    Value *v = NULL;
    for (size_t i = 0; i < n; i++)
        if (streq(annotations[i].key, key) &&
            json_parse(arena, annotations[i].value, strlen(annotations[i].value), &v, NULL, NULL) == 0)
            return v;
    return NULL;
}

/* ---- the record: {"allocated": {container: resources}, "given": {container id: resources}} ---- */

static char *record_path(const PodSync *s) {
    return arena_printf(s->arena, "%s/resources.json", s->p->dir);
}

static Value *record(PodSync *s) {
    if (s->record)
        return s->record;
    if (!s->p->record_loaded) {
        char *text = NULL;
        if (fs_read_file(record_path(s), RECORD_MAX, &text, NULL) == 0)
            s->p->record = text;
        s->p->record_loaded = true;
    }
    if (!s->p->record || json_parse(s->arena, s->p->record, strlen(s->p->record), &s->record, NULL, NULL) < 0)
        s->record = value_object(s->arena);
    return s->record;
}

static int record_save(PodSync *s) {
    const char *json = resources_json(s->arena, record(s));
    int r = fs_mkdir_p(s->p->dir, 0750);
    r = r < 0 ? r : fs_write_atomic(record_path(s), json, strlen(json), 0600);
    if (r < 0) {
        log_warn("pod %s/%s: what it was allocated cannot be written down: %s", s->p->ns, s->p->name, strerror(-r));
        return r;
    }
    free(s->p->record);
    s->p->record = xstrdup(json);
    return 0;
}

const Value *resize_given(PodSync *s, const ContainerStatus *c) {
    const Value *given = value_get(value_get(record(s), "given"), c->id);
    if (!given)
        given = annotated(s->arena, c->annotations, c->n_annotations, GIVEN_ANNOTATION);
    return given ? given : annotated(s->arena, c->annotations, c->n_annotations, RESOURCES_ANNOTATION);
}

static const Value *given_to_pod(PodSync *s, const SandboxStatus *sandbox) {
    const Value *given = value_get(value_get(record(s), "given"), sandbox->id);
    return given ? given : annotated(s->arena, sandbox->annotations, sandbox->n_annotations, RESOURCES_ANNOTATION);
}

static const Value *allocated(PodSync *s, const char *name) {
    const Value *v = value_get(value_get(record(s), "allocated"), name);
    if (v)
        return v;
    if (streq(name, POD_KEY))
        return s->rt.n_sandboxes ? given_to_pod(s, &s->rt.sandboxes[0]) : NULL;
    const ContainerStatus *c = pod_runtime_find(&s->rt, name);
    return c ? annotated(s->arena, c->annotations, c->n_annotations, RESOURCES_ANNOTATION) : NULL;
}

/* ---- what resources belong to ---- */

typedef struct Holder {
    const char *name; /* a container's, or POD_KEY */
    Value *owner;     /* has the member "resources" */
} Holder;

static Holder *holders(PodSync *s, size_t *ret_n) {
    const Value *lists[] = {pod_init_containers(s->pod), pod_containers(s->pod)};
    Holder *list = arena_alloc0(s->arena, (value_len(lists[0]) + value_len(lists[1]) + 1) * sizeof *list);
    size_t n = 0;
    for (size_t i = 0; i < ELEMENTSOF(lists); i++)
        for (size_t j = 0; j < value_len(lists[i]); j++) {
            Value *c = value_at(lists[i], j);
            list[n++] = (Holder){str_or(value_get_str(c, "name"), "?"), c};
        }
    list[n++] = (Holder){POD_KEY, value_get(s->pod, "spec")};
    *ret_n = n;
    return list;
}

/* ---- events and conditions ---- */

static void add_summary(Arena *arena, Value *summary, const char *list, const Value *containers) {
    const Value *c;
    VALUE_FOREACH (c, containers) {
        Value *one = value_object(arena), *resources = value_get(c, "resources"), *shown = value_object(arena);
        static const char *const members[] = {"limits", "requests"};
        for (size_t i = 0; i < ELEMENTSOF(members); i++)
            if (value_get(resources, members[i]))
                value_set(arena, shown, members[i], value_copy(arena, value_get(resources, members[i])));
        value_set_str(arena, one, "name", value_get_str(c, "name"));
        value_set(arena, one, "resources", shown);
        value_append(arena, value_ensure_array(arena, summary, list), one);
    }
}

static void say(PodSync *s, const char *type, const char *reason, const char *what, int64_t generation,
                const char *error) {
    Value *summary = value_object(s->arena);
    add_summary(s->arena, summary, "initContainers", pod_init_containers(s->pod));
    add_summary(s->arena, summary, "containers", pod_containers(s->pod));
    value_set_int(s->arena, summary, "generation", generation);
    if (!str_empty(error))
        value_set_str(s->arena, summary, "error", error);
    event_record(s->k->events, s->object, NULL, type, reason, "%s: %s", what, resources_json(s->arena, summary));
}

static void set_waits(PodSync *s, bool waits) {
    pthread_mutex_lock(&s->k->lock);
    s->p->waits_for_room = waits;
    pthread_mutex_unlock(&s->k->lock);
}

static void clear_pending(PodSync *s) {
    ResizeConditions *r = &s->p->resize;
    free(r->pending_reason);
    free(r->pending_message);
    r->pending_reason = r->pending_message = NULL;
    set_waits(s, false);
}

static void set_pending(PodSync *s, const char *message, int64_t generation) {
    ResizeConditions *r = &s->p->resize;
    bool news = !r->pending_reason || r->pending_generation != generation;
    if (news)
        say(s, "Warning", "ResizeDeferred", "Pod resize Deferred", generation, message);
    clear_pending(s);
    r->pending_reason = xstrdup("Deferred");
    r->pending_message = xstrdup(message);
    r->pending_generation = generation;
    set_waits(s, true);
    sync_again(s, RETRY_NS);
}

static void set_progress(PodSync *s, int64_t generation) {
    ResizeConditions *r = &s->p->resize;
    free(r->error);
    r->error = NULL;
    r->in_progress = true;
    r->progress_generation = generation;
}

static void set_error(PodSync *s, const char *message) {
    ResizeConditions *r = &s->p->resize;
    if (!r->in_progress)
        set_progress(s, value_get_int(value_get(s->pod, "metadata"), "generation", 0));
    if (!streq_null(r->error, message)) {
        say(s, "Warning", "ResizeError", "Pod resize error", r->progress_generation, message);
        free(r->error);
        r->error = xstrdup(message);
    }
    sync_again(s, ERROR_RETRY_NS);
}

/* ---- allocating ---- */

static void allocate(PodSync *s, const Holder *list, size_t n, int64_t generation) {
    Value *all = value_object(s->arena);
    for (size_t i = 0; i < n; i++) {
        const Value *resources = value_get(list[i].owner, "resources");
        value_set(s->arena, all, list[i].name, resources ? value_copy(s->arena, resources) : value_object(s->arena));
    }
    Value *before = value_get(record(s), "allocated");
    value_set(s->arena, record(s), "allocated", all);
    if (record_save(s) < 0) { /* not let in before that is on disk */
        value_set(s->arena, record(s), "allocated", before ? before : value_object(s->arena));
        sync_again(s, ERROR_RETRY_NS);
        return;
    }
    clear_pending(s);
    set_progress(s, generation);
    say(s, "Normal", "ResizeStarted", "Pod resize started", generation, NULL);
}

static bool differs(PodSync *s, const Holder *h) {
    const Value *have = allocated(s, h->name);
    return have && !same_amounts(have, value_get(h->owner, "resources"));
}

/* There is room, or not yet. */
static void decide(PodSync *s, const Holder *list, size_t n) {
    const char *message = NULL;
    int64_t generation = value_get_int(value_get(s->pod, "metadata"), "generation", 0);
    if (pod_hold_resized(s, s->pod, &message)) {
        allocate(s, list, n, generation);
        room_was_made(s->k);
    } else
        set_pending(s, message, generation);
}

void resize_consider(PodSync *s, bool runs) {
    size_t n;
    const Holder *list = holders(s, &n);
    bool any = false;
    for (size_t i = 0; i < n && !any; i++)
        any = differs(s, &list[i]);
    if (any && runs)
        decide(s, list, n);
    else if (s->p->resize.pending_reason)
        clear_pending(s); /* it was taken back, or it is too late */
    if (!runs)
        s->p->resize.in_progress = false;
    for (size_t i = 0; any && i < n; i++)
        if (differs(s, &list[i]))
            value_set(s->arena, list[i].owner, "resources", value_copy(s->arena, allocated(s, list[i].name)));
    if (any && runs)
        pod_hold(s->k, s->p, s->pod);
}

/* ---- giving ---- */

bool resize_wants_restart(PodSync *s, const Value *container, const ContainerStatus *c) {
    const Value *given = resize_given(s, c), *wanted = container_effective_resources(s->arena, s->pod, container),
                *policy;
    if (!given)
        return false;
    for (size_t i = 0; i < ELEMENTSOF(amounts); i++) {
        if (amount(given, i) == amount(wanted, i))
            continue;
        VALUE_FOREACH (policy, value_get(container, "resizePolicy"))
            if (streq_null(value_get_str(policy, "resourceName"), amounts[i].name) &&
                streq_null(value_get_str(policy, "restartPolicy"), "RestartContainer"))
                return true;
    }
    return false;
}

/* A limit below what is used already would have the kernel kill; *ret says so. */
static bool too_low(PodSync *s, const Value *container, const ContainerStatus *c, const char **ret) {
    int64_t limit = resource_units(container_effective_resources(s->arena, s->pod, container), "limits", "memory");
    int64_t before = resource_units(resize_given(s, c), "limits", "memory");
    ContainerStats stats;
    if (limit <= 0 || (before > 0 && limit >= before))
        return false;
    if (s->k->runtime->container_stats(s->k->runtime, c->id, &stats) < 0) {
        *ret = arena_printf(s->arena, "cannot decrease memory limits: missing container \"%s\" memory usage", c->name);
        return true;
    }
    if (stats.memory_usage < (uint64_t)limit)
        return false;
    *ret = arena_printf(s->arena,
                        "cannot decrease memory limits: attempting to set container \"%s\" memory limit (%lld) below "
                        "current usage (%llu)",
                        c->name, (long long)limit, (unsigned long long)stats.memory_usage);
    return true;
}

static int note_given(PodSync *s, const char *id, const Value *resources) {
    value_set(s->arena, value_ensure_object(s->arena, record(s), "given"), id,
              resources ? value_copy(s->arena, resources) : value_object(s->arena));
    return record_save(s);
}

static int update_container(PodSync *s, const Value *container, const ContainerStatus *c) {
    ContainerSpec spec = {0};
    _cleanup_free_ char *why = NULL;
    container_resources_build(s, container, &spec);
    int r = s->k->runtime->container_update(s->k->runtime, c->id, &spec, &why);
    r = r < 0 ? r : note_given(s, c->id, container_effective_resources(s->arena, s->pod, container));
    if (r < 0)
        set_error(s, arena_strdup(s->arena, str_or(why, strerror(-r))));
    return r;
}

/* The running containers of this sandbox that have not what they were allocated. */
static const ContainerStatus *behind(PodSync *s, const SandboxStatus *sandbox, const Holder *h) {
    const ContainerStatus *c = streq(h->name, POD_KEY) ? NULL : pod_runtime_find(&s->rt, h->name);
    if (!c || c->state != CONTAINER_RUNNING || !streq(c->sandbox_id, sandbox->id))
        return NULL;
    const Value *given = resize_given(s, c);
    return given && !same_amounts(given, container_effective_resources(s->arena, s->pod, h->owner)) ? c : NULL;
}

/* All that runs has what it was allocated; what does not will be made with it. */
static bool finish(PodSync *s) {
    ResizeConditions *r = &s->p->resize;
    if (!r->in_progress)
        return true;
    _cleanup_free_ char *why = NULL;
    int e = cgroups_pod_apply(s->k->cgroups, s->pod, &why);
    if (e < 0) {
        set_error(s, arena_strdup(s->arena, str_or(why, strerror(-e))));
        return false;
    }
    r->in_progress = false;
    free(r->error);
    r->error = NULL;
    say(s, "Normal", "ResizeCompleted", "Pod resize completed", r->progress_generation, NULL);
    return true;
}

bool resize_step(PodSync *s, const SandboxStatus *sandbox) {
    size_t n, waiting = 0;
    const Holder *list = holders(s, &n);
    const ContainerStatus **updates = arena_alloc0(s->arena, n * sizeof *updates);
    const Value *spec = value_get(s->pod, "spec"), *given = given_to_pod(s, sandbox);
    bool pod = given && !same_amounts(given, value_get(spec, "resources")), any = pod;
    const char *message = NULL;
    for (size_t i = 0; i < n; i++) {
        const ContainerStatus *c = behind(s, sandbox, &list[i]);
        any = any || c;
        if (!c)
            continue;
        if (resize_wants_restart(s, list[i].owner, c))
            waiting++; /* pod_run.c ends it; what comes after it is made with what it was allocated */
        else if (too_low(s, list[i].owner, c, &message)) {
            set_error(s, message);
            return false;
        } else
            updates[i] = c;
    }
    if (!any)
        return finish(s);
    if (!s->p->resize.in_progress) /* an agent before this one had begun */
        set_progress(s, value_get_int(value_get(s->pod, "metadata"), "generation", 0));
    _cleanup_free_ char *why = NULL;
    int r = cgroups_pod_raise(s->k->cgroups, s->pod, &why);
    for (size_t i = 0; r == 0 && i < n; i++)
        if (updates[i] && update_container(s, list[i].owner, updates[i]) < 0)
            return false;
    if (r < 0) {
        set_error(s, arena_strdup(s->arena, str_or(why, strerror(-r))));
        return false;
    }
    if (pod && note_given(s, sandbox->id, value_get(spec, "resources")) < 0)
        return false;
    return waiting ? true : finish(s);
}
