#include "apiserver/registry/scale_fields.h"
#include "api/codec.h"
#include "api/fieldset.h"
#include "apiserver/registry/custom_resources.h"
#include "base/str.h"

#define SUBRESOURCE "scale"

static bool is_apply(const Value *entry) {
    return streq_null(value_get_str(entry, "operation"), "Apply");
}

/* Where the replicas are in the objects of a version; "": nowhere. NULL: there is no such version. */
static const char *replicas_path(Arena *arena, const Resource *resource, const char *api_version) {
    if (resource->custom) {
        const Resource *at = custom_resource_at_version(resource, api_version);
        const char *path = at ? str_or(custom_version(at)->spec_replicas, "") : NULL;
        return path ? path + (*path == '.') : NULL;
    }
    const char *slash = strchr(api_version, '/'), *version = slash ? slash + 1 : api_version;
    const char *group = slash ? arena_strndup(arena, api_version, (size_t)(slash - api_version)) : "";
    return resource_find(group, version, resource->plural) ? "spec.replicas" : NULL;
}

static FieldSet *set_of(Arena *arena, const char *path) {
    return fieldset_from_paths(arena, (const char *const[]){path, NULL});
}

static Value *owner(Arena *arena, const ScaleWrite *write, const char *manager, const char *subresource) {
    const char *version = resource_api_version(arena, write->resource);
    const char *path = str_or(replicas_path(arena, write->resource, version), "");
    Value *entry = value_object(arena);
    value_set_str(arena, entry, "manager", manager);
    value_set_str(arena, entry, "operation", "Update");
    value_set_str(arena, entry, "apiVersion", version);
    value_set_str(arena, entry, "fieldsType", "FieldsV1");
    value_set(arena, entry, "fieldsV1", fieldset_to_value(arena, set_of(arena, path)));
    if (!str_empty(subresource))
        value_set_str(arena, entry, "subresource", subresource);
    return entry;
}

/* Its place in the list: appliers first, then by time; those of a scale have none. */
static int compare_entries(const void *pa, const void *pb) {
    static const char *const KEYS[] = {"operation", "time", "manager"};
    const Value *a = *(Value *const *)pa, *b = *(Value *const *)pb;
    int r = 0;
    for (size_t i = 0; r == 0 && i < ELEMENTSOF(KEYS); i++)
        r = strcmp(str_or(value_get_str(a, KEYS[i]), ""), str_or(value_get_str(b, KEYS[i]), ""));
    return r;
}

/* What becomes of one entry from before. Whether it had the replicas. */
static bool carry_entry(Arena *arena, const ScaleWrite *write, Value *entry, Value *out) {
    FieldSet *fields = NULL;
    const char *path = replicas_path(arena, write->resource, str_or(value_get_str(entry, "apiVersion"), ""));
    if (!path)
        return false;
    FieldSet *replicas = *path ? set_of(arena, path) : NULL;
    bool known = fieldset_from_value(arena, value_get(entry, "fieldsV1"), &fields) == 0;
    if (!known || fieldset_empty(fieldset_intersection(arena, fields, replicas))) {
        value_append(arena, out, entry);
        return false;
    }
    bool changed = write->was != write->now;
    if (!changed && is_apply(entry)) {
        value_append(arena, out, entry);
        return true;
    }
    FieldSet *rest = fieldset_difference(arena, fields, replicas);
    if (!changed) /* the entry that the Scale has is another than the object's, for it is of another version */
        value_append(
            arena, out,
            owner(arena, write, str_or(value_get_str(entry, "manager"), ""), value_get_str(entry, "subresource")));
    if (!fieldset_empty(rest)) {
        value_set(arena, entry, "fieldsV1", fieldset_to_value(arena, rest));
        value_append(arena, out, entry);
    }
    return true;
}

void scale_fields_track(Arena *arena, const ScaleWrite *write, Value *object) {
    Value *meta = value_get(object, "metadata"), *out = value_array(arena), *entry;
    const Value *entries = value_get(meta, "managedFields");
    bool owned = false;
    if (!value_len(entries))
        return;
    VALUE_FOREACH (entry, entries)
        owned |= carry_entry(arena, write, value_copy(arena, entry), out);
    if (owned && write->was != write->now && write->now)
        value_append(arena, out, owner(arena, write, write->manager, SUBRESOURCE));
    if (out->len)
        qsort(out->items, out->len, sizeof *out->items, compare_entries);
    value_set(arena, meta, "managedFields", out->len ? out : NULL);
}
