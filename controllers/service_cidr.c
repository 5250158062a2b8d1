/* ServiceCIDRs: each is marked Ready and held by a finalizer, which goes once no address of a Service would be without
 * a ServiceCIDR that holds it. */
#include "controllers/controller.h"

#include "base/clock.h"
#include "base/str.h"

#include <arpa/inet.h>
#include <errno.h>

#define NAME "service-cidr-controller"
#define FINALIZER "networking.k8s.io/service-cidr-finalizer"
#define MANAGED_BY "ipaddress.kubernetes.io/managed-by"
#define ALLOCATOR "ipallocator.k8s.io"
/* Until every API server has heard that a ServiceCIDR goes, and gives out no address of it any more. */
#define GRACE_NS (10 * NS_PER_SEC)

typedef struct Ranges {
    Client *client;
    Informer *cidrs, *addresses;
    WorkQueue *queue;
    EventRecorder *events;
} Ranges;

typedef struct Prefix {
    uint8_t bytes[16]; /* IPv4 in the first four */
    unsigned len;
    bool v6;
} Prefix;

/* An address (a prefix of its whole length) or a CIDR. */
static bool prefix_parse(const char *text, Prefix *ret) {
    char address[INET6_ADDRSTRLEN];
    const char *slash = strchr(text, '/');
    size_t n = slash ? (size_t)(slash - text) : strlen(text);
    int64_t len;
    if (n >= sizeof address)
        return false;
    memcpy(address, text, n);
    address[n] = 0;
    *ret = (Prefix){.v6 = strchr(address, ':') != NULL};
    int64_t whole = ret->v6 ? 128 : 32;
    if (inet_pton(ret->v6 ? AF_INET6 : AF_INET, address, ret->bytes) != 1)
        return false;
    if (!slash)
        len = whole;
    else if (str_to_int64(slash + 1, &len) < 0 || len < 0 || len > whole)
        return false;
    ret->len = (unsigned)len;
    return true;
}

static bool prefix_contains(const Prefix *outer, const Prefix *inner) {
    unsigned whole = outer->len / 8, rest = outer->len % 8;
    if (outer->v6 != inner->v6 || outer->len > inner->len || memcmp(outer->bytes, inner->bytes, whole) != 0)
        return false;
    return !rest || !((outer->bytes[whole] ^ inner->bytes[whole]) >> (8 - rest));
}

/* Does a range of this ServiceCIDR hold it? */
static bool holds(const Value *cidr, const Prefix *prefix) {
    const Value *text;
    Prefix range;
    VALUE_FOREACH (text, value_path(cidr, "spec", "cidrs", NULL))
        if (value_str(text) && prefix_parse(value_str(text), &range) && prefix_contains(&range, prefix))
            return true;
    return false;
}

static bool overlap(const Value *a, const Value *b) {
    const Value *text;
    Prefix range;
    VALUE_FOREACH (text, value_path(a, "spec", "cidrs", NULL))
        if (value_str(text) && prefix_parse(value_str(text), &range) && holds(b, &range))
            return true;
    return false;
}

static bool is_allocated(const Object *address) {
    return streq_null(object_label(address, MANAGED_BY), ALLOCATOR);
}

/* Another ServiceCIDR than `name` holds it. */
static bool others_hold(Arena *arena, const ClientList *cidrs, const char *name, const Prefix *prefix) {
    for (size_t i = 0; i < cidrs->n; i++)
        if (!streq(object_name(cidrs->items[i]), name) && holds(object_value(cidrs->items[i], arena), prefix))
            return true;
    return false;
}

/* ---- what wakes it ---- */

static void cidr_came(Object *cidr, void *userdata) {
    Ranges *all = userdata;
    _cleanup_arena_ Arena *arena = arena_new(0);
    _cleanup_client_list_ ClientList cidrs = {0};
    const Value *v = object_value(cidr, arena);
    controller_enqueue(all->queue, cidr);
    informer_list(all->cidrs, NULL, NULL, &cidrs);
    for (size_t i = 0; i < cidrs.n; i++) {
        const Value *other = object_value(cidrs.items[i], arena);
        if (overlap(v, other) || overlap(other, v))
            controller_enqueue(all->queue, cidrs.items[i]);
    }
}

static void cidr_changed(_unused_ Object *old, Object *cidr, void *userdata) {
    controller_enqueue(((Ranges *)userdata)->queue, cidr);
}

/* An address may keep the ServiceCIDR that holds it, and its end may let it go. */
static void address_came_or_went(Object *address, void *userdata) {
    Ranges *all = userdata;
    _cleanup_arena_ Arena *arena = arena_new(0);
    _cleanup_client_list_ ClientList cidrs = {0};
    Prefix prefix;
    if (!is_allocated(address) || !prefix_parse(object_name(address), &prefix))
        return;
    informer_list(all->cidrs, NULL, NULL, &cidrs);
    for (size_t i = 0; i < cidrs.n; i++)
        if (holds(object_value(cidrs.items[i], arena), &prefix))
            controller_enqueue(all->queue, cidrs.items[i]);
}

/* ---- one ServiceCIDR ---- */

static bool has_finalizer(const Value *cidr) {
    const Value *item;
    VALUE_FOREACH (item, value_path(cidr, "metadata", "finalizers", NULL))
        if (streq_null(value_str(item), FINALIZER))
            return true;
    return false;
}

static int set_finalizer(Ranges *all, Arena *arena, const Object *cidr, const Value *v, bool wanted) {
    _cleanup_api_error_ ApiError err = {0};
    Value *patch = value_object(arena), *names = value_array(arena);
    if (has_finalizer(v) == wanted)
        return 0;
    value_append(arena, names, value_string(arena, FINALIZER));
    value_set(arena, value_ensure_object(arena, patch, "metadata"),
              wanted ? "finalizers" : "$deleteFromPrimitiveList/finalizers", names);
    int r = client_patch(all->client, informer_resource(all->cidrs), NULL, object_name(cidr), NULL, PATCH_STRATEGIC,
                         patch, NULL, &err);
    return r == -ENOENT ? 0 : r;
}

static const Value *ready_condition(const Value *cidr) {
    const Value *condition;
    VALUE_FOREACH (condition, value_path(cidr, "status", "conditions", NULL))
        if (streq_null(value_get_str(condition, "type"), "Ready"))
            return condition;
    return NULL;
}

typedef struct Condition {
    const char *status, *reason, *message;
} Condition;

static bool is_said(const Value *condition, const Condition *wanted) {
    return streq(str_or(value_get_str(condition, "status"), ""), wanted->status) &&
           streq(str_or(value_get_str(condition, "reason"), ""), wanted->reason) &&
           streq(str_or(value_get_str(condition, "message"), ""), wanted->message);
}

static int say(Ranges *all, Arena *arena, const Object *cidr, const Value *v, const Condition *wanted) {
    char now[RFC3339_MAX];
    const Value *said = ready_condition(v);
    if (said && is_said(said, wanted))
        return 0;
    Value *apply = value_object(arena), *condition = value_object(arena), *status;
    value_set_str(arena, apply, "apiVersion", "networking.k8s.io/v1");
    value_set_str(arena, apply, "kind", "ServiceCIDR");
    value_set_str(arena, value_ensure_object(arena, apply, "metadata"), "name", object_name(cidr));
    value_set_str(arena, condition, "type", "Ready");
    value_set_str(arena, condition, "status", wanted->status);
    value_set_str(arena, condition, "reason", wanted->reason);
    value_set_str(arena, condition, "message", wanted->message);
    value_set_str(arena, condition, "lastTransitionTime", rfc3339_format(now_realtime_ns(), now));
    status = value_ensure_object(arena, apply, "status");
    value_append(arena, value_ensure_array(arena, status, "conditions"), condition);
    return client_apply(all->client, informer_resource(all->cidrs), NULL, object_name(cidr), "status", NAME, apply,
                        NULL, NULL);
}

/* Would no Service's address be left without a ServiceCIDR? */
static bool may_go(Ranges *all, Arena *arena, const Object *cidr, const Value *v) {
    _cleanup_client_list_ ClientList cidrs = {0}, addresses = {0};
    const char *name = object_name(cidr);
    const Value *text;
    Prefix prefix;
    bool inside = true;
    informer_list(all->cidrs, NULL, NULL, &cidrs);
    VALUE_FOREACH (text, value_path(v, "spec", "cidrs", NULL))
        if (value_str(text) && prefix_parse(value_str(text), &prefix))
            inside = inside && others_hold(arena, &cidrs, name, &prefix);
    if (inside)
        return true;
    informer_list(all->addresses, NULL, NULL, &addresses);
    for (size_t i = 0; i < addresses.n; i++)
        if (is_allocated(addresses.items[i]) && prefix_parse(object_name(addresses.items[i]), &prefix) &&
            holds(v, &prefix) && !others_hold(arena, &cidrs, name, &prefix))
            return false;
    return true;
}

static int finish(Ranges *all, Arena *arena, const Object *cidr, const Value *v) {
    static const Condition kept = {"False", "Terminating",
                                   "There are still IPAddresses referencing the ServiceCIDR, please remove them or "
                                   "create a new ServiceCIDR"};
    int64_t since = 0;
    if (!may_go(all, arena, cidr, v))
        return say(all, arena, cidr, v, &kept);
    rfc3339_parse(str_or(value_get_str(value_get(v, "metadata"), "deletionTimestamp"), ""), &since);
    int64_t left = since + (int64_t)GRACE_NS - now_realtime_ns();
    if (left > 0) {
        controller_enqueue_after(all->queue, cidr, (uint64_t)left);
        return 0;
    }
    return set_finalizer(all, arena, cidr, v, false);
}

static int sync_key(const char *name, void *userdata) {
    static const Condition ready = {"True", "", "Kubernetes Service CIDR is ready"};
    _cleanup_arena_ Arena *arena = arena_new(0);
    Ranges *all = userdata;
    _cleanup_object_ Object *cidr = informer_lookup(all->cidrs, NULL, name);
    if (!cidr)
        return 0;
    const Value *v = object_value(cidr, arena);
    if (object_is_deleting(cidr))
        return finish(all, arena, cidr, v);
    int r = set_finalizer(all, arena, cidr, v, true);
    r = r < 0 ? r : say(all, arena, cidr, v, &ready);
    if (r < 0)
        event_record(all->events, cidr, NULL, "Warning", "KubernetesServiceCIDRError",
                     "The ServiceCIDR Status can not be set to Ready=True");
    return r;
}

static void *init(Controller *controller) {
    Ranges *all = NEW0(Ranges);
    all->client = controller_client(controller);
    all->cidrs = controller_informer(controller, "networking.k8s.io", "v1", "servicecidrs");
    all->addresses = controller_informer(controller, "networking.k8s.io", "v1", "ipaddresses");
    all->events = controller_events(controller, NAME);
    all->queue = controller_queue(controller, "ipaddresses", 1, sync_key, all);
    informer_add_handler(all->cidrs, &(InformerHandler){cidr_came, cidr_changed, cidr_came}, all);
    informer_add_handler(all->addresses, &(InformerHandler){address_came_or_went, NULL, address_came_or_went}, all);
    return all;
}

const ControllerRow controller_service_cidr = {.name = NAME, .account = "service-cidrs-controller", .init = init};
