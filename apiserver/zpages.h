/* /flagz and /statusz: how the program was started and what it is, for people, as component-base's zpages: text, or
 * with `as=Flagz;g=config.k8s.io;v=v1beta1` in the Accept header an object in JSON or YAML. */
#pragma once

#include "api/value.h"
#include "base/flags.h"
#include "http/server.h"

typedef struct Zpages Zpages;

/* The flags' values as they are now; nothing is borrowed. */
Zpages *zpages_new(const Flag *flags, size_t n_flags);
void zpages_free(Zpages *pages);
DEFINE_CLEANUP(Zpages, zpages_free)
/* Replies; false: another path. `paths`: all that this server answers. */
bool zpages_serve(const Zpages *pages, HttpRequest *http, Arena *arena, const char *path, const Value *paths);
