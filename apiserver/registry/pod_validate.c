#include "apiserver/registry/pod_validate.h"

#include "apiserver/registry/ip.h"
#include "apiserver/registry/validate_util.h"

#define DNS_NAMESERVERS_MAX 3
#define DNS_SEARCHES_MAX 32
#define DNS_SEARCH_CHARS_MAX 2048
#define SUBDOMAIN_MAX 253
#define HOSTNAME_OVERRIDE_MAX 64

static void check_ip(FieldErrors *errors, const FieldPath *path, const char *text) {
    ip_legacy_validate(errors, path, text, NULL);
}

static void check_dns_search(FieldErrors *errors, const FieldPath *path, const char *search) {
    size_t n = strlen(search);
    if (streq(search, "."))
        return;
    char *trimmed = arena_strndup(errors->arena, search, n && search[n - 1] == '.' ? n - 1 : n),
         *plain = arena_strdup(errors->arena, trimmed);
    /* Underscores are let pass in search paths: check the name with a letter in their place. */
    for (char *p = plain; *p; p++)
        *p = *p == '_' ? 'a' : *p;
    if (strlen(trimmed) > SUBDOMAIN_MAX)
        field_invalid_str(errors, path, trimmed, "must be no more than %d characters", SUBDOMAIN_MAX);
    else if (!name_is_valid(plain, name_dns_subdomain))
        field_invalid_str(
            errors, path, trimmed,
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', '-' or '.', and "
            "must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
            "'_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?(\\._?[a-z0-9]([-_a-z0-9]*[a-z0-9])?)*')");
}

static void validate_dns(const PodValidation *v, const FieldPath *path) {
    const Value *config = value_get(v->spec, "dnsConfig"), *servers = value_get(config, "nameservers");
    const Value *searches = value_get(config, "searches"), *options = value_get(config, "options");
    FieldPath at = FIELD(path, "dnsConfig"), servers_at = FIELD(&at, "nameservers"),
              searches_at = FIELD(&at, "searches"), options_at = FIELD(&at, "options");
    FieldErrors *errors = v->errors;
    if (streq(text_of(v->spec, "dnsPolicy"), "None")) {
        if (!value_is(config, VALUE_OBJECT)) {
            field_required(errors, &at, "must provide `dnsConfig` when `dnsPolicy` is None");
            return;
        }
        if (!value_len(servers)) {
            field_required(errors, &servers_at, "must provide at least one DNS nameserver when `dnsPolicy` is None");
            return;
        }
    }
    if (value_len(servers) > DNS_NAMESERVERS_MAX)
        field_invalid(errors, &servers_at, servers, "must not have more than %d nameservers", DNS_NAMESERVERS_MAX);
    for (size_t i = 0; i < value_len(servers); i++) {
        FieldPath server = FIELD_INDEX(&servers_at, i);
        check_ip(errors, &server, str_or(value_str(value_at(servers, i)), ""));
    }
    size_t chars = 0;
    for (size_t i = 0; i < value_len(searches); i++)
        chars += strlen(str_or(value_str(value_at(searches, i)), "")) + (i > 0);
    if (value_len(searches) > DNS_SEARCHES_MAX)
        field_invalid(errors, &searches_at, searches, "must not have more than %d search paths", DNS_SEARCHES_MAX);
    if (chars > DNS_SEARCH_CHARS_MAX)
        field_invalid(errors, &searches_at, searches,
                      "must not have more than %d characters (including spaces) in the search list",
                      DNS_SEARCH_CHARS_MAX);
    for (size_t i = 0; i < value_len(searches); i++) {
        FieldPath search = FIELD_INDEX(&searches_at, i);
        check_dns_search(errors, &search, str_or(value_str(value_at(searches, i)), ""));
    }
    for (size_t i = 0; i < value_len(options); i++) {
        FieldPath option = FIELD_INDEX(&options_at, i);
        if (!*text_of(value_at(options, i), "name"))
            field_required(errors, &option, "must not be empty");
    }
}

static void check_toleration_value(FieldErrors *errors, const Value *toleration, const FieldPath *path) {
    static const char *const OPERATORS[] = {"Equal", "Exists", NULL}, *const ALL[] = {"Equal", "Exists", "Lt", "Gt",
                                                                                      NULL};
    const char *op = text_of(toleration, "operator"), *value = text_of(toleration, "value");
    FieldPath at = FIELD(path, "operator");
    NameMessages messages = {.arena = errors->arena};
    if (!*op || streq(op, "Equal")) {
        name_label_value(value, &messages);
        if (messages.n)
            field_invalid_str(errors, &at, value, "%s", name_messages_text(&messages, ";"));
    } else if (streq(op, "Exists")) {
        if (*value)
            field_invalid_str(errors, &at, value, "value must be empty when `operator` is 'Exists'");
    } else
        field_not_supported(errors, &at, value_string(errors->arena, op),
                            streq(op, "Lt") || streq(op, "Gt") ? ALL : OPERATORS);
}

void tolerations_validate(FieldErrors *errors, const Value *list, const FieldPath *path) {
    static const char *const EFFECTS[] = {"NoSchedule", "PreferNoSchedule", "NoExecute", NULL};
    for (size_t i = 0; i < value_len(list); i++) {
        const Value *toleration = value_at(list, i);
        const char *key = text_of(toleration, "key"), *op = text_of(toleration, "operator"),
                   *effect = text_of(toleration, "effect");
        FieldPath at = FIELD_INDEX(path, i), op_at = FIELD(&at, "operator"), effect_at = FIELD(&at, "effect");
        member_name_if_set(errors, toleration, "key", name_qualified, &at);
        if (!*key && !streq(op, "Exists"))
            field_invalid_str(
                errors, &op_at, op,
                "operator must be Exists when `key` is empty, which means \"match all values and all keys\"");
        if (value_get(toleration, "tolerationSeconds") && !streq(effect, "NoExecute"))
            field_invalid_str(errors, &effect_at, effect, "effect must be 'NoExecute' when `tolerationSeconds` is set");
        check_toleration_value(errors, toleration, &at);
        if (*effect && !str_in(effect, EFFECTS))
            field_not_supported(errors, &effect_at, value_string(errors->arena, effect), EFFECTS);
    }
}

static void validate_host_aliases(const PodValidation *v, const FieldPath *path) {
    const Value *list = value_get(v->spec, "hostAliases");
    FieldPath list_at = FIELD(path, "hostAliases");
    for (size_t i = 0; i < value_len(list); i++) {
        const Value *names = value_get(value_at(list, i), "hostnames");
        FieldPath at = FIELD_INDEX(&list_at, i), ip = FIELD(&at, "ip"), names_at = FIELD(&at, "hostnames");
        check_ip(v->errors, &ip, text_of(value_at(list, i), "ip"));
        for (size_t j = 0; j < value_len(names); j++) {
            FieldPath name_at = FIELD_INDEX(&names_at, j);
            field_check_name(v->errors, &name_at, str_or(value_str(value_at(names, j)), ""), name_dns_subdomain);
        }
    }
}

static void validate_gates(const PodValidation *v, const FieldPath *path) {
    const Value *readiness = value_get(v->spec, "readinessGates"), *scheduling = value_get(v->spec, "schedulingGates");
    FieldPath readiness_at = FIELD(path, "readinessGates"), scheduling_at = FIELD(path, "schedulingGates");
    for (size_t i = 0; i < value_len(readiness); i++) {
        FieldPath at = FIELD_INDEX(&readiness_at, i), type = FIELD(&at, "conditionType");
        field_check_name(v->errors, &type, text_of(value_at(readiness, i), "conditionType"), name_qualified);
    }
    for (size_t i = 0; i < value_len(scheduling); i++) {
        const char *name = text_of(value_at(scheduling, i), "name");
        FieldPath at = FIELD_INDEX(&scheduling_at, i);
        field_check_name(v->errors, &at, name, name_qualified);
        if (seen_before(v->errors, scheduling, i, "name", name))
            field_duplicate(v->errors, &at, value_string(v->errors->arena, name));
    }
}

/* With host networking, a container's ports are the host's: pods must say so; in templates they may yet be unsaid. */
static void validate_host_network(const PodValidation *v, const FieldPath *path) {
    const Value *containers = value_get(v->spec, "containers");
    FieldPath list = FIELD(path, "containers");
    for (size_t c = 0; value_get_bool(v->spec, "hostNetwork", false) && c < value_len(containers); c++) {
        const Value *ports = value_get(value_at(containers, c), "ports");
        FieldPath container = FIELD_INDEX(&list, c), ports_at = FIELD(&container, "ports");
        for (size_t i = 0; i < value_len(ports); i++) {
            int64_t host = value_get_int(value_at(ports, i), "hostPort", 0),
                    own = value_get_int(value_at(ports, i), "containerPort", 0);
            FieldPath at = FIELD_INDEX(&ports_at, i), host_at = FIELD(&at, "hostPort");
            if (host != own && (host || !v->is_template))
                field_invalid(v->errors, &host_at, value_int(v->errors->arena, host),
                              "must match `containerPort` when `hostNetwork` is true");
        }
    }
}

static void validate_identity(const PodValidation *v, const FieldPath *path) {
    FieldErrors *errors = v->errors;
    const Value *deadline = value_get(v->spec, "activeDeadlineSeconds");
    FieldPath deadline_at = FIELD(path, "activeDeadlineSeconds"), tolerations = FIELD(path, "tolerations");
    member_name_if_set(errors, v->spec, "serviceAccountName", name_dns_subdomain, path);
    member_name_if_set(errors, v->spec, "nodeName", name_dns_subdomain, path);
    if (deadline)
        field_check_range(errors, &deadline_at, deadline->integer, 1, INT32_MAX);
    member_name_if_set(errors, v->spec, "hostname", name_dns_label, path);
    member_name_if_set(errors, v->spec, "subdomain", name_dns_label, path);
    tolerations_validate(errors, value_get(v->spec, "tolerations"), &tolerations);
    validate_host_aliases(v, path);
    member_name_if_set(errors, v->spec, "priorityClassName", name_dns_subdomain, path);
    member_name_if_set(errors, v->spec, "runtimeClassName", name_dns_subdomain, path);
}

static void validate_policies(const PodValidation *v, const FieldPath *path) {
    static const char *const PREEMPTION[] = {"PreemptLowerPriority", "Never", NULL};
    FieldPath overhead_at = FIELD(path, "overhead");
    if (value_get(v->spec, "preemptionPolicy"))
        member_one_of(v->errors, v->spec, "preemptionPolicy", PREEMPTION, path);
    if (value_get(v->spec, "overhead")) {
        Value *limits = value_object(v->errors->arena);
        value_set(v->errors->arena, limits, "limits", value_get(v->spec, "overhead"));
        resource_requirements_validate(v->errors, limits, &overhead_at);
    }
    os_validate(v, path);
}

static void validate_hostname(const PodValidation *v, const FieldPath *path) {
    const char *name = value_get_str(v->spec, "hostnameOverride");
    FieldPath at = FIELD(path, "hostnameOverride");
    if (!name)
        return;
    if (value_get_bool(v->spec, "setHostnameAsFQDN", false))
        field_forbidden(v->errors, &at, "may not be specified when setHostnameAsFQDN is true");
    if (value_get_bool(v->spec, "hostNetwork", false))
        field_forbidden(v->errors, &at, "may not be specified when hostNetwork is true");
    if (strlen(name) > HOSTNAME_OVERRIDE_MAX)
        field_too_long(v->errors, &at, HOSTNAME_OVERRIDE_MAX);
    field_check_name(v->errors, &at, name, name_dns_subdomain);
}

/* Environment variables from files: those are in emptyDir volumes. */
static void validate_file_refs(const PodValidation *v, const FieldPath *path) {
    static const char *const LISTS[] = {"initContainers", "containers", "ephemeralContainers"};
    for (size_t l = 0; l < ELEMENTSOF(LISTS); l++) {
        const Value *list = value_get(v->spec, LISTS[l]);
        FieldPath list_at = FIELD(path, LISTS[l]);
        for (size_t c = 0; c < value_len(list); c++) {
            const Value *env = value_get(value_at(list, c), "env");
            FieldPath container = FIELD_INDEX(&list_at, c), env_at = FIELD(&container, "env");
            for (size_t i = 0; i < value_len(env); i++) {
                const Value *ref = value_path(value_at(env, i), "valueFrom", "fileKeyRef", NULL);
                const char *name = text_of(ref, "volumeName");
                FieldPath at = FIELD_INDEX(&env_at, i), from = FIELD(&at, "valueFrom"),
                          key = FIELD(&from, "fileKeyRef"), volume_at = FIELD(&key, "volumeName");
                const Value *volume = ref ? pod_volume(v, name) : NULL;
                if (ref && !volume)
                    field_not_found(v->errors, &volume_at, value_string(v->errors->arena, name));
                else if (ref && !value_get(volume, "emptyDir"))
                    field_invalid_str(v->errors, &volume_at, name, "referenced volume must be of type emptyDir");
            }
        }
    }
}

void pod_spec_validate(const PodValidation *validation, const FieldPath *path) {
    static const char *const RESTART[] = {"Always", "OnFailure", "Never", NULL};
    static const char *const DNS[] = {"ClusterFirstWithHostNet", "ClusterFirst", "Default", "None", NULL};
    FieldPath volumes = FIELD(path, "volumes"), selector = FIELD(path, "nodeSelector"),
              affinity = FIELD(path, "affinity");
    FieldPath spread = FIELD(path, "topologySpreadConstraints");
    FieldErrors *errors = validation->errors;
    PodValidation with_volumes = *validation, *v = &with_volumes;
    v->volumes = value_array(errors->arena);
    pod_volumes_validate(v, &volumes);
    pod_claims_validate(v, path);
    pod_containers_validate(v, path);
    pod_resources_validate(v, path);
    validate_host_network(v, path);
    member_one_of(errors, v->spec, "restartPolicy", RESTART, path);
    member_one_of(errors, v->spec, "dnsPolicy", DNS, path);
    field_check_labels(errors, &selector, value_get(v->spec, "nodeSelector"));
    pod_security_validate(v, path);
    pod_affinity_validate(errors, value_get(v->spec, "affinity"), &affinity);
    validate_dns(v, path);
    validate_gates(v, path);
    pod_spread_validate(errors, value_get(v->spec, "topologySpreadConstraints"), &spread);
    host_process_validate(v, path);
    host_users_validate(v, path);
    validate_hostname(v, path);
    validate_identity(v, path);
    validate_policies(v, path);
    validate_file_refs(v, path);
}

void pod_template_validate(FieldErrors *errors, const Value *template, const FieldPath *path) {
    const Value *metadata = value_get(template, "metadata"), *annotations = value_get(metadata, "annotations");
    FieldPath labels = FIELD(path, "labels"), annotations_at = FIELD(path, "annotations");
    FieldPath spec = FIELD(path, "spec"), ephemeral = FIELD(&spec, "ephemeralContainers");
    PodValidation v = {
        .errors = errors, .spec = value_get(template, "spec"), .metadata = metadata, .is_template = true};
    v.spec = v.spec ? v.spec : value_object(errors->arena);
    field_check_labels(errors, &labels, value_get(metadata, "labels"));
    annotations_validate(errors, annotations, &annotations_at);
    pod_annotations_validate(errors, metadata, v.spec, &annotations_at);
    pod_spec_validate(&v, &spec);
    pod_profiles_match_validate(errors, metadata, v.spec, &spec);
    if (value_len(value_get(v.spec, "ephemeralContainers")))
        field_forbidden(errors, &ephemeral, "ephemeral containers not allowed in pod template");
}
