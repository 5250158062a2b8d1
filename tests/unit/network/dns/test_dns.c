/* Messages byte by byte, the cluster's names over Services in memory, and the server over its sockets, with a resolver
 * of the test's own behind it. */
#include "network/dns/server.h"

#include "api/json.h"
#include "base/clock.h"
#include "base/fs.h"

#include "../../support/fake_api.h"

#include <arpa/inet.h>
#include <stdatomic.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define WAIT_NS (10 * NS_PER_SEC)

typedef struct World {
    FakeApi *api;
    Client *client;
    InformerSet *informers;
    ServiceIndex *index;
    DnsZone *zone;
} World;

static void put(World *world, const char *group, const char *plural, const char *ns, const char *json) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    _cleanup_object_ Object *made = NULL;
    Value *v;
    assert_int_equal(json_parse(arena, json, strlen(json), &v, NULL, NULL), 0);
    assert_int_equal(client_create(world->client, resource_find(group, "v1", plural), ns, v, &made, NULL), 0);
}

static void put_service(World *world, const char *name, const char *spec) {
    _cleanup_free_ char *json =
        xasprintf("{\"apiVersion\":\"v1\",\"kind\":\"Service\",\"metadata\":{\"namespace\":\"ns\","
                  "\"name\":\"%s\"},\"spec\":{%s}}",
                  name, spec);
    put(world, "", "services", "ns", json);
}

static void put_slice(World *world, const char *service, const char *endpoints) {
    _cleanup_free_ char *json =
        xasprintf("{\"apiVersion\":\"discovery.k8s.io/"
                  "v1\",\"kind\":\"EndpointSlice\",\"metadata\":{\"namespace\":\"ns\",\"name\":"
                  "\"%s-1\",\"labels\":{\"kubernetes.io/"
                  "service-name\":\"%s\"}},\"addressType\":\"IPv4\",\"ports\":[{\"name\":\"web\","
                  "\"port\":8080,\"protocol\":\"TCP\"}],\"endpoints\":[%s]}",
                  service, service, endpoints);
    put(world, "discovery.k8s.io", "endpointslices", "ns", json);
}

static int set_up(void **state) {
    static World world;
    world.api = fake_api_new(&world.client);
    put_service(&world, "plain", "\"clusterIP\":\"10.96.0.5\",\"ports\":[{\"name\":\"web\",\"port\":80}]");
    put_service(&world, "heads", "\"clusterIP\":\"None\",\"ports\":[{\"name\":\"web\",\"port\":80}]");
    put_service(&world, "outside", "\"type\":\"ExternalName\",\"externalName\":\"www.example.org\"");
    put_service(&world, "inside", "\"type\":\"ExternalName\",\"externalName\":\"Plain.ns.svc.cluster.local.\"");
    put_service(&world, "loop", "\"type\":\"ExternalName\",\"externalName\":\"loop.ns.svc.cluster.local\"");
    put_slice(&world, "heads",
              "{\"addresses\":[\"10.1.0.1\"],\"hostname\":\"zero\",\"conditions\":{\"ready\":true}},"
              "{\"addresses\":[\"10.1.0.2\"],\"conditions\":{\"ready\":true}},"
              "{\"addresses\":[\"10.1.0.3\"],\"conditions\":{\"ready\":false}}");
    world.informers = informer_set_new(world.client);
    world.index = service_index_new(world.informers);
    world.zone = dns_zone_new(world.index, "cluster.local", "10.96.0.10");
    informer_set_start(world.informers);
    if (!informer_set_wait_synced(world.informers, WAIT_NS))
        return -1;
    *state = &world;
    return 0;
}

static int tear_down(void **state) {
    World *world = *state;
    informer_set_stop(world->informers);
    dns_zone_free(world->zone);
    informer_set_free(world->informers);
    service_index_free(world->index);
    client_free(world->client);
    return 0;
}

/* ---- reading replies, apart from the code under test ---- */

static size_t name_at(const uint8_t *m, size_t at, char *out) {
    size_t end = 0, len = 0;
    while (m[at]) {
        if ((m[at] & 0xC0) == 0xC0) {
            end = end ? end : at + 2;
            at = (size_t)(m[at] & 0x3F) << 8 | m[at + 1];
            continue;
        }
        if (len)
            out[len++] = '.';
        memcpy(out + len, m + at + 1, m[at]);
        len += m[at];
        at += 1u + m[at];
    }
    out[len] = 0;
    return end ? end : at + 1;
}

/* "CODE aa|- tc|-" and a line a record, without times to live. */
static char *text_of(const uint8_t *m, size_t n) {
    _cleanup_buf_ Buf out = BUF_INIT(BUF_NO_LIMIT);
    char name[512], target[512];
    size_t at = 12;
    unsigned counts[3] = {(unsigned)m[6] << 8 | m[7], (unsigned)m[8] << 8 | m[9], (unsigned)m[10] << 8 | m[11]};
    buf_printf(&out, "%u %s %s\n", m[3] & 15u, m[2] & 4 ? "aa" : "-", m[2] & 2 ? "tc" : "-");
    if (m[5])
        at = name_at(m, at, name) + 4;
    for (int section = 0; section < 3; section++)
        for (unsigned i = 0; i < counts[section]; i++) {
            at = name_at(m, at, name);
            unsigned type = (unsigned)m[at] << 8 | m[at + 1], len = (unsigned)m[at + 8] << 8 | m[at + 9];
            const uint8_t *d = m + at + 10;
            if (type == DNS_A)
                buf_printf(&out, "%d %s A %u.%u.%u.%u\n", section, name, d[0], d[1], d[2], d[3]);
            else if (type == DNS_SRV) {
                name_at(m, at + 16, target);
                buf_printf(&out, "%d %s SRV %u %u %u %s\n", section, name, d[1], d[3], (unsigned)d[4] << 8 | d[5],
                           target);
            } else if (type == DNS_CNAME || type == DNS_PTR || type == DNS_NS) {
                name_at(m, at + 10, target);
                buf_printf(&out, "%d %s %s %s\n", section, name,
                           type == DNS_CNAME ? "CNAME"
                           : type == DNS_PTR ? "PTR"
                                             : "NS",
                           target);
            } else if (type != DNS_OPT)
                buf_printf(&out, "%d %s %s\n", section, name, type == DNS_SOA ? "SOA" : type == DNS_TXT ? "TXT" : "?");
            at += 10 + len;
            assert_true(at <= n);
        }
    assert_int_equal(at, n);
    return buf_take(&out, NULL);
}

static char *ask_zone(World *world, const char *name, DnsType type, DnsOutcome *ret) {
    uint8_t query[512], out[DNS_MESSAGE_MAX];
    DnsQuery q;
    DnsReply reply;
    DnsCode code = DNS_NOERROR;
    char alias[DNS_NAME_TEXT] = "";
    size_t n = dns_query_write(query, sizeof query, 7, name, (uint16_t)type);
    assert_int_equal(dns_query_parse(query, n, &q), 0);
    dns_reply_begin(&reply, &q, out, sizeof out);
    *ret = dns_zone_answer(world->zone, &q, &reply, &code, alias);
    n = dns_reply_end(&reply, code, true);
    if (*ret == DNS_CHASE)
        assert_string_equal(alias, "www.example.org");
    return text_of(out, n);
}

static void expect(World *world, const char *name, DnsType type, const char *want) {
    DnsOutcome outcome;
    _cleanup_free_ char *got = ask_zone(world, name, type, &outcome);
    assert_int_equal(outcome, DNS_DONE);
    assert_string_equal(got, want);
}

#define NO_NAME "3 aa -\n1 cluster.local SOA\n"
#define NO_DATA "0 aa -\n1 cluster.local SOA\n"

static void services(void **state) {
    World *w = *state;
    expect(w, "plain.ns.svc.cluster.local", DNS_A, "0 aa -\n0 plain.ns.svc.cluster.local A 10.96.0.5\n");
    expect(w, "PLAIN.NS.svc.Cluster.Local", DNS_A, "0 aa -\n0 PLAIN.NS.svc.Cluster.Local A 10.96.0.5\n");
    expect(w, "plain.ns.svc.cluster.local", DNS_AAAA, NO_DATA);
    expect(w, "nobody.ns.svc.cluster.local", DNS_A, NO_NAME);
    expect(w, "plain.other.svc.cluster.local", DNS_A, NO_NAME);
    expect(w, "ns.svc.cluster.local", DNS_A, NO_DATA);
    expect(w, "other.svc.cluster.local", DNS_A, NO_NAME);
    expect(w, "_web._tcp.plain.ns.svc.cluster.local", DNS_SRV,
           "0 aa -\n0 _web._tcp.plain.ns.svc.cluster.local SRV 0 100 80 plain.ns.svc.cluster.local\n"
           "2 plain.ns.svc.cluster.local A 10.96.0.5\n");
    expect(w, "_web._udp.plain.ns.svc.cluster.local", DNS_SRV, NO_NAME);
    expect(w, "_web._tcp.plain.ns.svc.cluster.local", DNS_A, NO_DATA);
    expect(w, "x.plain.ns.svc.cluster.local", DNS_A, NO_NAME);
}

static void headless(void **state) {
    World *w = *state;
    expect(w, "heads.ns.svc.cluster.local", DNS_A,
           "0 aa -\n0 heads.ns.svc.cluster.local A 10.1.0.1\n0 heads.ns.svc.cluster.local A 10.1.0.2\n");
    expect(w, "zero.heads.ns.svc.cluster.local", DNS_A, "0 aa -\n0 zero.heads.ns.svc.cluster.local A 10.1.0.1\n");
    expect(w, "10-1-0-2.heads.ns.svc.cluster.local", DNS_A,
           "0 aa -\n0 10-1-0-2.heads.ns.svc.cluster.local A 10.1.0.2\n");
    expect(w, "10-1-0-3.heads.ns.svc.cluster.local", DNS_A, NO_NAME); /* not ready */
    expect(w, "_web._tcp.heads.ns.svc.cluster.local", DNS_SRV,
           "0 aa -\n0 _web._tcp.heads.ns.svc.cluster.local SRV 0 50 8080 zero.heads.ns.svc.cluster.local\n"
           "0 _web._tcp.heads.ns.svc.cluster.local SRV 0 50 8080 10-1-0-2.heads.ns.svc.cluster.local\n"
           "2 zero.heads.ns.svc.cluster.local A 10.1.0.1\n2 10-1-0-2.heads.ns.svc.cluster.local A 10.1.0.2\n");
}

static void aliases(void **state) {
    World *w = *state;
    DnsOutcome outcome;
    expect(w, "outside.ns.svc.cluster.local", DNS_CNAME,
           "0 aa -\n0 outside.ns.svc.cluster.local CNAME www.example.org\n");
    expect(w, "inside.ns.svc.cluster.local", DNS_A,
           "0 aa -\n0 inside.ns.svc.cluster.local CNAME Plain.ns.svc.cluster.local\n0 plain.ns.svc.cluster.local A "
           "10.96.0.5\n");
    _cleanup_free_ char *chased = ask_zone(w, "outside.ns.svc.cluster.local", DNS_A, &outcome),
                        *loop = ask_zone(w, "loop.ns.svc.cluster.local", DNS_A, &outcome);
    assert_string_equal(chased, "0 aa -\n0 outside.ns.svc.cluster.local CNAME www.example.org\n");
    assert_int_equal(outcome, DNS_DONE); /* it ends */
}

static void reverse_and_pods_and_the_zone(void **state) {
    World *w = *state;
    DnsOutcome outcome;
    expect(w, "5.0.96.10.in-addr.arpa", DNS_PTR, "0 aa -\n0 5.0.96.10.in-addr.arpa PTR plain.ns.svc.cluster.local\n");
    expect(w, "1.0.1.10.in-addr.arpa", DNS_PTR,
           "0 aa -\n0 1.0.1.10.in-addr.arpa PTR zero.heads.ns.svc.cluster.local\n");
    free(ask_zone(w, "3.0.1.10.in-addr.arpa", DNS_PTR, &outcome));
    assert_int_equal(outcome, DNS_FORWARD);
    free(ask_zone(w, "example.org", DNS_A, &outcome));
    assert_int_equal(outcome, DNS_FORWARD);
    free(ask_zone(w, "notcluster.local", DNS_A, &outcome));
    assert_int_equal(outcome, DNS_FORWARD);
    expect(w, "10-1-2-3.ns.pod.cluster.local", DNS_A, "0 aa -\n0 10-1-2-3.ns.pod.cluster.local A 10.1.2.3\n");
    expect(w, "10-1-2.ns.pod.cluster.local", DNS_A, NO_NAME);
    expect(w, "dns-version.cluster.local", DNS_TXT, "0 aa -\n0 dns-version.cluster.local TXT\n");
    expect(w, "cluster.local", DNS_NS,
           "0 aa -\n0 cluster.local NS ns.dns.cluster.local\n2 ns.dns.cluster.local A 10.96.0.10\n");
    expect(w, "cluster.local", DNS_SOA, "0 aa -\n0 cluster.local SOA\n");
}

static void follows_changes(void **state) {
    World *w = *state;
    put_service(w, "late", "\"clusterIP\":\"10.96.0.6\",\"ports\":[{\"port\":80}]");
    uint64_t deadline = now_monotonic_ns() + WAIT_NS;
    DnsOutcome outcome = DNS_FORWARD;
    while (outcome != DNS_DONE && now_monotonic_ns() < deadline)
        free(ask_zone(w, "6.0.96.10.in-addr.arpa", DNS_PTR, &outcome));
    assert_int_equal(outcome, DNS_DONE);
    assert_int_equal(client_delete(w->client, resource_find("", "v1", "services"), "ns", "late", NULL, NULL), 0);
    while (outcome != DNS_FORWARD && now_monotonic_ns() < deadline)
        free(ask_zone(w, "6.0.96.10.in-addr.arpa", DNS_PTR, &outcome));
    assert_int_equal(outcome, DNS_FORWARD);
    expect(w, "late.ns.svc.cluster.local", DNS_A, NO_NAME);
}

/* ---- messages ---- */

static void bad_messages(void **state) {
    (void)state;
    uint8_t m[600] = {0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0};
    DnsQuery q;
    assert_int_equal(dns_query_parse(m, 11, &q), -EINVAL);
    assert_int_equal(dns_query_parse(m, 12, &q), -EBADMSG); /* no question though it says so */
    assert_int_equal(q.id, 7);
    m[12] = 0xC0; /* a question's name is not compressed */
    m[13] = 12;
    assert_int_equal(dns_query_parse(m, 18, &q), -EBADMSG);
    m[12] = 64; /* a label goes to 63 */
    assert_int_equal(dns_query_parse(m, 100, &q), -EBADMSG);
    memset(m + 12, 0, sizeof m - 12);
    for (size_t i = 0; i < 5; i++) { /* 320 bytes: a name goes to 255 */
        m[12 + 64 * i] = 63;
        memset(m + 13 + 64 * i, 'a', 63);
    }
    assert_int_equal(dns_query_parse(m, 400, &q), -EBADMSG);
    m[2] = 0x81; /* a response is not answered */
    assert_int_equal(dns_query_parse(m, 400, &q), -EINVAL);
}

static void a_trap_of_pointers(void **state) {
    (void)state;
    uint8_t query[64], out[512], trap[64] = {0, 7, 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0, 1, 'a', 0, 0, 1, 0, 1, 0xC0, 19};
    DnsQuery q;
    DnsReply reply;
    size_t n = dns_query_write(query, sizeof query, 7, "a", DNS_A);
    assert_int_equal(dns_query_parse(query, n, &q), 0);
    dns_reply_begin(&reply, &q, out, sizeof out);
    assert_int_equal(dns_reply_copy(&reply, trap, sizeof trap), -EBADMSG);
}

static void truncation(void **state) {
    (void)state;
    uint8_t query[64], out[DNS_UDP_PLAIN];
    DnsQuery q;
    DnsReply reply;
    size_t n = dns_query_write(query, sizeof query, 7, "a.b", DNS_A);
    assert_int_equal(dns_query_parse(query, n, &q), 0);
    dns_reply_begin(&reply, &q, out, sizeof out);
    for (int i = 0; i < 100; i++)
        dns_reply_address(&reply, DNS_ANSWER, "a.b", 30, "192.0.2.1");
    n = dns_reply_end(&reply, DNS_NOERROR, true);
    assert_true(n <= sizeof out);
    assert_int_equal(out[2] & 2, 2);
    assert_int_equal(out[7], (DNS_UDP_PLAIN - 12 - 9) / 16); /* as many whole records as fit */
}

/* ---- the server ---- */

static int udp_to(uint16_t port) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval timeout = {.tv_sec = 10};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
    return fd;
}

static char *ask_server(uint16_t port, const char *name, DnsType type) {
    uint8_t m[4096];
    _cleanup_close_ int fd = udp_to(port);
    size_t n = dns_query_write(m, sizeof m, 4711, name, (uint16_t)type);
    assert_int_equal(send(fd, m, n, 0), n);
    ssize_t got = recv(fd, m, sizeof m, 0);
    assert_true(got > 12);
    assert_int_equal(m[0] << 8 | m[1], 4711);
    return text_of(m, (size_t)got);
}

static void over_udp_and_tcp(void **state) {
    World *w = *state;
    DnsServer *server;
    const DnsServerConfig config = {.zone = w->zone, .bind = "127.0.0.1", .resolv_conf = "/nonexistent"};
    assert_int_equal(dns_server_start(&config, &server), 0);
    uint16_t port = dns_server_port(server);
    _cleanup_free_ char *known = ask_server(port, "plain.ns.svc.cluster.local", DNS_A),
                        *unknown = ask_server(port, "example.org", DNS_A);
    assert_string_equal(known, "0 aa -\n0 plain.ns.svc.cluster.local A 10.96.0.5\n");
    assert_string_equal(unknown, "2 - -\n"); /* there is nobody to ask */

    /* Two questions in one write, cut in the middle of the second. */
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval timeout = {.tv_sec = 10};
    uint8_t m[1024], in[1024];
    _cleanup_close_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    size_t n = dns_query_write(m + 2, 500, 1, "plain.ns.svc.cluster.local", DNS_A);
    m[0] = 0;
    m[1] = (uint8_t)n;
    memcpy(m + 2 + n, m, 2 + n);
    assert_int_equal(send(fd, m, n + 20, 0), n + 20);
    assert_int_equal(recv(fd, in, 2, MSG_WAITALL), 2);
    assert_int_equal(recv(fd, in + 2, in[1], MSG_WAITALL), in[1]);
    assert_int_equal(send(fd, m + n + 20, n + 2 + 2 - 20, 0), n + 4 - 20);
    size_t first = 2u + in[1];
    assert_int_equal(recv(fd, in + first, 2, MSG_WAITALL), 2);
    assert_int_equal(in[first + 1], in[1]);
    dns_server_stop(server);
}

typedef struct Upstream {
    int fd;
    uint16_t port;
    atomic_int asked;
} Upstream;

/* Answers every question with 192.0.2.80; a name with "silent" not at all. */
static void *upstream_run(void *userdata) {
    Upstream *u = userdata;
    uint8_t m[4096], out[4096];
    struct sockaddr_in from;
    socklen_t len = sizeof from;
    for (ssize_t n; (n = recvfrom(u->fd, m, sizeof m, 0, (struct sockaddr *)&from, &len)) > 0;) {
        DnsQuery q;
        DnsReply reply;
        atomic_fetch_add(&u->asked, 1);
        if (dns_query_parse(m, (size_t)n, &q) < 0)
            break;
        dns_reply_begin(&reply, &q, out, sizeof out);
        dns_reply_address(&reply, DNS_ANSWER, q.name, 60, "192.0.2.80");
        n = (ssize_t)dns_reply_end(&reply, DNS_NOERROR, false);
        sendto(u->fd, out, (size_t)n, 0, (struct sockaddr *)&from, len);
    }
    return NULL;
}

/* A resolver has port 53: on an address of loopback that is the test's own. */
static void asks_others(void **state) {
    World *w = *state;
    if (geteuid() != 0)
        skip();
    Upstream u = {.fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_port = htons(53),
                             .sin_addr.s_addr = htonl(0x7F4D0001u + (unsigned)getpid() % 65000)};
    char path[] = "/tmp/lighter-resolv-XXXXXX", address[INET_ADDRSTRLEN];
    inet_ntop(AF_INET, &at.sin_addr, address, sizeof address);
    _cleanup_free_ char *text = xasprintf("# nobody is at the first\nnameserver 127.255.0.9\nnameserver %s\n", address);
    assert_int_equal(bind(u.fd, (struct sockaddr *)&at, sizeof at), 0);
    close(mkstemp(path));
    assert_int_equal(fs_write_atomic(path, text, strlen(text), 0600), 0);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, upstream_run, &u), 0);
    DnsServer *server;
    const DnsServerConfig config = {.zone = w->zone, .bind = "127.0.0.1", .resolv_conf = path};
    assert_int_equal(dns_server_start(&config, &server), 0);
    uint16_t port = dns_server_port(server);
    _cleanup_free_ char *plain = ask_server(port, "www.example.net", DNS_A),
                        *alias = ask_server(port, "outside.ns.svc.cluster.local", DNS_A);
    assert_string_equal(plain, "0 - -\n0 www.example.net A 192.0.2.80\n");
    assert_string_equal(
        alias, "0 aa -\n0 outside.ns.svc.cluster.local CNAME www.example.org\n0 www.example.org A 192.0.2.80\n");
    assert_int_equal(atomic_load(&u.asked), 2);
    dns_server_stop(server);
    shutdown(u.fd, SHUT_RDWR);
    _cleanup_close_ int last = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    sendto(last, "", 1, 0, (struct sockaddr *)&at, sizeof at); /* no message: it ends */
    pthread_join(thread, NULL);
    close(u.fd);
    unlink(path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(services),
        cmocka_unit_test(headless),
        cmocka_unit_test(aliases),
        cmocka_unit_test(reverse_and_pods_and_the_zone),
        cmocka_unit_test(follows_changes),
        cmocka_unit_test(bad_messages),
        cmocka_unit_test(a_trap_of_pointers),
        cmocka_unit_test(truncation),
        cmocka_unit_test(over_udp_and_tcp),
        cmocka_unit_test(asks_others),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
