#define LOG_COMPONENT "runtime"
#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/str.h"
#include "kubelet/runtime/oci_internal.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#define RESOLV_CONF_MAX 65536

static void put_list(Buf *out, const char *keyword, const char *const *list) {
    if (!list || !*list)
        return;
    buf_puts(out, keyword);
    for (; *list; list++)
        buf_printf(out, " %s", *list);
    buf_putc(out, '\n');
}

static int write_files(const Sandbox *s, const SandboxSpec *spec) {
    _cleanup_buf_ Buf resolv = BUF_INIT(RESOLV_CONF_MAX);
    put_list(&resolv, "search", spec->dns_searches);
    for (const char *const *server = spec->dns_servers; server && *server; server++)
        buf_printf(&resolv, "nameserver %s\n", *server);
    put_list(&resolv, "options", spec->dns_options);
    _cleanup_free_ char *host = NULL, *path = sandbox_file(s, "resolv.conf"), *name_path = sandbox_file(s, "hostname");
    size_t n;
    if (!resolv.len && fs_read_file("/etc/resolv.conf", RESOLV_CONF_MAX, &host, &n) == 0)
        buf_append(&resolv, host, n); /* nothing asked for: the machine's, as containerd */
    if (resolv.failed)
        return -E2BIG;
    _cleanup_free_ char *name = xasprintf("%s\n", s->hostname);
    int r = file_replace(path, resolv.data ? resolv.data : "", resolv.len);
    r = r == 0 ? file_replace(name_path, name, strlen(name)) : r;
    if (r == 0 && (chmod(path, 0644) < 0 || chmod(name_path, 0644) < 0))
        r = -errno;
    return r;
}

static json_t *ports_json(const SandboxSpec *spec) {
    json_t *ports = json_array();
    for (size_t i = 0; i < spec->n_ports; i++)
        if (spec->ports[i].host_port)
            json_array_append_new(ports,
                                  json_pack("{s:s, s:i, s:i, s:s}", "protocol", str_or(spec->ports[i].protocol, "TCP"),
                                            "containerPort", spec->ports[i].container_port, "hostPort",
                                            spec->ports[i].host_port, "hostIP", str_or(spec->ports[i].host_ip, "")));
    return ports;
}

static Sandbox *sandbox_new(OciRuntime *rt, const SandboxSpec *spec) {
    char id[ID_BYTES * 2 + 1], own_name[256] = "";
    random_id(id);
    (void)gethostname(own_name, sizeof own_name - 1);
    Sandbox *s = NEW0(Sandbox);
    *s = (Sandbox){.id = xstrdup(id),
                   .dir = xasprintf("%s/sandboxes/%s", rt->root, id),
                   .ns = xstrdup(str_or(spec->ns, "")),
                   .name = xstrdup(str_or(spec->name, "")),
                   .uid = xstrdup(str_or(spec->uid, "")),
                   .hostname = xstrdup(str_or(spec->hostname, own_name)),
                   .log_directory = xstrdup(str_or(spec->log_directory, "")),
                   .cgroup_parent = xstrdup(str_or(spec->cgroup_parent, "")),
                   .attempt = spec->attempt,
                   .host_network = spec->host_network,
                   .host_pid = spec->host_pid,
                   .host_ipc = spec->host_ipc,
                   .share_process_namespace = spec->share_process_namespace,
                   .privileged = spec->privileged,
                   .created_ns = now_realtime_ns(),
                   .ips = NEWN0(char *, 1),
                   .ports = ports_json(spec),
                   .labels = pairs_copy(spec->labels, spec->n_labels),
                   .n_labels = spec->n_labels,
                   .annotations = pairs_copy(spec->annotations, spec->n_annotations),
                   .n_annotations = spec->n_annotations};
    s->refs = 1;
    pthread_mutex_init(&s->mutex, NULL);
    return s;
}

typedef struct Attachment { /* a CniAttachment and what it borrows */
    CniAttachment at;
    CniPort *ports;
    char *netns;
} Attachment;

static void attachment_init(const Sandbox *s, Attachment *a) {
    size_t n = json_array_size(s->ports);
    a->netns = sandbox_file(s, "ns/net");
    a->ports = NEWN0(CniPort, n);
    for (size_t i = 0; i < n; i++) {
        const json_t *p = json_array_get(s->ports, i);
        const char *protocol = json_string_value(json_object_get(p, "protocol"));
        a->ports[i] = (CniPort){.protocol = streq(protocol, "UDP")    ? "udp"
                                            : streq(protocol, "SCTP") ? "sctp"
                                                                      : "tcp",
                                .container_port = (uint16_t)json_integer_value(json_object_get(p, "containerPort")),
                                .host_port = (uint16_t)json_integer_value(json_object_get(p, "hostPort")),
                                .host_ip = json_string_value(json_object_get(p, "hostIP"))};
    }
    a->at = (CniAttachment){.container_id = s->id,
                            .netns_path = a->netns,
                            .pod_namespace = s->ns,
                            .pod_name = s->name,
                            .pod_uid = s->uid,
                            .ports = a->ports,
                            .n_ports = n};
}

static void attachment_done(Attachment *a) {
    free(a->ports);
    free(a->netns);
}

static CniNetwork network_of(const OciRuntime *rt) {
    return (CniNetwork){.bin_dir = rt->cni_bin, .conf_dir = rt->cni_conf, .cache_dir = rt->cni_cache};
}

static int network_up(const OciRuntime *rt, Sandbox *s, char **ret_error) {
    if (s->host_network)
        return 0;
    _cleanup_(attachment_done) Attachment a;
    attachment_init(s, &a);
    CniNetwork network = network_of(rt);
    CniResult result;
    _cleanup_free_ char *why = NULL;
    int r = cni_add(&network, &a.at, &result, &why);
    if (r < 0)
        return oci_fail(ret_error, r,
                        xasprintf("failed to setup network for sandbox \"%s\": %s", s->id, why ? why : strerror(-r)));
    pthread_mutex_lock(&s->mutex);
    free(s->ips);
    s->ips = result.ips; /* NULL-terminated */
    s->network_up = true;
    pthread_mutex_unlock(&s->mutex);
    return 0;
}

static int network_down(const OciRuntime *rt, Sandbox *s, char **ret_error) {
    if (s->host_network)
        return 0;
    _cleanup_(attachment_done) Attachment a;
    attachment_init(s, &a);
    if (!namespaces_exist(s)) /* CNI: an empty CNI_NETNS means that it is gone; plugins free what is outside of it */
        a.at.netns_path = "";
    CniNetwork network = network_of(rt);
    int r = cni_del(&network, &a.at, ret_error);
    if (r == 0)
        s->network_up = false;
    return r;
}

static int sandbox_set_up(OciRuntime *rt, Sandbox *s, const SandboxSpec *spec, char **ret_error) {
    _cleanup_free_ char *ns = sandbox_file(s, "ns");
    int r = mkdir(s->dir, 0711) < 0 || mkdir(ns, 0700) < 0 ? -errno : sandbox_save(s);
    r = r == 0 ? write_files(s, spec) : r;
    if (r < 0)
        return oci_fail(ret_error, r, xasprintf("%s: %s", s->dir, strerror(-r)));
    r = namespaces_create(rt, s, spec, ret_error);
    r = r == 0 ? network_up(rt, s, ret_error) : r;
    if (r < 0)
        return r;
    s->ready = true;
    r = sandbox_save(s);
    return r < 0 ? oci_fail(ret_error, r, xasprintf("%s: %s", s->dir, strerror(-r))) : 0;
}

int oci_sandbox_create(Runtime *runtime, const SandboxSpec *spec, char **ret_id, char **ret_error) {
    OciRuntime *rt = oci_of(runtime);
    Sandbox *s = sandbox_new(rt, spec);
    int r = sandbox_set_up(rt, s, spec, ret_error);
    if (r < 0) {
        (void)network_down(rt, s, NULL);
        namespaces_destroy(s);
        fs_remove_tree(s->dir);
        sandbox_unref(s);
        return r;
    }
    *ret_id = xstrdup(s->id);
    pthread_mutex_lock(&rt->mutex);
    strmap_put(rt->sandboxes, s->id, s);
    pthread_mutex_unlock(&rt->mutex);
    return 0;
}

static int stop_containers(OciRuntime *rt, const Sandbox *s, bool remove, char **ret_error) {
    Container **list;
    size_t n = container_collect(rt, s->id, &list);
    int r = 0;
    for (size_t i = 0; i < n; i++) {
        int one = r < 0    ? 0
                  : remove ? container_destroy(rt, list[i], ret_error)
                           : container_kill_now(rt, list[i], ret_error);
        r = r < 0 ? r : one;
        container_unref(list[i]);
    }
    free(list);
    return r;
}

static int sandbox_stop(OciRuntime *rt, Sandbox *s, char **ret_error) {
    int r = stop_containers(rt, s, false, ret_error);
    if (r == 0)
        r = network_down(rt, s, ret_error);
    if (r < 0)
        return r;
    namespaces_destroy(s);
    _cleanup_free_ char *group = oci_cgroup(rt, s->cgroup_parent, s->id);
    if (s->share_process_namespace)
        (void)cgroup_remove(&rt->cgroups, group);
    pthread_mutex_lock(&s->mutex);
    s->ready = false;
    pthread_mutex_unlock(&s->mutex);
    r = sandbox_save(s);
    return r < 0 ? oci_fail(ret_error, r, xasprintf("%s: %s", s->dir, strerror(-r))) : 0;
}

int oci_sandbox_stop(Runtime *runtime, const char *id, char **ret_error) {
    OciRuntime *rt = oci_of(runtime);
    _cleanup_(sandbox_unrefp) Sandbox *s = sandbox_find(rt, id);
    return s ? sandbox_stop(rt, s, ret_error) : 0;
}

int oci_sandbox_remove(Runtime *runtime, const char *id, char **ret_error) {
    OciRuntime *rt = oci_of(runtime);
    _cleanup_(sandbox_unrefp) Sandbox *s = sandbox_find(rt, id);
    if (!s)
        return 0;
    int r = sandbox_stop(rt, s, ret_error);
    if (r == 0)
        r = stop_containers(rt, s, true, ret_error);
    if (r < 0)
        return r;
    r = fs_remove_tree(s->dir);
    if (r < 0)
        return oci_fail(ret_error, r, xasprintf("%s: %s", s->dir, strerror(-r)));
    pthread_mutex_lock(&rt->mutex);
    strmap_remove(rt->sandboxes, id);
    pthread_mutex_unlock(&rt->mutex);
    return 0;
}

static void sandbox_describe(Sandbox *s, SandboxStatus *ret) {
    pthread_mutex_lock(&s->mutex);
    size_t n = 0;
    while (s->ips[n])
        n++;
    *ret = (SandboxStatus){.id = xstrdup(s->id),
                           .ns = xstrdup(s->ns),
                           .name = xstrdup(s->name),
                           .uid = xstrdup(s->uid),
                           .attempt = s->attempt,
                           .ready = s->ready,
                           .created_ns = s->created_ns,
                           .ip = xstrdup(n ? s->ips[0] : ""),
                           .ips = NEWN0(char *, n + 1),
                           .netns_path = s->host_network ? NULL : sandbox_file(s, "ns/net"),
                           .labels = pairs_copy(s->labels, s->n_labels),
                           .n_labels = s->n_labels,
                           .annotations = pairs_copy(s->annotations, s->n_annotations),
                           .n_annotations = s->n_annotations};
    for (size_t i = 0; i < n; i++)
        ret->ips[i] = xstrdup(s->ips[i]);
    pthread_mutex_unlock(&s->mutex);
}

int oci_sandbox_status(Runtime *runtime, const char *id, SandboxStatus *ret) {
    _cleanup_(sandbox_unrefp) Sandbox *s = sandbox_find(oci_of(runtime), id);
    if (!s)
        return -ENOENT;
    sandbox_describe(s, ret);
    return 0;
}

int oci_sandbox_list(Runtime *runtime, SandboxStatus **ret, size_t *ret_n) {
    OciRuntime *rt = oci_of(runtime);
    pthread_mutex_lock(&rt->mutex);
    SandboxStatus *list = NEWN0(SandboxStatus, strmap_size(rt->sandboxes));
    size_t n = 0;
    const char *id;
    Sandbox *s;
    STRMAP_FOREACH (rt->sandboxes, id, s)
        sandbox_describe(s, &list[n++]);
    pthread_mutex_unlock(&rt->mutex);
    *ret = list;
    *ret_n = n;
    return 0;
}
