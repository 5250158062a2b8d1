#include "apiserver/admission/admission_internal.h"
#include "base/str.h"

#include <errno.h>

typedef struct Row {
    const char *name;
    const AdmissionPlugin *plugin; /* NULL: the reference has it, this server does not */
    bool on;                       /* by default */
} Row;

/* Every plugin of the reference, in its order (pkg/kubeapiserver/options/plugins.go). Those on by default that have no
 * plugin here belong to features that are off (ClusterTrustBundle, GenericWorkload, WorkloadWithJob), to policies, or
 * to node features. */
static const Row rows[] = {
    {"AlwaysAdmit", NULL, false},
    {"NamespaceAutoProvision", NULL, false},
    {"NamespaceLifecycle", &admission_namespace_lifecycle, true},
    {"NamespaceExists", NULL, false},
    {"LimitPodHardAntiAffinityTopology", NULL, false},
    {"LimitRanger", &admission_limit_ranger, true},
    {"ServiceAccount", &admission_service_account, true},
    /* off in the reference unless asked for, which every installer does */
    {"NodeRestriction", &admission_node_restriction, true},
    {"TaintNodesByCondition", &admission_taint_nodes_by_condition, true},
    {"AlwaysPullImages", NULL, false},
    {"ImagePolicyWebhook", NULL, false},
    {"PodSecurity", &admission_pod_security, true},
    {"PodNodeSelector", NULL, false},
    {"Priority", &admission_priority, true},
    {"DefaultTolerationSeconds", &admission_default_toleration_seconds, true},
    {"PodTolerationRestriction", NULL, false},
    {"EventRateLimit", NULL, false},
    {"ExtendedResourceToleration", NULL, false},
    {"DefaultStorageClass", &admission_default_storage_class, true},
    {"StorageObjectInUseProtection", &admission_storage_object_in_use_protection, true},
    {"PodGroupProtection", NULL, true},
    {"OwnerReferencesPermissionEnforcement", NULL, false},
    {"PersistentVolumeClaimResize", &admission_persistent_volume_claim_resize, true},
    {"RuntimeClass", &admission_runtime_class, true},
    {"CertificateApproval", &admission_certificate_approval, true},
    {"CertificateSigning", &admission_certificate_signing, true},
    {"ClusterTrustBundleAttest", NULL, true},
    {"CertificateSubjectRestriction", &admission_certificate_subject_restriction, true},
    {"DefaultIngressClass", &admission_default_ingress_class, true},
    {"DenyServiceExternalIPs", NULL, false},
    {"PodTopologyLabels", &admission_pod_topology_labels, true},
    {"PodGroupWorkloadExists", NULL, true},
    {"NodeDeclaredFeatureValidator", NULL, true},
    {"JobValidation", NULL, true},
    {"PodResizeValidator", &admission_pod_resize_validator, true},
    {"MutatingAdmissionPolicy", NULL, true},
    {"MutatingAdmissionWebhook", &admission_mutating_webhook, true},
    {"ValidatingAdmissionPolicy", NULL, true},
    {"ValidatingAdmissionWebhook", &admission_validating_webhook, true},
    {"ResourceQuota", &admission_resource_quota, true},
    {"AlwaysDeny", NULL, false},
};

/* Marks the rows that `list` names; the first name that is none, in the arena. */
static const char *mark(Arena *arena, const char *const *list, bool marks[]) {
    for (; list && *list; list++) {
        char **names = str_split(arena, *list, ',', NULL);
        for (; *names; names++) {
            size_t i = 0;
            while (i < ELEMENTSOF(rows) && !streq(rows[i].name, *names))
                i++;
            if (i == ELEMENTSOF(rows))
                return *names;
            marks[i] = true;
        }
    }
    return NULL;
}

static char *choose(const AdmissionConfig *config, bool chosen[]) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    bool on[ELEMENTSOF(rows)] = {0}, off[ELEMENTSOF(rows)] = {0};
    const char *unknown = mark(arena, config->enabled, on);
    if (unknown)
        return xasprintf("enable-admission-plugins plugin \"%s\" is unknown", unknown);
    unknown = mark(arena, config->disabled, off);
    if (unknown)
        return xasprintf("disable-admission-plugins plugin \"%s\" is unknown", unknown);
    for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
        if (on[i] && off[i])
            return xasprintf("[%s] in enable-admission-plugins and disable-admission-plugins overlapped", rows[i].name);
        if (on[i] && !rows[i].on && !rows[i].plugin)
            return xasprintf("the admission plugin %s is not part of this server", rows[i].name);
        chosen[i] = rows[i].plugin && !off[i] && (on[i] || rows[i].on);
    }
    return NULL;
}

static Admission *make(const AdmissionConfig *config, const bool chosen[]) {
    Admission *admission = NEW0(Admission);
    admission->plugins = NEWN0(const AdmissionPlugin *, ELEMENTSOF(rows));
    for (size_t i = 0; i < ELEMENTSOF(rows); i++)
        if (chosen[i])
            admission->plugins[admission->n++] = rows[i].plugin;
    admission->allows = config->allows;
    admission->userdata = config->userdata;
    if (config->store && config->webhook_client)
        admission->webhooks = webhooks_new(config->store, config->webhook_client);
    for (size_t i = 0; i < ADMISSION_LOCKS; i++)
        pthread_mutex_init(&admission->locks[i], NULL);
    return admission;
}

int admission_open(const AdmissionConfig *config, Admission **ret, char **ret_why) {
    bool chosen[ELEMENTSOF(rows)] = {0};
    char *why = choose(config, chosen);
    if (why) {
        *ret_why = why;
        return -EINVAL;
    }
    *ret = make(config, chosen);
    return 0;
}

Admission *admission_new(const char *const *disabled) {
    const AdmissionConfig config = {.disabled = disabled}, plain = {0};
    Admission *admission = NULL;
    char *why = NULL;
    if (admission_open(&config, &admission, &why) < 0) {
        free(why);
        admission_open(&plain, &admission, &why);
    }
    return admission;
}

void admission_free(Admission *admission) {
    if (!admission)
        return;
    for (size_t i = 0; i < ADMISSION_LOCKS; i++)
        pthread_mutex_destroy(&admission->locks[i]);
    webhooks_free(admission->webhooks);
    free(admission->plugins);
    free(admission);
}

void admission_metrics_write(Admission *admission, Buf *out) {
    if (admission->webhooks)
        webhook_metrics_write(webhooks_metrics(admission->webhooks), out);
}

static int run(Admission *admission, AdmissionRequest *request, bool validate, ApiError *err) {
    request->admission = admission;
    for (size_t i = 0; i < admission->n; i++) {
        const AdmissionPlugin *plugin = admission->plugins[i];
        int (*fn)(AdmissionRequest *, ApiError *) = validate ? plugin->validate : plugin->mutate;
        bool heard = request->operation != ADMISSION_CONNECT || plugin->connects;
        int r = fn && heard ? fn(request, err) : 0;
        if (r < 0)
            return r;
    }
    return 0;
}

static int mutate(void *userdata, AdmissionRequest *request, ApiError *err) {
    int r = run(userdata, request, false, err);
    if (r < 0 || !request->reinvocation.wanted)
        return r;
    request->reinvocation.running = true;
    return run(userdata, request, false, err);
}

static int validate(void *userdata, AdmissionRequest *request, ApiError *err) {
    return run(userdata, request, true, err);
}

AdmissionHooks admission_hooks(Admission *admission) {
    return (AdmissionHooks){mutate, validate, admission};
}
