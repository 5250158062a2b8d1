#include "apiserver/registry/strategy.h"
#include "apiserver/registry/custom_strategy.h"
#include "base/str.h"

#include <stdarg.h>
#include <stdio.h>

#define TABLE(name) extern const StrategyTable name;
#include "apiserver/registry/strategy_tables.h"
#undef TABLE

static const StrategyTable *const tables[] = {
#define TABLE(name) &name,
#include "apiserver/registry/strategy_tables.h"
#undef TABLE
    NULL,
};

static bool row_matches(const Strategy *row, const Resource *resource) {
    return streq(row->plural, resource->plural) && streq(row->group, resource->group) &&
           (!row->version || streq(row->version, resource->version));
}

const Strategy *strategy_of(const Resource *resource) {
    static const Strategy none = {.group = "", .plural = "", .allow_unconditional_update = true};
    if (resource->custom)
        return &custom_resource_strategy;
    for (size_t i = 0; tables[i]; i++)
        for (size_t j = 0; j < tables[i]->n; j++)
            if (row_matches(&tables[i]->rows[j], resource))
                return &tables[i]->rows[j];
    return &none;
}

void strategy_warn(StrategyContext *context, const char *format, ...) {
    va_list ap, again;
    va_start(ap, format);
    va_copy(again, ap);
    size_t size = (size_t)MAX(vsnprintf(NULL, 0, format, ap), 0) + 1;
    char *text = arena_alloc(context->arena, size);
    vsnprintf(text, size, format, again);
    va_end(again);
    va_end(ap);
    char **warnings = arena_alloc(context->arena, (context->n_warnings + 1) * sizeof *warnings);
    if (context->n_warnings)
        memcpy(warnings, context->warnings, context->n_warnings * sizeof *warnings);
    warnings[context->n_warnings] = text;
    context->warnings = warnings;
    context->n_warnings++;
}

void strategy_annotate(StrategyContext *context, const char *key, const char *value) {
    Arena *arena = context->arena;
    Pair *annotations = arena_alloc(arena, (context->n_annotations + 1) * sizeof *annotations);
    if (context->n_annotations)
        memcpy(annotations, context->annotations, context->n_annotations * sizeof *annotations);
    annotations[context->n_annotations] = (Pair){arena_strdup(arena, key), arena_strdup(arena, value)};
    context->annotations = annotations;
    context->n_annotations++;
}
