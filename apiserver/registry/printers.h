/* Table printing: which columns a resource has and what stands in them (the reference's printers/internalversion). A
 * resource without a row here prints Name and Created At. Pure. */
#pragma once

#include "api/resource.h"

/* A cell that is read off a path. */
typedef enum CellKind { CELL_TEXT, CELL_INT, CELL_BOOL, CELL_COUNT, CELL_AGE, CELL_JOINED } CellKind;
typedef struct Cell {
    CellKind kind;
    const char *path;      /* "spec.scaleTargetRef.kind"; CELL_AGE: NULL */
    const char *otherwise; /* CELL_TEXT, CELL_JOINED: when empty; CELL_BOOL: "true" when absent means true */
} Cell;

typedef struct Printer {
    const char *group, *plural; /* every version whose form is the stored one */
    const Column *columns;
    size_t n_columns;
    const Cell *cells; /* one a column; NULL: print */
    void (*print)(Arena *arena, const Value *object, int64_t now_ns, Value *cells);
    /* Sets a row's conditions (finished pods); may be NULL. NULL answer: none. */
    Value *(*conditions)(Arena *arena, const Value *object);
} Printer;

/* Appends one value a column to `cells`. */
void printer_print(const Printer *printer, Arena *arena, const Value *object, int64_t now_ns, Value *cells);
/* Never NULL. */
const Printer *printer_of(const char *group, const char *plural);
