/* One session of nghttp2 over a descriptor that does not block, turned by poll inside each call. Callbacks only note
 * what arrived; the functions that turn the session decide. */
#include "grpc/client.h"

#include "base/clock.h"
#include "base/random.h"
#include "base/str.h"
#include "base/version.h"
#include "grpc/message.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <nghttp2/nghttp2.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define STREAM_WINDOW (1024 * 1024)   /* bytes a server may send ahead on one stream */
#define CONN_WINDOW (4 * 1024 * 1024) /* and on the connection */
#define READ_SIZE (64 * 1024)
#define ADDRESS_MAX 512
#define BUSY_WAIT_NS (10 * NS_PER_MS) /* a unix socket whose backlog is full says nothing when there is room */
#define RETRY_FIRST_NS NS_PER_SEC     /* gRPC's connection backoff: 1 s, times 1.6, 120 s at most, 20 % either way */
#define RETRY_MAX_NS (120 * NS_PER_SEC)
#define OUR_AGENT "grpc-c-lighter/" LIGHTER_VERSION

typedef struct Exchange { /* one call */
    int32_t stream_id;
    Buf request;
    size_t sent;
    MessageReader reader;
    size_t header_bytes;
    int http_status;
    char *content_type, *grpc_status, *grpc_message;
    bool grpc;     /* the answer's first headers were gRPC's */
    bool done;     /* status is final */
    bool no_reset; /* the stream is closed already */
    GrpcStatus status;
} Exchange;

struct GrpcConnection {
    int fd;
    nghttp2_session *session;
    char *authority, *agent;
    size_t message_max;
    const uint8_t *out; /* the session's, until it is asked for more */
    size_t out_len;
    bool ready; /* the server's SETTINGS are here */
    int broken; /* negative errno */
    Exchange *exchange;
    uint8_t in[READ_SIZE];
};

/* ---- what arrives ---- */

static Exchange *exchange_of(GrpcConnection *c, int32_t stream_id) {
    return c->exchange && c->exchange->stream_id == stream_id && !c->exchange->done ? c->exchange : NULL;
}

static void fail(Exchange *x, GrpcCode code, const char *why) {
    grpc_status_set(&x->status, code, "%s", why);
    x->done = true;
}

static void keep(char **where, const uint8_t *value, size_t n) {
    free(*where);
    *where = xstrndup((const char *)value, n);
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *userdata) {
    (void)session;
    Exchange *x = exchange_of(userdata, frame->hd.stream_id);
    if (x)
        x->http_status = 0;
    return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_len,
                     const uint8_t *value, size_t value_len, uint8_t flags, void *userdata) {
    (void)session, (void)flags;
    Exchange *x = frame->hd.type == NGHTTP2_HEADERS ? exchange_of(userdata, frame->hd.stream_id) : NULL;
    if (!x)
        return 0;
    x->header_bytes += name_len + value_len;
    if (x->header_bytes > GRPC_HEADERS_MAX) {
        fail(x, GRPC_INTERNAL, "peer header list size exceeded limit");
        return 0;
    }
    const char *key = (const char *)name; /* nghttp2 ends names and values with a NUL */
    if (streq(key, ":status"))
        x->http_status = atoi((const char *)value); /* nghttp2 lets three digits through */
    else if (streq(key, "content-type"))
        keep(&x->content_type, value, value_len);
    else if (streq(key, "grpc-status"))
        keep(&x->grpc_status, value, value_len);
    else if (streq(key, "grpc-message"))
        keep(&x->grpc_message, value, value_len);
    return 0;
}

static bool is_grpc_type(const char *type) {
    static const char grpc[] = "application/grpc";
    if (!type || strncasecmp(type, grpc, sizeof grpc - 1) != 0)
        return false;
    char next = type[sizeof grpc - 1];
    return !next || next == '+' || next == ';';
}

static void not_grpc(Exchange *x) {
    if (x->content_type)
        grpc_status_set(
            &x->status, grpc_code_of_http(x->http_status),
            "unexpected HTTP status code received from server: %d; transport: received unexpected content-type "
            "\"%s\"",
            x->http_status, x->content_type);
    else
        grpc_status_set(
            &x->status, grpc_code_of_http(x->http_status),
            "unexpected HTTP status code received from server: %d; malformed header: missing HTTP content-type",
            x->http_status);
    x->done = true;
}

/* The stream's end came with headers: they carry the status. */
static void take_status(Exchange *x) {
    uint32_t code = GRPC_UNKNOWN; /* of a server that sends none */
    x->done = true;
    if (x->grpc_status && grpc_code_parse(x->grpc_status, &code) < 0) {
        grpc_status_set(&x->status, GRPC_UNKNOWN, "transport: malformed grpc-status: \"%s\"", x->grpc_status);
        return;
    }
    if (x->grpc_message)
        grpc_message_decode(x->grpc_message);
    grpc_status_set(&x->status, code, "%s", x->grpc_message ? x->grpc_message : "");
    if (code == GRPC_OK)
        (void)message_reader_finish(&x->reader, &x->status);
}

static void headers_received(Exchange *x, bool end) {
    if (!x->grpc && x->http_status >= 100 && x->http_status < 200)
        return;
    if (x->grpc && !end) {
        fail(x, GRPC_INTERNAL, "a HEADERS frame cannot appear in the middle of a stream");
        return;
    }
    x->grpc = x->grpc || is_grpc_type(x->content_type);
    if (!x->grpc)
        not_grpc(x);
    else if (end)
        take_status(x);
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *userdata) {
    (void)session;
    GrpcConnection *c = userdata;
    bool end = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;
    if (frame->hd.type == NGHTTP2_SETTINGS && !(frame->hd.flags & NGHTTP2_FLAG_ACK))
        c->ready = true;
    Exchange *x = exchange_of(c, frame->hd.stream_id);
    if (!x)
        return 0;
    if (frame->hd.type == NGHTTP2_HEADERS)
        headers_received(x, end);
    else if (frame->hd.type == NGHTTP2_DATA && end)
        fail(x, GRPC_INTERNAL, "server closed the stream without sending trailers");
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t stream_id, const uint8_t *data, size_t n,
                   void *userdata) {
    (void)session, (void)flags;
    Exchange *x = exchange_of(userdata, stream_id);
    if (x && message_reader_feed(&x->reader, data, n, &x->status) < 0)
        x->done = true;
    return 0;
}

static int on_close(nghttp2_session *session, int32_t stream_id, uint32_t error, void *userdata) {
    (void)session;
    GrpcConnection *c = userdata;
    if (c->exchange && c->exchange->stream_id == stream_id)
        c->exchange->no_reset = true;
    Exchange *x = exchange_of(c, stream_id);
    if (!x)
        return 0;
    grpc_status_set(&x->status, grpc_code_of_reset(error), "stream terminated by RST_STREAM with error code: %s",
                    nghttp2_http2_strerror(error));
    x->done = true;
    return 0;
}

/* ---- turning the session ---- */

static int flush(GrpcConnection *c) {
    for (;;) {
        if (!c->out_len) {
            ssize_t n = nghttp2_session_mem_send(c->session, &c->out);
            if (n <= 0)
                return n < 0 ? -EPROTO : 0;
            c->out_len = (size_t)n;
        }
        ssize_t n = send(c->fd, c->out, c->out_len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN ? 0 : -errno;
        c->out += n;
        c->out_len -= (size_t)n;
    }
}

static int drain(GrpcConnection *c) {
    for (;;) {
        ssize_t n = recv(c->fd, c->in, sizeof c->in, MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN ? 0 : -errno;
        if (n == 0)
            return -ECONNRESET;
        if (nghttp2_session_mem_recv(c->session, c->in, (size_t)n) < 0)
            return -EPROTO;
        if ((size_t)n < sizeof c->in || (c->exchange && c->exchange->done))
            return 0; /* poll says when there is more */
    }
}

static int wait_for(int fd, short events, uint64_t deadline_ns) {
    struct pollfd p = {.fd = fd, .events = events};
    for (;;) {
        uint64_t now = now_monotonic_ns();
        if (now >= deadline_ns)
            return -ETIMEDOUT;
        int n = poll(&p, 1, (int)MIN((deadline_ns - now) / NS_PER_MS + 1, (uint64_t)3600000));
        if (n > 0)
            return 0;
        if (n < 0 && errno != EINTR)
            return -errno;
    }
}

/* Until *until; -ETIMEDOUT leaves the connection whole, any other error breaks it. */
static int turn(GrpcConnection *c, const bool *until, uint64_t deadline_ns) {
    while (!c->broken) {
        int r = flush(c);
        if (*until)
            return 0;
        if (r == 0 && !c->out_len && !nghttp2_session_want_read(c->session))
            r = c->ready ? -ECONNRESET : -EPROTO; /* after a GOAWAY of either side nothing more comes */
        if (r == 0) {
            r = wait_for(c->fd, c->out_len ? POLLIN | POLLOUT : POLLIN, deadline_ns);
            if (r == -ETIMEDOUT)
                return r;
        }
        int drained = drain(c); /* also after a failed write: the server may have said why */
        if (*until)
            return 0;
        c->broken = r < 0 ? r : drained;
    }
    return c->broken;
}

/* ---- connecting ---- */

static int session_new(GrpcConnection *c) {
    nghttp2_session_callbacks *callbacks = NULL;
    if (nghttp2_session_callbacks_new(&callbacks) != 0)
        return -ENOMEM;
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
    int r = nghttp2_session_client_new(&c->session, callbacks, c);
    nghttp2_session_callbacks_del(callbacks);
    if (r != 0)
        return -ENOMEM;
    nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
                                         {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, STREAM_WINDOW},
                                         {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, GRPC_HEADERS_MAX}};
    if (nghttp2_submit_settings(c->session, NGHTTP2_FLAG_NONE, settings, ELEMENTSOF(settings)) != 0 ||
        nghttp2_session_set_local_window_size(c->session, NGHTTP2_FLAG_NONE, 0, CONN_WINDOW) != 0)
        return -ENOMEM;
    return 0;
}

static int open_fd(int fd, const char *authority, const GrpcOptions *options, uint64_t deadline_ns,
                   GrpcConnection **ret) {
    _cleanup_(grpc_closep) GrpcConnection *c = NEW0(GrpcConnection);
    c->fd = fd;
    c->authority = xstrdup(authority);
    c->message_max = options->message_max ? options->message_max : GRPC_MESSAGE_MAX;
    c->agent = str_empty(options->user_agent) ? xstrdup(OUR_AGENT) : xasprintf("%s %s", options->user_agent, OUR_AGENT);
    int r = session_new(c);
    if (r == 0)
        r = turn(c, &c->ready, deadline_ns);
    if (r < 0)
        return r;
    *ret = TAKE_PTR(c);
    return 0;
}

int grpc_open_fd(int fd, const GrpcOptions *options, uint64_t deadline_ns, GrpcConnection **ret) {
    return open_fd(fd, "localhost", options ? options : &(GrpcOptions){0}, deadline_ns, ret);
}

static int connect_to(const struct sockaddr *address, socklen_t n, unsigned linger_seconds, uint64_t deadline_ns) {
    _cleanup_close_ int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    if (address->sa_family != AF_UNIX) {
        int on = 1;
        struct linger linger = {.l_onoff = 1, .l_linger = (int)linger_seconds};
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        if (linger_seconds)
            (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    }
    while (connect(fd, address, n) < 0) {
        if (errno == EINPROGRESS) {
            int error = 0, r = wait_for(fd, POLLOUT, deadline_ns);
            socklen_t size = sizeof error;
            if (r == 0 && getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
                r = -errno;
            if (r < 0 || error)
                return r < 0 ? r : -error;
            break;
        }
        if (errno != EAGAIN && errno != EINTR)
            return -errno;
        if (now_monotonic_ns() + BUSY_WAIT_NS >= deadline_ns)
            return -ETIMEDOUT;
        nanosleep(&(struct timespec){.tv_nsec = BUSY_WAIT_NS}, NULL);
    }
    int connected = fd;
    fd = -1;
    return connected;
}

static int open_unix(const char *path, const GrpcOptions *options, uint64_t deadline_ns, GrpcConnection **ret) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    while (path[0] == '/' && path[1] == '/')
        path++;
    if (str_empty(path) || strlen(path) >= sizeof address.sun_path)
        return -EINVAL;
    memcpy(address.sun_path, path, strlen(path));
    int fd = connect_to((const struct sockaddr *)&address, sizeof address, 0, deadline_ns);
    return fd < 0 ? fd : open_fd(fd, "localhost", options, deadline_ns, ret);
}

static int address_split(const char *address, char host[ADDRESS_MAX], const char **ret_port) {
    size_t n = strlen(address);
    const char *colon = strrchr(address, ':');
    uint64_t port;
    if (n >= ADDRESS_MAX || !colon || colon == address || str_to_uint64(colon + 1, &port) < 0 || !port ||
        port > UINT16_MAX)
        return -EINVAL;
    n = (size_t)(colon - address);
    bool brackets = address[0] == '[' && address[n - 1] == ']';
    if (!brackets && memchr(address, ':', n))
        return -EINVAL;
    memcpy(host, address + brackets, n - 2 * brackets);
    host[n - 2 * brackets] = 0;
    *ret_port = colon + 1;
    return *host ? 0 : -EINVAL;
}

static int open_once(const char *address, const GrpcOptions *options, uint64_t deadline_ns, GrpcConnection **ret) {
    if (str_has_prefix(address, "unix:"))
        return open_unix(address + strlen("unix:"), options, deadline_ns, ret);
    char host[ADDRESS_MAX];
    const char *port;
    int r = address_split(address, host, &port);
    if (r < 0)
        return r;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    if (getaddrinfo(host, port, &hints, &found) != 0)
        return -EHOSTUNREACH;
    r = -EHOSTUNREACH;
    for (const struct addrinfo *ai = found; ai; ai = ai->ai_next) {
        r = connect_to(ai->ai_addr, ai->ai_addrlen, options->linger_seconds, deadline_ns);
        if (r >= 0)
            r = open_fd(r, address, options, deadline_ns, ret);
        if (r >= 0 || r == -ETIMEDOUT)
            break;
    }
    freeaddrinfo(found);
    return r;
}

/* Where it is past the deadline, the deadline. */
static void back_off(uint64_t step_ns, uint64_t deadline_ns) {
    uint64_t now = now_monotonic_ns(), pause = step_ns / 10 * 8 + random_below(step_ns / 10 * 4);
    uint64_t left = now < deadline_ns ? MIN(pause, deadline_ns - now) : 0;
    struct timespec ts = {.tv_sec = (time_t)(left / NS_PER_SEC), .tv_nsec = (long)(left % NS_PER_SEC)};
    nanosleep(&ts, NULL);
}

int grpc_open(const char *address, const GrpcOptions *options, uint64_t deadline_ns, GrpcConnection **ret) {
    static const GrpcOptions none;
    options = options ? options : &none;
    for (uint64_t step = RETRY_FIRST_NS;; step = MIN(step / 10 * 16, (uint64_t)RETRY_MAX_NS)) {
        int r = open_once(address, options, deadline_ns, ret);
        if (r >= 0 || r == -EINVAL || r == -ETIMEDOUT || !options->wait)
            return r;
        back_off(step, deadline_ns);
        if (now_monotonic_ns() >= deadline_ns)
            return -ETIMEDOUT;
    }
}

void grpc_close(GrpcConnection *c) {
    if (!c)
        return;
    if (c->session && !c->broken && nghttp2_session_terminate_session(c->session, NGHTTP2_NO_ERROR) == 0)
        (void)flush(c);
    nghttp2_session_del(c->session);
    close(c->fd);
    free(c->authority);
    free(c->agent);
    free(c);
}

/* ---- a call ---- */

static ssize_t read_request(nghttp2_session *session, int32_t stream_id, uint8_t *out, size_t n, uint32_t *flags,
                            nghttp2_data_source *source, void *userdata) {
    (void)session, (void)userdata;
    Exchange *x = source->ptr;
    if (x->stream_id != stream_id)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    n = MIN(n, x->request.len - x->sent);
    memcpy(out, x->request.data + x->sent, n);
    x->sent += n;
    if (x->sent == x->request.len)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)n;
}

static nghttp2_nv field(const char *name, const char *value) {
    return (nghttp2_nv){(uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value, strlen(name), strlen(value), 0};
}

static int submit(GrpcConnection *c, Exchange *x, const GrpcRequest *request) {
    uint64_t now = now_monotonic_ns();
    char timeout[GRPC_TIMEOUT_MAX];
    grpc_timeout_format(request->deadline_ns > now ? request->deadline_ns - now : 0, timeout);
    nghttp2_nv fields[8 + GRPC_METADATA_MAX] = {field(":method", "POST"),
                                                field(":scheme", "http"),
                                                field(":path", request->path),
                                                field(":authority", c->authority),
                                                field("content-type", "application/grpc"),
                                                field("user-agent", c->agent),
                                                field("te", "trailers"),
                                                field("grpc-timeout", timeout)};
    size_t n = 8;
    for (size_t i = 0; i < request->n_metadata; i++)
        fields[n++] = field(request->metadata[i].name, request->metadata[i].value);
    nghttp2_data_provider body = {.source.ptr = x, .read_callback = read_request};
    x->stream_id = nghttp2_submit_request(c->session, NULL, fields, n, &body, NULL);
    return x->stream_id < 0 ? -EPROTO : 0;
}

static void exchange_run(GrpcConnection *c, Exchange *x, const GrpcRequest *request) {
    if (c->broken || !nghttp2_session_check_request_allowed(c->session)) {
        fail(x, GRPC_UNAVAILABLE, "the connection is closed");
        return;
    }
    if (now_monotonic_ns() >= request->deadline_ns) {
        fail(x, GRPC_DEADLINE_EXCEEDED, "context deadline exceeded");
        return;
    }
    if (request->n_metadata > GRPC_METADATA_MAX || message_frame(&x->request, request->message, request->n) < 0) {
        fail(x, GRPC_RESOURCE_EXHAUSTED, "the request is over the client's limits");
        return;
    }
    if (submit(c, x, request) < 0) {
        fail(x, GRPC_INTERNAL, "the request cannot be sent");
        return;
    }
    c->exchange = x;
    int r = turn(c, &x->done, request->deadline_ns);
    if (r == -ETIMEDOUT)
        fail(x, GRPC_DEADLINE_EXCEEDED, "context deadline exceeded");
    else if (r < 0) {
        grpc_status_set(&x->status, GRPC_UNAVAILABLE, "error reading from server: %s",
                        r == -ECONNRESET ? "EOF" : strerror(-r));
        x->done = true;
    }
    /* The stream must be closed before x goes: nothing of the session may point at it any more. */
    if (!c->broken && !x->no_reset) {
        (void)nghttp2_submit_rst_stream(c->session, NGHTTP2_FLAG_NONE, x->stream_id, NGHTTP2_CANCEL);
        r = flush(c);
        if (!x->no_reset)
            c->broken =
                r < 0 ? r : -ECONNRESET; /* the socket is full: what is left of the request would be read again */
    }
    c->exchange = NULL;
}

void grpc_call(GrpcConnection *connection, const GrpcRequest *request, Buf *ret_message, GrpcStatus *ret_status) {
    Exchange x = {.request = BUF_INIT(BUF_NO_LIMIT), .reader = MESSAGE_READER_INIT(connection->message_max)};
    exchange_run(connection, &x, request);
    if (x.status.code == GRPC_OK)
        *ret_message = x.reader.body;
    else
        message_reader_done(&x.reader);
    buf_done(&x.request);
    free(x.content_type);
    free(x.grpc_status);
    free(x.grpc_message);
    *ret_status = x.status;
}
