/* Persistent volumes and claims. */
#include "api/quantity.h"
#include "apiserver/registry/checks.h"
#include "apiserver/registry/internal_print.h"
#include "apiserver/registry/kinds.h"
#include "apiserver/registry/pod_validate.h"
#include "apiserver/registry/resource_names.h"
#include "apiserver/registry/volume_warnings.h"
#include "base/clock.h"
#include "base/str.h"

#define DRIVER_NAME_MAX 63
#define STORAGE_CLASS_ANNOTATION "volume.beta.kubernetes.io/storage-class"
#define ONE_TYPE "may not specify more than 1 volume type"

static const char *const MODES[] = {"Block", "Filesystem", NULL};

static void check_access_modes(FieldErrors *errors, const Value *modes, const FieldPath *path) {
    static const char *const ACCESS[] = {"ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod", NULL};
    bool alone = false, others = false;
    const Value *item;
    VALUE_FOREACH (item, modes) {
        const char *mode = str_or(value_str(item), "");
        check_one_of(errors, path, mode, ACCESS);
        if (streq(mode, "ReadWriteOncePod"))
            alone = true;
        else
            others |= str_in(mode, ACCESS);
    }
    if (alone && others)
        field_forbidden(errors, path, "may not use ReadWriteOncePod with other access modes");
}

static void check_positive_quantity(FieldErrors *errors, const Value *text, const FieldPath *path) {
    Quantity q;
    if (value_str(text) && quantity_parse(value_str(text), &q) == 0 && quantity_sign(&q) <= 0)
        field_invalid(errors, path, text, "must be greater than zero");
}

static void check_basic_resource(FieldErrors *errors, const Value *text, const FieldPath *path) {
    Quantity q;
    if (value_str(text) && quantity_parse(value_str(text), &q) == 0 && quantity_value(&q) < 0)
        field_invalid(errors, path, value_int(errors->arena, quantity_value(&q)), "must be a valid resource quantity");
}

static void check_capacity(FieldErrors *errors, const Value *spec, const FieldPath *spec_at) {
    static const char *const STORAGE[] = {"storage", NULL};
    const Value *capacity = value_get(spec, "capacity");
    FieldPath at = FIELD(spec_at, "capacity");
    if (!value_len(capacity))
        field_required(errors, &at, "");
    if (!value_get(capacity, "storage") || value_len(capacity) > 1)
        field_not_supported(errors, &at, capacity, STORAGE);
    VALUE_FOREACH_MEMBER (m, capacity) {
        FieldPath key = FIELD_KEY(&at, m->name);
        check_basic_resource(errors, m->value, &key);
        check_positive_quantity(errors, m->value, &key);
    }
}

static void check_host_path(FieldErrors *errors, const Value *source, const FieldPath *path) {
    static const char *const TYPES[] = {"",     "BlockDevice",  "CharDevice", "Directory", "DirectoryOrCreate",
                                        "File", "FileOrCreate", "Socket",     NULL};
    FieldPath at = FIELD(path, "path"), type_at = FIELD(path, "type");
    check_required(errors, source, "path", path);
    if (!*text_at(source, "path"))
        return;
    backsteps_validate(errors, text_at(source, "path"), &at);
    if (value_get_str(source, "type"))
        check_one_of(errors, &type_at, text_at(source, "type"), TYPES);
}

static void check_local(FieldErrors *errors, const Value *source, const FieldPath *path) {
    FieldPath at = FIELD(path, "path");
    check_required(errors, source, "path", path);
    backsteps_validate(errors, text_at(source, "path"), &at);
}

static void check_nfs(FieldErrors *errors, const Value *source, const FieldPath *path) {
    FieldPath at = FIELD(path, "path");
    check_required(errors, source, "server", path);
    check_required(errors, source, "path", path);
    if (text_at(source, "path")[0] != '/')
        field_invalid_str(errors, &at, text_at(source, "path"), "must be an absolute path");
}

static void check_secret(FieldErrors *errors, const Value *source, const char *member, const FieldPath *path) {
    const Value *secret = value_get(source, member);
    FieldPath at = FIELD(path, member);
    if (!value_is(secret, VALUE_OBJECT))
        return;
    check_required(errors, secret, "name", &at);
    check_name_member(errors, secret, "name", name_dns_subdomain, &at);
    check_required(errors, secret, "namespace", &at);
    check_name_member(errors, secret, "namespace", name_dns_label, &at);
}

static void check_csi(FieldErrors *errors, const Value *source, const FieldPath *path) {
    static const char *const SECRETS[] = {"controllerPublishSecretRef", "controllerExpandSecretRef",
                                          "nodePublishSecretRef", "nodeExpandSecretRef"};
    const char *driver = text_at(source, "driver");
    FieldPath driver_at = FIELD(path, "driver");
    check_required(errors, source, "driver", path);
    if (strlen(driver) > DRIVER_NAME_MAX)
        field_too_long(errors, &driver_at, DRIVER_NAME_MAX);
    if (*driver && !name_is_valid(driver, name_dns_subdomain)) {
        char *lower = arena_strdup(errors->arena, driver);
        for (char *p = lower; *p; p++)
            *p |= *p >= 'A' && *p <= 'Z' ? 0x20 : 0;
        NameMessages messages = {.arena = errors->arena};
        name_dns_subdomain(lower, &messages);
        for (size_t i = 0; i < messages.n; i++)
            field_invalid_str(errors, &driver_at, driver, "%s", messages.items[i]);
    }
    check_required(errors, source, "volumeHandle", path);
    for (size_t i = 0; i < ELEMENTSOF(SECRETS); i++)
        check_secret(errors, source, SECRETS[i], path);
}

static const struct VolumeSource {
    const char *name;
    void (*check)(FieldErrors *, const Value *, const FieldPath *); /* NULL: the kind is all that is checked */
} SOURCES[] = {
    {"hostPath", check_host_path},
    {"gcePersistentDisk", NULL},
    {"awsElasticBlockStore", NULL},
    {"glusterfs", NULL},
    {"flocker", NULL},
    {"nfs", check_nfs},
    {"rbd", NULL},
    {"quobyte", NULL},
    {"cephfs", NULL},
    {"iscsi", NULL},
    {"cinder", NULL},
    {"fc", NULL},
    {"flexVolume", NULL},
    {"azureFile", NULL},
    {"vsphereVolume", NULL},
    {"photonPersistentDisk", NULL},
    {"portworxVolume", NULL},
    {"azureDisk", NULL},
    {"scaleIO", NULL},
    {"local", check_local},
    {"storageos", NULL},
    {"csi", check_csi},
};

static void check_source(FieldErrors *errors, const Value *spec, const FieldPath *spec_at) {
    size_t n = 0;
    for (size_t i = 0; i < ELEMENTSOF(SOURCES); i++) {
        const Value *source = value_get(spec, SOURCES[i].name);
        FieldPath at = FIELD(spec_at, SOURCES[i].name), affinity_at = FIELD(spec_at, "nodeAffinity");
        if (!value_is(source, VALUE_OBJECT))
            continue;
        if (n++)
            field_forbidden(errors, &at, ONE_TYPE);
        else if (SOURCES[i].check)
            SOURCES[i].check(errors, source, &at);
        if (streq(SOURCES[i].name, "local") && !value_is(value_get(spec, "nodeAffinity"), VALUE_OBJECT))
            field_required(errors, &affinity_at, "Local volume requires node affinity");
    }
    if (n == 0)
        field_required(errors, spec_at, "must specify a volume type");
}

static void check_node_affinity(FieldErrors *errors, const Value *spec, const FieldPath *spec_at) {
    const Value *affinity = value_get(spec, "nodeAffinity"), *required = value_get(affinity, "required");
    FieldPath at = FIELD(spec_at, "nodeAffinity"), required_at = FIELD(&at, "required");
    if (!value_is(affinity, VALUE_OBJECT))
        return;
    if (value_is(required, VALUE_OBJECT))
        node_selector_validate(errors, required, &required_at);
    else
        field_required(errors, &required_at, "must specify required node constraints");
}

static void volume_validate(_unused_ StrategyContext *context, const Value *volume, FieldErrors *errors) {
    static const char *const POLICIES[] = {"Delete", "Recycle", "Retain", NULL};
    const Value *spec = value_get(volume, "spec"), *attributes = value_get(spec, "volumeAttributesClassName");
    const char *policy = text_at(spec, "persistentVolumeReclaimPolicy"),
               *host_path = text_at(value_get(spec, "hostPath"), "path");
    FieldPath spec_at = FIELD(NULL, "spec"), modes_at = FIELD(&spec_at, "accessModes"),
              policy_at = FIELD(&spec_at, "persistentVolumeReclaimPolicy"), csi_at = FIELD(&spec_at, "csi"),
              attributes_at = FIELD(&spec_at, "volumeAttributesClassName");
    check_required(errors, spec, "accessModes", &spec_at);
    check_access_modes(errors, value_get(spec, "accessModes"), &modes_at);
    check_capacity(errors, spec, &spec_at);
    if (*policy)
        check_one_of(errors, &policy_at, policy, POLICIES);
    check_node_affinity(errors, spec, &spec_at);
    check_source(errors, spec, &spec_at);
    if (*host_path == '/' && strspn(host_path, "/.") == strlen(host_path) && streq(policy, "Recycle"))
        field_forbidden(errors, &policy_at, "may not be 'recycle' for a hostPath mount of '/'");
    check_name_member(errors, spec, "storageClassName", name_dns_subdomain, &spec_at);
    check_member_one_of(errors, spec, "volumeMode", MODES, &spec_at);
    if (!value_str(attributes))
        return;
    if (!*value_str(attributes))
        field_required(errors, &attributes_at, "an empty string is disallowed");
    check_name_member(errors, spec, "volumeAttributesClassName", name_dns_subdomain, &spec_at);
    if (!value_is(value_get(spec, "csi"), VALUE_OBJECT))
        field_required(errors, &csi_at, "has to be specified when using volumeAttributesClassName");
}

/* The sources alone, by the names the reference's internal struct has for them. */
static Value *sources_of(Arena *arena, const Value *spec) {
    Value *out = value_object(arena);
    for (size_t i = 0; i < ELEMENTSOF(SOURCES); i++) {
        Value *source = value_get(spec, SOURCES[i].name);
        if (value_is(source, VALUE_OBJECT))
            value_set(arena, out, SOURCES[i].name, value_copy(arena, source));
    }
    return out;
}

/* What a label with a beta prefix is called by now; "" of all others. */
static const char *name_without_beta(const char *label) {
    static const char *const NAMES[][2] = {
        {"beta.kubernetes.io/os", "kubernetes.io/os"},
        {"beta.kubernetes.io/arch", "kubernetes.io/arch"},
        {"beta.kubernetes.io/instance-type", "node.kubernetes.io/instance-type"},
        {"failure-domain.beta.kubernetes.io/zone", "topology.kubernetes.io/zone"},
        {"failure-domain.beta.kubernetes.io/region", "topology.kubernetes.io/region"},
    };
    for (size_t i = 0; i < ELEMENTSOF(NAMES); i++)
        if (streq(label, NAMES[i][0]))
            return NAMES[i][1];
    return "";
}

/* Gives the requirements of `was` the keys that they may have become. As in the reference, that is none at all for a
 * key that has no other name: what is wrong with it is said elsewhere. */
static void rename_beta_labels(Arena *arena, Value *was, const Value *now) {
    static const char *const PARTS[] = {"matchExpressions", "matchFields"};
    Value *terms = value_path(was, "required", "nodeSelectorTerms", NULL);
    const Value *now_terms = value_path(now, "required", "nodeSelectorTerms", NULL);
    for (size_t i = 0; i < value_len(terms) && i < value_len(now_terms); i++)
        for (size_t part = 0; part < ELEMENTSOF(PARTS); part++) {
            Value *old = value_get(value_at(terms, i), PARTS[part]);
            const Value *new = value_get(value_at(now_terms, i), PARTS[part]);
            for (size_t k = 0; k < value_len(old) && k < value_len(new); k++) {
                const char *key = text_at(value_at(new, k), "key");
                if (streq(key, name_without_beta(text_at(value_at(old, k), "key"))))
                    value_set_str(arena, value_at(old, k), "key", value_get_str(value_at(new, k), "key"));
            }
        }
}

static void check_affinity_change(FieldErrors *errors, const Value *now, const Value *was) {
    FieldPath at = FIELD(NULL, "nodeAffinity");
    if (!value_is(was, VALUE_OBJECT) || (now && value_equal(now, was)))
        return;
    Value *renamed = value_copy(errors->arena, was);
    rename_beta_labels(errors->arena, renamed, now);
    if (!now || !value_equal(now, renamed))
        field_invalid(errors, &at, now ? internal_value(errors->arena, "VolumeNodeAffinity", now, NULL) : NULL,
                      "field is immutable, except for updating from beta label to GA");
}

/* The reference's update goes through what is wrong with the volume once more. */
static void volume_validate_update(StrategyContext *context, const Value *volume, const Value *old,
                                   FieldErrors *errors) {
    const Value *spec = value_get(volume, "spec"), *was = value_get(old, "spec");
    Value *now_sources = sources_of(errors->arena, spec), *old_sources = sources_of(errors->arena, was);
    Value *csi = value_get(now_sources, "csi");
    FieldPath spec_at = FIELD(NULL, "spec"), source_at = FIELD(&spec_at, "persistentvolumesource"),
              attributes_at = FIELD(&spec_at, "volumeAttributesClassName");
    volume_validate(context, volume, errors);
    if (csi && value_get(old_sources, "csi") && !value_path(old_sources, "csi", "controllerExpandSecretRef", NULL))
        value_remove(csi, "controllerExpandSecretRef");
    if (!value_equal(now_sources, old_sources))
        field_forbidden(errors, &source_at, "spec.persistentvolumesource is immutable after creation\n%s",
                        internal_diff(errors->arena,
                                      internal_value(errors->arena, "PersistentVolumeSource", old_sources, NULL),
                                      internal_value(errors->arena, "PersistentVolumeSource", now_sources, NULL)));
    check_immutable(errors, spec, was, "volumeMode", NULL);
    check_affinity_change(errors, value_get(spec, "nodeAffinity"), value_get(was, "nodeAffinity"));
    if (value_str(value_get(was, "volumeAttributesClassName")) &&
        !value_str(value_get(spec, "volumeAttributesClassName")))
        field_forbidden(errors, &attributes_at, "update from non-nil value to nil is forbidden");
}

static void set_now(StrategyContext *context, Value *status) {
    char text[RFC3339_MAX];
    value_set_str(context->arena, status, "lastPhaseTransitionTime", rfc3339_format(context->now_ns, text));
}

static void volume_prepare_for_create(StrategyContext *context, Value *volume) {
    Value *status = value_object(context->arena);
    value_set_str(context->arena, status, "phase", "Pending");
    set_now(context, status);
    value_set(context->arena, volume, "status", status);
}

static void volume_prepare_for_status_update(StrategyContext *context, Value *volume, const Value *old) {
    Value *status = value_ensure_object(context->arena, volume, "status");
    const Value *was = value_get(old, "status"), *time = value_get(status, "lastPhaseTransitionTime");
    const Value *old_time = value_get(was, "lastPhaseTransitionTime");
    bool same_phase = text_is(status, "phase", text_at(was, "phase"));
    if (same_phase && value_is_empty(time) && !value_is_empty(old_time))
        value_set(context->arena, status, "lastPhaseTransitionTime", value_copy(context->arena, old_time));
    else if (!same_phase && (value_is_empty(time) || value_equal(time, old_time)))
        set_now(context, status);
}

static Value *reference_copy(Arena *arena, const Value *from) {
    static const char *const MEMBERS[] = {"apiGroup", "kind", "name"};
    Value *out = value_object(arena);
    for (size_t i = 0; i < ELEMENTSOF(MEMBERS); i++)
        if (value_get(from, MEMBERS[i]))
            value_set(arena, out, MEMBERS[i], value_copy(arena, value_get(from, MEMBERS[i])));
    return out;
}

/* dataSource and dataSourceRef say the same when one can say it for the other. */
static void claim_sync_sources(Arena *arena, Value *spec) {
    const Value *source = value_get(spec, "dataSource"), *reference = value_get(spec, "dataSourceRef");
    bool has_source = value_is(source, VALUE_OBJECT), has_reference = value_is(reference, VALUE_OBJECT);
    if (has_source && !has_reference)
        value_set(arena, spec, "dataSourceRef", reference_copy(arena, source));
    else if (has_reference && !has_source && !*text_at(reference, "namespace"))
        value_set(arena, spec, "dataSource", reference_copy(arena, reference));
}

/* Through dataSource only claims and snapshots were ever filled from; anything else is as if it were not there. */
static void claim_drop_source(Value *spec, const Value *was) {
    const Value *source = value_get(spec, "dataSource");
    bool core = !*text_at(source, "apiGroup") && text_is(source, "kind", "PersistentVolumeClaim");
    bool snapshot = text_is(source, "apiGroup", "snapshot.storage.k8s.io") && text_is(source, "kind", "VolumeSnapshot");
    if (source && !core && !snapshot && !value_get(was, "dataSource") && !value_get(was, "dataSourceRef"))
        value_remove(spec, "dataSource");
}

/* Sources in other namespaces are a feature that is off: kept only where there was a source already. */
static void claim_drop_foreign_source(Value *spec, const Value *was) {
    const Value *reference = value_get(spec, "dataSourceRef");
    if (*text_at(reference, "namespace") && !value_get(was, "dataSourceRef"))
        value_remove(spec, "dataSourceRef");
}

static void claim_prepare_for_create(StrategyContext *context, Value *claim) {
    Value *status = value_object(context->arena);
    value_set_str(context->arena, status, "phase", "Pending");
    value_set(context->arena, claim, "status", status);
    claim_drop_foreign_source(value_get(claim, "spec"), NULL);
    claim_drop_source(value_get(claim, "spec"), NULL);
    claim_sync_sources(context->arena, value_ensure_object(context->arena, claim, "spec"));
}

static void claim_prepare_for_update(StrategyContext *context, Value *claim, const Value *old) {
    claim_drop_foreign_source(value_get(claim, "spec"), value_get(old, "spec"));
    claim_drop_source(value_get(claim, "spec"), value_get(old, "spec"));
    claim_sync_sources(context->arena, value_ensure_object(context->arena, claim, "spec"));
}

static void check_data_source(FieldErrors *errors, const Value *source, const FieldPath *path) {
    const char *group = text_at(source, "apiGroup"), *kind = text_at(source, "kind");
    check_required(errors, source, "name", path);
    check_required(errors, source, "kind", path);
    if (!*group && !streq(kind, "PersistentVolumeClaim"))
        field_invalid_str(errors, path, kind, "must be 'PersistentVolumeClaim' when referencing the default apiGroup");
    check_name_member(errors, source, "apiGroup", name_dns_subdomain, path);
}

static void check_data_sources(FieldErrors *errors, const Value *spec, const FieldPath *spec_at) {
    const Value *source = value_get(spec, "dataSource"), *reference = value_get(spec, "dataSourceRef");
    FieldPath source_at = FIELD(spec_at, "dataSource"), reference_at = FIELD(spec_at, "dataSourceRef");
    const Value *shown = value_object(errors->arena); /* a field.Path has no exported members */
    bool has_source = value_is(source, VALUE_OBJECT), has_reference = value_is(reference, VALUE_OBJECT);
    if (has_source)
        check_data_source(errors, source, &source_at);
    if (has_reference) {
        check_data_source(errors, reference, &reference_at);
        check_name_member(errors, reference, "namespace", name_dns_label, &reference_at);
    }
    if (!has_source || !has_reference)
        return;
    if (*text_at(reference, "namespace"))
        field_invalid(errors, spec_at, shown, "may not be specified when dataSourceRef.namespace is specified");
    else if (!value_equal(reference_copy(errors->arena, source), reference_copy(errors->arena, reference)))
        field_invalid(errors, spec_at, shown, "must match dataSourceRef");
}

void claim_spec_validate(FieldErrors *errors, const Value *spec, const FieldPath *spec_at) {
    const Value *storage = value_path(spec, "resources", "requests", "storage", NULL);
    FieldPath modes_at = FIELD(spec_at, "accessModes"), selector_at = FIELD(spec_at, "selector"),
              resources_at = FIELD(spec_at, "resources"), storage_at = FIELD_KEY(&resources_at, "storage");
    if (!value_len(value_get(spec, "accessModes")))
        field_required(errors, &modes_at, "at least 1 access mode is required");
    field_check_label_selector(errors, &selector_at, value_get(spec, "selector"));
    check_access_modes(errors, value_get(spec, "accessModes"), &modes_at);
    if (!storage)
        field_required(errors, &storage_at, "");
    else
        check_positive_quantity(errors, storage, &storage_at);
    check_name_member(errors, spec, "storageClassName", name_dns_subdomain, spec_at);
    check_member_one_of(errors, spec, "volumeMode", MODES, spec_at);
    check_data_sources(errors, spec, spec_at);
    check_name_member(errors, spec, "volumeAttributesClassName", name_dns_subdomain, spec_at);
}

static void claim_validate(_unused_ StrategyContext *context, const Value *claim, FieldErrors *errors) {
    FieldPath spec_at = FIELD(NULL, "spec");
    claim_spec_validate(errors, value_get(claim, "spec"), &spec_at);
}

static void carry(Arena *arena, Value *to, const Value *from, const char *name) {
    const Value *v = value_get(from, name);
    value_set(arena, to, name, v ? value_copy(arena, v) : NULL);
}

static void check_claim_spec_change(FieldErrors *errors, const Value *claim, const Value *old) {
    Arena *arena = errors->arena;
    Value *now = value_copy(arena, value_get(claim, "spec")), *was = value_copy(arena, value_get(old, "spec"));
    bool bound = text_is(value_get(claim, "status"), "phase", "Bound");
    const char *annotated = annotation_of(old, STORAGE_CLASS_ANNOTATION),
               *class = value_get_str(now, "storageClassName");
    FieldPath spec_at = FIELD(NULL, "spec"), meta_at = FIELD(NULL, "metadata"),
              annotations_at = FIELD(&meta_at, "annotations"),
              annotation_at = FIELD_KEY(&annotations_at, STORAGE_CLASS_ANNOTATION);
    const char *kept = annotation_of(claim, STORAGE_CLASS_ANNOTATION);
    if (!*text_at(was, "volumeName"))
        carry(arena, was, now, "volumeName");
    if (annotated && !value_get_str(was, "storageClassName") && class && streq(class, annotated) &&
        (!kept || streq(kept, annotated)))
        value_remove(now, "storageClassName");
    else {
        if (!streq(str_or(kept, ""), str_or(annotated, "")))
            field_invalid_str(errors, &annotation_at, str_or(kept, ""), MUST_NOT_CHANGE);
        /* A class may be given to a claim that has none. */
        if (!annotated && !value_get_str(was, "storageClassName") && class)
            carry(arena, now, was, "storageClassName");
    }
    if (bound && value_path(now, "resources", "requests", NULL))
        carry(arena, value_path(now, "resources", "requests", NULL), value_path(was, "resources", "requests", NULL),
              "storage");
    if (bound)
        carry(arena, now, was, "volumeAttributesClassName");
    if (!value_equal(now, was))
        field_forbidden(errors, &spec_at,
                        "spec is immutable after creation except resources.requests and volumeAttributesClassName for "
                        "bound claims\n%s",
                        internal_diff(arena, internal_value(arena, "PersistentVolumeClaimSpec", was, NULL),
                                      internal_value(arena, "PersistentVolumeClaimSpec", now, NULL)));
}

static bool read_storage(const Value *map, Quantity *ret) {
    const char *text = value_get_str(map, "storage");
    *ret = quantity_from_int(0, QUANTITY_BINARY_SI);
    return text && quantity_parse(text, ret) == 0;
}

static void claim_validate_update(StrategyContext *context, const Value *claim, const Value *old, FieldErrors *errors) {
    const Value *spec = value_get(claim, "spec"), *was = value_get(old, "spec");
    FieldPath spec_at = FIELD(NULL, "spec"), resources_at = FIELD(&spec_at, "resources"),
              requests_at = FIELD(&resources_at, "requests"), storage_at = FIELD(&requests_at, "storage"),
              attributes_at = FIELD(&spec_at, "volumeAttributesClassName");
    Quantity size, old_size, capacity;
    claim_validate(context, claim, errors);
    check_claim_spec_change(errors, claim, old);
    read_storage(value_path(spec, "resources", "requests", NULL), &size);
    read_storage(value_path(was, "resources", "requests", NULL), &old_size);
    read_storage(value_path(old, "status", "capacity", NULL), &capacity);
    if (quantity_compare(&size, &old_size) < 0 && quantity_compare(&size, &capacity) <= 0)
        field_forbidden(errors, &storage_at, "field can not be less than status.capacity");
    check_immutable(errors, spec, was, "volumeMode", NULL);
    const char *class = value_get_str(spec, "volumeAttributesClassName");
    if (value_path(old, "status", "currentVolumeAttributesClassName", NULL) && str_empty(class) &&
        !streq_null(class, value_get_str(was, "volumeAttributesClassName")))
        field_forbidden(errors, &attributes_at,
                        "update to %s is forbidden when status.currentVolumeAttributesClassName is not nil",
                        class ? "empty string" : "nil");
}

/* Of the resources with names of ours a claim has storage alone. */
static bool check_claim_resource(FieldErrors *errors, const char *name, const FieldPath *path) {
    static const char *const OURS[] = {"storage", NULL};
    size_t before = errors->n;
    field_check_name(errors, path, name, name_qualified);
    if (errors->n == before && resource_name_is_native(name) && !str_in(name, OURS))
        field_not_supported(errors, path, value_string(errors->arena, name), OURS);
    return errors->n == before;
}

static void claim_validate_status_update(_unused_ StrategyContext *context, const Value *claim,
                                         _unused_ const Value *old, FieldErrors *errors) {
    static const char *const STATUSES[] = {"ControllerResizeInProgress", "ControllerResizeInfeasible",
                                           "NodeResizeInProgress",       "NodeResizeInfeasible",
                                           "NodeResizePending",          NULL};
    const Value *status = value_get(claim, "status");
    FieldPath status_at = FIELD(NULL, "status"), capacity_at = FIELD(&status_at, "capacity"),
              resizes_at = FIELD(&status_at, "allocatedResourceStatuses"),
              allocated_at = FIELD(&status_at, "allocatedResources");
    VALUE_FOREACH_MEMBER (m, value_get(status, "capacity")) {
        FieldPath at = FIELD_KEY(&capacity_at, m->name);
        check_basic_resource(errors, m->value, &at);
    }
    VALUE_FOREACH_MEMBER (m, value_get(status, "allocatedResourceStatuses")) {
        check_claim_resource(errors, m->name, &resizes_at);
        if (!str_in(str_or(value_str(m->value), ""), STATUSES)) /* the reference names the resource here */
            field_not_supported(errors, &resizes_at, value_string(errors->arena, m->name), STATUSES);
    }
    VALUE_FOREACH_MEMBER (m, value_get(status, "allocatedResources")) {
        FieldPath at = FIELD_KEY(&allocated_at, m->name);
        if (check_claim_resource(errors, m->name, &allocated_at))
            check_basic_resource(errors, m->value, &at);
    }
}

static const Strategy ROWS[] = {
    {
        .group = "",
        .plural = "persistentvolumes",
        .revalidates_meta = true,
        .allow_unconditional_update = true,
        .prepare_for_create = volume_prepare_for_create,
        .prepare_for_status_update = volume_prepare_for_status_update,
        .validate = volume_validate,
        .validate_update = volume_validate_update,
        .warn_create = volume_warn,
        .warn_update = volume_warn_update,
        .return_deleted_object = true,
    },
    {
        .group = "",
        .plural = "persistentvolumeclaims",
        .revalidates_meta = true,
        .allow_unconditional_update = true,
        .prepare_for_create = claim_prepare_for_create,
        .prepare_for_update = claim_prepare_for_update,
        .validates_update_alone = true,
        .validate = claim_validate,
        .validate_update = claim_validate_update,
        .validate_status_update = claim_validate_status_update,
        .warn_create = claim_warn,
        .warn_update = claim_warn_update,
        .return_deleted_object = true,
    },
};
const StrategyTable strategies_volumes = {ROWS, ELEMENTSOF(ROWS)};
