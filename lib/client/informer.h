/* Reflector and informer: a local cache of one resource kept by list and watch, with indexes, and handlers told of each
 * change. Informers of one InformerSet are shared: two users of the same resource (and selector) get one cache. Objects
 * in the cache are references to shared immutable bytes.
 *
 * Handlers run on the informer's delivery thread and must not block: put a key on a work queue. Lookups are
 * thread-safe. */
#pragma once

#include "client/client.h"
#include "api/selector.h"

typedef struct InformerSet InformerSet;
typedef struct Informer Informer;

InformerSet *informer_set_new(Client *client);
void informer_set_free(InformerSet *set); /* stops */
DEFINE_CLEANUP(InformerSet, informer_set_free)

/* `ns` NULL: all; `field_selector` NULL: all. Before informer_set_start only. */
Informer *informer_get(InformerSet *set, const Resource *resource, const char *ns, const char *field_selector);
typedef struct InformerHandler {
    void (*added)(Object *object, void *userdata);
    void (*updated)(Object *old, Object *object, void *userdata);
    void (*deleted)(Object *object, void *userdata);
} InformerHandler;
void informer_add_handler(Informer *informer, const InformerHandler *handler, void *userdata);

void informer_set_start(InformerSet *set);
/* Until every cache is filled and every handler was told of what is in it. False at the timeout. */
bool informer_set_wait_synced(InformerSet *set, uint64_t timeout_ns);
bool informer_synced(const Informer *informer);

/* Returns a new reference or NULL. */
Object *informer_lookup(Informer *informer, const char *ns, const char *name);
Object *informer_lookup_uid(Informer *informer, const char *uid);
/* References to all that match (ns NULL: all; selector NULL: all), in no order. Free with client_list_done. */
void informer_list(Informer *informer, const char *ns, const Selector *labels, ClientList *ret);
/* Those whose controller owner has this uid (kept as an index). */
void informer_list_controlled(Informer *informer, const char *owner_uid, ClientList *ret);
/* Those whose selectable field (resource->selectable_fields) has this value: kept as an index once asked for with
 * informer_index_field before start. */
void informer_index_field(Informer *informer, const char *field);
void informer_list_by_field(Informer *informer, const char *field, const char *value, ClientList *ret);

/* As informer_get for all namespaces, for a user content with metadata: over HTTP only that is fetched and kept, unless
 * another user of the set asks for whole objects (before or after). */
Informer *informer_get_metadata(InformerSet *set, const Resource *resource);
/* The same while the set runs, from any thread: the handler is told of every object in turn. NULL when the set is
 * stopping. The informer stays until the set is freed; without handlers it neither lists nor watches. */
Informer *informer_add_metadata(InformerSet *set, const Resource *resource, const InformerHandler *handler,
                                void *userdata);
/* Of one that informer_add_metadata gave. Waits for the handler to end (not from a handler). When it was the last, the
 * cache is emptied. */
void informer_remove_handler(Informer *informer, const void *userdata);
const Resource *informer_resource(const Informer *informer);
/* Ends the watches and the set's thread: no handler runs after it returns. Lookups keep answering. */
void informer_set_stop(InformerSet *set);
/* Of the namespace, those that no controller owns (kept in the same index). */
void informer_list_orphans(Informer *informer, const char *ns, ClientList *ret);
/* Waits for this one alone. False at the timeout. */
bool informer_wait_synced(Informer *informer, uint64_t timeout_ns);
/* The cache shows every change up to this revision: a write of a later one may not be visible in it yet. */
uint64_t informer_revision(const Informer *informer);
