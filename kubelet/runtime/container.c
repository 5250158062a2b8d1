#define LOG_COMPONENT "runtime"
#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/str.h"
#include "kubelet/runtime/oci_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#define START_WAIT_NS (10 * NS_PER_SEC)

static void user_files_free(UserFiles *files) {
    user_files_done(files);
    free(files);
}

/* An image's passwd and group never change, so they are read once. Borrowed; kept until the driver closes. */
static int image_users(OciRuntime *rt, const Image *image, const char *scratch, const UserFiles **ret) {
    pthread_mutex_lock(&rt->mutex);
    UserFiles *files = strmap_get(rt->users, image->id);
    pthread_mutex_unlock(&rt->mutex);
    if (!files) {
        files = NEW0(UserFiles);
        int r = user_files_read(image->layer_dirs, scratch, files);
        if (r < 0) {
            free(files);
            return r;
        }
        pthread_mutex_lock(&rt->mutex);
        UserFiles *other = strmap_get(rt->users, image->id);
        if (other) {
            user_files_free(files);
            files = other;
        } else
            strmap_put(rt->users, image->id, files);
        pthread_mutex_unlock(&rt->mutex);
    }
    *ret = files;
    return 0;
}

static int resolve_user(OciRuntime *rt, const Container *c, const ContainerSpec *spec, const Image *image, User *ret,
                        char **ret_error) {
    _cleanup_free_ char *name = NULL, *scratch = container_file(c, "l");
    const UserFiles *files;
    int r = image_users(rt, image, scratch, &files);
    if (r < 0)
        return oci_fail(ret_error, r, xasprintf("reading the users of image %s: %s", image->id, strerror(-r)));
    const char *base = str_or(spec->run_as_username, str_or(image->config.user, ""));
    if (spec->run_as_user >= 0)
        name = xasprintf("%lld", (long long)spec->run_as_user);
    else
        name = xstrdup(base);
    if (spec->run_as_group >= 0) {
        char *with_group = xasprintf("%.*s:%lld", (int)strcspn(name, ":"), name, (long long)spec->run_as_group);
        free(name);
        name = with_group;
    }
    r = user_resolve(files, name, ret, ret_error);
    for (size_t i = 0; r == 0 && i < spec->n_supplemental_groups; i++)
        user_add_group(ret, (uint32_t)spec->supplemental_groups[i]);
    return r;
}

static int make_folders(const Container *c, const Image *image) {
    static const char *const folders[] = {"upper", "work", "rootfs", "l"};
    if (mkdir(c->dir, 0700) < 0)
        return -errno;
    for (size_t i = 0; i < ELEMENTSOF(folders); i++) {
        _cleanup_free_ char *path = container_file(c, folders[i]);
        if (mkdir(path, 0755) < 0)
            return -errno;
    }
    /* Links: an overlay's options must fit a page, so layers get short names. */
    for (size_t i = 0; image->layer_dirs[i]; i++) {
        _cleanup_free_ char *link = xasprintf("%s/l/%zu", c->dir, i);
        if (symlink(image->layer_dirs[i], link) < 0)
            return -errno;
    }
    /* The root of the container has the mode and owner of the topmost layer's root. */
    size_t n = (size_t)c->layers;
    struct stat st;
    _cleanup_free_ char *upper = container_file(c, "upper");
    if (n && stat(image->layer_dirs[n - 1], &st) == 0 &&
        (chmod(upper, st.st_mode & 07777) < 0 || chown(upper, st.st_uid, st.st_gid) < 0))
        return -errno;
    return 0;
}

static Container *container_new(OciRuntime *rt, const Sandbox *s, const ContainerSpec *spec, const Image *image) {
    char id[ID_BYTES * 2 + 1];
    random_id(id);
    Container *c = NEW0(Container);
    *c = (Container){.id = xstrdup(id),
                     .dir = xasprintf("%s/containers/%s", rt->root, id),
                     .sandbox_id = xstrdup(s->id),
                     .name = xstrdup(str_or(spec->name, "")),
                     .image_id = xstrdup(image->id),
                     .image_ref = xstrdup(str_or(spec->image_ref, image->id)),
                     .cgroup = oci_cgroup(rt, s->cgroup_parent, id),
                     .stop_signal = xstrdup(str_or(spec->stop_signal, str_or(image->config.stop_signal, "SIGTERM"))),
                     .attempt = spec->attempt,
                     .tty = spec->tty,
                     .stdin_ = spec->stdin_,
                     .stdin_once = spec->stdin_once,
                     .own_pid_namespace = !s->host_pid && !s->share_process_namespace && !spec->pid_target,
                     .created_ns = now_realtime_ns(),
                     .labels = pairs_copy(spec->labels, spec->n_labels),
                     .n_labels = spec->n_labels,
                     .annotations = pairs_copy(spec->annotations, spec->n_annotations),
                     .n_annotations = spec->n_annotations};
    c->refs = 1;
    pthread_mutex_init(&c->mutex, NULL);
    c->log_path = str_empty(spec->log_path)     ? xstrdup("/dev/null")
                  : str_empty(s->log_directory) ? xstrdup(spec->log_path)
                                                : xasprintf("%s/%s", s->log_directory, spec->log_path);
    while (image->layer_dirs[c->layers])
        c->layers++;
    for (size_t i = 0; i < spec->n_mounts; i++)
        c->shared_mounts = c->shared_mounts || streq(str_or(spec->mounts[i].propagation, ""), "Bidirectional");
    return c;
}

/* The first process of the container whose process namespace the new one shares. */
static int find_pid_target(OciRuntime *rt, const Sandbox *s, const ContainerSpec *spec, pid_t *ret, char **ret_error) {
    *ret = 0;
    if (str_empty(spec->pid_target))
        return 0;
    _cleanup_(container_unrefp) Container *target = container_find(rt, spec->pid_target);
    if (!target || !streq(target->sandbox_id, s->id))
        return oci_fail(ret_error, -ENOENT, xasprintf("there is no target container %s", spec->pid_target));
    if (!container_is_running(rt, target))
        return oci_fail(ret_error, -ESRCH, xasprintf("target container %s is not running", spec->pid_target));
    pthread_mutex_lock(&target->mutex);
    *ret = target->pid;
    pthread_mutex_unlock(&target->mutex);
    return 0;
}

static int container_set_up(OciRuntime *rt, Container *c, const Sandbox *s, const ContainerSpec *spec,
                            const Image *image, char **ret_error) {
    int r = make_folders(c, image);
    if (r < 0)
        return oci_fail(ret_error, r, xasprintf("%s: %s", c->dir, strerror(-r)));
    r = image_lease(rt->images, image->id, c->id);
    if (r < 0)
        return oci_fail(ret_error, r, xasprintf("leasing image %s: %s", image->id, strerror(-r)));
    _cleanup_(user_done) User user = {0};
    r = resolve_user(rt, c, spec, image, &user, ret_error);
    if (r < 0)
        return r;
    pid_t pid_target;
    r = find_pid_target(rt, s, spec, &pid_target, ret_error);
    if (r < 0)
        return r;
    _cleanup_json_ json_t *config = NULL;
    r = spec_build(&(SpecInput){.rt = rt,
                                .sandbox = s,
                                .spec = spec,
                                .image = image,
                                .user = &user,
                                .container_dir = c->dir,
                                .cgroup = c->cgroup,
                                .pid_target = pid_target},
                   &config, ret_error);
    if (r < 0)
        return r;
    _cleanup_free_ char *config_path = container_file(c, "config.json"),
                        *process_path = container_file(c, "process.json");
    r = json_store(config_path, config);
    r = r == 0 ? json_store(process_path, json_object_get(config, "process")) : r;
    r = r == 0 ? container_save(c) : r;
    return r < 0 ? oci_fail(ret_error, r, xasprintf("%s: %s", c->dir, strerror(-r))) : 0;
}

int oci_container_create(Runtime *runtime, const char *sandbox_id, const ContainerSpec *spec, char **ret_id,
                         char **ret_error) {
    OciRuntime *rt = oci_of(runtime);
    _cleanup_(sandbox_unrefp) Sandbox *s = sandbox_find(rt, sandbox_id);
    if (!s)
        return oci_fail(ret_error, -ENOENT, xasprintf("there is no sandbox %s", sandbox_id));
    if (!s->ready)
        return oci_fail(ret_error, -ESRCH, xasprintf("sandbox %s is not ready", sandbox_id));
    _cleanup_(image_freep) Image *image = NULL;
    int r = image_get(rt->images, spec->image_id, &image);
    if (r < 0)
        return oci_fail(ret_error, r,
                        xasprintf("image \"%s\": %s", spec->image_id, r == -ENOENT ? "not found" : strerror(-r)));
    Container *c = container_new(rt, s, spec, image);
    r = container_set_up(rt, c, s, spec, image, ret_error);
    if (r < 0) {
        (void)image_release(rt->images, c->id);
        fs_remove_tree(c->dir);
        container_unref(c);
        return r;
    }
    *ret_id = xstrdup(c->id);
    pthread_mutex_lock(&rt->mutex);
    strmap_put(rt->containers, c->id, c);
    pthread_mutex_unlock(&rt->mutex);
    return 0;
}

static int run_monitor(OciRuntime *rt, const Container *c, char **ret_error) {
    _cleanup_free_ char *exit_file = xasprintf("%s/%s", rt->exits, c->id),
                        *oom = cgroup_oom_file(&rt->cgroups, c->cgroup);
    _cleanup_free_ char *unified = xasprintf("%s/unified", rt->cgroups.mount);
    char layers[16];
    snprintf(layers, sizeof layers, "%d", c->layers);
    const char *argv[40], **a = argv;
    const char *fixed[] = {rt->monitor,      "run",         "--id",  c->id,       "--dir",     c->dir,
                           "--exit",         exit_file,     "--log", c->log_path, "--runtime", rt->oci_path,
                           "--runtime-root", rt->oci_state, "--oom", oom,         "--layers",  layers};
    memcpy(a, fixed, sizeof fixed);
    a += ELEMENTSOF(fixed);
    if (rt->crun)
        *a++ = "--crun";
    if (rt->crun && rt->cgroups.hybrid) {
        *a++ = "--detach-mount";
        *a++ = unified;
    }
    if (c->tty)
        *a++ = "--tty";
    if (c->stdin_)
        *a++ = "--stdin";
    if (c->stdin_once)
        *a++ = "--stdin-once";
    if (c->shared_mounts)
        *a++ = "--shared-mounts";
    *a = NULL;
    const int fds[MONITOR_FDS_MAX] = {-1, -1, -1, -1, -1, -1};
    pid_t pid;
    return monitor_spawn(argv, fds, &pid, NULL, ret_error);
}

int oci_container_start(Runtime *runtime, const char *id, char **ret_error) {
    OciRuntime *rt = oci_of(runtime);
    _cleanup_(container_unrefp) Container *c = container_find(rt, id);
    if (!c)
        return oci_fail(ret_error, -ENOENT, xasprintf("there is no container %s", id));
    pthread_mutex_lock(&c->mutex);
    bool fresh = !c->started && !c->exited && !c->starting;
    c->starting = c->starting || fresh;
    pthread_mutex_unlock(&c->mutex);
    if (!fresh)
        return oci_fail(ret_error, -EALREADY, xasprintf("container %s was started before", id));
    _cleanup_free_ char *why = NULL;
    int r = run_monitor(rt, c, &why);
    pthread_mutex_lock(&c->mutex);
    c->starting = false;
    pthread_mutex_unlock(&c->mutex);
    if (r == -EALREADY) /* an agent that died had begun to start it */
        return oci_fail(ret_error, -EALREADY, xasprintf("container %s is being started", id));
    if (r < 0) {
        _cleanup_free_ char *message = xasprintf("OCI runtime create failed: %s", why ? why : strerror(-r));
        container_record_exit(rt, c, START_ERROR_CODE, "StartError", message);
        return oci_fail(ret_error, r, TAKE_PTR(message));
    }
    container_refresh(rt, c);
    events_post(rt, RUNTIME_CONTAINER_STARTED, c);
    return 0;
}

/* "SIGTERM", "TERM", "15", "SIGRTMIN+3". */
static int signal_number(const char *name) {
    int64_t number;
    if (str_to_int64(name, &number) == 0)
        return number > 0 && number < NSIG ? (int)number : SIGTERM;
    if (str_has_prefix(name, "SIG"))
        name += 3;
    if (str_has_prefix(name, "RTMIN+") && str_to_int64(name + 6, &number) == 0 && SIGRTMIN + number <= SIGRTMAX)
        return SIGRTMIN + (int)number;
    for (int i = 1; i < 32; i++) {
        const char *abbreviation = sigabbrev_np(i);
        if (abbreviation && streq(abbreviation, name))
            return i;
    }
    return SIGTERM;
}

/* Without a process namespace of its own, the end of the first process leaves the others running. */
static void end_the_rest(OciRuntime *rt, const Container *c) {
    if (!c->own_pid_namespace)
        (void)cgroup_kill(&rt->cgroups, c->cgroup);
}

/* An agent that died may have left a monitor that is still starting the container. */
static void await_start(OciRuntime *rt, Container *c) {
    for (uint64_t deadline = now_monotonic_ns() + START_WAIT_NS; now_monotonic_ns() < deadline; usleep(5000))
        if (container_is_running(rt, c) || c->exited || !container_has_monitor(c))
            return;
}

/* In slices, so that the agent's end ends the wait. */
static int wait_exit(OciRuntime *rt, int monitor, uint64_t deadline) {
    for (;;) {
        if (atomic_load(&rt->interrupted))
            return -ECANCELED;
        uint64_t now = now_monotonic_ns();
        int r = monitor_wait_exit(monitor, MIN(deadline, now + INTERRUPT_CHECK_NS));
        if (r != -ETIMEDOUT || now_monotonic_ns() >= deadline)
            return r;
    }
}

static int stop(OciRuntime *rt, Container *c, uint64_t timeout_ns, char **ret_error) {
    await_start(rt, c);
    if (!container_is_running(rt, c)) {
        end_the_rest(rt, c);
        return 0;
    }
    _cleanup_close_ int monitor = monitor_connect(c);
    int r = monitor < 0 ? monitor : 0;
    if (r == 0 && timeout_ns) {
        int32_t signo = signal_number(c->stop_signal);
        r = monitor_request(monitor, 'K', &signo, sizeof signo, NULL, 0);
        if (r == 0)
            r = wait_exit(rt, monitor, now_monotonic_ns() + timeout_ns);
    }
    if ((r == 0 && !timeout_ns) || r == -ETIMEDOUT) {
        int32_t signo = SIGKILL;
        r = monitor_request(monitor, 'K', &signo, sizeof signo, NULL, 0);
        (void)cgroup_kill(&rt->cgroups, c->cgroup);
        if (r == 0)
            r = monitor_wait_exit(monitor, now_monotonic_ns() + KILL_WAIT_NS);
    }
    /* Whatever the socket said, the records decide: they also know a container whose monitor died. */
    if (!container_is_running(rt, c)) {
        end_the_rest(rt, c);
        return 0;
    }
    return oci_fail(ret_error, r < 0 ? r : -EBUSY,
                    xasprintf("container %s does not end: %s", c->id, strerror(r < 0 ? -r : EBUSY)));
}

int container_kill_now(OciRuntime *rt, Container *c, char **ret_error) {
    return stop(rt, c, 0, ret_error);
}

int oci_container_stop(Runtime *runtime, const char *id, uint64_t timeout_ns, char **ret_error) {
    OciRuntime *rt = oci_of(runtime);
    _cleanup_(container_unrefp) Container *c = container_find(rt, id);
    return c ? stop(rt, c, timeout_ns, ret_error) : 0;
}

int container_destroy(OciRuntime *rt, Container *c, char **ret_error) {
    int r = stop(rt, c, 0, ret_error);
    if (r < 0)
        return r;
    _cleanup_free_ char *rootfs = container_file(c, "rootfs"), *state = xasprintf("%s/%s", rt->oci_state, c->id);
    _cleanup_free_ char *exit_file = xasprintf("%s/%s", rt->exits, c->id), *id = xstrdup(c->id);
    if (c->shared_mounts)
        (void)umount2(rootfs, MNT_DETACH);
    /* What the OCI runtime's delete does, without a process for it. */
    r = cgroup_remove(&rt->cgroups, c->cgroup);
    if (r < 0)
        log_warn("cgroup %s: %s", c->cgroup, strerror(-r));
    (void)fs_remove_tree(state);
    (void)image_release(rt->images, c->id); /* before the folder: what a killed agent leaves is found by its folder */
    r = fs_remove_tree(c->dir);
    if (r < 0)
        return oci_fail(ret_error, r, xasprintf("%s: %s", c->dir, strerror(-r)));
    (void)unlink(exit_file);
    pthread_mutex_lock(&rt->mutex);
    strmap_remove(rt->containers, id);
    pthread_mutex_unlock(&rt->mutex);
    return 0;
}

int oci_container_remove(Runtime *runtime, const char *id, char **ret_error) {
    OciRuntime *rt = oci_of(runtime);
    _cleanup_(container_unrefp) Container *c = container_find(rt, id);
    return c ? container_destroy(rt, c, ret_error) : 0;
}

static void describe(OciRuntime *rt, Container *c, ContainerStatus *ret) {
    container_refresh(rt, c);
    pthread_mutex_lock(&c->mutex);
    *ret = (ContainerStatus){.id = xstrdup(c->id),
                             .sandbox_id = xstrdup(c->sandbox_id),
                             .name = xstrdup(c->name),
                             .image_id = xstrdup(c->image_id),
                             .image_ref = xstrdup(c->image_ref),
                             .log_path = xstrdup(c->log_path),
                             .attempt = c->attempt,
                             .created_ns = c->created_ns,
                             .started_ns = c->started_ns,
                             .state = c->exited    ? CONTAINER_EXITED
                                      : c->started ? CONTAINER_RUNNING
                                                   : CONTAINER_CREATED,
                             .pid = c->started && !c->exited ? c->pid : 0,
                             .labels = pairs_copy(c->labels, c->n_labels),
                             .n_labels = c->n_labels,
                             .annotations = pairs_copy(c->annotations, c->n_annotations),
                             .n_annotations = c->n_annotations};
    if (c->exited) {
        ret->finished_ns = c->finished_ns;
        ret->exit_code = c->exit_code;
        ret->reason = xstrdup(c->reason);
        ret->message = xstrdup(c->message);
    }
    pthread_mutex_unlock(&c->mutex);
}

int oci_container_status(Runtime *runtime, const char *id, ContainerStatus *ret) {
    OciRuntime *rt = oci_of(runtime);
    _cleanup_(container_unrefp) Container *c = container_find(rt, id);
    if (!c)
        return -ENOENT;
    describe(rt, c, ret);
    return 0;
}

int oci_container_list(Runtime *runtime, const char *sandbox_id, ContainerStatus **ret, size_t *ret_n) {
    OciRuntime *rt = oci_of(runtime);
    Container **list;
    size_t n = container_collect(rt, sandbox_id, &list);
    ContainerStatus *out = NEWN0(ContainerStatus, n);
    for (size_t i = 0; i < n; i++) {
        describe(rt, list[i], &out[i]);
        container_unref(list[i]);
    }
    free(list);
    *ret = out;
    *ret_n = n;
    return 0;
}

int oci_container_stats(Runtime *runtime, const char *id, ContainerStats *ret) {
    OciRuntime *rt = oci_of(runtime);
    _cleanup_(container_unrefp) Container *c = container_find(rt, id);
    if (!c)
        return -ENOENT;
    ContainerStats stats;
    int r = cgroup_stats(&rt->cgroups, c->cgroup, &stats);
    if (r < 0)
        return r;
    _cleanup_free_ char *upper = container_file(c, "upper");
    FsUsage written = fs_tree_usage(AT_FDCWD, upper);
    stats.rootfs_bytes = written.bytes;
    stats.rootfs_inodes = written.inodes;
    *ret = stats;
    return 0;
}

int oci_container_update(Runtime *runtime, const char *id, const ContainerSpec *resources, char **ret_error) {
    OciRuntime *rt = oci_of(runtime);
    _cleanup_(container_unrefp) Container *c = container_find(rt, id);
    if (!c || !container_is_running(rt, c))
        return oci_fail(ret_error, c ? -ESRCH : -ENOENT, xasprintf("container %s is not running", id));
    return cgroup_update(&rt->cgroups, c->cgroup, resources, ret_error);
}
