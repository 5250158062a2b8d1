#define LOG_COMPONENT "leader"
#include "client/leader.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "base/random.h"
#include "base/str.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

struct Leader {
    Client *client;
    char *ns, *name, *identity;
    void (*started)(void *userdata);
    void (*stopped)(void *userdata);
    void *userdata;
    Loop *loop;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool stopping;
    atomic_bool leads;
    _Atomic(uint64_t) renewed; /* when the lease was ours last */
    /* Of the thread: the record as last seen, and when it last changed by our clock. */
    uint64_t seen_revision, seen_at;
};

static const Resource *leases(void) {
    return resource_find("coordination.k8s.io", "v1", "leases");
}

static void fill_spec(Arena *arena, Value *spec, const char *holder, bool acquire, int64_t seconds) {
    char now[RFC3339_MAX];
    rfc3339_format_micro(now_realtime_ns(), now);
    value_set_str(arena, spec, "holderIdentity", holder);
    value_set_int(arena, spec, "leaseDurationSeconds", seconds);
    value_set_str(arena, spec, "renewTime", now);
    if (acquire)
        value_set_str(arena, spec, "acquireTime", now);
}

static int create_lease(Leader *leader, Arena *arena) {
    Value *lease = value_object(arena);
    value_set_str(arena, lease, "apiVersion", "coordination.k8s.io/v1");
    value_set_str(arena, lease, "kind", "Lease");
    Value *metadata = value_ensure_object(arena, lease, "metadata");
    value_set_str(arena, metadata, "name", leader->name);
    value_set_str(arena, metadata, "namespace", leader->ns);
    Value *spec = value_ensure_object(arena, lease, "spec");
    fill_spec(arena, spec, leader->identity, true, LEADER_LEASE_SECONDS);
    value_set_int(arena, spec, "leaseTransitions", 0);
    return client_create(leader->client, leases(), leader->ns, lease, NULL, NULL);
}

/* 0: this process holds the lease now; -EBUSY: another does; other errors: not known. */
static int acquire_or_renew(Leader *leader) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    _cleanup_object_ Object *object = NULL;
    int r = client_get(leader->client, leases(), leader->ns, leader->name, &object, NULL);
    if (r == -ENOENT)
        return create_lease(leader, arena);
    if (r < 0)
        return r;
    uint64_t now = now_monotonic_ns();
    if (object_revision(object) != leader->seen_revision) {
        leader->seen_revision = object_revision(object);
        leader->seen_at = now;
    }
    Value *lease = object_value(object, arena);
    Value *spec = value_ensure_object(arena, lease, "spec");
    const char *holder = value_get_str(spec, "holderIdentity");
    int64_t seconds = value_get_int(spec, "leaseDurationSeconds", LEADER_LEASE_SECONDS);
    bool ours = holder && streq(holder, leader->identity);
    if (!ours && !str_empty(holder) && now - leader->seen_at < (uint64_t)MAX(seconds, (int64_t)0) * NS_PER_SEC)
        return -EBUSY;
    if (!ours)
        value_set_int(arena, spec, "leaseTransitions", value_get_int(spec, "leaseTransitions", 0) + 1);
    fill_spec(arena, spec, leader->identity, !ours, LEADER_LEASE_SECONDS);
    return client_update(leader->client, leases(), leader->ns, leader->name, NULL, lease, NULL, NULL);
}

static void give_up(Leader *leader) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    _cleanup_object_ Object *object = NULL;
    if (client_get(leader->client, leases(), leader->ns, leader->name, &object, NULL) < 0)
        return;
    Value *lease = object_value(object, arena), *spec = value_ensure_object(arena, lease, "spec");
    const char *holder = value_get_str(spec, "holderIdentity");
    if (!holder || !streq(holder, leader->identity))
        return;
    fill_spec(arena, spec, "", false, 1);
    client_update(leader->client, leases(), leader->ns, leader->name, NULL, lease, NULL, NULL);
}

/* False when the leader is to end. */
static bool rest(Leader *leader, uint64_t ns) {
    uint64_t due = now_monotonic_ns() + ns;
    struct timespec until = {.tv_sec = (time_t)(due / NS_PER_SEC), .tv_nsec = (long)(due % NS_PER_SEC)};
    pthread_mutex_lock(&leader->lock);
    int r = 0;
    while (!leader->stopping && r == 0)
        r = pthread_cond_timedwait(&leader->wake, &leader->lock, &until);
    bool go_on = !leader->stopping;
    pthread_mutex_unlock(&leader->lock);
    return go_on;
}

static void tell_started(Leader *leader) {
    if (leader->loop)
        loop_post(leader->loop, leader->started, leader->userdata);
    else
        leader->started(leader->userdata);
}

static void tell_stopped(Leader *leader) {
    if (leader->loop)
        loop_exit(leader->loop, 1);
    else
        leader->stopped(leader->userdata);
}

static void *leader_main(void *userdata) {
    Leader *leader = userdata;
    bool leading = false;
    uint64_t retry = LEADER_RETRY_SECONDS * NS_PER_SEC;
    pthread_setname_np(pthread_self(), "leader");
    do {
        int r = acquire_or_renew(leader);
        if (r >= 0) {
            atomic_store(&leader->renewed, now_monotonic_ns());
            if (!leading) {
                log_info("%s/%s: %s leads", leader->ns, leader->name, leader->identity);
                leading = true;
                atomic_store(&leader->leads, true);
                tell_started(leader);
            }
        } else if (leading && (r == -EBUSY || now_monotonic_ns() - atomic_load(&leader->renewed) >
                                                  LEADER_RENEW_SECONDS * NS_PER_SEC)) {
            log_error("%s/%s: leadership lost", leader->ns, leader->name);
            leading = false;
            atomic_store(&leader->leads, false);
            tell_stopped(leader);
        }
    } while (rest(leader,
                  retry + (leading ? 0 : random_below(retry)))); /* client-go's JitterFactor 1.2 for those who wait */
    if (leading)
        give_up(leader);
    return NULL;
}

/* One that no other process has: the machine's name and a UUID. Owned by the caller. */
static char *make_identity(void) {
    char uuid[UUID_LEN + 1], host[256] = "localhost";
    (void)gethostname(host, sizeof host - 1);
    return xasprintf("%s_%s", host, random_uuid(uuid));
}

void leader_describe(Arena *arena, Value *v, bool elects, const char *lease) {
    value_set_bool(arena, v, "leaderElect", elects);
    value_set_str(arena, v, "leaseDuration", value_str(value_printf(arena, "%ds", LEADER_LEASE_SECONDS)));
    value_set_str(arena, v, "renewDeadline", value_str(value_printf(arena, "%ds", LEADER_RENEW_SECONDS)));
    value_set_str(arena, v, "retryPeriod", value_str(value_printf(arena, "%ds", LEADER_RETRY_SECONDS)));
    value_set_str(arena, v, "resourceLock", "leases");
    value_set_str(arena, v, "resourceName", lease);
    value_set_str(arena, v, "resourceNamespace", "kube-system");
}

bool leader_is_stuck(const Leader *leader) {
    uint64_t renewed = atomic_load(&leader->renewed), now = now_monotonic_ns();
    return atomic_load(&leader->leads) &&
           now - MIN(now, renewed) > (LEADER_LEASE_SECONDS + LEADER_TOLERANCE_SECONDS) * NS_PER_SEC;
}

void leader_write_metrics(const Leader *leader, Buf *out) {
    metric_head(out, "leader_election_master_status", "[ALPHA] 1 while this process holds the lease, else 0.", "gauge");
    buf_printf(out, "leader_election_master_status{name=\"%s\"} %d\n", leader->name, atomic_load(&leader->leads));
}

Leader *leader_new(const LeaderConfig *config) {
    Leader *leader = NEW0(Leader);
    pthread_condattr_t attr;
    leader->client = config->client;
    leader->ns = xstrdup(config->ns);
    leader->name = xstrdup(config->name);
    leader->identity = xstrdup(config->identity);
    leader->started = config->started;
    leader->stopped = config->stopped;
    leader->userdata = config->userdata;
    leader->loop = config->loop;
    pthread_mutex_init(&leader->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&leader->wake, &attr);
    pthread_condattr_destroy(&attr);
    if (pthread_create(&leader->thread, NULL, leader_main, leader) == 0)
        return leader;
    free(leader->ns);
    free(leader->name);
    free(leader->identity);
    free(leader);
    return NULL;
}

Leader *leader_of_component(Client *client, const char *component, Loop *loop, void (*lead)(void *userdata),
                            void *userdata) {
    _cleanup_free_ char *identity = make_identity();
    return leader_new(&(LeaderConfig){.client = client,
                                      .ns = "kube-system",
                                      .name = component,
                                      .identity = identity,
                                      .started = lead,
                                      .loop = loop,
                                      .userdata = userdata});
}

void leader_free(Leader *leader) {
    if (!leader)
        return;
    pthread_mutex_lock(&leader->lock);
    leader->stopping = true;
    pthread_cond_broadcast(&leader->wake);
    pthread_mutex_unlock(&leader->lock);
    pthread_join(leader->thread, NULL);
    pthread_cond_destroy(&leader->wake);
    pthread_mutex_destroy(&leader->lock);
    free(leader->ns);
    free(leader->name);
    free(leader->identity);
    free(leader);
}
