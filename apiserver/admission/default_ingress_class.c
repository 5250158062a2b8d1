/* DefaultIngressClass: an Ingress that names no class gets the default one; of several the newest, then the first by
 * name. */
#include "apiserver/admission/admission.h"
#include "base/str.h"

static int admit(AdmissionRequest *request, ApiError *err) {
    _cleanup_object_list_ ObjectList list = {0};
    if (request->operation != ADMISSION_CREATE || !admission_is(request, "networking.k8s.io", "ingresses"))
        return 0;
    Arena *arena = request->strategy->arena;
    Value *spec = value_ensure_object(arena, request->object, "spec");
    if (value_get(spec, "ingressClassName") || admission_annotation(request->object, "kubernetes.io/ingress.class"))
        return 0;
    int r = admission_list(request, "networking.k8s.io", "v1", "ingressclasses", NULL, &list, err);
    if (r < 0)
        return r;
    const Object *best = admission_default_class(arena, &list, "ingressclass.kubernetes.io/is-default-class", NULL);
    if (best)
        value_set_str(arena, spec, "ingressClassName", object_name(best));
    return 0;
}

const AdmissionPlugin admission_default_ingress_class = {"DefaultIngressClass", admit, NULL};
