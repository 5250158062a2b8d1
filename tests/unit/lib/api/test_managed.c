/* tests/golden/managed/cases.jsonl: what kube-apiserver v1.36.3 recorded as owners, one write a line: the object
 * before, the object (or applied configuration), and the managedFields or Status that followed. Times are not compared.
 */
#include "api/codec.h"
#include "api/json.h"
#include "api/managed.h"
#include "api/typed.h"
#include "base/clock.h"
#include "base/str.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define NOW 1700000000000000000

static const Resource *resource_of(const Value *object) {
    const char *version = value_get_str(object, "apiVersion"), *slash = strchr(version, '/');
    char group[128] = "";
    if (slash)
        snprintf(group, sizeof(group), "%.*s", (int)(slash - version), version);
    return resource_find_kind(group, slash ? slash + 1 : version, value_get_str(object, "kind"));
}

static bool same_owners(const Value *got, const Value *want) {
    if (value_len(got) != value_len(want))
        return false;
    const Value *a, *b;
    VALUE_FOREACH (a, got) {
        bool found = false;
        VALUE_FOREACH (b, want) {
            bool same = value_len(a) == value_len(b);
            VALUE_FOREACH_MEMBER (m, a)
                same = same && (strcmp(m->name, "time") == 0 ? value_get(b, "time") != NULL
                                                             : value_equal(m->value, value_get(b, m->name)));
            found = found || same;
        }
        if (!found)
            return false;
    }
    return true;
}

static ManagedInput input_of(const Value *line, const Value *object, const char *reset[8]) {
    const Value *item;
    size_t n = 0;
    VALUE_FOREACH (item, value_get(line, "reset"))
        reset[n++] = value_str(item);
    reset[n] = NULL;
    return (ManagedInput){.schema = resource_of(object)->schema,
                          .api_version = value_get_str(object, "apiVersion"),
                          .manager = value_get_str(line, "manager"),
                          .subresource = value_get_str(line, "subresource"),
                          .now_ns = NOW,
                          .reset_fields = reset,
                          .force = value_get_bool(line, "force", false)};
}

static bool check_update(Arena *arena, const Value *line, Buf *got) {
    const char *reset[8];
    Value *object = value_get(line, "object"), *live = value_get(line, "live");
    ManagedInput input = input_of(line, object, reset);
    managed_update(arena, &input, value_is(live, VALUE_OBJECT) ? live : NULL, object);
    const Value *owners = value_path(object, "metadata", "managedFields", NULL);
    value_write_json(got, owners);
    return same_owners(owners, value_get(line, "expect"));
}

static bool check_apply(Arena *arena, const Value *line, Buf *got) {
    const char *reset[8];
    Value *request = value_get(line, "request"), *live = value_get(line, "live"), *want = value_get(line, "expect");
    Value *result = NULL;
    ManagedInput input = input_of(line, request, reset);
    bool changed;
    _cleanup_api_error_ ApiError err = {0}, normal = {0};
    int r = managed_apply(arena, &input, value_is(live, VALUE_OBJECT) ? live : NULL, request, &result, &changed, &err);
    if (r < 0)
        result = api_error_to_status(arena, &err);
    else
        assert_int_equal(schema_normalize(arena, input.schema, result, NULL, &normal), 0);
    value_write_json(got, result);
    if (r < 0)
        return value_equal(result, want);
    return value_get_int(line, "status", 0) == 200 && value_equal(value_get(result, "data"), value_get(want, "data")) &&
           value_equal(value_path(result, "metadata", "labels", NULL), value_path(want, "metadata", "labels", NULL)) &&
           same_owners(value_path(result, "metadata", "managedFields", NULL),
                       value_path(want, "metadata", "managedFields", NULL));
}

static void as_recorded(void **state _unused_) {
    FILE *f = fopen(LIGHTER_SOURCE_DIR "/tests/golden/managed/cases.jsonl", "re");
    assert_non_null(f);
    char *text = NULL;
    size_t cap = 0, lines = 0, failures = 0;
    while (getline(&text, &cap, f) > 0) {
        _cleanup_arena_ Arena *arena = arena_new(0);
        _cleanup_buf_ Buf got = BUF_INIT(BUF_NO_LIMIT);
        Value *line;
        assert_int_equal(json_parse(arena, text, strlen(text), &line, NULL, NULL), 0);
        bool apply = strcmp(value_get_str(line, "op"), "apply") == 0;
        bool good = apply ? check_apply(arena, line, &got) : check_update(arena, line, &got);
        if (!good)
            print_error("%s: %s\n", value_get_str(line, "name"), got.data);
        failures += !good;
        lines++;
    }
    free(text);
    fclose(f);
    assert_int_equal(failures, 0);
    assert_true(lines >= 50);
}

static Value *parse(Arena *arena, const char *text) {
    Value *v;
    assert_int_equal(json_parse(arena, text, strlen(text), &v, NULL, NULL), 0);
    return v;
}

static ManagedInput config_map_input(const char *manager) {
    return (ManagedInput){.schema = schema_by_name("io.k8s.api.core.v1.ConfigMap"),
                          .api_version = "v1",
                          .manager = manager,
                          .now_ns = NOW};
}

static char *owners_text(Arena *arena, const Value *object) {
    _cleanup_buf_ Buf buf = BUF_INIT(BUF_NO_LIMIT);
    value_write_json(&buf, value_path(object, "metadata", "managedFields", NULL));
    return arena_strdup(arena, buf.data);
}

#define OWNED(manager, fields)                                                                                         \
    "{\"manager\":\"" manager "\",\"operation\":\"Update\",\"apiVersion\":\"v1\",\"time\":\"2020-01-01T00:00:00Z\","   \
    "\"fieldsType\":\"FieldsV1\",\"fieldsV1\":" fields "}"
#define DATA_A "{\"f:data\":{\".\":{},\"f:a\":{}}}"
#define CONFIG(owners)                                                                                                 \
    "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"x\",\"uid\":\"u\"" owners                  \
    "},\"data\":{\"a\":\"1\"}}"

static void nothing_changed_keeps_the_time(void **state _unused_) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    Value *live = parse(arena, CONFIG(",\"managedFields\":[" OWNED("m", DATA_A) "]"));
    Value *object = parse(arena, CONFIG(""));
    ManagedInput input = config_map_input("m");
    managed_update(arena, &input, live, object);
    assert_string_equal(owners_text(arena, object), "[" OWNED("m", DATA_A) "]");
}

static void a_change_moves_the_field(void **state _unused_) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    Value *live = parse(arena, CONFIG(",\"managedFields\":[" OWNED("m", DATA_A) "]"));
    Value *object = parse(arena, CONFIG(""));
    value_set_str(arena, value_get(object, "data"), "a", "2");
    ManagedInput input = config_map_input("n");
    managed_update(arena, &input, live, object);
    assert_string_equal(
        owners_text(arena, object),
        "[" OWNED("m", "{\"f:data\":{}}") ",{\"manager\":\"n\",\"operation\":\"Update\",\"apiVersion\":\"v1\","
                                          "\"time\":\"2023-11-14T22:13:20Z\",\"fieldsType\":\"FieldsV1\",\"fieldsV1\":{"
                                          "\"f:data\":{\"f:a\":{}}}}]");
}

static void clients_may_reset_owners(void **state _unused_) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    Value *live = parse(arena, CONFIG(",\"managedFields\":[" OWNED("m", DATA_A) "]"));
    Value *object = parse(arena, CONFIG(",\"managedFields\":[{}]"));
    ManagedInput input = config_map_input("m");
    managed_update(arena, &input, live, object);
    assert_null(value_path(object, "metadata", "managedFields", NULL));
    object = parse(arena, CONFIG(",\"managedFields\":[{\"manager\":\"bad\"}]")); /* not valid: the live ones stay */
    managed_update(arena, &input, live, object);
    assert_string_equal(owners_text(arena, object), "[" OWNED("m", DATA_A) "]");
    assert_string_equal(managed_invalid(arena, parse(arena, "[{\"manager\":\"bad\"}]")),
                        "operation must be `Apply` or `Update`");
    object = parse(arena, CONFIG(",\"managedFields\":[{}]"));
    input.subresource = "status"; /* ignored there */
    managed_update(arena, &input, live, object);
    assert_string_equal(owners_text(arena, object), "[" OWNED("m", DATA_A) "]");
}

static void old_updaters_are_folded(void **state _unused_) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    Value *live = NULL;
    for (int i = 0; i < 14; i++) {
        Value *object = live ? value_copy(arena, live) : parse(arena, CONFIG(""));
        if (!live)
            value_remove(value_get(object, "metadata"), "uid");
        value_set_str(arena, value_get(object, "data"), arena_printf(arena, "k%02d", i), "x");
        ManagedInput input = config_map_input(arena_printf(arena, "manager-%02d", i));
        input.now_ns = NOW + i * 1000000000ll;
        managed_update(arena, &input, live, object);
        value_set_str(arena, value_get(object, "metadata"), "uid", "u");
        live = object;
    }
    Value *owners = value_path(live, "metadata", "managedFields", NULL);
    assert_int_equal(value_len(owners), MANAGED_UPDATERS_MAX);
    assert_string_equal(value_get_str(value_at(owners, 0), "manager"), "ancient-changes");
    assert_non_null(value_path(value_at(owners, 0), "fieldsV1", "f:data", "f:k03", NULL));
    assert_non_null(value_path(value_at(owners, 0), "fieldsV1", "f:data", "f:k00", NULL));
    assert_string_equal(value_get_str(value_at(owners, 9), "manager"), "manager-13");
}

/* A client may send thousands of owners. */
static void many_owners_are_folded_in_no_time(void **state _unused_) {
    enum { COUNT = 12000 };
    _cleanup_arena_ Arena *arena = arena_new(0);
    Value *live = parse(arena, CONFIG("")), *object = parse(arena, CONFIG("")), *data = value_get(object, "data");
    Value *sent = value_ensure_array(arena, value_get(object, "metadata"), "managedFields");
    for (int i = 0; i < COUNT; i++) {
        value_add(arena, data, arena_printf(arena, "k%05d", i), value_string(arena, "x"));
        value_append(arena, sent,
                     parse(arena, arena_printf(arena,
                                               "{\"manager\":\"m%05d\",\"operation\":\"Update\","
                                               "\"apiVersion\":\"v1\",\"fieldsType\":\"FieldsV1\","
                                               "\"fieldsV1\":{\"f:data\":{\"f:k%05d\":{}}}}",
                                               i, i)));
    }
    *value_ensure_object(arena, live, "data") = *value_copy(arena, data);
    value_set_str(arena, data, "k00000", "changed");
    ManagedInput input = config_map_input("self");
    uint64_t start = now_monotonic_ns();
    managed_update(arena, &input, live, object);
    assert_true(now_monotonic_ns() - start < 5 * NS_PER_SEC);
    const Value *owners = value_path(object, "metadata", "managedFields", NULL), *owner;
    size_t owned = 0;
    assert_int_equal(value_len(owners), MANAGED_UPDATERS_MAX);
    VALUE_FOREACH (owner, owners) {
        const Value *keys = value_path(owner, "fieldsV1", "f:data", NULL);
        owned += value_len(keys);
        assert_true((value_get(keys, "f:k00000") != NULL) == streq(value_get_str(owner, "manager"), "self"));
    }
    assert_int_equal(owned, COUNT); /* nothing is lost, nothing has two owners */
    assert_string_equal(value_get_str(value_at(owners, 0), "manager"), "ancient-changes");
    assert_int_equal(value_len(value_path(value_at(owners, 0), "fieldsV1", "f:data", NULL)),
                     COUNT - MANAGED_UPDATERS_MAX + 1);
}

/* One key in many spellings is one element, with all that was below any of them. */
static void spellings_of_a_key_are_united(void **state _unused_) {
    enum { COUNT = 8192 };
    _cleanup_arena_ Arena *arena = arena_new(0);
    Value *fields = value_object(arena), *want = value_object(arena);
    for (int i = 0; i < COUNT; i++) {
        char spaces[14] = "";
        for (size_t bit = 0; bit < 13; bit++)
            spaces[bit] = i >> bit & 1 ? ' ' : '\t';
        Value *below = value_object(arena);
        value_add(arena, below, arena_printf(arena, "f:x%04d", i), value_object(arena));
        value_add(arena, want, arena_printf(arena, "f:x%04d", i), value_object(arena));
        value_add(arena, fields, arena_printf(arena, "k:{%s\"b\":1,\"a\":2}", spaces), below);
    }
    FieldSet *set;
    uint64_t start = now_monotonic_ns();
    assert_int_equal(fieldset_from_value(arena, fields, &set), 0);
    assert_true(now_monotonic_ns() - start < 5 * NS_PER_SEC);
    Value *got = fieldset_to_value(arena, set);
    assert_int_equal(value_len(got), 1);
    assert_true(value_equal(value_get(got, "k:{\"a\":2,\"b\":1}"), want));
}

static FieldSet *set_of(Arena *arena, int from, int to, int step) {
    Value *v = value_object(arena);
    for (int i = from; i < to; i += step)
        value_add(arena, v, arena_printf(arena, "f:%03d", i),
                  parse(arena, i % 2 ? "{}" : "{\".\":{},\"f:a\":{},\"f:b\":{}}"));
    FieldSet *set;
    assert_int_equal(fieldset_from_value(arena, v, &set), 0);
    return set;
}

/* Of sets of any two sizes: what is in both and what is in one make up that one. */
static void few_against_many(void **state _unused_) {
    static const int steps[] = {1, 3, 50, 333};
    _cleanup_arena_ Arena *arena = arena_new(0);
    for (size_t i = 0; i < ELEMENTSOF(steps); i++)
        for (size_t j = 0; j < ELEMENTSOF(steps); j++) {
            FieldSet *a = set_of(arena, 0, 999, steps[i]), *b = set_of(arena, 100, 700, steps[j]);
            FieldSet *both = fieldset_intersection(arena, a, b), *only = fieldset_difference(arena, a, b);
            FieldSet *deep = fieldset_difference_deep(arena, a, b);
            assert_true(fieldset_equal(fieldset_union(arena, both, only), a));
            assert_true(fieldset_equal(both, fieldset_intersection(arena, b, a)));
            assert_true(fieldset_equal(only, deep));
            assert_null(fieldset_intersection(arena, only, b));
            for (int k = 0; k < 999; k++) {
                char name[16];
                snprintf(name, sizeof(name), "%03d", k);
                bool in_a = k % steps[i] == 0, in_b = k >= 100 && k < 700 && (k - 100) % steps[j] == 0;
                assert_true((fieldset_find(both, ELEMENT_FIELD, name) != NULL) == (in_a && in_b));
                assert_true((fieldset_find(only, ELEMENT_FIELD, name) != NULL) == (in_a && !in_b));
            }
        }
}

static void writes_that_change_nothing(void **state _unused_) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    Value *live = parse(arena, CONFIG(",\"resourceVersion\":\"5\",\"managedFields\":[" OWNED("m", DATA_A) "]"));
    Value *object = parse(arena, CONFIG(",\"managedFields\":[" OWNED("m", DATA_A) "]"));
    value_set_str(arena, value_at(value_path(object, "metadata", "managedFields", NULL), 0), "time", "later");
    Value *different = value_copy(arena, object), *moved = value_copy(arena, object);
    assert_true(managed_restore_times(live, object));
    assert_string_equal(owners_text(arena, object), owners_text(arena, live));
    value_set_str(arena, value_get(different, "data"), "a", "2");
    assert_false(managed_restore_times(live, different));
    value_set_str(arena, value_at(value_path(moved, "metadata", "managedFields", NULL), 0), "manager", "n");
    assert_false(managed_restore_times(live, moved));
    assert_non_null(strstr(owners_text(arena, moved), "later"));
}

static void names_of_managers(void **state _unused_) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    assert_string_equal(managed_name(arena, "m", "kubectl/v1"), "m");
    assert_string_equal(managed_name(arena, "", "kubectl/v1.36 (linux)"), "kubectl");
    assert_string_equal(managed_name(arena, NULL,
                                     "a\x01\x7f"
                                     "b"),
                        "ab");
    assert_string_equal(managed_name(arena, NULL, NULL), "");
    char *longer = arena_alloc0(arena, 300);
    memset(longer, 'x', 299);
    assert_int_equal(strlen(managed_name(arena, NULL, longer)), FIELD_MANAGER_MAX);
}

/* kubectl's move from client-side to server-side apply does not conflict with what its annotation says. */
static void client_side_apply_migrates(void **state _unused_) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    Value *live = parse(
        arena,
        CONFIG(",\"annotations\":{\"kubectl.kubernetes.io/last-applied-configuration\":"
               "\"{\\\"apiVersion\\\":\\\"v1\\\",\\\"kind\\\":\\\"ConfigMap\\\",\\\"data\\\":{\\\"a\\\":\\\"1\\\"}}\"},"
               "\"managedFields\":[" OWNED("other", "{\"f:data\":{\"f:a\":{}}}") "]"));
    Value *applied = parse(
        arena, "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"x\"},\"data\":{\"a\":\"2\"}}");
    ManagedInput input = config_map_input("kubectl");
    Value *result;
    bool changed;
    _cleanup_api_error_ ApiError err = {0};
    assert_int_equal(managed_apply(arena, &input, live, applied, &result, &changed, &err), 0);
    assert_true(changed);
    assert_string_equal(value_get_str(value_get(result, "data"), "a"), "2");
    assert_non_null(strstr(value_get_str(value_path(result, "metadata", "annotations", NULL),
                                         "kubectl.kubernetes.io/last-applied-configuration"),
                           "\"data\":{\"a\":\"2\"}"));
    input.manager = "tool"; /* no other manager has that right */
    assert_true(managed_apply(arena, &input, live, applied, &result, &changed, &err) < 0);
    assert_int_equal(err.code, 409);
}

/* ---- entries of other versions ---- */

/* A kind with data.address ("h:1") at v1, and data.host and data.port at v2; v3 has no data at all, v4 is no more. */
static int convert_address(void *userdata, Arena *arena, const char *from, const char *to, const Value *object,
                           const Schema **ret_schema, Value **ret, ApiError *err) {
    Value *out = value_copy(arena, object), *data = value_get(out, "data");
    const char *address = value_get_str(data, "address"), *host = value_get_str(data, "host");
    ++*(unsigned *)userdata;
    if (strcmp(to, "v4") == 0)
        return -ENOENT;
    if (strcmp(to, "v3") == 0 && data)
        return api_error_set(err, 500, "", ".data: field not declared in schema");
    if (strcmp(to, "v2") == 0 && strcmp(from, "v1") == 0 && address) {
        const char *colon = strchr(address, ':');
        assert_non_null(colon);
        value_set_str(arena, data, "host", arena_strndup(arena, address, (size_t)(colon - address)));
        value_set_str(arena, data, "port", colon + 1);
        value_remove(data, "address");
    } else if (strcmp(to, "v1") == 0 && strcmp(from, "v2") == 0 && host) {
        const char *port = value_get_str(data, "port");
        value_set_str(arena, data, "address", arena_printf(arena, "%s:%s", host, port ? port : ""));
        value_remove(data, "host");
        value_remove(data, "port");
    }
    value_set_str(arena, out, "apiVersion", to);
    *ret = out;
    *ret_schema = schema_by_name("io.k8s.api.core.v1.ConfigMap");
    return 0;
}

/* One apply by `manager`; the new state, as the next one finds it: at `next`. */
static Value *apply_at(Arena *arena, const char *version, const char *manager, const Value *live, const char *data,
                       const char *next, ApiError *err) {
    unsigned calls = 0;
    ManagedInput input = config_map_input(manager);
    input.api_version = version;
    input.custom = true;
    input.convert = convert_address;
    input.userdata = &calls;
    Value *applied = parse(arena, arena_printf(arena,
                                               "{\"apiVersion\":\"%s\",\"kind\":\"ConfigMap\",\"metadata\":{"
                                               "\"name\":\"x\"},\"data\":%s}",
                                               version, data)),
          *result, *then;
    const Schema *schema;
    bool changed;
    if (managed_apply(arena, &input, live, applied, &result, &changed, err) < 0)
        return NULL;
    assert_int_equal(convert_address(&calls, arena, version, next, result, &schema, &then, err), 0);
    return then;
}

static const char *data_text(Arena *arena, const Value *object) {
    _cleanup_buf_ Buf buf = BUF_INIT(BUF_NO_LIMIT);
    value_write_json(&buf, value_get(object, "data"));
    return arena_strdup(arena, buf.data);
}

static void applies_in_other_versions_prune(void **state _unused_) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    _cleanup_api_error_ ApiError err = {0};
    Value *live = apply_at(arena, "v1", "m", NULL, "{\"address\":\"h:1\",\"a\":\"1\"}", "v2", &err);
    assert_string_equal(data_text(arena, live), "{\"a\":\"1\",\"host\":\"h\",\"port\":\"1\"}");
    live = apply_at(arena, "v2", "m", live, "{\"a\":\"1\"}", "v2", &err);
    assert_string_equal(data_text(arena, live), "{\"a\":\"1\"}");
    live = apply_at(arena, "v2", "m", live, "{\"host\":\"h\",\"port\":\"2\"}", "v1", &err);
    assert_string_equal(data_text(arena, live), "{\"address\":\"h:2\"}");
    live = apply_at(arena, "v1", "m", live, "{\"a\":\"2\"}", "v1", &err);
    assert_string_equal(data_text(arena, live), "{\"a\":\"2\"}");
}

/* What another manager holds stays, in the form of that manager's version. */
static void applies_in_other_versions_keep_what_others_own(void **state _unused_) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    _cleanup_api_error_ ApiError err = {0};
    Value *live = apply_at(arena, "v1", "m", NULL, "{\"address\":\"h:1\",\"a\":\"1\"}", "v2", &err);
    live = apply_at(arena, "v2", "n", live, "{\"host\":\"h\"}", "v2", &err);
    live = apply_at(arena, "v2", "m", live, "{\"a\":\"1\"}", "v2", &err);
    assert_non_null(live);
    assert_string_equal(str_or(value_get_str(value_get(live, "data"), "host"), ""), "h");
    assert_null(apply_at(arena, "v2", "o", live, "{\"host\":\"g\"}", "v2", &err));
    assert_string_equal(err.message, "Apply failed with 1 conflict: conflict with \"n\": .data.host");
}

static Value *live_of(Arena *arena, const char *manager, const char *version) {
    return parse(arena,
                 arena_printf(arena,
                              "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"x\",\"uid\":"
                              "\"u\",\"managedFields\":[{\"manager\":\"%s\",\"operation\":\"Apply\","
                              "\"apiVersion\":\"%s\",\"time\":\"2020-01-01T00:00:00Z\",\"fieldsType\":"
                              "\"FieldsV1\",\"fieldsV1\":" DATA_A "}]},\"data\":{\"a\":\"1\"}}",
                              manager, version));
}

/* Of a version that is no more nothing is known; what does not fit one that is there is an error, of an ordinary write
 * the end of all managedFields. */
static void versions_that_do_not_fit(void **state _unused_) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    _cleanup_api_error_ ApiError err = {0};
    unsigned calls = 0;
    Value *kept = apply_at(arena, "v1", "m", live_of(arena, "m", "v4"), "{\"b\":\"1\"}", "v1", &err);
    assert_string_equal(data_text(arena, kept), "{\"a\":\"1\",\"b\":\"1\"}");
    assert_null(apply_at(arena, "v1", "m", live_of(arena, "n", "v3"), "{\"b\":\"1\"}", "v1", &err));
    assert_int_equal(err.code, 500);
    assert_string_equal(err.message, ".data: field not declared in schema");
    Value *live = live_of(arena, "n", "v3"), *object = value_copy(arena, live);
    value_set_str(arena, value_get(object, "data"), "b", "2");
    ManagedInput input = config_map_input("m");
    input.convert = convert_address;
    input.userdata = &calls;
    managed_update(arena, &input, live, object);
    assert_null(value_path(object, "metadata", "managedFields", NULL));
}

static void merged_lists_keep_their_order(void **state _unused_) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    const Schema *pod = schema_by_name("io.k8s.api.core.v1.Pod");
    Value *live = parse(
        arena, "{\"spec\":{\"containers\":[{\"name\":\"a\",\"image\":\"1\"},{\"name\":\"x\"},{\"name\":\"b\"}]}}");
    Value *applied = parse(
        arena, "{\"spec\":{\"containers\":[{\"name\":\"b\",\"image\":\"2\"},{\"name\":\"a\"},{\"name\":\"n\"}]}}");
    Value *merged = typed_merge(arena, pod, live, applied);
    _cleanup_buf_ Buf buf = BUF_INIT(BUF_NO_LIMIT);
    value_write_json(&buf, value_path(merged, "spec", "containers", NULL));
    assert_string_equal(
        buf.data,
        "[{\"name\":\"x\"},{\"name\":\"b\",\"image\":\"2\"},{\"name\":\"a\",\"image\":\"1\"},{\"name\":\"n\"}]");
}

static void keys_have_defaults(void **state _unused_) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    const Schema *pod = schema_by_name("io.k8s.api.core.v1.Pod");
    Value *v = parse(arena, "{\"spec\":{\"containers\":[{\"name\":\"c\",\"ports\":[{\"containerPort\":443},{"
                            "\"containerPort\":80}],\"args\":[\"x\"]}]}}");
    _cleanup_buf_ Buf buf = BUF_INIT(BUF_NO_LIMIT);
    value_write_json(&buf, fieldset_to_value(arena, typed_fieldset(arena, pod, v)));
    assert_string_equal(
        buf.data,
        "{\"f:spec\":{\"f:containers\":{\"k:{\\\"name\\\":\\\"c\\\"}\":{\".\":{},\"f:args\":{},\"f:name\":{},\"f:"
        "ports\":{"
        "\"k:{\\\"containerPort\\\":80,\\\"protocol\\\":\\\"TCP\\\"}\":{\".\":{},\"f:containerPort\":{}},"
        "\"k:{\\\"containerPort\\\":443,\\\"protocol\\\":\\\"TCP\\\"}\":{\".\":{},\"f:containerPort\":{}}}}}}}");
}

static void configurations_are_checked(void **state _unused_) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    const Schema *pod = schema_by_name("io.k8s.api.core.v1.Pod");
    assert_null(typed_validate(
        arena, pod, parse(arena, "{\"kind\":\"Pod\",\"spec\":{\"containers\":[{\"name\":\"c\"}],\"priority\":1}}")));
    assert_string_equal(
        typed_validate(arena, pod, parse(arena, "{\"spec\":{\"containers\":[{\"name\":\"c\"},{\"name\":\"c\"}]}}")),
        ".spec.containers: duplicate entries for key [name=\"c\"]");
    assert_string_equal(
        typed_validate(arena, pod,
                       parse(arena, "{\"spec\":{\"containers\":[{\"name\":\"c\",\"tty\":\"no\",\"x\":1}]}}")),
        "errors:\n  .spec.containers[name=\"c\"].tty: expected boolean, got &{no}\n"
        "  .spec.containers[name=\"c\"].x: field not declared in schema");
    assert_string_equal(typed_validate(arena, schema_by_name("io.k8s.api.core.v1.ServiceAccount"),
                                       parse(arena, "{\"secrets\":[{\"kind\":\"c\"}]}")),
                        ".secrets: element 0: associative list with keys has an element that omits all key fields "
                        "[\"name\"] (and doesn't have default values for any key fields)");
    /* A key that Go always writes is "" when it is left out. */
    assert_null(typed_validate(arena, pod, parse(arena, "{\"spec\":{\"containers\":[{\"image\":\"c\"}]}}")));
    /* The first member that is not declared ends the look at its object. */
    assert_string_equal(typed_validate(arena, pod, parse(arena, "{\"spec\":{\"x\":1,\"y\":1,\"priority\":\"z\"}}")),
                        ".spec.x: field not declared in schema");
}

static void duplicates_come_as_the_list_goes(void **state _unused_) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    assert_string_equal(
        typed_validate(arena, schema_by_name("io.k8s.api.core.v1.Pod"),
                       parse(arena,
                             "{\"spec\":{\"containers\":[{\"name\":\"c\"},{\"name\":\"b\"},{\"name\":\"c\",\"x\":1},"
                             "{\"name\":\"b\"},{\"name\":\"c\"}]}}")),
        "errors:\n  .spec.containers: duplicate entries for key [name=\"c\"]\n"
        "  .spec.containers[name=\"c\"].x: field not declared in schema\n"
        "  .spec.containers: duplicate entries for key [name=\"b\"]\n"
        "  .spec.containers: duplicate entries for key [name=\"c\"]");
}

/* Of a RawExtension, and of a type without fields, nothing is known: the first is one leaf, into the second any member
 * may be applied. */
static void objects_of_which_nothing_is_known(void **state _unused_) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    const Schema *revision = schema_by_name("io.k8s.api.apps.v1.ControllerRevision");
    ManagedInput input = {.schema = revision, .api_version = "apps/v1", .manager = "m", .now_ns = NOW};
    Value *object =
        parse(arena, "{\"apiVersion\":\"apps/v1\",\"kind\":\"ControllerRevision\",\"metadata\":{\"name\":\"r\"},"
                     "\"revision\":1,\"data\":{\"a\":{\"b\":1},\"c\":[1]}}");
    managed_update(arena, &input, NULL, object);
    assert_non_null(strstr(owners_text(arena, object), "\"fieldsV1\":{\"f:data\":{},\"f:revision\":{}}"));
    assert_null(typed_validate(
        arena, schema_by_name("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceSubresources"),
        parse(arena, "{\"status\":{\"a\":1}}")));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_recorded),
        cmocka_unit_test(nothing_changed_keeps_the_time),
        cmocka_unit_test(a_change_moves_the_field),
        cmocka_unit_test(clients_may_reset_owners),
        cmocka_unit_test(old_updaters_are_folded),
        cmocka_unit_test(many_owners_are_folded_in_no_time),
        cmocka_unit_test(spellings_of_a_key_are_united),
        cmocka_unit_test(few_against_many),
        cmocka_unit_test(writes_that_change_nothing),
        cmocka_unit_test(names_of_managers),
        cmocka_unit_test(client_side_apply_migrates),
        cmocka_unit_test(applies_in_other_versions_prune),
        cmocka_unit_test(applies_in_other_versions_keep_what_others_own),
        cmocka_unit_test(versions_that_do_not_fit),
        cmocka_unit_test(merged_lists_keep_their_order),
        cmocka_unit_test(keys_have_defaults),
        cmocka_unit_test(configurations_are_checked),
        cmocka_unit_test(duplicates_come_as_the_list_goes),
        cmocka_unit_test(objects_of_which_nothing_is_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
