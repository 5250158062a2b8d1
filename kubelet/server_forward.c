/* Port-forward: each pair of streams is a connection to the pod's loopback. Connecting happens on the pool, inside the
 * pod's network namespace; the rest on the request's loop thread. */
#include "kubelet/server_internal.h"

#include "http/duplex.h"
#include "http/remote.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECT_TIMEOUT_MS 30000
#define HIGH_WATER (512 * 1024)
#define PORTS_MAX 64

typedef struct ForwardSession {
    Call *call;
    Remote *remote;
    unsigned refs; /* the remote's and one for each forward */
    bool closed, paused;
    char *pod, *uid, *netns; /* netns NULL: the node's */
    struct Forward *forwards;
    uint16_t ports[PORTS_MAX]; /* as the query names them */
    size_t n_ports;
} ForwardSession;

typedef struct Forward {
    ForwardSession *session;
    struct Forward *next, **at;
    uint32_t stream;
    uint16_t port;
    Duplex *duplex;
    Buf early; /* what came before the connection stood */
    bool early_ended;
    int fd;
    char *error;
} Forward;

static void session_unref(ForwardSession *s) {
    if (--s->refs > 0)
        return;
    call_free(s->call);
    free(s->pod);
    free(s->uid);
    free(s->netns);
    free(s);
}

static Forward *forward_find(ForwardSession *s, uint32_t stream) {
    for (Forward *f = s->forwards; f; f = f->next)
        if (f->stream == stream)
            return f;
    return NULL;
}

static void forward_free(Forward *f) {
    ForwardSession *s = f->session;
    *f->at = f->next;
    if (f->next)
        f->next->at = f->at;
    duplex_unref(f->duplex);
    buf_done(&f->early);
    free(f->error);
    free(f);
    session_unref(s);
}

/* ---- connecting, on the pool ---- */

/* A socket of that namespace: the thread goes there and back. */
static int socket_inside(const char *netns, int family) {
    if (!netns) {
        int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        return fd < 0 ? -errno : fd;
    }
    _cleanup_close_ int own = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
    _cleanup_close_ int there = open(netns, O_RDONLY | O_CLOEXEC);
    if (own < 0 || there < 0 || setns(there, CLONE_NEWNET) < 0)
        return -errno;
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int r = fd < 0 ? -errno : fd;
    if (setns(own, CLONE_NEWNET) < 0) {
        log_error("cannot leave the network namespace %s: %s", netns, strerror(errno));
        abort(); /* the thread would serve others from inside a pod */
    }
    return r;
}

static int connect_family(const char *netns, int family, uint16_t port) {
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    const struct sockaddr *to = family == AF_INET ? (struct sockaddr *)&v4 : (struct sockaddr *)&v6;
    int fd = socket_inside(netns, family), error = 0;
    if (fd < 0)
        return fd;
    int r = connect(fd, to, family == AF_INET ? sizeof v4 : sizeof v6) < 0 ? -errno : 0;
    if (r == -EINPROGRESS) {
        struct pollfd p = {.fd = fd, .events = POLLOUT};
        socklen_t n = sizeof error;
        r = poll(&p, 1, CONNECT_TIMEOUT_MS);
        if (r == 0)
            r = -ETIMEDOUT;
        else if (r < 0 || getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &n) < 0)
            r = -errno;
        else
            r = -error;
    }
    if (r < 0) {
        close(fd);
        return r;
    }
    return fd;
}

static void on_connected(void *userdata);

/* Go's words for the same error begin in lower case. */
static const char *connect_error(int r, char out[64]) {
    snprintf(out, 64, "%s", strerror(-r));
    if (out[0] >= 'A' && out[0] <= 'Z' && out[1] >= 'a' && out[1] <= 'z')
        out[0] = (char)(out[0] + 'a' - 'A');
    return out;
}

static void forward_connect(void *userdata) {
    Forward *f = userdata;
    const ForwardSession *s = f->session;
    f->fd = connect_family(s->netns, AF_INET, f->port);
    if (f->fd < 0) {
        char first[64], second[64];
        connect_error(f->fd, first);
        f->fd = connect_family(s->netns, AF_INET6, f->port);
        if (f->fd < 0)
            f->error =
                xasprintf("error forwarding port %u to pod %s, uid %s: failed to connect to localhost:%u inside "
                          "namespace \"%s\", IPv4: dial tcp4 127.0.0.1:%u: connect: %s IPv6: dial tcp6 [::1]:%u: "
                          "connect: %s",
                          f->port, s->pod, s->uid, f->port, str_or(s->netns, "host"), f->port, first, f->port,
                          connect_error(f->fd, second));
    }
    loop_post(http_request_loop(s->call->http), on_connected, f);
}

/* ---- the connection ---- */

static void set_paused(ForwardSession *s, bool paused) {
    if (s->paused == paused || s->closed)
        return;
    s->paused = paused;
    remote_pause_stdin(s->remote, paused);
}

static void on_target_data(Duplex *duplex, const void *p, size_t n, void *userdata) {
    Forward *f = userdata;
    if (f->session->closed || remote_port_write(f->session->remote, f->stream, p, n) < 0)
        duplex_close(duplex);
    else if (remote_pending(f->session->remote) > HIGH_WATER)
        duplex_pause(duplex, true);
}

static void on_target_drained(Duplex *duplex, void *userdata) {
    (void)duplex;
    Forward *f = userdata;
    set_paused(f->session, false);
}

static void on_target_closed(Duplex *duplex, int error, void *userdata) {
    (void)duplex;
    (void)error;
    Forward *f = userdata;
    if (!f->session->closed) {
        remote_port_write(f->session->remote, f->stream, NULL, 0);
        set_paused(f->session, false);
    }
    forward_free(f);
}

static const DuplexOps target_ops = {on_target_data, on_target_drained, on_target_closed};

static void forward_fail(Forward *f, const char *message) {
    if (!f->session->closed) {
        remote_port_error(f->session->remote, f->stream, message);
        set_paused(f->session, false);
    }
    forward_free(f);
}

static void on_connected(void *userdata) {
    Forward *f = userdata;
    ForwardSession *s = f->session;
    if (f->error || s->closed) {
        if (f->fd >= 0)
            close(f->fd);
        forward_fail(f, str_or(f->error, ""));
        return;
    }
    int r = duplex_from_fd(http_request_loop(s->call->http), f->fd, &f->duplex);
    if (r < 0) {
        close(f->fd);
        forward_fail(f, strerror(-r));
        return;
    }
    duplex_start(f->duplex, &target_ops, f);
    if (f->early.len)
        duplex_write(f->duplex, f->early.data, f->early.len);
    buf_done(&f->early);
    if (f->early_ended)
        duplex_end(f->duplex);
}

/* ---- the client ---- */

static void on_port_open(Remote *remote, uint32_t stream, uint16_t port, void *userdata) {
    ForwardSession *s = userdata;
    s->remote = remote; /* the first call may come before remote_accept has returned */
    Forward *f = NEW0(Forward);
    *f = (Forward){.session = s,
                   .next = s->forwards,
                   .at = &s->forwards,
                   .stream = stream,
                   .port = port,
                   .fd = -1,
                   .early = BUF_INIT(DUPLEX_WRITE_MAX)};
    if (f->next)
        f->next->at = &f->next;
    s->forwards = f;
    s->refs++;
    if (server_submit(s->call->k, forward_connect, f) < 0)
        forward_fail(f, "too many requests are waiting");
}

static void on_port_data(Remote *remote, uint32_t stream, const void *p, size_t n, void *userdata) {
    (void)remote;
    ForwardSession *s = userdata;
    Forward *f = forward_find(s, stream);
    if (!f)
        return;
    if (!f->duplex) {
        if (n == 0)
            f->early_ended = true;
        buf_append(&f->early, p, n);
        if (f->early.failed)
            remote_close(remote);
        else if (f->early.len > HIGH_WATER)
            set_paused(s, true);
    } else if (n == 0)
        duplex_end(f->duplex);
    else if (duplex_write(f->duplex, p, n) == 0 && duplex_pending(f->duplex) > HIGH_WATER)
        set_paused(s, true);
}

static void on_drained(Remote *remote, void *userdata) {
    (void)remote;
    ForwardSession *s = userdata;
    for (Forward *f = s->forwards; f; f = f->next)
        if (f->duplex)
            duplex_pause(f->duplex, false);
}

static void on_closed(Remote *remote, void *userdata) {
    (void)remote;
    ForwardSession *s = userdata;
    s->closed = true;
    for (Forward *f = s->forwards, *next; f; f = next) {
        next = f->next;
        if (f->duplex)
            duplex_close(f->duplex);
    }
    session_unref(s);
}

static const RemoteOps forward_ops = {
    .port_open = on_port_open,
    .port_data = on_port_data,
    .closed = on_closed,
    .drained = on_drained,
};

static size_t read_ports(const Call *call, uint16_t ports[PORTS_MAX]) {
    size_t n = 0;
    for (size_t i = 0; i < call->n_query; i++) {
        if (!streq(call->query[i].name, "ports") && !streq(call->query[i].name, "port"))
            continue;
        size_t parts;
        char **numbers = str_split(call->arena, call->query[i].value, ',', &parts);
        for (size_t j = 0; j < parts; j++) {
            uint64_t port;
            if (n < PORTS_MAX && str_to_uint64(numbers[j], &port) == 0 && port > 0 && port <= UINT16_MAX)
                ports[n++] = (uint16_t)port;
        }
    }
    return n;
}

static void session_accept(void *userdata) {
    ForwardSession *s = userdata;
    RemoteOptions options = {.port_forward = true, .ports = s->ports, .n_ports = s->n_ports};
    Remote *remote = NULL;
    if (remote_accept(s->call->http, &options, &forward_ops, s, &remote) < 0)
        session_unref(s);
    else
        s->remote = remote;
}

void serve_forward(Call *call) {
    Kubelet *k = call->k;
    Pod *p = NULL;
    if (!remote_is_upgrade(call->http))
        call_error(call, 400, "Upgrade request required");
    else
        p = call_pod(call, call->n_parts == 4 ? call->parts[3] : NULL, "pod does not exist");
    if (!p) {
        call_free(call);
        return;
    }
    PodRuntime rt = {0};
    int r = pod_runtime_load(k, p, &rt);
    const SandboxStatus *sandbox = r == 0 ? pod_runtime_sandbox(&rt) : NULL;
    if (!sandbox) {
        call_error(call, 500, "failed to find sandbox for pod %s_%s", p->name, p->ns);
        call_free(call);
    } else {
        ForwardSession *s = NEW0(ForwardSession);
        *s = (ForwardSession){.call = call,
                              .refs = 1,
                              .pod = xstrdup(sandbox->id),
                              .uid = xstrdup(p->uid),
                              .netns = str_empty(sandbox->netns_path) ? NULL : xstrdup(sandbox->netns_path)};
        s->n_ports = read_ports(call, s->ports);
        loop_post(http_request_loop(call->http), session_accept, s);
    }
    if (r == 0)
        pod_runtime_done(&rt);
    pod_unref(k, p);
}
