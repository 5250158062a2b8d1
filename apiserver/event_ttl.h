/* Events live for an hour after they were last written (--event-ttl of the reference): a thread removes the others. How
 * long ago that was, the event's own times say; should they lie in the future (the clock was set back, or the writer's
 * is wrong), then the revision that the store had an hour ago by the monotonic clock, once the server has run for so
 * long. */
#pragma once

#include "apiserver/storage/store.h"

#define EVENT_TTL_SECONDS 3600
#define EVENT_SWEEP_SECONDS 15

typedef struct EventTtl EventTtl;
/* NULL when no thread can be started (logged). The store is borrowed. */
EventTtl *event_ttl_start(Store *store);
void event_ttl_stop(EventTtl *ttl);

/* Removes what has expired at `now_ns`, and what was not written since the store's revision was `hour_ago` (0: not
 * known); *ret_removed counts. Blocking. */
int event_ttl_sweep(Store *store, int64_t now_ns, uint64_t hour_ago, size_t *ret_removed);
