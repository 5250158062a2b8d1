/* Garbage collection, namespace deletion, default ServiceAccounts and the root CA over an API server in memory. */
#include "../support/fake_cluster.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static void put_map(Cluster *cluster, const char *ns, const char *name, const Object *owner, bool blocks) {
    char json[1024], owners[512] = "";
    if (owner)
        snprintf(owners, sizeof owners,
                 ",\"ownerReferences\":[{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"name\":\"%s\",\"uid\":\"%s\","
                 "\"blockOwnerDeletion\":%s}]",
                 object_name(owner), object_uid(owner), blocks ? "true" : "false");
    snprintf(json, sizeof json, "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"%s\"%s}}", name,
             owners);
    object_unref(fake_put_json(cluster->client, "", "configmaps", ns, json));
}

static Object *get_map(Cluster *cluster, const char *ns, const char *name) {
    Object *object = NULL;
    client_get(cluster->client, fake_resource("", "configmaps"), ns, name, &object, NULL);
    return object;
}

static bool no_maps(void *u) {
    return fake_count(((Cluster *)u)->client, "", "configmaps", "default") == 0;
}

static void delete_map(Cluster *cluster, const char *name, const char *propagation) {
    ClientDelete options = {.grace_seconds = -1, .propagation = propagation};
    assert_int_equal(client_delete(cluster->client, fake_resource("", "configmaps"), "default", name, &options, NULL),
                     0);
}

/* root <- child <- grandchild */
static void put_family(Cluster *cluster) {
    put_map(cluster, "default", "root", NULL, false);
    _cleanup_object_ Object *root = get_map(cluster, "default", "root");
    put_map(cluster, "default", "child", root, true);
    _cleanup_object_ Object *child = get_map(cluster, "default", "child");
    put_map(cluster, "default", "grandchild", child, true);
}

static void test_background(void **state) {
    Cluster *cluster = *state;
    cluster_start(cluster, "garbage-collector-controller", NULL);
    put_family(cluster);
    delete_map(cluster, "root", "Background");
    assert_true(fake_eventually(no_maps, cluster, 10));
}

static void test_foreground_goes_from_the_leaves(void **state) {
    Cluster *cluster = *state;
    cluster_start(cluster, "garbage-collector-controller", NULL);
    put_family(cluster);
    delete_map(cluster, "root", "Foreground");
    assert_true(fake_eventually(no_maps, cluster, 10));
    const char *order[3] = {0};
    size_t n = 0;
    for (size_t i = 0; i < fake_event_count(cluster->api); i++)
        if (streq(cluster->api->events[i].type, "DELETED") && n < 3)
            order[n++] = object_name(cluster->api->events[i].object);
    assert_string_equal(order[0], "grandchild");
    assert_string_equal(order[1], "child");
    assert_string_equal(order[2], "root");
}

static bool orphaned(void *u) {
    _cleanup_object_ Object *root = get_map(u, "default", "root"), *child = get_map(u, "default", "child");
    size_t n = 1;
    if (child)
        object_owners(child, &n);
    return !root && child && n == 0;
}

static void test_orphan(void **state) {
    Cluster *cluster = *state;
    cluster_start(cluster, "garbage-collector-controller", NULL);
    put_family(cluster);
    delete_map(cluster, "root", "Orphan");
    assert_true(fake_eventually(orphaned, cluster, 10));
    assert_int_equal(fake_count(cluster->client, "", "configmaps", "default"), 2);
}

static bool only_root(void *u) {
    return fake_count(((Cluster *)u)->client, "", "configmaps", "default") == 1;
}

/* An owner that never was; and a uid that is not the one of the name. Present before the controller starts. */
static void test_absent_owner(void **state) {
    Cluster *cluster = *state;
    put_map(cluster, "default", "root", NULL, false);
    object_unref(
        fake_put_json(cluster->client, "", "configmaps", "default",
                      "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"a\",\"ownerReferences\":["
                      "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"name\":\"root\",\"uid\":\"not-that-one\"}]}}"));
    object_unref(
        fake_put_json(cluster->client, "", "configmaps", "default",
                      "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"b\",\"ownerReferences\":["
                      "{\"apiVersion\":\"v1\",\"kind\":\"Secret\",\"name\":\"s\",\"uid\":\"gone\"}]}}"));
    cluster_start(cluster, "garbage-collector-controller", NULL);
    assert_true(fake_eventually(only_root, cluster, 10));
    _cleanup_object_ Object *root = get_map(cluster, "default", "root");
    assert_non_null(root);
}

static bool one_owner_left(void *u) {
    _cleanup_object_ Object *child = get_map(u, "default", "both");
    size_t n = 0;
    if (child)
        object_owners(child, &n);
    return n == 1;
}

static void test_one_of_two_owners_goes(void **state) {
    Cluster *cluster = *state;
    char json[1024];
    cluster_start(cluster, "garbage-collector-controller", NULL);
    put_map(cluster, "default", "x", NULL, false);
    put_map(cluster, "default", "y", NULL, false);
    _cleanup_object_ Object *x = get_map(cluster, "default", "x"), *y = get_map(cluster, "default", "y");
    snprintf(json, sizeof json,
             "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"both\",\"ownerReferences\":["
             "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"name\":\"x\",\"uid\":\"%s\"},"
             "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"name\":\"y\",\"uid\":\"%s\"}]}}",
             object_uid(x), object_uid(y));
    object_unref(fake_put_json(cluster->client, "", "configmaps", "default", json));
    delete_map(cluster, "x", "Background");
    assert_true(fake_eventually(one_owner_left, cluster, 10));
    delete_map(cluster, "y", "Background");
    assert_true(fake_eventually(no_maps, cluster, 10));
}

/* An owner of a kind nobody knows keeps its dependents. */
static void test_unknown_owner_kind_is_kept(void **state) {
    Cluster *cluster = *state;
    object_unref(fake_put_json(
        cluster->client, "", "configmaps", "default",
        "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"kept\",\"ownerReferences\":["
        "{\"apiVersion\":\"example.com/v1\",\"kind\":\"Thing\",\"name\":\"t\",\"uid\":\"u\"}]}}"));
    cluster_start(cluster, "garbage-collector-controller", NULL);
    /* Something else that is collected afterwards shows that the queue has been worked through. */
    object_unref(
        fake_put_json(cluster->client, "", "configmaps", "default",
                      "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"b\",\"ownerReferences\":["
                      "{\"apiVersion\":\"v1\",\"kind\":\"Secret\",\"name\":\"s\",\"uid\":\"gone\"}]}}"));
    assert_true(fake_eventually(only_root, cluster, 10));
    _cleanup_object_ Object *kept = get_map(cluster, "default", "kept");
    assert_non_null(kept);
}

/* ---- custom resources ---- */

static const char widgets_discovery[] =
    "{\"metadata\":{\"name\":\"example.com\"},\"versions\":[{\"version\":\"v1\",\"freshness\":\"Current\","
    "\"resources\":["
    "{\"resource\":\"widgets\",\"responseKind\":{\"kind\":\"Widget\"},\"scope\":\"Namespaced\",\"singularResource\":"
    "\"widget\",\"verbs\":[\"delete\",\"deletecollection\",\"get\",\"list\",\"patch\",\"create\",\"update\",\"watch\"]}"
    "]}]}";

static const Resource widgets = {.group = "example.com",
                                 .version = "v1",
                                 .plural = "widgets",
                                 .singular = "widget",
                                 .kind = "Widget",
                                 .namespaced = true,
                                 .verbs = VERBS_ALL,
                                 .storage = &widgets,
                                 .storage_prefix = "example.com/widgets"};

static Object *put_widget(Cluster *cluster, const char *name, const char *owner_kind, const Object *owner) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    char json[1024];
    Object *object = NULL;
    Value *v = NULL;
    snprintf(
        json, sizeof json,
        "{\"apiVersion\":\"example.com/v1\",\"kind\":\"Widget\",\"metadata\":{\"name\":\"%s\",\"ownerReferences\":["
        "{\"apiVersion\":\"%s\",\"kind\":\"%s\",\"name\":\"%s\",\"uid\":\"%s\",\"blockOwnerDeletion\":true}]}}",
        name, streq(owner_kind, "Widget") ? "example.com/v1" : "v1", owner_kind, owner ? object_name(owner) : "none",
        owner ? object_uid(owner) : "gone");
    assert_int_equal(json_parse(arena, json, strlen(json), &v, NULL, NULL), 0);
    if (!owner)
        value_remove(value_get(v, "metadata"), "ownerReferences");
    assert_int_equal(client_create(cluster->client, &widgets, "default", v, &object, NULL), 0);
    return object;
}

static void put_owned_by_widget(Cluster *cluster, const char *ns, const char *name, const Object *widget) {
    char json[1024];
    snprintf(json, sizeof json,
             "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"%s\",\"ownerReferences\":["
             "{\"apiVersion\":\"example.com/v1\",\"kind\":\"Widget\",\"name\":\"%s\",\"uid\":\"%s\","
             "\"blockOwnerDeletion\":true}]}}",
             name, object_name(widget), object_uid(widget));
    object_unref(fake_put_json(cluster->client, "", "configmaps", ns, json));
}

static size_t count_widgets(Cluster *cluster) {
    _cleanup_client_list_ ClientList list = {0};
    client_list(cluster->client, &widgets, "default", NULL, &list, NULL);
    return list.n;
}

static bool nothing_left(void *u) {
    return no_maps(u) && count_widgets(u) == 0;
}

static bool widgets_followed(void *u) {
    FakeApi *api = ((Cluster *)u)->api;
    pthread_mutex_lock(&api->lock);
    bool followed = api->custom_watches > 0;
    pthread_mutex_unlock(&api->lock);
    return followed;
}

static void start_collector(Cluster *cluster) {
    cluster->api->discovery = widgets_discovery;
    cluster_start(cluster, "garbage-collector-controller", NULL);
    assert_true(fake_eventually(widgets_followed, cluster, 10));
}

/* widget <- map <- widget: each goes with its owner, whatever the kinds. */
static void family_goes(Cluster *cluster, const char *propagation) {
    start_collector(cluster);
    _cleanup_object_ Object *root = put_widget(cluster, "root", "Widget", NULL);
    put_owned_by_widget(cluster, "default", "child", root);
    _cleanup_object_ Object *child = get_map(cluster, "default", "child");
    object_unref(put_widget(cluster, "grandchild", "ConfigMap", child));
    ClientDelete options = {.grace_seconds = -1, .propagation = propagation};
    assert_int_equal(client_delete(cluster->client, &widgets, "default", "root", &options, NULL), 0);
    assert_true(fake_eventually(nothing_left, cluster, 10));
}

static void test_custom_background(void **state) {
    family_goes(*state, "Background");
}

static void test_custom_foreground(void **state) {
    family_goes(*state, "Foreground");
}

static bool widget_disowned(void *u) {
    _cleanup_object_ Object *child = NULL;
    size_t n = 1;
    if (client_get(((Cluster *)u)->client, &widgets, "default", "child", &child, NULL) == 0)
        object_owners(child, &n);
    return n == 0 && count_widgets(u) == 1;
}

static void test_custom_orphan(void **state) {
    Cluster *cluster = *state;
    start_collector(cluster);
    _cleanup_object_ Object *root = put_widget(cluster, "root", "Widget", NULL);
    object_unref(put_widget(cluster, "child", "Widget", root));
    ClientDelete options = {.grace_seconds = -1, .propagation = "Orphan"};
    assert_int_equal(client_delete(cluster->client, &widgets, "default", "root", &options, NULL), 0);
    assert_true(fake_eventually(widget_disowned, cluster, 10));
}

/* Asked for before the collector was there: it begins only when it has seen the custom dependents too, of an owner of
 * either sort. A graph without them would let the owner go, and then the dependents. */
static void test_custom_orphan_before_the_start(void **state) {
    Cluster *cluster = *state;
    cluster->api->discovery = widgets_discovery;
    put_map(cluster, "default", "root", NULL, false);
    _cleanup_object_ Object *root = get_map(cluster, "default", "root");
    object_unref(put_widget(cluster, "child", "ConfigMap", root));
    delete_map(cluster, "root", "Orphan");
    cluster_start(cluster, "garbage-collector-controller", NULL);
    assert_true(fake_eventually(no_maps, cluster, 10));
    assert_true(widget_disowned(cluster));
}

/* In foreground deletion the owner stays for as long as custom dependents that block it do. */
static void test_custom_foreground_before_the_start(void **state) {
    Cluster *cluster = *state;
    cluster->api->discovery = widgets_discovery;
    put_map(cluster, "default", "root", NULL, false);
    _cleanup_object_ Object *root = get_map(cluster, "default", "root");
    object_unref(put_widget(cluster, "child", "ConfigMap", root));
    delete_map(cluster, "root", "Foreground");
    cluster_start(cluster, "garbage-collector-controller", NULL);
    assert_true(fake_eventually(nothing_left, cluster, 10));
    const char *order[2] = {0};
    size_t n = 0;
    for (size_t i = 0; i < fake_event_count(cluster->api); i++)
        if (streq(cluster->api->events[i].type, "DELETED") && n < 2)
            order[n++] = object_name(cluster->api->events[i].object);
    assert_string_equal(order[0], "child");
    assert_string_equal(order[1], "root");
}

static bool told_of_namespace(void *u) {
    _cleanup_client_list_ ClientList events = {0};
    _cleanup_arena_ Arena *arena = arena_new(0);
    client_list(((Cluster *)u)->client, fake_resource("", "events"), NULL, NULL, &events, NULL);
    for (size_t i = 0; i < events.n; i++) {
        Value *v = object_value(events.items[i], arena);
        if (streq_null(value_get_str(v, "reason"), "OwnerRefInvalidNamespace") &&
            strstr(str_or(value_get_str(v, "message"), ""),
                   "ownerRef [example.com/v1/Widget, namespace: other, name: root, uid: ") &&
            strstr(value_get_str(v, "message"), "] does not exist in namespace \"other\""))
            return true;
    }
    return false;
}

static bool other_gone(void *u) {
    return fake_count(((Cluster *)u)->client, "", "configmaps", "other") == 0;
}

/* An owner of another namespace is no owner: the dependent goes, and an event says why. */
static void test_owner_of_another_namespace(void **state) {
    Cluster *cluster = *state;
    _cleanup_object_ Object *root = put_widget(cluster, "root", "Widget", NULL);
    start_collector(cluster);
    put_owned_by_widget(cluster, "other", "lost", root);
    assert_true(fake_eventually(other_gone, cluster, 10));
    assert_true(fake_eventually(told_of_namespace, cluster, 10));
    assert_int_equal(count_widgets(cluster), 1);
}

/* ---- namespaces ---- */

static void put_namespace(Cluster *cluster, const char *name) {
    char json[256];
    snprintf(json, sizeof json,
             "{\"apiVersion\":\"v1\",\"kind\":\"Namespace\",\"metadata\":{\"name\":\"%s\"},\"spec\":{\"finalizers\":["
             "\"kubernetes\"]}}",
             name);
    object_unref(fake_put_json(cluster->client, "", "namespaces", NULL, json));
}

static bool namespace_gone(void *u) {
    return client_get(((Cluster *)u)->client, fake_resource("", "namespaces"), NULL, "doomed", NULL, NULL) == -ENOENT;
}

static bool pods_marked(void *u) {
    _cleanup_client_list_ ClientList pods = {0};
    client_list(((Cluster *)u)->client, fake_resource("", "pods"), "doomed", NULL, &pods, NULL);
    return pods.n == 1 && object_is_deleting(pods.items[0]);
}

static void test_namespace_pods_first(void **state) {
    Cluster *cluster = *state;
    cluster->api->graceful_pods = true;
    put_namespace(cluster, "doomed");
    put_map(cluster, "doomed", "m", NULL, false);
    object_unref(fake_put_json(cluster->client, "", "pods", "doomed",
                               "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"p\"},\"spec\":{"
                               "\"nodeName\":\"n\",\"terminationGracePeriodSeconds\":30,"
                               "\"containers\":[{\"name\":\"c\",\"image\":\"i\"}]}}"));
    cluster_start(cluster, "namespace-controller", NULL);
    client_delete(cluster->client, fake_resource("", "namespaces"), NULL, "doomed", NULL, NULL);
    assert_true(fake_eventually(pods_marked, cluster, 10));
    /* While the pod ends, the rest stays. */
    assert_int_equal(fake_count(cluster->client, "", "configmaps", "doomed"), 1);
    assert_false(namespace_gone(cluster));
    fake_kubelet(cluster);
    assert_true(fake_eventually(namespace_gone, cluster, 10));
    assert_int_equal(fake_count(cluster->client, "", "configmaps", "doomed"), 0);
}

static const char *condition_message(Cluster *cluster, Arena *arena, const char *type, const char *status) {
    _cleanup_object_ Object *ns = NULL;
    Value *condition;
    if (client_get(cluster->client, fake_resource("", "namespaces"), NULL, "default", &ns, NULL) < 0)
        return "";
    VALUE_FOREACH (condition, value_path(object_value(ns, arena), "status", "conditions", NULL))
        if (streq_null(value_get_str(condition, "type"), type) &&
            streq_null(value_get_str(condition, "status"), status))
            return value_get_str(condition, "message");
    return "";
}

static bool says_what_remains(void *u) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    return streq(condition_message(u, arena, "NamespaceContentRemaining", "True"),
                 "Some resources are remaining: widgets.example.com has 1 resource instances") &&
           streq(condition_message(u, arena, "NamespaceFinalizersRemaining", "True"),
                 "Some content in the namespace has finalizers remaining: example.com/f in 1 resource instances");
}

static void test_namespace_custom_content(void **state) {
    Cluster *cluster = *state;
    _cleanup_arena_ Arena *arena = arena_new(0);
    cluster->api->discovery = widgets_discovery;
    put_namespace(cluster, "default");
    _cleanup_object_ Object *widget = put_widget(cluster, "w", "Widget", NULL), *live = NULL;
    Value *v = object_value(widget, arena);
    value_append(arena, value_ensure_array(arena, value_get(v, "metadata"), "finalizers"),
                 value_string(arena, "example.com/f"));
    assert_int_equal(client_update(cluster->client, &widgets, "default", "w", NULL, v, NULL, NULL), 0);
    cluster_start(cluster, "namespace-controller", NULL);
    client_delete(cluster->client, fake_resource("", "namespaces"), NULL, "default", NULL, NULL);
    assert_true(fake_eventually(says_what_remains, cluster, 10));
    assert_int_equal(client_get(cluster->client, &widgets, "default", "w", &live, NULL), 0);
    assert_true(object_is_deleting(live));
}

static const char stale_discovery[] =
    "{\"metadata\":{\"name\":\"metrics.example.com\"},\"versions\":[{\"version\":\"v1\",\"freshness\":\"Stale\"}]}";

static bool says_what_is_stale(void *u) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    return streq(condition_message(u, arena, "NamespaceDeletionDiscoveryFailure", "True"),
                 "Discovery failed for some groups, 1 failing: unable to retrieve the complete list of server APIs: "
                 "metrics.example.com/v1: stale GroupVersion discovery: metrics.example.com/v1");
}

/* While a group does not answer, a namespace may hold objects of it, so it stays. */
static void test_namespace_waits_for_discovery(void **state) {
    Cluster *cluster = *state;
    cluster->api->discovery = stale_discovery;
    put_namespace(cluster, "default");
    cluster_start(cluster, "namespace-controller", NULL);
    client_delete(cluster->client, fake_resource("", "namespaces"), NULL, "default", NULL, NULL);
    assert_true(fake_eventually(says_what_is_stale, cluster, 10));
    assert_int_equal(fake_count(cluster->client, "", "namespaces", NULL), 1);
}

static bool has_both(void *u) {
    Cluster *cluster = u;
    _cleanup_object_ Object *account = NULL, *map = get_map(cluster, "new", "kube-root-ca.crt");
    client_get(cluster->client, fake_resource("", "serviceaccounts"), "new", "default", &account, NULL);
    return account && map;
}

static void test_new_namespace_gets_its_things(void **state) {
    Cluster *cluster = *state;
    ControllersConfig config = {.root_ca_pem = "PEM"};
    cluster_start(cluster, "serviceaccount-controller,root-ca-certificate-publisher-controller", &config);
    put_namespace(cluster, "new");
    assert_true(fake_eventually(has_both, cluster, 10));
    /* Both come back. */
    client_delete(cluster->client, fake_resource("", "configmaps"), "new", "kube-root-ca.crt", NULL, NULL);
    client_delete(cluster->client, fake_resource("", "serviceaccounts"), "new", "default", NULL, NULL);
    assert_true(fake_eventually(has_both, cluster, 10));
}

static void test_unknown_controller_is_refused(void **state) {
    Cluster *cluster = *state;
    ControllersConfig config = {.client = cluster->client, .enabled = "*,-no-such-controller"};
    assert_int_equal(controllers_start(&config, &cluster->controllers), -EINVAL);
    assert_null(cluster->controllers);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_background, cluster_setup, cluster_teardown),
        cmocka_unit_test_setup_teardown(test_foreground_goes_from_the_leaves, cluster_setup, cluster_teardown),
        cmocka_unit_test_setup_teardown(test_orphan, cluster_setup, cluster_teardown),
        cmocka_unit_test_setup_teardown(test_absent_owner, cluster_setup, cluster_teardown),
        cmocka_unit_test_setup_teardown(test_one_of_two_owners_goes, cluster_setup, cluster_teardown),
        cmocka_unit_test_setup_teardown(test_unknown_owner_kind_is_kept, cluster_setup, cluster_teardown),
        cmocka_unit_test_setup_teardown(test_custom_background, cluster_setup, cluster_teardown),
        cmocka_unit_test_setup_teardown(test_custom_foreground, cluster_setup, cluster_teardown),
        cmocka_unit_test_setup_teardown(test_custom_orphan, cluster_setup, cluster_teardown),
        cmocka_unit_test_setup_teardown(test_custom_orphan_before_the_start, cluster_setup, cluster_teardown),
        cmocka_unit_test_setup_teardown(test_custom_foreground_before_the_start, cluster_setup, cluster_teardown),
        cmocka_unit_test_setup_teardown(test_owner_of_another_namespace, cluster_setup, cluster_teardown),
        cmocka_unit_test_setup_teardown(test_namespace_custom_content, cluster_setup, cluster_teardown),
        cmocka_unit_test_setup_teardown(test_namespace_waits_for_discovery, cluster_setup, cluster_teardown),
        cmocka_unit_test_setup_teardown(test_namespace_pods_first, cluster_setup, cluster_teardown),
        cmocka_unit_test_setup_teardown(test_new_namespace_gets_its_things, cluster_setup, cluster_teardown),
        cmocka_unit_test_setup_teardown(test_unknown_controller_is_refused, cluster_setup, cluster_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
