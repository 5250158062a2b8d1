/* The Kubernetes client: one interface, two transports. In the all-in-one server a call is a function call on shared
 * objects; as a separate process it is HTTPS. Code above cannot tell. Calls block until answered: make them
 * from pool or worker threads. Thread-safe.
 *
 * Errors: negative errno as in status.h, and *err (may be NULL) filled with the Status. */
#pragma once

#include "client/api.h"

typedef struct Client Client;
typedef struct ClientWatch ClientWatch;

typedef struct ClientList {
    Object **items; /* references */
    size_t n;
    uint64_t revision;
} ClientList;
void client_list_done(ClientList *list);
#define _cleanup_client_list_ _cleanup_(client_list_done)

/* A transport. execute: *ret_object for single objects, *ret_value (in request->arena) for answers that are not stored
 * objects (Status, TokenRequest, Scale, ...); lists through list. watch: events on the transport's own thread. */
typedef struct ClientTransport ClientTransport;
struct ClientTransport {
    int (*execute)(ClientTransport *transport, const ApiRequest *request, Object **ret_object, Value **ret_value,
                   ApiError *err);
    int (*list)(ClientTransport *transport, const ApiRequest *request, ClientList *ret, ApiError *err);
    /* event(WATCH type name "ADDED"/"MODIFIED"/"DELETED"/"BOOKMARK", object (borrowed) or NULL, revision); end(negative
     * errno, or 0 at an orderly end such as the server's timeout) once, unless stopped first; -EKEYEXPIRED (410) means:
     * list again. */
    int (*watch)(ClientTransport *transport, const ApiRequest *request,
                 void (*event)(const char *type, Object *object, uint64_t revision, void *userdata),
                 void (*end)(int error, void *userdata), void *userdata, ClientWatch **ret, ApiError *err);
    /* Frees the watch, ended or not. No callback runs after it returns. Not from a callback. */
    void (*watch_stop)(ClientWatch *watch);
    /* What it counts of its requests; NULL: nothing. */
    void (*write_metrics)(ClientTransport *transport, Buf *out);
    void (*free)(ClientTransport *transport);
};

Client *client_new(ClientTransport *transport, const char *user_agent); /* takes the transport */
void client_free(Client *client);
DEFINE_CLEANUP(Client, client_free)
/* A client on the same transport whose requests act as a service account: over HTTPS with tokens that `client` asks for
 * (it must be allowed to; the account is made when it is missing), in process by its name. `client` must outlive it. */
Client *client_as_account(Client *client, const char *ns, const char *account);

/* Metrics of the requests on its transport, those of other clients on it too; none in process. */
void client_write_metrics(Client *client, Buf *out);

/* HTTPS from a kubeconfig file (current context): server, CA, client certificate or token (data or files). */
int client_http_from_kubeconfig(const char *path, const char *user_agent, Client **ret, char **ret_error);
/* The in-process transport is made by apiserver (apiserver/local.h). */

int client_get(Client *client, const Resource *resource, const char *ns, const char *name, Object **ret, ApiError *err);
/* The server's aggregated discovery at "/api" or "/apis", in the arena (discovery.h reads it). */
int client_get_document(Client *client, const char *path, Arena *arena, Value **ret, ApiError *err);
int client_list(Client *client, const Resource *resource, const char *ns, const ApiOptions *options, ClientList *ret,
                ApiError *err);
int client_create(Client *client, const Resource *resource, const char *ns, const Value *v, Object **ret,
                  ApiError *err);
typedef struct ClientWatchOps {
    void (*event)(const char *type, Object *object, uint64_t revision, void *userdata);
    void (*end)(int error, void *userdata);
} ClientWatchOps;
/* As the transport's watch; informers are what most callers want. */
int client_watch(Client *client, const Resource *resource, const char *ns, const ApiOptions *options,
                 const ClientWatchOps *ops, void *userdata, ClientWatch **ret, ApiError *err);
void client_watch_stop(Client *client, ClientWatch *watch); /* NULL is fine */
/* subresource NULL or "status". v carries metadata.resourceVersion when the write must not overwrite others'. */
int client_update(Client *client, const Resource *resource, const char *ns, const char *name, const char *subresource,
                  const Value *v, Object **ret, ApiError *err);
int client_patch(Client *client, const Resource *resource, const char *ns, const char *name, const char *subresource,
                 PatchType type, const Value *patch, Object **ret, ApiError *err);
/* Server-side apply as `manager`, which takes what others own too (force). */
int client_apply(Client *client, const Resource *resource, const char *ns, const char *name, const char *subresource,
                 const char *manager, const Value *v, Object **ret, ApiError *err);
typedef struct ClientDelete {
    const char *uid, *resource_version; /* preconditions; NULL: none */
    int64_t grace_seconds;              /* < 0: the object's own */
    const char *propagation;            /* "Background", "Foreground", "Orphan"; NULL: the default */
} ClientDelete;
int client_delete(Client *client, const Resource *resource, const char *ns, const char *name,
                  const ClientDelete *options, ApiError *err);
/* POST to a subresource (binding, eviction, token); *ret in the arena. */
int client_create_subresource(Client *client, const Resource *resource, const char *ns, const char *name,
                              const char *subresource, const Value *body, Arena *arena, Value **ret, ApiError *err);
/* Deletes what `options` selects (NULL: the whole collection). */
int client_delete_collection(Client *client, const Resource *resource, const char *ns, const ApiOptions *options,
                             const ClientDelete *delete_with, ApiError *err);
