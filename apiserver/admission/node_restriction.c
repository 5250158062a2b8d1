/* NodeRestriction: a node agent writes its own Node and Lease and the pods bound to it, and asks for tokens of those
 * pods only (plugin/pkg/admission/noderestriction). */
#include "apiserver/admission/certificate_request.h"
#include "apiserver/admission/messages.h"
#include "apiserver/admission/pod_references.h"
#include "base/str.h"

#include <errno.h>

#define RESTRICTED "node-restriction.kubernetes.io"

static const char *operation_text(const AdmissionRequest *request) {
    static const char *const texts[] = {"CREATE", "UPDATE", "DELETE", "CONNECT"};
    return texts[request->operation];
}

static const char *node_of(const Value *pod) {
    return str_or(value_get_str(value_get(pod, "spec"), "nodeName"), "");
}

static int get_pod(AdmissionRequest *request, const char *name, Value **ret, ApiError *err) {
    int r = admission_get(request, "", "v1", "pods", request->ns, name, ret, err);
    return r == -ENOENT ? api_error_not_found(err, "", "pods", name) : r;
}

static int check_owner(AdmissionRequest *request, const char *node, ApiError *err) {
    const Value *owners = value_path(request->object, "metadata", "ownerReferences", NULL),
                *owner = value_at(owners, 0);
    Value *v;
    if (value_len(owners) > 1)
        return admission_forbid(request, err,
                                "node \"%s\" can only create pods with a single owner reference set to itself", node);
    if (!streq_null(value_get_str(owner, "apiVersion"), "v1") || !streq_null(value_get_str(owner, "kind"), "Node") ||
        !streq_null(value_get_str(owner, "name"), node))
        return admission_forbid(request, err, "node \"%s\" can only create pods with an owner reference set to itself",
                                node);
    if (!value_get_bool(owner, "controller", false))
        return admission_forbid(
            request, err, "node \"%s\" can only create pods with a controller owner reference set to itself", node);
    if (value_get_bool(owner, "blockOwnerDeletion", false))
        return admission_forbid(request, err, "node \"%s\" must not set blockOwnerDeletion on an owner reference",
                                node);
    int r = admission_get(request, "", "v1", "nodes", "", node, &v, err);
    if (r < 0)
        return r == -ENOENT ? api_error_not_found(err, "", "nodes", node) : r;
    const char *uid = str_or(value_get_str(owner, "uid"), ""), *want = str_or(meta_get(v, "uid"), "");
    if (!streq(uid, want))
        return admission_forbid(request, err, "node %s UID mismatch: expected %s got %s", node, uid, want);
    return 0;
}

static int pod_create(AdmissionRequest *request, const char *node, ApiError *err) {
    const char *why;
    if (!admission_is_mirror_pod(request->object))
        return admission_forbid(
            request, err,
            "pod does not have \"kubernetes.io/config.mirror\" annotation, node \"%s\" can only create mirror pods",
            node);
    if (!streq(node_of(request->object), node))
        return admission_forbid(request, err, "node \"%s\" can only create pods with spec.nodeName set to itself",
                                node);
    int r = check_owner(request, node, err);
    if (r < 0)
        return r;
    const char *named = pod_named_api_objects(request->strategy->arena, request->object, &why);
    if (why)
        return admission_forbid(request, err, "error checking mirror pod for API references: %s", why);
    return named ? admission_forbid(request, err, "node \"%s\" can not create pods that reference %s", node, named) : 0;
}

static int pod_main(AdmissionRequest *request, const char *node, ApiError *err) {
    if (request->operation == ADMISSION_CREATE)
        return pod_create(request, node, err);
    if (request->operation == ADMISSION_DELETE) {
        if (!streq(node_of(request->old), node))
            return admission_forbid(request, err, "node \"%s\" can only delete pods with spec.nodeName set to itself",
                                    node);
        return 0;
    }
    return admission_forbid(request, err,
                            "unexpected operation \"%s\", node \"%s\" can only create and delete mirror pods",
                            operation_text(request), node);
}

static bool same(const AdmissionRequest *request, const char *part, const char *field) {
    const Value *now = value_path(request->object, part, field, NULL),
                *was = value_path(request->old, part, field, NULL);
    return (value_is_empty(now) && value_is_empty(was)) || value_equal(now, was);
}

static int pod_status(AdmissionRequest *request, const char *node, ApiError *err) {
    if (request->operation != ADMISSION_UPDATE)
        return admission_forbid(request, err, "unexpected operation \"%s\"", operation_text(request));
    if (!streq(node_of(request->old), node))
        return admission_forbid(
            request, err, "node \"%s\" can only update pod status for pods with spec.nodeName set to itself", node);
    if (!same(request, "metadata", "labels"))
        return admission_forbid(request, err, "node \"%s\" cannot update labels through pod status", node);
    if (!same(request, "status", "resourceClaimStatuses"))
        return admission_forbid(request, err, "node \"%s\" cannot update resource claim statues", node);
    if (!same(request, "status", "extendedResourceClaimStatus"))
        return admission_forbid(request, err, "node \"%s\" cannot update extended resource claim status", node);
    return 0;
}

static int pod_eviction(AdmissionRequest *request, const char *node, ApiError *err) {
    Value *pod;
    /* the deletion that an eviction makes once it was let in */
    if (request->operation == ADMISSION_DELETE)
        return 0;
    if (request->operation != ADMISSION_CREATE)
        return admission_forbid(request, err, "unexpected operation %s", operation_text(request));
    const char *name = *request->name ? request->name : str_or(meta_get(request->object, "name"), "");
    if (!*name)
        return admission_forbid(request, err, "could not determine pod from request data");
    int r = get_pod(request, name, &pod, err);
    if (r == 0 && !streq(node_of(pod), node))
        return admission_forbid(request, err, "node %s can only evict pods with spec.nodeName set to itself", node);
    return r;
}

static int admit_pod(AdmissionRequest *request, const char *node, ApiError *err) {
    const char *subresource = str_or(request->request->subresource, "");
    if (!*subresource)
        return pod_main(request, node, err);
    if (streq(subresource, "status"))
        return pod_status(request, node, err);
    if (streq(subresource, "eviction"))
        return pod_eviction(request, node, err);
    return admission_forbid(request, err, "unexpected pod subresource \"%s\", only 'status' and 'eviction' are allowed",
                            subresource);
}

static bool in_domain(const char *key, const char *domain) {
    size_t n = strcspn(key, "/"), m = strlen(domain);
    if (!key[n] || n < m || memcmp(key + n - m, domain, m) != 0)
        return false;
    return n == m || key[n - m - 1] == '.';
}

/* Labels that say where and what a node is are for administrators, but for those the agent is known to set. */
static bool is_forbidden_label(const char *key) {
    static const char *const own[] = {"kubernetes.io/hostname",
                                      "topology.kubernetes.io/zone",
                                      "topology.kubernetes.io/region",
                                      "failure-domain.beta.kubernetes.io/zone",
                                      "failure-domain.beta.kubernetes.io/region",
                                      "beta.kubernetes.io/instance-type",
                                      "node.kubernetes.io/instance-type",
                                      "kubernetes.io/os",
                                      "kubernetes.io/arch",
                                      "beta.kubernetes.io/os",
                                      "beta.kubernetes.io/arch",
                                      NULL};
    if (in_domain(key, RESTRICTED))
        return true;
    if (!in_domain(key, "kubernetes.io") && !in_domain(key, "k8s.io"))
        return false;
    return !str_in(key, own) && !in_domain(key, "kubelet.kubernetes.io") && !in_domain(key, "node.kubernetes.io");
}

static void collect(const Value *a, const Value *b, Value *out, Arena *arena) {
    VALUE_FOREACH_MEMBER (m, a)
        if (!value_equal(m->value, value_get(b, m->name)) && is_forbidden_label(m->name))
            value_set_bool(arena, out, m->name, true);
}

static int by_text(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The labels this request changes that it may not, sorted, joined by ", "; NULL: none. */
static char *forbidden_labels(const AdmissionRequest *request) {
    Arena *arena = request->strategy->arena;
    const Value *now = value_path(request->object, "metadata", "labels", NULL),
                *was = value_path(request->old, "metadata", "labels", NULL);
    Value *found = value_object(arena);
    collect(now, was, found, arena);
    collect(was, now, found, arena);
    size_t n = value_len(found);
    const char **names = arena_alloc(arena, (n + 1) * sizeof *names);
    _cleanup_buf_ Buf text = BUF_INIT(BUF_NO_LIMIT);
    n = 0;
    VALUE_FOREACH_MEMBER (m, found)
        names[n++] = m->name;
    qsort(names, n, sizeof *names, by_text);
    for (size_t i = 0; i < n; i++)
        buf_printf(&text, "%s%s", i ? ", " : "", names[i]);
    return n ? arena_strdup(arena, str_or(text.data, "")) : NULL;
}

static int admit_node(AdmissionRequest *request, const char *node, ApiError *err) {
    const Value *config = value_path(request->object, "spec", "configSource", NULL);
    if (!streq(request->name, node))
        return admission_forbid(request, err, "node \"%s\" is not allowed to modify node \"%s\"", node, request->name);
    if (request->operation == ADMISSION_CREATE) {
        if (config)
            return admission_forbid(request, err,
                                    "node \"%s\" is not allowed to create pods with a non-nil configSource", node);
        char *labels = forbidden_labels(request);
        return labels ? admission_forbid(request, err, "node \"%s\" is not allowed to set the following labels: %s",
                                         node, labels)
                      : 0;
    }
    if (request->operation != ADMISSION_UPDATE)
        return 0;
    if (config && !same(request, "spec", "configSource"))
        return admission_forbid(
            request, err, "node \"%s\" is not allowed to update configSource to a new non-nil configSource", node);
    if (!same(request, "spec", "taints"))
        return admission_forbid(request, err, "node \"%s\" is not allowed to modify taints", node);
    if (!same(request, "metadata", "ownerReferences"))
        return admission_forbid(request, err, "node \"%s\" is not allowed to modify ownerReferences", node);
    char *labels = forbidden_labels(request);
    return labels ? admission_forbid(request, err, "is not allowed to modify labels: %s", labels) : 0;
}

static Value *without_sizes(Arena *arena, const Value *claim) {
    static const char *const fields[] = {"capacity", "conditions", "allocatedResourceStatuses", "allocatedResources"};
    Value *v = value_copy(arena, claim), *meta = meta_ensure(arena, v),
          *status = value_ensure_object(arena, v, "status");
    value_remove(meta, "resourceVersion");
    value_remove(meta, "managedFields");
    for (size_t i = 0; i < ELEMENTSOF(fields); i++)
        value_remove(status, fields[i]);
    return v;
}

static int admit_claim(AdmissionRequest *request, const char *node, ApiError *err) {
    const char *subresource = request->request->subresource;
    Arena *arena = request->strategy->arena;
    if (!subresource || !streq(subresource, "status"))
        return admission_forbid(request, err, "may only update PVC status");
    if (request->operation != ADMISSION_UPDATE)
        return admission_forbid(request, err, "unexpected operation \"%s\"", operation_text(request));
    if (!value_equal(without_sizes(arena, request->object), without_sizes(arena, request->old)))
        return admission_forbid(
            request, err,
            "node \"%s\" is not allowed to update fields other than status.quantity and status.conditions", node);
    return 0;
}

static int driver_of_claim(AdmissionRequest *request, const char *claim, const char **ret, Messages *messages) {
    _cleanup_api_error_ ApiError ignored = {0};
    Value *pvc, *pv;
    if (admission_get(request, "", "v1", "persistentvolumeclaims", request->ns, claim, &pvc, &ignored) < 0) {
        messages_add(messages, "persistentvolumeclaim \"%s\" not found", claim);
        return -ENOENT;
    }
    const char *volume = str_or(value_get_str(value_get(pvc, "spec"), "volumeName"), "");
    if (admission_get(request, "", "v1", "persistentvolumes", "", volume, &pv, &ignored) < 0) {
        messages_add(messages, "persistentvolume \"%s\" not found", volume);
        return -ENOENT;
    }
    *ret = value_get_str(value_path(pv, "spec", "csi", NULL), "driver");
    return 0;
}

static bool driver_wants(AdmissionRequest *request, const char *driver, const char *audience, Messages *messages) {
    _cleanup_api_error_ ApiError ignored = {0};
    Value *v;
    const Value *item;
    if (admission_get(request, "storage.k8s.io", "v1", "csidrivers", "", driver, &v, &ignored) < 0) {
        messages_add(messages, "csidriver.storage.k8s.io \"%s\" not found", driver);
        return false;
    }
    VALUE_FOREACH (item, value_path(v, "spec", "tokenRequests", NULL))
        if (streq(str_or(value_get_str(item, "audience"), ""), audience))
            return true;
    return false;
}

static bool volume_wants(AdmissionRequest *request, const Value *pod, const Value *volume, const char *audience,
                         Messages *messages) {
    const Value *source, *claim = value_get(volume, "persistentVolumeClaim");
    const char *driver = value_get_str(value_get(volume, "csi"), "driver"), *name = NULL;
    VALUE_FOREACH (source, value_path(volume, "projected", "sources", NULL)) {
        const Value *token = value_get(source, "serviceAccountToken");
        if (token && streq(str_or(value_get_str(token, "audience"), ""), audience))
            return true;
    }
    if (value_get(value_get(volume, "ephemeral"), "volumeClaimTemplate"))
        name = arena_printf(request->strategy->arena, "%s-%s", meta_get(pod, "name"), value_get_str(volume, "name"));
    else if (claim)
        name = str_or(value_get_str(claim, "claimName"), "");
    if (name && driver_of_claim(request, name, &driver, messages) < 0)
        return false;
    return !str_empty(driver) && driver_wants(request, driver, audience, messages);
}

static int check_audience(AdmissionRequest *request, const Value *token, const Value *pod, ApiError *err) {
    const Value *audiences = value_path(token, "spec", "audiences", NULL), *volume;
    Messages messages = {.arena = request->strategy->arena};
    if (value_len(audiences) > 1)
        return admission_forbid(request, err, "node may only request 0 or 1 audiences");
    const char *audience = str_or(value_str(value_at(audiences, 0)), "");
    VALUE_FOREACH (volume, value_path(pod, "spec", "volumes", NULL))
        if (volume_wants(request, pod, volume, audience, &messages))
            return 0;
    if (messages.n)
        return admission_forbid(request, err, "error validating audience \"%s\": %s", audience,
                                messages_text(&messages));
    AdmissionQuestion question = {
        .user = request->request->user,
        .verb = "request-serviceaccounts-token-audience",
        .group = "",
        .version = "v1",
        .resource = audience,
        .ns = request->ns,
        .name = request->name,
    };
    if (admission_allows(request, &question))
        return 0;
    return admission_forbid(
        request, err,
        "audience \"%s\" not found in pod spec volume, %s is not authorized to request tokens for this audience",
        audience, request->request->user->name);
}

static int admit_token(AdmissionRequest *request, const char *node, ApiError *err) {
    const char *subresource = request->request->subresource;
    const Value *ref = value_path(request->object, "spec", "boundObjectRef", NULL);
    Value *pod;
    if (request->operation != ADMISSION_CREATE || !subresource || !streq(subresource, "token"))
        return 0;
    const char *name = str_or(value_get_str(ref, "name"), ""), *uid = str_or(value_get_str(ref, "uid"), "");
    if (!streq_null(value_get_str(ref, "apiVersion"), "v1") || !streq_null(value_get_str(ref, "kind"), "Pod") || !*name)
        return admission_forbid(request, err, "node requested token not bound to a pod");
    if (!*uid)
        return admission_forbid(request, err, "node requested token with a pod binding without a uid");
    int r = get_pod(request, name, &pod, err);
    if (r < 0)
        return r;
    if (!streq_null(meta_get(pod, "uid"), uid))
        return admission_forbid(
            request, err,
            "the UID in the bound object reference (%s) does not match the UID in record. The object might have "
            "been deleted and then recreated",
            uid);
    if (!streq(node_of(pod), node))
        return admission_forbid(request, err, "node requested token bound to a pod scheduled on a different node");
    return check_audience(request, request->object, pod, err);
}

static int admit_lease(AdmissionRequest *request, const char *node, ApiError *err) {
    if (!streq(request->ns, "kube-node-lease"))
        return admission_forbid(request, err, "can only access leases in the \"kube-node-lease\" system namespace");
    if (!streq(request->name, node))
        return admission_forbid(request, err, "can only access node lease with the same name as the requesting node");
    return 0;
}

static int admit_csi_node(AdmissionRequest *request, const char *node, ApiError *err) {
    return streq(request->name, node)
               ? 0
               : admission_forbid(request, err, "can only access CSINode with the same name as the requesting node");
}

static int admit_resource_slice(AdmissionRequest *request, const char *node, ApiError *err) {
    bool create = request->operation == ADMISSION_CREATE;
    const Value *slice = create ? request->object : request->old;
    if ((!create && request->operation != ADMISSION_DELETE) ||
        streq_null(value_get_str(value_get(slice, "spec"), "nodeName"), node))
        return 0;
    return admission_forbid(request, err, "can only %s ResourceSlice with the same NodeName as the requesting node",
                            create ? "create" : "delete");
}

static int admit_csr(AdmissionRequest *request, const char *node, ApiError *err) {
    const char *signer = str_or(value_get_str(value_get(request->object, "spec"), "signerName"), ""), **organizations,
               *name;
    if (request->operation != ADMISSION_CREATE || (!streq(signer, "kubernetes.io/kubelet-serving") &&
                                                   !streq(signer, "kubernetes.io/kube-apiserver-client-kubelet")))
        return 0;
    const char *why = certificate_request_subject(request->strategy->arena, request->object, &organizations, &name);
    if (why)
        return admission_forbid(request, err, "unable to parse csr: %s", why);
    if (!str_has_prefix(name, "system:node:") || !streq(name + strlen("system:node:"), node))
        return admission_forbid(request, err, "can only create a node CSR with CN=system:node:%s", node);
    return 0;
}

static int admit_pod_certificate(AdmissionRequest *request, const char *node, ApiError *err) {
    (void)node;
    return admission_forbid(request, err, "PodCertificateRequest feature gate is disabled");
}

static const struct {
    const char *group, *plural;
    int (*admit)(AdmissionRequest *request, const char *node, ApiError *err);
} rows[] = {
    {"", "pods", admit_pod},
    {"", "nodes", admit_node},
    {"", "persistentvolumeclaims", admit_claim},
    {"", "serviceaccounts", admit_token},
    {"certificates.k8s.io", "podcertificaterequests", admit_pod_certificate},
    {"coordination.k8s.io", "leases", admit_lease},
    {"storage.k8s.io", "csinodes", admit_csi_node},
    {"resource.k8s.io", "resourceslices", admit_resource_slice},
    {"certificates.k8s.io", "certificatesigningrequests", admit_csr},
};

static int mutate(AdmissionRequest *request, ApiError *err) {
    const char *node = admission_node(request);
    if (!node)
        return 0;
    if (!*node)
        return admission_forbid(request, err, "could not determine node from user \"%s\"",
                                request->request->user->name);
    for (size_t i = 0; i < ELEMENTSOF(rows); i++)
        if (streq(rows[i].group, request->resource->group) && streq(rows[i].plural, request->resource->plural))
            return rows[i].admit(request, node, err);
    return 0;
}

const AdmissionPlugin admission_node_restriction = {"NodeRestriction", mutate, NULL};
