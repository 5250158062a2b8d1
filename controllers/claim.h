/* Which objects a controller owns: keeps those it controls and selects, releases those it no longer selects, adopts
 * orphans it selects (the reference's ControllerRefManager). */
#pragma once

#include "client/client.h"
#include "client/informer.h"

typedef struct Claim {
    Client *client;
    Informer *informer; /* of the owned objects */
    const Object *owner;
    const Selector *selector;
    const char *finalizer; /* put on adopted pods and taken from released ones; NULL: none */
    bool (*candidate)(const Object *object, void *userdata); /* may be NULL: all */
    void *userdata;
} Claim;

/* *ret: references to what the owner has now. On error some of it may be missing; -EAGAIN and the like mean: sync
 * again. */
int claim_owned(const Claim *claim, ClientList *ret);
