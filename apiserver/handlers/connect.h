/* Connections to node agents and to what stands behind a proxy subresource. */
#pragma once

#include "apiserver/handlers/http.h"

/* Takes the exchange, authorized and admitted. On the loop thread. */
void connect_serve(Exchange *exchange);
