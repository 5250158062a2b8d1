/* Fields that v1.36 serves only behind feature gates that are off by default: they are dropped from what is written,
 * unless the stored object has them already. */
#include "apiserver/registry/pod_validate.h"
#include "apiserver/registry/validate_util.h"

static const char *const LISTS[] = {"initContainers", "containers", "ephemeralContainers"};
static const char *const SOURCES[] = {"clusterTrustBundle", "podCertificate"};

static bool uses_source(const Value *spec, const char *kind) {
    const Value *volume, *source;
    VALUE_FOREACH (volume, value_get(spec, "volumes"))
        VALUE_FOREACH (source, value_path(volume, "projected", "sources", NULL))
            if (value_get(source, kind))
                return true;
    return false;
}

static bool uses_stop_signal(const Value *spec) {
    const Value *container;
    for (size_t l = 0; l < ELEMENTSOF(LISTS); l++)
        VALUE_FOREACH (container, value_get(spec, LISTS[l]))
            if (value_path(container, "lifecycle", "stopSignal", NULL))
                return true;
    return false;
}

static void drop_source(Value *spec, const char *kind) {
    Value *volume, *source;
    VALUE_FOREACH (volume, value_get(spec, "volumes"))
        VALUE_FOREACH (source, value_path(volume, "projected", "sources", NULL))
            value_remove(source, kind);
}

static void drop_stop_signal(Value *container) {
    Value *lifecycle = value_get(container, "lifecycle");
    if (lifecycle && value_remove(lifecycle, "stopSignal") && !value_len(lifecycle))
        value_remove(container, "lifecycle");
}

void pod_drop_disabled(Value *spec, const Value *old) {
    Value *container;
    if (!value_is(spec, VALUE_OBJECT))
        return;
    for (size_t i = 0; i < ELEMENTSOF(SOURCES); i++)
        if (!uses_source(old, SOURCES[i]))
            drop_source(spec, SOURCES[i]);
    if (!value_get(old, "schedulingGroup"))
        value_remove(spec, "schedulingGroup");
    if (uses_stop_signal(old))
        return;
    for (size_t l = 0; l < ELEMENTSOF(LISTS); l++)
        VALUE_FOREACH (container, value_get(spec, LISTS[l]))
            drop_stop_signal(container);
}
