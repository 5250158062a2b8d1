#include "apiserver/admission/pod_references.h"
#include "base/str.h"

static const char *const container_lists[] = {"initContainers", "containers", "ephemeralContainers"};

/* Environment of any container from a secret ("secretRef", "secretKeyRef") or a config map. */
static bool environment_names(const Value *pod, const char *ref, const char *key_ref) {
    for (size_t i = 0; i < ELEMENTSOF(container_lists); i++) {
        const Value *container, *item;
        VALUE_FOREACH (container, value_path(pod, "spec", container_lists[i], NULL)) {
            VALUE_FOREACH (item, value_get(container, "envFrom"))
                if (value_get(item, ref))
                    return true;
            VALUE_FOREACH (item, value_get(container, "env"))
                if (value_get(value_get(item, "valueFrom"), key_ref))
                    return true;
        }
    }
    return false;
}

static bool volume_names_secret(const Value *volume) {
    static const char *const with_ref[] = {"cephfs", "cinder", "flexVolume", "rbd", "scaleIO", "iscsi", "storageos"};
    const Value *source;
    if (!str_empty(value_get_str(value_get(volume, "azureFile"), "secretName")) || value_get(volume, "secret") ||
        value_get(value_get(volume, "csi"), "nodePublishSecretRef"))
        return true;
    for (size_t i = 0; i < ELEMENTSOF(with_ref); i++)
        if (value_get(value_get(volume, with_ref[i]), "secretRef"))
            return true;
    VALUE_FOREACH (source, value_path(volume, "projected", "sources", NULL))
        if (value_get(source, "secret"))
            return true;
    return false;
}

bool pod_names_secrets(const Value *pod) {
    const Value *volume;
    if (value_len(value_path(pod, "spec", "imagePullSecrets", NULL)) ||
        environment_names(pod, "secretRef", "secretKeyRef"))
        return true;
    VALUE_FOREACH (volume, value_path(pod, "spec", "volumes", NULL))
        if (volume_names_secret(volume))
            return true;
    return false;
}

bool pod_names_config_maps(const Value *pod) {
    const Value *volume, *source;
    if (environment_names(pod, "configMapRef", "configMapKeyRef"))
        return true;
    VALUE_FOREACH (volume, value_path(pod, "spec", "volumes", NULL)) {
        if (value_get(volume, "configMap"))
            return true;
        VALUE_FOREACH (source, value_path(volume, "projected", "sources", NULL))
            if (value_get(source, "configMap"))
                return true;
    }
    return false;
}

typedef struct Named {
    const char *member, *text; /* text NULL: names nothing of the API */
} Named;

static const Named volume_kinds[] = {
    {"awsElasticBlockStore", NULL},
    {"azureDisk", NULL},
    {"cephfs", NULL},
    {"cinder", NULL},
    {"downwardAPI", NULL},
    {"emptyDir", NULL},
    {"fc", NULL},
    {"flexVolume", NULL},
    {"flocker", NULL},
    {"gcePersistentDisk", NULL},
    {"gitRepo", NULL},
    {"hostPath", NULL},
    {"image", NULL},
    {"iscsi", NULL},
    {"nfs", NULL},
    {"photonPersistentDisk", NULL},
    {"portworxVolume", NULL},
    {"quobyte", NULL},
    {"rbd", NULL},
    {"scaleIO", NULL},
    {"storageos", NULL},
    {"vsphereVolume", NULL},
    {"configMap", "configmaps (via configmap volumes)"},
    {"secret", "secrets (via secret volumes)"},
    {"csi", "csidrivers (via CSI volumes)"},
    {"glusterfs", "endpoints (via glusterFS volumes)"},
    {"persistentVolumeClaim", "persistentvolumeclaims"},
    {"ephemeral", "persistentvolumeclaims (via ephemeral volumes)"},
    {"azureFile", "secrets (via azureFile volumes)"},
    {NULL, NULL},
};
static const Named source_kinds[] = {
    {"configMap", "configmaps (via projected volumes)"},
    {"secret", "secrets (via projected volumes)"},
    {"serviceAccountToken", "serviceaccounts (via projected volumes)"},
    {"clusterTrustBundle", "clustertrustbundles"},
    {"podCertificate", "podcertificates"},
    {"downwardAPI", NULL},
    {NULL, NULL},
};

static const Named *kind_of(const Named *kinds, const Value *v) {
    while (kinds->member && !value_get(v, kinds->member))
        kinds++;
    return kinds->member ? kinds : NULL;
}

static const char *volume_names(Arena *arena, const Value *volume, const char **ret_why) {
    const char *name = str_or(value_get_str(volume, "name"), "");
    const Value *source, *projected = value_get(volume, "projected");
    const Named *kind = kind_of(volume_kinds, volume);
    if (!projected) {
        if (!kind)
            *ret_why = arena_printf(arena, "unknown volume type for volume  \"%s\"", name);
        return kind ? kind->text : NULL;
    }
    VALUE_FOREACH (source, value_get(projected, "sources")) {
        kind = kind_of(source_kinds, source);
        if (!kind) {
            *ret_why = arena_printf(arena, "unknown source for projected volume \"%s\"", name);
            return NULL;
        }
        if (kind->text)
            return kind->text;
    }
    return NULL;
}

const char *pod_named_api_objects(Arena *arena, const Value *pod, const char **ret_why) {
    const Value *spec = value_get(pod, "spec"), *volume;
    *ret_why = NULL;
    if (!str_empty(value_get_str(spec, "serviceAccountName")))
        return "serviceaccounts";
    if (pod_names_secrets(pod))
        return "secrets";
    if (pod_names_config_maps(pod))
        return "configmaps";
    if (value_len(value_get(spec, "resourceClaims")))
        return "resourceclaims";
    VALUE_FOREACH (volume, value_get(spec, "volumes")) {
        const char *text = volume_names(arena, volume, ret_why);
        if (text || *ret_why)
            return text;
    }
    return NULL;
}
