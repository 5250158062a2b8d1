#include "apiserver/admission/messages.h"
#include "base/str.h"

#include <stdarg.h>
#include <stdio.h>

static char *arena_vprintf(Arena *arena, const char *format, va_list ap) {
    va_list again;
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, format, ap);
    char *text = arena_alloc(arena, (size_t)MAX(n, 0) + 1);
    vsnprintf(text, (size_t)MAX(n, 0) + 1, format, again);
    va_end(again);
    return text;
}

void messages_add(Messages *messages, const char *format, ...) {
    va_list ap;
    va_start(ap, format);
    char *text = arena_vprintf(messages->arena, format, ap);
    va_end(ap);
    for (size_t i = 0; i < messages->n; i++)
        if (streq(messages->items[i], text))
            return;
    if (messages->n < MESSAGES_MAX)
        messages->items[messages->n++] = text;
}

char *messages_text(const Messages *messages) {
    char *text = arena_strdup(messages->arena, messages->n == 1 ? "" : "[");
    for (size_t i = 0; i < messages->n; i++)
        text = arena_printf(messages->arena, "%s%s%s", text, i ? ", " : "", messages->items[i]);
    return messages->n == 1 ? text : arena_printf(messages->arena, "%s]", text);
}
