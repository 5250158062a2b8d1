/* The form of objects in a driver's values. */
#pragma once

#include "api/object.h"

typedef enum StoreEncoding {
    STORE_JSON,       /* the object's own bytes, without resourceVersion */
    STORE_KUBERNETES, /* as kube-apiserver writes to etcd: protobuf in its envelope, in the reference's storage version;
                         custom resources and the definitions of APIs as JSON */
} StoreEncoding;

/* Without resourceVersion. -EFBIG: past the buffer's limit; -EINVAL: the object is not what its schema says. */
int stored_encode(StoreEncoding encoding, const Object *object, Buf *out);
/* `storage`: the row the key belongs to. `complete` (may be NULL) adds what another program left out. With
 * STORE_KUBERNETES both forms are read, whoever wrote them, and the versions the reference may have stored. -EBADMSG:
 * it is no such object. */
int stored_decode(StoreEncoding encoding, const Resource *storage,
                  void (*complete)(Arena *arena, const Resource *storage, Value *object), const void *value, size_t len,
                  uint64_t revision, Object **ret);
