#include "apiserver/registry/api_services.h"
#include "base/str.h"

#include <pthread.h>

struct ApiServices {
    pthread_mutex_t lock;
    ApiServiceList *current;
    atomic_size_t n_remote;
    uint64_t generation;
};

/* k8s.io/kubernetes/pkg/controlplane/apiserver, DefaultGenericAPIServicePriorities, and what cmd/kube-apiserver adds.
 */
static const struct {
    const char *group, *version;
    int group_priority, version_priority;
} builtin[] = {
    {"", "v1", 18000, 1},
    {"apps", "v1", 17800, 15},
    {"events.k8s.io", "v1", 17750, 15},
    {"authentication.k8s.io", "v1", 17700, 15},
    {"authorization.k8s.io", "v1", 17600, 15},
    {"autoscaling", "v1", 17500, 15},
    {"autoscaling", "v2", 17500, 30},
    {"batch", "v1", 17400, 15},
    {"certificates.k8s.io", "v1", 17300, 15},
    {"networking.k8s.io", "v1", 17200, 15},
    {"policy", "v1", 17100, 15},
    {"rbac.authorization.k8s.io", "v1", 17000, 15},
    {"storage.k8s.io", "v1", 16800, 15},
    {"apiextensions.k8s.io", "v1", 16700, 15},
    {"admissionregistration.k8s.io", "v1", 16700, 15},
    {"scheduling.k8s.io", "v1", 16600, 15},
    {"coordination.k8s.io", "v1", 16500, 15},
    {"node.k8s.io", "v1", 16300, 15},
    {"discovery.k8s.io", "v1", 16200, 15},
    {"flowcontrol.apiserver.k8s.io", "v1", 16100, 21},
    {"resource.k8s.io", "v1", 16200, 21},
};

bool api_service_builtin_priority(const char *group, const char *version, int64_t *ret_group, int64_t *ret_version) {
    for (size_t i = 0; i < ELEMENTSOF(builtin); i++)
        if (streq(builtin[i].group, group) && streq(builtin[i].version, version)) {
            *ret_group = builtin[i].group_priority;
            *ret_version = builtin[i].version_priority;
            return true;
        }
    return false;
}

ApiDocuments *api_documents_ref(ApiDocuments *documents) {
    if (documents)
        atomic_fetch_add_explicit(&documents->refs, 1, memory_order_relaxed);
    return documents;
}

void api_documents_unref(ApiDocuments *documents) {
    if (documents && atomic_fetch_sub_explicit(&documents->refs, 1, memory_order_acq_rel) == 1)
        arena_free(documents->arena); /* which it lives in */
}

ApiServiceList *api_service_list_ref(ApiServiceList *list) {
    atomic_fetch_add_explicit(&list->refs, 1, memory_order_relaxed);
    return list;
}

void api_service_list_unref(ApiServiceList *list) {
    if (!list || atomic_fetch_sub_explicit(&list->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (size_t i = 0; i < list->n; i++)
        api_documents_unref(list->items[i].documents);
    arena_free(list->arena);
}

static const char *text(Arena *arena, const Value *v, const char *name) {
    return arena_strdup(arena, str_or(value_get_str(v, name), ""));
}

static const char *decode_ca(Arena *arena, const char *base64) {
    _cleanup_free_ uint8_t *pem = NULL;
    size_t n;
    if (str_empty(base64) || base64_decode(base64, strlen(base64), &pem, &n) < 0)
        return NULL;
    return arena_strndup(arena, (char *)pem, n);
}

static bool is_available(const Value *service) {
    const Value *condition;
    VALUE_FOREACH (condition, value_path(service, "status", "conditions", NULL))
        if (streq_null(value_get_str(condition, "type"), "Available"))
            return streq_null(value_get_str(condition, "status"), "True");
    return false;
}

static ApiService read_service(Arena *arena, const Value *v) {
    const Value *spec = value_get(v, "spec"), *service = value_get(spec, "service");
    ApiService out = {
        .name = text(arena, value_get(v, "metadata"), "name"),
        .group = text(arena, spec, "group"),
        .version = text(arena, spec, "version"),
        .group_priority = value_get_int(spec, "groupPriorityMinimum", 0),
        .version_priority = value_get_int(spec, "versionPriority", 0),
        .remote = value_is(service, VALUE_OBJECT),
        .available = is_available(v),
        .insecure = value_get_bool(spec, "insecureSkipTLSVerify", false),
    };
    if (!out.remote)
        return out;
    out.ns = text(arena, service, "namespace");
    out.service = text(arena, service, "name");
    out.server_name = arena_printf(arena, "%s.%s.svc", out.service, out.ns);
    out.port = (uint16_t)value_get_int(service, "port", 443);
    out.ca_pem = decode_ca(arena, value_get_str(spec, "caBundle"));
    return out;
}

ApiServiceList *api_service_list_new(const Value *const *services, ApiDocuments *const *documents, size_t n) {
    Arena *arena = arena_new(0);
    ApiServiceList *list = ARENA_NEW0(arena, ApiServiceList);
    list->refs = 1;
    list->arena = arena;
    list->items = arena_alloc0(arena, (n + 1) * sizeof *list->items);
    list->n = n;
    for (size_t i = 0; i < n; i++) {
        list->items[i] = read_service(arena, services[i]);
        list->items[i].documents = api_documents_ref(documents[i]);
    }
    return list;
}

const ApiService *api_service_list_find(const ApiServiceList *list, const char *group, const char *version) {
    for (size_t i = 0; i < list->n; i++)
        if (streq(list->items[i].group, group) && streq(list->items[i].version, version))
            return &list->items[i];
    return NULL;
}

ApiServices *api_services_new(void) {
    ApiServices *services = NEW0(ApiServices);
    pthread_mutex_init(&services->lock, NULL);
    services->current = api_service_list_new(NULL, NULL, 0);
    return services;
}

void api_services_free(ApiServices *services) {
    if (!services)
        return;
    api_service_list_unref(services->current);
    pthread_mutex_destroy(&services->lock);
    free(services);
}

void api_services_set(ApiServices *services, ApiServiceList *list) {
    size_t n = 0;
    for (size_t i = 0; i < list->n; i++)
        n += list->items[i].remote;
    pthread_mutex_lock(&services->lock);
    ApiServiceList *old = services->current;
    list->generation = ++services->generation;
    services->current = list;
    atomic_store(&services->n_remote, n);
    pthread_mutex_unlock(&services->lock);
    api_service_list_unref(old);
}

ApiServiceList *api_services_get(ApiServices *services) {
    if (!services)
        return api_service_list_new(NULL, NULL, 0);
    pthread_mutex_lock(&services->lock);
    ApiServiceList *list = api_service_list_ref(services->current);
    pthread_mutex_unlock(&services->lock);
    return list;
}

ApiServiceList *api_services_find_remote(ApiServices *services, const char *group, const char *version,
                                         const ApiService **ret) {
    if (!services || atomic_load_explicit(&services->n_remote, memory_order_relaxed) == 0)
        return NULL;
    ApiServiceList *list = api_services_get(services);
    const ApiService *found = api_service_list_find(list, group, version);
    if (!found || !found->remote) {
        api_service_list_unref(list);
        return NULL;
    }
    *ret = found;
    return list;
}
