#include "apiserver/handlers/http.h"

void connect_serve(Exchange *exchange) {
    ApiError err = {0};
    api_error_set(&err, 501, "NotImplemented", "connections to nodes are not there yet");
    http_reply_error(exchange->http, NULL, &err);
    api_error_done(&err);
    exchange_free(exchange);
}
