/* What is left over: sandboxes, cgroups and folders of pods that the API server no longer has, and container logs that
 * grow too long. Runs now and then; idempotent. */
#include "kubelet/internal.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/str.h"

#define LOG_MAX_BYTES (10 << 20) /* containerLogMaxSize of the reference */
#define LOG_MAX_FILES 5          /* containerLogMaxFiles */

static bool pod_known(Kubelet *k, const char *uid) {
    Pod *p = pod_get(k, uid);
    pod_unref(k, p);
    return p != NULL;
}

/* After a start: whose sandboxes are these? Exits that happened meanwhile find their pod by it. */
int adopt(Kubelet *k) {
    SandboxStatus *sandboxes = NULL;
    size_t n = 0;
    int r = k->runtime->sandbox_list(k->runtime, &sandboxes, &n);
    for (size_t i = 0; r == 0 && i < n; i++) {
        pthread_mutex_lock(&k->lock);
        strmap_put(k->sandbox_owner, sandboxes[i].id, xstrdup(sandboxes[i].uid));
        pthread_mutex_unlock(&k->lock);
    }
    for (size_t i = 0; i < n; i++)
        sandbox_status_done(&sandboxes[i]);
    free(sandboxes);
    return r;
}

static void remove_sandbox(Kubelet *k, const SandboxStatus *sandbox) {
    _cleanup_free_ char *error = NULL;
    int r = k->runtime->sandbox_stop(k->runtime, sandbox->id, &error);
    if (r == 0)
        r = k->runtime->sandbox_remove(k->runtime, sandbox->id, &error);
    if (r < 0)
        log_warn("the sandbox of the gone pod %s/%s cannot be removed: %s", sandbox->ns, sandbox->name,
                 str_or(error, strerror(-r)));
    else
        log_info("removed what was left of the gone pod %s/%s", sandbox->ns, sandbox->name);
    pthread_mutex_lock(&k->lock);
    strmap_remove(k->sandbox_owner, sandbox->id);
    pthread_mutex_unlock(&k->lock);
}

static void remove_orphan_sandboxes(Kubelet *k) {
    SandboxStatus *sandboxes = NULL;
    size_t n = 0;
    if (k->runtime->sandbox_list(k->runtime, &sandboxes, &n) < 0)
        return;
    for (size_t i = 0; i < n; i++) {
        if (!pod_known(k, sandboxes[i].uid))
            remove_sandbox(k, &sandboxes[i]);
        sandbox_status_done(&sandboxes[i]);
    }
    free(sandboxes);
}

static void remove_orphan_cgroups(Kubelet *k) {
    char **uids = cgroups_pod_list(k->cgroups);
    for (char **uid = uids; uid && *uid; uid++) {
        if (!pod_known(k, *uid))
            (void)cgroups_pod_remove(k->cgroups, *uid);
        free(*uid);
    }
    free(uids);
}

/* Volumes that are images keep their layers by leases named after the pod. */
static void release_images(Kubelet *k, const char *uid, const char *pod_dir) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    _cleanup_free_ char *path = xasprintf("%s/volumes/kubernetes.io~image", pod_dir);
    DIR *dir = opendir(path);
    for (struct dirent *e; dir && (e = readdir(dir));)
        if (e->d_name[0] != '.')
            (void)image_release(k->images, image_volume_lease(arena, uid, e->d_name));
    if (dir)
        closedir(dir);
}

static void remove_orphan_folders(Kubelet *k) {
    _cleanup_free_ char *path = xasprintf("%s/pods", k->config.root_dir);
    DIR *dir = opendir(path);
    for (struct dirent *e; dir && (e = readdir(dir));) {
        if (e->d_name[0] == '.' || pod_known(k, e->d_name))
            continue;
        _cleanup_free_ char *pod_dir = xasprintf("%s/%s", path, e->d_name);
        release_images(k, e->d_name, pod_dir);
        int r = volumes_tear_down(pod_dir);
        if (r == 0)
            r = fs_remove_tree(pod_dir);
        if (r < 0)
            log_warn("%s of a gone pod cannot be removed: %s", pod_dir, strerror(-r));
    }
    if (dir)
        closedir(dir);
}

/* Rotated logs stand beside their log as NAME.TIME; the oldest go. */
static void drop_old_logs(const char *path) {
    _cleanup_free_ char *folder = xstrdup(path);
    char *slash = strrchr(folder, '/');
    char *oldest = NULL;
    size_t n = 0;
    if (!slash)
        return;
    *slash = 0;
    DIR *dir = opendir(folder);
    for (struct dirent *e; dir && (e = readdir(dir));) {
        size_t length = strlen(slash + 1);
        if (strncmp(e->d_name, slash + 1, length) != 0 || e->d_name[length] != '.')
            continue;
        n++;
        if (!oldest || strcmp(e->d_name, oldest) < 0) {
            free(oldest);
            oldest = xstrdup(e->d_name);
        }
    }
    if (dir)
        closedir(dir);
    if (oldest && n >= LOG_MAX_FILES) {
        _cleanup_free_ char *victim = xasprintf("%s/%s", folder, oldest);
        (void)unlink(victim);
    }
    free(oldest);
}

static void rotate_log(Kubelet *k, const ContainerStatus *container) {
    struct stat st;
    char now[RFC3339_MAX];
    if (container->state != CONTAINER_RUNNING || !container->log_path || stat(container->log_path, &st) < 0 ||
        st.st_size < LOG_MAX_BYTES)
        return;
    _cleanup_free_ char *rotated = xasprintf("%s.%s", container->log_path, rfc3339_format_nano(now_realtime_ns(), now));
    if (rename(container->log_path, rotated) < 0)
        return;
    int r = k->runtime->reopen_log(k->runtime, container->id);
    if (r < 0) {
        log_warn("the log %s cannot be rotated: %s", container->log_path, strerror(-r));
        (void)rename(rotated, container->log_path);
        return;
    }
    drop_old_logs(container->log_path);
}

static void rotate_logs(Kubelet *k) {
    ContainerStatus *containers = NULL;
    size_t n = 0;
    if (k->runtime->container_list(k->runtime, NULL, &containers, &n) < 0)
        return;
    for (size_t i = 0; i < n; i++) {
        rotate_log(k, &containers[i]);
        container_status_done(&containers[i]);
    }
    free(containers);
}

int housekeeping(Kubelet *k) {
    if (!informer_synced(k->pods_informer))
        return 0; /* pods that are not known yet are not gone */
    remove_orphan_sandboxes(k);
    remove_orphan_cgroups(k);
    remove_orphan_folders(k);
    rotate_logs(k);
    if (k->limit_error) /* pods took more than the limit; evictions make room */
        node_limit_pods(k);
    return 0;
}
