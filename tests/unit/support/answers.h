/* One API server in its own folder, asked over HTTPS by an administrator; and cases of what kube-apiserver v1.36.3
 * answers. For cmocka groups: set_up and tear_down are the group's fixtures, *state is a World. */
#pragma once

#include "api/codec.h"
#include "api/json.h"
#include "apiserver/server.h"
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
#include <unistd.h>

#include <cmocka.h>

#define WAIT_NS (60 * NS_PER_SEC) /* on a busy machine */

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

static inline int call(World *world, const Case *c, HttpAnswer *ret) {
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

static inline void check(World *world, const Case *c) {
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

static inline void check_all(void **state, const Case *cases, size_t n) {
    for (size_t i = 0; i < n; i++)
        check(*state, &cases[i]);
}

/* Whether `text` stands in the answer's body. */
static inline void expect_text(World *world, const Case *c, const char *text, bool there) {
    _cleanup_http_answer_ HttpAnswer answer = {0};
    assert_int_equal(call(world, c, &answer), 0);
    if (answer.status != c->code || (strstr(str_or(answer.body.data, ""), text) != NULL) != there)
        print_message("%s %s: %d %s\n", c->method, c->target, answer.status, str_or(answer.body.data, ""));
    assert_int_equal(answer.status, c->code);
    assert_true((strstr(str_or(answer.body.data, ""), text) != NULL) == there);
}

/* Until the answer of a GET is as expected: definitions are looked at by a thread of their own. */
static inline void await(World *world, const char *target, const char *text) {
    for (int i = 0; i < 500; i++, usleep(10000)) {
        _cleanup_http_answer_ HttpAnswer answer = {0};
        assert_int_equal(call(world, &(Case){.method = "GET", .target = target}, &answer), 0);
        if (answer.status == 200 && strstr(str_or(answer.body.data, ""), text))
            return;
    }
    fail_msg("%s never had %s", target, text);
}

static inline int set_up(void **state) {
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

static inline int tear_down(void **state) {
    World *world = *state;
    http_client_free(world->client);
    loop_thread_free(world->thread);
    apiserver_stop(world->server);
    fs_remove_tree(world->dir);
    return 0;
}
