#include "http/websocket.h"

#include "base/str.h"

#include <errno.h>
#include <openssl/sha.h>
#include <stdatomic.h>
#include <strings.h>
#include <wslay/wslay.h>

#define KEY_GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11" /* RFC 6455 section 1.3 */
#define KEY_BYTES 16

struct WebSocket {
    const WebSocketOps *ops;
    void *userdata;
    wslay_event_context_ptr wslay;
    const unsigned char *in; /* what wslay may read now */
    size_t in_len;
    Buf out; /* what wslay sends by itself: pongs and closes */
    bool closed;
    atomic_bool close_sent;
};

/* Is `token` one of the comma-separated tokens of any header of that name? */
static bool has_token(const HttpRequest *request, const char *name, const char *token, bool ignore_case) {
    const char *n, *value;
    size_t len = strlen(token);
    for (size_t i = 0; http_header_at(request, i, &n, &value); i++) {
        if (!streq(n, name))
            continue;
        for (const char *p = value; *p;) {
            p += strspn(p, " \t,");
            size_t part = strcspn(p, ","), trimmed = part;
            while (trimmed > 0 && (p[trimmed - 1] == ' ' || p[trimmed - 1] == '\t'))
                trimmed--;
            if (trimmed == len && (ignore_case ? strncasecmp(p, token, len) : strncmp(p, token, len)) == 0)
                return true;
            p += part;
        }
    }
    return false;
}

bool websocket_is_request(const HttpRequest *request) {
    const char *upgrade = http_header(request, "upgrade");
    return upgrade && strcasecmp(upgrade, "websocket") == 0 && has_token(request, "connection", "upgrade", true);
}

bool websocket_offers(const HttpRequest *request, const char *protocol) {
    return has_token(request, "sec-websocket-protocol", protocol, false);
}

int websocket_handshake(const HttpRequest *request, const char *protocol, HttpHeader headers[WEBSOCKET_HEADERS],
                        size_t *ret_n, char accept[WEBSOCKET_ACCEPT_SIZE]) {
    const char *key = http_header(request, "sec-websocket-key"),
               *version = http_header(request, "sec-websocket-version");
    _cleanup_free_ uint8_t *nonce = NULL;
    size_t n = 0;
    if (!key || !version || !streq(version, "13") || base64_decode(key, strlen(key), &nonce, &n) < 0 || n != KEY_BYTES)
        return -EINVAL;
    _cleanup_buf_ Buf text = BUF_INIT(256);
    _cleanup_buf_ Buf encoded = BUF_INIT(256);
    buf_printf(&text, "%s%s", key, KEY_GUID);
    unsigned char digest[SHA_DIGEST_LENGTH];
    SHA1((const unsigned char *)text.data, text.len, digest);
    base64_encode(&encoded, digest, sizeof digest);
    if (encoded.len >= WEBSOCKET_ACCEPT_SIZE)
        return -EINVAL;
    memcpy(accept, encoded.data, encoded.len + 1);
    size_t i = 0;
    headers[i++] = (HttpHeader){"upgrade", "websocket"};
    headers[i++] = (HttpHeader){"connection", "Upgrade"};
    headers[i++] = (HttpHeader){"sec-websocket-accept", accept};
    if (!str_empty(protocol))
        headers[i++] = (HttpHeader){"sec-websocket-protocol", protocol};
    *ret_n = i;
    return 0;
}

static ssize_t on_recv(wslay_event_context_ptr ctx, uint8_t *buf, size_t len, int flags, void *userdata) {
    (void)flags;
    WebSocket *ws = userdata;
    size_t n = MIN(len, ws->in_len);
    if (n == 0) {
        wslay_event_set_error(ctx, WSLAY_ERR_WOULDBLOCK);
        return -1;
    }
    memcpy(buf, ws->in, n);
    ws->in += n;
    ws->in_len -= n;
    return (ssize_t)n;
}

static ssize_t on_send(wslay_event_context_ptr ctx, const uint8_t *data, size_t len, int flags, void *userdata) {
    (void)ctx, (void)flags;
    WebSocket *ws = userdata;
    buf_append(&ws->out, data, len);
    return (ssize_t)len;
}

static void on_message(wslay_event_context_ptr ctx, const struct wslay_event_on_msg_recv_arg *arg, void *userdata) {
    (void)ctx;
    WebSocket *ws = userdata;
    if (ws->closed)
        return;
    if (arg->opcode == WSLAY_TEXT_FRAME || arg->opcode == WSLAY_BINARY_FRAME)
        ws->ops->message(arg->opcode == WSLAY_TEXT_FRAME, arg->msg, arg->msg_length, ws->userdata);
    else if (arg->opcode == WSLAY_CONNECTION_CLOSE)
        ws->closed = true;
}

int websocket_new(const WebSocketOps *ops, void *userdata, WebSocket **ret) {
    static const struct wslay_event_callbacks callbacks = {
        .recv_callback = on_recv,
        .send_callback = on_send,
        .on_msg_recv_callback = on_message,
    };
    WebSocket *ws = NEW0(WebSocket);
    ws->ops = ops;
    ws->userdata = userdata;
    ws->out = BUF_INIT(64 * 1024);
    if (wslay_event_context_server_init(&ws->wslay, &callbacks, ws) != 0) {
        free(ws);
        return -ENOMEM;
    }
    wslay_event_config_set_max_recv_msg_length(ws->wslay, WEBSOCKET_MESSAGE_MAX);
    *ret = ws;
    return 0;
}

void websocket_free(WebSocket *ws) {
    if (!ws)
        return;
    wslay_event_context_free(ws->wslay);
    buf_done(&ws->out);
    free(ws);
}

int websocket_input(WebSocket *ws, const void *p, size_t n) {
    bool before = ws->closed;
    ws->in = p;
    ws->in_len = n;
    int r = wslay_event_recv(ws->wslay);
    ws->in_len = 0;
    if (wslay_event_want_write(ws->wslay))
        wslay_event_send(ws->wslay);
    int failed = ws->out.failed ? -ENOBUFS : 0;
    if (ws->out.len > 0) {
        if (wslay_event_get_close_sent(ws->wslay))
            atomic_store(&ws->close_sent, true);
        int w = ws->ops->write(ws->out.data, ws->out.len, NULL, 0, ws->userdata);
        failed = failed ? failed : w;
        buf_done(&ws->out);
    }
    if (ws->closed && !before)
        ws->ops->close(wslay_event_get_status_code_received(ws->wslay), ws->userdata);
    else if (!ws->closed && wslay_event_get_close_sent(ws->wslay))
        failed = -EPROTO; /* wslay found a fault and said so */
    return r != 0 ? -EPROTO : failed;
}

/* A server's frames are not masked, so a whole message is one small head and the data as it is. */
static int send_frame(WebSocket *ws, unsigned opcode, const void *prefix, size_t prefix_len, const void *p, size_t n) {
    unsigned char head[10 + 128];
    size_t len = prefix_len + n, i = 0;
    if (prefix_len > sizeof head - 10)
        return -EINVAL;
    head[i++] = (unsigned char)(0x80 | opcode);
    if (len < 126)
        head[i++] = (unsigned char)len;
    else {
        size_t bytes = len <= UINT16_MAX ? 2 : 8;
        head[i++] = bytes == 2 ? 126 : 127;
        for (size_t k = bytes; k-- > 0;)
            head[i++] = (unsigned char)((uint64_t)len >> (8 * k));
    }
    if (prefix_len)
        memcpy(head + i, prefix, prefix_len);
    return ws->ops->write(head, i + prefix_len, p, n, ws->userdata);
}

int websocket_send(WebSocket *ws, bool text, const void *prefix, size_t prefix_len, const void *p, size_t n) {
    if (atomic_load(&ws->close_sent))
        return -EPIPE;
    return send_frame(ws, text ? WSLAY_TEXT_FRAME : WSLAY_BINARY_FRAME, prefix, prefix_len, p, n);
}

int websocket_close(WebSocket *ws, unsigned code) {
    if (atomic_exchange(&ws->close_sent, true))
        return 0;
    unsigned char payload[2] = {(unsigned char)(code >> 8), (unsigned char)code};
    return send_frame(ws, WSLAY_CONNECTION_CLOSE, payload, sizeof payload, NULL, 0);
}
