/* Taints of nodes and tolerations of pods, as the node controllers need them. */
#pragma once

#include "api/object.h"
#include "api/toleration.h"

#define TAINT_NOT_READY "node.kubernetes.io/not-ready"
#define TAINT_UNREACHABLE "node.kubernetes.io/unreachable"
#define TAINT_OUT_OF_SERVICE "node.kubernetes.io/out-of-service"

/* Does an entry of the list have this key and effect? */
bool taint_exists(const Value *taints, const char *key, const char *effect);
Value *taint_new(Arena *arena, const char *key, const char *effect);
bool taint_is(const Value *taint, const char *key, const char *effect);

/* What NoExecute taints mean for a pod: */
typedef enum TaintVerdict { TAINT_STAY, TAINT_EVICT_NOW, TAINT_EVICT_LATER } TaintVerdict;
/* *ret_seconds: with TAINT_EVICT_LATER, how long it may stay, counted from *ret_since_ns (the newest timeAdded). */
TaintVerdict taint_verdict(const Value *taints, const Value *tolerations, int64_t *ret_seconds, int64_t *ret_since_ns);
