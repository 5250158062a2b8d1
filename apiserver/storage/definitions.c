#include "apiserver/storage/definitions.h"

#include "base/str.h"

bool definition_is_old(const char *api_version, const char *kind) {
    return streq(api_version, "apiextensions.k8s.io/v1beta1") && streq(kind, "CustomResourceDefinition");
}

/* v1beta1 writes a column's path as JSONPath. */
static void rename_paths(Arena *arena, Value *columns) {
    Value *column;
    VALUE_FOREACH (column, columns) {
        Value *path = value_get(column, "JSONPath");
        if (!path)
            continue;
        value_remove(column, "JSONPath");
        value_set(arena, column, "jsonPath", path);
    }
}

static void move_conversion(Arena *arena, Value *spec) {
    Value *conversion = value_get(spec, "conversion"), *client = value_get(conversion, "webhookClientConfig"),
          *versions = value_get(conversion, "conversionReviewVersions");
    if (!value_is(conversion, VALUE_OBJECT) || (!client && !versions))
        return;
    Value *webhook = value_ensure_object(arena, conversion, "webhook");
    if (client)
        value_set(arena, webhook, "clientConfig", client);
    if (versions)
        value_set(arena, webhook, "conversionReviewVersions", versions);
    value_remove(conversion, "webhookClientConfig");
    value_remove(conversion, "conversionReviewVersions");
}

Value *definition_from_old(Arena *arena, Value *v) {
    static const struct {
        const char *old, *new;
    } common[] = {{"subresources", "subresources"},
                  {"validation", "schema"},
                  {"additionalPrinterColumns", "additionalPrinterColumns"},
                  {"selectableFields", "selectableFields"}};
    Value *spec = value_get(v, "spec"), *versions, *version;
    value_set_str(arena, v, "apiVersion", "apiextensions.k8s.io/v1");
    if (!value_is(spec, VALUE_OBJECT))
        return v;
    versions = value_ensure_array(arena, spec, "versions");
    if (!value_len(versions) && value_get_str(spec, "version")) {
        Value *only = value_object(arena);
        value_set_str(arena, only, "name", value_get_str(spec, "version"));
        value_set_bool(arena, only, "served", true);
        value_set_bool(arena, only, "storage", true);
        value_append(arena, versions, only);
    }
    for (size_t i = 0; i < ELEMENTSOF(common); i++) {
        Value *once = value_get(spec, common[i].old);
        VALUE_FOREACH (version, versions)
            if (once && value_is(version, VALUE_OBJECT))
                value_set(arena, version, common[i].new, value_copy(arena, once));
        value_remove(spec, common[i].old);
    }
    value_remove(spec, "version");
    VALUE_FOREACH (version, versions)
        rename_paths(arena, value_get(version, "additionalPrinterColumns"));
    move_conversion(arena, spec);
    return v;
}
