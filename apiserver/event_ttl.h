/* Events live for an hour after they were last written (--event-ttl of the reference): a thread removes the others. */
#pragma once

#include "apiserver/storage/store.h"

#define EVENT_TTL_SECONDS 3600
#define EVENT_SWEEP_SECONDS 60

typedef struct EventTtl EventTtl;
/* NULL when no thread can be started (logged). The store is borrowed. */
EventTtl *event_ttl_start(Store *store);
void event_ttl_stop(EventTtl *ttl);

/* Removes what has expired at `now_ns`; *ret_removed counts. Blocking. */
int event_ttl_sweep(Store *store, int64_t now_ns, size_t *ret_removed);
