/* Connections to node agents and to what stands behind a proxy subresource. */
#pragma once

#include "apiserver/handlers/http.h"

/* Takes the exchange, authorized and admitted. On the loop thread. */
void connect_serve(Exchange *exchange);
/* 400: what is done through a connection is done. */
int connect_check_dry_run(const Exchange *exchange, ApiError *err);
