#include "apiserver/registry/printers_internal.h"

#include "base/str.h"

static void print_generic(Arena *arena, const Value *object, _unused_ int64_t now_ns, Value *cells) {
    cell_name(arena, cells, object);
    cell_str(arena, cells, value_get_str(value_get(object, "metadata"), "creationTimestamp"));
}

static const Column GENERIC_COLUMNS[] = {COLUMN_NAME, {"Created At", "date", "", 0, NULL}};
static const Printer GENERIC = {"", "", GENERIC_COLUMNS, ELEMENTSOF(GENERIC_COLUMNS), NULL, print_generic, NULL};

static const Value *at_path(const Value *object, const char *path) {
    char name[64];
    while (object && *path) {
        const char *dot = strchrnul(path, '.');
        size_t n = MIN((size_t)(dot - path), sizeof name - 1);
        memcpy(name, path, n);
        name[n] = 0;
        object = value_get(object, name);
        path = *dot ? dot + 1 : dot;
    }
    return object;
}

static void print_cell(Arena *arena, const Cell *cell, const Value *object, int64_t now_ns, Value *cells) {
    const Value *v = cell->path ? at_path(object, cell->path) : NULL;
    switch (cell->kind) {
    case CELL_TEXT:
        cell_or(arena, cells, value_str(v), str_or(cell->otherwise, ""));
        break;
    case CELL_INT:
        cell_int(arena, cells, value_is(v, VALUE_INT) ? v->integer : 0);
        break;
    case CELL_BOOL:
        cell_bool(arena, cells, value_is(v, VALUE_BOOL) ? v->boolean : cell->otherwise != NULL);
        break;
    case CELL_COUNT:
        cell_int(arena, cells, (int64_t)value_len(v));
        break;
    case CELL_AGE:
        cell_age(arena, cells, object, now_ns);
        break;
    case CELL_JOINED:
        cell_or(arena, cells, text_join(arena, v, NULL, ","), str_or(cell->otherwise, ""));
        break;
    }
}

void printer_print(const Printer *printer, Arena *arena, const Value *object, int64_t now_ns, Value *cells) {
    if (printer->print) {
        printer->print(arena, object, now_ns, cells);
        return;
    }
    for (size_t i = 0; i < printer->n_columns; i++)
        print_cell(arena, &printer->cells[i], object, now_ns, cells);
}

const Printer *printer_of(const char *group, const char *plural) {
    static const PrinterTable *const TABLES[] = {&printers_workloads, &printers_core, &printers_cluster};
    for (size_t t = 0; t < ELEMENTSOF(TABLES); t++)
        for (size_t i = 0; i < TABLES[t]->n; i++)
            if (streq(TABLES[t]->rows[i].plural, plural) && streq(TABLES[t]->rows[i].group, group))
                return &TABLES[t]->rows[i];
    return &GENERIC;
}
