#include "kubelet/qos.h"

#include "api/pod_qos.h"
#include "api/quantity.h"
#include "base/str.h"

#define GUARANTEED_OOM_SCORE (-997)
#define BEST_EFFORT_OOM_SCORE 1000

static bool quantity_of(const Value *resources, const char *list, const char *name, Quantity *ret) {
    const Value *v = value_get(value_get(resources, list), name);
    if (value_is(v, VALUE_INT)) {
        *ret = quantity_from_int(v->integer, QUANTITY_DECIMAL_SI);
        return true;
    }
    return value_is(v, VALUE_STRING) && quantity_parse(v->string, ret) == 0;
}

int64_t resource_milli(const Value *resources, const char *list, const char *name) {
    Quantity q;
    return quantity_of(resources, list, name, &q) ? quantity_milli_value(&q) : -1;
}

int64_t resource_units(const Value *resources, const char *list, const char *name) {
    Quantity q;
    return quantity_of(resources, list, name, &q) ? quantity_value(&q) : -1;
}

QosClass pod_qos_class(const Value *pod) {
    const char *name = pod_qos(pod);
    return streq(name, "Guaranteed") ? QOS_GUARANTEED : streq(name, "Burstable") ? QOS_BURSTABLE : QOS_BEST_EFFORT;
}

int64_t cpu_shares_from_milli(int64_t milli) {
    if (milli <= 0)
        return CPU_MIN_SHARES;
    int64_t shares = milli > INT64_MAX / 1024 ? CPU_MAX_SHARES : milli * 1024 / 1000;
    return MAX((int64_t)CPU_MIN_SHARES, MIN(shares, (int64_t)CPU_MAX_SHARES));
}

int64_t cpu_quota_from_milli(int64_t milli) {
    if (milli <= 0)
        return 0;
    if (milli > INT64_MAX / CPU_PERIOD_US)
        return 0;
    return MAX(milli * CPU_PERIOD_US / 1000, (int64_t)CPU_MIN_QUOTA_US);
}

int64_t cpu_weight_from_shares(int64_t shares) {
    shares = MAX((int64_t)CPU_MIN_SHARES, MIN(shares, (int64_t)CPU_MAX_SHARES));
    return 1 + ((shares - 2) * 9999) / 262142;
}

int64_t cpu_shares_from_weight(int64_t weight) {
    return (weight - 1) * 262142 / 9999 + 2;
}

static int64_t request_of(const Value *resources, const char *name, bool milli) {
    int64_t v = milli ? resource_milli(resources, "requests", name) : resource_units(resources, "requests", name);
    if (v < 0)
        v = milli ? resource_milli(resources, "limits", name) : resource_units(resources, "limits", name);
    return MAX(v, (int64_t)0);
}

/* The largest demand at any moment: all containers with all sidecars, or one init container with the sidecars before
 * it. */
static int64_t containers_request(const Value *pod, const char *name, bool milli) {
    const Value *c;
    int64_t total = 0, sidecars = 0, init_peak = 0;
    VALUE_FOREACH (c, pod_init_containers(pod)) {
        int64_t r = request_of(value_get(c, "resources"), name, milli);
        if (container_is_sidecar(c))
            init_peak = MAX(init_peak, sidecars += r);
        else
            init_peak = MAX(init_peak, sidecars + r);
    }
    VALUE_FOREACH (c, pod_containers(pod))
        total += request_of(value_get(c, "resources"), name, milli);
    return MAX(total + sidecars, init_peak);
}

static int64_t effective_request(const Value *pod, const char *name, bool milli) {
    const Value *own = value_path(pod, "spec", "resources", NULL);
    int64_t declared = milli ? resource_milli(own, "requests", name) : resource_units(own, "requests", name);
    int64_t total = declared >= 0 ? declared : containers_request(pod, name, milli);
    Quantity overhead;
    const Value *spec = value_get(pod, "spec");
    if (quantity_of(spec, "overhead", name, &overhead))
        total += milli ? quantity_milli_value(&overhead) : quantity_value(&overhead);
    return total;
}

/* 0 when any long-running container has no limit. */
static int64_t effective_limit(const Value *pod, const char *name, bool milli) {
    const Value *own = value_path(pod, "spec", "resources", NULL), *c;
    int64_t declared = milli ? resource_milli(own, "limits", name) : resource_units(own, "limits", name);
    if (declared > 0)
        return declared;
    int64_t total = 0, sidecars = 0, init_peak = 0;
    VALUE_FOREACH (c, pod_init_containers(pod)) {
        const Value *resources = value_get(c, "resources");
        int64_t l = milli ? resource_milli(resources, "limits", name) : resource_units(resources, "limits", name);
        if (l <= 0)
            return 0;
        if (container_is_sidecar(c))
            init_peak = MAX(init_peak, sidecars += l);
        else
            init_peak = MAX(init_peak, sidecars + l);
    }
    VALUE_FOREACH (c, pod_containers(pod)) {
        const Value *resources = value_get(c, "resources");
        int64_t l = milli ? resource_milli(resources, "limits", name) : resource_units(resources, "limits", name);
        if (l <= 0)
            return 0;
        total += l;
    }
    return MAX(total + sidecars, init_peak);
}

void pod_resources(const Value *pod, PodResources *ret) {
    *ret = (PodResources){
        .cpu_request_milli = effective_request(pod, "cpu", true),
        .memory_request = effective_request(pod, "memory", false),
        .ephemeral_request = effective_request(pod, "ephemeral-storage", false),
        .cpu_limit_milli = effective_limit(pod, "cpu", true),
        .memory_limit = effective_limit(pod, "memory", false),
    };
}

Value *container_effective_resources(Arena *arena, const Value *pod, const Value *container) {
    static const char *const names[] = {"cpu", "memory"};
    const Value *own = value_get(container, "resources"),
                *limits = value_path(pod, "spec", "resources", "limits", NULL);
    Value *all = own ? value_copy(arena, own) : value_object(arena);
    for (size_t i = 0; i < ELEMENTSOF(names); i++)
        if (value_get(limits, names[i]) && resource_milli(own, "limits", names[i]) <= 0)
            value_set(arena, value_ensure_object(arena, all, "limits"), names[i],
                      value_copy(arena, value_get(limits, names[i])));
    return all;
}

static int64_t memory_request(const Value *container) {
    return MAX(resource_units(value_get(container, "resources"), "requests", "memory"), (int64_t)0);
}

/* What a pod asks for beyond its containers is shared among them (KEP-2837). */
static int64_t shared_request(const Value *pod) {
    int64_t own = resource_units(value_path(pod, "spec", "resources", NULL), "requests", "memory");
    size_t n = value_len(pod_containers(pod)) + value_len(pod_init_containers(pod));
    if (own <= 0 || n == 0)
        return 0;
    return (own - containers_request(pod, "memory", false)) / (int64_t)n;
}

static int burstable_score(int64_t request, uint64_t memory_capacity) {
    if (memory_capacity == 0)
        return BEST_EFFORT_OOM_SCORE - 1;
    int64_t score = 1000 - (int64_t)((__int128)1000 * request / (__int128)memory_capacity);
    if (score < 1000 + GUARANTEED_OOM_SCORE)
        return 1000 + GUARANTEED_OOM_SCORE;
    return score == BEST_EFFORT_OOM_SCORE ? BEST_EFFORT_OOM_SCORE - 1 : (int)score;
}

int container_oom_score_adj(const Value *pod, const Value *container, uint64_t memory_capacity) {
    if (pod_is_critical(pod) &&
        streq_null(value_get_str(value_get(pod, "spec"), "priorityClassName"), "system-node-critical"))
        return GUARANTEED_OOM_SCORE;
    QosClass class = pod_qos_class(pod);
    if (class == QOS_GUARANTEED)
        return GUARANTEED_OOM_SCORE;
    if (class == QOS_BEST_EFFORT)
        return BEST_EFFORT_OOM_SCORE;
    int64_t shared = shared_request(pod);
    int score = burstable_score(memory_request(container) + shared, memory_capacity);
    ContainerKind kind = CONTAINER_REGULAR;
    pod_find_container(pod, str_or(value_get_str(container, "name"), ""), &kind);
    if (kind == CONTAINER_INIT && container_is_sidecar(container)) {
        /* A sidecar must not die before the containers it serves: as the one of them that asks for least. */
        const Value *c;
        int64_t least = INT64_MAX;
        VALUE_FOREACH (c, pod_containers(pod))
            least = MIN(least, memory_request(c));
        if (least < INT64_MAX)
            score = MIN(score, burstable_score(least + shared, memory_capacity));
    }
    return score;
}
