/* Protobuf messages of the objects that were listed lately. After a restart, or when an application is rolled out, many
 * clients ask for the same objects within seconds; the first of them pays for the encoding. Bounded in bytes, and empty
 * again a while after the last list: objects at rest are JSON alone. Any thread. */
#pragma once

#include "api/object.h"
#include "base/clock.h"

#define MESSAGE_CACHE_BYTES (16u * 1024 * 1024) /* of messages: past it, none are added */
#define MESSAGE_CACHE_AGE_NS (10 * NS_PER_SEC)  /* a message stays for so long, and for twice that at most */

typedef struct MessageCache MessageCache;

MessageCache *message_cache_new(size_t bytes, uint64_t age_ns);
void message_cache_free(MessageCache *cache);
DEFINE_CLEANUP(MessageCache, message_cache_free)
/* Appends the message of this very object to `out`; false: it is not here. */
bool message_cache_get(MessageCache *cache, const Object *object, Buf *out);
/* Copies the message, and takes a reference to the object. */
void message_cache_put(MessageCache *cache, Object *object, const void *message, size_t n);
