#include "controllers/meta.h"

#include "base/clock.h"
#include "base/str.h"

Value *owner_ref_value(Arena *arena, const Object *owner) {
    const Resource *resource = object_resource(owner);
    Value *ref = value_object(arena);
    value_set_str(arena, ref, "apiVersion", resource_api_version(arena, resource));
    value_set_str(arena, ref, "kind", resource->kind);
    value_set_str(arena, ref, "name", object_name(owner));
    value_set_str(arena, ref, "uid", object_uid(owner));
    value_set_bool(arena, ref, "controller", true);
    value_set_bool(arena, ref, "blockOwnerDeletion", true);
    return ref;
}

Value *meta_condition(const Value *conditions, const char *type) {
    Value *condition;
    VALUE_FOREACH (condition, conditions) {
        const char *t = value_get_str(condition, "type");
        if (t && streq(t, type))
            return condition;
    }
    return NULL;
}

const char *condition_status(const Value *conditions, const char *type) {
    return str_or(value_get_str(meta_condition(conditions, type), "status"), "");
}

Value *condition_new(Arena *arena, const char *type, const char *status, const char *reason, const char *message) {
    Value *condition = value_object(arena);
    value_set_str(arena, condition, "type", type);
    value_set_str(arena, condition, "status", status);
    value_set(arena, condition, "lastTransitionTime", value_now(arena));
    if (!str_empty(reason))
        value_set_str(arena, condition, "reason", reason);
    if (!str_empty(message))
        value_set_str(arena, condition, "message", message);
    return condition;
}

void condition_remove(Value *conditions, const char *type) {
    for (size_t i = value_len(conditions); i-- > 0;) {
        const char *t = value_get_str(value_at(conditions, i), "type");
        if (t && streq(t, type))
            value_remove_at(conditions, i);
    }
}

int64_t value_get_time(const Value *object, const char *name) {
    const char *text = value_get_str(object, name);
    int64_t ns;
    return text && rfc3339_parse(text, &ns) >= 0 ? ns : 0;
}

Value *value_time(Arena *arena, int64_t unix_ns) {
    char text[RFC3339_MAX];
    return value_string(arena, rfc3339_format(unix_ns, text));
}

Value *value_now(Arena *arena) {
    return value_time(arena, now_realtime_ns());
}

const char *value_annotation(const Value *object, const char *key) {
    return value_get_str(value_path(object, "metadata", "annotations", NULL), key);
}

const char *value_label(const Value *object, const char *key) {
    return value_get_str(value_path(object, "metadata", "labels", NULL), key);
}

int64_t int_or_percent(const Value *v, int64_t total, bool round_up, int64_t otherwise) {
    if (value_is(v, VALUE_INT))
        return v->integer;
    const char *text = value_str(v);
    size_t n = text ? strlen(text) : 0;
    if (n < 2 || text[n - 1] != '%')
        return otherwise;
    _cleanup_free_ char *digits = xstrndup(text, n - 1);
    int64_t percent;
    if (str_to_int64(digits, &percent) < 0)
        return otherwise;
    int64_t scaled = percent * total, whole = scaled / 100, rest = scaled % 100;
    return rest == 0 ? whole : round_up ? whole + (rest > 0) : whole - (rest < 0);
}

bool has_finalizer(const Value *object, const char *name) {
    Value *finalizer;
    VALUE_FOREACH (finalizer, value_path(object, "metadata", "finalizers", NULL))
        if (value_str(finalizer) && streq(value_str(finalizer), name))
            return true;
    return false;
}

Value *patch_for_uid(Arena *arena, const char *uid, Value **ret_metadata) {
    Value *patch = value_object(arena), *metadata = value_ensure_object(arena, patch, "metadata");
    value_set_str(arena, metadata, "uid", uid);
    *ret_metadata = metadata;
    return patch;
}
