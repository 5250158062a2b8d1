/* ValidatingAdmissionWebhook: everybody who is meant is asked at the same time; the first refusal in order counts. */
#include "apiserver/admission/webhooks.h"
#include "base/str.h"

static int choose(const WebhookRequest *request, const WebhookSet *set, WebhookInvocation **ret, size_t *ret_n,
                  ApiError *err) {
    size_t n, chosen = 0;
    const Webhook *hooks = webhook_set_items(set, &n);
    WebhookInvocation *items = arena_alloc0(request->admission->strategy->arena, n * sizeof *items);
    for (size_t i = 0; i < n; i++) {
        int r = webhook_matches(request, &hooks[i], &items[chosen].resource, err);
        if (r < 0)
            return r;
        if (r)
            items[chosen++].hook = &hooks[i];
    }
    *ret = items;
    *ret_n = chosen;
    return 0;
}

static int validate(AdmissionRequest *admission, ApiError *err) {
    Webhooks *webhooks = admission_webhooks(admission);
    _cleanup_webhook_set_ WebhookSet *set = webhooks ? webhooks_get(webhooks, WEBHOOK_VALIDATING) : NULL;
    WebhookRequest request;
    WebhookInvocation *items;
    size_t n;
    if (!set)
        return 0;
    webhook_request_init(&request, admission);
    if (request.exempt)
        return 0;
    int r = choose(&request, set, &items, &n, err);
    if (r < 0 || !n)
        return r;
    r = webhook_invoke(webhooks, &request, WEBHOOK_VALIDATING, items, n, err);
    for (size_t i = 0; i < n; i++) {
        ApiError own = {0};
        int verdict = r < 0 ? 0 : webhook_settle(webhooks, &request, WEBHOOK_VALIDATING, &items[i], &own);
        if (verdict < 0 && !err->code) {
            *err = own;
            r = verdict;
        } else
            api_error_done(&own);
        api_error_done(&items[i].err);
    }
    return r;
}

const AdmissionPlugin admission_validating_webhook = {"ValidatingAdmissionWebhook", NULL, validate, .connects = true};
