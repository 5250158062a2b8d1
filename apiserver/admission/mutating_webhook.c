/* MutatingAdmissionWebhook: one after the other, each seeing what those before it changed. When a plugin or a webhook
 * changes the object after a webhook with reinvocationPolicy IfNeeded was asked, that one is asked once more, in the
 * second run of the whole chain (admission.c). */
#include "api/codec.h"
#include "apiserver/admission/webhooks.h"
#include "apiserver/registry/decode.h"
#include "base/str.h"

typedef struct UidSet {
    const char **items; /* room for every webhook */
    size_t n;
} UidSet;

struct WebhookReinvocation { /* between the two runs for one request */
    UidSet asked, again;     /* may be asked again; are to be */
    const Value *last;       /* the object as the first run left it; NULL: none */
};

static bool has(const UidSet *set, const char *uid) {
    for (size_t i = 0; i < set->n; i++)
        if (streq(set->items[i], uid))
            return true;
    return false;
}

static void add(Arena *arena, UidSet *set, const char *uid) {
    if (has(set, uid))
        return;
    const char **items = arena_alloc(arena, (set->n + 1) * sizeof *items);
    if (set->n)
        memcpy(items, set->items, set->n * sizeof *items);
    items[set->n++] = arena_strdup(arena, uid);
    set->items = items;
}

static void ask_again(Arena *arena, struct WebhookReinvocation *state) {
    for (size_t i = 0; i < state->asked.n; i++)
        add(arena, &state->again, state->asked.items[i]);
    state->asked.n = 0;
}

/* ---- patches ---- */

static int internal(WebhookInvocation *item, const char *why) {
    item->verdict = WEBHOOK_ERROR;
    return api_error_internal(&item->err, why);
}

static bool same_kind(const Value *a, const Value *b) {
    return streq_null(value_get_str(a, "kind"), value_get_str(b, "kind")) &&
           streq_null(value_get_str(a, "apiVersion"), value_get_str(b, "apiVersion"));
}

/* The patched object, decoded and with defaults, in the form it was sent in. */
static int decode(const WebhookRequest *request, WebhookInvocation *item, Value **ret, bool *ret_changed) {
    Arena *arena = request->admission->strategy->arena;
    const Schema *schema = request->own ? request->own->schema : item->resource->schema;
    _cleanup_api_error_ ApiError inner = {0};
    Value *patched, *before = value_copy(arena, item->object);
    if (json_patch_apply(arena, item->object, item->patch, &patched, &inner) < 0 ||
        (schema && schema_normalize(arena, schema, patched, NULL, &inner) < 0))
        return internal(item, str_or(inner.message, "the patched object cannot be read"));
    if (!same_kind(before, patched))
        return internal(item, "the patch changes the kind of the object");
    if (schema)
        schema_normalize(arena, schema, before, NULL, NULL);
    *ret_changed = !value_equal(before, patched);
    if (!request->own)
        registry_set_defaults(arena, item->resource, patched);
    *ret = patched;
    return 0;
}

static void apply(const WebhookRequest *request, WebhookInvocation *item, bool *ret_changed) {
    Arena *arena = request->admission->strategy->arena;
    Value *patched = NULL;
    if (!item->object) {
        internal(item, arena_printf(arena,
                                    "admission webhook \"%s\" attempted to modify the object, which is not supported "
                                    "for this operation",
                                    item->hook->name));
        return;
    }
    if (decode(request, item, &patched, ret_changed) == 0 &&
        webhook_take_object(request, item->resource, patched, &item->err) < 0)
        item->verdict = WEBHOOK_ERROR;
}

/* ---- the run ---- */

static int ask(Webhooks *webhooks, const WebhookRequest *request, const Webhook *hook, const Resource *resource,
               ApiError *err) {
    AdmissionRequest *admission = request->admission;
    Arena *arena = admission->strategy->arena;
    struct WebhookReinvocation *state = admission->reinvocation.webhooks;
    WebhookInvocation item = {.hook = hook, .resource = resource};
    bool changed = false;
    int r = webhook_invoke(webhooks, request, WEBHOOK_MUTATING, &item, 1, err);
    if (r < 0)
        return r;
    if (item.verdict == WEBHOOK_ALLOWED && item.patch)
        apply(request, &item, &changed);
    if (changed) {
        ask_again(arena, state);
        admission->reinvocation.wanted = true;
    }
    if (hook->reinvocable)
        add(arena, &state->asked, hook->uid);
    r = webhook_settle(webhooks, request, WEBHOOK_MUTATING, &item, err);
    api_error_done(&item.err);
    return r;
}

static int run(Webhooks *webhooks, const WebhookRequest *request, const WebhookSet *set, ApiError *err) {
    const AdmissionRequest *admission = request->admission;
    size_t n;
    const Webhook *hooks = webhook_set_items(set, &n);
    for (size_t i = 0; i < n; i++) {
        const Resource *resource;
        int r = webhook_matches(request, &hooks[i], &resource, err);
        if (r < 0)
            return r;
        /* the second run asks nobody for the first time */
        if (!r || (admission->reinvocation.running && !has(&admission->reinvocation.webhooks->again, hooks[i].uid)))
            continue;
        r = ask(webhooks, request, &hooks[i], resource, err);
        if (r < 0)
            return r;
    }
    return 0;
}

static bool was_changed(const Value *last, const Value *object) {
    return last && object ? !value_equal(last, object) : last != object;
}

static int mutate(AdmissionRequest *admission, ApiError *err) {
    Webhooks *webhooks = admission_webhooks(admission);
    _cleanup_webhook_set_ WebhookSet *set = webhooks ? webhooks_get(webhooks, WEBHOOK_MUTATING) : NULL;
    Arena *arena = admission->strategy->arena;
    WebhookRequest request;
    if (!set)
        return 0;
    webhook_request_init(&request, admission);
    if (request.exempt)
        return 0;
    if (!admission->reinvocation.webhooks)
        admission->reinvocation.webhooks = ARENA_NEW0(arena, struct WebhookReinvocation);
    struct WebhookReinvocation *state = admission->reinvocation.webhooks;
    if (admission->reinvocation.running && was_changed(state->last, admission->object))
        ask_again(arena, state);
    int r = run(webhooks, &request, set, err);
    if (r == 0 && admission->reinvocation.wanted)
        state->last = value_copy(arena, admission->object);
    return r;
}

const AdmissionPlugin admission_mutating_webhook = {"MutatingAdmissionWebhook", mutate, NULL, .connects = true};
