/* The history of a DaemonSet's or StatefulSet's pod template, as ControllerRevisions. */
#pragma once

#include "client/client.h"
#include "client/informer.h"

typedef struct Revision {
    const char *name, *hash;
    int64_t number;
    Value *value;
    Object *object; /* borrowed from the list, or NULL for one just made */
} Revision;

typedef struct Revisions { /* everything in the arena; the objects in `list` */
    Revision *items;       /* by number, the oldest first; with room for one more */
    size_t n;
    Revision *current; /* that of the present template */
    ClientList list;
    int64_t collisions; /* as it is after sync */
} Revisions;

/* Finds the revision of the owner's spec.template, or makes it; brings its number to the front. `collisions`: the
 * owner's status.collisionCount. */
int revisions_sync(Client *client, Informer *informer, Arena *arena, const Object *owner, const Value *value,
                   int64_t collisions, Revisions *ret);
void revisions_done(Revisions *revisions);
/* Deletes the oldest that `in_use` does not want, down to `limit` old ones. */
int revisions_trim(Client *client, const Revisions *revisions, int64_t limit,
                   bool (*in_use)(const Revision *revision, void *userdata), void *userdata);
/* The owner's pod template as it was in this revision. */
const Value *revision_template(const Revision *revision);
