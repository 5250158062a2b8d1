/* ObjectMeta: k8s.io/apimachinery/pkg/api/validation/objectmeta.go. */
#include "api/names.h"
#include "apiserver/registry/checks.h"
#include "apiserver/registry/registry.h"
#include "base/str.h"


#define ANNOTATIONS_MAX (256 * 1024) /* bytes of keys and values in all */
#define SUBRESOURCE_NAME_MAX 256
#define IMMUTABLE "field is immutable"

const char *meta_get(const Value *object, const char *name) {
    return value_get_str(value_get(object, "metadata"), name);
}

Value *meta_ensure(Arena *arena, Value *object) {
    return value_ensure_object(arena, object, "metadata");
}

static void check_path_segment(const char *name, bool prefix, FieldErrors *errors, const FieldPath *path) {
    field_check_name(errors, path, name, prefix ? name_path_segment_prefix : name_path_segment);
}

/* A generated name's prefix may end where a name may not: the reference checks it with its last dash masked. */
static void check_subdomain(const char *name, bool prefix, FieldErrors *errors, const FieldPath *path) {
    size_t n = strlen(name);
    if (!prefix || n < 2 || name[n - 1] != '-') {
        field_check_name(errors, path, name, name_dns_subdomain);
        return;
    }
    char *masked = arena_strdup(errors->arena, name);
    masked[n - 1] = 'a';
    NameMessages messages = {.arena = errors->arena};
    name_dns_subdomain(masked, &messages);
    for (size_t i = 0; i < messages.n; i++)
        field_invalid_str(errors, path, name, "%s", messages.items[i]);
}

static void validate_names(const Strategy *strategy, const Value *meta, bool strict, FieldErrors *errors,
                           const FieldPath *path) {
    void (*check)(const char *, bool, FieldErrors *, const FieldPath *) = !strict ? check_path_segment
                                                                          : strategy->validate_name
                                                                              ? strategy->validate_name
                                                                              : check_subdomain;
    const char *generate = value_get_str(meta, "generateName"), *name = value_get_str(meta, "name");
    FieldPath generate_path = FIELD(path, "generateName"), name_path = FIELD(path, "name");
    if (!str_empty(generate))
        check(generate, true, errors, &generate_path);
    if (str_empty(name))
        field_required(errors, &name_path, "name or generateName is required");
    else
        check(name, false, errors, &name_path);
}

static void validate_namespace(const Resource *resource, const Value *meta, FieldErrors *errors,
                               const FieldPath *path) {
    const char *ns = value_get_str(meta, "namespace");
    FieldPath at = FIELD(path, "namespace");
    if (!resource->namespaced) {
        if (!str_empty(ns))
            field_forbidden(errors, &at, "not allowed on this type");
    } else if (str_empty(ns))
        field_required(errors, &at, "");
    else
        field_check_name(errors, &at, ns, name_dns_label);
}

static void validate_annotations(const Value *annotations, FieldErrors *errors, const FieldPath *path) {
    size_t total = 0;
    VALUE_FOREACH_MEMBER (m, annotations) {
        char *lower = str_lower(errors->arena, m->name);
        NameMessages messages = {.arena = errors->arena};
        name_qualified(lower, &messages);
        for (size_t i = 0; i < messages.n; i++)
            field_invalid_str(errors, path, m->name, "%s", messages.items[i]);
        total += strlen(m->name) + m->value->len;
    }
    if (total > ANNOTATIONS_MAX)
        field_too_long(errors, path, ANNOTATIONS_MAX);
}

static void validate_owner(const Value *owner, FieldErrors *errors, const FieldPath *path) {
    static const char *const members[] = {"apiVersion", "kind", "name", "uid"};
    for (size_t i = 0; i < ELEMENTSOF(members); i++) {
        const char *s = value_get_str(owner, members[i]);
        FieldPath at = FIELD(path, members[i]);
        if (str_empty(s))
            field_invalid_str(errors, &at, "", i == 0 ? "version must not be empty" : "must not be empty");
    }
    if (streq(str_or(value_get_str(owner, "apiVersion"), ""), "v1") &&
        streq(str_or(value_get_str(owner, "kind"), ""), "Event"))
        field_invalid(errors, path, owner, "/v1, Kind=Event is disallowed from being an owner");
}

static void validate_owners(const Value *owners, FieldErrors *errors, const FieldPath *path) {
    const char *first = NULL;
    const Value *owner;
    VALUE_FOREACH (owner, owners) {
        validate_owner(owner, errors, path);
        if (!value_get_bool(owner, "controller", false))
            continue;
        char *who = arena_printf(errors->arena, "%s/%s", str_or(value_get_str(owner, "kind"), ""),
                                 str_or(value_get_str(owner, "name"), ""));
        if (first)
            field_invalid(
                errors, path, owners,
                "Only one reference can have Controller set to true. Found \"true\" in references for %s and %s", first,
                who);
        else
            first = who;
    }
}

static void validate_finalizers(const Value *finalizers, FieldErrors *errors, const FieldPath *path) {
    const Value *item;
    VALUE_FOREACH (item, finalizers)
        field_check_name(errors, path, str_or(value_str(item), ""), name_qualified);
    if (list_has(finalizers, "orphan") && list_has(finalizers, "foregroundDeletion"))
        field_invalid(errors, path, finalizers, "finalizer orphan and foregroundDeletion cannot be both set");
}

static void validate_managed(const Value *managed, FieldErrors *errors, const FieldPath *path) {
    for (size_t i = 0; i < value_len(managed); i++) {
        const Value *entry = value_at(managed, i);
        const char *operation = str_or(value_get_str(entry, "operation"), "");
        const char *type = str_or(value_get_str(entry, "fieldsType"), "");
        FieldPath at = FIELD_INDEX(path, i), operation_path = FIELD(&at, "operation"),
                  type_path = FIELD(&at, "fieldsType");
        FieldPath manager_path = FIELD(&at, "manager"), subresource_path = FIELD(&at, "subresource");
        if (!streq(operation, "Apply") && !streq(operation, "Update"))
            field_invalid_str(errors, &operation_path, operation, "must be `Apply` or `Update`");
        if (*type && !streq(type, "FieldsV1"))
            field_invalid_str(errors, &type_path, type, "must be `FieldsV1`");
        if (strlen(str_or(value_get_str(entry, "manager"), "")) > FIELD_MANAGER_MAX)
            field_too_long(errors, &manager_path, FIELD_MANAGER_MAX);
        if (strlen(str_or(value_get_str(entry, "subresource"), "")) > SUBRESOURCE_NAME_MAX)
            field_too_long(errors, &subresource_path, SUBRESOURCE_NAME_MAX);
    }
}

/* What holds for the metadata of every object. */
static void validate_contents(const Value *meta, FieldErrors *errors, const FieldPath *path) {
    FieldPath labels = FIELD(path, "labels"), annotations = FIELD(path, "annotations");
    FieldPath owners = FIELD(path, "ownerReferences"), finalizers = FIELD(path, "finalizers");
    FieldPath managed = FIELD(path, "managedFields"), generation = FIELD(path, "generation");
    if (value_get_int(meta, "generation", 0) < 0)
        field_invalid(errors, &generation, value_get(meta, "generation"), "must be greater than or equal to 0");
    field_check_labels(errors, &labels, value_get(meta, "labels"));
    validate_annotations(value_get(meta, "annotations"), errors, &annotations);
    validate_owners(value_get(meta, "ownerReferences"), errors, &owners);
    validate_finalizers(value_get(meta, "finalizers"), errors, &finalizers);
    validate_managed(value_get(meta, "managedFields"), errors, &managed);
}

void meta_validate(const Strategy *strategy, const Resource *resource, const Value *object, bool strict_name,
                   FieldErrors *errors) {
    const Value *meta = value_get(object, "metadata");
    FieldPath path = FIELD(NULL, "metadata");
    validate_names(strategy, meta, strict_name, errors, &path);
    validate_namespace(resource, meta, errors, &path);
    validate_contents(meta, errors, &path);
}

void meta_validate_embedded(const Value *meta, FieldErrors *errors, const FieldPath *path) {
    FieldPath generate_path = FIELD(path, "generateName"), name_path = FIELD(path, "name"),
              ns_path = FIELD(path, "namespace");
    const char *generate = value_get_str(meta, "generateName"), *name = value_get_str(meta, "name"),
               *ns = value_get_str(meta, "namespace");
    if (!str_empty(generate))
        check_path_segment(generate, true, errors, &generate_path);
    if (!str_empty(name))
        check_path_segment(name, false, errors, &name_path);
    if (!str_empty(ns))
        field_check_name(errors, &ns_path, ns, name_dns_label);
    validate_contents(meta, errors, path);
}

void meta_validate_finalizers(const Resource *resource, const Value *object, FieldErrors *errors) {
    static const char *const STANDARD[] = {"kubernetes", "orphan", "foregroundDeletion", NULL};
    /* Their validations use the generic rules alone. */
    static const char *const GENERIC[] = {"admissionregistration.k8s.io", "apiextensions.k8s.io",
                                          "apiregistration.k8s.io", NULL};
    const Value *list = value_get(value_get(object, "metadata"), "finalizers");
    FieldPath path = FIELD(NULL, "metadata"), finalizers = FIELD(&path, "finalizers");
    if (resource->custom || str_in(resource->group, GENERIC))
        return;
    for (size_t i = 0; i < value_len(list); i++) {
        const char *name = str_or(value_str(value_at(list, i)), "");
        FieldPath at = FIELD_INDEX(&finalizers, i);
        if (!strchr(name, '/') && !str_in(name, STANDARD))
            field_invalid_str(errors, &at, name, "name is neither a standard finalizer name nor is it fully qualified");
    }
}

static int compare_names(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void no_new_finalizers(const Value *now, const Value *old, FieldErrors *errors, const FieldPath *path) {
    const char **names = arena_alloc(errors->arena, value_len(now) * sizeof *names);
    _cleanup_buf_ Buf extra = BUF_INIT(64 * 1024);
    size_t n = 0;
    for (size_t i = 0; i < value_len(now); i++) {
        const char *name = str_or(value_str(value_at(now, i)), "");
        if (list_index_find(&errors->lists, now, NULL, name) == i &&
            list_index_find(&errors->lists, old, NULL, name) == LIST_INDEX_NONE)
            names[n++] = name;
    }
    if (!n)
        return;
    qsort(names, n, sizeof *names, compare_names);
    for (size_t i = 0; i < n; i++)
        buf_printf(&extra, "%s\"%s\"", i ? ", " : "", names[i]);
    field_forbidden(errors, path,
                    "no new finalizers can be added if the object is being deleted, found new finalizers []string{%s}",
                    str_or(extra.data, ""));
}

static bool same(const Value *a, const Value *b) {
    return (value_is_empty(a) && value_is_empty(b)) || value_equal(a, b);
}

void meta_validate_update(const Value *object, const Value *old, FieldErrors *errors) {
    static const char *const immutable[] = {
        "name", "namespace", "uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"};
    const Value *meta = value_get(object, "metadata"), *old_meta = value_get(old, "metadata");
    FieldPath path = FIELD(NULL, "metadata");
    FieldPath finalizers = FIELD(&path, "finalizers"), managed = FIELD(&path, "managedFields");
    FieldPath generation = FIELD(&path, "generation"), labels = FIELD(&path, "labels");
    FieldPath annotations = FIELD(&path, "annotations"), owners = FIELD(&path, "ownerReferences");
    if (value_get(old_meta, "deletionTimestamp"))
        no_new_finalizers(value_get(meta, "finalizers"), value_get(old_meta, "finalizers"), errors, &finalizers);
    if (value_get_int(meta, "generation", 0) < value_get_int(old_meta, "generation", 0))
        field_invalid(errors, &generation, value_get(meta, "generation"), "must not be decremented");
    for (size_t i = 0; i < ELEMENTSOF(immutable); i++) {
        FieldPath at = FIELD(&path, immutable[i]);
        const Value *now = value_get(meta, immutable[i]);
        if (!same(now, value_get(old_meta, immutable[i])))
            field_invalid(errors, &at, now ? now : value_string(errors->arena, ""), IMMUTABLE);
    }
    field_check_labels(errors, &labels, value_get(meta, "labels"));
    validate_annotations(value_get(meta, "annotations"), errors, &annotations);
    validate_owners(value_get(meta, "ownerReferences"), errors, &owners);
    validate_managed(value_get(meta, "managedFields"), errors, &managed);
}
