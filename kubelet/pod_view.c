#include "kubelet/pod_view.h"

#include "base/str.h"

#define MIRROR_ANNOTATION "kubernetes.io/config.mirror"

static const char *meta(const Value *pod, const char *name) {
    return str_or(value_get_str(value_get(pod, "metadata"), name), "");
}
const char *pod_ns(const Value *pod) {
    return meta(pod, "namespace");
}
const char *pod_name(const Value *pod) {
    return meta(pod, "name");
}
const char *pod_uid(const Value *pod) {
    return meta(pod, "uid");
}

const Value *pod_containers_of(const Value *pod, ContainerKind kind) {
    return kind == CONTAINER_INIT        ? pod_init_containers(pod)
           : kind == CONTAINER_EPHEMERAL ? pod_ephemeral_containers(pod)
                                         : pod_containers(pod);
}

const Value *pod_find_container(const Value *pod, const char *name, ContainerKind *ret_kind) {
    for (ContainerKind kind = CONTAINER_REGULAR; kind <= CONTAINER_EPHEMERAL; kind++) {
        const Value *list = pod_containers_of(pod, kind), *c;
        VALUE_FOREACH (c, list)
            if (streq_null(value_get_str(c, "name"), name)) {
                if (ret_kind)
                    *ret_kind = kind;
                return c;
            }
    }
    return NULL;
}

bool container_is_sidecar(const Value *container) {
    return streq_null(value_get_str(container, "restartPolicy"), "Always");
}

/* The action of the first restart rule that the exit code matches; NULL when none does. */
static const char *restart_rule_action(const Value *container, int exit_code) {
    const Value *rules = value_get(container, "restartPolicyRules"), *rule;
    VALUE_FOREACH (rule, rules) {
        const Value *codes = value_get(rule, "exitCodes"), *code;
        bool in = false;
        VALUE_FOREACH (code, value_get(codes, "values"))
            if (value_is(code, VALUE_INT) && code->integer == exit_code)
                in = true;
        const char *operator= str_or(value_get_str(codes, "operator"), "In");
        if (streq(operator, "In") ? in : streq(operator, "NotIn") && !in)
            return str_or(value_get_str(rule, "action"), "Restart");
    }
    return NULL;
}

bool container_should_restart(const Value *pod, const Value *container, int exit_code) {
    const char *own = value_get_str(container, "restartPolicy");
    if (own) {
        const char *action = restart_rule_action(container, exit_code);
        if (action)
            return streq(action, "Restart") || streq(action, "RestartAllContainers");
    }
    const char *policy = str_or(own, pod_restart_policy(pod));
    if (streq(policy, "Always"))
        return true;
    return streq(policy, "OnFailure") && exit_code != 0;
}

const char *pod_restart_policy(const Value *pod) {
    return str_or(value_get_str(value_get(pod, "spec"), "restartPolicy"), "Always");
}
bool pod_host_network(const Value *pod) {
    return value_get_bool(value_get(pod, "spec"), "hostNetwork", false);
}
bool pod_is_deleting(const Value *pod) {
    return !value_is_empty(value_path(pod, "metadata", "deletionTimestamp", NULL));
}
int64_t pod_grace_seconds(const Value *pod) {
    int64_t configured = value_get_int(value_get(pod, "spec"), "terminationGracePeriodSeconds", 30);
    return value_get_int(value_get(pod, "metadata"), "deletionGracePeriodSeconds", configured);
}
bool phase_is_terminal(const char *phase) {
    return phase && (streq(phase, "Succeeded") || streq(phase, "Failed"));
}
bool pod_is_static(const Value *pod) {
    const Value *annotations = value_path(pod, "metadata", "annotations", NULL);
    return streq_null(value_get_str(annotations, "kubernetes.io/config.source"), "file");
}

bool pod_is_critical(const Value *pod) {
    return pod_is_static(pod) || value_get(value_path(pod, "metadata", "annotations", NULL), MIRROR_ANNOTATION) ||
           value_get_int(value_get(pod, "spec"), "priority", 0) >= SYSTEM_CRITICAL_PRIORITY;
}

char *container_hash(Arena *arena, const Value *container) {
    uint32_t h = 2166136261u; /* FNV-1a: must be the same in the next process, so not hash_bytes */
    const char *parts[] = {value_get_str(container, "name"), value_get_str(container, "image")};
    for (size_t i = 0; i < ELEMENTSOF(parts); i++) {
        for (const char *p = str_or(parts[i], ""); *p; p++)
            h = (h ^ (uint8_t)*p) * 16777619u;
        h = (h ^ 0xff) * 16777619u;
    }
    return arena_printf(arena, "%08x", h);
}

char *container_field_path(Arena *arena, const Value *pod, const char *name) {
    ContainerKind kind = CONTAINER_REGULAR;
    if (!pod_find_container(pod, name, &kind))
        return NULL;
    const char *list = kind == CONTAINER_INIT        ? "initContainers"
                       : kind == CONTAINER_EPHEMERAL ? "ephemeralContainers"
                                                     : "containers";
    return arena_printf(arena, "spec.%s{%s}", list, name);
}

char *pod_format(Arena *arena, const Value *pod) {
    return arena_printf(arena, "%s_%s(%s)", pod_name(pod), pod_ns(pod), pod_uid(pod));
}

const Value *status_find(const Value *list, const char *name) {
    const Value *s;
    VALUE_FOREACH (s, list)
        if (streq_null(value_get_str(s, "name"), name))
            return s;
    return NULL;
}

const Value *condition_find(const Value *conditions, const char *type) {
    const Value *c;
    VALUE_FOREACH (c, conditions)
        if (streq_null(value_get_str(c, "type"), type))
            return c;
    return NULL;
}

uint16_t container_port(const Value *container, const Value *v) {
    int64_t number = 0;
    if (value_is(v, VALUE_INT))
        number = v->integer;
    else if (value_is(v, VALUE_STRING) && str_to_int64(v->string, &number) < 0) {
        const Value *p;
        VALUE_FOREACH (p, value_get(container, "ports"))
            if (streq_null(value_get_str(p, "name"), v->string))
                number = value_get_int(p, "containerPort", 0);
    }
    return number > 0 && number < 65536 ? (uint16_t)number : 0;
}
