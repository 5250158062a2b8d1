/* Who gets into the kubelet's server: a server of the test's own, and an API server that answers reviews from a table
 * and counts what it is asked. */
#include "kubelet/server_auth.h"

#include "base/fs.h"
#include "http/fetch.h"
#include "http/pki.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

typedef struct ReviewApi {
    ClientTransport base;
    atomic_int tokens, accesses;
    atomic_bool fails;
    char subresource[32]; /* that is allowed */
    char asked[256];      /* the subresources asked for, in order */
} ReviewApi;

static int review(ClientTransport *transport, const ApiRequest *request, Object **ret_object, Value **ret_value,
                  ApiError *err) {
    (void)ret_object;
    ReviewApi *api = (ReviewApi *)transport;
    Value *answer = value_object(request->arena), *status = value_object(request->arena);
    const Value *spec = value_get(request->body, "spec");
    if (api->fails)
        return api_error_set(err, 500, "InternalError", "no");
    if (streq(request->resource->plural, "tokenreviews")) {
        api->tokens++;
        bool good = streq_null(value_get_str(spec, "token"), "good");
        value_set_bool(request->arena, status, "authenticated", good);
        if (good)
            value_set_str(request->arena, value_ensure_object(request->arena, status, "user"), "username", "ann");
    } else {
        const Value *attributes = value_get(spec, "resourceAttributes");
        const char *subresource = value_get_str(attributes, "subresource");
        api->accesses++;
        assert_string_equal(value_get_str(attributes, "resource"), "nodes");
        assert_string_equal(value_get_str(attributes, "name"), "node-1");
        strcat(strcat(api->asked, subresource), ",");
        value_set_bool(request->arena, status, "allowed",
                       streq(subresource, api->subresource) && streq_null(value_get_str(attributes, "verb"), "get"));
    }
    value_set(request->arena, answer, "status", status);
    *ret_value = answer;
    return 0;
}

static void review_free(ClientTransport *transport) {
    (void)transport;
}

typedef struct Fixture {
    char dir[64], ca_cert[96], ca_key[96], cert[96], key[96], user_cert[96], user_key[96], admin_cert[96],
        admin_key[96];
    ReviewApi api;
    Kubelet k;
} Fixture;

static void make_cert(const PkiCa *ca, const char *cert, const char *key, const char *name, const char *group,
                      bool server) {
    const PkiCertSpec spec = {.common_name = name,
                              .organizations = group ? (const char *const[]){group, NULL} : NULL,
                              .ip_addresses = (const char *const[]){"127.0.0.1", NULL},
                              .server = server,
                              .client = !server};
    assert_int_equal(pki_cert_ensure(ca, cert, key, &spec, NULL), 0);
}

static int setup(void **state) {
    Fixture *f = NEW0(Fixture);
    strcpy(f->dir, "/tmp/lighter-auth.XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    char *paths[] = {f->ca_cert, f->ca_key, f->cert, f->key, f->user_cert, f->user_key, f->admin_cert, f->admin_key};
    for (size_t i = 0; i < ELEMENTSOF(paths); i++)
        snprintf(paths[i], 96, "%s/%zu.pem", f->dir, i);
    _cleanup_(pki_ca_freep) PkiCa *ca = NULL;
    assert_int_equal(pki_ca_ensure(f->ca_cert, f->ca_key, "ca", &ca), 0);
    make_cert(ca, f->cert, f->key, "node-1", NULL, true);
    make_cert(ca, f->user_cert, f->user_key, "bob", "team", false);
    make_cert(ca, f->admin_cert, f->admin_key, "root", "system:masters", false);
    f->api = (ReviewApi){.base = {.execute = review, .free = review_free}};
    Kubelet *k = &f->k;
    k->client = client_new(&f->api.base, "test");
    k->config.node_name = "node-1";
    k->config.bind = "127.0.0.1";
    k->config.port = -1;
    k->config.cert_file = f->cert;
    k->config.key_file = f->key;
    k->config.client_ca_file = f->ca_cert;
    k->pods = strmap_new(NULL);
    k->request_pool = pool_new("request", 4, 64);
    pthread_mutex_init(&k->lock, NULL);
    char *error = NULL;
    assert_int_equal(kubelet_server_start(k, &error), 0);
    *state = f;
    return 0;
}

static int teardown(void **state) {
    Fixture *f = *state;
    kubelet_server_stop(&f->k);
    pool_free(f->k.request_pool);
    delegate_free(f->k.auth);
    strmap_free(f->k.pods);
    client_free(f->k.client);
    pthread_mutex_destroy(&f->k.lock);
    assert_int_equal(fs_remove_tree(f->dir), 0);
    free(f);
    return 0;
}

/* The answer's code; its text in `out`. */
static int get(Fixture *f, const char *path, const char *token, const char *cert, const char *key, Buf *out) {
    _cleanup_http_answer_ HttpAnswer answer = {0};
    _cleanup_free_ char *bearer = xasprintf("Bearer %s", str_or(token, ""));
    const HttpHeader headers[] = {{"host", "127.0.0.1"}, {"authorization", bearer}};
    const HttpFetch fetch = {.to = {.host = "127.0.0.1",
                                    .port = http_server_port(f->k.server),
                                    .tls = true,
                                    .ca_file = f->ca_cert,
                                    .cert_file = cert,
                                    .key_file = key,
                                    .timeout_ns = 30 * NS_PER_SEC},
                             .target = path,
                             .headers = headers,
                             .n_headers = token ? 2 : 1,
                             .max_body = out->limit};
    assert_int_equal(http_fetch(&fetch, &answer, NULL), 0);
    buf_append(out, answer.body.data, answer.body.len);
    return answer.status;
}

#define EXPECT(f, path, token, cert, key, code, text)                                                                  \
    do {                                                                                                               \
        _cleanup_buf_ Buf _out = BUF_INIT(65536);                                                                      \
        assert_int_equal(get(f, path, token, cert, key, &_out), code);                                                 \
        assert_string_equal(_out.data ? _out.data : "", text);                                                         \
    } while (0)

static void test_nobody_gets_in(void **state) {
    Fixture *f = *state;
    EXPECT(f, "/pods", NULL, NULL, NULL, 401, "Unauthorized");
    EXPECT(f, "/pods", "bad", NULL, NULL, 401, "Unauthorized");
    EXPECT(f, "/pods", "bad", NULL, NULL, 401, "Unauthorized");
    assert_int_equal(f->api.tokens, 1); /* asked once, remembered */
    assert_int_equal(f->api.accesses, 0);
}

static void test_a_token_is_reviewed_and_remembered(void **state) {
    Fixture *f = *state;
    strcpy(f->api.subresource, "healthz");
    EXPECT(f, "/healthz", "good", NULL, NULL, 200, "ok");
    EXPECT(f, "/healthz", "good", NULL, NULL, 200, "ok");
    assert_int_equal(f->api.tokens, 1);
    assert_int_equal(f->api.accesses, 1);
    EXPECT(f, "/pods", "good", NULL, NULL, 403,
           "Forbidden (user=ann, verb=get, resource=nodes, subresource(s)=[pods proxy])\n");
    EXPECT(f, "/stats/summary", "good", NULL, NULL, 403,
           "Forbidden (user=ann, verb=get, resource=nodes, subresource(s)=[stats])\n");
    assert_string_equal(f->api.asked, "healthz,pods,proxy,stats,");
}

static void test_the_broad_right_still_does(void **state) {
    Fixture *f = *state;
    strcpy(f->api.subresource, "proxy");
    EXPECT(f, "/healthz", "good", NULL, NULL, 200, "ok");
    assert_string_equal(f->api.asked, "healthz,proxy,");
    EXPECT(f, "/metrics", "good", NULL, NULL, 403,
           "Forbidden (user=ann, verb=get, resource=nodes, subresource(s)=[metrics])\n");
}

static void test_certificates(void **state) {
    Fixture *f = *state;
    EXPECT(f, "/healthz", NULL, f->admin_cert, f->admin_key, 200, "ok");
    assert_int_equal(f->api.accesses, 0); /* the API server's own identity needs no review */
    EXPECT(f, "/exec/n/p/c", NULL, f->user_cert, f->user_key, 403,
           "Forbidden (user=bob, verb=get, resource=nodes, subresource(s)=[proxy])\n");
    strcpy(f->api.subresource, "pods");
    EXPECT(f, "/pods", NULL, f->user_cert, f->user_key, 200,
           "{\"kind\":\"PodList\",\"apiVersion\":\"v1\",\"metadata\":{},\"items\":[]}");
}

static void test_an_api_server_that_fails_lets_nobody_in(void **state) {
    Fixture *f = *state;
    f->api.fails = true;
    EXPECT(f, "/pods", "good", NULL, NULL, 401, "Unauthorized");
    EXPECT(f, "/pods", NULL, f->user_cert, f->user_key, 500,
           "Authorization error (user=bob, verb=get, resource=nodes, subresource=pods)");
    f->api.fails = false; /* and what it did not say is not remembered */
    strcpy(f->api.subresource, "pods");
    EXPECT(f, "/pods", "good", NULL, NULL, 200,
           "{\"kind\":\"PodList\",\"apiVersion\":\"v1\",\"metadata\":{},\"items\":[]}");
}

static void test_paths_and_verbs(void **state) {
    (void)state;
    static const struct {
        const char *path, *first, *second;
    } cases[] = {
        {"/pods", "pods", "proxy"},           {"/podsx", "proxy", NULL},        {"/runningpods/", "pods", "proxy"},
        {"/healthz/log", "healthz", "proxy"}, {"/configz", "configz", "proxy"}, {"/metrics/cadvisor", "metrics", NULL},
        {"/stats/summary", "stats", NULL},    {"/logs/", "log", NULL},          {"/containerLogs/a/b/c", "proxy", NULL},
        {"/flagz", "configz", NULL},
    };
    for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
        const char *list[AUTH_SUBRESOURCES_MAX] = {NULL};
        size_t n = auth_subresources(cases[i].path, list);
        assert_int_equal(n, cases[i].second ? 2 : 1);
        assert_string_equal(list[0], cases[i].first);
        if (n > 1)
            assert_string_equal(list[1], cases[i].second);
    }
    assert_string_equal(auth_verb("POST"), "create");
    assert_string_equal(auth_verb("GET"), "get");
    assert_string_equal(auth_verb("OPTIONS"), "");
}

int main(void) {
#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_nobody_gets_in),
        TEST(test_a_token_is_reviewed_and_remembered),
        TEST(test_the_broad_right_still_does),
        TEST(test_certificates),
        TEST(test_an_api_server_that_fails_lets_nobody_in),
        cmocka_unit_test(test_paths_and_verbs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
