#include "apiserver/registry/scale_fields.h"
#include "api/codec.h"
#include "api/fieldset.h"
#include "apiserver/registry/custom_resources.h"
#include "base/str.h"

#define IN_SCALE "spec.replicas"

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

/* Whether the entry has the replicas at this path ("": it cannot). *ret_rest, when not NULL: what else it has. */
static bool has_replicas(Arena *arena, const Value *entry, const char *path, FieldSet **ret_rest) {
    FieldSet *fields = NULL, *replicas = *path ? set_of(arena, path) : NULL;
    if (fieldset_from_value(arena, value_get(entry, "fieldsV1"), &fields) < 0 ||
        fieldset_empty(fieldset_intersection(arena, fields, replicas)))
        return false;
    if (ret_rest)
        *ret_rest = fieldset_difference(arena, fields, replicas);
    return true;
}

/* Who wrote what an entry says, as of another version and with the replicas at this path. */
static Value *same_owner(Arena *arena, const Value *entry, const char *api_version, const char *path) {
    static const char *const MEMBERS[] = {"manager", "operation", "subresource"};
    Value *out = value_object(arena);
    for (size_t i = 0; i < ELEMENTSOF(MEMBERS); i++)
        if (value_get(entry, MEMBERS[i]))
            value_set_str(arena, out, MEMBERS[i], value_get_str(entry, MEMBERS[i]));
    value_set_str(arena, out, "apiVersion", api_version);
    value_set_str(arena, out, "fieldsType", "FieldsV1");
    value_set(arena, out, "fieldsV1", fieldset_to_value(arena, set_of(arena, path)));
    return out;
}

static bool same_member(const Value *a, const Value *b, const char *name) {
    return streq(str_or(value_get_str(a, name), ""), str_or(value_get_str(b, name), ""));
}

/* Of entries of one owner the last counts: a Scale that changed nothing leaves two (scale_fields_put). */
static bool is_overridden(const Value *entries, size_t i) {
    const Value *a = entries->items[i];
    for (size_t j = i + 1; j < entries->len; j++) {
        const Value *b = entries->items[j];
        if (same_member(a, b, "manager") && same_member(a, b, "operation") && same_member(a, b, "subresource") &&
            (is_apply(a) || same_member(a, b, "apiVersion")))
            return true;
    }
    return false;
}

Value *scale_fields_of(Arena *arena, const Resource *resource, const Value *object) {
    const Value *entries = value_path(object, "metadata", "managedFields", NULL), *entry;
    Value *out = value_array(arena);
    VALUE_FOREACH (entry, entries) {
        const char *path = replicas_path(arena, resource, str_or(value_get_str(entry, "apiVersion"), ""));
        if (!path || is_overridden(entries, _i_entry) || !has_replicas(arena, entry, path, NULL))
            continue;
        Value *copy = same_owner(arena, entry, SCALE_API_VERSION, IN_SCALE);
        if (value_get(entry, "time"))
            value_set_str(arena, copy, "time", value_get_str(entry, "time"));
        value_append(arena, out, copy);
    }
    return out->len ? out : NULL;
}

/* The Scale's entry of the same owner. Only appliers are the same: others differ by the version of what they wrote. */
static const Value *find_applier(const Value *entries, const Value *entry) {
    const Value *item;
    VALUE_FOREACH (item, entries)
        if (is_apply(item) && is_apply(entry) && same_member(item, entry, "manager") &&
            same_member(item, entry, "subresource"))
            return item;
    return NULL;
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

/* What is left of an entry from before, if anything; *ret_same: the Scale's entry that it keeps the replicas for. */
static Value *carry_entry(Arena *arena, const Resource *resource, const Value *entries, Value *entry,
                          const Value **ret_same) {
    FieldSet *rest = NULL;
    const char *path = replicas_path(arena, resource, str_or(value_get_str(entry, "apiVersion"), ""));
    if (!path)
        return NULL;
    if (!has_replicas(arena, entry, path, &rest) || (*ret_same = find_applier(entries, entry)))
        return entry;
    if (fieldset_empty(rest))
        return NULL;
    value_set(arena, entry, "fieldsV1", fieldset_to_value(arena, rest));
    return entry;
}

void scale_fields_put(Arena *arena, const Resource *resource, const Value *entries, Value *object) {
    const char *version = resource_api_version(arena, resource);
    const char *path = str_or(replicas_path(arena, resource, version), "");
    Value *meta = value_get(object, "metadata"), *out = value_array(arena), *used = value_array(arena), *entry;
    const Value *before = value_get(meta, "managedFields");
    VALUE_FOREACH (entry, before) {
        const Value *same = NULL;
        if (is_overridden(before, _i_entry))
            continue;
        Value *left = carry_entry(arena, resource, entries, value_copy(arena, entry), &same);
        if (left)
            value_append(arena, out, left);
        if (same)
            value_append(arena, used, value_copy(arena, same));
    }
    VALUE_FOREACH (entry, entries)
        if (has_replicas(arena, entry, IN_SCALE, NULL) && !(is_apply(entry) && find_applier(used, entry)))
            value_append(arena, out, same_owner(arena, entry, version, path));
    if (out->len)
        qsort(out->items, out->len, sizeof *out->items, compare_entries);
    if (before || out->len)
        value_set(arena, meta, "managedFields", out->len ? out : NULL);
}
