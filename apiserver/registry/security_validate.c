/* Security contexts of pods and containers. */
#include "apiserver/registry/pod_validate.h"

#include "apiserver/registry/validate_util.h"

#define SYSCTL_NAME_MAX 253
#define SYSCTL_RE "^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$"

static void check_id(FieldErrors *errors, const Value *context, const char *name, const FieldPath *path) {
    const Value *id = value_get(context, name);
    FieldPath at = FIELD(path, name);
    if (value_is(id, VALUE_INT))
        field_check_range(errors, &at, id->integer, 0, INT32_MAX);
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
    else if (!streq(type, "Localhost") && local)
        field_invalid(errors, &local_at, seccomp ? profile : local, "can only be set when %s type is Localhost", kind);
}

/* The container's security context as the reference prints it in messages: its internal struct, null where unset. */
static Value *printed_context(Arena *arena, const Value *context) {
    static const char *const MEMBERS[][2] = {{"Capabilities", "capabilities"},
                                             {"Privileged", "privileged"},
                                             {"SELinuxOptions", "seLinuxOptions"},
                                             {"WindowsOptions", "windowsOptions"},
                                             {"RunAsUser", "runAsUser"},
                                             {"RunAsGroup", "runAsGroup"},
                                             {"RunAsNonRoot", "runAsNonRoot"},
                                             {"ReadOnlyRootFilesystem", "readOnlyRootFilesystem"},
                                             {"AllowPrivilegeEscalation", "allowPrivilegeEscalation"},
                                             {"ProcMount", "procMount"},
                                             {"SeccompProfile", "seccompProfile"},
                                             {"AppArmorProfile", "appArmorProfile"}};
    Value *out = value_object(arena);
    for (size_t i = 0; i < ELEMENTSOF(MEMBERS); i++) {
        const Value *v = value_get(context, MEMBERS[i][1]);
        value_set(arena, out, MEMBERS[i][0], v ? value_copy(arena, v) : value_null(arena));
    }
    return out;
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
            field_invalid(errors, &path, printed_context(errors->arena, context),
                          "cannot set `allowPrivilegeEscalation` to false and `privileged` to true");
        VALUE_FOREACH (capability, value_path(context, "capabilities", "add", NULL))
            if (streq(str_or(value_str(capability), ""), "CAP_SYS_ADMIN"))
                field_invalid(errors, &path, printed_context(errors->arena, context),
                              "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN");
    }
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

static void check_sysctls(FieldErrors *errors, const Value *sysctls, const FieldPath *path) {
    for (size_t i = 0; i < value_len(sysctls); i++) {
        const char *name = text_of(value_at(sysctls, i), "name");
        FieldPath at = FIELD_INDEX(path, i), name_at = FIELD(&at, "name");
        if (!*name)
            field_required(errors, &name_at, "");
        else if (!is_sysctl_name(name))
            field_invalid_str(errors, &name_at, name, "must have at most %d characters and match regex %s",
                              SYSCTL_NAME_MAX, SYSCTL_RE);
        else
            for (size_t j = 0; j < i; j++)
                if (streq(name, text_of(value_at(sysctls, j), "name"))) {
                    field_duplicate(errors, &name_at, value_string(errors->arena, name));
                    break;
                }
    }
}

void pod_security_validate(const PodValidation *v, const FieldPath *spec_path) {
    static const char *const CHANGE[] = {"Always", "OnRootMismatch", NULL}, *const GROUPS[] = {"Merge", "Strict", NULL};
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
    check_sysctls(v->errors, value_get(context, "sysctls"), &sysctls);
    member_one_of_if_set(v->errors, context, "fsGroupChangePolicy", CHANGE, &path);
    check_profile(v->errors, context, "seccompProfile", "seccomp", &path);
    check_profile(v->errors, context, "appArmorProfile", "AppArmor", &path);
    member_one_of_if_set(v->errors, context, "supplementalGroupsPolicy", GROUPS, &path);
}
