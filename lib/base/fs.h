/* Files. All return 0 or negative errno. Paths are whole paths of this program's own; a path that comes from outside is
 * opened beneath a root with fs_open_beneath. */
#pragma once

#include "base/buf.h"

#include <sys/types.h>

/* Reads a whole file (or /proc file) of at most `limit` bytes; -EFBIG past it. NUL-terminated, owned by the caller. */
int fs_read_file(const char *path, size_t limit, char **ret, size_t *ret_len);
/* Writes beside and renames over: a reader sees the old or the new content, also after a crash (fsync of file and
 * folder). */
int fs_write_atomic(const char *path, const void *data, size_t n, mode_t mode);
/* A plain write to an existing control file (/proc, /sys, cgroup). */
int fs_write_control(const char *path, const char *text);
int fs_mkdir_p(const char *path, mode_t mode);
/* Removes a tree without following symbolic links or crossing into other mounts; absent is fine. */
int fs_remove_tree(const char *path);
/* What a file or a tree takes on the disk, symbolic links not followed; 0 when it cannot be read. Relative to `dir_fd`
 * (AT_FDCWD). */
uint64_t fs_tree_bytes(int dir_fd, const char *path);
typedef struct FsUsage {
    uint64_t bytes, inodes;
} FsUsage;
FsUsage fs_tree_usage(int dir_fd, const char *path); /* likewise */
bool fs_exists(const char *path);
/* openat2 with RESOLVE_IN_ROOT: every component, `..` and symbolic link stays below `root`. Returns the descriptor. */
int fs_open_beneath(int root, const char *path, int flags, mode_t mode);
/* The path of a file relative to the folder of the running program, where the other programs of Lighter are; NULL when
 * that folder is not known. */
char *fs_beside_program(const char *relative);
