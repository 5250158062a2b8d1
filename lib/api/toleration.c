#include "api/toleration.h"

#include "base/str.h"

bool toleration_tolerates(const Value *toleration, const Value *taint) {
    const char *effect = value_get_str(toleration, "effect"), *key = value_get_str(toleration, "key");
    const char *op = str_or(value_get_str(toleration, "operator"), "Equal");
    if (!str_empty(effect) && !streq(effect, str_or(value_get_str(taint, "effect"), "")))
        return false;
    if (!str_empty(key) && !streq(key, str_or(value_get_str(taint, "key"), "")))
        return false;
    if (streq(op, "Exists"))
        return true;
    return streq(op, "Equal") && !str_empty(key) &&
           streq(str_or(value_get_str(toleration, "value"), ""), str_or(value_get_str(taint, "value"), ""));
}

const Value *taint_untolerated(const Value *taints, const Value *tolerations, const char *effect) {
    const Value *taint, *toleration;
    VALUE_FOREACH (taint, taints) {
        bool tolerated = !streq(str_or(value_get_str(taint, "effect"), ""), effect);
        VALUE_FOREACH (toleration, tolerations)
            tolerated = tolerated || toleration_tolerates(toleration, taint);
        if (!tolerated)
            return taint;
    }
    return NULL;
}
