/* Requests and limits of a pod as a whole: what they are, and that its containers fit into them. */
#include "api/quantity.h"
#include "apiserver/registry/pod_validate.h"
#include "apiserver/registry/validate_util.h"

static bool get_quantity(const Value *object, const char *kind, const char *name, Quantity *ret) {
    const char *text = value_get_str(value_path(object, "resources", kind, NULL), name);
    return text && quantity_parse(text, ret) == 0;
}

/* What all containers together take of one resource: the regular ones and the sidecars add up; the others run before
 * them, one at a time beside the sidecars that have started by then. False when none names it. */
static bool aggregate(const Value *spec, const char *kind, const char *name, Quantity *ret) {
    Quantity sum = quantity_from_int(0, QUANTITY_DECIMAL_SI), sidecars = sum, peak = sum, q;
    const Value *container;
    bool found = false;
    VALUE_FOREACH (container, value_get(spec, "containers"))
        if (get_quantity(container, kind, name, &q)) {
            sum.format = q.format;
            quantity_add(&sum, &q);
            found = true;
        }
    VALUE_FOREACH (container, value_get(spec, "initContainers")) {
        if (!get_quantity(container, kind, name, &q))
            continue;
        found = true;
        if (streq(text_of(container, "restartPolicy"), "Always")) {
            quantity_add(&sum, &q);
            quantity_add(&sidecars, &q);
            q = sidecars;
        } else
            quantity_add(&q, &sidecars);
        if (quantity_compare(&q, &peak) > 0)
            peak = q;
    }
    *ret = quantity_compare(&peak, &sum) > 0 ? peak : sum;
    return found;
}

static void check_aggregates(const PodValidation *v, const char *kind, bool huge_pages_only, const FieldPath *path) {
    FieldPath list = FIELD(path, kind);
    VALUE_FOREACH_MEMBER (member, value_path(v->spec, "resources", kind, NULL)) {
        const char *text = str_or(value_str(member->value), "0");
        char out[QUANTITY_TEXT_MAX];
        Quantity own, all;
        FieldPath at = FIELD_KEY(&list, member->name);
        if ((huge_pages_only && !str_has_prefix(member->name, "hugepages-")) || quantity_parse(text, &own) < 0 ||
            !aggregate(v->spec, kind, member->name, &all) || quantity_compare(&all, &own) <= 0)
            continue;
        all.as_written = false;
        field_invalid_str(v->errors, &at, text, "must be greater than or equal to aggregate container %s of %s", kind,
                          quantity_format(&all, out));
    }
}

static void check_container_limits(const PodValidation *v, const FieldPath *path) {
    const Value *list = value_get(v->spec, "containers"), *limits = value_path(v->spec, "resources", "limits", NULL);
    FieldPath list_at = FIELD(path, "containers");
    for (size_t i = 0; i < value_len(list); i++) {
        FieldPath at = FIELD_INDEX(&list_at, i);
        VALUE_FOREACH_MEMBER (member, value_path(value_at(list, i), "resources", "limits", NULL)) {
            const char *own = value_get_str(limits, member->name), *text = str_or(value_str(member->value), "0");
            FieldPath name = FIELD_KEY(&at, member->name), limits_at = FIELD(&name, "limits");
            Quantity limit, q;
            if (own && quantity_parse(own, &limit) == 0 && quantity_parse(text, &q) == 0 &&
                quantity_compare(&q, &limit) > 0)
                field_invalid_str(v->errors, &limits_at, text, "must be less than or equal to pod limits of %s", own);
        }
    }
}

void pod_resources_validate(const PodValidation *v, const FieldPath *spec) {
    const Value *resources = value_get(v->spec, "resources");
    FieldPath path = FIELD(spec, "resources"), claims = FIELD(&path, "claims");
    if (!value_is(resources, VALUE_OBJECT))
        return;
    if (streq(text_of(value_get(v->spec, "os"), "name"), "windows")) {
        field_forbidden(v->errors, &path, "may not be set for a windows pod");
        return;
    }
    if (value_get(resources, "claims"))
        field_forbidden(v->errors, &claims, "claims may not be set for Resources at pod-level");
    resource_lists_validate(v->errors, resources, true, &path);
    container_claims_validate(v, resources, &path);
    check_aggregates(v, "requests", false, &path);
    check_aggregates(v, "limits", true, &path);
    check_container_limits(v, &path);
}
