/* Schemas of custom resources and objects against them: {"schema": JSONSchemaProps, "value": ..., "old": ...}. */
#include "api/codec.h"
#include "api/json.h"
#include "api/json_schema.h"
#include "api/structural.h"
#include "apiserver/registry/crd_schema_validate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_value(Arena *arena, const Value *schema, const Schema *table, Value *v, const Value *old) {
    JsonSchema *compiled = NULL;
    const char *pattern = NULL;
    FieldErrors errors = FIELD_ERRORS_INIT(arena);
    int r = json_schema_new(schema, &compiled, &pattern);
    if ((r < 0) != (pattern != NULL))
        abort();
    if (r == 0) {
        json_schema_validate(compiled, NULL, NULL, v, NULL, &errors);
        json_schema_validate(compiled, NULL, NULL, v, old, &errors);
        json_schema_validate(compiled, "spec", NULL, value_get(v, "spec"), NULL, &errors);
        (void)json_schema_has_rules(compiled);
    }
    json_schema_free(compiled);
    if (!value_is(v, VALUE_OBJECT))
        return;
    structural_drop_nulls(schema, v);
    UnknownFields unknown = {0};
    _cleanup_api_error_ ApiError err = {0};
    if (schema_normalize(arena, table, v, &unknown, &err) < 0)
        return;
    schema_default(arena, table, v);
    _cleanup_buf_ Buf once = BUF_INIT(64 << 20), twice = BUF_INIT(64 << 20);
    value_write_json(&once, v);
    schema_default(arena, table, v);
    value_write_json(&twice, v);
    if (once.len != twice.len || memcmp(once.data, twice.data, once.len) != 0)
        abort(); /* defaults are there after the first time */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    _cleanup_arena_ Arena *arena = arena_new(256 << 20);
    Value *v;
    if (size > 65536 || json_parse(arena, (const char *)data, size, &v, NULL, NULL) < 0 || !value_is(v, VALUE_OBJECT))
        return 0;
    Value *schema = value_get(v, "schema"), *value = value_get(v, "value");
    const Schema *props = schema_by_name("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps");
    _cleanup_api_error_ ApiError err = {0};
    if (!value_is(schema, VALUE_OBJECT) || schema_normalize(arena, props, schema, NULL, &err) < 0)
        return 0;
    Value *validation = value_object(arena);
    value_set(arena, validation, "openAPIV3Schema", schema);
    FieldErrors errors = FIELD_ERRORS_INIT(arena);
    FieldPath path = FIELD(NULL, "validation");
    crd_schema_validate(validation, true, &errors, &path);
    crd_schema_formats(arena, schema, value_array(arena));
    const char *text = NULL, *why = NULL;
    (void)crd_schema_field(arena, schema, ".spec['a'].b", true, &text, &why);
    if (errors.n == 0 && value) /* other schemas are never stored */
        check_value(arena, schema, structural_schema(arena, schema), value, value_get(v, "old"));
    return 0;
}
