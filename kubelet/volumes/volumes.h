/* A pod's volumes: made ready before its containers start, kept up to date while it runs, taken away after it ended.
 * One file a plugin; the table in volumes.c is the only place that names them. State is what lies on disk and is
 * mounted below POD_DIR/volumes: nothing else is remembered. Blocking; one thread a pod at a time. */
#pragma once

#include "kubelet/volumes/atomic_writer.h"
#include "kubelet/volumes/source.h"
#include "kubelet/volumes/token.h"

typedef struct VolumeContext {
    Arena *arena; /* of this call */
    const char *pod_dir;
    const Value *pod;
    const PodFacts *facts;
    const ObjectSource *source;
    TokenCache *tokens;
    int64_t fs_group; /* -1: none */
    int64_t fs_user;  /* the one user that all containers run as; -1: none */
} VolumeContext;

typedef struct VolumePlugin {
    const char *field;  /* in the volume source: "configMap" */
    const char *folder; /* below volumes/: "kubernetes.io~configmap" */
    bool follows;       /* its content follows API objects: set up again now and then */
    /* Idempotent. `dir`: the volume's own folder (not made yet); *ret_path: where it is (dir unless the plugin says
     * so). */
    int (*set_up)(VolumeContext *context, const Value *volume, const Value *source, const char *dir,
                  const char **ret_path, const char **ret_error);
} VolumePlugin;

typedef struct VolumePath {
    const char *name, *path;
} VolumePath;

/* Fills fs_group and fs_user from the pod. */
void volume_context_init(VolumeContext *context);
/* Every volume that a container mounts. *ret in the arena. On failure the sentence names the volume. */
int volumes_set_up(VolumeContext *context, VolumePath **ret, size_t *ret_n, const char **ret_error);
/* Where the volumes are, without touching them (after a restart of the agent). */
int volumes_find(VolumeContext *context, VolumePath **ret, size_t *ret_n, const char **ret_error);
/* Brings volumes that follow API objects up to date; other plugins are left alone. */
int volumes_refresh(VolumeContext *context, const char **ret_error);
/* Unmounts and removes all below POD_DIR. */
int volumes_tear_down(const char *pod_dir);
const char *volume_path_of(const VolumePath *paths, size_t n, const char *name);

/* For plugins: plugin.c, config_map.c. */
int volume_mount_tmpfs(const char *dir, int64_t size_limit, const char **ret_error, Arena *arena);
/* Makes `dir` with this mode; a folder that is there is fine. */
int volume_make_dir(const char *dir, unsigned mode);
/* Group ownership and access for the pod's fsGroup, as the reference's SetVolumeOwnership. */
int volume_set_ownership(const char *dir, int64_t gid, bool read_only);
/* ConfigMap, Secret and downward API items into a payload; mode from the item or `default_mode`. */
int payload_add_object(VolumeContext *context, Payload *payload, bool secret, const Value *source, mode_t default_mode,
                       const char **ret_error);
int payload_add_downward(VolumeContext *context, Payload *payload, const Value *items, mode_t default_mode,
                         const char **ret_error);
int volume_write_payload(VolumeContext *context, const Payload *payload, const char *dir, const char **ret_error);

/* image.c: a volume that is an image, once that is there. `layer_dirs`: lowest first, NULL-terminated. */
bool volume_image_is_mounted(const char *dir);
int volume_image_mount(const char *dir, char *const *layer_dirs);

extern const VolumePlugin volume_empty_dir, volume_host_path, volume_config_map, volume_secret, volume_downward_api,
    volume_projected, volume_image;
