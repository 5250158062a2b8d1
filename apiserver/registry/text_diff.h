/* A unified diff of two texts, as messages about immutable members show it (github.com/pmezard/go-difflib, three lines
 * of context, no file names). Pure. */
#pragma once

#include "api/value.h"

/* Of the indented JSON of both values; "" when they are the same. In the arena. Texts of more than DIFF_LINES_MAX lines
 * are not compared: the answer is "". */
#define DIFF_LINES_MAX 2000
char *value_diff(Arena *arena, const Value *old, const Value *now);
