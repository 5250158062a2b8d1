/* Calls of webhooks over HTTPS: a JSON document is posted to what a clientConfig names, a JSON document comes back
 * (k8s.io/apiserver/pkg/util/webhook). A Service is resolved to an endpoint by this server itself; the certificate must
 * be for NAME.NAMESPACE.svc. Connections are kept and used again.
 *
 * Any thread but a loop's: calls block. The thread of a pool leaves it meanwhile (pool_leave), so that a webhook that
 * asks this very server in turn is answered. */
#pragma once

#include "apiserver/storage/store.h"

#define WEBHOOK_TIMEOUT_SECONDS 30            /* when the caller sets none, as the reference */
#define WEBHOOK_ANSWER_MAX (64 * 1024 * 1024) /* bytes */
#define WEBHOOK_SERVERS_MAX 64                /* whose connections are kept; past it, a call has one of its own */
#define WEBHOOK_IDLE_SECONDS 90               /* for how long they are, as by Go's transport */
#define WEBHOOK_CONNECT_SECONDS 30            /* as Go's transport */

typedef struct WebhookClient WebhookClient;

/* A clientConfig, read once. Strings live where it was read to. */
typedef struct WebhookTarget {
    const char *base;                       /* "https://host[:port]"; NULL: neither a URL nor a Service was given */
    const char *path;                       /* "/..." */
    const char *ns, *service, *server_name; /* NULL: a URL */
    uint16_t port;                          /* of the Service */
    const char *ca_pem;                     /* "": the system's authorities */
} WebhookTarget;

typedef struct WebhookCall {
    const WebhookTarget *target;
    const Value *body;
    uint64_t timeout_ns; /* 0: WEBHOOK_TIMEOUT_SECONDS */
    /* What came of it: */
    int result;    /* 0 and answer, or negative errno and err */
    Value *answer; /* in the arena */
    ApiError err;  /* code and message as Go's HTTP client and client-go word them; the caller frees it */
    uint64_t took_ns;
} WebhookCall;

WebhookClient *webhook_client_new(Store *store);
void webhook_client_free(WebhookClient *client); /* after the last call */
DEFINE_CLEANUP(WebhookClient, webhook_client_free)

/* From the clientConfig of a webhook configuration or a CustomResourceDefinition. Copies into the arena. */
void webhook_target_read(Arena *arena, const Value *client_config, WebhookTarget *ret);
/* All at once; returns when the last has ended. */
void webhook_call_all(WebhookClient *client, Arena *arena, WebhookCall *calls, size_t n);
