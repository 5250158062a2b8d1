/* /flagz and /statusz: how the program was started and what it is, for people, as component-base's zpages: as text, or
 * as an object of the group config.k8s.io. */
#pragma once

#include "api/value.h"
#include "base/flags.h"

#define ZPAGE_MAX (1024 * 1024) /* bytes of a page */

typedef struct Zpages Zpages;
typedef struct Zpage Zpage;

/* The flags' values as they are now. `component`, a constant: "apiserver". */
Zpages *zpages_new(const char *component, const Flag *flags, size_t n_flags);
void zpages_free(Zpages *pages);
DEFINE_CLEANUP(Zpages, zpages_free)
const Zpage *zpages_find(const char *path); /* NULL: another path */
const char *zpage_kind(const Zpage *page);  /* "Flagz" */
/* `paths`: all that the server answers, in order. */
void zpage_write(const Zpages *pages, const Zpage *page, const Value *paths, Buf *out);
/* Into an object that has its kind and version. */
void zpage_fill(const Zpages *pages, const Zpage *page, Arena *arena, const Value *paths, Value *ret);
