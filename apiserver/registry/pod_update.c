#include "apiserver/registry/pod_update.h"

#include <ctype.h>

#include "apiserver/registry/internal_print.h"
#include "apiserver/registry/validate_util.h"
#include "base/strmap.h"

#define MIRROR "kubernetes.io/config.mirror"
#define APPARMOR "container.apparmor.security.beta.kubernetes.io/"

static const char REQUIRED[] = "requiredDuringSchedulingIgnoredDuringExecution";

static void tokens_need_account(FieldErrors *errors, const Value *spec) {
    const Value *volumes = value_get(spec, "volumes");
    FieldPath spec_at = FIELD(NULL, "spec"), volumes_at = FIELD(&spec_at, "volumes");
    for (size_t i = 0; !*text_of(spec, "serviceAccountName") && i < value_len(volumes); i++) {
        const Value *sources = value_path(value_at(volumes, i), "projected", "sources", NULL);
        FieldPath volume = FIELD_INDEX(&volumes_at, i), projected = FIELD(&volume, "projected"),
                  sources_at = FIELD(&projected, "sources");
        for (size_t j = 0; j < value_len(sources); j++) {
            FieldPath source = FIELD_INDEX(&sources_at, j), token = FIELD(&source, "serviceAccountToken");
            if (value_get(value_at(sources, j), "serviceAccountToken"))
                field_forbidden(errors, &token, "must not be specified when serviceAccountName is not set");
        }
    }
}

/* Images of pods, unlike those of templates, stand as they are used. */
static void check_images(FieldErrors *errors, const Value *spec) {
    static const char *const LISTS[] = {"containers", "initContainers"};
    FieldPath spec_at = FIELD(NULL, "spec");
    for (size_t l = 0; l < ELEMENTSOF(LISTS); l++) {
        const Value *list = value_get(spec, LISTS[l]);
        FieldPath list_at = FIELD(&spec_at, LISTS[l]);
        for (size_t i = 0; i < value_len(list); i++) {
            const char *image = text_of(value_at(list, i), "image");
            size_t n = strlen(image);
            FieldPath at = FIELD_INDEX(&list_at, i), image_at = FIELD(&at, "image");
            if (n && (isspace((unsigned char)image[0]) || isspace((unsigned char)image[n - 1])))
                field_invalid_str(errors, &image_at, image, "must not have leading or trailing whitespace");
        }
    }
}

void pod_whole_validate(FieldErrors *errors, const Value *pod) {
    const Value *spec = value_get(pod, "spec"), *metadata = value_get(pod, "metadata");
    FieldPath path = FIELD(NULL, "spec"), meta = FIELD(NULL, "metadata"), annotations = FIELD(&meta, "annotations");
    PodValidation v = {.errors = errors, .spec = spec ? spec : value_object(errors->arena), .metadata = metadata};
    pod_annotations_validate(errors, metadata, v.spec, &annotations);
    pod_spec_validate(&v, &path);
    tokens_need_account(errors, v.spec);
    check_images(errors, v.spec);
}

void pod_create_validate(FieldErrors *errors, const Value *pod) {
    const Value *spec = value_get(pod, "spec");
    FieldPath path = FIELD(NULL, "spec"), ephemeral = FIELD(&path, "ephemeralContainers"),
              node = FIELD(&path, "nodeName");
    pod_whole_validate(errors, pod);
    if (value_len(value_get(spec, "ephemeralContainers")))
        field_forbidden(errors, &ephemeral, "cannot be set on create");
    if (*text_of(spec, "nodeName") && value_len(value_get(spec, "schedulingGates")))
        field_forbidden(errors, &node, "cannot be set until all schedulingGates have been cleared");
    pod_profiles_match_validate(errors, value_get(pod, "metadata"), spec, &path);
}

void pod_annotations_update_validate(FieldErrors *errors, const Value *pod, const Value *old) {
    const Value *now = value_path(pod, "metadata", "annotations", NULL),
                *was = value_path(old, "metadata", "annotations", NULL);
    FieldPath meta = FIELD(NULL, "metadata"), path = FIELD(&meta, "annotations");
    VALUE_FOREACH_MEMBER (member, was) {
        FieldPath at = FIELD_KEY(&path, member->name);
        if (value_equal(member->value, value_get(now, member->name)))
            continue;
        if (str_has_prefix(member->name, APPARMOR))
            field_forbidden(errors, &at, "may not remove or update AppArmor annotations");
        if (streq(member->name, MIRROR))
            field_forbidden(errors, &at, "may not remove or update mirror pod annotation");
    }
    VALUE_FOREACH_MEMBER (member, now) {
        FieldPath at = FIELD_KEY(&path, member->name);
        if (value_get(was, member->name))
            continue;
        if (str_has_prefix(member->name, APPARMOR))
            field_forbidden(errors, &at, "may not add AppArmor annotations");
        if (streq(member->name, MIRROR))
            field_forbidden(errors, &at, "may not add mirror pod annotation");
    }
    pod_annotations_validate(errors, value_get(pod, "metadata"), value_get(pod, "spec"), &path);
}

/* False when the lists are of different lengths: then nothing else is compared. */
static bool same_containers(FieldErrors *errors, const Value *spec, const Value *old, const char *list,
                            const FieldPath *path) {
    const Value *containers = value_get(spec, list);
    FieldPath list_at = FIELD(path, list);
    if (value_len(containers) != value_len(value_get(old, list))) {
        field_forbidden(errors, &list_at, "pod updates may not add or remove containers");
        return false;
    }
    for (size_t i = 0; i < value_len(containers); i++) {
        const char *image = text_of(value_at(containers, i), "image");
        size_t n = strlen(image);
        FieldPath at = FIELD_INDEX(&list_at, i), image_at = FIELD(&at, "image");
        if (!n)
            field_required(errors, &image_at, "");
        else if (isspace((unsigned char)image[0]) || isspace((unsigned char)image[n - 1]))
            field_invalid_str(errors, &image_at, image, "must not have leading or trailing whitespace");
    }
    return true;
}

/* False: no further checks. */
static bool check_deadline(FieldErrors *errors, const Value *spec, const Value *old, const FieldPath *path) {
    const Value *now = value_get(spec, "activeDeadlineSeconds"), *was = value_get(old, "activeDeadlineSeconds");
    FieldPath at = FIELD(path, "activeDeadlineSeconds");
    if (!now) {
        if (was)
            field_invalid(errors, &at, NULL, "must not update from a positive integer to nil value");
        return true;
    }
    size_t n = errors->n;
    field_check_range(errors, &at, now->integer, 0, INT32_MAX);
    if (errors->n == n && was && was->integer < now->integer)
        field_invalid(errors, &at, now, "must be less than or equal to previous value");
    return errors->n == n;
}

/* A toleration but for its seconds, as text. */
static void toleration_text(Buf *out, const Value *toleration) {
    buf_clear(out);
    VALUE_FOREACH_MEMBER (m, toleration)
        if (!streq(m->name, "tolerationSeconds")) {
            buf_printf(out, "%s=", m->name);
            value_write_json(out, m->value);
            buf_putc(out, '\n');
        }
    buf_putc(out, '\n');
}

static void check_tolerations(FieldErrors *errors, const Value *spec, const Value *old, const FieldPath *path) {
    const Value *toleration, *list = value_get(spec, "tolerations");
    _cleanup_(strmap_freep) StrMap *kept = strmap_new(NULL);
    _cleanup_buf_ Buf text = BUF_INIT(BUF_NO_LIMIT);
    FieldPath at = FIELD(path, "tolerations");
    VALUE_FOREACH (toleration, list) {
        toleration_text(&text, toleration);
        strmap_add(kept, text.data);
    }
    VALUE_FOREACH (toleration, value_get(old, "tolerations")) {
        toleration_text(&text, toleration);
        if (!strmap_get(kept, text.data)) {
            field_forbidden(errors, &at, "existing toleration can not be modified except its tolerationSeconds");
            return;
        }
    }
    tolerations_validate(errors, list, &at);
}

static void check_gates(FieldErrors *errors, const Value *spec, const Value *old, const FieldPath *path) {
    const Value *gates = value_get(spec, "schedulingGates"), *was = value_get(old, "schedulingGates");
    FieldPath list = FIELD(path, "schedulingGates");
    for (size_t i = 0; i < value_len(gates); i++) {
        const char *name = text_of(value_at(gates, i), "name");
        FieldPath at = FIELD_INDEX(&list, i), name_at = FIELD(&at, "name");
        if (!seen_before(errors, was, value_len(was), "name", name))
            field_forbidden(errors, &name_at, "only deletion is allowed, but found new scheduling gate '%s'", name);
    }
}

/* ---- what a gated pod may still change: where it may run, more narrowly ---- */

static bool begins_with(const Value *list, const Value *start) {
    if (value_len(list) < value_len(start))
        return false;
    for (size_t i = 0; i < value_len(start); i++)
        if (!value_equal(value_at(list, i), value_at(start, i)))
            return false;
    return true;
}

static bool term_narrowed(const Value *term, const Value *old) {
    const Value *expressions = value_get(old, "matchExpressions"), *fields = value_get(old, "matchFields");
    if (!value_len(expressions) && !value_len(fields))
        return !value_len(value_get(term, "matchExpressions")) && !value_len(value_get(term, "matchFields"));
    return begins_with(value_get(term, "matchExpressions"), expressions) &&
           begins_with(value_get(term, "matchFields"), fields);
}

static Value *printed_terms(Arena *arena, const Value *terms) {
    Value *list = value_array(arena), *term;
    VALUE_FOREACH (term, terms)
        value_append(arena, list, internal_value(arena, "NodeSelectorTerm", term, NULL));
    return terms ? list : value_null(arena);
}

static void check_node_affinity(FieldErrors *errors, const Value *affinity, const Value *old, const FieldPath *spec) {
    const Value *was = value_path(old, REQUIRED, "nodeSelectorTerms", NULL),
                *now = value_path(affinity, REQUIRED, "nodeSelectorTerms", NULL);
    FieldPath affinity_at = FIELD(spec, "affinity"), node = FIELD(&affinity_at, "nodeAffinity"),
              required = FIELD(&node, REQUIRED), terms = FIELD(&required, "nodeSelectorTerms");
    if (!value_len(was))
        return;
    if (value_len(was) != value_len(now)) {
        field_invalid(errors, &terms, printed_terms(errors->arena, now),
                      "no additions/deletions to non-empty NodeSelectorTerms list are allowed");
        return;
    }
    for (size_t i = 0; i < value_len(was); i++) {
        FieldPath at = FIELD_INDEX(&terms, i);
        if (!term_narrowed(value_at(now, i), value_at(was, i)))
            field_invalid(errors, &at, internal_value(errors->arena, "NodeSelectorTerm", value_at(now, i), NULL),
                          "only additions are allowed (no mutations or deletions)");
    }
}

static void allow_gated(FieldErrors *errors, Value *munged, const Value *old, const FieldPath *path) {
    Arena *arena = errors->arena;
    const Value *selector = value_get(munged, "nodeSelector"), *old_selector = value_get(old, "nodeSelector");
    const Value *node = value_path(munged, "affinity", "nodeAffinity", NULL),
                *old_node = value_path(old, "affinity", "nodeAffinity", NULL);
    FieldPath selector_at = FIELD(path, "nodeSelector");
    VALUE_FOREACH_MEMBER (member, old_selector)
        if (!value_equal(member->value, value_get(selector, member->name))) {
            field_invalid(errors, &selector_at, selector,
                          "only additions to spec.nodeSelector are allowed (no mutations or deletions)");
            break;
        }
    value_set(arena, munged, "nodeSelector", value_copy(arena, old_selector));
    if (value_equal(node, old_node))
        return;
    check_node_affinity(errors, node, old_node, path);
    Value *affinity = value_ensure_object(arena, munged, "affinity");
    value_set(arena, affinity, "nodeAffinity", value_copy(arena, old_node));
    if (!value_len(affinity) && !value_get(old, "affinity"))
        value_remove(munged, "affinity");
}

static void take_old(Arena *arena, Value *munged, const Value *old, const char *name) {
    value_set(arena, munged, name, value_copy(arena, value_get(old, name)));
}

/* The new spec with all that may change put back to what it was. */
static Value *munge(FieldErrors *errors, const Value *spec, const Value *old, const FieldPath *path) {
    static const char *const LISTS[] = {"containers", "initContainers"};
    static const char *const FREE[] = {"activeDeadlineSeconds", "schedulingGates", "tolerations"};
    Arena *arena = errors->arena;
    Value *munged = value_copy(arena, spec);
    for (size_t l = 0; l < ELEMENTSOF(LISTS); l++) {
        Value *list = value_get(munged, LISTS[l]);
        for (size_t i = 0; i < value_len(list); i++)
            take_old(arena, value_at(list, i), value_at(value_get(old, LISTS[l]), i), "image");
        if (list && !value_len(list)) /* printed as nothing */
            value_remove(munged, LISTS[l]);
    }
    for (size_t i = 0; i < ELEMENTSOF(FREE); i++)
        take_old(arena, munged, old, FREE[i]);
    if (value_get_int(old, "terminationGracePeriodSeconds", 0) < 0 &&
        value_get_int(munged, "terminationGracePeriodSeconds", 0) == 1)
        take_old(arena, munged, old, "terminationGracePeriodSeconds");
    if (value_len(value_get(old, "schedulingGates")))
        allow_gated(errors, munged, old, path);
    return munged;
}

void pod_main_update_validate(FieldErrors *errors, const Value *pod, const Value *old_pod) {
    Arena *arena = errors->arena;
    const Value *spec = value_get(pod, "spec"), *old = value_get(old_pod, "spec");
    FieldPath path = FIELD(NULL, "spec");
    pod_whole_validate(errors, pod);
    pod_annotations_update_validate(errors, pod, old_pod);
    if (!same_containers(errors, spec, old, "containers", &path) ||
        !same_containers(errors, spec, old, "initContainers", &path) || !check_deadline(errors, spec, old, &path))
        return;
    check_tolerations(errors, spec, old, &path);
    check_gates(errors, spec, old, &path);
    if (value_equal(spec, old))
        return;
    Value *munged = munge(errors, spec, old, &path);
    if (!value_equal(munged, old))
        field_forbidden(
            errors, &path,
            "pod updates may not change fields other than "
            "`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,"
            "`spec.tolerations` (only additions to existing tolerations),"
            "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)\n%s",
            internal_diff(arena, internal_value(arena, "PodSpec", old, NULL),
                          internal_value(arena, "PodSpec", munged, NULL)));
}

void pod_ephemeral_update_validate(FieldErrors *errors, const Value *pod, const Value *old_pod) {
    Arena *arena = errors->arena;
    const Value *list = value_path(pod, "spec", "ephemeralContainers", NULL), *old, *container;
    FieldPath nowhere = FIELD(NULL, ""), spec = FIELD(NULL, "spec"), path = FIELD(&spec, "ephemeralContainers");
    if (value_path(old_pod, "metadata", "annotations", MIRROR, NULL)) {
        errors->n = 0;
        field_forbidden(errors, &nowhere, "static pods do not support ephemeral containers");
        return;
    }
    pod_whole_validate(errors, pod);
    pod_annotations_update_validate(errors, pod, old_pod);
    VALUE_FOREACH (old, value_path(old_pod, "spec", "ephemeralContainers", NULL)) {
        const Value *now = NULL;
        const char *name = go_quoted(arena, text_of(old, "name"));
        VALUE_FOREACH (container, list)
            if (streq(text_of(container, "name"), text_of(old, "name")))
                now = container;
        if (!now)
            field_forbidden(errors, &path, "existing ephemeral containers %s may not be removed\n", name);
        else if (!value_equal(old, now))
            field_forbidden(errors, &path, "existing ephemeral containers %s may not be changed\n%s", name,
                            internal_diff(arena, internal_value(arena, "EphemeralContainer", old, NULL),
                                          internal_value(arena, "EphemeralContainer", now, NULL)));
    }
}
