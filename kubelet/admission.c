/* At the node's door: does a pod that was bound here fit, and may it run here at all? The checks, their order and their
 * words are those of the reference's predicate and sysctl admission (pkg/kubelet/lifecycle, pkg/kubelet/sysctl). Who is
 * let in holds its share of the node until its last container has ended. */
#include "kubelet/internal.h"

#include "api/node_affinity.h"
#include "api/toleration.h"
#include "base/str.h"

#include <errno.h>
#include <stdio.h>

#define NODE_WAIT_NS (NS_PER_SEC / 5) /* until the node's own object is known */
#define NO_MATCH "Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector"

/* ---- what pods hold ---- */

static void add_ports(const Value *containers, bool sidecars_only, PodDemand *demand) {
    const Value *c, *p;
    VALUE_FOREACH (c, containers) {
        if (sidecars_only && !container_is_sidecar(c))
            continue;
        VALUE_FOREACH (p, value_get(c, "ports")) {
            int64_t port = value_get_int(p, "hostPort", 0);
            if (port <= 0 || port > UINT16_MAX)
                continue;
            demand->ports = xreallocn(demand->ports, demand->n_ports + 1, sizeof *demand->ports);
            HostPort *to = &demand->ports[demand->n_ports++];
            *to = (HostPort){.port = (uint16_t)port};
            snprintf(to->protocol, sizeof to->protocol, "%s", str_or(value_get_str(p, "protocol"), "TCP"));
            const char *ip = str_or(value_get_str(p, "hostIP"), "");
            snprintf(to->ip, sizeof to->ip, "%s", *ip ? ip : "0.0.0.0");
        }
    }
}

static void demand_of(const Value *pod, PodDemand *ret) {
    *ret = (PodDemand){0};
    pod_resources(pod, &ret->resources);
    ret->qos = pod_qos_class(pod);
    add_ports(pod_containers(pod), false, ret);
    add_ports(pod_init_containers(pod), true, ret);
}

void demand_done(PodDemand *demand) {
    free(demand->ports);
    *demand = (PodDemand){0};
}

/* Under the lock: the cgroup of burstable pods has the CPU that those of them which hold some ask for. */
static void share_cpu(Kubelet *k) {
    _cleanup_free_ char *error = NULL;
    int64_t milli = 0;
    const char *uid;
    const Pod *p;
    STRMAP_FOREACH (k->pods, uid, p)
        if (p->holds && p->demand.qos == QOS_BURSTABLE)
            milli += p->demand.resources.cpu_request_milli;
    if (milli != k->burstable_milli && cgroups_burstable_share(k->cgroups, milli, &error) < 0)
        log_warn("the CPU share of burstable pods cannot be set: %s", error);
    k->burstable_milli = milli;
}

/* Under the lock; takes the demand. */
static void hold(Kubelet *k, Pod *p, PodDemand *demand) {
    demand_done(&p->demand);
    p->demand = *demand;
    p->holds = true;
    share_cpu(k);
}

void pod_hold(Kubelet *k, Pod *p, const Value *pod) {
    PodDemand demand;
    demand_of(pod, &demand);
    pthread_mutex_lock(&k->lock);
    hold(k, p, &demand);
    pthread_mutex_unlock(&k->lock);
}

void resizes_retry(Kubelet *k) {
    size_t n = 0;
    pthread_mutex_lock(&k->lock);
    char **uids = NEWN0(char *, strmap_size(k->pods) + 1);
    const char *uid;
    Pod *p;
    STRMAP_FOREACH (k->pods, uid, p)
        if (p->resize_waits)
            uids[n++] = xstrdup(uid);
    pthread_mutex_unlock(&k->lock);
    for (size_t i = 0; i < n; i++) {
        workqueue_add(k->pod_queue, uids[i]);
        free(uids[i]);
    }
    free(uids);
}

void pod_release(Kubelet *k, Pod *p) {
    pthread_mutex_lock(&k->lock);
    bool held = p->holds;
    p->holds = false;
    demand_done(&p->demand);
    if (held)
        share_cpu(k);
    pthread_mutex_unlock(&k->lock);
    if (held)
        resizes_retry(k);
}

/* ---- does it fit? ---- */

static bool same_port(const HostPort *a, const HostPort *b) {
    return a->port == b->port && streq(a->protocol, b->protocol) &&
           (streq(a->ip, b->ip) || streq(a->ip, "0.0.0.0") || streq(b->ip, "0.0.0.0"));
}

static bool ports_clash(const PodDemand *a, const PodDemand *b) {
    for (size_t i = 0; i < a->n_ports; i++)
        for (size_t j = 0; j < b->n_ports; j++)
            if (same_port(&a->ports[i], &b->ports[j]))
                return true;
    return false;
}

typedef struct Verdict {
    const char *reason, *message; /* reason NULL: it fits */
} Verdict;

/* Under the lock: of what the others leave. */
static Verdict check_resources(PodSync *s, const PodDemand *demand, bool *ret_ports_clash) {
    const PodResources *want = &demand->resources;
    int64_t pods = 0, used[3] = {0}, capacity[3];
    const int64_t wanted[3] = {want->cpu_request_milli, want->memory_request, want->ephemeral_request};
    static const char *const names[3] = {"cpu", "memory", "ephemeral-storage"};
    const char *uid;
    const Pod *p;
    node_allocatable(s->k, &capacity[0], &capacity[1], &capacity[2]);
    *ret_ports_clash = false;
    STRMAP_FOREACH (s->k->pods, uid, p) {
        if (p == s->p || !p->holds)
            continue;
        pods++;
        used[0] += p->demand.resources.cpu_request_milli;
        used[1] += p->demand.resources.memory_request;
        used[2] += p->demand.resources.ephemeral_request;
        *ret_ports_clash = *ret_ports_clash || ports_clash(demand, &p->demand);
    }
    if (pods + 1 > s->k->config.max_pods)
        return (Verdict){"OutOfpods", arena_printf(s->arena,
                                                   "Node didn't have enough resource: pods, requested: 1, used: %lld, "
                                                   "capacity: %lld",
                                                   (long long)pods, (long long)s->k->config.max_pods)};
    for (size_t i = 0; i < 3; i++)
        if (wanted[i] > 0 && wanted[i] > capacity[i] - used[i])
            return (Verdict){arena_printf(s->arena, "OutOf%s", names[i]),
                             arena_printf(s->arena,
                                          "Node didn't have enough resource: %s, requested: %lld, used: %lld, "
                                          "capacity: %lld",
                                          names[i], (long long)wanted[i], (long long)used[i], (long long)capacity[i])};
    return (Verdict){0};
}

bool pod_hold_resized(PodSync *s, const Value *desired, const char **ret_message) {
    PodDemand demand;
    bool clash;
    demand_of(desired, &demand);
    pthread_mutex_lock(&s->k->lock);
    Verdict v = check_resources(s, &demand, &clash);
    if (v.reason)
        demand_done(&demand);
    else
        hold(s->k, s->p, &demand);
    pthread_mutex_unlock(&s->k->lock);
    *ret_message = v.message;
    return !v.reason;
}

/* ---- may it run here? ---- */

static Verdict check_os(const Value *pod, const Object *node) {
    const char *wanted = value_get_str(value_path(pod, "metadata", "labels", NULL), "kubernetes.io/os");
    const char *named = value_get_str(value_path(pod, "spec", "os", NULL), "name");
    if (wanted && !streq_null(object_label(node, "kubernetes.io/os"), wanted))
        return (Verdict){"PodOSSelectorNodeLabelDoesNotMatch",
                         "Failed to admit pod as the `kubernetes.io/os` label doesn't match node label"};
    if (named && !streq(named, "linux"))
        return (Verdict){"PodOSNotSupported", "Failed to admit pod as the OS field doesn't match node OS"};
    if (streq_null(value_get_str(value_path(pod, "spec", "securityContext", NULL), "supplementalGroupsPolicy"),
                   "Strict"))
        return (Verdict){"SupplementalGroupsPolicyNotSupported",
                         "SupplementalGroupsPolicy=Strict is not supported in this node"};
    return (Verdict){0};
}

/* The sysctls that cannot harm what else runs on the node; others are let in by a flag that this agent does not have.
 */
static Verdict check_sysctls(PodSync *s) {
    static const char *const safe[] = {"kernel.shm_rmid_forced",
                                       "net.ipv4.ip_local_port_range",
                                       "net.ipv4.tcp_syncookies",
                                       "net.ipv4.ping_group_range",
                                       "net.ipv4.ip_unprivileged_port_start",
                                       "net.ipv4.ip_local_reserved_ports",
                                       "net.ipv4.tcp_keepalive_time",
                                       "net.ipv4.tcp_fin_timeout",
                                       "net.ipv4.tcp_keepalive_intvl",
                                       "net.ipv4.tcp_keepalive_probes",
                                       "net.ipv4.tcp_rmem",
                                       "net.ipv4.tcp_wmem",
                                       NULL};
    const Value *v;
    VALUE_FOREACH (v, value_path(s->pod, "spec", "securityContext", "sysctls", NULL)) {
        char *name = arena_strdup(s->arena, str_or(value_get_str(v, "name"), ""));
        for (char *c = name; *c; c++)
            *c = *c == '/' ? '.' : *c;
        if (!str_in(name, safe))
            return (Verdict){"SysctlForbidden",
                             arena_printf(s->arena, "forbidden sysctl: \"%s\" not allowlisted", name)};
    }
    return (Verdict){0};
}

/* A label that was set a moment ago may not have reached the cache. */
static bool node_matches(PodSync *s, const Object *node) {
    const Value *spec = value_get(s->pod, "spec");
    if (node_affinity_admits(spec, node))
        return true;
    _cleanup_object_ Object *fresh = NULL;
    return client_get(s->k->client, RES("nodes"), NULL, s->k->config.node_name, &fresh, NULL) == 0 &&
           node_affinity_admits(spec, fresh);
}

static Verdict check_placement(PodSync *s, const Object *node, bool matches, bool clash) {
    const Value *spec = value_get(s->pod, "spec"),
                *taints = value_path(object_value(node, s->arena), "spec", "taints", NULL);
    if (!matches)
        return (Verdict){"NodeAffinity", NO_MATCH};
    if (clash)
        return (Verdict){"NodePorts",
                         "Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports"};
    if (!pod_is_static(s->pod) && taint_untolerated(taints, value_get(spec, "tolerations"), "NoExecute"))
        return (Verdict){"TaintToleration",
                         "Predicate TaintToleration failed: node(s) had taints that the pod didn't tolerate"};
    return (Verdict){0};
}

static Verdict check(PodSync *s, const Object *node) {
    const char *refusal = eviction_refusal(s);
    Verdict v = refusal ? (Verdict){"Evicted", refusal} : check_sysctls(s);
    if (!v.reason)
        v = check_os(s->pod, node);
    if (v.reason)
        return v;
    bool matches = node_matches(s, node), clash;
    PodDemand demand;
    demand_of(s->pod, &demand);
    pthread_mutex_lock(&s->k->lock);
    v = check_resources(s, &demand, &clash);
    if (!v.reason)
        hold(s->k, s->p, &demand); /* before the next one is asked */
    else
        demand_done(&demand);
    pthread_mutex_unlock(&s->k->lock);
    if (v.reason)
        return v;
    v = check_placement(s, node, matches, clash);
    if (v.reason)
        pod_release(s->k, s->p);
    return v;
}

bool pod_admit(PodSync *s) {
    if (s->p->admitted)
        return true;
    if (s->rt.n_containers || s->rt.n_sandboxes) { /* an agent before this one let it in */
        s->p->admitted = true;
        pod_hold(s->k, s->p, s->pod);
        return true;
    }
    _cleanup_object_ Object *node = informer_lookup(s->k->nodes_informer, NULL, s->k->config.node_name);
    if (!node) {
        sync_again(s, NODE_WAIT_NS);
        return false;
    }
    s->p->admitted = true;
    Verdict v = check(s, node);
    if (!v.reason)
        return true;
    s->p->rejected = true;
    s->p->failed_reason = xstrdup(v.reason);
    s->p->failed_message = xasprintf("Pod was rejected: %s", v.message);
    event_record(s->k->events, s->object, NULL, "Warning", v.reason, "%s", v.message);
    return true;
}
