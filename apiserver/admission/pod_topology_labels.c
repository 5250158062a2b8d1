/* PodTopologyLabels: a pod carries the zone and region of the node it is bound to (a Binding's labels become its
 * pod's).
 */
#include "apiserver/admission/admission.h"
#include "base/str.h"

#include <errno.h>

static const char *const labels[] = {"topology.kubernetes.io/region", "topology.kubernetes.io/zone"};

static int admit(AdmissionRequest *request, ApiError *err) {
    const char *subresource = request->request->subresource;
    Value *node;
    bool pod = !*request->resource->group && streq(request->resource->plural, "pods");
    bool binding = subresource && streq(subresource, "binding");
    if (!pod || request->operation != ADMISSION_CREATE || (subresource && !binding))
        return 0;
    Arena *arena = request->strategy->arena;
    const char *name = binding ? value_get_str(value_get(request->object, "target"), "name")
                               : value_get_str(value_get(request->object, "spec"), "nodeName");
    if (str_empty(name))
        return 0;
    int r = admission_get(request, "", "v1", "nodes", "", name, &node, err);
    if (r < 0)
        return r == -ENOENT ? 0 : r;
    for (size_t i = 0; i < ELEMENTSOF(labels); i++) {
        const char *value = value_get_str(value_path(node, "metadata", "labels", NULL), labels[i]);
        if (value)
            value_set_str(arena, value_ensure_object(arena, meta_ensure(arena, request->object), "labels"), labels[i],
                          value);
    }
    return 0;
}

const AdmissionPlugin admission_pod_topology_labels = {"PodTopologyLabels", admit, NULL};
