#define LOG_COMPONENT "health"
#include "apiserver/health.h"
#include "apiserver/handlers/http.h"
#include "base/clock.h"
#include "base/str.h"
#include "daemon/checks.h"
#include "http/pki.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <unistd.h>

/* ---- what is asked now ---- */

/* A log that nobody reads stops whoever writes to it. */
static const char *ask_log(_unused_ void *health, _unused_ Arena *arena) {
    struct pollfd fd = {.fd = STDERR_FILENO, .events = POLLOUT};
    int r = poll(&fd, 1, 0);
    return r < 0 && errno != EINTR ? "logging failed" : r == 0 ? "logging blocked" : NULL;
}

static uint64_t store_deadline(void) {
    return now_monotonic_ns() + HEALTH_STORE_SECONDS * NS_PER_SEC;
}

static const char *ask_certificate(void *userdata, Arena *arena);
static const char *ask_store(void *userdata, Arena *arena);
static const char *ask_news(void *userdata, Arena *arena);
static const char *ask_shutdown(void *userdata, Arena *arena);

#define FACT(name) (1u << HEALTH_##name)
#define HOOK "poststarthook/"
/* In the reference's order. */
static const Check rows[] = {
    {"ping", CHECK_EVERYWHERE, check_ping, 0},
    {"log", CHECK_EVERYWHERE, ask_log, 0},
    {"loopback-serving-certificate", CHECK_HEALTHZ | CHECK_LIVEZ, ask_certificate, 0},
    {"etcd", CHECK_EVERYWHERE, ask_store, 0},
    {"etcd-readiness", CHECK_READYZ, ask_store, 0},
    {"informer-sync", CHECK_READYZ, NULL, FACT(DEFINITIONS_READ) | FACT(SERVICES_READ)},
    {HOOK "start-apiextensions-informers", CHECK_EVERYWHERE, NULL, FACT(DEFINITIONS_READ)},
    {HOOK "start-apiextensions-controllers", CHECK_EVERYWHERE, NULL, FACT(DEFINITIONS_FOLLOWED)},
    {HOOK "crd-informer-synced", CHECK_EVERYWHERE, NULL, FACT(DEFINITIONS_READ)},
    {HOOK "start-system-namespaces-controller", CHECK_EVERYWHERE, NULL, FACT(NAMESPACES)},
    {HOOK "start-cluster-authentication-info-controller", CHECK_EVERYWHERE, NULL, FACT(TRUST_PUBLISHED)},
    {HOOK "storage-readiness", CHECK_EVERYWHERE, ask_news, 0},
    {HOOK "start-service-ip-repair-controllers", CHECK_EVERYWHERE, NULL, FACT(SERVICE_IPS)},
    {HOOK "rbac/bootstrap-roles", CHECK_EVERYWHERE, NULL, FACT(ROLES)},
    {HOOK "scheduling/bootstrap-system-priority-classes", CHECK_EVERYWHERE, NULL, FACT(PRIORITY_CLASSES)},
    {HOOK "priority-and-fairness-config-producer", CHECK_EVERYWHERE, NULL, FACT(FLOW_CONTROL)},
    {HOOK "bootstrap-controller", CHECK_EVERYWHERE, NULL, FACT(KUBERNETES_SERVICE)},
    {HOOK "start-kubernetes-service-cidr-controller", CHECK_EVERYWHERE, NULL, FACT(SERVICE_RANGE)},
    {HOOK "start-kube-aggregator-informers", CHECK_EVERYWHERE, NULL, FACT(SERVICES_READ)},
    {HOOK "apiservice-status-local-available-controller", CHECK_EVERYWHERE, NULL, FACT(SERVICES_FOLLOWED)},
    {HOOK "apiservice-status-remote-available-controller", CHECK_EVERYWHERE, NULL, FACT(SERVICES_FOLLOWED)},
    {HOOK "apiservice-registration-controller", CHECK_EVERYWHERE, NULL, FACT(SERVICES_FOLLOWED)},
    {HOOK "apiservice-discovery-controller", CHECK_EVERYWHERE, NULL, FACT(SERVICES_FOLLOWED)},
    {HOOK "kube-apiserver-autoregistration", CHECK_EVERYWHERE, NULL, FACT(GROUPS_REGISTERED)},
    {"autoregister-completion", CHECK_EVERYWHERE, NULL, FACT(GROUPS_REGISTERED)},
    {HOOK "apiservice-openapi-controller", CHECK_EVERYWHERE, NULL, FACT(SERVICES_FOLLOWED)},
    {HOOK "apiservice-openapiv3-controller", CHECK_EVERYWHERE, NULL, FACT(SERVICES_FOLLOWED)},
    {"shutdown", CHECK_READYZ, ask_shutdown, 0},
};

struct Health {
    Store *store;
    const char *cert_file;
    Pool *pool;
    Checks *checks;
    atomic_bool stopping;
};

static const char *ask_certificate(void *userdata, _unused_ Arena *arena) {
    const Health *health = userdata;
    int64_t end_ns;
    if (pki_cert_not_after(health->cert_file, &end_ns) < 0)
        return "the serving certificate cannot be read";
    return now_realtime_ns() >= end_ns ? "the serving certificate has expired" : NULL;
}

static const char *ask_store(void *userdata, Arena *arena) {
    const Health *health = userdata;
    int r = store_check(health->store, store_deadline());
    return r < 0 ? arena_printf(arena, "the store: %s", strerror(-r)) : NULL;
}

/* Do we hear what other servers write? */
static const char *ask_news(void *userdata, Arena *arena) {
    const Health *health = userdata;
    int r = store_is_shared(health->store) ? store_sync(health->store, store_deadline())
                                           : store_check(health->store, store_deadline());
    return r < 0 ? arena_printf(arena, "the store: %s", strerror(-r)) : NULL;
}

static const char *ask_shutdown(void *userdata, _unused_ Arena *arena) {
    const Health *health = userdata;
    return atomic_load(&health->stopping) ? "process is shutting down" : NULL;
}

/* ---- answers ---- */

typedef struct Job {
    Health *health;
    HttpRequest *http; /* a reference */
    ChecksPath path;
} Job;

static void run_job(void *userdata) {
    Job *job = userdata;
    _cleanup_buf_ Buf out = BUF_INIT(CHECKS_REPLY_MAX);
    int status = checks_answer(job->health->checks, &job->path, http_query(job->http), &out);
    http_reply_text(job->http, status, "text/plain; charset=utf-8", str_or(out.data, ""));
    http_request_unref(job->http);
    free(job);
}

bool health_serve(Health *health, HttpRequest *http, const char *path) {
    ChecksPath which;
    int r = checks_find(health->checks, path, &which);
    if (r == -ENOTDIR)
        return false;
    if (r < 0) {
        http_reply_text(http, 404, "text/plain; charset=utf-8", "404 page not found\n");
        return true;
    }
    Job *job = NEW(Job);
    *job = (Job){health, http_request_ref(http), which};
    if (pool_submit(health->pool, run_job, job) < 0) {
        http_reply_text(http, 429, "text/plain; charset=utf-8", "Too many requests, please try again later.\n");
        http_request_unref(job->http);
        free(job);
    }
    return true;
}

void health_list_paths(const Health *health, Arena *arena, Value *paths) {
    checks_list_paths(health->checks, arena, paths);
}

void health_write_slis(Health *health, Buf *out) {
    checks_write_slis(health->checks, out);
}

/* ---- its life ---- */

Health *health_new(Store *store, const char *cert_file) {
    Health *health = NEW0(Health);
    health->store = store;
    health->cert_file = cert_file;
    health->checks = checks_new(&(ChecksConfig){
        .component = "apiserver", .rows = rows, .n = ELEMENTSOF(rows), .roots = CHECK_EVERYWHERE, .userdata = health});
    health->pool = pool_new("health", HEALTH_THREADS, HEALTH_QUEUE);
    return health;
}

void health_free(Health *health) {
    if (!health)
        return;
    pool_free(health->pool);
    checks_free(health->checks);
    free(health);
}

void health_report(Health *health, HealthFact fact, bool holds) {
    if (health)
        checks_report(health->checks, 1u << fact, holds);
}

void health_shut_down(Health *health) {
    if (health)
        atomic_store(&health->stopping, true);
}
