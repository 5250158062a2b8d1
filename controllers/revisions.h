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
    int64_t collisions; /* as it is after sync; -1: none was ever counted */
} Revisions;

/* What differs between the kinds of owners. */
typedef struct RevisionKind {
    const char *hash_label;
    char *(*hash)(Arena *arena, const Value *owner, const Value *data, int64_t collisions);
} RevisionKind;

extern const RevisionKind revisions_of_daemonset, revisions_of_statefulset;

/* What a revision of the owner's present template has as its data. */
Value *revision_data(Arena *arena, const Value *owner);
/* Finds the revision of the owner's spec.template, or makes it; brings its number to the front. `collisions`: the
 * owner's status.collisionCount, or -1. */
int revisions_sync(const RevisionKind *kind, Client *client, Informer *informer, Arena *arena, const Object *owner,
                   const Value *value, int64_t collisions, Revisions *ret);
void revisions_done(Revisions *revisions);
/* Deletes the oldest that `in_use` does not want, down to `limit` old ones. */
int revisions_trim(Client *client, const Revisions *revisions, int64_t limit,
                   bool (*in_use)(const Revision *revision, void *userdata), void *userdata);
/* The owner's pod template as it was in this revision. */
const Value *revision_template(const Revision *revision);
