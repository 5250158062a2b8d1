/* PersistentVolumeClaimResize: a claim grows only when it is bound and its class can do that. */
#include "api/quantity.h"
#include "apiserver/admission/admission.h"
#include "base/str.h"

static Quantity size_of(const Value *claim) {
    Quantity q = quantity_from_int(0, QUANTITY_BINARY_SI);
    const char *text = value_get_str(value_path(claim, "spec", "resources", "requests", NULL), "storage");
    if (text)
        quantity_parse(text, &q);
    return q;
}

static const char *class_of(const Value *claim) {
    const char *old_way = admission_annotation(claim, "volume.beta.kubernetes.io/storage-class");
    return str_or(old_way ? old_way : value_get_str(value_get(claim, "spec"), "storageClassName"), "");
}

static bool may_grow(const AdmissionRequest *request) {
    _cleanup_api_error_ ApiError ignored = {0};
    const char *class = class_of(request->object);
    Value *v;
    if (!*class || !streq(class, class_of(request->old)))
        return false;
    return admission_get(request, "storage.k8s.io", "v1", "storageclasses", "", class, &v, &ignored) == 0 &&
           value_get_bool(v, "allowVolumeExpansion", false);
}

static int validate(AdmissionRequest *request, ApiError *err) {
    if (request->operation != ADMISSION_UPDATE || !admission_is(request, "", "persistentvolumeclaims"))
        return 0;
    Quantity now = size_of(request->object), was = size_of(request->old);
    if (quantity_compare(&now, &was) <= 0)
        return 0;
    if (!streq_null(value_get_str(value_get(request->old, "status"), "phase"), "Bound"))
        return admission_forbid(request, err, "Only bound persistent volume claims can be expanded");
    if (!may_grow(request))
        return admission_forbid(request, err,
                                "only dynamically provisioned pvc can be resized and the storageclass that provisions "
                                "the pvc must support resize");
    return 0;
}

const AdmissionPlugin admission_persistent_volume_claim_resize = {"PersistentVolumeClaimResize", NULL, validate};
