/* Admission webhooks (k8s.io/apiserver/pkg/admission/plugin/webhook): the configurations in the store, compiled once a
 * change, whether one is called for a request and as what, and the calls. The plugins are mutating_webhook.c and
 * validating_webhook.c. Any thread. */
#pragma once

#include "apiserver/admission/admission.h"
#include "apiserver/admission/webhook_metrics.h"
#include "apiserver/registry/webhook_client.h"

#define WEBHOOK_REQUEST_SECONDS 34 /* for all webhooks of a request together (requestTimeoutUpperBound) */

typedef enum WebhookType { WEBHOOK_MUTATING, WEBHOOK_VALIDATING } WebhookType;

/* ---- configurations ---- */

typedef struct Webhook {
    const char *name;
    const char *uid;                /* "configuration/name/n": the same through changes of others */
    const Value *rules;             /* RuleWithOperations */
    Selector *namespaces, *objects; /* NULL: all */
    const char *bad_selector;       /* why one of them cannot be read; NULL: both can */
    WebhookTarget target;
    const char *review_version; /* "v1", "v1beta1"; NULL: none that this server speaks */
    const char *side_effects;   /* "" when absent */
    uint64_t timeout_ns;
    bool ignores_failure, exact, reinvocable, has_conditions;
} Webhook;

/* Immutable; counted. In the order of calls: by the name of the configuration, then as in it. */
typedef struct WebhookSet WebhookSet;
const Webhook *webhook_set_items(const WebhookSet *set, size_t *ret_n);
WebhookSet *webhook_set_unref(WebhookSet *set);
static inline void webhook_set_unrefp(WebhookSet **set) {
    webhook_set_unref(*set);
}
#define _cleanup_webhook_set_ _cleanup_(webhook_set_unrefp)

typedef struct Webhooks Webhooks;
Webhooks *webhooks_new(Store *store, WebhookClient *client); /* both borrowed */
void webhooks_free(Webhooks *webhooks);
/* Those in force, a reference; NULL: none at all. */
WebhookSet *webhooks_get(Webhooks *webhooks, WebhookType type);
WebhookMetrics *webhooks_metrics(Webhooks *webhooks);
WebhookClient *webhooks_client(Webhooks *webhooks);
/* admission.c: of the server that the request came to; NULL: it calls none. */
Webhooks *admission_webhooks(const AdmissionRequest *request);

/* ---- requests ---- */

/* A request as webhooks see it. */
typedef struct WebhookRequest {
    AdmissionRequest *admission;
    const Resource *resource;                        /* the row asked for */
    const char *operation, *subresource, *ns, *name; /* "" when there is none */
    const Subresource *own; /* the object is of this subresource's own kind, not of the resource's; NULL: it is not */
    bool exempt;            /* about what configures admission: no webhook hears of it */
} WebhookRequest;
void webhook_request_init(WebhookRequest *request, AdmissionRequest *admission);

/* 1: it is called, with the request as one for *ret (the row asked for, or another version of it); 0: it is not. */
int webhook_matches(const WebhookRequest *request, const Webhook *hook, const Resource **ret, ApiError *err);
/* The kind that objects of a request for `resource` have. */
const char *webhook_kind(const WebhookRequest *request, const Resource *resource, const char **ret_group,
                         const char **ret_version);
/* A tree of the engine in the form of `resource`; NULL stays NULL. Shared when nothing differs. */
int webhook_object(const WebhookRequest *request, const Resource *resource, const Value *object, const Value **ret,
                   ApiError *err);
/* The way back: what a webhook made of that. */
int webhook_take_object(const WebhookRequest *request, const Resource *resource, Value *changed, ApiError *err);

/* ---- calls ---- */

typedef enum WebhookVerdict {
    WEBHOOK_ALLOWED,
    WEBHOOK_DENIED, /* err: what it answered */
    WEBHOOK_FAILED, /* err: it could not be asked, or its answer cannot be used; failurePolicy decides */
    WEBHOOK_ERROR,  /* err: the request fails, whatever the policy */
} WebhookVerdict;

typedef struct WebhookInvocation {
    const Webhook *hook;
    const Resource *resource; /* as which */
    /* What came of it: */
    WebhookVerdict verdict;
    ApiError err;        /* the caller frees it */
    int code;            /* for figures */
    const Value *object; /* what was sent; NULL: none */
    Value *patch;        /* mutating: the operations; NULL: none */
    uint64_t took_ns;
} WebhookInvocation;

/* Asks all at once. Warnings and audit annotations of their answers go to the request's strategy context. -ETIMEDOUT
 * and err when the request has no time left. */
int webhook_invoke(Webhooks *webhooks, const WebhookRequest *request, WebhookType type, WebhookInvocation *items,
                   size_t n, ApiError *err);
/* Counts it and applies the failure policy. 0: the request goes on. */
int webhook_settle(Webhooks *webhooks, const WebhookRequest *request, WebhookType type, WebhookInvocation *item,
                   ApiError *err);

/* webhook_review.c: the document, and what is read from the answer into the invocation. */
Value *webhook_review(const WebhookRequest *request, const WebhookInvocation *item, const Value *old, const char *uid);
void webhook_review_read(const WebhookRequest *request, WebhookType type, const Value *answer, const char *uid,
                         WebhookInvocation *item);
/* "failed calling webhook ..." with the status's code. */
void webhook_failed(WebhookInvocation *item, int code, const char *format, ...) _printf_(3, 4);
