/* A container's environment, and the files about names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/json.h"
#include "base/str.h"
#include "kubelet/env.h"
#include "kubelet/net_files.h"

#include <errno.h>

static Value *parse(Arena *arena, const char *json) {
    Value *v = NULL;
    assert_int_equal(json_parse(arena, json, strlen(json), &v, NULL, NULL), 0);
    return v;
}

static Object *object(const char *plural, const char *json) {
    _cleanup_(arena_freep) Arena *arena = arena_new(0);
    return object_from_value(resource_find("", "v1", plural), parse(arena, json));
}

static int get(void *userdata, const char *plural, const char *ns, const char *name, Object **ret, ApiError *err) {
    (void)userdata;
    assert_string_equal(ns, "d");
    if (streq(plural, "configmaps") && streq(name, "c"))
        *ret = object(plural, "{\"metadata\":{\"name\":\"c\",\"namespace\":\"d\"},\"data\":{\"k\":\"v\"}}");
    else if (streq(plural, "secrets") && streq(name, "s"))
        *ret = object(plural, "{\"metadata\":{\"name\":\"s\",\"namespace\":\"d\"},\"data\":{\"p\":\"aHVudGVy\"}}");
    else
        return api_error_not_found(err, "", plural, name);
    return 0;
}

static const char *value_of(const RuntimePair *env, size_t n, const char *name) {
    for (size_t i = 0; i < n; i++)
        if (streq(env[i].key, name))
            return env[i].value;
    return NULL;
}

static const char POD[] = "{\"metadata\":{\"name\":\"p\",\"namespace\":\"d\"},\"spec\":{}}";

static int build(Arena *arena, const char *container, Object *const *services, size_t n_services, RuntimePair **env,
                 size_t *n, const char **error) {
    ObjectSource source = {.get = get};
    PodFacts facts = {.pod_ip = "10.0.0.5"};
    EnvContext context = {&source, &facts, services, n_services};
    return env_build(arena, &context, parse(arena, POD), parse(arena, container), env, n, error);
}

static void test_expansion(void **state) {
    (void)state;
    _cleanup_(arena_freep) Arena *arena = arena_new(0);
    RuntimePair *env = NULL;
    size_t n = 0;
    const char *error = NULL;
    assert_int_equal(
        build(arena,
              "{\"env\":[{\"name\":\"A\",\"value\":\"1\"},{\"name\":\"B\",\"value\":\"$(A)-$$(A)-$(NO)-$\"},"
              "{\"name\":\"IP\",\"valueFrom\":{\"fieldRef\":{\"fieldPath\":\"status.podIP\"}}},{\"name\":\"E\"}]}",
              NULL, 0, &env, &n, &error),
        0);
    assert_string_equal(value_of(env, n, "B"), "1-$(A)-$(NO)-$");
    assert_string_equal(value_of(env, n, "IP"), "10.0.0.5");
    assert_string_equal(value_of(env, n, "E"), "");
    const char *const *args = env_expand_list(arena, parse(arena, "[\"x\",\"$(A)$(B\"]"), env, n);
    assert_string_equal(args[1], "1$(B");
    assert_null(args[2]);
}

static void test_sources(void **state) {
    (void)state;
    _cleanup_(arena_freep) Arena *arena = arena_new(0);
    RuntimePair *env = NULL;
    size_t n = 0;
    const char *error = NULL;
    assert_int_equal(
        build(arena,
              "{\"envFrom\":[{\"prefix\":\"X_\",\"configMapRef\":{\"name\":\"c\"}},{\"secretRef\":{\"name\":"
              "\"no\",\"optional\":true}}],\"env\":[{\"name\":\"P\",\"valueFrom\":{\"secretKeyRef\":{\"name\":\"s\","
              "\"key\":\"p\"}}},{\"name\":\"Q\",\"valueFrom\":{\"configMapKeyRef\":{\"name\":\"c\",\"key\":\"no\","
              "\"optional\":true}}}]}",
              NULL, 0, &env, &n, &error),
        0);
    assert_string_equal(value_of(env, n, "X_k"), "v");
    assert_string_equal(value_of(env, n, "P"), "hunter");
    assert_null(value_of(env, n, "Q"));
    assert_int_equal(
        build(arena, "{\"env\":[{\"name\":\"P\",\"valueFrom\":{\"secretKeyRef\":{\"name\":\"s\",\"key\":\"z\"}}}]}",
              NULL, 0, &env, &n, &error),
        -ENOENT);
    assert_string_equal(error, "couldn't find key z in Secret d/s");
    assert_int_equal(build(arena, "{\"envFrom\":[{\"configMapRef\":{\"name\":\"no\"}}]}", NULL, 0, &env, &n, &error),
                     -ENOENT);
    assert_string_equal(error, "configmaps \"no\" not found");
}

static void test_services(void **state) {
    (void)state;
    _cleanup_(arena_freep) Arena *arena = arena_new(0);
    Object *services[] = {
        object(
            "services",
            "{\"metadata\":{\"name\":\"my-db\",\"namespace\":\"d\"},\"spec\":{\"clusterIP\":\"10.96.0.9\",\"ports\":["
            "{\"name\":\"sql\",\"port\":5432,\"protocol\":\"TCP\"}]}}"),
        object(
            "services",
            "{\"metadata\":{\"name\":\"other\",\"namespace\":\"e\"},\"spec\":{\"clusterIP\":\"10.96.0.8\",\"ports\":["
            "{\"port\":1}]}}"),
    };
    RuntimePair *env = NULL;
    size_t n = 0;
    const char *error = NULL;
    assert_int_equal(build(arena, "{\"env\":[{\"name\":\"U\",\"value\":\"at $(MY_DB_SERVICE_HOST)\"}]}", services, 2,
                           &env, &n, &error),
                     0);
    assert_string_equal(value_of(env, n, "MY_DB_SERVICE_PORT_SQL"), "5432");
    assert_string_equal(value_of(env, n, "MY_DB_PORT_5432_TCP"), "tcp://10.96.0.9:5432");
    assert_string_equal(value_of(env, n, "U"), "at 10.96.0.9");
    assert_null(value_of(env, n, "OTHER_SERVICE_HOST"));
    object_unref(services[0]);
    object_unref(services[1]);
}

static void test_dns(void **state) {
    (void)state;
    _cleanup_(arena_freep) Arena *arena = arena_new(0);
    static const char *const dns[] = {"10.96.0.10", NULL};
    static const char HOST[] = "# mine\nnameserver 192.0.2.53\nsearch corp.example\noptions ndots:1\n";
    DnsConfig c;
    dns_config(arena, parse(arena, POD), dns, "cluster.local", HOST, &c);
    assert_string_equal(c.servers[0], "10.96.0.10");
    assert_null(c.servers[1]);
    assert_string_equal(c.searches[0], "d.svc.cluster.local");
    assert_string_equal(c.searches[3], "corp.example");
    assert_string_equal(c.options[0], "ndots:5");
    dns_config(
        arena,
        parse(arena,
              "{\"metadata\":{\"namespace\":\"d\"},\"spec\":{\"dnsPolicy\":\"Default\",\"dnsConfig\":{\"options\":[{"
              "\"name\":\"ndots\",\"value\":\"3\"}]}}}"),
        dns, "cluster.local", HOST, &c);
    assert_string_equal(c.servers[0], "192.0.2.53");
    assert_string_equal(c.options[0], "ndots:3");
    assert_null(c.options[1]);
}

static void test_hosts(void **state) {
    (void)state;
    _cleanup_(arena_freep) Arena *arena = arena_new(0);
    Value *pod = parse(
        arena,
        "{\"metadata\":{\"name\":\"p\",\"namespace\":\"d\"},\"spec\":{\"subdomain\":\"sub\",\"hostAliases\":[{\"ip\":"
        "\"1.2.3.4\",\"hostnames\":[\"x\",\"y\"]}]}}");
    const char *domain = NULL, *name = pod_hostname(arena, pod, "node", "cluster.local", &domain);
    assert_string_equal(name, "p");
    assert_string_equal(domain, "sub.d.svc.cluster.local");
    static const char *const ips[] = {"10.0.0.5", NULL};
    _cleanup_buf_ Buf out = BUF_INIT(4096);
    hosts_file(&out, pod, ips, name, domain, "");
    assert_non_null(strstr(out.data, "10.0.0.5\tp.sub.d.svc.cluster.local\tp\n"));
    assert_non_null(strstr(out.data, "1.2.3.4\tx\ty\n"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_expansion), cmocka_unit_test(test_sources), cmocka_unit_test(test_services),
        cmocka_unit_test(test_dns),       cmocka_unit_test(test_hosts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
