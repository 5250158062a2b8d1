/* What depends on the operating system of a pod's node, and on the host's namespaces. */
#include <regex.h>

#include "apiserver/registry/pod_validate.h"
#include "apiserver/registry/validate_util.h"

#define CREDENTIAL_SPEC_MAX_KIB 64
#define DOMAIN_MAX 256
#define USER_MAX 104

static const char *const LISTS[] = {"initContainers", "containers", "ephemeralContainers"};

static void each_container(const PodValidation *v, const FieldPath *spec,
                           void (*visit)(const PodValidation *, const Value *, const FieldPath *)) {
    for (size_t l = 0; l < ELEMENTSOF(LISTS); l++) {
        const Value *list = value_get(v->spec, LISTS[l]);
        FieldPath list_at = FIELD(spec, LISTS[l]);
        for (size_t i = 0; i < value_len(list); i++) {
            FieldPath at = FIELD_INDEX(&list_at, i);
            visit(v, value_at(list, i), &at);
        }
    }
}

static void forbid_all(FieldErrors *errors, const Value *object, const char *const *names, const char *why,
                       const FieldPath *path) {
    for (; *names; names++) {
        FieldPath at = FIELD(path, *names);
        const Value *member = value_get(object, *names);
        /* A plain false is the same as nothing said. */
        bool off = value_is(member, VALUE_BOOL) && !member->boolean && str_has_prefix(*names, "host") &&
                   !streq(*names, "hostUsers");
        if (member && !off)
            field_forbidden(errors, &at, "%s", why);
    }
}

static void no_windows_options(const PodValidation *v, const Value *container, const FieldPath *path) {
    static const char *const OPTIONS[] = {"windowsOptions", NULL};
    FieldPath context = FIELD(path, "securityContext");
    forbid_all(v->errors, value_get(container, "securityContext"), OPTIONS,
               "windows options cannot be set for a linux pod", &context);
}

static void no_linux_options(const PodValidation *v, const Value *container, const FieldPath *path) {
    static const char *const OPTIONS[] = {"appArmorProfile",
                                          "seLinuxOptions",
                                          "seccompProfile",
                                          "capabilities",
                                          "readOnlyRootFilesystem",
                                          "privileged",
                                          "allowPrivilegeEscalation",
                                          "procMount",
                                          "runAsUser",
                                          "runAsGroup",
                                          NULL};
    FieldPath context = FIELD(path, "securityContext");
    forbid_all(v->errors, value_get(container, "securityContext"), OPTIONS, "cannot be set for a windows pod",
               &context);
}

static void check_windows(const PodValidation *v, const FieldPath *spec) {
    static const char WHY[] = "cannot be set for a windows pod";
    static const char *const FIRST[] = {"appArmorProfile", "seLinuxOptions", NULL}, *const HOST[] = {"hostUsers",
                                                                                                     "hostPID",
                                                                                                     "hostIPC", NULL};
    static const char *const SECOND[] = {"seccompProfile", "fsGroup", "fsGroupChangePolicy", "sysctls", NULL},
                             *const SHARE[] = {"shareProcessNamespace", NULL};
    static const char *const THIRD[] = {
        "runAsUser", "runAsGroup", "supplementalGroups", "supplementalGroupsPolicy", "seLinuxChangePolicy", NULL};
    const Value *context = value_get(v->spec, "securityContext");
    FieldPath at = FIELD(spec, "securityContext");
    forbid_all(v->errors, context, FIRST, WHY, &at);
    forbid_all(v->errors, v->spec, HOST, WHY, spec);
    forbid_all(v->errors, context, SECOND, WHY, &at);
    forbid_all(v->errors, v->spec, SHARE, WHY, spec);
    forbid_all(v->errors, context, THIRD, WHY, &at);
    each_container(v, spec, no_linux_options);
}

void os_validate(const PodValidation *v, const FieldPath *spec) {
    static const char *const SYSTEMS[] = {"linux", "windows", NULL};
    const Value *system = value_get(v->spec, "os");
    const char *name = text_of(system, "name");
    FieldPath at = FIELD(spec, "os"), name_at = FIELD(&at, "name");
    if (!value_is(system, VALUE_OBJECT))
        return;
    if (!*name)
        field_required(v->errors, &name_at, "");
    else if (!str_in(name, SYSTEMS))
        field_not_supported(v->errors, &at, value_string(v->errors->arena, name), SYSTEMS);
    else if (streq(name, "windows"))
        check_windows(v, spec);
    else {
        no_windows_options(v, v->spec, spec);
        each_container(v, spec, no_windows_options);
    }
}

/* ---- the host's users ---- */

static void no_devices(const PodValidation *v, const Value *container, const FieldPath *path) {
    FieldPath at = FIELD(path, "volumeDevices");
    if (value_len(value_get(container, "volumeDevices")))
        field_forbidden(v->errors, &at, "when `hostUsers` is false");
}

void host_users_validate(const PodValidation *v, const FieldPath *spec) {
    /* The second as the reference prints its path. */
    static const char *const NAMES[][2] = {
        {"hostNetwork", "hostNetwork"}, {"hostPID", "HostPID"}, {"hostIPC", "HostIPC"}};
    if (value_get_bool(v->spec, "hostUsers", true))
        return;
    for (size_t i = 0; i < ELEMENTSOF(NAMES); i++) {
        FieldPath at = FIELD(spec, NAMES[i][1]);
        if (value_get_bool(v->spec, NAMES[i][0], false))
            field_forbidden(v->errors, &at, "when `hostUsers` is false");
    }
    each_container(v, spec, no_devices);
}

/* ---- Windows ---- */

void host_process_validate(const PodValidation *v, const FieldPath *spec) {
    const Value *own = value_path(v->spec, "securityContext", "windowsOptions", "hostProcess", NULL);
    bool network = value_get_bool(v->spec, "hostNetwork", false);
    size_t n = 0, n_host = 0;
    FieldPath network_at = FIELD(spec, "hostNetwork");
    for (size_t l = 0; l < ELEMENTSOF(LISTS); l++) {
        const Value *list = value_get(v->spec, LISTS[l]);
        FieldPath list_at = FIELD(spec, LISTS[l]);
        for (size_t i = 0; i < value_len(list); i++) {
            const Value *its = value_path(value_at(list, i), "securityContext", "windowsOptions", "hostProcess", NULL);
            FieldPath at = FIELD_INDEX(&list_at, i), context = FIELD(&at, "securityContext"),
                      options = FIELD(&context, "windowsOptions"), process = FIELD(&options, "hostProcess");
            n++;
            if (own && its && own->boolean != its->boolean)
                field_invalid(v->errors, &process, its,
                              "pod hostProcess value must be identical if both are specified, was %s",
                              own->boolean ? "true" : "false");
            n_host += its ? its->boolean : own && own->boolean;
        }
    }
    if (n_host && n_host != n)
        field_invalid_str(
            v->errors, spec, "",
            "If pod contains any hostProcess containers then all containers must be HostProcess containers");
    if (n_host && !network)
        field_invalid(v->errors, &network_at, value_bool(v->errors->arena, false),
                      "hostNetwork must be true if pod contains any hostProcess containers");
}

static bool matches(const char *text, const char *pattern) {
    regex_t regex;
    if (regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB) != 0)
        return false;
    bool found = regexec(&regex, text, 0, NULL, 0) == 0;
    regfree(&regex);
    return found;
}

static void check_user_parts(FieldErrors *errors, const char *name, const char *domain, const char *user,
                             const FieldPath *path) {
    if (domain && strlen(domain) >= DOMAIN_MAX)
        field_invalid_str(errors, path, name, "runAsUserName's Domain length must be under %d characters", DOMAIN_MAX);
    if (domain && !matches(domain, "^[^\\/:*?\"<>|.][^\\/:*?\"<>|]{0,14}$") &&
        !matches(domain,
                 "^[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?(\\.[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)*$"))
        field_invalid_str(errors, path, name, "runAsUserName's Domain doesn't match the NetBios nor the DNS format");
    if (!*user)
        field_invalid_str(errors, path, name, "runAsUserName's User cannot be empty");
    else if (strlen(user) > USER_MAX)
        field_invalid_str(errors, path, name, "runAsUserName's User length must not be longer than %d characters",
                          USER_MAX);
    if (*user && strspn(user, ". ") == strlen(user))
        field_invalid_str(errors, path, name, "runAsUserName's User cannot contain only periods or spaces");
    if (strpbrk(user, "\"/\\:;|=,+*?<>@[]"))
        field_invalid_str(errors, path, name,
                          "runAsUserName's User cannot contain the following characters: \"/\\:;|=,+*?<>@[]");
}

static void check_user_name(FieldErrors *errors, const char *name, const FieldPath *path) {
    const char *slash = strchr(name, '\\');
    bool control = false;
    for (const char *p = name; *p; p++)
        control |= (unsigned char)*p < ' ' || *p == 0x7f;
    if (!*name)
        field_invalid_str(errors, path, name, "runAsUserName cannot be an empty string");
    else if (control)
        field_invalid_str(errors, path, name, "runAsUserName cannot contain control characters");
    else if (slash && strchr(slash + 1, '\\'))
        field_invalid_str(errors, path, name, "runAsUserName cannot contain more than one backslash");
    else
        check_user_parts(errors, name, slash ? arena_strndup(errors->arena, name, (size_t)(slash - name)) : NULL,
                         slash ? slash + 1 : name, path);
}

void windows_options_validate(FieldErrors *errors, const Value *context, const FieldPath *path) {
    const Value *options = value_get(context, "windowsOptions");
    const char *name = value_get_str(options, "gmsaCredentialSpecName"),
               *spec = value_get_str(options, "gmsaCredentialSpec"), *user = value_get_str(options, "runAsUserName");
    FieldPath at = FIELD(path, "windowsOptions"), name_at = FIELD(&at, "gmsaCredentialSpecName"),
              spec_at = FIELD(&at, "gmsaCredentialSpec"), user_at = FIELD(&at, "runAsUserName");
    if (name)
        field_check_name(errors, &name_at, name, name_dns_subdomain);
    if (spec && !*spec)
        field_invalid_str(errors, &spec_at, spec, "gmsaCredentialSpec cannot be an empty string");
    else if (spec && strlen(spec) > CREDENTIAL_SPEC_MAX_KIB << 10)
        field_invalid_str(errors, &spec_at, spec, "gmsaCredentialSpec size must be under %d KiB",
                          CREDENTIAL_SPEC_MAX_KIB);
    if (user)
        check_user_name(errors, user, &user_at);
}
