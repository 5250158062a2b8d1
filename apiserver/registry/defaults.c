#include "apiserver/registry/defaults.h"

#include <pthread.h>

#include "apiserver/registry/defaults_functions.h"
#include "base/str.h"
#include "base/strmap.h"

/* One member of one type: set when absent, or zero where Go cannot tell the two apart. The value is JSON: a string, an
 * integer, true, false, {} or a list of one string. Rows of a type stand together. */
typedef struct SimpleDefault {
    const char *type, *field, *json;
} SimpleDefault;

#define ADMISSION "io.k8s.api.admissionregistration.v1."
#define APPS "io.k8s.api.apps.v1."
#define BATCH "io.k8s.api.batch.v1."
#define CORE "io.k8s.api.core.v1."
#define FLOW "io.k8s.api.flowcontrol.v1."

static const SimpleDefault SIMPLE[] = {
    {ADMISSION "MatchResources", "matchPolicy", "\"Equivalent\""},
    {ADMISSION "MatchResources", "namespaceSelector", "{}"},
    {ADMISSION "MatchResources", "objectSelector", "{}"},
    {ADMISSION "MutatingAdmissionPolicySpec", "failurePolicy", "\"Fail\""},
    {ADMISSION "MutatingWebhook", "failurePolicy", "\"Fail\""},
    {ADMISSION "MutatingWebhook", "matchPolicy", "\"Equivalent\""},
    {ADMISSION "MutatingWebhook", "namespaceSelector", "{}"},
    {ADMISSION "MutatingWebhook", "objectSelector", "{}"},
    {ADMISSION "MutatingWebhook", "timeoutSeconds", "10"},
    {ADMISSION "MutatingWebhook", "reinvocationPolicy", "\"Never\""},
    {ADMISSION "RuleWithOperations", "scope", "\"*\""},
    {ADMISSION "NamedRuleWithOperations", "scope", "\"*\""},
    {ADMISSION "ServiceReference", "port", "443"},
    {ADMISSION "ValidatingAdmissionPolicySpec", "failurePolicy", "\"Fail\""},
    {ADMISSION "ValidatingWebhook", "failurePolicy", "\"Fail\""},
    {ADMISSION "ValidatingWebhook", "matchPolicy", "\"Equivalent\""},
    {ADMISSION "ValidatingWebhook", "namespaceSelector", "{}"},
    {ADMISSION "ValidatingWebhook", "objectSelector", "{}"},
    {ADMISSION "ValidatingWebhook", "timeoutSeconds", "10"},
    {APPS "DaemonSetSpec", "revisionHistoryLimit", "10"},
    {APPS "DeploymentSpec", "replicas", "1"},
    {APPS "DeploymentSpec", "revisionHistoryLimit", "10"},
    {APPS "DeploymentSpec", "progressDeadlineSeconds", "600"},
    {APPS "ReplicaSetSpec", "replicas", "1"},
    {APPS "StatefulSetSpec", "podManagementPolicy", "\"OrderedReady\""},
    {APPS "StatefulSetSpec", "replicas", "1"},
    {APPS "StatefulSetSpec", "revisionHistoryLimit", "10"},
    {"io.k8s.api.authentication.v1.TokenRequestSpec", "expirationSeconds", "3600"},
    {"io.k8s.api.autoscaling.v1.HorizontalPodAutoscalerSpec", "minReplicas", "1"},
    {BATCH "CronJobSpec", "concurrencyPolicy", "\"Allow\""},
    {BATCH "CronJobSpec", "suspend", "false"},
    {BATCH "CronJobSpec", "successfulJobsHistoryLimit", "3"},
    {BATCH "CronJobSpec", "failedJobsHistoryLimit", "1"},
    {BATCH "PodFailurePolicyOnPodConditionsPattern", "status", "\"True\""},
    {CORE "ConfigMapVolumeSource", "defaultMode", "420"},
    {CORE "DownwardAPIVolumeSource", "defaultMode", "420"},
    {CORE "HTTPGetAction", "path", "\"/\""},
    {CORE "HTTPGetAction", "scheme", "\"HTTP\""},
    {CORE "HostPathVolumeSource", "type", "\"\""},
    {CORE "EndpointPort", "protocol", "\"TCP\""},
    {CORE "NamespaceStatus", "phase", "\"Active\""},
    {CORE "ObjectFieldSelector", "apiVersion", "\"v1\""},
    {CORE "PersistentVolumeClaimSpec", "volumeMode", "\"Filesystem\""},
    {CORE "PodSpec", "dnsPolicy", "\"ClusterFirst\""},
    {CORE "PodSpec", "restartPolicy", "\"Always\""},
    {CORE "PodSpec", "securityContext", "{}"},
    {CORE "PodSpec", "terminationGracePeriodSeconds", "30"},
    {CORE "PodSpec", "schedulerName", "\"default-scheduler\""},
    {CORE "Probe", "timeoutSeconds", "1"},
    {CORE "Probe", "periodSeconds", "10"},
    {CORE "Probe", "successThreshold", "1"},
    {CORE "Probe", "failureThreshold", "3"},
    {CORE "ProjectedVolumeSource", "defaultMode", "420"},
    {CORE "Secret", "type", "\"Opaque\""},
    {CORE "SecretVolumeSource", "defaultMode", "420"},
    {CORE "ServiceAccountTokenProjection", "expirationSeconds", "3600"},
    {"io.k8s.api.discovery.v1.EndpointPort", "name", "\"\""},
    {"io.k8s.api.discovery.v1.EndpointPort", "protocol", "\"TCP\""},
    {FLOW "ExemptPriorityLevelConfiguration", "nominalConcurrencyShares", "0"},
    {FLOW "ExemptPriorityLevelConfiguration", "lendablePercent", "0"},
    {FLOW "FlowSchemaSpec", "matchingPrecedence", "1000"},
    {FLOW "LimitedPriorityLevelConfiguration", "nominalConcurrencyShares", "30"},
    {FLOW "LimitedPriorityLevelConfiguration", "lendablePercent", "0"},
    {FLOW "QueuingConfiguration", "handSize", "8"},
    {FLOW "QueuingConfiguration", "queues", "64"},
    {FLOW "QueuingConfiguration", "queueLengthLimit", "50"},
    {"io.k8s.api.networking.v1.IngressClassParametersReference", "scope", "\"Cluster\""},
    {"io.k8s.api.networking.v1.NetworkPolicyPort", "protocol", "\"TCP\""},
    {"io.k8s.api.rbac.v1.RoleRef", "apiGroup", "\"rbac.authorization.k8s.io\""},
    {"io.k8s.api.scheduling.v1.PriorityClass", "preemptionPolicy", "\"PreemptLowerPriority\""},
    {"io.k8s.api.storage.v1.CSIDriverSpec", "attachRequired", "true"},
    {"io.k8s.api.storage.v1.CSIDriverSpec", "podInfoOnMount", "false"},
    {"io.k8s.api.storage.v1.CSIDriverSpec", "storageCapacity", "false"},
    {"io.k8s.api.storage.v1.CSIDriverSpec", "fsGroupPolicy", "\"ReadWriteOnceWithFSType\""},
    {"io.k8s.api.storage.v1.CSIDriverSpec", "volumeLifecycleModes", "[\"Persistent\"]"},
    {"io.k8s.api.storage.v1.CSIDriverSpec", "requiresRepublish", "false"},
    {"io.k8s.api.storage.v1.CSIDriverSpec", "seLinuxMount", "false"},
    {"io.k8s.api.storage.v1.StorageClass", "reclaimPolicy", "\"Delete\""},
    {"io.k8s.api.storage.v1.StorageClass", "volumeBindingMode", "\"Immediate\""},
    {"io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.ServiceReference", "port", "443"},
    {"io.k8s.kube-aggregator.pkg.apis.apiregistration.v1.ServiceReference", "port", "443"},
};

typedef struct DefaultFunction {
    const char *type;
    default_fn fn;
} DefaultFunction;

static const DefaultFunction FUNCTIONS[] = {
    {APPS "DaemonSet", default_daemon_set},
    {APPS "DaemonSetUpdateStrategy", default_daemon_set_strategy},
    {APPS "DeploymentStrategy", default_deployment_strategy},
    {APPS "StatefulSetSpec", default_stateful_set_spec},
    {APPS "StatefulSetUpdateStrategy", default_stateful_set_strategy},
    {"io.k8s.api.autoscaling.v2.HorizontalPodAutoscaler", default_hpa_v2},
    {BATCH "Job", default_job},
    {CORE "Container", default_container},
    {CORE "EphemeralContainer", default_container},
    {CORE "LimitRangeItem", default_limit_range_item},
    {CORE "Namespace", default_namespace},
    {CORE "Node", default_node},
    {CORE "PersistentVolume", default_persistent_volume},
    {CORE "PersistentVolumeClaim", default_persistent_volume_claim},
    {CORE "Pod", default_pod},
    {CORE "PodSpec", default_pod_spec},
    {CORE "ReplicationController", default_replication_controller},
    {CORE "ResourceRequirements", default_resource_lists},
    {CORE "VolumeResourceRequirements", default_resource_lists},
    {CORE "Service", default_service},
    {CORE "Volume", default_volume},
    {"io.k8s.api.networking.v1.NetworkPolicy", default_network_policy},
    {"io.k8s.api.rbac.v1.Subject", default_subject},
    {"io.k8s.api.resource.v1.DeviceSubRequest", default_device_request},
    {"io.k8s.api.resource.v1.DeviceTaint", default_device_taint},
    {"io.k8s.api.resource.v1.ExactDeviceRequest", default_device_request},
    {"io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition", default_crd},
};

static Value *literal(Arena *arena, const char *json) {
    size_t n = strlen(json);
    switch (json[0]) {
    case '"':
        return value_string_n(arena, json + 1, n - 2);
    case '{':
        return value_object(arena);
    case '[': {
        Value *list = value_array(arena);
        if (n > 4)
            value_append(arena, list, value_string_n(arena, json + 2, n - 4));
        return list;
    }
    case 't':
    case 'f':
        return value_bool(arena, json[0] == 't');
    default:
        return value_int(arena, strtoll(json, NULL, 10));
    }
}

static bool is_zero(const Value *v) {
    return value_is_empty(v) || (v->type == VALUE_INT && v->integer == 0) || (v->type == VALUE_BOOL && !v->boolean);
}

static void set_default(Arena *arena, const Schema *schema, Value *v, const char *name, const char *json) {
    const SchemaField *field = schema_field(schema, name, strlen(name));
    if (!field)
        return;
    Value *now = value_get(v, field->name);
    bool pointer = field->flags & FIELD_POINTER;
    bool missing = pointer || field->schema->type == SCHEMA_STRUCT ? !now || now->type == VALUE_NULL : is_zero(now);
    if (missing)
        value_set_interned(arena, v, field->name, literal(arena, json));
}

/* Rows by type, for a look-up by name: built once, immutable afterwards. */
typedef struct TypeDefaults {
    default_fn fn;
    size_t first, n; /* rows of SIMPLE */
} TypeDefaults;

static StrMap *by_type;
static pthread_once_t by_type_once = PTHREAD_ONCE_INIT;

static TypeDefaults *type_defaults(const char *type) {
    TypeDefaults *found = strmap_get(by_type, type);
    if (!found) {
        found = NEW0(TypeDefaults);
        strmap_put(by_type, type, found);
    }
    return found;
}

static void index_types(void) {
    by_type = strmap_new(free);
    for (size_t i = 0; i < ELEMENTSOF(FUNCTIONS); i++)
        type_defaults(FUNCTIONS[i].type)->fn = FUNCTIONS[i].fn;
    for (size_t i = 0; i < ELEMENTSOF(SIMPLE); i++) {
        TypeDefaults *rows = type_defaults(SIMPLE[i].type);
        rows->first = rows->n++ ? rows->first : i;
    }
}

static void apply_struct(Arena *arena, const Schema *schema, Value *v) {
    const TypeDefaults *rows = schema->name ? strmap_get(by_type, schema->name) : NULL;
    if (rows && rows->fn)
        rows->fn(arena, v);
    for (size_t i = 0; rows && i < rows->n; i++)
        set_default(arena, schema, v, SIMPLE[rows->first + i].field, SIMPLE[rows->first + i].json);
    for (uint16_t i = 0; i < schema->n_fields; i++)
        if (schema->fields[i].default_json)
            set_default(arena, schema, v, schema->fields[i].name, schema->fields[i].default_json);
}

static void walk(Arena *arena, const Schema *schema, Value *v) {
    Value *item;
    if (!schema || !v)
        return;
    switch (schema->type) {
    case SCHEMA_STRUCT:
        if (v->type != VALUE_OBJECT)
            return;
        apply_struct(arena, schema, v);
        VALUE_FOREACH_MEMBER (member, v) {
            const SchemaField *field = schema_field(schema, member->name, strlen(member->name));
            if (field && member->value->type >= VALUE_ARRAY)
                walk(arena, field->schema, member->value);
        }
        return;
    case SCHEMA_LIST:
        if (schema->element->type >= SCHEMA_STRUCT && schema->element->type <= SCHEMA_LIST)
            VALUE_FOREACH (item, v)
                walk(arena, schema->element, item);
        return;
    case SCHEMA_MAP:
        if (schema->element->type >= SCHEMA_STRUCT && schema->element->type <= SCHEMA_LIST)
            VALUE_FOREACH_MEMBER (member, v)
                walk(arena, schema->element, member->value);
        return;
    default:
        return;
    }
}

void defaults_apply(Arena *arena, const Schema *schema, Value *object) {
    pthread_once(&by_type_once, index_types);
    walk(arena, schema, object);
}
