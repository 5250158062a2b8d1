/* TaintNodesByCondition: a new node takes no pods until it has said that it is ready. */
#include "apiserver/admission/admission.h"
#include "base/str.h"

#define NOT_READY "node.kubernetes.io/not-ready"

static int admit(AdmissionRequest *request, ApiError *err) {
    (void)err;
    if (request->operation != ADMISSION_CREATE || !admission_is(request, "", "nodes"))
        return 0;
    Arena *arena = request->strategy->arena;
    Value *taints = value_ensure_array(arena, value_ensure_object(arena, request->object, "spec"), "taints"), *taint;
    VALUE_FOREACH (taint, taints)
        if (streq_null(value_get_str(taint, "key"), NOT_READY) &&
            streq_null(value_get_str(taint, "effect"), "NoSchedule"))
            return 0;
    taint = value_object(arena);
    value_set_str(arena, taint, "key", NOT_READY);
    value_set_str(arena, taint, "effect", "NoSchedule");
    value_append(arena, taints, taint);
    return 0;
}

const AdmissionPlugin admission_taint_nodes_by_condition = {"TaintNodesByCondition", admit, NULL};
