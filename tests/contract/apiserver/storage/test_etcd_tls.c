/* etcd behind TLS that asks for client certificates. */
#include "store_fixture.h"

typedef struct World {
    EtcdServer etcd;
    char ca[64], other_ca[64], cert[64], key[64];
} World;

static void run(const char *format, ...) _printf_(1, 2);
static void run(const char *format, ...) {
    char command[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(command, sizeof command, format, args);
    va_end(args);
    assert_int_equal(system(command), 0);
}

/* An authority, one that signed nothing, and a certificate for both sides. */
static void make_certificates(World *w) {
    const char *dir = w->etcd.folder;
    snprintf(w->ca, sizeof w->ca, "%s/ca.crt", dir);
    snprintf(w->other_ca, sizeof w->other_ca, "%s/other.crt", dir);
    snprintf(w->cert, sizeof w->cert, "%s/both.crt", dir);
    snprintf(w->key, sizeof w->key, "%s/both.key", dir);
    static const char *const authorities[] = {"ca", "other"};
    for (size_t i = 0; i < 2; i++)
        run("cd %s && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout %s.key -out "
            "%s.crt -subj /CN=%s -days 2 2>/dev/null",
            dir, authorities[i], authorities[i], authorities[i]);
    run("cd %s && printf 'subjectAltName=IP:127.0.0.1\\nextendedKeyUsage=serverAuth,clientAuth\\n' >ext && openssl req "
        "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout both.key -out both.csr -subj /CN=both "
        "2>/dev/null && openssl x509 -req -in both.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile ext "
        "-out both.crt 2>/dev/null",
        dir);
}

static int set_up_tls(void **state) {
    World *w = NEW0(World);
    signal(SIGPIPE, SIG_IGN);
    assert_true(etcd_new(&w->etcd)); /* for its folder and ports */
    etcd_signal(&w->etcd, SIGKILL);
    /* Killed before it knew itself for a member of its cluster, it would wait for the others for ever. */
    _cleanup_free_ char *data = xasprintf("%s/data", w->etcd.folder);
    assert_int_equal(fs_remove_tree(data), 0);
    make_certificates(w);
    snprintf(w->etcd.url, sizeof w->etcd.url, "https://127.0.0.1:%u", w->etcd.port);
    const char *const more[] = {"--cert-file",       w->cert, "--key-file", w->key, "--client-cert-auth",
                                "--trusted-ca-file", w->ca,   NULL};
    memcpy(w->etcd.more, more, sizeof more);
    assert_true(etcd_start(&w->etcd));
    *state = w;
    return 0;
}

static int tear_down_tls(void **state) {
    World *w = *state;
    etcd_done(&w->etcd);
    free(w);
    return 0;
}

static int try_open(const char *url, const char *ca, const char *cert, const char *key, unsigned wait_seconds,
                    Store **ret) {
    const char *const servers[] = {url, NULL};
    _cleanup_free_ char *why = NULL;
    StoreDriver *driver = NULL;
    EtcdDriverConfig config = {
        .servers = servers, .ca_file = ca, .cert_file = cert, .key_file = key, .start_wait_seconds = wait_seconds};
    assert_int_equal(etcd_driver_open(&config, &driver, &why), 0);
    return store_open(driver, NULL, ret);
}

static void works_over_tls(void **state) {
    World *w = *state;
    Store *store = NULL;
    char value[64];
    assert_int_equal(try_open(w->etcd.url, w->ca, w->cert, w->key, 30, &store), 0);
    Watch *watch = watch_from(store, 0);
    uint64_t revision = create(store, "a", "1");
    expect_event(watch, WATCH_ADDED, "a", revision);
    _cleanup_free_ char *big = xmalloc(1000001);
    memset(big, 'x', 1000000);
    big[1000000] = 0;
    expect_event(watch, WATCH_ADDED, "big", create(store, "big", big));
    in_sync(store);
    assert_string_equal(value_of(store, "a", value), "1");
    watch_close(watch);
    store_close(store);
}

static void refuses_strangers(void **state) {
    World *w = *state;
    Store *store = NULL;
    assert_int_equal(try_open(w->etcd.url, w->other_ca, w->cert, w->key, 3, &store), -EKEYREJECTED);
    assert_int_equal(try_open(w->etcd.url, w->ca, "/nowhere", w->key, 3, &store), -EKEYREJECTED);
    assert_true(try_open(w->etcd.url, w->ca, NULL, NULL, 3, &store) < 0);           /* the server refuses us */
    _cleanup_free_ char *by_name = xasprintf("https://localhost:%u", w->etcd.port); /* the certificate says 127.0.0.1 */
    assert_true(try_open(by_name, w->ca, w->cert, w->key, 3, &store) < 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(works_over_tls, set_up_tls, tear_down_tls),
        cmocka_unit_test_setup_teardown(refuses_strangers, set_up_tls, tear_down_tls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
