#include "helpers.h"

static const AdmissionPlugin *const plugin = &admission_pod_security;

static void space(Fixture *f, const char *name, const char *labels) {
    put(f, "", "namespaces", arena_printf(f->arena, "{metadata: {name: %s, labels: %s}}", name, labels));
}

static Asked pod(const char *ns, const char *rest) {
    static char text[4096];
    snprintf(text, sizeof text, "{metadata: {name: p}, spec: %s}", rest);
    return (Asked){.operation = ADMISSION_CREATE, .plural = "pods", .ns = ns, .object = text};
}

#define SAFE                                                                                                           \
    "securityContext: {allowPrivilegeEscalation: false, runAsNonRoot: true, capabilities: {drop: [ALL]}, "             \
    "seccompProfile: {type: RuntimeDefault}}"

typedef struct Case {
    const char *spec, *baseline,
        *restricted; /* what is said after violates PodSecurity "LEVEL:latest": ; NULL: allowed */
} Case;

static const Case cases[] = {
    {"{containers: [{name: c, " SAFE "}]}", NULL, NULL},
    {"{containers: [{name: c}]}", NULL,
     "allowPrivilegeEscalation != false (container \"c\" must set securityContext.allowPrivilegeEscalation=false), "
     "unrestricted capabilities (container \"c\" must set securityContext.capabilities.drop=[\"ALL\"]), "
     "runAsNonRoot != true (pod or container \"c\" must set securityContext.runAsNonRoot=true), "
     "seccompProfile (pod or container \"c\" must set securityContext.seccompProfile.type to \"RuntimeDefault\" or "
     "\"Localhost\")"},
    {"{hostNetwork: true, hostPID: true, hostIPC: true, containers: [{name: c, " SAFE "}]}",
     "host namespaces (hostNetwork=true, hostPID=true, hostIPC=true)",
     "host namespaces (hostNetwork=true, hostPID=true, hostIPC=true)"},
    {"{volumes: [{name: a, hostPath: {path: /}}, {name: b, nfs: {server: s, path: /}}, {name: e, emptyDir: {}}], "
     "containers: [{name: c, " SAFE "}]}",
     "hostPath volumes (volume \"a\")",
     "restricted volume types (volumes \"a\", \"b\" use restricted volume types \"hostPath\", \"nfs\")"},
    {"{containers: [{name: c, ports: [{containerPort: 1, hostPort: 90}, {containerPort: 2, hostPort: 80}], " SAFE "}]}",
     "hostPort (container \"c\" uses hostPorts 80, 90)", "hostPort (container \"c\" uses hostPorts 80, 90)"},
    {"{containers: [{name: c, " SAFE
     "}], initContainers: [{name: a, securityContext: {privileged: true, allowPrivilegeEscalation: false, "
     "runAsNonRoot: true, capabilities: {drop: [ALL]}, "
     "seccompProfile: {type: Localhost}}}]}",
     "privileged (container \"a\" must not set securityContext.privileged=true)",
     "privileged (container \"a\" must not set securityContext.privileged=true)"},
    {"{containers: [{name: c, securityContext: {allowPrivilegeEscalation: false, runAsNonRoot: true, capabilities: "
     "{drop: [ALL], add: [SYS_ADMIN, NET_BIND_SERVICE, CHOWN]}, seccompProfile: "
     "{type: RuntimeDefault}}}]}",
     "non-default capabilities (container \"c\" must not include \"SYS_ADMIN\" in securityContext.capabilities.add)",
     "unrestricted capabilities (container \"c\" must not include \"CHOWN\", \"SYS_ADMIN\" in "
     "securityContext.capabilities.add)"},
    {"{securityContext: {seccompProfile: {type: Unconfined}, sysctls: [{name: a, value: b}, {name: net.ipv4.tcp_rmem, "
     "value: c}]}, containers: [{name: c, " SAFE "}]}",
     "seccompProfile (pod must not set securityContext.seccompProfile.type to \"Unconfined\"), forbidden sysctls (a)",
     "forbidden sysctls (a), seccompProfile (pod must not set securityContext.seccompProfile.type to \"Unconfined\")"},
    {"{securityContext: {runAsUser: 0, seLinuxOptions: {type: x, user: u, role: r}}, containers: [{name: c, " SAFE
     "}]}",
     "seLinuxOptions (pod set forbidden securityContext.seLinuxOptions: type \"x\"; user may not be set; role may not "
     "be set)",
     "seLinuxOptions (pod set forbidden securityContext.seLinuxOptions: type \"x\"; user may not be set; role may not "
     "be set), runAsUser=0 (pod must not set runAsUser=0)"},
    {"{containers: [{name: c, livenessProbe: {httpGet: {host: h, port: 1}}, " SAFE "}]}",
     "probe or lifecycle host (container \"c\" uses probe or lifecycle host \"h\")",
     "probe or lifecycle host (container \"c\" uses probe or lifecycle host \"h\")"},
    {"{hostUsers: false, securityContext: {runAsUser: 0}, containers: [{name: c, securityContext: {procMount: "
     "Unmasked, allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}, "
     "seccompProfile: {type: RuntimeDefault}}}]}",
     NULL, "procMount (container \"c\" must not set securityContext.procMount to \"Unmasked\")"},
    {"{securityContext: {appArmorProfile: {type: Unconfined}, windowsOptions: {hostProcess: true}}, containers: "
     "[{name: c, " SAFE "}]}",
     "forbidden AppArmor profile (pod must not set AppArmor profile type to \"Unconfined\"), hostProcess (pod must not "
     "set securityContext.windowsOptions.hostProcess=true)",
     "forbidden AppArmor profile (pod must not set AppArmor profile type to \"Unconfined\"), hostProcess (pod must not "
     "set securityContext.windowsOptions.hostProcess=true)"},
};

static void check(Fixture *f, const char *level, const char *spec, const char *said) {
    if (said)
        refused(f, plugin, pod(level, spec),
                arena_printf(f->arena, "pods \"p\" is forbidden: violates PodSecurity \"%s:latest\": %s", level, said));
    else
        passes(f, plugin, pod(level, spec));
}

static void test_levels(void **state) {
    Fixture *f = *state;
    space(f, "baseline", "{pod-security.kubernetes.io/enforce: baseline}");
    space(f, "restricted", "{pod-security.kubernetes.io/enforce: restricted}");
    space(f, "privileged", "{}");
    for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
        check(f, "baseline", cases[i].spec, cases[i].baseline);
        check(f, "restricted", cases[i].spec, cases[i].restricted);
        passes(f, plugin, pod("privileged", cases[i].spec));
    }
}

static void test_versions(void **state) {
    Fixture *f = *state;
    space(f, "old",
          "{pod-security.kubernetes.io/enforce: restricted, pod-security.kubernetes.io/enforce-version: v1.7}");
    space(f, "future",
          "{pod-security.kubernetes.io/enforce: baseline, pod-security.kubernetes.io/enforce-version: v1.99}");
    refused(f, plugin, pod("old", "{containers: [{name: c}]}"),
            "pods \"p\" is forbidden: violates PodSecurity \"restricted:v1.7\": runAsNonRoot != true (pod or container "
            "\"c\" must set securityContext.runAsNonRoot=true)");
    refused(f, plugin, pod("future", "{hostPID: true, containers: [{name: c}]}"),
            "pods \"p\" is forbidden: violates PodSecurity \"baseline:v1.99\": host namespaces (hostPID=true)");
}

static void test_warnings(void **state) {
    Fixture *f = *state;
    space(f, "team", "{pod-security.kubernetes.io/warn: baseline}");
    Asked a = pod("team", "{hostPID: true, containers: [{name: c}]}");
    assert_int_equal(ask(f, plugin, &a), 0);
    assert_int_equal(a.context.n_warnings, 1);
    assert_string_equal(a.context.warnings[0],
                        "would violate PodSecurity \"baseline:latest\": host namespaces (hostPID=true)");
    Asked d = {.operation = ADMISSION_CREATE,
               .group = "apps",
               .plural = "deployments",
               .ns = "team",
               .object = "{metadata: {name: d}, spec: {template: {spec: {hostPID: true, containers: [{name: c}]}}}}"};
    assert_int_equal(ask(f, plugin, &d), 0);
    assert_int_equal(d.context.n_warnings, 1);
    /* who enforces warns as well, about what makes pods */
    space(f, "strict", "{pod-security.kubernetes.io/enforce: baseline}");
    d.ns = "strict";
    assert_int_equal(ask(f, plugin, &d), 0);
    assert_int_equal(d.context.n_warnings, 1);
}

static void test_updates(void **state) {
    Fixture *f = *state;
    space(f, "team", "{pod-security.kubernetes.io/enforce: baseline}");
    Asked a = pod("team", "{hostPID: true, containers: [{name: c, image: i}]}");
    a.operation = ADMISSION_UPDATE;
    a.old = "{metadata: {name: p}, spec: {hostPID: true, containers: [{name: c, image: i}]}}";
    passes(f, plugin, a);
    a.old = "{metadata: {name: p}, spec: {hostPID: true, containers: [{name: c, image: j}]}}";
    refused(f, plugin, a,
            "pods \"p\" is forbidden: violates PodSecurity \"baseline:latest\": host namespaces (hostPID=true)");
    a.subresource = "status";
    passes(f, plugin, a);
}

static void test_namespaces(void **state) {
    Fixture *f = *state;
    Asked a = {.operation = ADMISSION_CREATE,
               .plural = "namespaces",
               .object = "{metadata: {name: team, labels: {pod-security.kubernetes.io/enforce: odd, "
                         "pod-security.kubernetes.io/warn-version: v1.01}}}"};
    refused(f, plugin, a,
            "Namespace \"team\" is invalid: [metadata.labels[pod-security.kubernetes.io/enforce]: Invalid value: "
            "\"odd\": must be one of privileged, baseline, restricted, "
            "metadata.labels[pod-security.kubernetes.io/warn-version]: Invalid value: \"v1.01\": must be \"latest\" or "
            "\"v1.x\"]");
    put(f, "", "pods",
        "{metadata: {name: b, namespace: team, uid: b}, spec: {hostPID: true, containers: [{name: c}]}}");
    put(f, "", "pods",
        "{metadata: {name: a, namespace: team, uid: a}, spec: {hostPID: true, containers: [{name: c}]}}");
    put(f, "", "pods", "{metadata: {name: fine, namespace: team, uid: c}, spec: {containers: [{name: c}]}}");
    a.operation = ADMISSION_UPDATE;
    a.old = "{metadata: {name: team}}";
    a.object = "{metadata: {name: team, labels: {pod-security.kubernetes.io/enforce: baseline}}}";
    assert_int_equal(ask(f, plugin, &a), 0);
    assert_int_equal(a.context.n_warnings, 2);
    assert_string_equal(
        a.context.warnings[0],
        "existing pods in namespace \"team\" violate the new PodSecurity enforce level \"baseline:latest\"");
    assert_string_equal(a.context.warnings[1], "a (and 1 other pod): host namespaces");
    /* wrong labels that were there before do not stop a namespace from ending */
    a.old = a.object = "{metadata: {name: team, labels: {pod-security.kubernetes.io/enforce: odd}}}";
    passes(f, plugin, a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(test_levels),  FIXTURE_TEST(test_versions),   FIXTURE_TEST(test_warnings),
        FIXTURE_TEST(test_updates), FIXTURE_TEST(test_namespaces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
