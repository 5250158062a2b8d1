/* The in-process transport. Calls run on the caller's thread (they block on durability as over HTTP); watches are
 * cursors in the store, drained by one thread per client that the store's commits wake. The identity is a component of
 * this very process, so nothing is authorized again, unless it acts as a service account: then the account's roles say
 * what it may do, as over HTTPS.
 *
 * What an aggregated API server answers (its resources, and discovery while there is one) is asked at this server's own
 * front door, with a certificate of the identity: the way through the proxy is the same for all. */
#include "apiserver/local.h"
#include "apiserver/handlers/discovery.h"
#include "apiserver/registry/api_services.h"
#include "apiserver/registry/custom_resources.h"
#include "apiserver/server.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "client/http_transport.h"

#include <errno.h>
#include <pthread.h>

#define LOCAL_BATCH 256 /* events of one watch before the others have their turn */

typedef struct LocalTransport LocalTransport;

struct ClientWatch {
    LocalTransport *transport;
    ClientWatch *next;
    Watch *watch;
    ListParameters parameters;
    void (*event)(const char *type, Object *object, uint64_t revision, void *userdata);
    void (*end)(int error, void *userdata);
    void *userdata;
    uint64_t row_bit;
    ObjectList initial;
    size_t next_initial;
    bool stopped, ended, busy, bookmarks;
    bool doomed;           /* stopped from within its own callback: freed when that returns */
    uint64_t end_bookmark; /* the revision to say that the initial events are over; 0: none to say */
    uint64_t next_bookmark_ns;
    ClientWatch *remote; /* the other transport's, which does all; else NULL */
};

struct LocalTransport {
    ClientTransport base;
    ApiServer *server;
    const UserInfo *user;
    Store *store;
    StoreListener *listener;
    pthread_mutex_t lock;
    pthread_cond_t wake, idle;
    pthread_t thread;
    ClientWatch *watches;
    uint64_t wanted;  /* rows that some watch here looks at */
    uint64_t changed; /* those of them that changed since the thread looked */
    bool stopping, started;
    ClientTransport *remote; /* over HTTPS to this server; NULL until something is aggregated */
};

#define BOOKMARK_NS (60 * NS_PER_SEC)

static const UserInfo *account_user(Arena *arena, const ApiAccount *account) {
    UserInfo *user = ARENA_NEW0(arena, UserInfo);
    const char **groups = arena_alloc0(arena, 4 * sizeof *groups);
    groups[0] = "system:serviceaccounts";
    groups[1] = arena_printf(arena, "system:serviceaccounts:%s", account->ns);
    groups[2] = "system:authenticated";
    user->name = arena_printf(arena, "system:serviceaccount:%s:%s", account->ns, account->name);
    user->groups = groups;
    return user;
}

/* The request as this server's own: by its user, and on the server's row of a resource that the client discovered. */
static int own_request(const LocalTransport *transport, const ApiRequest *request, ApiRequest *ret, ApiError *err) {
    *ret = *request;
    ret->user = request->as ? account_user(request->arena, request->as) : transport->user;
    int r = request->as ? apiserver_authorize(transport->server, ret, err) : 0;
    if (r < 0)
        return r;
    if (!request->resource || !request->resource->discovered)
        return 0;
    const Resource *row = request->resource;
    ret->resource = custom_resources_find(registry_custom(api_core_registry(apiserver_core(transport->server))),
                                          row->group, row->version, row->plural);
    if (ret->resource)
        return 0;
    return api_error_set(err, 404, "NotFound", "the server could not find the requested resource");
}

/* Does another server answer this? Cheap while nothing is aggregated. */
static bool is_remote(LocalTransport *transport, const ApiRequest *request) {
    ApiServices *services = apiserver_api_services(transport->server);
    if (request->document) {
        ApiServiceList *list = api_services_get(services);
        bool any = false;
        for (size_t i = 0; i < list->n; i++)
            any |= list->items[i].remote;
        api_service_list_unref(list);
        return any;
    }
    const Resource *resource = request->resource;
    const ApiService *service;
    if (!resource || !resource->discovered)
        return false;
    ApiServiceList *list = api_services_find_remote(services, resource->group, resource->version, &service);
    bool found = list != NULL;
    api_service_list_unref(list);
    return found;
}

static ClientTransport *remote_transport(LocalTransport *transport) {
    _cleanup_kubeconfig_ Kubeconfig config = {0};
    _cleanup_free_ char *error = NULL;
    pthread_mutex_lock(&transport->lock);
    if (!transport->remote && (apiserver_own_kubeconfig(transport->server, transport->user, &config) < 0 ||
                               http_transport_new(&config, &transport->remote, &error) < 0))
        log_warn("aggregated APIs cannot be asked as %s: %s", transport->user->name, str_or(error, "no certificate"));
    ClientTransport *remote = transport->remote;
    pthread_mutex_unlock(&transport->lock);
    return remote;
}

#define NOT_REACHED "this server cannot be asked for aggregated APIs"

static int local_execute(ClientTransport *base, const ApiRequest *request, Object **ret_object, Value **ret_value,
                         ApiError *err) {
    LocalTransport *transport = (LocalTransport *)base;
    ApiRequest own;
    _cleanup_api_response_ ApiResponse response = {0};
    _cleanup_api_error_ ApiError ours = {0};
    if (is_remote(transport, request)) {
        ClientTransport *remote = remote_transport(transport);
        return remote ? remote->execute(remote, request, ret_object, ret_value, err)
                      : api_error_set(err ? err : &ours, 503, "ServiceUnavailable", NOT_REACHED);
    }
    if (request->document) {
        *ret_value =
            discovery_aggregated(request->arena, registry_custom(api_core_registry(apiserver_core(transport->server))),
                                 NULL, streq(request->document, "/api"));
        return 0;
    }
    int r = own_request(transport, request, &own, err ? err : &ours);
    r = r < 0 ? r : api_execute(apiserver_core(transport->server), &own, NULL, &response, err ? err : &ours);
    if (r < 0)
        return r;
    if (ret_object)
        *ret_object = TAKE_PTR(response.object);
    if (ret_value)
        *ret_value = response.value;
    return 0;
}

static int local_list(ClientTransport *base, const ApiRequest *request, ClientList *ret, ApiError *err) {
    LocalTransport *transport = (LocalTransport *)base;
    ApiRequest own;
    _cleanup_api_response_ ApiResponse response = {0};
    _cleanup_api_error_ ApiError ours = {0};
    if (is_remote(transport, request)) {
        ClientTransport *remote = remote_transport(transport);
        return remote ? remote->list(remote, request, ret, err)
                      : api_error_set(err ? err : &ours, 503, "ServiceUnavailable", NOT_REACHED);
    }
    int r = own_request(transport, request, &own, err ? err : &ours);
    r = r < 0 ? r : api_execute(apiserver_core(transport->server), &own, NULL, &response, err ? err : &ours);
    if (r < 0)
        return r;
    *ret = (ClientList){.items = response.list.items, .n = response.list.n, .revision = response.list.revision};
    response.list.items = NULL;
    response.list.n = 0;
    return 0;
}

static void deliver(ClientWatch *watch, const char *type, Object *object, uint64_t revision) {
    watch->event(type, object, revision, watch->userdata);
}

static void finish(ClientWatch *watch, int error) {
    watch->ended = true;
    watch->end(error, watch->userdata);
}

/* True when there may be more at once. */
static bool drain_initial(ClientWatch *watch) {
    for (size_t i = 0; i < LOCAL_BATCH && watch->next_initial < watch->initial.n; i++) {
        Object *object = watch->initial.items[watch->next_initial++];
        deliver(watch, "ADDED", object, object_revision(object));
    }
    if (watch->next_initial < watch->initial.n)
        return true;
    object_list_done(&watch->initial);
    watch->initial = (ObjectList){0};
    if (watch->end_bookmark)
        deliver(watch, "BOOKMARK", NULL, watch->end_bookmark);
    watch->end_bookmark = 0;
    return true;
}

static bool drain(ClientWatch *watch) {
    static const char *const types[] = {[WATCH_ADDED] = "ADDED",
                                        [WATCH_MODIFIED] = "MODIFIED",
                                        [WATCH_DELETED] = "DELETED",
                                        [WATCH_BOOKMARK] = "BOOKMARK"};
    if (watch->initial.items || watch->end_bookmark)
        return drain_initial(watch);
    for (size_t i = 0; i < LOCAL_BATCH; i++) {
        WatchEvent event;
        int r = watch_next(watch->watch, &event);
        if (r < 0) {
            finish(watch, 410);
            return false;
        }
        if (r == 0) {
            uint64_t now = now_monotonic_ns();
            if (watch->bookmarks && now >= watch->next_bookmark_ns) {
                watch->next_bookmark_ns = now + BOOKMARK_NS;
                deliver(watch, "BOOKMARK", NULL, watch_revision(watch->watch));
            }
            return false;
        }
        deliver(watch, types[event.type], event.object, event.revision);
        object_unref(event.object);
    }
    return true;
}

static void watch_free(ClientWatch *watch) {
    watch_close(watch->watch);
    object_list_done(&watch->initial);
    list_parameters_done(&watch->parameters);
    free(watch);
}

static void unlink_watch(LocalTransport *transport, ClientWatch *watch) {
    transport->wanted = 0;
    for (ClientWatch **at = &transport->watches; *at;)
        if (*at == watch)
            *at = watch->next;
        else {
            transport->wanted |= (*at)->row_bit;
            at = &(*at)->next;
        }
}

/* Runs one watch outside the lock; watch_stop waits while it is busy. */
static bool run_watch(LocalTransport *transport, ClientWatch *watch) {
    if (watch->stopped || watch->ended)
        return false;
    watch->busy = true;
    pthread_mutex_unlock(&transport->lock);
    bool more = drain(watch);
    pthread_mutex_lock(&transport->lock);
    watch->busy = false;
    pthread_cond_broadcast(&transport->idle);
    return more;
}

static void wait_for_work(LocalTransport *transport) {
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += 10; /* bookmarks */
    pthread_cond_timedwait(&transport->wake, &transport->lock, &until);
}

static void *run(void *userdata) {
    LocalTransport *transport = userdata;
    pthread_mutex_lock(&transport->lock);
    while (!transport->stopping) {
        uint64_t changed = transport->changed;
        transport->changed = 0;
        bool more = false;
        /* a watch is unlinked by watch_stop, which waits for the busy one, or here: `next` of it stays good */
        for (ClientWatch *watch = transport->watches, *next; watch && !transport->stopping; watch = next) {
            if (watch->row_bit & changed && run_watch(transport, watch)) {
                transport->changed |= watch->row_bit;
                more = true;
            }
            next = watch->next;
            if (watch->doomed) {
                unlink_watch(transport, watch);
                watch_free(watch);
            }
        }
        if (!more && !transport->changed && !transport->stopping) {
            wait_for_work(transport);
            if (!transport->changed)
                transport->changed = UINT64_MAX;
        }
    }
    pthread_mutex_unlock(&transport->lock);
    return NULL;
}

static void on_commit(uint64_t changed, uint64_t revision, void *userdata) {
    LocalTransport *transport = userdata;
    (void)revision;
    pthread_mutex_lock(&transport->lock);
    uint64_t news = changed & transport->wanted & ~transport->changed; /* it looks before it sleeps */
    transport->changed |= news;
    pthread_mutex_unlock(&transport->lock);
    if (news)
        pthread_cond_signal(&transport->wake);
}

static int open_watch(LocalTransport *transport, ClientWatch *watch, const ApiRequest *request, ApiError *err) {
    const ApiOptions *o = &request->options;
    uint64_t since = watch->parameters.revision;
    bool initial = o->send_initial_events_set ? o->send_initial_events : since == 0;
    int r = str_empty(o->resource_version) ? api_catch_up(apiserver_core(transport->server), request, err) : 0;
    if (r < 0)
        return r;
    if (initial) {
        ListQuery query = {.resource = request->resource->storage,
                           .ns = request->ns,
                           .labels = watch->parameters.labels,
                           .fields = watch->parameters.fields};
        r = store_list(transport->store, &query, &watch->initial, err);
        if (r < 0)
            return r;
        since = watch->initial.revision;
        if (o->send_initial_events)
            watch->end_bookmark = since;
    }
    WatchQuery query = {
        .resource = request->resource->storage,
        .ns = request->ns,
        .labels = watch->parameters.labels,
        .fields = watch->parameters.fields,
        .since = since,
    };
    r = store_watch(transport->store, &query, &watch->watch);
    if (r == -EKEYEXPIRED)
        return api_error_expired(err, "too old resource version");
    return r < 0 ? api_error_from_errno(err, r, "watch") : 0;
}

static int watch_remotely(LocalTransport *transport, const ApiRequest *request,
                          void (*event)(const char *, Object *, uint64_t, void *), void (*end)(int, void *),
                          void *userdata, ClientWatch **ret, ApiError *err) {
    ClientTransport *remote = remote_transport(transport);
    if (!remote)
        return api_error_set(err, 503, "ServiceUnavailable", NOT_REACHED);
    ClientWatch *watch = NEW0(ClientWatch);
    watch->transport = transport;
    int r = remote->watch(remote, request, event, end, userdata, &watch->remote, err);
    if (r < 0)
        free(watch);
    else
        *ret = watch;
    return r;
}

static int local_watch(ClientTransport *base, const ApiRequest *request,
                       void (*event)(const char *, Object *, uint64_t, void *), void (*end)(int, void *),
                       void *userdata, ClientWatch **ret, ApiError *err) {
    LocalTransport *transport = (LocalTransport *)base;
    _cleanup_api_error_ ApiError ours = {0};
    ApiRequest own;
    if (is_remote(transport, request))
        return watch_remotely(transport, request, event, end, userdata, ret, err ? err : &ours);
    int r = own_request(transport, request, &own, err ? err : &ours);
    if (r < 0)
        return r;
    request = &own;
    ClientWatch *watch = NEW0(ClientWatch);
    watch->transport = transport;
    watch->event = event;
    watch->end = end;
    watch->userdata = userdata;
    watch->bookmarks = request->options.allow_watch_bookmarks;
    watch->next_bookmark_ns = now_monotonic_ns() + BOOKMARK_NS;
    watch->row_bit = store_row_bit(request->resource->storage);
    r = list_parameters_read(request, true, &watch->parameters, err ? err : &ours);
    r = r < 0 ? r : open_watch(transport, watch, request, err ? err : &ours);
    if (r < 0) {
        watch_free(watch);
        return r;
    }
    *ret = watch;
    pthread_mutex_lock(&transport->lock);
    watch->next = transport->watches;
    transport->watches = watch;
    transport->wanted |= watch->row_bit;
    transport->changed |= watch->row_bit;
    pthread_cond_signal(&transport->wake);
    pthread_mutex_unlock(&transport->lock);
    return 0;
}

static void local_watch_stop(ClientWatch *watch) {
    LocalTransport *transport = watch->transport;
    if (watch->remote) {
        transport->remote->watch_stop(watch->remote);
        free(watch);
        return;
    }
    pthread_mutex_lock(&transport->lock);
    watch->stopped = true;
    if (watch->busy && pthread_equal(pthread_self(), transport->thread)) {
        watch->doomed = true;
        pthread_mutex_unlock(&transport->lock);
        return;
    }
    while (watch->busy)
        pthread_cond_wait(&transport->idle, &transport->lock);
    unlink_watch(transport, watch);
    pthread_mutex_unlock(&transport->lock);
    watch_free(watch);
}

static void local_free(ClientTransport *base) {
    LocalTransport *transport = (LocalTransport *)base;
    pthread_mutex_lock(&transport->lock);
    transport->stopping = true;
    pthread_cond_signal(&transport->wake);
    pthread_mutex_unlock(&transport->lock);
    pthread_join(transport->thread, NULL);
    if (transport->remote)
        transport->remote->free(transport->remote);
    store_unlisten(transport->store, transport->listener);
    while (transport->watches) {
        ClientWatch *watch = transport->watches;
        transport->watches = watch->next;
        watch_free(watch);
    }
    pthread_cond_destroy(&transport->wake);
    pthread_cond_destroy(&transport->idle);
    pthread_mutex_destroy(&transport->lock);
    free(transport);
}

Client *apiserver_local_client(ApiServer *server, const UserInfo *user, const char *user_agent) {
    LocalTransport *transport = NEW0(LocalTransport);
    transport->base = (ClientTransport){.execute = local_execute,
                                        .list = local_list,
                                        .watch = local_watch,
                                        .watch_stop = local_watch_stop,
                                        .free = local_free};
    transport->server = server;
    transport->user = user;
    transport->store = registry_store(api_core_registry(apiserver_core(server)));
    pthread_mutex_init(&transport->lock, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&transport->wake, &attr);
    pthread_condattr_destroy(&attr);
    pthread_cond_init(&transport->idle, NULL);
    transport->listener = store_listen(transport->store, on_commit, transport);
    transport->started = pthread_create(&transport->thread, NULL, run, transport) == 0;
    if (!transport->started) {
        store_unlisten(transport->store, transport->listener);
        free(transport);
        return NULL;
    }
    return client_new(&transport->base, user_agent);
}
