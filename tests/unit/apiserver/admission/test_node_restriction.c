#include "helpers.h"

static const AdmissionPlugin *const plugin = &admission_node_restriction;

static Asked by_node(AdmissionOperation operation, const char *plural, const char *object) {
    return (Asked){.operation = operation,
                   .plural = plural,
                   .ns = "team",
                   .object = object,
                   .user = "system:node:n1",
                   .user_group = "system:nodes"};
}

#define MIRROR_META(owner)                                                                                             \
    "{metadata: {name: p, annotations: {kubernetes.io/config.mirror: x}, ownerReferences: [" owner "]}"
#define OWNER "{apiVersion: v1, kind: Node, name: n1, uid: node-uid, controller: true}"

static void test_others(void **state) {
    Asked a = by_node(ADMISSION_CREATE, "pods", "{metadata: {name: p}, spec: {containers: [{name: c}]}}");
    a.user_group = "system:masters";
    passes(*state, plugin, a);
    a.user = "system:node:";
    a.user_group = "system:nodes";
    refused(*state, plugin, a, "pods \"p\" is forbidden: could not determine node from user \"system:node:\"");
}

static void test_mirror_pods(void **state) {
    Fixture *f = *state;
    put(f, "", "nodes", "{metadata: {name: n1, uid: node-uid}}");
    passes(f, plugin,
           by_node(ADMISSION_CREATE, "pods", MIRROR_META(OWNER) ", spec: {nodeName: n1, containers: [{name: c}]}}"));
    refused(f, plugin,
            by_node(ADMISSION_CREATE, "pods", "{metadata: {name: p}, spec: {nodeName: n1, containers: [{name: c}]}}"),
            "pods \"p\" is forbidden: pod does not have \"kubernetes.io/config.mirror\" annotation, node \"n1\" can "
            "only create mirror pods");
    refused(f, plugin,
            by_node(ADMISSION_CREATE, "pods", MIRROR_META(OWNER) ", spec: {nodeName: n2, containers: [{name: c}]}}"),
            "pods \"p\" is forbidden: node \"n1\" can only create pods with spec.nodeName set to itself");
    refused(f, plugin,
            by_node(ADMISSION_CREATE, "pods", MIRROR_META("") ", spec: {nodeName: n1, containers: [{name: c}]}}"),
            "pods \"p\" is forbidden: node \"n1\" can only create pods with an owner reference set to itself");
    refused(
        f, plugin,
        by_node(ADMISSION_CREATE, "pods",
                MIRROR_META(
                    "{apiVersion: v1, kind: Node, name: n1, uid: z, controller: true}") ", spec: {nodeName: n1, "
                                                                                        "containers: [{name: c}]}}"),
        "pods \"p\" is forbidden: node n1 UID mismatch: expected z got node-uid");
    refused(f, plugin,
            by_node(ADMISSION_CREATE, "pods",
                    MIRROR_META(OWNER) ", spec: {nodeName: n1, serviceAccountName: a, containers: [{name: c}]}}"),
            "pods \"p\" is forbidden: node \"n1\" can not create pods that reference serviceaccounts");
    refused(f, plugin,
            by_node(ADMISSION_CREATE, "pods",
                    MIRROR_META(OWNER) ", spec: {nodeName: n1, volumes: [{name: v, persistentVolumeClaim: {claimName: "
                                       "c}}], containers: [{name: c}]}}"),
            "pods \"p\" is forbidden: node \"n1\" can not create pods that reference persistentvolumeclaims");
}

static void test_pods(void **state) {
    Fixture *f = *state;
    Asked a = by_node(ADMISSION_DELETE, "pods", NULL);
    a.name = "p";
    a.old = "{metadata: {name: p}, spec: {nodeName: n1, containers: [{name: c}]}}";
    passes(f, plugin, a);
    a.old = "{metadata: {name: p}, spec: {nodeName: n2, containers: [{name: c}]}}";
    refused(f, plugin, a, "pods \"p\" is forbidden: node \"n1\" can only delete pods with spec.nodeName set to itself");
    a = by_node(ADMISSION_UPDATE, "pods",
                "{metadata: {name: p, labels: {a: b}}, spec: {nodeName: n1, containers: [{name: c}]}}");
    a.old = "{metadata: {name: p}, spec: {nodeName: n1, containers: [{name: c}]}}";
    refused(
        f, plugin, a,
        "pods \"p\" is forbidden: unexpected operation \"UPDATE\", node \"n1\" can only create and delete mirror pods");
    a.subresource = "status";
    refused(f, plugin, a, "pods \"p\" is forbidden: node \"n1\" cannot update labels through pod status");
    a.object = a.old;
    passes(f, plugin, a);
    a.old = "{metadata: {name: p}, spec: {nodeName: n2, containers: [{name: c}]}}";
    refused(
        f, plugin, a,
        "pods \"p\" is forbidden: node \"n1\" can only update pod status for pods with spec.nodeName set to itself");
    a.subresource = "binding";
    refused(
        f, plugin, a,
        "pods \"p\" is forbidden: unexpected pod subresource \"binding\", only 'status' and 'eviction' are allowed");
}

static void test_nodes(void **state) {
    Fixture *f = *state;
    Asked a = by_node(ADMISSION_CREATE, "nodes",
                      "{metadata: {name: n1, labels: {kubernetes.io/hostname: n1, node.kubernetes.io/x: why, "
                      "a.node.kubernetes.io/z: b, own: z}}}");
    a.ns = NULL;
    passes(f, plugin, a);
    a.object = "{metadata: {name: n1, labels: {kubernetes.io/role: x, node-restriction.kubernetes.io/a: b, k8s.io/c: "
               "d, akubernetes.io/e: f}}}";
    refused(f, plugin, a,
            "nodes \"n1\" is forbidden: node \"n1\" is not allowed to set the following labels: k8s.io/c, "
            "kubernetes.io/role, node-restriction.kubernetes.io/a");
    a.object = "{metadata: {name: n2}}";
    refused(f, plugin, a, "nodes \"n2\" is forbidden: node \"n1\" is not allowed to modify node \"n2\"");
    a.operation = ADMISSION_UPDATE;
    a.object = "{metadata: {name: n1}, spec: {taints: [{key: a, effect: NoSchedule}]}}";
    a.old = "{metadata: {name: n1}}";
    refused(f, plugin, a, "nodes \"n1\" is forbidden: node \"n1\" is not allowed to modify taints");
    a.object = "{metadata: {name: n1, labels: {kubernetes.io/role: why}}}";
    a.old = "{metadata: {name: n1, labels: {kubernetes.io/role: x}}}";
    refused(f, plugin, a, "nodes \"n1\" is forbidden: is not allowed to modify labels: kubernetes.io/role");
    a.object = "{metadata: {name: n1, labels: {kubernetes.io/role: x, own: why}}, status: {phase: Running}}";
    passes(f, plugin, a);
}

static void test_tokens(void **state) {
    Fixture *f = *state;
    put(f, "", "pods",
        "{metadata: {name: p, namespace: team, uid: pod-uid}, spec: {nodeName: n1, volumes: [{name: v, projected: "
        "{sources: [{serviceAccountToken: {path: t, audience: vault}}]}}], containers: [{name: c}]}}");
    put(f, "", "pods",
        "{metadata: {name: q, namespace: team, uid: q-uid}, spec: {nodeName: n2, containers: [{name: c}]}}");
    static const struct {
        const char *token, *said;
    } cases[] = {
        {"{}", "serviceaccounts \"sa\" is forbidden: node requested token not bound to a pod"},
        {"{boundObjectRef: {apiVersion: v1, kind: Pod, name: p}}",
         "serviceaccounts \"sa\" is forbidden: node requested token with a pod binding without a uid"},
        {"{boundObjectRef: {apiVersion: v1, kind: Pod, name: p, uid: z}}",
         "serviceaccounts \"sa\" is forbidden: the UID in the bound object reference (z) does not match the UID in "
         "record. The object might have been deleted and then recreated"},
        {"{boundObjectRef: {apiVersion: v1, kind: Pod, name: q, uid: q-uid}}",
         "serviceaccounts \"sa\" is forbidden: node requested token bound to a pod scheduled on a different node"},
        {"{boundObjectRef: {apiVersion: v1, kind: Pod, name: none, uid: z}}", "pods \"none\" not found"},
        {"{audiences: [vault], boundObjectRef: {apiVersion: v1, kind: Pod, name: p, uid: pod-uid}}", NULL},
        {"{audiences: [a, b], boundObjectRef: {apiVersion: v1, kind: Pod, name: p, uid: pod-uid}}",
         "serviceaccounts \"sa\" is forbidden: node may only request 0 or 1 audiences"},
        {"{audiences: [other], boundObjectRef: {apiVersion: v1, kind: Pod, name: p, uid: pod-uid}}",
         "serviceaccounts \"sa\" is forbidden: audience \"other\" not found in pod spec volume, system:node:n1 is not "
         "authorized to request tokens for this audience"},
    };
    for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
        const char *groups[] = {"system:nodes", NULL};
        const UserInfo user = {.name = "system:node:n1", .groups = groups};
        const Resource *resource = resource_find("", "v1", "serviceaccounts");
        const ApiRequest request = {.resource = resource, .ns = "team", .subresource = "token", .user = &user};
        StrategyContext context = {.arena = f->arena, .store = f->store};
        _cleanup_api_error_ ApiError err = {0};
        AdmissionRequest r = {.operation = ADMISSION_CREATE,
                              .request = &request,
                              .resource = resource,
                              .ns = "team",
                              .name = "sa",
                              .object = value_object(f->arena),
                              .store = f->store,
                              .strategy = &context,
                              .admission = f->admission};
        value_set(f->arena, r.object, "spec", yaml(f->arena, cases[i].token));
        int result = plugin->mutate(&r, &err);
        if (!cases[i].said) {
            assert_int_equal(result, 0);
            continue;
        }
        assert_true(result < 0);
        assert_string_equal(err.message, cases[i].said);
        assert_true(i != ELEMENTSOF(cases) - 1 || streq(f->asked.resource, "other"));
    }
}

static void test_leases(void **state) {
    Asked a = by_node(ADMISSION_UPDATE, "leases", "{metadata: {name: n1}}");
    a.group = "coordination.k8s.io";
    refused(*state, plugin, a,
            "leases.coordination.k8s.io \"n1\" is forbidden: can only access leases in the \"kube-node-lease\" system "
            "namespace");
    a.ns = "kube-node-lease";
    passes(*state, plugin, a);
    a.object = "{metadata: {name: n2}}";
    refused(*state, plugin, a,
            "leases.coordination.k8s.io \"n2\" is forbidden: can only access node lease with the same name as the "
            "requesting node");
}

static void test_claims(void **state) {
    Asked a = by_node(ADMISSION_UPDATE, "persistentvolumeclaims",
                      "{metadata: {name: c}, status: {phase: Bound, capacity: {storage: 2Gi}}}");
    a.old = "{metadata: {name: c}, status: {phase: Bound, capacity: {storage: 1Gi}}}";
    refused(*state, plugin, a, "persistentvolumeclaims \"c\" is forbidden: may only update PVC status");
    a.subresource = "status";
    passes(*state, plugin, a);
    a.old = "{metadata: {name: c}, status: {phase: Pending}}";
    refused(*state, plugin, a,
            "persistentvolumeclaims \"c\" is forbidden: node \"n1\" is not allowed to update fields other than "
            "status.quantity and status.conditions");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(test_others), FIXTURE_TEST(test_mirror_pods), FIXTURE_TEST(test_pods),   FIXTURE_TEST(test_nodes),
        FIXTURE_TEST(test_tokens), FIXTURE_TEST(test_leases),      FIXTURE_TEST(test_claims),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
