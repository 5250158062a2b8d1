#define LOG_COMPONENT "proxy"
#include "network/proxy/proxy.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/str.h"
#include "base/strmap.h"
#include "client/workqueue.h"
#include "network/proxy/conntrack.h"
#include "network/proxy/health.h"
#include "network/proxy/news.h"
#include "network/proxy/nft.h"
#include "network/proxy/table.h"

#define BRIDGE_CALLS "/proc/sys/net/bridge/bridge-nf-call-iptables"
#define ZONE_LABEL "topology.kubernetes.io/zone"
#define FRONTENDS_MAX 65536 /* of UDP, looked after in one round */

struct ServiceProxy {
    ServiceIndex *index;
    Informer *nodes;
    ProxySettings settings; /* strings owned; of the queue's one worker */
    ProxyTable *table;
    HealthPorts *health;
    WorkQueue *queue;                /* keys "sync" and "check" */
    FilterNews *news;                /* NULL: none are to be had */
    _Atomic uint64_t check_pause_ns; /* from news to the look */
    uint64_t retry_ns, next_sweep_ns;
    bool replace;      /* the last attempt to take over what was there failed */
    StrMap *conflicts; /* Services that wait for an element of another's */
    pthread_mutex_t lock;
    StrMap *dirty;             /* under the lock: keys; values unused */
    atomic_bool all;           /* everything is to be written anew */
    _Atomic uint64_t pause_ns; /* before the next round */
};

/* ---- what changed ---- */

static void wake(ServiceProxy *p) {
    workqueue_add_after(p->queue, "sync", atomic_load(&p->pause_ns));
}

static void service_changed(const char *key, void *userdata) {
    ServiceProxy *p = userdata;
    pthread_mutex_lock(&p->lock);
    strmap_put(p->dirty, key, p);
    pthread_mutex_unlock(&p->lock);
    wake(p);
}

static void node_changed(_unused_ Object *node, void *userdata) {
    wake(userdata);
}

static void node_updated(Object *old, Object *node, void *userdata) {
    if (!streq_null(object_label(old, ZONE_LABEL), object_label(node, ZONE_LABEL)))
        wake(userdata);
}

static StrMap *take_dirty(ServiceProxy *p) {
    pthread_mutex_lock(&p->lock);
    StrMap *taken = p->dirty;
    p->dirty = strmap_new(NULL);
    pthread_mutex_unlock(&p->lock);
    return taken;
}

static void put_key(const char *key, void *userdata) {
    strmap_put(userdata, key, userdata);
}

/* ---- a round ---- */

typedef struct Round {
    ServiceProxy *proxy;
    Arena *arena; /* of the frontends */
    UdpFrontend *frontends;
    size_t n, cap;
} Round;

static void add_frontend(Round *round, const char *ip, uint16_t port, const EndpointViews *endpoints) {
    if (round->n == FRONTENDS_MAX)
        return;
    if (round->n == round->cap) {
        round->cap = round->cap ? round->cap * 2 : 16;
        round->frontends = xreallocn(round->frontends, round->cap, sizeof *round->frontends);
    }
    round->frontends[round->n++] = (UdpFrontend){ip, port, *endpoints};
}

static void add_frontends(Round *round, const ServiceView *service, const ServiceRecord *record) {
    for (size_t i = 0; i < service->n_ports; i++) {
        const ServicePortView *port = &service->ports[i];
        EndpointViews endpoints;
        if (!streq(port->protocol, "udp"))
            continue;
        service_endpoints(round->arena, record->slices, record->n_slices, port, &endpoints);
        add_frontend(round, service->cluster_ip, port->port, &endpoints);
        for (size_t k = 0; service->external_ips[k]; k++)
            add_frontend(round, service->external_ips[k], port->port, &endpoints);
        for (size_t k = 0; service->ingress_ips[k]; k++)
            add_frontend(round, service->ingress_ips[k], port->port, &endpoints);
        if (port->node_port)
            add_frontend(round, NULL, port->node_port, &endpoints);
    }
}

static bool has_udp(const ServiceView *service) {
    for (size_t i = 0; i < service->n_ports; i++)
        if (streq(service->ports[i].protocol, "udp"))
            return service->cluster_ip && !service->other_proxy;
    return false;
}

static void sync_health(ServiceProxy *p, Arena *arena, const char *key, const ServiceView *service,
                        const ServiceRecord *record) {
    const char *slash = strchr(key, '/');
    _cleanup_free_ char *ns = xstrndup(key, (size_t)(slash - key));
    bool has = service && service->health_check_port && !service->other_proxy;
    health_ports_set(p->health, ns, slash + 1, has ? service->health_check_port : 0,
                     has ? service_local_ready(arena, &p->settings, service, record->slices, record->n_slices) : 0);
}

/* Labels of slices count as those of Services do. */
static void drop_others_slices(ServiceRecord *record) {
    size_t n = 0;
    for (size_t i = 0; i < record->n_slices; i++)
        if (service_is_for_others(record->slices[i]))
            object_unref(record->slices[i]);
        else
            record->slices[n++] = record->slices[i];
    record->n_slices = n;
}

static void sync_service(Round *round, const char *key) {
    ServiceProxy *p = round->proxy;
    _cleanup_arena_ Arena *arena = arena_new(0);
    _cleanup_service_record_ ServiceRecord record = {0};
    ServiceView view;
    RuleList rules = {0};
    service_index_get(p->index, key, &record);
    drop_others_slices(&record);
    if (record.service) {
        service_view(arena, record.service, &view);
        service_rules(arena, &p->settings, &view, record.slices, record.n_slices, &rules);
        if (has_udp(&view)) {
            service_view(round->arena, record.service, &view); /* must outlive this function */
            add_frontends(round, &view, &record);
        }
    }
    sync_health(p, arena, key, record.service ? &view : NULL, &record);
    if (proxy_table_set(p->table, key, &rules))
        strmap_remove(p->conflicts, key);
    else {
        log_warn("service %s wants an address and port that another service has; the other keeps it", key);
        strmap_put(p->conflicts, key, p);
    }
}

/* Takes over what an earlier process left, or, should that be refused, replaces it as a whole. */
static int begin_all(ServiceProxy *p, StrMap *keys) {
    _cleanup_nft_names_ NftNames names = {0};
    _cleanup_free_ char *error = NULL;
    int r = p->replace ? 0 : nft_names(p->settings.table, &names, &error);
    if (r < 0) {
        log_error("cannot list what the packet filter has: %s", error);
        return r;
    }
    service_index_keys(p->index, put_key, keys);
    strmap_clear(p->conflicts);
    proxy_table_reset(p->table, &p->settings, (const char *const *)names.chains, (const char *const *)names.sets);
    return 0;
}

static int commit(ServiceProxy *p, bool everything) {
    _cleanup_free_ char *script = NULL, *error = NULL;
    bool freed = false;
    int r = proxy_table_script(p->table, now_monotonic_ns(), &script, &freed);
    if (r == 0 && script && everything && p->replace) {
        char *replacing =
            xasprintf("add table ip %s\ndelete table ip %s\n%s", p->settings.table, p->settings.table, script);
        free(script);
        script = replacing;
    }
    if (r == 0 && script) {
        log_debug("transaction:\n%s", script);
        r = nft_run(script, &error);
    }
    if (r < 0) {
        log_error("cannot write the rules of Services: %s", str_or(error, strerror(-r)));
        return r;
    }
    const char *key;
    void *unused;
    if (freed && strmap_size(p->conflicts))
        STRMAP_FOREACH (p->conflicts, key, unused)
            service_changed(key, p);
    return 0;
}

static void read_zone(ServiceProxy *p) {
    _cleanup_object_ Object *node = informer_lookup(p->nodes, NULL, p->settings.node_name);
    const char *zone = node ? str_or(object_label(node, ZONE_LABEL), "") : p->settings.zone;
    if (streq(zone, p->settings.zone))
        return;
    free((char *)(uintptr_t)p->settings.zone);
    p->settings.zone = xstrdup(zone);
    atomic_store(&p->all, true);
}

static void sweep(ServiceProxy *p) {
    uint64_t now = now_monotonic_ns(), next;
    _cleanup_free_ char *script = proxy_table_sweep(p->table, now, &next), *error = NULL;
    if (script && nft_run(script, &error) < 0)
        log_debug("chains that are no longer used stay: %s", error);
    if (next)
        workqueue_add_after(p->queue, "sync", next - now);
}

static void clear_flows(const Round *round) {
    int r = conntrack_clear(round->frontends, round->n);
    if (r < 0)
        log_warn("cannot clear the flows of UDP services: %s", strerror(-r));
    else if (r > 0)
        log_debug("cleared %d flows of UDP services", r);
}

static void failed(ServiceProxy *p, bool everything) {
    p->replace = everything;
    p->retry_ns = p->retry_ns ? MIN(p->retry_ns * 2, PROXY_RETRY_MAX_NS) : PROXY_RETRY_FIRST_NS;
    atomic_store(&p->all, true);
    /* At once if only a change was refused: what the kernel has is not what we thought. */
    workqueue_add_after(p->queue, "sync", everything ? p->retry_ns : PROXY_COALESCE_NS);
}

static int sync_rules(ServiceProxy *p) {
    if (!service_index_synced(p->index) || !informer_synced(p->nodes)) {
        wake(p);
        return 0;
    }
    read_zone(p);
    bool everything = atomic_exchange(&p->all, false);
    _cleanup_(strmap_freep) StrMap *keys = take_dirty(p);
    _cleanup_arena_ Arena *arena = arena_new(0);
    Round round = {.proxy = p, .arena = arena};
    const char *key;
    void *unused;
    proxy_table_begin(p->table);
    int r = everything ? begin_all(p, keys) : 0;
    if (r == 0) {
        STRMAP_FOREACH (keys, key, unused)
            sync_service(&round, key);
        r = commit(p, everything);
    }
    if (r < 0)
        failed(p, everything);
    else {
        p->retry_ns = 0;
        p->replace = false;
        clear_flows(&round);
        sweep(p);
    }
    free(round.frontends);
    return 0;
}

static void filter_changed(void *userdata) {
    ServiceProxy *p = userdata;
    workqueue_add_after(p->queue, "check", atomic_load(&p->check_pause_ns));
}

static void check(ServiceProxy *p) {
    uint64_t begun = now_monotonic_ns();
    _cleanup_nft_names_ NftNames names = {0};
    _cleanup_free_ char *error = NULL;
    if (nft_names(p->settings.table, &names, &error) == 0 && !str_in("services", (const char *const *)names.chains)) {
        if (!atomic_exchange(&p->all, true))
            log_info("the table %s is not there; writing it", p->settings.table);
        wake(p);
    }
    uint64_t pause = PROXY_CHECK_SHARE * (now_monotonic_ns() - begun);
    atomic_store(&p->check_pause_ns, MIN(MAX(pause, PROXY_CHECK_SOON_NS), PROXY_CHECK_NS));
    workqueue_add_after(p->queue, "check", PROXY_CHECK_NS);
}

static int work(const char *key, void *userdata) {
    ServiceProxy *p = userdata;
    uint64_t begun = now_monotonic_ns();
    if (p->news)
        filter_news_mine(p->news); /* the queue's one thread; another after it was idle */
    if (!streq(key, "sync")) {
        check(p);
        return 0;
    }
    int r = sync_rules(p);
    uint64_t pause = PROXY_PAUSE_FACTOR * (now_monotonic_ns() - begun);
    atomic_store(&p->pause_ns, MIN(MAX(pause, PROXY_COALESCE_NS), PROXY_PAUSE_MAX_NS));
    return r;
}

/* ---- life ---- */

/* Without it, a bridge hands packets from pod to pod past the packet filter. */
static bool bridge_passes_filter(void) {
    int r = fs_write_control(BRIDGE_CALLS, "1");
    if (r < 0)
        log_info("%s: %s; pods of this node see each other's requests to Services come from the node", BRIDGE_CALLS,
                 strerror(-r));
    return r == 0;
}

static bool is_range(const char *text) {
    struct in_addr address;
    const char *slash = text ? strchr(text, '/') : NULL;
    uint64_t bits;
    if (!text)
        return true;
    if (!slash || str_to_uint64(slash + 1, &bits) < 0 || bits > 32)
        return false;
    _cleanup_free_ char *host = xstrndup(text, (size_t)(slash - text));
    return inet_pton(AF_INET, host, &address) == 1;
}

static bool settings_are_valid(const ProxySettings *s) {
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789-_.";
    struct in_addr address;
    return !str_empty(s->table) && strlen(s->table) < PROXY_TABLE_MAX &&
           strspn(s->table, letters) == strlen(s->table) && !str_empty(s->node_name) &&
           strspn(s->node_name, letters) == strlen(s->node_name) &&
           (str_empty(s->node_ip) || inet_pton(AF_INET, s->node_ip, &address) == 1) && is_range(s->cluster_cidr) &&
           is_range(s->service_cidr);
}

int service_proxy_new(const ServiceProxyConfig *config, ServiceProxy **ret) {
    static const InformerHandler nodes = {node_changed, node_updated, node_changed};
    const ProxySettings *s = &config->settings;
    if (!settings_are_valid(s))
        return -EINVAL;
    ServiceProxy *p = NEW0(ServiceProxy);
    _cleanup_free_ char *me = xasprintf("metadata.name=%s", s->node_name);
    p->index = config->index;
    p->settings = (ProxySettings){.table = xstrdup(s->table),
                                  .node_name = xstrdup(s->node_name),
                                  .zone = xstrdup(""),
                                  .node_ip = xstrdup(str_or(s->node_ip, "")),
                                  .cluster_cidr = xstrdup(s->cluster_cidr),
                                  .service_cidr = xstrdup(s->service_cidr),
                                  .masquerade_bridged = !bridge_passes_filter()};
    p->table = proxy_table_new(s->table);
    p->health = health_ports_new(str_or(s->node_ip, "0.0.0.0"));
    p->conflicts = strmap_new(NULL);
    p->dirty = strmap_new(NULL);
    atomic_store(&p->all, true);
    atomic_store(&p->pause_ns, PROXY_COALESCE_NS);
    pthread_mutex_init(&p->lock, NULL);
    atomic_store(&p->check_pause_ns, PROXY_CHECK_SOON_NS);
    p->queue = workqueue_new("proxy", 1, work, p);
    int r = filter_news_start(filter_changed, p, &p->news);
    if (r < 0)
        log_info("the kernel tells nothing of the packet filter: %s; it is looked at every half minute", strerror(-r));
    p->nodes = informer_get(config->informers, resource_find("", "v1", "nodes"), NULL, me);
    informer_add_handler(p->nodes, &nodes, p);
    service_index_subscribe(p->index, service_changed, p);
    wake(p);
    workqueue_add_after(p->queue, "check", PROXY_CHECK_NS);
    *ret = p;
    return 0;
}

void service_proxy_free(ServiceProxy *p) {
    if (!p)
        return;
    filter_news_stop(p->news);
    workqueue_free(p->queue);
    proxy_table_free(p->table);
    health_ports_free(p->health);
    strmap_free(p->conflicts);
    strmap_free(p->dirty);
    const char *strings[] = {p->settings.table,   p->settings.node_name,    p->settings.zone,
                             p->settings.node_ip, p->settings.cluster_cidr, p->settings.service_cidr};
    for (size_t i = 0; i < ELEMENTSOF(strings); i++)
        free((char *)(uintptr_t)strings[i]);
    pthread_mutex_destroy(&p->lock);
    free(p);
}
