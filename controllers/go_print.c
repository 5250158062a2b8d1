#include "controllers/go_print.h"

#include "api/quantity.h"
#include "base/clock.h"
#include "base/str.h"

#include <stdarg.h>
#include <stdio.h>

#define UNIX_EPOCH_SINCE_YEAR_1 62135596800ll /* seconds, as time.Time counts */

typedef struct Printer {
    GoWrite write;
    void *userdata;
} Printer;

static void put(const Printer *p, const char *text) {
    p->write(text, strlen(text), p->userdata);
}

static _printf_(2, 3) void put_format(const Printer *p, const char *format, ...) {
    char text[128]; /* numbers and fixed words only */
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    p->write(text, (size_t)n, p->userdata);
}

static void put_string(const Printer *p, const Value *v) {
    if (value_is(v, VALUE_STRING))
        p->write(v->string, v->len, p->userdata);
}

static int64_t int_of(const Value *v) {
    return value_is(v, VALUE_INT) ? v->integer : 0;
}

/* ---- types that are more than their fields ---- */

static void put_words(const Printer *p, unsigned __int128 v) {
    put(p, "[");
    for (bool first = true; v; v >>= 64, first = false)
        put_format(p, first ? "%llu" : " %llu", (unsigned long long)(uint64_t)v);
    put(p, "]");
}

static void print_quantity(const Printer *p, const Value *v) {
    char canonical[QUANTITY_TEXT_MAX] = "0";
    const char *text = value_str(v);
    QuantityForm form;
    Quantity q;
    if (value_is(v, VALUE_INT))
        q = quantity_from_int(v->integer, QUANTITY_DECIMAL_SI);
    else if (!text || quantity_parse(text, &q) < 0)
        q = (Quantity){.as_written = true};
    if (!text || !q.as_written || strlen(text) >= sizeof canonical)
        quantity_format(&q, canonical);
    else
        strcpy(canonical, text);
    quantity_form(canonical, &form);
    put_format(p,
               "{i:(resource.int64Amount){value:(int64)%lld scale:(resource.Scale)%d} d:(resource.infDecAmount){Dec:",
               (long long)form.value, form.scale);
    if (form.is_decimal) {
        put_format(p, "(*inf.Dec){unscaled:(big.Int){neg:(bool)%s abs:(big.nat)", form.negative ? "true" : "false");
        put_words(p, form.unscaled);
        put(p, "} scale:(inf.Scale)9}");
    } else
        put(p, "(*inf.Dec)<nil>");
    put(p, "} s:(string)");
    put(p, form.keeps_text ? canonical : "");
    put(p, " Format:(resource.Format)");
    put(p, form.format == QUANTITY_BINARY_SI    ? "BinarySI"
           : form.format == QUANTITY_DECIMAL_SI ? "DecimalSI"
                                                : "DecimalExponent");
    put(p, "}");
}

static void print_int_or_string(const Printer *p, const Value *v) {
    put_format(p, "{Type:(intstr.Type)%d IntVal:(int32)%lld StrVal:(string)", value_is(v, VALUE_STRING),
               (long long)int_of(v));
    put_string(p, v);
    put(p, "}");
}

/* A time that is set is in the local zone of the reference's process; its images have no zone files, so that is UTC. */
static void print_time(const Printer *p, const Value *v) {
    int64_t ns;
    if (!value_str(v) || rfc3339_parse(value_str(v), &ns) < 0) {
        put(p, "{Time:(time.Time){wall:(uint64)0 ext:(int64)0 loc:(*time.Location)<nil>}}");
        return;
    }
    put_format(p, "{Time:(time.Time){wall:(uint64)0 ext:(int64)%lld loc:(*time.Location){name:(string)UTC ",
               (long long)(ns / (int64_t)NS_PER_SEC + UNIX_EPOCH_SINCE_YEAR_1));
    put(p, "zone:([]time.zone)<nil> tx:([]time.zoneTrans)<nil> extend:(string) cacheStart:(int64)0 cacheEnd:(int64)0 "
           "cacheZone:(*time.zone)<nil>}}}");
}

static void print_fields(const Printer *p, const Value *v) {
    _cleanup_buf_ Buf json = BUF_INIT(BUF_NO_LIMIT); /* no longer than the object it is of */
    value_write_json(&json, v);
    put(p, "{Raw:([]uint8)[");
    for (size_t i = 0; i < json.len; i++)
        put_format(p, i ? " %d" : "%d", (uint8_t)json.data[i]);
    put(p, "]}");
}

/* ---- lists and maps ---- */

static void print_struct(const Printer *p, const GoType *type, const Value *v);

static void print_list(const Printer *p, const GoField *field, const Value *v) {
    Value *item;
    bool first = true;
    put(p, "[");
    VALUE_FOREACH (item, v) {
        if (!first)
            put(p, " ");
        first = false;
        if (field->kind == GO_STRUCTS)
            print_struct(p, field->element, item);
        else if (field->kind == GO_INTS)
            put_format(p, "%lld", (long long)int_of(item));
        else
            put_string(p, item);
    }
    put(p, "]");
}

static int by_name(const void *a, const void *b) {
    return strcmp((*(const Member *const *)a)->name, (*(const Member *const *)b)->name);
}

static void print_map(const Printer *p, const GoField *field, const Value *v) {
    _cleanup_free_ const Member **sorted = xcalloc(v->len, sizeof(*sorted));
    size_t n = 0;
    VALUE_FOREACH_MEMBER (m, v)
        sorted[n++] = m;
    qsort(sorted, n, sizeof(*sorted), by_name);
    put(p, "map[");
    for (size_t i = 0; i < n; i++) {
        put(p, i ? " " : "");
        put(p, sorted[i]->name);
        put(p, ":");
        if (field->kind == GO_QUANTITIES)
            print_quantity(p, sorted[i]->value);
        else
            put_string(p, sorted[i]->value);
    }
    put(p, "]");
}

/* ---- fields ---- */

static void print_value(const Printer *p, const GoField *field, const Value *v) {
    switch (field->kind) {
    case GO_STRING:
        put_string(p, v);
        break;
    case GO_BOOL:
        put(p, value_is(v, VALUE_BOOL) && v->boolean ? "true" : "false");
        break;
    case GO_INT:
        put_format(p, "%lld", (long long)int_of(v));
        break;
    case GO_STRINGS:
    case GO_INTS:
    case GO_STRUCTS:
        print_list(p, field, v);
        break;
    case GO_MAP:
    case GO_QUANTITIES:
        print_map(p, field, v);
        break;
    case GO_STRUCT:
        print_struct(p, field->element, v);
        break;
    case GO_QUANTITY:
        print_quantity(p, v);
        break;
    case GO_INT_OR_STRING:
        print_int_or_string(p, v);
        break;
    case GO_TIME:
        print_time(p, v);
        break;
    case GO_FIELDS:
        print_fields(p, v);
        break;
    }
}

static bool is_list_or_map(GoKind kind) {
    return kind >= GO_STRINGS && kind <= GO_QUANTITIES;
}

static void print_field(const Printer *p, const GoField *field, const Value *parent) {
    const Value *v = *field->member ? value_get(parent, field->member) : parent;
    bool absent = !v || v->type == VALUE_NULL;
    put(p, field->name);
    put(p, field->is_pointer ? ":(*" : ":(");
    put(p, field->type);
    put(p, ")");
    if (is_list_or_map(field->kind) ? value_len(v) == 0 : absent && field->is_pointer)
        put(p, "<nil>");
    else
        print_value(p, field, v);
}

static void print_struct(const Printer *p, const GoType *type, const Value *v) {
    put(p, "{");
    for (size_t i = 0; i < type->n_fields; i++) {
        put(p, i ? " " : "");
        print_field(p, &type->fields[i], v);
    }
    put(p, "}");
}

void go_print(const GoType *type, const char *name, const Value *v, GoWrite write, void *userdata) {
    Printer p = {write, userdata};
    put(&p, "(");
    put(&p, name);
    put(&p, ")");
    print_struct(&p, type, v);
}
