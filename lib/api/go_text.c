#include "api/go_text.h"

#include <stdio.h>
#include <stdlib.h>

static int compare_names(const void *a, const void *b) {
    return strcmp((*(const Member *const *)a)->name, (*(const Member *const *)b)->name);
}

const char *go_type_of(const Value *v) {
    static const char *const names[] = {
        "%!s(<nil>)", "bool", "int64", "float64", "string", "[]interface {}", "map[string]interface {}"};
    return names[v ? v->type : VALUE_NULL];
}

static void write_map(Buf *out, const Value *v, GoVerb verb) {
    bool syntax = verb == GO_SYNTAX;
    _cleanup_free_ const Member **order = xmalloc((v->len + 1u) * sizeof(*order));
    for (size_t i = 0; i < v->len; i++)
        order[i] = &v->members[i];
    qsort(order, v->len, sizeof(*order), compare_names);
    buf_puts(out, syntax ? "map[string]interface {}{" : "map[");
    for (size_t i = 0; i < v->len; i++) {
        buf_puts(out, !i ? "" : syntax ? ", " : " ");
        if (syntax)
            go_quote(out, order[i]->name);
        else
            buf_puts(out, order[i]->name);
        buf_putc(out, ':');
        go_write(out, order[i]->value, verb);
    }
    buf_putc(out, syntax ? '}' : ']');
}

static void write_list(Buf *out, const Value *v, GoVerb verb) {
    bool syntax = verb == GO_SYNTAX;
    buf_puts(out, syntax ? "[]interface {}{" : "[");
    for (size_t i = 0; i < v->len; i++) {
        buf_puts(out, !i ? "" : syntax ? ", " : " ");
        go_write(out, v->items[i], verb);
    }
    buf_putc(out, syntax ? '}' : ']');
}

#define SHORTEST_DIGITS_MAX 17
#define LEAST_EXPONENT (-4) /* beyond these, numbers have an exponent */
#define EXPONENT_END 6

/* The fewest digits that are this number; strconv.FormatFloat(d, 'g', -1, 64), with fmt's limit for exponents. */
static void write_double(Buf *out, double d) {
    char text[40];
    int digits = 0;
    do
        snprintf(text, sizeof text, "%.*e", digits, d);
    while (strtod(text, NULL) != d && ++digits < SHORTEST_DIGITS_MAX);
    long exponent = strtol(strchr(text, 'e') + 1, NULL, 10);
    if (exponent < LEAST_EXPONENT || exponent >= EXPONENT_END)
        buf_puts(out, text);
    else
        buf_printf(out, "%.*f", digits > exponent ? (int)(digits - exponent) : 0, d);
}

void go_write(Buf *out, const Value *v, GoVerb verb) {
    static const char *const nothing[] = {
        [GO_PLAIN] = "<nil>", [GO_STRING] = "%!s(<nil>)", [GO_SYNTAX] = "interface {}(nil)"};
    switch (v->type) {
    case VALUE_STRING:
        if (verb == GO_SYNTAX)
            go_quote_n(out, v->string, v->len);
        else
            buf_append(out, v->string, v->len);
        return;
    case VALUE_ARRAY:
        write_list(out, v, verb);
        return;
    case VALUE_OBJECT:
        write_map(out, v, verb);
        return;
    case VALUE_NULL:
        buf_puts(out, nothing[verb]);
        return;
    default:
        if (verb == GO_STRING)
            buf_printf(out, "%%!s(%s=", go_type_of(v));
        if (v->type == VALUE_DOUBLE)
            write_double(out, v->number);
        else
            value_write_json(out, v);
        if (verb == GO_STRING)
            buf_putc(out, ')');
    }
}
