/* Endpoints of services without a selector as EndpointSlices, over an API server in memory. */
#include "../support/fake_cluster.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#define ENDPOINTS(labels, subsets)                                                                                     \
    "{\"apiVersion\":\"v1\",\"kind\":\"Endpoints\",\"metadata\":{\"name\":\"ext\",\"labels\":{\"app\":\"x\"" labels    \
    "}},\"subsets\":[" subsets "]}"
#define PORT80 "\"ports\":[{\"name\":\"a\",\"port\":80}]"
#define TWO_FAMILIES                                                                                                   \
    "{\"addresses\":[{\"ip\":\"10.0.0.1\"},{\"ip\":\"fd00::1\"},{\"ip\":\"no\"}],\"notReadyAddresses\":[{\"ip\":"      \
    "\"10.0.0.2\",\"hostname\":\"h\"}]," PORT80 "}"

static void put_service(Cluster *cluster, const char *spec) {
    char json[512];
    snprintf(json, sizeof json,
             "{\"apiVersion\":\"v1\",\"kind\":\"Service\",\"metadata\":{\"name\":\"ext\"},\"spec\":{%s}}", spec);
    object_unref(fake_put_json(cluster->client, "", "services", "default", json));
}

static void put_endpoints(Cluster *cluster, const char *json) {
    object_unref(fake_put_json(cluster->client, "", "endpoints", "default", json));
}

/* The addresses of the slices of a family: "ip+" ready, "ip-" not. */
static char *addresses(Cluster *cluster, Arena *arena, const char *family) {
    _cleanup_client_list_ ClientList list = {0};
    char *text = arena_strdup(arena, "");
    client_list(cluster->client, fake_resource("discovery.k8s.io", "endpointslices"), "default", NULL, &list, NULL);
    for (size_t i = 0; i < list.n; i++) {
        const Value *slice = object_value(list.items[i], arena), *endpoint;
        if (!streq(value_get_str(slice, "addressType"), family))
            continue;
        VALUE_FOREACH (endpoint, value_get(slice, "endpoints"))
            text = arena_printf(arena, "%s%s%s ", text, value_str(value_at(value_get(endpoint, "addresses"), 0)),
                                value_get_bool(value_get(endpoint, "conditions"), "ready", false) ? "+" : "-");
    }
    return text;
}

static size_t slices(Cluster *cluster) {
    return fake_count(cluster->client, "discovery.k8s.io", "endpointslices", "default");
}
static size_t slices_made(Cluster *cluster) {
    size_t n = 0;
    for (size_t i = 0; i < fake_event_count(cluster->api); i++)
        n += streq(cluster->api->events[i].type, "ADDED") &&
             streq(object_resource(cluster->api->events[i].object)->plural, "endpointslices");
    return n;
}
static bool two_slices(void *cluster) {
    return slices(cluster) == 2;
}
static bool no_slices(void *cluster) {
    return slices(cluster) == 0;
}
static bool moved(void *cluster) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    return slices(cluster) == 1 && streq(addresses(cluster, arena, "IPv4"), "10.0.0.9+ ");
}

static void start(Cluster *cluster) {
    cluster_start(cluster, "endpointslice-mirroring-controller", NULL);
    put_service(cluster, "\"ports\":[{\"name\":\"a\",\"port\":80}]");
    put_endpoints(cluster, ENDPOINTS("", TWO_FAMILIES));
    assert_true(fake_eventually(two_slices, cluster, 10));
}

static void test_mirrored(void **state) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    _cleanup_client_list_ ClientList list = {0};
    Cluster *cluster = *state;
    start(cluster);
    assert_string_equal(addresses(cluster, arena, "IPv4"), "10.0.0.1+ 10.0.0.2- ");
    assert_string_equal(addresses(cluster, arena, "IPv6"), "fd00::1+ ");
    client_list(cluster->client, fake_resource("discovery.k8s.io", "endpointslices"), "default", NULL, &list, NULL);
    for (size_t i = 0; i < list.n; i++) {
        assert_string_equal(object_label(list.items[i], "app"), "x");
        assert_string_equal(object_label(list.items[i], "kubernetes.io/service-name"), "ext");
        assert_string_equal(object_label(list.items[i], "endpointslice.kubernetes.io/managed-by"),
                            "endpointslicemirroring-controller.k8s.io");
        assert_string_equal(object_controller(list.items[i])->kind, "Endpoints");
    }
}

/* Other ports: the slice that is left over is used again. */
static void test_reused(void **state) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    Cluster *cluster = *state;
    start(cluster);
    Value *endpoints;
    _cleanup_object_ Object *object = NULL;
    client_get(cluster->client, fake_resource("", "endpoints"), "default", "ext", &object, NULL);
    endpoints = object_value(object, arena);
    Value *subset = value_at(value_get(endpoints, "subsets"), 0), *address = value_object(arena);
    value_set_str(arena, address, "ip", "10.0.0.9");
    value_remove(subset, "addresses");
    value_remove(subset, "notReadyAddresses");
    value_append(arena, value_ensure_array(arena, subset, "addresses"), address);
    value_set_int(arena, value_at(value_get(subset, "ports"), 0), "port", 81);
    assert_int_equal(
        client_update(cluster->client, fake_resource("", "endpoints"), "default", "ext", NULL, endpoints, NULL, NULL),
        0);
    assert_true(fake_eventually(moved, cluster, 10));
    assert_int_equal(slices_made(cluster), 2);
}

static void test_endpoints_go(void **state) {
    Cluster *cluster = *state;
    start(cluster);
    client_delete(cluster->client, fake_resource("", "endpoints"), "default", "ext",
                  &(ClientDelete){.grace_seconds = -1}, NULL);
    assert_true(fake_eventually(no_slices, cluster, 10));
}

static void test_service_goes(void **state) {
    Cluster *cluster = *state;
    start(cluster);
    client_delete(cluster->client, fake_resource("", "services"), "default", "ext",
                  &(ClientDelete){.grace_seconds = -1}, NULL);
    assert_true(fake_eventually(no_slices, cluster, 10));
}

static void test_label_skips(void **state) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    _cleanup_object_ Object *object = NULL;
    Cluster *cluster = *state;
    start(cluster);
    client_get(cluster->client, fake_resource("", "endpoints"), "default", "ext", &object, NULL);
    Value *endpoints = object_value(object, arena);
    value_set_str(arena, value_path(endpoints, "metadata", "labels", NULL), "endpointslice.kubernetes.io/skip-mirror",
                  "true");
    client_update(cluster->client, fake_resource("", "endpoints"), "default", "ext", NULL, endpoints, NULL, NULL);
    assert_true(fake_eventually(no_slices, cluster, 10));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_mirrored, cluster_setup, cluster_teardown),
        cmocka_unit_test_setup_teardown(test_reused, cluster_setup, cluster_teardown),
        cmocka_unit_test_setup_teardown(test_endpoints_go, cluster_setup, cluster_teardown),
        cmocka_unit_test_setup_teardown(test_service_goes, cluster_setup, cluster_teardown),
        cmocka_unit_test_setup_teardown(test_label_skips, cluster_setup, cluster_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
