/* Unary calls to an etcd cluster from any number of threads at once, over one connection that a thread of its own
 * turns: a caller blocks, the others' calls go on. When the connection breaks the thread connects again, to the next
 * server that answers; calls wait for that until their deadlines. */
#pragma once

#include "etcd/endpoints.h"

typedef struct EtcdCalls EtcdCalls;

/* Borrows the endpoints until etcd_calls_stop. -EAGAIN: no thread. */
int etcd_calls_start(const EtcdEndpoints *endpoints, EtcdCalls **ret);
/* Nobody is in a call any more. */
void etcd_calls_stop(EtcdCalls *calls);
DEFINE_CLEANUP(EtcdCalls, etcd_calls_stop)

/* As grpc_call. A call that was sent is never sent again: with Unavailable it may have been carried out or not. */
void etcd_call(EtcdCalls *calls, const GrpcRequest *request, Buf *ret_message, GrpcStatus *ret_status);
