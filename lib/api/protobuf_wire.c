#include "api/protobuf.h"

void wire_put_varint(Buf *out, uint64_t value) {
    uint8_t bytes[10];
    size_t n = 0;
    do {
        bytes[n++] = (uint8_t)((value & 0x7f) | (value > 0x7f ? 0x80 : 0));
        value >>= 7;
    } while (value);
    buf_append(out, bytes, n);
}

void wire_put_key(Buf *out, uint64_t number, WireType type) {
    wire_put_varint(out, number << 3 | (uint64_t)type);
}

void wire_put_bytes(Buf *out, uint64_t number, const void *data, size_t n) {
    wire_put_key(out, number, WIRE_BYTES);
    wire_put_varint(out, n);
    buf_append(out, data, n);
}

void wire_put_number(Buf *out, uint64_t number, uint64_t value) {
    wire_put_key(out, number, WIRE_VARINT);
    wire_put_varint(out, value);
}

void wire_put_double(Buf *out, uint64_t number, double value) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof(bits));
    wire_put_key(out, number, WIRE_FIXED64);
    for (int i = 0; i < 8; i++)
        buf_putc(out, (char)(bits >> (8 * i)));
}

/* The length of a message is known when it is written, so one byte is kept free for it, and a longer one makes room. */
size_t wire_begin(Buf *out, uint64_t number) {
    wire_put_key(out, number, WIRE_BYTES);
    buf_putc(out, 0);
    return out->len;
}

void wire_end(Buf *out, size_t start) {
    if (out->failed)
        return;
    size_t n = out->len - start, extra = 0;
    for (uint64_t rest = n >> 7; rest; rest >>= 7)
        extra++;
    if (extra) {
        if (!buf_reserve(out, extra))
            return;
        memmove(out->data + start + extra, out->data + start, n + 1);
        out->len += extra;
    }
    uint8_t *p = (uint8_t *)out->data + start - 1;
    for (; extra; extra--, n >>= 7)
        *p++ = (uint8_t)((n & 0x7f) | 0x80);
    *p = (uint8_t)n;
}
