/* What an httpGet probe or hook asks, and what it says of servers of all kinds. */
#include "api/json.h"
#include "base/clock.h"
#include "base/str.h"
#include "kubelet/internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define TEST_TIMEOUT_NS (2 * NS_PER_SEC)
#define REQUEST_SIZE 8192

/* Answers every connection with the same bytes, once it has read a head, or the first bytes of TLS. */
typedef struct Server {
    int fd;
    uint16_t port;
    const char *answer;
    bool hold; /* the connection stays open until the client leaves */
    char request[REQUEST_SIZE];
    pthread_t thread;
} Server;

static bool is_whole(const char *request, size_t n) {
    return (n > 0 && request[0] == 0x16) || strstr(request, "\r\n\r\n");
}

static void *serve(void *userdata) {
    Server *s = userdata;
    for (int fd; (fd = accept(s->fd, NULL, NULL)) >= 0; close(fd)) {
        size_t n = 0;
        ssize_t got = 1;
        s->request[0] = 0;
        while (got > 0 && n < REQUEST_SIZE - 1 && !is_whole(s->request, n)) {
            got = read(fd, s->request + n, REQUEST_SIZE - 1 - n);
            n += got > 0 ? (size_t)got : 0;
            s->request[n] = 0;
        }
        for (size_t done = 0, all = strlen(s->answer); done < all;) {
            ssize_t put = send(fd, s->answer + done, all - done, MSG_NOSIGNAL);
            if (put <= 0)
                break;
            done += (size_t)put;
        }
        char rest[256];
        shutdown(fd, s->hold ? SHUT_RD : SHUT_WR);
        while (!s->hold && read(fd, rest, sizeof rest) > 0)
            ;
        if (s->hold)
            usleep(2500000);
    }
    return NULL;
}

static void server_listen(Server *s) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(s->fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(s->fd, 8), 0);
    assert_int_equal(getsockname(s->fd, (struct sockaddr *)&address, &size), 0);
    s->port = ntohs(address.sin_port);
}

static void server_start(Server *s, const char *answer, bool hold) {
    *s = (Server){.answer = answer, .hold = hold};
    server_listen(s);
    assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
}

static void server_stop(Server *s) {
    shutdown(s->fd, SHUT_RDWR);
    pthread_join(s->thread, NULL);
    close(s->fd);
}

/* NULL when it succeeds. `more`: members of the httpGet beside its port. */
static char *run(Kubelet *k, bool hook, uint16_t port, const char *more, int *ret_r) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    _cleanup_free_ char *json = xasprintf("{\"httpGet\":{\"port\":%u%s}}", port, more);
    static const char names[] = "{\"name\":\"c\",\"metadata\":{\"name\":\"p\",\"namespace\":\"n\",\"uid\":\"u\"}}";
    Value *handler = NULL, *named = NULL;
    char *error = NULL;
    assert_int_equal(json_parse(arena, json, strlen(json), &handler, NULL, NULL), 0);
    assert_int_equal(json_parse(arena, names, strlen(names), &named, NULL, NULL), 0);
    *ret_r = (hook ? hook_run : handler_run)(k, named, named, "c", handler, "127.0.0.1", TEST_TIMEOUT_NS, &error);
    return error;
}

/* %u in `error`: the port. */
static void expect(const char *answer, const char *more, int wanted, const char *error) {
    Kubelet k = {0};
    Server s;
    int r;
    server_start(&s, answer, false);
    _cleanup_free_ char *got = run(&k, false, s.port, more, &r);
    char port[8];
    snprintf(port, sizeof port, "%u", s.port);
    const char *at = error ? strstr(error, "%u") : NULL;
    _cleanup_free_ char *text = at ? xasprintf("%.*s%s%s", (int)(at - error), error, port, at + 2) : xstrdup(error);
    server_stop(&s);
    if (error)
        assert_string_equal(got, text);
    else
        assert_null(got);
    assert_int_equal(r, wanted);
}

static void test_answers(void **state) {
    (void)state;
    expect("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "", 0, NULL);
    expect("HTTP/1.0 200 OK\r\n\r\nuntil the end", "", 0, NULL);
    expect("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", "", -EPROTO, "HTTP probe failed with statuscode: 503");
    expect("", ",\"path\":\"/a\"", -EIO, "Get \"http://127.0.0.1:%u/a\": EOF");
    expect("SSH-2.0-x\r\n\r\n", "", -EIO,
           "Get \"http://127.0.0.1:%u/\": net/http: HTTP/1.x transport connection broken: malformed HTTP response");
    expect("HTTP/1.1 400 Bad\r\n\r\n", ",\"scheme\":\"HTTPS\"", -EIO,
           "Get \"https://127.0.0.1:%u/\": tls: first record does not look like a TLS handshake");
}

/* More than is kept of an answer is no failure. */
static void test_a_long_answer(void **state) {
    (void)state;
    enum { LENGTH = 100000 };
    _cleanup_free_ char *answer = xmalloc(LENGTH + 1);
    int head = snprintf(answer, LENGTH, "HTTP/1.1 200 OK\r\n\r\n");
    memset(answer + head, 'x', (size_t)(LENGTH - head));
    answer[LENGTH] = 0;
    expect(answer, "", 0, NULL);
}

static void expect_request(const char *more, const char *wanted) {
    Kubelet k = {0};
    Server s;
    int r;
    server_start(&s, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", false);
    _cleanup_free_ char *error = run(&k, false, s.port, more, &r);
    server_stop(&s);
    assert_null(error);
    char port[8];
    snprintf(port, sizeof port, "%u", s.port);
    const char *at = strstr(wanted, "%u");
    _cleanup_free_ char *text = at ? xasprintf("%.*s%s%s", (int)(at - wanted), wanted, port, at + 2) : xstrdup(wanted);
    assert_string_equal(s.request, text);
}

static void test_what_is_asked(void **state) {
    (void)state;
    expect_request("", "GET / HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nUser-Agent: kube-probe/1.36\r\nAccept: */*\r\n"
                       "Connection: close\r\n\r\n");
    expect_request(",\"path\":\"a b\\r\\nX: y?q=%41#f\",\"httpHeaders\":[{\"name\":\"Host\",\"value\":\"named\"},"
                   "{\"name\":\"user-agent\",\"value\":\"mine\"},{\"name\":\"accept\",\"value\":\"\"},"
                   "{\"name\":\"X-Empty\",\"value\":\"\"},{\"name\":\"Bad\",\"value\":\"a\\r\\nb: c\"}]",
                   "GET /a%20b%0D%0AX:%20y?q=%41 HTTP/1.1\r\nHost: named\r\nuser-agent: mine\r\nX-Empty: \r\n"
                   "Connection: close\r\n\r\n");
}

/* Redirects. The server answers each path of `routes` (pairs; %u: its port) with that Location, others with 200. */
typedef struct Site {
    int fd;
    uint16_t port;
    const char *const *routes;
    char asked[REQUEST_SIZE]; /* the heads of all requests */
    pthread_t thread;
} Site;

static void *serve_site(void *userdata) {
    Site *s = userdata;
    for (int fd; (fd = accept(s->fd, NULL, NULL)) >= 0; close(fd)) {
        char request[2048] = "", answer[1024] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", path[512] = "";
        size_t n = 0;
        ssize_t got = 1;
        while (got > 0 && n < sizeof request - 1 && !strstr(request, "\r\n\r\n")) {
            got = read(fd, request + n, sizeof request - 1 - n);
            n += got > 0 ? (size_t)got : 0;
            request[n] = 0;
        }
        strncat(s->asked, request, sizeof s->asked - strlen(s->asked) - 1);
        (void)sscanf(request, "GET %511s", path);
        for (const char *const *r = s->routes; *r; r += 2)
            if (streq(r[0], path)) {
                char place[512];
                const char *at = strstr(r[1], "%u");
                snprintf(place, sizeof place, "%.*s", at ? (int)(at - r[1]) : (int)strlen(r[1]), r[1]);
                if (at)
                    snprintf(place + strlen(place), sizeof place - strlen(place), "%u%s", s->port, at + 2);
                snprintf(answer, sizeof answer, "HTTP/1.1 302 Found\r\nLocation: %s\r\nContent-Length: 4\r\n\r\nbody",
                         place);
            }
        (void)send(fd, answer, strlen(answer), MSG_NOSIGNAL);
        shutdown(fd, SHUT_WR);
        while (read(fd, request, sizeof request) > 0)
            ;
    }
    return NULL;
}

static char *walk_site(Site *s, const char *const *routes, bool hook, const char *more, int *ret_r) {
    Kubelet k = {0};
    Server as = {0};
    server_listen(&as);
    *s = (Site){.fd = as.fd, .port = as.port, .routes = routes};
    assert_int_equal(pthread_create(&s->thread, NULL, serve_site, s), 0);
    char *error = run(&k, hook, s->port, more, ret_r);
    shutdown(s->fd, SHUT_RDWR);
    pthread_join(s->thread, NULL);
    close(s->fd);
    return error;
}

static unsigned count_of(const char *text, const char *what) {
    unsigned n = 0;
    for (const char *at = text; (at = strstr(at, what)); at++)
        n++;
    return n;
}

static void test_redirects(void **state) {
    (void)state;
    static const char *const routes[] = {
        "/", "/a/b", "/a/b", "../c?d=1", "/c?d=1", "http://127.0.0.1:%u/e#f", "/broken", "http://[x", NULL};
    Site s;
    int r;
    _cleanup_free_ char *error =
        walk_site(&s, routes, false, ",\"httpHeaders\":[{\"name\":\"Host\",\"value\":\"named\"}]", &r);
    assert_null(error);
    assert_int_equal(r, 0);
    assert_int_equal(count_of(s.asked, "GET "), 4);
    assert_non_null(strstr(s.asked, "GET /c?d=1 HTTP/1.1\r\nHost: named\r\n"));
    _cleanup_free_ char *last = xasprintf("GET /e HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nUser-Agent: kube-probe/1.36\r\n"
                                          "Accept: */*\r\nReferer: http://127.0.0.1:%u/c?d=1\r\n",
                                          s.port, s.port);
    assert_non_null(strstr(s.asked, last));
    _cleanup_free_ char *broken = walk_site(&s, routes, false, ",\"path\":\"/broken\"", &r);
    assert_int_equal(r, -EIO);
    assert_non_null(strstr(broken, "/broken\": failed to parse Location header \"http://[x\""));
}

static void test_redirects_without_end(void **state) {
    (void)state;
    static const char *const routes[] = {"/loop", "/loop", NULL};
    Site s;
    int r;
    _cleanup_free_ char *error = walk_site(&s, routes, false, ",\"path\":\"/loop\"", &r);
    assert_string_equal(error, "Get \"/loop\": stopped after 10 redirects");
    assert_int_equal(r, -EIO);
    assert_int_equal(count_of(s.asked, "GET "), 10);
}

/* A probe goes to no other host: that is odd, and well. A hook goes, without what is secret. */
static void test_redirects_elsewhere(void **state) {
    (void)state;
    static const char *const routes[] = {"/", "http://localhost:%u/there", NULL};
    static const char secret[] = ",\"httpHeaders\":[{\"name\":\"Authorization\",\"value\":\"x\"}]";
    Site s;
    int r;
    _cleanup_free_ char *warning = walk_site(&s, routes, false, secret, &r);
    assert_string_equal(warning, "Probe terminated redirects, Response body: body");
    assert_int_equal(r, HANDLER_WARNED);
    assert_int_equal(count_of(s.asked, "GET "), 1);
    _cleanup_free_ char *none = walk_site(&s, routes, true, secret, &r);
    assert_null(none);
    assert_int_equal(r, 0);
    assert_non_null(strstr(s.asked, "GET /there "));
    assert_int_equal(count_of(s.asked, "Authorization: x"), 1);
}

static void test_no_answer(void **state) {
    (void)state;
    Kubelet k = {0};
    Server s;
    int r;
    server_start(&s, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", true);
    uint64_t start = now_monotonic_ns();
    _cleanup_free_ char *error = run(&k, false, s.port, "", &r);
    assert_true(now_monotonic_ns() - start >= TEST_TIMEOUT_NS);
    server_stop(&s);
    _cleanup_free_ char *late = xasprintf("Get \"http://127.0.0.1:%u/\": context deadline exceeded (Client.Timeout "
                                          "exceeded while awaiting headers)",
                                          s.port);
    assert_string_equal(error, late);
    assert_int_equal(r, -ETIMEDOUT);
    /* nobody listens there any more */
    _cleanup_free_ char *refused = run(&k, false, s.port, "", &r);
    _cleanup_free_ char *text =
        xasprintf("Get \"http://127.0.0.1:%u/\": dial tcp 127.0.0.1:%u: connect: connection refused", s.port, s.port);
    assert_string_equal(refused, text);
}

static void *stop_soon(void *kubelet) {
    nanosleep(&(struct timespec){.tv_nsec = 100 * (long)NS_PER_MS}, NULL);
    ((Kubelet *)kubelet)->stopping = true;
    return NULL;
}

/* An agent that ends does not wait for a probe that is held. */
static void test_cut_short(void **state) {
    (void)state;
    static const char *const schemes[] = {"", ",\"scheme\":\"HTTPS\""};
    for (size_t i = 0; i < ELEMENTSOF(schemes); i++) {
        Kubelet k = {0};
        Server s;
        pthread_t thread;
        int r;
        server_start(&s, "", true);
        assert_int_equal(pthread_create(&thread, NULL, stop_soon, &k), 0);
        uint64_t start = now_monotonic_ns();
        _cleanup_free_ char *error = run(&k, false, s.port, schemes[i], &r);
        assert_true(now_monotonic_ns() - start < TEST_TIMEOUT_NS / 2);
        assert_true(r < 0);
        pthread_join(thread, NULL);
        server_stop(&s);
    }
}

static void test_hooks(void **state) {
    (void)state;
    Kubelet k = {0};
    Server s;
    int r;
    /* Any status will do, and a server that speaks no TLS is asked without. */
    server_start(&s, "HTTP/1.1 500 Broken\r\nContent-Length: 0\r\n\r\n", false);
    _cleanup_free_ char *error = run(&k, true, s.port, ",\"scheme\":\"HTTPS\",\"path\":\"/bye\"", &r);
    server_stop(&s);
    assert_null(error);
    assert_memory_equal(s.request, "GET /bye HTTP/1.1\r\n", 19);
    assert_non_null(strstr(s.request, "User-Agent: kube-lifecycle/1.36\r\n"));
    _cleanup_free_ char *refused = run(&k, true, s.port, ",\"path\":\"/bye\"", &r);
    assert_true(str_has_prefix(refused, "HTTP lifecycle hook (/bye) for Container \"c\" in Pod "));
    assert_non_null(strstr(refused, "connect: connection refused"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_a_long_answer),
        cmocka_unit_test(test_what_is_asked),
        cmocka_unit_test(test_redirects),
        cmocka_unit_test(test_redirects_without_end),
        cmocka_unit_test(test_redirects_elsewhere),
        cmocka_unit_test(test_no_answer),
        cmocka_unit_test(test_cut_short),
        cmocka_unit_test(test_hooks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
