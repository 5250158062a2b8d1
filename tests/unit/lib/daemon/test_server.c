/* Who sees what at a daemon's own port: a server with a certificate of its own making, and an API server that answers
 * reviews from a table and counts what it is asked. The answers are kube-scheduler's. */
#include "../../support/fake_api.h"
#include "../../support/pki_fixture.h"

#include "base/clock.h"
#include "base/str.h"
#include "daemon/server.h"
#include "http/client.h"
#include "loop/thread.h"

#include <errno.h>
#include <stdatomic.h>
#include <unistd.h>

#define WAIT_NS (30 * NS_PER_SEC)

typedef struct ReviewApi {
    ClientTransport base;
    atomic_int tokens, accesses;
    atomic_bool fails;
} ReviewApi;

/* The token "good" is ann's, "root" an administrator's; ann may get /metrics. */
static int review(ClientTransport *transport, const ApiRequest *request, _unused_ Object **ret_object,
                  Value **ret_value, ApiError *err) {
    ReviewApi *api = CONTAINER_OF(transport, ReviewApi, base);
    Arena *arena = request->arena;
    Value *answer = value_object(arena), *status = value_ensure_object(arena, answer, "status");
    const Value *spec = value_get(request->body, "spec");
    if (api->fails)
        return api_error_set(err, 500, "InternalError", "it is ill");
    if (streq(request->resource->plural, "tokenreviews")) {
        const char *token = value_get_str(spec, "token");
        bool root = streq(token, "root");
        api->tokens++;
        value_set_bool(arena, status, "authenticated", root || streq(token, "good"));
        Value *user = value_ensure_object(arena, status, "user"), *groups = value_array(arena);
        value_set_str(arena, user, "username", root ? "root" : "ann");
        value_append(arena, groups, value_string(arena, root ? "system:masters" : "people"));
        value_set(arena, user, "groups", groups);
    } else {
        const Value *attributes = value_get(spec, "nonResourceAttributes");
        bool ann = streq(value_get_str(spec, "user"), "ann");
        api->accesses++;
        value_set_bool(arena, status, "allowed",
                       ann && streq(value_get_str(attributes, "path"), "/metrics") &&
                           streq(value_get_str(attributes, "verb"), "get"));
        value_set_str(arena, status, "reason", ann ? "no role of ann's" : "");
    }
    *ret_value = answer;
    return 0;
}

static void review_free(_unused_ ClientTransport *transport) {}

static void write_page(Buf *out, void *userdata) {
    buf_puts(out, userdata);
}

static const DaemonPage pages[] = {{"/metrics", DAEMON_METRICS_TYPE, true, write_page}};

typedef struct Fixture {
    PkiFixture pki;
    LoopThread *thread; /* of those who ask */
    ReviewApi api;
    Client *client;
    Checks *checks;
    DaemonServing serving;
    DaemonServerConfig config;
    DaemonServer *server;
} Fixture;

/* Port 0 means "none" here: a free one is looked for. */
static void start(Fixture *f) {
    int r = -EADDRINUSE;
    for (int64_t port = 20000 + getpid() % 20000; r == -EADDRINUSE; port++) {
        f->serving.port = port;
        r = daemon_server_start(&f->config, &f->server);
    }
    assert_int_equal(r, 0);
}

static int setup(void **state) {
    Fixture *f = NEW0(Fixture);
    pki_fixture_make(&f->pki);
    assert_int_equal(loop_thread_new("ask", 256 * 1024, &f->thread), 0);
    f->api = (ReviewApi){.base = {.execute = review, .free = review_free}};
    f->client = client_new(&f->api.base, "test");
    f->checks = checks_new(&(ChecksConfig){.component = "test", .roots = CHECK_EVERYWHERE});
    f->serving = (DaemonServing){.bind = "127.0.0.1", .client_ca_file = f->pki.ca_cert};
    f->config = (DaemonServerConfig){.component = "test",
                                     .serving = &f->serving,
                                     .authentication = f->client,
                                     .authorization = f->client,
                                     .checks = f->checks,
                                     .pages = pages,
                                     .n_pages = ELEMENTSOF(pages),
                                     .userdata = (char *)"figures\n"};
    *state = f;
    return 0;
}

static int teardown(void **state) {
    Fixture *f = *state;
    daemon_server_stop(f->server);
    checks_free(f->checks);
    client_free(f->client);
    loop_thread_free(f->thread);
    pki_fixture_remove(&f->pki);
    free(f);
    return 0;
}

typedef struct Ask {
    const char *method, *path, *token;
    bool certificate;
} Ask;

static int get(Fixture *f, const Ask *ask, Buf *out) {
    _cleanup_http_answer_ HttpAnswer answer = {0};
    _cleanup_free_ char *bearer = xasprintf("Bearer %s", str_or(ask->token, ""));
    HttpClient *client;
    const HttpHeader headers[] = {{"authorization", bearer}};
    const HttpClientConfig config = {.to = {.host = "127.0.0.1",
                                            .port = daemon_server_port(f->server),
                                            .tls = true,
                                            .cert_file = ask->certificate ? f->pki.cert : NULL,
                                            .key_file = ask->certificate ? f->pki.key : NULL,
                                            .timeout_ns = WAIT_NS}};
    const HttpCall call = {
        .method = str_or(ask->method, "GET"), .target = ask->path, .headers = headers, .n_headers = ask->token ? 1 : 0};
    assert_int_equal(http_client_new(loop_thread_loop(f->thread), &config, &client, NULL), 0);
    assert_int_equal(http_client_call(client, &call, out->limit, WAIT_NS, &answer, NULL), 0);
    http_client_free(client);
    buf_append(out, answer.body.data, answer.body.len);
    return answer.status;
}

static void expect(Fixture *f, Ask ask, int status, const char *part) {
    _cleanup_buf_ Buf out = BUF_INIT(65536);
    int got = get(f, &ask, &out);
    if (got != status || !strstr(str_or(out.data, ""), part))
        fail_msg("%s: %d, %s", ask.path, got, str_or(out.data, ""));
}

/* For people: how it was started, and what else there is to see. */
static void test_zpages(void **state) {
    Fixture *f = *state;
    const char *color = "green";
    const Flag flags[] = {{"color", FLAG_STRING, &color, "NAME", ""}};
    f->config.flags = flags;
    f->config.n_flags = ELEMENTSOF(flags);
    start(f);
    expect(f, (Ask){.path = "/flagz"}, 403, "cannot get path");
    expect(f, (Ask){.path = "/flagz", .token = "root"}, 200, "\ntest flagz\nWarning: ");
    expect(f, (Ask){.path = "/flagz", .token = "root"}, 200, "\ncolor");
    expect(f, (Ask){.path = "/statusz", .token = "root"}, 200, " /flagz /healthz /livez /metrics /readyz\n");
}

#define FORBIDDEN(user, verb, path)                                                                                    \
    "\"message\":\"forbidden: User \\\"" user "\\\" cannot " verb " path \\\"" path "\\\""

static void test_who_shows_nothing(void **state) {
    Fixture *f = *state;
    start(f);
    expect(f, (Ask){.path = "/healthz"}, 200, "ok");
    expect(f, (Ask){.path = "/livez?verbose"}, 200, "[+]ping ok\n");
    expect(f, (Ask){.path = "/readyz", .method = "POST"}, 200, "ok");
    assert_int_equal(f->api.accesses, 0); /* always allowed: nobody is asked */
    expect(f, (Ask){.path = "/metrics"}, 403, FORBIDDEN("system:anonymous", "get", "/metrics") "\",");
    expect(f, (Ask){.path = "/healthz/ping"}, 403, FORBIDDEN("system:anonymous", "get", "/healthz/ping") "\",");
    expect(f, (Ask){.path = "/metrics", .method = "DELETE"}, 403, FORBIDDEN("system:anonymous", "delete", "/metrics"));
    expect(f, (Ask){.path = "/none"}, 403, "\"reason\":\"Forbidden\",\"details\":{},\"code\":403");
}

static void test_tokens(void **state) {
    Fixture *f = *state;
    start(f);
    expect(f, (Ask){.path = "/healthz", .token = "bad"}, 401,
           "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},\"status\":\"Failure\",\"message\":"
           "\"Unauthorized\",\"reason\":\"Unauthorized\",\"code\":401}\n");
    expect(f, (Ask){.path = "/metrics", .token = "good"}, 200, "figures\n");
    expect(f, (Ask){.path = "/metrics", .token = "good"}, 200, "figures\n");
    assert_int_equal(f->api.tokens, 2);
    assert_int_equal(f->api.accesses, 1);
    expect(f, (Ask){.path = "/none", .token = "good"}, 403, FORBIDDEN("ann", "get", "/none") ": no role of ann's\"");
    expect(f, (Ask){.path = "/none", .token = "root"}, 404, "404 page not found\n");
    expect(f, (Ask){.path = "/metrics/slis", .token = "root"}, 200, "kubernetes_healthcheck");
    assert_int_equal(f->api.accesses, 2); /* nobody was asked about root */
}

static void test_certificates(void **state) {
    Fixture *f = *state;
    start(f);
    expect(f, (Ask){.path = "/metrics", .certificate = true}, 403, FORBIDDEN("both", "get", "/metrics"));
}

static void test_an_api_server_that_is_ill(void **state) {
    Fixture *f = *state;
    start(f);
    f->api.fails = true;
    expect(f, (Ask){.path = "/healthz"}, 200, "ok");
    expect(f, (Ask){.path = "/metrics", .token = "good"}, 401, "Unauthorized");
    expect(f, (Ask){.path = "/metrics"}, 500, "Internal Server Error: \"/metrics\": it is ill\n");
}

/* Without kubeconfigs tokens mean nothing, and only what is always allowed is. */
static void test_nobody_to_ask(void **state) {
    Fixture *f = *state;
    f->config.authentication = f->config.authorization = NULL;
    f->serving.always_allow = (FlagList){.items = {"/none,/metrics*"}, .n = 1};
    start(f);
    expect(f, (Ask){.path = "/healthz", .token = "good"}, 403, FORBIDDEN("system:anonymous", "get", "/healthz"));
    expect(f, (Ask){.path = "/metrics"}, 200, "figures\n");
    expect(f, (Ask){.path = "/metrics/slis"}, 200, "kubernetes_healthcheck");
    assert_int_equal(f->api.tokens + f->api.accesses, 0);
}

/* Whom the API server trusts is read from where it says so. */
static void test_trust_is_followed(void **state) {
    Fixture *f = *state;
    Client *client;
    _cleanup_free_ char *pem = NULL;
    _cleanup_buf_ Buf json = BUF_INIT(65536);
    fake_api_new(&client);
    assert_int_equal(fs_read_file(f->pki.ca_cert, 65536, &pem, NULL), 0);
    _cleanup_arena_ Arena *arena = arena_new(0);
    Value *map = value_object(arena), *meta = value_ensure_object(arena, map, "metadata");
    value_set_str(arena, meta, "name", "extension-apiserver-authentication");
    value_set_str(arena, meta, "namespace", "kube-system");
    value_set_str(arena, value_ensure_object(arena, map, "data"), "client-ca-file", pem);
    value_write_json(&json, map);
    f->serving.client_ca_file = NULL;
    f->config.authentication = client;
    start(f);
    expect(f, (Ask){.path = "/metrics", .certificate = true}, 403, FORBIDDEN("system:anonymous", "get", "/metrics"));
    object_unref(fake_put_json(client, "", "configmaps", "kube-system", json.data));
    uint64_t deadline = now_monotonic_ns() + WAIT_NS;
    for (bool known = false; !known; nanosleep(&(struct timespec){.tv_nsec = (long)NS_PER_MS}, NULL)) {
        _cleanup_buf_ Buf out = BUF_INIT(65536);
        assert_int_equal(get(f, &(Ask){.path = "/metrics", .certificate = true}, &out), 403);
        known = strstr(out.data, FORBIDDEN("both", "get", "/metrics")) != NULL;
        assert_true(now_monotonic_ns() < deadline);
    }
    daemon_server_stop(TAKE_PTR(f->server));
    client_free(client);
}

static void test_ports(void **state) {
    Fixture *f = *state;
    DaemonServer *other = NULL;
    start(f);
    int64_t taken = f->serving.port;
    assert_int_equal(daemon_server_start(&f->config, &other), -EADDRINUSE); /* it was asked for */
    f->serving.port = -1;
    f->config.default_port = (uint16_t)taken;
    assert_int_equal(daemon_server_start(&f->config, &other), 0); /* it was not: others may have it */
    assert_null(other);
    f->serving.port = 0;
    assert_int_equal(daemon_server_start(&f->config, &other), 0);
    assert_null(other);
    f->serving.port = 65536;
    assert_int_equal(daemon_server_start(&f->config, &other), -EINVAL);
    f->serving.port = taken;
    f->serving.cert_file = f->pki.cert;
    assert_int_equal(daemon_server_start(&f->config, &other), -EINVAL); /* and no key */
}

static void test_paths(_unused_ void **state) {
    const FlagList none = {0}, some = {.items = {"/a,/b/*", "/c"}, .n = 2}, all = {.items = {"*"}, .n = 1};
    assert_true(daemon_path_allowed(&none, "/healthz") && daemon_path_allowed(&none, "/readyz"));
    assert_false(daemon_path_allowed(&none, "/healthz/"));
    assert_false(daemon_path_allowed(&none, "/health"));
    assert_true(daemon_path_allowed(&some, "/a") && daemon_path_allowed(&some, "/b/x") &&
                daemon_path_allowed(&some, "/b/") && daemon_path_allowed(&some, "/c"));
    assert_false(daemon_path_allowed(&some, "/b"));
    assert_false(daemon_path_allowed(&some, "/healthz"));
    assert_true(daemon_path_allowed(&all, "/x"));
}

int main(void) {
#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_who_shows_nothing),         TEST(test_tokens),        TEST(test_certificates),      TEST(test_zpages),
        TEST(test_an_api_server_that_is_ill), TEST(test_nobody_to_ask), TEST(test_trust_is_followed), TEST(test_ports),
        cmocka_unit_test(test_paths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
