/* A volumeMount's subPath: resolved below the volume's root by the kernel (openat2), so that no link or `..` that a
 * container left in the volume leads out, and pinned by a bind mount that the container's mount is made from. */
#pragma once

#include "base/mem.h"

/* Makes the folder when there is nothing yet. The pinned path is POD_DIR/volume-subpaths/VOLUME/CONTAINER/INDEX; with
 * the pod's other mounts it goes when the pod does. *ret owned by the caller. */
int subpath_prepare(const char *pod_dir, const char *volume, const char *container, size_t index,
                    const char *volume_path, const char *subpath, char **ret, char **ret_error);
/* Unmounts everything mounted below `dir` in this mount namespace, deepest first. */
int unmount_below(const char *dir);
