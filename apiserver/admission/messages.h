/* Several things that are wrong, as one text (utilerrors.Aggregate): each once, in brackets when there are several. */
#pragma once

#include "api/value.h"

#define MESSAGES_MAX 256 /* further ones are left out */

typedef struct Messages {
    Arena *arena;
    char *items[MESSAGES_MAX];
    size_t n;
} Messages;

void messages_add(Messages *messages, const char *format, ...) _printf_(2, 3);
char *messages_text(const Messages *messages); /* in the arena */
