/* One watch over HTTP. Inside lib/client only. */
#pragma once

#include "client/client.h"
#include "client/kubeconfig.h"
#include "client/request_metrics.h"
#include "http/client.h"

/* Takes `bearer`, as transport_call_init. Counted in `metrics` (borrowed) once it is answered. */
int http_watch_start(HttpClient *http, RequestMetrics *metrics, char *bearer, const char *base,
                     const ApiRequest *request,
                     void (*event)(const char *type, Object *object, uint64_t revision, void *userdata),
                     void (*end)(int error, void *userdata), void *userdata, ClientWatch **ret);
void http_watch_stop(ClientWatch *watch);

/* What http_transport.c shares: a request's target and header fields, and errors. */
#define TRANSPORT_FIELDS_MAX 4
typedef struct TransportCall {
    HttpCall call;
    Buf target;
    HttpHeader fields[TRANSPORT_FIELDS_MAX];
    char *bearer; /* a secret; NULL: none */
} TransportCall;
/* `base`: the path of the server's URL, or "". Takes `bearer` (NULL: none), the value of the authorization header. */
void transport_call_init(TransportCall *call, char *bearer, const char *base, const ApiRequest *request);
void transport_call_done(TransportCall *call);
int http_transport_failure(ApiError *err, int error, const char *why);
int http_transport_answer(Arena *arena, const Buf *body, int status, Value **ret, ApiError *err);
