#include "apiserver/filters/node_authz.h"
#include "apiserver/filters/authn.h"
#include "apiserver/filters/rbac.h"
#include "base/str.h"

#include <errno.h>

#define NODE_PREFIX "system:node:"
#define CONFIG_MIRROR "kubernetes.io/config.mirror"

typedef struct NodeRequest {
    Store *store;
    const char *node;
    const AuthzAttributes *attributes;
    const char *verb, *sub, *ns, *name; /* never NULL */
    Arena *arena;
    const char *reason;
} NodeRequest;

typedef enum Reference {
    REFERENCE_SECRET,
    REFERENCE_CONFIG_MAP,
    REFERENCE_CLAIM,
    REFERENCE_ACCOUNT,
    REFERENCE_RESOURCE_CLAIM
} Reference;

const char *node_identity(const UserInfo *user) {
    if (!str_has_prefix(user->name, NODE_PREFIX) || !user_in_group(user, "system:nodes"))
        return NULL;
    return user->name + strlen(NODE_PREFIX);
}

static bool deny(NodeRequest *request, const char *reason) {
    request->reason = reason;
    return false;
}

static bool verb_in(const NodeRequest *request, const char *list) {
    size_t n = strlen(request->verb);
    for (const char *at = list; (at = strstr(at, request->verb)); at += n)
        if ((at == list || at[-1] == ' ') && (at[n] == ' ' || !at[n]))
            return true;
    return false;
}

static bool selects_node(const NodeRequest *request, const char *field) {
    const char *value = request->attributes->fields ? selector_exact(request->attributes->fields, field) : NULL;
    return value && streq(value, request->node);
}

static bool named(const Value *ref, const char *member, const char *name) {
    return streq_null(value_get_str(ref, member), name);
}

/* Does this member of a pod's spec name the secret or config map? The members that hold such references are the same
 * wherever they stand: environment, volumes, projections, drivers. */
static bool member_refers(const Member *member, Reference kind, const char *name) {
    static const char *const secrets[] = {"secretRef", "secretKeyRef", "nodePublishSecretRef",
                                          "secret",    "azureFile",    NULL};
    static const char *const maps[] = {"configMapRef", "configMapKeyRef", "configMap", NULL};
    const Value *item;
    if (kind == REFERENCE_CONFIG_MAP)
        return str_in(member->name, maps) && named(member->value, "name", name);
    if (kind != REFERENCE_SECRET)
        return false;
    if (streq(member->name, "imagePullSecrets"))
        VALUE_FOREACH (item, member->value)
            if (named(item, "name", name))
                return true;
    return str_in(member->name, secrets) &&
           (named(member->value, "name", name) || named(member->value, "secretName", name));
}

static bool tree_refers(const Value *v, Reference kind, const char *name) {
    const Value *item;
    VALUE_FOREACH (item, v)
        if (tree_refers(item, kind, name))
            return true;
    VALUE_FOREACH_MEMBER (member, v)
        if (member_refers(member, kind, name) || tree_refers(member->value, kind, name))
            return true;
    return false;
}

static bool refers_to_claim(const Value *pod, const char *name, Arena *arena) {
    const char *pod_name = value_str(value_path(pod, "metadata", "name", NULL));
    const Value *volume;
    VALUE_FOREACH (volume, value_path(pod, "spec", "volumes", NULL)) {
        if (named(value_get(volume, "persistentVolumeClaim"), "claimName", name))
            return true;
        if (value_get(volume, "ephemeral") && pod_name &&
            streq(arena_printf(arena, "%s-%s", pod_name, str_or(value_get_str(volume, "name"), "")), name))
            return true;
    }
    return false;
}

static bool refers_to_resource_claim(const Value *pod, const char *name) {
    const Value *claim;
    VALUE_FOREACH (claim, value_path(pod, "spec", "resourceClaims", NULL))
        if (named(claim, "resourceClaimName", name))
            return true;
    VALUE_FOREACH (claim, value_path(pod, "status", "resourceClaimStatuses", NULL))
        if (named(claim, "resourceClaimName", name))
            return true;
    return named(value_path(pod, "status", "extendedResourceClaimStatus", NULL), "resourceClaimName", name);
}

static bool pod_refers(const Value *pod, Reference kind, const char *name, Arena *arena) {
    switch (kind) {
    case REFERENCE_ACCOUNT:
        return named(value_get(pod, "spec"), "serviceAccountName", name);
    case REFERENCE_CLAIM:
        return refers_to_claim(pod, name, arena);
    case REFERENCE_RESOURCE_CLAIM:
        return refers_to_resource_claim(pod, name);
    default:
        return tree_refers(value_get(pod, "spec"), kind, name);
    }
}

/* Does a pod of this node in the namespace refer to the object? Mirror pods, which the node makes itself, do not count.
 */
static bool is_related(NodeRequest *request, Reference kind, const char *ns, const char *name) {
    _cleanup_free_ char *text = xasprintf("spec.nodeName=%s", request->node);
    _cleanup_(selector_freep) Selector *fields = NULL;
    _cleanup_object_list_ ObjectList pods = {0};
    _cleanup_api_error_ ApiError err = {0};
    if (field_selector_parse(text, &fields, &err) < 0)
        return false;
    ListQuery query = {.resource = resource_find("", "v1", "pods"), .ns = ns, .fields = fields};
    if (store_list(request->store, &query, &pods, &err) < 0)
        return false;
    _cleanup_arena_ Arena *arena = arena_new(0);
    for (size_t i = 0; i < pods.n; i++, arena_reset(arena)) {
        const Value *pod = object_value(pods.items[i], arena);
        if (!value_get(value_path(pod, "metadata", "annotations", NULL), CONFIG_MIRROR) &&
            pod_refers(pod, kind, name, arena))
            return true;
    }
    return false;
}

static bool unrelated(NodeRequest *request) {
    return deny(request,
                arena_printf(request->arena, "no relationship found between node '%s' and this object", request->node));
}

static bool allow_related(NodeRequest *request, Reference kind) {
    if (!*request->name)
        return deny(request, "No Object name found");
    return is_related(request, kind, request->ns, request->name) || unrelated(request);
}

static bool allow_read(NodeRequest *request, Reference kind) {
    if (!verb_in(request, "get list watch"))
        return deny(request, "can only read resources of this type");
    if (*request->sub)
        return deny(request, "cannot read subresource");
    if (!*request->ns)
        return deny(request, "can only read namespaced object of this type");
    return allow_related(request, kind);
}

static bool may_get(NodeRequest *request) {
    if (!verb_in(request, "get"))
        return deny(request, "can only get individual resources of this type");
    if (*request->sub)
        return deny(request, "cannot get subresource");
    return *request->name || deny(request, "No Object name found");
}

/* A field of a stored object; NULL when there is none. In the arena. */
static const char *stored_field(NodeRequest *request, const char *group, const char *plural, const char *ns,
                                const char *outer, const char *field) {
    _cleanup_object_ Object *object = NULL;
    const Resource *resource = resource_find(group, "v1", plural);
    if (!resource || store_get(request->store, resource, ns, request->name, &object) < 0)
        return NULL;
    const Value *v = object_value(object, request->arena);
    return value_get_str(outer ? value_get(v, outer) : v, field);
}

static bool allow_secret(NodeRequest *request) {
    return allow_read(request, REFERENCE_SECRET);
}

static bool allow_config_map(NodeRequest *request) {
    return allow_read(request, REFERENCE_CONFIG_MAP);
}

static bool allow_claim(NodeRequest *request) {
    if (!streq(request->sub, "status"))
        return may_get(request) && allow_related(request, REFERENCE_CLAIM);
    if (!verb_in(request, "update patch"))
        return deny(request, "can only get/update/patch this type");
    return allow_related(request, REFERENCE_CLAIM);
}

/* A volume belongs to the node when a pod there uses the claim it is bound to. */
static bool allow_volume(NodeRequest *request) {
    if (!may_get(request))
        return false;
    _cleanup_object_ Object *object = NULL;
    if (store_get(request->store, resource_find("", "v1", "persistentvolumes"), "", request->name, &object) < 0)
        return unrelated(request);
    const Value *claim = value_path(object_value(object, request->arena), "spec", "claimRef", NULL);
    const char *ns = value_get_str(claim, "namespace"), *name = value_get_str(claim, "name");
    return (!str_empty(ns) && !str_empty(name) && is_related(request, REFERENCE_CLAIM, ns, name)) || unrelated(request);
}

static bool allow_resource_claim(NodeRequest *request) {
    return may_get(request) && allow_related(request, REFERENCE_RESOURCE_CLAIM);
}

static bool allow_attachment(NodeRequest *request) {
    if (!may_get(request))
        return false;
    const char *node = stored_field(request, "storage.k8s.io", "volumeattachments", "", "spec", "nodeName");
    return streq_null(node, request->node) || unrelated(request);
}

static bool allow_account(NodeRequest *request) {
    if (verb_in(request, "get") && !*request->sub)
        return allow_read(request, REFERENCE_ACCOUNT);
    if (!verb_in(request, "create") || !*request->name)
        return deny(request, "can only create tokens for individual service accounts");
    if (!streq(request->sub, "token"))
        return deny(request, "can only create token subresource of serviceaccount");
    return allow_related(request, REFERENCE_ACCOUNT);
}

static bool allow_lease(NodeRequest *request) {
    if (!verb_in(request, "get create update patch delete"))
        return deny(request, "can only get, create, update, patch, or delete a node lease");
    if (!streq(request->ns, "kube-node-lease"))
        return deny(request, "can only access leases in the \"kube-node-lease\" system namespace");
    return verb_in(request, "create") || streq(request->name, request->node) ||
           deny(request, "can only access node lease with the same name as the requesting node");
}

static bool allow_csi_node(NodeRequest *request) {
    if (!verb_in(request, "get create update patch delete"))
        return deny(request, "can only get, create, update, patch, or delete a CSINode");
    if (*request->sub)
        return deny(request, "cannot authorize CSINode subresources");
    return verb_in(request, "create") || streq(request->name, request->node) ||
           deny(request, "can only access CSINode with the same name as the requesting node");
}

static bool allow_slice(NodeRequest *request) {
    if (*request->sub)
        return deny(request, "cannot authorize ResourceSlice subresources");
    if (verb_in(request, "create"))
        return true;
    if (verb_in(request, "get update patch delete")) {
        const char *node = stored_field(request, "resource.k8s.io", "resourceslices", "", "spec", "nodeName");
        return streq_null(node, request->node) || unrelated(request);
    }
    if (verb_in(request, "watch list deletecollection"))
        return selects_node(request, "spec.nodeName") ||
               deny(request, "can only list/watch/deletecollection resourceslices with nodeName field selector");
    return deny(request,
                "only the following verbs are allowed for a ResourceSlice: get, watch, list, create, update, patch, "
                "delete, deletecollection");
}

static bool allow_node(NodeRequest *request) {
    if (streq(request->sub, "status"))
        return verb_in(request, "update patch");
    if (*request->sub)
        return false;
    if (verb_in(request, "create update patch"))
        return true;
    if (!verb_in(request, "get list watch"))
        return false;
    if (streq(request->name, request->node))
        return true;
    return deny(request, *request->name
                             ? arena_printf(request->arena, "node '%s' cannot read '%s', only its own Node object",
                                            request->node, request->name)
                             : arena_printf(request->arena, "node '%s' cannot read all nodes, only its own Node object",
                                            request->node));
}

static bool is_own_pod(NodeRequest *request) {
    const char *node = stored_field(request, "", "pods", request->ns, "spec", "nodeName");
    return streq_null(node, request->node) || unrelated(request);
}

static bool allow_pod(NodeRequest *request) {
    if (streq(request->sub, "status"))
        return verb_in(request, "update patch");
    if (streq(request->sub, "eviction"))
        return verb_in(request, "create");
    if (*request->sub)
        return false;
    if (verb_in(request, "get"))
        return may_get(request) && is_own_pod(request);
    if (verb_in(request, "list watch")) {
        if (selects_node(request, "spec.nodeName"))
            return true;
        return *request->name ? is_own_pod(request)
                              : deny(request, "can only list/watch pods with spec.nodeName field selector");
    }
    return verb_in(request, "create delete");
}

static const struct {
    const char *group, *plural;
    bool (*allow)(NodeRequest *request);
} subdivided[] = {
    {"", "secrets", allow_secret},
    {"", "configmaps", allow_config_map},
    {"", "persistentvolumeclaims", allow_claim},
    {"", "persistentvolumes", allow_volume},
    {"", "serviceaccounts", allow_account},
    {"", "nodes", allow_node},
    {"", "pods", allow_pod},
    {"resource.k8s.io", "resourceclaims", allow_resource_claim},
    {"resource.k8s.io", "resourceslices", allow_slice},
    {"storage.k8s.io", "volumeattachments", allow_attachment},
    {"storage.k8s.io", "csinodes", allow_csi_node},
    {"coordination.k8s.io", "leases", allow_lease},
};

bool node_allows(Store *store, const Value *rules, const AuthzAttributes *attributes, Arena *arena,
                 const char **ret_reason) {
    NodeRequest request = {
        .store = store,
        .node = node_identity(attributes->user),
        .attributes = attributes,
        .verb = attributes->verb,
        .sub = str_or(attributes->subresource, ""),
        .ns = str_or(attributes->ns, ""),
        .name = str_or(attributes->name, ""),
        .arena = arena,
        .reason = "",
    };
    if (!*request.node) {
        *ret_reason = arena_printf(arena, "unknown node for user \"%s\"", attributes->user->name);
        return false;
    }
    for (size_t i = 0; attributes->is_resource && i < ELEMENTSOF(subdivided); i++) {
        if (!streq(subdivided[i].group, str_or(attributes->group, "")) ||
            !streq(subdivided[i].plural, str_or(attributes->resource, "")))
            continue;
        bool allowed = subdivided[i].allow(&request);
        if (!allowed)
            *ret_reason = request.reason;
        return allowed;
    }
    return rbac_rules_allow(rules, attributes);
}
