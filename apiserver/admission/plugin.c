/* What plugins ask for. */
#include "apiserver/admission/admission_internal.h"
#include "base/str.h"
#include "base/strmap.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

Webhooks *admission_webhooks(const AdmissionRequest *request) {
    return request->admission ? request->admission->webhooks : NULL;
}

bool admission_is(const AdmissionRequest *request, const char *group, const char *plural) {
    return !request->request->subresource && streq(request->resource->plural, plural) &&
           streq(request->resource->group, group);
}

int admission_forbid(const AdmissionRequest *request, ApiError *err, const char *format, ...) {
    const Resource *resource = request->request->resource;
    va_list ap, again;
    va_start(ap, format);
    va_copy(again, ap);
    size_t size = (size_t)MAX(vsnprintf(NULL, 0, format, ap), 0) + 1;
    char *text = arena_alloc(request->strategy->arena, size);
    vsnprintf(text, size, format, again);
    va_end(again);
    va_end(ap);
    const char *name = *request->name ? request->name : str_or(meta_get(request->object, "generateName"), "Unknown");
    return api_error_forbidden(err, resource->group, resource->plural, name, text);
}

int admission_list(const AdmissionRequest *request, const char *group, const char *version, const char *plural,
                   const char *ns, ObjectList *ret, ApiError *err) {
    ListQuery query = {.resource = resource_find(group, version, plural), .ns = ns};
    if (!query.resource)
        return api_error_from_errno(err, -EINVAL, plural);
    return store_list(request->store, &query, ret, err);
}

int admission_get(const AdmissionRequest *request, const char *group, const char *version, const char *plural,
                  const char *ns, const char *name, Value **ret, ApiError *err) {
    _cleanup_object_ Object *object = NULL;
    const Resource *resource = resource_find(group, version, plural);
    int r = resource ? store_get(request->store, resource, ns, name, &object) : -EINVAL;
    if (r < 0)
        return r == -ENOENT ? r : api_error_from_errno(err, r, plural);
    *ret = object_value(object, request->strategy->arena);
    return 0;
}

bool admission_allows(const AdmissionRequest *request, const AdmissionQuestion *question) {
    const Admission *admission = request->admission;
    return admission && admission->allows && admission->allows(admission->userdata, question, request->strategy->arena);
}

static pthread_mutex_t *lock_of(const AdmissionRequest *request) {
    return &request->admission->locks[hash_bytes(request->ns, strlen(request->ns)) % ADMISSION_LOCKS];
}

void admission_lock(const AdmissionRequest *request) {
    pthread_mutex_lock(lock_of(request));
}

void admission_unlock(const AdmissionRequest *request) {
    pthread_mutex_unlock(lock_of(request));
}

const char *admission_annotation(const Value *object, const char *key) {
    return value_get_str(value_path(object, "metadata", "annotations", NULL), key);
}

bool admission_is_mirror_pod(const Value *pod) {
    return admission_annotation(pod, "kubernetes.io/config.mirror") != NULL;
}

const char *admission_node(const AdmissionRequest *request) {
    const UserInfo *user = request->request->user;
    if (!user || !user->groups || !str_has_prefix(str_or(user->name, ""), "system:node:") ||
        !str_in("system:nodes", user->groups))
        return NULL;
    return user->name + strlen("system:node:");
}

static bool says_true(const Value *object, const char *key) {
    return key && streq_null(admission_annotation(object, key), "true");
}

const Object *admission_default_class(Arena *arena, const ObjectList *classes, const char *key, const char *also) {
    const Object *best = NULL;
    for (size_t i = 0; i < classes->n; i++) {
        const Value *v = object_value(classes->items[i], arena);
        if ((says_true(v, key) || says_true(v, also)) &&
            (!best || object_created_ns(classes->items[i]) > object_created_ns(best)))
            best = classes->items[i];
    }
    return best;
}
