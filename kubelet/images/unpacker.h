/* Unpacks by lighter-unpack, a process of its own for each archive; see kubelet/unpack/unpack.h for what it does. */
#pragma once

#include "base/mem.h"

/* `program`: lighter-unpack; it ends with the calling thread, and keeps `lock` open for as long as it runs. `fd` is
 * read from where it stands. Errors as layer_unpack and archive_unpack: the process passes them on; -ECHILD when it
 * died. Blocking. */
int unpacker_layer(const char *program, int lock, int fd, int root_fd, const char *diff_id, char **ret_error);
int unpacker_archive(const char *program, int lock, int fd, int root_fd, char **ret_error);
