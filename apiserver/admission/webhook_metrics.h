/* Figures of admission webhooks under the reference's names (k8s.io/apiserver/pkg/admission/metrics). Any thread. */
#pragma once

#include "base/buf.h"

typedef struct WebhookMetrics WebhookMetrics;

WebhookMetrics *webhook_metrics_new(void);
void webhook_metrics_free(WebhookMetrics *metrics);
/* `type` is "admit" or "validating". */
void webhook_metrics_call(WebhookMetrics *metrics, const char *name, const char *type, const char *operation, int code,
                          bool rejected, uint64_t took_ns);
/* `error_type`: calling_webhook_error, apiserver_internal_error, no_error. */
void webhook_metrics_rejection(WebhookMetrics *metrics, const char *name, const char *type, const char *operation,
                               const char *error_type, int code);
void webhook_metrics_fail_open(WebhookMetrics *metrics, const char *name, const char *type);
/* In Prometheus' text form. */
void webhook_metrics_write(WebhookMetrics *metrics, Buf *out);
