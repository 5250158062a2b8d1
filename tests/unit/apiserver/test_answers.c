/* What kube-apiserver v1.36.3 answers, over HTTPS: codes, types and messages. Each row was seen there. */
#include "../support/answers.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#define ROUTER "406: Not Acceptable\n\nAvailable representations: "
#define CHOICE "only the following media types are accepted: "
#define MAPS "/api/v1/namespaces/default/configmaps"
#define PODS "/api/v1/namespaces/default/pods"

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
        {"GET", MAPS, "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io", NULL, NULL, 406,
         "application/json",
         "you requested PartialObjectMetadata, but the requested object is a list (*core.ConfigMapList)"},
        {"GET", "/api/v1/namespaces/default", "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io", NULL,
         NULL, 406, "application/json",
         "you requested PartialObjectMetadataList, but the requested object is not a list (*core.Namespace)"},
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

static void test_openapi_types(void **state) {
#define APPS "/openapi/v3/apis/apps/v1"
#define PROTOBUF(version) "application/com.github.proto-openapi.spec." version "+protobuf"
    static const char json[] = "application/json", v2[] = PROTOBUF("v2.v1.0"), v3[] = PROTOBUF("v3.v1.0");
    const Case cases[] = {
        {"GET", APPS, NULL, NULL, NULL, 200, json, NULL},
        {"GET", APPS, "application/*", NULL, NULL, 200, json, NULL},
        {"GET", APPS, PROTOBUF("v3@v1.0"), NULL, NULL, 200, v3, NULL},
        {"GET", APPS, v3, NULL, NULL, 200, v3, NULL},
        {"GET", APPS, "application/yaml, " PROTOBUF("v3@v1.0"), NULL, NULL, 200, v3, NULL},
        {"GET", APPS, "application/json;q=0.5, " PROTOBUF("v3@v1.0"), NULL, NULL, 200, v3, NULL},
        {"GET", APPS "?hash=old", v3, NULL, NULL, 301, v3, NULL},
        {"GET", APPS "?hash=old", "application/yaml", NULL, NULL, 406, NULL, NULL},
        {"GET", APPS, "application/vnd.kubernetes.protobuf", NULL, NULL, 406, NULL, NULL},
        {"GET", APPS, v2, NULL, NULL, 406, NULL, NULL},
        {"GET", "/openapi/v3/apis/none/v1", "application/yaml", NULL, NULL, 404, NULL, NULL},
        {"GET", "/openapi/v2", PROTOBUF("v2@v1.0"), NULL, NULL, 200, v2, NULL},
        {"GET", "/openapi/v2", v3, NULL, NULL, 406, NULL, NULL},
    };
    check_all(state, cases, ELEMENTSOF(cases));
}

static void test_timeout(void **state) {
    static const char invalid[] = "invalid timeout specified in the request URL - time: ";
    static const struct {
        const char *text, *wrong;
    } texts[] = {
        {"x", "invalid duration \"x\""},
        {"1", "missing unit in duration \"1\""},
        {"1d", "unknown unit \"d\" in duration \"1d\""},
        {"1s1", "missing unit in duration \"1s1\""},
        {"1s%20", "unknown unit \"s \" in duration \"1s \""},
        {"-", "invalid duration \"-\""},
        {"%22%01%C3%A9", "invalid duration \"\\\"\\x01\\xc3\\xa9\""},
        {"3000000h", "invalid duration \"3000000h\""},
        {"9223372036854775808ns", "invalid duration \"9223372036854775808ns\""},
        {"9223372036854775807ns", NULL},
        {"-1s", NULL}, /* as if there were none, like 0 and what is more than a minute */
        {"0", NULL},
        {"1.5h", NULL},
        {"", NULL},
    };
    for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
        _cleanup_free_ char *target = xasprintf(MAPS "/x?timeout=%s", texts[i].text),
                            *message = xasprintf("%s%s", invalid, str_or(texts[i].wrong, ""));
        Case c = {"GET", target, NULL, NULL, NULL, 400, "application/json", message};
        if (!texts[i].wrong)
            c = (Case){"GET", target, NULL, NULL, NULL, 404, "application/json", "configmaps \"x\" not found"};
        check(*state, &c);
    }
    static const char late[] = "Timeout: request did not complete within the allotted timeout";
    static const char x[] = "invalid timeout specified in the request URL - time: invalid duration \"x\"";
    static const char text[] = "text/plain; charset=utf-8", json[] = "application/json";
    static const char map[] = "{\"metadata\":{\"name\":\"late\"}}";
    const Case cases[] = {
        {"GET", "/healthz?timeout=x", NULL, NULL, NULL, 400, json, x},
        {"GET", "/none?timeout=x", "application/yaml", NULL, NULL, 400, "application/yaml", x},
        {"GET", MAPS "?timeout=x&watch=1&resourceVersion=x", NULL, NULL, NULL, 500, json, NULL}, /* lasts */
        {"GET", "/api/v1/namespaces/default/pods/x/log?timeout=x", NULL, NULL, NULL, 404, json, NULL},
        {"GET", MAPS "?timeout=1ns", "application/yaml", NULL, NULL, 504, text, late},
        {"GET", "/healthz?timeout=1ns", NULL, NULL, NULL, 504, text, late},
        {"POST", MAPS "?timeout=1ns", NULL, json, map, 504, text, late},
        {"GET", MAPS "/late", NULL, NULL, NULL, 404, json, "configmaps \"late\" not found"},
    };
    check_all(state, cases, ELEMENTSOF(cases));
}

/* A port that takes connections and never says a word. */
static int silent_port(uint16_t *ret) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(fd, 16), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
    *ret = ntohs(at.sin_port);
    return fd;
}

/* The client hears of it at the deadline, and what was to be written is not. */
static void test_a_write_that_outlasts_its_deadline(void **state) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    uint16_t port;
    int fd = silent_port(&port);
    const char *hooks = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations";
    const char *hook =
        arena_printf(arena,
                     "{\"metadata\":{\"name\":\"silent\"},\"webhooks\":[{\"name\":\"a.b.c\",\"sideEffects\":\"None\","
                     "\"admissionReviewVersions\":[\"v1\"],\"failurePolicy\":\"Ignore\",\"timeoutSeconds\":5,"
                     "\"clientConfig\":{\"url\":\"https://127.0.0.1:%u/\"},\"rules\":[{\"apiGroups\":[\"\"],"
                     "\"apiVersions\":[\"v1\"],\"operations\":[\"CREATE\"],\"resources\":[\"configmaps\"]}]}]}",
                     port);
    uint64_t started = now_monotonic_ns();
    const Case cases[] = {
        {"POST", hooks, NULL, "application/json", hook, 201, NULL, NULL},
        {"POST", MAPS "?timeout=300ms", NULL, "application/json", "{\"metadata\":{\"name\":\"outlasts\"}}", 504,
         "text/plain; charset=utf-8", "Timeout: request did not complete within the allotted timeout"},
    };
    check_all(state, cases, ELEMENTSOF(cases));
    assert_true(now_monotonic_ns() - started < 3 * NS_PER_SEC);
    const Case after[] = {
        {"DELETE", arena_printf(arena, "%s/silent", hooks), NULL, NULL, NULL, 200, NULL, NULL},
        {"POST", MAPS, NULL, "application/json", "{\"metadata\":{\"name\":\"next\"}}", 201, NULL, NULL},
        {"GET", MAPS "/outlasts", NULL, NULL, NULL, 404, NULL, "configmaps \"outlasts\" not found"},
    };
    check_all(state, after, ELEMENTSOF(after));
    close(fd);
}

/* The base64url of `json` as a list's continue token. */
static char *list_with(Arena *arena, const char *json, const char *query) {
    _cleanup_buf_ Buf out = BUF_INIT(4096);
    base64url_encode(&out, json, strlen(json));
    return arena_printf(arena, MAPS "?continue=%.*s%s", (int)out.len, out.data, query);
}

static void test_continue(void **state) {
#define TOKEN "invalid continue token: continue key is not valid"
    static const char exact[] = "specifying resource version is not allowed when using continue";
    static const struct {
        const char *token, *query, *message;
        int code;
    } rows[] = {
        {"{\"v\":\"meta.k8s.io/v1\",\"rv\":1,\"start\":\"x\"}", "&resourceVersion=5", exact, 400},
        {"{\"v\":\"meta.k8s.io/v1\",\"rv\":1,\"start\":\"x\"}", "&resourceVersion=abc", exact, 400},
        {"{\"v\":\"meta.k8s.io/v1\",\"rv\":1,\"start\":\"x\"}", "&resourceVersion=5&resourceVersionMatch=Exact",
         "ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden "
         "when "
         "continue is provided",
         422},
        {"{\"v\":\"meta.k8s.io/v1\",\"rv\":-1,\"start\":\"x\"}", "&resourceVersion=0", NULL, 200},
        {"{\"v\":\"meta.k8s.io/v1\",\"rv\":\"5\",\"start\":\"x\"}", "&resourceVersion=abc",
         TOKEN ": json: cannot unmarshal string into Go struct field continueToken.rv of type int64", 400},
        {"[]", "&resourceVersion=5", TOKEN ": json: cannot unmarshal array into Go value of type storage.continueToken",
         400},
        {"null", "", TOKEN ": server does not recognize this encoded version ", 400},
        {"{\"v\":\"meta.k8s.io/v1\",\"start\":\"x\"}", "&resourceVersion=5",
         TOKEN ": incorrect encoded start resourceVersion (version meta.k8s.io/v1)", 400},
        {"{\"v\":\"meta.k8s.io/v1\",\"rv\":1,\"start\":\"../x\"}", "&resourceVersion=x", TOKEN ": ../x", 400},
    };
    _cleanup_arena_ Arena *arena = arena_new(0);
    for (size_t i = 0; i < ELEMENTSOF(rows); i++)
        for (int deletes = 0; deletes < 2; deletes++) {
            const char *query = arena_printf(arena, "%s%s", rows[i].query, deletes ? "&dryRun=All" : "");
            check(*state, &(Case){deletes ? "DELETE" : "GET", list_with(arena, rows[i].token, query), NULL, NULL, NULL,
                                  rows[i].code, "application/json", rows[i].message});
        }
    static const char range[] = "resourceVersion: Invalid value: \"18446744073709551616\": strconv.ParseUint: parsing "
                                "\"18446744073709551616\": value out of range";
    const Case cases[] = {
        {"GET", MAPS "?resourceVersion=18446744073709551616", NULL, NULL, NULL, 400, "application/json",
         arena_printf(arena, "invalid resource version: %s", range)},
        {"GET", MAPS "/x?resourceVersion=18446744073709551616", NULL, NULL, NULL, 500, "application/json", range},
        {"GET", MAPS "?watch=1&continue=x", NULL, NULL, NULL, 422, "application/json",
         "ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden "
         "when "
         "continue is provided"},
        {"DELETE", MAPS "?resourceVersion=99999999", NULL, NULL, NULL, 504, "application/json", NULL},
    };
    check_all(state, cases, ELEMENTSOF(cases));
}

#define INVALID " \"\" is invalid: patch: Invalid value: "

/* Values of a wrong type, and directives where none belong. */
static void test_strategic_patches(void **state) {
    static const char json[] = "application/json", strategic[] = "application/strategic-merge-patch+json";
    static const char map[] = "{\"metadata\":{\"name\":\"patched\"},\"data\":{\"a\":\"b\"}}";
    static const char deployment[] =
        "{\"metadata\":{\"name\":\"d\"},\"spec\":{\"selector\":{\"matchLabels\":{\"a\":\"b\"}},\"template\":{"
        "\"metadata\":"
        "{\"labels\":{\"a\":\"b\"}},\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"i\"}]}}}}";
    static const struct {
        const char *target, *patch;
        int code;
        const char *message;
    } rows[] = {
#define MAP MAPS "/patched"
#define DEPLOYMENTS "/apis/apps/v1/namespaces/default/deployments"
        {MAP, "{\"kind\":\"Pod\",\"apiVersion\":\"v9\"}", 200, NULL}, /* it is taken for what it is */
        {MAP, "{\"kind\":1}", 422, INVALID "\"map[kind:1]\": cannot convert int64 to string"},
        {MAP, "{\"kind\":[]}", 422, INVALID "\"map[kind:[]]\": unrecognized type: string"},
        {MAP, "{\"data\":\"s\"}", 422, INVALID "\"map[data:s]\": cannot restore map from string"},
        {MAP, "{\"immutable\":{\"$patch\":null}}", 422, INVALID "\"map[immutable:map[]]\": unrecognized type: bool"},
        {MAP, "{\"binaryData\":{\"a\":[\"s\"]}}", 422,
         INVALID "\"map[binaryData:map[a:[s]]]\": unrecognized type: uint8"},
        {MAP, "{\"$patch\":\"bad\"}", 500, "unknown patch type: bad in map: map[$patch:bad]"},
        {MAP "?fieldValidation=Strict", "{\"metadata\":{\"foo\":1,\"foo\":2}}", 422,
         INVALID "\"map[metadata:map[foo:2]]\": strict decoding error: duplicate field \"metadata.foo\", unknown field "
                 "\"metadata.foo\""},
        {DEPLOYMENTS "/d",
         "{\"spec\":{\"template\":{\"spec\":{\"$setElementOrder/containers\":[{\"name\":\"c\"},\"s\"]}}}}", 500,
         "expected a map[string]interface {}, but received a string"},
        {DEPLOYMENTS "/d",
         "{\"spec\":{\"template\":{\"spec\":{\"$setElementOrder/containers\":[\"s\",{\"name\":\"c\"}]}}}}", 500,
         "value for key 0 is not a map"},
        {DEPLOYMENTS "/d/scale", "{\"spec\":{\"replicas\":\"s\"}}", 422,
         INVALID "\"map[spec:map[replicas:s]]\": unrecognized type: int32"},
        {DEPLOYMENTS "/d/scale", "{\"spec\":{\"replicas\":1.5}}", 422,
         INVALID "\"map[spec:map[replicas:1.5]]\": cannot convert float64 to int32"},
    };
    check(*state, &(Case){"POST", MAPS, NULL, json, map, 201, NULL, NULL});
    check(*state, &(Case){"POST", DEPLOYMENTS, NULL, json, deployment, 201, NULL, NULL});
    for (size_t i = 0; i < ELEMENTSOF(rows); i++)
        check(*state,
              &(Case){"PATCH", rows[i].target, NULL, strategic, rows[i].patch, rows[i].code, NULL, rows[i].message});
}

static void expect_component(const Value *item, const char *name, const char *status, const char *message) {
    const Value *condition = value_at(value_get(item, "conditions"), 0);
    assert_string_equal(meta_get(item, "name"), name);
    assert_string_equal(value_get_str(condition, "type"), "Healthy");
    assert_string_equal(value_get_str(condition, "status"), status);
    assert_string_equal(value_get_str(condition, "message"), message);
}

/* The ports of the components are asked; this very server stands in for one, and nobody for the other. */
static void test_component_statuses(void **state) {
    World *world = *state;
    _cleanup_arena_ Arena *arena = arena_new(0);
    uint16_t port;
    close(silent_port(&port)); /* nobody listens there now */
    api_core_set_component_port(apiserver_core(world->server), API_SCHEDULER, apiserver_port(world->server));
    api_core_set_component_port(apiserver_core(world->server), API_CONTROLLERS, port);
#define STATUSES "/api/v1/componentstatuses"
    const struct {
        const char *target;
        size_t n;
    } lists[] = {
        {STATUSES, 3}, {STATUSES "?fieldSelector=metadata.name%3Dscheduler", 1}, {STATUSES "?labelSelector=a", 0}};
    for (size_t i = 0; i < ELEMENTSOF(lists); i++) {
        _cleanup_http_answer_ HttpAnswer answer = {0};
        Value *list;
        assert_int_equal(call(world, &(Case){"GET", lists[i].target}, &answer), 0);
        assert_int_equal(answer.status, 200);
        assert_int_equal(json_parse(arena, answer.body.data, answer.body.len, &list, NULL, NULL), 0);
        assert_int_equal(value_get(list, "metadata")->len, 0); /* it is of no revision */
        const Value *items = value_get(list, "items");
        assert_int_equal(value_len(items), lists[i].n);
        if (lists[i].n == 1)
            expect_component(value_at(items, 0), "scheduler", "True", "ok");
        if (lists[i].n != 3)
            continue;
        expect_component(value_at(items, 0), "controller-manager", "False",
                         arena_printf(arena,
                                      "Get \"https://127.0.0.1:%u/healthz\": dial tcp 127.0.0.1:%u: connect: "
                                      "connection refused",
                                      port, port));
        expect_component(value_at(items, 2), "etcd-0", "True", "ok");
    }
    const Case cases[] = {
        {"GET", STATUSES "/etcd-0", NULL, NULL, NULL, 200, NULL, NULL},
        {"GET", STATUSES "/etcd-1", NULL, NULL, NULL, 404, NULL, "componentstatus \"etcd-1\" not found"},
        {"GET", STATUSES "?watch=1", NULL, NULL, NULL, 405, NULL,
         "watch is not supported on resources of kind \"componentstatuses\""},
    };
    check_all(state, cases, ELEMENTSOF(cases));
}

/* Until a controller has said it: the condition of a flow schema. */
static void wait_for_dangling(World *world, const char *target, const char *status, const char *reason,
                              const char *message) {
    uint64_t until = now_monotonic_ns() + WAIT_NS;
    for (;;) {
        _cleanup_arena_ Arena *arena = arena_new(0);
        _cleanup_http_answer_ HttpAnswer answer = {0};
        Value *schema;
        assert_int_equal(call(world, &(Case){"GET", target}, &answer), 0);
        assert_int_equal(answer.status, 200);
        assert_int_equal(json_parse(arena, answer.body.data, answer.body.len, &schema, NULL, NULL), 0);
        const Value *conditions = value_path(schema, "status", "conditions", NULL), *one = value_at(conditions, 0);
        if (value_len(conditions) == 1 && streq(str_or(value_get_str(one, "status"), ""), status)) {
            const Value *entry = value_at(value_path(schema, "metadata", "managedFields", NULL), 0);
            assert_string_equal(value_get_str(one, "type"), "Dangling");
            assert_string_equal(value_get_str(one, "reason"), reason);
            assert_string_equal(value_get_str(one, "message"), message);
            assert_string_equal(value_get_str(entry, "manager"), "api-priority-and-fairness-config-consumer-v1");
            assert_string_equal(value_get_str(entry, "subresource"), "status");
            entry = value_at(value_path(schema, "metadata", "managedFields", NULL), 1);
            assert_string_equal(value_get_str(entry, "manager"), str_has_suffix(target, "/probes")
                                                                     ? "api-priority-and-fairness-config-producer-v1"
                                                                     : "unit");
            return;
        }
        assert_true(now_monotonic_ns() < until);
        usleep(20 * 1000);
    }
}

static void test_dangling_flow_schemas(void **state) {
#define FLOW "/apis/flowcontrol.apiserver.k8s.io/v1"
    static const char json[] = "application/json";
    static const char schema[] = "{\"metadata\":{\"name\":\"s\"},\"spec\":{\"matchingPrecedence\":500,"
                                 "\"priorityLevelConfiguration\":{\"name\":\"level\"}}}";
    static const char level[] = "{\"metadata\":{\"name\":\"level\"},\"spec\":{\"type\":\"Limited\",\"limited\":{"
                                "\"limitResponse\":{\"type\":\"Reject\"}}}}";
    static const char found[] =
        "This FlowSchema references the PriorityLevelConfiguration object named \"level\" and it "
        "exists";
    static const char missing[] =
        "This FlowSchema references the PriorityLevelConfiguration object named \"level\" but "
        "there is no such object";
    wait_for_dangling(
        *state, FLOW "/flowschemas/probes", "False", "Found",
        "This FlowSchema references the PriorityLevelConfiguration object named \"exempt\" and it exists");
    check(*state, &(Case){"POST", FLOW "/flowschemas", NULL, json, schema, 201, NULL, NULL});
    wait_for_dangling(*state, FLOW "/flowschemas/s", "True", "NotFound", missing);
    check(*state, &(Case){"POST", FLOW "/prioritylevelconfigurations", NULL, json, level, 201, NULL, NULL});
    wait_for_dangling(*state, FLOW "/flowschemas/s", "False", "Found", found);
    check(*state, &(Case){"DELETE", FLOW "/prioritylevelconfigurations/level", NULL, NULL, NULL, 200, NULL, NULL});
    wait_for_dangling(*state, FLOW "/flowschemas/s", "True", "NotFound", missing);
}

/* Any patch may have the owners forgotten; a patch that says nothing of them, or null, keeps them. */
static void test_ownership_forgotten(void **state) {
    static const char apply[] = "application/apply-patch+yaml", merge[] = "application/merge-patch+json",
                      strategic[] = "application/strategic-merge-patch+json", json[] = "application/json-patch+json",
                      path[] = MAPS "/forgotten?fieldManager=m",
                      map[] = "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"forgotten\"},"
                              "\"data\":{\"a\":\"1\"}}";
    static const struct {
        const char *type, *body;
        bool kept;
    } rows[] = {
        {merge, "{\"metadata\":{\"managedFields\":[]},\"data\":{\"b\":\"1\"}}", false},
        {merge, "{\"metadata\":{\"managedFields\":[{}]}}", false},
        {merge, "{\"metadata\":{\"managedFields\":null}}", true},
        {strategic, "{\"metadata\":{\"managedFields\":[]}}", false},
        {strategic, "{\"metadata\":{\"managedFields\":[]},\"data\":{\"b\":\"1\"}}", false},
        {strategic, "{\"metadata\":{\"managedFields\":[{}]}}", false},
        {strategic, "{\"metadata\":{\"managedFields\":null}}", true},
        {json, "[{\"op\":\"replace\",\"path\":\"/metadata/managedFields\",\"value\":[]}]", false},
        {json, "[{\"op\":\"remove\",\"path\":\"/metadata/managedFields\"}]", true},
    };
    for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
        expect_text(*state, &(Case){"PATCH", path, NULL, apply, map, 201, NULL, NULL}, "\"managedFields\"", true);
        expect_text(*state, &(Case){"PATCH", path, NULL, rows[i].type, rows[i].body, 200, NULL, NULL},
                    "\"managedFields\"", rows[i].kept);
        check(*state, &(Case){"DELETE", MAPS "/forgotten", NULL, NULL, NULL, 200, NULL, NULL});
    }
}

/* Fields are owned, and configurations checked, in the version of the request, whatever is stored. */
static void test_ownership_in_other_versions(void **state) {
#define HPA(version) "/apis/autoscaling/" version "/namespaces/default/horizontalpodautoscalers"
    static const char json[] = "application/json", merge[] = "application/merge-patch+json",
                      apply[] = "application/apply-patch+yaml";
    static const char v1[] =
        "{\"apiVersion\":\"autoscaling/v1\",\"kind\":\"HorizontalPodAutoscaler\",\"metadata\":{\"name\":\"h\"},"
        "\"spec\":{\"maxReplicas\":3,\"scaleTargetRef\":{\"apiVersion\":\"apps/"
        "v1\",\"kind\":\"Deployment\",\"name\":\"x\"},"
        "\"targetCPUUtilizationPercentage\":50}}";
    static const char v2[] =
        "{\"apiVersion\":\"autoscaling/v2\",\"kind\":\"HorizontalPodAutoscaler\",\"metadata\":{\"name\":\"h\"},"
        "\"spec\":{\"metrics\":[{\"type\":\"Resource\",\"resource\":{\"name\":\"cpu\",\"target\":{\"type\":"
        "\"Utilization\",\"averageUtilization\":70}}}]}}";
    expect_text(*state, &(Case){"PATCH", HPA("v1") "/h?fieldManager=a", NULL, apply, v1, 201, NULL, NULL},
                "\"f:spec\":{\"f:maxReplicas\":{},\"f:scaleTargetRef\":{},\"f:targetCPUUtilizationPercentage\":{}}",
                true);
    check(*state, &(Case){"PATCH", HPA("v2") "/h?fieldManager=b", NULL, apply, v2, 409, NULL,
                          "Apply failed with 1 conflict: conflict with \"a\": .spec.targetCPUUtilizationPercentage"});
    expect_text(*state, &(Case){"PATCH", HPA("v2") "/h?fieldManager=b&force=true", NULL, apply, v2, 200, NULL, NULL},
                "\"f:spec\":{\"f:maxReplicas\":{},\"f:scaleTargetRef\":{}}", true);
    check(*state,
          &(Case){"PATCH", HPA("v1") "/h?fieldManager=a", NULL, apply,
                  "{\"apiVersion\":\"autoscaling/v1\",\"kind\":\"HorizontalPodAutoscaler\",\"spec\":{\"metrics\":[]}}",
                  500, NULL,
                  "failed to create typed patch object (/; autoscaling/v1, Kind=HorizontalPodAutoscaler): "
                  ".spec.metrics: field not declared in schema"});
    static const struct {
        const char *member, *message;
    } wrong[] = {
        {"\"maxReplicas\":\"x\"", ".spec.maxReplicas: expected numeric (int or float), got string"},
        {"\"scaleTargetRef\":[1,\"a\"]", ".spec.scaleTargetRef: expected map, got &{[1 a]}"},
        {"\"scaleTargetRef\":{\"kind\":{\"b\":[1],\"a\":null}}",
         ".spec.scaleTargetRef.kind: expected string, got &value.valueUnstructured{Value:map[string]interface {}{\"a\":"
         "interface {}(nil), \"b\":[]interface {}{1}}}"},
    };
    for (size_t i = 0; i < ELEMENTSOF(wrong); i++) {
        _cleanup_free_ char *body = xasprintf("{\"apiVersion\":\"autoscaling/v1\",\"kind\":\"HorizontalPodAutoscaler\","
                                              "\"spec\":{%s}}",
                                              wrong[i].member),
                            *message = xasprintf("failed to create typed patch object (/; autoscaling/v1, "
                                                 "Kind=HorizontalPodAutoscaler): %s",
                                                 wrong[i].message);
        check(*state, &(Case){"PATCH", HPA("v1") "/h?fieldManager=a", NULL, apply, body, 500, NULL, message});
    }
    /* What the last configuration had and this one has not goes, whatever their versions. */
#define SCALER(version, more)                                                                                          \
    "{\"apiVersion\":\"autoscaling/" version                                                                           \
    "\",\"kind\":\"HorizontalPodAutoscaler\",\"metadata\":{\"name\":\"two\"},"                                         \
    "\"spec\":{\"maxReplicas\":3,\"scaleTargetRef\":{\"apiVersion\":\"apps/"                                           \
    "v1\",\"kind\":\"Deployment\",\"name\":\"x\""                                                                      \
    "}" more "}}"
    expect_text(*state,
                &(Case){"PATCH", HPA("v1") "/two?fieldManager=a", NULL, apply, SCALER("v1", ",\"minReplicas\":2"), 201,
                        NULL, NULL},
                "\"minReplicas\":2", true);
    expect_text(*state,
                &(Case){"PATCH", HPA("v2") "/two?fieldManager=a", NULL, apply, SCALER("v2", ""), 200, NULL, NULL},
                "\"minReplicas\":1", true);
    /* What v1 has no field for is not lost by writing there. */
    static const char behavior[] = "{\"spec\":{\"behavior\":{\"scaleUp\":{\"stabilizationWindowSeconds\":3}}}}";
    check(*state, &(Case){"PATCH", HPA("v2") "/h", NULL, merge, behavior, 200, NULL, NULL});
    check(*state, &(Case){"PATCH", HPA("v1") "/h", NULL, merge, "{\"spec\":{\"maxReplicas\":9}}", 200, NULL, NULL});
    expect_text(*state, &(Case){"GET", HPA("v2") "/h", NULL, NULL, NULL, 200, NULL, NULL},
                "\"stabilizationWindowSeconds\":3", true);
    expect_text(*state,
                &(Case){"PATCH", HPA("v1") "/two", NULL, merge, "{\"metadata\":{\"managedFields\":[]}}", 200, NULL,
                        NULL},
                "managedFields", false);
    /* What no other version may have is owned by nobody: an owner twice. */
    expect_text(*state,
                &(Case){"PATCH", HPA("v1") "/h", NULL, merge,
                        "{\"metadata\":{\"ownerReferences\":["
                        "{\"apiVersion\":\"v1\",\"kind\":\"P\",\"name\":\"o\",\"uid\":\"u\"},"
                        "{\"apiVersion\":\"v1\",\"kind\":\"P\",\"name\":\"o\",\"uid\":\"u\",\"controller\":true}]}}",
                        200, NULL, NULL},
                "managedFields", false);
    /* Each group knows its own versions only: what the other's managers own is forgotten. */
#define CORE_EVENTS "/api/v1/namespaces/default/events"
#define NEW_EVENTS "/apis/events.k8s.io/v1/namespaces/default/events"
    static const char event[] = "{\"metadata\":{\"name\":\"e\",\"namespace\":\"default\"},\"eventTime\":\"2020-01-"
                                "01T00:00:00.000000Z\",\"action\":\"A\","
                                "\"reason\":\"R\",\"type\":\"Normal\",\"note\":\"n\",\"regarding\":{\"kind\":\"Pod\","
                                "\"name\":\"x\",\"namespace\":"
                                "\"default\"},\"reportingController\":\"c\",\"reportingInstance\":\"i\"}";
    expect_text(*state, &(Case){"POST", NEW_EVENTS, NULL, json, event, 201, NULL, NULL},
                "\"apiVersion\":\"events.k8s.io/v1\",\"time\"", true);
    expect_text(*state, &(Case){"GET", CORE_EVENTS "/e", NULL, NULL, NULL, 200, NULL, NULL}, "\"f:regarding\":{}",
                true);
    expect_text(
        *state,
        &(Case){"PATCH", CORE_EVENTS "/e", NULL, merge, "{\"metadata\":{\"labels\":{\"a\":\"b\"}}}", 200, NULL, NULL},
        "f:regarding", false);
}

/* Who writes what an endpoint does not write, or a part of a struct that is one elsewhere, owns just what they wrote.
 */
static void test_ownership_by_endpoint(void **state) {
    static const char json[] = "application/json", merge[] = "application/merge-patch+json";
    static const char volume[] =
        "{\"metadata\":{\"name\":\"v\"},\"spec\":{\"capacity\":{\"storage\":\"1Gi\"},\"accessModes\":["
        "\"ReadWriteOnce\"],\"hostPath\":{\"path\":\"/x\"},\"claimRef\":{\"namespace\":\"default\",\"name\":\"c\"}}}";
    static const char deployment[] =
        "{\"metadata\":{\"name\":\"owned\"},\"spec\":{\"selector\":{\"matchLabels\":{\"a\":\"b\"}},\"template\":{"
        "\"metadata\":{\"labels\":{\"a\":\"b\"}},\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"i\"}]}}}}";
    static const char patch[] =
        "{\"metadata\":{\"labels\":{\"x\":\"y\"},\"annotations\":{\"n\":\"m\"}},\"status\":{\"replicas\":1}}";
    expect_text(*state, &(Case){"POST", "/api/v1/persistentvolumes", NULL, json, volume, 201, NULL, NULL},
                "\"f:claimRef\":{\".\":{},\"f:name\":{},\"f:namespace\":{}}", true);
    check(*state, &(Case){"POST", DEPLOYMENTS, NULL, json, deployment, 201, NULL, NULL});
    expect_text(*state, &(Case){"PATCH", DEPLOYMENTS "/owned/status", NULL, merge, patch, 200, NULL, NULL},
                "\"f:metadata\":{\"f:annotations\":{\".\":{},\"f:n\":{}}},\"f:status\":{\"f:replicas\":{}}", true);
}

/* What the codec and the defaults of keys add is owned as well; an empty list is no change of a pod. */
static void test_ownership_of_what_is_added(void **state) {
    static const char json[] = "application/json", merge[] = "application/merge-patch+json";
    static const char pod[] =
        "{\"metadata\":{\"name\":\"added\"},\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"i\"}],"
        "\"imagePullSecrets\":[{}]}}";
    expect_text(*state, &(Case){"POST", PODS, NULL, json, pod, 201, NULL, NULL},
                "\"f:imagePullSecrets\":{\".\":{},\"k:{\\\"name\\\":\\\"\\\"}\":{}}", true);
    expect_text(*state,
                &(Case){"PATCH", PODS "/added/status", NULL, merge, "{\"status\":{\"podIPs\":[{\"ip\":\"1.1.1.2\"}]}}",
                        200, NULL, NULL},
                "\"f:podIP\":{},\"f:podIPs\":{\".\":{},\"k:{\\\"ip\\\":\\\"1.1.1.2\\\"}\":{\".\":{},\"f:ip\":{}}}",
                true);
    expect_text(*state,
                &(Case){"PATCH", PODS "/added", NULL, merge,
                        "{\"spec\":{\"initContainers\":[],\"nodeSelector\":{\"a\":\"b\"}}}", 422, NULL, NULL},
                "InitContainers", false);
}

/* Who lets the last finalizer go deletes the object; watchers see it as it was stored. */
static void test_deleted_as_stored(void **state) {
    static const char merge[] = "application/merge-patch+json",
                      map[] = "{\"metadata\":{\"name\":\"held\",\"finalizers\":[\"example.com/a\"]}}",
                      release[] = "{\"metadata\":{\"finalizers\":null,\"labels\":{\"late\":\"1\"}}}";
    static const char since[] = MAPS "?watch=1&timeoutSeconds=1&fieldSelector=metadata.name%3Dheld";
    check(*state, &(Case){"POST", MAPS, NULL, "application/json", map, 201, NULL, NULL});
    check(*state, &(Case){"DELETE", MAPS "/held", NULL, NULL, NULL, 200, NULL, NULL});
    expect_text(*state,
                &(Case){"PATCH", MAPS "/held", NULL, merge,
                        "{\"metadata\":{\"finalizers\":[\"x/1\",\"example.com/a\",\"b/0\",\"x/1\"]}}", 422, NULL, NULL},
                "found new finalizers []string{\\\"b/0\\\", \\\"x/1\\\"}", true);
    const Case get = {"GET", MAPS "/held", NULL, NULL, NULL, 200, NULL, NULL};
    _cleanup_arena_ Arena *arena = arena_new(0);
    _cleanup_http_answer_ HttpAnswer before = {0}, events = {0};
    Value *held;
    assert_int_equal(call(*state, &get, &before), 0);
    assert_int_equal(json_parse(arena, before.body.data, before.body.len, &held, NULL, NULL), 0);
    expect_text(*state, &(Case){"PATCH", MAPS "/held", NULL, merge, release, 200, NULL, NULL}, "\"late\"", true);
    char *watch = arena_printf(arena, "%s&resourceVersion=%s", since, meta_get(held, "resourceVersion"));
    assert_int_equal(call(*state, &(Case){"GET", watch, NULL, NULL, NULL, 200, NULL, NULL}, &events), 0);
    const char *deleted = strstr(events.body.data, "{\"type\":\"DELETED\"");
    assert_non_null(deleted);
    assert_non_null(strstr(deleted, "example.com/a"));
    assert_null(strstr(deleted, "late"));
}

/* The keys of a volume's affinity may lose their beta prefix, each by itself. One that is emptied is wrong, and as in
 * the reference no change besides. */
static void test_affinity_of_volumes(void **state) {
    static const char json[] = "application/json", patch[] = "application/json-patch+json",
                      path[] = "/api/v1/persistentvolumes/near";
    static const char volume[] =
        "{\"metadata\":{\"name\":\"near\"},\"spec\":{\"capacity\":{\"storage\":\"1Gi\"},\"accessModes\":["
        "\"ReadWriteOnce\"],"
        "\"hostPath\":{\"path\":\"/x\"},\"nodeAffinity\":{\"required\":{\"nodeSelectorTerms\":[{\"matchExpressions\":["
        "{\"key\":\"beta.kubernetes.io/os\",\"operator\":\"Exists\"},{\"key\":\"beta.kubernetes.io/arch\","
        "\"operator\":\"Exists\"},{\"key\":\"own\",\"operator\":\"Exists\"}]}]}}}}";
#define KEY_CHANGE(index, key)                                                                                         \
    "[{\"op\":\"replace\",\"path\":\"/spec/nodeAffinity/required/nodeSelectorTerms/0/matchExpressions/" index          \
    "/key\","                                                                                                          \
    "\"value\":\"" key "\"}]"
    check(*state, &(Case){"POST", "/api/v1/persistentvolumes", NULL, json, volume, 201, NULL, NULL});
    check(*state, &(Case){"PATCH", path, NULL, patch, KEY_CHANGE("1", "kubernetes.io/arch"), 200, NULL, NULL});
    expect_text(*state, &(Case){"PATCH", path, NULL, patch, KEY_CHANGE("0", "kubernetes.io/arch"), 422, NULL, NULL},
                "field is immutable, except for updating from beta label to GA", true);
    expect_text(*state, &(Case){"PATCH", path, NULL, patch, KEY_CHANGE("0", ""), 422, NULL, NULL},
                "field is immutable, except for updating from beta label to GA", true);
    expect_text(*state, &(Case){"PATCH", path, NULL, patch, KEY_CHANGE("2", ""), 422, NULL, NULL},
                "field is immutable, except for updating from beta label to GA", false);
}

/* Names of events are subdomains for one group, and parts of a path for the other. */
static void test_names_of_events(void **state) {
    static const char json[] = "application/json";
    static const char bad[] =
        "{\"metadata\":{\"name\":\"Bad_Name\"},\"eventTime\":\"2020-01-01T00:00:00.000000Z\",\"action\":\"A\","
        "\"reason\":\"R\",\"type\":\"Normal\",\"reportingController\":\"c\",\"reportingInstance\":\"i\"}";
    check(*state,
          &(Case){"POST", NEW_EVENTS, NULL, json, bad, 422, NULL,
                  "Event \"Bad_Name\" is invalid: metadata.name: Invalid value: \"Bad_Name\": a lowercase RFC 1123 "
                  "subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and "
                  "end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
                  "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"});
    check(*state, &(Case){"POST", CORE_EVENTS, NULL, json,
                          "{\"metadata\":{\"name\":\"Bad_Name\"},\"involvedObject\":{\"namespace\":\"default\"}}", 201,
                          NULL, NULL});
}

/* A strict decoder of YAML names every key that is there twice, by the line of its value. */
static void test_keys_twice(void **state) {
#define TWICE "yaml: unmarshal errors:\n  line 6: key \"data\" already set in map"
    static const char map[] =
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: twice}\ndata:\ndata:\n  a: b\nimmutable: false\n";
    const Case cases[] = {
        {"POST", MAPS "?fieldValidation=Strict", NULL, "application/yaml", map, 400, NULL,
         "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: strict decoding error: " TWICE},
        {"PATCH", MAPS "/twice?fieldManager=m&fieldValidation=Strict", NULL, "application/apply-patch+yaml", map, 400,
         NULL, "error strict decoding YAML: error converting YAML to JSON: " TWICE},
        {"POST", MAPS, NULL, "application/yaml", map, 201, NULL, NULL},
    };
    check_all(state, cases, ELEMENTSOF(cases));
}

/* What is applied may come from another cluster, with a version of its own. */
static void test_apply_creates_whatever_version(void **state) {
    expect_text(*state,
                &(Case){"PATCH", MAPS "/elsewhere?fieldManager=m", NULL, "application/apply-patch+yaml",
                        "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"elsewhere\","
                        "\"resourceVersion\":\"99999999\"},\"data\":{\"a\":\"b\"}}",
                        201, NULL, NULL},
                "99999999", false);
#define TAKEN(kind, members)                                                                                           \
    "{\"apiVersion\":\"" kind ",\"metadata\":{\"name\":\"taken\",\"resourceVersion\":" members "}}"
#define A_MAP "v1\",\"kind\":\"ConfigMap\""
    static const char apply[] = "application/apply-patch+yaml", target[] = MAPS "/taken?fieldManager=m";
    static const char leases[] = "/apis/coordination.k8s.io/v1/namespaces/default/leases/taken";
    const Case cases[] = {
        {"PATCH", target, NULL, apply, TAKEN(A_MAP, "\"x\""), 500, NULL,
         "strconv.ParseUint: parsing \"x\": invalid syntax"},
        {"PATCH", target, NULL, apply, TAKEN(A_MAP, "\"+5\",\"labels\":{\"?\":\"\"}"), 500, NULL,
         "strconv.ParseUint: parsing \"+5\": invalid syntax"},
        {"PATCH", target, NULL, apply, TAKEN(A_MAP, "\"99999999999999999999\""), 500, NULL,
         "strconv.ParseUint: parsing \"99999999999999999999\": value out of range"},
        {"PUT", leases, NULL, "application/json", TAKEN("coordination.k8s.io/v1\",\"kind\":\"Lease\"", "\"x\""), 500,
         NULL, "strconv.ParseUint: parsing \"x\": invalid syntax"},
        {"PATCH", target, NULL, apply, TAKEN(A_MAP, "\"18446744073709551615\""), 201, NULL, NULL},
        {"PATCH", target, NULL, apply, TAKEN(A_MAP, "\"99999999999999999999\""), 500, NULL,
         "strconv.ParseUint: parsing \"99999999999999999999\": value out of range"},
    };
    check_all(state, cases, ELEMENTSOF(cases));
}

/* Kinds whose deletion begins with an update of their own have words of their own for it. */
/* A version that an object was taken from makes no sense in a new one; what is no version is as if it were not there.
 */
static void test_creation_with_a_version(void **state) {
#define VERSIONED(version)                                                                                             \
    "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"v\",\"resourceVersion\":\"" version "\"}}"
    static const char maps[] = "/api/v1/namespaces/default/configmaps", json[] = "application/json";
    const Case cases[] = {
        {"POST", maps, NULL, json, VERSIONED("7"), 500, NULL,
         "resourceVersion should not be set on objects to be created"},
        {"POST", "/api/v1/namespaces/default/configmaps?dryRun=All", NULL, json, VERSIONED("7"), 201, NULL, NULL},
        {"POST", maps, NULL, json, VERSIONED("x"), 201, NULL, NULL},
        {"POST", maps, NULL, json, VERSIONED("7"), 500, NULL,
         "resourceVersion should not be set on objects to be created"},
        {"POST", maps, NULL, json, VERSIONED("0"), 409, NULL, "configmaps \"v\" already exists"},
    };
    check_all(state, cases, ELEMENTSOF(cases));
    expect_text(*state,
                &(Case){"POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", NULL, json,
                        "{\"metadata\":{\"uid\":\"u\",\"creationTimestamp\":\"2020-01-01T00:00:00Z\"},\"spec\":{"
                        "\"nonResourceAttributes\":{\"path\":\"/x\",\"verb\":\"get\"}}}",
                        201, NULL, NULL},
                "\"uid\"", false);
}

static void test_preconditions_of_deletions(void **state) {
#define SPACE "/api/v1/namespaces/expected"
#define EXPECTED(members) "{\"preconditions\":{" members "}}"
    static const struct {
        const char *target, *options, *text;
    } rows[] = {
        {SPACE, EXPECTED("\"uid\":\"other\",\"resourceVersion\":\"1\""),
         "\"message\":\"Operation cannot be fulfilled on namespaces \\\"expected\\\": Precondition failed: UID in "
         "precondition: other, UID in object meta: "},
        {SPACE, EXPECTED("\"resourceVersion\":\"1\""),
         "\"message\":\"Operation cannot be fulfilled on namespaces \\\"expected\\\": Precondition failed: "
         "ResourceVersion in precondition: 1, ResourceVersion in object meta: "},
        {SPACE, EXPECTED("\"uid\":\"other\""), "\"details\":{\"name\":\"expected\",\"kind\":\"namespaces\"}"},
        {MAPS "/expected", EXPECTED("\"uid\":\"other\""),
         "\"message\":\"Operation cannot be fulfilled on ConfigMap \\\"expected\\\": the UID in the precondition "
         "(other) does not match the UID in record ("},
        {MAPS "/expected", EXPECTED("\"resourceVersion\":\"1\""),
         "). The object might have been modified\",\"reason\":\"Conflict\",\"details\":{\"name\":\"expected\","
         "\"kind\":\"ConfigMap\"}"},
    };
    static const char named[] = "{\"metadata\":{\"name\":\"expected\"}}";
    check(*state, &(Case){"POST", "/api/v1/namespaces", NULL, "application/json", named, 201, NULL, NULL});
    check(*state, &(Case){"POST", MAPS, NULL, "application/json", named, 201, NULL, NULL});
    for (size_t i = 0; i < ELEMENTSOF(rows); i++)
        expect_text(*state,
                    &(Case){"DELETE", rows[i].target, NULL, "application/json", rows[i].options, 409, NULL, NULL},
                    rows[i].text, true);
}

/* YAML is read by way of JSON with sorted keys. */
static void test_unknown_keys_of_yaml(void **state) {
    static const char map[] =
        "apiVersion: v1\nkind: ConfigMap\nzz: 1\nmetadata:\n  name: unknown\n  zz: 1\n  aa: 2\nbb: 1\naa: 4\n";
    check(*state,
          &(Case){"POST", MAPS "?fieldValidation=Strict", NULL, "application/yaml", map, 400, NULL,
                  "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: strict decoding error: unknown "
                  "field \"aa\", unknown field \"bb\", unknown field \"metadata.aa\", unknown field "
                  "\"metadata.zz\", unknown field \"zz\""});
}

/* Who expects another object is told in the store's words; so is who expects one where there is none. */
static void test_other_uid(void **state) {
    const Case cases[] = {
        {"PUT", "/apis/coordination.k8s.io/v1/namespaces/default/leases/none", NULL, "application/json",
         "{\"metadata\":{\"name\":\"none\",\"uid\":\"wrong\"}}", 409, NULL,
         "Operation cannot be fulfilled on leases.coordination.k8s.io \"none\": StorageError: invalid object, Code: 4, "
         "Key: /registry/leases/default/none, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in "
         "precondition: wrong, UID in object meta: "},
        {"PATCH", MAPS "/none?fieldManager=m", NULL, "application/apply-patch+yaml",
         "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"none\",\"uid\":\"wrong\"}}", 409, NULL,
         "Operation cannot be fulfilled on configmaps \"none\": uid mismatch: the provided object specified uid wrong, "
         "and no existing object was found"},
    };
    check_all(state, cases, ELEMENTSOF(cases));
}

/* Numbers that are applied become what Go makes of them. */
static void test_applied_generation(void **state) {
#define GENERATION(name, n)                                                                                            \
    "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"" name "\",\"generation\":" n "}}"
    const Case cases[] = {
        {"PATCH", MAPS "/g?fieldManager=m", NULL, "application/apply-patch+yaml", GENERATION("g", "1.5"), 500, NULL,
         "failed to convert new object (/g; /v1, Kind=ConfigMap) to proper version: unable to convert unstructured "
         "object to /v1, Kind=ConfigMap: cannot convert float64 to int64"},
        {"PATCH", MAPS "/g?fieldManager=m", NULL, "application/apply-patch+yaml", GENERATION("g", "1e20"), 422, NULL,
         "ConfigMap \"g\" is invalid: metadata.generation: Invalid value: -9223372036854775808: must be greater than "
         "or "
         "equal to 0"},
    };
    check_all(state, cases, ELEMENTSOF(cases));
    expect_text(*state,
                &(Case){"PATCH", MAPS "/g?fieldManager=m", NULL, "application/apply-patch+yaml", GENERATION("g", "3.0"),
                        201, NULL, NULL},
                "\"generation\":3,", true);
}

/* A scale is applied as an object of its own, whose owners are those of the replicas. */
static void test_applied_scales(void **state) {
#define DEPLOYMENTS "/apis/apps/v1/namespaces/default/deployments"
#define SCALE(n)                                                                                                       \
    "{\"apiVersion\":\"autoscaling/"                                                                                   \
    "v1\",\"kind\":\"Scale\",\"metadata\":{\"name\":\"scaled\"},\"spec\":{\"replicas\":" n "}}"
#define YAML "application/apply-patch+yaml"
    const Case cases[] = {
        {"POST", DEPLOYMENTS "?fieldManager=one", NULL, "application/json",
         "{\"metadata\":{\"name\":\"scaled\"},\"spec\":{\"selector\":{\"matchLabels\":{\"a\":\"b\"}},\"template\":{"
         "\"metadata\":{"
         "\"labels\":{\"a\":\"b\"}},\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"i\"}]}}}}",
         201, NULL, NULL},
        {"PATCH", DEPLOYMENTS "/scaled/scale?fieldManager=ap", NULL, YAML, SCALE("3"), 409, NULL,
         "Apply failed with 1 conflict: conflict with \"one\" using autoscaling/v1: .spec.replicas"},
        {"PATCH", DEPLOYMENTS "/scaled/scale?fieldManager=ap", NULL, YAML, SCALE("\"x\""), 500, NULL,
         "failed to create typed patch object (/scaled; autoscaling/v1, Kind=Scale): .spec.replicas: expected numeric "
         "(int or float), got string"},
        {"PATCH", DEPLOYMENTS "/scaled/scale?fieldManager=ap", NULL, YAML,
         "{\"apiVersion\":\"apps/v1\",\"kind\":\"Deployment\"}", 400, NULL,
         "invalid object type: apps/v1, Kind=Deployment"},
        {"PATCH", DEPLOYMENTS "/scaled/scale?fieldManager=ap&force=true", NULL, YAML, SCALE("3"), 200, NULL, NULL},
        {"PATCH", DEPLOYMENTS "/scaled/scale?fieldManager=other", NULL, YAML, SCALE("4"), 409, NULL,
         "Apply failed with 1 conflict: conflict with \"ap\" with subresource \"scale\": .spec.replicas"},
    };
    const Case get = {"GET", DEPLOYMENTS "/scaled", NULL, NULL, NULL, 200, NULL, NULL};
    check_all(state, cases, ELEMENTSOF(cases));
    expect_text(
        *state, &get,
        "\"managedFields\":[{\"manager\":\"ap\",\"operation\":\"Apply\",\"apiVersion\":\"apps/v1\",\"fieldsType\":"
        "\"FieldsV1\",\"fieldsV1\":{\"f:spec\":{\"f:replicas\":{}}},\"subresource\":\"scale\"},{\"manager\":\"one\",",
        true);
    expect_text(*state, &get, "\"replicas\":3", true);
}

/* A job has its pods' labels with what is added to them when it has none; its own are left alone, also the same. */
static void test_labels_of_jobs(void **state) {
#define JOBS "/apis/batch/v1/namespaces/default/jobs"
#define JOB(name, labels)                                                                                              \
    "{\"metadata\":{\"name\":\"" name "\"" labels                                                                      \
    "},\"spec\":{\"template\":{\"metadata\":{\"labels\":{\"a\":\"b\"}},\"spec\":{"                                     \
    "\"restartPolicy\":\"Never\",\"containers\":[{\"name\":\"c\",\"image\":\"i\"}]}}}}"
    const Case same = {"POST", JOBS, NULL, "application/json", JOB("same", ",\"labels\":{\"a\":\"b\"}"),
                       201,    NULL, NULL};
    const Case none = {"POST", JOBS, NULL, "application/json", JOB("none", ""), 201, NULL, NULL};
    expect_text(*state, &same, "\"labels\":{\"a\":\"b\"},\"managedFields\"", true);
    expect_text(*state, &none, "\"labels\":{\"a\":\"b\",\"batch.kubernetes.io/controller-uid\":", true);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accept),
        cmocka_unit_test(test_openapi_types),
        cmocka_unit_test(test_timeout),
        cmocka_unit_test(test_a_write_that_outlasts_its_deadline),
        cmocka_unit_test(test_continue),
        cmocka_unit_test(test_strategic_patches),
        cmocka_unit_test(test_component_statuses),
        cmocka_unit_test(test_dangling_flow_schemas),
        cmocka_unit_test(test_affinity_of_volumes),
        cmocka_unit_test(test_ownership_forgotten),
        cmocka_unit_test(test_ownership_in_other_versions),
        cmocka_unit_test(test_ownership_by_endpoint),
        cmocka_unit_test(test_ownership_of_what_is_added),
        cmocka_unit_test(test_deleted_as_stored),
        cmocka_unit_test(test_names_of_events),
        cmocka_unit_test(test_keys_twice),
        cmocka_unit_test(test_apply_creates_whatever_version),
        cmocka_unit_test(test_creation_with_a_version),
        cmocka_unit_test(test_preconditions_of_deletions),
        cmocka_unit_test(test_unknown_keys_of_yaml),
        cmocka_unit_test(test_other_uid),
        cmocka_unit_test(test_applied_generation),
        cmocka_unit_test(test_labels_of_jobs),
        cmocka_unit_test(test_applied_scales),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
