/* What the tests of admission share: a store with objects in it, and requests put to one plugin. Objects are written as
 * YAML. */
#pragma once

#include "api/json.h"
#include "apiserver/admission/admission.h"
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

typedef struct Fixture {
    char dir[64];
    Arena *arena;
    Store *store;
    Admission *admission;
    bool allows; /* what the authorizer answers */
    AdmissionQuestion asked;
} Fixture;

/* One request and what came of it. */
typedef struct Asked {
    AdmissionOperation operation;
    const char *group, *version, *plural, *subresource, *ns, *name;
    const char *object, *old; /* YAML; NULL: none */
    const char *user, *user_group;
    bool dry_run;
    /* out */
    Value *result;
    ApiError err;
    StrategyContext context;
} Asked;

static inline bool fixture_answer(void *userdata, const AdmissionQuestion *question, Arena *arena) {
    Fixture *f = userdata;
    (void)arena;
    f->asked = *question;
    return f->allows;
}

static inline int fixture_setup(void **state) {
    Fixture *f = NEW0(Fixture);
    AdmissionConfig config = {.allows = fixture_answer, .userdata = f};
    StoreDriver *driver;
    char *why = NULL;
    strcpy(f->dir, "/tmp/lighter-admission-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    _cleanup_free_ char *path = xasprintf("%s/store.db", f->dir);
    assert_int_equal(sqlite_driver_open(path, &driver), 0);
    assert_int_equal(store_open(driver, NULL, &f->store), 0);
    assert_int_equal(admission_open(&config, &f->admission, &why), 0);
    f->arena = arena_new(0);
    *state = f;
    return 0;
}

static inline int fixture_teardown(void **state) {
    Fixture *f = *state;
    admission_free(f->admission);
    store_close(f->store);
    arena_free(f->arena);
    fs_remove_tree(f->dir);
    free(f);
    return 0;
}

static inline Value *yaml(Arena *arena, const char *text) {
    Value *v;
    char *why = NULL;
    if (yaml_parse(arena, text, strlen(text), &v, NULL, &why) < 0)
        fail_msg("%s: %s", why, text);
    return v;
}

static inline Value *typed(Arena *arena, const Resource *resource, const char *text) {
    _cleanup_api_error_ ApiError err = {0};
    Value *v = yaml(arena, text);
    value_set_str(arena, v, "kind", resource->kind);
    value_set(arena, v, "apiVersion", value_string(arena, resource_api_version(arena, resource)));
    if (schema_normalize(arena, resource->schema, v, NULL, &err) < 0)
        fail_msg("%s: %s", err.message, text);
    return v;
}

/* What a request to the subresource carries: the resource's own kind, or one of its own (Binding). */
static inline Value *asked_object(Arena *arena, const Resource *resource, const char *subresource, const char *text) {
    const Subresource *sub = subresource ? resource_subresource(resource, subresource) : NULL;
    _cleanup_api_error_ ApiError err = {0};
    if (!sub || !sub->schema || streq(sub->kind, resource->kind))
        return typed(arena, resource, text);
    Value *v = yaml(arena, text);
    if (schema_normalize(arena, sub->schema, v, NULL, &err) < 0)
        fail_msg("%s: %s", err.message, text);
    return v;
}

static inline Value *stored(Fixture *f, const char *group, const char *plural, const char *ns, const char *name) {
    _cleanup_object_ Object *object = NULL;
    assert_int_equal(store_get(f->store, resource_find(group, "v1", plural), ns, name, &object), 0);
    return object_value(object, f->arena);
}

static inline void put(Fixture *f, const char *group, const char *plural, const char *text) {
    const Resource *resource = resource_find(group, "v1", plural);
    assert_non_null(resource);
    _cleanup_object_ Object *object = object_from_value(resource, typed(f->arena, resource, text));
    assert_int_equal(store_create(f->store, object, NULL), 0);
}

/* Puts the request to the plugin: mutate, then validate. */
static inline int ask(Fixture *f, const AdmissionPlugin *plugin, Asked *a) {
    const Resource *resource = resource_find(str_or(a->group, ""), str_or(a->version, "v1"), a->plural);
    assert_non_null(resource);
    Arena *arena = f->arena;
    const char **groups = arena_alloc0(arena, 2 * sizeof *groups);
    groups[0] = a->user_group;
    UserInfo *user = ARENA_NEW0(arena, UserInfo);
    *user = (UserInfo){.name = str_or(a->user, "someone"), .groups = groups};
    ApiRequest *request = ARENA_NEW0(arena, ApiRequest);
    *request =
        (ApiRequest){.resource = resource, .ns = a->ns, .subresource = a->subresource, .user = user, .arena = arena};
    a->context = (StrategyContext){.arena = arena,
                                   .resource = resource,
                                   .ns = str_or(a->ns, ""),
                                   .store = f->store,
                                   .dry_run = a->dry_run,
                                   .now_ns = now_realtime_ns()};
    a->result = a->object ? asked_object(arena, resource, a->subresource, a->object) : NULL;
    AdmissionRequest r = {
        .operation = a->operation,
        .request = request,
        .resource = resource->storage,
        .ns = str_or(a->ns, ""),
        .name = str_or(a->name, str_or(meta_get(a->result, "name"), "")),
        .object = a->result,
        .old = a->old ? typed(arena, resource, a->old) : NULL,
        .store = f->store,
        .strategy = &a->context,
        .admission = f->admission,
    };
    int result = plugin->mutate ? plugin->mutate(&r, &a->err) : 0;
    return result < 0 || !plugin->validate ? result : plugin->validate(&r, &a->err);
}

/* The request is refused with this message. */
static inline void refused(Fixture *f, const AdmissionPlugin *plugin, Asked a, const char *message) {
    assert_true(ask(f, plugin, &a) < 0);
    assert_string_equal(a.err.message, message);
    api_error_done(&a.err);
}

/* The request passes; the object as the plugin left it. */
static inline Value *passes(Fixture *f, const AdmissionPlugin *plugin, Asked a) {
    int r = ask(f, plugin, &a);
    if (r < 0)
        fail_msg("refused: %s", a.err.message);
    return a.result;
}

static inline void same_json(Fixture *f, const Value *v, const char *text) {
    _cleanup_buf_ Buf a = BUF_INIT(1 << 20), b = BUF_INIT(1 << 20);
    value_write_json(&a, v);
    value_write_json(&b, yaml(f->arena, text));
    assert_string_equal(a.data, b.data);
}

#define FIXTURE_TEST(fn) cmocka_unit_test_setup_teardown(fn, fixture_setup, fixture_teardown)
