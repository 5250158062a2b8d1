/* What sandboxes and containers are: in memory, in SANDBOX/sandbox.json and CONTAINER/container.json, and in the
 * records of the monitor. */
#define LOG_COMPONENT "runtime"
#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/random.h"
#include "base/str.h"
#include "kubelet/runtime/oci_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/vfs.h>
#include <unistd.h>

#define STATE_MAX (4 * 1024 * 1024)
#define NSFS_MAGIC_NUMBER 0x6e736673 /* linux/magic.h: NSFS_MAGIC */

int oci_fail(char **ret_error, int r, char *message) {
    if (ret_error)
        *ret_error = message;
    else
        free(message);
    return r;
}

void random_id(char out[ID_BYTES * 2 + 1]) {
    uint8_t raw[ID_BYTES];
    random_bytes(raw, sizeof raw);
    for (size_t i = 0; i < ID_BYTES; i++)
        snprintf(out + 2 * i, 3, "%02x", raw[i]);
}

RuntimePair *pairs_copy(const RuntimePair *pairs, size_t n) {
    RuntimePair *out = NEWN0(RuntimePair, n);
    for (size_t i = 0; i < n; i++)
        out[i] = (RuntimePair){xstrdup(pairs[i].key), xstrdup(pairs[i].value)};
    return out;
}

void pairs_free(RuntimePair *pairs, size_t n) {
    for (size_t i = 0; i < n; i++) {
        free(pairs[i].key);
        free(pairs[i].value);
    }
    free(pairs);
}

json_t *pairs_json(const RuntimePair *pairs, size_t n) {
    json_t *out = json_object();
    for (size_t i = 0; i < n; i++)
        json_object_set_new(out, pairs[i].key, json_string(pairs[i].value ? pairs[i].value : ""));
    return out;
}

RuntimePair *pairs_from_json(const json_t *object, size_t *ret_n) {
    RuntimePair *out = NEWN0(RuntimePair, json_object_size(object));
    size_t n = 0;
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)object, key, value) if (json_is_string(value)) out[n++] =
        (RuntimePair){xstrdup(key), xstrdup(json_string_value(value))};
    *ret_n = n;
    return out;
}

int file_replace(const char *path, const char *text, size_t n) {
    _cleanup_free_ char *temporary = xasprintf("%s.tmp", path);
    _cleanup_close_ int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    ssize_t written = write(fd, text, n);
    if (written != (ssize_t)n) {
        int r = written < 0 ? -errno : -ENOSPC;
        unlink(temporary);
        return r;
    }
    return rename(temporary, path) < 0 ? -errno : 0;
}

int json_store(const char *path, const json_t *document) {
    _cleanup_free_ char *text = json_dumps(document, JSON_COMPACT);
    return text ? file_replace(path, text, strlen(text)) : -EINVAL; /* a string that is not UTF-8 */
}

char *oci_cgroup(const OciRuntime *rt, const char *parent, const char *name) {
    parent = str_or(parent, "");
    return xasprintf("%s%s%s/%s", rt->cgroup_root, *parent && *parent != '/' ? "/" : "", parent, name);
}

static int load_document(const char *path, json_t **ret) {
    _cleanup_free_ char *text = NULL;
    size_t n;
    int r = fs_read_file(path, STATE_MAX, &text, &n);
    if (r < 0)
        return r;
    *ret = json_loadb(text, n, 0, NULL);
    return json_is_object(*ret) ? 0 : -EBADMSG;
}

static char *text_of(const json_t *object, const char *key) {
    const char *s = json_string_value(json_object_get(object, key));
    return xstrdup(s ? s : "");
}

static bool flag_of(const json_t *object, const char *key) {
    return json_is_true(json_object_get(object, key));
}

static int64_t number_of(const json_t *object, const char *key) {
    return json_integer_value(json_object_get(object, key));
}

/* Sandboxes. */

char *sandbox_file(const Sandbox *sandbox, const char *name) {
    return xasprintf("%s/%s", sandbox->dir, name);
}

Sandbox *sandbox_find(OciRuntime *rt, const char *id) {
    pthread_mutex_lock(&rt->mutex);
    Sandbox *s = strmap_get(rt->sandboxes, id);
    if (s)
        s->refs++;
    pthread_mutex_unlock(&rt->mutex);
    return s;
}

static void free_strings(char **list) {
    for (char **s = list; s && *s; s++)
        free(*s);
    free(list);
}

Sandbox *sandbox_unref(Sandbox *s) {
    if (!s || --s->refs)
        return NULL;
    char *strings[] = {s->id, s->dir, s->ns, s->name, s->uid, s->hostname, s->log_directory, s->cgroup_parent};
    for (size_t i = 0; i < ELEMENTSOF(strings); i++)
        free(strings[i]);
    free_strings(s->ips);
    json_decref(s->ports);
    pairs_free(s->labels, s->n_labels);
    pairs_free(s->annotations, s->n_annotations);
    pthread_mutex_destroy(&s->mutex);
    free(s);
    return NULL;
}

int sandbox_save(Sandbox *s) {
    json_t *ips = json_array();
    for (char **ip = s->ips; ip && *ip; ip++)
        json_array_append_new(ips, json_string(*ip));
    _cleanup_json_ json_t *document = json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:s, s:i, s:b, s:b, s:b, s:b, s:b, s:b, s:b, s:I, s:i, s:o, s:O, s:o, s:o}",
        "namespace", s->ns, "name", s->name, "uid", s->uid, "hostname", s->hostname, "logDirectory", s->log_directory,
        "cgroupParent", s->cgroup_parent, "attempt", (int)s->attempt, "hostNetwork", s->host_network, "hostPid",
        s->host_pid, "hostIpc", s->host_ipc, "sharePid", s->share_process_namespace, "privileged", s->privileged,
        "ready", s->ready, "networkUp", s->network_up, "created", (json_int_t)s->created_ns, "pausePid",
        (int)s->pause_pid, "ips", ips, "ports", s->ports, "labels", pairs_json(s->labels, s->n_labels), "annotations",
        pairs_json(s->annotations, s->n_annotations));
    _cleanup_free_ char *path = sandbox_file(s, "sandbox.json");
    return document ? json_store(path, document) : -EINVAL;
}

static bool is_pinned(const char *path) {
    struct statfs st;
    return statfs(path, &st) == 0 && st.f_type == NSFS_MAGIC_NUMBER;
}

bool namespaces_exist(const Sandbox *sandbox) {
    _cleanup_free_ char *net = sandbox_file(sandbox, "ns/net"), *ipc = sandbox_file(sandbox, "ns/ipc");
    return (sandbox->host_network || is_pinned(net)) && (sandbox->host_ipc || is_pinned(ipc));
}

int sandbox_load(OciRuntime *rt, const char *id, Sandbox **ret) {
    _cleanup_free_ char *dir = xasprintf("%s/sandboxes/%s", rt->root, id), *path = xasprintf("%s/sandbox.json", dir);
    _cleanup_json_ json_t *d = NULL;
    int r = load_document(path, &d);
    if (r < 0)
        return r;
    Sandbox *s = NEW0(Sandbox);
    *s = (Sandbox){.id = xstrdup(id),
                   .dir = TAKE_PTR(dir),
                   .ns = text_of(d, "namespace"),
                   .name = text_of(d, "name"),
                   .uid = text_of(d, "uid"),
                   .hostname = text_of(d, "hostname"),
                   .log_directory = text_of(d, "logDirectory"),
                   .cgroup_parent = text_of(d, "cgroupParent"),
                   .attempt = (uint32_t)number_of(d, "attempt"),
                   .host_network = flag_of(d, "hostNetwork"),
                   .host_pid = flag_of(d, "hostPid"),
                   .host_ipc = flag_of(d, "hostIpc"),
                   .share_process_namespace = flag_of(d, "sharePid"),
                   .privileged = flag_of(d, "privileged"),
                   .network_up = flag_of(d, "networkUp"),
                   .created_ns = number_of(d, "created"),
                   .pause_pid = (pid_t)number_of(d, "pausePid"),
                   .ports = json_incref(json_object_get(d, "ports"))};
    s->refs = 1;
    pthread_mutex_init(&s->mutex, NULL);
    const json_t *ips = json_object_get(d, "ips");
    s->ips = NEWN0(char *, json_array_size(ips) + 1);
    for (size_t i = 0, n = 0; i < json_array_size(ips); i++)
        if (json_is_string(json_array_get(ips, i)))
            s->ips[n++] = xstrdup(json_string_value(json_array_get(ips, i)));
    s->labels = pairs_from_json(json_object_get(d, "labels"), &s->n_labels);
    s->annotations = pairs_from_json(json_object_get(d, "annotations"), &s->n_annotations);
    /* After the machine has been restarted the namespaces are gone. */
    s->ready = flag_of(d, "ready") && namespaces_exist(s);
    *ret = s;
    return 0;
}

/* Containers. */

char *container_file(const Container *container, const char *name) {
    return xasprintf("%s/%s", container->dir, name);
}

Container *container_find(OciRuntime *rt, const char *id) {
    pthread_mutex_lock(&rt->mutex);
    Container *c = strmap_get(rt->containers, id);
    if (c)
        c->refs++;
    pthread_mutex_unlock(&rt->mutex);
    return c;
}

Container *container_unref(Container *c) {
    if (!c || --c->refs)
        return NULL;
    char *strings[] = {c->id,       c->dir,    c->sandbox_id,  c->name,   c->image_id, c->image_ref,
                       c->log_path, c->cgroup, c->stop_signal, c->reason, c->message};
    for (size_t i = 0; i < ELEMENTSOF(strings); i++)
        free(strings[i]);
    pairs_free(c->labels, c->n_labels);
    pairs_free(c->annotations, c->n_annotations);
    pthread_mutex_destroy(&c->mutex);
    free(c);
    return NULL;
}

int container_save(Container *c) {
    _cleanup_json_ json_t *document = json_pack(
        "{s:s, s:s, s:i, s:s, s:s, s:s, s:s, s:s, s:i, s:b, s:b, s:b, s:b, s:b, s:I, s:o, s:o}", "sandbox",
        c->sandbox_id, "name", c->name, "attempt", (int)c->attempt, "imageId", c->image_id, "imageRef", c->image_ref,
        "logPath", c->log_path, "cgroup", c->cgroup, "stopSignal", c->stop_signal, "layers", c->layers, "tty", c->tty,
        "stdin", c->stdin_, "stdinOnce", c->stdin_once, "sharedMounts", c->shared_mounts, "ownPidNamespace",
        c->own_pid_namespace, "created", (json_int_t)c->created_ns, "labels", pairs_json(c->labels, c->n_labels),
        "annotations", pairs_json(c->annotations, c->n_annotations));
    _cleanup_free_ char *path = container_file(c, "container.json");
    return document ? json_store(path, document) : -EINVAL;
}

int container_load(OciRuntime *rt, const char *id, Container **ret) {
    _cleanup_free_ char *dir = xasprintf("%s/containers/%s", rt->root, id), *path = xasprintf("%s/container.json", dir);
    _cleanup_json_ json_t *d = NULL;
    int r = load_document(path, &d);
    if (r < 0)
        return r;
    Container *c = NEW0(Container);
    *c = (Container){.id = xstrdup(id),
                     .dir = TAKE_PTR(dir),
                     .sandbox_id = text_of(d, "sandbox"),
                     .name = text_of(d, "name"),
                     .attempt = (uint32_t)number_of(d, "attempt"),
                     .image_id = text_of(d, "imageId"),
                     .image_ref = text_of(d, "imageRef"),
                     .log_path = text_of(d, "logPath"),
                     .cgroup = text_of(d, "cgroup"),
                     .stop_signal = text_of(d, "stopSignal"),
                     .layers = (int)number_of(d, "layers"),
                     .tty = flag_of(d, "tty"),
                     .stdin_ = flag_of(d, "stdin"),
                     .stdin_once = flag_of(d, "stdinOnce"),
                     .shared_mounts = flag_of(d, "sharedMounts"),
                     .own_pid_namespace = flag_of(d, "ownPidNamespace"),
                     .created_ns = number_of(d, "created")};
    c->refs = 1;
    pthread_mutex_init(&c->mutex, NULL);
    c->labels = pairs_from_json(json_object_get(d, "labels"), &c->n_labels);
    c->annotations = pairs_from_json(json_object_get(d, "annotations"), &c->n_annotations);
    container_refresh(rt, c);
    *ret = c;
    return 0;
}

size_t container_collect(OciRuntime *rt, const char *sandbox_id, Container ***ret) {
    pthread_mutex_lock(&rt->mutex);
    Container **list = NEWN0(Container *, strmap_size(rt->containers) + 1), *c;
    size_t n = 0;
    const char *id;
    STRMAP_FOREACH (rt->containers, id, c) {
        if (sandbox_id && !streq(c->sandbox_id, sandbox_id))
            continue;
        c->refs++;
        list[n++] = c;
    }
    pthread_mutex_unlock(&rt->mutex);
    *ret = list;
    return n;
}

/* "CODE OOM WALL-NS", then perhaps a line with the reason and lines with a message. */
static bool read_exit(const OciRuntime *rt, Container *c) {
    _cleanup_free_ char *path = xasprintf("%s/%s", rt->exits, c->id), *text = NULL;
    if (fs_read_file(path, STATE_MAX, &text, NULL) < 0)
        return false;
    int code, oom, at = 0;
    long long when;
    if (sscanf(text, "%d %d %lld\n%n", &code, &oom, &when, &at) < 3)
        return false;
    char *rest = text + at, *newline = strchr(rest, '\n');
    if (newline)
        *newline++ = 0;
    free(c->reason);
    free(c->message);
    c->exit_code = code;
    c->oom = oom;
    c->finished_ns = when;
    c->reason = xstrdup(*rest ? rest : oom ? "OOMKilled" : code == 0 ? "Completed" : "Error");
    c->message = newline && *newline ? xstrdup(newline) : NULL;
    c->exited = true;
    return true;
}

static bool read_started(Container *c) {
    _cleanup_free_ char *path = container_file(c, "started"), *text = NULL;
    int pid;
    unsigned long long start;
    long long when;
    if (fs_read_file(path, 256, &text, NULL) < 0 || sscanf(text, "%d %llu %lld", &pid, &start, &when) != 3)
        return false;
    c->pid = pid;
    c->pid_start = start;
    c->started_ns = when;
    c->started = true;
    return true;
}

/* The monitor holds the lock for as long as it lives. */
bool container_has_monitor(const Container *c) {
    _cleanup_free_ char *path = container_file(c, "lock");
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
    return fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK;
}

static bool pid_is(const Container *c) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)c->pid);
    _cleanup_free_ char *text = NULL;
    if (c->pid <= 0 || fs_read_file(path, 4096, &text, NULL) < 0)
        return false;
    const char *at = strrchr(text, ')');
    for (int field = 2; at && field < 22; field++)
        at = strchr(at + 1, ' ');
    return at && strtoull(at, NULL, 10) == c->pid_start;
}

static int record_exit_locked(OciRuntime *rt, Container *c, int code, const char *reason, const char *message) {
    _cleanup_free_ char *path = xasprintf("%s/%s", rt->exits, c->id);
    _cleanup_free_ char *text =
        xasprintf("%d 0 %lld\n%s\n%s", code, (long long)now_realtime_ns(), reason, message ? message : "");
    int r = file_replace(path, text, strlen(text));
    (void)read_exit(rt, c);
    return r;
}

int container_record_exit(OciRuntime *rt, Container *c, int code, const char *reason, const char *message) {
    pthread_mutex_lock(&c->mutex);
    int r = record_exit_locked(rt, c, code, reason, message);
    pthread_mutex_unlock(&c->mutex);
    return r;
}

void container_refresh(OciRuntime *rt, Container *c) {
    pthread_mutex_lock(&c->mutex);
    if (!c->exited && !read_exit(rt, c) && !c->starting) {
        bool started = c->started || read_started(c);
        if (started && !container_has_monitor(c) && !read_exit(rt, c)) {
            /* Nobody can tell how it ends any more: it ends now, as with a lost shim of containerd. */
            log_warn("container %s lost its monitor", c->id);
            if (pid_is(c))
                kill(c->pid, SIGKILL);
            cgroup_kill(&rt->cgroups, c->cgroup);
            record_exit_locked(rt, c, LOST_CODE, "Unknown", "the container's monitor is gone");
        }
    } else if (c->exited && !c->started)
        (void)read_started(c);
    pthread_mutex_unlock(&c->mutex);
}

bool container_is_running(OciRuntime *rt, Container *c) {
    container_refresh(rt, c);
    pthread_mutex_lock(&c->mutex);
    bool running = c->started && !c->exited;
    pthread_mutex_unlock(&c->mutex);
    return running;
}
