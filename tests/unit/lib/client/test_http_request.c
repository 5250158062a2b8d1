/* Requests as URLs, answers as objects, kubeconfig files. */
#include "api/json.h"
#include "base/fs.h"
#include "base/str.h"
#include "client/http_request.h"
#include "client/kubeconfig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <unistd.h>
#include <cmocka.h>

static void check_path(ApiRequest request, const char *expected) {
    _cleanup_buf_ Buf out = BUF_INIT(BUF_NO_LIMIT);
    http_request_path(&out, &request);
    assert_string_equal(out.data, expected);
}

static void test_paths(_unused_ void **state) {
    const Resource *pods = resource_find("", "v1", "pods"), *nodes = resource_find("", "v1", "nodes");
    const Resource *deployments = resource_find("apps", "v1", "deployments");
    check_path((ApiRequest){.verb = API_GET, .resource = pods, .ns = "n", .name = "p"}, "/api/v1/namespaces/n/pods/p");
    check_path((ApiRequest){.verb = API_LIST, .resource = pods}, "/api/v1/pods");
    check_path((ApiRequest){.verb = API_GET, .resource = nodes, .ns = "ignored", .name = "x"}, "/api/v1/nodes/x");
    check_path(
        (ApiRequest){.verb = API_UPDATE, .resource = deployments, .ns = "n", .name = "d", .subresource = "status"},
        "/apis/apps/v1/namespaces/n/deployments/d/status");
    check_path((ApiRequest){.verb = API_LIST,
                            .resource = pods,
                            .options = {.label_selector = "a=b,c in (d)", .limit = 5, .continue_token = "x/y="}},
               "/api/v1/pods?labelSelector=a%3Db%2Cc%20in%20%28d%29&limit=5&continue=x%2Fy%3D");
    check_path(
        (ApiRequest){.verb = API_WATCH,
                     .resource = pods,
                     .options = {.resource_version = "7", .allow_watch_bookmarks = true, .timeout_seconds = 300}},
        "/api/v1/pods?watch=true&resourceVersion=7&timeoutSeconds=300&allowWatchBookmarks=true");
    check_path((ApiRequest){.verb = API_GET, .resource = pods, .ns = "../x", .name = "a/b?c"},
               "/api/v1/namespaces/..%2Fx/pods/a%2Fb%3Fc");
}

static void test_answers(_unused_ void **state) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    const Resource *pods = resource_find("", "v1", "pods");
    Value *v = NULL;
    const char *json = "{\"metadata\":{\"name\":\"p\",\"namespace\":\"n\",\"uid\":\"u\",\"resourceVersion\":\"42\","
                       "\"managedFields\":[]},"
                       "\"spec\":{\"nodeName\":\"x\",\"containers\":[]}}";
    assert_int_equal(json_parse(arena, json, strlen(json), &v, NULL, NULL), 0);
    _cleanup_object_ Object *whole = http_answer_object(arena, pods, v, false);
    assert_int_equal(object_revision(whole), 42);
    assert_string_equal(object_name(whole), "p");
    assert_string_equal(object_field(whole, "spec.nodeName"), "x");
    assert_string_equal(value_get_str(object_value(whole, arena), "kind"), "Pod");
    _cleanup_object_ Object *metadata = http_answer_object(arena, pods, v, true);
    assert_int_equal(object_revision(metadata), 42);
    assert_null(value_get(object_value(metadata, arena), "spec"));
}

static void write_file(const char *path, const char *text) {
    assert_int_equal(fs_write_atomic(path, text, strlen(text), 0600), 0);
}

static void test_kubeconfig(_unused_ void **state) {
    char dir[] = "/tmp/lighter-kubeconfig.XXXXXX";
    assert_non_null(mkdtemp(dir));
    _cleanup_free_ char *path = xasprintf("%s/config", dir), *ca = xasprintf("%s/ca.pem", dir), *error = NULL;
    write_file(ca, "CA PEM");
    write_file(
        path,
        "apiVersion: v1\nkind: Config\ncurrent-context: two\n"
        "clusters:\n- name: c\n  cluster:\n    server: https://127.0.0.1:6443/\n    certificate-authority: ca.pem\n"
        "users:\n- name: u\n  user:\n    client-certificate-data: Q0VSVA==\n    client-key-data: S0VZ\n"
        "- name: t\n  user: {token: secret}\n"
        "contexts:\n- name: one\n  context: {cluster: c, user: t}\n- name: two\n  context: {cluster: c, user: u}\n");
    _cleanup_kubeconfig_ Kubeconfig two = {0}, one = {0}, none = {0};
    assert_int_equal(kubeconfig_load(path, NULL, &two, &error), 0);
    assert_string_equal(two.server, "https://127.0.0.1:6443");
    assert_string_equal(two.ca_pem, "CA PEM");
    assert_string_equal(two.cert_pem, "CERT");
    assert_string_equal(two.key_pem, "KEY");
    assert_null(two.token);
    assert_int_equal(kubeconfig_load(path, "one", &one, &error), 0);
    assert_string_equal(one.token, "secret");
    assert_true(kubeconfig_load(path, "three", &none, &error) < 0);
    assert_non_null(strstr(error, "three"));
    free(TAKE_PTR(error));
    write_file(path, "clusters: [");
    assert_true(kubeconfig_load(path, NULL, &none, &error) < 0);
    free(TAKE_PTR(error));
    write_file(path, "current-context: a\ncontexts:\n- name: a\n  context: {cluster: c, user: u}\nclusters:\n- name: "
                     "c\n  cluster: {server: x, certificate-authority-data: '!'}\n");
    assert_true(kubeconfig_load(path, NULL, &none, &error) < 0);
    assert_non_null(strstr(error, "base64"));
    unlink(path);
    unlink(ca);
    rmdir(dir);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_kubeconfig),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
