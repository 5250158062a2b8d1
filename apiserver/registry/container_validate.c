#include "apiserver/registry/pod_validate.h"

#include <inttypes.h>

#include "apiserver/registry/validate_util.h"
#include "base/strmap.h"

static void validate_ports(FieldErrors *errors, const Value *ports, const FieldPath *path) {
    static const char *const PROTOCOLS[] = {"SCTP", "TCP", "UDP", NULL};
    for (size_t i = 0; i < value_len(ports); i++) {
        const Value *port = value_at(ports, i);
        const char *name = text_of(port, "name");
        int64_t number = value_get_int(port, "containerPort", 0), host = value_get_int(port, "hostPort", 0);
        FieldPath at = FIELD_INDEX(path, i), name_at = FIELD(&at, "name"), number_at = FIELD(&at, "containerPort"),
                  host_at = FIELD(&at, "hostPort");
        if (*name && !name_is_valid(name, name_port))
            field_check_name(errors, &name_at, name, name_port);
        else if (*name && seen_before(errors, ports, i, "name", name))
            field_duplicate(errors, &name_at, value_string(errors->arena, name));
        if (number == 0)
            field_required(errors, &number_at, "");
        else
            field_check_port(errors, &number_at, number);
        if (host)
            field_check_port(errors, &host_at, host);
        member_one_of(errors, port, "protocol", PROTOCOLS, &at);
    }
}

static void validate_field_ref(FieldErrors *errors, const Value *ref, const FieldPath *path) {
    field_ref_validate(errors, ref, false, path);
}

static void validate_resource_ref(FieldErrors *errors, const Value *ref, const FieldPath *path) {
    resource_ref_validate(errors, ref, false, path);
}

static void validate_key_ref(FieldErrors *errors, const Value *ref, const FieldPath *path) {
    FieldPath name_at = FIELD(path, "name"), key_at = FIELD(path, "key");
    field_check_name(errors, &name_at, text_of(ref, "name"), name_dns_subdomain);
    if (!*text_of(ref, "key"))
        field_required(errors, &key_at, "");
    else
        field_check_name(errors, &key_at, text_of(ref, "key"), name_config_key);
}

static void validate_file_ref(FieldErrors *errors, const Value *ref, const FieldPath *path) {
    FieldPath at = FIELD(path, "path");
    member_required(errors, ref, "key", path);
    member_name_if_set(errors, ref, "key", name_env_var, path);
    member_required(errors, ref, "volumeName", path);
    member_name_if_set(errors, ref, "volumeName", name_dns_label, path);
    member_required(errors, ref, "path", path);
    if (*text_of(ref, "path"))
        backsteps_validate(errors, text_of(ref, "path"), &at);
}

static void validate_value_from(FieldErrors *errors, const Value *variable, const FieldPath *path) {
    static const struct {
        const char *name;
        void (*check)(FieldErrors *, const Value *, const FieldPath *);
    } SOURCES[] = {{"fieldRef", validate_field_ref},
                   {"resourceFieldRef", validate_resource_ref},
                   {"configMapKeyRef", validate_key_ref},
                   {"secretKeyRef", validate_key_ref},
                   {"fileKeyRef", validate_file_ref}};
    const Value *from = value_get(variable, "valueFrom");
    size_t n = 0;
    if (!value_is(from, VALUE_OBJECT))
        return;
    for (size_t i = 0; i < ELEMENTSOF(SOURCES); i++) {
        const Value *source = value_get(from, SOURCES[i].name);
        FieldPath at = FIELD(path, SOURCES[i].name);
        if (!value_is(source, VALUE_OBJECT))
            continue;
        n++;
        SOURCES[i].check(errors, source, &at);
    }
    if (n == 0)
        field_invalid_str(
            errors, path, "",
            "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`");
    else if (*text_of(variable, "value"))
        field_invalid_str(errors, path, "", "may not be specified when `value` is not empty");
    else if (n > 1)
        field_invalid_str(errors, path, "", "may not have more than one field specified at a time");
}

static void validate_env(FieldErrors *errors, const Value *container, const FieldPath *path) {
    const Value *env = value_get(container, "env"), *from = value_get(container, "envFrom");
    FieldPath env_at = FIELD(path, "env"), from_at = FIELD(path, "envFrom");
    for (size_t i = 0; i < value_len(env); i++) {
        const Value *variable = value_at(env, i);
        FieldPath at = FIELD_INDEX(&env_at, i), name = FIELD(&at, "name"), value_from = FIELD(&at, "valueFrom");
        member_required(errors, variable, "name", &at);
        if (*text_of(variable, "name"))
            field_check_name(errors, &name, text_of(variable, "name"), name_env_var);
        validate_value_from(errors, variable, &value_from);
    }
    for (size_t i = 0; i < value_len(from); i++) {
        const Value *source = value_at(from, i), *map = value_get(source, "configMapRef"),
                    *secret = value_get(source, "secretRef");
        FieldPath at = FIELD_INDEX(&from_at, i), prefix = FIELD(&at, "prefix"), map_at = FIELD(&at, "configMapRef"),
                  secret_at = FIELD(&at, "secretRef");
        if (*text_of(source, "prefix"))
            field_check_name(errors, &prefix, text_of(source, "prefix"), name_env_var);
        if (map) {
            member_required(errors, map, "name", &map_at);
            member_name_if_set(errors, map, "name", name_dns_subdomain, &map_at);
        }
        if (secret) {
            member_required(errors, secret, "name", &secret_at);
            member_name_if_set(errors, secret, "name", name_dns_subdomain, &secret_at);
        }
        if (!map && !secret)
            field_invalid_str(errors, &from_at, "", "must specify one of: `configMapRef` or `secretRef`");
        else if (map && secret)
            field_invalid_str(errors, &from_at, "", "may not have more than one field specified at a time");
    }
}

static void validate_propagation(FieldErrors *errors, const Value *container, const Value *mount,
                                 const FieldPath *mounts) {
    static const char *const MODES[] = {"Bidirectional", "HostToContainer", "None", NULL};
    const char *mode = value_get_str(mount, "mountPropagation");
    FieldPath at = FIELD(mounts, "mountPropagation");
    if (!mode)
        return;
    if (!str_in(mode, MODES))
        field_not_supported(errors, &at, value_string(errors->arena, mode), MODES);
    if (streq(mode, "Bidirectional") && !value_get_bool(value_get(container, "securityContext"), "privileged", false))
        field_forbidden(errors, &at, "Bidirectional mount propagation is available only to privileged containers");
}

static void validate_recursive_read_only(FieldErrors *errors, const Value *mount, const FieldPath *mounts) {
    static const char *const MODES[] = {"Disabled", "Enabled", "IfPossible", NULL};
    const char *mode = value_get_str(mount, "recursiveReadOnly"),
               *propagation = value_get_str(mount, "mountPropagation");
    FieldPath at = FIELD(mounts, "recursiveReadOnly");
    if (!mode || streq(mode, "Disabled"))
        return;
    if (!str_in(mode, MODES)) {
        field_not_supported(errors, &at, value_string(errors->arena, mode), MODES);
        return;
    }
    if (!value_get_bool(mount, "readOnly", false))
        field_forbidden(errors, &at, "may only be specified when readOnly is true");
    if (propagation && !streq(propagation, "None"))
        field_forbidden(errors, &at, "may only be specified when mountPropagation is None or not specified");
}

/* The paths that devices take. Of several devices with one name, which is an error of its own, the last counts. */
static StrMap *device_paths(const Value *devices) {
    _cleanup_(strmap_freep) StrMap *last = strmap_new(NULL);
    StrMap *paths = strmap_new(NULL);
    const Value *device;
    VALUE_FOREACH (device, devices)
        strmap_put(last, text_of(device, "name"), (void *)(uintptr_t)device);
    VALUE_FOREACH (device, devices)
        if (strmap_get(last, text_of(device, "name")) == device)
            strmap_add(paths, text_of(device, "devicePath"));
    return paths;
}

static void validate_mounts(const PodValidation *v, const Value *container, const FieldPath *path) {
    const Value *mounts = value_get(container, "volumeMounts"), *devices = value_get(container, "volumeDevices");
    FieldPath list = FIELD(path, "volumeMounts"), sub_path = FIELD(&list, "subPath"),
              sub_expr = FIELD(&list, "subPathExpr");
    FieldErrors *errors = v->errors;
    _cleanup_(strmap_freep) StrMap *taken = device_paths(devices);
    for (size_t i = 0; i < value_len(mounts); i++) {
        const Value *mount = value_at(mounts, i);
        const char *name = text_of(mount, "name"), *target = text_of(mount, "mountPath"),
                   *expr = text_of(mount, "subPathExpr");
        FieldPath at = FIELD_INDEX(&list, i), name_at = FIELD(&at, "name"), target_at = FIELD(&at, "mountPath"),
                  expr_at = FIELD(&at, "subPathExpr");
        member_required(errors, mount, "name", &at);
        if (!pod_volume(v, name))
            field_not_found(errors, &name_at, value_string(errors->arena, name));
        member_required(errors, mount, "mountPath", &at);
        if (seen_before(errors, mounts, i, "mountPath", target))
            field_invalid_str(errors, &target_at, target, "must be unique");
        if (seen_before(errors, devices, value_len(devices), "name", name))
            field_invalid_str(errors, &name_at, name, "must not already exist in volumeDevices");
        if (strmap_get(taken, target))
            field_invalid_str(errors, &target_at, target, "must not already exist as a path in volumeDevices");
        if (*text_of(mount, "subPath"))
            relative_path_validate(errors, text_of(mount, "subPath"), &sub_path);
        if (*expr) {
            if (*text_of(mount, "subPath"))
                field_invalid_str(errors, &expr_at, expr, "subPathExpr and subPath are mutually exclusive");
            relative_path_validate(errors, expr, &sub_expr);
        }
        validate_propagation(errors, container, mount, &list);
        validate_recursive_read_only(errors, mount, &list);
    }
}

static void validate_devices(const PodValidation *v, const Value *container, const FieldPath *path) {
    const Value *devices = value_get(container, "volumeDevices"), *mounts = value_get(container, "volumeMounts");
    FieldPath list = FIELD(path, "volumeDevices");
    for (size_t i = 0; i < value_len(devices); i++) {
        const Value *device = value_at(devices, i);
        const char *name = text_of(device, "name"), *target = text_of(device, "devicePath");
        const Value *volume = pod_volume(v, name);
        FieldPath at = FIELD_INDEX(&list, i), name_at = FIELD(&at, "name"), target_at = FIELD(&at, "devicePath");
        member_required(v->errors, device, "name", &at);
        if (seen_before(v->errors, devices, i, "name", name))
            field_invalid_str(v->errors, &name_at, name, "must be unique");
        if (volume && !value_get(volume, "persistentVolumeClaim") && !value_get(volume, "ephemeral"))
            field_invalid_str(v->errors, &name_at, name,
                              "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode");
        if (!volume)
            field_not_found(v->errors, &name_at, value_string(v->errors->arena, name));
        member_required(v->errors, device, "devicePath", &at);
        if (seen_before(v->errors, devices, i, "devicePath", target))
            field_invalid_str(v->errors, &target_at, target, "must be unique");
        if (strstr(target, ".."))
            field_invalid_str(v->errors, &target_at, target, "can not contain backsteps ('..')");
        if (seen_before(v->errors, mounts, value_len(mounts), "name", name))
            field_invalid_str(v->errors, &name_at, name, "must not already exist in volumeMounts");
        if (seen_before(v->errors, mounts, value_len(mounts), "mountPath", target))
            field_invalid_str(v->errors, &target_at, target, "must not already exist as a path in volumeMounts");
    }
}

static void validate_common(const PodValidation *v, const Value *container, const FieldPath *path) {
    static const char *const MESSAGES[] = {"File", "FallbackToLogsOnError", NULL}, *const PULL[] = {"Always",
                                                                                                    "IfNotPresent",
                                                                                                    "Never", NULL};
    FieldPath name = FIELD(path, "name"), ports = FIELD(path, "ports"), resources = FIELD(path, "resources");
    member_required(v->errors, container, "name", path);
    if (*text_of(container, "name"))
        field_check_name(v->errors, &name, text_of(container, "name"), name_dns_label);
    member_required(v->errors, container, "image", path);
    member_one_of(v->errors, container, "terminationMessagePolicy", MESSAGES, path);
    validate_ports(v->errors, value_get(container, "ports"), &ports);
    validate_env(v->errors, container, path);
    validate_mounts(v, container, path);
    validate_devices(v, container, path);
    member_one_of(v->errors, container, "imagePullPolicy", PULL, path);
    container_resize_policy_validate(v, container, path);
    resource_requirements_validate(v->errors, value_get(container, "resources"), &resources);
    container_claims_validate(v, value_get(container, "resources"), &resources);
    container_security_validate(v, container, path);
}

static void duplicate_name(FieldErrors *errors, const Value *list, size_t i, const Value *others,
                           const FieldPath *path) {
    const char *name = text_of(value_at(list, i), "name");
    FieldPath at = FIELD(path, "name");
    if (seen_before(errors, list, i, "name", name) || seen_before(errors, others, value_len(others), "name", name))
        field_duplicate(errors, &at, value_string(errors->arena, name));
}

/* Host ports that two of these containers (from, to] claim. */
static void host_port_conflicts(FieldErrors *errors, const Value *containers, size_t from, size_t to,
                                const FieldPath *path) {
    _cleanup_(strmap_freep) StrMap *seen = strmap_new(NULL);
    for (size_t c = from; c < to; c++) {
        const Value *ports = value_get(value_at(containers, c), "ports");
        FieldPath container = FIELD_INDEX(path, c - from), list = FIELD(&container, "ports");
        for (size_t i = 0; i < value_len(ports); i++) {
            const Value *port = value_at(ports, i);
            int64_t host = value_get_int(port, "hostPort", 0);
            FieldPath at = FIELD_INDEX(&list, i), host_at = FIELD(&at, "hostPort");
            if (!host)
                continue;
            char *key =
                arena_printf(errors->arena, "%s/%s/%" PRId64, text_of(port, "protocol"), text_of(port, "hostIP"), host);
            if (!strmap_add(seen, key))
                field_duplicate(errors, &host_at, value_string(errors->arena, key));
        }
    }
}

static void validate_init_only(FieldErrors *errors, const Value *container, const FieldPath *path) {
    static const char *const NOT_FOR_INIT[] = {"lifecycle", "livenessProbe", "readinessProbe", "startupProbe"};
    for (size_t i = 0; i < ELEMENTSOF(NOT_FOR_INIT); i++) {
        FieldPath at = FIELD(path, NOT_FOR_INIT[i]);
        if (value_get(container, NOT_FOR_INIT[i]))
            field_forbidden(errors, &at, "may not be set for init containers without restartPolicy=Always");
    }
}

static void validate_init_containers(const PodValidation *v, const FieldPath *spec) {
    const Value *list = value_get(v->spec, "initContainers"), *regular = value_get(v->spec, "containers");
    FieldPath path = FIELD(spec, "initContainers");
    for (size_t i = 0; i < value_len(list); i++) {
        const Value *container = value_at(list, i);
        const char *restart = value_get_str(container, "restartPolicy");
        FieldPath at = FIELD_INDEX(&path, i);
        validate_common(v, container, &at);
        container_restart_validate(v->errors, container, &at);
        /* As in the reference, one without a name counts where a regular container has none either. */
        if (*text_of(container, "name") || seen_before(v->errors, regular, value_len(regular), "name", ""))
            duplicate_name(v->errors, list, i, regular, &at);
        host_port_conflicts(v->errors, list, i, i + 1, &path);
        if (restart && streq(restart, "Always"))
            container_handlers_validate(v, container, &at);
        else
            validate_init_only(v->errors, container, &at);
    }
}

/* All that is not for containers that only help to look into a pod, in the order of the Go struct. */
static void validate_ephemeral_only(FieldErrors *errors, const Value *container, const FieldPath *path) {
    static const char *const NOT_ALLOWED[] = {"ports",          "resources",          "resizePolicy",
                                              "restartPolicy",  "restartPolicyRules", "livenessProbe",
                                              "readinessProbe", "startupProbe",       "lifecycle"};
    static const char *const SUB_PATHS[] = {"subPath", "subPathExpr"};
    const Value *mounts = value_get(container, "volumeMounts");
    FieldPath mounts_at = FIELD(path, "volumeMounts");
    for (size_t k = 0; k < ELEMENTSOF(NOT_ALLOWED); k++) {
        FieldPath at = FIELD(path, NOT_ALLOWED[k]);
        if (!value_is_empty(value_get(container, NOT_ALLOWED[k])))
            field_forbidden(errors, &at, "cannot be set for an Ephemeral Container");
    }
    for (size_t i = 0; i < value_len(mounts); i++)
        for (size_t k = 0; k < ELEMENTSOF(SUB_PATHS); k++) {
            FieldPath mount = FIELD_INDEX(&mounts_at, i), at = FIELD(&mount, SUB_PATHS[k]);
            if (*text_of(value_at(mounts, i), SUB_PATHS[k]))
                field_forbidden(errors, &at, "cannot be set for an Ephemeral Container");
        }
}

static void validate_ephemeral_containers(const PodValidation *v, const FieldPath *spec) {
    const Value *list = value_get(v->spec, "ephemeralContainers"), *regular = value_get(v->spec, "containers"),
                *init = value_get(v->spec, "initContainers");
    FieldPath path = FIELD(spec, "ephemeralContainers");
    for (size_t i = 0; i < value_len(list); i++) {
        const Value *container = value_at(list, i);
        const char *target = text_of(container, "targetContainerName");
        FieldPath at = FIELD_INDEX(&path, i), target_at = FIELD(&at, "targetContainerName");
        validate_common(v, container, &at);
        bool is_regular = seen_before(v->errors, regular, value_len(regular), "name", text_of(container, "name"));
        duplicate_name(v->errors, list, i, is_regular ? regular : init, &at);
        if (*target && !seen_before(v->errors, regular, value_len(regular), "name", target) &&
            !seen_before(v->errors, init, value_len(init), "name", target))
            field_not_found(v->errors, &target_at, value_string(v->errors->arena, target));
        validate_ephemeral_only(v->errors, container, &at);
    }
}

void pod_containers_validate(const PodValidation *v, const FieldPath *spec) {
    const Value *list = value_get(v->spec, "containers");
    FieldPath path = FIELD(spec, "containers");
    if (!value_len(list))
        field_required(v->errors, &path, "");
    for (size_t i = 0; i < value_len(list); i++) {
        FieldPath at = FIELD_INDEX(&path, i);
        validate_common(v, value_at(list, i), &at);
        duplicate_name(v->errors, list, i, NULL, &at);
        container_handlers_validate(v, value_at(list, i), &at);
        container_restart_validate(v->errors, value_at(list, i), &at);
    }
    host_port_conflicts(v->errors, list, 0, value_len(list), &path);
    validate_init_containers(v, spec);
    validate_ephemeral_containers(v, spec);
}
