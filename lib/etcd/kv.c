#define LOG_COMPONENT "etcd"
#include "etcd/kv.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "base/str.h"
#include "etcd/gen/etcd.pb-c.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#define TRY_NS (10 * NS_PER_SEC) /* for one try of a call: etcd itself gives up after 7 s */
#define RETRY_FIRST_NS (20 * NS_PER_MS)
#define RETRY_MAX_NS (500 * NS_PER_MS)
#define PAGE_ROWS 1000 /* of a range; halved when the rows are too large for one answer */

static ProtobufCBinaryData bytes_of(const void *p, size_t n) {
    return (ProtobufCBinaryData){.len = n, .data = (uint8_t *)(uintptr_t)p};
}

static ProtobufCBinaryData text_of(const char *s) {
    return bytes_of(s, strlen(s));
}

static uint8_t *pack(const ProtobufCMessage *message, size_t *ret_n) {
    *ret_n = protobuf_c_message_get_packed_size(message);
    uint8_t *packed = xmalloc(*ret_n + 1);
    protobuf_c_message_pack(message, packed);
    return packed;
}

/* What a status other than OK means; a try that may be made again gives -EAGAIN. */
static int errno_of(const GrpcStatus *status) {
    const char *text = status->message ? status->message : "";
    switch (status->code) {
    case GRPC_UNAVAILABLE:
    case GRPC_ABORTED:
        return -EAGAIN;
    case GRPC_DEADLINE_EXCEEDED:
        return -ETIMEDOUT;
    case GRPC_RESOURCE_EXHAUSTED:
        if (strstr(text, "too many requests"))
            return -EAGAIN;
        return strstr(text, "space") ? -EDQUOT : -EFBIG;
    case GRPC_INVALID_ARGUMENT:
        return strstr(text, "too large") ? -EFBIG : -EIO;
    case GRPC_UNKNOWN: /* between two leaders; a server behind TLS as it stops; the deadline as the server sees it */
        return strstr(text, "proposal dropped") || strstr(text, "missing HTTP content-type") ? -EAGAIN
               : strstr(text, "context deadline exceeded")                                   ? -ETIMEDOUT
                                                                                             : -EIO;
    case GRPC_OUT_OF_RANGE:
        return -ERANGE;
    case GRPC_NOT_FOUND:
        return -ENOKEY;
    case GRPC_PERMISSION_DENIED:
    case GRPC_UNAUTHENTICATED:
        return -EACCES;
    default:
        return -EIO;
    }
}

static int unpack(const ProtobufCMessageDescriptor *type, const Buf *answer, ProtobufCMessage **ret) {
    *ret = protobuf_c_message_unpack(type, NULL, answer->len, (const uint8_t *)(answer->len ? answer->data : ""));
    return *ret ? 0 : -EBADMSG;
}

/* One try. */
static int try_call(EtcdCalls *calls, const char *path, const void *packed, size_t n, uint64_t deadline_ns,
                    const ProtobufCMessageDescriptor *type, ProtobufCMessage **ret) {
    _cleanup_buf_ Buf answer = {0};
    _cleanup_grpc_status_ GrpcStatus status = {0};
    GrpcRequest request = {.path = path, .message = packed, .n = n};
    request.deadline_ns = MIN(deadline_ns, now_monotonic_ns() + TRY_NS);
    etcd_call(calls, &request, &answer, &status);
    if (status.code == GRPC_OK)
        return unpack(type, &answer, ret);
    int r = errno_of(&status);
    if (r == -ETIMEDOUT && now_monotonic_ns() < deadline_ns)
        r = -EAGAIN;
    if (r != -EAGAIN && r != -ETIMEDOUT) {
        _cleanup_free_ char *words = grpc_status_words(&status);
        log_warn("%s: %s", path, words);
    }
    return r;
}

/* Waits a little longer each time; false when the time is up. */
static bool pause_before_retry(uint64_t *step, uint64_t deadline_ns) {
    uint64_t now = now_monotonic_ns();
    if (now >= deadline_ns)
        return false;
    uint64_t pause = MIN(*step / 2 + random_below(*step / 2 + 1), deadline_ns - now);
    struct timespec ts = {.tv_sec = (time_t)(pause / NS_PER_SEC), .tv_nsec = (long)(pause % NS_PER_SEC)};
    nanosleep(&ts, NULL);
    *step = MIN(*step * 2, (uint64_t)RETRY_MAX_NS);
    return true;
}

/* A call that may be made twice without harm, until it is answered. */
static int repeat_call(EtcdCalls *calls, const char *path, const ProtobufCMessage *message, uint64_t deadline_ns,
                       const ProtobufCMessageDescriptor *type, ProtobufCMessage **ret) {
    size_t n;
    _cleanup_free_ uint8_t *packed = pack(message, &n);
    for (uint64_t step = RETRY_FIRST_NS;;) {
        int r = try_call(calls, path, packed, n, deadline_ns, type, ret);
        if (r != -EAGAIN)
            return r;
        if (!pause_before_retry(&step, deadline_ns))
            return -ETIMEDOUT;
    }
}

/* ---- writes ---- */

/* If `compare` holds then `then`, else the state of its key. */
static uint8_t *pack_txn(Etcdserverpb__Compare *compare, Etcdserverpb__RequestOp *then, size_t *ret_n) {
    Etcdserverpb__RangeRequest range = ETCDSERVERPB__RANGE_REQUEST__INIT;
    range.key = compare->key;
    Etcdserverpb__RequestOp otherwise = ETCDSERVERPB__REQUEST_OP__INIT;
    otherwise.request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_RANGE;
    otherwise.request_range = &range;
    Etcdserverpb__TxnRequest txn = ETCDSERVERPB__TXN_REQUEST__INIT;
    txn.n_compare = txn.n_success = txn.n_failure = 1;
    txn.compare = &compare;
    txn.success = &then;
    txn.failure = &(Etcdserverpb__RequestOp *){&otherwise};
    return pack(&txn.base, ret_n);
}

static uint8_t *pack_write(const EtcdWrite *write, size_t *ret_n) {
    Etcdserverpb__Compare compare = ETCDSERVERPB__COMPARE__INIT;
    compare.target = ETCDSERVERPB__COMPARE__COMPARE_TARGET__MOD;
    compare.key = text_of(write->key);
    compare.target_union_case = ETCDSERVERPB__COMPARE__TARGET_UNION_MOD_REVISION;
    compare.mod_revision = write->expect;
    Etcdserverpb__PutRequest put = ETCDSERVERPB__PUT_REQUEST__INIT;
    put.key = text_of(write->key);
    put.value = bytes_of(write->value, write->n);
    put.lease = write->lease;
    Etcdserverpb__DeleteRangeRequest removal = ETCDSERVERPB__DELETE_RANGE_REQUEST__INIT;
    removal.key = text_of(write->key);
    Etcdserverpb__RequestOp then = ETCDSERVERPB__REQUEST_OP__INIT;
    if (write->value) {
        then.request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT;
        then.request_put = &put;
    } else {
        then.request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_DELETE_RANGE;
        then.request_delete_range = &removal;
    }
    return pack_txn(&compare, &then, ret_n);
}

/* The key's state that came with a condition that does not hold; NULL: absent. */
static const Etcdserverpb__KeyValue *state_of(const Etcdserverpb__TxnResponse *txn) {
    const Etcdserverpb__ResponseOp *op = txn->n_responses ? txn->responses[0] : NULL;
    if (!op || op->response_case != ETCDSERVERPB__RESPONSE_OP__RESPONSE_RESPONSE_RANGE || !op->response_range ||
        !op->response_range->n_kvs)
        return NULL;
    return op->response_range->kvs[0];
}

static bool is_ours(const EtcdWrite *write, const Etcdserverpb__KeyValue *there) {
    if (!write->value)
        return !there;
    return there && there->value.len == write->n && memcmp(there->value.data, write->value, write->n) == 0;
}

/* `unsure`: an earlier try may have been carried out. */
static int read_outcome(const EtcdWrite *write, const Etcdserverpb__TxnResponse *txn, bool unsure, EtcdOutcome *ret) {
    if (!txn->header || txn->header->revision <= 0)
        return -EBADMSG;
    *ret = (EtcdOutcome){.done = txn->succeeded, .revision = txn->header->revision};
    if (ret->done)
        return 0;
    const Etcdserverpb__KeyValue *there = state_of(txn);
    ret->there = there ? there->mod_revision : 0;
    if (unsure && is_ours(write, there)) {
        ret->done = true;
        ret->revision = there ? there->mod_revision : ret->revision;
    }
    return 0;
}

int etcd_write(EtcdCalls *calls, const EtcdWrite *write, uint64_t deadline_ns, EtcdOutcome *ret) {
    size_t n;
    _cleanup_free_ uint8_t *packed = pack_write(write, &n);
    bool unsure = false;
    for (uint64_t step = RETRY_FIRST_NS;; unsure = true) {
        ProtobufCMessage *answer;
        int r = try_call(calls, "/etcdserverpb.KV/Txn", packed, n, deadline_ns, &etcdserverpb__txn_response__descriptor,
                         &answer);
        if (r == 0) {
            r = read_outcome(write, (Etcdserverpb__TxnResponse *)answer, unsure, ret);
            protobuf_c_message_free_unpacked(answer, NULL);
            return r;
        }
        if (r != -EAGAIN)
            return r;
        if (!pause_before_retry(&step, deadline_ns))
            return -ETIMEDOUT;
    }
}

/* ---- the rest ---- */

int etcd_current_revision(EtcdCalls *calls, uint64_t deadline_ns, int64_t *ret) {
    Etcdserverpb__RangeRequest range = ETCDSERVERPB__RANGE_REQUEST__INIT;
    ProtobufCMessage *answer;
    range.key = text_of(ETCD_COMPACT_KEY); /* any key: only the header matters */
    range.count_only = true;
    int r = repeat_call(calls, "/etcdserverpb.KV/Range", &range.base, deadline_ns,
                        &etcdserverpb__range_response__descriptor, &answer);
    if (r < 0)
        return r;
    const Etcdserverpb__ResponseHeader *header = ((Etcdserverpb__RangeResponse *)answer)->header;
    r = header && header->revision > 0 ? 0 : -EBADMSG;
    if (r == 0)
        *ret = header->revision;
    protobuf_c_message_free_unpacked(answer, NULL);
    return r;
}

int etcd_grant(EtcdCalls *calls, int64_t seconds, uint64_t deadline_ns, int64_t *ret_lease) {
    Etcdserverpb__LeaseGrantRequest grant = ETCDSERVERPB__LEASE_GRANT_REQUEST__INIT;
    ProtobufCMessage *answer;
    grant.ttl = seconds;
    int r = repeat_call(calls, "/etcdserverpb.Lease/LeaseGrant", &grant.base, deadline_ns,
                        &etcdserverpb__lease_grant_response__descriptor, &answer);
    if (r < 0)
        return r;
    int64_t id = ((Etcdserverpb__LeaseGrantResponse *)answer)->id;
    protobuf_c_message_free_unpacked(answer, NULL);
    if (!id)
        return -EBADMSG;
    *ret_lease = id;
    return 0;
}

static int compact(EtcdCalls *calls, int64_t revision, uint64_t deadline_ns) {
    Etcdserverpb__CompactionRequest request = ETCDSERVERPB__COMPACTION_REQUEST__INIT;
    ProtobufCMessage *answer = NULL;
    request.revision = revision;
    int r = repeat_call(calls, "/etcdserverpb.KV/Compact", &request.base, deadline_ns,
                        &etcdserverpb__compaction_response__descriptor, &answer);
    if (r == 0)
        protobuf_c_message_free_unpacked(answer, NULL);
    return r == -ERANGE ? 0 : r; /* compacted further already */
}

int etcd_compact_turn(EtcdCalls *calls, int64_t *version, int64_t *revision, uint64_t deadline_ns) {
    char text[24];
    snprintf(text, sizeof text, "%" PRId64, *revision);
    Etcdserverpb__Compare compare = ETCDSERVERPB__COMPARE__INIT;
    compare.target = ETCDSERVERPB__COMPARE__COMPARE_TARGET__VERSION;
    compare.key = text_of(ETCD_COMPACT_KEY);
    compare.target_union_case = ETCDSERVERPB__COMPARE__TARGET_UNION_VERSION;
    compare.version = *version;
    Etcdserverpb__PutRequest put = ETCDSERVERPB__PUT_REQUEST__INIT;
    put.key = text_of(ETCD_COMPACT_KEY);
    put.value = text_of(text);
    Etcdserverpb__RequestOp then = ETCDSERVERPB__REQUEST_OP__INIT;
    then.request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT;
    then.request_put = &put;
    size_t n;
    _cleanup_free_ uint8_t *packed = pack_txn(&compare, &then, &n);
    ProtobufCMessage *message;
    int r = try_call(calls, "/etcdserverpb.KV/Txn", packed, n, deadline_ns, &etcdserverpb__txn_response__descriptor,
                     &message);
    if (r < 0)
        return r;
    const Etcdserverpb__TxnResponse *answer = (Etcdserverpb__TxnResponse *)message;
    const Etcdserverpb__KeyValue *there = state_of(answer);
    int64_t last = *revision;
    r = answer->header && (answer->succeeded || there) ? 0 : -EBADMSG;
    if (r == 0) {
        *version = answer->succeeded ? *version + 1 : there->version;
        *revision = answer->header->revision;
        if (answer->succeeded && last)
            r = compact(calls, last, deadline_ns);
    }
    protobuf_c_message_free_unpacked(message, NULL);
    return r;
}

/* ---- ranges ---- */

/* The first key after all that begin with `prefix`. */
static char *prefix_end(const char *prefix) {
    char *end = xstrdup(prefix);
    size_t n = strlen(end);
    while (n && (uint8_t)end[n - 1] == 0xFF)
        end[--n] = 0;
    if (n)
        end[n - 1]++;
    return end;
}

static int tell_rows(const Etcdserverpb__RangeResponse *page, Buf *key, int (*row)(const EtcdRow *, void *),
                     void *userdata) {
    int r = 0;
    for (size_t i = 0; r >= 0 && i < page->n_kvs; i++) {
        const Etcdserverpb__KeyValue *kv = page->kvs[i];
        buf_clear(key);
        buf_append(key, kv->key.data, kv->key.len);
        EtcdRow one = {.key = key->data,
                       .key_len = key->len,
                       .value = kv->value.len ? (const void *)kv->value.data : "",
                       .n = kv->value.len,
                       .revision = kv->mod_revision,
                       .create_revision = kv->create_revision};
        r = row(&one, userdata);
    }
    return r;
}

/* One page; -EMSGSIZE: it is too large for one answer. */
static int fetch_page(GrpcConnection *connection, const Etcdserverpb__RangeRequest *range, uint64_t deadline_ns,
                      Etcdserverpb__RangeResponse **ret) {
    size_t n;
    _cleanup_free_ uint8_t *packed = pack(&range->base, &n);
    _cleanup_buf_ Buf answer = {0};
    _cleanup_grpc_status_ GrpcStatus status = {0};
    GrpcRequest request = {.path = "/etcdserverpb.KV/Range", .message = packed, .n = n, .deadline_ns = deadline_ns};
    grpc_call(connection, &request, &answer, &status);
    if (status.code == GRPC_RESOURCE_EXHAUSTED && range->limit > 1)
        return -EMSGSIZE;
    if (status.code != GRPC_OK) {
        _cleanup_free_ char *words = grpc_status_words(&status);
        log_warn("%s: %s", request.path, words);
        int r = errno_of(&status);
        return r == -EAGAIN ? -ECONNRESET : r;
    }
    ProtobufCMessage *message;
    int r = unpack(&etcdserverpb__range_response__descriptor, &answer, &message);
    if (r == 0)
        *ret = (Etcdserverpb__RangeResponse *)message;
    return r;
}

int etcd_range(GrpcConnection *connection, const char *prefix, uint64_t deadline_ns,
               int (*row)(const EtcdRow *row, void *userdata), void *userdata, int64_t *ret_revision) {
    _cleanup_free_ char *end = prefix_end(prefix);
    _cleanup_buf_ Buf key = BUF_INIT(BUF_NO_LIMIT), from = BUF_INIT(BUF_NO_LIMIT);
    Etcdserverpb__RangeRequest range = ETCDSERVERPB__RANGE_REQUEST__INIT;
    buf_puts(&from, prefix);
    range.range_end = text_of(end);
    range.limit = PAGE_ROWS;
    for (bool more = true; more;) {
        Etcdserverpb__RangeResponse *page = NULL;
        range.key = bytes_of(from.data, from.len);
        int r = fetch_page(connection, &range, deadline_ns, &page);
        if (r == -EMSGSIZE) {
            range.limit /= 2;
            continue;
        }
        if (r < 0)
            return r;
        if (!range.revision)
            range.revision = page->header ? page->header->revision : 0; /* the other pages are of the same moment */
        r = range.revision > 0 ? tell_rows(page, &key, row, userdata) : -EBADMSG;
        more = page->more && page->n_kvs;
        if (more) {
            const ProtobufCBinaryData *last = &page->kvs[page->n_kvs - 1]->key;
            buf_clear(&from);
            buf_append(&from, last->data, last->len);
            buf_append(&from, "", 1); /* the next key there can be */
        }
        protobuf_c_message_free_unpacked(&page->base, NULL);
        if (r < 0)
            return r;
    }
    *ret_revision = range.revision;
    return 0;
}
