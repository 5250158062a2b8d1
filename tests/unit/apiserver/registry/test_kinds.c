/* Every kind that makes no pods, through the engine and a store of its own: requests with what kube-apiserver v1.36.3
 * answered to them (tests/golden/registry/kinds.jsonl: status, causes, warnings, generation), in order, because later
 * ones change what earlier ones made; and what hack/mutate found, of all kinds (mutations.jsonl). Causes are compared
 * as sets: some of the reference's come in the order of a Go map. And what the store holds for services: addresses and
 * ports are taken once, and given back. */
#include "../../support/recorded_answers.h"
#include "apiserver/registry/internal_print.h"
#include "apiserver/registry/ip.h"
#include "apiserver/storage/driver.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/str.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#define GOLDEN LIGHTER_SOURCE_DIR "/tests/golden/registry/"
#define KINDS_LEAST 220 /* lines, so that an empty file does not pass */
#define MUTATIONS_LEAST 300

typedef struct Fixture {
    char dir[40];
    Store *store;
    Registry *registry;
    Arena *arena;
} Fixture;

static int setup(void **state) {
    Fixture *f = NEW0(Fixture);
    StoreDriver *driver = NULL;
    strcpy(f->dir, "/tmp/lighter-kinds-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    _cleanup_free_ char *path = xasprintf("%s/store", f->dir);
    assert_int_equal(sqlite_driver_open(path, &driver), 0);
    assert_int_equal(store_open(driver, NULL, &f->store), 0);
    RegistryConfig config = {.store = f->store, .settings = {"10.96.0.0/28", 30000, 30003}};
    f->registry = registry_new(&config);
    f->arena = arena_new(0);
    *state = f;
    return 0;
}

static int teardown(void **state) {
    Fixture *f = *state;
    registry_free(f->registry);
    store_close(f->store);
    fs_remove_tree(f->dir);
    arena_free(f->arena);
    free(f);
    return 0;
}

static void replay(Fixture *f, const char *file, size_t least) {
    RegistryConfig config = {.store = f->store, .settings = {"10.96.0.0/16", 30000, 32767}};
    Registry *registry = registry_new(&config);
    run_recorded(registry, file, least);
    registry_free(registry);
}

static void recorded(void **state) {
    replay(*state, GOLDEN "kinds.jsonl", KINDS_LEAST);
}

static void mutations(void **state) {
    replay(*state, GOLDEN "mutations.jsonl", MUTATIONS_LEAST);
}

/* Services of a registry with 14 addresses and 4 node ports. */
static void service(Fixture *f, const char *name, const char *spec, bool dry_run, Answer *ret) {
    Value *body;
    char *json = arena_printf(f->arena,
                              "{\"apiVersion\":\"v1\",\"kind\":\"Service\",\"metadata\":{\"name\":\"%s\"},"
                              "\"spec\":{\"ports\":[{\"port\":80}]%s}}",
                              name, spec);
    assert_int_equal(json_parse(f->arena, json, strlen(json), &body, NULL, NULL), 0);
    ApiRequest request = {.arena = f->arena,
                          .ns = "n",
                          .resource = resource_find("", "v1", "services"),
                          .body = body,
                          .options = {.dry_run = dry_run}};
    ask(f->registry, &request, "POST", NULL, ret);
}

static void delete_service(Fixture *f, const char *name) {
    _cleanup_registry_result_ RegistryResult result = {0};
    ApiRequest request = {.arena = f->arena, .ns = "n", .name = name, .resource = resource_find("", "v1", "services")};
    DeleteOptions options = {0};
    ApiError err = {0};
    RegistryCall call;
    registry_call_init(&call, f->registry, &request);
    assert_int_equal(registry_delete(&call, "n", name, &options, &result, &err), 0);
}

static size_t addresses(Fixture *f) {
    return store_count(f->store, resource_find("networking.k8s.io", "v1", "ipaddresses"));
}

static const char *address_of(const Answer *answer) {
    return value_get_str(value_get(answer->object, "spec"), "clusterIP");
}

/* A dry run names the range; what is done for real is looked for in all of them. */
static void addresses_out_of_range(void **state) {
    static const struct {
        const char *ip;
        bool dry_run;
        const char *why;
    } rows[] = {
        {"10.95.0.10", true,
         "the provided IP (10.95.0.10) is not in the valid range. The range of valid IPs is 10.96.0.0/28"},
        {"10.96.0.15", true,
         "the provided IP (10.96.0.15) is not in the valid range. The range of valid IPs is 10.96.0.0/28"},
        {"10.95.0.10", false, "the provided network does not match the current range"},
        {"10.96.0.15", false, "the provided network does not match the current range"},
    };
    Fixture *f = *state;
    for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
        _cleanup_answer_ Answer answer = {0};
        service(f, "out", arena_printf(f->arena, ",\"clusterIP\":\"%s\"", rows[i].ip), rows[i].dry_run, &answer);
        assert_int_equal(answer.status, 422);
        assert_non_null(strstr(answer.err.message, rows[i].why));
    }
}

static void addresses_run_out_and_come_back(void **state) {
    Fixture *f = *state;
    const char *seen[14];
    for (size_t i = 0; i < ELEMENTSOF(seen); i++) {
        _cleanup_answer_ Answer answer = {0};
        service(f, arena_printf(f->arena, "s%zu", i), "", false, &answer);
        assert_int_equal(answer.status, 201);
        seen[i] = address_of(&answer);
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(seen[i], seen[j]);
    }
    assert_int_equal(addresses(f), ELEMENTSOF(seen));
    _cleanup_answer_ Answer full = {0}, again = {0};
    service(f, "more", "", false, &full);
    assert_int_equal(full.status, 500);
    assert_string_equal(full.err.message,
                        "Internal error occurred: failed to allocate a serviceIP for Service \"more\": range is full");
    delete_service(f, "s7");
    assert_int_equal(addresses(f), ELEMENTSOF(seen) - 1);
    service(f, "more", "", false, &again);
    assert_int_equal(again.status, 201);
    assert_string_equal(address_of(&again), seen[7]);
}

static void refused_writes_give_back(void **state) {
    Fixture *f = *state;
    _cleanup_answer_ Answer first = {0}, same_name = {0}, invalid = {0}, dry = {0}, taken = {0};
    service(f, "a", ",\"clusterIP\":\"10.96.0.5\"", false, &first);
    assert_int_equal(first.status, 201);
    service(f, "a", "", false, &same_name);
    assert_int_equal(same_name.status, 409);
    service(f, "b", ",\"type\":\"NodePort\",\"sessionAffinity\":\"Odd\"", false, &invalid);
    assert_int_equal(invalid.status, 422);
    service(f, "c", ",\"type\":\"NodePort\"", true, &dry);
    assert_int_equal(dry.status, 201);
    assert_int_equal(addresses(f), 1);
    service(f, "d", ",\"clusterIP\":\"10.96.0.5\"", false, &taken);
    assert_int_equal(taken.status, 422);
    assert_int_equal(addresses(f), 1);
}

static void dry_runs_ask_no_range(void **state) {
    Fixture *f = *state;
    static const char spec[] =
        ",\"type\":\"LoadBalancer\",\"externalTrafficPolicy\":\"Local\",\"healthCheckNodePort\":";
    static const struct {
        const char *port;
        bool dry_run;
        int status;
    } rows[] = {{"1", false, 500}, {"1", true, 201}, {"-1", false, 500}, {"-1", true, 422}, {"65536", true, 422}};
    for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
        _cleanup_answer_ Answer answer = {0};
        service(f, "h", arena_printf(f->arena, "%s%s", spec, rows[i].port), rows[i].dry_run, &answer);
        assert_int_equal(answer.status, rows[i].status);
    }
    assert_int_equal(addresses(f), 0);
}

static int64_t node_port_of(const Answer *answer) {
    return value_get_int(value_at(value_path(answer->object, "spec", "ports", NULL), 0), "nodePort", 0);
}

static void node_ports_run_out_and_come_back(void **state) {
    Fixture *f = *state;
    unsigned seen = 0;
    for (int i = 0; i < 4; i++) {
        _cleanup_answer_ Answer answer = {0};
        service(f, arena_printf(f->arena, "s%d", i), ",\"type\":\"NodePort\"", false, &answer);
        assert_int_equal(answer.status, 201);
        seen |= 1u << (node_port_of(&answer) - 30000);
    }
    assert_int_equal(seen, 0xf);
    _cleanup_answer_ Answer full = {0}, patched = {0}, again = {0};
    service(f, "more", ",\"type\":\"NodePort\"", false, &full);
    assert_int_equal(full.status, 500);
    assert_int_equal(addresses(f), 4);
    /* A service that stops being of type NodePort gives its port back. */
    Value *body;
    assert_int_equal(json_parse(f->arena, "{\"spec\":{\"type\":\"ClusterIP\"}}", 29, &body, NULL, NULL), 0);
    ApiRequest request = {
        .arena = f->arena, .ns = "n", .name = "s2", .resource = resource_find("", "v1", "services"), .body = body};
    ask(f->registry, &request, "PATCH", NULL, &patched);
    assert_int_equal(patched.status, 200);
    assert_int_equal(node_port_of(&patched), 0);
    service(f, "more", ",\"type\":\"NodePort\"", false, &again);
    assert_int_equal(again.status, 201);
}

/* As after a crash between the reservation and the write of its service. */
static void leftovers_are_taken_over(void **state) {
    Fixture *f = *state;
    const Resource *row = resource_find("networking.k8s.io", "v1", "ipaddresses");
    static const char JSON[] = "{\"apiVersion\":\"networking.k8s.io/v1\",\"kind\":\"IPAddress\",\"metadata\":{\"name\":"
                               "\"10.96.0.%d\",\"creationTimestamp\":\"%s\"},\"spec\":{\"parentRef\":{\"resource\":"
                               "\"services\",\"namespace\":\"n\",\"name\":\"gone\"}}}";
    char now[RFC3339_MAX];
    rfc3339_format(now_realtime_ns(), now);
    for (int i = 5; i < 7; i++) {
        _cleanup_object_ Object *object = NULL;
        char *json = arena_printf(f->arena, JSON, i, i == 5 ? "2020-01-01T00:00:00Z" : now);
        assert_int_equal(object_from_json(row, json, strlen(json), 0, &object), 0);
        assert_int_equal(store_create(f->store, object, NULL), 0);
    }
    _cleanup_answer_ Answer old = {0}, fresh = {0};
    service(f, "a", ",\"clusterIP\":\"10.96.0.5\"", false, &old);
    assert_int_equal(old.status, 201);
    service(f, "b", ",\"clusterIP\":\"10.96.0.6\"", false, &fresh);
    assert_int_equal(fresh.status, 422);
}

static void addresses_as_go_prints_them(void **state) {
    static const char *const TEXTS[][2] = {{"010.1.002.3", "10.1.2.3"},
                                           {"::ffff:1.2.3.4", "1.2.3.4"},
                                           {"2001:DB8:0:0::1", "2001:db8::1"},
                                           {"1:0:0:2:0:0:0:3", "1:0:0:2::3"},
                                           {"::", "::"},
                                           {"::1.2.3.4", "::102:304"}};
    char out[IP_TEXT_MAX];
    Ip ip;
    (void)state;
    for (size_t i = 0; i < ELEMENTSOF(TEXTS); i++) {
        assert_true(ip_parse(TEXTS[i][0], &ip));
        assert_string_equal(ip_format(&ip, out), TEXTS[i][1]);
    }
    assert_false(ip_parse("1.2.3", &ip));
    assert_false(ip_parse("1.2.3.256", &ip));
    assert_false(ip_parse("1.2.3.4 ", &ip));
    IpRange range;
    assert_true(ip_range_parse("10.0.0.0/8", &range));
    assert_true(ip_parse("10.255.255.255", &ip));
    assert_true(ip_range_contains(&range, &ip));
    assert_false(ip_range_parse("10.0.0.0/33", &range));
    assert_false(ip_range_parse("10.0.0.0/", &range));
}

static void diffs_have_three_lines_of_context(void **state) {
    Fixture *f = *state;
    Value *a = value_array(f->arena), *b = value_array(f->arena);
    for (int i = 0; i < 20; i++) {
        value_append(f->arena, a, value_int(f->arena, i));
        value_append(f->arena, b, value_int(f->arena, i == 3 ? 33 : i));
    }
    value_remove_at(b, 18);
    assert_string_equal(internal_diff(f->arena, a, b),
                        "@@ -2,7 +2,7 @@\n  0,\n  1,\n  2,\n- 3,\n+ 33,\n  4,\n  5,\n  6,\n"
                        "@@ -17,6 +17,5 @@\n  15,\n  16,\n  17,\n- 18,\n  19\n ]\n");
    assert_string_equal(internal_diff(f->arena, a, a), "");
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(recorded),
        TEST(mutations),
        TEST(addresses_out_of_range),
        TEST(addresses_run_out_and_come_back),
        TEST(refused_writes_give_back),
        TEST(dry_runs_ask_no_range),
        TEST(node_ports_run_out_and_come_back),
        TEST(leftovers_are_taken_over),
        cmocka_unit_test(addresses_as_go_prints_them),
        TEST(diffs_have_three_lines_of_context),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
