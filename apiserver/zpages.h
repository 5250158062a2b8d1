/* /flagz and /statusz (daemon/zpages.h): text, or with `as=Flagz;g=config.k8s.io;v=v1beta1` in the Accept header an
 * object in JSON or YAML. */
#pragma once

#include "daemon/zpages.h"
#include "http/server.h"

/* Replies; false: another path. `paths`: all that this server answers. */
bool zpages_serve(const Zpages *pages, HttpRequest *http, Arena *arena, const char *path, const Value *paths);
