#include "controllers/service_pods.h"

#include "base/str.h"
#include "base/strmap.h"
#include "controllers/controller.h"
#include "controllers/meta.h"
#include "controllers/pods.h"

#include <pthread.h>
#include <stdio.h>

struct ServiceSelectors {
    pthread_mutex_t lock;
    StrMap *by_key; /* namespace/name to Selector; services without a selector are not in it */
};

static void free_selector(void *selector) {
    selector_free(selector);
}

ServiceSelectors *service_selectors_new(void) {
    ServiceSelectors *selectors = NEW(ServiceSelectors);
    pthread_mutex_init(&selectors->lock, NULL);
    selectors->by_key = strmap_new(free_selector);
    return selectors;
}

void service_selectors_free(ServiceSelectors *selectors) {
    if (!selectors)
        return;
    strmap_free(selectors->by_key);
    pthread_mutex_destroy(&selectors->lock);
    free(selectors);
}

void service_selectors_set(ServiceSelectors *selectors, const Object *service) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    Value *map = value_path(object_value(service, arena), "spec", "selector", NULL);
    const char *key = object_key(arena, service);
    Selector *selector = value_len(map) > 0 ? label_selector_from_map(map) : NULL;
    pthread_mutex_lock(&selectors->lock);
    if (selector)
        strmap_put(selectors->by_key, key, selector);
    else
        strmap_remove(selectors->by_key, key);
    pthread_mutex_unlock(&selectors->lock);
}

void service_selectors_drop(ServiceSelectors *selectors, const Object *service) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    pthread_mutex_lock(&selectors->lock);
    strmap_remove(selectors->by_key, object_key(arena, service));
    pthread_mutex_unlock(&selectors->lock);
}

void service_selectors_enqueue(ServiceSelectors *selectors, const Object *pod, WorkQueue *queue) {
    const char *ns = object_namespace(pod), *key;
    size_t n = strlen(ns);
    Selector *selector;
    pthread_mutex_lock(&selectors->lock);
    STRMAP_FOREACH (selectors->by_key, key, selector)
        if (strncmp(key, ns, n) == 0 && key[n] == '/' && label_selector_matches(selector, pod))
            workqueue_add(queue, key);
    pthread_mutex_unlock(&selectors->lock);
}

bool ip_is_v6(const char *ip) {
    return strchr(ip, ':') != NULL;
}

bool published_pod_read(Arena *arena, Object *pod, PublishedPod *ret) {
    const char *phase = str_or(object_field(pod, "status.phase"), "");
    if (pod_is_finished(phase))
        return false;
    Value *value = object_value(pod, arena), *ip;
    PublishedPod read = {.object = pod, .value = value, .terminating = object_is_deleting(pod)};
    VALUE_FOREACH (ip, value_path(value, "status", "podIPs", NULL)) {
        const char *text = value_get_str(ip, "ip");
        if (!str_empty(text) && !read.ips[ip_is_v6(text)])
            read.ips[ip_is_v6(text)] = text;
    }
    const char *only = value_get_str(value_get(value, "status"), "podIP");
    if (!str_empty(only) && !read.ips[ip_is_v6(only)])
        read.ips[ip_is_v6(only)] = only;
    if (!read.ips[0] && !read.ips[1])
        return false;
    read.ready = streq(condition_status(value_path(value, "status", "conditions", NULL), "Ready"), "True");
    *ret = read;
    return true;
}

static int64_t named_port(const Value *containers, const char *name, const char *protocol, bool sidecars_only) {
    Value *container, *port;
    VALUE_FOREACH (container, containers) {
        if (sidecars_only && !streq(str_or(value_get_str(container, "restartPolicy"), ""), "Always"))
            continue;
        VALUE_FOREACH (port, value_get(container, "ports")) {
            const char *port_name = value_get_str(port, "name");
            if (port_name && streq(port_name, name) && streq(str_or(value_get_str(port, "protocol"), "TCP"), protocol))
                return value_get_int(port, "containerPort", 0);
        }
    }
    return 0;
}

int64_t published_pod_port(const PublishedPod *pod, const Value *service_port) {
    const Value *target = value_get(service_port, "targetPort"), *spec = value_get(pod->value, "spec");
    const char *name = value_str(target), *protocol = str_or(value_get_str(service_port, "protocol"), "TCP");
    if (value_is(target, VALUE_INT))
        return target->integer ? target->integer : value_get_int(service_port, "port", 0);
    if (str_empty(name))
        return value_get_int(service_port, "port", 0);
    int64_t port = named_port(value_get(spec, "containers"), name, protocol, false);
    return port ? port : named_port(value_get(spec, "initContainers"), name, protocol, true);
}

const char *published_pod_hostname(const PublishedPod *pod, const char *service_name) {
    const Value *spec = value_get(pod->value, "spec");
    const char *hostname = value_get_str(spec, "hostname"), *subdomain = value_get_str(spec, "subdomain");
    return !str_empty(hostname) && subdomain && streq(subdomain, service_name) ? hostname : NULL;
}

Value *published_pod_target(Arena *arena, const PublishedPod *pod) {
    Value *target = value_object(arena);
    value_set_str(arena, target, "kind", "Pod");
    value_set_str(arena, target, "namespace", object_namespace(pod->object));
    value_set_str(arena, target, "name", object_name(pod->object));
    value_set_str(arena, target, "uid", object_uid(pod->object));
    return target;
}

bool service_pods_headless(const Value *service) {
    const char *ip = value_get_str(value_get(service, "spec"), "clusterIP");
    return ip && streq(ip, "None");
}
