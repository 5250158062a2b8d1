/* What plugins share. */
#include "kubelet/volumes/volumes.h"

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
