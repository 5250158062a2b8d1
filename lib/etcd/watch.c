#define LOG_COMPONENT "etcd"
#include "etcd/watch.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "etcd/gen/etcd.pb-c.h"

#include <errno.h>
#include <inttypes.h>

#define FRAGMENTS_MAX 4096 /* messages that make up one batch */

struct EtcdWatch {
    GrpcStream *stream;
    int64_t revision;
    Etcdserverpb__WatchResponse **parts; /* of the batch: all but the last are fragments */
    size_t n_parts, parts_cap;
    EtcdRow *rows;
    size_t n_rows, rows_cap;
    Buf keys; /* of the rows, each with its NUL */
};

EtcdWatch *etcd_watch_open(GrpcConnection *connection, int64_t revision) {
    static const GrpcField metadata[] = {{"hasleader", "true"}}; /* a server that is cut off ends the watch */
    Etcdserverpb__WatchCreateRequest create = ETCDSERVERPB__WATCH_CREATE_REQUEST__INIT;
    uint8_t zero[1] = {0}; /* from the key "\0" to the end "\0": all keys */
    create.key = create.range_end = (ProtobufCBinaryData){.len = 1, .data = zero};
    create.start_revision = revision + 1;
    create.fragment = true;
    Etcdserverpb__WatchRequest request = ETCDSERVERPB__WATCH_REQUEST__INIT;
    request.request_union_case = ETCDSERVERPB__WATCH_REQUEST__REQUEST_UNION_CREATE_REQUEST;
    request.create_request = &create;
    size_t n = etcdserverpb__watch_request__get_packed_size(&request);
    _cleanup_free_ uint8_t *packed = xmalloc(n + 1);
    etcdserverpb__watch_request__pack(&request, packed);
    EtcdWatch *watch = NEW0(EtcdWatch);
    watch->revision = revision;
    watch->keys = BUF_INIT(BUF_NO_LIMIT);
    watch->stream = grpc_stream_open(connection, GRPC_BIDIRECTIONAL,
                                     &(GrpcRequest){.path = "/etcdserverpb.Watch/Watch",
                                                    .message = packed,
                                                    .n = n,
                                                    .deadline_ns = GRPC_NEVER,
                                                    .metadata = metadata,
                                                    .n_metadata = ELEMENTSOF(metadata)},
                                     NULL);
    return watch;
}

static void forget_parts(EtcdWatch *watch) {
    for (size_t i = 0; i < watch->n_parts; i++)
        etcdserverpb__watch_response__free_unpacked(watch->parts[i], NULL);
    watch->n_parts = 0;
}

void etcd_watch_close(EtcdWatch *watch) {
    if (!watch)
        return;
    grpc_stream_close(watch->stream); /* etcd does not end a watch when its client half-closes: it is reset */
    forget_parts(watch);
    free(watch->parts);
    free(watch->rows);
    buf_done(&watch->keys);
    free(watch);
}

static int ended(EtcdWatch *watch) {
    const GrpcStatus *status = grpc_stream_status(watch->stream);
    _cleanup_free_ char *words = grpc_status_words(status);
    log_info("the watch ended: %s", words);
    return status->code == GRPC_PERMISSION_DENIED || status->code == GRPC_UNAUTHENTICATED ? -EACCES : -ECONNRESET;
}

static int canceled(const Etcdserverpb__WatchResponse *answer) {
    if (answer->compact_revision > 0) {
        log_warn("the watch is behind: etcd is compacted to revision %" PRId64, answer->compact_revision);
        return -ERANGE;
    }
    log_warn("etcd canceled the watch: %s", str_or(answer->cancel_reason, ""));
    return answer->cancel_reason && strstr(answer->cancel_reason, "permission") ? -EACCES : -ECONNRESET;
}

static void add_part(EtcdWatch *watch, Etcdserverpb__WatchResponse *part) {
    if (watch->n_parts == watch->parts_cap) {
        watch->parts_cap = watch->parts_cap ? watch->parts_cap * 2 : 4;
        watch->parts = xreallocn(watch->parts, watch->parts_cap, sizeof *watch->parts);
    }
    watch->parts[watch->n_parts++] = part;
}

static int add_row(EtcdWatch *watch, const Etcdserverpb__Event *event) {
    const Etcdserverpb__KeyValue *kv = event->kv;
    bool gone = event->type == ETCDSERVERPB__EVENT__EVENT_TYPE__DELETE;
    if (!kv || kv->mod_revision <= 0 || (watch->n_rows && kv->mod_revision < watch->rows[watch->n_rows - 1].revision))
        return -EBADMSG;
    if (kv->mod_revision <= watch->revision)
        return 0; /* told already */
    if (watch->n_rows == watch->rows_cap) {
        watch->rows_cap = watch->rows_cap ? watch->rows_cap * 2 : 64;
        watch->rows = xreallocn(watch->rows, watch->rows_cap, sizeof *watch->rows);
    }
    watch->rows[watch->n_rows++] = (EtcdRow){
        .key_len = kv->key.len,
        .value = gone            ? NULL
                 : kv->value.len ? (const void *)kv->value.data
                                 : "",
        .n = gone ? 0 : kv->value.len,
        .revision = kv->mod_revision,
        .create_revision = kv->create_revision,
    };
    buf_append(&watch->keys, kv->key.data, kv->key.len);
    buf_append(&watch->keys, "", 1);
    return 0;
}

static int gather(EtcdWatch *watch, EtcdBatch *ret) {
    int r = 0;
    watch->n_rows = 0;
    buf_clear(&watch->keys);
    for (size_t i = 0; i < watch->n_parts; i++)
        for (size_t j = 0; r == 0 && j < watch->parts[i]->n_events; j++)
            r = add_row(watch, watch->parts[i]->events[j]);
    if (r < 0)
        return r;
    const char *key = watch->keys.data;
    for (size_t i = 0; i < watch->n_rows; key += watch->rows[i++].key_len + 1)
        watch->rows[i].key = key;
    if (!watch->n_rows)
        return 0;
    watch->revision = watch->rows[watch->n_rows - 1].revision;
    *ret = (EtcdBatch){.rows = watch->rows, .n = watch->n_rows, .revision = watch->revision};
    return 1;
}

int etcd_watch_next(EtcdWatch *watch, EtcdBatch *ret) {
    forget_parts(watch);
    for (;;) {
        _cleanup_buf_ Buf message = {0};
        int r = grpc_stream_receive(watch->stream, GRPC_NEVER, &message);
        if (r < 0)
            return r;
        if (r == 0)
            return ended(watch);
        Etcdserverpb__WatchResponse *part =
            etcdserverpb__watch_response__unpack(NULL, message.len, (const uint8_t *)(message.len ? message.data : ""));
        if (!part || watch->n_parts == FRAGMENTS_MAX) {
            log_error("etcd sent a watch response that cannot be read");
            etcdserverpb__watch_response__free_unpacked(part, NULL);
            return -ECONNRESET;
        }
        add_part(watch, part);
        if (part->canceled)
            return canceled(part);
        if (!part->fragment)
            break;
    }
    int r = gather(watch, ret);
    return r == -EBADMSG ? -ECONNRESET : r;
}
