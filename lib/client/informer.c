/* Informers. One thread of the set (the "keeper") lists and opens watches; watch events arrive on the transport's
 * thread. The two never touch one informer at the same time: the keeper lists only when no watch is open (it calls
 * watch_stop first, after which no callback runs), and opens the watch only when the list has been delivered. So each
 * informer's handlers see changes one at a time and in order, without a queue in between.
 *
 * The cache's lock covers the index tables only; handlers run outside of it, after the cache has changed. */
#define LOG_COMPONENT "informer"
#include "client/informer.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "base/str.h"
#include "base/strmap.h"
#include "client/object_index.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>

#define RETRY_FIRST_NS (200 * NS_PER_MS)
#define RETRY_MAX_NS (30 * NS_PER_SEC) /* client-go's reflector back-off */
#define WATCH_SHORT_NS NS_PER_SEC      /* client-go warns of watches shorter than this */
#define WATCH_SECONDS_MIN 300          /* client-go's reflector: 5 to 10 minutes */
#define INFORMER_FIELDS_MAX 4
#define KEEPER_STACK_SIZE (256 * 1024)

typedef enum InformerState { STATE_LIST, STATE_WATCH, STATE_WATCHING, STATE_ENDED, STATE_OFF } InformerState;

typedef struct Handler {
    InformerHandler ops;
    void *userdata;
    bool leaving; /* of a pending one: to be taken away, not added */
} Handler;

struct Informer {
    InformerSet *set;
    const Resource *resource;
    char *ns, *field_selector;
    bool metadata_only;
    Handler *handlers;
    size_t n_handlers;

    pthread_mutex_t lock; /* the tables */
    ObjectIndex by_key, by_uid, by_controller;
    bool has_uid, has_controller; /* built at the first question */
    char *fields[INFORMER_FIELDS_MAX];
    ObjectIndex by_field[INFORMER_FIELDS_MAX];
    size_t n_fields;

    /* Of the keeper and, while a watch is open, of the transport's thread. */
    _Atomic uint64_t revision; /* everything up to it has been delivered */
    ClientWatch *watch;
    unsigned failures;
    uint64_t due, watch_since;

    /* Under the set's lock. */
    InformerState state;
    int end_error;
    bool synced, changing_handlers;
    Handler *pending; /* changes of the handlers that wait for the keeper */
    size_t n_pending;
};

struct InformerSet {
    Client *client;
    Informer **informers;
    size_t n;
    pthread_mutex_t lock;
    pthread_cond_t wake, changed;
    pthread_t keeper;
    bool started, stopping;
};

InformerSet *informer_set_new(Client *client) {
    InformerSet *set = NEW0(InformerSet);
    pthread_condattr_t attr;
    set->client = client;
    pthread_mutex_init(&set->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&set->wake, &attr);
    pthread_cond_init(&set->changed, &attr);
    pthread_condattr_destroy(&attr);
    return set;
}

static IndexText text_key(const Object *object, _unused_ const void *userdata) {
    return (IndexText){.ns = object_namespace(object), .text = object_name(object)};
}

static IndexText text_uid(const Object *object, _unused_ const void *userdata) {
    return (IndexText){.text = object_uid(object)};
}

static IndexText text_controller(const Object *object, _unused_ const void *userdata) {
    const OwnerRef *owner = object_controller(object);
    if (owner)
        return (IndexText){.text = owner->uid};
    return (IndexText){.ns = object_namespace(object), .text = ""}; /* the namespace's orphans */
}

static IndexText text_field(const Object *object, const void *field) {
    return (IndexText){.text = object_field(object, field)};
}

Informer *informer_get(InformerSet *set, const Resource *resource, const char *ns, const char *field_selector) {
    for (size_t i = 0; i < set->n; i++) {
        Informer *informer = set->informers[i];
        if (informer->resource == resource && streq_null(informer->ns, ns) &&
            streq_null(informer->field_selector, field_selector)) {
            informer->metadata_only = false;
            return informer;
        }
    }
    Informer *informer = NEW0(Informer);
    informer->set = set;
    informer->resource = resource;
    informer->ns = xstrdup(ns);
    informer->field_selector = xstrdup(field_selector);
    pthread_mutex_init(&informer->lock, NULL);
    object_index_init(&informer->by_key, text_key, NULL);
    object_index_init(&informer->by_uid, text_uid, NULL);
    object_index_init(&informer->by_controller, text_controller, NULL);
    set->informers = xreallocn(set->informers, set->n + 1, sizeof(*set->informers));
    set->informers[set->n++] = informer;
    return informer;
}

Informer *informer_get_metadata(InformerSet *set, const Resource *resource) {
    size_t before = set->n;
    Informer *informer = informer_get(set, resource, NULL, NULL);
    if (set->n > before)
        informer->metadata_only = true;
    return informer;
}

/* Under the set's lock. */
static void pend(Informer *informer, Handler handler) {
    informer->pending = xreallocn(informer->pending, informer->n_pending + 1, sizeof(*informer->pending));
    informer->pending[informer->n_pending++] = handler;
    pthread_cond_signal(&informer->set->wake);
}

Informer *informer_add_metadata(InformerSet *set, const Resource *resource, const InformerHandler *handler,
                                void *userdata) {
    Informer *informer = NULL;
    pthread_mutex_lock(&set->lock);
    if (!set->stopping) {
        informer = informer_get_metadata(set, resource);
        pend(informer, (Handler){.ops = *handler, .userdata = userdata});
    }
    pthread_mutex_unlock(&set->lock);
    return informer;
}

void informer_remove_handler(Informer *informer, const void *userdata) {
    InformerSet *set = informer->set;
    pthread_mutex_lock(&set->lock);
    pend(informer, (Handler){.userdata = (void *)(uintptr_t)userdata, .leaving = true});
    while ((informer->n_pending > 0 || informer->changing_handlers) && !set->stopping)
        pthread_cond_wait(&set->changed, &set->lock);
    pthread_mutex_unlock(&set->lock);
}

static void informer_free(Informer *informer) {
    object_index_done(&informer->by_key);
    object_index_done(&informer->by_uid);
    object_index_done(&informer->by_controller);
    for (size_t i = 0; i < informer->n_fields; i++) {
        object_index_done(&informer->by_field[i]);
        free(informer->fields[i]);
    }
    pthread_mutex_destroy(&informer->lock);
    free(informer->handlers);
    free(informer->pending);
    free(informer->field_selector);
    free(informer->ns);
    free(informer);
}

void informer_add_handler(Informer *informer, const InformerHandler *handler, void *userdata) {
    informer->handlers = xreallocn(informer->handlers, informer->n_handlers + 1, sizeof(*informer->handlers));
    informer->handlers[informer->n_handlers++] = (Handler){.ops = *handler, .userdata = userdata};
}

void informer_index_field(Informer *informer, const char *field) {
    for (size_t i = 0; i < informer->n_fields; i++)
        if (streq(informer->fields[i], field))
            return;
    if (informer->n_fields == INFORMER_FIELDS_MAX) {
        log_error("no room for an index by %s of %s", field, informer->resource->plural);
        return;
    }
    informer->fields[informer->n_fields] = xstrdup(field);
    object_index_init(&informer->by_field[informer->n_fields], text_field, informer->fields[informer->n_fields]);
    informer->n_fields++;
}

/* ---- the cache ---- */

static void cache_add(Informer *informer, Object *object) {
    object_index_add(&informer->by_key, object);
    if (informer->has_uid)
        object_index_add(&informer->by_uid, object);
    if (informer->has_controller)
        object_index_add(&informer->by_controller, object);
    for (size_t i = 0; i < informer->n_fields; i++)
        object_index_add(&informer->by_field[i], object);
}

static void cache_remove(Informer *informer, const Object *object) {
    if (informer->has_uid)
        object_index_remove(&informer->by_uid, object);
    if (informer->has_controller)
        object_index_remove(&informer->by_controller, object);
    for (size_t i = 0; i < informer->n_fields; i++)
        object_index_remove(&informer->by_field[i], object);
    object_index_remove(&informer->by_key, object);
}

/* A new reference to what the cache has under this object's key. */
static Object *cache_find(const Informer *informer, const char *ns, const char *name) {
    size_t n;
    Object *const *found = object_index_find(&informer->by_key, (IndexText){.ns = ns ? ns : "", .text = name}, &n);
    return found ? object_ref(found[0]) : NULL;
}

/* Before the handlers run: who is woken by a change must find it counted. */
static void note_revision(Informer *informer, uint64_t revision) {
    if (revision > informer->revision)
        informer->revision = revision;
}

/* `revision` 0: of a list, which is counted when all of it is in the cache. */
static void deliver_deleted(Informer *informer, Object *last, uint64_t revision) {
    _cleanup_object_ Object *old = NULL;
    pthread_mutex_lock(&informer->lock);
    old = cache_find(informer, object_namespace(last), object_name(last));
    if (old)
        cache_remove(informer, old);
    note_revision(informer, revision);
    pthread_mutex_unlock(&informer->lock);
    if (!old)
        return;
    for (size_t i = 0; i < informer->n_handlers; i++)
        if (informer->handlers[i].ops.deleted)
            informer->handlers[i].ops.deleted(last, informer->handlers[i].userdata);
}

static void deliver_set(Informer *informer, Object *object, uint64_t revision) {
    _cleanup_object_ Object *old = NULL;
    pthread_mutex_lock(&informer->lock);
    old = cache_find(informer, object_namespace(object), object_name(object));
    if (old && object_revision(old) == object_revision(object)) {
        note_revision(informer, revision);
        pthread_mutex_unlock(&informer->lock);
        return;
    }
    if (old)
        cache_remove(informer, old);
    cache_add(informer, object);
    note_revision(informer, revision);
    pthread_mutex_unlock(&informer->lock);
    for (size_t i = 0; i < informer->n_handlers; i++) {
        const Handler *handler = &informer->handlers[i];
        if (old && handler->ops.updated)
            handler->ops.updated(old, object, handler->userdata);
        else if (!old && handler->ops.added)
            handler->ops.added(object, handler->userdata);
    }
}

/* Makes the cache what was listed: what is gone is reported deleted, what stayed the same is not reported. */
static void deliver_list(Informer *informer, ClientList *list) {
    ClientList before = {0};
    informer_list(informer, NULL, NULL, &before);
    for (size_t i = 0; i < list->n; i++)
        deliver_set(informer, list->items[i], 0);
    if (before.n > 0) {
        StrMap *listed = strmap_new(NULL);
        _cleanup_buf_ Buf key = BUF_INIT(BUF_NO_LIMIT);
        for (size_t i = 0; i < list->n; i++) {
            buf_clear(&key);
            buf_printf(&key, "%s/%s", object_namespace(list->items[i]), object_name(list->items[i]));
            strmap_put(listed, key.data, list);
        }
        for (size_t i = 0; i < before.n; i++) {
            buf_clear(&key);
            buf_printf(&key, "%s/%s", object_namespace(before.items[i]), object_name(before.items[i]));
            if (!strmap_get(listed, key.data))
                deliver_deleted(informer, before.items[i], 0);
        }
        strmap_free(listed);
    }
    client_list_done(&before);
}

/* ---- the keeper ---- */

static void on_event(const char *type, Object *object, uint64_t revision, void *userdata) {
    Informer *informer = userdata;
    if (object && streq(type, "DELETED"))
        deliver_deleted(informer, object, revision);
    else if (object && (streq(type, "ADDED") || streq(type, "MODIFIED")))
        deliver_set(informer, object, revision);
    else
        note_revision(informer, revision);
    informer->failures = 0;
}

static void on_end(int error, void *userdata) {
    Informer *informer = userdata;
    InformerSet *set = informer->set;
    pthread_mutex_lock(&set->lock);
    informer->state = STATE_ENDED;
    informer->end_error = error;
    pthread_cond_signal(&set->wake);
    pthread_mutex_unlock(&set->lock);
}

/* Exponential with jitter, so that many informers do not come back at the same instant. */
static uint64_t retry_delay(Informer *informer) {
    unsigned n = MIN(informer->failures, 10u);
    uint64_t delay = MIN(RETRY_FIRST_NS << n, RETRY_MAX_NS);
    informer->failures++;
    return delay / 2 + random_below(delay);
}

static void set_state(Informer *informer, InformerState state) {
    pthread_mutex_lock(&informer->set->lock);
    informer->state = state;
    pthread_mutex_unlock(&informer->set->lock);
}

static void keeper_list(Informer *informer) {
    _cleanup_api_error_ ApiError err = {0};
    _cleanup_client_list_ ClientList list = {0};
    ApiOptions options = {.field_selector = informer->field_selector, .metadata_only = informer->metadata_only};
    int r = client_list(informer->set->client, informer->resource, informer->ns, &options, &list, &err);
    if (r < 0) {
        uint64_t delay = retry_delay(informer);
        if (informer->failures == 1 || informer->failures % 10 == 0)
            log_warn("cannot list %s: %s; again in %llu ms", informer->resource->plural,
                     err.message ? err.message : strerror(-r), (unsigned long long)(delay / NS_PER_MS));
        informer->due = now_monotonic_ns() + delay;
        return;
    }
    deliver_list(informer, &list);
    informer->revision = list.revision;
    pthread_mutex_lock(&informer->set->lock);
    informer->state = STATE_WATCH;
    informer->synced = true;
    pthread_cond_broadcast(&informer->set->changed);
    pthread_mutex_unlock(&informer->set->lock);
}

static void keeper_watch(Informer *informer) {
    _cleanup_api_error_ ApiError err = {0};
    char revision[24];
    snprintf(revision, sizeof revision, "%llu", (unsigned long long)informer_revision(informer));
    ApiOptions options = {.field_selector = informer->field_selector,
                          .resource_version = revision,
                          .allow_watch_bookmarks = true,
                          .timeout_seconds = (int64_t)(WATCH_SECONDS_MIN + random_below(WATCH_SECONDS_MIN)),
                          .metadata_only = informer->metadata_only};
    ClientWatchOps ops = {.event = on_event, .end = on_end};
    informer->watch_since = now_monotonic_ns();
    set_state(informer, STATE_WATCHING);
    int r = client_watch(informer->set->client, informer->resource, informer->ns, &options, &ops, informer,
                         &informer->watch, &err);
    if (r >= 0)
        return;
    if (r == -EKEYEXPIRED)
        informer->due = 0;
    else {
        informer->due = now_monotonic_ns() + retry_delay(informer);
        log_debug("cannot watch %s: %s", informer->resource->plural, err.message ? err.message : strerror(-r));
    }
    set_state(informer, r == -EKEYEXPIRED || r == -ERANGE ? STATE_LIST : STATE_WATCH);
}

static void keeper_ended(Informer *informer, int error) {
    client_watch_stop(informer->set->client, TAKE_PTR(informer->watch));
    /* A watch that ends at once would make a busy loop of it. */
    bool lasted = now_monotonic_ns() - informer->watch_since >= WATCH_SHORT_NS;
    if (error == -EKEYEXPIRED || (error == 0 && lasted))
        informer->due = 0;
    else {
        informer->due = now_monotonic_ns() + retry_delay(informer);
        log_debug("the watch of %s ended: %s", informer->resource->plural, strerror(-error));
    }
    set_state(informer, error == -EKEYEXPIRED || error == -ERANGE ? STATE_LIST : STATE_WATCH);
}

static void empty_cache(Informer *informer) {
    _cleanup_client_list_ ClientList all = {0};
    informer_list(informer, NULL, NULL, &all);
    pthread_mutex_lock(&informer->lock);
    for (size_t i = 0; i < all.n; i++)
        cache_remove(informer, all.items[i]);
    pthread_mutex_unlock(&informer->lock);
}

static void change_handler(Informer *informer, const Handler *change) {
    if (!change->leaving) {
        _cleanup_client_list_ ClientList all = {0};
        informer_add_handler(informer, &change->ops, change->userdata);
        informer_list(informer, NULL, NULL, &all);
        for (size_t i = 0; change->ops.added && i < all.n; i++)
            change->ops.added(all.items[i], change->userdata);
        return;
    }
    size_t kept = 0;
    for (size_t i = 0; i < informer->n_handlers; i++)
        if (informer->handlers[i].userdata != change->userdata)
            informer->handlers[kept++] = informer->handlers[i];
    informer->n_handlers = kept;
}

/* Handlers come and go while no watch is open. A new one is told of what is in the cache. Without any, the informer is
 * off: it forgets what it had, and nobody is told that it is gone. */
static void keeper_handlers(Informer *informer) {
    InformerSet *set = informer->set;
    client_watch_stop(set->client, TAKE_PTR(informer->watch));
    pthread_mutex_lock(&set->lock);
    _cleanup_free_ Handler *pending = TAKE_PTR(informer->pending);
    size_t n = informer->n_pending;
    informer->n_pending = 0;
    informer->changing_handlers = true;
    pthread_mutex_unlock(&set->lock);
    for (size_t i = 0; i < n; i++)
        change_handler(informer, &pending[i]);
    bool off = informer->n_handlers == 0;
    if (off) {
        empty_cache(informer);
        informer->revision = 0;
        informer->failures = 0;
        informer->due = 0;
    }
    pthread_mutex_lock(&set->lock);
    informer->changing_handlers = false;
    if (off)
        informer->state = STATE_OFF;
    else
        informer->state = informer->synced ? STATE_WATCH : STATE_LIST;
    informer->synced = informer->synced && !off;
    pthread_cond_broadcast(&set->changed);
    pthread_mutex_unlock(&set->lock);
}

/* An informer that needs the keeper now, or NULL and the instant when the next one will (0: none). Under the lock. */
static Informer *keeper_next(InformerSet *set, uint64_t *ret_due) {
    uint64_t now = now_monotonic_ns(), due = 0;
    for (size_t i = 0; i < set->n; i++) {
        Informer *informer = set->informers[i];
        if (informer->n_pending > 0)
            return informer;
        if (informer->state == STATE_WATCHING || informer->state == STATE_OFF)
            continue;
        if (informer->state == STATE_ENDED || informer->due <= now)
            return informer;
        if (due == 0 || informer->due < due)
            due = informer->due;
    }
    *ret_due = due;
    return NULL;
}

static void *keeper_main(void *userdata) {
    InformerSet *set = userdata;
    pthread_setname_np(pthread_self(), "informers");
    pthread_mutex_lock(&set->lock);
    while (!set->stopping) {
        uint64_t due = 0;
        Informer *informer = keeper_next(set, &due);
        if (!informer) {
            struct timespec until = {.tv_sec = (time_t)(due / NS_PER_SEC), .tv_nsec = (long)(due % NS_PER_SEC)};
            if (due == 0)
                pthread_cond_wait(&set->wake, &set->lock);
            else
                pthread_cond_timedwait(&set->wake, &set->lock, &until);
            continue;
        }
        InformerState state = informer->state;
        int error = informer->end_error;
        bool handlers_change = informer->n_pending > 0;
        pthread_mutex_unlock(&set->lock);
        if (handlers_change)
            keeper_handlers(informer);
        else if (state == STATE_LIST)
            keeper_list(informer);
        else if (state == STATE_WATCH)
            keeper_watch(informer);
        else
            keeper_ended(informer, error);
        pthread_mutex_lock(&set->lock);
    }
    pthread_mutex_unlock(&set->lock);
    for (size_t i = 0; i < set->n; i++)
        client_watch_stop(set->client, TAKE_PTR(set->informers[i]->watch));
    return NULL;
}

void informer_set_start(InformerSet *set) {
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, KEEPER_STACK_SIZE);
    int r = pthread_create(&set->keeper, &attr, keeper_main, set);
    if (r == 0)
        set->started = true;
    else
        log_error("no thread for the informers: %s", strerror(r));
    pthread_attr_destroy(&attr);
}

void informer_set_stop(InformerSet *set) {
    if (!set->started)
        return;
    pthread_mutex_lock(&set->lock);
    set->stopping = true;
    pthread_cond_broadcast(&set->wake);
    pthread_cond_broadcast(&set->changed);
    pthread_mutex_unlock(&set->lock);
    pthread_join(set->keeper, NULL);
    set->started = false;
}

void informer_set_free(InformerSet *set) {
    if (!set)
        return;
    informer_set_stop(set);
    for (size_t i = 0; i < set->n; i++)
        informer_free(set->informers[i]);
    free(set->informers);
    pthread_cond_destroy(&set->wake);
    pthread_cond_destroy(&set->changed);
    pthread_mutex_destroy(&set->lock);
    free(set);
}

static bool all_synced(const InformerSet *set) {
    for (size_t i = 0; i < set->n; i++) {
        const Informer *informer = set->informers[i];
        if (!informer->synced || informer->n_pending > 0 || informer->changing_handlers)
            return false;
    }
    return true;
}

bool informer_set_wait_synced(InformerSet *set, uint64_t timeout_ns) {
    uint64_t due = now_monotonic_ns() + timeout_ns;
    struct timespec until = {.tv_sec = (time_t)(due / NS_PER_SEC), .tv_nsec = (long)(due % NS_PER_SEC)};
    pthread_mutex_lock(&set->lock);
    int r = 0;
    while (!all_synced(set) && !set->stopping && r != ETIMEDOUT)
        r = pthread_cond_timedwait(&set->changed, &set->lock, &until);
    bool synced = all_synced(set);
    pthread_mutex_unlock(&set->lock);
    return synced;
}

bool informer_synced(const Informer *informer) {
    pthread_mutex_lock(&informer->set->lock);
    bool synced = informer->synced;
    pthread_mutex_unlock(&informer->set->lock);
    return synced;
}

bool informer_wait_synced(Informer *informer, uint64_t timeout_ns) {
    InformerSet *set = informer->set;
    uint64_t due = now_monotonic_ns() + timeout_ns;
    struct timespec until = {.tv_sec = (time_t)(due / NS_PER_SEC), .tv_nsec = (long)(due % NS_PER_SEC)};
    pthread_mutex_lock(&set->lock);
    int r = 0;
    while (!informer->synced && !set->stopping && r != ETIMEDOUT)
        r = pthread_cond_timedwait(&set->changed, &set->lock, &until);
    bool synced = informer->synced;
    pthread_mutex_unlock(&set->lock);
    return synced;
}

uint64_t informer_revision(const Informer *informer) {
    return informer->revision;
}

const Resource *informer_resource(const Informer *informer) {
    return informer->resource;
}

/* ---- questions ---- */

Object *informer_lookup(Informer *informer, const char *ns, const char *name) {
    pthread_mutex_lock(&informer->lock);
    Object *object = cache_find(informer, ns, name);
    pthread_mutex_unlock(&informer->lock);
    return object;
}

/* Builds an index that nobody asked for until now. Under the lock. */
static void index_build(Informer *informer, ObjectIndex *index, bool *has) {
    if (*has)
        return;
    *has = true;
    size_t cursor = 0, n;
    Object *const *group;
    while ((group = object_index_next(&informer->by_key, &cursor, &n)))
        object_index_add(index, group[0]);
}

Object *informer_lookup_uid(Informer *informer, const char *uid) {
    size_t n;
    pthread_mutex_lock(&informer->lock);
    index_build(informer, &informer->by_uid, &informer->has_uid);
    Object *const *found = object_index_find(&informer->by_uid, (IndexText){.text = uid}, &n);
    Object *object = found ? object_ref(found[0]) : NULL;
    pthread_mutex_unlock(&informer->lock);
    return object;
}

static void list_append(ClientList *list, size_t *cap, Object *object) {
    if (list->n == *cap) {
        *cap = MAX(*cap * 2, (size_t)16);
        list->items = xreallocn(list->items, *cap, sizeof(*list->items));
    }
    list->items[list->n++] = object_ref(object);
}

void informer_list(Informer *informer, const char *ns, const Selector *labels, ClientList *ret) {
    ClientList list = {0};
    size_t cap = 0, cursor = 0, n;
    Object *const *group;
    pthread_mutex_lock(&informer->lock);
    while ((group = object_index_next(&informer->by_key, &cursor, &n)))
        if ((!ns || streq(object_namespace(group[0]), ns)) && (!labels || label_selector_matches(labels, group[0])))
            list_append(&list, &cap, group[0]);
    pthread_mutex_unlock(&informer->lock);
    *ret = list;
}

static void list_group(const ObjectIndex *index, const char *ns, const char *value, ClientList *ret) {
    ClientList list = {0};
    size_t n;
    Object *const *group = object_index_find(index, (IndexText){.ns = ns, .text = value}, &n);
    if (group) {
        list.items = xreallocn(NULL, n, sizeof(*list.items));
        for (size_t i = 0; i < n; i++)
            list.items[list.n++] = object_ref(group[i]);
    }
    *ret = list;
}

void informer_list_controlled(Informer *informer, const char *owner_uid, ClientList *ret) {
    pthread_mutex_lock(&informer->lock);
    index_build(informer, &informer->by_controller, &informer->has_controller);
    list_group(&informer->by_controller, NULL, owner_uid, ret);
    pthread_mutex_unlock(&informer->lock);
}

void informer_list_orphans(Informer *informer, const char *ns, ClientList *ret) {
    pthread_mutex_lock(&informer->lock);
    index_build(informer, &informer->by_controller, &informer->has_controller);
    list_group(&informer->by_controller, ns, "", ret);
    pthread_mutex_unlock(&informer->lock);
}

void informer_list_by_field(Informer *informer, const char *field, const char *value, ClientList *ret) {
    *ret = (ClientList){0};
    for (size_t i = 0; i < informer->n_fields; i++) {
        if (!streq(informer->fields[i], field))
            continue;
        pthread_mutex_lock(&informer->lock);
        list_group(&informer->by_field[i], NULL, value, ret);
        pthread_mutex_unlock(&informer->lock);
        return;
    }
    log_error("no index by %s of %s", field, informer->resource->plural);
}
