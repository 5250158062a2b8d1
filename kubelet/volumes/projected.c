/* Projected and downward API volumes: several sources in one folder. */
#include "kubelet/volumes/volumes.h"

#include "base/str.h"

#include <errno.h>

#define TOKEN_SECONDS_DEFAULT 3600

int payload_add_downward(VolumeContext *context, Payload *payload, const Value *items, mode_t default_mode,
                         const char **ret_error) {
    const Value *item;
    VALUE_FOREACH (item, items) {
        const char *path = str_or(value_get_str(item, "path"), ""), *text = "";
        const Value *field = value_get(item, "fieldRef"), *resource = value_get(item, "resourceFieldRef");
        int r = 0;
        if (!value_is_empty(field))
            r = field_reference(context->arena, context->pod, context->facts, value_get_str(field, "fieldPath"), &text,
                                ret_error);
        else if (!value_is_empty(resource)) {
            const char *name = value_get_str(resource, "containerName");
            static const char *const lists[] = {"containers", "initContainers"};
            const Value *container = NULL, *c;
            for (size_t i = 0; i < ELEMENTSOF(lists); i++)
                VALUE_FOREACH (c, value_path(context->pod, "spec", lists[i], NULL))
                    if (streq_null(value_get_str(c, "name"), name))
                        container = c;
            if (!container) {
                *ret_error = arena_printf(context->arena, "container %s not found", str_or(name, ""));
                return -ENOENT;
            }
            r = resource_field_reference(context->arena, container, context->facts, resource, &text, ret_error);
        }
        if (r == 0)
            r = payload_add(payload, path, text, strlen(text), (mode_t)value_get_int(item, "mode", default_mode), -1);
        if (r < 0)
            return r;
    }
    return 0;
}

static int add_token(VolumeContext *context, Payload *payload, const Value *source, mode_t default_mode,
                     const char **ret_error) {
    _cleanup_api_error_ ApiError err = {0};
    const char *token = NULL;
    int r = token_get(context->tokens, context->source, context->pod, value_get_str(source, "audience"),
                      value_get_int(source, "expirationSeconds", TOKEN_SECONDS_DEFAULT), context->arena, &token, &err);
    if (r < 0) {
        *ret_error = arena_printf(context->arena, "failed to fetch token: %s", str_or(err.message, strerror(-r)));
        return r;
    }
    /* only the one user or group that needs it can read a token, as the reference sets it */
    mode_t mode = context->fs_user >= 0 || context->fs_group >= 0 ? 0600 : default_mode;
    return payload_add(payload, str_or(value_get_str(source, "path"), "token"), token, strlen(token), mode,
                       context->fs_user);
}

static int add_source(VolumeContext *context, Payload *payload, const Value *projection, mode_t mode,
                      const char **ret_error) {
    const Value *source;
    if ((source = value_get(projection, "configMap")))
        return payload_add_object(context, payload, false, source, mode, ret_error);
    if ((source = value_get(projection, "secret")))
        return payload_add_object(context, payload, true, source, mode, ret_error);
    if ((source = value_get(projection, "downwardAPI")))
        return payload_add_downward(context, payload, value_get(source, "items"), mode, ret_error);
    if ((source = value_get(projection, "serviceAccountToken")))
        return add_token(context, payload, source, mode, ret_error);
    const char *kind = value_len(projection) ? projection->members[0].name : "none";
    *ret_error = arena_printf(context->arena, "projected source %s is not supported on this node", kind);
    return -EOPNOTSUPP;
}

static int write_out(VolumeContext *context, const Payload *payload, const char *dir, const char **ret_error) {
    int r = volume_make_dir(dir, 0777);
    if (r == 0)
        r = volume_mount_tmpfs(dir, 0, ret_error, context->arena);
    return r < 0 ? r : volume_write_payload(context, payload, dir, ret_error);
}

static int set_up_projected(VolumeContext *context, const Value *volume, const Value *source, const char *dir,
                            const char **ret_path, const char **ret_error) {
    (void)volume;
    (void)ret_path;
    Payload payload = {.arena = context->arena};
    mode_t mode = (mode_t)value_get_int(source, "defaultMode", 0644);
    const Value *projection;
    VALUE_FOREACH (projection, value_get(source, "sources")) {
        int r = add_source(context, &payload, projection, mode, ret_error);
        if (r < 0)
            return r;
    }
    return write_out(context, &payload, dir, ret_error);
}

static int set_up_downward(VolumeContext *context, const Value *volume, const Value *source, const char *dir,
                           const char **ret_path, const char **ret_error) {
    (void)volume;
    (void)ret_path;
    Payload payload = {.arena = context->arena};
    mode_t mode = (mode_t)value_get_int(source, "defaultMode", 0644);
    int r = payload_add_downward(context, &payload, value_get(source, "items"), mode, ret_error);
    return r < 0 ? r : write_out(context, &payload, dir, ret_error);
}

const VolumePlugin volume_projected = {"projected", "kubernetes.io~projected", true, set_up_projected};
const VolumePlugin volume_downward_api = {"downwardAPI", "kubernetes.io~downward-api", true, set_up_downward};
