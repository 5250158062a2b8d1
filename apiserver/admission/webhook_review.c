/* AdmissionReview, v1 and v1beta1: what is sent, and what may come back (plugin/webhook/request). */
#include "api/json.h"
#include "apiserver/admission/webhooks.h"
#include "apiserver/registry/decode.h"
#include "base/str.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#define GROUP "admission.k8s.io"

void webhook_failed(WebhookInvocation *item, int code, const char *format, ...) {
    va_list ap;
    va_start(ap, format);
    char *why = NULL;
    if (vasprintf(&why, format, ap) < 0)
        why = NULL;
    va_end(ap);
    api_error_done(&item->err);
    item->verdict = WEBHOOK_FAILED;
    item->code = code;
    api_error_set(&item->err, code, "", "failed calling webhook \"%s\": %s", item->hook->name, str_or(why, ""));
    free(why);
}

/* ---- the request ---- */

static Value *kind_value(Arena *arena, const WebhookRequest *request, const Resource *resource) {
    const char *group, *version, *kind = webhook_kind(request, resource, &group, &version);
    Value *v = value_object(arena);
    value_set_str(arena, v, "group", group);
    value_set_str(arena, v, "version", version);
    value_set_str(arena, v, "kind", kind);
    return v;
}

static Value *resource_value(Arena *arena, const Resource *resource) {
    Value *v = value_object(arena);
    value_set_str(arena, v, "group", resource->group);
    value_set_str(arena, v, "version", resource->version);
    value_set_str(arena, v, "resource", resource->plural);
    return v;
}

static Value *user_value(Arena *arena, const UserInfo *user) {
    Value *v = value_object(arena);
    if (!user)
        return v;
    if (!str_empty(user->name))
        value_set_str(arena, v, "username", user->name);
    if (!str_empty(user->uid))
        value_set_str(arena, v, "uid", user->uid);
    for (const char *const *group = user->groups; group && *group; group++)
        value_append(arena, value_ensure_array(arena, v, "groups"), value_string(arena, *group));
    for (size_t i = 0; i < user->n_extra; i++)
        value_append(arena, value_ensure_array(arena, value_ensure_object(arena, v, "extra"), user->extra[i].key),
                     value_string(arena, user->extra[i].value));
    return v;
}

static void set_filled(Arena *arena, Value *v, const char *name, const char *text) {
    if (!str_empty(text))
        value_set_str(arena, v, name, text);
}

/* CreateOptions, UpdateOptions or DeleteOptions; null for connections. */
static Value *options_value(Arena *arena, const AdmissionRequest *admission) {
    static const char *const kinds[] = {[ADMISSION_CREATE] = "CreateOptions",
                                        [ADMISSION_UPDATE] = "UpdateOptions",
                                        [ADMISSION_DELETE] = "DeleteOptions"};
    static const char *const delete_members[] = {"gracePeriodSeconds", "preconditions", "orphanDependents",
                                                 "propagationPolicy"};
    const ApiRequest *api = admission->request;
    if (admission->operation == ADMISSION_CONNECT)
        return value_null(arena);
    Value *v = value_object(arena);
    value_set_str(arena, v, "kind", kinds[admission->operation]);
    value_set_str(arena, v, "apiVersion", "meta.k8s.io/v1");
    bool deletes = api->verb == API_DELETE || api->verb == API_DELETE_COLLECTION;
    for (size_t i = 0; deletes && i < ELEMENTSOF(delete_members); i++)
        value_set(arena, v, delete_members[i], value_copy(arena, value_get(api->body, delete_members[i])));
    if (admission->strategy->dry_run)
        value_append(arena, value_ensure_array(arena, v, "dryRun"), value_string(arena, "All"));
    if (admission->operation != ADMISSION_DELETE) {
        set_filled(arena, v, "fieldManager", api->options.field_manager);
        set_filled(arena, v, "fieldValidation", api->options.field_validation);
    }
    return v;
}

static void set_tree(Arena *arena, Value *v, const char *name, const Value *tree) {
    value_set(arena, v, name, tree ? (Value *)(uintptr_t)tree : value_null(arena)); /* only written out */
}

Value *webhook_review(const WebhookRequest *request, const WebhookInvocation *item, const Value *old, const char *uid) {
    const AdmissionRequest *admission = request->admission;
    Arena *arena = admission->strategy->arena;
    Value *review = value_object(arena), *r = value_object(arena);
    value_set_str(arena, review, "kind", "AdmissionReview");
    value_set_str(arena, review, "apiVersion", arena_printf(arena, GROUP "/%s", item->hook->review_version));
    value_set(arena, review, "request", r);
    value_set_str(arena, r, "uid", uid);
    value_set(arena, r, "kind", kind_value(arena, request, item->resource));
    value_set(arena, r, "resource", resource_value(arena, item->resource));
    set_filled(arena, r, "subResource", request->subresource);
    value_set(arena, r, "requestKind", kind_value(arena, request, request->resource));
    value_set(arena, r, "requestResource", resource_value(arena, request->resource));
    set_filled(arena, r, "requestSubResource", request->subresource);
    set_filled(arena, r, "name", request->name);
    set_filled(arena, r, "namespace", request->ns);
    value_set_str(arena, r, "operation", request->operation);
    value_set(arena, r, "userInfo", user_value(arena, admission->request->user));
    set_tree(arena, r, "object", item->object);
    set_tree(arena, r, "oldObject", old);
    value_set_bool(arena, r, "dryRun", admission->strategy->dry_run);
    value_set(arena, r, "options", options_value(arena, admission));
    return review;
}

/* ---- the answer ---- */

static void invalid(WebhookInvocation *item, const char *why) {
    webhook_failed(item, 503, "received invalid webhook response: %s", why);
}

/* "/, Kind=" is how Go prints what is empty. */
static const char *kind_text(Arena *arena, const Value *v) {
    const char *version = str_or(value_get_str(v, "apiVersion"), "");
    return arena_printf(arena, "%s%s, Kind=%s", strchr(version, '/') ? "" : "/", version,
                        str_or(value_get_str(v, "kind"), ""));
}

/* What v1 asks of an answer; v1beta1 never asked. */
static const char *check_v1(Arena *arena, WebhookType type, const Value *answer, const char *uid) {
    static const char wanted[] = GROUP "/v1, Kind=AdmissionReview";
    const Value *response = value_get(answer, "response");
    const char *said = str_or(value_get_str(response, "uid"), ""), *kind = kind_text(arena, answer);
    bool patch = !str_empty(value_get_str(response, "patch"));
    const Value *patch_type = value_get(response, "patchType");
    bool typed = patch_type && patch_type->type != VALUE_NULL;
    if (!streq(said, uid))
        return arena_printf(arena, "expected response.uid=\"%s\", got %s", uid, go_quoted(arena, said));
    if (!streq(kind, wanted))
        return arena_printf(arena, "expected webhook response of %s, got %s", wanted, kind);
    if (type == WEBHOOK_VALIDATING)
        return patch   ? "validating webhook may not return response.patch"
               : typed ? "validating webhook may not return response.patchType"
                       : NULL;
    if (patch && !typed)
        return "webhook returned response.patch but not response.patchType";
    if (!patch && typed)
        return "webhook returned response.patchType but not response.patch";
    if (typed && str_empty(value_str(patch_type)))
        return "webhook returned invalid response.patchType of \"\"";
    return NULL;
}

/* The Status it gave, made a refusal (webhookerrors.ToStatusErr). */
static void deny(Arena *arena, const Value *result, WebhookInvocation *item) {
    Value *status = value_is(result, VALUE_OBJECT) ? value_copy(arena, result) : value_object(arena);
    const char *message = value_get_str(status, "message"), *reason = value_get_str(status, "reason");
    char *by = arena_printf(arena, "admission webhook \"%s\" denied the request", item->hook->name);
    int64_t code = value_get_int(status, "code", 0);
    value_set_int(arena, status, "code", code = MAX(code, (int64_t)400));
    value_set_str(arena, status, "message",
                  !str_empty(message)  ? arena_printf(arena, "%s: %s", by, message)
                  : !str_empty(reason) ? arena_printf(arena, "%s: %s", by, reason)
                                       : arena_printf(arena, "%s without explanation", by));
    item->verdict = WEBHOOK_DENIED;
    item->code = (int)MIN(code, (int64_t)INT32_MAX);
    api_error_from_status(&item->err, status, item->code);
}

/* What a decoder that knows AdmissionReview alone says of another kind; what is not said is taken for it. */
static bool is_review(Arena *arena, const Value *answer, WebhookInvocation *item) {
    static const char *const versions[] = {"", GROUP "/v1", GROUP "/v1beta1", NULL};
    const char *kind = str_or(value_get_str(answer, "kind"), ""),
               *version = str_or(value_get_str(answer, "apiVersion"), "");
    if ((!*kind || streq(kind, "AdmissionReview")) && str_in(version, versions))
        return true;
    webhook_failed(item, 503,
                   "failed to call webhook: no kind %s is registered for version %s in scheme " REGISTRY_SCHEME,
                   go_quoted(arena, kind), go_quoted(arena, version));
    return false;
}

static void take_notes(StrategyContext *context, const WebhookInvocation *item, const Value *response) {
    const Value *warning;
    VALUE_FOREACH_MEMBER (m, value_get(response, "auditAnnotations"))
        strategy_annotate(context, arena_printf(context->arena, "%s/%s", item->hook->name, m->name),
                          str_or(value_str(m->value), ""));
    VALUE_FOREACH (warning, value_get(response, "warnings"))
        if (!str_empty(value_str(warning)))
            strategy_warn(context, "%s", value_str(warning));
}

static void read_patch(Arena *arena, const Value *response, WebhookInvocation *item) {
    const char *text = value_get_str(response, "patch"), *type = value_get_str(response, "patchType");
    uint8_t *bytes = NULL;
    size_t n;
    char *why = NULL;
    Value *patch = NULL;
    if (str_empty(text))
        return;
    int r = base64_decode(text, strlen(text), &bytes, &n);
    r = r < 0 ? r : json_parse(arena, (const char *)bytes, n, &patch, NULL, &why);
    free(bytes);
    if (r < 0 || !value_is(patch, VALUE_ARRAY))
        webhook_failed(item, 503, "received undecodable patch in webhook response: %s",
                       str_or(why, "it is no list of operations"));
    else if (streq(item->hook->review_version, "v1") && !streq_null(type, "JSONPatch"))
        webhook_failed(item, 503, "unsupported patch type \"%s\"", str_or(type, ""));
    else if (value_len(patch))
        item->patch = patch;
}

void webhook_review_read(const WebhookRequest *request, WebhookType type, const Value *answer, const char *uid,
                         WebhookInvocation *item) {
    StrategyContext *context = request->admission->strategy;
    const Value *response = value_get(answer, "response");
    if (!is_review(context->arena, answer, item))
        return;
    if (!value_is(response, VALUE_OBJECT)) {
        invalid(item, "webhook response was absent");
        return;
    }
    if (streq(item->hook->review_version, "v1")) {
        const char *why = check_v1(context->arena, type, answer, uid);
        if (why) {
            invalid(item, why);
            return;
        }
    }
    take_notes(context, item, response);
    item->verdict = WEBHOOK_ALLOWED;
    item->code = 200;
    if (!value_get_bool(response, "allowed", false))
        deny(context->arena, value_get(response, "status"), item);
    else if (type == WEBHOOK_MUTATING)
        read_patch(context->arena, response, item);
}
