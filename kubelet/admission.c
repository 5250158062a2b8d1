/* At the node's door: does a pod that was bound here fit, and may it run here at all? The checks, their order and their
 * words are those of the reference's predicate and sysctl admission (pkg/kubelet/lifecycle, pkg/kubelet/sysctl). Who is
 * let in holds its share of the node until its last container has ended. */
#include "kubelet/internal.h"
#include "kubelet/preemption.h"

#include "api/node_affinity.h"
#include "api/quantity.h"
#include "api/toleration.h"
#include "base/str.h"

#include <errno.h>
#include <stdio.h>

#define NODE_WAIT_NS (NS_PER_SEC / 5) /* until the node's own object is known */
#define ROOM_WAIT_NS (2 * NS_PER_SEC) /* until others have ended; their end queues the pod sooner */
#define NO_MATCH "Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector"

/* ---- what pods hold ---- */

/* Under the lock: the cgroup of burstable pods has the CPU that those of them which hold some ask for. */
static void share_cpu(Kubelet *k) {
    _cleanup_free_ char *error = NULL;
    int64_t milli = 0;
    const char *uid;
    const Pod *p;
    STRMAP_FOREACH (k->pods, uid, p)
        if (p->holds && p->demand.qos == QOS_BURSTABLE)
            milli += demand_amount(&p->demand, "cpu");
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

void pod_hold_known(Kubelet *k, Pod *p, const Object *object) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    const Value *pod = object_value(object, arena), *status = value_get(pod, "status");
    if (!str_empty(value_get_str(status, "startTime")) && !phase_is_terminal(value_get_str(status, "phase")))
        pod_hold(k, p, pod);
}

void room_was_made(Kubelet *k) {
    size_t n = 0;
    pthread_mutex_lock(&k->lock);
    char **uids = NEWN0(char *, strmap_size(k->pods) + 1);
    const char *uid;
    Pod *p;
    STRMAP_FOREACH (k->pods, uid, p)
        if (p->waits_for_room)
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
    p->holds = p->waits_for_room = false;
    demand_done(&p->demand);
    if (held)
        share_cpu(k);
    pthread_mutex_unlock(&k->lock);
    if (held)
        room_was_made(k);
}

/* ---- does it fit? ---- */

typedef struct Verdict {
    const char *reason, *message; /* reason NULL: it fits */
} Verdict;

/* What the pod asks for more of than there is left. */
typedef struct Lack {
    const char *resource;
    int64_t requested, used, capacity;
} Lack;

typedef struct Fit {
    Lack *lacks;
    size_t n;
    bool ports_clash;
} Fit;

/* Of the node's own resources what this agent computes, of others what its object says; -1: it has no such resource. */
static int64_t capacity_of(PodSync *s, const Object *node, const char *resource) {
    static const char *const own[] = {"cpu", "memory", "ephemeral-storage"};
    int64_t amounts[ELEMENTSOF(own)];
    node_allocatable(s->k, &amounts[0], &amounts[1], &amounts[2]);
    for (size_t i = 0; i < ELEMENTSOF(own); i++)
        if (streq(resource, own[i]))
            return amounts[i];
    const Value *allocatable = node ? value_path(object_value(node, s->arena), "status", "allocatable", NULL) : NULL,
                *text;
    Quantity q;
    if (!(text = value_get(allocatable, resource)) || !value_str(text) || quantity_parse(value_str(text), &q) < 0)
        return -1;
    return quantity_value(&q);
}

/* Under the lock: of what the others leave. Extended resources that the node does not have at all are others' business
 * (removeMissingExtendedResources). `capacity`: of each request, as capacity_of. */
static Fit fit_of(PodSync *s, const PodDemand *demand, const int64_t *capacity) {
    Fit fit = {.lacks = arena_alloc0(s->arena, (demand->n_requests + 1) * sizeof *fit.lacks)};
    int64_t pods = 0, *used = arena_alloc0(s->arena, (demand->n_requests + 1) * sizeof *used);
    const char *uid;
    const Pod *p;
    STRMAP_FOREACH (s->k->pods, uid, p) {
        if (p == s->p || !p->holds)
            continue;
        pods++;
        for (size_t i = 0; i < demand->n_requests; i++)
            used[i] += demand_amount(&p->demand, demand->requests[i].name);
        fit.ports_clash = fit.ports_clash || demand_ports_clash(demand, &p->demand);
    }
    if (pods + 1 > s->k->config.max_pods)
        fit.lacks[fit.n++] = (Lack){"pods", 1, pods, s->k->config.max_pods};
    static const char *const first[] = {"cpu", "memory", "ephemeral-storage", NULL};
    for (size_t turn = 0; turn <= ELEMENTSOF(first) - 1; turn++) /* these before all others, as the reference */
        for (size_t i = 0; i < demand->n_requests; i++) {
            const Request *r = &demand->requests[i];
            bool its_turn = first[turn] ? streq(r->name, first[turn]) : !str_in(r->name, first);
            if (!its_turn || (capacity[i] < 0 && resource_is_extended(r->name)))
                continue;
            int64_t room = MAX(capacity[i], (int64_t)0);
            if (r->amount > room - used[i])
                fit.lacks[fit.n++] = (Lack){arena_strdup(s->arena, r->name), r->amount, used[i], room};
        }
    return fit;
}

static const int64_t *capacities(PodSync *s, const PodDemand *demand, const Object *node) {
    int64_t *list = arena_alloc0(s->arena, (demand->n_requests + 1) * sizeof *list);
    for (size_t i = 0; i < demand->n_requests; i++)
        list[i] = capacity_of(s, node, demand->requests[i].name);
    return list;
}

static Verdict lack_verdict(PodSync *s, const Fit *fit) {
    if (!fit->n)
        return (Verdict){0};
    const Lack *lack = &fit->lacks[0];
    return (Verdict){arena_printf(s->arena, "OutOf%s", lack->resource),
                     arena_printf(s->arena,
                                  "Node didn't have enough resource: %s, requested: %lld, used: %lld, "
                                  "capacity: %lld",
                                  lack->resource, (long long)lack->requested, (long long)lack->used,
                                  (long long)lack->capacity)};
}

bool pod_hold_resized(PodSync *s, const Value *desired, const char **ret_message) {
    PodDemand demand;
    _cleanup_object_ Object *node = informer_lookup(s->k->nodes_informer, NULL, s->k->config.node_name);
    demand_of(desired, &demand);
    const int64_t *capacity = capacities(s, &demand, node);
    pthread_mutex_lock(&s->k->lock);
    Fit fit = fit_of(s, &demand, capacity);
    if (fit.n)
        demand_done(&demand);
    else
        hold(s->k, s->p, &demand);
    pthread_mutex_unlock(&s->k->lock);
    *ret_message = lack_verdict(s, &fit).message;
    return !fit.n;
}

/* ---- a critical pod makes room ---- */

/* Under the lock: the pods it could be at the cost of; one that is ending already is no use twice. References. */
static Candidate *candidates(PodSync *s, size_t *ret_n) {
    Candidate *list = arena_alloc0(s->arena, (strmap_size(s->k->pods) + 1) * sizeof *list);
    size_t n = 0;
    const char *uid;
    Pod *p;
    STRMAP_FOREACH (s->k->pods, uid, p)
        if (p != s->p && p->holds && !p->eviction) {
            p->refs++;
            list[n++] = (Candidate){.demand = &p->demand, .userdata = p};
        }
    *ret_n = n;
    return list;
}

static void preempt(PodSync *s, Pod *p) {
    static const PodEviction why = {(char *)"Preempting", (char *)"Preempted in order to admit critical pod",
                                    (char *)"Pod was preempted by Kubelet to accommodate a critical pod.", -1};
    _cleanup_object_ Object *object = pod_object(s->k, p, NULL);
    event_record(s->k->events, object, NULL, "Warning", why.reason, "%s", why.message);
    log_info("ending pod %s/%s to make room for the critical pod %s/%s", p->ns, p->name, s->p->ns, s->p->name);
    pod_evict(s->k, p, &why);
}

/* Holds the pod's share at once, so that nobody else takes the room that is made. Takes the demand. */
static Verdict make_room(PodSync *s, PodDemand *demand, const Fit *fit) {
    Shortage *shortages = arena_alloc0(s->arena, fit->n * sizeof *shortages);
    size_t n;
    const char *error = NULL;
    for (size_t i = 0; i < fit->n; i++)
        shortages[i] =
            (Shortage){fit->lacks[i].resource, fit->lacks[i].requested - (fit->lacks[i].capacity - fit->lacks[i].used)};
    pthread_mutex_lock(&s->k->lock);
    Candidate *list = candidates(s, &n);
    bool found = preemption_choose(s->arena, demand, list, n, shortages, fit->n, &error);
    if (found) {
        hold(s->k, s->p, demand);
        s->p->waits_for_room = true;
    } else
        demand_done(demand);
    pthread_mutex_unlock(&s->k->lock);
    for (size_t i = 0; i < n; i++) {
        if (list[i].chosen)
            preempt(s, list[i].userdata);
        pod_unref(s->k, list[i].userdata);
    }
    s->p->preempts = found;
    if (found)
        return (Verdict){0};
    return (Verdict){"UnexpectedAdmissionError",
                     arena_printf(s->arena,
                                  "Unexpected error while attempting to recover from admission failure: preemption: "
                                  "error finding a set of pods to preempt: %s",
                                  error)};
}

/* Have those that were ended for it left? */
static bool room_is_there(PodSync *s, const Object *node) {
    PodDemand demand;
    demand_of(s->pod, &demand);
    const int64_t *capacity = capacities(s, &demand, node);
    pthread_mutex_lock(&s->k->lock);
    bool there = fit_of(s, &demand, capacity).n == 0;
    s->p->waits_for_room = !there;
    pthread_mutex_unlock(&s->k->lock);
    demand_done(&demand);
    return there;
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
    bool matches = node_matches(s, node);
    PodDemand demand;
    demand_of(s->pod, &demand);
    const int64_t *capacity = capacities(s, &demand, node);
    pthread_mutex_lock(&s->k->lock);
    Fit fit = fit_of(s, &demand, capacity);
    Verdict place = check_placement(s, node, matches, fit.ports_clash);
    bool critical = demand.critical; /* one that fits no other way makes itself room */
    v = fit.n && !critical ? lack_verdict(s, &fit) : place;
    bool fits = !v.reason && !fit.n;
    if (fits)
        hold(s->k, s->p, &demand); /* before the next one is asked */
    pthread_mutex_unlock(&s->k->lock);
    if (!v.reason && !fits)
        return make_room(s, &demand, &fit);
    if (v.reason)
        demand_done(&demand);
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
    Verdict v = {0};
    if (!s->p->preempts)
        v = check(s, node);
    if (s->p->preempts && !room_is_there(s, node)) {
        sync_again(s, ROOM_WAIT_NS);
        return false;
    }
    s->p->preempts = false;
    s->p->admitted = true;
    if (!v.reason)
        return true;
    s->p->rejected = true;
    s->p->failed_reason = xstrdup(v.reason);
    s->p->failed_message = xasprintf("Pod was rejected: %s", v.message);
    event_record(s->k->events, s->object, NULL, "Warning", v.reason, "%s", v.message);
    return true;
}
