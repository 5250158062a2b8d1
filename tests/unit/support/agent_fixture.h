/* A whole agent with an API server and a runtime in memory, and what tests ask of it. Included by one test program
 * each. A test that wants the agent configured in another way changes Fixture.config and calls restart_agent. */
#pragma once

#include "fake_api.h"
#include "fake_runtime.h"
#include "image_fixture.h"
#include "kubelet/internal.h"

#define PATIENCE_NS (20 * NS_PER_SEC)
#define QUIET_NS (300 * NS_PER_MS) /* long enough for something wrong to happen */

typedef struct Fixture {
    char *dir, *cgroups, *root;
    FakeApi *api;
    Client *client;
    FakeRuntime *runtime;
    ImageStore *images;
    Kubelet *kubelet;
    KubeletConfig config;
} Fixture;

_unused_ static void start_agent(Fixture *f) {
    char *error = NULL;
    if (kubelet_start(&f->config, &f->kubelet, &error) < 0)
        fail_msg("%s", error);
}

_unused_ static void restart_agent(Fixture *f) {
    kubelet_stop(f->kubelet);
    start_agent(f);
}

_unused_ static int setup(void **state) {
    Fixture *f = NEW0(Fixture);
    f->dir = xstrdup("/tmp/lighter-pods.XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    f->cgroups = xasprintf("%s/cgroup", f->dir);
    f->root = xasprintf("%s/node", f->dir);
    assert_int_equal(fs_mkdir_p(f->cgroups, 0755), 0);
    assert_int_equal(fs_mkdir_p(f->root, 0755), 0);
    write_file(f->cgroups, "cgroup.controllers", "", 0); /* the second version */
    _cleanup_free_ char *pods = xasprintf("%s/kubepods", f->cgroups);
    assert_int_equal(fs_mkdir_p(pods, 0755), 0);
    write_file(pods, "memory.max", "", 0);
    f->api = fake_api_new(&f->client);
    f->api->graceful_pods = true;
    f->runtime = fake_runtime_new();
    _cleanup_free_ char *store = xasprintf("%s/store", f->dir), *archive = xasprintf("%s/a.tar", f->dir), *error = NULL;
    _cleanup_free_ char *unpacker = fs_beside_program("../bin/lighter-unpack");
    assert_int_equal(image_store_open(&(ImageStoreConfig){.root = store, .unpacker = unpacker}, &f->images, &error), 0);
    Made made;
    make_image(&made, "x", PLAIN);
    docker_archive(f->dir, "a.tar", &made, "app:1");
    made_done(&made);
    _cleanup_(image_freep) Image *image = NULL;
    assert_int_equal(image_import(f->images, archive, NULL, &image, &error), 0);
    f->config = (KubeletConfig){.client = f->client,
                                .runtime = &f->runtime->base,
                                .images = f->images,
                                .node_name = "node-1",
                                .node_ip = "192.0.2.1",
                                .root_dir = f->root,
                                .cgroup_mount = f->cgroups,
                                .eviction_hard = ""};
    start_agent(f);
    *state = f;
    return 0;
}

_unused_ static int teardown(void **state) {
    Fixture *f = *state;
    kubelet_stop(f->kubelet);
    image_store_free(f->images);
    client_free(f->client);
    fake_runtime_free(f->runtime);
    assert_int_equal(fs_remove_tree(f->dir), 0);
    free(f->dir);
    free(f->cgroups);
    free(f->root);
    free(f);
    return 0;
}

/* ---- pods ---- */

_unused_ static Value *parse(Arena *arena, const char *json) {
    Value *v = NULL;
    if (json_parse(arena, json, strlen(json), &v, NULL, NULL) < 0)
        fail_msg("not JSON: %s", json);
    return v;
}

/* `spec`: members of the pod's spec; containers come with the image that is there. */
_unused_ static void create_pod(Fixture *f, const char *name, const char *spec) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    _cleanup_api_error_ ApiError err = {0};
    Value *pod = parse(arena, arena_printf(arena,
                                           "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"%s\"},"
                                           "\"spec\":{\"nodeName\":\"node-1\",%s}}",
                                           name, spec));
    static const char *const lists[] = {"initContainers", "containers"};
    for (size_t i = 0; i < ELEMENTSOF(lists); i++) {
        Value *c;
        VALUE_FOREACH (c, value_path(pod, "spec", lists[i], NULL)) {
            value_set_str(arena, c, "image", "app:1");
            value_set_str(arena, c, "imagePullPolicy", "Never");
        }
    }
    if (client_create(f->client, RES("pods"), "default", pod, NULL, &err) < 0)
        fail_msg("%s", err.message);
}

_unused_ static void patch_pod(Fixture *f, const char *name, const char *json) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    assert_int_equal(
        client_patch(f->client, RES("pods"), "default", name, NULL, PATCH_STRATEGIC, parse(arena, json), NULL, NULL),
        0);
}

_unused_ static void delete_pod(Fixture *f, const char *name) {
    assert_int_equal(client_delete(f->client, RES("pods"), "default", name, &(ClientDelete){.grace_seconds = -1}, NULL),
                     0);
}

/* The status as one line of JSON, in the arena; NULL: the pod is gone. */
_unused_ static Value *status_of(Fixture *f, Arena *arena, const char *name) {
    _cleanup_object_ Object *pod = NULL;
    if (client_get(f->client, RES("pods"), "default", name, &pod, NULL) < 0)
        return NULL;
    Value *status = value_get(object_value(pod, arena), "status");
    return status ? status : value_object(arena);
}

typedef bool (*Check)(Fixture *f, const void *data);

_unused_ static bool becomes(Fixture *f, Check check, const void *data) {
    for (uint64_t end = now_monotonic_ns() + PATIENCE_NS; now_monotonic_ns() < end;) {
        if (check(f, data))
            return true;
        nanosleep(&(struct timespec){.tv_nsec = (long)(2 * NS_PER_MS)}, NULL);
    }
    fprintf(stderr, "the runtime was asked:\n%s", f->runtime->log);
    return false;
}

typedef struct Wanted {
    const char *pod, *path[5], *text;
} Wanted;

/* Is the text at the path of the status? A number in the path is an index; "type=X" finds a condition. */
_unused_ static bool status_says(Fixture *f, const void *data) {
    const Wanted *w = data;
    _cleanup_arena_ Arena *arena = arena_new(0);
    const Value *v = status_of(f, arena, w->pod);
    for (size_t i = 0; i < ELEMENTSOF(w->path) && w->path[i] && v; i++) {
        uint64_t index;
        if (str_has_prefix(w->path[i], "type="))
            v = condition_find(v, w->path[i] + 5);
        else if (str_to_uint64(w->path[i], &index) == 0)
            v = value_at(v, index);
        else
            v = value_get(v, w->path[i]);
    }
    if (value_is(v, VALUE_INT))
        return streq(arena_printf(arena, "%lld", (long long)v->integer), w->text);
    if (value_is(v, VALUE_OBJECT))
        return streq(w->text, "*");
    return streq_null(value_str(v), w->text);
}

#define SAYS(f, name, wanted, ...) assert_true(becomes(f, status_says, &(Wanted){name, {__VA_ARGS__}, wanted}))

_unused_ static bool log_is(Fixture *f, const void *data) {
    pthread_mutex_lock(&f->runtime->lock);
    bool is = streq(f->runtime->log, data);
    pthread_mutex_unlock(&f->runtime->lock);
    return is;
}

#define ASKED(f, text) assert_true(becomes(f, log_is, text))

_unused_ static void quiet(void) {
    nanosleep(&(struct timespec){.tv_nsec = (long)QUIET_NS}, NULL);
}

_unused_ static bool has_event(Fixture *f, const void *data) {
    _cleanup_client_list_ ClientList events = {0};
    client_list(f->client, RES("events"), NULL, NULL, &events, NULL);
    for (size_t i = 0; i < events.n; i++) {
        size_t n;
        if (strstr(object_json(events.items[i], &n), data))
            return true;
    }
    return false;
}

_unused_ static bool was_stopped(Fixture *f, const void *data) {
    return asked(f->runtime, data) > 0;
}

_unused_ static bool is_gone(Fixture *f, const void *data) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    return !status_of(f, arena, data);
}
