/* A message as a client's query, whose reply has to be one, and as another server's answer. */
#include "network/dns/message.h"

#define OWNER "name.of.ours"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void reply_to(const DnsQuery *query, const uint8_t *data, size_t size, size_t limit) {
    static uint8_t out[DNS_MESSAGE_MAX];
    DnsReply reply;
    dns_reply_begin(&reply, query, out, limit);
    dns_reply_address(&reply, DNS_ANSWER, query->name, 30, "192.0.2.1");
    dns_reply_srv(&reply, OWNER, 30, 0, 100, 80, query->name);
    (void)dns_reply_copy(&reply, data, size);
    dns_reply_soa(&reply, DNS_AUTHORITY, OWNER, 5, OWNER, query->name, 1);
    size_t n = dns_reply_end(&reply, DNS_NOERROR, true);
    if (n > limit || !dns_response_matches(out, n, query->id, query->question, query->question_len))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    DnsQuery query;
    uint8_t again[DNS_HEADER + DNS_QUESTION_MAX];
    if (size > DNS_MESSAGE_MAX)
        return 0;
    int r = dns_query_parse(data, size, &query);
    if (r == 0) {
        if (strlen(query.name) >= DNS_NAME_TEXT || query.question_len > DNS_QUESTION_MAX)
            abort();
        reply_to(&query, data, size, DNS_UDP_PLAIN);
        reply_to(&query, data, size, DNS_MESSAGE_MAX);
    }
    size_t n = dns_query_write(again, sizeof again, 7, OWNER, DNS_A);
    if (dns_query_parse(again, n, &query) < 0)
        abort();
    reply_to(&query, data, size, DNS_UDP_EDNS);
    return 0;
}
