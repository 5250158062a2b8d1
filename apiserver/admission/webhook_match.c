/* Whether a webhook hears of a request: selectors, rules, equivalent versions (generic/webhook.go, predicates). */
#include "apiserver/admission/webhooks.h"
#include "apiserver/registry/checks.h"
#include "apiserver/registry/convert.h"
#include "apiserver/registry/custom_resources.h"
#include "apiserver/registry/scale_view.h"
#include "base/str.h"

#include <errno.h>

static bool is_namespaces(const WebhookRequest *request) {
    return !*request->resource->group && streq(request->resource->plural, "namespaces");
}

/* Kinds that configure admission itself. */
static bool is_exempt(const char *group, const char *kind) {
    static const char *const kinds[] = {"ValidatingWebhookConfiguration",
                                        "MutatingWebhookConfiguration",
                                        "ValidatingAdmissionPolicy",
                                        "ValidatingAdmissionPolicyBinding",
                                        "MutatingAdmissionPolicy",
                                        "MutatingAdmissionPolicyBinding",
                                        NULL};
    return streq(group, "admissionregistration.k8s.io") && str_in(kind, kinds);
}

void webhook_request_init(WebhookRequest *request, AdmissionRequest *admission) {
    static const char *const operations[] = {[ADMISSION_CREATE] = "CREATE",
                                             [ADMISSION_UPDATE] = "UPDATE",
                                             [ADMISSION_DELETE] = "DELETE",
                                             [ADMISSION_CONNECT] = "CONNECT"};
    const ApiRequest *api = admission->request;
    const char *group, *version;
    *request = (WebhookRequest){.admission = admission,
                                .resource = api->resource,
                                .operation = operations[admission->operation],
                                .subresource = str_or(api->subresource, ""),
                                .ns = admission->ns,
                                .name = admission->name};
    const Subresource *row = *request->subresource ? resource_subresource(api->resource, request->subresource) : NULL;
    if (row && row->kind && !streq(row->kind, api->resource->kind))
        request->own = row;
    /* a namespace is in itself */
    if (!*request->ns && is_namespaces(request))
        request->ns = request->name;
    const char *kind = webhook_kind(request, request->resource, &group, &version);
    request->exempt = is_exempt(group, kind);
}

const char *webhook_kind(const WebhookRequest *request, const Resource *resource, const char **ret_group,
                         const char **ret_version) {
    const Subresource *row = request->own;
    *ret_group = row && row->group ? row->group : resource->group;
    *ret_version = row && row->version ? row->version : resource->version;
    return row ? row->kind : resource->kind;
}

/* The engine holds the object; webhooks hear of its Scale. */
static bool is_scale(const WebhookRequest *request) {
    return request->own && streq(request->own->kind, "Scale");
}

static int take_custom(const WebhookRequest *request, Value *changed, ApiError *err) {
    AdmissionRequest *admission = request->admission;
    int r = custom_resources_convert(admission->strategy->arena, admission->resource, &changed, 1, err);
    if (r < 0)
        return r;
    custom_resource_read(admission->strategy->arena, admission->resource, changed);
    *admission->object = *changed;
    return 0;
}

int webhook_take_object(const WebhookRequest *request, const Resource *resource, Value *changed, ApiError *err) {
    AdmissionRequest *admission = request->admission;
    Arena *arena = admission->strategy->arena;
    if (is_scale(request))
        scale_view_apply(arena, request->resource, changed, admission->object);
    else if (request->own || resource == admission->resource)
        *admission->object = *changed;
    else if (resource->custom)
        return take_custom(request, changed, err);
    else
        *admission->object = *convert_object(arena, resource, admission->resource, changed);
    return 0;
}

int webhook_object(const WebhookRequest *request, const Resource *resource, const Value *object, const Value **ret,
                   ApiError *err) {
    const AdmissionRequest *admission = request->admission;
    Arena *arena = admission->strategy->arena;
    *ret = object;
    if (object && is_scale(request)) {
        Value *scale;
        int r = scale_view(arena, request->resource, object, &scale, err);
        *ret = scale;
        return r;
    }
    if (!object || request->own || resource == admission->resource)
        return 0;
    Value *copy = value_copy(arena, object);
    int r = resource->custom ? custom_resources_convert(arena, resource, &copy, 1, err) : 0;
    *ret = r < 0 || resource->custom ? copy : convert_object(arena, admission->resource, resource, copy);
    return r;
}

/* ---- selectors ---- */

/* 1 matches, 0 does not. */
static int match_namespace(const WebhookRequest *request, const Selector *selector, ApiError *err) {
    const AdmissionRequest *admission = request->admission;
    _cleanup_object_ Object *ns = NULL;
    if (!selector || (!*request->ns && !is_namespaces(request)))
        return 1;
    bool written = admission->operation == ADMISSION_CREATE || admission->operation == ADMISSION_UPDATE;
    if (is_namespaces(request) && !*request->subresource && written)
        return label_selector_matches_value(selector, value_path(admission->object, "metadata", "labels", NULL));
    int r = store_get(admission->store, resource_find("", "v1", "namespaces"), "", request->ns, &ns);
    if (r == -ENOENT)
        return api_error_not_found(err, "", "namespaces", request->ns);
    if (r < 0)
        return api_error_from_errno(err, r, "reading the namespace");
    return label_selector_matches(selector, ns);
}

static bool match_one(const Selector *selector, const Value *object) {
    return object && label_selector_matches_value(selector, value_path(object, "metadata", "labels", NULL));
}

static bool match_object(const WebhookRequest *request, const Selector *selector) {
    return !selector || match_one(selector, request->admission->object) || match_one(selector, request->admission->old);
}

/* ---- rules ---- */

static bool has_or_all(const Value *list, const char *wanted) {
    return list_has(list, "*") || list_has(list, wanted);
}

static bool match_scope(const WebhookRequest *request, const Value *rule) {
    const char *scope = str_or(value_get_str(rule, "scope"), "*");
    bool cluster = is_namespaces(request) || !*request->ns;
    return streq(scope, "*") || (streq(scope, "Cluster") ? cluster : streq(scope, "Namespaced") && !cluster);
}

static bool match_resource(const WebhookRequest *request, const Resource *resource, const Value *rule) {
    const Value *item;
    VALUE_FOREACH (item, value_get(rule, "resources")) {
        const char *text = str_or(value_str(item), ""), *slash = strchrnul(text, '/'), *sub = *slash ? slash + 1 : "";
        size_t n = (size_t)(slash - text);
        bool same = (n == 1 && *text == '*') || (strlen(resource->plural) == n && !strncmp(resource->plural, text, n));
        if (same && (streq(sub, "*") || streq(sub, request->subresource)))
            return true;
    }
    return false;
}

static bool match_rule(const WebhookRequest *request, const Resource *resource, const Value *rule) {
    return match_scope(request, rule) && has_or_all(value_get(rule, "operations"), request->operation) &&
           has_or_all(value_get(rule, "apiGroups"), resource->group) &&
           has_or_all(value_get(rule, "apiVersions"), resource->version) && match_resource(request, resource, rule);
}

static bool is_other_form(const WebhookRequest *request, const Resource *row) {
    return row != request->resource && row->storage == request->resource->storage;
}

/* Earlier rules first, then versions in the order of discovery. */
static const Resource *match_equivalent(const WebhookRequest *request, const Webhook *hook,
                                        const Resource *const *custom) {
    const Value *rule;
    const Resource *row;
    VALUE_FOREACH (rule, hook->rules) {
        for (size_t i = 0; request->resource->custom && custom[i]; i++)
            if (is_other_form(request, custom[i]) && match_rule(request, custom[i], rule))
                return custom[i];
        for (size_t i = 0; !request->resource->custom && (row = resource_builtin(i)); i++)
            if (is_other_form(request, row) && match_rule(request, row, rule))
                return row;
    }
    return NULL;
}

static const Resource *match_rules(const WebhookRequest *request, const Webhook *hook) {
    const AdmissionRequest *admission = request->admission;
    const Value *rule;
    VALUE_FOREACH (rule, hook->rules)
        if (match_rule(request, request->resource, rule))
            return request->resource;
    if (hook->exact)
        return NULL;
    return match_equivalent(
        request, hook,
        request->resource->custom ? custom_resources_all(admission->custom, admission->strategy->arena) : NULL);
}

int webhook_matches(const WebhookRequest *request, const Webhook *hook, const Resource **ret, ApiError *err) {
    _cleanup_api_error_ ApiError inner = {0};
    int ns = hook->bad_selector ? 1 : match_namespace(request, hook->namespaces, &inner);
    if (ns == 0 || !match_object(request, hook->objects))
        return 0;
    const Resource *found = match_rules(request, hook);
    if (!found)
        return 0;
    /* what went wrong matters only for a webhook that is meant */
    if (hook->bad_selector)
        return api_error_internal(err, hook->bad_selector);
    if (ns < 0) {
        *err = inner;
        inner = (ApiError){0};
        return ns;
    }
    if (hook->has_conditions) {
        if (hook->ignores_failure)
            return 0;
        return api_error_forbidden(err, request->resource->group, request->resource->plural, request->name,
                                   arena_printf(request->admission->strategy->arena,
                                                "webhook \"%s\" has matchConditions, which this server does not "
                                                "evaluate",
                                                hook->name));
    }
    *ret = found;
    return 1;
}
