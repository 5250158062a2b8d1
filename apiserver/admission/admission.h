/* Admission: a table of plugins that see every write before it is stored, in the reference's order: all that change
 * objects, then (after the strategy) all that only refuse. One plugin a file. */
#pragma once

#include "apiserver/registry/registry.h"

typedef struct Admission Admission;

typedef struct AdmissionPlugin {
    const char *name;
    int (*mutate)(AdmissionRequest *request, ApiError *err);   /* may be NULL */
    int (*validate)(AdmissionRequest *request, ApiError *err); /* may be NULL */
    bool connects;                                             /* hears of connections too */
} AdmissionPlugin;

/* A question that plugins put to the authorizer. Absent parts are NULL. */
typedef struct AdmissionQuestion {
    const UserInfo *user;
    const char *verb, *group, *version, *resource, *ns, *name;
} AdmissionQuestion;

typedef struct AdmissionConfig {
    /* Names of plugins, each entry one or several with commas between; NULL-terminated; NULL: none. */
    const char *const *enabled, *const *disabled;
    /* Asks the authorizer. NULL: the answer is no. Any thread. */
    bool (*allows)(void *userdata, const AdmissionQuestion *question, Arena *arena);
    void *userdata;
    /* With both, webhooks are called. Borrowed. */
    Store *store;
    struct WebhookClient *webhook_client; /* registry/webhook_client.h */
} AdmissionConfig;

/* The plugins that are on by default, with those the configuration enables and without those it disables. -EINVAL and
 * the reason in *ret_why (owned by the caller) for a name that is unknown, enabled and disabled, or that this server
 * cannot enable. */
int admission_open(const AdmissionConfig *config, Admission **ret, char **ret_why);
/* The same from a list of disabled ones alone; what cannot be read in it is ignored. */
Admission *admission_new(const char *const *disabled);
void admission_free(Admission *admission);
DEFINE_CLEANUP(Admission, admission_free)
AdmissionHooks admission_hooks(Admission *admission);
/* Figures for /metrics in Prometheus' text form. */
void admission_metrics_write(Admission *admission, Buf *out);

/* For plugins (plugin.c). */

/* Is this request about the resource itself (no subresource)? */
bool admission_is(const AdmissionRequest *request, const char *group, const char *plural);
/* 403 in the words of admission.NewForbidden. */
int admission_forbid(const AdmissionRequest *request, ApiError *err, const char *format, ...) _printf_(3, 4);
/* Every object of a resource in a namespace (NULL: all). */
int admission_list(const AdmissionRequest *request, const char *group, const char *version, const char *plural,
                   const char *ns, ObjectList *ret, ApiError *err);
/* One object as a tree in the request's arena; -ENOENT, without a Status, when it is absent. */
int admission_get(const AdmissionRequest *request, const char *group, const char *version, const char *plural,
                  const char *ns, const char *name, Value **ret, ApiError *err);
bool admission_allows(const AdmissionRequest *request, const AdmissionQuestion *question);
/* Requests of one namespace that must not run beside each other. Not recursive; no other lock is taken inside. */
void admission_lock(const AdmissionRequest *request);
void admission_unlock(const AdmissionRequest *request);
const char *admission_annotation(const Value *object, const char *key); /* NULL when absent */
bool admission_is_mirror_pod(const Value *pod);
/* "node" of system:node:node in system:nodes; NULL: no node. */
const char *admission_node(const AdmissionRequest *request);
/* The class of a list that is marked as the default by the annotation `key` (or `also`, when not NULL): the newest,
 * then the first by name. NULL: none. */
const Object *admission_default_class(Arena *arena, const ObjectList *classes, const char *key, const char *also);

extern const AdmissionPlugin admission_namespace_lifecycle, admission_limit_ranger, admission_service_account,
    admission_node_restriction, admission_taint_nodes_by_condition, admission_pod_security, admission_priority,
    admission_default_toleration_seconds, admission_default_storage_class, admission_storage_object_in_use_protection,
    admission_persistent_volume_claim_resize, admission_runtime_class, admission_certificate_approval,
    admission_certificate_signing, admission_certificate_subject_restriction, admission_default_ingress_class,
    admission_pod_topology_labels, admission_pod_resize_validator, admission_mutating_webhook,
    admission_validating_webhook, admission_resource_quota;
