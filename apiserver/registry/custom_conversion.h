/* Conversion of custom resources between versions by their definition's webhook: ConversionReview, v1 and v1beta1
 * (k8s.io/apiextensions-apiserver/pkg/apiserver/conversion). Calls block: not on a loop's thread. */
#pragma once

#include "apiserver/registry/webhook_client.h"
#include "base/metric.h"

#define CONVERSION_BATCH 500 /* objects in one review */

/* What the conversions of a server share. */
typedef struct ConversionService {
    WebhookClient *client; /* NULL: no webhook can be called */
    Metric *requests, *durations, *crd_durations;
} ConversionService;
ConversionService *conversion_service_new(WebhookClient *client); /* borrowed */
void conversion_service_free(ConversionService *service);
void conversion_metrics_write(ConversionService *service, Buf *out);

/* Of one definition with strategy Webhook. */
typedef struct CustomConversion {
    ConversionService *service;
    const char *name; /* of the definition */
    WebhookTarget target;
    const char *review_version; /* NULL: none that this server speaks */
} CustomConversion;
/* From spec.conversion of a definition; NULL: strategy None. In the arena; borrows the tree. */
const CustomConversion *custom_conversion_new(Arena *arena, ConversionService *service, const Value *crd);

/* Objects (changed in place) that are not of `api_version` become so. Names, uid and all metadata but labels and
 * annotations stay, whatever the webhook says. Errors: 500 in the reference's words. */
int custom_conversion_run(const CustomConversion *conversion, Arena *arena, const char *api_version, Value **objects,
                          size_t n, ApiError *err);
