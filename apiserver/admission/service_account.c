/* ServiceAccount: every pod has an account, and a projected volume with its token, the cluster's CA and its namespace.
 */
#include "apiserver/admission/admission.h"
#include "apiserver/admission/pod_references.h"
#include "base/clock.h"
#include "base/random.h"
#include "base/str.h"

#include <errno.h>
#include <time.h>

#define DEFAULT_ACCOUNT "default"
#define ENFORCE_MOUNTABLE "kubernetes.io/enforce-mountable-secrets"
/* The controller makes the default account of a new namespace: whoever is faster waits for it, as in the reference. */
#define DEFAULT_WAIT_NS (1500 * (int64_t)NS_PER_MS)
#define DEFAULT_POLL_NS (20 * (int64_t)NS_PER_MS)

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
    VALUE_FOREACH (m, value_get(container, "volumeMounts"))
        if (streq_null(value_get_str(m, "mountPath"), path))
            return true;
    return false;
}

static bool mount_into(Arena *arena, Value *containers, const char *name) {
    Value *container;
    bool any = false;
    VALUE_FOREACH (container, containers) {
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
    VALUE_FOREACH (volume, value_get(spec, "volumes"))
        if (str_has_prefix(str_or(value_get_str(volume, "name"), ""), "kube-api-access-")) {
            name = value_get_str(volume, "name");
            there = true;
            break;
        }
    if (!there)
        name = arena_printf(arena, "kube-api-access-%s", random_suffix(suffix, 5));
    bool used = mount_into(arena, value_get(spec, "initContainers"), name);
    used |= mount_into(arena, value_get(spec, "containers"), name);
    if (used && !there)
        value_append(arena, value_ensure_array(arena, spec, "volumes"), token_volume(arena, name));
}

static bool wants_token(const Value *spec, const Value *account) {
    const Value *pod_says = value_get(spec, "automountServiceAccountToken"),
                *account_says = value_get(account, "automountServiceAccountToken");
    if (value_is(pod_says, VALUE_BOOL))
        return pod_says->boolean;
    return value_is(account_says, VALUE_BOOL) ? account_says->boolean : true;
}

static int get_account(AdmissionRequest *request, const char *name, Value **ret, ApiError *err) {
    const struct timespec pause = {.tv_nsec = DEFAULT_POLL_NS};
    uint64_t until = now_monotonic_ns() + (streq(name, DEFAULT_ACCOUNT) ? DEFAULT_WAIT_NS : 0);
    int r;
    for (;;) {
        r = admission_get(request, "", "v1", "serviceaccounts", request->ns, name, ret, err);
        if (r != -ENOENT || now_monotonic_ns() >= until)
            break;
        nanosleep(&pause, NULL);
    }
    if (r == -ENOENT)
        return admission_forbid(request, err, "error looking up service account %s/%s: serviceaccount \"%s\" not found",
                                request->ns, name, name);
    return r;
}

static bool is_listed(const Value *list, const char *name) {
    const Value *item;
    VALUE_FOREACH (item, list)
        if (streq_null(value_get_str(item, "name"), name))
            return true;
    return false;
}

static bool is_enforced(const Value *account) {
    static const char *const yes[] = {"1", "t", "T", "true", "TRUE", "True", NULL};
    const char *text = admission_annotation(account, ENFORCE_MOUNTABLE);
    return text && str_in(text, yes);
}

/* Environment that comes from secrets which the account does not list. */
static int check_environment(AdmissionRequest *request, const Value *account, const char *list, const char *what,
                             ApiError *err) {
    const Value *secrets = value_get(account, "secrets"), *container, *item;
    const char *sa = str_or(meta_get(account, "name"), "");
    VALUE_FOREACH (container, value_path(request->object, "spec", list, NULL)) {
        const char *name = str_or(value_get_str(container, "name"), "");
        VALUE_FOREACH (item, value_get(container, "env")) {
            const Value *ref = value_path(item, "valueFrom", "secretKeyRef", NULL);
            const char *secret = str_or(value_get_str(ref, "name"), "");
            if (ref && !is_listed(secrets, secret))
                return admission_forbid(
                    request, err,
                    "%s %s with envVar %s referencing secret.secretName=\"%s\" is not allowed because service "
                    "account %s does not reference that secret",
                    what, name, value_get_str(item, "name"), secret, sa);
        }
        VALUE_FOREACH (item, value_get(container, "envFrom")) {
            const Value *ref = value_get(item, "secretRef");
            const char *secret = str_or(value_get_str(ref, "name"), "");
            if (ref && !is_listed(secrets, secret))
                return admission_forbid(
                    request, err,
                    "%s %s with envFrom referencing secret.secretName=\"%s\" is not allowed because service "
                    "account %s does not reference that secret",
                    what, name, secret, sa);
        }
    }
    return 0;
}

static int check_references(AdmissionRequest *request, const Value *account, ApiError *err) {
    const Value *spec = value_get(request->object, "spec"), *item;
    const char *sa = str_or(meta_get(account, "name"), "");
    size_t at = 0;
    VALUE_FOREACH (item, value_get(spec, "volumes")) {
        const Value *secret = value_get(item, "secret");
        const char *name = str_or(value_get_str(secret, "secretName"), "");
        if (secret && !is_listed(value_get(account, "secrets"), name))
            return admission_forbid(
                request, err,
                "volume with secret.secretName=\"%s\" is not allowed because service account %s does not "
                "reference that secret",
                name, sa);
    }
    int r = check_environment(request, account, "initContainers", "init container", err);
    r = r < 0 ? r : check_environment(request, account, "containers", "container", err);
    if (r < 0)
        return r;
    VALUE_FOREACH (item, value_get(spec, "imagePullSecrets")) {
        const char *name = str_or(value_get_str(item, "name"), "");
        if (!is_listed(value_get(account, "imagePullSecrets"), name))
            return admission_forbid(
                request, err,
                "imagePullSecrets[%zu].name=\"%s\" is not allowed because service account %s does not reference "
                "that imagePullSecret",
                at, name, sa);
        at++;
    }
    return 0;
}

static int check_mirror(AdmissionRequest *request, ApiError *err) {
    const Value *spec = value_get(request->object, "spec"), *volume, *source;
    if (!str_empty(value_get_str(spec, "serviceAccountName")))
        return admission_forbid(request, err, "a mirror pod may not reference service accounts");
    if (pod_names_secrets(request->object))
        return admission_forbid(request, err, "a mirror pod may not reference secrets");
    VALUE_FOREACH (volume, value_get(spec, "volumes"))
        VALUE_FOREACH (source, value_path(volume, "projected", "sources", NULL))
            if (value_get(source, "serviceAccountToken"))
                return admission_forbid(request, err,
                                        "a mirror pod may not use ServiceAccountToken volume projections");
    return 0;
}

static int check_account(AdmissionRequest *request, bool ephemeral, ApiError *err) {
    const char *name = str_or(value_get_str(value_get(request->object, "spec"), "serviceAccountName"), "");
    Value *account;
    if (!*name)
        return admission_forbid(request, err, "no service account specified for pod %s/%s", request->ns,
                                str_or(meta_get(request->object, "name"), ""));
    int r = get_account(request, name, &account, err);
    if (r < 0 || !is_enforced(account))
        return r;
    return ephemeral ? check_environment(request, account, "ephemeralContainers", "ephemeral container", err)
                     : check_references(request, account, err);
}

static int validate(AdmissionRequest *request, ApiError *err) {
    const char *subresource = request->request->subresource;
    if (*request->resource->group || !streq(request->resource->plural, "pods"))
        return 0;
    if (request->operation == ADMISSION_UPDATE && subresource && streq(subresource, "ephemeralcontainers"))
        return check_account(request, true, err);
    if (request->operation != ADMISSION_CREATE || subresource)
        return 0;
    return admission_is_mirror_pod(request->object) ? check_mirror(request, err) : check_account(request, false, err);
}

static void take_pull_secrets(Arena *arena, Value *spec, const Value *account) {
    const Value *item;
    if (value_len(value_get(spec, "imagePullSecrets")))
        return;
    VALUE_FOREACH (item, value_get(account, "imagePullSecrets")) {
        Value *ref = value_object(arena);
        value_set_str(arena, ref, "name", str_or(value_get_str(item, "name"), ""));
        value_append(arena, value_ensure_array(arena, spec, "imagePullSecrets"), ref);
    }
}

static int admit(AdmissionRequest *request, ApiError *err) {
    Value *account;
    if (request->operation != ADMISSION_CREATE || !admission_is(request, "", "pods"))
        return 0;
    /* the node agent compares a mirror pod with its source: nothing may be added */
    if (admission_is_mirror_pod(request->object))
        return validate(request, err);
    Arena *arena = request->strategy->arena;
    Value *spec = value_ensure_object(arena, request->object, "spec");
    const char *name = value_get_str(spec, "serviceAccountName");
    if (str_empty(name)) {
        value_set_str(arena, spec, "serviceAccountName", name = DEFAULT_ACCOUNT);
        value_set_str(arena, spec, "serviceAccount", DEFAULT_ACCOUNT);
    }
    int r = get_account(request, name, &account, err);
    if (r < 0)
        return r;
    if (wants_token(spec, account))
        add_token(arena, spec);
    take_pull_secrets(arena, spec, account);
    return is_enforced(account) ? check_references(request, account, err) : 0;
}

const AdmissionPlugin admission_service_account = {"ServiceAccount", admit, validate};
