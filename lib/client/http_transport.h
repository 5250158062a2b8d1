/* HTTPS with libcurl, behind ClientTransport. Calls go over HTTP/1.1 on a few kept connections, one at a time each
 * (curl 7.88 cannot be trusted with HTTP/2 and prior knowledge); all watches share one thread, a curl multi handle and,
 * where ALPN agrees, one HTTP/2 connection. */
#pragma once

#include "client/client.h"
#include "client/kubeconfig.h"

#define HTTP_TRANSPORT_ANSWER_MAX (64 * 1024 * 1024) /* bytes of one answer */
#define HTTP_TRANSPORT_EVENT_MAX (4 * 1024 * 1024)   /* bytes of one watch event */
#define HTTP_TRANSPORT_PAGE 500                      /* objects a page of a list, as client-go's pager */
#define HTTP_TRANSPORT_IDLE_MAX 4                    /* connections kept for calls */
#define HTTP_TRANSPORT_CALL_SECONDS 60

/* Copies the configuration. */
int http_transport_new(const Kubeconfig *config, ClientTransport **ret, char **ret_error);
