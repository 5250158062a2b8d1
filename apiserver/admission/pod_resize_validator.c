/* PodResizeValidator: a running pod is resized only where that works and only to what its node has. */
#include "apiserver/admission/admission.h"
#include "api/pod_resources.h"
#include "base/str.h"

#include <errno.h>

static int refuse(const AdmissionRequest *request, ApiError *err, const char *reason, const char *text) {
    int r = admission_forbid(request, err, "%s", text);
    api_error_cause(err, reason, "", "");
    return r;
}

static int check_capacity(const AdmissionRequest *request, const Value *node, ApiError *err) {
    Arena *arena = request->strategy->arena;
    const PodResourcesOptions options = {.overhead = true, .huge_pages = true};
    ResourceList asked = pod_requests(arena, request->object, options);
    ResourceList has = resource_list_read(arena, value_path(node, "status", "allocatable", NULL));
    const Quantity zero = quantity_from_int(0, QUANTITY_DECIMAL_SI);
    const Quantity *cpu = resource_list_get(&asked, "cpu"), *memory = resource_list_get(&asked, "memory");
    const Quantity *has_cpu = resource_list_get(&has, "cpu"), *has_memory = resource_list_get(&has, "memory");
    char *text = NULL;
    has_cpu = has_cpu ? has_cpu : &zero;
    has_memory = has_memory ? has_memory : &zero;
    if (cpu && quantity_compare(cpu, has_cpu) > 0)
        text = arena_printf(arena, "cpu, requested: %lld, allocatable: %lld", (long long)quantity_milli_value(cpu),
                            (long long)quantity_milli_value(has_cpu));
    if (memory && quantity_compare(memory, has_memory) > 0)
        text = arena_printf(arena, "%s%smemory, requested: %lld, allocatable: %lld", text ? text : "", text ? "; " : "",
                            (long long)quantity_value(memory), (long long)quantity_value(has_memory));
    return text ? refuse(request, err, "NodeCapacity",
                         arena_printf(arena, "node didn't have enough allocatable resources: %s", text))
                : 0;
}

static int validate(AdmissionRequest *request, ApiError *err) {
    const char *subresource = request->request->subresource;
    Value *node;
    if (request->operation != ADMISSION_UPDATE || *request->resource->group ||
        !streq(request->resource->plural, "pods") || !subresource || !streq(subresource, "resize"))
        return 0;
    const char *name = value_get_str(value_get(request->object, "spec"), "nodeName");
    /* the generation follows the spec: without a change there is nothing to ask */
    if (str_empty(name) || value_get_int(value_get(request->object, "metadata"), "generation", 0) ==
                               value_get_int(value_get(request->old, "metadata"), "generation", 0))
        return 0;
    int r = admission_get(request, "", "v1", "nodes", "", name, &node, err);
    if (r == -ENOENT)
        return admission_forbid(request, err, "node \"%s\" not found", name);
    if (r < 0)
        return r;
    const char *os = value_get_str(value_path(node, "metadata", "labels", NULL), "kubernetes.io/os");
    if (os && !streq(os, "linux"))
        return refuse(request, err, "UnsupportedPlatform",
                      arena_printf(request->strategy->arena,
                                   "pod resize is only supported on linux nodes, node \"%s\" is \"%s\"", name, os));
    return check_capacity(request, node, err);
}

const AdmissionPlugin admission_pod_resize_validator = {"PodResizeValidator", NULL, validate};
