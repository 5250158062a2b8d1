/* Admission webhooks against an HTTPS server of the test's own: what is matched, what is asked, what is made of the
 * answers. */
#include "helpers.h"

#include "apiserver/admission/webhooks.h"
#include "http/pki.h"
#include "http/server.h"

#include <stdatomic.h>

typedef struct World {
    Fixture *f;
    char ca_cert[96], ca_key[96], cert[96], key[96];
    char *bundle; /* base64 */
    HttpServer *server;
    WebhookClient *client;
    Webhooks *webhooks; /* of f->admission, by its own hands */
    atomic_int calls;
    char peers[8][64]; /* who called */
    char last[65536];  /* the review that came */
} World;

/* The path says what to answer. */
static void handle(HttpRequest *http, void *userdata) {
    static const HttpHeader json = {"content-type", "application/json"};
    World *world = userdata;
    _cleanup_arena_ Arena *arena = arena_new(0);
    size_t len;
    const char *body = http_body(http, &len), *path = http_path(http);
    Value *review;
    int call = atomic_fetch_add(&world->calls, 1);
    snprintf(world->peers[call % 8], sizeof world->peers[0], "%s", http_peer(http));
    snprintf(world->last, sizeof world->last, "%.*s", (int)len, body);
    if (streq(path, "/never"))
        return; /* the caller gives up */
    if (json_parse(arena, body, len, &review, NULL, NULL) < 0) {
        http_reply(http, 400, NULL, 0, http_bytes_copy("", 0));
        return;
    }
    const char *uid = value_get_str(value_get(review, "request"), "uid"), *patch = "";
    if (streq(path, "/label")) /* [{"op":"add","path":"/metadata/labels","value":{"hook":"was-here"}}] */
        patch =
            ",\"patchType\":\"JSONPatch\",\"patch\":\"W3sib3AiOiJhZGQiLCJwYXRoIjoiL21ldGFkYXRhL2xhYmVscyIsInZhbHVlIjp7"
            "Imhvb2siOiJ3YXMtaGVyZSJ9fV0=\"";
    const char *allowed = streq(path, "/deny") ? "false" : "true";
    char *answer = arena_printf(arena,
                                "{\"kind\":\"AdmissionReview\",\"apiVersion\":\"admission.k8s.io/v1\",\"response\":{"
                                "\"uid\":\"%s\",\"allowed\":%s%s,\"auditAnnotations\":{\"k\":\"v\"},\"status\":{"
                                "\"message\":\"because\",\"code\":403}}}",
                                uid, allowed, patch);
    http_reply(http, 200, &json, 1, http_bytes_copy(answer, strlen(answer)));
}

static int setup(void **state) {
    World *world = NEW0(World);
    void *fixture;
    fixture_setup(&fixture);
    Fixture *f = world->f = fixture;
    const char *names[] = {"ca.crt", "ca.key", "hook.crt", "hook.key"};
    char *paths[] = {world->ca_cert, world->ca_key, world->cert, world->key};
    for (size_t i = 0; i < ELEMENTSOF(paths); i++)
        snprintf(paths[i], sizeof world->cert, "%s/%s", f->dir, names[i]);
    _cleanup_(pki_ca_freep) PkiCa *ca = NULL;
    const PkiCertSpec spec = {.common_name = "hook",
                              .dns_names = (const char *const[]){"hook.team.svc", NULL},
                              .ip_addresses = (const char *const[]){"127.0.0.1", NULL},
                              .server = true};
    assert_int_equal(pki_ca_ensure(world->ca_cert, world->ca_key, "ca", &ca), 0);
    assert_int_equal(pki_cert_ensure(ca, world->cert, world->key, &spec, NULL), 0);
    Buf bundle = BUF_INIT(BUF_NO_LIMIT);
    base64_encode(&bundle, pki_ca_cert_pem(ca), strlen(pki_ca_cert_pem(ca)));
    world->bundle = buf_take(&bundle, NULL);
    HttpServerConfig server = {
        .cert_file = world->cert, .key_file = world->key, .handler = handle, .userdata = world, .threads = 1};
    assert_int_equal(http_server_start(&server, &world->server), 0);
    world->client = webhook_client_new(f->store);
    admission_free(f->admission);
    char *why = NULL;
    AdmissionConfig config = {.store = f->store, .webhook_client = world->client};
    assert_int_equal(admission_open(&config, &f->admission, &why), 0);
    AdmissionRequest request = {.admission = f->admission};
    world->webhooks = admission_webhooks(&request);
    put(f, "", "namespaces", "{metadata: {name: team, uid: u, labels: {team: blue}}}");
    *state = world;
    return 0;
}

static int teardown(void **state) {
    World *world = *state;
    void *fixture = world->f;
    admission_free(world->f->admission);
    world->f->admission = NULL;
    webhook_client_free(world->client);
    http_server_stop(world->server, 0);
    free(world->bundle);
    free(world);
    return fixture_teardown(&fixture);
}

/* A configuration with one webhook; `more` has its other members, with commas after. */
static void configure(World *world, const char *plural, const char *name, const char *path, const char *more) {
    Fixture *f = world->f;
    put(f, "admissionregistration.k8s.io", plural,
        arena_printf(f->arena,
                     "{metadata: {name: %s, uid: u}, webhooks: [{name: %s.example.com, %s clientConfig: {url: "
                     "'https://127.0.0.1:%u%s', caBundle: %s}, admissionReviewVersions: [v1], sideEffects: None, "
                     "matchPolicy: Equivalent}]}",
                     name, name, more, http_server_port(world->server), path, world->bundle));
}

#define MUTATING "mutatingwebhookconfigurations"
#define VALIDATING "validatingwebhookconfigurations"
#define MAPS "rules: [{apiGroups: [''], apiVersions: [v1], resources: [configmaps], operations: ['*']}], "

static Asked create_map(void) {
    return (Asked){.operation = ADMISSION_CREATE,
                   .plural = "configmaps",
                   .ns = "team",
                   .object = "{metadata: {name: m, namespace: team}, data: {a: b}}"};
}

static void test_nobody_is_asked(void **state) {
    World *world = *state;
    passes(world->f, &admission_validating_webhook, create_map());
    assert_null(webhooks_get(world->webhooks, WEBHOOK_VALIDATING));
    assert_int_equal(world->calls, 0);
}

static void test_deny(void **state) {
    World *world = *state;
    configure(world, VALIDATING, "refuse", "/deny", MAPS);
    refused(world->f, &admission_validating_webhook, create_map(),
            "admission webhook \"refuse.example.com\" denied the request: because");
}

static void test_mutate(void **state) {
    World *world = *state;
    configure(world, MUTATING, "label", "/label", MAPS);
    Asked a = create_map();
    assert_int_equal(ask(world->f, &admission_mutating_webhook, &a), 0);
    same_json(world->f, a.result,
              "{kind: ConfigMap, apiVersion: v1, metadata: {name: m, namespace: team, labels: {hook: was-here}}, data: "
              "{a: b}}");
    assert_int_equal(a.context.n_annotations, 1);
    assert_string_equal(a.context.annotations[0].key, "label.example.com/k");
    assert_string_equal(a.context.annotations[0].value, "v");
}

static void test_no_patch_of_a_deletion(void **state) {
    World *world = *state;
    configure(world, MUTATING, "label", "/label", MAPS);
    Asked a = {.operation = ADMISSION_DELETE,
               .plural = "configmaps",
               .ns = "team",
               .name = "m",
               .old = "{metadata: {name: m, namespace: team}}"};
    refused(world->f, &admission_mutating_webhook, a,
            "Internal error occurred: admission webhook \"label.example.com\" attempted to modify the object, which is "
            "not supported for this operation");
}

static void test_review(void **state) {
    World *world = *state;
    Fixture *f = world->f;
    configure(world, VALIDATING, "accept", "/allow", MAPS);
    Asked a = create_map();
    a.user_group = "devs";
    a.dry_run = true;
    passes(f, &admission_validating_webhook, a);
    Value *review = yaml(f->arena, world->last);
    value_set_str(f->arena, value_get(review, "request"), "uid", "1");
    same_json(f, review,
              "{kind: AdmissionReview, apiVersion: admission.k8s.io/v1, request: {uid: '1', kind: {group: '', version: "
              "v1, kind: ConfigMap}, resource: {group: '', version: v1, resource: configmaps}, requestKind: {group: "
              "'', version: v1, kind: ConfigMap}, requestResource: {group: '', version: v1, resource: configmaps}, "
              "name: m, namespace: team, operation: CREATE, userInfo: {username: someone, groups: [devs]}, object: "
              "{kind: ConfigMap, apiVersion: v1, metadata: {name: m, namespace: team}, data: {a: b}}, oldObject: null, "
              "dryRun: true, options: {kind: CreateOptions, apiVersion: meta.k8s.io/v1, dryRun: [All]}}}");
}

static void test_rules(void **state) {
    World *world = *state;
    static const struct {
        const char *rule;
        bool asked;
    } rows[] = {
        {"{apiGroups: [''], apiVersions: [v1], resources: [configmaps], operations: [CREATE]}", true},
        {"{apiGroups: ['*'], apiVersions: ['*'], resources: ['*'], operations: ['*']}", true},
        {"{apiGroups: ['*'], apiVersions: ['*'], resources: ['*/*'], operations: ['*']}", true},
        {"{apiGroups: ['*'], apiVersions: ['*'], resources: ['*/status'], operations: ['*']}", false},
        {"{apiGroups: ['*'], apiVersions: ['*'], resources: ['configmaps/*'], operations: ['*']}", true},
        {"{apiGroups: [''], apiVersions: [v1], resources: [configmaps], operations: [UPDATE, DELETE]}", false},
        {"{apiGroups: [apps], apiVersions: [v1], resources: [configmaps], operations: [CREATE]}", false},
        {"{apiGroups: [''], apiVersions: [v2], resources: [configmaps], operations: [CREATE]}", false},
        {"{apiGroups: [''], apiVersions: [v1], resources: [config], operations: [CREATE]}", false},
        {"{apiGroups: [''], apiVersions: [v1], resources: ['*'], operations: [CREATE], scope: Namespaced}", true},
        {"{apiGroups: [''], apiVersions: [v1], resources: ['*'], operations: [CREATE], scope: Cluster}", false},
    };
    for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
        int before = world->calls;
        char *name = arena_printf(world->f->arena, "rule-%zu", i);
        configure(world, VALIDATING, name, "/allow", arena_printf(world->f->arena, "rules: [%s], ", rows[i].rule));
        passes(world->f, &admission_validating_webhook, create_map());
        if ((world->calls > before) != rows[i].asked)
            fail_msg("%s: %s", rows[i].rule, rows[i].asked ? "was not asked" : "was asked");
        assert_int_equal(store_delete(world->f->store, resource_find("admissionregistration.k8s.io", "v1", VALIDATING),
                                      "", name, 0, NULL, NULL),
                         0);
    }
}

#define LABELLED(value) "objectSelector: {matchLabels: {hear: '" value "'}}, "

static void test_selectors(void **state) {
    World *world = *state;
    Asked a = create_map();
    configure(world, VALIDATING, "object", "/deny", MAPS LABELLED("yes"));
    passes(world->f, &admission_validating_webhook, a);
    a.operation = ADMISSION_UPDATE; /* what it was counts too */
    a.old = "{metadata: {name: m, namespace: team, labels: {hear: 'yes'}}}";
    refused(world->f, &admission_validating_webhook, a,
            "admission webhook \"object.example.com\" denied the request: because");
    configure(world, VALIDATING, "a-namespace", "/deny", MAPS "namespaceSelector: {matchLabels: {team: blue}}, ");
    refused(world->f, &admission_validating_webhook, create_map(),
            "admission webhook \"a-namespace.example.com\" denied the request: because");
    a = create_map();
    a.ns = "absent";
    refused(world->f, &admission_validating_webhook, a, "namespaces \"absent\" not found");
}

static void test_namespaces_themselves(void **state) {
    World *world = *state;
    Asked a = {.operation = ADMISSION_CREATE, .plural = "namespaces", .name = "new"};
    configure(
        world, VALIDATING, "ns", "/deny",
        "rules: [{apiGroups: [''], apiVersions: [v1], resources: [namespaces], operations: ['*'], scope: Cluster}], "
        "namespaceSelector: {matchLabels: {team: red}}, ");
    a.object = "{metadata: {name: new, labels: {team: blue}}}";
    passes(world->f, &admission_validating_webhook, a);
    a.object = "{metadata: {name: new, labels: {team: red}}}";
    refused(world->f, &admission_validating_webhook, a,
            "admission webhook \"ns.example.com\" denied the request: because");
    assert_non_null(strstr(world->last, "\"namespace\":\"new\""));
}

static void test_equivalent(void **state) {
    World *world = *state;
    Asked a = {.operation = ADMISSION_CREATE,
               .group = "autoscaling",
               .plural = "horizontalpodautoscalers",
               .ns = "team",
               .object =
                   "{metadata: {name: h, namespace: team}, spec: {maxReplicas: 2, scaleTargetRef: {kind: D, name: "
                   "d}}}"};
    configure(
        world, VALIDATING, "v2", "/allow",
        "rules: [{apiGroups: [autoscaling], apiVersions: [v2], resources: [horizontalpodautoscalers], operations: "
        "[CREATE]}], ");
    passes(world->f, &admission_validating_webhook, a);
    assert_non_null(strstr(world->last, "\"kind\":{\"group\":\"autoscaling\",\"version\":\"v2\""));
    assert_non_null(strstr(world->last, "\"requestKind\":{\"group\":\"autoscaling\",\"version\":\"v1\""));
}

static void test_exempt(void **state) {
    World *world = *state;
    configure(world, VALIDATING, "all", "/deny",
              "rules: [{apiGroups: ['*'], apiVersions: ['*'], resources: ['*/*'], operations: ['*']}], ");
    passes(world->f, &admission_validating_webhook,
           (Asked){.operation = ADMISSION_DELETE,
                   .group = "admissionregistration.k8s.io",
                   .plural = VALIDATING,
                   .name = "all",
                   .old = "{metadata: {name: all}}"});
    assert_int_equal(world->calls, 0);
}

static void test_compiled_once(void **state) {
    World *world = *state;
    size_t n;
    configure(world, MUTATING, "b", "/allow", MAPS);
    configure(world, MUTATING, "a", "/allow", MAPS);
    _cleanup_webhook_set_ WebhookSet *first = webhooks_get(world->webhooks, WEBHOOK_MUTATING);
    _cleanup_webhook_set_ WebhookSet *again = webhooks_get(world->webhooks, WEBHOOK_MUTATING);
    assert_ptr_equal(first, again);
    const Webhook *hooks = webhook_set_items(first, &n);
    assert_int_equal(n, 2);
    assert_string_equal(hooks[0].uid, "a/a.example.com/0");
    assert_string_equal(hooks[1].uid, "b/b.example.com/0");
    configure(world, MUTATING, "c", "/allow", MAPS);
    _cleanup_webhook_set_ WebhookSet *changed = webhooks_get(world->webhooks, WEBHOOK_MUTATING);
    webhook_set_items(changed, &n);
    assert_int_equal(n, 3);
    webhook_set_items(first, &n); /* who holds the old one keeps it */
    assert_int_equal(n, 2);
}

static void test_failures(void **state) {
    World *world = *state;
    Asked a = create_map();
    configure(world, VALIDATING, "slow", "/never", MAPS "timeoutSeconds: 1, ");
    assert_true(ask(world->f, &admission_validating_webhook, &a) < 0);
    assert_int_equal(a.err.code, 500);
    assert_non_null(strstr(a.err.message, "/never?timeout=1s\": context deadline exceeded"));
    api_error_done(&a.err);
    configure(world, VALIDATING, "also-slow", "/never", MAPS "timeoutSeconds: 1, failurePolicy: Ignore, ");
    assert_int_equal(store_delete(world->f->store, resource_find("admissionregistration.k8s.io", "v1", VALIDATING), "",
                                  "slow", 0, NULL, NULL),
                     0);
    passes(world->f, &admission_validating_webhook, create_map());
    _cleanup_buf_ Buf metrics = BUF_INIT(1 << 20);
    admission_metrics_write(world->f->admission, &metrics);
    assert_non_null(strstr(metrics.data, "apiserver_admission_webhook_fail_open_count{name=\"also-slow.example.com\","
                                         "type=\"validating\"} 1\n"));
    assert_non_null(strstr(metrics.data,
                           "apiserver_admission_webhook_rejection_count{error_type=\"calling_webhook_error\",name="
                           "\"slow.example.com\",operation=\"CREATE\",rejection_code=\"503\",type=\"validating\"} 1"));
}

static void test_connections_are_kept(void **state) {
    World *world = *state;
    configure(world, VALIDATING, "accept", "/allow", MAPS);
    for (int i = 0; i < 4; i++)
        passes(world->f, &admission_validating_webhook, create_map());
    for (int i = 1; i < 4; i++)
        assert_string_equal(world->peers[i], world->peers[0]);
}

/* What may be read from an answer. */
static void reads(World *world, const char *version, WebhookType type, const char *answer, WebhookVerdict verdict,
                  const char *message) {
    Arena *arena = world->f->arena;
    StrategyContext context = {.arena = arena};
    AdmissionRequest admission = {.strategy = &context};
    WebhookRequest request = {.admission = &admission};
    Webhook hook = {.name = "h", .review_version = version};
    WebhookInvocation item = {.hook = &hook};
    webhook_review_read(&request, type, yaml(arena, answer), "1", &item);
    if (item.verdict != verdict || !streq(str_or(item.err.message, ""), message))
        fail_msg("%s: %d %s", answer, item.verdict, str_or(item.err.message, ""));
    api_error_done(&item.err);
}

#define HEAD "kind: AdmissionReview, apiVersion: admission.k8s.io/v1, response: "
#define BAD "failed calling webhook \"h\": received invalid webhook response: "

static void test_answers(void **state) {
    World *world = *state;
    reads(world, "v1", WEBHOOK_VALIDATING, "{" HEAD "{uid: '1', allowed: true}}", WEBHOOK_ALLOWED, "");
    reads(world, "v1", WEBHOOK_VALIDATING, "{kind: AdmissionReview}", WEBHOOK_FAILED,
          BAD "webhook response was absent");
    reads(world, "v1", WEBHOOK_VALIDATING, "{kind: Pod, apiVersion: v1}", WEBHOOK_FAILED,
          "failed calling webhook \"h\": failed to call webhook: no kind \"Pod\" is registered for version \"v1\" in "
          "scheme \"pkg/runtime/scheme.go:111\"");
    reads(world, "v1", WEBHOOK_VALIDATING, "{" HEAD "{uid: '2', allowed: true}}", WEBHOOK_FAILED,
          BAD "expected response.uid=\"1\", got \"2\"");
    reads(world, "v1", WEBHOOK_VALIDATING, "{response: {uid: '1', allowed: true}}", WEBHOOK_FAILED,
          BAD "expected webhook response of admission.k8s.io/v1, Kind=AdmissionReview, got /, Kind=");
    reads(world, "v1", WEBHOOK_VALIDATING, "{" HEAD "{uid: '1', allowed: true, patch: W10=}}", WEBHOOK_FAILED,
          BAD "validating webhook may not return response.patch");
    reads(world, "v1", WEBHOOK_VALIDATING, "{" HEAD "{uid: '1', allowed: true, patchType: JSONPatch}}", WEBHOOK_FAILED,
          BAD "validating webhook may not return response.patchType");
    reads(world, "v1", WEBHOOK_MUTATING, "{" HEAD "{uid: '1', allowed: true, patch: W10=}}", WEBHOOK_FAILED,
          BAD "webhook returned response.patch but not response.patchType");
    reads(world, "v1", WEBHOOK_MUTATING, "{" HEAD "{uid: '1', allowed: true, patchType: JSONPatch}}", WEBHOOK_FAILED,
          BAD "webhook returned response.patchType but not response.patch");
    reads(world, "v1", WEBHOOK_MUTATING, "{" HEAD "{uid: '1', allowed: true, patch: W10=, patchType: ''}}",
          WEBHOOK_FAILED, BAD "webhook returned invalid response.patchType of \"\"");
    reads(world, "v1", WEBHOOK_MUTATING, "{" HEAD "{uid: '1', allowed: true, patch: W10=, patchType: Other}}",
          WEBHOOK_FAILED, "failed calling webhook \"h\": unsupported patch type \"Other\"");
    reads(world, "v1", WEBHOOK_MUTATING, "{" HEAD "{uid: '1', allowed: true, patch: W10=, patchType: JSONPatch}}",
          WEBHOOK_ALLOWED, "");
    /* v1beta1 never asked for the uid nor for the kind of patch */
    reads(world, "v1beta1", WEBHOOK_MUTATING, "{response: {allowed: true, patch: W10=}}", WEBHOOK_ALLOWED, "");
    reads(world, "v1beta1", WEBHOOK_VALIDATING, "{response: {allowed: false, status: {reason: Expired}}}",
          WEBHOOK_DENIED, "admission webhook \"h\" denied the request: Expired");
    reads(world, "v1beta1", WEBHOOK_VALIDATING, "{response: {}}", WEBHOOK_DENIED,
          "admission webhook \"h\" denied the request without explanation");
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_nobody_is_asked),
        TEST(test_deny),
        TEST(test_mutate),
        TEST(test_no_patch_of_a_deletion),
        TEST(test_review),
        TEST(test_rules),
        TEST(test_selectors),
        TEST(test_namespaces_themselves),
        TEST(test_equivalent),
        TEST(test_exempt),
        TEST(test_compiled_once),
        TEST(test_failures),
        TEST(test_connections_are_kept),
        TEST(test_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
