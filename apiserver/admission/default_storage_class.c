/* DefaultStorageClass: a claim that names no class gets the default one; of several the newest, then the first by name.
 */
#include "apiserver/admission/admission.h"
#include "base/str.h"

static int admit(AdmissionRequest *request, ApiError *err) {
    _cleanup_object_list_ ObjectList list = {0};
    if (request->operation != ADMISSION_CREATE || !admission_is(request, "", "persistentvolumeclaims"))
        return 0;
    Arena *arena = request->strategy->arena;
    Value *spec = value_ensure_object(arena, request->object, "spec");
    if (value_get(spec, "storageClassName") ||
        admission_annotation(request->object, "volume.beta.kubernetes.io/storage-class"))
        return 0;
    int r = admission_list(request, "storage.k8s.io", "v1", "storageclasses", NULL, &list, err);
    if (r < 0)
        return r;
    const Object *best = admission_default_class(arena, &list, "storageclass.kubernetes.io/is-default-class",
                                                 "storageclass.beta.kubernetes.io/is-default-class");
    if (best)
        value_set_str(arena, spec, "storageClassName", object_name(best));
    return 0;
}

const AdmissionPlugin admission_default_storage_class = {"DefaultStorageClass", admit, NULL};
