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
    char text[1024];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    char **warnings = arena_alloc(context->arena, (context->n_warnings + 1) * sizeof *warnings);
    if (context->n_warnings)
        memcpy(warnings, context->warnings, context->n_warnings * sizeof *warnings);
    warnings[context->n_warnings] = arena_strdup(context->arena, text);
    context->warnings = warnings;
    context->n_warnings++;
}
