/* All watches of an HTTP transport on one thread. Inside lib/client only. */
#pragma once

#include "client/client.h"
#include "client/kubeconfig.h"

#include <curl/curl.h>

typedef struct HttpWatcher HttpWatcher;

/* Borrows the configuration for its life. NULL when no thread can be had. */
HttpWatcher *http_watcher_new(const Kubeconfig *config);
void http_watcher_free(HttpWatcher *watcher); /* every watch has been stopped */
int http_watcher_watch(HttpWatcher *watcher, const ApiRequest *request,
                       void (*event)(const char *type, Object *object, uint64_t revision, void *userdata),
                       void (*end)(int error, void *userdata), void *userdata, ClientWatch **ret, ApiError *err);
void http_watch_stop(ClientWatch *watch);

/* What http_transport.c shares: a handle with the credentials, a request's URL and headers (free the list after use),
 * and errors. */
CURL *http_transport_handle(const Kubeconfig *config);
struct curl_slist *http_transport_prepare(CURL *curl, const Kubeconfig *config, const ApiRequest *request);
int http_transport_failure(ApiError *err, CURLcode code, const char *detail);
int http_transport_answer(Arena *arena, const Buf *body, int status, Value **ret, ApiError *err);
