#include "api/node_affinity.h"

#include "base/str.h"

static bool in_values(const Value *values, const char *text) {
    Value *value;
    VALUE_FOREACH (value, values)
        if (value_str(value) && streq(value_str(value), text))
            return true;
    return false;
}

static bool requirement_holds(const Value *requirement, const char *have) {
    const char *op = str_or(value_get_str(requirement, "operator"), "");
    const Value *values = value_get(requirement, "values");
    int64_t limit, number;
    if (streq(op, "In"))
        return have && in_values(values, have);
    if (streq(op, "NotIn"))
        return !have || !in_values(values, have);
    if (streq(op, "Exists"))
        return have;
    if (streq(op, "DoesNotExist"))
        return !have;
    if (!have || !value_str(value_at(values, 0)) || str_to_int64(value_str(value_at(values, 0)), &limit) < 0 ||
        str_to_int64(have, &number) < 0)
        return false;
    return streq(op, "Gt") ? number > limit : streq(op, "Lt") && number < limit;
}

/* A term without any requirement admits nothing. */
static bool term_holds(const Value *term, const Object *node) {
    const Value *expressions = value_get(term, "matchExpressions"), *fields = value_get(term, "matchFields");
    Value *requirement;
    if (value_len(expressions) + value_len(fields) == 0)
        return false;
    VALUE_FOREACH (requirement, expressions)
        if (!requirement_holds(requirement, object_label(node, str_or(value_get_str(requirement, "key"), ""))))
            return false;
    VALUE_FOREACH (requirement, fields) {
        bool by_name = streq(str_or(value_get_str(requirement, "key"), ""), "metadata.name");
        if (!requirement_holds(requirement, by_name ? object_name(node) : NULL))
            return false;
    }
    return true;
}

bool node_affinity_admits(const Value *pod_spec, const Object *node) {
    VALUE_FOREACH_MEMBER (wanted, value_get(pod_spec, "nodeSelector")) {
        const char *have = object_label(node, wanted->name);
        if (!have || !streq_null(have, value_str(wanted->value)))
            return false;
    }
    const Value *required =
        value_path(pod_spec, "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution", NULL);
    Value *term;
    if (!required)
        return true;
    VALUE_FOREACH (term, value_get(required, "nodeSelectorTerms"))
        if (term_holds(term, node))
            return true;
    return false;
}
