/* Volumes of a pod: one row a source. */
#include "apiserver/registry/pod_validate.h"

#include "api/quantity.h"
#include "apiserver/registry/validate_util.h"
#include "base/strmap.h"

#define MODE_MESSAGE "must be a number between 0 and 0777 (octal), both inclusive"
#define TOKEN_MIN_SECONDS 600
#define TOKEN_MAX_SECONDS (1ll << 32)

static void local_path_validate(FieldErrors *errors, const char *text, const FieldPath *path) {
    relative_path_validate(errors, text, path);
    if (str_has_prefix(text, "..") && !str_has_prefix(text, "../"))
        field_invalid_str(errors, path, text, "must not start with '..'");
}

static void check_mode(FieldErrors *errors, const Value *object, const char *name, const FieldPath *path) {
    const Value *mode = value_get(object, name);
    FieldPath at = FIELD(path, name);
    if (value_is(mode, VALUE_INT) && (mode->integer < 0 || mode->integer > 0777))
        field_invalid(errors, &at, mode, MODE_MESSAGE);
}

static void check_items(FieldErrors *errors, const Value *source, const FieldPath *path) {
    const Value *items = value_get(source, "items");
    FieldPath list = FIELD(path, "items");
    for (size_t i = 0; i < value_len(items); i++) {
        FieldPath at = FIELD_INDEX(&list, i), path_at = FIELD(&at, "path");
        member_required(errors, value_at(items, i), "key", &at);
        member_required(errors, value_at(items, i), "path", &at);
        local_path_validate(errors, text_of(value_at(items, i), "path"), &path_at);
        check_mode(errors, value_at(items, i), "mode", &at);
    }
}

static void check_empty_dir(_unused_ const PodValidation *v, FieldErrors *errors, const Value *source,
                            const FieldPath *path) {
    const char *limit = value_get_str(source, "sizeLimit");
    FieldPath at = FIELD(path, "sizeLimit");
    Quantity q;
    if (limit && quantity_parse(limit, &q) == 0 && quantity_sign(&q) < 0)
        field_forbidden(errors, &at, "SizeLimit field must be a valid resource quantity");
}

static void check_host_path(_unused_ const PodValidation *v, FieldErrors *errors, const Value *source,
                            const FieldPath *path) {
    static const char *const TYPES[] = {"",     "BlockDevice",  "CharDevice", "Directory", "DirectoryOrCreate",
                                        "File", "FileOrCreate", "Socket",     NULL};
    FieldPath at = FIELD(path, "path"), type_at = FIELD(path, "type");
    member_required(errors, source, "path", path);
    if (!*text_of(source, "path"))
        return;
    backsteps_validate(errors, text_of(source, "path"), &at);
    if (!str_in(text_of(source, "type"), TYPES))
        field_not_supported(errors, &type_at, value_string(errors->arena, text_of(source, "type")), TYPES);
}

static void check_secret(_unused_ const PodValidation *v, FieldErrors *errors, const Value *source,
                         const FieldPath *path) {
    member_required(errors, source, "secretName", path);
    check_mode(errors, source, "defaultMode", path);
    check_items(errors, source, path);
}

static void check_config_map(_unused_ const PodValidation *v, FieldErrors *errors, const Value *source,
                             const FieldPath *path) {
    member_required(errors, source, "name", path);
    check_mode(errors, source, "defaultMode", path);
    check_items(errors, source, path);
}

static void check_downward_file(FieldErrors *errors, const Value *file, const FieldPath *path) {
    const Value *field = value_get(file, "fieldRef"), *resource = value_get(file, "resourceFieldRef");
    FieldPath path_at = FIELD(path, "path"), field_at = FIELD(path, "fieldRef"),
              resource_at = FIELD(path, "resourceFieldRef");
    member_required(errors, file, "path", path);
    local_path_validate(errors, text_of(file, "path"), &path_at);
    if (field) {
        field_ref_validate(errors, field, true, &field_at);
        if (resource)
            field_invalid_str(errors, path, "resource",
                              "fieldRef and resourceFieldRef can not be specified simultaneously");
    } else if (resource)
        resource_ref_validate(errors, resource, true, &resource_at);
    else
        field_required(errors, path, "one of fieldRef and resourceFieldRef is required");
    check_mode(errors, file, "mode", path);
}

static void check_downward(_unused_ const PodValidation *v, FieldErrors *errors, const Value *source,
                           const FieldPath *path) {
    const Value *item;
    check_mode(errors, source, "defaultMode", path);
    VALUE_FOREACH (item, value_get(source, "items"))
        check_downward_file(errors, item, path);
}

static void check_token(FieldErrors *errors, const Value *token, const FieldPath *path, const FieldPath *projected) {
    int64_t seconds = value_get_int(token, "expirationSeconds", TOKEN_MIN_SECONDS);
    FieldPath at = FIELD(path, "expirationSeconds"), path_at = FIELD(projected, "path");
    if (seconds < TOKEN_MIN_SECONDS)
        field_invalid(errors, &at, value_int(errors->arena, seconds),
                      "may not specify a duration less than 10 minutes");
    if (seconds > TOKEN_MAX_SECONDS)
        field_invalid(errors, &at, value_int(errors->arena, seconds),
                      "may not specify a duration larger than 2^32 seconds");
    if (!*text_of(token, "path"))
        field_required(errors, &path_at, "");
    else
        local_path_validate(errors, text_of(token, "path"), &path_at);
}

/* Remembers the paths that sources write; one that comes twice is an error at the volume. */
static void note_path(FieldErrors *errors, char **paths, const char *text, const char *shown,
                      const FieldPath *projected) {
    if (!*text)
        return;
    if (strstr(*paths, arena_printf(errors->arena, "\n%s\n", text)))
        field_invalid_str(errors, projected, shown, "conflicting duplicate paths");
    else
        *paths = arena_printf(errors->arena, "%s%s\n", *paths, text);
}

static void check_projected(_unused_ const PodValidation *v, FieldErrors *errors, const Value *projected,
                            const FieldPath *path) {
    static const char *const KINDS[] = {
        "secret", "configMap", "downwardAPI", "serviceAccountToken", "clusterTrustBundle", "podCertificate"};
    const Value *sources = value_get(projected, "sources"), *item;
    char *paths = arena_strdup(errors->arena, "\n");
    FieldPath list = FIELD(path, "sources");
    check_mode(errors, projected, "defaultMode", path);
    for (size_t i = 0; i < value_len(sources); i++) {
        size_t n = 0;
        FieldPath source_at = FIELD_INDEX(&list, i);
        for (size_t k = 0; k < ELEMENTSOF(KINDS); k++) {
            const Value *source = value_get(value_at(sources, i), KINDS[k]);
            FieldPath at = FIELD(&source_at, KINDS[k]);
            if (!value_is(source, VALUE_OBJECT))
                continue;
            n++;
            if (k < 2) {
                member_required(errors, source, "name", &at);
                check_items(errors, source, &at);
                VALUE_FOREACH (item, value_get(source, "items"))
                    note_path(errors, &paths, text_of(item, "path"), text_of(source, "name"), path);
            } else if (k == 2) {
                VALUE_FOREACH (item, value_get(source, "items")) {
                    check_downward_file(errors, item, &at);
                    note_path(errors, &paths, text_of(item, "path"), text_of(item, "path"), path);
                }
            } else if (k == 3)
                check_token(errors, source, &at, path);
        }
        if (n > 1)
            field_forbidden(errors, &source_at, "may not specify more than 1 volume type per source");
    }
}

static void check_claim(_unused_ const PodValidation *v, FieldErrors *errors, const Value *source,
                        const FieldPath *path) {
    member_required(errors, source, "claimName", path);
}

/* The metadata of an object to be made: labels and annotations, nothing else. */
static void template_metadata_validate(FieldErrors *errors, const Value *metadata, const FieldPath *path) {
    static const char *const OTHERS[] = {"name", "namespace", "generateName", "ownerReferences", "finalizers"};
    FieldPath labels = FIELD(path, "labels"), annotations = FIELD(path, "annotations");
    annotations_validate(errors, value_get(metadata, "annotations"), &annotations);
    field_check_labels(errors, &labels, value_get(metadata, "labels"));
    for (size_t i = 0; i < ELEMENTSOF(OTHERS); i++) {
        FieldPath at = FIELD(path, OTHERS[i]);
        if (!value_is_empty(value_get(metadata, OTHERS[i])))
            field_forbidden(errors, &at, "cannot be set");
    }
}

static void check_ephemeral(_unused_ const PodValidation *v, FieldErrors *errors, const Value *source,
                            const FieldPath *path) {
    FieldPath at = FIELD(path, "volumeClaimTemplate");
    const Value *template = value_get(source, "volumeClaimTemplate");
    FieldPath meta = FIELD(&at, "metadata");
    if (!value_is(template, VALUE_OBJECT))
        field_required(errors, &at, "");
    else {
        FieldPath spec = FIELD(&at, "spec");
        template_metadata_validate(errors, value_get(template, "metadata"), &meta);
        claim_spec_validate(errors, value_get(template, "spec"), &spec);
    }
}

static void check_csi(_unused_ const PodValidation *v, FieldErrors *errors, const Value *source,
                      const FieldPath *path) {
    const Value *secret = value_get(source, "nodePublishSecretRef");
    FieldPath at = FIELD(path, "driver"), secret_at = FIELD(path, "nodePublishSecretRef"), name = FIELD(path, "name");
    member_required(errors, source, "driver", path);
    if (*text_of(source, "driver"))
        driver_name_validate(errors, text_of(source, "driver"), &at);
    if (!secret)
        return;
    member_required(errors, secret, "name", &secret_at);
    if (*text_of(secret, "name"))
        field_check_name(errors, &name, text_of(secret, "name"), name_dns_subdomain);
}

static void check_image(const PodValidation *v, FieldErrors *errors, const Value *source, const FieldPath *path) {
    static const char *const PULL[] = {"Always", "IfNotPresent", "Never", NULL};
    if (!v->is_template)
        member_required(errors, source, "reference", path);
    member_one_of(errors, source, "pullPolicy", PULL, path);
}

static void check_nfs(_unused_ const PodValidation *v, FieldErrors *errors, const Value *source,
                      const FieldPath *path) {
    FieldPath at = FIELD(path, "path");
    member_required(errors, source, "server", path);
    member_required(errors, source, "path", path);
    if (text_of(source, "path")[0] != '/')
        field_invalid_str(errors, &at, text_of(source, "path"), "must be an absolute path");
}

static const struct {
    const char *name;
    void (*check)(const PodValidation *, FieldErrors *, const Value *,
                  const FieldPath *); /* NULL: volume_kinds_validate.c */
} SOURCES[] = {
    {"emptyDir", check_empty_dir},
    {"hostPath", check_host_path},
    {"gitRepo", NULL},
    {"gcePersistentDisk", NULL},
    {"awsElasticBlockStore", NULL},
    {"secret", check_secret},
    {"nfs", check_nfs},
    {"iscsi", NULL},
    {"glusterfs", NULL},
    {"flocker", NULL},
    {"persistentVolumeClaim", check_claim},
    {"rbd", NULL},
    {"cinder", NULL},
    {"cephfs", NULL},
    {"quobyte", NULL},
    {"downwardAPI", check_downward},
    {"fc", NULL},
    {"flexVolume", NULL},
    {"configMap", check_config_map},
    {"azureFile", NULL},
    {"vsphereVolume", NULL},
    {"photonPersistentDisk", NULL},
    {"portworxVolume", NULL},
    {"azureDisk", NULL},
    {"storageos", NULL},
    {"projected", check_projected},
    {"scaleIO", NULL},
    {"csi", check_csi},
    {"ephemeral", check_ephemeral},
    {"image", check_image},
};

static void validate_source(const PodValidation *v, const Value *volume, const FieldPath *path) {
    size_t n = 0;
    for (size_t i = 0; i < ELEMENTSOF(SOURCES); i++) {
        const Value *source = value_get(volume, SOURCES[i].name);
        FieldPath at = FIELD(path, SOURCES[i].name);
        if (!value_is(source, VALUE_OBJECT))
            continue;
        if (n++)
            field_forbidden(v->errors, &at, "may not specify more than 1 volume type");
        else if (SOURCES[i].check)
            SOURCES[i].check(v, v->errors, source, &at);
        else
            volume_kind_validate(v->errors, SOURCES[i].name, source, &at);
    }
    if (n == 0)
        field_required(v->errors, path, "must specify a volume type");
}

const Value *pod_volume(const PodValidation *v, const char *name) {
    const Value *volumes = v->volumes ? v->volumes : value_get(v->spec, "volumes");
    size_t at = list_index_find(&v->errors->lists, volumes, "name", name);
    return at == LIST_INDEX_NONE ? NULL : value_at(volumes, at);
}

/* The claim that the pod makes for a volume has a name of both. */
static void check_claim_name(const PodValidation *v, const Value *volume, const FieldPath *path) {
    const char *pod = text_of(v->metadata, "name"), *name = text_of(volume, "name");
    FieldPath ephemeral_at = FIELD(path, "name");
    NameMessages messages = {.arena = v->errors->arena};
    if (!value_is(value_get(volume, "ephemeral"), VALUE_OBJECT) || !*pod || !*name)
        return;
    const char *claim = arena_printf(v->errors->arena, "%s-%s", pod, name);
    name_dns_subdomain(claim, &messages);
    for (size_t i = 0; i < messages.n; i++)
        field_invalid_str(v->errors, &ephemeral_at, name, "PVC name \"%s\": %s", claim, messages.items[i]);
}

/* A claim that the pod makes for one of its volumes is not for others. */
static void check_created_claim(const PodValidation *v, const Value *volume, const FieldPath *path) {
    const Value *claim = value_get(volume, "persistentVolumeClaim"), *other;
    const char *pod = text_of(v->metadata, "name"), *name = text_of(claim, "claimName");
    FieldPath claim_at = FIELD(path, "persistentVolumeClaim"), name_at = FIELD(&claim_at, "claimName");
    size_t len = strlen(pod);
    if (!claim || !len || !str_has_prefix(name, pod) || name[len] != '-')
        return;
    VALUE_FOREACH (other, value_get(v->spec, "volumes"))
        if (value_get(other, "ephemeral") && streq(text_of(other, "name"), name + len + 1)) {
            field_invalid_str(v->errors, &name_at, name,
                              "must not reference a PVC that gets created for an ephemeral volume");
            return;
        }
}

void pod_volumes_validate(const PodValidation *v, const FieldPath *path) {
    const Value *volumes = value_get(v->spec, "volumes");
    _cleanup_(strmap_freep) StrMap *valid = strmap_new(NULL);
    for (size_t i = 0; i < value_len(volumes); i++) {
        const Value *volume = value_at(volumes, i);
        const char *name = text_of(volume, "name");
        FieldPath at = FIELD_INDEX(path, i), name_at = FIELD(&at, "name");
        size_t before = v->errors->n;
        validate_source(v, volume, &at);
        check_claim_name(v, volume, &at);
        if (!*name)
            field_required(v->errors, &name_at, "");
        else
            field_check_name(v->errors, &name_at, name, name_dns_label);
        if (strmap_get(valid, name))
            field_duplicate(v->errors, &name_at, value_string(v->errors->arena, name));
        if (v->errors->n == before) {
            strmap_add(valid, name);
            value_append(v->errors->arena, v->volumes, (Value *)(uintptr_t)volume);
        }
        check_created_claim(v, volume, &at);
    }
}
