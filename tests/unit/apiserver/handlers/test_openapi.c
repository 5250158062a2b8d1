/* What generated clients and kubectl read in the OpenAPI documents of the built-in resources. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#include "api/json.h"
#include "apiserver/handlers/openapi_schema.h"
#include "apiserver/handlers/openapi_texts.h"
#include "apiserver/registry/custom_resources.h"
#include "base/fs.h"
#include "base/str.h"
#include "base/strmap.h"

#define DOCUMENT_MAX (16 << 20)
#define CORE "io.k8s.api.core.v1."
#define META "io.k8s.apimachinery.pkg.apis.meta.v1."
#define PODS "/api/v1/namespaces/{namespace}/pods"

static Value *parsed(Arena *arena, const Buf *json) {
    Value *document = NULL;
    assert_int_equal(json_parse(arena, json->data, json->len, &document, NULL, NULL), 0);
    return document;
}

static Value *v2(Arena *arena) {
    _cleanup_buf_ Buf out = BUF_INIT(DOCUMENT_MAX);
    openapi_write_v2(&out, NULL);
    return parsed(arena, &out);
}

static Value *v3(Arena *arena, const char *path, const char *group, const char *version) {
    _cleanup_buf_ Buf out = BUF_INIT(DOCUMENT_MAX);
    const Resource *like = NULL;
    for (size_t i = 0; version && resource_builtin(i) && !like; i++)
        if (streq(resource_builtin(i)->group, group) && streq(resource_builtin(i)->version, version))
            like = resource_builtin(i);
    openapi_write_v3(&out, path, like, NULL);
    return parsed(arena, &out);
}

static const Value *at(const Value *v, const char *const *path) {
    for (size_t i = 0; path[i]; i++) {
        const Value *next = value_get(v, path[i]);
        if (!next)
            fail_msg("no member %s", path[i]);
        v = next;
    }
    return v;
}
#define AT(v, ...) at(v, (const char *const[]){__VA_ARGS__, NULL})

static const Value *property(const Value *schemas, const char *type, const char *field) {
    return AT(schemas, type, "properties", field);
}

static void every_type_and_field_is_described(void **state) {
    (void)state;
    _cleanup_arena_ Arena *arena = arena_new(0);
    const Value *definitions = value_get(v2(arena), "definitions");
    assert_true(value_len(definitions) > 500);
    VALUE_FOREACH_MEMBER (definition, definitions) {
        if (!value_get_str(definition->value, "description"))
            fail_msg("%s is not described", definition->name);
        VALUE_FOREACH_MEMBER (field, value_get(definition->value, "properties"))
            if (!value_get_str(field->value, "description"))
                fail_msg("%s.%s is not described", definition->name, field->name);
    }
}

static void an_embedded_field_has_the_text_of_the_embedded_type(void **state) {
    (void)state;
    _cleanup_arena_ Arena *arena = arena_new(0);
    const Value *definitions = value_get(v2(arena), "definitions");
    assert_string_equal(
        value_get_str(property(definitions, CORE "EphemeralContainer", "image"), "description"),
        schema_description(schema_field(schema_by_name(CORE "EphemeralContainerCommon"), "image", 5)->description));
    assert_string_equal(value_get_str(property(definitions, CORE "Pod", "kind"), "description"),
                        value_get_str(property(definitions, CORE "PodList", "kind"), "description"));
    assert_string_not_equal(value_get_str(property(definitions, CORE "Pod", "kind"), "description"),
                            value_get_str(property(definitions, CORE "ObjectReference", "kind"), "description"));
}

static void check_references(const Value *document, const Value *v) {
    const Value *item;
    VALUE_FOREACH (item, v)
        check_references(document, item);
    VALUE_FOREACH_MEMBER (member, v) {
        const char *ref = streq(member->name, "$ref") ? value_str(member->value) : NULL;
        check_references(document, member->value);
        if (!ref)
            continue;
        const char *name = strrchr(ref, '/') + 1;
        const Value *of = str_has_prefix(ref, "#/definitions/")  ? value_get(document, "definitions")
                          : str_has_prefix(ref, "#/parameters/") ? value_get(document, "parameters")
                                                                 : AT(document, "components", "schemas");
        if (!value_get(of, name))
            fail_msg("%s is nowhere", ref);
    }
}

static void references_lead_somewhere(void **state) {
    (void)state;
    _cleanup_arena_ Arena *arena = arena_new(0);
    static const char *const parts[] = {"api", "apis", "apis/apps", "version", "openid/v1/jwks"};
    const Value *documents[] = {v2(arena), v3(arena, "api/v1", "", "v1"), v3(arena, "apis/apps/v1", "apps", "v1")};
    for (size_t i = 0; i < ELEMENTSOF(documents); i++)
        check_references(documents[i], documents[i]);
    for (size_t i = 0; i < ELEMENTSOF(parts); i++) {
        const Value *document = v3(arena, parts[i], NULL, NULL);
        assert_int_equal(value_len(value_get(document, "paths")), 1);
        check_references(document, document);
    }
}

static void operation_ids_are_unique(void **state) {
    (void)state;
    _cleanup_arena_ Arena *arena = arena_new(0);
    const Value *paths = value_get(v2(arena), "paths");
    StrMap *seen = strmap_new(NULL);
    size_t n = 0;
    VALUE_FOREACH_MEMBER (path, paths)
        VALUE_FOREACH_MEMBER (method, path->value) {
            if (streq(method->name, "parameters"))
                continue;
            const char *id = value_get_str(method->value, "operationId");
            assert_non_null(id);
            if (!strmap_put(seen, id, (void *)id))
                fail_msg("%s twice", id);
            n++;
        }
    assert_true(n > 700);
    strmap_free(seen);
}

static const char *id_of(const Value *document, const char *path, const char *method) {
    return value_get_str(AT(document, "paths", path, method), "operationId");
}

static void operations_are_named_as_clients_know_them(void **state) {
    (void)state;
    _cleanup_arena_ Arena *arena = arena_new(0);
    const Value *d = v2(arena);
    static const char *const ids[][3] = {
        {PODS, "get", "listCoreV1NamespacedPod"},
        {PODS, "delete", "deleteCoreV1CollectionNamespacedPod"},
        {"/api/v1/pods", "get", "listCoreV1PodForAllNamespaces"},
        {"/api/v1/watch/pods", "get", "watchCoreV1PodListForAllNamespaces"},
        {PODS "/{name}/exec", "post", "connectCoreV1PostNamespacedPodExec"},
        {"/api/v1/nodes/{name}/proxy/{path}", "head", "connectCoreV1HeadNodeProxyWithPath"},
        {"/apis/flowcontrol.apiserver.k8s.io/v1/flowschemas/{name}/status", "patch",
         "patchFlowcontrolApiserverV1FlowSchemaStatus"},
        {"/apis/rbac.authorization.k8s.io/", "get", "getRbacAuthorizationAPIGroup"},
        {"/version/", "get", "getCodeVersion"}};
    for (size_t i = 0; i < ELEMENTSOF(ids); i++)
        assert_string_equal(id_of(d, ids[i][0], ids[i][1]), ids[i][2]);
}

static const Value *parameter(const Value *document, const Value *list, const char *name) {
    const Value *item;
    VALUE_FOREACH (item, list) {
        const char *ref = value_get_str(item, "$ref");
        const Value *p = ref ? value_get(value_get(document, "parameters"), ref + strlen("#/parameters/")) : item;
        if (streq_null(value_get_str(p, "name"), name))
            return p;
    }
    return NULL;
}

/* What all methods of a path take stands at the path, also when there is one method. */
static void parameters_stand_where_they_are_common(void **state) {
    (void)state;
    _cleanup_arena_ Arena *arena = arena_new(0);
    const Value *d = v2(arena), *pods = AT(d, "paths", PODS), *log = AT(d, "paths", PODS "/{name}/log");
    assert_null(parameter(d, value_get(pods, "parameters"), "limit"));
    assert_string_equal(value_get_str(parameter(d, AT(pods, "get", "parameters"), "limit"), "type"), "integer");
    assert_null(parameter(d, AT(pods, "delete", "parameters"), "watch"));
    assert_non_null(parameter(d, AT(pods, "delete", "parameters"), "propagationPolicy"));
    assert_string_equal(value_get_str(parameter(d, value_get(pods, "parameters"), "namespace"), "in"), "path");
    assert_null(value_get(value_get(log, "get"), "parameters"));
    assert_string_equal(value_get_str(parameter(d, value_get(log, "parameters"), "tailLines"), "type"), "integer");
    assert_string_equal(
        value_get_str(parameter(d, AT(d, "paths", PODS "/{name}/exec", "parameters"), "command"), "type"), "string");
}

static const char *result_of(const Value *document, const char *path, const char *method) {
    return value_get_str(AT(document, "paths", path, method, "responses", "200", "schema"), "$ref");
}

static void a_deletion_gives_what_the_resource_gives(void **state) {
    (void)state;
    _cleanup_arena_ Arena *arena = arena_new(0);
    const Value *d = v2(arena);
    assert_string_equal(result_of(d, PODS "/{name}", "delete"), "#/definitions/" CORE "Pod");
    assert_string_equal(result_of(d, "/api/v1/namespaces/{namespace}/configmaps/{name}", "delete"),
                        "#/definitions/" META "Status");
    assert_string_equal(result_of(d, "/api/v1/namespaces/{name}", "delete"), "#/definitions/" META "Status");
    assert_string_equal(result_of(d, "/api/v1/namespaces/{namespace}/podtemplates/{name}", "delete"),
                        "#/definitions/" CORE "PodTemplate");
    assert_string_equal(result_of(d, PODS, "get"), "#/definitions/" CORE "PodList");
}

static void defaults_are_of_v3_and_enumerations_of_both(void **state) {
    (void)state;
    _cleanup_arena_ Arena *arena = arena_new(0);
    const Value *old = property(value_get(v2(arena), "definitions"), CORE "ContainerPort", "protocol");
    const Value *schemas = AT(v3(arena, "api/v1", "", "v1"), "components", "schemas");
    const Value *new = property(schemas, CORE "ContainerPort", "protocol");
    assert_int_equal(value_len(value_get(old, "enum")), 3);
    assert_null(value_get(old, "default"));
    assert_int_equal(value_len(value_get(new, "enum")), 3);
    assert_string_equal(value_get_str(new, "default"), "TCP");
    assert_int_equal(AT(property(schemas, CORE "ContainerPort", "containerPort"), "default")->type, VALUE_INT);
    assert_null(value_get(property(schemas, CORE "ContainerPort", "hostPort"), "default"));
    assert_string_equal(value_get_str(AT(property(schemas, CORE "Container", "args"), "items"), "default"), "");
    assert_int_equal(AT(property(schemas, CORE "Pod", "spec"), "default")->type, VALUE_OBJECT);
}

/* A kind that every group has is named in a v3 document for its own group and for none. */
static void a_document_names_the_kinds_of_its_group(void **state) {
    (void)state;
    _cleanup_arena_ Arena *arena = arena_new(0);
    const Value *schemas = AT(v3(arena, "apis/apps/v1", "apps", "v1"), "components", "schemas");
    const Value *kinds = AT(schemas, META "DeleteOptions", "x-kubernetes-group-version-kind");
    assert_int_equal(value_len(kinds), 2);
    assert_string_equal(value_get_str(kinds->items[1], "group"), "apps");
    kinds = AT(value_get(v2(arena), "definitions"), META "DeleteOptions", "x-kubernetes-group-version-kind");
    assert_true(value_len(kinds) > 20);
    kinds = AT(schemas, "io.k8s.api.autoscaling.v1.Scale", "x-kubernetes-group-version-kind");
    assert_int_equal(value_len(kinds), 1);
}

static const char definition[] = "{\"metadata\":{\"name\":\"ws.x.io\",\"uid\":\"u\"},\"spec\":{\"group\":\"x.io\","
                                 "\"scope\":\"Namespaced\",\"names\":{"
                                 "\"plural\":\"ws\",\"singular\":\"w\",\"kind\":\"W\",\"listKind\":\"WList\"},"
                                 "\"versions\":[{\"name\":\"v1\",\"served\":true,"
                                 "\"storage\":true,\"selectableFields\":[{\"jsonPath\":\".spec.a\"}],\"schema\":{"
                                 "\"openAPIV3Schema\":{\"type\":\"object\","
                                 "\"properties\":{\"spec\":{\"type\":\"object\",\"properties\":{\"a\":{\"type\":"
                                 "\"string\",\"default\":\"d\"},\"port\":{"
                                 "\"x-kubernetes-int-or-string\":true},\"inner\":{\"type\":\"object\",\"x-kubernetes-"
                                 "embedded-resource\":true}}}}}}}]},"
                                 "\"status\":{\"conditions\":[{\"type\":\"Established\",\"status\":\"True\"}]}}";

/* Marks of Kubernetes are said in OpenAPI's own words where it has them. */
static void a_custom_resource_is_as_its_definition_says(void **state) {
    (void)state;
    _cleanup_arena_ Arena *arena = arena_new(0);
    _cleanup_buf_ Buf old = BUF_INIT(DOCUMENT_MAX), new = BUF_INIT(DOCUMENT_MAX);
    CustomResources *set = custom_resources_new(NULL);
    Value *crd = NULL;
    assert_int_equal(json_parse(arena, definition, strlen(definition), &crd, NULL, NULL), 0);
    custom_resources_serve(set, (const Value *[]){crd}, 1, 1);
    const Resource **rows = custom_resources_all(set, arena);
    openapi_write_v2(&old, rows);
    openapi_write_v3(&new, "apis/x.io/v1", rows[0], rows);
    const Value *v2_document = parsed(arena, &old), *v3_document = parsed(arena, &new);
    check_references(v2_document, v2_document);
    check_references(v3_document, v3_document);
    const Value *kind = AT(v3_document, "components", "schemas", "io.x.v1.W"), *spec = AT(kind, "properties", "spec");
    assert_string_equal(value_get_str(AT(spec, "properties", "a"), "default"), "d");
    assert_int_equal(value_len(AT(spec, "properties", "port", "anyOf")), 2);
    assert_int_equal(value_len(AT(spec, "properties", "inner", "required")), 2);
    assert_string_equal(value_get_str(AT(kind, "x-kubernetes-selectable-fields")->items[0], "fieldPath"), "spec.a");
    spec = AT(v2_document, "definitions", "io.x.v1.W", "properties", "spec");
    assert_null(value_get(AT(spec, "properties", "a"), "default"));
    assert_null(value_get(AT(spec, "properties", "port"), "anyOf"));
    assert_non_null(AT(spec, "properties", "inner", "properties", "metadata", "$ref"));
    const char *path = "/apis/x.io/v1/namespaces/{namespace}/ws/{name}";
    assert_string_equal(id_of(v2_document, path, "get"), "readXIoV1NamespacedW");
    const Value *item, *patches = AT(v2_document, "paths", path, "patch", "consumes");
    VALUE_FOREACH (item, patches)
        assert_string_not_equal(value_str(item), "application/strategic-merge-patch+json");
    custom_resources_free(set);
}

/* What a document of another cluster says of types and members comes instead of our own; the rest keeps ours. */
static void others_may_find_the_words(void **state) {
    (void)state;
    static const char theirs[] =
        "{\"swagger\":\"2.0\",\"definitions\":{\"io.k8s.api.core.v1.Pod\":{\"description\":\"Ein \\\"Pod\\\".\","
        "\"properties\":{\"spec\":{\"description\":\"Was er soll.\"},\"gone\":{\"description\":\"?\"}}}}}";
    static const char *const wrong[] = {"{\"definitions\":{}}", "{", "[]"};
    char path[] = "/tmp/lighter-texts-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    _cleanup_arena_ Arena *arena = arena_new(0);
    OpenApiTexts *texts = NULL;
    for (size_t i = 0; i < ELEMENTSOF(wrong); i++) {
        _cleanup_free_ char *why = NULL;
        assert_int_equal(fs_write_atomic(path, wrong[i], strlen(wrong[i]), 0600), 0);
        assert_int_equal(openapi_texts_read(path, &texts, &why), -EINVAL);
        assert_non_null(strstr(why, path));
    }
    _cleanup_free_ char *why = NULL;
    assert_int_equal(fs_write_atomic(path, theirs, strlen(theirs), 0600), 0);
    assert_int_equal(openapi_texts_read(path, &texts, &why), 0);
    Value *d = (Value *)v2(arena);
    const Value *status = AT(d, "definitions", "io.k8s.api.core.v1.Pod", "properties", "status", "description");
    char *ours = arena_strdup(arena, value_str(status));
    openapi_texts_put(texts, arena, d);
    assert_string_equal(value_str(AT(d, "definitions", "io.k8s.api.core.v1.Pod", "description")), "Ein \"Pod\".");
    assert_string_equal(value_str(AT(d, "definitions", "io.k8s.api.core.v1.Pod", "properties", "spec", "description")),
                        "Was er soll.");
    assert_string_equal(
        value_str(AT(d, "definitions", "io.k8s.api.core.v1.Pod", "properties", "status", "description")), ours);
    assert_null(value_get(AT(d, "definitions", "io.k8s.api.core.v1.Pod", "properties"), "gone"));
    openapi_texts_free(texts);
    unlink(path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_and_field_is_described),
        cmocka_unit_test(an_embedded_field_has_the_text_of_the_embedded_type),
        cmocka_unit_test(references_lead_somewhere),
        cmocka_unit_test(operation_ids_are_unique),
        cmocka_unit_test(operations_are_named_as_clients_know_them),
        cmocka_unit_test(parameters_stand_where_they_are_common),
        cmocka_unit_test(a_deletion_gives_what_the_resource_gives),
        cmocka_unit_test(defaults_are_of_v3_and_enumerations_of_both),
        cmocka_unit_test(a_document_names_the_kinds_of_its_group),
        cmocka_unit_test(a_custom_resource_is_as_its_definition_says),
        cmocka_unit_test(others_may_find_the_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
