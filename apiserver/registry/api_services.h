/* Which server answers which group and version: what the APIServices of the cluster say, read once. The keeper
 * (apiserver/aggregation.h) makes a new list whenever they change; requests, discovery and OpenAPI read the current
 * one. A list is immutable and reference-counted. Any thread. */
#pragma once

#include "api/value.h"

#include <stdatomic.h>

#define API_SERVICE_CUSTOM_GROUP_PRIORITY 1000 /* of groups that definitions make, as the reference registers them */
#define API_SERVICE_CUSTOM_VERSION_PRIORITY 100

/* What an aggregated server said of one group and version. Immutable, reference-counted. */
typedef struct ApiDocuments {
    atomic_uint refs;
    Arena *arena;            /* of all below */
    const Value *discovery;  /* an APIVersionDiscovery of apidiscovery.k8s.io/v2; NULL: not answered */
    const Value *openapi_v2; /* its document without the paths of others; NULL: none */
    const Value *openapi_v3; /* "apis/GROUP/VERSION" -> {serverRelativeURL}, as its index says; NULL: none */
} ApiDocuments;
ApiDocuments *api_documents_ref(ApiDocuments *documents); /* NULL is fine */
void api_documents_unref(ApiDocuments *documents);

typedef struct ApiService {
    const char *name, *group, *version;
    int64_t group_priority, version_priority;
    bool remote; /* else this server answers, and what follows is empty */
    bool available, insecure;
    const char *ns, *service, *server_name; /* NAME.NAMESPACE.svc */
    uint16_t port;
    const char *ca_pem; /* NULL: none was given */
    ApiDocuments *documents;
} ApiService;

typedef struct ApiServiceList {
    atomic_uint refs;
    Arena *arena;
    ApiService *items; /* in the order of the store */
    size_t n;
    uint64_t generation; /* grows with each list */
} ApiServiceList;
/* Of APIService trees. `documents` has one entry (may be NULL) for each. A new reference. */
ApiServiceList *api_service_list_new(const Value *const *services, ApiDocuments *const *documents, size_t n);
ApiServiceList *api_service_list_ref(ApiServiceList *list);
void api_service_list_unref(ApiServiceList *list);
DEFINE_CLEANUP(ApiServiceList, api_service_list_unref)
const ApiService *api_service_list_find(const ApiServiceList *list, const char *group, const char *version);

typedef struct ApiServices ApiServices;
ApiServices *api_services_new(void);
void api_services_free(ApiServices *services);
DEFINE_CLEANUP(ApiServices, api_services_free)
void api_services_set(ApiServices *services, ApiServiceList *list); /* takes the reference */
/* A new reference to the current list, which is empty at first. `services` may be NULL. */
ApiServiceList *api_services_get(ApiServices *services);
/* The current list when another server answers this group and version (a new reference, *ret is in it), else NULL:
 * cheap while nothing is aggregated. */
ApiServiceList *api_services_find_remote(ApiServices *services, const char *group, const char *version,
                                         const ApiService **ret);

/* The place of a built-in group and version among others, as the reference registers them; false when it has none. */
bool api_service_builtin_priority(const char *group, const char *version, int64_t *ret_group, int64_t *ret_version);
