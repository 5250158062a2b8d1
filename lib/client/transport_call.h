/* What calls and watches over HTTP share: a request's target and header fields, answers and errors. Inside lib/client
 * only. */
#pragma once

#include "client/client.h"
#include "http/client.h"

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
/* The Status of a call that got no answer. */
int transport_failure(ApiError *err, int error, const char *why);
/* The document, or the error, that a server answered with. */
int transport_answer(Arena *arena, const Buf *body, int status, Value **ret, ApiError *err);
