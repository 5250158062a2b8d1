/* Annotations of pods that have a meaning of their own. */
#include <ctype.h>

#include "apiserver/registry/pod_validate.h"
#include "apiserver/registry/validate_util.h"

#define MIRROR "kubernetes.io/config.mirror"
#define DELETION_COST "controller.kubernetes.io/pod-deletion-cost"
#define SECCOMP_POD "seccomp.security.alpha.kubernetes.io/pod"
#define SECCOMP_CONTAINER "container.seccomp.security.alpha.kubernetes.io/"
#define APPARMOR "container.apparmor.security.beta.kubernetes.io/"

/* A whole number of 32 bits, as strconv writes it: no sign of plus, no leading zeros. */
static bool is_cost(const char *text) {
    const char *digits = *text == '-' ? text + 1 : text;
    int64_t n;
    if (!isdigit((unsigned char)*digits) || (*digits == '0' && text[1]))
        return false;
    return str_to_int64(text, &n) == 0 && n >= INT32_MIN && n <= INT32_MAX;
}

static void check_seccomp(FieldErrors *errors, const char *profile, const FieldPath *path) {
    if (streq(profile, "runtime/default") || streq(profile, "docker/default") || streq(profile, "unconfined"))
        return;
    if (str_has_prefix(profile, "localhost/"))
        relative_path_validate(errors, profile + strlen("localhost/"), path);
    else
        field_invalid_str(errors, path, profile, "must be a valid seccomp profile");
}

static void check_apparmor(FieldErrors *errors, const Value *spec, const Member *annotation, const FieldPath *path) {
    static const char *const LISTS[] = {"initContainers", "containers", "ephemeralContainers"};
    const char *container = annotation->name + strlen(APPARMOR), *profile = str_or(value_str(annotation->value), "");
    FieldPath at = FIELD_KEY(path, annotation->name);
    bool known = false;
    for (size_t i = 0; i < ELEMENTSOF(LISTS); i++)
        known |= seen_before(value_get(spec, LISTS[i]), value_len(value_get(spec, LISTS[i])), "name", container);
    if (!known)
        field_invalid_str(errors, &at, container, "container not found");
    if (*profile && !streq(profile, "runtime/default") && !streq(profile, "unconfined") &&
        !str_has_prefix(profile, "localhost/"))
        field_invalid_str(errors, &at, profile, "invalid AppArmor profile name: %s",
                          go_quoted(errors->arena, profile));
}

void pod_annotations_validate(FieldErrors *errors, const Value *metadata, const Value *spec, const FieldPath *path) {
    const Value *annotations = value_get(metadata, "annotations");
    const char *mirror = value_get_str(annotations, MIRROR), *cost = value_get_str(annotations, DELETION_COST),
               *seccomp = value_get_str(annotations, SECCOMP_POD);
    FieldPath mirror_at = FIELD_KEY(path, MIRROR), cost_at = FIELD_KEY(path, DELETION_COST),
              seccomp_at = FIELD(path, SECCOMP_POD);
    if (mirror && !*text_of(spec, "nodeName"))
        field_invalid_str(errors, &mirror_at, mirror, "must set spec.nodeName if mirror pod annotation is set");
    if (cost && !is_cost(cost))
        field_invalid_str(errors, &cost_at, cost, "must be a 32bit integer");
    if (seccomp)
        check_seccomp(errors, seccomp, &seccomp_at);
    VALUE_FOREACH_MEMBER (member, annotations) {
        FieldPath at = FIELD(path, member->name);
        if (str_has_prefix(member->name, SECCOMP_CONTAINER))
            check_seccomp(errors, str_or(value_str(member->value), ""), &at);
        if (str_has_prefix(member->name, APPARMOR))
            check_apparmor(errors, spec, member, path);
    }
}
