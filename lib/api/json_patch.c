/* RFC 6902 as evanphx/json-patch v4 applies it, with its messages. A failing operation is answered with 422 and the
 * generic message of the reference's NewGenericServerResponse; a patch that is none with 400. */
#include "api/codec.h"
#include "api/json.h"
#include "base/str.h"

#include <errno.h>

#define COPY_BYTES_MAX (3 * 1024 * 1024) /* AccumulatedCopySizeLimit: the server's request limit for JSON patches */

typedef struct Patcher {
    Arena *arena;
    Value *root;
    size_t copied;
    char *wrong;
} Patcher;

/* A place: the container and the last token of a pointer. */
typedef struct Place {
    Value *container;
    char *key;
    int depth; /* of what stands there */
} Place;

static int refuse(Patcher *patcher, char *message) {
    patcher->wrong = message;
    return -EINVAL;
}

char *json_pointer_token(Arena *arena, const char *s, size_t n) {
    char *out = arena_strndup(arena, s, n), *to = out;
    for (const char *p = out; *p; p++) {
        if (p[0] == '~' && (p[1] == '0' || p[1] == '1')) {
            *to++ = p[1] == '1' ? '/' : '~';
            p++;
        } else
            *to++ = *p;
    }
    *to = 0;
    return out;
}

/* An array index as strconv.Atoi and the library's bounds take it; `end` is one past the last that is allowed. */
static int array_index(Patcher *patcher, const char *key, size_t end, size_t *ret) {
    int64_t index;
    if (str_to_int64(*key == '+' ? key + 1 : key, &index) < 0)
        return refuse(patcher, arena_printf(patcher->arena, "strconv.Atoi: parsing %s: invalid syntax",
                                            go_quoted(patcher->arena, key)));
    int64_t given = index;
    if (index < 0)
        index += (int64_t)end;
    if (index < 0 || index >= (int64_t)end)
        return refuse(patcher,
                      arena_printf(patcher->arena, "Unable to access invalid index: %lld: invalid index referenced",
                                   (long long)given));
    *ret = (size_t)index;
    return 0;
}

static Value *child(Patcher *patcher, Value *container, const char *key) {
    if (value_is(container, VALUE_OBJECT))
        return value_get(container, key);
    size_t index;
    if (!value_is(container, VALUE_ARRAY) || array_index(patcher, key, container->len, &index) < 0)
        return NULL;
    return container->items[index];
}

/* Where `path` points; container NULL when it does not exist. */
static Place find_place(Patcher *patcher, const char *path) {
    Place place = {0};
    if (*path != '/')
        return place;
    Value *v = patcher->root;
    for (const char *p = path + 1;;) {
        place.depth++;
        size_t n = strcspn(p, "/");
        char *token = json_pointer_token(patcher->arena, p, n);
        if (!p[n]) {
            place.key = token;
            break;
        }
        v = child(patcher, v, token);
        if (!value_is(v, VALUE_OBJECT) && !value_is(v, VALUE_ARRAY))
            return place;
        p += n + 1;
    }
    place.container = v;
    return place;
}

static bool deeper_than(const Value *v, int depth) {
    if (!value_is(v, VALUE_ARRAY) && !value_is(v, VALUE_OBJECT))
        return false;
    if (depth == 0)
        return true;
    for (size_t i = 0; i < v->len; i++)
        if (deeper_than(v->type == VALUE_ARRAY ? v->items[i] : v->members[i].value, depth - 1))
            return true;
    return false;
}

/* Nothing may nest deeper than what can be read back. */
static int check_depth(Patcher *patcher, int depth, const Value *v) {
    if (depth <= JSON_DEPTH_MAX && !deeper_than(v, JSON_DEPTH_MAX - depth))
        return 0;
    return refuse(patcher, arena_strdup(patcher->arena, "exceeded max depth"));
}

static int place_add(Patcher *patcher, Place place, Value *v) {
    if (check_depth(patcher, place.depth, v) < 0)
        return -EINVAL;
    if (value_is(place.container, VALUE_OBJECT)) {
        value_set(patcher->arena, place.container, place.key, v);
        return 0;
    }
    if (streq(place.key, "-")) {
        value_append(patcher->arena, place.container, v);
        return 0;
    }
    size_t index;
    int r = array_index(patcher, place.key, (size_t)place.container->len + 1, &index);
    if (r < 0) {
        if (str_has_prefix(patcher->wrong, "strconv"))
            patcher->wrong =
                arena_printf(patcher->arena, "value was not a proper array index: '%s': %s", place.key, patcher->wrong);
        return r;
    }
    value_insert_at(patcher->arena, place.container, index, v);
    return 0;
}

static int place_remove(Patcher *patcher, Place place) {
    if (value_is(place.container, VALUE_OBJECT)) {
        if (value_remove(place.container, place.key))
            return 0;
        return refuse(patcher,
                      arena_printf(patcher->arena, "Unable to remove nonexistent key: %s: missing value", place.key));
    }
    size_t index;
    int r = array_index(patcher, place.key, place.container->len, &index);
    if (r == 0)
        value_remove_at(place.container, index);
    return r;
}

/* The value at a place; absent in an object is NULL without error. */
static int place_get(Patcher *patcher, Place place, Value **ret) {
    if (value_is(place.container, VALUE_OBJECT)) {
        *ret = value_get(place.container, place.key);
        return 0;
    }
    size_t index;
    int r = array_index(patcher, place.key, place.container->len, &index);
    if (r == 0)
        *ret = place.container->items[index];
    return r;
}

static int wrap(Patcher *patcher, const char *format, const char *what) {
    char *inner = patcher->wrong;
    return refuse(patcher, arena_printf(patcher->arena, "%s: %s", arena_printf(patcher->arena, format, what), inner));
}

static int missing(Patcher *patcher, const char *format, const char *path) {
    return refuse(patcher,
                  arena_printf(patcher->arena, "%s: missing value", arena_printf(patcher->arena, format, path)));
}

static Value *operand(Patcher *patcher, const Value *op) {
    const Value *v = value_get(op, "value");
    return v ? value_copy(patcher->arena, v) : value_null(patcher->arena);
}

static int op_add(Patcher *patcher, const Value *op, const char *path) {
    Place place = find_place(patcher, path);
    if (!place.container)
        return missing(patcher, "add operation does not apply: doc is missing path: \"%s\"", path);
    int r = place_add(patcher, place, operand(patcher, op));
    return r < 0 ? wrap(patcher, "error in add for path: '%s'", path) : 0;
}

static int op_remove(Patcher *patcher, const Value *op _unused_, const char *path) {
    Place place = find_place(patcher, path);
    if (!place.container)
        return missing(patcher, "remove operation does not apply: doc is missing path: \"%s\"", path);
    int r = place_remove(patcher, place);
    return r < 0 ? wrap(patcher, "error in remove for path: '%s'", path) : 0;
}

static int op_replace(Patcher *patcher, const Value *op, const char *path) {
    Value *v = operand(patcher, op), *old = NULL;
    if (!*path) {
        if (!value_is(v, VALUE_OBJECT) && !value_is(v, VALUE_ARRAY))
            return refuse(patcher,
                          arena_strdup(patcher->arena, "replace operation value must be object or array: %!w(<nil>)"));
        patcher->root = v;
        return 0;
    }
    Place place = find_place(patcher, path);
    if (!place.container)
        return missing(patcher, "replace operation does not apply: doc is missing path: %s", path);
    if (place_get(patcher, place, &old) < 0)
        return missing(patcher, "replace operation does not apply: doc is missing key: %s", path);
    if (check_depth(patcher, place.depth, v) < 0)
        return -EINVAL;
    if (value_is(place.container, VALUE_OBJECT)) {
        value_set(patcher->arena, place.container, place.key, v);
        return 0;
    }
    size_t index = 0;
    (void)array_index(patcher, place.key, place.container->len, &index);
    place.container->items[index] = v;
    return 0;
}

static int op_move(Patcher *patcher, const Value *op, const char *path) {
    const char *from = value_get_str(op, "from");
    if (!from)
        return refuse(
            patcher,
            arena_strdup(patcher->arena, "move operation failed to decode from: unable to unmarshal: missing value"));
    Place source = find_place(patcher, from);
    Value *v = NULL;
    if (!source.container)
        return missing(patcher, "move operation does not apply: doc is missing from path: %s", from);
    if (place_get(patcher, source, &v) < 0 || place_remove(patcher, source) < 0)
        return wrap(patcher, "error in move for path: '%s'", source.key);
    Place place = find_place(patcher, path);
    if (!place.container)
        return missing(patcher, "move operation does not apply: doc is missing destination path: %s", path);
    int r = place_add(patcher, place, v);
    return r < 0 ? wrap(patcher, "error in move for path: '%s'", path) : 0;
}

static int op_test(Patcher *patcher, const Value *op, const char *path) {
    const Value *want = value_get(op, "value");
    Value *got = patcher->root;
    if (*path) {
        Place place = find_place(patcher, path);
        if (!place.container)
            return missing(patcher, "test operation does not apply: is missing path: %s", path);
        if (place_get(patcher, place, &got) < 0)
            return wrap(patcher, "error in test for path: '%s'", path);
    }
    bool same = !got || got->type == VALUE_NULL ? !want || want->type == VALUE_NULL : value_equal(got, want);
    return same ? 0 : refuse(patcher, arena_printf(patcher->arena, "testing value %s failed: test failed", path));
}

static int op_copy(Patcher *patcher, const Value *op, const char *path) {
    const char *from = value_get_str(op, "from");
    if (!from)
        return refuse(
            patcher,
            arena_strdup(patcher->arena, "copy operation failed to decode from: unable to unmarshal: missing value"));
    Place source = find_place(patcher, from);
    Value *v = NULL;
    if (!source.container)
        return missing(patcher, "copy operation does not apply: doc is missing from path: %s", from);
    if (place_get(patcher, source, &v) < 0)
        return wrap(patcher, "error in copy for from: '%s'", from);
    Place place = find_place(patcher, path);
    if (!place.container)
        return missing(patcher, "copy operation does not apply: doc is missing destination path: %s", path);
    _cleanup_buf_ Buf size = BUF_INIT(COPY_BYTES_MAX);
    value_write_json(&size, v);
    patcher->copied += size.len;
    if (size.failed || patcher->copied > COPY_BYTES_MAX)
        return refuse(patcher, arena_printf(patcher->arena,
                                            "Unable to complete the copy, the accumulated size increase of copy is "
                                            "%zu, exceeding the limit %d",
                                            MAX(patcher->copied, (size_t)COPY_BYTES_MAX + 1), COPY_BYTES_MAX));
    int r = place_add(patcher, place, v ? value_copy(patcher->arena, v) : value_null(patcher->arena));
    return r < 0 ? wrap(patcher, "error while adding value during copy%s", "") : 0;
}

static const struct {
    const char *name;
    int (*apply)(Patcher *patcher, const Value *op, const char *path);
} operations[] = {
    {"add", op_add},   {"remove", op_remove}, {"replace", op_replace},
    {"move", op_move}, {"test", op_test},     {"copy", op_copy},
};

static int apply_one(Patcher *patcher, const Value *op) {
    const char *name = str_or(value_get_str(op, "op"), "unknown"), *path = value_get_str(op, "path");
    for (size_t i = 0; i < ELEMENTSOF(operations); i++) {
        if (!streq(operations[i].name, name))
            continue;
        if (!path)
            return missing(patcher, "%s operation failed to decode path", name);
        return operations[i].apply(patcher, op, path);
    }
    return refuse(patcher, arena_printf(patcher->arena, "Unexpected kind: %s", name));
}

static int check_shape(const Value *patch, ApiError *err) {
    if (!value_is(patch, VALUE_ARRAY) && !value_is(patch, VALUE_NULL))
        return api_error_bad_request(err, "json: cannot unmarshal %s into Go value of type jsonpatch.Patch",
                                     value_json_kind(patch));
    const Value *op;
    VALUE_FOREACH (op, patch)
        if (!value_is(op, VALUE_OBJECT) && !value_is(op, VALUE_NULL))
            return api_error_bad_request(err, "json: cannot unmarshal %s into Go value of type jsonpatch.Operation",
                                         value_json_kind(op));
    if (value_len(patch) > JSON_PATCH_OPERATIONS_MAX)
        return api_error_set(err, 413, "RequestEntityTooLarge",
                             "Request entity too large: The allowed maximum operations in a JSON patch is %d, got %zu",
                             JSON_PATCH_OPERATIONS_MAX, value_len(patch));
    return 0;
}

int json_patch_apply(Arena *arena, const Value *original, const Value *patch, Value **ret, ApiError *err) {
    int r = check_shape(patch, err);
    if (r < 0)
        return r;
    Patcher patcher = {.arena = arena, .root = value_copy(arena, original)};
    const Value *op;
    VALUE_FOREACH (op, patch) {
        if ((r = apply_one(&patcher, op)) < 0) {
            r = api_error_set(err, 422, "Invalid", "the server rejected our request due to an error in our request");
            if (err)
                err->empty_details = true;
            return r;
        }
    }
    *ret = patcher.root;
    return 0;
}
