/* The configurations in force. A set is compiled when its resource has changed since the last one; without any
 * configuration a write costs one comparison of revisions. */
#define LOG_COMPONENT "apiserver"
#include "apiserver/admission/webhooks.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"

#include <pthread.h>
#include <stdatomic.h>

#define GROUP "admissionregistration.k8s.io"
#define DEFAULT_TIMEOUT_SECONDS 10

struct WebhookSet {
    atomic_int refs;
    uint64_t revision; /* of the configurations it was compiled from */
    Arena *arena;
    Webhook *items;
    size_t n;
};

struct Webhooks {
    Store *store;
    WebhookClient *client;
    WebhookMetrics *metrics;
    const Resource *resources[2]; /* by WebhookType */
    pthread_mutex_t lock;         /* over `sets` */
    WebhookSet *sets[2];
};

const Webhook *webhook_set_items(const WebhookSet *set, size_t *ret_n) {
    *ret_n = set->n;
    return set->items;
}

static WebhookSet *set_ref(WebhookSet *set) {
    atomic_fetch_add(&set->refs, 1);
    return set;
}

WebhookSet *webhook_set_unref(WebhookSet *set) {
    if (!set || atomic_fetch_sub(&set->refs, 1) > 1)
        return NULL;
    for (size_t i = 0; i < set->n; i++) {
        selector_free(set->items[i].namespaces);
        selector_free(set->items[i].objects);
    }
    arena_free(set->arena);
    free(set);
    return NULL;
}

Webhooks *webhooks_new(Store *store, WebhookClient *client) {
    Webhooks *webhooks = NEW0(Webhooks);
    webhooks->store = store;
    webhooks->client = client;
    webhooks->metrics = webhook_metrics_new();
    webhooks->resources[WEBHOOK_MUTATING] = resource_find(GROUP, "v1", "mutatingwebhookconfigurations");
    webhooks->resources[WEBHOOK_VALIDATING] = resource_find(GROUP, "v1", "validatingwebhookconfigurations");
    pthread_mutex_init(&webhooks->lock, NULL);
    return webhooks;
}

void webhooks_free(Webhooks *webhooks) {
    if (!webhooks)
        return;
    webhook_set_unref(webhooks->sets[WEBHOOK_MUTATING]);
    webhook_set_unref(webhooks->sets[WEBHOOK_VALIDATING]);
    webhook_metrics_free(webhooks->metrics);
    pthread_mutex_destroy(&webhooks->lock);
    free(webhooks);
}

WebhookMetrics *webhooks_metrics(Webhooks *webhooks) {
    return webhooks->metrics;
}

WebhookClient *webhooks_client(Webhooks *webhooks) {
    return webhooks->client;
}

/* ---- compiling ---- */

static bool selects_all(const Value *selector) {
    return value_is_empty(value_get(selector, "matchLabels")) &&
           value_is_empty(value_get(selector, "matchExpressions"));
}

static void read_selector(Arena *arena, const Value *v, const char *name, Selector **ret, const char **ret_bad) {
    const Value *selector = value_get(v, name);
    if (!selects_all(selector) && label_selector_from_value(selector, ret) < 0)
        *ret_bad = arena_printf(arena, "the %s cannot be read", name);
}

static const char *review_version_of(const Value *versions) {
    static const char *const known[] = {"v1", "v1beta1", NULL};
    const Value *version;
    VALUE_FOREACH (version, versions)
        if (value_str(version) && str_in(value_str(version), known))
            return value_str(version);
    return NULL;
}

static const char *uid_of(Arena *arena, const char *configuration, const Value *hooks, size_t index) {
    const char *name = str_or(value_get_str(value_at(hooks, index), "name"), "");
    size_t n = 0;
    for (size_t i = 0; i < index; i++)
        n += streq(str_or(value_get_str(value_at(hooks, i), "name"), ""), name);
    return arena_printf(arena, "%s/%s/%zu", configuration, name, n);
}

static void compile(Arena *arena, const Value *v, Webhook *hook) {
    hook->name = str_or(value_get_str(v, "name"), "");
    hook->rules = value_get(v, "rules");
    hook->review_version = review_version_of(value_get(v, "admissionReviewVersions"));
    hook->side_effects = str_or(value_get_str(v, "sideEffects"), "");
    hook->timeout_ns = (uint64_t)value_get_int(v, "timeoutSeconds", DEFAULT_TIMEOUT_SECONDS) * NS_PER_SEC;
    hook->ignores_failure = streq_null(value_get_str(v, "failurePolicy"), "Ignore");
    hook->exact = !streq_null(value_get_str(v, "matchPolicy"), "Equivalent");
    hook->reinvocable = streq_null(value_get_str(v, "reinvocationPolicy"), "IfNeeded");
    hook->has_conditions = value_len(value_get(v, "matchConditions")) > 0;
    webhook_target_read(arena, value_get(v, "clientConfig"), &hook->target);
    read_selector(arena, v, "namespaceSelector", &hook->namespaces, &hook->bad_selector);
    read_selector(arena, v, "objectSelector", &hook->objects, &hook->bad_selector);
}

static WebhookSet *compile_all(const ObjectList *list, uint64_t revision) {
    WebhookSet *set = NEW0(WebhookSet);
    size_t total = 0;
    set->arena = arena_new(0);
    set->revision = revision;
    atomic_init(&set->refs, 1);
    const Value **hooks = arena_alloc0(set->arena, (list->n + 1) * sizeof *hooks);
    for (size_t i = 0; i < list->n; i++) {
        hooks[i] = value_get(object_value(list->items[i], set->arena), "webhooks");
        total += value_len(hooks[i]);
    }
    set->items = arena_alloc0(set->arena, (total + 1) * sizeof *set->items);
    for (size_t i = 0; i < list->n; i++) /* a list comes in the order of names */
        for (size_t j = 0; j < value_len(hooks[i]); j++) {
            Webhook *hook = &set->items[set->n++];
            hook->uid = uid_of(set->arena, object_name(list->items[i]), hooks[i], j);
            compile(set->arena, value_at(hooks[i], j), hook);
        }
    return set;
}

/* Lock held. What cannot be read keeps what was in force. */
static void refresh(Webhooks *webhooks, WebhookType type, uint64_t revision) {
    _cleanup_object_list_ ObjectList list = {0};
    _cleanup_api_error_ ApiError err = {0};
    if (store_list(webhooks->store, &(ListQuery){.resource = webhooks->resources[type]}, &list, &err) < 0) {
        log_error("cannot read the webhook configurations: %s", str_or(err.message, ""));
        return;
    }
    webhook_set_unref(webhooks->sets[type]);
    webhooks->sets[type] = compile_all(&list, revision);
}

WebhookSet *webhooks_get(Webhooks *webhooks, WebhookType type) {
    uint64_t revision = store_changed_revision(webhooks->store, webhooks->resources[type]);
    pthread_mutex_lock(&webhooks->lock);
    if (!webhooks->sets[type] || webhooks->sets[type]->revision != revision)
        refresh(webhooks, type, revision);
    WebhookSet *set = webhooks->sets[type];
    set = set && set->n ? set_ref(set) : NULL;
    pthread_mutex_unlock(&webhooks->lock);
    return set;
}
