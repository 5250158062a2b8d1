#include "apiserver/registry/volume_warnings.h"
#include "apiserver/registry/node_label_warnings.h"
#include "apiserver/registry/pod_warnings.h"
#include "apiserver/registry/validate_util.h"

typedef struct Deprecation {
    const char *name, *why;
} Deprecation;

static const Deprecation STORAGE_CLASS = {"volume.beta.kubernetes.io/storage-class",
                                          "deprecated since v1.8; use \"storageClassName\" attribute instead"};
static const Deprecation MOUNT_OPTIONS = {"volume.beta.kubernetes.io/mount-options",
                                          "deprecated since v1.31; use \"mountOptions\" attribute instead"};

/* `named`: how the message calls it, where that is not its name. */
static const struct {
    const char *name, *named, *why;
} SOURCES[] = {
    {"cephfs", NULL, "deprecated in v1.28, non-functional in v1.31+"},
    {"photonPersistentDisk", NULL, "deprecated in v1.11, non-functional in v1.16+"},
    {"scaleIO", NULL, "deprecated in v1.16, non-functional in v1.22+"},
    {"storageos", "storageOS", "deprecated in v1.22, non-functional in v1.25+"},
    {"glusterfs", NULL, "deprecated in v1.25, non-functional in v1.26+"},
    {"rbd", NULL, "deprecated in v1.28, non-functional in v1.31+"},
};

static void warn_annotation(StrategyContext *context, const Value *object, const Deprecation *deprecation) {
    if (value_get(value_path(object, "metadata", "annotations", NULL), deprecation->name))
        strategy_warn(context, "metadata.annotations[%s]: %s", deprecation->name, deprecation->why);
}

void volume_warn(StrategyContext *context, const Value *volume) {
    const Value *spec = value_get(volume, "spec"),
                *terms = value_path(spec, "nodeAffinity", "required", "nodeSelectorTerms", NULL);
    FieldPath spec_at = FIELD(NULL, "spec"), affinity = FIELD(&spec_at, "nodeAffinity"),
              required = FIELD(&affinity, "required"), terms_at = FIELD(&required, "nodeSelectorTerms");
    warn_annotation(context, volume, &STORAGE_CLASS);
    warn_annotation(context, volume, &MOUNT_OPTIONS);
    if (streq(text_of(spec, "persistentVolumeReclaimPolicy"), "Recycle"))
        strategy_warn(context, "spec.persistentVolumeReclaimPolicy: The Recycle reclaim policy is deprecated. Instead, "
                               "the recommended approach is to use dynamic provisioning.");
    for (size_t i = 0; i < value_len(terms); i++) {
        FieldPath at = FIELD_INDEX(&terms_at, i);
        node_term_warn(context, value_at(terms, i), false, &at);
    }
    for (size_t i = 0; i < ELEMENTSOF(SOURCES); i++)
        if (value_is(value_get(spec, SOURCES[i].name), VALUE_OBJECT))
            strategy_warn(context, "spec.%s: %s", str_or(SOURCES[i].named, SOURCES[i].name), SOURCES[i].why);
}

void volume_warn_update(StrategyContext *context, const Value *volume, _unused_ const Value *old) {
    volume_warn(context, volume);
}

void claim_warn(StrategyContext *context, const Value *claim) {
    FieldPath spec = FIELD(NULL, "spec");
    warn_annotation(context, claim, &STORAGE_CLASS);
    claim_spec_warn(context, value_get(claim, "spec"), &spec);
}

void claim_warn_update(StrategyContext *context, const Value *claim, _unused_ const Value *old) {
    claim_warn(context, claim);
}
