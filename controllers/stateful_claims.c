#include "controllers/stateful_claims.h"

#include "base/str.h"
#include "controllers/meta.h"

#include <errno.h>

const char *stateful_claim_name(const StatefulClaims *claims, const Value *template, int64_t ordinal) {
    return arena_printf(claims->arena, "%s-%s-%lld", str_or(value_get_str(value_get(template, "metadata"), "name"), ""),
                        object_name(claims->set), (long long)ordinal);
}

static const char *pod_name(const StatefulClaims *claims, int64_t ordinal) {
    return arena_printf(claims->arena, "%s-%lld", object_name(claims->set), (long long)ordinal);
}

static bool policy_is_delete(const StatefulClaims *claims, const char *when) {
    const char *policy = value_get_str(value_get(claims->spec, "persistentVolumeClaimRetentionPolicy"), when);
    return policy && streq(policy, "Delete");
}

/* ---- making ---- */

static int make_claim(const StatefulClaims *claims, const Value *template, int64_t ordinal, const char *name,
                      const char **ret_message) {
    Arena *arena = claims->arena;
    _cleanup_api_error_ ApiError err = {0};
    _cleanup_object_ Object *created = NULL;
    const char *ns = object_namespace(claims->set), *set = object_name(claims->set);
    Value *claim = value_copy(arena, template), *metadata = value_ensure_object(arena, claim, "metadata");
    value_set_str(arena, claim, "apiVersion", "v1");
    value_set_str(arena, claim, "kind", "PersistentVolumeClaim");
    value_remove(claim, "status");
    value_set_str(arena, metadata, "name", name);
    value_set_str(arena, metadata, "namespace", ns);
    Value *labels = value_ensure_object(arena, metadata, "labels");
    VALUE_FOREACH_MEMBER (label, value_path(claims->spec, "selector", "matchLabels", NULL))
        value_set(arena, labels, label->name, value_copy(arena, label->value));
    int r = client_create(claims->client, informer_resource(claims->informer), ns, claim, &created, &err);
    if (r < 0) {
        const char *why = arena_strdup(arena, err.message ? err.message : strerror(-r));
        *ret_message = arena_printf(arena, "failed to create PVC %s: %s", name, why);
        if (r != -EEXIST)
            event_record(claims->events, claims->set, NULL, "Warning", "FailedCreate",
                         "Create Claim %s for Pod %s in StatefulSet %s failed error: %s", name,
                         pod_name(claims, ordinal), set, why);
        return r;
    }
    expectations_wrote(claims->writes, claims->key, created);
    event_record(claims->events, claims->set, NULL, "Normal", "SuccessfulCreate",
                 "Create Claim %s Pod %s in StatefulSet %s success", name, pod_name(claims, ordinal), set);
    return 0;
}

int stateful_claims_ensure(const StatefulClaims *claims, int64_t ordinal, const char **ret_message) {
    Value *template;
    int result = 0;
    VALUE_FOREACH (template, value_get(claims->spec, "volumeClaimTemplates")) {
        const char *name = stateful_claim_name(claims, template, ordinal);
        _cleanup_object_ Object *there = informer_lookup(claims->informer, object_namespace(claims->set), name);
        int r = 0;
        if (!there)
            r = make_claim(claims, template, ordinal, name, ret_message);
        else if (object_is_deleting(there)) {
            *ret_message = arena_printf(claims->arena, "pvc %s is being deleted", name);
            r = -EBUSY;
        }
        if (r < 0)
            result = r;
    }
    return result;
}

/* ---- owners ---- */

typedef struct Owner { /* what a reference may point to */
    const char *api_version, *kind, *name, *uid;
} Owner;

static Owner set_owner(const StatefulClaims *claims) {
    return (Owner){"apps/v1", "StatefulSet", object_name(claims->set), object_uid(claims->set)};
}

static Owner pod_owner(const StatefulClaims *claims, int64_t ordinal, const Object *pod) {
    return (Owner){"v1", "Pod", pod_name(claims, ordinal), pod ? object_uid(pod) : ""};
}

static bool names(const OwnerRef *ref, const Owner *owner) {
    return streq(ref->api_version, owner->api_version) && streq(ref->kind, owner->kind) &&
           streq(ref->name, owner->name);
}

static bool is_stale(const Object *claim, const Owner *owner) {
    size_t n;
    const OwnerRef *refs = object_owners(claim, &n);
    for (size_t i = 0; i < n; i++)
        if (names(&refs[i], owner))
            return !streq(refs[i].uid, owner->uid);
    return false;
}

static bool is_owned(const Object *claim, const Owner *owner) {
    size_t n;
    const OwnerRef *refs = object_owners(claim, &n);
    for (size_t i = 0; i < n; i++)
        if (streq(refs[i].uid, owner->uid))
            return true;
    return false;
}

/* Somebody else's, while a policy would make the claim ours. */
static bool has_other_controller(const StatefulClaims *claims, const Object *claim, const Owner *set,
                                 const Owner *pod) {
    size_t n;
    const OwnerRef *refs = object_owners(claim, &n);
    if (!policy_is_delete(claims, "whenScaled") && !policy_is_delete(claims, "whenDeleted"))
        return false;
    for (size_t i = 0; i < n; i++) {
        const Owner *ours = names(&refs[i], set) ? set : names(&refs[i], pod) ? pod : NULL;
        if (ours ? !streq(refs[i].uid, ours->uid) : refs[i].controller)
            return true;
    }
    return false;
}

static bool owns_without_control(const Object *claim, const Owner *set, const Owner *pod) {
    size_t n;
    const OwnerRef *refs = object_owners(claim, &n);
    for (size_t i = 0; i < n; i++)
        if ((streq(refs[i].uid, set->uid) || streq(refs[i].uid, pod->uid)) && !refs[i].controller)
            return true;
    return false;
}

typedef struct Wanted {
    bool by_set, by_pod;
} Wanted;

/* A claim is the set's while it is in use and is to go with the set, and its pod's once that is scaled down. */
static Wanted wanted_owners(const StatefulClaims *claims, bool condemned) {
    bool with_pod = policy_is_delete(claims, "whenScaled") && condemned;
    return (Wanted){.by_set = policy_is_delete(claims, "whenDeleted") && !with_pod, .by_pod = with_pod};
}

static bool owners_are_right(const StatefulClaims *claims, const Object *claim, const Owner *set, const Owner *pod,
                             bool condemned) {
    if (is_stale(claim, set) || is_stale(claim, pod))
        return true; /* of an earlier set or pod: left to the garbage collector */
    if (has_other_controller(claims, claim, set, pod))
        return !is_owned(claim, set) && !is_owned(claim, pod);
    Wanted wanted = wanted_owners(claims, condemned);
    return !owns_without_control(claim, set, pod) && is_owned(claim, set) == wanted.by_set &&
           is_owned(claim, pod) == wanted.by_pod;
}

static void add_owner(Arena *arena, Value *refs, const Owner *owner) {
    Value *ref = value_object(arena);
    value_set_str(arena, ref, "apiVersion", owner->api_version);
    value_set_str(arena, ref, "kind", owner->kind);
    value_set_str(arena, ref, "name", owner->name);
    value_set_str(arena, ref, "uid", owner->uid);
    value_set_bool(arena, ref, "controller", true);
    value_set_bool(arena, ref, "blockOwnerDeletion", true);
    value_append(arena, refs, ref);
}

static int write_owners(const StatefulClaims *claims, const Object *claim, const Owner *set, const Owner *pod,
                        bool condemned) {
    Arena *arena = claims->arena;
    _cleanup_object_ Object *updated = NULL;
    bool conflict = has_other_controller(claims, claim, set, pod);
    Value *value = object_value(claim, arena), *metadata = value_get(value, "metadata");
    Value *refs = value_ensure_array(arena, metadata, "ownerReferences");
    size_t n;
    const OwnerRef *owners = object_owners(claim, &n);
    for (size_t i = n; i-- > 0;)
        if (names(&owners[i], set) || names(&owners[i], pod))
            value_remove_at(refs, i);
    Wanted wanted = wanted_owners(claims, condemned);
    if (!conflict && wanted.by_set)
        add_owner(arena, refs, set);
    if (!conflict && wanted.by_pod)
        add_owner(arena, refs, pod);
    int r = client_update(claims->client, object_resource(claim), object_namespace(claim), object_name(claim), NULL,
                          value, &updated, NULL);
    if (r >= 0)
        expectations_wrote(claims->writes, claims->key, updated);
    return r;
}

bool stateful_claims_stale(const StatefulClaims *claims, int64_t ordinal) {
    Value *template;
    if (!policy_is_delete(claims, "whenScaled"))
        return false;
    Owner pod = pod_owner(claims, ordinal, NULL);
    VALUE_FOREACH (template, value_get(claims->spec, "volumeClaimTemplates")) {
        _cleanup_object_ Object *claim = informer_lookup(claims->informer, object_namespace(claims->set),
                                                         stateful_claim_name(claims, template, ordinal));
        if (claim && is_stale(claim, &pod))
            return true;
    }
    return false;
}

int stateful_claims_own(const StatefulClaims *claims, int64_t ordinal, const Object *pod_object, bool condemned) {
    Value *template;
    int changed = 0;
    Owner set = set_owner(claims), pod = pod_owner(claims, ordinal, pod_object);
    VALUE_FOREACH (template, value_get(claims->spec, "volumeClaimTemplates")) {
        const char *name = stateful_claim_name(claims, template, ordinal);
        _cleanup_object_ Object *claim = informer_lookup(claims->informer, object_namespace(claims->set), name);
        if (!claim || owners_are_right(claims, claim, &set, &pod, condemned))
            continue;
        if (has_other_controller(claims, claim, &set, &pod))
            event_record(claims->events, claims->set, NULL, "Warning", "ConflictingController",
                         "PersistentVolumeClaim %s has a conflicting OwnerReference that acts as a manging controller, "
                         "the retention policy is ignored for this claim",
                         name);
        int r = write_owners(claims, claim, &set, &pod, condemned);
        if (r < 0)
            return r;
        changed = 1;
    }
    return changed;
}
