#include "kubelet/unpack/unpack.h"

#include "base/fs.h"
#include "base/str.h"
#include "kubelet/unpack/digest.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#define READ_CHUNK 65536
#define WHITEOUT ".wh."
#define OPAQUE ".wh..wh..opq"
#define XATTR_MAX 65536

typedef struct FolderTime { /* set last: making what is inside changes it */
    char *path;
    struct timespec mtime;
} FolderTime;

typedef struct Unpacker {
    int root, parent; /* parent: O_PATH of parent_path, kept for the next entry */
    char *parent_path;
    bool layer;
    struct archive *raw; /* decompresses */
    Digest *digest;      /* of what `raw` gave */
    char *chunk;
    FolderTime *folders;
    size_t n_folders, cap_folders;
    uint64_t bytes, entries;
    char **ret_error;
} Unpacker;

static int refuse(Unpacker *u, int r, char *message) {
    if (u->ret_error && !*u->ret_error)
        *u->ret_error = message;
    else
        free(message);
    return r;
}

static int refuse_errno(Unpacker *u, int r, const char *path) {
    return refuse(u, r, xasprintf("unpacking %s: %s", path, strerror(-r)));
}

/* Removes "." and ".."; NULL when the name leaves the root. "" is the root itself. */
static char *clean_path(const char *name) {
    char *out = xmalloc(strlen(name) + 1), *to = out;
    while (*name) {
        size_t n = strcspn(name, "/");
        if (n == 2 && name[0] == '.' && name[1] == '.') {
            if (to == out) {
                free(out);
                return NULL;
            }
            while (to > out && *--to != '/') {
            }
        } else if (n && !(n == 1 && name[0] == '.')) {
            if (to > out)
                *to++ = '/';
            memcpy(to, name, n);
            to += n;
        }
        name += n + (name[n] == '/');
    }
    *to = 0;
    return out;
}

/* Opens a folder below the root, making what is missing. */
static int open_folder(Unpacker *u, const char *path) {
    int fd = fs_open_beneath(u->root, *path ? path : ".", O_PATH | O_DIRECTORY, 0);
    if (fd != -ENOENT)
        return fd;
    const char *slash = strrchr(path, '/');
    _cleanup_free_ char *above = slash ? xstrndup(path, (size_t)(slash - path)) : xstrdup("");
    _cleanup_close_ int up = open_folder(u, above);
    if (up < 0)
        return up;
    if (mkdirat(up, slash ? slash + 1 : path, 0755) < 0 && errno != EEXIST)
        return -errno;
    return fs_open_beneath(u->root, path, O_PATH | O_DIRECTORY, 0);
}

/* The folder that holds `path` (borrowed) and the last component. */
static int open_parent(Unpacker *u, const char *path, const char **ret_base) {
    const char *slash = strrchr(path, '/');
    _cleanup_free_ char *above = slash ? xstrndup(path, (size_t)(slash - path)) : xstrdup("");
    *ret_base = slash ? slash + 1 : path;
    if (u->parent >= 0 && streq(u->parent_path, above))
        return u->parent;
    closep(&u->parent);
    u->parent = -1;
    int fd = open_folder(u, above);
    if (fd < 0)
        return fd;
    free(u->parent_path);
    u->parent_path = TAKE_PTR(above);
    return u->parent = fd;
}

/* What an earlier entry of the same name left goes, but a folder stays for a folder. */
static int clear_way(int parent, const char *base, bool folder) {
    struct stat st;
    if (fstatat(parent, base, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : -errno;
    if (S_ISDIR(st.st_mode) && folder)
        return 0;
    if (!S_ISDIR(st.st_mode))
        return unlinkat(parent, base, 0) < 0 ? -errno : 0;
    _cleanup_free_ char *path = xasprintf("/proc/self/fd/%d/%s", parent, base);
    return fs_remove_tree(path);
}

static int write_file(Unpacker *u, struct archive *tar, int parent, const char *base) {
    _cleanup_close_ int fd = openat(parent, base, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    const void *data;
    size_t n;
    la_int64_t offset, end = 0;
    int r;
    while ((r = archive_read_data_block(tar, &data, &n, &offset)) == ARCHIVE_OK || r == ARCHIVE_WARN) {
        u->bytes += n;
        if (u->bytes > LAYER_BYTES_MAX)
            return -EFBIG;
        for (size_t done = 0; done < n;) {
            ssize_t w = pwrite(fd, (const char *)data + done, n - done, offset + (off_t)done);
            if (w < 0 && errno == EINTR)
                continue;
            if (w <= 0)
                return w < 0 ? -errno : -EIO;
            done += (size_t)w;
        }
        end = offset + (la_int64_t)n;
    }
    if (r != ARCHIVE_EOF)
        return refuse(u, -EBADMSG, xasprintf("the layer is damaged: %s", archive_error_string(tar)));
    return end && ftruncate(fd, end) < 0 ? -errno : 0;
}

static int make_hard_link(Unpacker *u, const char *target, int parent, const char *base) {
    _cleanup_free_ char *path = clean_path(target);
    if (!path || !*path)
        return -EXDEV;
    const char *slash = strrchr(path, '/');
    _cleanup_free_ char *above = slash ? xstrndup(path, (size_t)(slash - path)) : xstrdup(".");
    _cleanup_close_ int from = fs_open_beneath(u->root, above, O_PATH | O_DIRECTORY, 0);
    if (from < 0)
        return from;
    return linkat(from, slash ? slash + 1 : path, parent, base, 0) < 0 ? -errno : 0;
}

/* The overlay's own attributes steer it (redirects to other layers): an image may not bring them. */
static int set_xattrs(struct archive_entry *entry, int parent, const char *base) {
    char path[PATH_MAX];
    if (snprintf(path, sizeof path, "/proc/self/fd/%d/%s", parent, base) >= (int)sizeof path)
        return -ENAMETOOLONG;
    const char *name;
    const void *value;
    size_t n;
    archive_entry_xattr_reset(entry);
    while (archive_entry_xattr_next(entry, &name, &value, &n) == ARCHIVE_OK) {
        if (!name || n > XATTR_MAX || str_has_prefix(name, "trusted.overlay.") || str_has_prefix(name, "user.overlay."))
            continue;
        if (lsetxattr(path, name, value, n, 0) < 0 && errno != ENOTSUP && errno != EPERM)
            return -errno;
    }
    return 0;
}

static void remember_folder(Unpacker *u, const char *path, struct timespec mtime) {
    if (u->n_folders == u->cap_folders) {
        u->cap_folders = u->cap_folders ? u->cap_folders * 2 : 64;
        u->folders = xreallocn(u->folders, u->cap_folders, sizeof *u->folders);
    }
    u->folders[u->n_folders++] = (FolderTime){xstrdup(path), mtime};
}

static int set_metadata(Unpacker *u, struct archive_entry *entry, int parent, const char *base, const char *path) {
    mode_t type = archive_entry_filetype(entry);
    if (fchownat(parent, base, (uid_t)archive_entry_uid(entry), (gid_t)archive_entry_gid(entry), AT_SYMLINK_NOFOLLOW) <
        0)
        return -errno;
    if (type != AE_IFLNK && fchmodat(parent, base, archive_entry_perm(entry) & 07777, 0) < 0)
        return -errno;
    int r = set_xattrs(entry, parent, base);
    if (r < 0)
        return r;
    struct timespec mtime = {archive_entry_mtime(entry), archive_entry_mtime_nsec(entry)};
    if (type == AE_IFDIR)
        remember_folder(u, path, mtime);
    else if (utimensat(parent, base, (struct timespec[]){mtime, mtime}, AT_SYMLINK_NOFOLLOW) < 0)
        return -errno;
    return 0;
}

static int make_node(Unpacker *u, struct archive *tar, struct archive_entry *entry, int parent, const char *base) {
    const char *target;
    switch (archive_entry_filetype(entry)) {
    case AE_IFREG:
        return write_file(u, tar, parent, base);
    case AE_IFDIR:
        return mkdirat(parent, base, 0700) < 0 && errno != EEXIST ? -errno : 0;
    case AE_IFLNK:
        target = archive_entry_symlink(entry);
        return symlinkat(target ? target : "", parent, base) < 0 ? -errno : 0;
    case AE_IFCHR:
    case AE_IFBLK:
    case AE_IFIFO:
        if (!u->layer)
            return -EPERM;
        return mknodat(parent, base, archive_entry_filetype(entry) | 0600,
                       makedev(archive_entry_rdevmajor(entry), archive_entry_rdevminor(entry))) < 0
                   ? -errno
                   : 0;
    default:
        return 1; /* a socket: nothing to make */
    }
}

static int whiteout(int parent, const char *base) {
    if (streq(base, OPAQUE)) {
        char path[64];
        snprintf(path, sizeof path, "/proc/self/fd/%d", parent);
        return setxattr(path, "trusted.overlay.opaque", "y", 1, 0) < 0 ? -errno : 0;
    }
    const char *name = base + strlen(WHITEOUT);
    if (!*name || streq(name, ".") || streq(name, ".."))
        return -EBADMSG;
    struct stat st; /* what this very layer brought is not what it removes */
    if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
        return 0;
    return mknodat(parent, name, S_IFCHR, makedev(0, 0)) < 0 ? -errno : 0;
}

static int unpack_entry(Unpacker *u, struct archive *tar, struct archive_entry *entry) {
    const char *name = archive_entry_pathname(entry);
    if (!name)
        return refuse(u, -EBADMSG, xstrdup("the layer has an entry without a name"));
    _cleanup_free_ char *path = clean_path(name);
    if (!path)
        return refuse(u, -EXDEV, xasprintf("the layer has a path that leaves its root: %s", name));
    if (!*path) {
        if (archive_entry_filetype(entry) != AE_IFDIR)
            return refuse(u, -EBADMSG, xstrdup("the layer replaces its root by a file"));
        int r = set_metadata(u, entry, u->root, ".", ".");
        return r < 0 ? refuse_errno(u, r, "the root") : 0;
    }
    const char *base;
    int parent = open_parent(u, path, &base);
    if (parent < 0)
        return refuse_errno(u, parent, path);
    int r;
    if (u->layer && str_has_prefix(base, WHITEOUT)) {
        r = whiteout(parent, base);
        return r < 0 ? refuse_errno(u, r, path) : 0;
    }
    const char *link = archive_entry_hardlink(entry);
    r = clear_way(parent, base, !link && archive_entry_filetype(entry) == AE_IFDIR);
    if (r == 0 && link)
        r = make_hard_link(u, link, parent, base);
    else if (r == 0) {
        r = make_node(u, tar, entry, parent, base);
        if (r == 0)
            r = set_metadata(u, entry, parent, base, path);
    }
    return r < 0 ? refuse_errno(u, r, path) : 0;
}

static la_ssize_t read_raw(struct archive *tar, void *userdata, const void **ret) {
    Unpacker *u = userdata;
    la_ssize_t n = archive_read_data(u->raw, u->chunk, READ_CHUNK);
    if (n < 0) {
        archive_set_error(tar, EBADMSG, "%s", archive_error_string(u->raw));
        return -1;
    }
    digest_update(u->digest, u->chunk, (size_t)n);
    *ret = u->chunk;
    return n;
}

static int read_entries(Unpacker *u, struct archive *tar) {
    struct archive_entry *entry;
    int r;
    while ((r = archive_read_next_header(tar, &entry)) == ARCHIVE_OK || r == ARCHIVE_WARN) {
        if (++u->entries > LAYER_ENTRIES_MAX)
            return refuse(u, -EFBIG, xasprintf("the layer has more than %d entries", LAYER_ENTRIES_MAX));
        int e = unpack_entry(u, tar, entry);
        if (e < 0)
            return e;
    }
    if (r != ARCHIVE_EOF)
        return refuse(u, -EBADMSG, xasprintf("the layer is damaged: %s", archive_error_string(tar)));
    const void *rest; /* padding after the end mark belongs to the digest */
    la_ssize_t n;
    while ((n = read_raw(tar, u, &rest)) > 0) {
    }
    return n < 0 ? refuse(u, -EBADMSG, xasprintf("the layer is damaged: %s", archive_error_string(tar))) : 0;
}

static int set_folder_times(Unpacker *u) {
    for (size_t i = u->n_folders; i-- > 0;) {
        _cleanup_close_ int fd = fs_open_beneath(u->root, u->folders[i].path, O_RDONLY | O_DIRECTORY, 0);
        if (fd >= 0 && futimens(fd, (struct timespec[]){u->folders[i].mtime, u->folders[i].mtime}) < 0)
            return -errno;
    }
    return 0;
}

static int unpack_stream(Unpacker *u, int fd, const char *diff_id) {
    struct archive_entry *entry;
    u->raw = archive_read_new();
    archive_read_support_filter_gzip(u->raw);
    archive_read_support_filter_zstd(u->raw);
    archive_read_support_filter_bzip2(u->raw);
    archive_read_support_filter_xz(u->raw);
    archive_read_support_format_raw(u->raw);
    archive_read_support_format_empty(u->raw);
    struct archive *tar = archive_read_new();
    archive_read_support_format_tar(tar);
    archive_read_support_format_empty(tar);
    int r = 0;
    if (archive_read_open_fd(u->raw, fd, READ_CHUNK) != ARCHIVE_OK ||
        (r = archive_read_next_header(u->raw, &entry)) == ARCHIVE_FATAL)
        r = refuse(u, -EBADMSG, xasprintf("the layer cannot be read: %s", archive_error_string(u->raw)));
    else if (archive_read_open(tar, u, NULL, read_raw, NULL) != ARCHIVE_OK)
        r = refuse(u, -EBADMSG, xasprintf("the layer is not a tar archive: %s", archive_error_string(tar)));
    else
        r = read_entries(u, tar);
    char got[DIGEST_TEXT + 1];
    digest_text(u->digest, got);
    if (r == 0 && diff_id && !streq(got, diff_id))
        r = refuse(u, -EBADMSG, xasprintf("the layer unpacks to %s, but its image names %s", got, diff_id));
    if (r == 0)
        r = set_folder_times(u);
    archive_read_free(tar);
    archive_read_free(u->raw);
    return r;
}

static int unpack(int fd, int root_fd, bool layer, const char *diff_id, uint64_t *ret_bytes, char **ret_error) {
    char *error = NULL;
    Unpacker u = {.root = root_fd, .parent = -1, .layer = layer, .digest = digest_new(), .ret_error = &error};
    u.chunk = xmalloc(READ_CHUNK);
    int r = unpack_stream(&u, fd, diff_id);
    closep(&u.parent);
    free(u.parent_path);
    free(u.chunk);
    digest_free(u.digest);
    for (size_t i = 0; i < u.n_folders; i++)
        free(u.folders[i].path);
    free(u.folders);
    if (r == 0 && ret_bytes)
        *ret_bytes = u.bytes;
    if (ret_error && r < 0)
        *ret_error = error ? error : xstrdup(strerror(-r));
    else
        free(error);
    return r;
}

int layer_unpack(int fd, int root_fd, const char *diff_id, uint64_t *ret_bytes, char **ret_error) {
    return unpack(fd, root_fd, true, diff_id, ret_bytes, ret_error);
}

int archive_unpack(int fd, int root_fd, char **ret_error) {
    return unpack(fd, root_fd, false, NULL, NULL, ret_error);
}
