#include "apiserver/admission/admission.h"
#include "base/str.h"

struct Admission {
    const AdmissionPlugin *const *plugins; /* NULL-terminated */
};

static const AdmissionPlugin *const default_plugins[] = {
    &admission_namespace_lifecycle,
    NULL,
};

Admission *admission_new(void) {
    Admission *admission = NEW0(Admission);
    admission->plugins = default_plugins;
    return admission;
}

void admission_free(Admission *admission) {
    free(admission);
}

bool admission_is(const AdmissionRequest *request, const char *group, const char *plural) {
    return !request->request->subresource && streq(request->resource->plural, plural) && streq(request->resource->group, group);
}

static int run(Admission *admission, AdmissionRequest *request, bool validate, ApiError *err) {
    for (size_t i = 0; admission->plugins[i]; i++) {
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
