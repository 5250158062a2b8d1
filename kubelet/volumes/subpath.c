#include "kubelet/volumes/subpath.h"

#include "base/fs.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#define MOUNTINFO_MAX (16 * 1024 * 1024)

static bool has_dotdot(const char *path) {
    for (const char *p = path; p; p = strchr(p, '/'), p = p ? p + 1 : NULL)
        if (strncmp(p, "..", 2) == 0 && (p[2] == '/' || !p[2]))
            return true;
    return false;
}

/* Opens `path` below root, making folders that are not there, one component at a time: each parent is held open, so
 * that nothing can be put in its place meanwhile. They get the volume's own mode, so that whoever may use the volume
 * may use them. */
static int open_or_make(int root, const char *path) {
    int fd = fs_open_beneath(root, path, O_PATH, 0);
    if (fd != -ENOENT)
        return fd;
    struct stat volume;
    if (fstat(root, &volume) < 0)
        return -errno;
    _cleanup_free_ char *copy = xstrdup(path);
    for (char *p = copy;; p++) {
        if (*p && *p != '/')
            continue;
        char kept = *p;
        *p = 0;
        char *name = strrchr(copy, '/');
        if (*copy && !(name && !name[1])) {
            _cleanup_close_ int parent = -1;
            if (name)
                *name = 0;
            parent = fs_open_beneath(root, name && *copy ? copy : ".", O_PATH | O_DIRECTORY, 0);
            if (parent < 0)
                return parent;
            const char *last = name ? name + 1 : copy;
            bool made = mkdirat(parent, last, 0700) == 0;
            if (!made && errno != EEXIST)
                return -errno;
            if (made) { /* the umask has no say */
                _cleanup_close_ int dir = openat(parent, last, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
                if (dir < 0 || fchmod(dir, volume.st_mode & 07777) < 0)
                    return -errno;
            }
            if (name)
                *name = '/';
        }
        *p = kept;
        if (!kept)
            break;
    }
    return fs_open_beneath(root, path, O_PATH, 0);
}

int subpath_prepare(const char *pod_dir, const char *volume, const char *container, size_t index,
                    const char *volume_path, const char *subpath, char **ret, char **ret_error) {
    if (*subpath == '/' || has_dotdot(subpath)) {
        *ret_error = xasprintf("subPath \"%s\" must be relative and must not contain '..'", subpath);
        return -EINVAL;
    }
    _cleanup_close_ int root = open(volume_path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root < 0) {
        *ret_error =
            xasprintf("failed to prepare subPath for volumeMount \"%s\" of container \"%s\"", volume, container);
        return -errno;
    }
    _cleanup_close_ int fd = open_or_make(root, subpath);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0) {
        int r = fd < 0 ? fd : -errno;
        *ret_error = xasprintf("failed to prepare subPath for volumeMount \"%s\" of container \"%s\": %s", volume,
                               container, strerror(-r));
        return r;
    }
    _cleanup_free_ char *folder = xasprintf("%s/volume-subpaths/%s/%s", pod_dir, volume, container);
    _cleanup_free_ char *target = xasprintf("%s/%zu", folder, index), *from = xasprintf("/proc/self/fd/%d", fd);
    int r = fs_mkdir_p(folder, 0750);
    while (umount2(target, UMOUNT_NOFOLLOW | MNT_DETACH) == 0) {
    }
    fs_remove_tree(target);
    if (r == 0 && S_ISDIR(st.st_mode))
        r = mkdir(target, 0750) < 0 ? -errno : 0;
    else if (r == 0) {
        _cleanup_close_ int file = open(target, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0640);
        r = file < 0 ? -errno : 0;
    }
    if (r == 0 && mount(from, target, NULL, MS_BIND | MS_REC, NULL) < 0)
        r = -errno;
    if (r < 0) {
        *ret_error = xasprintf("failed to prepare subPath for volumeMount \"%s\" of container \"%s\": %s", volume,
                               container, strerror(-r));
        return r;
    }
    *ret = TAKE_PTR(target);
    return 0;
}

/* mountinfo writes space, tab, newline and backslash as \ooo. */
static void unescape(char *s) {
    char *to = s;
    for (; *s; s++)
        if (*s == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] && s[3]) {
            *to++ = (char)((s[1] - '0') * 64 + (s[2] - '0') * 8 + (s[3] - '0'));
            s += 3;
        } else
            *to++ = *s;
    *to = 0;
}

int unmount_below(const char *dir) {
    _cleanup_free_ char *text = NULL, *real = realpath(dir, NULL);
    if (!real)
        return errno == ENOENT ? 0 : -errno;
    int r = fs_read_file("/proc/self/mountinfo", MOUNTINFO_MAX, &text, NULL);
    if (r < 0)
        return r;
    _cleanup_(arena_freep) Arena *arena = arena_new(0);
    size_t n = 0, length = strlen(real);
    char **lines = str_split(arena, text, '\n', &n);
    /* later lines are mounted over or below earlier ones, so backwards is deepest first */
    for (size_t i = n; i-- > 0;) {
        size_t fields = 0;
        char **f = str_split(arena, lines[i], ' ', &fields);
        if (fields < 5)
            continue;
        unescape(f[4]);
        if (strncmp(f[4], real, length) != 0 || (f[4][length] != '/' && f[4][length] != 0))
            continue;
        if (umount2(f[4], UMOUNT_NOFOLLOW) < 0 && errno != EINVAL && umount2(f[4], UMOUNT_NOFOLLOW | MNT_DETACH) < 0)
            r = -errno;
    }
    return r;
}
