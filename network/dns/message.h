/* DNS messages (RFC 1035, EDNS of RFC 6891): queries are read, replies written. Nothing here allocates; what comes from
 * outside is bounded by its own length and by the limits of the protocol. */
#pragma once

#include "base/mem.h"

#define DNS_HEADER 12
#define DNS_NAME_TEXT 256     /* a name as text, without the last dot, with NUL */
#define DNS_MESSAGE_MAX 65535 /* over TCP */
#define DNS_UDP_PLAIN 512     /* over UDP without EDNS */
#define DNS_UDP_EDNS 1232     /* and with: no fragments on any path (DNS flag day 2020) */
#define DNS_QUESTION_MAX (DNS_NAME_TEXT + 4)

typedef enum DnsType {
    DNS_A = 1,
    DNS_NS = 2,
    DNS_CNAME = 5,
    DNS_SOA = 6,
    DNS_PTR = 12,
    DNS_TXT = 16,
    DNS_AAAA = 28,
    DNS_SRV = 33,
    DNS_OPT = 41,
    DNS_ANY = 255,
} DnsType;
#define DNS_CLASS_IN 1

typedef enum DnsCode {
    DNS_NOERROR = 0,
    DNS_FORMERR = 1,
    DNS_SERVFAIL = 2,
    DNS_NXDOMAIN = 3,
    DNS_NOTIMP = 4,
    DNS_REFUSED = 5,
} DnsCode;

typedef struct DnsQuery {
    uint16_t id;
    bool recursion_desired, checking_disabled;
    unsigned opcode;
    /* Lower case, without the last dot, "" for the root. A byte that no host name has stands as 1, so that it matches
     * nothing. */
    char name[DNS_NAME_TEXT];
    uint16_t type, class;
    bool edns;
    uint16_t udp_size;       /* with EDNS: what the client takes */
    const uint8_t *question; /* borrowed from the message, as it was asked (the case of letters is kept) */
    size_t question_len;
} DnsQuery;

/* -EINVAL: not a query (a response, or shorter than a header): no answer. -EBADMSG: answer FORMERR; id and the flags
 * are set, there is no question. */
int dns_query_parse(const uint8_t *message, size_t n, DnsQuery *ret);

typedef enum DnsSection { DNS_ANSWER, DNS_AUTHORITY, DNS_ADDITIONAL } DnsSection;

typedef struct DnsReply {
    uint8_t *data;
    size_t len, limit; /* limit: without the room kept for OPT */
    uint16_t counts[3];
    bool truncated; /* a record of the answer did not fit */
    const DnsQuery *query;
} DnsReply;

/* `out` takes at least DNS_UDP_PLAIN bytes; the reply grows to `limit` at most. Borrows the query. */
void dns_reply_begin(DnsReply *reply, const DnsQuery *query, uint8_t *out, size_t limit);
/* Records are written whole or not at all; section by section, in order. Names are text. */
void dns_reply_address(DnsReply *reply, DnsSection section, const char *owner, uint32_t ttl, const char *ipv4);
void dns_reply_name(DnsReply *reply, DnsSection section, const char *owner, DnsType type, uint32_t ttl,
                    const char *name);
void dns_reply_srv(DnsReply *reply, const char *owner, uint32_t ttl, uint16_t priority, uint16_t weight, uint16_t port,
                   const char *target);
void dns_reply_text(DnsReply *reply, const char *owner, uint32_t ttl, const char *text); /* at most 255 bytes */
void dns_reply_soa(DnsReply *reply, DnsSection section, const char *owner, uint32_t ttl, const char *server,
                   const char *mailbox, uint32_t serial);
/* Copies the addresses and aliases of another server's answer. -EBADMSG when it is not one. */
int dns_reply_copy(DnsReply *reply, const uint8_t *message, size_t n);
/* The length of the whole message. `authoritative`: of our own zone. */
size_t dns_reply_end(DnsReply *reply, DnsCode code, bool authoritative);

/* A query of our own, for a name as text. Returns its length, 0 when the name is none or `limit` is too small. */
size_t dns_query_write(uint8_t *out, size_t limit, uint16_t id, const char *name, uint16_t type);
/* Is this message a response to a query with this id and question? */
bool dns_response_matches(const uint8_t *message, size_t n, uint16_t id, const uint8_t *question, size_t question_len);
/* The code of a response that matched. */
DnsCode dns_response_code(const uint8_t *message);
