/* Security contexts of pods and containers. */
#include "apiserver/registry/pod_validate.h"

#include <ctype.h>

#include "apiserver/registry/internal_print.h"
#include "apiserver/registry/validate_util.h"

#define SYSCTL_NAME_MAX 253
#define APPARMOR_NAME_MAX 4095 /* a path */
#define SYSCTL_RE "^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$"

static void check_id(FieldErrors *errors, const Value *context, const char *name, const FieldPath *path) {
    const Value *id = value_get(context, name);
    FieldPath at = FIELD(path, name);
    if (value_is(id, VALUE_INT))
        field_check_range(errors, &at, id->integer, 0, INT32_MAX);
}

static void check_apparmor_name(FieldErrors *errors, const char *name, const FieldPath *path) {
    size_t n = strlen(name);
    if (n && (isspace((unsigned char)name[0]) || isspace((unsigned char)name[n - 1])))
        field_invalid_str(errors, path, name, "must not be padded with whitespace");
    else if (!n)
        field_required(errors, path, "must be set when AppArmor type is Localhost");
    if (n > APPARMOR_NAME_MAX)
        field_too_long(errors, path, APPARMOR_NAME_MAX);
}

static void check_profile(FieldErrors *errors, const Value *context, const char *name, const char *kind,
                          const FieldPath *path) {
    static const char *const TYPES[] = {"Localhost", "RuntimeDefault", "Unconfined", NULL};
    const Value *profile = value_get(context, name), *local = value_get(profile, "localhostProfile");
    const char *type = text_of(profile, "type");
    FieldPath at = FIELD(path, name), type_at = FIELD(&at, "type"), local_at = FIELD(&at, "localhostProfile");
    bool seccomp = streq(kind, "seccomp");
    if (!value_is(profile, VALUE_OBJECT))
        return;
    if (!*type)
        field_required(errors, &type_at,
                       seccomp ? "type is required when seccompProfile is set"
                               : "type is required when appArmorProfile is set");
    else if (!str_in(type, TYPES))
        field_not_supported(errors, &type_at, value_string(errors->arena, type), TYPES);
    if (streq(type, "Localhost") && !local)
        field_required(errors, &local_at, arena_printf(errors->arena, "must be set when %s type is Localhost", kind));
    else if (streq(type, "Localhost") && seccomp)
        relative_path_validate(errors, str_or(value_str(local), ""), &local_at);
    else if (streq(type, "Localhost"))
        check_apparmor_name(errors, str_or(value_str(local), ""), &local_at);
    else if (local && seccomp)
        field_invalid(errors, &local_at, internal_value(errors->arena, "SeccompProfile", profile, NULL),
                      "can only be set when %s type is Localhost", kind);
    else if (local && str_in(type, TYPES))
        field_invalid(errors, &local_at, local, "can only be set when %s type is Localhost", kind);
}

void container_security_validate(const PodValidation *v, const Value *container, const FieldPath *container_path) {
    static const char *const PROC_MOUNTS[] = {"Default", "Unmasked", NULL};
    const Value *context = value_get(container, "securityContext"), *capability;
    FieldPath path = FIELD(container_path, "securityContext"), proc = FIELD(&path, "procMount");
    FieldErrors *errors = v->errors;
    if (!value_is(context, VALUE_OBJECT))
        return;
    check_id(errors, context, "runAsUser", &path);
    check_id(errors, context, "runAsGroup", &path);
    member_one_of_if_set(errors, context, "procMount", PROC_MOUNTS, &path);
    if (streq(text_of(context, "procMount"), "Unmasked") && value_get_bool(v->spec, "hostUsers", true))
        field_invalid_str(errors, &proc, "Unmasked", "`hostUsers` must be false to use `Unmasked`");
    check_profile(errors, context, "seccompProfile", "seccomp", &path);
    if (!value_get_bool(context, "allowPrivilegeEscalation", true)) {
        if (value_get_bool(context, "privileged", false))
            field_invalid(errors, &path, internal_value(errors->arena, "SecurityContext", context, NULL),
                          "cannot set `allowPrivilegeEscalation` to false and `privileged` to true");
        VALUE_FOREACH (capability, value_path(context, "capabilities", "add", NULL))
            if (streq(str_or(value_str(capability), ""), "CAP_SYS_ADMIN"))
                field_invalid(errors, &path, internal_value(errors->arena, "SecurityContext", context, NULL),
                              "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN");
    }
    windows_options_validate(errors, context, &path);
    check_profile(errors, context, "appArmorProfile", "AppArmor", &path);
}

static bool is_sysctl_name(const char *name) {
    if (strlen(name) > SYSCTL_NAME_MAX)
        return false;
    for (const char *part = name;;) {
        size_t n = strcspn(part, "./");
        bool ends = n && part[0] != '-' && part[0] != '_' && part[n - 1] != '-' && part[n - 1] != '_';
        if (!ends || strspn(part, "abcdefghijklmnopqrstuvwxyz0123456789-_") < n)
            return false;
        if (!part[n])
            return true;
        part += n + 1;
    }
}

/* Sysctls of namespaces that are the host's own. */
static void check_host_sysctl(const PodValidation *v, const char *name, const FieldPath *path) {
    static const char *const IPC[] = {"kernel.sem", "kernel/sem", NULL}, *const IPC_PREFIXES[] = {
                                                                             "kernel.shm", "kernel/shm", "kernel.msg",
                                                                             "kernel/msg", "fs.mqueue.", "fs/mqueue/"};
    bool net = str_has_prefix(name, "net.") || str_has_prefix(name, "net/"), ipc = str_in(name, IPC);
    for (size_t i = 0; i < ELEMENTSOF(IPC_PREFIXES); i++)
        ipc |= str_has_prefix(name, IPC_PREFIXES[i]);
    if (net && value_get_bool(v->spec, "hostNetwork", false))
        field_invalid_str(v->errors, path, name, "may not be specified when 'hostNetwork' is true");
    else if (ipc && value_get_bool(v->spec, "hostIPC", false))
        field_invalid_str(v->errors, path, name, "may not be specified when 'hostIPC' is true");
}

static void check_sysctls(const PodValidation *v, const Value *sysctls, const FieldPath *path) {
    FieldErrors *errors = v->errors;
    for (size_t i = 0; i < value_len(sysctls); i++) {
        const char *name = text_of(value_at(sysctls, i), "name");
        FieldPath at = FIELD_INDEX(path, i), name_at = FIELD(&at, "name");
        if (!*name)
            field_required(errors, &name_at, "");
        else if (!is_sysctl_name(name))
            field_invalid_str(errors, &name_at, name, "must have at most %d characters and match regex %s",
                              SYSCTL_NAME_MAX, SYSCTL_RE);
        else if (seen_before(errors, sysctls, i, "name", name))
            field_duplicate(errors, &name_at, value_string(errors->arena, name));
        check_host_sysctl(v, name, &name_at);
    }
}

void pod_security_validate(const PodValidation *v, const FieldPath *spec_path) {
    static const char *const CHANGE[] = {"Always", "OnRootMismatch", NULL}, *const GROUPS[] = {"Merge", "Strict", NULL};
    static const char *const RELABEL[] = {"Recursive", NULL}; /* MountOption is behind a feature gate */
    const Value *context = value_get(v->spec, "securityContext"), *groups = value_get(context, "supplementalGroups");
    FieldPath path = FIELD(spec_path, "securityContext"), groups_at = FIELD(&path, "supplementalGroups"),
              sysctls = FIELD(&path, "sysctls"), share = FIELD(&path, "shareProcessNamespace");
    check_id(v->errors, context, "fsGroup", &path);
    check_id(v->errors, context, "runAsUser", &path);
    check_id(v->errors, context, "runAsGroup", &path);
    for (size_t i = 0; i < value_len(groups); i++) {
        FieldPath at = FIELD_INDEX(&groups_at, i);
        field_check_range(v->errors, &at, value_at(groups, i)->integer, 0, INT32_MAX);
    }
    if (value_get_bool(v->spec, "shareProcessNamespace", false) && value_get_bool(v->spec, "hostPID", false))
        field_invalid(v->errors, &share, value_bool(v->errors->arena, true),
                      "ShareProcessNamespace and HostPID cannot both be enabled");
    check_sysctls(v, value_get(context, "sysctls"), &sysctls);
    member_one_of_if_set(v->errors, context, "fsGroupChangePolicy", CHANGE, &path);
    check_profile(v->errors, context, "seccompProfile", "seccomp", &path);
    windows_options_validate(v->errors, context, &path);
    check_profile(v->errors, context, "appArmorProfile", "AppArmor", &path);
    member_one_of_if_set(v->errors, context, "supplementalGroupsPolicy", GROUPS, &path);
    member_one_of_if_set(v->errors, context, "seLinuxChangePolicy", RELABEL, &path);
}
