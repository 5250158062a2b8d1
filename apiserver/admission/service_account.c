/* ServiceAccount: every pod has an account, and a projected volume with its token, the cluster's CA and its namespace. */
#include "apiserver/admission/admission.h"
#include "base/random.h"
#include "base/str.h"

#include <errno.h>

#define TOKEN_PATH "/var/run/secrets/kubernetes.io/serviceaccount"
#define TOKEN_SECONDS 3607 /* as the reference: tells these tokens from ones asked for by hand */
#define VOLUME_MODE 420    /* 0644 */

static Value *projection(Arena *arena, const char *kind, Value *what) {
    Value *v = value_object(arena);
    value_set(arena, v, kind, what);
    return v;
}

static Value *key_item(Arena *arena, const char *key, const char *path) {
    Value *v = value_object(arena), *items = value_array(arena);
    value_set_str(arena, v, "key", key);
    value_set_str(arena, v, "path", path);
    value_append(arena, items, v);
    return items;
}

static Value *namespace_item(Arena *arena) {
    Value *v = value_object(arena), *ref = value_object(arena), *items = value_array(arena);
    value_set_str(arena, ref, "apiVersion", "v1");
    value_set_str(arena, ref, "fieldPath", "metadata.namespace");
    value_set_str(arena, v, "path", "namespace");
    value_set(arena, v, "fieldRef", ref);
    value_append(arena, items, v);
    return items;
}

static Value *token_volume(Arena *arena, const char *name) {
    Value *volume = value_object(arena), *projected = value_object(arena), *sources = value_array(arena);
    Value *token = value_object(arena), *ca = value_object(arena), *where = value_object(arena);
    value_set_int(arena, token, "expirationSeconds", TOKEN_SECONDS);
    value_set_str(arena, token, "path", "token");
    value_set_str(arena, ca, "name", "kube-root-ca.crt");
    value_set(arena, ca, "items", key_item(arena, "ca.crt", "ca.crt"));
    value_set(arena, where, "items", namespace_item(arena));
    value_append(arena, sources, projection(arena, "serviceAccountToken", token));
    value_append(arena, sources, projection(arena, "configMap", ca));
    value_append(arena, sources, projection(arena, "downwardAPI", where));
    value_set(arena, projected, "sources", sources);
    value_set_int(arena, projected, "defaultMode", VOLUME_MODE);
    value_set_str(arena, volume, "name", name);
    value_set(arena, volume, "projected", projected);
    return volume;
}

static bool mounts(const Value *container, const char *path) {
    const Value *m;
    VALUE_FOREACH(m, value_get(container, "volumeMounts"))
        if (streq_null(value_get_str(m, "mountPath"), path))
            return true;
    return false;
}

static bool mount_into(Arena *arena, Value *containers, const char *name) {
    Value *container;
    bool any = false;
    VALUE_FOREACH(container, containers) {
        if (mounts(container, TOKEN_PATH))
            continue;
        Value *mount = value_object(arena);
        value_set_str(arena, mount, "name", name);
        value_set_bool(arena, mount, "readOnly", true);
        value_set_str(arena, mount, "mountPath", TOKEN_PATH);
        value_append(arena, value_ensure_array(arena, container, "volumeMounts"), mount);
        any = true;
    }
    return any;
}

static void add_token(Arena *arena, Value *spec) {
    char suffix[6];
    const char *name = NULL;
    Value *volume;
    bool there = false;
    VALUE_FOREACH(volume, value_get(spec, "volumes"))
        if (str_has_prefix(str_or(value_get_str(volume, "name"), ""), "kube-api-access-")) {
            name = value_get_str(volume, "name");
            there = true;
        }
    if (!there)
        name = arena_printf(arena, "kube-api-access-%s", random_suffix(suffix, 5));
    bool used = mount_into(arena, value_get(spec, "initContainers"), name);
    used |= mount_into(arena, value_get(spec, "containers"), name);
    if (used && !there)
        value_append(arena, value_ensure_array(arena, spec, "volumes"), token_volume(arena, name));
}

static bool wants_token(const Value *spec, const Value *account) {
    const Value *pod_says = value_get(spec, "automountServiceAccountToken"), *account_says = value_get(account, "automountServiceAccountToken");
    if (value_is(pod_says, VALUE_BOOL))
        return pod_says->boolean;
    return value_is(account_says, VALUE_BOOL) ? account_says->boolean : true;
}

static int admit(AdmissionRequest *request, ApiError *err) {
    _cleanup_object_ Object *object = NULL;
    if (request->operation != ADMISSION_CREATE || !admission_is(request, "", "pods"))
        return 0;
    Arena *arena = request->strategy->arena;
    Value *spec = value_ensure_object(arena, request->object, "spec");
    if (value_get(value_path(request->object, "metadata", "annotations", NULL), "kubernetes.io/config.mirror"))
        return 0;
    const char *name = value_get_str(spec, "serviceAccountName");
    if (str_empty(name)) {
        value_set_str(arena, spec, "serviceAccountName", name = "default");
        value_set_str(arena, spec, "serviceAccount", "default");
    }
    int r = store_get(request->store, resource_find("", "v1", "serviceaccounts"), request->ns, name, &object);
    if (r == -ENOENT)
        return admission_forbid(request, err, "error looking up service account %s/%s: serviceaccount \"%s\" not found", request->ns, name, name);
    if (r < 0)
        return api_error_from_errno(err, r, "reading the service account");
    Value *account = object_value(object, arena);
    if (wants_token(spec, account))
        add_token(arena, spec);
    if (!value_len(value_get(spec, "imagePullSecrets")) && value_len(value_get(account, "imagePullSecrets")))
        value_set(arena, spec, "imagePullSecrets", value_copy(arena, value_get(account, "imagePullSecrets")));
    return 0;
}

static int validate(AdmissionRequest *request, ApiError *err) {
    if (request->operation != ADMISSION_CREATE || !admission_is(request, "", "pods") ||
        !value_get(value_path(request->object, "metadata", "annotations", NULL), "kubernetes.io/config.mirror"))
        return 0;
    const Value *spec = value_get(request->object, "spec"), *volume, *source;
    if (!str_empty(value_get_str(spec, "serviceAccountName")))
        return admission_forbid(request, err, "a mirror pod may not reference service accounts");
    VALUE_FOREACH(volume, value_get(spec, "volumes")) {
        if (value_get(volume, "secret"))
            return admission_forbid(request, err, "a mirror pod may not reference secrets");
        VALUE_FOREACH(source, value_path(volume, "projected", "sources", NULL))
            if (value_get(source, "serviceAccountToken"))
                return admission_forbid(request, err, "a mirror pod may not use ServiceAccountToken volume projections");
    }
    return 0;
}

const AdmissionPlugin admission_service_account = {"ServiceAccount", admit, validate};
