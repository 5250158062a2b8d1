#define LOG_COMPONENT "controllers"
#include "controllers/controllers.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "controllers/controller_internal.h"

#include <errno.h>
#include <pthread.h>

static const ControllerRow *const table[] = {
    &controller_namespace,
    &controller_serviceaccount,
    &controller_root_ca,
    &controller_deployment,
    &controller_replicaset,
    &controller_replicationcontroller,
    &controller_garbage_collector,
    &controller_endpointslice,
    &controller_endpoints,
    &controller_daemonset,
    &controller_statefulset,
    &controller_disruption,
    &controller_job,
    &controller_cronjob,
    &controller_ttl_after_finished,
    &controller_podgc,
    &controller_nodelifecycle,
    &controller_taint_eviction,
    &controller_nodeipam,
    &controller_pvc_protection,
    &controller_pv_protection,
    &controller_vac_protection,
    &controller_resource_quota,
    &controller_account_tokens,
    &controller_clusterrole_aggregation,
    &controller_endpointslice_mirroring,
    &controller_service_cidr,
    &controller_certificate_signing,
    &controller_certificate_approving,
    &controller_certificate_cleaner,
    &controller_ephemeral_volume,
    &controller_node_ttl,
    &controller_bootstrap_signer,
    &controller_token_cleaner,
};

#define ACCOUNTS_NAMESPACE "kube-system"

struct Controllers {
    ControllersConfig config;
    InformerSet *informers;
    Discovery *discovery;
    WorkQueue *discoveries; /* one key: look again */
    Controller items[ELEMENTSOF(table)];
    size_t n;
    pthread_t starter;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool started, stopping, ready;
};

const char *controllers_name(size_t index) {
    return index < ELEMENTSOF(table) ? table[index]->name : NULL;
}

static const char *account_of(const ControllerRow *row) {
    return row->account ? row->account : row->name;
}

const char *controllers_account(size_t index) {
    return index < ELEMENTSOF(table) ? account_of(table[index]) : NULL;
}

/* ---- discovery ---- */

#define LOOK_AGAIN "discovery"
#define LOOK_LATER_NS (2 * NS_PER_SEC)
#define FIRST_LOOK_NS (30 * NS_PER_SEC) /* as the reference's garbage collector waits for its first sync */

static int look(Controllers *controllers) {
    _cleanup_api_error_ ApiError err = {0};
    int r = discovery_refresh(controllers->discovery, &err);
    if (r < 0) {
        log_warn("cannot discover what the server serves: %s", str_or(err.message, strerror(-r)));
        return r;
    }
    for (size_t i = 0; i < controllers->n; i++)
        if (controllers->items[i].discovered)
            controllers->items[i].discovered(controllers->discovery, controllers->items[i].discovered_userdata);
    return 0;
}

static int look_again(const char *key, void *userdata) {
    Controllers *controllers = userdata;
    int r = look(controllers);
    if (r < 0)
        return r;
    workqueue_add_after(controllers->discoveries, key, CONTROLLER_DISCOVERY_SECONDS * NS_PER_SEC);
    return 0;
}

/* And a little later: an aggregated server is asked what it serves only once it is available. */
static void definition_changed(_unused_ Object *object, void *userdata) {
    Controllers *controllers = userdata;
    workqueue_add(controllers->discoveries, LOOK_AGAIN);
    workqueue_add_after(controllers->discoveries, LOOK_AGAIN, LOOK_LATER_NS);
}

static void definition_updated(_unused_ Object *old, Object *object, void *userdata) {
    definition_changed(object, userdata);
}

/* What makes resources come and go. */
static void follow_definitions(Controllers *controllers) {
    static const struct {
        const char *group, *plural;
    } sources[] = {{"apiextensions.k8s.io", "customresourcedefinitions"}, {"apiregistration.k8s.io", "apiservices"}};
    controllers->discoveries = workqueue_new("discovery", 1, look_again, controllers);
    workqueue_hold(controllers->discoveries);
    workqueue_add(controllers->discoveries, LOOK_AGAIN);
    bool wanted = false;
    for (size_t i = 0; i < controllers->n; i++)
        wanted = wanted || controllers->items[i].discovered;
    for (size_t i = 0; wanted && i < ELEMENTSOF(sources); i++)
        informer_add_handler(
            informer_get_metadata(controllers->informers, resource_find(sources[i].group, "v1", sources[i].plural)),
            &(InformerHandler){definition_changed, definition_updated, definition_changed}, controllers);
    if (!wanted)
        workqueue_free(TAKE_PTR(controllers->discoveries));
}

/* ---- which ones ---- */

/* -1 not named, 0 "-name", 1 "name"; *ret_star: the list has "*". */
static int named_in(const char *list, const char *name, bool *ret_star) {
    int named = -1;
    for (const char *p = list; *p;) {
        size_t n = strcspn(p, ",");
        bool off = *p == '-';
        if (n == 1 && *p == '*')
            *ret_star = true;
        else if (n == strlen(name) + off && strncmp(p + off, name, n - off) == 0)
            named = !off;
        p += n + (p[n] == ',');
    }
    return named;
}

static bool is_enabled(const char *list, const ControllerRow *row) {
    bool star = false;
    int named = named_in(list, row->name, &star);
    return named >= 0 ? named : star && !row->off_by_default;
}

static int check_names(const char *list) {
    for (const char *p = list; *p;) {
        size_t n = strcspn(p, ","), off = *p == '-';
        bool known = (n == 1 && *p == '*') || n == 0;
        for (size_t i = 0; i < ELEMENTSOF(table) && !known; i++)
            known = strlen(table[i]->name) == n - off && strncmp(p + off, table[i]->name, n - off) == 0;
        if (!known) {
            log_error("\"%.*s\" is not in the list of known controllers", (int)(n - off), p + off);
            return -EINVAL;
        }
        p += n + (p[n] == ',');
    }
    return 0;
}

/* ---- start and stop ---- */

static bool is_stopping(Controllers *controllers) {
    pthread_mutex_lock(&controllers->lock);
    bool stopping = controllers->stopping;
    pthread_mutex_unlock(&controllers->lock);
    return stopping;
}

static void release(Controller *controller) {
    if (controller->row->ready)
        controller->row->ready(controller->data);
    for (size_t i = 0; i < controller->n_queues; i++)
        workqueue_release(controller->queues[i]);
}

/* False when told to stop. */
static bool wait_for_needs(Controllers *controllers, const Controller *controller) {
    for (size_t i = 0; i < controller->n_needs; i++)
        while (!informer_wait_synced(controller->needs[i], 10 * NS_PER_SEC)) {
            if (is_stopping(controllers))
                return false;
            log_warn("%s waits for %s", controller->row->name, informer_resource(controller->needs[i])->plural);
        }
    return !is_stopping(controllers);
}

/* Waits until told to stop, at most so long. */
static void pause_until(Controllers *controllers, uint64_t due) {
    struct timespec until = {.tv_sec = (time_t)(due / NS_PER_SEC), .tv_nsec = (long)(due % NS_PER_SEC)};
    pthread_mutex_lock(&controllers->lock);
    int r = 0;
    while (!controllers->stopping && r != ETIMEDOUT)
        r = pthread_cond_timedwait(&controllers->changed, &controllers->lock, &until);
    pthread_mutex_unlock(&controllers->lock);
}

/* The first look, while their queues and the one for later looks are held: those that follow what discovery names begin
 * with a full picture. One that cannot be had in time does not keep them from the rest. */
static void first_look(Controllers *controllers) {
    uint64_t now = now_monotonic_ns(), due = now + FIRST_LOOK_NS;
    while (look(controllers) < 0 && (now = now_monotonic_ns()) < due && !is_stopping(controllers))
        pause_until(controllers, MIN(due, now + NS_PER_SEC));
    now = now_monotonic_ns();
    if (!informer_set_wait_synced(controllers->informers, now < due ? due - now : 0) && !is_stopping(controllers))
        log_warn("not everything that is served could be listed yet; going on without");
}

static bool release_all(Controllers *controllers, bool by_discovery) {
    for (size_t i = 0; i < controllers->n; i++) {
        Controller *controller = &controllers->items[i];
        if ((controller->discovered != NULL) != by_discovery)
            continue;
        if (!wait_for_needs(controllers, controller))
            return false;
        release(controller);
    }
    return true;
}

static void *starter_main(void *userdata) {
    Controllers *controllers = userdata;
    pthread_setname_np(pthread_self(), "controllers");
    if (!release_all(controllers, false))
        return NULL;
    if (controllers->discoveries)
        first_look(controllers);
    if (!release_all(controllers, true))
        return NULL;
    if (controllers->discoveries)
        workqueue_release(controllers->discoveries);
    pthread_mutex_lock(&controllers->lock);
    controllers->ready = true;
    pthread_cond_broadcast(&controllers->changed);
    pthread_mutex_unlock(&controllers->lock);
    log_info("%zu controllers run", controllers->n);
    return NULL;
}

static void init_rows(Controllers *controllers) {
    const char *list = str_or(controllers->config.enabled, "*");
    for (size_t i = 0; i < ELEMENTSOF(table); i++) {
        if (!is_enabled(list, table[i]))
            continue;
        Controller *controller = &controllers->items[controllers->n];
        const char *account = account_of(table[i]);
        *controller = (Controller){.row = table[i],
                                   .config = &controllers->config,
                                   .informers = controllers->informers,
                                   .discovery = controllers->discovery};
        if (controllers->config.service_accounts && *account)
            controller->client = client_as_account(controllers->config.client, ACCOUNTS_NAMESPACE, account);
        controller->data = table[i]->init(controller);
        if (controller->data)
            controllers->n++;
        else
            client_free(controller->client);
    }
}

int controllers_start(const ControllersConfig *config, Controllers **ret) {
    int r = check_names(str_or(config->enabled, "*"));
    if (r < 0)
        return r;
    Controllers *controllers = NEW0(Controllers);
    pthread_condattr_t attr;
    pthread_attr_t thread_attr;
    controllers->config = *config;
    controllers->config.host = xstrdup(config->host);
    controllers->config.enabled = xstrdup(config->enabled);
    controllers->config.root_ca_pem = xstrdup(config->root_ca_pem);
    controllers->config.cluster_cidr = xstrdup(config->cluster_cidr);
    controllers->config.service_account_key_file = xstrdup(config->service_account_key_file);
    controllers->config.signing_cert_file = xstrdup(config->signing_cert_file);
    controllers->config.signing_key_file = xstrdup(config->signing_key_file);
    controllers->informers = informer_set_new(config->client);
    pthread_mutex_init(&controllers->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&controllers->changed, &attr);
    pthread_condattr_destroy(&attr);
    controllers->discovery = discovery_new(config->client);
    init_rows(controllers);
    follow_definitions(controllers);
    informer_set_start(controllers->informers);
    pthread_attr_init(&thread_attr);
    pthread_attr_setstacksize(&thread_attr, 256 * 1024);
    r = -pthread_create(&controllers->starter, &thread_attr, starter_main, controllers);
    pthread_attr_destroy(&thread_attr);
    controllers->started = r == 0;
    if (r < 0) {
        controllers_stop(controllers);
        return r;
    }
    *ret = controllers;
    return 0;
}

bool controllers_wait_ready(Controllers *controllers, uint64_t timeout_ns) {
    uint64_t due = now_monotonic_ns() + timeout_ns;
    struct timespec until = {.tv_sec = (time_t)(due / NS_PER_SEC), .tv_nsec = (long)(due % NS_PER_SEC)};
    pthread_mutex_lock(&controllers->lock);
    int r = 0;
    while (!controllers->ready && r != ETIMEDOUT)
        r = pthread_cond_timedwait(&controllers->changed, &controllers->lock, &until);
    bool ready = controllers->ready;
    pthread_mutex_unlock(&controllers->lock);
    return ready;
}

const char *controllers_started_name(const Controllers *controllers, size_t index) {
    return index < controllers->n ? controllers->items[index].row->name : NULL;
}

void controllers_write_metrics(Controllers *controllers, Buf *out) {
    WorkQueue *queues[ELEMENTSOF(table) * CONTROLLER_QUEUES_MAX];
    size_t n = 0;
    for (size_t i = 0; i < controllers->n; i++)
        for (size_t k = 0; k < controllers->items[i].n_queues; k++)
            queues[n++] = controllers->items[i].queues[k];
    workqueue_write_metrics(queues, n, out);
}

void controllers_stop(Controllers *controllers) {
    if (!controllers)
        return;
    pthread_mutex_lock(&controllers->lock);
    controllers->stopping = true;
    pthread_cond_broadcast(&controllers->changed);
    pthread_mutex_unlock(&controllers->lock);
    informer_set_stop(controllers->informers); /* also ends the starter's wait */
    if (controllers->started)
        pthread_join(controllers->starter, NULL);
    workqueue_free(controllers->discoveries);
    for (size_t i = 0; i < controllers->n; i++)
        for (size_t k = 0; k < controllers->items[i].n_queues; k++)
            workqueue_free(controllers->items[i].queues[k]);
    for (size_t i = 0; i < controllers->n; i++) {
        Controller *controller = &controllers->items[i];
        if (controller->row->free)
            controller->row->free(controller->data);
        else
            free(controller->data);
        event_recorder_free(controller->events);
        client_free(controller->client);
    }
    informer_set_free(controllers->informers);
    discovery_free(controllers->discovery);
    pthread_cond_destroy(&controllers->changed);
    pthread_mutex_destroy(&controllers->lock);
    free((char *)controllers->config.host);
    free((char *)controllers->config.enabled);
    free((char *)controllers->config.root_ca_pem);
    free((char *)controllers->config.cluster_cidr);
    free((char *)controllers->config.service_account_key_file);
    free((char *)controllers->config.signing_cert_file);
    free((char *)controllers->config.signing_key_file);
    free(controllers);
}
