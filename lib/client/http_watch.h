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
