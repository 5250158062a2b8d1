/* The defaults that the published API carries as markers. A field that is not a pointer cannot tell absent from zero,
 * so there zero is defaulted too, as the reference's generated functions do. */
#include "api/codec.h"
#include "api/json.h"
#include "api/member_index.h"

static bool is_unset(const SchemaField *field, const Value *v) {
    if (!v || v->type == VALUE_NULL)
        return true;
    if (field->flags & FIELD_POINTER || !field->schema->go_type)
        return false;
    switch (v->type) {
    case VALUE_BOOL:
        return !v->boolean;
    case VALUE_INT:
        return v->integer == 0;
    case VALUE_STRING:
        return v->len == 0;
    default:
        return false;
    }
}

/* Keeps the order of the struct: the default goes before the first member that comes after it. */
static void put_in_order(Arena *arena, const Schema *schema, Value *object, const SchemaField *field, Value *v) {
    if (value_get(object, field->name)) {
        value_set_interned(arena, object, field->name, v);
        return;
    }
    value_set_interned(arena, object, field->name, v);
    size_t at = object->len - 1u;
    for (; at > 0; at--) {
        const char *before = object->members[at - 1].name;
        const SchemaField *other = schema_field(schema, before, strlen(before));
        if (!other || (schema->go_type ? other < field : strcmp(before, field->name) < 0))
            break;
        object->members[at] = object->members[at - 1];
    }
    object->members[at] = (Member){field->name, v};
}

static void default_struct(Arena *arena, const Schema *schema, Value *v) {
    _cleanup_member_index_ MemberIndex by_name = member_index_for(v, schema->n_fields);
    bool indexed = true; /* until a member goes between others */
    for (size_t i = 0; i < schema->n_fields; i++) {
        const SchemaField *field = &schema->fields[i];
        SchemaType type = field->schema->type;
        bool deeper = type == SCHEMA_STRUCT || type == SCHEMA_LIST || type == SCHEMA_MAP;
        if (!field->default_json && !deeper)
            continue;
        Value *member = indexed ? member_index_get(&by_name, field->name) : value_get(v, field->name);
        if (field->default_json && is_unset(field, member)) {
            Value *made;
            if (json_parse(arena, field->default_json, strlen(field->default_json), &made, NULL, NULL) < 0)
                continue;
            put_in_order(arena, schema, v, field, made);
            indexed = false;
            member = made;
        }
        if (deeper && member)
            schema_default(arena, field->schema, member);
    }
}

void schema_default(Arena *arena, const Schema *schema, Value *v) {
    if (schema->go_type && !schema->has_defaults)
        return;
    if (schema->type == SCHEMA_STRUCT && v->type == VALUE_OBJECT)
        default_struct(arena, schema, v);
    else if (schema->type == SCHEMA_LIST && v->type == VALUE_ARRAY)
        for (size_t i = 0; i < v->len; i++)
            schema_default(arena, schema->element, v->items[i]);
    else if (schema->type == SCHEMA_MAP && v->type == VALUE_OBJECT)
        for (size_t i = 0; i < v->len; i++)
            schema_default(arena, schema->element, v->members[i].value);
}
