#include "http/spdy.h"

#include "base/buf.h"
#include "base/str.h"
#include "http/gen/spdy_dictionary.h"

#include <ctype.h>
#include <errno.h>
#include <zlib.h>

#define FRAME_HEAD 8
#define SPDY_VERSION 3
#define FLAG_FIN 0x01
#define STREAM_MASK 0x7fffffffu

typedef enum FrameType {
    SYN_STREAM = 1,
    SYN_REPLY = 2,
    RST_STREAM = 3,
    SETTINGS = 4,
    PING = 6,
    GOAWAY = 7,
    HEADERS = 8,
    WINDOW_UPDATE = 9,
} FrameType;

struct Spdy {
    const SpdyOps *ops;
    void *userdata;
    z_stream inflate, deflate;
    unsigned char head[FRAME_HEAD];
    size_t head_len;
    uint32_t left; /* of the frame's payload */
    Buf control;   /* payload of a control frame so far */
    uint32_t last_stream;
};

static uint32_t get32(const unsigned char *p) {
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void put32(unsigned char *p, uint32_t v) {
    p[0] = (unsigned char)(v >> 24);
    p[1] = (unsigned char)(v >> 16);
    p[2] = (unsigned char)(v >> 8);
    p[3] = (unsigned char)v;
}

int spdy_new(const SpdyOps *ops, void *userdata, Spdy **ret) {
    Spdy *spdy = NEW0(Spdy);
    spdy->ops = ops;
    spdy->userdata = userdata;
    spdy->control = BUF_INIT(SPDY_CONTROL_MAX);
    if (inflateInit(&spdy->inflate) != Z_OK) {
        free(spdy);
        return -ENOMEM;
    }
    /* Replies have no headers worth a large window. */
    if (deflateInit2(&spdy->deflate, Z_BEST_SPEED, Z_DEFLATED, 11, 1, Z_DEFAULT_STRATEGY) != Z_OK ||
        deflateSetDictionary(&spdy->deflate, spdy_dictionary, sizeof spdy_dictionary) != Z_OK) {
        spdy_free(spdy);
        return -ENOMEM;
    }
    *ret = spdy;
    return 0;
}

void spdy_free(Spdy *spdy) {
    if (!spdy)
        return;
    inflateEnd(&spdy->inflate);
    deflateEnd(&spdy->deflate);
    buf_done(&spdy->control);
    free(spdy);
}

static void control_head(unsigned char *p, FrameType type, unsigned flags, uint32_t length) {
    p[0] = 0x80;
    p[1] = SPDY_VERSION;
    p[2] = 0;
    p[3] = (unsigned char)type;
    put32(p + 4, length);
    p[4] = (unsigned char)flags;
}

static int send_control(Spdy *spdy, FrameType type, const void *payload, size_t n) {
    unsigned char head[FRAME_HEAD];
    control_head(head, type, 0, (uint32_t)n);
    return spdy->ops->write(head, sizeof head, payload, n, spdy->userdata);
}

int spdy_send_data(Spdy *spdy, uint32_t stream, const void *p, size_t n, bool fin) {
    const char *data = p ? p : "";
    do {
        size_t part = MIN(n, (size_t)SPDY_DATA_MAX);
        unsigned char head[FRAME_HEAD];
        put32(head, stream & STREAM_MASK);
        put32(head + 4, (uint32_t)part);
        head[4] = fin && part == n ? FLAG_FIN : 0;
        int r = spdy->ops->write(head, sizeof head, data, part, spdy->userdata);
        if (r < 0)
            return r;
        data += part;
        n -= part;
    } while (n > 0);
    return 0;
}

int spdy_send_reset(Spdy *spdy, uint32_t stream, SpdyReset status) {
    unsigned char payload[8];
    put32(payload, stream);
    put32(payload + 4, status);
    return send_control(spdy, RST_STREAM, payload, sizeof payload);
}

int spdy_send_goaway(Spdy *spdy, uint32_t last_stream) {
    unsigned char payload[8];
    put32(payload, last_stream);
    put32(payload + 4, 0); /* OK */
    return send_control(spdy, GOAWAY, payload, sizeof payload);
}

static int send_window_update(Spdy *spdy, uint32_t stream, uint32_t delta) {
    unsigned char payload[8];
    put32(payload, stream);
    put32(payload + 4, delta);
    return send_control(spdy, WINDOW_UPDATE, payload, sizeof payload);
}

/* Accepts a stream: SYN_REPLY with no headers. */
static int send_reply(Spdy *spdy, uint32_t stream) {
    unsigned char none[4] = {0}, payload[64];
    put32(payload, stream);
    spdy->deflate.next_in = none;
    spdy->deflate.avail_in = sizeof none;
    spdy->deflate.next_out = payload + 4;
    spdy->deflate.avail_out = sizeof payload - 4;
    if (deflate(&spdy->deflate, Z_SYNC_FLUSH) != Z_OK || spdy->deflate.avail_out == 0)
        return -EIO;
    return send_control(spdy, SYN_REPLY, payload, sizeof payload - spdy->deflate.avail_out);
}

/* Inflates a header block. The context lives as long as the connection, so every block must pass through here. */
static int inflate_headers(Spdy *spdy, const unsigned char *p, size_t n, Buf *out) {
    spdy->inflate.next_in = (Bytef *)(uintptr_t)p;
    spdy->inflate.avail_in = (uInt)n;
    for (;;) {
        char *room = buf_reserve(out, 4096);
        if (!room)
            return -EFBIG;
        spdy->inflate.next_out = (Bytef *)room;
        spdy->inflate.avail_out = 4096;
        int r = inflate(&spdy->inflate, Z_SYNC_FLUSH);
        out->len += 4096 - spdy->inflate.avail_out;
        if (r == Z_NEED_DICT) {
            if (inflateSetDictionary(&spdy->inflate, spdy_dictionary, sizeof spdy_dictionary) != Z_OK)
                return -EPROTO;
            continue;
        }
        if (r != Z_OK && r != Z_BUF_ERROR)
            return -EPROTO;
        if (spdy->inflate.avail_out > 0)
            return spdy->inflate.avail_in == 0 ? 0 : -EPROTO;
    }
}

static int take_string(const unsigned char **p, size_t *left, Buf *out, bool lower) {
    if (*left < 4)
        return -EPROTO;
    uint32_t n = get32(*p);
    if (n > *left - 4)
        return -EPROTO;
    for (uint32_t i = 0; i < n; i++) {
        unsigned char c = (*p)[4 + i];
        /* A NUL parts the values of a repeated header: the first one counts here. */
        if (c == 0)
            break;
        buf_putc(out, lower ? (char)tolower(c) : (char)c);
    }
    buf_putc(out, 0);
    *p += 4 + n;
    *left -= 4 + n;
    return 0;
}

/* name NUL value NUL ... from the block's counted strings. */
static int parse_headers(Spdy *spdy, const unsigned char *block, size_t n, Buf *out) {
    _cleanup_buf_ Buf plain = BUF_INIT(SPDY_HEADERS_MAX + 4096);
    int r = inflate_headers(spdy, block, n, &plain);
    if (r < 0)
        return r;
    const unsigned char *p = (const unsigned char *)plain.data;
    size_t left = plain.len;
    if (left < 4)
        return left == 0 ? 0 : -EPROTO;
    uint32_t count = get32(p);
    p += 4;
    left -= 4;
    for (uint32_t i = 0; i < count && r == 0; i++) {
        r = take_string(&p, &left, out, true);
        if (r == 0)
            r = take_string(&p, &left, out, false);
    }
    return r < 0 ? r : out->failed ? -EFBIG : 0;
}

const char *spdy_header(const char *headers, size_t n, const char *name) {
    for (const char *p = headers, *end = headers + n; p < end;) {
        const char *value = p + strlen(p) + 1;
        if (streq(p, name))
            return value;
        p = value + strlen(value) + 1;
    }
    return NULL;
}

static int on_syn_stream(Spdy *spdy, const unsigned char *p, size_t n, unsigned flags) {
    if (n < 10)
        return -EPROTO;
    uint32_t stream = get32(p) & STREAM_MASK;
    _cleanup_buf_ Buf headers = BUF_INIT(SPDY_HEADERS_MAX);
    int r = parse_headers(spdy, p + 10, n - 10, &headers);
    if (r < 0)
        return r;
    if (stream % 2 == 0 || stream <= spdy->last_stream)
        return spdy_send_reset(spdy, stream, SPDY_PROTOCOL_ERROR);
    spdy->last_stream = stream;
    r = send_reply(spdy, stream);
    if (r < 0)
        return r;
    if (spdy->ops->opened(stream, headers.data ? headers.data : "", headers.len, flags & FLAG_FIN, spdy->userdata) < 0)
        return spdy_send_reset(spdy, stream, SPDY_REFUSED_STREAM);
    return 0;
}

static int on_control(Spdy *spdy, const unsigned char *p, size_t n) {
    unsigned version = (spdy->head[0] & 0x7fu) << 8 | spdy->head[1],
             type = (unsigned)spdy->head[2] << 8 | spdy->head[3];
    if (version != SPDY_VERSION)
        return -EPROTO;
    switch (type) {
    case SYN_STREAM:
        return on_syn_stream(spdy, p, n, spdy->head[4]);
    case SYN_REPLY:
    case HEADERS: {
        _cleanup_buf_ Buf ignored = BUF_INIT(SPDY_HEADERS_MAX);
        return n < 4 ? -EPROTO : parse_headers(spdy, p + 4, n - 4, &ignored);
    }
    case RST_STREAM:
        if (n != 8)
            return -EPROTO;
        spdy->ops->reset(get32(p) & STREAM_MASK, spdy->userdata);
        return 0;
    case PING:
        if (n != 4)
            return -EPROTO;
        return get32(p) % 2 ? send_control(spdy, PING, p, 4) : 0; /* odd: the client's own */
    case GOAWAY:
        spdy->ops->goaway(spdy->userdata);
        return 0;
    default:
        return 0; /* SETTINGS, WINDOW_UPDATE, and what is not known is ignored, as the draft says */
    }
}

/* Gives back the windows a piece of data took. */
static int acknowledge(Spdy *spdy, uint32_t stream, size_t n, bool fin) {
    int r = send_window_update(spdy, 0, (uint32_t)n);
    return r < 0 || fin ? r : send_window_update(spdy, stream, (uint32_t)n);
}

static int on_data(Spdy *spdy, const char *p, size_t n, bool last) {
    uint32_t stream = get32(spdy->head) & STREAM_MASK;
    bool fin = last && (spdy->head[4] & FLAG_FIN);
    if (stream == 0)
        return -EPROTO;
    if (n > 0 || fin)
        spdy->ops->data(stream, p, n, fin, spdy->userdata);
    return n > 0 ? acknowledge(spdy, stream, n, fin) : 0;
}

static int frame_started(Spdy *spdy) {
    spdy->left = get32(spdy->head + 4) & 0xffffff;
    buf_clear(&spdy->control);
    bool control = spdy->head[0] & 0x80;
    if (control && spdy->left > SPDY_CONTROL_MAX)
        return -EFBIG;
    if (spdy->left > 0)
        return 0;
    spdy->head_len = 0;
    return control ? on_control(spdy, spdy->head, 0) : on_data(spdy, NULL, 0, true);
}

int spdy_input(Spdy *spdy, const void *input, size_t n) {
    const unsigned char *p = input;
    int r = 0;
    while (n > 0 && r >= 0) {
        if (spdy->head_len < FRAME_HEAD) {
            size_t part = MIN(n, FRAME_HEAD - spdy->head_len);
            memcpy(spdy->head + spdy->head_len, p, part);
            spdy->head_len += part;
            p += part;
            n -= part;
            if (spdy->head_len == FRAME_HEAD)
                r = frame_started(spdy);
            continue;
        }
        size_t part = MIN(n, (size_t)spdy->left);
        spdy->left -= (uint32_t)part;
        bool last = spdy->left == 0;
        if (!(spdy->head[0] & 0x80))
            r = on_data(spdy, (const char *)p, part, last);
        else {
            buf_append(&spdy->control, p, part);
            if (last)
                r = on_control(spdy, (const unsigned char *)spdy->control.data, spdy->control.len);
        }
        if (last)
            spdy->head_len = 0;
        p += part;
        n -= part;
    }
    return r < 0 ? r : 0;
}
