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
        known |=
            seen_before(errors, value_get(spec, LISTS[i]), value_len(value_get(spec, LISTS[i])), "name", container);
    if (!known)
        field_invalid_str(errors, &at, container, "container not found");
    if (*profile && !streq(profile, "runtime/default") && !streq(profile, "unconfined") &&
        !str_has_prefix(profile, "localhost/"))
        field_invalid_str(errors, &at, profile, "invalid AppArmor profile name: %s", go_quoted(errors->arena, profile));
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

/* ---- annotations of before that say the same as fields ---- */

static void must_match(FieldErrors *errors, const Value *profile, const char *annotation, const char *what,
                       const char *const *defaults, const FieldPath *path) {
    const char *type = text_of(profile, "type"), *local = value_get_str(profile, "localhostProfile");
    FieldPath type_at = FIELD(path, "type"), local_at = FIELD(path, "localhostProfile");
    bool same = true;
    if (streq(type, "Unconfined"))
        same = streq(annotation, "unconfined");
    else if (streq(type, "RuntimeDefault"))
        same = str_in(annotation, defaults);
    else if (streq(type, "Localhost"))
        same = str_has_prefix(annotation, "localhost/");
    if (!same)
        field_forbidden(errors, &type_at, "%s type in annotation and field must match", what);
    else if (streq(type, "Localhost") && (!local || !streq(local, annotation + strlen("localhost/"))))
        field_forbidden(errors, &local_at, "%s profile in annotation and field must match", what);
}

static void match_container(FieldErrors *errors, const Value *annotations, const Value *spec, const Value *container,
                            bool apparmor, const FieldPath *path) {
    static const char *const SECCOMP_DEFAULTS[] = {"runtime/default", "docker/default", NULL},
                             *const APPARMOR_DEFAULTS[] = {"runtime/default", NULL};
    const char *member = apparmor ? "appArmorProfile" : "seccompProfile";
    const Value *profile = value_path(container, "securityContext", member, NULL);
    const char *annotation =
        value_get_str(annotations, arena_printf(errors->arena, "%s%s", apparmor ? APPARMOR : SECCOMP_CONTAINER,
                                                text_of(container, "name")));
    FieldPath context = FIELD(path, "securityContext"), at = FIELD(&context, member);
    if (!profile && apparmor)
        profile = value_path(spec, "securityContext", member, NULL);
    if (profile && annotation)
        must_match(errors, profile, annotation, apparmor ? "apparmor" : "seccomp",
                   apparmor ? APPARMOR_DEFAULTS : SECCOMP_DEFAULTS, &at);
}

void pod_profiles_match_validate(FieldErrors *errors, const Value *metadata, const Value *spec, const FieldPath *path) {
    static const char *const LISTS[] = {"initContainers", "containers", "ephemeralContainers"};
    static const char *const DEFAULTS[] = {"runtime/default", "docker/default", NULL};
    const Value *annotations = value_get(metadata, "annotations"),
                *profile = value_path(spec, "securityContext", "seccompProfile", NULL);
    const char *annotation = value_get_str(annotations, SECCOMP_POD);
    FieldPath context = FIELD(path, "securityContext"), at = FIELD(&context, "seccompProfile");
    bool windows = streq(text_of(value_get(spec, "os"), "name"), "windows");
    if (profile && annotation)
        must_match(errors, profile, annotation, "seccomp", DEFAULTS, &at);
    for (int apparmor = 0; apparmor < (windows ? 1 : 2); apparmor++)
        for (size_t l = 0; l < ELEMENTSOF(LISTS); l++) {
            const Value *list = value_get(spec, LISTS[l]);
            FieldPath list_at = FIELD(path, LISTS[l]);
            for (size_t i = 0; i < value_len(list); i++) {
                FieldPath container = FIELD_INDEX(&list_at, i);
                match_container(errors, annotations, spec, value_at(list, i), apparmor, &container);
            }
        }
}
