/* What strategies say and do with their context. */
#include "apiserver/registry/kinds.h"

#include <stdarg.h>
#include <stdio.h>

bool strategy_is_full(const StrategyContext *context) {
    return context->n_warnings >= STRATEGY_WARNINGS_MAX;
}

void strategy_warn(StrategyContext *context, const char *format, ...) {
    va_list ap, again;
    if (strategy_is_full(context))
        return;
    va_start(ap, format);
    va_copy(again, ap);
    size_t size = (size_t)MAX(vsnprintf(NULL, 0, format, ap), 0) + 1;
    char *text = arena_alloc(context->arena, size);
    vsnprintf(text, size, format, again);
    va_end(again);
    va_end(ap);
    size_t n = context->n_warnings++;
    if ((n & (n - 1)) == 0) { /* grows at powers of two; the old arrays stay in the arena */
        char **warnings = arena_alloc(context->arena, MAX(2 * n, (size_t)4) * sizeof *warnings);
        if (n)
            memcpy(warnings, context->warnings, n * sizeof *warnings);
        context->warnings = warnings;
    }
    context->warnings[n] = text;
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

void kinds_reset_status(StrategyContext *context, Value *object) {
    value_set(context->arena, object, "status", value_object(context->arena));
}
