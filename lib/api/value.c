#include "api/value.h"
#include "api/member_index.h"
#include "base/str.h"

#include <stdarg.h>
#include <stdio.h>

const char *value_json_kind(const Value *v) {
    static const char *const names[] = {
        [VALUE_NULL] = "null",     [VALUE_BOOL] = "bool",   [VALUE_INT] = "number",   [VALUE_DOUBLE] = "number",
        [VALUE_STRING] = "string", [VALUE_ARRAY] = "array", [VALUE_OBJECT] = "object"};
    return names[v ? v->type : VALUE_NULL];
}

static Value *value_make(Arena *arena, ValueType type) {
    Value *v = arena_alloc(arena, sizeof(Value));
    *v = (Value){.type = (uint8_t)type};
    return v;
}

Value *value_null(Arena *arena) {
    return value_make(arena, VALUE_NULL);
}

Value *value_bool(Arena *arena, bool b) {
    Value *v = value_make(arena, VALUE_BOOL);
    v->boolean = b;
    return v;
}

Value *value_int(Arena *arena, int64_t i) {
    Value *v = value_make(arena, VALUE_INT);
    v->integer = i;
    return v;
}

Value *value_double(Arena *arena, double d) {
    Value *v = value_make(arena, VALUE_DOUBLE);
    v->number = d;
    return v;
}

Value *value_string_n(Arena *arena, const char *s, size_t n) {
    Value *v = value_make(arena, VALUE_STRING);
    v->string = arena_strndup(arena, s, n);
    v->len = (uint32_t)n;
    return v;
}

Value *value_string(Arena *arena, const char *s) {
    return value_string_n(arena, s, strlen(s));
}

Value *value_printf(Arena *arena, const char *format, ...) {
    va_list ap, again;
    va_start(ap, format);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, format, ap);
    va_end(ap);
    size_t len = n > 0 ? (size_t)n : 0;
    char *s = arena_alloc(arena, len + 1);
    vsnprintf(s, len + 1, format, again);
    va_end(again);
    Value *v = value_make(arena, VALUE_STRING);
    v->string = s;
    v->len = (uint32_t)len;
    return v;
}

Value *value_array(Arena *arena) {
    return value_make(arena, VALUE_ARRAY);
}

Value *value_object(Arena *arena) {
    return value_make(arena, VALUE_OBJECT);
}

Value *value_copy(Arena *arena, const Value *v) {
    if (!v)
        return NULL;
    Value *copy = arena_alloc(arena, sizeof(Value));
    *copy = *v;
    copy->cap = v->len;
    if (v->type == VALUE_STRING)
        copy->string = arena_strndup(arena, v->string, v->len);
    else if (v->type == VALUE_ARRAY && v->len) {
        copy->items = arena_alloc(arena, v->len * sizeof(Value *));
        for (size_t i = 0; i < v->len; i++)
            copy->items[i] = value_copy(arena, v->items[i]);
    } else if (v->type == VALUE_OBJECT && v->len) {
        copy->members = arena_alloc(arena, v->len * sizeof(Member));
        for (size_t i = 0; i < v->len; i++) {
            copy->members[i].name = arena_strdup(arena, v->members[i].name);
            copy->members[i].value = value_copy(arena, v->members[i].value);
        }
    }
    return copy;
}

static Member *member_find(const Value *object, const char *name) {
    if (!value_is(object, VALUE_OBJECT) || object->len == 0)
        return NULL;
    for (Member *m = object->members, *end = m + object->len; m < end; m++)
        if (m->name == name || streq(m->name, name))
            return m;
    return NULL;
}

Value *value_get(const Value *object, const char *name) {
    Member *m = member_find(object, name);
    return m ? m->value : NULL;
}

Value *value_at(const Value *array, size_t index) {
    return value_is(array, VALUE_ARRAY) && index < array->len ? array->items[index] : NULL;
}

Value *value_path(const Value *v, ...) {
    va_list ap;
    va_start(ap, v);
    for (const char *name; v && (name = va_arg(ap, const char *));)
        v = value_get(v, name);
    va_end(ap);
    return (Value *)v;
}

size_t value_len(const Value *v) {
    return value_is(v, VALUE_ARRAY) || value_is(v, VALUE_OBJECT) ? v->len : 0;
}

const char *value_str(const Value *v) {
    return value_is(v, VALUE_STRING) ? v->string : NULL;
}

const char *value_get_str(const Value *object, const char *name) {
    return value_str(value_get(object, name));
}

int64_t value_get_int(const Value *object, const char *name, int64_t otherwise) {
    const Value *v = value_get(object, name);
    return value_is(v, VALUE_INT) ? v->integer : otherwise;
}

bool value_get_bool(const Value *object, const char *name, bool otherwise) {
    const Value *v = value_get(object, name);
    return value_is(v, VALUE_BOOL) ? v->boolean : otherwise;
}

static size_t set_members(const Value *object) {
    size_t n = 0;
    for (size_t i = 0; i < object->len; i++)
        n += !value_is_unset(object->members[i].value);
    return n;
}

static bool objects_equal(const Value *a, const Value *b) {
    _cleanup_member_index_ MemberIndex of_b = {0};
    size_t n = 0;
    for (size_t i = 0; i < a->len; i++) {
        const Member *m = &a->members[i];
        if (value_is_unset(m->value))
            continue;
        /* The same order is by far the most frequent case. */
        bool same_place = i < b->len && strcmp(b->members[i].name, m->name) == 0;
        if (!same_place && !of_b.object)
            of_b = member_index_new(b);
        if (!value_equal(m->value, same_place ? b->members[i].value : member_index_get(&of_b, m->name)))
            return false;
        n++;
    }
    return n == set_members(b);
}

bool value_has_unset(const Value *v) {
    if (!v || v->type < VALUE_ARRAY)
        return false;
    if (v->unset && v->len == 0)
        return true;
    for (size_t i = 0; i < v->len; i++)
        if (value_has_unset(v->type == VALUE_ARRAY ? v->items[i] : v->members[i].value))
            return true;
    return false;
}

bool value_equal(const Value *a, const Value *b) {
    if (a && value_is_unset(a))
        a = NULL;
    if (b && value_is_unset(b))
        b = NULL;
    if (a == b)
        return true;
    if (!a || !b || a->type != b->type)
        return false;
    switch ((ValueType)a->type) {
    case VALUE_NULL:
        return true;
    case VALUE_BOOL:
        return a->boolean == b->boolean;
    case VALUE_INT:
        return a->integer == b->integer;
    case VALUE_DOUBLE:
        return a->number == b->number;
    case VALUE_STRING:
        return a->len == b->len && memcmp(a->string, b->string, a->len) == 0;
    case VALUE_ARRAY:
        if (a->len != b->len)
            return false;
        for (size_t i = 0; i < a->len; i++)
            if (!value_equal(a->items[i], b->items[i]))
                return false;
        return true;
    case VALUE_OBJECT:
        return objects_equal(a, b);
    }
    return false;
}

/* Room for one more element of `size` bytes; the old array stays in the arena. */
static void *grow(Arena *arena, void *old, size_t len, uint32_t *cap, size_t size) {
    if (len < *cap)
        return old;
    uint32_t more = *cap < 4 ? 4 : *cap * 2;
    void *p = arena_alloc(arena, more * size);
    if (len)
        memcpy(p, old, len * size);
    *cap = more;
    return p;
}

void value_add(Arena *arena, Value *object, const char *name, Value *v) {
    object->members = grow(arena, object->members, object->len, &object->cap, sizeof(Member));
    object->members[object->len++] = (Member){.name = name, .value = v};
}

void value_set(Arena *arena, Value *object, const char *name, Value *v) {
    Member *m = member_find(object, name);
    if (!v)
        value_remove(object, name);
    else if (m)
        m->value = v;
    else
        value_add(arena, object, arena_strdup(arena, name), v);
}

void value_set_interned(Arena *arena, Value *object, const char *static_name, Value *v) {
    Member *m = member_find(object, static_name);
    if (!v)
        value_remove(object, static_name);
    else if (m)
        *m = (Member){.name = static_name, .value = v};
    else
        value_add(arena, object, static_name, v);
}

void value_set_str(Arena *arena, Value *object, const char *name, const char *s) {
    value_set(arena, object, name, s ? value_string(arena, s) : NULL);
}

void value_set_int(Arena *arena, Value *object, const char *name, int64_t i) {
    value_set(arena, object, name, value_int(arena, i));
}

void value_set_bool(Arena *arena, Value *object, const char *name, bool b) {
    value_set(arena, object, name, value_bool(arena, b));
}

static Value *value_ensure(Arena *arena, Value *object, const char *name, ValueType type) {
    Value *v = value_get(object, name);
    if (v && v->type != VALUE_NULL)
        return v;
    v = value_make(arena, type);
    value_set(arena, object, name, v);
    return v;
}

Value *value_ensure_object(Arena *arena, Value *object, const char *name) {
    return value_ensure(arena, object, name, VALUE_OBJECT);
}

Value *value_ensure_array(Arena *arena, Value *object, const char *name) {
    return value_ensure(arena, object, name, VALUE_ARRAY);
}

bool value_remove(Value *object, const char *name) {
    Member *m = member_find(object, name);
    if (!m)
        return false;
    memmove(m, m + 1, (size_t)(object->members + object->len - (m + 1)) * sizeof(Member));
    object->len--;
    return true;
}

void value_append(Arena *arena, Value *array, Value *item) {
    array->items = grow(arena, array->items, array->len, &array->cap, sizeof(Value *));
    array->items[array->len++] = item;
}

void value_insert_at(Arena *arena, Value *array, size_t index, Value *item) {
    array->items = grow(arena, array->items, array->len, &array->cap, sizeof(Value *));
    index = MIN(index, (size_t)array->len);
    memmove(array->items + index + 1, array->items + index, (array->len - index) * sizeof(Value *));
    array->items[index] = item;
    array->len++;
}

static int compare_members(const void *a, const void *b) {
    return strcmp(((const Member *)a)->name, ((const Member *)b)->name);
}

void value_sort_members(Value *v) {
    if (value_is(v, VALUE_OBJECT) && v->len > 1)
        qsort(v->members, v->len, sizeof(Member), compare_members);
}

void value_sort_deep(Value *v) {
    Value *item;
    value_sort_members(v);
    VALUE_FOREACH_MEMBER (m, v)
        value_sort_deep(m->value);
    VALUE_FOREACH (item, v)
        value_sort_deep(item);
}

void value_remove_at(Value *array, size_t index) {
    if (index >= value_len(array))
        return;
    array->len--;
    memmove(array->items + index, array->items + index + 1, (array->len - index) * sizeof(Value *));
}
