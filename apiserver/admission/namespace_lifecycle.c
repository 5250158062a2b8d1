/* NamespaceLifecycle: nothing is created in a namespace that is absent or ending, and the system's namespaces stay. */
#include "apiserver/admission/admission.h"
#include "base/str.h"

#include <errno.h>

static const char *const immortal[] = {"default", "kube-system", "kube-public", NULL};

static bool is_terminating(const Object *ns) {
    return object_is_deleting(ns) || streq_null(object_field(ns, "status.phase"), "Terminating");
}

static int terminating(const AdmissionRequest *request, const Object *ns, ApiError *err) {
    int r = admission_forbid(
        request, err, "unable to create new content in namespace %s because it is being terminated", request->ns);
    char *text = arena_printf(request->strategy->arena, "namespace %s is being terminated", object_name(ns));
    api_error_cause(err, "NamespaceTerminating", text, "metadata.namespace");
    return r;
}

static int check(AdmissionRequest *request, ApiError *err) {
    bool on_namespace = streq(request->resource->plural, "namespaces") && !*request->resource->group;
    _cleanup_object_ Object *ns = NULL;
    if (on_namespace && request->operation == ADMISSION_DELETE && str_in(request->name, immortal))
        return api_error_forbidden(err, "", "namespaces", request->name, "this namespace may not be deleted");
    if (on_namespace || !*request->ns || !request->resource->namespaced)
        return 0;
    /* updates and deletes must go on in a namespace that is ending, and reviews are about no object in it */
    if (request->operation != ADMISSION_CREATE || streq(request->resource->plural, "localsubjectaccessreviews"))
        return 0;
    int r = store_get(request->store, resource_find("", "v1", "namespaces"), "", request->ns, &ns);
    if (r == -ENOENT)
        return api_error_not_found(err, "", "namespaces", request->ns);
    if (r < 0)
        return api_error_from_errno(err, r, "reading the namespace");
    return is_terminating(ns) ? terminating(request, ns, err) : 0;
}

const AdmissionPlugin admission_namespace_lifecycle = {"NamespaceLifecycle", check, NULL};
