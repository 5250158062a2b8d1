/* What strategies say and do with their context. */
#include "apiserver/registry/kinds.h"

#include <stdarg.h>
#include <stdio.h>

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

void kinds_reset_status(StrategyContext *context, Value *object) {
    value_set(context->arena, object, "status", value_object(context->arena));
}
