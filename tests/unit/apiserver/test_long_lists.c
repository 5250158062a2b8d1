/* Requests of allowed size with very long lists: what they cost must not grow with the square of their length, in time
 * or in memory. At the lengths here the square took between three seconds and minutes, and up to 24 GB. */
#include "../support/answers.h"

#include <sys/resource.h>
#include <time.h>

#define ITEMS 20000
#define JSON "application/json"
#define STRATEGIC "application/strategic-merge-patch+json"
#define PODS "/api/v1/namespaces/default/pods"
#define SECONDS_MAX 5
#define MEMORY_MAX_KB (1536l << 10)

/* An object whose list has ITEMS items, each from a format with the item's number in it. */
static char *with_list(const char *head, const char *item, const char *tail) {
    Buf out = BUF_INIT(BUF_NO_LIMIT);
    buf_puts(&out, head);
    for (int i = 0; i < ITEMS; i++) {
        if (i)
            buf_putc(&out, ',');
        for (const char *p = item; *p; p++)
            if (*p == '#')
                buf_printf(&out, "%d", i + 1);
            else
                buf_putc(&out, *p);
    }
    buf_puts(&out, tail);
    return out.data;
}

static void send_long(World *world, const char *method, const char *target, const char *type, const char *body) {
    _cleanup_http_answer_ HttpAnswer answer = {0};
    clock_t begin = clock(); /* the server is in this process; how busy the machine is does not count */
    assert_int_equal(
        call(world, &(Case){.method = method, .target = target, .content_type = type, .body = body}, &answer), 0);
    clock_t took = clock() - begin;
    if (took > SECONDS_MAX * CLOCKS_PER_SEC)
        fail_msg("%s %s of %.60s... took %.1f s", method, target, body, (double)took / CLOCKS_PER_SEC);
}

#define POD "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"long\"},\"spec\":{"
#define ONE "\"containers\":[{\"name\":\"c\",\"image\":\"i\"}]}}"

static void test_lists_of_pods(void **state) {
    static const struct {
        const char *head, *item, *tail;
    } rows[] = {
        {POD "\"tolerations\":[", "{\"key\":\"k#\"}", "]," ONE},
        {POD "\"imagePullSecrets\":[", "{\"name\":\"s#\"}", "]," ONE},
        {POD "\"hostAliases\":[", "{\"ip\":\"10.0.0.1\"}", "]," ONE},
        {POD "\"schedulingGates\":[", "{\"name\":\"g#\"}", "]," ONE},
        {POD "\"volumes\":[", "{\"name\":\"v#\",\"emptyDir\":{}}", "]," ONE},
        {POD "\"resourceClaims\":[", "{\"name\":\"r#\",\"resourceClaimName\":\"x\"}", "]," ONE},
        {POD "\"topologySpreadConstraints\":[",
         "{\"maxSkew\":1,\"topologyKey\":\"k#\",\"whenUnsatisfiable\":\"DoNotSchedule\"}", "]," ONE},
        {POD "\"containers\":[{\"name\":\"c\",\"image\":\"i\",\"env\":[", "{\"name\":\"A#\"}", "]}]}}"},
        {POD "\"containers\":[{\"name\":\"c\",\"image\":\"i\",\"ports\":[",
         "{\"containerPort\":#,\"hostPort\":#,\"name\":\"p\"}", "]}]}}"},
        {POD "\"containers\":[{\"name\":\"c\",\"image\":\"i\",\"ports\":[", "{\"containerPort\":1}", "]}]}}"},
        {POD "\"containers\":[{\"name\":\"c\",\"image\":\"i\",\"resources\":{\"claims\":[", "{\"name\":\"x#\"}",
         "]}}]}}"},
        {POD "\"containers\":[{\"name\":\"c\",\"image\":\"i\",\"volumeMounts\":[",
         "{\"name\":\"v\",\"mountPath\":\"/m#\"}", "]}]}}"},
    };
    for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
        _cleanup_free_ char *body = with_list(rows[i].head, rows[i].item, rows[i].tail);
        send_long(*state, "POST", PODS, JSON, body);
        send_long(*state, "PATCH", PODS "/long", STRATEGIC, "{\"metadata\":{\"annotations\":{\"a\":\"b\"}}}");
        send_long(*state, "DELETE", PODS "/long?gracePeriodSeconds=0", JSON, "{}");
    }
}

static void test_other_lists(void **state) {
    _cleanup_free_ char *ports =
        with_list("{\"metadata\":{\"name\":\"s\"},\"spec\":{\"ports\":[", "{\"name\":\"p#\",\"port\":#}", "]}}");
    _cleanup_free_ char *ips = with_list(
        "{\"metadata\":{\"name\":\"t\"},\"spec\":{\"ports\":[{\"port\":1}],\"externalIPs\":[", "\"10.1.#.1\"", "]}}");
    _cleanup_free_ char *limits =
        with_list("{\"metadata\":{\"name\":\"l\"},\"spec\":{\"limits\":[", "{\"type\":\"T#\"}", "]}}");
    send_long(*state, "POST", "/api/v1/namespaces/default/services", JSON, ports);
    send_long(*state, "POST", "/api/v1/namespaces/default/services", JSON, ips);
    send_long(*state, "POST", "/api/v1/namespaces/default/limitranges", JSON, limits);
}

#define CONFIG_MAPS "/api/v1/namespaces/default/configmaps"

/* Large maps: keys that are held against others, and one whose members come in another order. */
static void test_maps(void **state) {
    _cleanup_free_ char *texts = with_list("{\"metadata\":{\"name\":\"s\"},\"stringData\":{", "\"k#\":\"\"", "}}");
    _cleanup_free_ char *first = with_list("{\"metadata\":{\"name\":\"m\"},\"data\":{", "\"k#\":\"\"", "},");
    _cleanup_free_ char *second = with_list("\"binaryData\":{", "\"b#\":\"\"", "}}");
    _cleanup_free_ char *both = xasprintf("%s%s", first, second);
    _cleanup_free_ char *other = with_list("{\"data\":{", "\"k#\":null,\"a#\":\"\"", "}}");
    send_long(*state, "POST", "/api/v1/namespaces/default/secrets", JSON, texts);
    send_long(*state, "POST", CONFIG_MAPS, JSON, both);
    send_long(*state, "PATCH", CONFIG_MAPS "/m", STRATEGIC, other);
}

#define RBAC "rbac.authorization.k8s.io"
#define BINDINGS "/apis/" RBAC "/v1/namespaces/default/rolebindings"

/* A cell that holds many names. */
static void test_tables(void **state) {
    _cleanup_free_ char *binding =
        with_list("{\"metadata\":{\"name\":\"b\"},\"roleRef\":{\"apiGroup\":\"" RBAC "\",\"kind\":\"Role\","
                  "\"name\":\"r\"},\"subjects\":[",
                  "{\"kind\":\"Group\",\"name\":\"g#\"}", "]}");
    _cleanup_http_answer_ HttpAnswer answer = {0};
    send_long(*state, "POST", BINDINGS, JSON, binding);
    const Case list = {.method = "GET", .target = BINDINGS, .accept = JSON ";as=Table;v=v1;g=meta.k8s.io"};
    assert_int_equal(call(*state, &list, &answer), 0);
    assert_non_null(memmem(answer.body.data, answer.body.len, "g1, g2, g3", strlen("g1, g2, g3")));
}

static void test_memory(void **state) {
    struct rusage usage;
    (void)state;
    getrusage(RUSAGE_SELF, &usage);
    assert_true(usage.ru_maxrss < MEMORY_MAX_KB);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lists_of_pods), cmocka_unit_test(test_other_lists), cmocka_unit_test(test_maps),
        cmocka_unit_test(test_tables),        cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
