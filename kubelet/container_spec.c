/* From a pod's definition to what the runtime is asked for: environment, mounts, resources, security, in the
 * reference's ways (kuberuntime_container_linux.go, security_context.go, kubelet_pods.go). */
#include "kubelet/internal.h"

#include "base/fs.h"
#include "base/str.h"
#include "kubelet/env.h"
#include "kubelet/net_files.h"
#include "kubelet/volumes/subpath.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define RESOLV_CONF_MAX (64 * 1024)
#define RESOURCES_JSON_MAX (1024 * 1024)
#define HOSTS_FILE_MAX (1024 * 1024)
#define DEFAULT_TERMINATION_PATH "/dev/termination-log"
#define IMAGE_REF_ANNOTATION "lighter.io/image-ref" /* pod_status.c reads it */

static const char *const no_paths[] = {NULL};

const char *resources_json(Arena *arena, const Value *resources) {
    _cleanup_buf_ Buf json = BUF_INIT(RESOURCES_JSON_MAX);
    value_write_json(&json, resources ? resources : value_object(arena));
    return json.failed ? "{}" : arena_strdup(arena, json.data);
}

static const char **string_list(Arena *arena, const Value *list) {
    const Value *v;
    const char **out = arena_alloc0(arena, (value_len(list) + 1) * sizeof *out);
    size_t n = 0;
    VALUE_FOREACH (v, list)
        if (value_str(v))
            out[n++] = value_str(v);
    return n ? out : NULL;
}

static RuntimePair pair(Arena *arena, const char *key, const char *value) {
    return (RuntimePair){arena_strdup(arena, key), arena_strdup(arena, str_or(value, ""))};
}

/* ---- the sandbox ---- */

static void add_ports(PodSync *s, const Value *containers, bool sidecars_only, SandboxSpec *spec, PortMapping *ports,
                      size_t max) {
    (void)s;
    const Value *c, *p;
    VALUE_FOREACH (c, containers) {
        if (sidecars_only && !container_is_sidecar(c))
            continue;
        VALUE_FOREACH (p, value_get(c, "ports")) {
            int64_t host = value_get_int(p, "hostPort", 0), own = value_get_int(p, "containerPort", 0);
            if (host <= 0 || host > UINT16_MAX || own <= 0 || own > UINT16_MAX || spec->n_ports == max)
                continue;
            ports[spec->n_ports++] = (PortMapping){.protocol = str_or(value_get_str(p, "protocol"), "TCP"),
                                                   .container_port = (uint16_t)own,
                                                   .host_port = (uint16_t)host,
                                                   .host_ip = value_get_str(p, "hostIP")};
        }
    }
}

static size_t count_ports(const Value *containers) {
    const Value *c;
    size_t n = 0;
    VALUE_FOREACH (c, containers)
        n += value_len(value_get(c, "ports"));
    return n;
}

static bool any_privileged(const Value *pod) {
    for (int kind = CONTAINER_REGULAR; kind <= CONTAINER_EPHEMERAL; kind++) {
        const Value *c;
        VALUE_FOREACH (c, pod_containers_of(pod, (ContainerKind)kind))
            if (value_get_bool(value_get(c, "securityContext"), "privileged", false))
                return true;
    }
    return false;
}

static void add_sysctls(PodSync *s, SandboxSpec *spec) {
    const Value *list = value_path(s->pod, "spec", "securityContext", "sysctls", NULL), *v;
    RuntimePair *pairs = arena_alloc0(s->arena, (value_len(list) + 1) * sizeof *pairs);
    VALUE_FOREACH (v, list) {
        char *name = arena_strdup(s->arena, str_or(value_get_str(v, "name"), ""));
        for (char *c = name; *c; c++) /* the API allows slashes; the kernel's names have dots */
            *c = *c == '/' ? '.' : *c;
        pairs[spec->n_sysctls++] = pair(s->arena, name, value_get_str(v, "value"));
    }
    spec->sysctls = pairs;
}

static void add_members(Arena *arena, const Value *from, RuntimePair *pairs, size_t *n) {
    VALUE_FOREACH_MEMBER (m, from)
        pairs[(*n)++] = pair(arena, m->name, value_str(m->value));
}

int sandbox_spec_build(PodSync *s, uint32_t attempt, SandboxSpec *ret) {
    const Value *spec = value_get(s->pod, "spec"), *metadata = value_get(s->pod, "metadata");
    const char *domain;
    _cleanup_free_ char *parent = cgroups_pod_path(pod_qos_class(s->pod), s->p->uid), *resolv = NULL;
    if (fs_read_file("/etc/resolv.conf", RESOLV_CONF_MAX, &resolv, NULL) < 0)
        resolv = NULL;
    SandboxSpec out = {
        .ns = s->p->ns,
        .name = s->p->name,
        .uid = s->p->uid,
        .attempt = attempt,
        .hostname = pod_hostname(s->arena, s->pod, s->k->host_name, s->k->config.cluster_domain, &domain),
        .log_directory = s->p->log_dir,
        .cgroup_parent = arena_strdup(s->arena, parent),
        .host_network = pod_host_network(s->pod),
        .host_pid = value_get_bool(spec, "hostPID", false),
        .host_ipc = value_get_bool(spec, "hostIPC", false),
        .share_process_namespace = value_get_bool(spec, "shareProcessNamespace", false),
        .privileged = any_privileged(s->pod),
    };
    DnsConfig dns;
    const char *text = arena_strdup(s->arena, str_or(resolv, ""));
    dns_config(s->arena, s->pod, s->k->config.cluster_dns, s->k->config.cluster_domain, text, &dns);
    out.dns_servers = dns.servers;
    out.dns_searches = dns.searches;
    out.dns_options = dns.options;
    if (!out.host_network) {
        size_t max = count_ports(pod_containers(s->pod)) + count_ports(pod_init_containers(s->pod));
        PortMapping *ports = arena_alloc0(s->arena, (max + 1) * sizeof *ports);
        add_ports(s, pod_containers(s->pod), false, &out, ports, max);
        add_ports(s, pod_init_containers(s->pod), true, &out, ports, max);
        out.ports = ports;
    }
    add_sysctls(s, &out);
    const Value *labels = value_get(metadata, "labels"), *annotations = value_get(metadata, "annotations");
    RuntimePair *l = arena_alloc0(s->arena, (value_len(labels) + 4) * sizeof *l);
    RuntimePair *a = arena_alloc0(s->arena, (value_len(annotations) + 2) * sizeof *a);
    add_members(s->arena, labels, l, &out.n_labels);
    add_members(s->arena, annotations, a, &out.n_annotations);
    l[out.n_labels++] = pair(s->arena, "io.kubernetes.pod.name", s->p->name);
    l[out.n_labels++] = pair(s->arena, "io.kubernetes.pod.namespace", s->p->ns);
    l[out.n_labels++] = pair(s->arena, "io.kubernetes.pod.uid", s->p->uid);
    a[out.n_annotations++] =
        pair(s->arena, RESOURCES_ANNOTATION, resources_json(s->arena, value_get(spec, "resources")));
    out.labels = l;
    out.annotations = a;
    *ret = out;
    return 0;
}

/* ---- files that are mounted ---- */

static const char *hosts_path(PodSync *s) {
    return arena_printf(s->arena, "%s/etc-hosts", s->p->dir);
}

/* In place: running containers have the file mounted. */
static int write_in_place(const char *path, const char *text, size_t n, mode_t mode) {
    _cleanup_free_ char *have = NULL;
    size_t length = 0;
    if (fs_read_file(path, HOSTS_FILE_MAX, &have, &length) == 0 && length == n && memcmp(have, text, n) == 0)
        return 0;
    _cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);
    if (fd < 0)
        return -errno;
    for (size_t done = 0; done < n;) {
        ssize_t w = write(fd, text + done, n - done);
        if (w < 0 && errno == EINTR)
            continue;
        if (w < 0)
            return -errno;
        done += (size_t)w;
    }
    return fchmod(fd, mode) < 0 ? -errno : 0;
}

static int write_hosts_file(PodSync *s, const SandboxStatus *sandbox) {
    const char *domain, *ips[18] = {NULL};
    size_t n = 0;
    for (size_t i = 0; sandbox && sandbox->ips && sandbox->ips[i] && n < ELEMENTSOF(ips) - 1; i++)
        ips[n++] = sandbox->ips[i];
    if (!n && sandbox && !str_empty(sandbox->ip))
        ips[n++] = sandbox->ip;
    const char *name = pod_hostname(s->arena, s->pod, s->k->host_name, s->k->config.cluster_domain, &domain);
    _cleanup_free_ char *node = NULL;
    if (pod_host_network(s->pod) && fs_read_file("/etc/hosts", HOSTS_FILE_MAX, &node, NULL) < 0)
        node = NULL;
    _cleanup_buf_ Buf out = BUF_INIT(HOSTS_FILE_MAX);
    hosts_file(&out, s->pod, ips, name, domain, node);
    if (out.failed)
        return -EFBIG;
    int r = fs_mkdir_p(s->p->dir, 0750);
    return r < 0 ? r : write_in_place(hosts_path(s), out.data ? out.data : "", out.len, 0644);
}

char *termination_log_path(Arena *arena, const Pod *p, const char *container, uint32_t attempt) {
    return arena_printf(arena, "%s/containers/%s/%u", p->dir, container, attempt);
}

static int make_termination_log(PodSync *s, const char *name, uint32_t attempt, const char **ret) {
    const char *path = termination_log_path(s->arena, s->p, name, attempt);
    int r = fs_mkdir_p(arena_printf(s->arena, "%s/containers/%s", s->p->dir, name), 0750);
    if (r == 0)
        r = fs_mkdir_p(arena_printf(s->arena, "%s/%s", s->p->log_dir, name), 0755);
    if (r < 0)
        return r;
    _cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (fd < 0 || fchmod(fd, 0666) < 0) /* whoever the container runs as writes to it */
        return -errno;
    *ret = path;
    return 0;
}

/* ---- mounts ---- */

typedef struct EnvList {
    const RuntimePair *env;
    size_t n;
} EnvList;

static const char *env_lookup(const char *name, void *userdata) {
    const EnvList *list = userdata;
    for (size_t i = 0; i < list->n; i++)
        if (streq(list->env[i].key, name))
            return list->env[i].value;
    return NULL;
}

static bool is_image(const PodSync *s, const char *name) {
    const Value *volume;
    VALUE_FOREACH (volume, value_path(s->pod, "spec", "volumes", NULL))
        if (streq_null(value_get_str(volume, "name"), name))
            return value_is(value_get(volume, "image"), VALUE_OBJECT);
    return false;
}

static int add_volume(PodSync *s, const Value *container, const Value *mount, size_t index, const VolumePath *paths,
                      size_t n_paths, EnvList *env, MountSpec *ret, const char **ret_error) {
    const char *volume = str_or(value_get_str(mount, "name"), ""), *at = str_or(value_get_str(mount, "mountPath"), "/");
    const char *host = volume_path_of(paths, n_paths, volume), *sub = value_get_str(mount, "subPath");
    const char *expression = value_get_str(mount, "subPathExpr");
    if (str_empty(host)) {
        *ret_error = arena_printf(s->arena, "cannot find volume \"%s\" to mount into container \"%s\"", volume,
                                  value_get_str(container, "name"));
        return -ENOENT;
    }
    if (!str_empty(expression)) {
        sub = env_expand(s->arena, expression, env_lookup, env);
        if (strstr(sub, "$(")) {
            *ret_error = arena_printf(s->arena, "missing value for \"%s\"", expression);
            return -EINVAL;
        }
    }
    if (!str_empty(sub)) {
        _cleanup_free_ char *pinned = NULL, *why = NULL;
        int r = subpath_prepare(s->p->dir, volume, value_get_str(container, "name"), index, host, sub, &pinned, &why);
        if (r < 0) {
            *ret_error =
                arena_printf(s->arena, "failed to prepare subPath for volumeMount \"%s\" of container \"%s\"%s%s",
                             volume, value_get_str(container, "name"), why ? ": " : "", str_or(why, ""));
            return r;
        }
        host = arena_strdup(s->arena, pinned);
    }
    const char *recursive = str_or(value_get_str(mount, "recursiveReadOnly"), "Disabled");
    *ret = (MountSpec){.container_path = *at == '/' ? at : arena_printf(s->arena, "/%s", at),
                       .host_path = host,
                       .read_only = value_get_bool(mount, "readOnly", false) || is_image(s, volume),
                       .recursive_read_only = !streq(recursive, "Disabled"),
                       .propagation = value_get_str(mount, "mountPropagation")};
    return 0;
}

static bool mounted_at(const MountSpec *mounts, size_t n, const char *path) {
    for (size_t i = 0; i < n; i++)
        if (streq(mounts[i].container_path, path))
            return true;
    return false;
}

static int build_mounts(PodSync *s, const SandboxStatus *sandbox, const Value *container, uint32_t attempt,
                        EnvList *env, ContainerSpec *out, const char **ret_error) {
    const Value *list = value_get(container, "volumeMounts"), *m;
    const char *name = value_get_str(container, "name");
    if (value_len(value_get(container, "volumeDevices"))) {
        *ret_error = "block devices (volumeDevices) are not supported on this node";
        return -EOPNOTSUPP;
    }
    ObjectSource source;
    kubelet_source(s->k, &source);
    VolumeContext context = {.arena = s->arena,
                             .pod_dir = s->p->dir,
                             .pod = s->pod,
                             .facts = &s->facts,
                             .source = &source,
                             .tokens = s->k->tokens};
    volume_context_init(&context);
    VolumePath *paths = NULL;
    size_t n_paths = 0, n = 0, index = 0;
    int r = volumes_find(&context, &paths, &n_paths, ret_error);
    if (r < 0)
        return r;
    MountSpec *mounts = arena_alloc0(s->arena, (value_len(list) + 3) * sizeof *mounts);
    VALUE_FOREACH (m, list) {
        r = add_volume(s, container, m, index++, paths, n_paths, env, &mounts[n], ret_error);
        if (r < 0)
            return r;
        n++;
    }
    if (!mounted_at(mounts, n, "/etc/hosts")) {
        r = write_hosts_file(s, sandbox);
        if (r < 0) {
            *ret_error = arena_printf(s->arena, "writing the hosts file: %s", strerror(-r));
            return r;
        }
        mounts[n++] = (MountSpec){.container_path = "/etc/hosts", .host_path = hosts_path(s)};
    }
    const char *log = NULL, *at = str_or(value_get_str(container, "terminationMessagePath"), DEFAULT_TERMINATION_PATH);
    r = make_termination_log(s, name, attempt, &log);
    if (r < 0) {
        *ret_error = arena_printf(s->arena, "making the termination log: %s", strerror(-r));
        return r;
    }
    if (!mounted_at(mounts, n, at))
        mounts[n++] = (MountSpec){.container_path = at, .host_path = log};
    out->mounts = mounts;
    out->n_mounts = n;
    return 0;
}

/* ---- resources ---- */

void container_resources_build(PodSync *s, const Value *container, ContainerSpec *out) {
    const Value *resources = container_effective_resources(s->arena, s->pod, container);
    int64_t request = resource_milli(resources, "requests", "cpu"), limit = resource_milli(resources, "limits", "cpu");
    int64_t memory = resource_units(resources, "limits", "memory");
    out->cpu_shares = cpu_shares_from_milli(request < 0 && limit >= 0 ? limit : MAX(request, (int64_t)0));
    out->cpu_period = CPU_PERIOD_US;
    out->cpu_quota = limit > 0 ? cpu_quota_from_milli(limit) : 0;
    out->memory_limit = memory > 0 ? memory : 0;
    out->oom_score_adj = container_oom_score_adj(s->pod, container, s->k->memory);
}

/* ---- security ---- */

static const Value *either(const Value *own, const Value *pods, const char *name) {
    const Value *v = value_get(own, name);
    return v && v->type != VALUE_NULL ? v : value_get(pods, name);
}

static bool has_capability(const char *const *list, const char *name) {
    for (; list && *list; list++)
        if (streq(*list, name) || streq(*list, "ALL") || (str_has_prefix(*list, "CAP_") && streq(*list + 4, name)))
            return true;
    return false;
}

static void build_groups(PodSync *s, const Value *pods, ContainerSpec *out) {
    const Value *list = value_get(pods, "supplementalGroups"), *v, *fs_group = value_get(pods, "fsGroup");
    int64_t *groups = arena_alloc0(s->arena, (value_len(list) + 2) * sizeof *groups);
    VALUE_FOREACH (v, list)
        if (value_is(v, VALUE_INT))
            groups[out->n_supplemental_groups++] = v->integer;
    if (value_is(fs_group, VALUE_INT))
        groups[out->n_supplemental_groups++] = fs_group->integer;
    out->supplemental_groups = groups;
}

static int build_seccomp(PodSync *s, const Value *own, const Value *pods, ContainerSpec *out, const char **ret_error) {
    const Value *profile = either(own, pods, "seccompProfile");
    const char *type = str_or(value_get_str(profile, "type"), "Unconfined");
    out->seccomp_profile = type;
    if (!streq(type, "Localhost"))
        return 0;
    const char *file = str_or(value_get_str(profile, "localhostProfile"), "");
    if (!*file || *file == '/' || strstr(file, "..")) {
        *ret_error = "localhostProfile must be set if seccompProfile type is Localhost.";
        return -EINVAL;
    }
    out->seccomp_profile = arena_printf(s->arena, "%s/seccomp/%s", s->k->config.root_dir, file);
    return 0;
}

/* Names in the image's own user cannot be checked, numbers can: as verifyRunAsNonRoot. */
static int check_non_root(PodSync *s, const Value *container, const Value *non_root, const ContainerSpec *out,
                          const Image *image, const char **ret_error) {
    if (!value_is(non_root, VALUE_BOOL) || !non_root->boolean)
        return 0;
    const char *pod = pod_format(s->arena, s->pod), *name = value_get_str(container, "name"),
               *user = image->config.user;
    if (out->run_as_user == 0) {
        *ret_error = arena_printf(s->arena, "container's runAsUser breaks non-root policy (pod: \"%s\", container: %s)",
                                  pod, name);
        return -EPERM;
    }
    if (out->run_as_user > 0)
        return 0;
    char *own = arena_strndup(s->arena, str_or(user, ""), strcspn(str_or(user, ""), ":"));
    int64_t uid = 0;
    if (*own && str_to_int64(own, &uid) < 0) {
        *ret_error =
            arena_printf(s->arena,
                         "container has runAsNonRoot and image has non-numeric user (%s), cannot verify user is "
                         "non-root (pod: \"%s\", container: %s)",
                         own, pod, name);
        return -EPERM;
    }
    if (uid == 0) {
        *ret_error = arena_printf(
            s->arena, "container has runAsNonRoot and image will run as root (pod: \"%s\", container: %s)", pod, name);
        return -EPERM;
    }
    return 0;
}

static int build_security(PodSync *s, const Value *container, const Image *image, ContainerSpec *out,
                          const char **ret_error) {
    const Value *own = value_get(container, "securityContext"),
                *pods = value_path(s->pod, "spec", "securityContext", NULL);
    const Value *user = either(own, pods, "runAsUser"), *group = either(own, pods, "runAsGroup");
    const Value *escalation = value_get(own, "allowPrivilegeEscalation"),
                *capabilities = value_get(own, "capabilities");
    out->run_as_user = value_is(user, VALUE_INT) ? user->integer : -1;
    out->run_as_group = value_is(group, VALUE_INT) ? group->integer : -1;
    out->privileged = value_get_bool(own, "privileged", false);
    out->read_only_rootfs = value_get_bool(own, "readOnlyRootFilesystem", false);
    out->capabilities_add = string_list(s->arena, value_get(capabilities, "add"));
    out->capabilities_drop = string_list(s->arena, value_get(capabilities, "drop"));
    out->no_new_privileges = value_is(escalation, VALUE_BOOL) && !escalation->boolean && !out->privileged &&
                             !has_capability(out->capabilities_add, "SYS_ADMIN");
    if (streq(str_or(value_get_str(own, "procMount"), "Default"), "Unmasked"))
        out->masked_paths = out->readonly_paths = no_paths;
    build_groups(s, pods, out);
    int r = build_seccomp(s, own, pods, out, ret_error);
    return r < 0 ? r : check_non_root(s, container, either(own, pods, "runAsNonRoot"), out, image, ret_error);
}

/* ---- the container ---- */

static int build_env(PodSync *s, const Value *container, RuntimePair **ret, size_t *ret_n, const char **ret_error) {
    ObjectSource source;
    kubelet_source(s->k, &source);
    ClientList services = {0};
    informer_list(s->k->services_informer, s->p->ns, NULL, &services);
    _cleanup_object_ Object *master =
        streq(s->p->ns, "default") ? NULL : informer_lookup(s->k->services_informer, "default", "kubernetes");
    Object **list = arena_alloc0(s->arena, (services.n + 1) * sizeof *list);
    size_t n = 0;
    for (size_t i = 0; i < services.n; i++)
        list[n++] = services.items[i];
    if (master)
        list[n++] = master;
    EnvContext context = {.source = &source, .facts = &s->facts, .services = list, .n_services = n};
    int r = env_build(s->arena, &context, s->pod, container, ret, ret_n, ret_error);
    client_list_done(&services);
    return r;
}

static void build_labels(PodSync *s, const Value *container, const Image *image, uint32_t attempt, ContainerSpec *out) {
    Arena *a = s->arena;
    RuntimePair *labels = arena_alloc0(a, 4 * sizeof *labels), *annotations = arena_alloc0(a, 7 * sizeof *annotations);
    labels[0] = pair(a, "io.kubernetes.container.name", out->name);
    labels[1] = pair(a, "io.kubernetes.pod.name", s->p->name);
    labels[2] = pair(a, "io.kubernetes.pod.namespace", s->p->ns);
    labels[3] = pair(a, "io.kubernetes.pod.uid", s->p->uid);
    annotations[0] = pair(a, "io.kubernetes.container.hash", container_hash(a, container));
    annotations[1] = pair(a, "io.kubernetes.container.restartCount", arena_printf(a, "%u", attempt));
    annotations[2] = pair(a, "io.kubernetes.container.terminationMessagePath",
                          str_or(value_get_str(container, "terminationMessagePath"), DEFAULT_TERMINATION_PATH));
    annotations[3] = pair(a, "io.kubernetes.container.terminationMessagePolicy",
                          str_or(value_get_str(container, "terminationMessagePolicy"), "File"));
    annotations[4] = pair(a, IMAGE_REF_ANNOTATION, image->digests && image->digests[0] ? image->digests[0] : image->id);
    out->labels = labels;
    out->n_labels = 4;
    out->annotations = annotations;
    annotations[5] = pair(a, RESOURCES_ANNOTATION, resources_json(a, value_get(container, "resources")));
    annotations[6] = pair(a, GIVEN_ANNOTATION, resources_json(a, container_effective_resources(a, s->pod, container)));
    out->n_annotations = 7;
}

/* `kubectl debug --target`: the container whose processes an ephemeral one sees. */
static int find_pid_target(PodSync *s, const Value *container, ContainerSpec *out, const char **ret_error) {
    const char *name = value_get_str(container, "targetContainerName");
    if (str_empty(name))
        return 0;
    const ContainerStatus *target = pod_runtime_find(&s->rt, name);
    if (!target) {
        *ret_error = arena_printf(s->arena, "unable to find target container %s", name);
        return -ENOENT;
    }
    out->pid_target = target->id;
    return 0;
}

int container_spec_build(PodSync *s, const SandboxStatus *sandbox, const Value *container, const Image *image,
                         uint32_t attempt, ContainerSpec *ret, const char **ret_error) {
    const char *name = str_or(value_get_str(container, "name"), "");
    RuntimePair *env = NULL;
    size_t n_env = 0;
    int r = build_env(s, container, &env, &n_env, ret_error);
    if (r < 0)
        return r;
    ContainerSpec out = {
        .name = name,
        .attempt = attempt,
        .image_id = arena_strdup(s->arena, image->id),
        .image_ref = value_get_str(container, "image"),
        .command = env_expand_list(s->arena, value_get(container, "command"), env, n_env),
        .args = env_expand_list(s->arena, value_get(container, "args"), env, n_env),
        .working_dir = value_get_str(container, "workingDir"),
        .env = env,
        .n_env = n_env,
        .log_path = arena_printf(s->arena, "%s/%u.log", name, attempt),
        .stdin_ = value_get_bool(container, "stdin", false),
        .stdin_once = value_get_bool(container, "stdinOnce", false),
        .tty = value_get_bool(container, "tty", false),
        .stop_signal = value_get_str(value_get(container, "lifecycle"), "stopSignal"),
    };
    r = find_pid_target(s, container, &out, ret_error);
    if (r < 0)
        return r;
    container_resources_build(s, container, &out);
    build_labels(s, container, image, attempt, &out);
    r = build_security(s, container, image, &out, ret_error);
    if (r < 0)
        return r;
    EnvList list = {env, n_env};
    r = build_mounts(s, sandbox, container, attempt, &list, &out, ret_error);
    if (r == 0)
        *ret = out;
    return r;
}
