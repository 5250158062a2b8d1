/* The API server's health checks (daemon/checks.h), with the names of kube-apiserver. Its checks that have no meaning
 * here are not served (docs/status.md). A check asks the store, the log or our certificate now, or tells of facts that
 * those who work in the background report. Any thread. */
#pragma once

#include "api/value.h"
#include "apiserver/storage/store.h"
#include "http/server.h"

#define HEALTH_STORE_SECONDS 2 /* for the store to answer a check, as --etcd-healthcheck-timeout of the reference */
#define HEALTH_THREADS 4       /* checks wait for the store */
#define HEALTH_QUEUE 256       /* questions that wait for a thread; past it 429 */

typedef struct Health Health;

/* Each false until it is reported. */
typedef enum HealthFact {
    HEALTH_DEFINITIONS_FOLLOWED, /* custom resource definitions have their keeper */
    HEALTH_DEFINITIONS_READ,     /* which served those it found at its last look */
    HEALTH_SERVICES_FOLLOWED,    /* so have APIServices */
    HEALTH_SERVICES_READ,
    HEALTH_GROUPS_REGISTERED, /* every group and version of ours has its APIService */
    HEALTH_TRUST_PUBLISHED,   /* what others need to believe us */
    HEALTH_NAMESPACES,
    HEALTH_PRIORITY_CLASSES,
    HEALTH_FLOW_CONTROL,
    HEALTH_ROLES,
    HEALTH_SERVICE_RANGE,
    HEALTH_KUBERNETES_SERVICE,
    HEALTH_SERVICE_IPS, /* each cluster IP has its IPAddress */
    HEALTH_FACTS,
} HealthFact;

/* The store and the path of the certificate at the door are borrowed. */
Health *health_new(Store *store, const char *cert_file);
void health_free(Health *health); /* waits for questions under way */
DEFINE_CLEANUP(Health, health_free)
/* `health` may be NULL: nobody asks. */
void health_report(Health *health, HealthFact fact, bool holds);
void health_shut_down(Health *health); /* from now on /readyz fails */

/* /healthz, /livez or /readyz or one check below them (404 unless there is such a check); false: another path. */
bool health_serve(Health *health, HttpRequest *http, const char *path);
/* Appends the paths that health_serve answers to an array of strings. */
void health_list_paths(const Health *health, Arena *arena, Value *paths);
void health_write_slis(Health *health, Buf *out);
