/* Event recorder: core/v1 Events with aggregation by (object, reason, message) as client-go's correlator: the count
 * grows by patch. Never blocks the caller; a bounded queue (EVENTS_QUEUE_MAX) drops with a log line. */
#pragma once

#include "client/client.h"

#define EVENTS_QUEUE_MAX 1000
typedef struct EventRecorder EventRecorder;
EventRecorder *event_recorder_new(Client *client, const char *component, const char *host);
void event_recorder_free(EventRecorder *recorder); /* sends what waits for at most 1 s */
DEFINE_CLEANUP(EventRecorder, event_recorder_free)
/* type: "Normal" or "Warning". field_path (spec.containers{name}) may be NULL. */
void event_record(EventRecorder *recorder, const Object *about, const char *field_path, const char *type,
                  const char *reason, const char *format, ...) _printf_(6, 7);
