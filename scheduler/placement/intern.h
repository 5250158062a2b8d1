/* Names as small integers: equal names have equal ids, so that matching compares integers. Ids start at 1; 0 is no
 * name. Names are never forgotten: a cluster uses few. One writer at a time. */
#pragma once

#include "base/mem.h"

typedef uint32_t Id;

typedef struct Interner Interner;

Interner *interner_new(void);
void interner_free(Interner *interner);
Id interner_add(Interner *interner, const char *name);        /* NULL gives 0 */
Id interner_find(const Interner *interner, const char *name); /* 0 when never added */
const char *interner_name(const Interner *interner, Id id);   /* "" for 0 */
