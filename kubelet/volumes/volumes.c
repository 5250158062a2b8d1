#include "kubelet/volumes/volumes.h"
#include "kubelet/volumes/subpath.h"

#include "base/fs.h"
#include "base/str.h"

#include <errno.h>

static const VolumePlugin *const plugins[] = {
    &volume_empty_dir,    &volume_host_path, &volume_config_map, &volume_secret,
    &volume_downward_api, &volume_projected, &volume_image,
};

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
