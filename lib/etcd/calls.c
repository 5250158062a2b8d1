#define LOG_COMPONENT "etcd"
#include "etcd/calls.h"

#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>

#define BACKOFF_FIRST_NS (50 * NS_PER_MS)
#define BACKOFF_MAX_NS NS_PER_SEC
#define GOODBYE_NS NS_PER_SEC

typedef struct Call { /* on the stack of the thread that waits for it */
    struct Call *next;
    const GrpcRequest *request;
    Buf *answer;
    GrpcStatus status;
    sem_t done;
} Call;

struct EtcdCalls {
    const EtcdEndpoints *endpoints;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t filled;
    Call *first, **last;        /* not sent yet */
    GrpcConnection *connection; /* set and closed by the thread, under the lock */
    bool stopping;
    size_t server;        /* the thread's own from here on */
    bool failing, unwell; /* the server seems to be cut off from the others: its calls go to another one */
};

static void answer(Call *call, uint32_t code, const char *why) {
    grpc_status_set(&call->status, code, "%s", why);
    sem_post(&call->done); /* the call is gone after this */
}

/* What a server says or does that is cut off from the others. A question that waits behind others there runs into its
 * deadline, which etcd tells of as Unknown; ours may be over sooner than that. */
static bool is_unwell(const GrpcStatus *status) {
    return status->code == GRPC_UNAVAILABLE || status->code == GRPC_DEADLINE_EXCEEDED ||
           (status->code == GRPC_UNKNOWN && status->message && strstr(status->message, "deadline exceeded"));
}

static void finish(EtcdCalls *calls, GrpcStream *stream) {
    Call *call = grpc_stream_userdata(stream);
    (void)grpc_stream_take(stream, call->answer);
    const GrpcStatus *status = grpc_stream_status(stream);
    if (status->code != GRPC_OK)
        buf_done(call->answer);
    calls->unwell = calls->unwell || is_unwell(status);
    grpc_status_set(&call->status, status->code, "%s", status->message ? status->message : "");
    grpc_stream_close(stream);
    sem_post(&call->done);
}

/* Takes what waits. */
static Call *take(EtcdCalls *calls) {
    pthread_mutex_lock(&calls->lock);
    Call *first = calls->first;
    calls->first = NULL;
    calls->last = &calls->first;
    pthread_mutex_unlock(&calls->lock);
    return first;
}

/* While there is no connection: answers those whose time is up, and waits for `pause_ns` at most. */
static void wait_unconnected(EtcdCalls *calls, uint64_t pause_ns) {
    struct timespec until;
    uint64_t now = now_monotonic_ns(), end = now + pause_ns;
    until = (struct timespec){.tv_sec = (time_t)(end / NS_PER_SEC), .tv_nsec = (long)(end % NS_PER_SEC)};
    pthread_mutex_lock(&calls->lock);
    for (Call **at = &calls->first; *at;) {
        Call *call = *at;
        if (now < call->request->deadline_ns && !calls->stopping) {
            at = &call->next;
            continue;
        }
        *at = call->next;
        if (!*at)
            calls->last = at;
        answer(call, GRPC_DEADLINE_EXCEEDED, "no etcd server can be reached");
    }
    while (!calls->stopping && pthread_cond_timedwait(&calls->filled, &calls->lock, &until) != ETIMEDOUT)
        ;
    pthread_mutex_unlock(&calls->lock);
}

static bool is_stopping(EtcdCalls *calls) {
    pthread_mutex_lock(&calls->lock);
    bool stopping = calls->stopping;
    pthread_mutex_unlock(&calls->lock);
    return stopping;
}

static void set_connection(EtcdCalls *calls, GrpcConnection *connection) {
    pthread_mutex_lock(&calls->lock);
    calls->connection = connection;
    if (connection && calls->stopping) /* who said so had nothing to wake */
        grpc_wake(connection);
    pthread_mutex_unlock(&calls->lock);
}

static int reconnect(EtcdCalls *calls) {
    GrpcConnection *connection = NULL;
    int r = etcd_connect(calls->endpoints, &calls->server, now_monotonic_ns() + ETCD_CONNECT_NS, &connection);
    if (r < 0 && !calls->failing)
        log_warn("cannot reach %s: %s", etcd_endpoints_text(calls->endpoints), strerror(-r));
    if (r == 0 && calls->failing)
        log_info("etcd is reached again");
    calls->failing = r < 0;
    if (r == 0)
        set_connection(calls, connection);
    return r;
}

/* Until the connection breaks or all is over. */
static void serve(EtcdCalls *calls) {
    GrpcConnection *c = calls->connection;
    calls->unwell = false;
    do {
        for (Call *call = take(calls), *next; call; call = next) {
            next = call->next;
            grpc_stream_open(c, GRPC_UNARY, call->request, call);
        }
        (void)grpc_turn(c, GRPC_NEVER);
        for (GrpcStream *stream; (stream = grpc_next_ready(c));)
            finish(calls, stream);
    } while (grpc_is_usable(c) && !calls->unwell && !is_stopping(calls));
    set_connection(calls, NULL);
    /* a server that says goodbye, or is left, may still answer what it has */
    uint64_t until = now_monotonic_ns() + GOODBYE_NS;
    while (grpc_any_stream(c) && now_monotonic_ns() < until && grpc_turn(c, until) == 0)
        for (GrpcStream *stream; (stream = grpc_next_ready(c));)
            finish(calls, stream);
}

/* Answers what is left on a connection that is given up: whether it was carried out is unknown. */
static void give_up(GrpcConnection *c) {
    for (GrpcStream *stream; (stream = grpc_any_stream(c));) {
        Call *call = grpc_stream_userdata(stream);
        grpc_stream_close(stream);
        answer(call, GRPC_UNAVAILABLE, "the connection to etcd was given up");
    }
    grpc_close(c);
}

static void *run(void *userdata) {
    EtcdCalls *calls = userdata;
    uint64_t pause = BACKOFF_FIRST_NS;
    pthread_setname_np(pthread_self(), "etcd-calls");
    while (!is_stopping(calls)) {
        if (reconnect(calls) < 0) {
            wait_unconnected(calls, pause);
            pause = MIN(pause * 2, (uint64_t)BACKOFF_MAX_NS);
            continue;
        }
        uint64_t since = now_monotonic_ns();
        GrpcConnection *c = calls->connection;
        serve(calls);
        give_up(c);
        calls->server++; /* another one, when there is one */
        pause = now_monotonic_ns() - since > NS_PER_SEC ? BACKOFF_FIRST_NS : MIN(pause * 2, (uint64_t)BACKOFF_MAX_NS);
        wait_unconnected(calls, pause);
    }
    return NULL;
}

int etcd_calls_start(const EtcdEndpoints *endpoints, EtcdCalls **ret) {
    EtcdCalls *calls = NEW0(EtcdCalls);
    calls->endpoints = endpoints;
    calls->last = &calls->first;
    pthread_mutex_init(&calls->lock, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&calls->filled, &attr);
    pthread_condattr_destroy(&attr);
    int r = -pthread_create(&calls->thread, NULL, run, calls);
    if (r < 0) {
        pthread_cond_destroy(&calls->filled);
        pthread_mutex_destroy(&calls->lock);
        free(calls);
        return r;
    }
    *ret = calls;
    return 0;
}

void etcd_calls_stop(EtcdCalls *calls) {
    if (!calls)
        return;
    pthread_mutex_lock(&calls->lock);
    calls->stopping = true;
    pthread_cond_broadcast(&calls->filled);
    if (calls->connection)
        grpc_wake(calls->connection);
    pthread_mutex_unlock(&calls->lock);
    pthread_join(calls->thread, NULL);
    pthread_cond_destroy(&calls->filled);
    pthread_mutex_destroy(&calls->lock);
    free(calls);
}

void etcd_call(EtcdCalls *calls, const GrpcRequest *request, Buf *ret_message, GrpcStatus *ret_status) {
    Buf got = {0};
    Call call = {.request = request, .answer = &got};
    sem_init(&call.done, 0, 0);
    pthread_mutex_lock(&calls->lock);
    *calls->last = &call;
    calls->last = &call.next;
    if (calls->connection)
        grpc_wake(calls->connection);
    pthread_mutex_unlock(&calls->lock);
    while (sem_wait(&call.done) < 0 && errno == EINTR)
        ;
    sem_destroy(&call.done);
    if (call.status.code == GRPC_OK)
        *ret_message = got;
    *ret_status = call.status;
}
