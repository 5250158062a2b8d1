/* One container: starts it, keeps its standard streams, writes its log, serves whoever attaches, and records its end.
 * The order at the end matters: the rest of the output is in the log before the exit record appears, and the record
 * appears before anyone on the control socket is told. */
#include "monitor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CONTROL_SOCKET "control.sock"
#define PEERS_MAX 24           /* connections at once; more are refused */
#define PEER_PENDING_MAX 65536 /* output an attached client may lag behind */
#define PEER_STALL_MS 10000    /* then it is dropped: it must not hold the container for ever */
#define READ_CHUNK 16384
#define INPUT_CHUNK 4096

enum { ATTACH_STDIN = 1, ATTACH_STDOUT = 2, ATTACH_STDERR = 4, ATTACH_RESIZE = 8 };

typedef struct Outlet { /* one output stream of an attached client */
    int fd;
    char *pending; /* PEER_PENDING_MAX when in use */
    size_t len;
    int64_t since_ms;
} Outlet;

typedef struct Peer {
    int conn, input, resize; /* -1: none */
    Outlet out[2];
    char held[INPUT_CHUNK]; /* input the container has not taken yet */
    size_t held_len;
} Peer;

typedef struct Monitor {
    const Options *options;
    pid_t pid;
    int children, listener, log, master, input, output[2]; /* input: to the container; output: from it */
    LogStream *streams[2];
    Peer *peers[PEERS_MAX];
    bool exited;
    int exit_code;
} Monitor;

static int64_t now_ms(void) {
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void drop_fd(int *fd) {
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static void nonblocking(int fd) {
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

static void outlet_close(Outlet *o) {
    drop_fd(&o->fd);
    free(o->pending);
    o->pending = NULL;
    o->len = 0;
}

static void outlet_flush(Outlet *o) {
    while (o->fd >= 0 && o->len) {
        ssize_t n = write(o->fd, o->pending, o->len);
        if (n < 0) {
            if (errno == EINTR)
                continue;
            if (errno != EAGAIN || now_ms() - o->since_ms > PEER_STALL_MS)
                outlet_close(o);
            return;
        }
        o->len -= (size_t)n;
        memmove(o->pending, o->pending + n, o->len);
        o->since_ms = now_ms();
    }
}

static void outlet_write(Outlet *o, const char *data, size_t n) {
    if (o->fd < 0)
        return;
    outlet_flush(o);
    if (o->fd >= 0 && !o->len) {
        ssize_t w = write(o->fd, data, n);
        if (w < 0 && errno != EAGAIN && errno != EINTR) {
            outlet_close(o);
            return;
        }
        data += w > 0 ? w : 0;
        n -= w > 0 ? (size_t)w : 0;
    }
    if (o->fd < 0 || !n)
        return;
    if (!o->pending)
        o->pending = malloc(PEER_PENDING_MAX);
    if (!o->pending || n > PEER_PENDING_MAX - o->len) {
        outlet_close(o);
        return;
    }
    if (!o->len)
        o->since_ms = now_ms();
    memcpy(o->pending + o->len, data, n);
    o->len += n;
}

static void peer_close(Monitor *m, int i) {
    Peer *p = m->peers[i];
    drop_fd(&p->conn);
    drop_fd(&p->input);
    drop_fd(&p->resize);
    outlet_close(&p->out[0]);
    outlet_close(&p->out[1]);
    free(p);
    m->peers[i] = NULL;
}

/* While a client lags more than half its buffer, the container waits: its output is not read. */
static bool lagging(const Monitor *m) {
    for (int i = 0; i < PEERS_MAX; i++)
        if (m->peers[i] &&
            (m->peers[i]->out[0].len > PEER_PENDING_MAX / 2 || m->peers[i]->out[1].len > PEER_PENDING_MAX / 2))
            return true;
    return false;
}

/* Returns true when there may be more to read. */
static bool output_read(Monitor *m, int which) {
    char data[READ_CHUNK];
    int *fd = &m->output[which];
    ssize_t n = read(*fd, data, sizeof data);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return errno == EINTR;
    if (n <= 0) { /* a terminal answers EIO when its last user is gone */
        log_flush(m->log, m->streams[which]);
        if (*fd != m->master)
            drop_fd(fd);
        *fd = -1;
        return false;
    }
    log_feed(m->log, m->streams[which], data, (size_t)n);
    for (int i = 0; i < PEERS_MAX; i++)
        if (m->peers[i])
            outlet_write(&m->peers[i]->out[which], data, (size_t)n);
    return true;
}

static void input_closed(Monitor *m, Peer *p) {
    drop_fd(&p->input);
    if (m->options->stdin_once && m->input >= 0 && m->input != m->master)
        drop_fd(&m->input);
}

static void input_forward(Monitor *m, Peer *p) {
    if (!p->held_len && p->input >= 0) {
        ssize_t n = read(p->input, p->held, sizeof p->held);
        if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
            input_closed(m, p);
            return;
        }
        p->held_len = n > 0 ? (size_t)n : 0;
    }
    if (!p->held_len)
        return;
    ssize_t n = m->input >= 0 ? write(m->input, p->held, p->held_len) : (ssize_t)p->held_len;
    if (n < 0 && errno != EAGAIN && errno != EINTR)
        n = (ssize_t)p->held_len; /* the container closed its input */
    if (n > 0) {
        p->held_len -= (size_t)n;
        memmove(p->held, p->held + n, p->held_len);
    }
}

static void reply(Peer *p, char type, int32_t value) {
    char packet[1 + sizeof value] = {type};
    memcpy(packet + 1, &value, sizeof value);
    ssize_t n = send(p->conn, packet, sizeof packet, MSG_NOSIGNAL | MSG_DONTWAIT);
    (void)n;
}

static void peer_attach(Monitor *m, Peer *p, int flags, const int *fds, int n_fds) {
    int want = 0, used = 0;
    for (int bit = 1; bit <= ATTACH_RESIZE; bit <<= 1)
        want += !!(flags & bit);
    if (want != n_fds || p->out[0].fd >= 0 || p->out[1].fd >= 0 || p->input >= 0) {
        for (int i = 0; i < n_fds; i++)
            close(fds[i]);
        reply(p, 'a', -EINVAL);
        return;
    }
    for (int i = 0; i < n_fds; i++)
        nonblocking(fds[i]);
    if (flags & ATTACH_STDIN)
        p->input = fds[used++];
    if (flags & ATTACH_STDOUT)
        p->out[0].fd = fds[used++];
    if (flags & ATTACH_STDERR)
        p->out[1].fd = fds[used++];
    if (flags & ATTACH_RESIZE)
        p->resize = fds[used++];
    if (m->input < 0)
        drop_fd(&p->input);
    reply(p, 'a', 0);
}

static void peer_request(Monitor *m, int index) {
    Peer *p = m->peers[index];
    char packet[16];
    struct iovec iov = {packet, sizeof packet};
    union {
        char bytes[CMSG_SPACE(4 * sizeof(int))];
        struct cmsghdr align;
    } control = {0};
    struct msghdr msg = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
    ssize_t n = recvmsg(p->conn, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) { /* attached streams live on without the connection that brought them */
        drop_fd(&p->conn);
        return;
    }
    int fds[4], n_fds = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c))
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
            n_fds = (int)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
            memcpy(fds, CMSG_DATA(c), (size_t)n_fds * sizeof(int));
        }
    int32_t signo = 0;
    switch (packet[0]) {
    case 'K': /* this process is the parent: the pid cannot be another's */
        if (n == 1 + (ssize_t)sizeof signo)
            memcpy(&signo, packet + 1, sizeof signo);
        reply(p, 'k', m->exited ? -ESRCH : kill(m->pid, signo) < 0 ? -errno : 0);
        break;
    case 'L':
        drop_fd(&m->log);
        m->log = log_open(m->options->log_file);
        reply(p, 'l', m->log < 0 ? -errno : 0);
        break;
    case 'A':
        peer_attach(m, p, n > 1 ? packet[1] : 0, fds, n_fds);
        n_fds = 0;
        break;
    case 'W':
        break;
    default:
        reply(p, '?', -EINVAL);
    }
    if (packet[0] != 'A')
        for (int i = 0; i < n_fds; i++)
            close(fds[i]);
}

static void peer_accept(Monitor *m) {
    int conn = accept4(m->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (conn < 0)
        return;
    for (int i = 0; i < PEERS_MAX; i++)
        if (!m->peers[i] && (m->peers[i] = calloc(1, sizeof(Peer)))) {
            *m->peers[i] = (Peer){.conn = conn, .input = -1, .resize = -1, .out = {{.fd = -1}, {.fd = -1}}};
            return;
        }
    close(conn);
}

static int control_listen(void) {
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = CONTROL_SOCKET};
    unlink(CONTROL_SOCKET);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || chmod(CONTROL_SOCKET, 0600) < 0 ||
        listen(fd, PEERS_MAX) < 0)
        return -1;
    return fd;
}

/* The kernel's count of killed processes: "oom_kill N" in memory.oom_control (v1) or memory.events (v2). */
static bool oom_killed(const char *path) {
    char text[1024];
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0)
        return false;
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    text[n > 0 ? n : 0] = 0;
    const char *at = strstr(text, "oom_kill ");
    return at && atoi(at + 9) > 0;
}

static void record_exit(Monitor *m, int status) {
    char text[64];
    int64_t when = wall_ns();
    m->exited = true;
    m->exit_code = exit_code_of(status);
    for (int which = 0; which < 2; which++) {
        while (m->output[which] >= 0 && output_read(m, which)) {
        }
        log_flush(m->log, m->streams[which]);
    }
    int n =
        snprintf(text, sizeof text, "%d %d %lld\n", m->exit_code, oom_killed(m->options->oom_file), (long long)when);
    write_record(m->options->exit_file, text, (size_t)n);
    for (int i = 0; i < PEERS_MAX; i++)
        if (m->peers[i])
            reply(m->peers[i], 'X', m->exit_code);
}

static void children_reap(Monitor *m) {
    char drop[512];
    while (read(m->children, drop, sizeof drop) > 0) {
    }
    for (;;) {
        int status;
        pid_t pid = waitpid(-1, &status, WNOHANG);
        if (pid < 0 && errno == EINTR)
            continue;
        if (pid <= 0)
            return;
        if (pid == m->pid)
            record_exit(m, status);
    }
}

typedef struct Watch { /* what each pollfd is for */
    enum { W_CHILDREN, W_LISTENER, W_OUTPUT, W_CONN, W_INPUT, W_RESIZE, W_OUTLET, W_CONTAINER_INPUT } what;
    int index, which;
} Watch;

typedef struct PollSet {
    struct pollfd fds[8 + PEERS_MAX * 6];
    Watch watches[8 + PEERS_MAX * 6];
    int n;
} PollSet;

static void watch(PollSet *set, int fd, short events, Watch what) {
    if (fd < 0)
        return;
    set->fds[set->n] = (struct pollfd){.fd = fd, .events = events};
    set->watches[set->n++] = what;
}

static bool collect(Monitor *m, PollSet *set) {
    bool pending = false, paused = lagging(m);
    set->n = 0;
    watch(set, m->children, POLLIN, (Watch){W_CHILDREN, 0, 0});
    watch(set, m->listener, POLLIN, (Watch){W_LISTENER, 0, 0});
    for (int which = 0; which < 2 && !paused; which++)
        watch(set, m->output[which], POLLIN, (Watch){W_OUTPUT, 0, which});
    for (int i = 0; i < PEERS_MAX; i++) {
        Peer *p = m->peers[i];
        if (!p)
            continue;
        watch(set, p->conn, POLLIN, (Watch){W_CONN, i, 0});
        if (p->held_len && m->input < 0)
            p->held_len = 0;
        if (p->held_len)
            watch(set, m->input, POLLOUT, (Watch){W_CONTAINER_INPUT, i, 0});
        else
            watch(set, p->input, POLLIN, (Watch){W_INPUT, i, 0});
        watch(set, p->resize, POLLIN, (Watch){W_RESIZE, i, 0});
        for (int which = 0; which < 2; which++) {
            pending = pending || p->out[which].len;
            watch(set, p->out[which].fd, p->out[which].len ? POLLOUT : 0, (Watch){W_OUTLET, i, which});
        }
    }
    return pending;
}

static void resize_read(Monitor *m, Peer *p, short revents) {
    struct winsize size;
    ssize_t n = read(p->resize, &size, sizeof size);
    if (n == sizeof size && m->master >= 0)
        ioctl(m->master, TIOCSWINSZ, &size);
    else if (n == 0 || !(revents & POLLIN))
        drop_fd(&p->resize);
}

static void peers_sweep(Monitor *m) {
    for (int i = 0; i < PEERS_MAX; i++) {
        const Peer *p = m->peers[i];
        if (p && p->conn < 0 && p->input < 0 && p->resize < 0 && p->out[0].fd < 0 && p->out[1].fd < 0 && !p->held_len)
            peer_close(m, i);
    }
}

static void dispatch(Monitor *m, const PollSet *set) {
    for (int i = 0; i < set->n; i++) {
        const Watch *w = &set->watches[i];
        short revents = set->fds[i].revents;
        Peer *p = m->peers[w->index];
        if (!revents || (w->what >= W_CONN && !p))
            continue;
        switch (w->what) {
        case W_CHILDREN:
            children_reap(m);
            break;
        case W_LISTENER:
            peer_accept(m);
            break;
        case W_OUTPUT:
            if (m->output[w->which] >= 0)
                output_read(m, w->which);
            break;
        case W_CONN:
            if (p->conn >= 0)
                peer_request(m, w->index);
            break;
        case W_INPUT:
        case W_CONTAINER_INPUT:
            input_forward(m, p);
            break;
        case W_RESIZE:
            if (p->resize >= 0)
                resize_read(m, p, revents);
            break;
        case W_OUTLET:
            if (revents & POLLERR)
                outlet_close(&p->out[w->which]);
            else
                outlet_flush(&p->out[w->which]);
            break;
        }
    }
}

static void monitor_loop(Monitor *m) {
    int64_t end = 0;
    for (;;) {
        PollSet set;
        bool pending = collect(m, &set);
        if (m->exited) { /* what attached clients have not read yet is theirs for a moment */
            end = end ? end : now_ms() + PEER_STALL_MS;
            if (!pending || now_ms() > end)
                return;
        }
        if (poll(set.fds, (nfds_t)set.n, pending ? 1000 : -1) < 0 && errno != EINTR)
            return;
        dispatch(m, &set);
        peers_sweep(m);
        for (int i = 0; pending && i < PEERS_MAX; i++)
            for (int which = 0; m->peers[i] && which < 2; which++)
                outlet_flush(&m->peers[i]->out[which]);
    }
}

static bool open_streams(Monitor *m, int stdio[3]) {
    const Options *o = m->options;
    stdio[0] = stdio[1] = stdio[2] = -1;
    m->streams[0] = malloc(sizeof(LogStream));
    m->streams[1] = o->tty ? m->streams[0] : malloc(sizeof(LogStream));
    if (!m->streams[0] || !m->streams[1])
        return false;
    m->streams[1]->name = "stderr";
    m->streams[0]->name = "stdout";
    m->streams[0]->len = m->streams[1]->len = 0;
    if (o->tty)
        return true;
    for (int i = o->stdin_ ? 0 : 1; i < 3; i++) {
        int ends[2];
        if (pipe2(ends, O_CLOEXEC) < 0)
            return false;
        stdio[i] = ends[i != 0];
        nonblocking(ends[i == 0]);
        if (i == 0)
            m->input = ends[1];
        else
            m->output[i - 1] = ends[0];
    }
    return true;
}

static pid_t container_start(Monitor *m, int listener) {
    const Options *o = m->options;
    char *argv[32], **a = argv;
    *a++ = (char *)o->runtime;
    *a++ = (char *)"--root";
    *a++ = (char *)o->runtime_root;
    *a++ = (char *)"--log-format=json";
    *a++ = (char *)"--log";
    *a++ = (char *)"runtime.log";
    if (o->crun)
        *a++ = (char *)"--cgroup-manager=cgroupfs";
    *a++ = (char *)"run";
    *a++ = (char *)"--detach";
    *a++ = (char *)"--bundle";
    *a++ = (char *)".";
    *a++ = (char *)"--pid-file";
    *a++ = (char *)"pid";
    if (o->tty) {
        *a++ = (char *)"--console-socket";
        *a++ = (char *)"console.sock";
    }
    *a++ = (char *)o->id;
    *a = NULL;
    int stdio[3];
    if (!open_streams(m, stdio))
        return -1;
    pid_t runtime = runtime_spawn(o, argv, stdio, true);
    for (int i = 0; i < 3; i++)
        drop_fd(&stdio[i]);
    if (runtime < 0 || wait_for(runtime) != 0)
        return -1;
    if (o->tty) {
        m->master = console_receive(listener);
        if (m->master < 0)
            return -1;
        nonblocking(m->master);
        m->output[0] = m->master;
        m->input = o->stdin_ ? m->master : -1;
    }
    return read_pid_file("pid");
}

/* "PID START-TIME WALL-NS MONITOR-PID": the start time (field 22 of /proc/PID/stat) tells a reused pid apart. */
static void record_start(const Monitor *m) {
    char path[64], stat[1024], text[128];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)m->pid);
    unsigned long long start = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, stat, sizeof stat - 1) : 0;
    if (fd >= 0)
        close(fd);
    stat[n > 0 ? n : 0] = 0;
    const char *at = strrchr(stat, ')');
    for (int field = 2; at && field < 22; field++)
        at = strchr(at + 1, ' ');
    if (at)
        start = strtoull(at, NULL, 10);
    int len = snprintf(text, sizeof text, "%d %llu %lld %d\n", (int)m->pid, start, (long long)wall_ns(), (int)getpid());
    write_record("started", text, (size_t)len);
}

int run_main(const Options *o) {
    int lock = open("lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (lock < 0 || flock(lock, LOCK_EX | LOCK_NB) < 0) {
        sync_send(SYNC_BUSY, "the container already has a monitor", -1);
        return 1;
    }
    detach_from_agent();
    Monitor m = {.options = o, .pid = -1, .master = -1, .input = -1, .output = {-1, -1}};
    m.children = sigchld_fd();
    m.listener = control_listen();
    m.log = log_open(o->log_file);
    int console = o->tty ? console_listen("console.sock") : -1;
    if (m.listener < 0 || m.children < 0 || m.log < 0) {
        sync_send(SYNC_FAILED, m.log < 0 ? "the log file cannot be opened" : "the control socket cannot be made", -1);
        return 1;
    }
    int null = open("/dev/null", O_RDWR);
    for (int fd = 0; null >= 0 && fd < 3; fd++)
        dup2(null, fd);
    if (null > 2)
        close(null);
    m.pid = container_start(&m, console);
    drop_fd(&console);
    unlink("console.sock");
    if (m.pid <= 0) {
        sync_fail_from_log("runtime.log", "the OCI runtime could not start the container");
        return 1;
    }
    record_start(&m);
    char text[32];
    snprintf(text, sizeof text, "%d", (int)m.pid);
    sync_send(SYNC_STARTED, text, -1);
    children_reap(&m); /* it may have ended before anyone watched */
    monitor_loop(&m);
    return 0;
}
