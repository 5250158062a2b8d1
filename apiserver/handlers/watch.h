/* Watches over HTTP. */
#pragma once

#include "apiserver/handlers/http.h"

/* Takes the exchange. On the loop thread. */
void watch_serve(Exchange *exchange);
