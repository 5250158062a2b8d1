/* DefaultStorageClass: a claim that names no class gets the default one; of several the newest, then the first by name. */
#include "apiserver/admission/admission.h"
#include "base/str.h"

static bool is_default(Arena *arena, const Object *object) {
    const Value *annotations = value_path(object_value(object, arena), "metadata", "annotations", NULL);
    return streq_null(value_get_str(annotations, "storageclass.kubernetes.io/is-default-class"), "true") ||
           streq_null(value_get_str(annotations, "storageclass.beta.kubernetes.io/is-default-class"), "true");
}

static int admit(AdmissionRequest *request, ApiError *err) {
    _cleanup_object_list_ ObjectList list = {0};
    const Object *best = NULL;
    if (request->operation != ADMISSION_CREATE || !admission_is(request, "", "persistentvolumeclaims"))
        return 0;
    Arena *arena = request->strategy->arena;
    Value *spec = value_ensure_object(arena, request->object, "spec");
    const Value *annotations = value_path(request->object, "metadata", "annotations", NULL);
    if (value_get(spec, "storageClassName") || value_get(annotations, "volume.beta.kubernetes.io/storage-class"))
        return 0;
    int r = admission_list(request, "storage.k8s.io", "v1", "storageclasses", NULL, &list, err);
    for (size_t i = 0; r == 0 && i < list.n; i++)
        if (is_default(arena, list.items[i]) && (!best || object_created_ns(list.items[i]) > object_created_ns(best)))
            best = list.items[i];
    if (best)
        value_set_str(arena, spec, "storageClassName", object_name(best));
    return r;
}

const AdmissionPlugin admission_default_storage_class = {"DefaultStorageClass", admit, NULL};
