#include "apiserver/admission/pod_security_checks.h"
#include "apiserver/registry/checks.h"
#include "base/str.h"

/* What a check looks at, and where it puts what it finds. */
typedef struct Subject {
    Arena *arena;
    const Value *meta, *spec, *security; /* security: spec.securityContext */
    const char *reason, *detail;         /* of the check that runs; NULL: nothing forbidden */
} Subject;

/* Names in the order they were found (containers) or sorted, each once (values). */
typedef struct Names {
    Arena *arena;
    const char **items;
    size_t n, cap;
} Names;

static void names_insert(Names *names, size_t at, const char *name) {
    if (names->n == names->cap) {
        size_t cap = names->cap ? names->cap * 2 : 8;
        const char **items = arena_alloc(names->arena, cap * sizeof *items);
        if (names->n)
            memcpy(items, names->items, names->n * sizeof *items);
        names->items = items;
        names->cap = cap;
    }
    memmove(names->items + at + 1, names->items + at, (names->n - at) * sizeof *names->items);
    names->items[at] = name;
    names->n++;
}

static void names_add(Names *names, const char *name) {
    names_insert(names, names->n, name);
}

static void names_add_sorted(Names *names, const char *name) {
    size_t at = 0;
    while (at < names->n && strcmp(names->items[at], name) < 0)
        at++;
    if (at == names->n || !streq(names->items[at], name))
        names_insert(names, at, name);
}

static char *names_join(const Names *names, const char *separator) {
    _cleanup_buf_ Buf text = BUF_INIT(BUF_NO_LIMIT);
    for (size_t i = 0; i < names->n; i++)
        buf_printf(&text, "%s%s", i ? separator : "", names->items[i]);
    return arena_strdup(names->arena, str_or(text.data, ""));
}

static char *quoted(const Names *names) {
    return names->n ? arena_printf(names->arena, "\"%s\"", names_join(names, "\", \""))
                    : arena_strdup(names->arena, "");
}

static const char *plural(const char *one, const char *many, size_t n) {
    return n == 1 ? one : many;
}

static char *containers_text(const Names *names) {
    return arena_printf(names->arena, "%s %s", plural("container", "containers", names->n), quoted(names));
}

/* "pod and containers ..." */
static char *setters_text(Arena *arena, bool pod, const Names *containers) {
    const char *named = containers->n ? containers_text(containers) : "";
    return arena_printf(arena, "%s%s%s", pod ? "pod" : "", pod && *named ? " and " : "", named);
}

static const char *const container_lists[] = {"initContainers", "containers", "ephemeralContainers"};

#define EACH_CONTAINER(container, spec)                                                                                \
    for (size_t _list = 0; _list < ELEMENTSOF(container_lists); _list++)                                               \
        VALUE_FOREACH (container, value_get((spec), container_lists[_list]))

static const char *name_of(const Value *v) {
    return str_or(value_get_str(v, "name"), "");
}

static const Value *security_of(const Value *container) {
    return value_get(container, "securityContext");
}

static bool is_windows(const Subject *s) {
    return streq_null(value_get_str(value_get(s->spec, "os"), "name"), "windows");
}

/* Pods with users of their own may be root in them. */
static bool has_own_users(const Subject *s) {
    return !value_get_bool(s->spec, "hostUsers", true);
}

static void forbid(Subject *s, const char *reason, const char *detail) {
    s->reason = reason;
    s->detail = detail;
}

static void allow_privilege_escalation_1_8(Subject *s) {
    Names bad = {.arena = s->arena};
    const Value *c;
    EACH_CONTAINER(c, s->spec)
    if (value_get_bool(security_of(c), "allowPrivilegeEscalation", true))
        names_add(&bad, name_of(c));
    if (bad.n)
        forbid(s, "allowPrivilegeEscalation != false",
               arena_printf(s->arena, "%s must set securityContext.allowPrivilegeEscalation=false",
                            containers_text(&bad)));
}

static void allow_privilege_escalation_1_25(Subject *s) {
    if (!is_windows(s))
        allow_privilege_escalation_1_8(s);
}

/* A profile {type} of the pod and its containers: who sets a type that is not in the list, and which. */
static bool bad_profiles(Subject *s, const char *field, const char *const *allowed, Names *containers, Names *values) {
    const Value *c, *profile = value_get(s->security, field);
    bool pod = profile && !str_in(str_or(value_get_str(profile, "type"), ""), allowed);
    if (pod)
        names_add_sorted(values, str_or(value_get_str(profile, "type"), ""));
    EACH_CONTAINER(c, s->spec) {
        profile = value_get(security_of(c), field);
        if (!profile || str_in(str_or(value_get_str(profile, "type"), ""), allowed))
            continue;
        names_add(containers, name_of(c));
        names_add_sorted(values, str_or(value_get_str(profile, "type"), ""));
    }
    return pod;
}

static const char *const profile_types[] = {"RuntimeDefault", "Localhost", NULL};

static void app_armor_1_0(Subject *s) {
    Names containers = {.arena = s->arena}, values = containers, annotations = containers;
    bool pod = bad_profiles(s, "appArmorProfile", profile_types, &containers, &values);
    VALUE_FOREACH_MEMBER (m, value_get(s->meta, "annotations")) {
        const char *value = str_or(value_str(m->value), "");
        if (str_has_prefix(m->name, "container.apparmor.security.beta.kubernetes.io/") && *value &&
            !streq(value, "runtime/default") && !str_has_prefix(value, "localhost/"))
            names_add_sorted(&annotations, arena_printf(s->arena, "%s=%s", m->name, go_quoted(s->arena, value)));
    }
    for (size_t i = 0; i < annotations.n; i++)
        names_add(&values, annotations.items[i]);
    char *who = setters_text(s->arena, pod, &containers);
    if (annotations.n)
        who = arena_printf(s->arena, "%s%s%s", who, *who ? " and " : "",
                           plural("annotation", "annotations", annotations.n));
    if (*who)
        forbid(s, plural("forbidden AppArmor profile", "forbidden AppArmor profiles", values.n),
               arena_printf(s->arena, "%s must not set AppArmor profile type to %s", who, quoted(&values)));
}

static void capabilities_baseline_1_0(Subject *s) {
    static const char *const allowed[] = {"AUDIT_WRITE", "CHOWN",  "DAC_OVERRIDE",     "FOWNER",  "FSETID",
                                          "KILL",        "MKNOD",  "NET_BIND_SERVICE", "SETFCAP", "SETGID",
                                          "SETPCAP",     "SETUID", "SYS_CHROOT",       NULL};
    Names bad = {.arena = s->arena}, values = bad;
    const Value *c, *item;
    EACH_CONTAINER(c, s->spec) {
        bool fine = true;
        VALUE_FOREACH (item, value_path(security_of(c), "capabilities", "add", NULL))
            if (!str_in(str_or(value_str(item), ""), allowed)) {
                names_add_sorted(&values, str_or(value_str(item), ""));
                fine = false;
            }
        if (!fine)
            names_add(&bad, name_of(c));
    }
    if (bad.n)
        forbid(s, "non-default capabilities",
               arena_printf(s->arena, "%s must not include %s in securityContext.capabilities.add",
                            containers_text(&bad), quoted(&values)));
}

static bool drops_all(const Value *container) {
    return list_has(value_path(security_of(container), "capabilities", "drop", NULL), "ALL");
}

static void capabilities_restricted_1_22(Subject *s) {
    Names keep = {.arena = s->arena}, add = keep, values = keep;
    const Value *c, *item;
    EACH_CONTAINER(c, s->spec) {
        bool fine = true;
        if (!drops_all(c))
            names_add(&keep, name_of(c));
        VALUE_FOREACH (item, value_path(security_of(c), "capabilities", "add", NULL))
            if (!streq_null(value_str(item), "NET_BIND_SERVICE")) {
                names_add_sorted(&values, str_or(value_str(item), ""));
                fine = false;
            }
        if (!fine)
            names_add(&add, name_of(c));
    }
    if (!keep.n && !add.n)
        return;
    const char *first = keep.n ? arena_printf(s->arena, "%s must set securityContext.capabilities.drop=[\"ALL\"]",
                                              containers_text(&keep))
                               : "";
    const char *second = add.n ? arena_printf(s->arena, "%s must not include %s in securityContext.capabilities.add",
                                              containers_text(&add), quoted(&values))
                               : "";
    forbid(s, "unrestricted capabilities",
           arena_printf(s->arena, "%s%s%s", first, keep.n && add.n ? "; " : "", second));
}

static void capabilities_restricted_1_25(Subject *s) {
    if (!is_windows(s))
        capabilities_restricted_1_22(s);
}

static void host_namespaces_1_0(Subject *s) {
    static const char *const fields[] = {"hostNetwork", "hostPID", "hostIPC"};
    Names set = {.arena = s->arena};
    for (size_t i = 0; i < ELEMENTSOF(fields); i++)
        if (value_get_bool(s->spec, fields[i], false))
            names_add(&set, arena_printf(s->arena, "%s=true", fields[i]));
    if (set.n)
        forbid(s, "host namespaces", names_join(&set, ", "));
}

static void host_path_volumes_1_0(Subject *s) {
    Names bad = {.arena = s->arena};
    const Value *v;
    VALUE_FOREACH (v, value_get(s->spec, "volumes"))
        if (value_get(v, "hostPath"))
            names_add(&bad, name_of(v));
    if (bad.n)
        forbid(s, "hostPath volumes",
               arena_printf(s->arena, "%s %s", plural("volume", "volumes", bad.n), quoted(&bad)));
}

static void host_ports_1_0(Subject *s) {
    Names bad = {.arena = s->arena}, ports = bad;
    const Value *c, *port;
    EACH_CONTAINER(c, s->spec) {
        bool fine = true;
        VALUE_FOREACH (port, value_get(c, "ports")) {
            int64_t number = value_get_int(port, "hostPort", 0);
            if (number == 0)
                continue;
            names_add_sorted(&ports, arena_printf(s->arena, "%lld", (long long)number));
            fine = false;
        }
        if (!fine)
            names_add(&bad, name_of(c));
    }
    if (bad.n)
        forbid(s, "hostPort",
               arena_printf(s->arena, "%s %s %s %s", containers_text(&bad), plural("uses", "use", bad.n),
                            plural("hostPort", "hostPorts", ports.n), names_join(&ports, ", ")));
}

static bool add_hosts(Names *hosts, const Value *handler) {
    static const char *const kinds[] = {"httpGet", "tcpSocket"};
    bool any = false;
    for (size_t i = 0; i < ELEMENTSOF(kinds); i++) {
        const char *host = value_get_str(value_get(handler, kinds[i]), "host");
        if (str_empty(host))
            continue;
        names_add_sorted(hosts, host);
        any = true;
    }
    return any;
}

static void host_probes_1_34(Subject *s) {
    static const char *const probes[] = {"livenessProbe", "readinessProbe", "startupProbe"}, *const hooks[] = {
                                                                                                 "postStart",
                                                                                                 "preStop"};
    Names bad = {.arena = s->arena}, hosts = bad;
    const Value *c;
    EACH_CONTAINER(c, s->spec) {
        bool any = false;
        for (size_t i = 0; i < ELEMENTSOF(probes); i++)
            any |= add_hosts(&hosts, value_get(c, probes[i]));
        for (size_t i = 0; i < ELEMENTSOF(hooks); i++)
            any |= add_hosts(&hosts, value_get(value_get(c, "lifecycle"), hooks[i]));
        if (any)
            names_add_sorted(&bad, name_of(c));
    }
    if (bad.n)
        forbid(s, "probe or lifecycle host",
               arena_printf(s->arena, "%s %s %s %s", containers_text(&bad), plural("uses", "use", bad.n),
                            plural("probe or lifecycle host", "probe or lifecycle hosts", hosts.n), quoted(&hosts)));
}

static void privileged_1_0(Subject *s) {
    Names bad = {.arena = s->arena};
    const Value *c;
    EACH_CONTAINER(c, s->spec)
    if (value_get_bool(security_of(c), "privileged", false))
        names_add(&bad, name_of(c));
    if (bad.n)
        forbid(s, "privileged",
               arena_printf(s->arena, "%s must not set securityContext.privileged=true", containers_text(&bad)));
}

static void proc_mount_1_0(Subject *s) {
    Names bad = {.arena = s->arena}, values = bad;
    const Value *c;
    EACH_CONTAINER(c, s->spec) {
        const char *mount = value_get_str(security_of(c), "procMount");
        if (!mount || streq(mount, "Default"))
            continue;
        names_add(&bad, name_of(c));
        names_add_sorted(&values, mount);
    }
    if (bad.n)
        forbid(s, "procMount",
               arena_printf(s->arena, "%s must not set securityContext.procMount to %s", containers_text(&bad),
                            quoted(&values)));
}

static void proc_mount_1_35(Subject *s) {
    if (!has_own_users(s))
        proc_mount_1_0(s);
}

static void restricted_volumes_1_0(Subject *s) {
    static const char *const fine[] = {"configMap", "csi",   "downwardAPI",           "emptyDir",
                                       "ephemeral", "image", "persistentVolumeClaim", "projected",
                                       "secret",    NULL};
    static const char *const known[] = {"hostPath",
                                        "gcePersistentDisk",
                                        "awsElasticBlockStore",
                                        "gitRepo",
                                        "nfs",
                                        "iscsi",
                                        "glusterfs",
                                        "rbd",
                                        "flexVolume",
                                        "cinder",
                                        "cephfs",
                                        "flocker",
                                        "fc",
                                        "azureFile",
                                        "vsphereVolume",
                                        "quobyte",
                                        "azureDisk",
                                        "photonPersistentDisk",
                                        "portworxVolume",
                                        "scaleIO",
                                        "storageos",
                                        NULL};
    Names bad = {.arena = s->arena}, types = bad;
    const Value *v;
    VALUE_FOREACH (v, value_get(s->spec, "volumes")) {
        const char *const *type = fine;
        while (*type && !value_get(v, *type))
            type++;
        if (*type)
            continue;
        for (type = known; *type && !value_get(v, *type);)
            type++;
        names_add(&bad, name_of(v));
        names_add_sorted(&types, *type ? *type : "unknown");
    }
    if (bad.n)
        forbid(s, "restricted volume types",
               arena_printf(s->arena, "%s %s %s %s %s", plural("volume", "volumes", bad.n), quoted(&bad),
                            plural("uses", "use", bad.n),
                            plural("restricted volume type", "restricted volume types", types.n), quoted(&types)));
}

static void run_as_non_root_1_0(Subject *s) {
    static const char reason[] = "runAsNonRoot != true";
    Names said = {.arena = s->arena}, silent = said;
    const Value *c, *pod = value_get(s->security, "runAsNonRoot");
    bool pod_says_no = pod && !value_get_bool(s->security, "runAsNonRoot", false), pod_says_yes = pod && !pod_says_no;
    EACH_CONTAINER(c, s->spec) {
        if (!value_get(security_of(c), "runAsNonRoot")) {
            if (!pod_says_yes)
                names_add(&silent, name_of(c));
        } else if (!value_get_bool(security_of(c), "runAsNonRoot", false))
            names_add(&said, name_of(c));
    }
    if (pod_says_no || said.n)
        forbid(s, reason,
               arena_printf(s->arena, "%s must not set securityContext.runAsNonRoot=false",
                            setters_text(s->arena, pod_says_no, &said)));
    else if (silent.n)
        forbid(
            s, reason,
            arena_printf(s->arena, "pod or %s must set securityContext.runAsNonRoot=true", containers_text(&silent)));
}

static void run_as_non_root_1_35(Subject *s) {
    if (!has_own_users(s))
        run_as_non_root_1_0(s);
}

static void run_as_user_1_23(Subject *s) {
    Names bad = {.arena = s->arena};
    const Value *c;
    bool pod = value_get_int(s->security, "runAsUser", -1) == 0;
    EACH_CONTAINER(c, s->spec)
    if (value_get_int(security_of(c), "runAsUser", -1) == 0)
        names_add(&bad, name_of(c));
    if (pod || bad.n)
        forbid(s, "runAsUser=0",
               arena_printf(s->arena, "%s must not set runAsUser=0", setters_text(s->arena, pod, &bad)));
}

static void run_as_user_1_35(Subject *s) {
    if (!has_own_users(s))
        run_as_user_1_23(s);
}

typedef struct Labels {
    const char *const *types;
    Names bad_types;
    bool user, role;
} Labels;

static bool labels_fine(Labels *labels, const Value *options) {
    const char *type = str_or(value_get_str(options, "type"), "");
    bool bad_type = *type && !str_in(type, labels->types), user = !str_empty(value_get_str(options, "user"));
    bool role = !str_empty(value_get_str(options, "role"));
    if (bad_type)
        names_add_sorted(&labels->bad_types, type);
    labels->user |= user;
    labels->role |= role;
    return !bad_type && !user && !role;
}

static void selinux_options(Subject *s, const char *const *types) {
    Names bad = {.arena = s->arena}, what = bad;
    Labels labels = {.types = types, .bad_types = {.arena = s->arena}};
    const Value *c;
    bool pod = !labels_fine(&labels, value_get(s->security, "seLinuxOptions"));
    EACH_CONTAINER(c, s->spec)
    if (!labels_fine(&labels, value_get(security_of(c), "seLinuxOptions")))
        names_add(&bad, name_of(c));
    if (!pod && !bad.n)
        return;
    if (labels.bad_types.n)
        names_add(&what, arena_printf(s->arena, "%s %s", plural("type", "types", labels.bad_types.n),
                                      quoted(&labels.bad_types)));
    if (labels.user)
        names_add(&what, "user may not be set");
    if (labels.role)
        names_add(&what, "role may not be set");
    forbid(s, "seLinuxOptions",
           arena_printf(s->arena, "%s set forbidden securityContext.seLinuxOptions: %s",
                        setters_text(s->arena, pod, &bad), names_join(&what, "; ")));
}

static const char *const selinux_types[] = {"container_t", "container_init_t", "container_kvm_t", "container_engine_t",
                                            NULL};

static void selinux_options_1_0(Subject *s) {
    static const char *const types[] = {"container_t", "container_init_t", "container_kvm_t", NULL};
    selinux_options(s, types);
}

static void selinux_options_1_31(Subject *s) {
    selinux_options(s, selinux_types);
}

static void check_annotation(Subject *s, const char *key, Names *bad) {
    const char *value = value_get_str(value_get(s->meta, "annotations"), key);
    if (value && !streq(value, "runtime/default") && !streq(value, "docker/default") &&
        !str_has_prefix(value, "localhost/"))
        names_add_sorted(bad, arena_printf(s->arena, "%s=%s", key, go_quoted(s->arena, value)));
}

static void seccomp_baseline_1_0(Subject *s) {
    Names bad = {.arena = s->arena};
    const Value *c;
    check_annotation(s, "seccomp.security.alpha.kubernetes.io/pod", &bad);
    EACH_CONTAINER(c, s->spec)
    check_annotation(s, arena_printf(s->arena, "container.seccomp.security.alpha.kubernetes.io/%s", name_of(c)), &bad);
    if (bad.n)
        forbid(s, "seccompProfile",
               arena_printf(s->arena, "forbidden %s %s", plural("annotation", "annotations", bad.n),
                            names_join(&bad, ", ")));
}

static bool seccomp_set_wrong(Subject *s) {
    Names containers = {.arena = s->arena}, values = containers;
    bool pod = bad_profiles(s, "seccompProfile", profile_types, &containers, &values);
    if (pod || containers.n)
        forbid(s, "seccompProfile",
               arena_printf(s->arena, "%s must not set securityContext.seccompProfile.type to %s",
                            setters_text(s->arena, pod, &containers), quoted(&values)));
    return pod || containers.n;
}

static void seccomp_baseline_1_19(Subject *s) {
    seccomp_set_wrong(s);
}

static void seccomp_restricted_1_19(Subject *s) {
    Names silent = {.arena = s->arena};
    const Value *c;
    if (seccomp_set_wrong(s) || value_get(s->security, "seccompProfile"))
        return;
    EACH_CONTAINER(c, s->spec)
    if (!value_get(security_of(c), "seccompProfile"))
        names_add(&silent, name_of(c));
    if (silent.n)
        forbid(s, "seccompProfile",
               arena_printf(
                   s->arena,
                   "pod or %s must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\"",
                   containers_text(&silent)));
}

static void seccomp_restricted_1_25(Subject *s) {
    if (!is_windows(s))
        seccomp_restricted_1_19(s);
}

/* Each with the version that first allowed it. */
static const struct {
    const char *name;
    int since;
} safe_sysctls[] = {
    {"kernel.shm_rmid_forced", 0},
    {"net.ipv4.ip_local_port_range", 0},
    {"net.ipv4.tcp_syncookies", 0},
    {"net.ipv4.ping_group_range", 0},
    {"net.ipv4.ip_unprivileged_port_start", 0},
    {"net.ipv4.ip_local_reserved_ports", 27},
    {"net.ipv4.tcp_keepalive_time", 29},
    {"net.ipv4.tcp_fin_timeout", 29},
    {"net.ipv4.tcp_keepalive_intvl", 29},
    {"net.ipv4.tcp_keepalive_probes", 29},
    {"net.ipv4.tcp_rmem", 32},
    {"net.ipv4.tcp_wmem", 32},
};

static void sysctls(Subject *s, int version) {
    Names bad = {.arena = s->arena};
    const Value *item;
    VALUE_FOREACH (item, value_get(s->security, "sysctls")) {
        bool safe = false;
        for (size_t i = 0; i < ELEMENTSOF(safe_sysctls); i++)
            safe |= safe_sysctls[i].since <= version && streq(safe_sysctls[i].name, name_of(item));
        if (!safe)
            names_add(&bad, name_of(item));
    }
    if (bad.n)
        forbid(s, "forbidden sysctls", names_join(&bad, ", "));
}

static void sysctls_1_0(Subject *s) {
    sysctls(s, 0);
}

static void sysctls_1_27(Subject *s) {
    sysctls(s, 27);
}

static void sysctls_1_29(Subject *s) {
    sysctls(s, 29);
}

static void sysctls_1_32(Subject *s) {
    sysctls(s, 32);
}

static void windows_host_process_1_0(Subject *s) {
    Names bad = {.arena = s->arena};
    const Value *c;
    bool pod = value_get_bool(value_get(s->security, "windowsOptions"), "hostProcess", false);
    EACH_CONTAINER(c, s->spec)
    if (value_get_bool(value_get(security_of(c), "windowsOptions"), "hostProcess", false))
        names_add(&bad, name_of(c));
    if (pod || bad.n)
        forbid(s, "hostProcess",
               arena_printf(s->arena, "%s must not set securityContext.windowsOptions.hostProcess=true",
                            setters_text(s->arena, pod, &bad)));
}

#define VERSIONS_MAX 4

typedef struct Check {
    const char *id;
    SecurityLevel level;
    const char *overrides; /* the baseline check that a restricted one stands for */
    struct {
        int since;
        void (*run)(Subject *s);
    } versions[VERSIONS_MAX];
} Check;

/* Baseline, then restricted ones, each by id: the order of messages. */
static const Check checks[] = {
    {"appArmorProfile", SECURITY_BASELINE, NULL, {{0, app_armor_1_0}}},
    {"capabilities_baseline", SECURITY_BASELINE, NULL, {{0, capabilities_baseline_1_0}}},
    {"hostNamespaces", SECURITY_BASELINE, NULL, {{0, host_namespaces_1_0}}},
    {"hostPathVolumes", SECURITY_BASELINE, NULL, {{0, host_path_volumes_1_0}}},
    {"hostPorts", SECURITY_BASELINE, NULL, {{0, host_ports_1_0}}},
    {"hostProbesAndHostLifecycle", SECURITY_BASELINE, NULL, {{34, host_probes_1_34}}},
    {"privileged", SECURITY_BASELINE, NULL, {{0, privileged_1_0}}},
    {"procMount", SECURITY_BASELINE, NULL, {{0, proc_mount_1_0}, {35, proc_mount_1_35}}},
    {"seLinuxOptions", SECURITY_BASELINE, NULL, {{0, selinux_options_1_0}, {31, selinux_options_1_31}}},
    {"seccompProfile_baseline", SECURITY_BASELINE, NULL, {{0, seccomp_baseline_1_0}, {19, seccomp_baseline_1_19}}},
    {"sysctls",
     SECURITY_BASELINE,
     NULL,
     {{0, sysctls_1_0}, {27, sysctls_1_27}, {29, sysctls_1_29}, {32, sysctls_1_32}}},
    {"windowsHostProcess", SECURITY_BASELINE, NULL, {{0, windows_host_process_1_0}}},
    {"allowPrivilegeEscalation",
     SECURITY_RESTRICTED,
     NULL,
     {{8, allow_privilege_escalation_1_8}, {25, allow_privilege_escalation_1_25}}},
    {"capabilities_restricted",
     SECURITY_RESTRICTED,
     "capabilities_baseline",
     {{22, capabilities_restricted_1_22}, {25, capabilities_restricted_1_25}}},
    {"procMount_restricted", SECURITY_RESTRICTED, "procMount", {{35, proc_mount_1_0}}},
    {"restrictedVolumes", SECURITY_RESTRICTED, "hostPathVolumes", {{0, restricted_volumes_1_0}}},
    {"runAsNonRoot", SECURITY_RESTRICTED, NULL, {{0, run_as_non_root_1_0}, {35, run_as_non_root_1_35}}},
    {"runAsUser", SECURITY_RESTRICTED, NULL, {{23, run_as_user_1_23}, {35, run_as_user_1_35}}},
    {"seccompProfile_restricted",
     SECURITY_RESTRICTED,
     "seccompProfile_baseline",
     {{19, seccomp_restricted_1_19}, {25, seccomp_restricted_1_25}}},
};

/* The check as it was in that version; NULL: it was not there yet. */
static void (*version_of(const Check *check, int version))(Subject *) {
    void (*run)(Subject *) = NULL;
    for (size_t i = 0; i < VERSIONS_MAX && check->versions[i].run && check->versions[i].since <= version; i++)
        run = check->versions[i].run;
    return run;
}

static bool is_overridden(const Check *check, SecurityPolicy policy) {
    if (policy.level != SECURITY_RESTRICTED)
        return false;
    for (size_t i = 0; i < ELEMENTSOF(checks); i++)
        if (checks[i].overrides && streq(checks[i].overrides, check->id) && version_of(&checks[i], policy.version))
            return true;
    return false;
}

SecurityVerdict pod_security_check(Arena *arena, SecurityPolicy policy, const Value *meta, const Value *spec) {
    SecurityVerdict verdict = {.allowed = true};
    if (policy.level == SECURITY_PRIVILEGED)
        return verdict;
    for (size_t i = 0; i < ELEMENTSOF(checks); i++) {
        Subject s = {.arena = arena, .meta = meta, .spec = spec, .security = value_get(spec, "securityContext")};
        void (*run)(Subject *) = checks[i].level <= policy.level ? version_of(&checks[i], policy.version) : NULL;
        if (!run || is_overridden(&checks[i], policy))
            continue;
        run(&s);
        if (!s.reason)
            continue;
        const char *sep = verdict.allowed ? "" : ", ";
        verdict.reasons = arena_printf(arena, "%s%s%s", str_or(verdict.reasons, ""), sep, s.reason);
        verdict.details = arena_printf(arena, "%s%s%s (%s)", str_or(verdict.details, ""), sep, s.reason, s.detail);
        verdict.allowed = false;
    }
    return verdict;
}
