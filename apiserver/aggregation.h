/* Keeps the APIServices (k8s.io/kube-aggregator): registers the groups and versions that this server answers and those
 * that definitions make, looks whether the servers behind the others answer, and fetches what those say of themselves.
 * Publishes what other API servers need to trust this one (ConfigMap kube-system/extension-apiserver-authentication).
 *
 * One thread looks at everything whenever something changed; what waits for other servers runs on a pool. */
#pragma once

#include "apiserver/handlers/http.h"
#include "apiserver/health.h"
#include "apiserver/registry/api_services.h"

#define AGGREGATION_RESYNC_SECONDS 30   /* as the reference's availability controller */
#define AGGREGATION_GATHER_NS 10000000l /* changes that come together are looked at together */
#define AGGREGATION_BACKOFF_NS (250ull * 1000000)
#define AGGREGATION_CHECK_SECONDS 5 /* for one answer of another server */
#define AGGREGATION_THREADS 5
#define AGGREGATION_DOCUMENT_MAX (16 * 1024 * 1024) /* bytes of one document of another server */

typedef struct Aggregation Aggregation;

typedef struct AggregationConfig { /* borrowed */
    ApiHttp *api;                  /* its config names the services and our certificate */
    Health *health;
    const char *client_ca_file, *front_ca_file;
    const char *front_name; /* of our certificate */
} AggregationConfig;

/* What this server answers is registered when it returns, unless the store fails: it is tried again then. NULL
 * (logged): no thread. */
Aggregation *aggregation_start(const AggregationConfig *config);
void aggregation_stop(Aggregation *aggregation); /* NULL is fine; waits for what is under way */
