/* What kube-apiserver v1.36.3 answers, over HTTPS: codes, types and messages. Each row was seen there. */
#include "apiserver/server.h"
#include "api/codec.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/str.h"
#include "http/client.h"
#include "loop/thread.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define WAIT_NS (10 * NS_PER_SEC)
#define ROUTER "406: Not Acceptable\n\nAvailable representations: "
#define CHOICE "only the following media types are accepted: "
#define MAPS "/api/v1/namespaces/default/configmaps"

typedef struct World {
    char dir[64];
    ApiServer *server;
    LoopThread *thread;
    HttpClient *client;
} World;

typedef struct Case {
    const char *method, *target, *accept, *content_type, *body;
    int code;
    const char *type, *message; /* of the Status; NULL: not looked at */
} Case;

static int call(World *world, const Case *c, HttpAnswer *ret) {
    HttpHeader headers[3] = {{"user-agent", "unit"}};
    size_t n = 1;
    if (c->accept)
        headers[n++] = (HttpHeader){"accept", c->accept};
    if (c->content_type)
        headers[n++] = (HttpHeader){"content-type", c->content_type};
    HttpCall http = {.method = c->method,
                     .target = c->target,
                     .headers = headers,
                     .n_headers = n,
                     .body = c->body,
                     .body_len = c->body ? strlen(c->body) : 0,
                     .has_body = c->body != NULL};
    return http_client_call(world->client, &http, 16 * 1024 * 1024, WAIT_NS, ret, NULL);
}

static void check(World *world, const Case *c) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    _cleanup_http_answer_ HttpAnswer answer = {0};
    Value *status = NULL;
    assert_int_equal(call(world, c, &answer), 0);
    if (answer.status != c->code || (c->type && !streq(str_or(answer.content_type, ""), c->type)))
        print_message("%s %s (accept %s): %d %s\n%.*s\n", c->method, c->target, str_or(c->accept, "-"), answer.status,
                      str_or(answer.content_type, ""), (int)answer.body.len, str_or(answer.body.data, ""));
    assert_int_equal(answer.status, c->code);
    if (c->type)
        assert_string_equal(str_or(answer.content_type, ""), c->type);
    if (!c->message)
        return;
    if (streq(str_or(c->type, ""), "application/yaml"))
        assert_int_equal(yaml_parse(arena, answer.body.data, answer.body.len, &status, NULL, NULL), 0);
    else
        assert_int_equal(json_parse(arena, answer.body.data, answer.body.len, &status, NULL, NULL), 0);
    assert_string_equal(str_or(value_get_str(status, "message"), ""), c->message);
    assert_int_equal(value_get_int(status, "code", 0), c->code);
}

static void check_all(void **state, const Case *cases, size_t n) {
    for (size_t i = 0; i < n; i++)
        check(*state, &cases[i]);
}

static void test_accept(void **state) {
    static const char object[] = ROUTER "application/json, application/yaml, application/vnd.kubernetes.protobuf";
    static const char list[] = ROUTER "application/json, application/yaml, application/vnd.kubernetes.protobuf, "
                                      "application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch";
    static const char choice[] = CHOICE "application/json, application/yaml, application/vnd.kubernetes.protobuf";
    static const char stream[] =
        CHOICE "application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch";
    static const char merge[] = "application/merge-patch+json";
    const Case cases[] = {
        {"GET", MAPS "/x", "text/html", NULL, NULL, 406, "application/json", object},
        {"GET", MAPS "/x", "application/*", NULL, NULL, 406, "application/json", object},
        {"GET", MAPS "/x", "APPLICATION/JSON", NULL, NULL, 406, "application/json", object},
        {"GET", MAPS "/x", "foo, */*", NULL, NULL, 404, "application/json", "configmaps \"x\" not found"},
        {"GET", MAPS "/x", "", NULL, NULL, 404, "application/json", "configmaps \"x\" not found"},
        {"GET", MAPS "/x", "application/json;q=0", NULL, NULL, 404, "application/json", "configmaps \"x\" not found"},
        {"GET", MAPS "/x", "application/yaml", NULL, NULL, 404, "application/yaml", "configmaps \"x\" not found"},
        {"GET", MAPS "/x", "application/json;as=Table", NULL, NULL, 406, "application/json", choice},
        {"GET", MAPS, "application/vnd.kubernetes.protobuf;as=Table;v=v1;g=meta.k8s.io", NULL, NULL, 406,
         "application/json", choice},
        {"GET", MAPS, "text/html", NULL, NULL, 406, "application/json", list},
        {"GET", MAPS "?watch=1", "text/html", NULL, NULL, 406, "application/json", list},
        {"GET", MAPS "?watch=1", "application/yaml", NULL, NULL, 406, "application/yaml", stream},
        {"GET", MAPS "?watch=1", "application/json;as=Table", NULL, NULL, 406, "application/json", choice},
        {"POST", MAPS, "text/html", "text/plain", "{}", 406, "application/json", object},
        {"PATCH", MAPS "/x", "text/html", merge, "{}", 406, "application/json", object},
        {"PATCH", MAPS "/x", "text/html", "text/plain", "{}", 415, "application/json", "415: Unsupported Media Type"},
        {"OPTIONS", MAPS, "application/yaml", NULL, NULL, 405, "application/yaml",
         "the server does not allow this method on the requested resource"},
        {"GET", "/api/v1/namespaces/default/pods/x/log", "application/*", NULL, NULL, 406, "application/json",
         ROUTER "text/plain, application/json, application/yaml, application/vnd.kubernetes.protobuf"},
        {"GET", "/api/v1/namespaces/default/pods/x/log", "text/plain", NULL, NULL, 406, "application/json", choice},
        {"GET", "/api/v1/namespaces/default/pods/x/log", "text/plain, */*", NULL, NULL, 404, "application/json",
         "pods \"x\" not found"},
        {"GET", "/api/v1/nodes/x/proxy/", "text/html", NULL, NULL, 404, "application/json", "nodes \"x\" not found"},
        {"GET", "/api/v1/namespaces/default/nothing", "application/yaml", NULL, NULL, 404, "application/yaml",
         "the server could not find the requested resource"},
        {"GET", "/api", "text/html", NULL, NULL, 406, "application/json", object},
        {"GET", "/api", "application/json;as=Table", NULL, NULL, 406, "application/json", choice},
        {"GET", "/api/v1", "application/*", NULL, NULL, 406, "application/json", object},
        {"GET", "/api/v1", "application/yaml", NULL, NULL, 200, "application/yaml", NULL},
        {"GET", "/apis", "text/html", NULL, NULL, 406, "application/json", choice},
        {"GET", "/apis", "application/*", NULL, NULL, 200, "application/json", NULL},
        {"GET", "/apis/apps", "text/html", NULL, NULL, 406, "application/json", choice},
        {"GET", "/apis/apps/v1", "application/vnd.kubernetes.protobuf", NULL, NULL, 200,
         "application/vnd.kubernetes.protobuf", NULL},
        {"GET", "/version", "application/yaml", NULL, NULL, 406, "application/yaml", ROUTER "application/json"},
        {"GET", "/openid/v1/jwks", "application/*", NULL, NULL, 406, "application/json",
         ROUTER "application/jwk-set+json"},
    };
    check_all(state, cases, ELEMENTSOF(cases));
}

static int set_up(void **state) {
    static const char *const disabled[] = {"ServiceAccount", NULL};
    static World world;
    _cleanup_arena_ Arena *arena = arena_new(0);
    strcpy(world.dir, "/tmp/lighter-answers-XXXXXX");
    if (!mkdtemp(world.dir))
        return -1;
    ApiServerConfig config = {.data_dir = world.dir, .port = 0, .threads = 2, .disabled_admission = disabled};
    assert_int_equal(apiserver_start(&config, &world.server), 0);
    assert_int_equal(loop_thread_new("client", 0, &world.thread), 0);
    HttpClientConfig client = {.to = {.host = "127.0.0.1",
                                      .port = apiserver_port(world.server),
                                      .tls = true,
                                      .ca_file = arena_printf(arena, "%s/pki/ca.crt", world.dir),
                                      .cert_file = arena_printf(arena, "%s/pki/clients/admin.crt", world.dir),
                                      .key_file = arena_printf(arena, "%s/pki/clients/admin.key", world.dir),
                                      .timeout_ns = WAIT_NS}};
    assert_int_equal(http_client_new(loop_thread_loop(world.thread), &client, &world.client, NULL), 0);
    *state = &world;
    return 0;
}

static int tear_down(void **state) {
    World *world = *state;
    http_client_free(world->client);
    loop_thread_free(world->thread);
    apiserver_stop(world->server);
    fs_remove_tree(world->dir);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accept),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
