/* A container runtime in memory: containers run until the test ends them, stop signals end them at once, and everything
 * that was asked is written down in order ("start a", "stop a 30"). Included by one test program each. */
#pragma once

#include "base/clock.h"
#include "base/str.h"
#include "kubelet/runtime/runtime.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

#define FAKE_CONTAINERS_MAX 256
#define FAKE_SANDBOXES_MAX 64
#define FAKE_LOG_MAX 65536
#define FAKE_POSTED_MAX 1024

typedef struct FakeContainer {
    char id[16], sandbox[16], name[64];
    uint32_t attempt;
    ContainerState state;
    int64_t created_ns, started_ns, finished_ns;
    int exit_code;
    RuntimePair annotations[8];
    size_t n_annotations;
} FakeContainer;

typedef struct FakePosted {
    struct FakeRuntime *f;
    RuntimeEventType type;
    char sandbox[16], container[16];
} FakePosted;

typedef struct FakeRuntime {
    Runtime base;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    FakeContainer containers[FAKE_CONTAINERS_MAX];
    size_t n_containers;
    struct {
        char id[16], ns[64], name[64], uid[64];
        bool ready;
        uint32_t attempt;
    } sandboxes[FAKE_SANDBOXES_MAX];
    size_t n_sandboxes;
    Loop *loop;
    void (*event)(RuntimeEventType type, const char *sandbox_id, const char *container_id, void *userdata);
    void *userdata;
    FakePosted posted[FAKE_POSTED_MAX]; /* a loop that ends does not run what was posted last */
    size_t n_posted;
    char log[FAKE_LOG_MAX];
    /* What the test wants: */
    const char *fail_start; /* the container of that name cannot be started */
    int exec_code;          /* how commands end */
    bool exec_held;         /* commands do not end */
    uint64_t memory_usage;  /* of each container */
    atomic_bool interrupted;
} FakeRuntime;

static FakeRuntime *fake_of(Runtime *base) {
    return (FakeRuntime *)base;
}

/* Under the lock. */
static void fake_log(FakeRuntime *f, const char *format, ...) _printf_(2, 3);
static void fake_log(FakeRuntime *f, const char *format, ...) {
    size_t n = strlen(f->log);
    va_list ap;
    va_start(ap, format);
    vsnprintf(f->log + n, sizeof f->log - n, format, ap);
    va_end(ap);
    n = strlen(f->log);
    snprintf(f->log + n, sizeof f->log - n, "\n");
    pthread_cond_broadcast(&f->changed);
}

static void fake_event_arrived(void *userdata) {
    FakePosted *p = userdata;
    if (p->f->event)
        p->f->event(p->type, p->sandbox, p->container, p->f->userdata);
}

/* Under the lock. */
static void fake_tell(FakeRuntime *f, RuntimeEventType type, const FakeContainer *c) {
    if (!f->loop)
        return;
    FakePosted *p = &f->posted[f->n_posted++ % FAKE_POSTED_MAX];
    p->f = f;
    p->type = type;
    snprintf(p->sandbox, sizeof p->sandbox, "%s", c->sandbox);
    snprintf(p->container, sizeof p->container, "%s", c->id);
    loop_post(f->loop, fake_event_arrived, p);
}

static FakeContainer *fake_container(FakeRuntime *f, const char *id) {
    for (size_t i = 0; i < f->n_containers; i++)
        if (*f->containers[i].id && streq(f->containers[i].id, id))
            return &f->containers[i];
    return NULL;
}

static void fake_end(FakeRuntime *f, FakeContainer *c, int code) {
    c->state = CONTAINER_EXITED;
    c->exit_code = code;
    c->finished_ns = now_realtime_ns();
    fake_tell(f, RUNTIME_CONTAINER_EXITED, c);
    pthread_cond_broadcast(&f->changed);
}

static int fake_version(Runtime *base, char **ret_name, char **ret_version) {
    (void)base;
    *ret_name = xstrdup("fake");
    *ret_version = xstrdup("1");
    return 0;
}

static int fake_sandbox_create(Runtime *base, const SandboxSpec *spec, char **ret_id, char **ret_error) {
    (void)ret_error;
    FakeRuntime *f = fake_of(base);
    pthread_mutex_lock(&f->lock);
    size_t i = f->n_sandboxes++;
    snprintf(f->sandboxes[i].id, 16, "s%zu", i);
    snprintf(f->sandboxes[i].ns, 64, "%s", spec->ns);
    snprintf(f->sandboxes[i].name, 64, "%s", spec->name);
    snprintf(f->sandboxes[i].uid, 64, "%s", spec->uid);
    f->sandboxes[i].ready = true;
    f->sandboxes[i].attempt = spec->attempt;
    fake_log(f, "sandbox %s", spec->name);
    *ret_id = xstrdup(f->sandboxes[i].id);
    pthread_mutex_unlock(&f->lock);
    return 0;
}

static ssize_t fake_sandbox(FakeRuntime *f, const char *id) {
    for (size_t i = 0; i < f->n_sandboxes; i++)
        if (*f->sandboxes[i].id && streq(f->sandboxes[i].id, id))
            return (ssize_t)i;
    return -1;
}

static void fake_sandbox_describe(FakeRuntime *f, size_t i, SandboxStatus *ret) {
    *ret = (SandboxStatus){.id = xstrdup(f->sandboxes[i].id),
                           .ns = xstrdup(f->sandboxes[i].ns),
                           .name = xstrdup(f->sandboxes[i].name),
                           .uid = xstrdup(f->sandboxes[i].uid),
                           .attempt = f->sandboxes[i].attempt,
                           .ready = f->sandboxes[i].ready,
                           .created_ns = (int64_t)i + 1,
                           .ip = xasprintf("192.0.2.%zu", i + 10),
                           .ips = NEWN0(char *, 2)};
    ret->ips[0] = xstrdup(ret->ip);
}

static int fake_sandbox_status(Runtime *base, const char *id, SandboxStatus *ret) {
    FakeRuntime *f = fake_of(base);
    pthread_mutex_lock(&f->lock);
    ssize_t i = fake_sandbox(f, id);
    if (i >= 0)
        fake_sandbox_describe(f, (size_t)i, ret);
    pthread_mutex_unlock(&f->lock);
    return i < 0 ? -ENOENT : 0;
}

static int fake_sandbox_stop(Runtime *base, const char *id, char **ret_error) {
    (void)ret_error;
    FakeRuntime *f = fake_of(base);
    pthread_mutex_lock(&f->lock);
    ssize_t i = fake_sandbox(f, id);
    if (i >= 0)
        f->sandboxes[i].ready = false;
    for (size_t j = 0; i >= 0 && j < f->n_containers; j++)
        if (*f->containers[j].id && streq(f->containers[j].sandbox, id) && f->containers[j].state == CONTAINER_RUNNING)
            fake_end(f, &f->containers[j], 137);
    pthread_mutex_unlock(&f->lock);
    return 0;
}

static void fake_forget(FakeContainer *c) {
    for (size_t i = 0; i < c->n_annotations; i++) {
        free(c->annotations[i].key);
        free(c->annotations[i].value);
    }
    *c = (FakeContainer){0};
}

static int fake_sandbox_remove(Runtime *base, const char *id, char **ret_error) {
    FakeRuntime *f = fake_of(base);
    fake_sandbox_stop(base, id, ret_error);
    pthread_mutex_lock(&f->lock);
    ssize_t i = fake_sandbox(f, id);
    if (i >= 0) {
        fake_log(f, "remove sandbox %s", f->sandboxes[i].name);
        *f->sandboxes[i].id = 0;
    }
    for (size_t j = 0; j < f->n_containers; j++)
        if (*f->containers[j].id && streq(f->containers[j].sandbox, id))
            fake_forget(&f->containers[j]);
    pthread_mutex_unlock(&f->lock);
    return 0;
}

static int fake_sandbox_list(Runtime *base, SandboxStatus **ret, size_t *ret_n) {
    FakeRuntime *f = fake_of(base);
    pthread_mutex_lock(&f->lock);
    *ret = NEWN0(SandboxStatus, f->n_sandboxes + 1);
    *ret_n = 0;
    for (size_t i = 0; i < f->n_sandboxes; i++)
        if (*f->sandboxes[i].id)
            fake_sandbox_describe(f, i, &(*ret)[(*ret_n)++]);
    pthread_mutex_unlock(&f->lock);
    return 0;
}

static int fake_container_create(Runtime *base, const char *sandbox_id, const ContainerSpec *spec, char **ret_id,
                                 char **ret_error) {
    (void)ret_error;
    FakeRuntime *f = fake_of(base);
    pthread_mutex_lock(&f->lock);
    size_t i = f->n_containers++;
    FakeContainer *c = &f->containers[i];
    *c = (FakeContainer){.attempt = spec->attempt, .created_ns = now_realtime_ns()};
    snprintf(c->id, sizeof c->id, "c%zu", i);
    snprintf(c->sandbox, sizeof c->sandbox, "%s", sandbox_id);
    snprintf(c->name, sizeof c->name, "%s", spec->name);
    for (size_t j = 0; j < spec->n_annotations; j++)
        c->annotations[c->n_annotations++] =
            (RuntimePair){xstrdup(spec->annotations[j].key), xstrdup(spec->annotations[j].value)};
    *ret_id = xstrdup(c->id);
    pthread_mutex_unlock(&f->lock);
    return 0;
}

static int fake_container_start(Runtime *base, const char *id, char **ret_error) {
    FakeRuntime *f = fake_of(base);
    int r = 0;
    pthread_mutex_lock(&f->lock);
    FakeContainer *c = fake_container(f, id);
    if (!c)
        r = -ENOENT;
    else if (f->fail_start && streq(f->fail_start, c->name)) {
        *ret_error = xstrdup("made to fail");
        fake_log(f, "fail %s", c->name);
        c->state = CONTAINER_EXITED;
        c->exit_code = 128;
        c->finished_ns = now_realtime_ns();
        r = -EIO;
    } else {
        c->state = CONTAINER_RUNNING;
        c->started_ns = now_realtime_ns();
        fake_log(f, "start %s", c->name);
        fake_tell(f, RUNTIME_CONTAINER_STARTED, c);
    }
    pthread_mutex_unlock(&f->lock);
    return r;
}

static int fake_container_stop(Runtime *base, const char *id, uint64_t timeout_ns, char **ret_error) {
    (void)ret_error;
    FakeRuntime *f = fake_of(base);
    pthread_mutex_lock(&f->lock);
    FakeContainer *c = fake_container(f, id);
    if (c && c->state == CONTAINER_RUNNING) {
        fake_log(f, "stop %s %llu", c->name, (unsigned long long)(timeout_ns / NS_PER_SEC));
        fake_end(f, c, 143);
    }
    pthread_mutex_unlock(&f->lock);
    return 0;
}

static int fake_container_remove(Runtime *base, const char *id, char **ret_error) {
    (void)ret_error;
    FakeRuntime *f = fake_of(base);
    pthread_mutex_lock(&f->lock);
    FakeContainer *c = fake_container(f, id);
    if (c) {
        fake_log(f, "remove %s", c->name);
        fake_forget(c);
    }
    pthread_mutex_unlock(&f->lock);
    return 0;
}

static void fake_describe(const FakeContainer *c, ContainerStatus *ret) {
    *ret = (ContainerStatus){.id = xstrdup(c->id),
                             .sandbox_id = xstrdup(c->sandbox),
                             .name = xstrdup(c->name),
                             .image_id = xstrdup("sha256:1"),
                             .image_ref = xstrdup("app:1"),
                             .log_path = xstrdup("/dev/null"),
                             .attempt = c->attempt,
                             .state = c->state,
                             .created_ns = c->created_ns,
                             .started_ns = c->started_ns,
                             .finished_ns = c->finished_ns,
                             .exit_code = c->exit_code,
                             .reason = xstrdup(c->exit_code ? "Error" : "Completed"),
                             .annotations = NEWN0(RuntimePair, c->n_annotations + 1),
                             .n_annotations = c->n_annotations};
    for (size_t i = 0; i < c->n_annotations; i++)
        ret->annotations[i] = (RuntimePair){xstrdup(c->annotations[i].key), xstrdup(c->annotations[i].value)};
}

static int fake_container_status(Runtime *base, const char *id, ContainerStatus *ret) {
    FakeRuntime *f = fake_of(base);
    pthread_mutex_lock(&f->lock);
    const FakeContainer *c = fake_container(f, id);
    if (c)
        fake_describe(c, ret);
    pthread_mutex_unlock(&f->lock);
    return c ? 0 : -ENOENT;
}

static int fake_container_list(Runtime *base, const char *sandbox_id, ContainerStatus **ret, size_t *ret_n) {
    FakeRuntime *f = fake_of(base);
    pthread_mutex_lock(&f->lock);
    *ret = NEWN0(ContainerStatus, f->n_containers + 1);
    *ret_n = 0;
    for (size_t i = 0; i < f->n_containers; i++)
        if (*f->containers[i].id && (!sandbox_id || streq(f->containers[i].sandbox, sandbox_id)))
            fake_describe(&f->containers[i], &(*ret)[(*ret_n)++]);
    pthread_mutex_unlock(&f->lock);
    return 0;
}

static int fake_container_stats(Runtime *base, const char *id, ContainerStats *ret) {
    (void)id;
    FakeRuntime *f = fake_of(base);
    *ret = (ContainerStats){.memory_usage = f->memory_usage, .memory_working_set = f->memory_usage};
    return 0;
}

static int fake_container_update(Runtime *base, const char *id, const ContainerSpec *resources, char **ret_error) {
    (void)ret_error;
    FakeRuntime *f = fake_of(base);
    pthread_mutex_lock(&f->lock);
    const FakeContainer *c = fake_container(f, id);
    if (c)
        fake_log(f, "update %s shares %lld quota %lld", c->name, (long long)resources->cpu_shares,
                 (long long)resources->cpu_quota);
    pthread_mutex_unlock(&f->lock);
    return c ? 0 : -ENOENT;
}

static int fake_exec_sync(Runtime *base, const char *id, const char *const *command, uint64_t timeout_ns, size_t limit,
                          Buf *out, int *ret_exit_code, char **ret_error) {
    (void)limit;
    (void)out;
    (void)ret_error;
    FakeRuntime *f = fake_of(base);
    uint64_t deadline = timeout_ns ? now_monotonic_ns() + timeout_ns : UINT64_MAX;
    int r = 0;
    pthread_mutex_lock(&f->lock);
    const FakeContainer *c = fake_container(f, id);
    fake_log(f, "exec %s %s", c ? c->name : "?", command[0]);
    while (f->exec_held && !f->interrupted && r == 0) {
        pthread_mutex_unlock(&f->lock);
        nanosleep(&(struct timespec){.tv_nsec = (long)NS_PER_MS}, NULL);
        pthread_mutex_lock(&f->lock);
        if (now_monotonic_ns() >= deadline)
            r = -ETIMEDOUT;
    }
    *ret_exit_code = f->exec_code;
    pthread_mutex_unlock(&f->lock);
    return f->interrupted ? -ECANCELED : r;
}

static int fake_subscribe(Runtime *base, Loop *loop,
                          void (*fn)(RuntimeEventType type, const char *sandbox_id, const char *container_id,
                                     void *userdata),
                          void *userdata) {
    FakeRuntime *f = fake_of(base);
    pthread_mutex_lock(&f->lock);
    f->loop = loop;
    f->event = fn;
    f->userdata = userdata;
    pthread_mutex_unlock(&f->lock);
    return 0;
}

static void fake_unsubscribe(Runtime *base) {
    fake_subscribe(base, NULL, NULL, NULL);
}

static void fake_interrupt(Runtime *base, bool on) {
    atomic_store(&fake_of(base)->interrupted, on);
}

static FakeRuntime *fake_runtime_new(void) {
    FakeRuntime *f = NEW0(FakeRuntime);
    pthread_mutex_init(&f->lock, NULL);
    pthread_cond_init(&f->changed, NULL);
    f->base = (Runtime){.name = "fake",
                        .version = fake_version,
                        .sandbox_create = fake_sandbox_create,
                        .sandbox_status = fake_sandbox_status,
                        .sandbox_stop = fake_sandbox_stop,
                        .sandbox_remove = fake_sandbox_remove,
                        .sandbox_list = fake_sandbox_list,
                        .container_create = fake_container_create,
                        .container_start = fake_container_start,
                        .container_stop = fake_container_stop,
                        .container_remove = fake_container_remove,
                        .container_status = fake_container_status,
                        .container_list = fake_container_list,
                        .container_stats = fake_container_stats,
                        .container_update = fake_container_update,
                        .exec_sync = fake_exec_sync,
                        .subscribe = fake_subscribe,
                        .unsubscribe = fake_unsubscribe,
                        .interrupt = fake_interrupt};
    return f;
}

static void fake_runtime_free(FakeRuntime *f) {
    for (size_t i = 0; i < f->n_containers; i++)
        fake_forget(&f->containers[i]);
    pthread_cond_destroy(&f->changed);
    pthread_mutex_destroy(&f->lock);
    free(f);
}

/* ---- for tests ---- */

/* The newest running container of that name ends. False: none runs. */
_unused_ static bool fake_exit(FakeRuntime *f, const char *name, int code) {
    bool found = false;
    pthread_mutex_lock(&f->lock);
    for (size_t i = f->n_containers; i-- > 0 && !found;)
        if (*f->containers[i].id && streq(f->containers[i].name, name) && f->containers[i].state == CONTAINER_RUNNING) {
            fake_end(f, &f->containers[i], code);
            found = true;
        }
    pthread_mutex_unlock(&f->lock);
    return found;
}

/* How often a line starts with this. */
static size_t asked(FakeRuntime *f, const char *prefix) {
    size_t n = 0;
    pthread_mutex_lock(&f->lock);
    for (const char *line = f->log; *line; line = strchr(line, '\n') + 1)
        n += str_has_prefix(line, prefix);
    pthread_mutex_unlock(&f->lock);
    return n;
}
