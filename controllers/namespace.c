/* Namespaces that are being deleted: their content goes first, pods before everything else, then the finalizer
 * "kubernetes". What remains and why stands in the conditions (k8s.io/kubernetes/pkg/controller/namespace/deletion). */
#define LOG_COMPONENT "namespace"
#include "controllers/controller.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "base/strmap.h"
#include "controllers/meta.h"

#include <errno.h>
#include <stdio.h>

#define FINALIZER_ESTIMATE_SECONDS 15 /* the reference's guess for objects that wait for finalizers */
#define FINALIZER_KUBERNETES "kubernetes"

typedef struct Namespaces {
    Client *client;
    Discovery *discovery;
    Informer *namespaces, *pods;
    WorkQueue *queue;
} Namespaces;

typedef struct Remaining { /* one sync's findings; texts in the arena */
    Arena *arena;
    const char *ns;
    int64_t deleted_ns;        /* when the namespace's deletion began */
    Value *resources, *errors; /* arrays of texts */
    StrMap *finalizers;        /* name to a count (int64_t *) */
    const char *undiscovered;  /* why discovery is not complete; NULL: it is */
    int64_t estimate_seconds;
} Remaining;

static void namespace_changed(Object *ns, void *userdata) {
    if (object_is_deleting(ns))
        workqueue_add(((Namespaces *)userdata)->queue, object_name(ns));
}

static void namespace_updated(_unused_ Object *old, Object *ns, void *userdata) {
    namespace_changed(ns, userdata);
}

/* The last pod's end is what a deletion waits for most of the time. */
static void pod_deleted(Object *pod, void *userdata) {
    Namespaces *all = userdata;
    _cleanup_object_ Object *ns = informer_lookup(all->namespaces, NULL, object_namespace(pod));
    if (ns && object_is_deleting(ns))
        workqueue_add(all->queue, object_name(ns));
}

/* ---- content ---- */

static int64_t pods_estimate(const ClientList *pods, Arena *arena) {
    int64_t longest = 0;
    for (size_t i = 0; i < pods->n; i++) {
        const char *phase = str_or(object_field(pods->items[i], "status.phase"), "");
        if (streq(phase, "Succeeded") || streq(phase, "Failed"))
            continue;
        Value *spec = value_get(object_value(pods->items[i], arena), "spec");
        longest = MAX(longest, value_get_int(spec, "terminationGracePeriodSeconds", 0));
    }
    return longest;
}

static void add_error(Remaining *remaining, const Resource *resource, int error, const ApiError *err) {
    const char *message = str_or(err->message, strerror(-error));
    value_append(remaining->arena, remaining->errors, value_string(remaining->arena, message));
    log_debug("%s: %s: %s", remaining->ns, resource->plural, message);
}

static size_t count_finalizers(Remaining *remaining, const Object *object) {
    Value *finalizer, *finalizers = value_path(object_value(object, remaining->arena), "metadata", "finalizers", NULL);
    VALUE_FOREACH (finalizer, finalizers) {
        int64_t *count = strmap_get(remaining->finalizers, value_str(finalizer));
        if (!count) {
            count = NEW0(int64_t);
            strmap_put(remaining->finalizers, value_str(finalizer), count);
        }
        ++*count;
    }
    return value_len(finalizers);
}

/* What the server does not do for a resource, or does not serve any more, holds nothing up. */
static bool is_unsupported(int r, const ApiError *err) {
    return r == -ENOENT || err->code == 404 || err->code == 405;
}

static int delete_all(Namespaces *all, const Resource *resource, const char *ns, const ClientList *list,
                      ApiError *err) {
    ClientDelete options = {.grace_seconds = -1, .propagation = "Background"};
    if (resource->verbs & VERB_DELETE_COLLECTION) {
        int r = client_delete_collection(all->client, resource, ns, NULL, &options, err);
        if (r >= 0 || !is_unsupported(r, err))
            return r;
        api_error_done(err);
    }
    for (size_t i = 0; i < list->n; i++) {
        int r = client_delete(all->client, resource, ns, object_name(list->items[i]), &options, err);
        if (r < 0 && !is_unsupported(r, err))
            return r;
        api_error_done(err);
    }
    return 0;
}

static int list_all(Namespaces *all, const Resource *resource, const char *ns, bool whole, ClientList *ret,
                    ApiError *err) {
    ApiOptions options = {.metadata_only = !whole};
    int r = client_list(all->client, resource, ns, &options, ret, err);
    if (r < 0 && is_unsupported(r, err)) {
        api_error_done(err);
        return 0;
    }
    return r;
}

static void note_remaining(Remaining *remaining, const Resource *resource, const ClientList *left, int64_t estimate) {
    size_t n_finalizers = 0;
    value_append(
        remaining->arena, remaining->resources,
        value_printf(remaining->arena, "%s.%s has %zu resource instances", resource->plural, resource->group, left->n));
    for (size_t i = 0; i < left->n; i++)
        if (object_has_finalizers(left->items[i]))
            n_finalizers += count_finalizers(remaining, left->items[i]);
    if (!estimate && n_finalizers)
        estimate = FINALIZER_ESTIMATE_SECONDS;
    else if (!estimate)
        value_append(remaining->arena, remaining->errors,
                     value_printf(remaining->arena,
                                  "unexpected items still remain in namespace: %s for gvr: %s/%s, Resource=%s",
                                  remaining->ns, resource->group, resource->version, resource->plural));
    remaining->estimate_seconds = MAX(remaining->estimate_seconds, estimate);
}

static void delete_content_of(Namespaces *all, const Resource *resource, Remaining *remaining) {
    _cleanup_api_error_ ApiError err = {0};
    _cleanup_client_list_ ClientList before = {0}, after = {0};
    bool pods = resource == informer_resource(all->pods);
    int r = list_all(all, resource, remaining->ns, pods, &before, &err);
    if (r >= 0 && before.n == 0)
        return;
    int64_t estimate = pods && r >= 0 ? pods_estimate(&before, remaining->arena) : 0;
    if (now_realtime_ns() - remaining->deleted_ns >= estimate * (int64_t)NS_PER_SEC)
        estimate = 0;
    if (r >= 0)
        r = delete_all(all, resource, remaining->ns, &before, &err);
    if (r >= 0)
        r = list_all(all, resource, remaining->ns, false, &after, &err);
    if (r < 0) {
        add_error(remaining, resource, r, &err);
        remaining->estimate_seconds = MAX(remaining->estimate_seconds, estimate);
    } else if (after.n)
        note_remaining(remaining, resource, &after, estimate);
}

static void discover(Namespaces *all, Remaining *remaining) {
    _cleanup_api_error_ ApiError err = {0};
    size_t n;
    int r = discovery_refresh(all->discovery, &err);
    if (r < 0) {
        remaining->undiscovered = arena_strdup(remaining->arena, str_or(err.message, strerror(-r)));
        return;
    }
    const char *failure = discovery_failure(all->discovery, remaining->arena, &n);
    if (!failure)
        return;
    remaining->undiscovered =
        arena_printf(remaining->arena, "Discovery failed for some groups, %zu failing: %s", n, failure);
}

/* Pods before everything else (OrderedNamespaceDeletion): what they use, policies above all, outlives them. */
static void delete_content(Namespaces *all, Remaining *remaining) {
    const Resource *pods = informer_resource(all->pods);
    discover(all, remaining);
    delete_content_of(all, pods, remaining);
    if (value_len(remaining->resources) > 0) {
        /* As the reference, which counts what remains only after it has looked at everything. */
        remaining->resources = value_array(remaining->arena);
        strmap_clear(remaining->finalizers);
        return;
    }
    const Resource **served = discovery_preferred(all->discovery, remaining->arena);
    for (size_t i = 0; served[i]; i++)
        if (served[i]->namespaced && served[i] != pods && (served[i]->verbs & VERB_DELETE) &&
            (served[i]->verbs & VERB_LIST))
            delete_content_of(all, served[i], remaining);
}

/* ---- conditions ---- */

static int compare_text(const void *a, const void *b) {
    return strcmp(value_str(*(Value *const *)a), value_str(*(Value *const *)b));
}

static const char *join_sorted(Arena *arena, Value *texts) {
    _cleanup_buf_ Buf out = BUF_INIT(BUF_NO_LIMIT);
    if (value_len(texts) > 1)
        qsort(texts->items, texts->len, sizeof(*texts->items), compare_text);
    for (size_t i = 0; i < value_len(texts); i++)
        buf_printf(&out, "%s%s", i ? ", " : "", value_str(value_at(texts, i)));
    return arena_strdup(arena, out.len ? out.data : "");
}

static Value *finalizer_texts(Remaining *remaining) {
    Value *texts = value_array(remaining->arena);
    const char *name;
    int64_t *count;
    STRMAP_FOREACH (remaining->finalizers, name, count)
        value_append(remaining->arena, texts,
                     value_printf(remaining->arena, "%s in %lld resource instances", name, (long long)*count));
    return texts;
}

static bool set_condition(Arena *arena, Value *conditions, const char *type, bool is_true, const char *reason,
                          const char *message) {
    const char *status = is_true ? "True" : "False";
    Value *now = meta_condition(conditions, type);
    if (!now) {
        value_append(arena, conditions, condition_new(arena, type, status, reason, message));
        return true;
    }
    bool same_status = streq(str_or(value_get_str(now, "status"), ""), status);
    if (same_status && streq(str_or(value_get_str(now, "reason"), ""), reason) &&
        streq(str_or(value_get_str(now, "message"), ""), message))
        return false;
    if (!same_status)
        value_set(arena, now, "lastTransitionTime", value_now(arena));
    value_set_str(arena, now, "status", status);
    value_set_str(arena, now, "reason", reason);
    value_set_str(arena, now, "message", message);
    return true;
}

static bool set_conditions(Remaining *remaining, Value *ns) {
    Arena *arena = remaining->arena;
    Value *conditions = value_ensure_array(arena, value_ensure_object(arena, ns, "status"), "conditions");
    Value *finalizers = finalizer_texts(remaining);
    size_t n_errors = value_len(remaining->errors);
    bool changed =
        set_condition(arena, conditions, "NamespaceDeletionDiscoveryFailure", remaining->undiscovered != NULL,
                      remaining->undiscovered ? "DiscoveryFailed" : "ResourcesDiscovered",
                      str_or(remaining->undiscovered, "All resources successfully discovered"));
    changed |= set_condition(arena, conditions, "NamespaceDeletionGroupVersionParsingFailure", false,
                             "ParsedGroupVersions", "All legacy kube types successfully parsed");
    if (n_errors > 0)
        changed |= set_condition(arena, conditions, "NamespaceDeletionContentFailure", true, "ContentDeletionFailed",
                                 arena_printf(arena, "Failed to delete all resource types, %zu remaining: %s", n_errors,
                                              join_sorted(arena, remaining->errors)));
    else
        changed |= set_condition(arena, conditions, "NamespaceDeletionContentFailure", false, "ContentDeleted",
                                 "All content successfully deleted, may be waiting on finalization");
    if (value_len(remaining->resources) > 0)
        changed |= set_condition(
            arena, conditions, "NamespaceContentRemaining", true, "SomeResourcesRemain",
            arena_printf(arena, "Some resources are remaining: %s", join_sorted(arena, remaining->resources)));
    else
        changed |= set_condition(arena, conditions, "NamespaceContentRemaining", false, "ContentRemoved",
                                 "All content successfully removed");
    if (value_len(finalizers) > 0)
        changed |= set_condition(arena, conditions, "NamespaceFinalizersRemaining", true, "SomeFinalizersRemain",
                                 arena_printf(arena, "Some content in the namespace has finalizers remaining: %s",
                                              join_sorted(arena, finalizers)));
    else
        changed |= set_condition(arena, conditions, "NamespaceFinalizersRemaining", false, "ContentHasNoFinalizers",
                                 "All content-preserving finalizers finished");
    return changed;
}

/* ---- the sync ---- */

static bool has_kubernetes_finalizer(const Value *ns, size_t *ret_index) {
    Value *finalizers = value_path(ns, "spec", "finalizers", NULL);
    for (size_t i = 0; i < value_len(finalizers); i++)
        if (streq(str_or(value_str(value_at(finalizers, i)), ""), FINALIZER_KUBERNETES)) {
            *ret_index = i;
            return true;
        }
    return false;
}

static int finalize(Namespaces *all, Arena *arena, const char *name) {
    _cleanup_object_ Object *live = NULL;
    size_t index;
    int r = client_get(all->client, informer_resource(all->namespaces), NULL, name, &live, NULL);
    if (r < 0)
        return r == -ENOENT ? 0 : r;
    Value *ns = object_value(live, arena);
    if (!object_is_deleting(live) || !has_kubernetes_finalizer(ns, &index))
        return 0;
    value_remove_at(value_path(ns, "spec", "finalizers", NULL), index);
    r = client_update(all->client, informer_resource(all->namespaces), NULL, name, "finalize", ns, NULL, NULL);
    return r == -ENOENT ? 0 : r;
}

static int sync_namespace(Namespaces *all, Remaining *remaining, const Object *object) {
    Arena *arena = remaining->arena;
    _cleanup_object_ Object *updated = NULL;
    Value *ns = object_value(object, arena), *status = value_ensure_object(arena, ns, "status");
    size_t index;
    if (!has_kubernetes_finalizer(ns, &index))
        return 0;
    bool changed = !streq(str_or(value_get_str(status, "phase"), ""), "Terminating");
    value_set_str(arena, status, "phase", "Terminating");
    delete_content(all, remaining);
    changed |= set_conditions(remaining, ns);
    if (changed) {
        int r = client_update(all->client, informer_resource(all->namespaces), NULL, remaining->ns, "status", ns,
                              &updated, NULL);
        if (r < 0)
            log_debug("cannot update the conditions of namespace %s: %s", remaining->ns, strerror(-r));
    }
    if (value_len(remaining->errors) > 0 || remaining->undiscovered)
        return -EIO;
    if (remaining->estimate_seconds == 0)
        return finalize(all, arena, remaining->ns);
    workqueue_add_after(all->queue, remaining->ns, (uint64_t)(remaining->estimate_seconds / 2 + 1) * NS_PER_SEC);
    return 0;
}

static int sync_key(const char *name, void *userdata) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    Namespaces *all = userdata;
    _cleanup_object_ Object *object = NULL;
    int r = client_get(all->client, informer_resource(all->namespaces), NULL, name, &object, NULL);
    if (r < 0 || !object_is_deleting(object))
        return r == -ENOENT ? 0 : r;
    Value *metadata = value_get(object_value(object, arena), "metadata");
    int64_t deleted_ns = 0;
    rfc3339_parse(str_or(value_get_str(metadata, "deletionTimestamp"), ""), &deleted_ns);
    Remaining remaining = {.arena = arena,
                           .ns = name,
                           .deleted_ns = deleted_ns,
                           .resources = value_array(arena),
                           .errors = value_array(arena),
                           .finalizers = strmap_new(free)};
    r = sync_namespace(all, &remaining, object);
    strmap_free(remaining.finalizers);
    return r;
}

static void *init(Controller *controller) {
    Namespaces *all = NEW0(Namespaces);
    all->client = controller_client(controller);
    all->discovery = controller_discovery(controller);
    all->namespaces = controller_informer(controller, "", "v1", "namespaces");
    all->pods = controller_informer(controller, "", "v1", "pods");
    all->queue = controller_queue(controller, "namespace", 2, sync_key, all);
    informer_add_handler(all->namespaces, &(InformerHandler){namespace_changed, namespace_updated, NULL}, all);
    informer_add_handler(all->pods, &(InformerHandler){.deleted = pod_deleted}, all);
    return all;
}

const ControllerRow controller_namespace = {.name = "namespace-controller", .init = init};
