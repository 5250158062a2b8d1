/* Pods and the kinds that make them, through the engine and a store of its own: requests with what kube-apiserver
 * v1.36.3 answered to them (tests/golden/registry/workloads.jsonl: status, causes, warnings, generation), in order,
 * because later ones change what earlier ones made. Answers that admission decides are not among them. Causes are
 * compared as sets: some of the reference's come in the order of a Go map. */
#include "apiserver/registry/decode.h"
#include "apiserver/storage/driver.h"
#include "base/fs.h"
#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#define GOLDEN LIGHTER_SOURCE_DIR "/tests/golden/registry/workloads.jsonl"

typedef struct Case {
    const Value *line;
    ApiRequest request;
    const char *type;
} Case;

typedef struct Answer {
    int status;
    int64_t generation;
    ApiError err;
    char **warnings;
    size_t n_warnings;
} Answer;

/* "/apis/apps/v1/namespaces/NS/deployments/NAME/status" */
static void read_path(Case *c, Arena *arena) {
    size_t n, i = 2;
    char **parts = str_split(arena, value_get_str(c->line, "path"), '/', &n);
    const char *group = streq(parts[1], "apis") ? parts[i++] : "", *version = parts[i++];
    assert_true(n >= i + 3);
    assert_string_equal(parts[i], "namespaces");
    c->request.ns = parts[i + 1];
    c->request.resource = resource_find(group, version, parts[i + 2]);
    assert_non_null(c->request.resource);
    c->request.name = n > i + 3 ? parts[i + 3] : NULL;
    c->request.subresource = n > i + 4 ? parts[i + 4] : NULL;
}

static DecodeInput decode_input(const ApiRequest *request, Value *body) {
    const Resource *resource = request->resource;
    return (DecodeInput){.body = body,
                         .resource = resource,
                         .schema = resource->schema,
                         .group = resource->group,
                         .version = resource->version,
                         .kind = resource->kind};
}

typedef struct Patch {
    RegistryCall *call;
    const Case *test;
} Patch;

static int transform(void *userdata, const Value *old, Value **ret, ApiError *err) {
    Patch *patch = userdata;
    const ApiRequest *request = patch->call->request;
    Value *patched = NULL;
    bool strategic = str_has_prefix(patch->test->type, "application/strategic");
    int r = 0;
    if (streq(value_get_str(patch->test->line, "method"), "PUT")) {
        DecodeInput whole = decode_input(request, value_copy(request->arena, request->body));
        return registry_decode(patch->call, &whole, ret, err);
    }
    if (strategic)
        r = strategic_merge_apply(request->arena, request->resource->schema, old, request->body, &patched, err);
    else
        r = merge_patch_apply(request->arena, old, request->body, &patched);
    if (r < 0)
        return r;
    DecodeInput input = decode_input(request, patched);
    input.patched_from = old;
    input.strategic_patch = strategic ? request->body : NULL;
    return registry_decode(patch->call, &input, ret, err);
}

/* Each once, as the front door sends them. */
static void take_warnings(const StrategyContext *context, Answer *ret) {
    ret->warnings = arena_alloc(context->arena, (context->n_warnings + 1) * sizeof *ret->warnings);
    for (size_t i = 0; i < context->n_warnings; i++) {
        bool seen = false;
        for (size_t j = 0; j < ret->n_warnings && !seen; j++)
            seen = streq(ret->warnings[j], context->warnings[i]);
        if (!seen)
            ret->warnings[ret->n_warnings++] = context->warnings[i];
    }
}

static void run(Registry *registry, Case *c, Answer *ret) {
    RegistryCall call;
    _cleanup_registry_result_ RegistryResult result = {0};
    int r;
    registry_call_init(&call, registry, &c->request);
    if (c->request.name) {
        Patch patch = {&call, c};
        RegistryUpdate update = {.transform = transform, .userdata = &patch};
        r = registry_update(&call, &update, &result, &ret->err);
    } else {
        Value *object;
        DecodeInput input = decode_input(&c->request, value_copy(c->request.arena, c->request.body));
        r = registry_decode(&call, &input, &object, &ret->err);
        r = r < 0 ? r : registry_create(&call, object, &result, &ret->err);
    }
    ret->status = r < 0 ? ret->err.code : c->request.name ? 200 : 201;
    take_warnings(&call.context, ret);
    if (r == 0)
        ret->generation =
            value_get_int(value_get(object_value(result.object, c->request.arena), "metadata"), "generation", 0);
}

/* uids differ from those of the recording: any one is as good as "<uid>". */
static bool same_text(const char *want, const char *have) {
    for (; *want && *have; want++, have++) {
        if (str_has_prefix(want, "<uid>") && strlen(have) >= 36 && have[8] == '-' && have[13] == '-') {
            want += strlen("<uid>") - 1;
            have += 35;
        } else if (*want != *have)
            return false;
    }
    return *want == *have;
}

static bool has_cause(const ApiError *err, const Value *want) {
    for (size_t i = 0; i < err->n_causes; i++)
        if (same_text(value_str(value_at(want, 0)), err->causes[i].reason) &&
            same_text(str_or(value_str(value_at(want, 1)), ""), str_or(err->causes[i].field, "")) &&
            same_text(value_str(value_at(want, 2)), err->causes[i].message))
            return true;
    return false;
}

/* Prints what differs; false when something does. */
static bool compare(const Value *line, const Answer *answer) {
    const char *name = value_get_str(line, "name");
    const Value *causes = value_get(line, "causes"), *warnings = value_get(line, "warnings"), *cause;
    bool same = true;
#define DIFFERS(...) (same = false, print_error("%s: ", name), print_error(__VA_ARGS__))
    if (answer->status != value_get_int(line, "status", 0))
        DIFFERS("status %d, not %d: %s\n", answer->status, (int)value_get_int(line, "status", 0),
                str_or(answer->err.message, ""));
    if (answer->status == 422) {
        if (answer->err.n_causes != value_len(causes))
            DIFFERS("%zu causes, not %zu: %s\n", answer->err.n_causes, value_len(causes), answer->err.message);
        VALUE_FOREACH (cause, causes)
            if (!has_cause(&answer->err, cause))
                DIFFERS("no cause %s: %s\n", value_str(value_at(cause, 1)), value_str(value_at(cause, 2)));
    }
    if (answer->n_warnings != value_len(warnings))
        DIFFERS("%zu warnings, not %zu\n", answer->n_warnings, value_len(warnings));
    for (size_t i = 0; i < answer->n_warnings && i < value_len(warnings); i++)
        if (!same_text(value_str(value_at(warnings, i)), answer->warnings[i]))
            DIFFERS("warning %zu: %s\n", i, answer->warnings[i]);
    if (answer->status < 300 && answer->generation != value_get_int(line, "generation", 0))
        DIFFERS("generation %d, not %d\n", (int)answer->generation, (int)value_get_int(line, "generation", 0));
#undef DIFFERS
    return same;
}

static bool run_line(Registry *registry, const char *text, size_t len) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    static const UserInfo user = {.name = "admin"};
    Value *line;
    char *why = NULL;
    Answer answer = {0};
    assert_int_equal(json_parse(arena, text, len, &line, NULL, &why), 0);
    Case c = {.line = line, .type = value_get_str(line, "type")};
    c.request = (ApiRequest){.arena = arena, .user = &user, .user_agent = "test", .body = value_get(line, "body")};
    read_path(&c, arena);
    run(registry, &c, &answer);
    bool same = compare(line, &answer);
    api_error_done(&answer.err);
    return same;
}

static void recorded(void **state) {
    char dir[] = "/tmp/lighter-workloads-XXXXXX";
    _cleanup_free_ char *line = NULL;
    size_t cap = 0, n = 0, differ = 0;
    (void)state;
    assert_non_null(mkdtemp(dir));
    _cleanup_free_ char *path = xasprintf("%s/store", dir);
    StoreDriver *driver = NULL;
    Store *store = NULL;
    assert_int_equal(sqlite_driver_open(path, &driver), 0);
    assert_int_equal(store_open(driver, NULL, &store), 0);
    RegistryConfig config = {.store = store, .settings = {"10.96.0.0/16", 30000, 32767}};
    Registry *registry = registry_new(&config);
    FILE *golden = fopen(GOLDEN, "re");
    assert_non_null(golden);
    for (ssize_t len; (len = getline(&line, &cap, golden)) > 0; n++)
        differ += !run_line(registry, line, (size_t)len);
    fclose(golden);
    registry_free(registry);
    store_close(store);
    fs_remove_tree(dir);
    assert_true(n > 300);
    assert_int_equal(differ, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(recorded)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
