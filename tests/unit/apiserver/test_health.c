/* Health over a store of its own: what each path answers while something is missing, and once it is there. */
#include "apiserver/handlers/http.h"
#include "apiserver/health.h"
#include "apiserver/storage/driver.h"
#include "apiserver/zpages.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/str.h"
#include "http/fetch.h"
#include "http/pki.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define ANSWER_NS (5 * NS_PER_SEC)

typedef struct World {
    char dir[64];
    char *database, *cert;
    Store *store;
    Health *health;
    Zpages *pages;
    HttpServer *http;
} World;

static void on_request(HttpRequest *http, void *userdata) {
    World *world = userdata;
    _cleanup_arena_ Arena *arena = arena_new(0);
    Value *paths = value_array(arena);
    health_list_paths(world->health, arena, paths);
    if (!health_serve(world->health, http, http_path(http)) &&
        !zpages_serve(world->pages, http, arena, http_path(http), paths))
        http_reply_text(http, 404, "text/plain", "nothing");
}

static int set_up(void **state) {
    World *world = NEW0(World);
    static int64_t port = 6443;
    static const Flag flags[] = {{"port", FLAG_INT, &port, "PORT", ""}};
    StoreDriver *driver;
    PkiCa *ca;
    *state = world;
    strcpy(world->dir, "/tmp/lighter-health-XXXXXX");
    assert_non_null(mkdtemp(world->dir));
    world->database = xasprintf("%s/store.db", world->dir);
    world->cert = xasprintf("%s/ca.crt", world->dir);
    _cleanup_free_ char *key = xasprintf("%s/ca.key", world->dir);
    assert_int_equal(pki_ca_ensure(world->cert, key, "door", &ca), 0);
    pki_ca_free(ca);
    assert_int_equal(sqlite_driver_open(world->database, &driver), 0);
    assert_int_equal(store_open(driver, NULL, &world->store), 0);
    world->health = health_new(world->store, world->cert);
    world->pages = zpages_new("apiserver", flags, ELEMENTSOF(flags));
    HttpServerConfig config = {.threads = 1, .handler = on_request, .userdata = world};
    assert_int_equal(http_server_start(&config, &world->http), 0);
    return 0;
}

static int tear_down(void **state) {
    World *world = *state;
    http_server_stop(world->http, NS_PER_SEC);
    health_free(world->health);
    zpages_free(world->pages);
    store_close(world->store);
    int r = fs_remove_tree(world->dir);
    free(world->database);
    free(world->cert);
    free(world);
    return r;
}

static void ask_for(World *world, const char *target, const char *accept, HttpAnswer *ret) {
    const HttpHeader headers[] = {{"host", "localhost"}, {"accept", accept}};
    HttpFetch fetch = {
        .to = {.host = "127.0.0.1", .port = http_server_port(world->http), .timeout_ns = ANSWER_NS},
        .target = target,
        .headers = headers,
        .n_headers = ELEMENTSOF(headers),
        .max_body = 1024 * 1024,
    };
    assert_int_equal(http_fetch(&fetch, ret, NULL), 0);
    buf_putc(&ret->body, 0);
}

static void expect(World *world, const char *target, int status, const char *part) {
    _cleanup_http_answer_ HttpAnswer got = {0};
    ask_for(world, target, "*/*", &got);
    if (got.status != status || !strstr(got.body.data, part))
        fail_msg("%s: %d, %s", target, got.status, got.body.data);
}

static void expect_no(World *world, const char *target, const char *part) {
    _cleanup_http_answer_ HttpAnswer got = {0};
    ask_for(world, target, "*/*", &got);
    assert_null(strstr(got.body.data, part));
}

static void report_all(World *world) {
    for (HealthFact fact = 0; fact < HEALTH_FACTS; fact++)
        health_report(world->health, fact, true);
}

/* Each fact fails the checks that stand for it, on every root, until it is reported, and again once it is lost. */
static void test_facts(void **state) {
    World *world = *state;
    expect(world, "/readyz", 500, "[-]poststarthook/rbac/bootstrap-roles failed: reason withheld\n");
    expect(world, "/livez", 500, "livez check failed\n");
    expect(world, "/readyz", 500, "[+]etcd ok\n");
    expect(world, "/readyz/poststarthook/rbac/bootstrap-roles", 500, "internal server error: not finished\n");
    report_all(world);
    expect(world, "/readyz", 200, "ok");
    expect_no(world, "/readyz", "etcd");
    expect(world, "/readyz/poststarthook/rbac/bootstrap-roles", 200, "ok");
    for (HealthFact fact = 0; fact < HEALTH_FACTS; fact++) {
        health_report(world->health, fact, false);
        expect(world, "/readyz", 500, "readyz check failed\n");
        health_report(world->health, fact, true);
    }
    expect(world, "/healthz", 200, "ok");
}

static void test_roots(void **state) {
    World *world = *state;
    report_all(world);
    expect(world, "/readyz?verbose", 200,
           "[+]ping ok\n[+]log ok\n[+]etcd ok\n[+]etcd-readiness ok\n[+]informer-sync ok");
    expect(world, "/readyz?verbose", 200, "[+]shutdown ok\nreadyz check passed\n");
    expect(world, "/livez?verbose", 200, "[+]loopback-serving-certificate ok\n[+]etcd ok\n");
    expect_no(world, "/livez?verbose", "shutdown");
    expect_no(world, "/readyz?verbose", "loopback");
    static const char *const unknown[] = {"/readyz/", "/readyz/none", "/livez/shutdown", "/readyz/etcd/", "/healthzz"};
    for (size_t i = 0; i < ELEMENTSOF(unknown); i++)
        expect(world, unknown[i], 404, "");
}

static void test_exclude(void **state) {
    World *world = *state;
    report_all(world);
    health_report(world->health, HEALTH_ROLES, false);
    const char *both = "/readyz?exclude=poststarthook%2Frbac%2Fbootstrap-roles&exclude=foo&exclude=bar&verbose";
    expect(world, "/readyz?exclude=poststarthook/rbac/bootstrap-roles", 200, "ok");
    expect(world, both, 200, "[+]poststarthook/rbac/bootstrap-roles excluded: ok\n");
    expect(world, both, 200, "warn: some health checks cannot be excluded: no matches for \"bar\",\"foo\"\n");
}

/* A database that was removed or replaced takes writes that nobody will find again. */
static void test_store(void **state) {
    World *world = *state;
    _cleanup_free_ char *away = xasprintf("%s.away", world->database);
    report_all(world);
    assert_int_equal(rename(world->database, away), 0);
    expect(world, "/readyz", 500, "[-]etcd failed: reason withheld\n[-]etcd-readiness failed: reason withheld\n");
    expect(world, "/livez/etcd", 500, "internal server error: the store: No such file or directory\n");
    assert_int_equal(fs_write_atomic(world->database, "", 0, 0600), 0);
    expect(world, "/livez/etcd", 500, "internal server error: the store: Stale file handle\n");
    assert_int_equal(rename(away, world->database), 0);
    expect(world, "/livez/etcd", 200, "ok");
}

static void test_certificate(void **state) {
    World *world = *state;
    report_all(world);
    assert_int_equal(unlink(world->cert), 0);
    expect(world, "/livez", 500, "[-]loopback-serving-certificate failed: reason withheld\n");
    expect(world, "/readyz", 200, "ok");
}

static void test_log(void **state) {
    World *world = *state;
    int ends[2], kept = dup(STDERR_FILENO);
    char block[4096] = "";
    report_all(world);
    assert_int_equal(pipe2(ends, O_NONBLOCK), 0);
    while (write(ends[1], block, sizeof block) > 0)
        ;
    assert_true(dup2(ends[1], STDERR_FILENO) >= 0);
    _cleanup_http_answer_ HttpAnswer got = {0};
    ask_for(world, "/livez/log", "*/*", &got);
    assert_true(dup2(kept, STDERR_FILENO) >= 0);
    close(kept);
    close(ends[0]);
    close(ends[1]);
    assert_int_equal(got.status, 500);
    assert_string_equal(got.body.data, "internal server error: logging blocked\n");
    expect(world, "/livez/log", 200, "ok");
}

static void test_shutdown(void **state) {
    World *world = *state;
    report_all(world);
    health_shut_down(world->health);
    expect(world, "/readyz/shutdown", 500, "internal server error: process is shutting down\n");
    expect(world, "/readyz", 500, "[-]shutdown failed");
    expect(world, "/livez", 200, "ok");
}

static void test_figures(void **state) {
    World *world = *state;
    _cleanup_buf_ Buf out = BUF_INIT(BUF_NO_LIMIT);
    expect(world, "/livez/poststarthook/rbac/bootstrap-roles", 500, "");
    report_all(world);
    expect(world, "/livez/poststarthook/rbac/bootstrap-roles", 200, "");
    health_write_slis(world->health, &out);
    assert_non_null(
        strstr(out.data, "kubernetes_healthcheck{name=\"poststarthook/rbac/bootstrap-roles\",type=\"livez\"} 1\n"));
    for (int good = 0; good < 2; good++) {
        _cleanup_free_ char *line = xasprintf("kubernetes_healthchecks_total{name=\"poststarthook/rbac/"
                                              "bootstrap-roles\",status=\"%s\",type=\"livez\"} 1\n",
                                              good ? "success" : "error");
        assert_non_null(strstr(out.data, line));
    }
}

static void test_pages(void **state) {
    World *world = *state;
    static const char *const refused[] = {"application/json", "application/json;as=Flagz;g=config.k8s.io;v=v1",
                                          "application/vnd.kubernetes.protobuf;as=Flagz;g=config.k8s.io;v=v1beta1"};
    expect(world, "/flagz", 200, "\napiserver flagz\nWarning: ");
    expect(world, "/flagz", 200, "6443\n");
    expect(world, "/statusz", 200, "/healthz /livez /readyz\n");
    _cleanup_http_answer_ HttpAnswer flags = {0};
    ask_for(world, "/flagz", "application/json;g=config.k8s.io;v=v1beta1;as=Flagz", &flags);
    assert_int_equal(flags.status, 200);
    assert_string_equal(flags.content_type, "application/json;g=config.k8s.io;v=v1beta1;as=Flagz");
    assert_non_null(strstr(flags.body.data, "\"port\": \"6443\""));
    for (size_t i = 0; i < ELEMENTSOF(refused); i++) {
        _cleanup_http_answer_ HttpAnswer got = {0};
        ask_for(world, "/flagz", refused[i], &got);
        assert_int_equal(got.status, 406);
    }
}

#define CASE(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)
int main(void) {
    const struct CMUnitTest tests[] = {
        CASE(test_facts), CASE(test_roots),    CASE(test_exclude), CASE(test_store), CASE(test_certificate),
        CASE(test_log),   CASE(test_shutdown), CASE(test_figures), CASE(test_pages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
