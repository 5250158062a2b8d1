/* Clients of exec and port-forward after the upgrade. The first byte says how they speak; of WebSocket the rest is a
 * row of messages with a short head (opcode, two bytes of length), of SPDY bytes as they are. */
#include "../../support/http_peer.h"
#include "http/remote.h"

#define SHORT_HEAD 3
#define MESSAGES_MAX 256

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct Way {
    const char *protocol; /* NULL: SPDY */
    const char *spdy_protocol;
    bool port_forward;
} Way;

static const Way ways[] = {
    {"v5.channel.k8s.io", NULL, false},
    {"v4.channel.k8s.io", NULL, false},
    {"v4.base64.channel.k8s.io", NULL, false},
    {"base64.channel.k8s.io", NULL, false},
    {"v4.channel.k8s.io", NULL, true},
    {"v4.base64.channel.k8s.io", NULL, true},
    {"SPDY/3.1+portforward.k8s.io", NULL, true},
    {NULL, "v4.channel.k8s.io", false},
    {NULL, "channel.k8s.io", false},
    {NULL, "portforward.k8s.io", true},
};

typedef struct Session {
    const Way *way;
    size_t seen;
} Session;

static void on_stdin(Remote *remote, const void *p, size_t n, void *userdata) {
    Session *session = userdata;
    session->seen += n;
    (void)remote_write(remote, REMOTE_STDOUT, p, n);
    if (!n)
        remote_finish(remote, 3, NULL);
}

static void on_resize(Remote *remote, uint16_t width, uint16_t height, void *userdata) {
    (void)remote;
    ((Session *)userdata)->seen += width + height;
}

static void on_port(Remote *remote, uint32_t stream, uint16_t port, void *userdata) {
    ((Session *)userdata)->seen += port;
    if (port % 8 == 7)
        (void)remote_port_error(remote, stream, "refused");
}

static void on_port_data(Remote *remote, uint32_t stream, const void *p, size_t n, void *userdata) {
    ((Session *)userdata)->seen += n;
    (void)remote_port_write(remote, stream, p, n);
}

static void on_closed(Remote *remote, void *userdata) {
    (void)remote, (void)userdata;
}

static void handle(HttpRequest *request, void *userdata) {
    static const RemoteOps ops = {.stdin_data = on_stdin,
                                  .resize = on_resize,
                                  .port_open = on_port,
                                  .port_data = on_port_data,
                                  .closed = on_closed};
    static const uint16_t ports[] = {80, 8080};
    Session *session = userdata;
    RemoteOptions options = {.port_forward = session->way->port_forward,
                             .stdin_ = true,
                             .stdout_ = true,
                             .stderr_ = true,
                             .ports = ports,
                             .n_ports = ELEMENTSOF(ports)};
    Remote *remote;
    if (!remote_is_upgrade(request) || remote_accept(request, &options, &ops, session, &remote) < 0)
        abort();
}

static void write_upgrade(Buf *out, const Way *way) {
    buf_puts(out, "POST /exec HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n");
    if (way->protocol)
        buf_printf(out,
                   "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "
                   "dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: %s\r\n\r\n",
                   way->protocol);
    else
        buf_printf(out, "Upgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: %s\r\n\r\n", way->spdy_protocol);
}

/* Frames of a client are masked; a key of zeros leaves them readable. */
static void write_messages(Buf *out, const uint8_t *data, size_t size) {
    for (int i = 0; i < MESSAGES_MAX && size >= SHORT_HEAD; i++) {
        size_t n = MIN((size_t)data[1] << 8 | data[2], size - SHORT_HEAD);
        const uint8_t head[] = {data[0], 0x80 | 126, (uint8_t)(n >> 8), (uint8_t)n, 0, 0, 0, 0};
        const uint8_t short_head[] = {data[0], (uint8_t)(0x80 | n), 0, 0, 0, 0};
        if (n < 126)
            buf_append(out, short_head, sizeof short_head);
        else
            buf_append(out, head, sizeof head);
        buf_append(out, data + SHORT_HEAD, n);
        data += SHORT_HEAD + n;
        size -= SHORT_HEAD + n;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (!size)
        return 0;
    Session session = {.way = &ways[data[0] % ELEMENTSOF(ways)]};
    _cleanup_buf_ Buf out = BUF_INIT(HTTP_PEER_INPUT_MAX);
    write_upgrade(&out, session.way);
    if (session.way->protocol)
        write_messages(&out, data + 1, size - 1);
    else
        buf_append(&out, data + 1, size - 1);
    if (!out.failed)
        http_peer_run((const uint8_t *)out.data, out.len, false, handle, &session);
    return 0;
}
