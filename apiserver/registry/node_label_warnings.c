#include "apiserver/registry/node_label_warnings.h"
#include "apiserver/registry/validate_util.h"

const char *node_label_deprecation(const char *key) {
    static const char *const LABELS[][2] = {
        {"beta.kubernetes.io/arch", "deprecated since v1.14; use \"kubernetes.io/arch\" instead"},
        {"beta.kubernetes.io/os", "deprecated since v1.14; use \"kubernetes.io/os\" instead"},
        {"failure-domain.beta.kubernetes.io/region",
         "deprecated since v1.17; use \"topology.kubernetes.io/region\" instead"},
        {"failure-domain.beta.kubernetes.io/zone",
         "deprecated since v1.17; use \"topology.kubernetes.io/zone\" instead"},
        {"beta.kubernetes.io/instance-type",
         "deprecated since v1.17; use \"node.kubernetes.io/instance-type\" instead"},
        {"app.kubernetes.io/created-by", "deprecated since v1.9"},
        {"scheduler.alpha.kubernetes.io/preferAvoidPods", "deprecated since v1.22; use Taints and Tolerations instead"},
        {"node-role.kubernetes.io/master", "use \"node-role.kubernetes.io/control-plane\" instead"},
    };
    for (size_t i = 0; i < ELEMENTSOF(LABELS); i++)
        if (streq(key, LABELS[i][0]))
            return LABELS[i][1];
    return NULL;
}

static const char *at_text(StrategyContext *context, const FieldPath *path) {
    return field_path_text(context->arena, path);
}

void node_term_warn(StrategyContext *context, const Value *term, bool check_values, const FieldPath *path) {
    const Value *expressions = value_get(term, "matchExpressions");
    FieldPath list = FIELD(path, "matchExpressions");
    for (size_t i = 0; i < value_len(expressions); i++) {
        const Value *expression = value_at(expressions, i), *values = value_get(expression, "values");
        const char *key = text_of(expression, "key"), *why = node_label_deprecation(key);
        FieldPath at = FIELD_INDEX(&list, i), key_at = FIELD(&at, "key"), values_at = FIELD(&at, "values");
        if (why)
            strategy_warn(context, "%s: %s is %s", at_text(context, &key_at), key, why);
        for (size_t j = 0; check_values && j < value_len(values); j++) {
            FieldPath value_at_j = FIELD_INDEX(&values_at, j);
            NameMessages messages = {.arena = context->arena};
            name_label_value(item_text(values, j), &messages);
            for (size_t k = 0; k < messages.n; k++)
                strategy_warn(context, "%s: %s is invalid, %s", at_text(context, &value_at_j), item_text(values, j),
                              messages.items[k]);
        }
    }
}

void node_selector_warn(StrategyContext *context, const Value *selector, const FieldPath *path) {
    FieldPath labels = FIELD(path, "matchLabels");
    node_term_warn(context, selector, false, path);
    VALUE_FOREACH_MEMBER (m, value_get(selector, "matchLabels")) {
        FieldPath at = FIELD(&labels, m->name);
        if (node_label_deprecation(m->name))
            strategy_warn(context, "%s: %s", at_text(context, &at), node_label_deprecation(m->name));
    }
}
