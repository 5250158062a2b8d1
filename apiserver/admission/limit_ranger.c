/* LimitRanger: what a namespace's LimitRanges set for containers that say nothing, and the bounds for those that do. */
#include "apiserver/admission/admission.h"
#include "apiserver/admission/messages.h"
#include "api/pod_resources.h"
#include "apiserver/registry/decode.h"
#include "base/str.h"

#define ANNOTATION "kubernetes.io/limit-ranger"
#define MILLI_MAX (INT64_MAX / 1000) /* larger values are compared in whole units */

static const char *const container_lists[][2] = {{"containers", "container"}, {"initContainers", "init container"}};

/* Requests and limits of one thing, against one item of a LimitRange. */
typedef struct Check {
    const Value *item;
    const char *type;
    ResourceList requests, limits;
    bool requests_only; /* claims: there are no limits to speak of */
    Messages *messages;
} Check;

typedef struct Compared {
    int64_t request, limit, bound;
} Compared;

static Compared compare(const Quantity *request, const Quantity *limit, const Quantity *bound) {
    const Quantity zero = quantity_from_int(0, QUANTITY_DECIMAL_SI);
    request = request ? request : &zero;
    limit = limit ? limit : &zero;
    Compared c = {quantity_value(request), quantity_value(limit), quantity_value(bound)};
    if (c.request <= MILLI_MAX && c.limit <= MILLI_MAX && c.bound <= MILLI_MAX)
        c = (Compared){quantity_milli_value(request), quantity_milli_value(limit), quantity_milli_value(bound)};
    return c;
}

static const char *text_of(const Quantity *q, char out[QUANTITY_TEXT_MAX]) {
    return quantity_format(q, out);
}

static void check_min(const Check *check, const char *name, const Quantity *bound) {
    char b[QUANTITY_TEXT_MAX], t[QUANTITY_TEXT_MAX];
    const Quantity *request = resource_list_get(&check->requests, name),
                   *limit = resource_list_get(&check->limits, name);
    Compared c = compare(request, limit, bound);
    text_of(bound, b);
    if (!request)
        messages_add(check->messages, "minimum %s usage per %s is %s.  No request is specified", name, check->type, b);
    else if (c.request < c.bound)
        messages_add(check->messages, "minimum %s usage per %s is %s, but request is %s", name, check->type, b,
                     text_of(request, t));
    else if (limit && c.limit < c.bound)
        messages_add(check->messages, "minimum %s usage per %s is %s, but limit is %s", name, check->type, b,
                     text_of(limit, t));
}

static void check_max(const Check *check, const char *name, const Quantity *bound) {
    char b[QUANTITY_TEXT_MAX], t[QUANTITY_TEXT_MAX];
    const Quantity *request = resource_list_get(&check->requests, name),
                   *limit = resource_list_get(&check->limits, name);
    Compared c = compare(request, limit, bound);
    text_of(bound, b);
    if (check->requests_only && !request)
        messages_add(check->messages, "maximum %s usage per %s is %s.  No request is specified", name, check->type, b);
    else if (!check->requests_only && !limit)
        messages_add(check->messages, "maximum %s usage per %s is %s.  No limit is specified", name, check->type, b);
    else if (limit && c.limit > c.bound)
        messages_add(check->messages, "maximum %s usage per %s is %s, but limit is %s", name, check->type, b,
                     text_of(limit, t));
    else if (request && c.request > c.bound)
        messages_add(check->messages, "maximum %s usage per %s is %s, but request is %s", name, check->type, b,
                     text_of(request, t));
}

static void check_ratio(const Check *check, const char *name, const Quantity *bound) {
    char b[QUANTITY_TEXT_MAX];
    const Quantity *request = resource_list_get(&check->requests, name),
                   *limit = resource_list_get(&check->limits, name);
    Compared c = compare(request, limit, bound);
    text_of(bound, b);
    if (!request || c.request == 0) {
        messages_add(check->messages,
                     "%s max limit to request ratio per %s is %s, but no request is specified or request is 0", name,
                     check->type, b);
        return;
    }
    if (!limit || c.limit == 0) {
        messages_add(check->messages,
                     "%s max limit to request ratio per %s is %s, but no limit is specified or limit is 0", name,
                     check->type, b);
        return;
    }
    double ratio = (double)c.limit / (double)c.request;
    bool fine = quantity_value(bound) <= MILLI_MAX ? ratio * 1000 <= (double)quantity_milli_value(bound)
                                                   : ratio <= (double)quantity_value(bound);
    if (!fine)
        messages_add(check->messages, "%s max limit to request ratio per %s is %s, but provided ratio is %f", name,
                     check->type, b, ratio);
}

static void check_item(Arena *arena, const Check *check) {
    ResourceList min = resource_list_read(arena, value_get(check->item, "min"));
    ResourceList max = resource_list_read(arena, value_get(check->item, "max"));
    ResourceList ratio = resource_list_read(arena, value_get(check->item, "maxLimitRequestRatio"));
    for (size_t i = 0; i < min.n; i++)
        check_min(check, min.items[i].name, &min.items[i].quantity);
    for (size_t i = 0; i < max.n; i++)
        check_max(check, max.items[i].name, &max.items[i].quantity);
    for (size_t i = 0; !check->requests_only && i < ratio.n; i++)
        check_ratio(check, ratio.items[i].name, &ratio.items[i].quantity);
}

static void check_containers(Arena *arena, const Value *item, const Value *pod, Messages *messages) {
    for (size_t i = 0; i < ELEMENTSOF(container_lists); i++) {
        const Value *container;
        VALUE_FOREACH (container, value_path(pod, "spec", container_lists[i][0], NULL)) {
            Check check = {
                .item = item,
                .type = "Container",
                .requests = resource_list_read(arena, value_path(container, "resources", "requests", NULL)),
                .limits = resource_list_read(arena, value_path(container, "resources", "limits", NULL)),
                .messages = messages,
            };
            check_item(arena, &check);
        }
    }
}

static void check_range(Arena *arena, const Value *range, const Value *object, bool is_pod, Messages *messages) {
    const Value *item;
    VALUE_FOREACH (item, value_path(range, "spec", "limits", NULL)) {
        const char *type = str_or(value_get_str(item, "type"), "");
        if (is_pod && streq(type, "Container"))
            check_containers(arena, item, object, messages);
        else if (is_pod && streq(type, "Pod")) {
            const PodResourcesOptions options = {0};
            Check check = {.item = item,
                           .type = type,
                           .requests = pod_requests(arena, object, options),
                           .limits = pod_limits(arena, object, options),
                           .messages = messages};
            check_item(arena, &check);
        } else if (!is_pod && streq(type, "PersistentVolumeClaim")) {
            Check check = {.item = item,
                           .type = type,
                           .limits = RESOURCE_LIST_INIT(arena),
                           .requests_only = true,
                           .messages = messages};
            check.requests = resource_list_read(arena, value_path(object, "spec", "resources", "requests", NULL));
            check_item(arena, &check);
        }
    }
}

/* Adds what is missing; the names added, sorted, joined by ", "; NULL when none. */
static char *fill(Arena *arena, Value *resources, const char *kind, const ResourceList *defaults) {
    _cleanup_buf_ Buf names = BUF_INIT(BUF_NO_LIMIT);
    char text[QUANTITY_TEXT_MAX];
    for (size_t i = 0; i < defaults->n; i++) {
        const char *name = defaults->items[i].name;
        if (value_get(value_get(resources, kind), name))
            continue;
        value_set_str(arena, value_ensure_object(arena, resources, kind), name,
                      quantity_format(&defaults->items[i].quantity, text));
        buf_printf(&names, "%s%s", names.len ? ", " : "", name);
    }
    return names.data ? arena_strdup(arena, names.data) : NULL;
}

/* Whether any container got something. */
static bool set_defaults(Arena *arena, const Value *range, Value *pod) {
    ResourceList requests = RESOURCE_LIST_INIT(arena), limits = requests;
    const Value *item;
    _cleanup_buf_ Buf said = BUF_INIT(BUF_NO_LIMIT);
    VALUE_FOREACH (item, value_path(range, "spec", "limits", NULL)) {
        if (!streq_null(value_get_str(item, "type"), "Container"))
            continue;
        ResourceList r = resource_list_read(arena, value_get(item, "defaultRequest")),
                     l = resource_list_read(arena, value_get(item, "default"));
        for (size_t i = 0; i < r.n; i++)
            resource_list_set(&requests, r.items[i].name, r.items[i].quantity);
        for (size_t i = 0; i < l.n; i++)
            resource_list_set(&limits, l.items[i].name, l.items[i].quantity);
    }
    for (size_t i = 0; i < ELEMENTSOF(container_lists); i++) {
        Value *container;
        VALUE_FOREACH (container, value_path(pod, "spec", container_lists[i][0], NULL)) {
            Value *resources = value_ensure_object(arena, container, "resources");
            const char *name = str_or(value_get_str(container, "name"), "");
            char *set_limits = fill(arena, resources, "limits", &limits),
                 *set_requests = fill(arena, resources, "requests", &requests);
            if (set_requests)
                buf_printf(&said, "%s%s request for %s %s", said.len ? "; " : "", set_requests, container_lists[i][1],
                           name);
            if (set_limits)
                buf_printf(&said, "%s%s limit for %s %s", said.len ? "; " : "", set_limits, container_lists[i][1],
                           name);
        }
    }
    if (said.len)
        value_set(arena, value_ensure_object(arena, meta_ensure(arena, pod), "annotations"), ANNOTATION,
                  value_printf(arena, "LimitRanger plugin set: %s", said.data));
    return said.len;
}

static bool applies(const AdmissionRequest *request, bool *ret_pod) {
    const char *subresource = request->request->subresource;
    bool core = streq(request->resource->group, ""), pod = core && streq(request->resource->plural, "pods");
    bool claim = core && streq(request->resource->plural, "persistentvolumeclaims");
    *ret_pod = pod;
    if (request->operation > ADMISSION_UPDATE || (!pod && !claim))
        return false;
    if (value_get(value_get(request->old, "metadata"), "deletionTimestamp"))
        return false;
    if (subresource)
        return pod && request->operation == ADMISSION_UPDATE && streq(subresource, "resize");
    /* the resources of a pod's containers do not change by an ordinary update */
    return claim || request->operation == ADMISSION_CREATE;
}

static int run(AdmissionRequest *request, bool validate, ApiError *err) {
    _cleanup_object_list_ ObjectList list = {0};
    Arena *arena = request->strategy->arena;
    bool is_pod, changed = false;
    if (!applies(request, &is_pod) || (!validate && !is_pod))
        return 0;
    int r = admission_list(request, "", "v1", "limitranges", request->ns, &list, err);
    for (size_t i = 0; r == 0 && i < list.n; i++) {
        Value *range = object_value(list.items[i], arena);
        if (!validate) {
            changed |= set_defaults(arena, range, request->object);
            continue;
        }
        Messages messages = {.arena = arena};
        check_range(arena, range, request->object, is_pod, &messages);
        if (messages.n)
            r = admission_forbid(request, err, "%s", messages_text(&messages));
    }
    if (changed) /* what the pod as a whole asks for is made of what its containers do */
        registry_set_defaults(arena, request->resource, request->object);
    return r;
}

static int mutate(AdmissionRequest *request, ApiError *err) {
    return run(request, false, err);
}

static int validate(AdmissionRequest *request, ApiError *err) {
    return run(request, true, err);
}

const AdmissionPlugin admission_limit_ranger = {"LimitRanger", mutate, validate};
