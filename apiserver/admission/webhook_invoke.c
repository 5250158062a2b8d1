/* Asking webhooks, and what becomes of their answers: metrics and the failure policy. */
#define LOG_COMPONENT "apiserver"
#include "apiserver/admission/webhooks.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "base/str.h"

#include <errno.h>

static const char *const type_names[] = {[WEBHOOK_MUTATING] = "admit", [WEBHOOK_VALIDATING] = "validating"};

static int out_of_time(ApiError *err) {
    return api_error_set(err, 504, "Timeout",
                         "Timeout: request did not complete within requested timeout - context deadline exceeded");
}

/* What is left of the time that a request's webhooks have together; 0: nothing. */
static uint64_t time_left(const WebhookRequest *request) {
    int64_t until = request->admission->strategy->now_ns + (int64_t)(WEBHOOK_REQUEST_SECONDS * NS_PER_SEC);
    int64_t now = now_realtime_ns();
    uint64_t left = now < until ? (uint64_t)(until - now) : 0, due = request->admission->request->deadline_ns;
    uint64_t passed = now_monotonic_ns();
    return !due ? left : due <= passed ? 0 : MIN(left, due - passed);
}

static bool supports_dry_run(const Webhook *hook) {
    return streq(hook->side_effects, "None") || streq(hook->side_effects, "NoneOnDryRun");
}

/* False: it is not asked, and its verdict stands. */
static bool prepare(const WebhookRequest *request, WebhookInvocation *item, const char *uid, Value **ret) {
    const AdmissionRequest *admission = request->admission;
    const Webhook *hook = item->hook;
    const Value *old;
    if (admission->strategy->dry_run && !supports_dry_run(hook)) {
        if (!*hook->side_effects)
            webhook_failed(item, 400, "Webhook SideEffects is nil");
        else {
            item->verdict = WEBHOOK_ERROR;
            api_error_bad_request(&item->err, "admission webhook \"%s\" does not support dry run", hook->name);
        }
        return false;
    }
    if (!hook->review_version) {
        webhook_failed(item, 400,
                       "could not create admission objects: webhook does not accept known AdmissionReview versions "
                       "(v1, v1beta1)");
        return false;
    }
    if (webhook_object(request, item->resource, admission->object, &item->object, &item->err) < 0 ||
        webhook_object(request, item->resource, admission->old, &old, &item->err) < 0) {
        item->verdict = WEBHOOK_ERROR;
        return false;
    }
    *ret = webhook_review(request, item, old, uid);
    return true;
}

int webhook_invoke(Webhooks *webhooks, const WebhookRequest *request, WebhookType type, WebhookInvocation *items,
                   size_t n, ApiError *err) {
    Arena *arena = request->admission->strategy->arena;
    WebhookCall *calls = arena_alloc0(arena, n * sizeof *calls);
    size_t *of = arena_alloc0(arena, n * sizeof *of), n_calls = 0;
    char(*uids)[UUID_LEN + 1] = arena_alloc0(arena, n * sizeof *uids);
    uint64_t left = time_left(request);
    if (!left)
        return out_of_time(err);
    for (size_t i = 0; i < n; i++) {
        Value *review = NULL;
        if (!prepare(request, &items[i], random_uuid(uids[i]), &review))
            continue;
        calls[n_calls] = (WebhookCall){
            .target = &items[i].hook->target, .body = review, .timeout_ns = MIN(items[i].hook->timeout_ns, left)};
        of[n_calls++] = i;
    }
    webhook_call_all(webhooks_client(webhooks), arena, calls, n_calls);
    for (size_t i = 0; i < n_calls; i++) {
        WebhookInvocation *item = &items[of[i]];
        item->took_ns = calls[i].took_ns;
        if (calls[i].result < 0)
            webhook_failed(item, calls[i].err.code, "failed to call webhook: %s", calls[i].err.message);
        else
            webhook_review_read(request, type, calls[i].answer, uids[of[i]], item);
        api_error_done(&calls[i].err);
    }
    return 0;
}

static void count(Webhooks *webhooks, const WebhookRequest *request, WebhookType type, const WebhookInvocation *item,
                  bool rejected) {
    static const char *const errors[] = {[WEBHOOK_DENIED] = "no_error",
                                         [WEBHOOK_FAILED] = "calling_webhook_error",
                                         [WEBHOOK_ERROR] = "apiserver_internal_error"};
    WebhookMetrics *metrics = webhooks_metrics(webhooks);
    const char *name = item->hook->name;
    int code = item->verdict == WEBHOOK_ERROR ? 0 : item->code;
    if (rejected)
        webhook_metrics_rejection(metrics, name, type_names[type], request->operation, errors[item->verdict], code);
    webhook_metrics_call(metrics, name, type_names[type], request->operation, code, rejected, item->took_ns);
}

int webhook_settle(Webhooks *webhooks, const WebhookRequest *request, WebhookType type, WebhookInvocation *item,
                   ApiError *err) {
    const Webhook *hook = item->hook;
    bool open = item->verdict == WEBHOOK_FAILED && hook->ignores_failure;
    bool rejected = item->verdict != WEBHOOK_ALLOWED && !open;
    count(webhooks, request, type, item, rejected);
    if (item->verdict == WEBHOOK_FAILED)
        log_warn("webhook %s, failing %s: %s", hook->name, open ? "open" : "closed", item->err.message);
    if (open)
        webhook_metrics_fail_open(webhooks_metrics(webhooks), hook->name, type_names[type]);
    if (!rejected)
        return open && type == WEBHOOK_MUTATING && !time_left(request) ? out_of_time(err) : 0;
    if (item->verdict == WEBHOOK_FAILED)
        return api_error_internal(err, item->err.message);
    *err = item->err;
    item->err = (ApiError){0};
    return -EACCES;
}
