/* What a URL asks for, by the resource table. Strings are in the arena. */
#pragma once

#include "client/api.h"

typedef enum RouteKind { ROUTE_RESOURCE, ROUTE_PATH } RouteKind;

typedef struct Route {
    RouteKind kind;
    const char *path;                     /* decoded */
    const char *prefix;                   /* "api" or "apis"; "" for others */
    const char *group, *version, *plural; /* as asked, known or not */
    const char *ns, *name, *subresource;  /* NULL: absent */
    const char *rest;                     /* what follows a subresource, as it was sent ("" or "a/b%20c/") */
    const Resource *resource;             /* NULL: not in the table */
    ApiVerb verb;
    bool method_ok; /* the table allows this verb here */
} Route;

/* `query_watch`: the query asks to watch. Never fails: an unknown path is a ROUTE_PATH. */
/* Gives a route that names no resource of the table this one (a custom resource). */
void route_resolve(Route *route, const char *method, const Resource *resource);
void route_parse(Arena *arena, const char *method, const char *path, bool query_watch, Route *ret);
