/* Finished Jobs go when their ttlSecondsAfterFinished are over. */
#define LOG_COMPONENT "ttl-after-finished"
#include "controllers/controller.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "controllers/meta.h"

#include <errno.h>
#include <stdio.h>

typedef struct Ttl {
    Client *client;
    Informer *jobs;
    WorkQueue *queue;
} Ttl;

/* When it may be deleted; 0: never. */
static int64_t expires_at(const Object *job, Arena *arena) {
    Value *value = object_value(job, arena), *condition;
    int64_t seconds = value_get_int(value_get(value, "spec"), "ttlSecondsAfterFinished", -1);
    if (seconds < 0 || object_is_deleting(job))
        return 0;
    VALUE_FOREACH (condition, value_path(value, "status", "conditions", NULL)) {
        const char *type = str_or(value_get_str(condition, "type"), "");
        if ((streq(type, "Complete") || streq(type, "Failed")) &&
            streq(str_or(value_get_str(condition, "status"), ""), "True"))
            return ns_after(value_get_time(condition, "lastTransitionTime"), seconds);
    }
    return 0;
}

static int sync_key(const char *key, void *userdata) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    Ttl *all = userdata;
    KeyParts parts;
    if (!controller_key_split(key, &parts))
        return 0;
    _cleanup_object_ Object *cached = informer_lookup(all->jobs, parts.ns, parts.name), *live = NULL;
    int64_t at = cached ? expires_at(cached, arena) : 0, now = now_realtime_ns();
    if (at == 0)
        return 0;
    if (at > now) {
        workqueue_add_after(all->queue, key, (uint64_t)(at - now));
        return 0;
    }
    /* The TTL may have been raised, or the job be another one: the server decides. */
    int r = client_get(all->client, informer_resource(all->jobs), parts.ns, parts.name, &live, NULL);
    if (r < 0)
        return r == -ENOENT ? 0 : r;
    at = expires_at(live, arena);
    if (at == 0 || at > now)
        return 0;
    char revision[24];
    snprintf(revision, sizeof revision, "%llu", (unsigned long long)object_revision(live));
    ClientDelete options = {
        .uid = object_uid(live), .resource_version = revision, .grace_seconds = -1, .propagation = "Foreground"};
    log_info("deleting job %s: its time to live after it finished is over", key);
    r = client_delete(all->client, informer_resource(all->jobs), parts.ns, parts.name, &options, NULL);
    return r == -ENOENT ? 0 : r;
}

static void *init(Controller *controller) {
    Ttl *all = NEW0(Ttl);
    all->client = controller_client(controller);
    all->jobs = controller_informer(controller, "batch", "v1", "jobs");
    all->queue = controller_queue(controller, "ttl_jobs_to_delete", 1, sync_key, all);
    controller_watch(all->jobs, all->queue);
    return all;
}

const ControllerRow controller_ttl_after_finished = {.name = "ttl-after-finished-controller", .init = init};
