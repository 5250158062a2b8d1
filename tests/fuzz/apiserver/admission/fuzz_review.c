/* What a webhook answers. The first byte says in which version of the review, and whether the webhook may change
 * things. */
#include "api/json.h"
#include "apiserver/admission/webhooks.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (!size || size > 65536)
        return 0;
    _cleanup_arena_ Arena *arena = arena_new(0);
    Value *answer;
    if (json_parse(arena, (const char *)data + 1, size - 1, &answer, NULL, NULL) < 0)
        return 0;
    StrategyContext context = {.arena = arena};
    ApiRequest api = {.arena = arena};
    AdmissionRequest admission = {.request = &api, .strategy = &context};
    WebhookRequest request = {.admission = &admission};
    Webhook hook = {.name = "w.example.com", .review_version = data[0] & 1 ? "v1" : "v1beta1"};
    WebhookInvocation item = {.hook = &hook};
    WebhookType type = data[0] & 2 ? WEBHOOK_MUTATING : WEBHOOK_VALIDATING;
    webhook_review_read(&request, type, answer, "uid", &item);
    bool refused = item.verdict != WEBHOOK_ALLOWED;
    if (refused != (item.err.code != 0) || (item.patch && (refused || type == WEBHOOK_VALIDATING)))
        abort();
    api_error_done(&item.err);
    return 0;
}
