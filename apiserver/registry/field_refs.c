/* References to fields and resources of a pod, in environment variables and downward API volumes. */
#include <ctype.h>

#include "api/quantity.h"
#include "apiserver/registry/pod_validate.h"
#include "apiserver/registry/validate_util.h"

/* "metadata.labels['key']" in its parts; false when there is no subscript. */
static bool split_subscript(Arena *arena, const char *text, char **ret_path, char **ret_key) {
    const char *bracket = strchr(text, '[');
    size_t n = strlen(text);
    if (!bracket || bracket == text || n < 5 || !streq(text + n - 2, "']") || bracket[1] != '\'' ||
        bracket + 4 > text + n)
        return false;
    *ret_path = arena_strndup(arena, text, (size_t)(bracket - text));
    *ret_key = arena_strndup(arena, bracket + 2, n - (size_t)(bracket - text) - 4);
    return true;
}

static const char *conversion_error(Arena *arena, const char *version, const char *text, const char *path) {
    static const char *const PLAIN[] = {
        "metadata.annotations", "metadata.labels", "metadata.name",      "metadata.namespace",
        "metadata.uid",         "spec.nodeName",   "spec.restartPolicy", "spec.serviceAccountName",
        "spec.schedulerName",   "status.phase",    "status.hostIP",      "status.hostIPs",
        "status.podIP",         "status.podIPs",   "spec.host",          NULL};
    if (!streq(version, "v1"))
        return arena_printf(arena, "unsupported pod version: %s", version);
    if (path)
        return streq(path, "metadata.annotations") || streq(path, "metadata.labels")
                   ? NULL
                   : arena_printf(arena, "field label does not support subscript: %s", text);
    return str_in(text, PLAIN) ? NULL : arena_printf(arena, "field label not supported: %s", text);
}

void field_ref_validate(FieldErrors *errors, const Value *ref, bool volume, const FieldPath *path) {
    static const char *const OF_FILES[] = {"metadata.annotations", "metadata.labels", "metadata.name",
                                           "metadata.namespace",   "metadata.uid",    NULL};
    static const char *const OF_ENV[] = {
        "metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName",
        "status.hostIP", "status.hostIPs",     "status.podIP", "status.podIPs", NULL};
    const char *text = text_of(ref, "fieldPath"), *wrong;
    const char *const *supported = volume ? OF_FILES : OF_ENV;
    FieldPath at = FIELD(path, "fieldPath");
    char *base = NULL, *key = NULL;
    member_required(errors, ref, "apiVersion", path);
    if (!*text_of(ref, "apiVersion"))
        return;
    member_required(errors, ref, "fieldPath", path);
    if (!*text)
        return;
    split_subscript(errors->arena, text, &base, &key);
    wrong = conversion_error(errors->arena, text_of(ref, "apiVersion"), text, base);
    if (wrong)
        field_invalid_str(errors, &at, text, "error converting fieldPath: %s", wrong);
    else if (base) {
        for (char *p = key; streq(base, "metadata.annotations") && *p; p++)
            *p = (char)tolower((unsigned char)*p);
        field_check_name(errors, path, key, name_qualified);
    } else if (!str_in(streq(text, "spec.host") ? "spec.nodeName" : text, supported))
        field_not_supported(errors, &at, value_string(errors->arena, text), supported);
}

static void check_divisor(FieldErrors *errors, const char *resource, const char *divisor, const FieldPath *path) {
    static const char *const OF_BYTES[] = {"1",   "1k",  "1M",  "1G",  "1T",  "1P",  "1E",
                                           "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei", NULL};
    static const char *const OF_CPU[] = {"1m", "1", NULL};
    static const struct {
        const char *name, *shown;
    } BYTES[] = {{"memory", "memory"}, {"ephemeral-storage", "local ephemeral storage"}, {"hugepages-", "hugepages"}};
    const char *name = str_has_prefix(resource, "limits.")     ? resource + strlen("limits.")
                       : str_has_prefix(resource, "requests.") ? resource + strlen("requests.")
                                                               : "";
    FieldPath at = FIELD(path, "divisor");
    Quantity q;
    if (!*divisor || quantity_parse(divisor, &q) < 0 || quantity_sign(&q) == 0)
        return;
    if (streq(name, "cpu") && !str_in(divisor, OF_CPU))
        field_invalid_str(errors, &at, resource, "only divisor's values 1m and 1 are supported with the cpu resource");
    for (size_t i = 0; i < ELEMENTSOF(BYTES); i++)
        if ((i == 2 ? str_has_prefix(name, BYTES[i].name) : streq(name, BYTES[i].name)) && !str_in(divisor, OF_BYTES))
            field_invalid_str(
                errors, &at, resource,
                "only divisor's values 1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi, 1Ei are supported "
                "with the %s resource",
                BYTES[i].shown);
}

void resource_ref_validate(FieldErrors *errors, const Value *ref, bool volume, const FieldPath *path) {
    static const char *const SUPPORTED[] = {"limits.cpu",
                                            "limits.ephemeral-storage",
                                            "limits.memory",
                                            "requests.cpu",
                                            "requests.ephemeral-storage",
                                            "requests.memory",
                                            NULL};
    const char *resource = text_of(ref, "resource");
    FieldPath at = FIELD(path, "resource");
    if (volume && !*text_of(ref, "containerName"))
        member_required(errors, ref, "containerName", path);
    else if (!*resource)
        field_required(errors, &at, "");
    else if (!str_in(resource, SUPPORTED) && !str_has_prefix(resource, "limits.hugepages-") &&
             !str_has_prefix(resource, "requests.hugepages-"))
        field_not_supported(errors, &at, value_string(errors->arena, resource), SUPPORTED);
    check_divisor(errors, resource, text_of(ref, "divisor"), path);
}
