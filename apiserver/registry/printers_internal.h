/* What the printers share. */
#pragma once

#include "apiserver/registry/printers.h"

typedef struct PrinterTable {
    const Printer *rows;
    size_t n;
} PrinterTable;
extern const PrinterTable printers_workloads, printers_core, printers_cluster;

#define COLUMN_NAME {"Name", "string", "name", 0, NULL}
#define COLUMN_TEXT(title) {title, "string", "", 0, NULL}
#define COLUMN_WIDE(title) {title, "string", "", 1, NULL}
#define COLUMN_INT(title) {title, "integer", "", 0, NULL}
#define COLUMN_BOOL(title) {title, "boolean", "", 0, NULL}
#define COLUMN_AGE COLUMN_TEXT("Age")

/* printer_cells.c */
void cell_str(Arena *arena, Value *cells, const char *s); /* NULL prints "" */
void cell_or(Arena *arena, Value *cells, const char *s, const char *otherwise); /* when empty */
void cell_int(Arena *arena, Value *cells, int64_t i);
void cell_bool(Arena *arena, Value *cells, bool b);
void cell_name(Arena *arena, Value *cells, const Value *object);
void cell_age(Arena *arena, Value *cells, const Value *object, int64_t now_ns); /* since creationTimestamp */
/* "5m", "<unknown>" for NULL. */
const char *text_since(Arena *arena, const char *timestamp, int64_t now_ns);
/* Container names and images, joined with commas. */
void cell_containers(Arena *arena, Value *cells, const Value *pod_spec);
/* labels.FormatLabels of a map, metav1.FormatLabelSelector of a selector. */
void cell_labels(Arena *arena, Value *cells, const Value *map);
void cell_selector(Arena *arena, Value *cells, const Value *selector);
/* items[i] joined; each item a string, or its member `field`. */
char *text_join(Arena *arena, const Value *items, const char *field, const char *separator);
const Value *find_by(const Value *list, const char *key, const char *value); /* the item with that member */
