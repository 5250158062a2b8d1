/* The tables: every row is found by its names, everything it points to is whole. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/gen/schemas.h"
#include "api/resource.h"
#include "base/str.h"

static void rows_are_found_by_plural_and_kind(void **state) {
    (void)state;
    size_t n = 0;
    for (const Resource *r; (r = resource_builtin(n)); n++) {
        assert_ptr_equal(resource_find(r->group, r->version, r->plural), r);
        assert_ptr_equal(resource_find_kind(r->group, r->version, r->kind), r);
        assert_non_null(r->schema);
        assert_ptr_equal(r->storage->storage, r->storage);
        assert_string_equal(r->storage_prefix, r->storage->storage_prefix);
        for (size_t i = 0; i < r->n_subresources; i++) {
            assert_ptr_equal(resource_subresource(r, r->subresources[i].name), &r->subresources[i]);
            assert_true(r->subresources[i].schema || str_has_suffix(r->subresources[i].kind, "ProxyOptions"));
        }
    }
    assert_int_equal(n, 68);
    assert_null(resource_find("", "v1", "nothing"));
    assert_null(resource_find("apps", "v1", "pods"));
    assert_null(resource_find_kind("apps", "v2", "Deployment"));
    assert_null(resource_subresource(resource_find("", "v1", "pods"), "nothing"));
}

static void facts_are_those_of_the_reference(void **state) {
    (void)state;
    const Resource *pods = resource_find("", "v1", "pods"), *deployments = resource_find("apps", "v1", "deployments");
    const Resource *scaler = resource_find("autoscaling", "v1", "horizontalpodautoscalers");
    const Resource *events = resource_find("events.k8s.io", "v1", "events");
    assert_true(pods->namespaced && pods->verbs == VERBS_ALL);
    assert_string_equal(pods->short_names[0], "po");
    assert_string_equal(pods->storage_version_hash, "xPOwRZ+Yhw8=");
    assert_true(str_in("spec.nodeName", pods->selectable_fields));
    assert_string_equal(resource_find("", "v1", "nodes")->storage_prefix, "minions");
    assert_string_equal(resource_find("apiregistration.k8s.io", "v1", "apiservices")->storage_prefix,
                        "apiregistration.k8s.io/apiservices");
    assert_ptr_equal(events->storage, resource_find("", "v1", "events"));
    assert_ptr_equal(scaler->storage, resource_find("autoscaling", "v2", "horizontalpodautoscalers"));
    const Subresource *scale = resource_subresource(deployments, "scale");
    assert_string_equal(scale->group, "autoscaling");
    assert_ptr_equal(scale->schema, schema_by_name("io.k8s.api.autoscaling.v1.Scale"));
    assert_int_equal(scale->verbs, VERB_GET | VERB_UPDATE | VERB_PATCH);
    _cleanup_arena_ Arena *arena = arena_new(0);
    assert_string_equal(resource_api_version(arena, pods), "v1");
    assert_string_equal(resource_api_version(arena, deployments), "apps/v1");
    /* The order of discovery: core, then the groups by priority. */
    assert_string_equal(resource_builtin(0)->plural, "bindings");
    assert_null(resource_builtin(100000));
}

static void every_schema_is_whole(void **state) {
    (void)state;
    for (size_t i = 0; i < schema_names_count; i++) {
        const Schema *schema = schema_names[i].schema;
        assert_ptr_equal(schema_by_name(schema_names[i].name), schema);
        assert_string_equal(schema->name, schema_names[i].name);
        for (size_t k = 0; k < schema->n_fields; k++) {
            const SchemaField *field = &schema->fields[k];
            assert_ptr_equal(schema_field(schema, field->name, strlen(field->name)), field);
            assert_non_null(field->schema);
            assert_true(!(field->flags & FIELD_MERGE) || field->schema->type == SCHEMA_LIST);
        }
        for (size_t k = 0; k < schema->n_inlines; k++)
            assert_true(schema->inlines[k].first + schema->inlines[k].count <= schema->n_fields);
    }
    assert_null(schema_by_name("io.k8s.api.core.v1.Nothing"));
    const Schema *pod = schema_by_name("io.k8s.api.core.v1.Pod");
    assert_null(schema_field(pod, "Spec", 4));
    assert_null(schema_field(pod, "specs", 5));
    assert_null(schema_field(pod, "spe", 3));
    assert_non_null(schema_field(pod, "specs", 4));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_found_by_plural_and_kind),
        cmocka_unit_test(facts_are_those_of_the_reference),
        cmocka_unit_test(every_schema_is_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
