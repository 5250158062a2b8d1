/* What kube-apiserver v1.36.3 answers to server-side apply: to objects that are not there, over versions of a
 * definition, and when its schema has changed. Each row was seen there. */
#include "../support/answers.h"

#define APPLY "application/apply-patch+yaml"
#define JSON "application/json"
#define MERGE "application/merge-patch+json"
#define MAPS "/api/v1/namespaces/default/configmaps"
#define DEFINITIONS "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
#define SHIPS(version) "/apis/example.com/" version "/ships"
#define SHIP(version, name, members)                                                                                   \
    "{\"apiVersion\":\"example.com/" version "\",\"kind\":\"Ship\",\"metadata\":{\"name\":\"" name "\"}" members "}"

/* Only through the object itself is one made, and only by its name. */
static void test_absent(void **state) {
    static const char unnamed[] = "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"data\":{\"a\":\"1\"}}",
                      named[] = "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"named\"}}",
                      node[] = "{\"apiVersion\":\"v1\",\"kind\":\"Node\",\"metadata\":{\"name\":\"no\"}}",
                      pod[] = "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"no\"}}";
    const Case cases[] = {
        {"PATCH", "/api/v1/nodes/no/status?fieldManager=m", NULL, APPLY, node, 404, NULL, "nodes \"no\" not found"},
        {"GET", "/api/v1/nodes/no", NULL, NULL, NULL, 404, NULL, "nodes \"no\" not found"},
        {"PATCH", "/api/v1/namespaces/default/pods/no/resize?fieldManager=m", NULL, APPLY, pod, 404, NULL,
         "pods \"no\" not found"},
        {"PATCH", SHIPS("v1") "/no/status?fieldManager=m", NULL, APPLY, SHIP("v1", "no", ""), 404, NULL,
         "ships.example.com \"no\" not found"},
        {"PATCH", MAPS "/named?fieldManager=m", NULL, APPLY, unnamed, 400, NULL,
         "the name of the object (named based on URL) was undeterminable: name must be provided"},
        {"PATCH", MAPS "/named?fieldManager=m", NULL, APPLY, named, 201, NULL, NULL},
        {"PATCH", MAPS "/named?fieldManager=m", NULL, APPLY, unnamed, 200, NULL, NULL},
    };
    check_all(state, cases, ELEMENTSOF(cases));
}

/* An empty list of owners means nothing in the metadata of a custom resource; one that holds an empty one does. */
static void test_owners_sent(void **state) {
    static const char path[] = SHIPS("v1") "/sent?fieldManager=m";
    check(*state,
          &(Case){"PATCH", path, NULL, APPLY, SHIP("v1", "sent", ",\"spec\":{\"text\":\"a\"}"), 201, NULL, NULL});
    expect_text(*state, &(Case){"PATCH", path, NULL, MERGE, "{\"metadata\":{\"managedFields\":[]}}", 200, NULL, NULL},
                "\"managedFields\"", true);
    expect_text(*state, &(Case){"PATCH", path, NULL, MERGE, "{\"metadata\":{\"managedFields\":[{}]}}", 200, NULL, NULL},
                "\"managedFields\"", false);
}

/* What an endpoint does not write is left out of account in the version of the request; through the status in all. */
static void test_conflicts_over_versions(void **state) {
    const Case cases[] = {
        {"PATCH", SHIPS("v2") "/c?fieldManager=main", NULL, APPLY, SHIP("v2", "c", ",\"spec\":{\"text\":\"b\"}"), 201,
         NULL, NULL},
        {"PATCH", SHIPS("v2") "/c/status?fieldManager=s", NULL, APPLY, SHIP("v2", "c", ",\"status\":{\"a\":\"1\"}"),
         200, NULL, NULL},
        {"PATCH", SHIPS("v2") "/c?fieldManager=z", NULL, APPLY, SHIP("v2", "c", ",\"status\":{\"a\":\"2\"}"), 200, NULL,
         NULL},
        {"PATCH", SHIPS("v1") "/c?fieldManager=z", NULL, APPLY, SHIP("v1", "c", ",\"status\":{\"a\":\"2\"}"), 409, NULL,
         "Apply failed with 1 conflict: conflict with \"s\" with subresource \"status\": .status.a"},
        {"PATCH", SHIPS("v1") "/c/status?fieldManager=t", NULL, APPLY, SHIP("v1", "c", ",\"spec\":{\"text\":\"c\"}"),
         200, NULL, NULL},
        {"PATCH", SHIPS("v2") "/c/status?fieldManager=main", NULL, MERGE, "{\"status\":{\"b\":\"1\"}}", 200, NULL,
         NULL},
        {"PATCH", SHIPS("v2") "/c?fieldManager=main", NULL, MERGE, "{\"spec\":{\"free\":\"1\"}}", 200, NULL, NULL},
        {"PATCH", SHIPS("v1") "/c?fieldManager=main", NULL, MERGE, "{\"spec\":{\"more\":\"1\"}}", 200, NULL, NULL},
        {"PATCH", SHIPS("v1") "/c?fieldManager=z", NULL, APPLY,
         SHIP("v1", "c",
              ",\"spec\":{\"text\":\"d\",\"free\":\"2\",\"more\":\"2\"},\"status\":{\"a\":\"2\",\"b\":\"2\"}"),
         409, NULL,
         "Apply failed with 5 conflicts: conflicts with \"main\":\n- .spec.text\nconflicts with \"main\" using "
         "example.com/v1:\n- .spec.more\nconflicts with \"main\" with subresource \"status\" using example.com/v2:\n- "
         ".status.b\nconflicts with \"main\" using example.com/v2:\n- .spec.free\nconflicts with \"s\" with "
         "subresource "
         "\"status\":\n- .status.a"},
    };
    check_all(state, cases, ELEMENTSOF(cases));
}

/* An applier who takes all of a status back leaves null there, which is no status; and nothing is said of what is
 * below. */
static void test_status_taken_back(void **state) {
    const Case cases[] = {
        {"PATCH", SHIPS("v1") "/back?fieldManager=m", NULL, APPLY, SHIP("v1", "back", ""), 201, NULL, NULL},
        {"PATCH", SHIPS("v1") "/back/status?fieldManager=s", NULL, APPLY,
         SHIP("v1", "back", ",\"status\":{\"a\":\"1\"}"), 200, NULL, NULL},
        {"PATCH", SHIPS("v1") "/back/status?fieldManager=s", NULL, APPLY, SHIP("v1", "back", ",\"status\":{}"), 422,
         NULL,
         "Ship.example.com \"back\" is invalid: status: Invalid value: \"null\":  in body must be of type object: "
         "\"null\""},
    };
    check_all(state, cases, ELEMENTSOF(cases));
}

/* Labels that another version's manager applied as none are taken from it by whoever does the same. */
static void test_nothing_over_versions(void **state) {
#define NO_LABELS(version)                                                                                             \
    "{\"apiVersion\":\"example.com/" version "\",\"kind\":\"Ship\",\"metadata\":{\"name\":\"n\",\"labels\":{}}}"
    const Case cases[] = {
        {"PATCH", SHIPS("v2") "/n?fieldManager=a", NULL, APPLY, NO_LABELS("v2"), 201, NULL, NULL},
        {"PATCH", SHIPS("v1") "/n?fieldManager=b", NULL, APPLY, NO_LABELS("v1"), 409, NULL,
         "Apply failed with 1 conflict: conflict with \"a\": .metadata.labels"},
    };
    check_all(state, cases, ELEMENTSOF(cases));
}

#define SCHEMA(list, map, more)                                                                                        \
    "{\"openAPIV3Schema\":{\"type\":\"object\",\"properties\":{\"spec\":{\"type\":\"object\",\"properties\":{"         \
    "\"text\":{\"type\":\"string\"},\"free\":{\"type\":\"string\"},\"more\":{\"type\":\"string\"" more "},"            \
    "\"list\":{\"type\":\"array\",\"items\":{\"type\":\"string\"},\"x-kubernetes-list-type\":\"" list "\"},"           \
    "\"map\":{\"type\":\"object\",\"additionalProperties\":{\"type\":\"string\"},\"x-kubernetes-map-type\":\"" map     \
    "\"}}},\"status\":{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\"},\"b\":{\"type\":\"string\"}}}}" \
    "}}"
#define VERSION(name, storage, schema)                                                                                 \
    "{\"name\":\"" name "\",\"served\":true,\"storage\":" storage                                                      \
    ",\"subresources\":{\"status\":{},\"scale\":{\"specReplicasPath\":\".spec.replicas\",\"statusReplicasPath\":\"."   \
    "status.replicas\"}},\"schema\":" schema "}"
#define DEFINITION(group, schema)                                                                                      \
    "{\"metadata\":{\"name\":\"ships." group "\"},\"spec\":{\"group\":\"" group "\",\"names\":{\"plural\":\"ships\","  \
    "\"kind\":\"Ship\"},\"scope\":\"Cluster\",\"versions\":[" VERSION("v1", "true", schema) "," VERSION("v2", "false", \
                                                                                                        schema) "]}}"

/* What was owned below a list or map that is one leaf by now is owned as that leaf from the next write on. */
static void test_schema_made_atomic(void **state) {
#define GROUP "example.org"
#define PATH "/apis/" GROUP "/v1/ships"
    check(*state,
          &(Case){"POST", DEFINITIONS, NULL, JSON, DEFINITION(GROUP, SCHEMA("set", "granular", "")), 201, NULL, NULL});
    await(*state, PATH, "ShipList");
    expect_text(*state,
                &(Case){"PATCH", PATH "/s?fieldManager=a", NULL, APPLY,
                        "{\"apiVersion\":\"" GROUP "/v1\",\"kind\":\"Ship\",\"metadata\":{\"name\":\"s\"},\"spec\":{"
                        "\"list\":[\"x\"],\"map\":{\"k\":\"v\"}}}",
                        201, NULL, NULL},
                "\"f:spec\":{\"f:list\":{\"v:\\\"x\\\"\":{}},\"f:map\":{\"f:k\":{}}}", true);
    check(*state, &(Case){"PATCH", DEFINITIONS "/ships." GROUP, NULL, MERGE,
                          DEFINITION(GROUP, SCHEMA("atomic", "atomic", ",\"default\":\"new\"")), 200, NULL, NULL});
    await(*state, PATH "/s", "\"more\":\"new\"");
    expect_text(*state,
                &(Case){"PATCH", PATH "/s?fieldManager=b", NULL, MERGE, "{\"spec\":{\"text\":\"t\"}}", 200, NULL, NULL},
                "\"f:spec\":{\"f:list\":{},\"f:map\":{}}", true);
    check(*state, &(Case){"PATCH", PATH "/s?fieldManager=b", NULL, APPLY,
                          "{\"apiVersion\":\"" GROUP "/v1\",\"kind\":\"Ship\",\"metadata\":{\"name\":\"s\"},\"spec\":{"
                          "\"list\":[\"x\",\"y\"]}}",
                          409, NULL, "Apply failed with 1 conflict: conflict with \"a\": .spec.list"});
}

static int set_up_ships(void **state) {
    int r = set_up(state);
    if (r < 0)
        return r;
    check(*state, &(Case){"POST", DEFINITIONS, NULL, JSON, DEFINITION("example.com", SCHEMA("set", "granular", "")),
                          201, NULL, NULL});
    await(*state, SHIPS("v2"), "ShipList");
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_absent),
        cmocka_unit_test(test_owners_sent),
        cmocka_unit_test(test_conflicts_over_versions),
        cmocka_unit_test(test_nothing_over_versions),
        cmocka_unit_test(test_status_taken_back),
        cmocka_unit_test(test_schema_made_atomic),
    };
    return cmocka_run_group_tests(tests, set_up_ships, tear_down);
}
