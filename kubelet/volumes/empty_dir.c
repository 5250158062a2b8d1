#include "kubelet/volumes/volumes.h"

#include "api/quantity.h"
#include "base/str.h"

#include <errno.h>

static int set_up(VolumeContext *context, const Value *volume, const Value *source, const char *dir,
                  const char **ret_path, const char **ret_error) {
    (void)volume;
    (void)ret_path;
    const char *medium = str_or(value_get_str(source, "medium"), "");
    if (*medium && !streq(medium, "Memory")) {
        *ret_error = arena_printf(context->arena, "emptyDir medium \"%s\" is not supported on this node", medium);
        return -EOPNOTSUPP;
    }
    int r = volume_make_dir(dir, 0777);
    if (r == 0 && *medium) {
        Quantity limit;
        const char *text = value_get_str(source, "sizeLimit");
        int64_t size = text && quantity_parse(text, &limit) == 0 ? quantity_value(&limit) : 0;
        if (size <= 0 || (context->facts->allocatable_memory > 0 && size > context->facts->allocatable_memory))
            size = context->facts->allocatable_memory;
        r = volume_mount_tmpfs(dir, size, ret_error, context->arena);
    }
    return r < 0 ? r : volume_set_ownership(dir, context->fs_group, false);
}

const VolumePlugin volume_empty_dir = {"emptyDir", "kubernetes.io~empty-dir", false, set_up};
