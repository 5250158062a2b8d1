/* As many groups of definitions as large operators bring: discovery and OpenAPI name each of them. */
#include "../support/answers.h"

#define GROUPS 400 /* with the built-in ones more than any list of fixed length here was meant for */
#define DEFINITIONS "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"

static void define(World *world, int i) {
    _cleanup_http_answer_ HttpAnswer answer = {0};
    _cleanup_free_ char *body = xasprintf(
        "{\"metadata\":{\"name\":\"things.g%d.example.com\"},\"spec\":{\"group\":\"g%d.example.com\",\"scope\":"
        "\"Cluster\",\"names\":{\"plural\":\"things\",\"kind\":\"Thing\"},\"versions\":[{\"name\":\"v1\",\"served\":"
        "true,\"storage\":true,\"schema\":{\"openAPIV3Schema\":{\"type\":\"object\"}}}]}}",
        i, i);
    const Case create = {.method = "POST", .target = DEFINITIONS, .content_type = "application/json", .body = body};
    assert_int_equal(call(world, &create, &answer), 0);
    assert_int_equal(answer.status, 201);
}

static bool has_all(World *world, const char *target, const char *accept, const char *format) {
    _cleanup_http_answer_ HttpAnswer answer = {0};
    const Case get = {.method = "GET", .target = target, .accept = accept};
    assert_int_equal(call(world, &get, &answer), 0);
    assert_int_equal(answer.status, 200);
    for (int i = 0; i < GROUPS; i++) {
        _cleanup_buf_ Buf wanted = BUF_INIT(256);
        for (const char *p = format; *p; p++)
            if (*p == '#')
                buf_printf(&wanted, "%d", i);
            else
                buf_putc(&wanted, *p);
        if (!memmem(answer.body.data, answer.body.len, wanted.data, wanted.len))
            return false;
    }
    return true;
}

/* Definitions are served a moment after they were accepted. */
static void eventually_has_all(World *world, const char *target, const char *accept, const char *format) {
    for (uint64_t end = now_monotonic_ns() + WAIT_NS; !has_all(world, target, accept, format); usleep(20 * 1000))
        if (now_monotonic_ns() > end)
            fail_msg("%s does not name all", target);
}

static void test_all_are_named(void **state) {
    World *world = *state;
    for (int i = 0; i < GROUPS; i++)
        define(world, i);
    eventually_has_all(world, "/apis", "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
                       "\"name\":\"g#.example.com\"");
    eventually_has_all(world, "/apis", "application/json", "\"name\":\"g#.example.com\"");
    eventually_has_all(world, "/openapi/v3", "application/json", "\"apis/g#.example.com/v1\"");
    eventually_has_all(world, "/openapi/v2", "application/json", "\"/apis/g#.example.com/v1/things\"");
    eventually_has_all(world, "/", "application/json", "\"/apis/g#.example.com/v1\"");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_all_are_named)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
