/* Does an applied configuration fit the schema? The messages are those of structured-merge-diff. */
#include "api/go_text.h"
#include "api/typed.h"
#include "api/typed_list.h"

#include <inttypes.h>

#define ERRORS_MAX 100

typedef struct Validator {
    Arena *arena;
    Buf path, errors;
    size_t n;
    bool allows_duplicates;
} Validator;

static void report(Validator *validator, const char *message) {
    if (validator->n++ >= ERRORS_MAX)
        return;
    /* Errors are joined with a marker line each; the head is put on when their number is known. */
    if (validator->n > 1)
        buf_puts(&validator->errors, "\n  ");
    if (validator->path.len)
        buf_printf(&validator->errors, "%s: ", validator->path.data);
    buf_puts(&validator->errors, message);
}

/* Each kind of thing shows what it got in its own way. */
typedef enum Shown { SHOWN_PLAIN, SHOWN_SYNTAX, SHOWN_TYPE } Shown;

static void expected(Validator *validator, const char *what, const Value *got, Shown how) {
    _cleanup_buf_ Buf text = BUF_INIT(BUF_NO_LIMIT);
    buf_printf(&text, "expected %s, got ", what);
    if (how == SHOWN_TYPE)
        buf_puts(&text, go_type_of(got));
    else {
        buf_puts(&text, how == SHOWN_SYNTAX ? "&value.valueUnstructured{Value:" : "&{");
        go_write(&text, got, how == SHOWN_SYNTAX ? GO_SYNTAX : GO_PLAIN);
        buf_putc(&text, '}');
    }
    report(validator, text.data);
}

static void validate_node(Validator *validator, const Schema *schema, const Value *v);

static void validate_below(Validator *validator, const Schema *schema, const Value *v, ElementKind kind,
                           const char *text) {
    size_t before = validator->path.len;
    element_write(&validator->path, kind, text);
    validate_node(validator, schema, v);
    validator->path.len = before;
    if (validator->path.data)
        validator->path.data[before] = 0;
}

static void validate_members(Validator *validator, const Schema *schema, const Value *v) {
    if (!value_is(v, VALUE_OBJECT)) {
        expected(validator, "map", v, SHOWN_PLAIN);
        return;
    }
    VALUE_FOREACH_MEMBER (m, v) {
        const Schema *inner = schema->element;
        if (schema->type == SCHEMA_STRUCT) {
            const SchemaField *field = schema_field(schema, m->name, strlen(m->name));
            inner = field ? field->schema : NULL;
            if (!field && !schema->preserve_unknown && !schema->free_form) {
                size_t before = validator->path.len;
                element_write(&validator->path, ELEMENT_FIELD, m->name);
                report(validator, "field not declared in schema");
                validator->path.len = before;
                validator->path.data[before] = 0;
                return; /* further members are not looked at */
            }
        }
        validate_below(validator, inner, m->value, ELEMENT_FIELD, m->name);
    }
}

/* The items up to the first that cannot be named, and why it cannot. Those of atomic lists are named by their places.
 */
static ListItems name_items(Arena *arena, const Schema *schema, const Value *v, const char **ret_why) {
    ListItems items = {.items = arena_alloc(arena, v->len * sizeof(ListItem))};
    for (size_t i = 0; i < v->len && !*ret_why; i++) {
        ListItem item = {.kind = ELEMENT_INDEX, .index = i};
        if (schema->list_kind == LIST_ATOMIC)
            item.text = arena_printf(arena, "%zu", i);
        else
            *ret_why = list_item_name(arena, schema, v->items[i], &item.kind, &item.text);
        if (!*ret_why)
            items.items[items.n++] = item;
    }
    return items;
}

/* Which items have the name of one before them. */
static bool *named_again(Arena *arena, const ListItems *items) {
    ListItems sorted = list_items_sorted(arena, items);
    bool *again = arena_alloc0(arena, items->n * sizeof *again);
    for (size_t i = 1; i < sorted.n; i++)
        again[sorted.items[i].index] = list_item_compare(&sorted.items[i - 1], &sorted.items[i]) == 0;
    return again;
}

static void report_duplicate(Validator *validator, const ListItem *item) {
    _cleanup_buf_ Buf text = BUF_INIT(BUF_NO_LIMIT);
    buf_puts(&text, "duplicate entries for key ");
    element_write(&text, item->kind, item->text);
    report(validator, text.data);
}

static void validate_items(Validator *validator, const Schema *schema, const Value *v) {
    if (!value_is(v, VALUE_ARRAY)) {
        expected(validator, "list", v, SHOWN_PLAIN);
        return;
    }
    const char *why = NULL;
    ListItems items = name_items(validator->arena, schema, v, &why);
    bool unique = validator->allows_duplicates || schema->list_kind == LIST_ATOMIC;
    bool *again = unique ? NULL : named_again(validator->arena, &items);
    for (size_t i = 0; i < items.n; i++) {
        if (again && again[i])
            report_duplicate(validator, &items.items[i]);
        validate_below(validator, schema->element, v->items[i], items.items[i].kind, items.items[i].text);
    }
    if (why) /* as for members */
        report(validator, arena_printf(validator->arena, "element %zu: %s", items.n, why));
}

static void validate_node(Validator *validator, const Schema *schema, const Value *v) {
    if (!schema || !v || v->type == VALUE_NULL)
        return;
    bool container = v->type == VALUE_ARRAY || v->type == VALUE_OBJECT;
    switch (schema->type) {
    case SCHEMA_STRUCT:
    case SCHEMA_MAP:
        validate_members(validator, schema, v);
        break;
    case SCHEMA_LIST:
        validate_items(validator, schema, v);
        break;
    case SCHEMA_STRING:
    case SCHEMA_BYTES:
    case SCHEMA_DURATION:
        if (v->type != VALUE_STRING)
            expected(validator, "string", v, SHOWN_SYNTAX);
        break;
    case SCHEMA_BOOL:
        if (v->type != VALUE_BOOL)
            expected(validator, "boolean", v, SHOWN_PLAIN);
        break;
    case SCHEMA_INT32:
    case SCHEMA_INT64:
    case SCHEMA_DOUBLE:
        if (v->type != VALUE_INT && v->type != VALUE_DOUBLE)
            expected(validator, "numeric (int or float)", v, SHOWN_TYPE);
        break;
    case SCHEMA_QUANTITY:
    case SCHEMA_TIME:
    case SCHEMA_MICRO_TIME:
        if (container)
            expected(validator, "any scalar", v, SHOWN_PLAIN);
        break;
    default:
        break;
    }
}

char *typed_validate(Arena *arena, const Schema *schema, const Value *v) {
    Validator validator = {.arena = arena, .path = BUF_INIT(BUF_NO_LIMIT), .errors = BUF_INIT(1 << 20)};
    validate_node(&validator, schema, v);
    char *message = NULL;
    if (validator.n)
        message = arena_printf(arena, validator.n > 1 ? "errors:\n  %s" : "%s", validator.errors.data);
    buf_done(&validator.path);
    buf_done(&validator.errors);
    return message;
}

bool typed_fits(Arena *arena, const Schema *schema, const Value *v) {
    Validator validator = {
        .arena = arena, .path = BUF_INIT(BUF_NO_LIMIT), .errors = BUF_INIT(BUF_NO_LIMIT), .allows_duplicates = true};
    validate_node(&validator, schema, v);
    buf_done(&validator.path);
    buf_done(&validator.errors);
    return validator.n == 0;
}
