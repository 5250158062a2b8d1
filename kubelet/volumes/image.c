/* Volumes that are an image: its layers, read-only, as one tree (KEP-4639). The folder is made with
 * the pod's other volumes; what is in it comes when a container that mounts it starts, because the image may have to be
 * pulled first. */
#include "base/buf.h"
#include "base/str.h"
#include "kubelet/volumes/volumes.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mount.h>
#include <sys/vfs.h>
#include <unistd.h>

#define LAYERS_MAX 128   /* as images are built with */
#define OPTIONS_MAX 4000 /* the kernel takes a page */

static int set_up(VolumeContext *context, const Value *volume, const Value *source, const char *dir,
                  const char **ret_path, const char **ret_error) {
    (void)context;
    (void)volume;
    (void)source;
    (void)ret_path;
    (void)ret_error;
    return volume_make_dir(dir, 0755);
}

bool volume_image_is_mounted(const char *dir) {
    struct statfs st;
    return statfs(dir, &st) == 0 && st.f_type == OVERLAYFS_SUPER_MAGIC;
}

/* By descriptor, so that many layers with long paths fit into the mount's options. */
static int open_layer(const char *path, int fds[LAYERS_MAX + 1], size_t *n, Buf *options) {
    if (*n > LAYERS_MAX)
        return -E2BIG;
    int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    buf_printf(options, "%s/proc/self/fd/%d", *n ? ":" : "lowerdir=", fd);
    fds[(*n)++] = fd;
    return 0;
}

int volume_image_mount(const char *dir, char *const *layer_dirs) {
    int fds[LAYERS_MAX + 1], r = 0;
    size_t n = 0, layers = 0;
    _cleanup_buf_ Buf options = BUF_INIT(OPTIONS_MAX);
    while (layer_dirs[layers])
        layers++;
    for (size_t i = layers; r == 0 && i-- > 0;) /* the topmost comes first */
        r = open_layer(layer_dirs[i], fds, &n, &options);
    if (r == 0)
        r = open_layer(dir, fds, &n, &options); /* empty: an overlay wants two at least */
    if (r == 0 && options.failed)
        r = -E2BIG;
    if (r == 0 && mount("overlay", dir, "overlay", MS_RDONLY | MS_NODEV | MS_NOSUID, options.data) < 0)
        r = -errno;
    while (n > 0)
        close(fds[--n]);
    return r;
}

const VolumePlugin volume_image = {"image", "kubernetes.io~image", false, set_up};
