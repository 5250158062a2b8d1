#include "controllers/taints.h"

#include "base/str.h"
#include "controllers/meta.h"

bool taint_is(const Value *taint, const char *key, const char *effect) {
    return streq(str_or(value_get_str(taint, "key"), ""), key) &&
           streq(str_or(value_get_str(taint, "effect"), ""), effect);
}

bool taint_exists(const Value *taints, const char *key, const char *effect) {
    Value *taint;
    VALUE_FOREACH (taint, taints)
        if (taint_is(taint, key, effect))
            return true;
    return false;
}

Value *taint_new(Arena *arena, const char *key, const char *effect) {
    Value *taint = value_object(arena);
    value_set_str(arena, taint, "key", key);
    value_set_str(arena, taint, "effect", effect);
    value_set(arena, taint, "timeAdded", value_now(arena));
    return taint;
}

/* The least time of all tolerations that match: < 0 forever. *tolerated: any matches. */
static int64_t tolerated_seconds(const Value *taint, const Value *tolerations, bool *tolerated) {
    int64_t least = -1;
    Value *toleration;
    VALUE_FOREACH (toleration, tolerations) {
        if (!toleration_tolerates(toleration, taint))
            continue;
        *tolerated = true;
        const Value *seconds = value_get(toleration, "tolerationSeconds");
        if (!value_is(seconds, VALUE_INT))
            continue;
        int64_t n = MAX(seconds->integer, (int64_t)0);
        least = least < 0 ? n : MIN(least, n);
    }
    return least;
}

TaintVerdict taint_verdict(const Value *taints, const Value *tolerations, int64_t *ret_seconds, int64_t *ret_since_ns) {
    int64_t least = -1, since = 0;
    Value *taint;
    VALUE_FOREACH (taint, taints) {
        bool tolerated = false;
        if (!streq(str_or(value_get_str(taint, "effect"), ""), "NoExecute"))
            continue;
        int64_t seconds = tolerated_seconds(taint, tolerations, &tolerated);
        if (!tolerated)
            return TAINT_EVICT_NOW;
        since = MAX(since, value_get_time(taint, "timeAdded"));
        if (seconds >= 0)
            least = least < 0 ? seconds : MIN(least, seconds);
    }
    if (least < 0)
        return TAINT_STAY;
    if (least == 0)
        return TAINT_EVICT_NOW;
    *ret_seconds = least;
    *ret_since_ns = since;
    return TAINT_EVICT_LATER;
}
