/* Exits are seen in the folder of exit records: monitors rename them into place. Starts are told by container_start. */
#define LOG_COMPONENT "runtime"
#include "base/log.h"
#include "base/str.h"
#include "kubelet/runtime/oci_internal.h"

#include <errno.h>
#include <sys/inotify.h>
#include <unistd.h>

/* Outlives the driver while events are on their way to the loop. */
struct Subscription {
    atomic_uint refs;
    atomic_bool active;
    void (*fn)(RuntimeEventType type, const char *sandbox_id, const char *container_id, void *userdata);
    void *userdata;
};

static void subscription_unref(Subscription *s) {
    if (s && --s->refs == 0)
        free(s);
}

typedef struct Event {
    Subscription *to;
    RuntimeEventType type;
    char *sandbox_id, *container_id;
} Event;

static void tell(void *userdata) {
    Event *e = userdata;
    if (e->to->active)
        e->to->fn(e->type, e->sandbox_id, e->container_id, e->to->userdata);
    subscription_unref(e->to);
    free(e->sandbox_id);
    free(e->container_id);
    free(e);
}

void events_post(OciRuntime *rt, RuntimeEventType type, const Container *c) {
    if (!rt->subscription)
        return;
    Event *e = NEW0(Event);
    *e = (Event){rt->subscription, type, xstrdup(c->sandbox_id), xstrdup(c->id)};
    e->to->refs++;
    loop_post(rt->loop, tell, e);
}

static void exits_changed(Source *source, int fd, uint32_t revents, void *userdata) {
    (void)source;
    (void)revents;
    OciRuntime *rt = userdata;
    char buffer[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
    ssize_t n;
    while ((n = read(fd, buffer, sizeof buffer)) > 0)
        for (char *p = buffer; p < buffer + n;) {
            struct inotify_event *event = (struct inotify_event *)p;
            p += sizeof *event + event->len;
            _cleanup_(container_unrefp) Container *c = event->len ? container_find(rt, event->name) : NULL;
            if (!c)
                continue;
            container_refresh(rt, c);
            rt->subscription->fn(RUNTIME_CONTAINER_EXITED, c->sandbox_id, c->id, rt->subscription->userdata);
        }
}

int oci_subscribe(Runtime *runtime, Loop *loop,
                  void (*fn)(RuntimeEventType type, const char *sandbox_id, const char *container_id, void *userdata),
                  void *userdata) {
    OciRuntime *rt = oci_of(runtime);
    if (rt->source)
        return -EBUSY;
    int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (fd < 0)
        return -errno;
    int r = inotify_add_watch(fd, rt->exits, IN_MOVED_TO) < 0
                ? -errno
                : loop_add_io(loop, fd, EPOLLIN, exits_changed, rt, &rt->source);
    if (r < 0) {
        close(fd);
        return r;
    }
    rt->inotify = fd;
    rt->loop = loop;
    rt->subscription = NEW0(Subscription);
    *rt->subscription = (Subscription){.fn = fn, .userdata = userdata};
    rt->subscription->refs = 1;
    rt->subscription->active = true;
    /* After the watch stands, so that nothing falls between; what is told twice is only read twice. */
    Container **list;
    size_t n = container_collect(rt, NULL, &list);
    for (size_t i = 0; i < n; i++) {
        container_refresh(rt, list[i]);
        if (list[i]->exited)
            events_post(rt, RUNTIME_CONTAINER_EXITED, list[i]);
        container_unref(list[i]);
    }
    free(list);
    return 0;
}

void events_stop(OciRuntime *rt) {
    rt->source = source_unref(rt->source);
    rt->loop = NULL;
    if (rt->subscription)
        rt->subscription->active = false;
    subscription_unref(rt->subscription);
    rt->subscription = NULL;
    closep(&rt->inotify);
    rt->inotify = -1;
}

void oci_unsubscribe(Runtime *runtime) {
    events_stop(oci_of(runtime));
}
