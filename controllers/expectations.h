/* What a controller did and its cache may not show yet. Before it acts again on a key, the cache must show it:
 * creations by revision, deletions by the pod being gone or marked. So no pod is made twice, and nothing depends on
 * counting events. After EXPECTATIONS_SECONDS (as the reference) the memory is given up and what is, decides.
 * Thread-safe. */
#pragma once

#include "client/informer.h"

#define EXPECTATIONS_SECONDS 300
/* The change that a key waits for wakes it; this is for the case that it was woken by a list, before that was counted.
 */
#define EXPECTATIONS_RETRY_NS (200 * 1000000ull)

typedef struct Expectations Expectations;

Expectations *expectations_new(Informer *informer);
void expectations_free(Expectations *expectations);
DEFINE_CLEANUP(Expectations, expectations_free)
/* `written` is what the server answered. */
void expectations_wrote(Expectations *expectations, const char *key, const Object *written);
void expectations_deleted(Expectations *expectations, const char *key, const Object *deleted);
bool expectations_satisfied(Expectations *expectations, const char *key);
void expectations_forget(Expectations *expectations, const char *key);
