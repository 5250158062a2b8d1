/* ResourceQuota: nothing is stored that takes a namespace past one of its quotas.
 *
 * What a request takes is charged to status.used of every quota that covers it before the object is stored, at the
 * revision the quota was read at: whoever loses such a race looks at the new state again, so the sum never passes the
 * limit. A write that fails after it was charged is corrected by the quota controller, which counts what there is.
 * Requests of one namespace wait for each other (admission_lock), so that races are only with that controller. */
#include "api/managed.h"
#include "api/quota.h"
#include "apiserver/admission/admission.h"
#include "base/clock.h"
#include "base/str.h"

#include <errno.h>

#define QUOTA_ATTEMPTS 16 /* writes lost to others before the request is given back */

typedef struct Charge {
    AdmissionRequest *request;
    const QuotaKind *kind;
    Arena *arena;
    ResourceList usage;
} Charge;

/* One quota as it is being looked at. */
typedef struct Quota {
    const Object *object;
    Value *value;
    ResourceList hard, used, accounted; /* accounted: those of hard that are accounted for */
    bool covers;                        /* the request falls under it */
} Quota;

static void read_quota(const Charge *charge, const Object *object, Quota *ret) {
    ret->object = object;
    ret->value = object_value(object, charge->arena);
    ret->hard = resource_list_read(charge->arena, value_path(ret->value, "status", "hard", NULL));
    ret->used = resource_list_read(charge->arena, value_path(ret->value, "status", "used", NULL));
    ret->accounted = quota_accounted(charge->kind, charge->request->request->resource, &ret->hard);
}

static bool covers(const Charge *charge, const Quota *quota, const Value *object) {
    return quota->accounted.n && quota_has_in_scope(charge->kind, value_get(quota->value, "spec"), object);
}

/* What the object counts for. */
static ResourceList usage_of(const Charge *charge, const Value *object) {
    const AdmissionRequest *request = charge->request;
    return charge->kind->usage(charge->arena, request->request->resource, object, request->strategy->now_ns);
}

static char *names_text(const ResourceList *list) {
    _cleanup_buf_ Buf text = BUF_INIT(BUF_NO_LIMIT);
    for (size_t i = 0; i < list->n; i++)
        buf_printf(&text, "%s%s", i ? "," : "", list->items[i].name);
    return arena_strdup(list->arena, str_or(text.data, ""));
}

/* Whether the quota can be judged at all. */
static int check_demands(const Charge *charge, const Quota *quota, ApiError *err) {
    const char *name = object_name(quota->object);
    char *missing =
        charge->kind->missing ? charge->kind->missing(charge->arena, charge->request->object, &quota->accounted) : NULL;
    if (missing)
        return admission_forbid(charge->request, err, "failed quota: %s: %s", name, missing);
    for (size_t i = 0; i < quota->accounted.n; i++)
        if (!resource_list_get(&quota->used, quota->accounted.items[i].name))
            return admission_forbid(charge->request, err, "status unknown for quota: %s, resources: %s", name,
                                    names_text(&quota->accounted));
    return 0;
}

/* What this request adds to what the quota has counted. */
static ResourceList added(const Charge *charge, const Quota *quota) {
    AdmissionRequest *request = charge->request;
    ResourceList all = RESOURCE_LIST_INIT(charge->arena);
    resource_list_add(&all, &charge->usage);
    if (request->operation == ADMISSION_UPDATE && covers(charge, quota, request->old)) {
        ResourceList before = usage_of(charge, request->old);
        all = resource_list_excess(&charge->usage, &before);
    }
    resource_list_drop_zeros(&all);
    return resource_list_mask(&all, &quota->hard);
}

static int check_limits(const Charge *charge, const Quota *quota, const ResourceList *requested,
                        const ResourceList *sum, ApiError *err) {
    ResourceList over = RESOURCE_LIST_INIT(charge->arena);
    const char *subresource = charge->request->request->subresource;
    /* what a controller reports is a fact: it is counted, not refused */
    if (subresource && streq(subresource, "status"))
        return 0;
    for (size_t i = 0; i < requested->n; i++) {
        const char *name = requested->items[i].name;
        const Quantity *total = resource_list_get(sum, name), *limit = resource_list_get(&quota->hard, name);
        if (total && limit && quantity_compare(total, limit) > 0)
            resource_list_set(&over, name, *limit);
    }
    if (!over.n)
        return 0;
    ResourceList asked = resource_list_mask(requested, &over), used = resource_list_mask(&quota->used, &over);
    return admission_forbid(charge->request, err, "exceeded quota: %s, requested: %s, used: %s, limited: %s",
                            object_name(quota->object), resource_list_text(&asked), resource_list_text(&used),
                            resource_list_text(&over));
}

static int write_used(const Charge *charge, const Quota *quota, const ResourceList *used) {
    static const char *const reset[] = {"spec", NULL};
    const Resource *resource = object_resource(quota->object);
    Value *object = value_copy(charge->arena, quota->value);
    ManagedInput input = {
        .schema = resource->schema,
        .api_version = "v1",
        .manager = "kube-apiserver",
        .subresource = "status",
        .now_ns = now_realtime_ns(),
        .reset_fields = reset,
    };
    value_set(charge->arena, value_ensure_object(charge->arena, object, "status"), "used", resource_list_value(used));
    managed_update(charge->arena, &input, quota->value, object);
    schema_normalize(charge->arena, resource->schema, object, NULL, NULL);
    schema_as_stored(resource->schema, object);
    _cleanup_object_ Object *made = object_from_value(resource, object);
    return store_update(charge->request->store, made, object_revision(quota->object), NULL);
}

/* Every quota is judged before any is charged. */
static int judge(const Charge *charge, const ObjectList *list, Quota *quotas, ResourceList *sums, ApiError *err) {
    for (size_t i = 0; i < list->n; i++) {
        read_quota(charge, list->items[i], &quotas[i]);
        quotas[i].covers = covers(charge, &quotas[i], charge->request->object);
        int r = quotas[i].covers ? check_demands(charge, &quotas[i], err) : 0;
        if (r < 0)
            return r;
    }
    for (size_t i = 0; i < list->n; i++) {
        sums[i] = RESOURCE_LIST_INIT(charge->arena);
        if (!quotas[i].covers)
            continue;
        ResourceList requested = added(charge, &quotas[i]);
        if (!requested.n)
            continue;
        resource_list_add(&sums[i], &quotas[i].used);
        resource_list_add(&sums[i], &requested);
        int r = check_limits(charge, &quotas[i], &requested, &sums[i], err);
        if (r < 0)
            return r;
    }
    return 0;
}

static int charge_all(const Charge *charge, StrategyContext *context, const char **done, size_t *n_done,
                      size_t max_done, ApiError *err) {
    _cleanup_object_list_ ObjectList list = {0};
    int r = admission_list(charge->request, "", "v1", "resourcequotas", charge->request->ns, &list, err);
    if (r < 0 || !list.n)
        return r;
    Quota *quotas = arena_alloc0(charge->arena, list.n * sizeof *quotas);
    ResourceList *sums = arena_alloc0(charge->arena, list.n * sizeof *sums);
    ObjectList left = {.items = arena_alloc(charge->arena, list.n * sizeof *left.items)};
    for (size_t i = 0; i < list.n; i++) {
        bool charged = false;
        for (size_t j = 0; j < *n_done; j++)
            charged |= streq(done[j], object_name(list.items[i]));
        if (!charged)
            left.items[left.n++] = list.items[i];
    }
    r = judge(charge, &left, quotas, sums, err);
    for (size_t i = 0; r == 0 && !context->dry_run && i < left.n; i++) {
        if (!sums[i].n || resource_list_equal(&sums[i], &quotas[i].used))
            continue;
        r = write_used(charge, &quotas[i], &sums[i]);
        if (r == 0 && *n_done < max_done)
            done[(*n_done)++] = arena_strdup(charge->arena, object_name(left.items[i]));
    }
    return r;
}

static bool has_deadline(const Value *pod) {
    return value_get_int(value_get(pod, "spec"), "activeDeadlineSeconds", -1) >= 0;
}

/* Whether this kind of request can take anything. */
static bool is_charged(const AdmissionRequest *request) {
    static const char *const measured[] = {"services", "persistentvolumeclaims", NULL};
    const char *subresource = str_or(request->request->subresource, ""), *plural = request->resource->plural;
    const char *group = request->resource->group;
    bool update = request->operation == ADMISSION_UPDATE;
    if (!*group && streq(plural, "pods")) {
        if (*subresource)
            return update && streq(subresource, "resize");
        return !update || has_deadline(request->old) != has_deadline(request->object);
    }
    if (!*group && streq(plural, "persistentvolumeclaims") && streq(subresource, "status"))
        return true;
    if (*subresource)
        return false;
    return !update || (!*group && str_in(plural, measured)) ||
           (streq(group, "resource.k8s.io") && streq(plural, "resourceclaims"));
}

static int validate(AdmissionRequest *request, ApiError *err) {
    const Resource *resource = request->request->resource;
    bool namespaces = !*resource->group && streq(resource->plural, "namespaces");
    if (request->operation > ADMISSION_UPDATE || !*request->ns ||
        (namespaces && request->operation == ADMISSION_CREATE))
        return 0;
    Charge charge = {.request = request, .kind = quota_kind_of(resource), .arena = request->strategy->arena};
    if (!charge.kind || !is_charged(request))
        return 0;
    /* most namespaces have none */
    _cleanup_object_list_ ObjectList any = {0};
    int r = admission_list(request, "", "v1", "resourcequotas", request->ns, &any, err);
    if (r < 0 || !any.n)
        return r;
    size_t n_done = 0, max_done = any.n * QUOTA_ATTEMPTS; /* quotas may come and go between attempts */
    const char **done = arena_alloc(charge.arena, max_done * sizeof *done);
    charge.usage = usage_of(&charge, request->object);
    admission_lock(request);
    for (int i = 0; i < QUOTA_ATTEMPTS; i++) {
        r = charge_all(&charge, request->strategy, done, &n_done, max_done, err);
        /* gone or changed meanwhile: look again */
        if ((r != -ESTALE && r != -ENOENT) || err->code)
            break;
    }
    admission_unlock(request);
    if (r < 0 && !err->code)
        return r == -ESTALE
                   ? api_error_conflict(
                         err, "", "resourcequotas", request->ns,
                         "the object has been modified; please apply your changes to the latest version and try again")
                   : api_error_from_errno(err, r, "charging the quota");
    return r;
}

const AdmissionPlugin admission_resource_quota = {"ResourceQuota", NULL, validate};
