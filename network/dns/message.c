#include "network/dns/message.h"

#include <arpa/inet.h>
#include <errno.h>

#define NAME_MAX_OCTETS 255 /* as sent, with lengths and the root (RFC 1035, 2.3.4) */
#define LABEL_MAX 63
#define POINTERS_MAX 32 /* a name of more jumps is a trap */
#define OPT_LEN 11

#define FLAG_QR 0x8000
#define FLAG_AA 0x0400
#define FLAG_TC 0x0200
#define FLAG_RD 0x0100
#define FLAG_RA 0x0080
#define FLAG_CD 0x0010

static uint16_t read16(const uint8_t *p) {
    return (uint16_t)(p[0] << 8 | p[1]);
}

static void write16(uint8_t *p, uint16_t v) {
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

static void write32(uint8_t *p, uint32_t v) {
    write16(p, (uint16_t)(v >> 16));
    write16(p + 2, (uint16_t)v);
}

/* ---- reading ---- */

static char text_byte(uint8_t c) {
    if (c >= 'A' && c <= 'Z')
        return (char)(c | 0x20);
    return c > ' ' && c < 127 && c != '.' ? (char)c : 1;
}

/* Reads the name at *at, which moves behind it; compressed names only where `pointers` allows. */
static int read_name(const uint8_t *message, size_t n, size_t *at, bool pointers, char out[DNS_NAME_TEXT]) {
    size_t pos = *at, len = 0, jumps = 0;
    bool jumped = false;
    while (pos < n && message[pos]) {
        uint8_t label = message[pos];
        if ((label & 0xC0) == 0xC0) {
            if (!pointers || pos + 2 > n || ++jumps > POINTERS_MAX)
                return -EBADMSG;
            if (!jumped)
                *at = pos + 2;
            jumped = true;
            pos = read16(message + pos) & 0x3FFF;
            continue;
        }
        if (label > LABEL_MAX || pos + 1 + label > n || len + (len > 0) + label + 2 > NAME_MAX_OCTETS)
            return -EBADMSG;
        if (len)
            out[len++] = '.';
        for (uint8_t i = 0; i < label; i++)
            out[len++] = text_byte(message[pos + 1 + i]);
        pos += 1u + label;
    }
    if (pos >= n)
        return -EBADMSG;
    if (!jumped)
        *at = pos + 1;
    out[len] = 0;
    return 0;
}

typedef struct Record {
    char owner[DNS_NAME_TEXT];
    uint16_t type, class, len;
    uint32_t ttl;
    size_t data; /* where its data begins */
} Record;

static int read_record(const uint8_t *message, size_t n, size_t *at, Record *ret) {
    int r = read_name(message, n, at, true, ret->owner);
    if (r < 0 || n - *at < 10)
        return -EBADMSG;
    const uint8_t *p = message + *at;
    ret->type = read16(p);
    ret->class = read16(p + 2);
    ret->ttl = (uint32_t)read16(p + 4) << 16 | read16(p + 6);
    ret->len = read16(p + 8);
    ret->data = *at + 10;
    if (n - ret->data < ret->len)
        return -EBADMSG;
    *at = ret->data + ret->len;
    return 0;
}

static int read_edns(const uint8_t *message, size_t n, size_t at, DnsQuery *ret) {
    unsigned records = read16(message + 6) + read16(message + 8) + read16(message + 10);
    for (unsigned i = 0; i < records; i++) {
        Record record;
        if (read_record(message, n, &at, &record) < 0)
            return -EBADMSG;
        if (record.type != DNS_OPT)
            continue;
        if (ret->edns)
            return -EBADMSG; /* one at most */
        ret->edns = true;
        ret->udp_size = record.class;
    }
    return 0;
}

int dns_query_parse(const uint8_t *message, size_t n, DnsQuery *ret) {
    *ret = (DnsQuery){0};
    if (n < DNS_HEADER || read16(message + 2) & FLAG_QR)
        return -EINVAL;
    uint16_t flags = read16(message + 2);
    DnsQuery query = {.id = read16(message),
                      .recursion_desired = flags & FLAG_RD,
                      .checking_disabled = flags & FLAG_CD,
                      .opcode = flags >> 11 & 15};
    size_t at = DNS_HEADER;
    *ret = query;
    if (read16(message + 4) != 1 || read_name(message, n, &at, false, query.name) < 0 || n - at < 4)
        return -EBADMSG;
    query.type = read16(message + at);
    query.class = read16(message + at + 2);
    query.question = message + DNS_HEADER;
    query.question_len = at + 4 - DNS_HEADER;
    if (read_edns(message, n, at + 4, &query) < 0)
        return -EBADMSG;
    *ret = query;
    return 0;
}

bool dns_response_matches(const uint8_t *message, size_t n, uint16_t id, const uint8_t *question, size_t question_len) {
    return n >= DNS_HEADER + question_len && read16(message) == id && read16(message + 2) & FLAG_QR &&
           read16(message + 4) == 1 && memcmp(message + DNS_HEADER, question, question_len) == 0;
}

DnsCode dns_response_code(const uint8_t *message) {
    return message[3] & 15;
}

/* ---- writing ---- */

/* The name on the wire; 0 when it is none. */
static size_t write_name(uint8_t out[DNS_NAME_TEXT], const char *name) {
    size_t len = 0;
    while (*name) {
        size_t label = strcspn(name, ".");
        if (!label || label > LABEL_MAX || len + label + 2 > DNS_NAME_TEXT - 1)
            return 0;
        out[len++] = (uint8_t)label;
        memcpy(out + len, name, label);
        len += label;
        name += label + (name[label] == '.');
    }
    out[len++] = 0;
    return len;
}

void dns_reply_begin(DnsReply *reply, const DnsQuery *query, uint8_t *out, size_t limit) {
    *reply = (DnsReply){.data = out, .limit = limit - (query->edns ? OPT_LEN : 0), .query = query};
    memset(out, 0, DNS_HEADER);
    if (query->question_len)
        memcpy(out + DNS_HEADER, query->question, query->question_len);
    reply->len = DNS_HEADER + query->question_len;
}

/* The question's own name is named by a pointer to it. */
static size_t write_owner(const DnsReply *reply, const char *owner, uint8_t out[DNS_NAME_TEXT]) {
    if (reply->query->question_len && strcmp(owner, reply->query->name) == 0) {
        write16(out, 0xC000 | DNS_HEADER);
        return 2;
    }
    return write_name(out, owner);
}

static void add_record(DnsReply *reply, DnsSection section, const char *owner, DnsType type, uint32_t ttl,
                       const uint8_t *data, size_t n) {
    uint8_t name[DNS_NAME_TEXT];
    size_t owner_len = write_owner(reply, owner, name);
    if (!owner_len || n > UINT16_MAX)
        return;
    if (reply->truncated || owner_len + 10 + n > reply->limit - reply->len || reply->counts[section] == UINT16_MAX) {
        reply->truncated = reply->truncated || section == DNS_ANSWER;
        return;
    }
    uint8_t *p = reply->data + reply->len;
    memcpy(p, name, owner_len);
    p += owner_len;
    write16(p, (uint16_t)type);
    write16(p + 2, DNS_CLASS_IN);
    write32(p + 4, ttl);
    write16(p + 8, (uint16_t)n);
    if (n)
        memcpy(p + 10, data, n);
    reply->len += owner_len + 10 + n;
    reply->counts[section]++;
}

void dns_reply_address(DnsReply *reply, DnsSection section, const char *owner, uint32_t ttl, const char *ipv4) {
    struct in_addr address;
    if (inet_pton(AF_INET, ipv4, &address) == 1)
        add_record(reply, section, owner, DNS_A, ttl, (const uint8_t *)&address, sizeof address);
}

void dns_reply_name(DnsReply *reply, DnsSection section, const char *owner, DnsType type, uint32_t ttl,
                    const char *name) {
    uint8_t data[DNS_NAME_TEXT];
    size_t n = write_name(data, name);
    if (n)
        add_record(reply, section, owner, type, ttl, data, n);
}

void dns_reply_srv(DnsReply *reply, const char *owner, uint32_t ttl, uint16_t priority, uint16_t weight, uint16_t port,
                   const char *target) {
    uint8_t data[6 + DNS_NAME_TEXT];
    size_t n = write_name(data + 6, target);
    write16(data, priority);
    write16(data + 2, weight);
    write16(data + 4, port);
    if (n)
        add_record(reply, DNS_ANSWER, owner, DNS_SRV, ttl, data, 6 + n);
}

void dns_reply_text(DnsReply *reply, const char *owner, uint32_t ttl, const char *text) {
    uint8_t data[256];
    size_t n = MIN(strlen(text), (size_t)255);
    data[0] = (uint8_t)n;
    memcpy(data + 1, text, n);
    add_record(reply, DNS_ANSWER, owner, DNS_TXT, ttl, data, 1 + n);
}

void dns_reply_soa(DnsReply *reply, DnsSection section, const char *owner, uint32_t ttl, const char *server,
                   const char *mailbox, uint32_t serial) {
    uint8_t data[2 * DNS_NAME_TEXT + 20];
    const uint32_t numbers[] = {serial, 7200, 1800, 86400, ttl}; /* refresh, retry, expire, negative answers */
    size_t a = write_name(data, server), b = a ? write_name(data + a, mailbox) : 0;
    if (!b)
        return;
    for (size_t i = 0; i < ELEMENTSOF(numbers); i++)
        write32(data + a + b + 4 * i, numbers[i]);
    add_record(reply, section, owner, DNS_SOA, ttl, data, a + b + 4 * ELEMENTSOF(numbers));
}

int dns_reply_copy(DnsReply *reply, const uint8_t *message, size_t n) {
    char name[DNS_NAME_TEXT];
    size_t at = DNS_HEADER;
    if (n < DNS_HEADER || read16(message + 4) != 1 || read_name(message, n, &at, false, name) < 0 || n - at < 4)
        return -EBADMSG;
    at += 4;
    for (unsigned left = read16(message + 6); left; left--) {
        Record record;
        if (read_record(message, n, &at, &record) < 0)
            return -EBADMSG;
        if (record.class != DNS_CLASS_IN)
            continue;
        size_t data = record.data;
        if ((record.type == DNS_A && record.len == 4) || (record.type == DNS_AAAA && record.len == 16))
            add_record(reply, DNS_ANSWER, record.owner, record.type, record.ttl, message + data, record.len);
        else if (record.type == DNS_CNAME && read_name(message, n, &data, true, name) == 0)
            dns_reply_name(reply, DNS_ANSWER, record.owner, DNS_CNAME, record.ttl, name);
    }
    return 0;
}

size_t dns_reply_end(DnsReply *reply, DnsCode code, bool authoritative) {
    const DnsQuery *query = reply->query;
    uint8_t *p = reply->data;
    uint16_t flags = (uint16_t)(FLAG_QR | FLAG_RA | query->opcode << 11 | (authoritative ? FLAG_AA : 0) |
                                (reply->truncated ? FLAG_TC : 0) | (query->recursion_desired ? FLAG_RD : 0) |
                                (query->checking_disabled ? FLAG_CD : 0) | (uint16_t)code);
    write16(p, query->id);
    write16(p + 2, flags);
    write16(p + 4, query->question_len ? 1 : 0);
    if (query->edns) { /* room for it was kept */
        uint8_t *opt = p + reply->len;
        memset(opt, 0, OPT_LEN);
        write16(opt + 1, DNS_OPT);
        write16(opt + 3, DNS_UDP_EDNS);
        reply->len += OPT_LEN;
        reply->counts[DNS_ADDITIONAL]++;
    }
    for (size_t i = 0; i < ELEMENTSOF(reply->counts); i++)
        write16(p + 6 + 2 * i, reply->counts[i]);
    return reply->len;
}

size_t dns_query_write(uint8_t *out, size_t limit, uint16_t id, const char *name, uint16_t type) {
    uint8_t wire[DNS_NAME_TEXT];
    size_t n = write_name(wire, name);
    if (!n || limit < DNS_HEADER + n + 4)
        return 0;
    memset(out, 0, DNS_HEADER);
    write16(out, id);
    write16(out + 2, FLAG_RD);
    write16(out + 4, 1);
    memcpy(out + DNS_HEADER, wire, n);
    write16(out + DNS_HEADER + n, type);
    write16(out + DNS_HEADER + n + 2, DNS_CLASS_IN);
    return DNS_HEADER + n + 4;
}
