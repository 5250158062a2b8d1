#define LOG_COMPONENT "http"
#include "http/remote.h"

#include "base/log.h"
#include "base/str.h"
#include "http/remote_internal.h"

#include <errno.h>
#include <stdio.h>
#include <strings.h>

#define CONTROL_SLACK 65536 /* of DUPLEX_WRITE_MAX, for frames that must go out: pongs, outcomes */
#define STREAM_CLOSE 255    /* v5: the next byte names the channel that ends */
#define RESIZE_MAX 4096
#define STATUS_MAX 65536

static const char *const spdy_protocols[] = {"v4.channel.k8s.io", "v3.channel.k8s.io", "v2.channel.k8s.io",
                                             "channel.k8s.io"};
static const char *const port_spdy_protocols[] = {"portforward.k8s.io"};

typedef struct WsProtocol {
    const char *name;
    unsigned version;
    bool base64, tunnel, exec, port_forward;
} WsProtocol;

static const WsProtocol ws_protocols[] = {
    {"v5.channel.k8s.io", 5, false, false, true, false}, {"SPDY/3.1+portforward.k8s.io", 4, false, true, false, true},
    {"v4.channel.k8s.io", 4, false, false, true, true},  {"v4.base64.channel.k8s.io", 4, true, false, true, true},
    {"channel.k8s.io", 1, false, false, true, false},    {"base64.channel.k8s.io", 1, true, false, true, false},
};
static const WsProtocol ws_without_protocol = {"", 1, false, false, true, true};

static const char *const channel_names[REMOTE_CHANNELS] = {"stdin", "stdout", "stderr", "error", "resize"};

Remote *remote_ref(Remote *remote) {
    atomic_fetch_add_explicit(&remote->refs, 1, memory_order_relaxed);
    return remote;
}

void remote_unref(Remote *remote) {
    if (!remote || atomic_fetch_sub_explicit(&remote->refs, 1, memory_order_acq_rel) != 1)
        return;
    duplex_unref(remote->duplex);
    websocket_free(remote->ws);
    spdy_free(remote->spdy);
    remote_ports_done(remote);
    buf_done(&remote->early);
    buf_done(&remote->status);
    buf_done(&remote->resize);
    free(remote->ports);
    pthread_mutex_destroy(&remote->lock);
    free(remote);
}

static bool is_spdy(const HttpRequest *request) {
    const char *upgrade = http_header(request, "upgrade"), *connection = http_header(request, "connection");
    return upgrade && connection && strcasecmp(upgrade, "SPDY/3.1") == 0 && strcasestr(connection, "upgrade");
}

bool remote_is_upgrade(const HttpRequest *request) {
    return !http_is_h2(request) && (websocket_is_request(request) || is_spdy(request));
}

/* Sending */

int remote_room(Remote *remote, size_t n) {
    if (remote->closed || remote->ending)
        return -EPIPE;
    size_t pending = duplex_pending(remote->duplex);
    return n > DUPLEX_WRITE_MAX - CONTROL_SLACK || pending > DUPLEX_WRITE_MAX - CONTROL_SLACK - n ? -EAGAIN : 0;
}

static int duplex_write_bytes(const void *head, size_t head_len, const void *p, size_t n, void *userdata) {
    Remote *remote = userdata;
    return duplex_write2(remote->duplex, head, head_len, p, n);
}

int remote_write_bytes(const void *head, size_t head_len, const void *p, size_t n, void *userdata) {
    Remote *remote = userdata;
    return remote->ws ? websocket_send(remote->ws, false, head, head_len, p, n)
                      : duplex_write2(remote->duplex, head, head_len, p, n);
}

int remote_ws_send(Remote *remote, unsigned channel, const void *p, size_t n) {
    if (!remote->base64) {
        unsigned char prefix = (unsigned char)channel;
        return websocket_send(remote->ws, false, &prefix, 1, p, n);
    }
    _cleanup_buf_ Buf text = BUF_INIT(2 * DUPLEX_WRITE_MAX);
    base64_encode(&text, p, n);
    char prefix = (char)('0' + channel);
    return text.failed ? -ENOBUFS : websocket_send(remote->ws, true, &prefix, 1, text.data, text.len);
}

void remote_end(Remote *remote) {
    if (remote->ending)
        return;
    remote->ending = true;
    if (remote->spdy)
        spdy_send_goaway(remote->spdy, 0);
    if (remote->ws)
        websocket_close(remote->ws, WEBSOCKET_NORMAL);
    duplex_close(remote->duplex);
}

static int channel_send(Remote *remote, unsigned channel, const void *p, size_t n) {
    if (!remote->spdy)
        return remote_ws_send(remote, channel, p, n);
    uint32_t stream = remote->streams[channel];
    return stream && n > 0 ? spdy_send_data(remote->spdy, stream, p, n, false) : 0;
}

static int keep_early(Remote *remote, unsigned channel, const void *p, size_t n) {
    if (n > DUPLEX_WRITE_MAX / 2 || remote->early.len > DUPLEX_WRITE_MAX / 2 - n)
        return -EAGAIN;
    uint32_t len = (uint32_t)n;
    buf_putc(&remote->early, (char)channel);
    buf_append(&remote->early, &len, sizeof len);
    buf_append(&remote->early, p, n);
    return 0;
}

int remote_write(Remote *remote, RemoteChannel channel, const void *p, size_t n) {
    if (n == 0 || (unsigned)channel >= REMOTE_CHANNELS)
        return 0;
    pthread_mutex_lock(&remote->lock);
    int r = remote->finished ? -EPIPE : remote_room(remote, n);
    if (r == 0)
        r = remote->ready ? channel_send(remote, channel, p, n) : keep_early(remote, channel, p, n);
    pthread_mutex_unlock(&remote->lock);
    return r;
}

size_t remote_pending(Remote *remote) {
    pthread_mutex_lock(&remote->lock);
    size_t n = remote->early.len + duplex_pending(remote->duplex);
    pthread_mutex_unlock(&remote->lock);
    return n;
}

void remote_pause_stdin(Remote *remote, bool paused) {
    duplex_pause(remote->duplex, paused);
}

/* The outcome goes out and every stream ends. Under the lock. */
static void send_outcome(Remote *remote) {
    if (remote->status.len > 0)
        channel_send(remote, REMOTE_ERROR, remote->status.data, remote->status.len);
    if (remote->spdy) {
        static const unsigned order[] = {REMOTE_STDOUT, REMOTE_STDERR, REMOTE_ERROR};
        for (size_t i = 0; i < ELEMENTSOF(order); i++)
            if (remote->streams[order[i]])
                spdy_send_data(remote->spdy, remote->streams[order[i]], NULL, 0, true);
    }
    remote_end(remote);
}

/* Under the lock: all streams are there. */
static void become_ready(Remote *remote) {
    remote->ready = true;
    for (size_t i = 0; i + 5 <= remote->early.len;) {
        uint32_t n;
        memcpy(&n, remote->early.data + i + 1, sizeof n);
        channel_send(remote, (unsigned char)remote->early.data[i], remote->early.data + i + 5, n);
        i += 5 + n;
    }
    buf_done(&remote->early);
    if (remote->finished)
        send_outcome(remote);
}

static void json_string(Buf *out, const char *s) {
    buf_putc(out, '"');
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        if (c == '"' || c == '\\')
            buf_printf(out, "\\%c", c);
        else if (c == '\n')
            buf_puts(out, "\\n");
        else if (c < 0x20)
            buf_printf(out, "\\u%04x", c);
        else
            buf_putc(out, (char)c);
    }
    buf_putc(out, '"');
}

/* metav1.Status as v4 words it; before v4 the text of a failure. */
static void write_outcome(Buf *out, unsigned version, int exit_code, const char *error_message) {
    bool failed = exit_code != 0 || error_message;
    _cleanup_buf_ Buf message = BUF_INIT(STATUS_MAX / 2);
    if (exit_code > 0 && error_message)
        buf_printf(&message, "command terminated with non-zero exit code: %s", error_message);
    else if (exit_code > 0)
        buf_printf(&message, "command terminated with non-zero exit code: exit status %d", exit_code);
    else if (failed)
        buf_printf(&message, "Internal error occurred: %s", error_message ? error_message : "the command was not run");
    if (version < 4) {
        if (failed)
            buf_puts(out, message.data);
        return;
    }
    if (!failed) {
        buf_puts(out, "{\"metadata\":{},\"status\":\"Success\"}");
        return;
    }
    buf_puts(out, "{\"metadata\":{},\"status\":\"Failure\",\"message\":");
    json_string(out, message.data);
    if (exit_code > 0)
        buf_printf(
            out,
            ",\"reason\":\"NonZeroExitCode\",\"details\":{\"causes\":[{\"reason\":\"ExitCode\",\"message\":\"%d\"}]}}",
            exit_code);
    else
        buf_puts(out, ",\"reason\":\"InternalError\",\"code\":500}");
}

void remote_finish(Remote *remote, int exit_code, const char *error_message) {
    pthread_mutex_lock(&remote->lock);
    if (!remote->finished && !remote->closed) {
        remote->finished = true;
        write_outcome(&remote->status, remote->version, exit_code, error_message);
        if (remote->ready)
            send_outcome(remote);
    }
    pthread_mutex_unlock(&remote->lock);
}

void remote_close(Remote *remote) {
    pthread_mutex_lock(&remote->lock);
    if (!remote->closed)
        remote_end(remote);
    pthread_mutex_unlock(&remote->lock);
}

/* Receiving; on the loop */

static void deliver_stdin(Remote *remote, const void *p, size_t n) {
    if (remote->stdin_ended || !remote->options.stdin_)
        return;
    if (n == 0)
        remote->stdin_ended = true;
    if (remote->ops->stdin_data)
        remote->ops->stdin_data(remote, p, n, remote->userdata);
}

/* The number after a field's name, in any case, as Go's decoder reads it; -1 without one. */
static long resize_field(const char *object, const char *name) {
    const char *p = strcasestr(object, name);
    if (!p)
        return -1;
    p += strlen(name);
    p += strspn(p, "\" \t\r\n:");
    return *p >= '0' && *p <= '9' ? strtol(p, NULL, 10) : -1;
}

/* A stream of JSON objects, {"Width":80,"Height":24}. */
static void deliver_resize(Remote *remote, const char *p, size_t n) {
    buf_append(&remote->resize, p, n);
    if (remote->resize.failed) {
        buf_clear(&remote->resize);
        return;
    }
    char *end;
    while (remote->resize.len > 0 && (end = memchr(remote->resize.data, '}', remote->resize.len))) {
        *end = 0;
        long width = resize_field(remote->resize.data, "width"), height = resize_field(remote->resize.data, "height");
        buf_consume(&remote->resize, (size_t)(end + 1 - remote->resize.data));
        if (width >= 0 && height >= 0 && width <= UINT16_MAX && height <= UINT16_MAX && remote->ops->resize)
            remote->ops->resize(remote, (uint16_t)width, (uint16_t)height, remote->userdata);
    }
}

static void deliver_channel(Remote *remote, unsigned channel, const void *p, size_t n) {
    if (remote->options.port_forward)
        remote_port_message(remote, channel, p, n);
    else if (channel == REMOTE_STDIN && n > 0)
        deliver_stdin(remote, p, n);
    else if (channel == REMOTE_RESIZE)
        deliver_resize(remote, p, n);
}

static void break_protocol(Remote *remote, const char *what) {
    log_debug("a remote command stream ended: %s", what);
    remote_close(remote);
}

static void on_ws_message(bool text, const void *p, size_t n, void *userdata) {
    (void)text;
    Remote *remote = userdata;
    if (remote->spdy) { /* tunnelled */
        if (spdy_input(remote->spdy, p, n) < 0)
            break_protocol(remote, "bad SPDY frame");
        return;
    }
    const unsigned char *data = p;
    if (n == 0)
        return;
    if (remote->version >= 5 && data[0] == STREAM_CLOSE) {
        if (n != 2 || data[1] >= REMOTE_CHANNELS)
            break_protocol(remote, "bad stream close signal");
        else if (data[1] == REMOTE_STDIN)
            deliver_stdin(remote, NULL, 0);
        return;
    }
    if (!remote->base64) {
        deliver_channel(remote, data[0], data + 1, n - 1);
        return;
    }
    _cleanup_free_ uint8_t *plain = NULL;
    size_t len = 0;
    if (data[0] >= '0' && base64_decode(p ? (const char *)p + 1 : "", n - 1, &plain, &len) == 0)
        deliver_channel(remote, data[0] - '0', plain, len);
}

static void on_ws_close(unsigned code, void *userdata) {
    (void)code;
    remote_close(userdata);
}

static const WebSocketOps remote_ws_ops = {.message = on_ws_message, .close = on_ws_close, .write = duplex_write_bytes};

static unsigned expected_streams(const Remote *remote) {
    const RemoteOptions *o = &remote->options;
    return 1u + o->stdin_ + o->stdout_ + (o->stderr_ && !o->tty) + (o->tty && remote->version >= 3);
}

static int on_exec_opened(uint32_t stream, const char *headers, size_t n, bool fin, void *userdata) {
    Remote *remote = userdata;
    const char *type = spdy_header(headers, n, "streamtype");
    unsigned channel = 0;
    while (channel < REMOTE_CHANNELS && !streq(str_or(type, ""), channel_names[channel]))
        channel++;
    if (channel == REMOTE_CHANNELS)
        return -EINVAL;
    pthread_mutex_lock(&remote->lock);
    bool taken = remote->streams[channel] != 0;
    if (!taken) {
        remote->streams[channel] = stream;
        unsigned count = 0;
        for (unsigned i = 0; i < REMOTE_CHANNELS; i++)
            count += remote->streams[i] != 0;
        if (!remote->ready && count >= expected_streams(remote))
            become_ready(remote);
    }
    pthread_mutex_unlock(&remote->lock);
    if (!taken && fin && channel == REMOTE_STDIN)
        deliver_stdin(remote, NULL, 0);
    return taken ? -EEXIST : 0;
}

static void on_exec_data(uint32_t stream, const void *p, size_t n, bool fin, void *userdata) {
    Remote *remote = userdata;
    if (stream == remote->streams[REMOTE_STDIN]) {
        if (n > 0)
            deliver_stdin(remote, p, n);
        if (fin)
            deliver_stdin(remote, NULL, 0);
    } else if (stream == remote->streams[REMOTE_RESIZE] && n > 0)
        deliver_resize(remote, p, n);
}

static void on_exec_reset(uint32_t stream, void *userdata) {
    Remote *remote = userdata;
    if (stream == remote->streams[REMOTE_STDIN])
        deliver_stdin(remote, NULL, 0);
}

static void on_goaway(void *userdata) {
    (void)userdata; /* the client ends the connection itself */
}

static const SpdyOps remote_exec_spdy_ops = {
    .opened = on_exec_opened,
    .data = on_exec_data,
    .reset = on_exec_reset,
    .goaway = on_goaway,
    .write = remote_write_bytes,
};

static void on_data(Duplex *duplex, const void *p, size_t n, void *userdata) {
    (void)duplex;
    Remote *remote = userdata;
    int r = remote->ws ? websocket_input(remote->ws, p, n) : spdy_input(remote->spdy, p, n);
    if (r < 0)
        break_protocol(remote, strerror(-r));
}

static void on_drained(Duplex *duplex, void *userdata) {
    (void)duplex;
    Remote *remote = userdata;
    if (remote->ops->drained)
        remote->ops->drained(remote, remote->userdata);
}

static void on_closed(Duplex *duplex, int error, void *userdata) {
    (void)duplex, (void)error;
    Remote *remote = userdata;
    pthread_mutex_lock(&remote->lock);
    remote->closed = true;
    pthread_mutex_unlock(&remote->lock);
    remote->timer = source_unref(remote->timer);
    if (remote->ops->closed)
        remote->ops->closed(remote, remote->userdata);
    remote_unref(remote);
}

static const DuplexOps remote_duplex_ops = {.data = on_data, .drained = on_drained, .closed = on_closed};

static void on_timer(Source *source, void *userdata) {
    (void)source;
    Remote *remote = userdata;
    if (remote->options.port_forward)
        remote_ports_expire(remote);
    else if (!remote->ready) {
        log_warn("timed out waiting for client to create streams");
        remote_close(remote);
    }
}

/* Negotiation */

static int refuse(HttpRequest *request, int status, const char *reason, const char *message,
                  const char *const *accepted, size_t n_accepted) {
    HttpHeader headers[1 + ELEMENTSOF(spdy_protocols)] = {{"content-type", "application/json"}};
    size_t n = 1;
    for (size_t i = 0; i < n_accepted && n < ELEMENTSOF(headers); i++)
        headers[n++] = (HttpHeader){"x-accepted-stream-protocol-versions", accepted[i]};
    Buf body = BUF_INIT(8192);
    buf_puts(&body, "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},\"status\":\"Failure\",\"message\":");
    json_string(&body, message);
    buf_printf(&body, ",\"reason\":\"%s\",\"code\":%d}\n", reason, status);
    http_reply(request, status, headers, n, http_bytes_take(&body));
    return status == 403 ? -EACCES : -EINVAL;
}

static bool list_has(const char *list, const char *token) {
    size_t len = strlen(token);
    for (const char *p = list; *p;) {
        p += strspn(p, " ,");
        size_t part = strcspn(p, " ,");
        if (part == len && strncmp(p, token, len) == 0)
            return true;
        p += part;
    }
    return false;
}

static bool header_lists(const HttpRequest *request, const char *header, const char *token, bool *seen) {
    const char *name, *value;
    for (size_t i = 0; http_header_at(request, i, &name, &value); i++) {
        if (!streq(name, header))
            continue;
        *seen = true;
        if (list_has(value, token))
            return true;
    }
    return false;
}

static int accept_spdy(HttpRequest *request, Remote *remote) {
    const char *const *protocols = remote->options.port_forward ? port_spdy_protocols : spdy_protocols;
    size_t n = remote->options.port_forward ? ELEMENTSOF(port_spdy_protocols) : ELEMENTSOF(spdy_protocols), i = 0;
    bool seen = false;
    while (i < n && !header_lists(request, "x-stream-protocol-version", protocols[i], &seen))
        i++;
    if (!seen)
        return refuse(request, 400, "BadRequest",
                      "unable to upgrade: header X-Stream-Protocol-Version does not exist in request", NULL, 0);
    if (i == n)
        return refuse(request, 403, "Forbidden", "unable to upgrade: unable to negotiate protocol", protocols, n);
    remote->version = remote->options.port_forward ? 4 : (unsigned)(4 - i);
    int r =
        spdy_new(remote->options.port_forward ? &remote_port_spdy_ops : &remote_exec_spdy_ops, remote, &remote->spdy);
    if (r < 0)
        return r;
    const HttpHeader headers[] = {
        {"connection", "Upgrade"}, {"upgrade", "SPDY/3.1"}, {"x-stream-protocol-version", protocols[i]}};
    return http_hijack(request, headers, ELEMENTSOF(headers), &remote->duplex);
}

static const WsProtocol *choose_ws(const HttpRequest *request, bool port_forward) {
    for (size_t i = 0; i < ELEMENTSOF(ws_protocols); i++) {
        const WsProtocol *p = &ws_protocols[i];
        if ((port_forward ? p->port_forward : p->exec) && websocket_offers(request, p->name))
            return p;
    }
    return http_header(request, "sec-websocket-protocol") ? NULL : &ws_without_protocol;
}

static int accept_ws(HttpRequest *request, Remote *remote) {
    const WsProtocol *protocol = choose_ws(request, remote->options.port_forward);
    if (!protocol)
        return refuse(request, 403, "Forbidden",
                      "unable to upgrade: the requested WebSocket protocols are not supported", NULL, 0);
    if (remote->options.port_forward && !protocol->tunnel && remote->options.n_ports == 0)
        return refuse(request, 400, "BadRequest", "query parameter \"port\" is required", NULL, 0);
    HttpHeader headers[WEBSOCKET_HEADERS];
    char accept[WEBSOCKET_ACCEPT_SIZE];
    size_t n = 0;
    if (websocket_handshake(request, protocol->name, headers, &n, accept) < 0)
        return refuse(request, 400, "BadRequest", "unable to upgrade: not a WebSocket handshake of version 13", NULL,
                      0);
    remote->version = protocol->version;
    remote->base64 = protocol->base64;
    int r = websocket_new(&remote_ws_ops, remote, &remote->ws);
    if (r == 0 && protocol->tunnel)
        r = spdy_new(&remote_port_spdy_ops, remote, &remote->spdy);
    return r < 0 ? r : http_hijack(request, headers, n, &remote->duplex);
}

/* The first round: tells a WebSocket client that it is connected, as the reference does, by an empty message. */
static void remote_begin(void *userdata) {
    Remote *remote = userdata;
    pthread_mutex_lock(&remote->lock);
    if (!remote->spdy && !remote->options.port_forward) {
        remote_ws_send(remote,
                       remote->options.stdout_   ? REMOTE_STDOUT
                       : remote->options.stderr_ ? REMOTE_STDERR
                                                 : REMOTE_ERROR,
                       NULL, 0);
        become_ready(remote);
    }
    pthread_mutex_unlock(&remote->lock);
    loop_add_timer(duplex_loop(remote->duplex),
                   remote->spdy ? now_monotonic_ns() + REMOTE_STREAMS_SECONDS * NS_PER_SEC : 0, on_timer, remote,
                   &remote->timer);
    if (!remote->spdy && remote->options.port_forward)
        remote_ports_begin(remote);
    duplex_start(remote->duplex, &remote_duplex_ops, remote);
}

int remote_accept(HttpRequest *request, const RemoteOptions *options, const RemoteOps *ops, void *userdata,
                  Remote **ret) {
    if (!remote_is_upgrade(request))
        return refuse(request, 400, "BadRequest", "unable to upgrade: missing upgrade headers in request", NULL, 0);
    Remote *remote = NEW0(Remote);
    remote->refs = 1;
    pthread_mutex_init(&remote->lock, NULL);
    remote->ops = ops;
    remote->userdata = userdata;
    remote->options = *options;
    remote->early = BUF_INIT(DUPLEX_WRITE_MAX);
    remote->status = BUF_INIT(STATUS_MAX);
    remote->resize = BUF_INIT(RESIZE_MAX);
    if (options->n_ports > 0)
        remote->ports = xmemdup(options->ports, options->n_ports * sizeof *options->ports);
    remote->options.ports = remote->ports;
    int r = websocket_is_request(request) ? accept_ws(request, remote) : accept_spdy(request, remote);
    if (r < 0) {
        remote_unref(remote);
        return r;
    }
    *ret = remote;
    if (!worker_post(request->worker, remote_begin, remote))
        on_closed(remote->duplex, -ESHUTDOWN, remote);
    return 0;
}
