/* Probes and lifecycle hooks. */
#include "apiserver/registry/pod_validate.h"

#include <inttypes.h>

#include "apiserver/registry/validate_util.h"

void port_number_or_name_validate(FieldErrors *errors, const Value *port, const FieldPath *path) {
    if (value_is(port, VALUE_STRING))
        field_check_name(errors, path, port->string, name_port);
    else
        field_check_port(errors, path, value_is(port, VALUE_INT) ? port->integer : 0);
}

static void check_exec(_unused_ const PodValidation *v, FieldErrors *errors, const Value *action,
                       const FieldPath *path) {
    FieldPath at = FIELD(path, "command");
    if (!value_len(value_get(action, "command")))
        field_required(errors, &at, "");
}

static void check_http(_unused_ const PodValidation *v, FieldErrors *errors, const Value *action,
                       const FieldPath *path) {
    static const char *const SCHEMES[] = {"HTTP", "HTTPS", NULL};
    FieldPath url = FIELD(path, "path"), port = FIELD(path, "port"), scheme = FIELD(path, "scheme"),
              headers = FIELD(path, "httpHeaders");
    const Value *header;
    if (!*text_of(action, "path"))
        field_required(errors, &url, "");
    port_number_or_name_validate(errors, value_get(action, "port"), &port);
    if (!str_in(text_of(action, "scheme"), SCHEMES))
        field_not_supported(errors, &scheme, value_string(errors->arena, text_of(action, "scheme")), SCHEMES);
    VALUE_FOREACH (header, value_get(action, "httpHeaders"))
        field_check_name(errors, &headers, text_of(header, "name"), name_http_header);
}

static void check_port_action(_unused_ const PodValidation *v, FieldErrors *errors, const Value *action,
                              const FieldPath *path) {
    FieldPath port = FIELD(path, "port");
    port_number_or_name_validate(errors, value_get(action, "port"), &port);
}

static void check_sleep(const PodValidation *v, FieldErrors *errors, const Value *action, const FieldPath *path) {
    int64_t seconds = value_get_int(action, "seconds", 0),
            grace = value_get_int(v->spec, "terminationGracePeriodSeconds", 0);
    if (seconds < 0 || seconds > grace)
        field_invalid(errors, path, value_int(errors->arena, seconds),
                      "must be non-negative and less than terminationGracePeriodSeconds (%" PRId64 ")", grace);
}

static void validate_handler(const PodValidation *v, const Value *handler, const FieldPath *path) {
    static const struct {
        const char *name;
        void (*check)(const PodValidation *, FieldErrors *, const Value *, const FieldPath *);
    } KINDS[] = {{"exec", check_exec},
                 {"httpGet", check_http},
                 {"tcpSocket", check_port_action},
                 {"grpc", check_port_action},
                 {"sleep", check_sleep}};
    size_t n = 0;
    for (size_t i = 0; i < ELEMENTSOF(KINDS); i++) {
        const Value *action = value_get(handler, KINDS[i].name);
        FieldPath at = FIELD(path, KINDS[i].name);
        if (!value_is(action, VALUE_OBJECT))
            continue;
        if (n++)
            field_forbidden(v->errors, &at, "may not specify more than 1 handler type");
        else
            KINDS[i].check(v, v->errors, action, &at);
    }
    if (n == 0)
        field_required(v->errors, path, "must specify a handler type");
}

static void validate_probe(const PodValidation *v, const Value *container, const char *name,
                           const FieldPath *container_path) {
    static const char *const NUMBERS[] = {"initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold",
                                          "failureThreshold"};
    const Value *probe = value_get(container, name), *grace = value_get(probe, "terminationGracePeriodSeconds");
    FieldPath path = FIELD(container_path, name), success = FIELD(&path, "successThreshold"),
              grace_at = FIELD(&path, "terminationGracePeriodSeconds");
    bool readiness = streq(name, "readinessProbe");
    if (!value_is(probe, VALUE_OBJECT))
        return;
    validate_handler(v, probe, &path);
    for (size_t i = 0; i < ELEMENTSOF(NUMBERS); i++)
        member_nonnegative(v->errors, probe, NUMBERS[i], &path);
    if (grace && grace->integer <= 0)
        field_invalid(v->errors, &grace_at, grace, "must be greater than 0");
    if (!readiness && value_get_int(probe, "successThreshold", 1) != 1)
        field_invalid(v->errors, &success, value_get(probe, "successThreshold"), "must be 1");
    if (readiness && grace)
        field_invalid(v->errors, &grace_at, grace, "must not be set for readinessProbes");
}

static void validate_stop_signal(const PodValidation *v, const Value *lifecycle, const FieldPath *path) {
    FieldPath at = FIELD(path, "stopSignal");
    if (value_get(lifecycle, "stopSignal") && !*text_of(value_get(v->spec, "os"), "name"))
        field_forbidden(v->errors, &at, "may not be set for containers with empty `spec.os.name`");
}

void container_handlers_validate(const PodValidation *v, const Value *container, const FieldPath *path) {
    const Value *lifecycle = value_get(container, "lifecycle");
    FieldPath at = FIELD(path, "lifecycle"), start = FIELD(&at, "postStart"), stop = FIELD(&at, "preStop");
    if (value_get(lifecycle, "postStart"))
        validate_handler(v, value_get(lifecycle, "postStart"), &start);
    if (value_get(lifecycle, "preStop"))
        validate_handler(v, value_get(lifecycle, "preStop"), &stop);
    validate_stop_signal(v, lifecycle, &at);
    validate_probe(v, container, "livenessProbe", path);
    validate_probe(v, container, "readinessProbe", path);
    validate_probe(v, container, "startupProbe", path);
}
