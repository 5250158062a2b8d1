/* StorageObjectInUseProtection: claims, volumes and volume classes stay while something uses them; their controllers
 * take the finalizer away. */
#include "apiserver/admission/admission.h"
#include "apiserver/registry/checks.h"
#include "base/str.h"

static const struct {
    const char *group, *plural, *finalizer;
} protected[] = {
    {"", "persistentvolumes", "kubernetes.io/pv-protection"},
    {"", "persistentvolumeclaims", "kubernetes.io/pvc-protection"},
    {"storage.k8s.io", "volumeattributesclasses", "kubernetes.io/vac-protection"},
};

static void add(Arena *arena, Value *object, const char *finalizer) {
    Value *list = value_ensure_array(arena, meta_ensure(arena, object), "finalizers");
    if (!list_has(list, finalizer))
        value_append(arena, list, value_string(arena, finalizer));
}

static int admit(AdmissionRequest *request, ApiError *err) {
    (void)err;
    if (request->operation != ADMISSION_CREATE)
        return 0;
    for (size_t i = 0; i < ELEMENTSOF(protected); i++)
        if (admission_is(request, protected[i].group, protected[i].plural))
            add(request->strategy->arena, request->object, protected[i].finalizer);
    return 0;
}

const AdmissionPlugin admission_storage_object_in_use_protection = {"StorageObjectInUseProtection", admit, NULL};
