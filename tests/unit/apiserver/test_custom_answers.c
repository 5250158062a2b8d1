/* What kube-apiserver v1.36.3 answers about custom resources, over HTTPS. Each row was seen there. */
#include "../support/answers.h"

#define DEFINITIONS "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
#define THINGS "/apis/example.com/v1/things"
#define THING "{\"apiVersion\":\"example.com/v1\",\"kind\":\"Thing\","
#define JSON "application/json"
#define MERGE "application/merge-patch+json"
#define APPLY "application/apply-patch+yaml"

/* Of one definition: lists that are sets and maps, formats, nulls, an embedded resource, a choice, a scale. */
static const char schema[] =
    "[{\"name\":\"v1\",\"served\":true,\"storage\":true,\"subresources\":{\"status\":{},\"scale\":{\"specReplicasPa"
    "th\":\".spec.replicas\",\"statusReplicasPath\":\".status.replicas\",\"labelSelectorPath\":\".status.selector\""
    "}},\"schema\":{\"openAPIV3Schema\":{\"type\":\"object\",\"properties\":{\"spec\":{\"type\":\"object\",\"proper"
    "ties\":{\"replicas\":{\"type\":\"integer\",\"format\":\"int32\"},\"big\":{\"type\":\"integer\",\"format\":\"in"
    "t64\"},\"text\":{\"type\":\"string\"},\"when\":{\"type\":\"string\",\"format\":\"date-time\"},\"must\":{\"type"
    "\":\"object\",\"required\":[\"have\"],\"properties\":{\"have\":{\"type\":\"string\"}}},\"nullable\":{\"type\":"
    "\"string\",\"nullable\":true},\"filled\":{\"type\":\"string\",\"default\":\"d\"},\"items\":{\"type\":\"array\""
    ",\"x-kubernetes-list-type\":\"map\",\"x-kubernetes-list-map-keys\":[\"name\"],\"items\":{\"type\":\"object\","
    "\"properties\":{\"name\":{\"type\":\"string\",\"default\":\"\"},\"v\":{\"type\":\"integer\"}}}},\"set\":{\"typ"
    "e\":\"array\",\"x-kubernetes-list-type\":\"set\",\"items\":{\"type\":\"string\"}},\"inner\":{\"type\":\"object"
    "\",\"x-kubernetes-embedded-resource\":true,\"x-kubernetes-preserve-unknown-fields\":true},\"any\":{\"type\":\""
    "object\",\"additionalProperties\":{\"x-kubernetes-preserve-unknown-fields\":true}},\"choice\":{\"type\":\"obje"
    "ct\",\"oneOf\":[{\"required\":[\"a\"]},{\"properties\":{\"b\":{\"maximum\":3}},\"required\":[\"b\",\"c\"]}],\""
    "properties\":{\"a\":{\"type\":\"integer\"},\"b\":{\"type\":\"integer\"},\"c\":{\"type\":\"integer\"}}}}},\"sta"
    "tus\":{\"type\":\"object\",\"properties\":{\"replicas\":{\"type\":\"integer\"},\"selector\":{\"type\":\"string"
    "\"}}}}}}}]";

static void define(World *world, const char *group, const char *annotation) {
    _cleanup_free_ char *body = xasprintf("{\"metadata\":{\"name\":\"things.%s\",\"annotations\":{"
                                          "\"api-approved.kubernetes.io\":\"%s\"}},\"spec\":{\"group\":\"%s\","
                                          "\"names\":{\"plural\":\"things\",\"kind\":\"Thing\"},"
                                          "\"scope\":\"Cluster\",\"versions\":%s}}",
                                          group, annotation, group, schema);
    check(world, &(Case){"POST", DEFINITIONS, NULL, JSON, body, 201, NULL, NULL});
}

static void test_refusals(void **state) {
    static const struct {
        const char *query, *spec;
        int code;
        const char *message;
    } rows[] = {
        {"fieldValidation=Strict", "{\"text\":{\"x\":1},\"set\":{\"y\":2},\"any\":{\"k\":{\"free\":1}}}", 400,
         "Thing in version \"v1\" cannot be handled as a Thing: strict decoding error: unknown field \"spec.set.y\""
         ", unknown field \"spec.text.x\""},
        {"", "{\"must\":{\"have\":null}}", 422, "Thing.example.com \"a\" is invalid: spec.must.have: Required value"},
        {"", "{\"big\":true}", 422,
         "Thing.example.com \"a\" is invalid: spec.big: Invalid value: \"\": spec.big in body must be of type int64"
         ": \"\""},
        {"", "{\"replicas\":4294967296}", 422,
         "Thing.example.com \"a\" is invalid: [<nil>: Invalid value: \"\": Checked value must be of type integer wi"
         "th format int32 in spec.replicas, .spec.replicas: Invalid value: 4294967296: should be less than or equal"
         " to 2147483647]"},
        {"", "{\"replicas\":1.5}", 422,
         "Thing.example.com \"a\" is invalid: [spec.replicas: Invalid value: \"float64\": spec.replicas in body mus"
         "t be of type int32: \"float64\", <nil>: Invalid value: \"\": Checked value must be of type integer with f"
         "ormat int32 in spec.replicas, .spec.replicas: Invalid value: 0: .spec.replicas accessor error: 1.5 is of "
         "the type float64, expected int64]"},
        {"", "{\"when\":5}", 422,
         "Thing.example.com \"a\" is invalid: spec.when: Invalid value: \"int64\": spec.when in body must be of typ"
         "e date-time: \"int64\""},
        {"", "\"text\"", 422,
         "Thing.example.com \"a\" is invalid: [spec: Invalid value: \"string\": spec in body must be of type object"
         ": \"string\", .spec.replicas: Invalid value: 0: .spec.replicas accessor error: text is of the type string"
         ", expected map[string]interface{}]"},
        {"", "{\"items\":[\"x\"]}", 422,
         "Thing.example.com \"a\" is invalid: [spec.items[0]: Invalid value: \"string\": spec.items[0] in body must"
         " be of type object: \"string\", spec.items[0]: Invalid value: \"x\": must be an object for an array of li"
         "st-type map]"},
        {"", "{\"items\":[{\"v\":1},{\"v\":2},{\"v\":3}]}", 422,
         "Thing.example.com \"a\" is invalid: spec.items[1]: Duplicate value: {\"name\":\"\"}"},
        {"", "{\"set\":[\"x\",\"x\",\"x\"]}", 422,
         "Thing.example.com \"a\" is invalid: spec.set[1]: Duplicate value: \"x\""},
        {"", "{\"inner\":{}}", 422,
         "Thing.example.com \"a\" is invalid: [spec.inner.apiVersion: Required value, spec.inner.kind: Required val"
         "ue]"},
        {"",
         "{\"inner\":{\"apiVersion\":\"a/b/c\",\"kind\":\"No_Kind\",\"metadata\":{\"name\":\"x/y\",\"labels\":"
         "{\"a b\":\"c\"}}}}",
         422,
         "Thing.example.com \"a\" is invalid: [spec.inner.apiVersion: Invalid value: \"a/b/c\": unexpected GroupVer"
         "sion string: a/b/c, spec.inner.kind: Invalid value: \"No_Kind\": may have mixed case, but should otherwis"
         "e match: a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphab"
         "etic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for val"
         "idation is '[a-z]([-a-z0-9]*[a-z0-9])?'), spec.inner.metadata.name: Invalid value: \"x/y\": may not conta"
         "in '/', spec.inner.metadata.labels: Invalid value: \"a b\": name part must consist of alphanumeric charac"
         "ters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name"
         "',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')]"},
        {"", "{\"inner\":{\"apiVersion\":1,\"kind\":\"K\"}}", 400,
         "Thing in version \"v1\" cannot be handled as a Thing: spec.inner.apiVersion: Invalid value: 1: must be a "
         "string"},
        {"", "{\"inner\":{\"apiVersion\":\"v1\",\"kind\":\"K\",\"metadata\":{\"name\":5}}}", 400,
         "Thing in version \"v1\" cannot be handled as a Thing: spec.inner.metadata: Invalid value: {\"name\":5}: j"
         "son: cannot unmarshal number into Go struct field ObjectMeta.name of type string"},
        {"", "{\"choice\":{\"b\":9,\"c\":1}}", 422,
         "Thing.example.com \"a\" is invalid: [<nil>: Invalid value: \"\": \"spec.choice\" must validate one and on"
         "ly one schema (oneOf). Found none valid, spec.choice.b: Invalid value: 9: spec.choice.b in body should be"
         " less than or equal to 3]"},
        {"", "{\"choice\":{\"b\":9}}", 422,
         "Thing.example.com \"a\" is invalid: [<nil>: Invalid value: \"\": \"spec.choice\" must validate one and on"
         "ly one schema (oneOf). Found none valid, spec.choice.b: Invalid value: 9: spec.choice.b in body should be"
         " less than or equal to 3, spec.choice.c: Required value]"},
    };
    for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
        _cleanup_free_ char *target = xasprintf(THINGS "?%s", rows[i].query);
        _cleanup_free_ char *body = xasprintf(THING "\"metadata\":{\"name\":\"a\"},\"spec\":%s}", rows[i].spec);
        check(*state, &(Case){"POST", target, NULL, JSON, body, rows[i].code, NULL, rows[i].message});
    }
}

/* Nulls of what cannot be null count as absent, but not in what is applied. */
static void test_nulls(void **state) {
    expect_text(*state,
                &(Case){"POST", THINGS, NULL, JSON,
                        THING "\"metadata\":{\"name\":\"n\"},\"spec\":{\"text\":null,\"nullable\":null,\"filled\":null,"
                              "\"items\":[{\"name\":null}]}}",
                        201, NULL, NULL},
                "\"spec\":{\"filled\":\"d\",\"items\":[{\"name\":\"\"}],\"nullable\":null}", true);
    check(*state, &(Case){"PATCH", THINGS "/n?fieldManager=q&force=true", NULL, APPLY,
                          "{\"apiVersion\":\"example.com/v1\",\"kind\":\"Thing\",\"spec\":{\"must\":{\"have\":null}}}",
                          422, NULL,
                          "Thing.example.com \"n\" is invalid: spec.must.have: Invalid value: \"null\": spec.must.have "
                          "in body must be of type string: \"null\""});
}

/* Through the status goes the status alone; and what does not fit the schema has no owners. */
static void test_status(void **state) {
    expect_text(*state,
                &(Case){"POST", THINGS, NULL, JSON,
                        THING "\"metadata\":{\"name\":\"s\",\"labels\":{\"a\":\"1\"}},\"status\":{\"replicas\":\"x\"}}",
                        201, NULL, NULL},
                "managedFields", false);
    static const char patch[] =
        "{\"metadata\":{\"labels\":{\"a\":\"2\",\"b\":\"3\"}},\"spec\":{\"text\":\"sneaked in\"},"
        "\"status\":{\"replicas\":2}}";
    expect_text(*state, &(Case){"PATCH", THINGS "/s/status", NULL, MERGE, patch, 200, NULL, NULL},
                "\"labels\":{\"a\":\"1\"}", true);
    expect_text(*state, &(Case){"GET", THINGS "/s", NULL, NULL, NULL, 200, NULL, NULL}, "sneaked in", false);
    expect_text(*state, &(Case){"GET", THINGS "/s", NULL, NULL, NULL, 200, NULL, NULL}, "f:metadata", false);
    check(*state, &(Case){"PATCH", THINGS "/s/status", NULL, MERGE, "{\"status\":{\"replicas\":-1}}", 422, NULL,
                          "Thing.example.com \"s\" is invalid: .status.replicas: Invalid value: -1: should be a "
                          "non-negative integer"});
}

/* A member of any type is owned as what it is: an object by its members, a text as one. */
static void test_owners_of_any_value(void **state) {
    expect_text(*state,
                &(Case){"POST", THINGS "?fieldManager=p", NULL, JSON,
                        THING "\"metadata\":{\"name\":\"m\"},\"spec\":{\"any\":{\"k\":{\"a\":{\"b\":1}}}}}", 201, NULL,
                        NULL},
                "\"f:any\":{\".\":{},\"f:k\":{\".\":{},\"f:a\":{\".\":{},\"f:b\":{}}}}", true);
    expect_text(*state,
                &(Case){"PATCH", THINGS "/m?fieldManager=q&force=true", NULL, APPLY,
                        "{\"apiVersion\":\"example.com/v1\",\"kind\":\"Thing\",\"spec\":{\"any\":{\"k\":\"text\"}}}",
                        200, NULL, NULL},
                "\"f:spec\":{\".\":{},\"f:any\":{},\"f:filled\":{}}", true);
}

/* What is stored in one version is pruned by the schema of another it is read in, and has none of its defaults. */
static void test_reading_in_another_version(void **state) {
    check(
        *state,
        &(Case){
            "POST", DEFINITIONS, NULL, JSON,
            "{\"metadata\":{\"name\":\"parts.example.org\"},\"spec\":{\"group\":\"example.org\",\"names\":{\"plural\":"
            "\"parts\",\"kind\":\"Part\"},\"scope\":\"Cluster\",\"versions\":[{\"name\":\"v1\",\"served\":true,"
            "\"storage\":true,\"schema\":{\"openAPIV3Schema\":{\"type\":\"object\",\"properties\":{\"spec\":{\"type\":"
            "\"object\",\"properties\":{\"a\":{\"type\":\"string\"},\"b\":{\"type\":\"string\",\"default\":\"stored\"}}"
            "}}}}},"
            "{\"name\":\"v1beta1\",\"served\":true,\"storage\":false,\"schema\":{\"openAPIV3Schema\":{\"type\":"
            "\"object\",\"properties\":{\"spec\":{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\"},"
            "\"b\":{\"type\":\"string\"},\"old\":{\"type\":\"integer\",\"default\":15}}}}}}}]}}",
            201, NULL, NULL});
    await(*state, "/apis/example.org/v1beta1/parts", "PartList");
    const Case make = {"POST",
                       "/apis/example.org/v1beta1/parts",
                       NULL,
                       JSON,
                       "{\"apiVersion\":\"example.org/"
                       "v1beta1\",\"kind\":\"Part\",\"metadata\":{\"name\":\"p\"},\"spec\":{\"a\":\"x\"}}",
                       201,
                       NULL,
                       NULL};
    expect_text(*state, &make, "\"spec\":{\"a\":\"x\",\"b\":\"stored\"}", true);
    const Case read = {"GET", "/apis/example.org/v1beta1/parts/p", NULL, NULL, NULL, 200, NULL, NULL};
    expect_text(*state, &read, "\"spec\":{\"a\":\"x\",\"b\":\"stored\"}", true);
    /* Who applies what is there already owns it, and changes nothing by the defaults of the version. */
    const Case apply = {"PATCH",
                        "/apis/example.org/v1beta1/parts/p?fieldManager=m",
                        NULL,
                        APPLY,
                        "{\"apiVersion\":\"example.org/v1beta1\",\"kind\":\"Part\",\"metadata\":{\"name\":\"p\"},"
                        "\"spec\":{\"a\":\"x\"}}",
                        200,
                        NULL,
                        NULL};
    expect_text(*state, &apply, "\"generation\":1,", true);
    expect_text(*state, &read, "\"manager\":\"m\"", true);
    expect_text(*state, &read, "\"generation\":1,", true);
}

/* Who scales what somebody owned is told to whoever applies another number. */
static void test_owner_by_scaling(void **state) {
#define SCALED THING "\"metadata\":{\"name\":\"scaled\"},\"spec\":{\"replicas\":1}}"
    const Case cases[] = {
        {"PATCH", THINGS "/scaled?fieldManager=q", NULL, APPLY, SCALED, 201, NULL, NULL},
        {"PATCH", THINGS "/scaled/scale?fieldManager=s", NULL, MERGE, "{\"spec\":{\"replicas\":3}}", 200, NULL, NULL},
        {"PATCH", THINGS "/scaled?fieldManager=q", NULL, APPLY, SCALED, 409, NULL,
         "Apply failed with 1 conflict: conflict with \"s\" with subresource \"scale\" using example.com/v1: "
         ".spec.replicas"},
        {"POST", THINGS, NULL, JSON, THING "\"metadata\":{\"name\":\"unscaled\"}}", 201, NULL, NULL},
        {"PATCH", THINGS "/unscaled/scale?fieldManager=s", NULL, MERGE, "{\"spec\":{\"replicas\":3}}", 200, NULL, NULL},
    };
    check_all(state, cases, ELEMENTSOF(cases));
    expect_text(*state, &(Case){"GET", THINGS "/unscaled", NULL, NULL, NULL, 200, NULL, NULL}, "\"manager\":\"s\"",
                false);
}

#define SCALE(members)                                                                                                 \
    "{\"apiVersion\":\"autoscaling/v1\",\"kind\":\"Scale\",\"metadata\":{\"name\":\"by\"},\"spec\":" members "}"
#define SPEC(members) "{\"spec\":{" members "}}"

/* The object is what is validated, and it is scaled as it is found unless a version is named. */
static void test_scaling(void **state) {
    const Case cases[] = {
        {"POST", THINGS, NULL, JSON, THING "\"metadata\":{\"name\":\"by\"}}", 201, NULL, NULL},
        {"PATCH", THINGS "/by/scale", NULL, MERGE, "{\"metadata\":{\"labels\":{\"a\":\"b\"}}}", 400, NULL,
         "the spec replicas field \".spec.replicas\" cannot be empty"},
        {"PATCH", THINGS "/by/scale", NULL, MERGE, SPEC("\"replicas\":-1"), 422, NULL,
         "Thing.example.com \"by\" is invalid: .spec.replicas: Invalid value: -1: should be a non-negative integer"},
        {"PUT", THINGS "/by/scale", NULL, JSON, SCALE("{\"replicas\":2}"), 200, NULL, NULL},
        {"PATCH", THINGS "/by/scale", NULL, MERGE, "{\"metadata\":{\"uid\":\"no\"},\"spec\":{\"replicas\":3}}", 200,
         NULL, NULL},
        {"PUT", THINGS "/by/scale", NULL, JSON, SCALE("{}"), 200, NULL, NULL},
        {"POST", THINGS "/by/scale", NULL, JSON, SCALE("{}"), 405, NULL,
         "create is not supported on resources of kind \"things.example.com\""},
    };
    check_all(state, cases, ELEMENTSOF(cases));
    expect_text(*state, &(Case){"GET", THINGS "/by", NULL, NULL, NULL, 200, NULL, NULL}, "\"replicas\":0", true);
}

/* Who scales owns the replicas, at no time; who scales to nothing leaves them to nobody. */
static void test_owners_of_replicas(void **state) {
#define MAKE THING "\"metadata\":{\"name\":\"owned\"},\"spec\":{\"replicas\":2,\"text\":\"a\"}}"
    const Case make = {"POST", THINGS "?fieldManager=one", NULL, JSON, MAKE, 201, NULL, NULL};
    const Case get = {"GET", THINGS "/owned", NULL, NULL, NULL, 200, NULL, NULL};
    static const struct {
        const char *target, *patch, *text;
        bool there;
    } rows[] = {
        {"?fieldManager=two", SPEC("\"replicas\":3"),
         "[{\"apiVersion\":\"example.com/"
         "v1\",\"fieldsType\":\"FieldsV1\",\"fieldsV1\":{\"f:spec\":{\"f:replicas\":{}}},"
         "\"manager\":\"two\",\"operation\":\"Update\",\"subresource\":\"scale\"},",
         true},
        {"?fieldManager=three", SPEC("\"replicas\":0"), "f:replicas", false},
        {"?fieldManager=three", SPEC("\"replicas\":4"), "f:replicas", false},
    };
    check(*state, &make);
    for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
        _cleanup_free_ char *target = xasprintf(THINGS "/owned/scale%s", rows[i].target);
        check(*state, &(Case){"PATCH", target, NULL, MERGE, rows[i].patch, 200, NULL, NULL});
        expect_text(*state, &get, rows[i].text, rows[i].there);
    }
}

#define APPLIED_SCALE(name, spec)                                                                                      \
    "{\"apiVersion\":\"autoscaling/v1\",\"kind\":\"Scale\",\"metadata\":{\"name\":\"" name "\"},\"spec\":" spec "}"
#define INVALID_VERSION " to proper version: request to convert CR to an invalid group/version: autoscaling/v1"

/* What is applied to a scale can but change its owners: no Scale that is merged can be read. */
static void test_applied_scales(void **state) {
    static const char live[] = "failed to create manager for existing fields: failed to convert live object (/; "
                               "autoscaling/v1, Kind=Scale)" INVALID_VERSION;
    const struct {
        const char *query, *body;
        int code;
        const char *message;
    } rows[] = {
        {"fieldManager=ap", APPLIED_SCALE("ap", "{\"replicas\":3}"), 409,
         "Apply failed with 1 conflict: conflict with \"one\" using autoscaling/v1: .spec.replicas"},
        {"fieldManager=ap", APPLIED_SCALE("ap", "{\"replicas\":2}"), 200, NULL},
        {"fieldManager=ap&force=true", APPLIED_SCALE("ap", "{\"replicas\":3}"), 500,
         "failed to convert new object (/ap; autoscaling/v1, Kind=Scale)" INVALID_VERSION},
        {"fieldManager=ap&force=true&fieldValidation=Strict", APPLIED_SCALE("ap", "{\"replicas\":3,\"replicas\":4}"),
         500, "failed to convert new object (/ap; autoscaling/v1, Kind=Scale)" INVALID_VERSION},
        {"fieldManager=other", APPLIED_SCALE("ap", "{\"replicas\":4}"), 409,
         "Apply failed with 1 conflict: conflict with \"ap\" with subresource \"scale\": .spec.replicas"},
        {"fieldManager=ap", APPLIED_SCALE("ap", "{\"replicas\":\"x\"}"), 500,
         "failed to create typed patch object (/ap; autoscaling/v1, Kind=Scale): .spec.replicas: expected numeric (int "
         "or float), got string"},
        {"fieldManager=ap&force=true", APPLIED_SCALE("y", "{\"replicas\":2}"), 500,
         "failed to convert new object (/y; autoscaling/v1, Kind=Scale)" INVALID_VERSION},
        {"fieldManager=ap", "{\"apiVersion\":\"example.com/v1\",\"kind\":\"Thing\"}", 400,
         "invalid object type: example.com/v1, Kind=Thing"},
    };
    const Case make = {"POST",
                       THINGS "?fieldManager=one",
                       NULL,
                       JSON,
                       THING "\"metadata\":{\"name\":\"ap\"},\"spec\":{\"replicas\":2,\"text\":\"a\"}}",
                       201,
                       NULL,
                       NULL};
    check(*state, &make);
    for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
        _cleanup_free_ char *target = xasprintf(THINGS "/ap/scale?%s", rows[i].query);
        check(*state, &(Case){"PATCH", target, NULL, APPLY, rows[i].body, rows[i].code, NULL, rows[i].message});
    }
    const Case get = {"GET", THINGS "/ap", NULL, NULL, NULL, 200, NULL, NULL};
#define OWNER(manager, operation, subresource)                                                                         \
    "{\"apiVersion\":\"example.com/v1\",\"fieldsType\":\"FieldsV1\",\"fieldsV1\":{\"f:spec\":{\"f:replicas\":{}}},"    \
    "\"manager\":\"" manager "\",\"operation\":\"" operation "\"" subresource "}"
    expect_text(*state, &get,
                "\"managedFields\":[" OWNER("ap", "Apply", ",\"subresource\":\"scale\"") "," OWNER("one", "Update", ""),
                true);
    expect_text(*state, &get, "\"replicas\":2", true);
    const Case unowned[] = {
        {"POST", THINGS, NULL, JSON, THING "\"metadata\":{\"name\":\"unowned\"}}", 201, NULL, NULL},
        {"PATCH", THINGS "/unowned/scale?fieldManager=ap", NULL, APPLY, APPLIED_SCALE("unowned", "{\"replicas\":3}"),
         500, NULL, live},
        {"PATCH", THINGS "/unowned/scale?fieldManager=ap", NULL, APPLY, APPLIED_SCALE("unowned", "{}"), 500, NULL,
         live},
    };
    check_all(state, unowned, ELEMENTSOF(unowned));
}

/* Of an apply the conflicts come first, then members that came twice, then another name. */
static void test_order_of_refusals(void **state) {
#define TWICE "{\"replicas\":2,\"replicas\":3}"
#define ORDERED(name, spec)                                                                                            \
    "{\"apiVersion\":\"example.com/v1\",\"kind\":\"Thing\",\"metadata\":{\"name\":\"" name "\"},\"spec\":" spec "}"
    static const char conflict[] =
        "Apply failed with 1 conflict: conflict with \"one\" using example.com/v1: .spec.replicas";
    const Case cases[] = {
        {"POST", THINGS "?fieldManager=one", NULL, JSON,
         THING "\"metadata\":{\"name\":\"order\"},\"spec\":{\"replicas\":1}}", 201, NULL, NULL},
        {"PATCH", THINGS "/order?fieldManager=ap&fieldValidation=Strict", NULL, APPLY, ORDERED("order", TWICE), 409,
         NULL, conflict},
        {"PATCH", THINGS "/order?fieldManager=ap", NULL, APPLY, ORDERED("y", "{\"replicas\":2}"), 409, NULL, conflict},
        {"PATCH", THINGS "/order?fieldManager=ap&force=true&fieldValidation=Strict", NULL, APPLY, ORDERED("y", TWICE),
         400, NULL,
         "error strict decoding YAML: error converting YAML to JSON: yaml: unmarshal errors:\n  line 1: key "
         "\"replicas\" already set in map"},
        {"PATCH", THINGS "/order?fieldManager=ap&force=true", NULL, APPLY, ORDERED("y", "{\"replicas\":2}"), 400, NULL,
         "the name of the object (y) does not match the name on the URL (order)"},
    };
    check_all(state, cases, ELEMENTSOF(cases));
}

/* A version that does not show the replicas sets them all the same: what is stored is pruned by its own version. */
static void test_scaling_in_another_version(void **state) {
#define SPEC_OF(members)                                                                                               \
    "{\"type\":\"object\",\"properties\":{\"spec\":{\"type\":\"object\",\"properties\":{" members "}}}}"
#define LOT(name, storage, members)                                                                                    \
    "{\"name\":\"" name "\",\"served\":true,\"storage\":" storage ",\"schema\":{\"openAPIV3Schema\":" SPEC_OF(         \
        members) "},\"subresources\":{\"scale\":{"                                                                     \
                 "\"specReplicasPath\":\".spec.replicas\",\"statusReplicasPath\":\".status.replicas\"}}}"
#define LOTS "/apis/example.net/"
    check(
        *state,
        &(Case){"POST", DEFINITIONS, NULL, JSON,
                "{\"metadata\":{\"name\":\"lots.example.net\"},\"spec\":{\"group\":\"example.net\",\"names\":{"
                "\"plural\":\"lots\",\"kind\":\"Lot\"},\"scope\":\"Cluster\",\"versions\":[" LOT(
                    "v1", "true",
                    "\"replicas\":{\"type\":\"integer\"},\"text\":{\"type\":\"string\"}") "," LOT("v2", "false",
                                                                                                  "\"text\":{\"type\":"
                                                                                                  "\"string\"}") "]}}",
                201, NULL, NULL});
    await(*state, LOTS "v2/lots", "LotList");
    const Case make = {"POST",
                       LOTS "v1/lots?fieldManager=one",
                       NULL,
                       JSON,
                       "{\"apiVersion\":\"example.net/"
                       "v1\",\"kind\":\"Lot\",\"metadata\":{\"name\":\"l\"},\"spec\":{\"replicas\":2,\"text\":\"a\"}}",
                       201,
                       NULL,
                       NULL};
    const Case scale = {
        "PATCH", LOTS "v2/lots/l/scale?fieldManager=m", NULL, MERGE, "{\"spec\":{\"replicas\":6}}", 200, NULL, NULL};
    const Case stored = {"GET", LOTS "v1/lots/l", NULL, NULL, NULL, 200, NULL, NULL};
    check(*state, &make);
    expect_text(*state, &scale, "\"spec\":{},\"status\":{\"replicas\":0}", true);
    expect_text(*state, &stored, "\"spec\":{\"replicas\":6,\"text\":\"a\"}", true);
    expect_text(*state, &stored,
                "{\"apiVersion\":\"example.net/v2\",\"fieldsType\":\"FieldsV1\",\"fieldsV1\":{\"f:spec\":{"
                "\"f:replicas\":{}}},\"manager\":\"m\",\"operation\":\"Update\",\"subresource\":\"scale\"}",
                true);
    expect_text(*state, &(Case){"GET", LOTS "v2/lots/l", NULL, NULL, NULL, 200, NULL, NULL},
                "\"spec\":{\"text\":\"a\"}", true);
    const Case refused[] = {
        {"GET", LOTS "v2/lots/l/scale", NULL, NULL, NULL, 500, NULL,
         "Internal error occurred: the spec replicas field \".spec.replicas\" does not exist"},
        {"PATCH", LOTS "v2/lots/l/scale?fieldManager=m", NULL, MERGE, "{\"metadata\":{\"labels\":{\"a\":\"b\"}}}", 400,
         NULL, "the spec replicas field \".spec.replicas\" cannot be empty"},
        {"PATCH", LOTS "v2/lots/l/scale?fieldManager=ap", NULL, APPLY, APPLIED_SCALE("l", "{\"replicas\":7}"), 409,
         NULL,
         "Apply failed with 1 conflict: conflict with \"m\" with subresource \"scale\" using autoscaling/v1: "
         ".spec.replicas"},
    };
    check_all(state, refused, ELEMENTSOF(refused));
}

/* What is sent is read as Go's ObjectMeta; in what is applied, members that are nothing for it do not count. */
static void test_metadata(void **state) {
#define NAMED(name, members)                                                                                           \
    "{\"apiVersion\":\"example.com/v1\",\"kind\":\"Thing\",\"metadata\":{\"name\":\"" name "\"," members "}}"
    const Case cases[] = {
        {"POST", THINGS, NULL, JSON, NAMED("meta", "\"uid\":5"), 400, NULL,
         "Thing in version \"v1\" cannot be handled as a Thing: json: cannot unmarshal number into Go struct field "
         "ObjectMeta.uid of type types.UID"},
        {"POST", THINGS, NULL, JSON, NAMED("meta", "\"ownerReferences\":[{\"name\":3}]"), 400, NULL,
         "Thing in version \"v1\" cannot be handled as a Thing: json: cannot unmarshal number into Go struct field "
         "OwnerReference.ownerReferences.name of type string"},
        {"POST", THINGS "?fieldValidation=Strict", NULL, JSON,
         THING "\"metadata\":{\"name\":\"meta\",\"zz\":1},\"aa\":1}", 400, NULL,
         "Thing in version \"v1\" cannot be handled as a Thing: strict decoding error: unknown field "
         "\"metadata.zz\", unknown field \"aa\""},
        {"PATCH", THINGS "/meta1?fieldManager=q", NULL, APPLY, NAMED("meta1", "\"generation\":1.5"), 201, NULL, NULL},
        {"PATCH", THINGS "/meta2?fieldManager=q", NULL, APPLY, NAMED("meta2", "\"generation\":1e20"), 201, NULL, NULL},
        {"PATCH", THINGS "/meta1?fieldManager=q", NULL, APPLY, NAMED("meta1", "\"deletionTimestamp\":\"x\""), 200, NULL,
         NULL},
        {"PATCH", THINGS "/meta3?fieldManager=q", NULL, APPLY, NAMED("meta3", "\"annotations\":1e20"), 500, NULL,
         "failed to create typed patch object (/meta3; example.com/v1, Kind=Thing): .metadata.annotations: expected "
         "map, got &{1e+20}"},
        {"PUT", THINGS, NULL, JSON, "{}", 400, NULL, "name must be provided"},
    };
    check_all(state, cases, ELEMENTSOF(cases));
    expect_text(*state, &(Case){"GET", THINGS "/meta2", NULL, NULL, NULL, 200, NULL, NULL}, "\"generation\":1,", true);
    expect_text(
        *state, &(Case){"PUT", THINGS "/meta1", NULL, JSON, NAMED("meta1", "\"uid\":\"wrong\""), 409, NULL, NULL},
        "\"Operation cannot be fulfilled on things.example.com \\\"meta1\\\": StorageError: invalid object, Code: "
        "4, Key: /registry/example.com/things/meta1, ResourceVersion: 0, AdditionalErrorMsg: Precondition "
        "failed: UID in precondition: wrong, UID in object meta: ",
        true);
}

/* Their handler takes a POST to the path of one object for one to all: the name is the body's. */
static void test_named_posts(void **state) {
    static const char other[] =
        "{\"apiVersion\":\"example.com/v1\",\"kind\":\"Thing\",\"metadata\":{\"name\":\"other\"}}";
    const Case cases[] = {
        {"POST", THINGS "/named", NULL, JSON, other, 201, NULL, NULL},
        {"GET", THINGS "/other", NULL, NULL, NULL, 200, NULL, NULL},
        {"GET", THINGS "/named", NULL, NULL, NULL, 404, NULL, "things.example.com \"named\" not found"},
        {"POST", THINGS "/named", NULL, JSON, "{\"apiVersion\":\"example.com/v1\",\"kind\":\"Thing\"}", 422, NULL,
         "Thing.example.com \"\" is invalid: metadata.name: Required value: name or generateName is required"},
        {"POST", THINGS "/named", NULL, JSON, "", 400, NULL,
         "the object provided is unrecognized (must be of type Thing): couldn't get version/kind; json parse error: "
         "unexpected end of JSON input (<empty>)"},
        {"POST", THINGS "/named/status", NULL, JSON, other, 405, NULL,
         "create is not supported on resources of kind \"things.example.com\""},
        {"POST", THINGS "/named/none", NULL, JSON, other, 404, NULL, "things.example.com \"named\" not found"},
        {"GET", THINGS "/named/log", NULL, NULL, NULL, 404, NULL, "things.example.com \"named\" not found"},
        {"OPTIONS", THINGS "/named/proxy", NULL, NULL, NULL, 404, NULL, "things.example.com \"named\" not found"},
        {"OPTIONS", THINGS "/named", NULL, NULL, NULL, 405, NULL,
         " is not supported on resources of kind \"things.example.com\""},
    };
    check_all(state, cases, ELEMENTSOF(cases));
}

/* What is created or replaced says what it is, and no patch may take that away. */
static void test_kinds(void **state) {
#define UNRECOGNIZED "the object provided is unrecognized (must be of type Thing): "
#define UNREADABLE                                                                                                     \
    UNRECOGNIZED "couldn't get version/kind; json parse error: json: cannot unmarshal number into Go struct "
    static const char no_version[] =
        "the API version in the data () does not match the expected API version (example.com/v1)";
    static const char taken_away[] =
        "Internal error occurred: Object 'apiVersion' is missing in 'object has no apiVersion field'";
    const Case cases[] = {
        {"POST", THINGS, NULL, JSON, "null", 400, NULL, UNRECOGNIZED "Object 'Kind' is missing in 'null' (6e756c6c)"},
        {"POST", THINGS, NULL, JSON, "{\"apiVersion\":\"\",\"kind\":\"\",\"metadata\":{\"name\":\"p\"}}", 400, NULL,
         UNRECOGNIZED "Object 'Kind' is missing in '{\"apiVersion\":\"\",\"kind\":\"\",\"metadata\":{\"name\":\"p\"}}' "
                      "({\"apiVersion\":\"\",\"kind\":\"\",\"me ...)"},
        {"POST", THINGS, NULL, "application/yaml", "z: 1\na: 2.50\n", 400, NULL,
         UNRECOGNIZED "Object 'Kind' is missing in 'z: 1\na: 2.50\n' (7a3a20310a613a20322e35300a)"},
        {"POST", THINGS, NULL, JSON, "{\"kind\":\"Other\"}", 400, NULL, no_version},
        {"POST", THINGS, NULL, JSON, "{\"kind\":1}", 400, NULL, UNREADABLE "field .kind of type string ({\"kind\":1})"},
        {"POST", THINGS, NULL, JSON, "{\"apiVersion\":1}", 400, NULL,
         UNREADABLE "field .apiVersion of type string ({\"apiVersion\":1})"},
        {"POST", THINGS, NULL, JSON, "{\"apiVersion\":\"a/b/c\"}", 400, NULL,
         UNRECOGNIZED "unexpected GroupVersion string: a/b/c ({\"apiVersion\":\"a/b/c\"})"},
        {"POST", THINGS, NULL, JSON, THING "\"metadata\":{\"name\":\"kinds\"}}", 201, NULL, NULL},
        {"PUT", THINGS "/kinds", NULL, JSON, "{}", 400, NULL, UNRECOGNIZED "Object 'Kind' is missing in '{}' ({})"},
        {"PUT", THINGS "/kinds/status", NULL, JSON, "{\"kind\":\"Thing\"}", 400, NULL, no_version},
        {"PATCH", THINGS "/kinds", NULL, MERGE, "{\"apiVersion\":null}", 500, NULL, taken_away},
        {"PATCH", THINGS "/kinds/status", NULL, MERGE, "{\"apiVersion\":\"\"}", 500, NULL, taken_away},
        {"PATCH", THINGS "/kinds", NULL, MERGE, "{\"kind\":\"B\"}", 422, NULL,
         "B.example.com \"kinds\" is invalid: kind: Invalid value: \"B\": must be Thing"},
        {"PATCH", THINGS "/kinds", NULL, MERGE, "{\"apiVersion\":\"apps/v1\"}", 422, NULL,
         "Thing.apps \"kinds\" is invalid: apiVersion: Invalid value: \"apps/v1\": must be example.com/v1"},
        {"PATCH", THINGS "/kinds/status", NULL, MERGE, "{\"kind\":\"B\"}", 200, NULL, NULL},
    };
    check_all(state, cases, ELEMENTSOF(cases));
    expect_text(*state, &(Case){"PATCH", THINGS "/kinds", NULL, MERGE, "{\"kind\":null}", 422, NULL, NULL},
                ": Object 'Kind' is missing in "
                "'{\\\"apiVersion\\\":\\\"example.com/v1\\\",\\\"metadata\\\":{\\\"creationTimestamp\\\":",
                true);
    expect_text(*state, &(Case){"PATCH", THINGS "/kinds/status", NULL, MERGE, "{\"kind\":1}", 422, NULL, NULL},
                ": couldn't get version/kind; json parse error: json: cannot unmarshal number into Go struct field "
                ".kind of type string\"",
                true);
}

static void test_approval(void **state) {
    define(*state, "a.k8s.io", "unapproved, test");
    await(*state, DEFINITIONS "/things.a.k8s.io",
          "\"reason\":\"UnapprovedAnnotation\",\"message\":\"not approved: \\\"unapproved, test\\\"\"");
    define(*state, "b.k8s.io", "https://github.com/x/y/pull/1#z");
    await(*state, DEFINITIONS "/things.b.k8s.io",
          "\"reason\":\"ApprovedAnnotation\",\"message\":\"approved in https://github.com/x/y/pull/1#z\"");
}

static int set_up_things(void **state) {
    int r = set_up(state);
    define(*state, "example.com", "");
    await(*state, THINGS, "ThingList");
    return r;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_nulls),
        cmocka_unit_test(test_status),
        cmocka_unit_test(test_owners_of_any_value),
        cmocka_unit_test(test_approval),
        cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_reading_in_another_version),
        cmocka_unit_test(test_owner_by_scaling),
        cmocka_unit_test(test_scaling),
        cmocka_unit_test(test_owners_of_replicas),
        cmocka_unit_test(test_applied_scales),
        cmocka_unit_test(test_order_of_refusals),
        cmocka_unit_test(test_scaling_in_another_version),
        cmocka_unit_test(test_metadata),
        cmocka_unit_test(test_named_posts),
    };
    return cmocka_run_group_tests(tests, set_up_things, tear_down);
}
