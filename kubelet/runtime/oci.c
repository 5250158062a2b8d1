#define LOG_COMPONENT "runtime"
#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/str.h"
#include "kubelet/runtime/oci_internal.h"
#include "loop/process.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void user_files_free_value(void *value) {
    user_files_done(value);
    free(value);
}

static void sandbox_free_value(void *value) {
    sandbox_unref(value);
}

static void container_free_value(void *value) {
    container_unref(value);
}

static void oci_free(Runtime *runtime) {
    OciRuntime *rt = oci_of(runtime);
    events_stop(rt);
    strmap_free(rt->containers);
    strmap_free(rt->sandboxes);
    strmap_free(rt->users);
    cgroups_done(&rt->cgroups);
    char *strings[] = {rt->root,        rt->exits,   rt->oci_path, rt->oci_state, rt->monitor,
                       rt->cgroup_root, rt->cni_bin, rt->cni_conf, rt->cni_cache};
    for (size_t i = 0; i < ELEMENTSOF(strings); i++)
        free(strings[i]);
    pthread_mutex_destroy(&rt->mutex);
    free(rt);
}

static void oci_freep(OciRuntime **rt) {
    if (*rt)
        oci_free(&(*rt)->base);
}

static int oci_version(Runtime *runtime, char **ret_name, char **ret_version) {
    OciRuntime *rt = oci_of(runtime);
    const char *argv[] = {rt->oci_path, "--version", NULL};
    _cleanup_process_result_ ProcessResult result = {0};
    int r = process_run(&(ProcessSpec){.argv = argv, .timeout_ns = 10 * NS_PER_SEC}, &result);
    if (r < 0)
        return r;
    const char *at = result.out.data ? strstr(result.out.data, "version ") : NULL;
    at = at ? at + strlen("version ") : "unknown";
    *ret_name = xstrdup(rt->crun ? "crun" : "runc");
    *ret_version = xstrndup(at, strcspn(at, " \n"));
    return 0;
}

static char *find_program(const char *name) {
    static const char *const folders[] = {"/usr/local/sbin", "/usr/local/bin", "/usr/sbin",
                                          "/usr/bin",        "/sbin",          "/bin"};
    if (strchr(name, '/'))
        return access(name, X_OK) == 0 ? xstrdup(name) : NULL;
    for (size_t i = 0; i < ELEMENTSOF(folders); i++) {
        _cleanup_free_ char *path = xasprintf("%s/%s", folders[i], name);
        if (access(path, X_OK) == 0)
            return TAKE_PTR(path);
    }
    return NULL;
}

static int find_programs(OciRuntime *rt, const OciConfig *config, char **ret_error) {
    if (config->oci_runtime)
        rt->oci_path = find_program(config->oci_runtime);
    else {
        rt->oci_path = find_program("crun");
        if (!rt->oci_path)
            rt->oci_path = find_program("runc");
    }
    if (!rt->oci_path)
        return oci_fail(ret_error, -ENOENT,
                        xasprintf("no OCI runtime: %s is not installed", str_or(config->oci_runtime, "crun or runc")));
    const char *slash = strrchr(rt->oci_path, '/');
    rt->crun = str_has_prefix(slash + 1, "crun");
    rt->monitor = config->monitor ? xstrdup(config->monitor) : fs_beside_program("lighter-monitor");
    if (!rt->monitor || access(rt->monitor, X_OK) < 0)
        return oci_fail(ret_error, -ENOENT,
                        xasprintf("%s: the container monitor is missing", str_or(rt->monitor, "lighter-monitor")));
    return 0;
}

/* One folder a thing; without its document it is what a crash left half made, and goes. */
static int load_all(OciRuntime *rt, const char *kind, int (*load)(OciRuntime *rt, const char *id), char **ret_error) {
    _cleanup_free_ char *folder = xasprintf("%s/%s", rt->root, kind);
    DIR *dir = opendir(folder);
    if (!dir)
        return oci_fail(ret_error, -errno, xasprintf("%s: %s", folder, strerror(errno)));
    for (struct dirent *e; (e = readdir(dir));) {
        if (e->d_name[0] == '.')
            continue;
        int r = load(rt, e->d_name);
        if (r < 0)
            log_warn("%s/%s cannot be read (%s) and is removed", folder, e->d_name, strerror(-r));
        if (r < 0) {
            _cleanup_free_ char *path = xasprintf("%s/%s", folder, e->d_name);
            (void)fs_remove_tree(path);
        }
    }
    closedir(dir);
    return 0;
}

static int load_sandbox(OciRuntime *rt, const char *id) {
    Sandbox *s;
    int r = sandbox_load(rt, id, &s);
    if (r == 0)
        strmap_put(rt->sandboxes, id, s);
    return r;
}

static int load_container(OciRuntime *rt, const char *id) {
    Container *c;
    int r = container_load(rt, id, &c);
    if (r == 0)
        strmap_put(rt->containers, id, c);
    else
        (void)image_release(rt->images, id);
    return r;
}

/* Exit records of containers that were being removed when the machine or the agent died. */
static void forget_exits(OciRuntime *rt) {
    DIR *dir = opendir(rt->exits);
    for (struct dirent *e; dir && (e = readdir(dir));) {
        _cleanup_free_ char *id = xstrndup(e->d_name, strcspn(e->d_name, ".")); /* ID.tmp: a monitor is writing it */
        if (*id && !strmap_get(rt->containers, id))
            (void)unlinkat(dirfd(dir), e->d_name, 0);
    }
    if (dir)
        closedir(dir);
}

/* Attachments without a sandbox: their DEL failed, or the machine died in between. Addresses must not leak. */
static void release_networks(OciRuntime *rt) {
    DIR *dir = opendir(rt->cni_cache);
    for (struct dirent *e; dir && (e = readdir(dir));) {
        _cleanup_free_ char *id = xstrndup(e->d_name, strcspn(e->d_name, "-")), *error = NULL;
        if (e->d_name[0] == '.' || strmap_get(rt->sandboxes, id))
            continue;
        CniNetwork network = {.bin_dir = rt->cni_bin, .conf_dir = rt->cni_conf, .cache_dir = rt->cni_cache};
        if (cni_del(&network, &(CniAttachment){.container_id = id}, &error) < 0)
            log_warn("the network of %s, which is gone: %s", id, error ? error : "DEL failed");
    }
    if (dir)
        closedir(dir);
}

/* Long-lived paths become absolute: monitors and later agents have other working folders. */
static int make_folders(OciRuntime *rt, const OciConfig *config, char **ret_error) {
    static const char *const folders[] = {"sandboxes", "containers", "exits", "oci"};
    for (size_t i = 0; i < ELEMENTSOF(folders); i++) {
        _cleanup_free_ char *path = xasprintf("%s/%s", config->root, folders[i]);
        int r = fs_mkdir_p(path, 0711);
        if (r < 0)
            return oci_fail(ret_error, r, xasprintf("%s: %s", path, strerror(-r)));
    }
    rt->root = realpath(config->root, NULL);
    if (!rt->root)
        return oci_fail(ret_error, -errno, xasprintf("%s: %s", config->root, strerror(errno)));
    rt->exits = xasprintf("%s/exits", rt->root);
    rt->oci_state = xasprintf("%s/oci", rt->root);
    rt->cni_cache = xasprintf("%s/cni", rt->root);
    return 0;
}

static void oci_interrupt(Runtime *runtime, bool on) {
    atomic_store(&oci_of(runtime)->interrupted, on);
}

static const Runtime OPERATIONS = {
    .name = "oci",
    .version = oci_version,
    .sandbox_create = oci_sandbox_create,
    .sandbox_status = oci_sandbox_status,
    .sandbox_stop = oci_sandbox_stop,
    .sandbox_remove = oci_sandbox_remove,
    .sandbox_list = oci_sandbox_list,
    .container_create = oci_container_create,
    .container_start = oci_container_start,
    .container_stop = oci_container_stop,
    .container_remove = oci_container_remove,
    .container_status = oci_container_status,
    .container_list = oci_container_list,
    .container_stats = oci_container_stats,
    .container_update = oci_container_update,
    .exec = oci_exec,
    .exec_sync = oci_exec_sync,
    .attach = oci_attach,
    .reopen_log = oci_reopen_log,
    .subscribe = oci_subscribe,
    .unsubscribe = oci_unsubscribe,
    .interrupt = oci_interrupt,
    .free = oci_free,
};

int oci_runtime_new(const OciConfig *config, Runtime **ret, char **ret_error) {
    _cleanup_(oci_freep) OciRuntime *rt = NEW0(OciRuntime);
    rt->base = OPERATIONS;
    rt->inotify = -1;
    rt->images = config->images;
    pthread_mutex_init(&rt->mutex, NULL);
    rt->sandboxes = strmap_new(sandbox_free_value);
    rt->containers = strmap_new(container_free_value);
    rt->users = strmap_new(user_files_free_value);
    rt->cgroup_root = xstrdup(str_or(config->cgroup_root, ""));
    rt->cni_bin = xstrdup(str_or(config->cni_bin_dir, "/usr/lib/cni"));
    rt->cni_conf = xstrdup(config->cni_conf_dir);
    int r = cgroups_detect("/sys/fs/cgroup", &rt->cgroups);
    if (r < 0)
        return oci_fail(ret_error, r, xstrdup("/sys/fs/cgroup: no control groups are mounted"));
    r = find_programs(rt, config, ret_error);
    r = r == 0 ? make_folders(rt, config, ret_error) : r;
    rt->base.container_fs = rt->root;
    r = r == 0 ? load_all(rt, "sandboxes", load_sandbox, ret_error) : r;
    r = r == 0 ? load_all(rt, "containers", load_container, ret_error) : r;
    if (r < 0)
        return r;
    forget_exits(rt);
    release_networks(rt);
    *ret = &TAKE_PTR(rt)->base;
    return 0;
}

static void strings_free(char **list) {
    for (char **s = list; s && *s; s++)
        free(*s);
    free(list);
}

void container_status_done(ContainerStatus *s) {
    char *strings[] = {s->id, s->sandbox_id, s->name, s->image_id, s->image_ref, s->log_path, s->reason, s->message};
    for (size_t i = 0; i < ELEMENTSOF(strings); i++)
        free(strings[i]);
    pairs_free(s->labels, s->n_labels);
    pairs_free(s->annotations, s->n_annotations);
    *s = (ContainerStatus){0};
}

void sandbox_status_done(SandboxStatus *s) {
    char *strings[] = {s->id, s->ns, s->name, s->uid, s->ip, s->netns_path};
    for (size_t i = 0; i < ELEMENTSOF(strings); i++)
        free(strings[i]);
    strings_free(s->ips);
    pairs_free(s->labels, s->n_labels);
    pairs_free(s->annotations, s->n_annotations);
    *s = (SandboxStatus){0};
}
