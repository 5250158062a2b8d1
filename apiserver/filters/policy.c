/* Built-in policy: what components and everybody may do from the first moment, as the reference's bootstrap roles of
 * the same names say. */
#include "apiserver/filters/rbac.h"
#include "base/str.h"

#define READ "get,list,watch"
#define CONTROLLERS "system:kube-controller-manager"

const PolicyRow policy_rows[] = {
    {"system:public-info-viewer", "get", NULL, NULL, NULL, "/livez,/readyz,/healthz,/version,/version/"},
    {"system:discovery", "get", NULL, NULL, NULL,
     "/livez,/readyz,/healthz,/version,/version/,/openapi,/openapi/*,/api,/api/*,/apis,/apis/*"},
    {"system:basic-user", "create", "authorization.k8s.io", "selfsubjectaccessreviews,selfsubjectrulesreviews"},
    {"system:basic-user", "create", "authentication.k8s.io", "selfsubjectreviews"},
    {"system:monitoring", "get", NULL, NULL, NULL,
     "/metrics,/metrics/slis,/livez,/readyz,/healthz,/livez/*,/readyz/*,/healthz/*"},
    {"system:monitoring", "get", "", "nodes/metrics"},
    {"system:service-account-issuer-discovery", "get", NULL, NULL, NULL,
     "/.well-known/openid-configuration,/openid/v1/jwks,/openid/v1/jwks/"},
    {"cluster-admin", "*", "*", "*"},
    {"cluster-admin", "*", NULL, NULL, NULL, "*"},

    {"system:auth-delegator", "create", "authentication.k8s.io", "tokenreviews"},
    {"system:auth-delegator", "create", "authorization.k8s.io", "subjectaccessreviews"},
    {"system:kube-aggregator", READ, "", "services,endpoints"},
    {"system:kubelet-api-admin", READ, "", "nodes"},
    {"system:kubelet-api-admin", "proxy", "", "nodes"},
    {"system:kubelet-api-admin", "*", "", "nodes/proxy,nodes/metrics,nodes/stats,nodes/log"},
    {"system:kubelet-api-admin", "*", "", "nodes/pods,nodes/healthz,nodes/configz"},

    {"system:kube-scheduler", "create,patch,update", ",events.k8s.io", "events"},
    {"system:kube-scheduler", "create", "coordination.k8s.io", "leases"},
    {"system:kube-scheduler", "get,update,list,watch", "coordination.k8s.io", "leases", "kube-scheduler"},
    {"system:kube-scheduler", READ, "", "nodes"},
    {"system:kube-scheduler", READ ",delete", "", "pods"},
    {"system:kube-scheduler", "create", "", "pods/binding,bindings"},
    {"system:kube-scheduler", "patch,update", "", "pods/status"},
    {"system:kube-scheduler", READ, "", "services,replicationcontrollers,namespaces"},
    {"system:kube-scheduler", READ, "apps", "replicasets,statefulsets"},
    {"system:kube-scheduler", READ, "policy", "poddisruptionbudgets"},
    {"system:kube-scheduler", READ ",patch,update", "", "persistentvolumeclaims,persistentvolumes"},
    {"system:kube-scheduler", "create", "authentication.k8s.io", "tokenreviews"},
    {"system:kube-scheduler", "create", "authorization.k8s.io", "subjectaccessreviews"},
    {"system:kube-scheduler", READ, "storage.k8s.io",
     "csinodes,csidrivers,csistoragecapacities,storageclasses,volumeattachments"},
    {"system:kube-scheduler", READ, "resource.k8s.io", "resourceclaims,deviceclasses,resourceslices"},
    {"system:kube-scheduler", "create,update,patch,delete", "resource.k8s.io", "resourceclaims,resourceclaims/status"},
    {"system:kube-scheduler", READ, "scheduling.k8s.io", "priorityclasses"},

    /* the manager itself, and its controllers, which have accounts of their own in the reference */
    {CONTROLLERS, "create,patch,update", ",events.k8s.io", "events"},
    {CONTROLLERS, "create,get,update", "coordination.k8s.io", "leases"},
    {CONTROLLERS, "create,get,update,delete", "", "secrets,serviceaccounts"},
    {CONTROLLERS, "get", "", "namespaces,configmaps"},
    {CONTROLLERS, "create", "authentication.k8s.io", "tokenreviews"},
    {CONTROLLERS, "create", "authorization.k8s.io", "subjectaccessreviews"},
    {CONTROLLERS, "list,watch", "*", "*"},
    {CONTROLLERS, "create", "", "serviceaccounts/token"},
    {CONTROLLERS, "get,create,update,patch,delete", "", "pods,endpoints,configmaps,replicationcontrollers,limitranges"},
    {CONTROLLERS, "update,patch", "",
     "pods/status,nodes/status,namespaces/status,services/status,replicationcontrollers/status,resourcequotas/status"},
    {CONTROLLERS, "get,update,patch,delete", "", "nodes,services"},
    {CONTROLLERS, "update", "", "namespaces/finalize,pods/finalizers"},
    {CONTROLLERS, "delete,deletecollection,get,patch,update", "*", "*"},
    {CONTROLLERS, "create,get,update,patch,delete", "apps", "replicasets,controllerrevisions"},
    {CONTROLLERS, "get,update,patch", "apps,batch",
     "deployments,deployments/status,replicasets/status,statefulsets,statefulsets/status,daemonsets,daemonsets/status,"
     "jobs,jobs/status,cronjobs,cronjobs/status"},
    {CONTROLLERS, "create", "batch", "jobs"},
    {CONTROLLERS, "create,get,update,patch,delete", "discovery.k8s.io", "endpointslices"},
    {CONTROLLERS, "update", "policy", "poddisruptionbudgets/status"},

    {"system:node-proxier", "list,watch", "", "services,endpoints"},
    {"system:node-proxier", READ, "", "nodes"},
    {"system:node-proxier", "create,patch,update", ",events.k8s.io", "events"},
    {"system:node-proxier", "list,watch", "networking.k8s.io", "servicecidrs"},
    {"system:node-proxier", "list,watch", "discovery.k8s.io", "endpointslices"},

    {"system:node", "create", "authentication.k8s.io", "tokenreviews"},
    {"system:node", "create", "authorization.k8s.io", "subjectaccessreviews,localsubjectaccessreviews"},
    {"system:node", READ, "", "services"},
    {"system:node", "create,update,patch", ",events.k8s.io", "events"},
    {"system:node", "get", "", "endpoints"},
    {"system:node", "create,get,list,watch", "certificates.k8s.io", "certificatesigningrequests"},
    {"system:node", READ, "storage.k8s.io", "csidrivers"},
    {"system:node", READ, "node.k8s.io", "runtimeclasses"},
    {"system:node", READ, "certificates.k8s.io", "clustertrustbundles"},
};
const size_t policy_n_rows = ELEMENTSOF(policy_rows);

const PolicyBinding policy_bindings[] = {
    {"cluster-admin", "Group", "system:masters"},
    {"system:public-info-viewer", "Group", "system:authenticated"},
    {"system:public-info-viewer", "Group", "system:unauthenticated"},
    {"system:discovery", "Group", "system:authenticated"},
    {"system:basic-user", "Group", "system:authenticated"},
    {"system:monitoring", "Group", "system:monitoring"},
    {"system:service-account-issuer-discovery", "Group", "system:serviceaccounts"},
    {"system:kube-scheduler", "User", "system:kube-scheduler"},
    {CONTROLLERS, "User", "system:kube-controller-manager"},
    {"system:node-proxier", "User", "system:kube-proxy"},
};
const size_t policy_n_bindings = ELEMENTSOF(policy_bindings);

/* "" is a list with one empty string (the core group); NULL is no list. */
static void set_list(Arena *arena, Value *rule, const char *name, const char *text) {
    if (!text)
        return;
    Value *list = value_array(arena);
    size_t n = 0;
    char **parts = *text ? str_split(arena, text, ',', &n) : NULL;
    for (size_t i = 0; i < n; i++)
        value_append(arena, list, value_string(arena, parts[i]));
    if (!*text)
        value_append(arena, list, value_string(arena, ""));
    value_set(arena, rule, name, list);
}

Value *policy_rules(Arena *arena, const char *role) {
    Value *rules = value_array(arena);
    for (size_t i = 0; i < policy_n_rows; i++) {
        const PolicyRow *row = &policy_rows[i];
        if (!streq(row->role, role))
            continue;
        Value *rule = value_object(arena);
        set_list(arena, rule, "verbs", row->verbs);
        set_list(arena, rule, "apiGroups", row->groups);
        set_list(arena, rule, "resources", row->resources);
        set_list(arena, rule, "resourceNames", row->names);
        set_list(arena, rule, "nonResourceURLs", row->urls);
        value_append(arena, rules, rule);
    }
    return rules;
}
