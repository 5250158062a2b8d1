/* Exponential back-off by key (flowcontrol.Backoff of client-go): doubling from the first delay to the longest,
 * forgotten when twice the longest passes without a failure. Thread-safe. Times are wall-clock ns, since container
 * finish times are. */
#pragma once

#include "base/mem.h"

typedef struct Backoff Backoff;
Backoff *backoff_new(int64_t first_ns, int64_t max_ns);
void backoff_free(Backoff *backoff);
DEFINE_CLEANUP(Backoff, backoff_free)
int64_t backoff_get(Backoff *backoff, const char *key); /* the delay now in force; 0: none */
/* A failure at `event_ns`: starts or doubles the delay. */
void backoff_next(Backoff *backoff, const char *key, int64_t event_ns);
/* Nanoseconds still to wait at `now_ns` when the last event was at `event_ns`; 0: go ahead. */
int64_t backoff_remaining(Backoff *backoff, const char *key, int64_t event_ns, int64_t now_ns);
/* The same, counted from the last backoff_next. */
int64_t backoff_remaining_since_update(Backoff *backoff, const char *key, int64_t now_ns);
void backoff_forget_prefix(Backoff *backoff, const char *prefix);
