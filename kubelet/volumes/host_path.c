#include "kubelet/volumes/volumes.h"

#include "base/fs.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct HostType {
    const char *name;
    mode_t kind;
    const char *is_not; /* as the reference ends its sentence */
} HostType;

static const HostType types[] = {
    {"Directory", S_IFDIR, "is not a directory"},
    {"DirectoryOrCreate", S_IFDIR, "is not a directory"},
    {"File", S_IFREG, "is not a file"},
    {"FileOrCreate", S_IFREG, "is not a file"},
    {"Socket", S_IFSOCK, "is not a socket file"},
    {"CharDevice", S_IFCHR, "is not a character device"},
    {"BlockDevice", S_IFBLK, "is not a block device"},
};

static int create(const char *path, const char *type) {
    if (streq(type, "FileOrCreate")) {
        _cleanup_close_ int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
        return fd < 0 ? -errno : 0;
    }
    return fs_mkdir_p(path, 0755);
}

static int set_up(VolumeContext *context, const Value *volume, const Value *source, const char *dir,
                  const char **ret_path, const char **ret_error) {
    (void)volume;
    (void)dir;
    const char *path = str_or(value_get_str(source, "path"), ""), *type = str_or(value_get_str(source, "type"), "");
    struct stat st;
    if (*path != '/') {
        *ret_error = arena_printf(context->arena, "hostPath \"%s\" is not absolute", path);
        return -EINVAL;
    }
    bool there = stat(path, &st) == 0;
    /* without a type the runtime makes what is missing, as the reference's runtimes do */
    if (!there && (!*type || str_has_suffix(type, "OrCreate"))) {
        int r = create(path, type);
        if (r < 0) {
            *ret_error = arena_printf(context->arena, "%s: %s", path, strerror(-r));
            return r;
        }
        there = stat(path, &st) == 0;
    }
    for (size_t i = 0; i < ELEMENTSOF(types); i++)
        if (streq(types[i].name, type) && (!there || (st.st_mode & S_IFMT) != types[i].kind)) {
            *ret_error = arena_printf(context->arena, "hostPath type check failed: %s %s", path, types[i].is_not);
            return -EINVAL;
        }
    *ret_path = path;
    return 0;
}

const VolumePlugin volume_host_path = {"hostPath", "kubernetes.io~host-path", false, set_up};
