/* Aggregated ClusterRoles over an API server in memory. */
#include "../support/fake_cluster.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#define GROUP "rbac.authorization.k8s.io"

static void put_role(Cluster *cluster, const char *name, const char *label, const char *rest) {
    char json[1024];
    snprintf(json, sizeof json,
             "{\"apiVersion\":\"" GROUP "/v1\",\"kind\":\"ClusterRole\",\"metadata\":{\"name\":\"%s\",\"labels\":{"
             "\"part\":\"%s\"}},%s}",
             name, label, rest);
    object_unref(fake_put_json(cluster->client, GROUP, "clusterroles", NULL, json));
}

static void put_whole(Cluster *cluster) {
    put_role(cluster, "whole", "yes",
             "\"aggregationRule\":{\"clusterRoleSelectors\":[{\"matchLabels\":{\"part\":\"yes\"}},{\"matchLabels\":{"
             "\"part\":\"too\"}}]},\"rules\":[{\"verbs\":[\"own\"]}]");
}

/* The first verb of each rule of "whole", in order. */
static bool has_verbs(Cluster *cluster, const char *verbs) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    _cleanup_object_ Object *role = NULL;
    const Value *rule;
    char *text = arena_strdup(arena, "");
    client_get(cluster->client, fake_resource(GROUP, "clusterroles"), NULL, "whole", &role, NULL);
    VALUE_FOREACH (rule, value_get(object_value(role, arena), "rules"))
        text = arena_printf(arena, "%s%s ", text, value_str(value_at(value_get(rule, "verbs"), 0)));
    return streq(text, verbs);
}

static bool both(void *cluster) {
    return has_verbs(cluster, "get list watch ");
}
static bool second_only(void *cluster) {
    return has_verbs(cluster, "watch ");
}

/* By selector, then by name; a rule that is there already is not repeated; the role's own rules go. */
static void test_rules(void **state) {
    Cluster *cluster = *state;
    cluster_start(cluster, "clusterrole-aggregation-controller", NULL);
    put_role(cluster, "d", "too", "\"rules\":[{\"verbs\":[\"watch\"]},{\"verbs\":[\"get\"]}]");
    put_role(cluster, "b", "yes", "\"rules\":[{\"verbs\":[\"list\"]},{\"verbs\":[\"get\"]}]");
    put_role(cluster, "a", "yes", "\"rules\":[{\"verbs\":[\"get\"]}]");
    put_role(cluster, "c", "no", "\"rules\":[{\"verbs\":[\"delete\"]}]");
    put_whole(cluster);
    assert_true(fake_eventually(both, cluster, 10));
}

static void test_part_goes(void **state) {
    Cluster *cluster = *state;
    cluster_start(cluster, "clusterrole-aggregation-controller", NULL);
    put_whole(cluster);
    put_role(cluster, "a", "yes", "\"rules\":[{\"verbs\":[\"get\"]},{\"verbs\":[\"list\"]}]");
    put_role(cluster, "d", "too", "\"rules\":[{\"verbs\":[\"watch\"]}]");
    assert_true(fake_eventually(both, cluster, 10));
    client_delete(cluster->client, fake_resource(GROUP, "clusterroles"), NULL, "a",
                  &(ClientDelete){.grace_seconds = -1}, NULL);
    assert_true(fake_eventually(second_only, cluster, 10));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_rules, cluster_setup, cluster_teardown),
        cmocka_unit_test_setup_teardown(test_part_goes, cluster_setup, cluster_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
