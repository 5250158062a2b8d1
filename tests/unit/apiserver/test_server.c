/* The whole server in this process, reached in both ways: the in-process transport and HTTPS with its own kubeconfig.
 * Every test runs over both. */
#include "apiserver/event_ttl.h"
#include "apiserver/server.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/str.h"
#include "http/fetch.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define WAIT_NS (10 * NS_PER_SEC)

typedef struct World {
    char dir[64];
    ApiServer *server;
    Client *local, *http;
} World;

static const char *const masters[] = {"system:masters", NULL};
static const UserInfo admin = {.name = "admin", .groups = masters};

static void start(World *world) {
    static const char *const disabled[] = {"ServiceAccount", NULL};
    _cleanup_free_ char *kubeconfig = xasprintf("%s/kubeconfig", world->dir), *error = NULL;
    ApiServerConfig config = {.data_dir = world->dir, .port = 0, .threads = 2, .disabled_admission = disabled};
    assert_int_equal(apiserver_start(&config, &world->server), 0);
    world->local = apiserver_local_client(world->server, &admin, "unit/1");
    assert_non_null(world->local);
    assert_int_equal(client_http_from_kubeconfig(kubeconfig, "unit/1", &world->http, &error), 0);
}

static void stop(World *world) {
    client_free(world->http);
    client_free(world->local);
    apiserver_stop(world->server);
}

static int set_up(void **state) {
    static World world;
    strcpy(world.dir, "/tmp/lighter-apiserver-XXXXXX");
    if (!mkdtemp(world.dir))
        return -1;
    start(&world);
    *state = &world;
    return 0;
}

static int tear_down(void **state) {
    World *world = *state;
    stop(world);
    return fs_remove_tree(world->dir);
}

static const Resource *config_maps(void) {
    return resource_find("", "v1", "configmaps");
}

static Value *parse(Arena *arena, const char *json) {
    Value *v = NULL;
    assert_int_equal(json_parse(arena, json, strlen(json), &v, NULL, NULL), 0);
    return v;
}

static Value *config_map(Arena *arena, const char *name, const char *value) {
    return parse(arena, arena_printf(arena,
                                     "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"%s\","
                                     "\"labels\":{\"t\":\"x\"}},\"data\":{\"a\":\"%s\"}}",
                                     name, value));
}

static const char *data_of(Arena *arena, const Object *object, const char *key) {
    return value_get_str(value_get(object_value(object, arena), "data"), key);
}

static void life_of(Client *client, const char *name) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    _cleanup_object_ Object *made = NULL, *changed = NULL, *patched = NULL, *gone = NULL;
    _cleanup_api_error_ ApiError err = {0};
    assert_int_equal(client_create(client, config_maps(), "default", config_map(arena, name, "1"), &made, &err), 0);
    assert_true(object_revision(made) > 0);
    assert_int_equal(strlen(object_uid(made)), 36);
    assert_int_equal(client_create(client, config_maps(), "default", config_map(arena, name, "1"), &gone, &err),
                     -EEXIST);
    assert_string_equal(err.reason, "AlreadyExists");

    Value *v = object_value(made, arena);
    value_set_str(arena, value_get(v, "data"), "a", "2");
    assert_int_equal(client_update(client, config_maps(), "default", name, NULL, v, &changed, &err), 0);
    assert_string_equal(data_of(arena, changed, "a"), "2");
    assert_int_equal(client_update(client, config_maps(), "default", name, NULL, v, &gone, &err), -ESTALE);
    assert_int_equal(err.code, 409);

    Value *patch = parse(arena, "{\"data\":{\"b\":\"3\",\"a\":null}}");
    assert_int_equal(client_patch(client, config_maps(), "default", name, NULL, PATCH_MERGE, patch, &patched, &err), 0);
    assert_string_equal(data_of(arena, patched, "b"), "3");
    assert_null(data_of(arena, patched, "a"));

    ClientDelete wrong = {.uid = "11111111-1111-1111-1111-111111111111", .grace_seconds = -1};
    assert_int_equal(client_delete(client, config_maps(), "default", name, &wrong, &err), -ESTALE);
    assert_int_equal(client_delete(client, config_maps(), "default", name, NULL, &err), 0);
    assert_int_equal(client_get(client, config_maps(), "default", name, &gone, &err), -ENOENT);
    assert_string_equal(err.message, arena_printf(arena, "configmaps \"%s\" not found", name));
}

static void test_life(void **state) {
    World *world = *state;
    life_of(world->local, "local");
    life_of(world->http, "http");
}

static void test_generated_names(void **state) {
    World *world = *state;
    _cleanup_arena_ Arena *arena = arena_new(0);
    _cleanup_object_ Object *a = NULL, *b = NULL;
    Value *v = parse(arena, "{\"metadata\":{\"generateName\":\"gen-\"}}");
    assert_int_equal(client_create(world->local, config_maps(), "default", v, &a, NULL), 0);
    assert_int_equal(client_create(world->local, config_maps(), "default", v, &b, NULL), 0);
    assert_true(str_has_prefix(object_name(a), "gen-"));
    assert_int_equal(strlen(object_name(a)), strlen("gen-") + 5);
    assert_string_not_equal(object_name(a), object_name(b));
}

static void test_missing_namespace(void **state) {
    World *world = *state;
    _cleanup_arena_ Arena *arena = arena_new(0);
    _cleanup_object_ Object *made = NULL;
    _cleanup_api_error_ ApiError err = {0};
    assert_int_equal(client_create(world->http, config_maps(), "nowhere", config_map(arena, "x", "1"), &made, &err),
                     -ENOENT);
    assert_string_equal(err.message, "namespaces \"nowhere\" not found");
}

static void test_finalizers(void **state) {
    World *world = *state;
    _cleanup_arena_ Arena *arena = arena_new(0);
    _cleanup_object_ Object *made = NULL, *held = NULL, *gone = NULL, *last = NULL;
    _cleanup_api_error_ ApiError err = {0};
    Value *v = config_map(arena, "held", "1");
    value_append(arena, value_ensure_array(arena, value_get(v, "metadata"), "finalizers"),
                 value_string(arena, "example.com/hold"));
    assert_int_equal(client_create(world->local, config_maps(), "default", v, &made, &err), 0);
    assert_int_equal(client_delete(world->http, config_maps(), "default", "held", NULL, &err), 0);
    assert_int_equal(client_get(world->http, config_maps(), "default", "held", &held, &err), 0);
    assert_true(object_is_deleting(held));
    Value *patch = parse(arena, "{\"metadata\":{\"finalizers\":[\"example.com/more\",\"example.com/hold\"]}}");
    assert_int_equal(client_patch(world->http, config_maps(), "default", "held", NULL, PATCH_MERGE, patch, &last, &err),
                     -EINVAL);
    assert_int_equal(err.code, 422);
    patch = parse(arena, "{\"metadata\":{\"finalizers\":null}}");
    assert_int_equal(client_patch(world->http, config_maps(), "default", "held", NULL, PATCH_MERGE, patch, &last, &err),
                     0);
    assert_int_equal(client_get(world->http, config_maps(), "default", "held", &gone, &err), -ENOENT);
}

/* Kinds that a PUT of an absent object makes: a patch still needs something to change. */
static void test_patch_of_absent(void **state) {
    static const struct {
        const char *group, *plural, *ns, *patch;
    } rows[] = {
        {"", "configmaps", "default", "{\"data\":{\"a\":\"1\"}}"},
        {"coordination.k8s.io", "leases", "default", "{\"spec\":{\"leaseDurationSeconds\":40}}"},
        {"rbac.authorization.k8s.io", "clusterroles", NULL, "{\"rules\":[]}"},
    };
    World *world = *state;
    for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
        _cleanup_arena_ Arena *arena = arena_new(0);
        _cleanup_api_error_ ApiError err = {0};
        _cleanup_object_ Object *none = NULL;
        const Resource *resource = resource_find(rows[i].group, "v1", rows[i].plural);
        assert_int_equal(client_patch(world->http, resource, rows[i].ns, "absent", NULL, PATCH_MERGE,
                                      parse(arena, rows[i].patch), &none, &err),
                         -ENOENT);
        assert_int_equal(err.code, 404);
    }
}

static void expect_forbidden(Client *client, const char *name) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    _cleanup_api_error_ ApiError err = {0};
    _cleanup_object_ Object *none = NULL;
    assert_int_equal(client_create(client, config_maps(), "default", config_map(arena, "x", "1"), &none, &err),
                     -EACCES);
    const char *user = arena_printf(arena, "User \"system:serviceaccount:kube-system:%s\" cannot create", name);
    if (!strstr(err.message, user))
        fail_msg("%s", err.message);
}

/* A client that acts as a service account has that account's rights, and no token outlives the account. */
static void test_acting_as_an_account(void **state) {
    World *world = *state;
    const Resource *accounts = resource_find("", "v1", "serviceaccounts");
    Client *const clients[] = {world->local, world->http};
    for (size_t i = 0; i < ELEMENTSOF(clients); i++) {
        _cleanup_arena_ Arena *arena = arena_new(0);
        _cleanup_api_error_ ApiError err = {0};
        _cleanup_object_ Object *made = NULL, *none = NULL;
        _cleanup_(client_freep) Client *client = client_as_account(clients[i], "kube-system", "acting");
        expect_forbidden(client, "acting");
        Value *binding = parse(arena, "{\"metadata\":{\"name\":\"acting\"},\"roleRef\":{\"apiGroup\":"
                                      "\"rbac.authorization.k8s.io\",\"kind\":\"ClusterRole\","
                                      "\"name\":\"cluster-admin\"},"
                                      "\"subjects\":[{\"kind\":\"ServiceAccount\",\"namespace\":\"kube-system\","
                                      "\"name\":\"acting\"}]}");
        const Resource *bindings = resource_find("rbac.authorization.k8s.io", "v1", "rolebindings");
        assert_int_equal(client_create(world->local, bindings, "default", binding, NULL, NULL), 0);
        assert_int_equal(client_create(client, config_maps(), "default", config_map(arena, "acted", "1"), &made, &err),
                         0);
        assert_int_equal(client_delete(client, config_maps(), "default", "acted", NULL, NULL), 0);
        assert_int_equal(client_delete(world->local, bindings, "default", "acting", NULL, NULL), 0);
        expect_forbidden(client, "acting");
    }
    /* over HTTPS there is an account now, and a token of it */
    _cleanup_(client_freep) Client *client = client_as_account(world->http, "kube-system", "acting");
    _cleanup_arena_ Arena *arena = arena_new(0);
    _cleanup_api_error_ ApiError err = {0};
    _cleanup_object_ Object *none = NULL;
    assert_int_equal(client_delete(world->local, accounts, "kube-system", "acting", NULL, NULL), 0);
    assert_true(client_create(client, config_maps(), "default", config_map(arena, "x", "1"), &none, &err) < 0);
    assert_int_equal(err.code, 401);
    expect_forbidden(client, "acting"); /* by a new account of that name */
}

static void test_dry_run(void **state) {
    World *world = *state;
    _cleanup_arena_ Arena *arena = arena_new(0);
    _cleanup_api_response_ ApiResponse response = {0};
    _cleanup_api_error_ ApiError err = {0};
    _cleanup_object_ Object *there = NULL;
    uint64_t before = store_revision(registry_store(api_core_registry(apiserver_core(world->server))));
    ApiRequest request = {.verb = API_CREATE,
                          .resource = config_maps(),
                          .ns = "default",
                          .user = &admin,
                          .user_agent = "unit",
                          .options = {.dry_run = true},
                          .body = config_map(arena, "dry", "1"),
                          .arena = arena};
    assert_int_equal(api_execute(apiserver_core(world->server), &request, NULL, &response, &err), 0);
    assert_int_equal(response.code, 201);
    assert_string_equal(object_name(response.object), "dry");
    assert_int_equal(client_get(world->local, config_maps(), "default", "dry", &there, &err), -ENOENT);
    assert_int_equal(store_revision(registry_store(api_core_registry(apiserver_core(world->server)))), before);
}

/* Strict field validation refuses what is warned about otherwise. */
static void test_field_validation(void **state) {
    World *world = *state;
    _cleanup_arena_ Arena *arena = arena_new(0);
    _cleanup_api_error_ ApiError err = {0};
    ApiRequest request = {.verb = API_CREATE,
                          .resource = config_maps(),
                          .ns = "default",
                          .user = &admin,
                          .user_agent = "unit",
                          .options = {.dry_run = true},
                          .arena = arena};
    request.body = parse(arena, "{\"metadata\":{\"name\":\"u\"},\"bogus\":1}");
    {
        _cleanup_api_response_ ApiResponse response = {0};
        assert_int_equal(api_execute(apiserver_core(world->server), &request, NULL, &response, &err), 0);
        assert_int_equal(response.n_warnings, 1);
        assert_string_equal(response.warnings[0], "unknown field \"bogus\"");
    }
    _cleanup_api_response_ ApiResponse strict = {0};
    request.options.field_validation = "Strict";
    assert_int_equal(api_execute(apiserver_core(world->server), &request, NULL, &strict, &err), -EINVAL);
    assert_string_equal(
        err.message,
        "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: strict decoding error: unknown field \"bogus\"");
}

typedef struct Seen {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    char log[1024]; /* "ADDED a,MODIFIED a," */
    int ended;
} Seen;

static void on_event(const char *type, Object *object, uint64_t revision, void *userdata) {
    Seen *seen = userdata;
    (void)revision;
    pthread_mutex_lock(&seen->lock);
    size_t n = strlen(seen->log);
    if (object && streq(object_namespace(object), "default"))
        snprintf(seen->log + n, sizeof seen->log - n, "%s %s,", type, object_name(object));
    pthread_cond_broadcast(&seen->changed);
    pthread_mutex_unlock(&seen->lock);
}

static void on_end(int error, void *userdata) {
    Seen *seen = userdata;
    pthread_mutex_lock(&seen->lock);
    seen->ended = error ? error : 1;
    pthread_cond_broadcast(&seen->changed);
    pthread_mutex_unlock(&seen->lock);
}

static void wait_for_log(Seen *seen, const char *want) {
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 10;
    pthread_mutex_lock(&seen->lock);
    while (!strstr(seen->log, want))
        if (pthread_cond_timedwait(&seen->changed, &seen->lock, &until) != 0)
            break;
    pthread_mutex_unlock(&seen->lock);
    assert_non_null(strstr(seen->log, want));
}

static void watch_over(Client *client, const char *label) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    _cleanup_object_ Object *a = NULL, *b = NULL, *c = NULL;
    Seen seen = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    const ClientWatchOps ops = {on_event, on_end};
    ClientWatch *watch = NULL;
    _cleanup_api_error_ ApiError err = {0};
    const char *name = arena_printf(arena, "%s-w", label), *other = arena_printf(arena, "%s-other", label);
    ApiOptions options = {.label_selector = arena_printf(arena, "who=%s", label)};
    Value *v = config_map(arena, name, "1"), *elsewhere = config_map(arena, other, "1");
    value_set_str(arena, value_path(v, "metadata", "labels", NULL), "who", label);
    assert_int_equal(client_create(client, config_maps(), "default", v, &a, &err), 0);
    assert_int_equal(client_watch(client, config_maps(), "default", &options, &ops, &seen, &watch, &err), 0);
    wait_for_log(&seen, arena_printf(arena, "ADDED %s,", name));
    assert_int_equal(client_create(client, config_maps(), "default", elsewhere, &b, &err), 0);
    Value *patch = parse(arena, "{\"data\":{\"a\":\"2\"}}");
    assert_int_equal(client_patch(client, config_maps(), "default", name, NULL, PATCH_MERGE, patch, &c, &err), 0);
    wait_for_log(&seen, arena_printf(arena, "MODIFIED %s,", name));
    assert_int_equal(client_delete(client, config_maps(), "default", name, NULL, &err), 0);
    wait_for_log(&seen, arena_printf(arena, "DELETED %s,", name));
    assert_null(strstr(seen.log, "other"));
    client_watch_stop(client, watch);
    assert_int_equal(client_delete(client, config_maps(), "default", other, NULL, &err), 0);
}

static void test_watch(void **state) {
    World *world = *state;
    watch_over(world->local, "local");
    watch_over(world->http, "http");
}

static void test_binding_and_scale(void **state) {
    World *world = *state;
    _cleanup_arena_ Arena *arena = arena_new(0);
    _cleanup_object_ Object *pod = NULL, *bound = NULL;
    _cleanup_api_error_ ApiError err = {0};
    const Resource *pods = resource_find("", "v1", "pods");
    Value *answer = NULL;
    Value *v =
        parse(arena, "{\"metadata\":{\"name\":\"p\"},\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"i\"}]}}");
    Value *binding = parse(arena, "{\"metadata\":{\"name\":\"p\"},\"target\":{\"kind\":\"Node\",\"name\":\"n\"}}");
    assert_int_equal(client_create(world->http, pods, "default", v, &pod, &err), 0);
    assert_int_equal(
        client_create_subresource(world->http, pods, "default", "p", "binding", binding, arena, &answer, &err), 0);
    assert_int_equal(client_get(world->local, pods, "default", "p", &bound, &err), 0);
    assert_string_equal(object_field(bound, "spec.nodeName"), "n");
    assert_int_equal(value_get_int(value_get(object_value(bound, arena), "metadata"), "generation", 0), 1);
    assert_int_equal(
        client_create_subresource(world->local, pods, "default", "p", "binding", binding, arena, &answer, &err),
        -ESTALE);
    assert_string_equal(err.message,
                        "Operation cannot be fulfilled on pods/binding \"p\": pod p is already assigned to node \"n\"");
    /* An eviction says on the pod why it ends. */
    _cleanup_object_ Object *evicted = NULL;
    Value *eviction = parse(arena, "{\"metadata\":{\"name\":\"p\"}}");
    assert_int_equal(
        client_create_subresource(world->http, pods, "default", "p", "eviction", eviction, arena, &answer, &err), 0);
    assert_int_equal(client_get(world->local, pods, "default", "p", &evicted, &err), 0);
    Value *conditions = value_path(object_value(evicted, arena), "status", "conditions", NULL), *last = NULL;
    for (size_t i = 0; i < value_len(conditions); i++)
        last = conditions->items[i];
    assert_string_equal(value_get_str(last, "type"), "DisruptionTarget");
    assert_string_equal(value_get_str(last, "reason"), "EvictionByEvictionAPI");
    assert_non_null(value_get(value_get(object_value(evicted, arena), "metadata"), "deletionTimestamp"));
    ClientDelete now = {.grace_seconds = 0};
    assert_int_equal(client_delete(world->local, pods, "default", "p", &now, &err), 0);
}

static void test_delete_collection(void **state) {
    World *world = *state;
    _cleanup_arena_ Arena *arena = arena_new(0);
    _cleanup_client_list_ ClientList left = {0};
    _cleanup_api_error_ ApiError err = {0};
    for (int i = 0; i < 5; i++) {
        _cleanup_object_ Object *made = NULL;
        Value *v = config_map(arena, arena_printf(arena, "many-%d", i), "1");
        value_set_str(arena, value_path(v, "metadata", "labels", NULL), "group", i < 3 ? "a" : "b");
        assert_int_equal(client_create(world->local, config_maps(), "kube-public", v, &made, &err), 0);
    }
    ApiOptions options = {.label_selector = "group=a"};
    assert_int_equal(client_delete_collection(world->http, config_maps(), "kube-public", &options, NULL, &err), 0);
    assert_int_equal(client_list(world->http, config_maps(), "kube-public", NULL, &left, &err), 0);
    assert_int_equal(left.n, 2);
}

/* Over HTTPS it comes in parts; in process it does not. */
static void test_a_large_list(void **state) {
    World *world = *state;
    _cleanup_arena_ Arena *arena = arena_new(0);
    _cleanup_client_list_ ClientList far = {0}, near = {0}, page = {0};
    _cleanup_api_error_ ApiError err = {0};
    char text[8192];
    memset(text, 't', sizeof text - 1);
    text[sizeof text - 1] = 0;
    for (int i = 0; i < 40; i++) {
        _cleanup_object_ Object *made = NULL;
        Value *v = config_map(arena, arena_printf(arena, "large-%02d", i), text);
        assert_int_equal(client_create(world->local, config_maps(), "kube-node-lease", v, &made, &err), 0);
    }
    assert_int_equal(client_list(world->http, config_maps(), "kube-node-lease", NULL, &far, &err), 0);
    assert_int_equal(client_list(world->local, config_maps(), "kube-node-lease", NULL, &near, &err), 0);
    assert_int_equal(far.n, 40);
    assert_int_equal(near.n, 40);
    assert_int_equal(far.revision, near.revision);
    for (size_t i = 0; i < near.n; i++)
        assert_true(value_equal(object_value(far.items[i], arena), object_value(near.items[i], arena)));
    ApiOptions options = {.limit = 30};
    assert_int_equal(client_list(world->http, config_maps(), "kube-node-lease", &options, &page, &err), 0);
    assert_int_equal(page.n, 40); /* the client follows the continue token of the first page, large too */
}

/* In protobuf it has its length in front: learned the first time, remembered the second, and of an object that has
 * changed since, learned again. */
static void large_list_as_protobuf(World *world, size_t want_first) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    _cleanup_http_answer_ HttpAnswer answer = {0};
    const HttpHeader headers[] = {{"host", "localhost"}, {"accept", "application/vnd.kubernetes.protobuf"}};
    HttpFetch fetch = {
        .to = {.host = "127.0.0.1",
               .port = apiserver_port(world->server),
               .tls = true,
               .ca_file = arena_printf(arena, "%s/pki/ca.crt", world->dir),
               .cert_file = arena_printf(arena, "%s/pki/clients/admin.crt", world->dir),
               .key_file = arena_printf(arena, "%s/pki/clients/admin.key", world->dir),
               .timeout_ns = WAIT_NS},
        .target = "/api/v1/namespaces/kube-node-lease/configmaps?labelSelector=t%3Dx",
        .headers = headers,
        .n_headers = ELEMENTSOF(headers),
        .max_body = 4 * 1024 * 1024,
    };
    const char *api_version, *kind;
    const void *raw;
    size_t n;
    Value *list;
    assert_int_equal(http_fetch(&fetch, &answer, NULL), 0);
    assert_int_equal(answer.status, 200);
    assert_int_equal(protobuf_decode(arena, answer.body.data, answer.body.len, &api_version, &kind, &raw, &n), 0);
    assert_string_equal(kind, "ConfigMapList");
    assert_int_equal(protobuf_decode_message(arena, schema_by_name("io.k8s.api.core.v1.ConfigMapList"), raw, n, &list),
                     0);
    const Value *items = value_get(list, "items");
    assert_int_equal(value_len(items), 40);
    for (size_t i = 0; i < 40; i++)
        assert_int_equal(strlen(value_get_str(value_path(value_at(items, i), "data", NULL), "a")),
                         i == 0 ? want_first : 8191);
}

static void test_a_large_list_as_protobuf(void **state) {
    World *world = *state;
    _cleanup_arena_ Arena *arena = arena_new(0);
    _cleanup_object_ Object *changed = NULL;
    large_list_as_protobuf(world, 8191);
    large_list_as_protobuf(world, 8191);
    Value *patch = parse(arena, "{\"data\":{\"a\":\"short\"}}");
    assert_int_equal(client_patch(world->local, config_maps(), "kube-node-lease", "large-00", NULL, PATCH_MERGE, patch,
                                  &changed, NULL),
                     0);
    large_list_as_protobuf(world, 5);
}

static void test_events_expire(void **state) {
    World *world = *state;
    _cleanup_arena_ Arena *arena = arena_new(0);
    _cleanup_object_ Object *old = NULL, *renewed = NULL, *there = NULL;
    _cleanup_api_error_ ApiError err = {0};
    const Resource *events = resource_find("", "v1", "events");
    Store *store = registry_store(api_core_registry(apiserver_core(world->server)));
    size_t removed = 0;
    int64_t hour = (int64_t)(3600 * NS_PER_SEC), now = now_realtime_ns();
    char soon[RFC3339_MAX];
    Value *v = parse(arena, "{\"metadata\":{\"name\":\"e\"},\"involvedObject\":{\"kind\":\"Pod\",\"name\":\"p\","
                            "\"namespace\":\"default\"}}");
    assert_int_equal(client_create(world->local, events, "default", v, &old, &err), 0);
    value_set_str(arena, value_get(v, "metadata"), "name", "f");
    value_set_str(arena, v, "lastTimestamp", rfc3339_format(now + hour, soon));
    assert_int_equal(client_create(world->local, events, "default", v, &renewed, &err), 0);
    assert_int_equal(event_ttl_sweep(store, now, 0, &removed), 0);
    assert_int_equal(removed, 0);
    assert_int_equal(event_ttl_sweep(store, now + hour + (int64_t)(5 * NS_PER_SEC), 0, &removed), 0);
    assert_int_equal(removed, 1);
    assert_int_equal(client_get(world->local, events, "default", "e", &there, &err), -ENOENT);
    assert_int_equal(client_get(world->local, events, "default", "f", &there, &err), 0);
    /* Whatever its times say: */
    assert_int_equal(event_ttl_sweep(store, now - 24 * hour, object_revision(renewed) - 1, &removed), 0);
    assert_int_equal(removed, 0);
    assert_int_equal(event_ttl_sweep(store, now - 24 * hour, object_revision(renewed), &removed), 0);
    assert_int_equal(removed, 1);
}

static void expect_endpoint(ApiServer *server, const char *address) {
    _cleanup_(client_freep) Client *client = apiserver_local_client(server, &admin, "unit/1");
    _cleanup_arena_ Arena *arena = arena_new(0);
    _cleanup_object_ Object *endpoints = NULL, *slice = NULL;
    assert_int_equal(
        client_get(client, resource_find("", "v1", "endpoints"), "default", "kubernetes", &endpoints, NULL), 0);
    assert_int_equal(client_get(client, resource_find("discovery.k8s.io", "v1", "endpointslices"), "default",
                                "kubernetes", &slice, NULL),
                     0);
    const Value *subset = value_at(value_get(object_value(endpoints, arena), "subsets"), 0),
                *endpoint = value_at(value_get(object_value(slice, arena), "endpoints"), 0);
    assert_string_equal(value_get_str(value_at(value_get(subset, "addresses"), 0), "ip"), address);
    assert_int_equal(value_get_int(value_at(value_get(subset, "ports"), 0), "port", 0), apiserver_port(server));
    assert_string_equal(value_str(value_at(value_get(endpoint, "addresses"), 0)), address);
    assert_string_equal(object_label(endpoints, "endpointslice.kubernetes.io/skip-mirror"), "true");
    _cleanup_object_ Object *range = NULL;
    assert_int_equal(
        client_get(client, resource_find("networking.k8s.io", "v1", "servicecidrs"), NULL, "kubernetes", &range, NULL),
        0);
    const Value *v = object_value(range, arena), *condition = value_at(value_path(v, "status", "conditions", NULL), 0);
    assert_string_equal(value_str(value_at(value_path(v, "spec", "cidrs", NULL), 0)), APISERVER_SERVICE_RANGE);
    assert_string_equal(value_get_str(condition, "status"), "True");
}

/* Where pods find the server follows its address. */
static void test_endpoints_of_the_server(void **state) {
    (void)state;
    char dir[] = "/tmp/lighter-apiserver-XXXXXX";
    static const char *const addresses[] = {"192.0.2.7", "192.0.2.8"};
    assert_non_null(mkdtemp(dir));
    for (size_t i = 0; i < ELEMENTSOF(addresses); i++) {
        ApiServerConfig config = {.data_dir = dir, .advertise = addresses[i], .threads = 1};
        ApiServer *server;
        assert_int_equal(apiserver_start(&config, &server), 0);
        expect_endpoint(server, addresses[i]);
        apiserver_stop(server);
    }
    assert_int_equal(fs_remove_tree(dir), 0);
}

/* Nodes are given the cluster's address, and it answers there with a certificate for it. */
static void test_cluster_address(void **state) {
    (void)state;
    char dir[] = "/tmp/lighter-apiserver-XXXXXX";
    static const char *const none[] = {NULL};
    assert_non_null(mkdtemp(dir));
    ApiServerConfig config = {.data_dir = dir, .cluster_address = "127.0.0.2", .threads = 1};
    ApiServer *server;
    NodeCredentials credentials;
    _cleanup_free_ char *text = NULL, *error = NULL, *url = NULL;
    assert_int_equal(apiserver_start(&config, &server), 0);
    assert_int_equal(apiserver_node_credentials(server, "n1", none, &credentials), 0);
    assert_int_equal(fs_read_file(credentials.kubeconfig, 65536, &text, NULL), 0);
    url = xasprintf("server: https://127.0.0.2:%u\n", apiserver_port(server));
    assert_non_null(strstr(text, url));
    Client *client;
    assert_int_equal(client_http_from_kubeconfig(credentials.kubeconfig, "unit/1", &client, &error), 0);
    _cleanup_client_list_ ClientList list = {0};
    assert_int_equal(client_list(client, resource_find("", "v1", "services"), NULL, &(ApiOptions){0}, &list, NULL), 0);
    assert_int_equal(list.n, 1);
    client_free(client);
    node_credentials_done(&credentials);
    apiserver_stop(server);
    assert_int_equal(fs_remove_tree(dir), 0);
}

static void test_restart(void **state) {
    World *world = *state;
    _cleanup_arena_ Arena *arena = arena_new(0);
    _cleanup_object_ Object *made = NULL, *again = NULL;
    assert_int_equal(client_create(world->http, config_maps(), "default", config_map(arena, "kept", "1"), &made, NULL),
                     0);
    stop(world);
    start(world);
    assert_int_equal(client_get(world->http, config_maps(), "default", "kept", &again, NULL), 0);
    assert_int_equal(object_revision(again), object_revision(made));
    assert_string_equal(object_uid(again), object_uid(made));
}

static Object *create_rbac(World *world, Client *client, const char *plural, const char *json, int result,
                           const char *message) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    _cleanup_api_error_ ApiError err = {0};
    Object *made = NULL;
    (void)world;
    int r = client_create(client, resource_find("rbac.authorization.k8s.io", "v1", plural), "", parse(arena, json),
                          &made, &err);
    assert_int_equal(r, result);
    if (message)
        assert_string_equal(err.message, message);
    return made;
}

#define RBAC_HEAD(kind, name)                                                                                          \
    "{\"apiVersion\":\"rbac.authorization.k8s.io/v1\",\"kind\":\"" kind "\",\"metadata\":{\"name\":\"" name "\"},"
#define RBAC_ROLE(name, rule) RBAC_HEAD("ClusterRole", name) "\"rules\":[" rule "]}"
#define RBAC_BINDING(name, role, user)                                                                                 \
    RBAC_HEAD("ClusterRoleBinding", name)                                                                              \
    "\"roleRef\":{\"apiGroup\":\"rbac.authorization.k8s.io\",\"kind\":\"ClusterRole\",\"name\":\"" role                \
    "\"},\"subjects\":[{\"apiGroup\":\"rbac.authorization.k8s.io\",\"kind\":\"User\",\"name\":\"" user "\"}]}"
#define RBAC_RULE(group, resource, verb)                                                                               \
    "{\"apiGroups\":[\"" group "\"],\"resources\":[\"" resource "\"],\"verbs\":[\"" verb "\"]}"
#define RBAC_GROUP "rbac.authorization.k8s.io"

/* Who may write roles gives nobody what is not theirs, unless they may escalate or bind. */
static void test_escalation(void **state) {
    World *world = *state;
    static const char *const groups[] = {"g", NULL};
    static const UserInfo eve = {.name = "eve", .groups = groups};
    Client *client = apiserver_local_client(world->server, &eve, "unit/1");
    const struct {
        bool by_eve;
        const char *plural, *json;
        int result;
        const char *message;
    } steps[] = {
        {false, "clusterroles", RBAC_ROLE("own", RBAC_RULE("", "pods", "get")), 0, NULL},
        {false, "clusterrolebindings", RBAC_BINDING("own", "own", "eve"), 0, NULL},
        {true, "clusterroles", RBAC_ROLE("same", RBAC_RULE("", "pods", "get")), 0, NULL},
        {true, "clusterroles", RBAC_ROLE("more", RBAC_RULE("", "pods", "delete")), -EACCES,
         "clusterroles.rbac.authorization.k8s.io \"more\" is forbidden: user \"eve\" (groups=[\"g\"]) is attempting to "
         "grant RBAC permissions not currently held:\n{APIGroups:[\"\"], Resources:[\"pods\"], Verbs:[\"delete\"]}"},
        {true, "clusterroles",
         RBAC_HEAD("ClusterRole", "gathers") "\"rules\":[],\"aggregationRule\":{\"clusterRoleSelectors\":[{}]}}",
         -EACCES,
         "clusterroles.rbac.authorization.k8s.io \"gathers\" is forbidden: must have cluster-admin privileges to use "
         "the "
         "aggregationRule"},
        {true, "clusterrolebindings", RBAC_BINDING("same", "same", "mallory"), 0, NULL},
        {true, "clusterrolebindings", RBAC_BINDING("all", "cluster-admin", "eve"), -EACCES, NULL},
        {true, "clusterrolebindings", RBAC_BINDING("none", "absent", "eve"), -ENOENT,
         "clusterrolebindings.rbac.authorization.k8s.io \"absent\" not found"},
        {false, "clusterroles",
         RBAC_ROLE("may",
                   RBAC_RULE(RBAC_GROUP, "clusterroles", "escalate") "," RBAC_RULE(RBAC_GROUP, "clusterroles", "bind")),
         0, NULL},
        {false, "clusterrolebindings", RBAC_BINDING("may", "may", "eve"), 0, NULL},
        {true, "clusterroles", RBAC_ROLE("more", RBAC_RULE("", "pods", "delete")), 0, NULL},
        {true, "clusterrolebindings", RBAC_BINDING("all", "cluster-admin", "eve"), 0, NULL},
    };
    for (size_t i = 0; i < ELEMENTSOF(steps); i++)
        object_unref(create_rbac(world, steps[i].by_eve ? client : world->local, steps[i].plural, steps[i].json,
                                 steps[i].result, steps[i].message));
    client_free(client);
}

/* A start puts right what every cluster has, and leaves it alone when it is. */
static void test_roles_are_put_right(void **state) {
    World *world = *state;
    _cleanup_arena_ Arena *arena = arena_new(0);
    const Resource *bindings = resource_find("rbac.authorization.k8s.io", "v1", "clusterrolebindings");
    uint64_t revisions[2];
    _cleanup_object_ Object *changed = NULL;
    assert_int_equal(client_patch(world->local, bindings, "", "system:node-proxier", NULL, PATCH_MERGE,
                                  parse(arena, "{\"subjects\":null}"), &changed, NULL),
                     0);
    for (size_t i = 0; i < ELEMENTSOF(revisions); i++) {
        _cleanup_object_ Object *binding = NULL;
        stop(world);
        start(world);
        assert_int_equal(client_get(world->local, bindings, "", "system:node-proxier", &binding, NULL), 0);
        Value *subjects = value_get(object_value(binding, arena), "subjects");
        assert_int_equal(value_len(subjects), 1);
        assert_string_equal(value_get_str(value_at(subjects, 0), "name"), "system:kube-proxy");
        revisions[i] = object_revision(binding);
    }
    assert_true(revisions[0] > object_revision(changed));
    assert_int_equal(revisions[0], revisions[1]);
}

/* The port that the kernel chose is known before the first request, from the first start on. */
static void test_announced_port(void **state) {
    World *world = *state;
    _cleanup_arena_ Arena *arena = arena_new(0);
    Value *document;
    assert_int_equal(client_get_document(world->http, "/.well-known/openid-configuration", arena, &document, NULL), 0);
    assert_string_equal(value_get_str(document, "jwks_uri"),
                        arena_printf(arena, "https://127.0.0.1:%u/openid/v1/jwks", apiserver_port(world->server)));
}

typedef struct AddressWait {
    World *world;
    const char *name, *not_uid; /* NULL: it is to be gone */
} AddressWait;

static bool address_is(const AddressWait *wait) {
    _cleanup_object_ Object *address = NULL;
    client_get(wait->world->local, resource_find("networking.k8s.io", "v1", "ipaddresses"), NULL, wait->name, &address,
               NULL);
    return wait->not_uid ? address && !streq(object_uid(address), wait->not_uid) : !address;
}

static void wait_for_address(const AddressWait *wait) {
    uint64_t end = now_monotonic_ns() + WAIT_NS;
    while (!address_is(wait) && now_monotonic_ns() < end)
        usleep(10000);
    assert_true(address_is(wait));
}

/* An address that a Service has gets its IPAddress again, as it should be; one that no Service has goes. */
static void test_service_addresses(void **state) {
    World *world = *state;
    _cleanup_arena_ Arena *arena = arena_new(0);
    const Resource *addresses = resource_find("networking.k8s.io", "v1", "ipaddresses");
    _cleanup_object_ Object *first = NULL, *second = NULL, *third = NULL, *labeled = NULL;
    assert_int_equal(client_get(world->local, addresses, NULL, "10.96.0.1", &first, NULL), 0);
    assert_int_equal(client_delete(world->local, addresses, NULL, "10.96.0.1", NULL, NULL), 0);
    wait_for_address(&(AddressWait){world, "10.96.0.1", object_uid(first)});
    assert_int_equal(client_get(world->local, addresses, NULL, "10.96.0.1", &second, NULL), 0);
    Value *parent = value_path(object_value(second, arena), "spec", "parentRef", NULL);
    assert_string_equal(value_get_str(parent, "name"), "kubernetes");
    assert_int_equal(client_patch(world->local, addresses, NULL, "10.96.0.1", NULL, PATCH_MERGE,
                                  parse(arena, "{\"metadata\":{\"labels\":null}}"), &labeled, NULL),
                     0);
    wait_for_address(&(AddressWait){world, "10.96.0.1", object_uid(second)});
    assert_int_equal(client_get(world->local, addresses, NULL, "10.96.0.1", &third, NULL), 0);
    assert_string_equal(object_label(third, "ipaddress.kubernetes.io/managed-by"), "ipallocator.k8s.io");
    Value *left_over = parse(arena, "{\"metadata\":{\"name\":\"10.96.7.7\",\"labels\":{\"ipaddress.kubernetes.io/"
                                    "managed-by\":\"ipallocator.k8s.io\"}},\"spec\":{\"parentRef\":{\"resource\":"
                                    "\"services\",\"namespace\":\"default\",\"name\":\"kubernetes\"}}}");
    Value *others = parse(arena, "{\"metadata\":{\"name\":\"10.96.7.8\"},\"spec\":{\"parentRef\":{\"resource\":\"x\","
                                 "\"name\":\"y\"}}}");
    assert_int_equal(client_create(world->local, addresses, NULL, left_over, NULL, NULL), 0);
    assert_int_equal(client_create(world->local, addresses, NULL, others, NULL, NULL), 0);
    wait_for_address(&(AddressWait){world, "10.96.7.7", NULL});
    assert_true(address_is(&(AddressWait){world, "10.96.7.8", ""})); /* not the allocator's */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_life),
        cmocka_unit_test(test_generated_names),
        cmocka_unit_test(test_missing_namespace),
        cmocka_unit_test(test_finalizers),
        cmocka_unit_test(test_patch_of_absent),
        cmocka_unit_test(test_acting_as_an_account),
        cmocka_unit_test(test_dry_run),
        cmocka_unit_test(test_field_validation),
        cmocka_unit_test(test_watch),
        cmocka_unit_test(test_binding_and_scale),
        cmocka_unit_test(test_delete_collection),
        cmocka_unit_test(test_a_large_list),
        cmocka_unit_test(test_a_large_list_as_protobuf),
        cmocka_unit_test(test_events_expire),
        cmocka_unit_test(test_endpoints_of_the_server),
        cmocka_unit_test(test_cluster_address),
        cmocka_unit_test(test_restart),
        cmocka_unit_test(test_escalation),
        cmocka_unit_test(test_roles_are_put_right),
        cmocka_unit_test(test_announced_port),
        cmocka_unit_test(test_service_addresses),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
