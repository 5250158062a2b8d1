/* One look at an aggregated server: is it there, does it answer, what does it say of itself. Blocks. */
#pragma once

#include "apiserver/handlers/http.h"
#include "apiserver/registry/api_services.h"

typedef struct AggregationCheck {
    const ApiHttpConfig *config;
    Store *store;
    const ApiService *service;
    ApiDocuments *documents;     /* what it said before; replaced (the reference too) when it says something else */
    const atomic_bool *stopping; /* the server ends: no more questions */
} AggregationCheck;

/* Writes the condition Available of the APIService, and fetches discovery and OpenAPI when it is. True when the server
 * answered. Any thread that may block. */
bool aggregation_check(AggregationCheck *check);
/* Changes when the APIService's spec, its Service or the Service's endpoints do. */
uint64_t aggregation_service_hash(Store *store, const ApiService *service);
