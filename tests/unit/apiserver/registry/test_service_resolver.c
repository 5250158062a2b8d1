#include "apiserver/registry/service_resolver.h"
#include "api/codec.h"
#include "api/json.h"
#include "apiserver/storage/driver.h"
#include "base/fs.h"
#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>

#include <cmocka.h>

typedef struct Fixture {
    char dir[64];
    Arena *arena;
    Store *store;
} Fixture;

static int setup(void **state) {
    Fixture *f = NEW0(Fixture);
    StoreDriver *driver;
    strcpy(f->dir, "/tmp/lighter-resolver-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    _cleanup_free_ char *path = xasprintf("%s/store.db", f->dir);
    assert_int_equal(sqlite_driver_open(path, &driver), 0);
    assert_int_equal(store_open(driver, NULL, &f->store), 0);
    f->arena = arena_new(0);
    *state = f;
    return 0;
}

static int teardown(void **state) {
    Fixture *f = *state;
    store_close(f->store);
    arena_free(f->arena);
    fs_remove_tree(f->dir);
    free(f);
    return 0;
}

#define FIXTURE_TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

static void put(Fixture *f, const char *group, const char *plural, const char *text) {
    const Resource *resource = resource_find(group, "v1", plural);
    Value *v;
    char *why = NULL;
    if (yaml_parse(f->arena, text, strlen(text), &v, NULL, &why) < 0)
        fail_msg("%s: %s", why, text);
    value_set_str(f->arena, v, "kind", resource->kind);
    value_set_str(f->arena, v, "apiVersion", resource_api_version(f->arena, resource));
    _cleanup_object_ Object *object = object_from_value(resource, v);
    assert_int_equal(store_create(f->store, object, NULL), 0);
}

static void resolves(Fixture *f, const char *name, uint16_t port, const char *host, uint16_t expected) {
    _cleanup_api_error_ ApiError err = {0};
    ServiceEndpoint endpoint;
    if (service_resolve(f->store, "team", name, port, &endpoint, &err) < 0)
        fail_msg("%s", err.message);
    assert_string_equal(endpoint.host, host);
    assert_int_equal(endpoint.port, expected);
}

static void fails(Fixture *f, const char *name, uint16_t port, int code, const char *message) {
    _cleanup_api_error_ ApiError err = {0};
    ServiceEndpoint endpoint;
    assert_true(service_resolve(f->store, "team", name, port, &endpoint, &err) < 0);
    assert_int_equal(err.code, code);
    assert_string_equal(err.message, message);
}

static void service(Fixture *f, const char *name, const char *spec) {
    put(f, "", "services", arena_printf(f->arena, "{metadata: {name: %s, namespace: team}, spec: %s}", name, spec));
}

static void slice(Fixture *f, const char *name, const char *of, const char *rest) {
    put(f, "discovery.k8s.io", "endpointslices",
        arena_printf(f->arena, "{metadata: {name: %s, namespace: team, labels: {kubernetes.io/service-name: %s}}, %s}",
                     name, of, rest));
}

static void test_by_port_name(void **state) {
    Fixture *f = *state;
    service(f, "web", "{ports: [{name: a, port: 80}, {name: b, port: 443, targetPort: https}]}");
    slice(f, "web-1", "web",
          "addressType: IPv4, ports: [{name: a, port: 8080}, {name: b, port: 8443}], endpoints: [{addresses: "
          "[10.0.0.1], conditions: {ready: false}}, {addresses: [10.0.0.2], conditions: {ready: true}}]");
    slice(f, "other-1", "other",
          "addressType: IPv4, ports: [{name: b, port: 1}], endpoints: [{addresses: [10.0.0.9]}]");
    for (int i = 0; i < 20; i++) {
        resolves(f, "web", 443, "10.0.0.2", 8443);
        resolves(f, "web", 80, "10.0.0.2", 8080);
    }
    fails(f, "web", 8443, 503, "no service port 8443 found for service \"web\"");
}

static void test_port_without_name(void **state) {
    Fixture *f = *state;
    service(f, "web", "{type: NodePort, ports: [{port: 443}]}");
    slice(f, "web-1", "web",
          "addressType: IPv4, ports: [{name: '', port: 9443}], endpoints: [{addresses: [10.0.0.2]}]");
    resolves(f, "web", 443, "10.0.0.2", 9443);
}

static void test_prefers_first_family(void **state) {
    Fixture *f = *state;
    service(f, "web", "{ipFamilies: [IPv6, IPv4], ports: [{port: 443}]}");
    slice(f, "web-4", "web", "addressType: IPv4, ports: [{name: '', port: 1}], endpoints: [{addresses: [10.0.0.2]}]");
    resolves(f, "web", 443, "10.0.0.2", 1);
    slice(f, "web-6", "web", "addressType: IPv6, ports: [{name: '', port: 2}], endpoints: [{addresses: ['fd00::1']}]");
    for (int i = 0; i < 20; i++)
        resolves(f, "web", 443, "fd00::1", 2);
}

static void test_spreads(void **state) {
    Fixture *f = *state;
    size_t seen[2] = {0};
    service(f, "web", "{ports: [{port: 443}]}");
    slice(f, "web-1", "web", "addressType: IPv4, ports: [{name: '', port: 1}], endpoints: [{addresses: [10.0.0.1]}]");
    slice(f, "web-2", "web", "addressType: IPv4, ports: [{name: '', port: 2}], endpoints: [{addresses: [10.0.0.2]}]");
    for (int i = 0; i < 200; i++) {
        ServiceEndpoint endpoint;
        ApiError err = {0};
        assert_int_equal(service_resolve(f->store, "team", "web", 443, &endpoint, &err), 0);
        seen[endpoint.port - 1]++;
    }
    assert_true(seen[0] > 20 && seen[1] > 20);
}

static void test_external_name(void **state) {
    Fixture *f = *state;
    service(f, "out", "{type: ExternalName, externalName: hooks.example.com}");
    resolves(f, "out", 8443, "hooks.example.com", 8443);
}

static void test_words(void **state) {
    Fixture *f = *state;
    service(f, "none", "{ports: [{port: 443}]}");
    service(f, "unready", "{ports: [{port: 443}]}");
    service(f, "odd", "{type: Odd, ports: [{port: 443}]}");
    slice(f, "unready-1", "unready",
          "addressType: IPv4, ports: [{name: '', port: 1}], endpoints: [{addresses: [10.0.0.1], conditions: {ready: "
          "false}}]");
    fails(f, "absent", 443, 404, "service \"absent\" not found");
    fails(f, "none", 443, 503, "no endpoints available for service \"none\"");
    fails(f, "unready", 443, 503, "no endpoints available for service \"unready\"");
    fails(f, "odd", 443, 500, "unsupported service type \"Odd\"");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(test_by_port_name), FIXTURE_TEST(test_port_without_name), FIXTURE_TEST(test_prefers_first_family),
        FIXTURE_TEST(test_spreads),      FIXTURE_TEST(test_external_name),     FIXTURE_TEST(test_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
