#include "kubelet/volumes/volumes.h"
#include "kubelet/volumes/subpath.h"

#include "base/fs.h"
#include "base/str.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#define TMPFS_MAGIC_NUMBER 0x01021994 /* linux/magic.h */
#define OWNERSHIP_DEPTH_MAX 256

static const VolumePlugin *const plugins[] = {
    &volume_empty_dir,    &volume_host_path, &volume_config_map, &volume_secret,
    &volume_downward_api, &volume_projected, &volume_image,
};

/* ---- what plugins share ---- */

int volume_make_dir(const char *dir, unsigned mode) {
    _cleanup_free_ char *parent = xstrdup(dir);
    char *slash = strrchr(parent, '/');
    if (slash && slash != parent) {
        *slash = 0;
        int r = fs_mkdir_p(parent, 0750);
        if (r < 0)
            return r;
    }
    if (mkdir(dir, 0700) < 0)
        return errno == EEXIST ? 0 : -errno;
    return chmod(dir, mode) < 0 ? -errno : 0; /* whatever the umask is */
}

int volume_mount_tmpfs(const char *dir, int64_t size_limit, const char **ret_error, Arena *arena) {
    struct statfs fs;
    if (statfs(dir, &fs) == 0 && fs.f_type == TMPFS_MAGIC_NUMBER) {
        struct stat here, above;
        _cleanup_free_ char *parent = xasprintf("%s/..", dir);
        if (stat(dir, &here) == 0 && stat(parent, &above) == 0 && here.st_dev != above.st_dev)
            return 0; /* from before: the agent may have been started again */
    }
    char options[64] = "mode=0777";
    if (size_limit > 0)
        snprintf(options, sizeof options, "mode=0777,size=%lld", (long long)size_limit);
    if (mount("tmpfs", dir, "tmpfs", MS_NOSUID | MS_NODEV, options) == 0)
        return 0;
    int r = -errno;
    *ret_error = arena_printf(arena, "mount of tmpfs failed: %s", strerror(-r));
    return r;
}

static int own(int fd, const struct stat *st, gid_t gid, bool read_only) {
    if (S_ISLNK(st->st_mode))
        return 0;
    mode_t mode = st->st_mode & 07777;
    mode_t want = mode | (read_only ? 0440 : 0660);
    if (S_ISDIR(st->st_mode))
        want |= S_ISGID | 0110;
    if (st->st_gid != gid && fchown(fd, (uid_t)-1, gid) < 0)
        return -errno;
    return (want != mode || st->st_gid != gid) && fchmod(fd, want) < 0 ? -errno : 0;
}

static int own_tree(int parent, const char *name, gid_t gid, bool read_only, int depth) {
    struct stat st;
    if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : -errno;
    if (!S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode))
        return 0;
    _cleanup_close_ int fd = openat(parent, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0)
        return errno == ENOENT ? 0 : -errno;
    int r = own(fd, &st, gid, read_only);
    if (r < 0 || !S_ISDIR(st.st_mode) || depth > OWNERSHIP_DEPTH_MAX)
        return r;
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    DIR *d = copy >= 0 ? fdopendir(copy) : NULL;
    if (!d) {
        closep(&copy);
        return -ENOMEM;
    }
    for (struct dirent *e; r == 0 && (e = readdir(d));)
        if (!streq(e->d_name, ".") && !streq(e->d_name, ".."))
            r = own_tree(fd, e->d_name, gid, read_only, depth + 1);
    closedir(d);
    return r;
}

int volume_set_ownership(const char *dir, int64_t gid, bool read_only) {
    return gid < 0 ? 0 : own_tree(AT_FDCWD, dir, (gid_t)gid, read_only, 0);
}

int volume_write_payload(VolumeContext *context, const Payload *payload, const char *dir, const char **ret_error) {
    int r = atomic_write(dir, payload, context->fs_group);
    if (r > 0)
        r = volume_set_ownership(dir, context->fs_group, true);
    if (r < 0)
        *ret_error = arena_printf(context->arena, "writing files failed: %s", strerror(-r));
    return MIN(r, 0);
}

/* ---- the pod's volumes ---- */

void volume_context_init(VolumeContext *context) {
    const Value *spec = value_get(context->pod, "spec"), *security = value_get(spec, "securityContext"), *c;
    context->fs_group = value_get_int(security, "fsGroup", -1);
    /* When every container runs as one user, a token may belong to it alone. */
    int64_t common = -2;
    static const char *const lists[] = {"initContainers", "containers"};
    for (size_t i = 0; i < ELEMENTSOF(lists); i++)
        VALUE_FOREACH (c, value_get(spec, lists[i])) {
            int64_t user =
                value_get_int(value_get(c, "securityContext"), "runAsUser", value_get_int(security, "runAsUser", -1));
            common = common == -2 ? user : common == user ? user : -1;
        }
    context->fs_user = common >= 0 ? common : -1;
}

static const VolumePlugin *plugin_for(const Value *volume, const Value **ret_source) {
    for (size_t i = 0; i < ELEMENTSOF(plugins); i++) {
        const Value *source = value_get(volume, plugins[i]->field);
        if (source && source->type != VALUE_NULL) {
            *ret_source = source;
            return plugins[i];
        }
    }
    return NULL;
}

static const char *kind_of(const Value *volume) {
    VALUE_FOREACH_MEMBER (m, volume)
        if (!streq(m->name, "name"))
            return m->name;
    return "emptyDir";
}

static bool volume_is_used(const Value *pod, const char *name) {
    static const char *const lists[] = {"initContainers", "containers", "ephemeralContainers"};
    const Value *c, *m;
    for (size_t i = 0; i < ELEMENTSOF(lists); i++)
        VALUE_FOREACH (c, value_path(pod, "spec", lists[i], NULL))
            VALUE_FOREACH (m, value_get(c, "volumeMounts"))
                if (streq_null(value_get_str(m, "name"), name))
                    return true;
    return false;
}

typedef enum SetUpMode { SET_UP_ALL, SET_UP_FOLLOWERS, SET_UP_NONE } SetUpMode;

static int each_volume(VolumeContext *context, SetUpMode mode, VolumePath **ret, size_t *ret_n,
                       const char **ret_error) {
    const Value *volumes = value_path(context->pod, "spec", "volumes", NULL), *volume;
    VolumePath *paths = arena_alloc0(context->arena, (value_len(volumes) + 1) * sizeof *paths);
    size_t n = 0;
    VALUE_FOREACH (volume, volumes) {
        const char *name = value_get_str(volume, "name"), *why = NULL;
        if (!name || strchr(name, '/') || !volume_is_used(context->pod, name))
            continue;
        const Value *source = NULL;
        const VolumePlugin *plugin = plugin_for(volume, &source);
        if (!plugin) {
            *ret_error =
                arena_printf(context->arena, "volume \"%s\": volumes of kind %s are not supported on this node", name,
                             kind_of(volume));
            return -EOPNOTSUPP;
        }
        const char *dir = arena_printf(context->arena, "%s/volumes/%s/%s", context->pod_dir, plugin->folder, name);
        const char *path = dir;
        bool host_path = plugin == &volume_host_path; /* it has no folder of its own: its path comes from the source */
        if (mode == SET_UP_ALL || (mode == SET_UP_FOLLOWERS && plugin->follows)) {
            int r = plugin->set_up(context, volume, source, dir, &path, &why);
            if (r < 0) {
                *ret_error = arena_printf(context->arena, "MountVolume.SetUp failed for volume \"%s\" : %s", name,
                                          str_or(why, strerror(-r)));
                return r;
            }
        } else if (host_path)
            path = str_or(value_get_str(source, "path"), "");
        paths[n++] = (VolumePath){name, path};
    }
    if (ret)
        *ret = paths;
    if (ret_n)
        *ret_n = n;
    return 0;
}

int volumes_set_up(VolumeContext *context, VolumePath **ret, size_t *ret_n, const char **ret_error) {
    return each_volume(context, SET_UP_ALL, ret, ret_n, ret_error);
}
int volumes_find(VolumeContext *context, VolumePath **ret, size_t *ret_n, const char **ret_error) {
    return each_volume(context, SET_UP_NONE, ret, ret_n, ret_error);
}
int volumes_refresh(VolumeContext *context, const char **ret_error) {
    return each_volume(context, SET_UP_FOLLOWERS, NULL, NULL, ret_error);
}

int volumes_tear_down(const char *pod_dir) {
    int r = unmount_below(pod_dir);
    return r < 0 ? r : fs_remove_tree(pod_dir);
}

const char *volume_path_of(const VolumePath *paths, size_t n, const char *name) {
    for (size_t i = 0; i < n; i++)
        if (streq(paths[i].name, name))
            return paths[i].path;
    return NULL;
}
