#include "apiserver/registry/scale_view.h"
#include "api/selector.h"
#include "apiserver/registry/custom_resources.h"
#include "base/str.h"

static void copy_meta(Arena *arena, Value *scale, const Value *object) {
    static const char *const members[] = {"name", "namespace", "uid", "resourceVersion", "creationTimestamp"};
    const Value *from = value_get(object, "metadata");
    Value *meta = value_ensure_object(arena, scale, "metadata");
    for (size_t i = 0; i < ELEMENTSOF(members); i++)
        if (value_get(from, members[i]))
            value_set(arena, meta, members[i], value_copy(arena, value_get(from, members[i])));
}

static Value *selector_text(Arena *arena, const Value *object) {
    const Value *selector = value_path(object, "spec", "selector", NULL);
    _cleanup_(selector_freep) Selector *parsed = NULL;
    _cleanup_buf_ Buf text = BUF_INIT(64 * 1024);
    if (streq_null(value_get_str(object, "kind"), "ReplicationController"))
        parsed = label_selector_from_map(selector);
    else if (label_selector_from_value(selector, &parsed) < 0)
        return NULL;
    selector_write(&text, parsed);
    return text.len ? value_string_n(arena, text.data, text.len) : NULL;
}

/* The definition says where the numbers are. */
static int custom_scale(Arena *arena, const CustomVersion *version, const Value *object, Value *scale, ApiError *err) {
    Value *spec = value_ensure_object(arena, scale, "spec"), *status = value_ensure_object(arena, scale, "status");
    const Value *wanted = custom_resource_at(object, version->spec_replicas);
    const Value *have = custom_resource_at(object, version->status_replicas);
    const char *selector =
        version->label_selector ? value_str(custom_resource_at(object, version->label_selector)) : NULL;
    value_set_int(arena, status, "replicas", value_is(have, VALUE_INT) ? have->integer : 0);
    if (!str_empty(selector))
        value_set_str(arena, status, "selector", selector);
    if (!value_is(wanted, VALUE_INT)) {
        char *why = arena_printf(arena, "the spec replicas field \"%s\" does not exist", version->spec_replicas);
        return api_error_internal(err, why);
    }
    if (wanted->integer)
        value_set_int(arena, spec, "replicas", wanted->integer);
    return 0;
}

int scale_view(Arena *arena, const Resource *resource, const Value *object, Value **ret, ApiError *err) {
    Value *scale = value_object(arena);
    value_set_str(arena, scale, "kind", "Scale");
    value_set_str(arena, scale, "apiVersion", "autoscaling/v1");
    copy_meta(arena, scale, object);
    *ret = scale;
    if (resource->custom)
        return custom_scale(arena, custom_version(resource), object, scale, err);
    Value *spec = value_ensure_object(arena, scale, "spec"), *status = value_ensure_object(arena, scale, "status");
    int64_t replicas = value_get_int(value_get(object, "spec"), "replicas", 0);
    if (replicas)
        value_set_int(arena, spec, "replicas", replicas);
    value_set_int(arena, status, "replicas", value_get_int(value_get(object, "status"), "replicas", 0));
    value_set(arena, status, "selector", selector_text(arena, object));
    return 0;
}

static const char *replicas_path(const Resource *resource) {
    const char *path = resource->custom ? custom_version(resource)->spec_replicas : ".spec.replicas";
    return path + (*path == '.');
}

/* "spec.replicas": members on the way are made. */
static void set_at(Arena *arena, Value *object, const char *path, int64_t n) {
    size_t count = 0;
    char **names = str_split(arena, path, '.', &count);
    for (size_t i = 0; i + 1 < count; i++)
        object = value_ensure_object(arena, object, names[i]);
    if (count)
        value_set_int(arena, object, names[count - 1], n);
}

void scale_view_apply(Arena *arena, const Resource *resource, const Value *scale, Value *object) {
    set_at(arena, object, replicas_path(resource), value_get_int(value_get(scale, "spec"), "replicas", 0));
}
