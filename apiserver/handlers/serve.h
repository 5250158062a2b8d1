/* What answers a request for a resource: reads on the loop thread (on the pool when they must wait for other servers'
 * writes), writes on the pool; watches and connections are handed on. */
#pragma once

#include "apiserver/handlers/http.h"

/* Answers exchange->route (a ROUTE_RESOURCE) for exchange->request.user; takes the exchange. */
void exchange_serve(Exchange *exchange);
