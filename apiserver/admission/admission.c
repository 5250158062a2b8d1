#include "apiserver/admission/admission.h"
#include "base/str.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

/* The reference's recommended order. */
static const AdmissionPlugin *const default_plugins[] = {
    &admission_namespace_lifecycle, &admission_service_account,
    &admission_taint_nodes_by_condition, &admission_priority,        &admission_default_toleration_seconds,
    &admission_default_storage_class,
};

struct Admission {
    const AdmissionPlugin *plugins[ELEMENTSOF(default_plugins)];
    size_t n;
};

Admission *admission_new(const char *const *disabled) {
    Admission *admission = NEW0(Admission);
    for (size_t i = 0; i < ELEMENTSOF(default_plugins); i++)
        if (!disabled || !str_in(default_plugins[i]->name, disabled))
            admission->plugins[admission->n++] = default_plugins[i];
    return admission;
}

void admission_free(Admission *admission) {
    free(admission);
}

bool admission_is(const AdmissionRequest *request, const char *group, const char *plural) {
    return !request->request->subresource && streq(request->resource->plural, plural) && streq(request->resource->group, group);
}

int admission_forbid(const AdmissionRequest *request, ApiError *err, const char *format, ...) {
    char text[2048];
    const Resource *resource = request->request->resource;
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
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

static int run(Admission *admission, AdmissionRequest *request, bool validate, ApiError *err) {
    for (size_t i = 0; i < admission->n; i++) {
        const AdmissionPlugin *plugin = admission->plugins[i];
        int (*fn)(AdmissionRequest *, ApiError *) = validate ? plugin->validate : plugin->mutate;
        int r = fn ? fn(request, err) : 0;
        if (r < 0)
            return r;
    }
    return 0;
}

static int mutate(void *userdata, AdmissionRequest *request, ApiError *err) {
    return run(userdata, request, false, err);
}

static int validate(void *userdata, AdmissionRequest *request, ApiError *err) {
    return run(userdata, request, true, err);
}

AdmissionHooks admission_hooks(Admission *admission) {
    return (AdmissionHooks){mutate, validate, admission};
}
