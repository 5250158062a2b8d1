#include "kubelet/server_auth.h"

#include <errno.h>
#include <time.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/host_address.h"
#include "base/str.h"

static void *run_loop(void *userdata) {
    Kubelet *k = userdata;
    loop_run(k->loop);
    return NULL;
}

/* A container started or ended: its pod is looked at again. */
static void on_runtime_event(_unused_ RuntimeEventType type, const char *sandbox_id, _unused_ const char *container_id,
                             void *userdata) {
    Kubelet *k = userdata;
    pthread_mutex_lock(&k->lock);
    _cleanup_free_ char *uid = xstrdup(strmap_get(k->sandbox_owner, sandbox_id));
    pthread_mutex_unlock(&k->lock);
    if (uid)
        workqueue_add(k->pod_queue, uid);
}

static const char *const *copy_list(const char *const *list) {
    size_t n = 0;
    while (list && list[n])
        n++;
    if (!list)
        return NULL;
    char **copy = NEWN0(char *, n + 1);
    for (size_t i = 0; i < n; i++)
        copy[i] = xstrdup(list[i]);
    return (const char *const *)copy;
}

static void free_list(const char *const *list) {
    for (size_t i = 0; list && list[i]; i++)
        free((char *)(uintptr_t)list[i]);
    free((void *)(uintptr_t)list);
}

static void copy_config(Kubelet *k, const KubeletConfig *from) {
    KubeletConfig *c = &k->config;
    *c = *from;
    c->node_name = xstrdup(from->node_name);
    c->node_ip = NULL;
    c->root_dir = xstrdup(from->root_dir);
    c->log_dir = from->log_dir ? xstrdup(from->log_dir) : xasprintf("%s/log", from->root_dir);
    c->cgroup_root = xstrdup(str_or(from->cgroup_root, "/"));
    c->cgroup_mount = xstrdup(str_or(from->cgroup_mount, "/sys/fs/cgroup"));
    c->cluster_dns = copy_list(from->cluster_dns);
    c->cluster_domain = xstrdup(str_or(from->cluster_domain, "cluster.local"));
    c->pod_cidr = xstrdup(from->pod_cidr);
    c->labels = copy_list(from->labels);
    c->taints = copy_list(from->taints);
    c->max_pods = from->max_pods ? from->max_pods : KUBELET_MAX_PODS;
    c->system_reserved = xstrdup(from->system_reserved);
    c->kube_reserved = xstrdup(from->kube_reserved);
    c->eviction_hard = xstrdup(from->eviction_hard);
    c->eviction_soft = xstrdup(from->eviction_soft);
    c->eviction_soft_grace = xstrdup(from->eviction_soft_grace);
    c->eviction_minimum_reclaim = xstrdup(from->eviction_minimum_reclaim);
    c->image_gc_high = from->image_gc_high ? from->image_gc_high : IMAGE_GC_HIGH;
    c->image_gc_low = from->image_gc_low ? from->image_gc_low : IMAGE_GC_LOW;
    c->bind = xstrdup(str_or(from->bind, "0.0.0.0"));
    c->cert_file = xstrdup(from->cert_file);
    c->key_file = xstrdup(from->key_file);
    c->client_ca_file = xstrdup(from->client_ca_file);
    k->node_ip = from->node_ip ? xstrdup(from->node_ip) : host_address();
}

static void free_config(Kubelet *k) {
    KubeletConfig *c = &k->config;
    const char *strings[] = {
        c->node_name,       c->root_dir,      c->log_dir,       c->cgroup_root,         c->cgroup_mount,
        c->cluster_domain,  c->pod_cidr,      c->bind,          c->cert_file,           c->key_file,
        c->client_ca_file,  c->eviction_hard, c->eviction_soft, c->eviction_soft_grace, c->eviction_minimum_reclaim,
        c->system_reserved, c->kube_reserved};
    for (size_t i = 0; i < ELEMENTSOF(strings); i++)
        free((char *)(uintptr_t)strings[i]);
    free_list(c->cluster_dns);
    free_list(c->labels);
    free_list(c->taints);
    free(k->node_ip);
}

static int make_folders(Kubelet *k, char **ret_error) {
    _cleanup_free_ char *pods = xasprintf("%s/pods", k->config.root_dir);
    int r = fs_mkdir_p(pods, 0750);
    if (r == 0)
        r = fs_mkdir_p(k->config.log_dir, 0755);
    if (r < 0)
        *ret_error = xasprintf("cannot make %s: %s", pods, strerror(-r));
    return r;
}

static void make_workers(Kubelet *k) {
    k->tokens = token_cache_new();
    k->restarts = backoff_new(BACKOFF_FIRST_NS, BACKOFF_MAX_NS);
    k->image_backoff = backoff_new(BACKOFF_FIRST_NS, BACKOFF_MAX_NS);
    k->probes = probes_new();
    k->image_gc = image_gc_new();
    k->pods = strmap_new(NULL);
    k->sandbox_owner = strmap_new(free);
    k->events = event_recorder_new(k->client, "kubelet", k->config.node_name);
    k->pod_queue = workqueue_new("pods", POD_WORKERS, pod_sync, k);
    k->status_queue = workqueue_new("statuses", STATUS_WORKERS, status_sync, k);
    k->node_queue = workqueue_new("node", NODE_WORKERS, node_sync, k);
    k->probe_queue = workqueue_new("probes", PROBE_WORKERS, probe_sync, k);
    k->pull_pool = pool_new("pull", PULL_THREADS, 1024);
    k->kill_pool = pool_new("kill", KILL_THREADS, 4096);
    k->hook_pool = pool_new("hook", HOOK_THREADS, 1024);
    k->request_pool = pool_new("request", HOOK_THREADS, 1024);
}

static void pod_told(Kubelet *k, Object *object, bool removed) {
    bool fresh;
    Pod *p = pods_set(k, object, removed, &fresh);
    if (fresh)
        pod_hold_known(k, p, object);
    if (p)
        workqueue_add(k->pod_queue, object_uid(object));
}

static void pod_added(Object *object, void *userdata) {
    pod_told(userdata, object, false);
}

static void pod_updated(Object *old, Object *object, void *userdata) {
    /* a new pod of the same name: the watch may show it as a change of the old one */
    if (old && !streq(object_uid(old), object_uid(object)))
        pod_told(userdata, old, true);
    pod_told(userdata, object, false);
}

static void pod_deleted(Object *object, void *userdata) {
    pod_told(userdata, object, true);
}

static void make_informers(Kubelet *k) {
    static const InformerHandler handler = {pod_added, pod_updated, pod_deleted};
    _cleanup_free_ char *mine = xasprintf("spec.nodeName=%s", k->config.node_name);
    _cleanup_free_ char *me = xasprintf("metadata.name=%s", k->config.node_name);
    k->informers = informer_set_new(k->client);
    k->pods_informer = informer_get(k->informers, RES("pods"), NULL, mine);
    k->services_informer = informer_get(k->informers, RES("services"), NULL, NULL);
    k->nodes_informer = informer_get(k->informers, RES("nodes"), NULL, me);
    informer_add_handler(k->pods_informer, &handler, k);
}

static int start_parts(Kubelet *k, char **ret_error) {
    int r = make_folders(k, ret_error);
    if (r == 0 && !(k->eviction = eviction_new(&k->config, ret_error)))
        r = -EINVAL;
    if (r == 0)
        r = cgroups_open(k->config.cgroup_mount, k->config.cgroup_root, &k->cgroups, ret_error);
    if (r == 0)
        r = cgroups_setup(k->cgroups, ret_error);
    if (r == 0)
        r = node_facts_load(k, ret_error);
    if (r == 0)
        node_limit_pods(k);
    if (r == 0)
        r = adopt(k);
    if (r == 0 && k->config.cert_file)
        r = kubelet_server_start(k, ret_error);
    if (r == 0)
        r = loop_new(&k->loop);
    if (r == 0)
        r = k->runtime->subscribe(k->runtime, k->loop, on_runtime_event, k);
    if (r == 0)
        r = -pthread_create(&k->loop_thread, NULL, run_loop, k);
    k->loop_running = r == 0;
    return r;
}

int kubelet_start(const KubeletConfig *config, Kubelet **ret, char **ret_error) {
    Kubelet *k = NEW0(Kubelet);
    k->client = config->client;
    k->runtime = config->runtime;
    k->images = config->images;
    k->started_at = now_monotonic_ns();
    k->runtime->interrupt(k->runtime, false);
    image_store_interrupt(k->images, false);
    pthread_mutex_init(&k->lock, NULL);
    copy_config(k, config);
    make_workers(k);
    int r = start_parts(k, ret_error);
    if (r < 0) {
        if (!*ret_error)
            *ret_error = xasprintf("cannot start the node agent: %s", strerror(-r));
        kubelet_stop(k);
        return r;
    }
    make_informers(k);
    workqueue_add(k->node_queue, "status");
    workqueue_add(k->node_queue, "lease");
    workqueue_add_after(k->node_queue, "housekeeping", 5 * NS_PER_SEC);
    workqueue_add_after(k->node_queue, "eviction", 10 * NS_PER_SEC);
    workqueue_add_after(k->node_queue, "images", IMAGE_GC_EVERY_NS);
    informer_set_start(k->informers);
    *ret = k;
    return 0;
}

static void free_pods(Kubelet *k) {
    const char *uid;
    Pod *p;
    STRMAP_FOREACH (k->pods, uid, p)
        pod_unref(k, p);
    strmap_free(k->pods);
    strmap_free(k->sandbox_owner);
}

/* Syncs hand work to the pools, and the pools' work puts pods back on the queue: syncs end first, then the pools' work,
 * then the queues go. */
static void stop_workers(Kubelet *k) {
    while (atomic_load(&k->syncs) > 0)
        nanosleep(&(struct timespec){.tv_nsec = (long)NS_PER_MS}, NULL);
    workqueue_free(k->probe_queue);
    pool_free(k->request_pool);
    pool_free(k->hook_pool);
    pool_free(k->kill_pool);
    pool_free(k->pull_pool);
    workqueue_free(k->pod_queue);
    workqueue_free(k->status_queue);
    workqueue_free(k->node_queue);
}

void kubelet_stop(Kubelet *k) {
    if (!k)
        return;
    k->stopping = true;
    k->runtime->interrupt(k->runtime, true);
    image_store_interrupt(k->images, true);
    if (k->server)
        kubelet_server_stop(k);
    if (k->informers)
        informer_set_stop(k->informers);
    if (k->loop_running) {
        loop_exit(k->loop, 0);
        pthread_join(k->loop_thread, NULL);
    }
    stop_workers(k);
    k->runtime->unsubscribe(k->runtime);
    loop_free(k->loop);
    informer_set_free(k->informers);
    event_recorder_free(k->events);
    probes_free(k->probes);
    image_gc_free(k->image_gc);
    eviction_free(k->eviction);
    delegate_free(k->auth);
    free_pods(k);
    token_cache_free(k->tokens);
    backoff_free(k->restarts);
    backoff_free(k->image_backoff);
    cgroups_free(k->cgroups);
    node_facts_done(k);
    object_unref(k->node_ref);
    free_config(k);
    pthread_mutex_destroy(&k->lock);
    free(k);
}

uint16_t kubelet_port(const Kubelet *k) {
    return server_port(k);
}
