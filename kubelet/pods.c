/* The table of pods: what the API server said last of each pod bound to this node. */
#include "kubelet/internal.h"

#include "base/str.h"

#include <errno.h>

static void waiting_free(void *p) {
    Waiting *w = p;
    free(w->reason);
    free(w->message);
    free(w);
}

static void task_free(void *p) {
    PodTask *task = p;
    free(task->error);
    free(task);
}

static Pod *pod_new(Kubelet *k, Object *object) {
    Pod *p = NEW0(Pod);
    p->refs = 1;
    p->uid = xstrdup(object_uid(object));
    p->ns = xstrdup(object_namespace(object));
    p->name = xstrdup(object_name(object));
    p->dir = xasprintf("%s/pods/%s", k->config.root_dir, p->uid);
    p->log_dir = xasprintf("%s/%s_%s_%s", k->config.log_dir, p->ns, p->name, p->uid);
    p->object = object_ref(object);
    p->kills = strmap_new(free);
    p->pulls = strmap_new(task_free);
    p->hooks = strmap_new(task_free);
    p->waiting = strmap_new(waiting_free);
    p->replaced = strmap_new(free);
    return p;
}

void pod_eviction_free(PodEviction *e) {
    if (!e)
        return;
    free(e->reason);
    free(e->message);
    free(e->disruption);
    free(e);
}

static void pod_free(Pod *p) {
    demand_done(&p->demand);
    pod_eviction_free(p->eviction);
    object_unref(p->object);
    strmap_free(p->kills);
    strmap_free(p->pulls);
    strmap_free(p->hooks);
    strmap_free(p->waiting);
    strmap_free(p->replaced);
    char *owned[] = {p->uid,
                     p->ns,
                     p->name,
                     p->dir,
                     p->log_dir,
                     p->status_json,
                     p->sent_json,
                     p->failed_reason,
                     p->failed_message,
                     p->sandbox_error,
                     p->record,
                     p->resize.pending_reason,
                     p->resize.pending_message,
                     p->resize.error};
    for (size_t i = 0; i < ELEMENTSOF(owned); i++)
        free(owned[i]);
    free(p);
}

Pod *pod_ref(Kubelet *k, Pod *p) {
    pthread_mutex_lock(&k->lock);
    p->refs++;
    pthread_mutex_unlock(&k->lock);
    return p;
}

void pod_unref(Kubelet *k, Pod *p) {
    if (!p)
        return;
    pthread_mutex_lock(&k->lock);
    bool last = --p->refs == 0;
    pthread_mutex_unlock(&k->lock);
    if (last)
        pod_free(p);
}

Pod *pod_get(Kubelet *k, const char *uid) {
    pthread_mutex_lock(&k->lock);
    Pod *p = strmap_get(k->pods, uid);
    if (p)
        p->refs++;
    pthread_mutex_unlock(&k->lock);
    return p;
}

Pod *pod_find(Kubelet *k, const char *ns, const char *name) {
    pthread_mutex_lock(&k->lock);
    const char *uid;
    Pod *p, *found = NULL;
    STRMAP_FOREACH (k->pods, uid, p)
        if (streq(p->ns, ns) && streq(p->name, name) && (!found || found->removed))
            found = p;
    if (found)
        found->refs++;
    pthread_mutex_unlock(&k->lock);
    return found;
}

Object *pod_object(Kubelet *k, Pod *p, bool *ret_removed) {
    pthread_mutex_lock(&k->lock);
    Object *o = object_ref(p->object);
    if (ret_removed)
        *ret_removed = p->removed;
    pthread_mutex_unlock(&k->lock);
    return o;
}

Pod *pods_set(Kubelet *k, Object *object, bool removed, bool *ret_fresh) {
    const char *uid = object_uid(object);
    pthread_mutex_lock(&k->lock);
    Pod *p = strmap_get(k->pods, uid);
    bool fresh = !p && !removed;
    if (fresh) {
        p = pod_new(k, object);
        strmap_put(k->pods, uid, p);
    } else if (p) {
        object_unref(p->object);
        p->object = object_ref(object);
        p->removed = removed;
    }
    pthread_mutex_unlock(&k->lock);
    *ret_fresh = fresh;
    return p;
}

void pod_remember_sandbox(Kubelet *k, Pod *p, const char *sandbox_id) {
    pthread_mutex_lock(&k->lock);
    strmap_put(k->sandbox_owner, sandbox_id, xstrdup(p->uid));
    pthread_mutex_unlock(&k->lock);
}

void pod_drop(Kubelet *k, Pod *p) {
    pthread_mutex_lock(&k->lock);
    Pod *have = strmap_get(k->pods, p->uid);
    if (have == p)
        strmap_take(k->pods, p->uid);
    pthread_mutex_unlock(&k->lock);
    if (have == p)
        pod_unref(k, p);
}

void pod_set_waiting(Pod *p, const char *container, const char *reason, const char *message) {
    if (!reason) {
        strmap_remove(p->waiting, container);
        return;
    }
    Waiting *w = NEW0(Waiting);
    *w = (Waiting){xstrdup(reason), xstrdup(str_or(message, ""))};
    strmap_put(p->waiting, container, w);
}

/* ---- the runtime's view ---- */

static int newest_container(const void *a, const void *b) {
    const ContainerStatus *x = a, *y = b;
    if (x->created_ns != y->created_ns)
        return x->created_ns < y->created_ns ? 1 : -1;
    return x->attempt < y->attempt ? 1 : x->attempt > y->attempt ? -1 : 0;
}

static int newest_sandbox(const void *a, const void *b) {
    const SandboxStatus *x = a, *y = b;
    if (x->attempt != y->attempt)
        return x->attempt < y->attempt ? 1 : -1;
    return x->created_ns < y->created_ns ? 1 : x->created_ns > y->created_ns ? -1 : 0;
}

static int add_sandbox(Kubelet *k, const char *id, PodRuntime *rt) {
    SandboxStatus status = {0};
    int r = k->runtime->sandbox_status(k->runtime, id, &status);
    if (r < 0)
        return r;
    rt->sandboxes = xreallocn(rt->sandboxes, rt->n_sandboxes + 1, sizeof *rt->sandboxes);
    rt->sandboxes[rt->n_sandboxes++] = status;
    ContainerStatus *list = NULL;
    size_t n = 0;
    r = k->runtime->container_list(k->runtime, id, &list, &n);
    if (r < 0)
        return r;
    if (n) {
        rt->containers = xreallocn(rt->containers, rt->n_containers + n, sizeof *rt->containers);
        memcpy(rt->containers + rt->n_containers, list, n * sizeof *list);
        rt->n_containers += n;
    }
    free(list);
    return 0;
}

int pod_runtime_load(Kubelet *k, const Pod *p, PodRuntime *ret) {
    PodRuntime rt = {0};
    char *ids[64]; /* sandboxes of one pod that can be there at once: old ones are removed when a new one is made */
    size_t n = 0;
    pthread_mutex_lock(&k->lock);
    const char *id;
    char *uid;
    STRMAP_FOREACH (k->sandbox_owner, id, uid)
        if (n < ELEMENTSOF(ids) && streq(uid, p->uid))
            ids[n++] = xstrdup(id);
    pthread_mutex_unlock(&k->lock);
    int result = 0;
    for (size_t i = 0; i < n; i++) {
        int r = add_sandbox(k, ids[i], &rt);
        if (r == -ENOENT) {
            pthread_mutex_lock(&k->lock);
            strmap_remove(k->sandbox_owner, ids[i]);
            pthread_mutex_unlock(&k->lock);
        } else if (r < 0)
            result = r;
        free(ids[i]);
    }
    if (rt.n_sandboxes > 1)
        qsort(rt.sandboxes, rt.n_sandboxes, sizeof *rt.sandboxes, newest_sandbox);
    if (rt.n_containers > 1)
        qsort(rt.containers, rt.n_containers, sizeof *rt.containers, newest_container);
    if (result < 0)
        pod_runtime_done(&rt);
    else
        *ret = rt;
    return result;
}

void pod_runtime_done(PodRuntime *rt) {
    for (size_t i = 0; i < rt->n_sandboxes; i++)
        sandbox_status_done(&rt->sandboxes[i]);
    for (size_t i = 0; i < rt->n_containers; i++)
        container_status_done(&rt->containers[i]);
    free(rt->sandboxes);
    free(rt->containers);
    *rt = (PodRuntime){0};
}

const SandboxStatus *pod_runtime_sandbox(const PodRuntime *rt) {
    return rt->n_sandboxes && rt->sandboxes[0].ready ? &rt->sandboxes[0] : NULL;
}

const ContainerStatus *pod_runtime_find(const PodRuntime *rt, const char *container) {
    for (size_t i = 0; i < rt->n_containers; i++)
        if (streq(rt->containers[i].name, container))
            return &rt->containers[i];
    return NULL;
}
