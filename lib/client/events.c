/* The recorder: callers fill a bounded queue, one thread (started by the first event, ended after a rest) correlates
 * and sends. Correlation as client-go's EventCorrelator: the same event again grows its count by patch; more than
 * SIMILAR_MAX events that differ only in their message become one "(combined from similar events)"; and each (source,
 * object) has a bucket of SPAM_BURST events that refills at one in SPAM_REFILL_SECONDS. */
#define LOG_COMPONENT "events"
#include "client/events.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "base/strmap.h"
#include "client/workqueue.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>

#define MESSAGE_MAX 1024 /* the API's limit of an event's message */
#define CACHE_MAX 512    /* remembered events, groups and sources each; past it the cache starts anew */
#define SIMILAR_MAX 10
#define SIMILAR_SECONDS 600
#define SPAM_BURST 25
#define SPAM_REFILL_SECONDS 300
#define SEND_TRIES 12 /* client-go's maxTriesPerEvent */

typedef struct Pending {
    struct Pending *next;
    Object *about;
    char *field_path;
    const char *type;
    char *reason, *message;
    int64_t at_ns;
} Pending;

typedef struct Known { /* an event that was sent */
    char *name;
    int64_t count, first_ns;
} Known;

typedef struct Group {                  /* events that differ in their message only */
    uint64_t messages[SIMILAR_MAX - 1]; /* hashes of the distinct messages seen */
    unsigned n;
    int64_t last_ns;
} Group;

typedef struct Bucket {
    double tokens;
    int64_t at_ns;
} Bucket;

struct EventRecorder {
    Client *client;
    char *component, *host;
    const Resource *events;
    pthread_mutex_t lock;
    pthread_cond_t empty;
    Pending *head, *tail;
    size_t n;
    uint64_t n_dropped;
    WorkQueue *queue;                 /* one key: "send" */
    StrMap *known, *groups, *buckets; /* of the sending thread */
};

static void pending_free(Pending *pending) {
    if (!pending)
        return;
    object_unref(pending->about);
    free(pending->field_path);
    free(pending->reason);
    free(pending->message);
    free(pending);
}

static void known_free(void *p) {
    Known *known = p;
    free(known->name);
    free(known);
}

static int send_all(const char *key, void *userdata);

EventRecorder *event_recorder_new(Client *client, const char *component, const char *host) {
    EventRecorder *recorder = NEW0(EventRecorder);
    pthread_condattr_t attr;
    recorder->client = client;
    recorder->component = xstrdup(component);
    recorder->host = xstrdup(host ? host : "");
    recorder->events = resource_find("", "v1", "events");
    pthread_mutex_init(&recorder->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&recorder->empty, &attr);
    pthread_condattr_destroy(&attr);
    recorder->known = strmap_new(known_free);
    recorder->groups = strmap_new(free);
    recorder->buckets = strmap_new(free);
    recorder->queue = workqueue_new("events", 1, send_all, recorder);
    return recorder;
}

void event_recorder_free(EventRecorder *recorder) {
    if (!recorder)
        return;
    uint64_t due = now_monotonic_ns() + NS_PER_SEC;
    struct timespec until = {.tv_sec = (time_t)(due / NS_PER_SEC), .tv_nsec = (long)(due % NS_PER_SEC)};
    pthread_mutex_lock(&recorder->lock);
    while (recorder->head && pthread_cond_timedwait(&recorder->empty, &recorder->lock, &until) == 0)
        ;
    Pending *rest = TAKE_PTR(recorder->head);
    recorder->tail = NULL;
    pthread_mutex_unlock(&recorder->lock);
    workqueue_free(recorder->queue);
    while (rest) {
        Pending *next = rest->next;
        pending_free(rest);
        rest = next;
    }
    strmap_free(recorder->known);
    strmap_free(recorder->groups);
    strmap_free(recorder->buckets);
    pthread_cond_destroy(&recorder->empty);
    pthread_mutex_destroy(&recorder->lock);
    free(recorder->component);
    free(recorder->host);
    free(recorder);
}

void event_record(EventRecorder *recorder, const Object *about, const char *field_path, const char *type,
                  const char *reason, const char *format, ...) {
    if (!recorder)
        return;
    char message[MESSAGE_MAX + 1];
    va_list ap;
    va_start(ap, format);
    vsnprintf(message, sizeof message, format, ap);
    va_end(ap);
    Pending *pending = NEW(Pending);
    *pending = (Pending){.about = object_ref((Object *)about),
                         .field_path = xstrdup(field_path),
                         .type = streq(type, "Warning") ? "Warning" : "Normal",
                         .reason = xstrdup(reason),
                         .message = xstrdup(message),
                         .at_ns = now_realtime_ns()};
    pthread_mutex_lock(&recorder->lock);
    bool full = recorder->n >= EVENTS_QUEUE_MAX;
    if (!full) {
        if (recorder->tail)
            recorder->tail->next = pending;
        else
            recorder->head = pending;
        recorder->tail = pending;
        recorder->n++;
    }
    pthread_mutex_unlock(&recorder->lock);
    if (full) {
        log_warn("the queue is full: dropped %s about %s/%s", reason, object_namespace(about), object_name(about));
        pending_free(pending);
        return;
    }
    workqueue_add(recorder->queue, "send");
}

/* ---- the sending thread ---- */

static void limit_cache(StrMap *map) {
    if (strmap_size(map) > CACHE_MAX)
        strmap_clear(map);
}

static bool spam_allows(EventRecorder *recorder, const Pending *pending) {
    limit_cache(recorder->buckets);
    const char *uid = object_uid(pending->about);
    Bucket *bucket = strmap_get(recorder->buckets, uid);
    if (!bucket) {
        bucket = NEW(Bucket);
        *bucket = (Bucket){.tokens = SPAM_BURST, .at_ns = pending->at_ns};
        strmap_put(recorder->buckets, uid, bucket);
    }
    double passed = (double)(pending->at_ns - bucket->at_ns) / (double)NS_PER_SEC;
    bucket->tokens = MIN(bucket->tokens + MAX(passed, 0.0) / SPAM_REFILL_SECONDS, (double)SPAM_BURST);
    bucket->at_ns = pending->at_ns;
    if (bucket->tokens < 1)
        return false;
    bucket->tokens -= 1;
    return true;
}

/* True when this event is one of too many that differ only in the message: the SIMILAR_MAX-th message and all after it.
 * Messages known by then stay events of their own; a group that was silent for SIMILAR_SECONDS begins anew. */
static bool is_one_of_many(EventRecorder *recorder, Arena *arena, const Pending *pending) {
    limit_cache(recorder->groups);
    const char *key = arena_printf(arena, "%s\n%s\n%s", object_uid(pending->about), pending->type, pending->reason);
    Group *group = strmap_get(recorder->groups, key);
    if (!group) {
        group = NEW0(Group);
        strmap_put(recorder->groups, key, group);
    }
    if (pending->at_ns - group->last_ns > (int64_t)(SIMILAR_SECONDS * NS_PER_SEC))
        group->n = 0;
    group->last_ns = pending->at_ns;
    uint64_t message = hash_bytes(pending->message, strlen(pending->message));
    for (unsigned i = 0; i < group->n; i++)
        if (group->messages[i] == message)
            return false;
    if (group->n == ELEMENTSOF(group->messages))
        return true;
    group->messages[group->n++] = message;
    return false;
}

static Value *event_value(EventRecorder *recorder, Arena *arena, const Pending *pending, const char *ns,
                          const char *name, const char *message) {
    const Object *about = pending->about;
    const Resource *resource = object_resource(about);
    char now[RFC3339_MAX];
    Value *event = value_object(arena);
    value_set_str(arena, event, "apiVersion", "v1");
    value_set_str(arena, event, "kind", "Event");
    Value *metadata = value_ensure_object(arena, event, "metadata");
    value_set_str(arena, metadata, "name", name);
    value_set_str(arena, metadata, "namespace", ns);
    Value *involved = value_ensure_object(arena, event, "involvedObject");
    value_set_str(arena, involved, "kind", resource->kind);
    if (*object_namespace(about))
        value_set_str(arena, involved, "namespace", object_namespace(about));
    value_set_str(arena, involved, "name", object_name(about));
    value_set_str(arena, involved, "uid", object_uid(about));
    value_set_str(arena, involved, "apiVersion", resource_api_version(arena, resource));
    value_set_str(arena, involved, "resourceVersion",
                  arena_printf(arena, "%llu", (unsigned long long)object_revision(about)));
    value_set_str(arena, involved, "fieldPath", pending->field_path);
    value_set_str(arena, event, "reason", pending->reason);
    value_set_str(arena, event, "message", message);
    Value *source = value_ensure_object(arena, event, "source");
    value_set_str(arena, source, "component", recorder->component);
    if (*recorder->host)
        value_set_str(arena, source, "host", recorder->host);
    rfc3339_format(pending->at_ns, now);
    value_set_str(arena, event, "firstTimestamp", now);
    value_set_str(arena, event, "lastTimestamp", now);
    value_set_int(arena, event, "count", 1);
    value_set_str(arena, event, "type", pending->type);
    value_set(arena, event, "eventTime", value_null(arena));
    value_set_str(arena, event, "reportingComponent", recorder->component);
    value_set_str(arena, event, "reportingInstance", recorder->host);
    return event;
}

static int send_again(EventRecorder *recorder, Arena *arena, const Pending *pending, Known *known, const char *ns,
                      const char *message, ApiError *err) {
    char now[RFC3339_MAX];
    Value *patch = value_object(arena);
    value_set_int(arena, patch, "count", known->count + 1);
    value_set_str(arena, patch, "lastTimestamp", rfc3339_format(pending->at_ns, now));
    value_set_str(arena, patch, "message", message);
    int r = client_patch(recorder->client, recorder->events, ns, known->name, NULL, PATCH_STRATEGIC, patch, NULL, err);
    if (r >= 0)
        known->count++;
    return r;
}

static int send_new(EventRecorder *recorder, Arena *arena, const Pending *pending, const char *key, const char *ns,
                    const char *message, ApiError *err) {
    /* client-go's name: the object's and the time in nanoseconds, in hexadecimal */
    const char *name = arena_printf(arena, "%s.%llx", object_name(pending->about), (unsigned long long)pending->at_ns);
    Value *event = event_value(recorder, arena, pending, ns, name, message);
    int r = client_create(recorder->client, recorder->events, ns, event, NULL, err);
    if (r < 0)
        return r;
    limit_cache(recorder->known);
    Known *known = NEW0(Known);
    *known = (Known){.name = xstrdup(name), .count = 1, .first_ns = pending->at_ns};
    strmap_put(recorder->known, key, known);
    return 0;
}

static int send_one(EventRecorder *recorder, const Pending *pending) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    _cleanup_api_error_ ApiError err = {0};
    const char *ns = str_or(object_namespace(pending->about), "default"), *message = pending->message;
    if (!spam_allows(recorder, pending))
        return 0;
    bool many = is_one_of_many(recorder, arena, pending);
    if (many)
        message = arena_printf(arena, "(combined from similar events): %s", pending->message);
    const char *key =
        arena_printf(arena, "%s\n%s\n%s\n%s\n%s", object_uid(pending->about), pending->type, pending->reason,
                     pending->field_path ? pending->field_path : "", many ? "" : message);
    Known *known = strmap_get(recorder->known, key);
    int r = -ENOENT;
    if (known)
        r = send_again(recorder, arena, pending, known, ns, message, &err);
    if (r == -ENOENT) {
        api_error_done(&err);
        r = send_new(recorder, arena, pending, key, ns, message, &err);
    }
    if (r >= 0)
        return 0;
    /* Answers of the server are final; only when it could not be reached is there something to try again. */
    if (err.code != 503 && err.code != 504) {
        log_debug("event %s about %s/%s refused: %s", pending->reason, object_namespace(pending->about),
                  object_name(pending->about), err.message ? err.message : strerror(-r));
        return 0;
    }
    return r;
}

static int send_all(const char *key, void *userdata) {
    EventRecorder *recorder = userdata;
    for (;;) {
        pthread_mutex_lock(&recorder->lock);
        Pending *pending = recorder->head;
        if (pending) {
            recorder->head = pending->next;
            if (!recorder->head)
                recorder->tail = NULL;
        } else
            pthread_cond_broadcast(&recorder->empty);
        pthread_mutex_unlock(&recorder->lock);
        if (!pending)
            return 0;
        int r = send_one(recorder, pending);
        bool again = r < 0 && workqueue_retries(recorder->queue, key) < SEND_TRIES;
        pthread_mutex_lock(&recorder->lock);
        if (again) {
            pending->next = recorder->head;
            recorder->head = pending;
            if (!recorder->tail)
                recorder->tail = pending;
        } else
            recorder->n--;
        pthread_mutex_unlock(&recorder->lock);
        if (again)
            return r;
        pending_free(pending);
    }
}
