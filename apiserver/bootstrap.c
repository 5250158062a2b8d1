#define LOG_COMPONENT "apiserver"
#include "apiserver/bootstrap.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "loop/pool.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

#define RACE_NS (5 * NS_PER_SEC)
#define RACE_PAUSE_NS (50 * NS_PER_MS)

static const char *const groups[] = {"system:masters", "system:authenticated", NULL};
static const UserInfo apiserver_user = {.name = "system:apiserver", .groups = groups};

int service_range_address(const char *range, uint8_t n, char out[64]) {
    char text[64];
    struct in_addr v4;
    struct in6_addr v6;
    const char *slash = strchr(range, '/');
    if (!slash || (size_t)(slash - range) >= sizeof text)
        return -EINVAL;
    memcpy(text, range, (size_t)(slash - range));
    text[slash - range] = 0;
    if (inet_pton(AF_INET, text, &v4) == 1) {
        v4.s_addr = htonl(ntohl(v4.s_addr) + n);
        return inet_ntop(AF_INET, &v4, out, 64) ? 0 : -errno;
    }
    if (inet_pton(AF_INET6, text, &v6) != 1)
        return -EINVAL;
    v6.s6_addr[15] = (uint8_t)(v6.s6_addr[15] + n);
    return inet_ntop(AF_INET6, &v6, out, 64) ? 0 : -errno;
}

#define WRITERS 16

typedef struct Together {
    size_t n;
    int (*fn)(size_t index, void *userdata);
    void *userdata;
    _Atomic size_t next;
    _Atomic int result;
} Together;

static void work_together(void *userdata) {
    Together *all = userdata;
    for (size_t i; (i = atomic_fetch_add(&all->next, 1)) < all->n;) {
        int r = all->fn(i, all->userdata), none = 0;
        if (r < 0)
            atomic_compare_exchange_strong(&all->result, &none, r);
    }
}

int bootstrap_together(size_t n, int (*fn)(size_t index, void *userdata), void *userdata) {
    Together all = {.n = n, .fn = fn, .userdata = userdata};
    Pool *pool = pool_new("bootstrap", WRITERS, WRITERS);
    for (size_t i = 0; i < MIN(n, (size_t)WRITERS); i++)
        if (pool_submit(pool, work_together, &all) < 0)
            work_together(&all);
    pool_free(pool); /* waits */
    return all.result;
}

/* Does the object have every member that is wanted, as it is wanted? */
static bool is_as_wanted(const ApiResponse *response, const Value *wanted, Arena *arena) {
    const Value *have = response->object ? object_value(response->object, arena) : NULL;
    VALUE_FOREACH_MEMBER (member, wanted)
        if (!streq(member->name, "metadata") && !value_equal(member->value, value_get(have, member->name)))
            return false;
    return true;
}

typedef struct Ensure { /* an object that must be there; `replace`: as it is here */
    const char *group, *version, *plural, *ns, *name, *json;
    bool replace;
    const char *manager;
} Ensure;

static ApiRequest look_request(const Ensure *it, Arena *arena) {
    return (ApiRequest){
        .verb = API_GET,
        .resource = resource_find(it->group, it->version, it->plural),
        .ns = it->ns,
        .name = it->name,
        .user = &apiserver_user,
        .user_agent = "kube-apiserver",
        .options = {.field_manager = it->manager},
        .arena = arena,
    };
}

/* One look, and one write when it is needed. */
static int ensure_once(ApiCore *core, const Ensure *it, ApiError *err) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    _cleanup_api_response_ ApiResponse response = {0};
    Value *body;
    ApiRequest request = look_request(it, arena);
    int r = json_parse(arena, it->json, strlen(it->json), &body, NULL, NULL);
    if (r < 0 || !request.resource)
        return r < 0 ? r : -EINVAL;
    request.body = body;
    r = api_execute(core, &request, NULL, &response, err);
    if (r == 0 && (!it->replace || is_as_wanted(&response, body, arena)))
        return 0;
    request.verb = r == 0 ? API_UPDATE : API_CREATE;
    request.name = r == 0 ? it->name : NULL;
    api_response_done(&response);
    api_error_done(err);
    *err = (ApiError){0};
    return api_execute(core, &request, NULL, &response, err);
}

/* Gives an object that is there the status of it->json, unless it has conditions. */
static int ensure_status_once(ApiCore *core, const Ensure *it, ApiError *err) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    _cleanup_api_response_ ApiResponse found = {0}, written = {0};
    Value *status;
    ApiRequest request = look_request(it, arena);
    int r = json_parse(arena, it->json, strlen(it->json), &status, NULL, NULL);
    r = r < 0 ? r : api_execute(core, &request, NULL, &found, err);
    if (r < 0)
        return r;
    Value *body = object_value(found.object, arena);
    if (value_len(value_path(body, "status", "conditions", NULL)))
        return 0;
    value_set(arena, body, "status", status);
    request.body = body;
    request.verb = API_UPDATE;
    request.subresource = "status";
    return api_execute(core, &request, NULL, &written, err);
}

/* Another server of the same store that starts now writes the same objects: who is slower finds them there or changed,
 * though perhaps not at once (a service's address is taken before the service is written). */
static int ensure(ApiCore *core, const Ensure *it, int (*once)(ApiCore *, const Ensure *, ApiError *),
                  const char *what) {
    uint64_t deadline_ns = now_monotonic_ns() + RACE_NS;
    for (;;) {
        _cleanup_api_error_ ApiError err = {0};
        int r = once(core, it, &err);
        if (r == 0)
            return 0;
        bool raced = err.code == 409 || err.code == 422;
        if (!raced || !store_is_shared(api_core_config(core)->store) || now_monotonic_ns() > deadline_ns) {
            log_error("cannot write %s%s %s: %s", what, it->plural, it->name, str_or(err.message, strerror(-r)));
            return r;
        }
        nanosleep(&(struct timespec){.tv_nsec = RACE_PAUSE_NS}, NULL);
    }
}

int bootstrap_ensure_by(ApiCore *core, const char *manager, const char *group, const char *version, const char *plural,
                        const char *ns, const char *name, const char *json, bool replace) {
    const Ensure it = {group, version, plural, ns, name, json, replace, manager};
    return ensure(core, &it, ensure_once, "");
}

int bootstrap_ensure(ApiCore *core, const char *group, const char *version, const char *plural, const char *ns,
                     const char *name, const char *json, bool replace) {
    return bootstrap_ensure_by(core, NULL, group, version, plural, ns, name, json, replace);
}

int bootstrap_ensure_status(ApiCore *core, const char *group, const char *version, const char *plural, const char *ns,
                            const char *name, const char *json) {
    const Ensure it = {group, version, plural, ns, name, json, false, NULL};
    return ensure(core, &it, ensure_status_once, "the status of ");
}

static int namespaces(ApiCore *core) {
    static const char *const names[] = {"default", "kube-system", "kube-public", "kube-node-lease"};
    int r = 0;
    for (size_t i = 0; r == 0 && i < ELEMENTSOF(names); i++) {
        char json[256];
        snprintf(json, sizeof json, "{\"apiVersion\":\"v1\",\"kind\":\"Namespace\",\"metadata\":{\"name\":\"%s\"}}",
                 names[i]);
        r = bootstrap_ensure(core, "", "v1", "namespaces", NULL, names[i], json, false);
    }
    return r;
}

static int priority_classes(ApiCore *core) {
    static const struct {
        const char *name, *about;
        int value;
    } classes[] = {
        {"system-node-critical", "Used for system critical pods that must not be moved from their current node.",
         2000001000},
        {"system-cluster-critical",
         "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary.",
         2000000000},
    };
    int r = 0;
    for (size_t i = 0; r == 0 && i < ELEMENTSOF(classes); i++) {
        char json[512];
        snprintf(json, sizeof json,
                 "{\"apiVersion\":\"scheduling.k8s.io/"
                 "v1\",\"kind\":\"PriorityClass\",\"metadata\":{\"name\":\"%s\"},\"value\":%d,\"description\":\"%s\"}",
                 classes[i].name, classes[i].value, classes[i].about);
        r = bootstrap_ensure(core, "scheduling.k8s.io", "v1", "priorityclasses", NULL, classes[i].name, json, false);
    }
    return r;
}

int bootstrap_cluster(ApiCore *core, Health *health) {
    int r = namespaces(core);
    health_report(health, HEALTH_NAMESPACES, r == 0);
    if (r < 0)
        return r;
    r = priority_classes(core);
    health_report(health, HEALTH_PRIORITY_CLASSES, r == 0);
    return r;
}
