/* Handlers: what a probe or a lifecycle hook does to a container. And postStart hooks, which run on a pool of their own
 * so that no sync waits for one. */
#include "kubelet/internal.h"

#include "base/clock.h"
#include "base/str.h"
#include "base/version.h"
#include "grpc/health.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define HANDLER_OUTPUT_MAX (10 * 1024) /* of an exec handler, as the reference keeps */
#define SLEEP_STEP_NS (200 * NS_PER_MS)
#define HOOK_TIMEOUT_NS (24 * 3600 * NS_PER_SEC) /* the reference sets none: the pod's end ends the hook */

typedef struct HookJob {
    Kubelet *k;
    Pod *p;
    Object *object;
    char *container, *container_id, *pod_ip;
} HookJob;

static int refuse(char **ret_error, int r, char *text) {
    if (ret_error)
        *ret_error = text;
    else
        free(text);
    return r;
}

/* ---- exec ---- */

static const char **command_of(Arena *arena, const Value *exec) {
    const Value *list = value_get(exec, "command"), *v;
    const char **command = arena_alloc0(arena, (value_len(list) + 1) * sizeof *command);
    size_t n = 0;
    VALUE_FOREACH (v, list)
        command[n++] = str_or(value_str(v), "");
    return command;
}

static int run_exec(Kubelet *k, const char *container_id, const Value *exec, uint64_t timeout_ns, Buf *out,
                    char **ret_error) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    const char **command = command_of(arena, exec);
    if (!command[0])
        return refuse(ret_error, -EINVAL, xstrdup("no command specified"));
    int code = 0;
    _cleanup_free_ char *why = NULL;
    int r = k->runtime->exec_sync(k->runtime, container_id, command, timeout_ns, HANDLER_OUTPUT_MAX, out, &code, &why);
    if (r == -ETIMEDOUT)
        return refuse(ret_error, r,
                      xasprintf("command timed out: \"%s\" timed out after %.9gs", command[0],
                                (double)timeout_ns / (double)NS_PER_SEC));
    if (r < 0)
        return refuse(ret_error, -EINVAL, why ? TAKE_PTR(why) : xstrdup(strerror(-r)));
    if (code != 0)
        return refuse(ret_error, -EPROTO, xasprintf("command '%s' exited with %d", command[0], code));
    return 0;
}

/* ---- tcpSocket ---- */

static int connect_within(const struct addrinfo *ai, uint64_t timeout_ns) {
    _cleanup_close_ int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    /* Reset rather than linger: a probed server's port must not fill with closing connections. */
    struct linger linger = {.l_onoff = 1, .l_linger = 0};
    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    if (connect(fd, ai->ai_addr, ai->ai_addrlen) == 0)
        return 0;
    if (errno != EINPROGRESS)
        return -errno;
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    uint64_t until = now_monotonic_ns() + timeout_ns;
    for (;;) {
        uint64_t now = now_monotonic_ns();
        int n = now >= until ? 0 : poll(&p, 1, (int)MIN((until - now) / NS_PER_MS + 1, (uint64_t)3600000));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -ETIMEDOUT;
        int error = 0;
        socklen_t size = sizeof error;
        return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0 ? -errno : -error;
    }
}

static int run_tcp(const Value *container, const Value *tcp, const char *pod_ip, uint64_t timeout_ns,
                   char **ret_error) {
    uint16_t port = container_port(container, value_get(tcp, "port"));
    const char *host = str_or(value_get_str(tcp, "host"), pod_ip);
    if (!port)
        return refuse(ret_error, -EINVAL, xstrdup("couldn't find the port that the handler names"));
    if (str_empty(host))
        return refuse(ret_error, -EHOSTUNREACH, xstrdup("the pod has no address to connect to"));
    char service[8];
    snprintf(service, sizeof service, "%u", port);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    if (getaddrinfo(host, service, &hints, &found) != 0)
        return refuse(ret_error, -EHOSTUNREACH, xasprintf("dial tcp: lookup %s: no such host", host));
    int r = connect_within(found, timeout_ns);
    freeaddrinfo(found);
    if (r == -ETIMEDOUT)
        return refuse(ret_error, r, xasprintf("dial tcp %s:%u: i/o timeout", host, port));
    if (r == -ECONNREFUSED)
        return refuse(ret_error, r, xasprintf("dial tcp %s:%u: connect: connection refused", host, port));
    return r < 0 ? refuse(ret_error, -EIO, xasprintf("dial tcp %s:%u: connect: %s", host, port, strerror(-r))) : 0;
}

/* ---- grpc ---- */

/* Go's %v of a time.Duration of whole seconds: "1m30s". */
static char *go_seconds(uint64_t ns) {
    unsigned long long s = ns / NS_PER_SEC;
    if (s < 60)
        return xasprintf("%llus", s);
    return s < 3600 ? xasprintf("%llum%llus", s / 60, s % 60)
                    : xasprintf("%lluh%llum%llus", s / 3600, s / 60 % 60, s % 60);
}

static char *grpc_words(const GrpcStatus *status, const char *timeout) {
    if (status->code == GRPC_UNIMPLEMENTED)
        return xasprintf("error: this server does not implement the grpc health protocol (grpc.health.v1.Health): %s",
                         str_or(status->message, ""));
    if (status->code == GRPC_DEADLINE_EXCEEDED)
        return xasprintf("timeout: health rpc did not complete within %s", timeout);
    _cleanup_free_ char *words = grpc_status_words(status);
    return xasprintf("error: health rpc probe failed: %s", words);
}

/* As the reference: a port where nobody listens yet is tried until the time is over. */
static int run_grpc(const Kubelet *k, const Value *grpc, const char *pod_ip, uint64_t timeout_ns, char **ret_error) {
    int64_t port = value_get_int(grpc, "port", 0);
    if (str_empty(pod_ip) || port < 1 || port > UINT16_MAX)
        return refuse(ret_error, -EHOSTUNREACH, xstrdup("the handler has no address or port to connect to"));
    bool six = strchr(pod_ip, ':');
    uint64_t deadline = now_monotonic_ns() + timeout_ns;
    _cleanup_free_ char *timeout = go_seconds(timeout_ns);
    _cleanup_free_ char *address = xasprintf("%s%s%s:%u", six ? "[" : "", pod_ip, six ? "]" : "", (unsigned)port);
    const GrpcOptions options = {.user_agent = "kube-probe/" KUBERNETES_MAJOR "." KUBERNETES_MINOR,
                                 .linger_seconds = 1,
                                 .wait = true,
                                 .cancelled = k ? &k->stopping : NULL};
    _cleanup_(grpc_closep) GrpcConnection *connection = NULL;
    int r = grpc_open(address, &options, deadline, &connection);
    if (r == -ETIMEDOUT)
        return refuse(ret_error, r,
                      xasprintf("timeout: failed to connect service \"%s\" within %s: context deadline exceeded",
                                address, timeout));
    if (r < 0)
        return refuse(ret_error, -EIO,
                      xasprintf("error: failed to connect service at \"%s\": %s", address, strerror(-r)));
    _cleanup_grpc_status_ GrpcStatus status = {0};
    int32_t health = HEALTH_UNKNOWN;
    health_check(connection, value_get_str(grpc, "service"), deadline, &health, &status);
    if (status.code != GRPC_OK)
        return refuse(ret_error, status.code == GRPC_DEADLINE_EXCEEDED ? -ETIMEDOUT : -EPROTO,
                      grpc_words(&status, timeout));
    char number[HEALTH_NAME_MAX];
    if (health != HEALTH_SERVING)
        return refuse(ret_error, -EPROTO,
                      xasprintf("service unhealthy (responded with \"%s\")", health_name(health, number)));
    return 0;
}

/* ---- sleep ---- */

static bool container_runs(Kubelet *k, const char *id) {
    ContainerStatus c = {0};
    bool runs = k->runtime->container_status(k->runtime, id, &c) == 0 && c.state == CONTAINER_RUNNING;
    container_status_done(&c);
    return runs;
}

static int run_sleep(Kubelet *k, const char *container_id, const Value *sleep_, uint64_t timeout_ns, char **ret_error) {
    int64_t seconds = value_get_int(sleep_, "seconds", 0);
    if (seconds < 0)
        seconds = 0;
    uint64_t wanted = (uint64_t)MIN(seconds, (int64_t)(HOOK_TIMEOUT_NS / NS_PER_SEC)) * NS_PER_SEC;
    uint64_t start = now_monotonic_ns(), end = start + MIN(wanted, timeout_ns);
    for (uint64_t now = start; now < end && !k->stopping; now = now_monotonic_ns()) {
        uint64_t step = MIN(end - now, SLEEP_STEP_NS);
        struct timespec ts = {.tv_sec = (time_t)(step / NS_PER_SEC), .tv_nsec = (long)(step % NS_PER_SEC)};
        nanosleep(&ts, NULL);
        if (!container_runs(k, container_id))
            return refuse(ret_error, -ESRCH, xstrdup("container terminated before sleep hook finished"));
    }
    return wanted > timeout_ns ? refuse(ret_error, -ETIMEDOUT, xstrdup("the sleep outlasts the time it has")) : 0;
}

/* ---- any handler ---- */

static int handler_do(Kubelet *k, const Value *container, const char *container_id, const Value *handler,
                      const char *pod_ip, uint64_t timeout_ns, bool hook, Buf *out, char **ret_error) {
    const Value *v;
    if ((v = value_get(handler, "exec")))
        return run_exec(k, container_id, v, timeout_ns, out, ret_error);
    if ((v = value_get(handler, "httpGet")))
        return http_handler_run(k, container, v, pod_ip, timeout_ns, hook, ret_error);
    if ((v = value_get(handler, "tcpSocket")))
        return run_tcp(container, v, pod_ip, timeout_ns, ret_error);
    if ((v = value_get(handler, "sleep")))
        return run_sleep(k, container_id, v, timeout_ns, ret_error);
    if (!hook && (v = value_get(handler, "grpc"))) /* hooks have no such action */
        return run_grpc(k, v, pod_ip, timeout_ns, ret_error);
    return refuse(ret_error, -EINVAL, xstrdup("invalid handler: it names no action"));
}

/* "[sh -c x]": Go's %v of a []string. */
static void go_list(Buf *out, const Value *list) {
    const Value *v;
    buf_putc(out, '[');
    VALUE_FOREACH (v, list)
        buf_printf(out, "%s%s", _i_v ? " " : "", str_or(value_str(v), ""));
    buf_putc(out, ']');
}

static char *hook_words(const Value *pod, const Value *container, const Value *handler, const char *why,
                        const Buf *out) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    _cleanup_buf_ Buf text = BUF_INIT(64 * 1024);
    const Value *exec = value_get(handler, "exec"), *http = value_get(handler, "httpGet"),
                *sleep_ = value_get(handler, "sleep");
    if (exec) {
        buf_puts(&text, "Exec lifecycle hook (");
        go_list(&text, value_get(exec, "command"));
    } else if (http)
        buf_printf(&text, "HTTP lifecycle hook (%s", str_or(value_get_str(http, "path"), ""));
    else if (sleep_)
        buf_printf(&text, "Sleep lifecycle hook (%lld", (long long)value_get_int(sleep_, "seconds", 0));
    else
        return xasprintf("Cannot run handler: %s", why);
    buf_printf(&text, ") for Container \"%s\" in Pod \"%s\" failed - error: %s",
               str_or(value_get_str(container, "name"), ""), pod_format(arena, pod), why);
    if (exec) {
        buf_puts(&text, ", message: ");
        go_quote_n(&text, out->data ? out->data : "", out->len);
    }
    char *taken = buf_take(&text, NULL);
    return taken ? taken : xstrdup(why);
}

int handler_run(Kubelet *k, const Value *pod, const Value *container, const char *container_id, const Value *handler,
                const char *pod_ip, uint64_t timeout_ns, char **ret_error) {
    (void)pod;
    _cleanup_buf_ Buf out = BUF_INIT(HANDLER_OUTPUT_MAX);
    _cleanup_free_ char *why = NULL;
    int r = handler_do(k, container, container_id, handler, pod_ip, timeout_ns, false, &out, &why);
    if (r == -EPROTO && value_get(handler, "exec") && out.len) /* a probe's event says what the command said */
        return refuse(ret_error, r, buf_take(&out, NULL));
    return r == 0 ? 0 : refuse(ret_error, r, TAKE_PTR(why));
}

int hook_run(Kubelet *k, const Value *pod, const Value *container, const char *container_id, const Value *handler,
             const char *pod_ip, uint64_t timeout_ns, char **ret_error) {
    _cleanup_buf_ Buf out = BUF_INIT(HANDLER_OUTPUT_MAX);
    _cleanup_free_ char *why = NULL;
    int r = handler_do(k, container, container_id, handler, pod_ip, timeout_ns, true, &out, &why);
    return r < 0 ? refuse(ret_error, r, hook_words(pod, container, handler, str_or(why, strerror(-r)), &out)) : 0;
}

/* ---- postStart ---- */

static void hook_end(Kubelet *k, Pod *p, const char *container_id, char *failure) {
    pthread_mutex_lock(&k->lock);
    PodTask *h = strmap_get(p->hooks, container_id);
    if (h && failure) {
        h->done = true;
        h->error = TAKE_PTR(failure);
    } else
        strmap_remove(p->hooks, container_id);
    pthread_mutex_unlock(&k->lock);
    free(failure);
    workqueue_add(k->pod_queue, p->uid);
}

static void hook_job(void *userdata) {
    HookJob *j = userdata;
    _cleanup_arena_ Arena *arena = arena_new(0);
    const Value *pod = object_value(j->object, arena), *container = pod_find_container(pod, j->container, NULL);
    char *failure = NULL;
    const Value *handler = value_path(container, "lifecycle", "postStart", NULL);
    if (handler)
        (void)hook_run(j->k, pod, container, j->container_id, handler, j->pod_ip, HOOK_TIMEOUT_NS, &failure);
    if (j->k->stopping) { /* cut short, not failed */
        free(failure);
        failure = NULL;
    }
    if (failure)
        event_record(j->k->events, j->object, container_field_path(arena, pod, j->container), "Warning",
                     "FailedPostStartHook", "PostStartHook failed");
    hook_end(j->k, j->p, j->container_id, failure);
    object_unref(j->object);
    pod_unref(j->k, j->p);
    free(j->container);
    free(j->container_id);
    free(j->pod_ip);
    free(j);
}

void hook_start(PodSync *s, const Value *container, const char *container_id, const char *pod_ip) {
    if (!value_path(container, "lifecycle", "postStart", NULL))
        return;
    pthread_mutex_lock(&s->k->lock);
    strmap_put(s->p->hooks, container_id, NEW0(PodTask));
    pthread_mutex_unlock(&s->k->lock);
    HookJob *j = NEW0(HookJob);
    *j = (HookJob){.k = s->k,
                   .p = pod_ref(s->k, s->p),
                   .object = object_ref(s->object),
                   .container = xstrdup(value_get_str(container, "name")),
                   .container_id = xstrdup(container_id),
                   .pod_ip = xstrdup(str_or(pod_ip, ""))};
    if (pool_submit(s->k->hook_pool, hook_job, j) < 0) {
        hook_end(s->k, s->p, container_id, xstrdup("too many lifecycle hooks run on this node"));
        object_unref(j->object);
        pod_unref(s->k, j->p);
        free(j->container);
        free(j->container_id);
        free(j->pod_ip);
        free(j);
    }
}

bool hook_pending(Kubelet *k, Pod *p, const char *container_id) {
    pthread_mutex_lock(&k->lock);
    const PodTask *h = strmap_get(p->hooks, container_id);
    bool pending = h && !h->done;
    pthread_mutex_unlock(&k->lock);
    return pending;
}

const char *hook_failure(PodSync *s, const char *container_id) {
    pthread_mutex_lock(&s->k->lock);
    const PodTask *h = strmap_get(s->p->hooks, container_id);
    const char *failure = h && h->error ? arena_strdup(s->arena, h->error) : NULL;
    pthread_mutex_unlock(&s->k->lock);
    return failure;
}
