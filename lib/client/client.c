/* The client's typed calls: each builds one ApiRequest and hands it to the transport. */
#include "client/client.h"

#include "base/str.h"

#include <errno.h>

struct Client {
    ClientTransport *transport;
    char *user_agent;
    bool borrows; /* the transport is another's */
    ApiAccount as;
};

void client_list_done(ClientList *list) {
    for (size_t i = 0; i < list->n; i++)
        object_unref(list->items[i]);
    free(list->items);
    *list = (ClientList){0};
}

Client *client_new(ClientTransport *transport, const char *user_agent) {
    Client *client = NEW(Client);
    *client = (Client){.transport = transport, .user_agent = xstrdup(user_agent)};
    return client;
}

void client_free(Client *client) {
    if (!client)
        return;
    if (!client->borrows)
        client->transport->free(client->transport);
    free((char *)client->as.ns);
    free((char *)client->as.name);
    free(client->user_agent);
    free(client);
}

void client_write_metrics(Client *client, Buf *out) {
    if (client->transport->write_metrics)
        client->transport->write_metrics(client->transport, out);
}

Client *client_as_account(Client *client, const char *ns, const char *account) {
    Client *other = client_new(client->transport, client->user_agent);
    other->borrows = true;
    other->as = (ApiAccount){xstrdup(ns), xstrdup(account)};
    return other;
}

static const ApiAccount *acts_as(const Client *client) {
    return client->as.name ? &client->as : NULL;
}

/* One request whose answer is an object of the resource. `ret` may be NULL. */
static int call_object(Client *client, ApiRequest *request, Object **ret, ApiError *err) {
    _cleanup_api_error_ ApiError own = {0};
    _cleanup_arena_ Arena *arena = request->arena ? NULL : arena_new(0);
    _cleanup_object_ Object *object = NULL;
    Value *value = NULL;
    if (!request->arena)
        request->arena = arena;
    request->user_agent = client->user_agent;
    request->as = acts_as(client);
    int r = client->transport->execute(client->transport, request, &object, &value, err ? err : &own);
    if (r < 0)
        return r;
    if (!ret)
        return 0;
    if (!object)
        return api_error_set(err ? err : &own, 500, "InternalError", "the server answered without an object of kind %s",
                             request->resource->kind);
    *ret = TAKE_PTR(object);
    return 0;
}

int client_get(Client *client, const Resource *resource, const char *ns, const char *name, Object **ret,
               ApiError *err) {
    return call_object(client, &(ApiRequest){.verb = API_GET, .resource = resource, .ns = ns, .name = name}, ret, err);
}

int client_get_document(Client *client, const char *path, Arena *arena, Value **ret, ApiError *err) {
    _cleanup_api_error_ ApiError own = {0};
    ApiRequest request = {
        .verb = API_GET, .document = path, .as = acts_as(client), .user_agent = client->user_agent, .arena = arena};
    _cleanup_object_ Object *object = NULL;
    Value *value = NULL;
    int r = client->transport->execute(client->transport, &request, &object, &value, err ? err : &own);
    if (r < 0)
        return r;
    if (!value)
        return api_error_set(err ? err : &own, 500, "InternalError", "the server answered %s without a document", path);
    *ret = value;
    return 0;
}

int client_list(Client *client, const Resource *resource, const char *ns, const ApiOptions *options, ClientList *ret,
                ApiError *err) {
    _cleanup_api_error_ ApiError own = {0};
    _cleanup_arena_ Arena *arena = arena_new(0);
    ApiRequest request = {.verb = API_LIST,
                          .resource = resource,
                          .ns = ns,
                          .as = acts_as(client),
                          .user_agent = client->user_agent,
                          .options = options ? *options : (ApiOptions){0},
                          .arena = arena};
    return client->transport->list(client->transport, &request, ret, err ? err : &own);
}

int client_watch(Client *client, const Resource *resource, const char *ns, const ApiOptions *options,
                 const ClientWatchOps *ops, void *userdata, ClientWatch **ret, ApiError *err) {
    _cleanup_api_error_ ApiError own = {0};
    _cleanup_arena_ Arena *arena = arena_new(0);
    ApiRequest request = {.verb = API_WATCH,
                          .resource = resource,
                          .ns = ns,
                          .as = acts_as(client),
                          .user_agent = client->user_agent,
                          .options = options ? *options : (ApiOptions){0},
                          .arena = arena};
    return client->transport->watch(client->transport, &request, ops->event, ops->end, userdata, ret, err ? err : &own);
}

void client_watch_stop(Client *client, ClientWatch *watch) {
    if (watch)
        client->transport->watch_stop(watch);
}

int client_create(Client *client, const Resource *resource, const char *ns, const Value *v, Object **ret,
                  ApiError *err) {
    return call_object(client, &(ApiRequest){.verb = API_CREATE, .resource = resource, .ns = ns, .body = v}, ret, err);
}

int client_update(Client *client, const Resource *resource, const char *ns, const char *name, const char *subresource,
                  const Value *v, Object **ret, ApiError *err) {
    return call_object(
        client,
        &(ApiRequest){
            .verb = API_UPDATE, .resource = resource, .ns = ns, .name = name, .subresource = subresource, .body = v},
        ret, err);
}

int client_patch(Client *client, const Resource *resource, const char *ns, const char *name, const char *subresource,
                 PatchType type, const Value *patch, Object **ret, ApiError *err) {
    return call_object(client,
                       &(ApiRequest){.verb = API_PATCH,
                                     .resource = resource,
                                     .ns = ns,
                                     .name = name,
                                     .subresource = subresource,
                                     .options = {.patch_type = type},
                                     .body = patch},
                       ret, err);
}

int client_apply(Client *client, const Resource *resource, const char *ns, const char *name, const char *subresource,
                 const char *manager, const Value *v, Object **ret, ApiError *err) {
    return call_object(
        client,
        &(ApiRequest){
            .verb = API_PATCH,
            .resource = resource,
            .ns = ns,
            .name = name,
            .subresource = subresource,
            .options = {.patch_type = PATCH_APPLY, .field_manager = manager, .force = true, .force_set = true},
            .body = v},
        ret, err);
}

static Value *delete_options(Arena *arena, const ClientDelete *options) {
    Value *body = value_object(arena);
    value_set_str(arena, body, "kind", "DeleteOptions");
    value_set_str(arena, body, "apiVersion", "v1");
    if (!options)
        return body;
    if (options->grace_seconds >= 0)
        value_set_int(arena, body, "gracePeriodSeconds", options->grace_seconds);
    if (options->uid || options->resource_version) {
        Value *preconditions = value_ensure_object(arena, body, "preconditions");
        if (options->uid)
            value_set_str(arena, preconditions, "uid", options->uid);
        if (options->resource_version)
            value_set_str(arena, preconditions, "resourceVersion", options->resource_version);
    }
    if (options->propagation)
        value_set_str(arena, body, "propagationPolicy", options->propagation);
    return body;
}

int client_delete(Client *client, const Resource *resource, const char *ns, const char *name,
                  const ClientDelete *options, ApiError *err) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    return call_object(client,
                       &(ApiRequest){.verb = API_DELETE,
                                     .resource = resource,
                                     .ns = ns,
                                     .name = name,
                                     .body = delete_options(arena, options),
                                     .arena = arena},
                       NULL, err);
}

int client_delete_collection(Client *client, const Resource *resource, const char *ns, const ApiOptions *options,
                             const ClientDelete *delete_with, ApiError *err) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    return call_object(client,
                       &(ApiRequest){.verb = API_DELETE_COLLECTION,
                                     .resource = resource,
                                     .ns = ns,
                                     .options = options ? *options : (ApiOptions){0},
                                     .body = delete_options(arena, delete_with),
                                     .arena = arena},
                       NULL, err);
}

int client_create_subresource(Client *client, const Resource *resource, const char *ns, const char *name,
                              const char *subresource, const Value *body, Arena *arena, Value **ret, ApiError *err) {
    _cleanup_api_error_ ApiError own = {0};
    _cleanup_object_ Object *object = NULL;
    Value *value = NULL;
    ApiRequest request = {.verb = API_CREATE,
                          .resource = resource,
                          .ns = ns,
                          .name = name,
                          .subresource = subresource,
                          .as = acts_as(client),
                          .user_agent = client->user_agent,
                          .body = body,
                          .arena = arena};
    int r = client->transport->execute(client->transport, &request, &object, &value, err ? err : &own);
    if (r < 0)
        return r;
    if (ret)
        *ret = value ? value : object ? object_value(object, arena) : NULL;
    return 0;
}
