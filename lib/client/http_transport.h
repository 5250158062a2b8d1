/* HTTPS behind ClientTransport, on one HttpClient (http/client.h): all calls and watches of a transport share its
 * connections, one of HTTP/2 where the server speaks it. Watches are decoded, and their events delivered, on the
 * transport's own thread; calls are decoded by who made them. */
#pragma once

#include "client/client.h"
#include "client/kubeconfig.h"

#define HTTP_TRANSPORT_ANSWER_MAX (64 * 1024 * 1024) /* bytes of one answer */
#define HTTP_TRANSPORT_EVENT_MAX (4 * 1024 * 1024)   /* bytes of one watch event */
#define HTTP_TRANSPORT_PAGE 500                      /* objects a page of a list, as client-go's pager */
#define HTTP_TRANSPORT_CONNECT_SECONDS 10
#define HTTP_TRANSPORT_CALL_SECONDS 60

/* Copies the configuration. */
int http_transport_new(const Kubeconfig *config, ClientTransport **ret, char **ret_error);
