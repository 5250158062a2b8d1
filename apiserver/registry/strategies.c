#include "apiserver/registry/strategy.h"
#include "apiserver/registry/custom_strategy.h"
#include "base/str.h"

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
