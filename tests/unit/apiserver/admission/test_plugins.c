/* The smaller plugins, each by what it does to one request, and which plugins run at all. */
#include "helpers.h"

/* Requests for certificates of O=dev, O=system:masters, CN=eve and of O=system:nodes, CN=system:node:n2. */
#define CSR_MASTERS                                                                                                    \
    "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0KTUlIdk1JR1hBZ0VBTURVeEREQUtCZ05WQkFvTUEyUmxkakVYTUJVR0ExVUVDZ3dP" \
    "YzNsemRHVnRPbTFoYzNSbApjbk14RERBS0JnTlZCQU1NQTJWMlpUQlpNQk1HQnlxR1NNNDlBZ0VHQ0NxR1NNNDlBd0VIQTBJQUJDMDVsT0RvCnBr" \
    "dG1Nd3N5OVZoOFpac0lKWjNXNlN5NzRBdWlQb3NSQUFSd3FMV0NFcFRVaW9EN3MvbmhlL1ZzRDVub09kdmgKKzNkSy9RRjZFRm80SDVxZ0FEQUtC" \
    "Z2dxaGtqT1BRUURBZ05IQURCRUFpQTZRd2hpdkdUemdJb0N6QlFtWFMwUgpYbGJGY3lGZUY2N2kyNzF3QTBqV1hBSWdTVUtIN2FVK09jZ0RqMFBm" \
    "aTFlSElCZXpCOWttaVpxSlZscU13STFCCjU2MD0KLS0tLS1FTkQgQ0VSVElGSUNBVEUgUkVRVUVTVC0tLS0tCg=="
#define CSR_NODE                                                                                                       \
    "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0KTUlIc01JR1NBZ0VBTURBeEZUQVRCZ05WQkFvTURITjVjM1JsYlRwdWIyUmxjekVY" \
    "TUJVR0ExVUVBd3dPYzNsegpkR1Z0T201dlpHVTZiakl3V1RBVEJnY3Foa2pPUFFJQkJnZ3Foa2pPUFFNQkJ3TkNBQVRVZnN3dVY0V1ZhenNyCmht" \
    "bUtOYkQ2Q2tlTzAyMUluM0ZWUXE2dVVJcjd3QkNFSFZyK0lrOVBTeXk4K1NWQmV6aWRweGZ4MStxQXQ3V2YKMFRxU0x6UkVvQUF3Q2dZSUtvWkl6" \
    "ajBFQXdJRFNRQXdSZ0loQVBoMnQzTFVsQVl3dFQ4UDZNMnNHZ2wycEpuSApVbERHSlFZTzVPNE91YWdrQWlFQTFjUW45dTRhOU9hY1ZYZ3I2SjJr" \
    "WHNTbndwMXA3WlJ3aDBaQ0FyRkU5MW89Ci0tLS0tRU5EIENFUlRJRklDQVRFIFJFUVVFU1QtLS0tLQo="

static Asked create(const char *group, const char *plural, const char *object) {
    return (Asked){.operation = ADMISSION_CREATE, .group = group, .plural = plural, .object = object};
}

static Asked pod(const char *spec) {
    static char text[2048];
    snprintf(text, sizeof text, "{metadata: {name: p}, spec: %s}", spec);
    Asked a = create("", "pods", text);
    a.ns = "team";
    return a;
}

static void class(Fixture *f, const char *name, const char *rest) {
    put(f, "scheduling.k8s.io", "priorityclasses",
        arena_printf(f->arena, "{metadata: {name: %s, uid: u}, %s}", name, rest));
}

static void test_priority(void **state) {
    Fixture *f = *state;
    const AdmissionPlugin *plugin = &admission_priority;
    Value *spec = value_get(passes(f, plugin, pod("{containers: [{name: c}]}")), "spec");
    assert_int_equal(value_get_int(spec, "priority", -1), 0);
    assert_string_equal(value_get_str(spec, "preemptionPolicy"), "PreemptLowerPriority");
    assert_null(value_get(spec, "priorityClassName"));
    class(f, "high", "value: 100, preemptionPolicy: Never");
    spec = value_get(passes(f, plugin, pod("{priorityClassName: high, containers: [{name: c}]}")), "spec");
    assert_int_equal(value_get_int(spec, "priority", -1), 100);
    assert_string_equal(value_get_str(spec, "preemptionPolicy"), "Never");
    refused(f, plugin, pod("{priorityClassName: none, containers: [{name: c}]}"),
            "pods \"p\" is forbidden: no PriorityClass with name none was found");
    refused(f, plugin, pod("{priorityClassName: high, priority: 5, containers: [{name: c}]}"),
            "pods \"p\" is forbidden: the integer value of priority (5) must not be provided in pod spec; priority "
            "admission controller computed 100 from the given PriorityClass name");
    refused(f, plugin,
            pod("{priorityClassName: high, preemptionPolicy: PreemptLowerPriority, containers: [{name: c}]}"),
            "pods \"p\" is forbidden: the string value of PreemptionPolicy (PreemptLowerPriority) must not be provided "
            "in pod spec; priority admission controller computed Never from the given PriorityClass name");
    class(f, "b", "value: 20, globalDefault: true");
    class(f, "a", "value: 30, globalDefault: true");
    spec = value_get(passes(f, plugin, pod("{containers: [{name: c}]}")), "spec");
    assert_int_equal(value_get_int(spec, "priority", -1), 20);
    assert_string_equal(value_get_str(spec, "priorityClassName"), "b");
    Asked c = create("scheduling.k8s.io", "priorityclasses", "{metadata: {name: z}, value: 1, globalDefault: true}");
    refused(f, plugin, c,
            "priorityclasses.scheduling.k8s.io \"z\" is forbidden: PriorityClass b is already marked as default. Only "
            "one default can exist");
}

static void test_tolerations(void **state) {
    const AdmissionPlugin *plugin = &admission_default_toleration_seconds;
    Value *v = passes(*state, plugin, pod("{containers: [{name: c}], tolerations: [{key: a, operator: Exists}]}"));
    same_json(*state, value_path(v, "spec", "tolerations", NULL),
              "[{key: a, operator: Exists}, {key: node.kubernetes.io/not-ready, operator: Exists, effect: NoExecute, "
              "tolerationSeconds: 300}, "
              "{key: node.kubernetes.io/unreachable, operator: Exists, effect: NoExecute, tolerationSeconds: 300}]");
    v = passes(*state, plugin, pod("{containers: [{name: c}], tolerations: [{operator: Exists}]}"));
    assert_int_equal(value_len(value_path(v, "spec", "tolerations", NULL)), 1);
    v = passes(
        *state, plugin,
        pod("{containers: [{name: c}], tolerations: [{key: node.kubernetes.io/not-ready, operator: Exists, effect: "
            "NoSchedule}, "
            "{key: node.kubernetes.io/unreachable, operator: Exists, effect: NoExecute, tolerationSeconds: 5}]}"));
    assert_int_equal(value_len(value_path(v, "spec", "tolerations", NULL)), 3);
}

static void test_new_nodes(void **state) {
    Value *v = passes(*state, &admission_taint_nodes_by_condition, create("", "nodes", "{metadata: {name: x}}"));
    same_json(*state, value_path(v, "spec", "taints", NULL),
              "[{key: node.kubernetes.io/not-ready, effect: NoSchedule}]");
    v = passes(*state, &admission_taint_nodes_by_condition,
               create("", "nodes",
                      "{metadata: {name: x}, spec: {taints: [{key: node.kubernetes.io/not-ready, effect: NoSchedule, "
                      "value: a}]}}"));
    assert_int_equal(value_len(value_path(v, "spec", "taints", NULL)), 1);
}

static void test_default_classes(void **state) {
    Fixture *f = *state;
    Asked claim = create("", "persistentvolumeclaims", "{metadata: {name: c}, spec: {}}");
    Asked ingress = create("networking.k8s.io", "ingresses", "{metadata: {name: i}, spec: {}}");
    assert_null(value_path(passes(f, &admission_default_storage_class, claim), "spec", "storageClassName", NULL));
    for (const char *name = "cab"; *name; name++) {
        const char *day = *name == 'c' ? "01" : "02";
        put(f, "storage.k8s.io", "storageclasses",
            arena_printf(f->arena,
                         "{metadata: {name: %c, uid: u, creationTimestamp: '2026-01-%sT00:00:00Z', annotations: "
                         "{storageclass.kubernetes.io/is-default-class: 'true'}}, provisioner: p}",
                         *name, day));
        put(f, "networking.k8s.io", "ingressclasses",
            arena_printf(f->arena,
                         "{metadata: {name: %c, uid: u, creationTimestamp: '2026-01-%sT00:00:00Z', annotations: "
                         "{ingressclass.kubernetes.io/is-default-class: 'true'}}, spec: {controller: e/c}}",
                         *name, day));
    }
    assert_string_equal(
        value_get_str(value_get(passes(f, &admission_default_storage_class, claim), "spec"), "storageClassName"), "a");
    assert_string_equal(
        value_get_str(value_get(passes(f, &admission_default_ingress_class, ingress), "spec"), "ingressClassName"),
        "a");
    claim.object = "{metadata: {name: c}, spec: {storageClassName: ''}}";
    assert_string_equal(
        value_get_str(value_get(passes(f, &admission_default_storage_class, claim), "spec"), "storageClassName"), "");
    ingress.object = "{metadata: {name: i, annotations: {kubernetes.io/ingress.class: x}}, spec: {}}";
    assert_null(value_path(passes(f, &admission_default_ingress_class, ingress), "spec", "ingressClassName", NULL));
}

static void test_protection(void **state) {
    const AdmissionPlugin *plugin = &admission_storage_object_in_use_protection;
    Value *v = passes(*state, plugin, create("", "persistentvolumeclaims", "{metadata: {name: c, finalizers: [a]}}"));
    same_json(*state, value_path(v, "metadata", "finalizers", NULL), "[a, kubernetes.io/pvc-protection]");
    v = passes(*state, plugin,
               create("", "persistentvolumes", "{metadata: {name: c, finalizers: [kubernetes.io/pv-protection]}}"));
    same_json(*state, value_path(v, "metadata", "finalizers", NULL), "[kubernetes.io/pv-protection]");
}

static void test_claim_resize(void **state) {
    Fixture *f = *state;
    const AdmissionPlugin *plugin = &admission_persistent_volume_claim_resize;
    Asked a = create("", "persistentvolumeclaims",
                     "{metadata: {name: c}, spec: {storageClassName: s, resources: {requests: {storage: 2Gi}}}}");
    a.operation = ADMISSION_UPDATE;
    a.old = "{metadata: {name: c}, spec: {storageClassName: s, resources: {requests: {storage: 1Gi}}}, status: {phase: "
            "Pending}}";
    refused(f, plugin, a,
            "persistentvolumeclaims \"c\" is forbidden: Only bound persistent volume claims can be expanded");
    a.old = "{metadata: {name: c}, spec: {storageClassName: s, resources: {requests: {storage: 1Gi}}}, status: {phase: "
            "Bound}}";
    refused(f, plugin, a,
            "persistentvolumeclaims \"c\" is forbidden: only dynamically provisioned pvc can be resized and the "
            "storageclass that provisions the pvc must support resize");
    put(f, "storage.k8s.io", "storageclasses",
        "{metadata: {name: s, uid: u}, provisioner: p, allowVolumeExpansion: true}");
    passes(f, plugin, a);
}

static void test_runtime_class(void **state) {
    Fixture *f = *state;
    const AdmissionPlugin *plugin = &admission_runtime_class;
    refused(f, plugin, pod("{runtimeClassName: none, containers: [{name: c}]}"),
            "pods \"p\" is forbidden: pod rejected: RuntimeClass \"none\" not found");
    refused(
        f, plugin, pod("{overhead: {cpu: 1}, containers: [{name: c}]}"),
        "pods \"p\" is forbidden: pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead");
    put(f, "node.k8s.io", "runtimeclasses",
        "{metadata: {name: vm, uid: u}, handler: vm, overhead: {podFixed: {cpu: 100m, memory: 1Gi}}, scheduling: "
        "{nodeSelector: {vm: 'true'}, "
        "tolerations: [{key: vm, operator: Exists, effect: NoSchedule}]}}");
    Value *spec =
        value_get(passes(f, plugin,
                         pod("{runtimeClassName: vm, nodeSelector: {a: b}, tolerations: [{key: vm, operator: Equal, "
                             "value: x, effect: NoSchedule}, {key: z, operator: Exists}], containers: [{name: c}]}")),
                  "spec");
    same_json(f, value_get(spec, "overhead"), "{cpu: 100m, memory: 1Gi}");
    same_json(f, value_get(spec, "nodeSelector"), "{a: b, vm: 'true'}");
    same_json(f, value_get(spec, "tolerations"),
              "[{key: z, operator: Exists}, {key: vm, operator: Exists, effect: NoSchedule}]");
    passes(f, plugin, pod("{runtimeClassName: vm, overhead: {cpu: '0.1', memory: 1024Mi}, containers: [{name: c}]}"));
    refused(f, plugin, pod("{runtimeClassName: vm, overhead: {cpu: 1}, containers: [{name: c}]}"),
            "pods \"p\" is forbidden: pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead");
    refused(f, plugin, pod("{runtimeClassName: vm, nodeSelector: {vm: 'false'}, containers: [{name: c}]}"),
            "pods \"p\" is forbidden: conflict: runtimeClass.scheduling.nodeSelector[vm] = true; "
            "pod.spec.nodeSelector[vm] = false");
}

static Asked csr(const char *signer, const char *request) {
    static char text[2048];
    snprintf(text, sizeof text, "{metadata: {name: r}, spec: {signerName: %s, request: %s}}", signer, request);
    return create("certificates.k8s.io", "certificatesigningrequests", text);
}

#define FORBIDDEN_CSR "certificatesigningrequests.certificates.k8s.io \"r\" is forbidden: "

static void test_certificates(void **state) {
    Fixture *f = *state;
    refused(f, &admission_certificate_subject_restriction, csr("kubernetes.io/kube-apiserver-client", CSR_MASTERS),
            FORBIDDEN_CSR "use of kubernetes.io/kube-apiserver-client signer with system:masters group is not allowed");
    passes(f, &admission_certificate_subject_restriction, csr("example.com/other", CSR_MASTERS));
    passes(f, &admission_certificate_subject_restriction, csr("kubernetes.io/kube-apiserver-client", CSR_NODE));
    refused(f, &admission_certificate_subject_restriction, csr("kubernetes.io/kube-apiserver-client", "Z2FyYmFnZQ=="),
            FORBIDDEN_CSR "failed to parse CSR: PEM block type must be CERTIFICATE REQUEST");
    Asked a = csr("kubernetes.io/kubelet-serving", CSR_NODE);
    a.user = "system:node:n1";
    a.user_group = "system:nodes";
    refused(f, &admission_node_restriction, a, FORBIDDEN_CSR "can only create a node CSR with CN=system:node:n1");
    a.user = "system:node:n2";
    passes(f, &admission_node_restriction, a);
    a = csr("example.com/s", CSR_NODE);
    a.operation = ADMISSION_UPDATE;
    a.subresource = "approval";
    a.old = "{metadata: {name: r}, spec: {signerName: example.com/old, request: Z2FyYmFnZQ==}}";
    refused(f, &admission_certificate_approval, a,
            FORBIDDEN_CSR "user not permitted to approve requests with signerName \"example.com/old\"");
    assert_string_equal(f->asked.name, "example.com/*");
    assert_string_equal(f->asked.verb, "approve");
    f->allows = true;
    passes(f, &admission_certificate_approval, a);
    assert_string_equal(f->asked.name, "example.com/old");
    f->allows = false;
    a.subresource = "status";
    passes(f, &admission_certificate_signing, a);
    a.object = "{metadata: {name: r}, spec: {signerName: example.com/old, request: Z2FyYmFnZQ==}, status: "
               "{certificate: Z2FyYmFnZQ==}}";
    refused(f, &admission_certificate_signing, a,
            FORBIDDEN_CSR "user not permitted to sign requests with signerName \"example.com/old\"");
}

static void test_topology(void **state) {
    Fixture *f = *state;
    put(f, "", "nodes",
        "{metadata: {name: n1, uid: u, labels: {topology.kubernetes.io/zone: z1, topology.kubernetes.io/region: r1, "
        "other: x}}}");
    Asked a = pod("{nodeName: n1, containers: [{name: c}]}");
    same_json(f, value_path(passes(f, &admission_pod_topology_labels, a), "metadata", "labels", NULL),
              "{topology.kubernetes.io/region: r1, topology.kubernetes.io/zone: z1}");
    a.operation = ADMISSION_UPDATE;
    a.subresource = "status";
    assert_null(value_path(passes(f, &admission_pod_topology_labels, a), "metadata", "labels", NULL));
    /* a binding carries the labels to its pod */
    a = pod("{}");
    a.subresource = "binding";
    a.object = "{metadata: {name: p, labels: {mine: own, topology.kubernetes.io/zone: elsewhere}}, target: {kind: "
               "Node, name: n1}}";
    same_json(f, value_path(passes(f, &admission_pod_topology_labels, a), "metadata", "labels", NULL),
              "{mine: own, topology.kubernetes.io/zone: z1, topology.kubernetes.io/region: r1}");
    a.object = "{metadata: {name: p}, target: {kind: Node, name: absent}}";
    assert_null(value_path(passes(f, &admission_pod_topology_labels, a), "metadata", "labels", NULL));
    a.subresource = "eviction";
    a.object = "{metadata: {name: p}, target: {kind: Node, name: n1}}";
    assert_null(value_path(passes(f, &admission_pod_topology_labels, a), "metadata", "labels", NULL));
}

static void test_pod_resize(void **state) {
    Fixture *f = *state;
    put(f, "", "nodes",
        "{metadata: {name: n1, uid: u, labels: {kubernetes.io/os: linux}}, status: {allocatable: {cpu: 2, memory: "
        "1Gi}}}");
    Asked a = create("", "pods",
                     "{metadata: {name: p, generation: 2}, spec: {nodeName: n1, containers: [{name: c, resources: "
                     "{requests: {cpu: 3, memory: 1Gi}}}]}}");
    a.operation = ADMISSION_UPDATE;
    a.subresource = "resize";
    a.old = "{metadata: {name: p, generation: 1}, spec: {nodeName: n1, containers: [{name: c}]}}";
    refused(f, &admission_pod_resize_validator, a,
            "pods \"p\" is forbidden: node didn't have enough allocatable resources: cpu, requested: 3000, "
            "allocatable: 2000");
    a.object = "{metadata: {name: p, generation: 2}, spec: {nodeName: n1, containers: [{name: c, resources: {requests: "
               "{cpu: 2, memory: 1Gi}}}]}}";
    passes(f, &admission_pod_resize_validator, a);
    a.object = "{metadata: {name: p, generation: 2}, spec: {nodeName: n2, containers: [{name: c}]}}";
    refused(f, &admission_pod_resize_validator, a, "pods \"p\" is forbidden: node \"n2\" not found");
}

static void refuses_to_open(const char *enabled, const char *disabled, const char *said) {
    const char *on[] = {enabled, NULL}, *off[] = {disabled, NULL};
    AdmissionConfig config = {.enabled = on, .disabled = off};
    Admission *admission = NULL;
    _cleanup_free_ char *why = NULL;
    assert_int_equal(admission_open(&config, &admission, &why), -EINVAL);
    assert_null(admission);
    assert_string_equal(why, said);
}

/* A pod without an account, through all plugins. */
static int admit_pod(Fixture *f, const char *disabled) {
    const char *off[] = {disabled, NULL};
    AdmissionConfig config = {.disabled = off};
    _cleanup_free_ char *why = NULL;
    _cleanup_(admission_freep) Admission *admission = NULL;
    _cleanup_api_error_ ApiError err = {0};
    assert_int_equal(admission_open(&config, &admission, &why), 0);
    const ApiRequest request = {.resource = resource_find("", "v1", "pods"), .ns = "team"};
    StrategyContext context = {.arena = f->arena, .store = f->store};
    AdmissionRequest r = {.operation = ADMISSION_CREATE,
                          .request = &request,
                          .resource = request.resource,
                          .ns = "team",
                          .name = "p",
                          .object =
                              typed(f->arena, request.resource,
                                    "{metadata: {name: p}, spec: {serviceAccountName: a, containers: [{name: c}]}}"),
                          .store = f->store,
                          .strategy = &context};
    AdmissionHooks hooks = admission_hooks(admission);
    return hooks.mutate(hooks.userdata, &r, &err);
}

static void test_configuration(void **state) {
    refuses_to_open("Nope", NULL, "enable-admission-plugins plugin \"Nope\" is unknown");
    refuses_to_open(NULL, "Priority,Nope", "disable-admission-plugins plugin \"Nope\" is unknown");
    refuses_to_open("Priority", "LimitRanger,Priority",
                    "[Priority] in enable-admission-plugins and disable-admission-plugins overlapped");
    refuses_to_open("EventRateLimit", NULL, "the admission plugin EventRateLimit is not part of this server");
    put(*state, "", "namespaces", "{metadata: {name: team, uid: u}}");
    assert_int_equal(admit_pod(*state, NULL), -EACCES);
    assert_int_equal(admit_pod(*state, "LimitRanger,ServiceAccount"), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(test_priority),        FIXTURE_TEST(test_tolerations),   FIXTURE_TEST(test_new_nodes),
        FIXTURE_TEST(test_default_classes), FIXTURE_TEST(test_protection),    FIXTURE_TEST(test_claim_resize),
        FIXTURE_TEST(test_runtime_class),   FIXTURE_TEST(test_certificates),  FIXTURE_TEST(test_topology),
        FIXTURE_TEST(test_pod_resize),      FIXTURE_TEST(test_configuration),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
