/* ConfigMap and Secret volumes: the keys of one object as files. */
#include "kubelet/volumes/volumes.h"

#include "base/str.h"

#include <errno.h>

static int add_key(VolumeContext *context, Payload *payload, const Value *object, bool secret, const char *key,
                   const char *path, mode_t mode, bool *ret_found) {
    const char *text = value_get_str(value_get(object, "data"), key);
    bool encoded = secret;
    if (!text && !secret) {
        text = value_get_str(value_get(object, "binaryData"), key);
        encoded = true;
    }
    *ret_found = text != NULL;
    if (!text)
        return 0;
    if (!encoded)
        return payload_add(payload, path, text, strlen(text), mode, -1);
    _cleanup_free_ uint8_t *bytes = NULL;
    size_t n = 0;
    int r = base64_decode(text, strlen(text), &bytes, &n);
    if (r < 0)
        return r;
    r = payload_add(payload, path, bytes, n, mode, -1);
    wipe(bytes, n);
    (void)context;
    return r;
}

static int add_all(VolumeContext *context, Payload *payload, const Value *object, bool secret, mode_t mode) {
    static const char *const members[] = {"data", "binaryData"};
    bool found;
    for (size_t i = 0; i < (secret ? 1u : 2u); i++)
        VALUE_FOREACH_MEMBER (m, value_get(object, members[i])) {
            int r = add_key(context, payload, object, secret, m->name, m->name, mode, &found);
            if (r < 0)
                return r;
        }
    return 0;
}

int payload_add_object(VolumeContext *context, Payload *payload, bool secret, const Value *source, mode_t default_mode,
                       const char **ret_error) {
    const char *ns = str_or(value_get_str(value_get(context->pod, "metadata"), "namespace"), "");
    const char *name = str_or(value_get_str(source, "name"), str_or(value_get_str(source, "secretName"), ""));
    bool optional = value_get_bool(source, "optional", false);
    _cleanup_object_ Object *o = NULL;
    _cleanup_api_error_ ApiError err = {0};
    int r = context->source->get(context->source->userdata, secret ? "secrets" : "configmaps", ns, name, &o, &err);
    if (r == -ENOENT && optional)
        return 0;
    if (r < 0) {
        *ret_error = err.message ? arena_strdup(context->arena, err.message) : strerror(-r);
        return r;
    }
    const Value *object = object_value(o, context->arena), *items = value_get(source, "items"), *item;
    if (value_len(items) == 0)
        r = add_all(context, payload, object, secret, default_mode);
    VALUE_FOREACH (item, items) {
        const char *key = str_or(value_get_str(item, "key"), ""), *path = str_or(value_get_str(item, "path"), "");
        bool found = false;
        mode_t mode = (mode_t)value_get_int(item, "mode", default_mode);
        r = add_key(context, payload, object, secret, key, path, mode, &found);
        if (r == 0 && !found && !optional) {
            *ret_error =
                secret ? "references non-existent secret key: " : "configmap references non-existent config key: ";
            *ret_error = arena_printf(context->arena, "%s%s", *ret_error, key);
            return -ENOENT;
        }
        if (r < 0)
            break;
    }
    if (r < 0)
        *ret_error =
            arena_printf(context->arena, "%s %s/%s: %s", secret ? "secret" : "configmap", ns, name, strerror(-r));
    return r;
}

static int set_up_object(VolumeContext *context, const Value *source, const char *dir, bool secret,
                         const char **ret_error) {
    Payload payload = {.arena = context->arena};
    int r = payload_add_object(context, &payload, secret, source, (mode_t)value_get_int(source, "defaultMode", 0644),
                               ret_error);
    if (r == 0)
        r = volume_make_dir(dir, 0777);
    if (r == 0 && secret)
        r = volume_mount_tmpfs(dir, 0, ret_error, context->arena); /* secrets never reach the disk */
    return r < 0 ? r : volume_write_payload(context, &payload, dir, ret_error);
}

static int set_up_config_map(VolumeContext *context, const Value *volume, const Value *source, const char *dir,
                             const char **ret_path, const char **ret_error) {
    (void)volume;
    (void)ret_path;
    return set_up_object(context, source, dir, false, ret_error);
}

static int set_up_secret(VolumeContext *context, const Value *volume, const Value *source, const char *dir,
                         const char **ret_path, const char **ret_error) {
    (void)volume;
    (void)ret_path;
    return set_up_object(context, source, dir, true, ret_error);
}

const VolumePlugin volume_config_map = {"configMap", "kubernetes.io~configmap", true, set_up_config_map};
const VolumePlugin volume_secret = {"secret", "kubernetes.io~secret", true, set_up_secret};
