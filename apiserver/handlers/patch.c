#include "apiserver/handlers/verbs.h"
#include "api/gen/schemas.h"
#include "apiserver/registry/convert.h"
#include "base/str.h"

#include <errno.h>

static int bad_merge_patch(const Value *patch, ApiError *err) {
    if (!patch || patch->type == VALUE_NULL)
        return api_error_bad_request(err, "Invalid JSON Patch");
    return api_error_bad_request(
        err, "error decoding patch: json: cannot unmarshal %s into Go value of type map[string]interface {}",
        value_json_kind(patch));
}

/* Looking at fields means decoding the operations first, into a type of the handler's. */
static int check_operations(const ApiRequest *request, ApiError *err) {
    const Value *operation, *patch = request->body;
    if (field_validation_of(request->options.field_validation) == FIELD_VALIDATION_IGNORE || !patch ||
        patch->type == VALUE_NULL)
        return 0;
    const Value *wrong = patch->type == VALUE_ARRAY ? NULL : patch;
    const char *type = wrong ? "[]handlers.jsonPatchOp" : "handlers.jsonPatchOp";
    VALUE_FOREACH (operation, patch)
        if (!wrong && operation->type != VALUE_OBJECT && operation->type != VALUE_NULL)
            wrong = operation;
    if (!wrong)
        return 0;
    return api_error_bad_request(err, "error decoding patch: json: cannot unmarshal %s into Go value of type %s",
                                 value_json_kind(wrong), type);
}

static int apply_strategic(Arena *arena, const Schema *schema, const Value *original, const Value *body,
                           PatchedBody *ret, ApiError *err) {
    Value *patch = body ? value_copy(arena, body) : NULL;
    int r = strategic_merge_consume(arena, schema, original, patch, &ret->body, err);
    if (r == 0)
        ret->strategic_patch = value_copy(arena, patch);
    return r;
}

int patch_apply(const ApiRequest *request, const Schema *schema, const Value *original, PatchedBody *ret,
                ApiError *err) {
    Arena *arena = request->arena;
    int r;
    *ret = (PatchedBody){0};
    switch (request->options.patch_type) {
    case PATCH_JSON:
        ret->json_patch = request->body;
        r = check_operations(request, err);
        return r < 0 ? r : json_patch_apply(arena, original, request->body, &ret->body, err);
    case PATCH_MERGE:
        if (!value_is(request->body, VALUE_OBJECT))
            return bad_merge_patch(request->body, err);
        return merge_patch_apply(arena, original, request->body, &ret->body);
    case PATCH_STRATEGIC:
        return apply_strategic(arena, schema, original, request->body, ret, err);
    case PATCH_APPLY:
        break;
    }
    return api_error_set(err, 415, "UnsupportedMediaType", "this subresource does not support server-side apply");
}

typedef struct Patch {
    RegistryCall *call;
    const ApiInput *input;
} Patch;

static int patch_transform(void *userdata, const Value *old, Value **ret, ApiError *err) {
    Patch *patch = userdata;
    RegistryCall *call = patch->call;
    const ApiRequest *request = call->request;
    const Resource *resource = request->resource;
    Arena *arena = call->context.arena;
    if (!old) /* the kind may be made by PUT, but a patch needs something to change */
        return registry_store_error(call, request->name, -ENOENT, err);
    PatchedBody patched;
    Value *versioned = convert_object(arena, call->resource, resource, value_copy(arena, old));
    int r = patch_apply(request, resource->schema, versioned, &patched, err);
    if (r < 0)
        return r;
    DecodeInput decode = {
        .body = patched.body,
        .duplicates = patch->input->duplicates,
        .resource = resource,
        .schema = resource->schema,
        .group = resource->group,
        .version = resource->version,
        .kind = resource->kind,
        .patched_from = versioned,
        .strategic_patch = patched.strategic_patch,
        .json_patch = patched.json_patch,
    };
    Value *object;
    r = registry_decode(call, &decode, &object, err);
    r = r < 0 ? r : check_name(request, object, err);
    if (r == 0)
        *ret = subresource_mask(arena, request->subresource, old, object);
    return r;
}

int applied_check(const char *api_version, const char *kind, const Value *applied, ApiError *err) {
    if (!value_is(applied, VALUE_OBJECT))
        return api_error_bad_request(err, "error decoding YAML: the configuration is not an object");
    const char *have = str_or(value_get_str(applied, "kind"), ""),
               *version = str_or(value_get_str(applied, "apiVersion"), "");
    if (!streq(have, kind) || !streq(version, api_version))
        return api_error_bad_request(err, "invalid object type: %s%s, Kind=%s", strchr(version, '/') ? "" : "/",
                                     version, have);
    return 0;
}

int applied_check_duplicates(RegistryCall *call, const DuplicateFields *duplicates, ApiError *err) {
    FieldValidation how = field_validation_of(call->request->options.field_validation);
    if (duplicates && duplicates->n && how == FIELD_VALIDATION_STRICT)
        return api_error_bad_request(err, "error strict decoding YAML: error converting YAML to JSON: %s",
                                     duplicates->yaml_message);
    for (size_t i = 0; duplicates && i < duplicates->n && how == FIELD_VALIDATION_WARN; i++)
        strategy_warn(&call->context, "%s", duplicates->messages[i]);
    return 0;
}

static bool is_meta(Arena *arena, const Value *meta) {
    return schema_normalize(arena, &schema_meta_v1_ObjectMeta, value_copy(arena, meta), NULL, NULL) == 0;
}

/* As the reference reads the metadata of custom resources: what is nothing for its member is as if it were not there.
 */
static void drop_malformed_meta(Arena *arena, Value *object) {
    Value *meta = value_get(object, "metadata");
    if (!value_is(meta, VALUE_OBJECT) || is_meta(arena, meta))
        return;
    for (size_t i = meta->len; i-- > 0;) {
        const char *name = meta->members[i].name;
        Value *alone = value_object(arena);
        value_set(arena, alone, name, meta->members[i].value);
        if (!is_meta(arena, alone))
            value_remove(meta, name);
    }
}

int applied_convert(Arena *arena, const Schema *schema, const char *api_version, const char *kind, const Value *applied,
                    Value *merged, ApiError *err) {
    ApiError inner = {0};
    if (schema_from_unstructured(arena, schema, merged, NULL, &inner) == 0)
        return 0;
    const char *what = arena_printf(arena, "%s%s, Kind=%s", strchr(api_version, '/') ? "" : "/", api_version, kind);
    int r = api_error_set(
        err, 500, "",
        "failed to convert new object (%s/%s; %s) to proper version: unable to convert unstructured object to %s: %s",
        str_or(meta_get(applied, "namespace"), ""), str_or(meta_get(applied, "name"), ""), what, what, inner.message);
    api_error_done(&inner);
    return r;
}

static int normalize_applied(RegistryCall *call, const Resource *resource, const Value *applied, Value *merged,
                             ApiError *err) {
    Arena *arena = call->context.arena;
    if (!resource->custom)
        return applied_convert(arena, resource->schema, resource_api_version(arena, resource), resource->kind, applied,
                               merged, err);
    drop_malformed_meta(arena, merged);
    return schema_normalize(arena, resource->schema, merged, NULL, err);
}

static int apply_transform(void *userdata, const Value *old, Value **ret, ApiError *err) {
    Patch *patch = userdata;
    RegistryCall *call = patch->call;
    const ApiRequest *request = call->request;
    Arena *arena = call->context.arena;
    ManagedInput input;
    bool changed;
    Value *applied = value_copy(arena, request->body), *merged;
    int r = applied_check(resource_api_version(arena, request->resource), request->resource->kind, applied, err);
    if (r < 0)
        return r;
    registry_managed_input(call, &input);
    const Resource *at = registry_managed_row(call);
    const Value *live = old;
    applied = convert_object(arena, request->resource, at, applied);
    if (old && at != call->resource)
        live = convert_object(arena, call->resource, at, value_copy(arena, old));
    r = managed_apply(arena, &input, live, applied, &merged, &changed, err);
    bool unchanged = r == 0 && live && !changed;
    r = r < 0 || unchanged ? r : normalize_applied(call, at, applied, merged, err);
    r = r < 0 ? r : applied_check_duplicates(call, patch->input->duplicates, err);
    r = r < 0 ? r : check_name(request, merged, err);
    if (r < 0)
        return r;
    if (unchanged) { /* no defaults either, which the stored version may not have */
        Value *meta = meta_ensure(arena, *ret = value_copy(arena, old));
        const Value *fields = value_path(merged, "metadata", "managedFields", NULL);
        value_remove(meta, "managedFields");
        if (fields)
            value_set(arena, meta, "managedFields", value_copy(arena, fields));
        return 0;
    }
    registry_set_defaults(arena, at, merged);
    merged = convert_object(arena, at, call->resource, merged);
    *ret = subresource_mask(arena, request->subresource, old, merged);
    return 0;
}

int verb_patch(ApiCore *core, const ApiRequest *request, const ApiInput *input, ApiResponse *ret, ApiError *err) {
    RegistryCall call;
    RegistryResult result = {0};
    registry_call_init(&call, api_core_registry(core), request);
    Patch patch = {.call = &call, .input = input};
    RegistryUpdate update = {.transform = patch_transform, .userdata = &patch};
    if (request->options.patch_type == PATCH_APPLY) {
        update.transform = apply_transform;
        update.apply = true;
        update.create_absent = str_empty(request->subresource);
    }
    int r = registry_update(&call, &update, &result, err);
    ret->object = result.object;
    if (result.created)
        ret->code = 201;
    response_take_warnings(ret, &call);
    return r;
}
