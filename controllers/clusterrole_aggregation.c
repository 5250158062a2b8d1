/* A ClusterRole with an aggregationRule has the rules of all the ClusterRoles that its selectors choose. */
#include "controllers/controller.h"

#include "base/str.h"

#include <errno.h>

#define FIELD_MANAGER "clusterrole-aggregation-controller"

typedef struct Aggregation {
    Client *client;
    Informer *roles;
    WorkQueue *queue;
} Aggregation;

/* Any role may be part of any aggregated one. */
static void role_changed(_unused_ Object *role, void *userdata) {
    Aggregation *all = userdata;
    _cleanup_client_list_ ClientList roles = {0};
    informer_list(all->roles, NULL, NULL, &roles);
    for (size_t i = 0; i < roles.n; i++) {
        _cleanup_arena_ Arena *arena = arena_new(0);
        if (value_get(object_value(roles.items[i], arena), "aggregationRule"))
            controller_enqueue(all->queue, roles.items[i]);
    }
}

static void role_updated(_unused_ Object *old, Object *role, void *userdata) {
    role_changed(role, userdata);
}

static int compare_name(const void *a, const void *b) {
    return strcmp(object_name(*(Object *const *)a), object_name(*(Object *const *)b));
}

static bool has_rule(const Value *rules, const Value *rule) {
    const Value *other;
    VALUE_FOREACH (other, rules)
        if (value_equal(other, rule))
            return true;
    return false;
}

/* The rules of what one selector chooses, in the order of names, each once. */
static int add_rules(Aggregation *all, Arena *arena, const char *self, const Value *selector_value, Value *rules) {
    _cleanup_(selector_freep) Selector *selector = NULL;
    _cleanup_client_list_ ClientList roles = {0};
    int r = label_selector_from_value(selector_value, &selector);
    if (r < 0)
        return r;
    informer_list(all->roles, NULL, selector, &roles);
    if (roles.n > 1)
        qsort(roles.items, roles.n, sizeof *roles.items, compare_name);
    for (size_t i = 0; i < roles.n; i++) {
        Value *rule;
        if (streq(object_name(roles.items[i]), self))
            continue;
        VALUE_FOREACH (rule, value_get(object_value(roles.items[i], arena), "rules"))
            if (!has_rule(rules, rule))
                value_append(arena, rules, value_copy(arena, rule));
    }
    return 0;
}

static int sync_key(const char *name, void *userdata) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    Aggregation *all = userdata;
    _cleanup_object_ Object *role = informer_lookup(all->roles, NULL, name);
    if (!role)
        return 0;
    const Value *value = object_value(role, arena), *selector, *has = value_get(value, "rules");
    if (!value_get(value, "aggregationRule"))
        return 0;
    Value *rules = value_array(arena);
    VALUE_FOREACH (selector, value_path(value, "aggregationRule", "clusterRoleSelectors", NULL)) {
        int r = add_rules(all, arena, name, selector, rules);
        if (r < 0)
            return r;
    }
    if (value_len(rules) == 0 ? value_len(has) == 0 : value_equal(has, rules))
        return 0;
    Value *apply = value_object(arena);
    value_set_str(arena, apply, "apiVersion", "rbac.authorization.k8s.io/v1");
    value_set_str(arena, apply, "kind", "ClusterRole");
    value_set_str(arena, value_ensure_object(arena, apply, "metadata"), "name", name);
    /* without rules the manager gives up what it had */
    if (value_len(rules) > 0)
        value_set(arena, apply, "rules", rules);
    return client_apply(all->client, informer_resource(all->roles), NULL, name, NULL, FIELD_MANAGER, apply, NULL, NULL);
}

static void *init(Controller *controller) {
    Aggregation *all = NEW0(Aggregation);
    all->client = controller_client(controller);
    all->roles = controller_informer(controller, "rbac.authorization.k8s.io", "v1", "clusterroles");
    all->queue = controller_queue(controller, "ClusterRoleAggregator", 1, sync_key, all);
    informer_add_handler(all->roles, &(InformerHandler){role_changed, role_updated, role_changed}, all);
    return all;
}

const ControllerRow controller_clusterrole_aggregation = {.name = "clusterrole-aggregation-controller", .init = init};
