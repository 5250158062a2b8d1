/* DefaultTolerationSeconds: a pod stays five minutes on a node that is not ready or unreachable, unless it says
 * otherwise. */
#include "apiserver/admission/admission.h"
#include "base/str.h"

#define TOLERATION_SECONDS 300

static bool tolerates(const Value *tolerations, const char *key) {
    const Value *t;
    VALUE_FOREACH (t, tolerations) {
        const char *k = str_or(value_get_str(t, "key"), ""), *effect = str_or(value_get_str(t, "effect"), "");
        if ((!*k || streq(k, key)) && (!*effect || streq(effect, "NoExecute")))
            return true;
    }
    return false;
}

static void add(Arena *arena, Value *spec, const char *key) {
    Value *t = value_object(arena);
    value_set_str(arena, t, "key", key);
    value_set_str(arena, t, "operator", "Exists");
    value_set_str(arena, t, "effect", "NoExecute");
    value_set_int(arena, t, "tolerationSeconds", TOLERATION_SECONDS);
    value_append(arena, value_ensure_array(arena, spec, "tolerations"), t);
}

static int admit(AdmissionRequest *request, ApiError *err) {
    static const char *const keys[] = {"node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"};
    (void)err;
    if (request->operation > ADMISSION_UPDATE || !admission_is(request, "", "pods"))
        return 0;
    Arena *arena = request->strategy->arena;
    Value *spec = value_ensure_object(arena, request->object, "spec");
    bool has[2] = {tolerates(value_get(spec, "tolerations"), keys[0]),
                   tolerates(value_get(spec, "tolerations"), keys[1])};
    for (size_t i = 0; i < ELEMENTSOF(keys); i++)
        if (!has[i])
            add(arena, spec, keys[i]);
    return 0;
}

const AdmissionPlugin admission_default_toleration_seconds = {"DefaultTolerationSeconds", admit, NULL};
