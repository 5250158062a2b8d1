/* Exec, attach and run. A session belongs to the loop of its request: the runtime is asked on the pool, then everything
 * happens on the loop thread, with the descriptors of the process as sources. */
#include "kubelet/server_internal.h"

#include "http/duplex.h"
#include "http/remote.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define READ_CHUNK (32 * 1024)
#define OUTPUT_HIGH_WATER (512 * 1024) /* pending for the client: the process is not read meanwhile */
#define INPUT_HIGH_WATER (256 * 1024)  /* pending for the process: the client is not read meanwhile */
#define RUN_OUTPUT_MAX (16 * 1024 * 1024)
#define RUN_TIMEOUT_NS (2 * 60 * NS_PER_SEC)

typedef struct Output {
    struct ExecSession *session;
    RemoteChannel channel;
    int fd;
    Source *source;
} Output;

typedef struct ExecSession {
    Call *call;
    Remote *remote;
    unsigned refs; /* on the loop: the remote's and the starting job's */
    bool attach, tty, closed, started;
    const char **command;
    char *container_id, *start_error;
    RemoteOptions options;
    RuntimeIo ready; /* what the pool got, until the loop takes it */
    RuntimeIo io;
    Output out, err;
    Source *exit_source, *in_source;
    bool has_exit_code;
    int32_t exit_code;
    Buf input; /* for the process, not taken yet */
    bool input_ended, input_paused;
    struct winsize size;
    bool has_size;
} ExecSession;

static void fd_close(int *fd) {
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static void session_stop(ExecSession *s) {
    Source **sources[] = {&s->out.source, &s->err.source, &s->exit_source, &s->in_source};
    for (size_t i = 0; i < ELEMENTSOF(sources); i++)
        *sources[i] = source_unref(*sources[i]);
    int *fds[] = {&s->out.fd, &s->err.fd, &s->io.stdin_fd, &s->io.exit_fd, &s->io.resize_fd};
    for (size_t i = 0; i < ELEMENTSOF(fds); i++)
        fd_close(fds[i]);
}

static void session_unref(ExecSession *s) {
    if (--s->refs > 0)
        return;
    session_stop(s);
    call_free(s->call);
    buf_done(&s->input);
    free(s->container_id);
    free(s->start_error);
    free(s);
}

/* ---- the process's output ---- */

static void session_finish(ExecSession *s) {
    session_stop(s);
    if (s->attach)
        remote_finish(s->remote, 0, NULL);
    else if (s->has_exit_code)
        remote_finish(s->remote, s->exit_code, NULL);
    else
        remote_finish(s->remote, -1, "error executing command in container: the process's exit was lost");
}

/* What the process left running may hold its output open: as with containerd, the session lasts until all of it is
 * closed. */
static void check_end(ExecSession *s) {
    bool quiet = s->out.fd < 0 && s->err.fd < 0;
    if (quiet && (s->attach || s->io.exit_fd < 0))
        session_finish(s);
}

static void on_output(Source *source, int fd, uint32_t revents, void *userdata);

static int output_arm(Output *o) {
    if (o->fd < 0 || o->source)
        return 0;
    return loop_add_io(http_request_loop(o->session->call->http), o->fd, EPOLLIN, on_output, o, &o->source);
}

static void output_end(Output *o) {
    o->source = source_unref(o->source);
    fd_close(&o->fd);
}

/* False when the client has to take what it was given before more is read. */
static bool output_read(Output *o) {
    ExecSession *s = o->session;
    char chunk[READ_CHUNK];
    ssize_t n = read(o->fd, chunk, sizeof chunk);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return true;
    if (n <= 0) { /* a terminal's master answers EIO at its end */
        output_end(o);
        check_end(s);
        return true;
    }
    if (remote_write(s->remote, o->channel, chunk, (size_t)n) < 0) {
        output_end(o);
        remote_close(s->remote);
        return true;
    }
    return remote_pending(s->remote) <= OUTPUT_HIGH_WATER;
}

static void on_output(Source *source, int fd, uint32_t revents, void *userdata) {
    (void)source;
    (void)fd;
    (void)revents;
    Output *o = userdata;
    if (o->fd >= 0 && !output_read(o)) /* without its source: a hang-up is reported whatever was asked for */
        o->source = source_unref(o->source);
}

static void on_drained(Remote *remote, void *userdata) {
    (void)remote;
    ExecSession *s = userdata;
    if (s->closed || !s->started)
        return;
    if (output_arm(&s->out) < 0 || output_arm(&s->err) < 0)
        remote_close(s->remote);
}

static void on_exit_code(Source *source, int fd, uint32_t revents, void *userdata) {
    (void)source;
    (void)revents;
    ExecSession *s = userdata;
    int32_t code;
    ssize_t n = read(fd, &code, sizeof code);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n == sizeof code) {
        s->has_exit_code = true;
        s->exit_code = code;
    }
    s->exit_source = source_unref(s->exit_source);
    fd_close(&s->io.exit_fd);
    check_end(s);
}

/* ---- the process's input ---- */

static void input_flush(ExecSession *s);

static void on_input_room(Source *source, int fd, uint32_t revents, void *userdata) {
    (void)source;
    (void)fd;
    (void)revents;
    input_flush(userdata);
}

static void input_end(ExecSession *s) {
    s->in_source = source_unref(s->in_source);
    fd_close(&s->io.stdin_fd);
    buf_clear(&s->input);
}

static void input_flush(ExecSession *s) {
    size_t at = 0;
    while (at < s->input.len && s->io.stdin_fd >= 0) {
        ssize_t n = write(s->io.stdin_fd, s->input.data + at, s->input.len - at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            break;
        if (n < 0) { /* nobody reads it any more: what follows is dropped */
            input_end(s);
            break;
        }
        at += (size_t)n;
    }
    buf_consume(&s->input, at);
    if (s->io.stdin_fd < 0)
        buf_clear(&s->input);
    if (!s->input.len) {
        s->in_source = source_unref(s->in_source);
        if (s->input_ended)
            input_end(s);
    } else if (!s->in_source && loop_add_io(http_request_loop(s->call->http), s->io.stdin_fd, EPOLLOUT, on_input_room,
                                            s, &s->in_source) < 0)
        input_end(s);
    bool pause = s->input.len > INPUT_HIGH_WATER || (s->input_paused && s->input.len > 0);
    if (pause != s->input_paused) {
        s->input_paused = pause;
        remote_pause_stdin(s->remote, pause);
    }
}

static void on_stdin(Remote *remote, const void *p, size_t n, void *userdata) {
    ExecSession *s = userdata;
    if (n == 0)
        s->input_ended = true;
    else if (!s->started || s->io.stdin_fd >= 0)
        buf_append(&s->input, p, n);
    if (s->input.failed)
        remote_close(remote);
    else if (s->started)
        input_flush(s);
    else if (s->input.len > INPUT_HIGH_WATER && !s->input_paused) {
        s->input_paused = true;
        remote_pause_stdin(remote, true);
    }
}

static void apply_size(ExecSession *s) {
    if (s->has_size && s->io.resize_fd >= 0)
        (void)!write(s->io.resize_fd, &s->size, sizeof s->size);
}

static void on_resize(Remote *remote, uint16_t width, uint16_t height, void *userdata) {
    (void)remote;
    ExecSession *s = userdata;
    s->size = (struct winsize){.ws_col = width, .ws_row = height};
    s->has_size = true;
    if (s->started)
        apply_size(s);
}

static void on_closed(Remote *remote, void *userdata) {
    (void)remote;
    ExecSession *s = userdata;
    s->closed = true;
    session_stop(s); /* ends the process */
    session_unref(s);
}

static const RemoteOps exec_ops = {
    .stdin_data = on_stdin,
    .resize = on_resize,
    .closed = on_closed,
    .drained = on_drained,
};

/* ---- starting ---- */

static void set_nonblocking(int fd) {
    int flags = fd >= 0 ? fcntl(fd, F_GETFL) : -1;
    if (flags >= 0)
        fcntl(fd, F_SETFL, flags | O_NONBLOCK);
}

static int session_run(ExecSession *s) {
    Loop *loop = http_request_loop(s->call->http);
    const int fds[] = {s->io.stdin_fd, s->out.fd, s->err.fd, s->io.exit_fd, s->io.resize_fd};
    for (size_t i = 0; i < ELEMENTSOF(fds); i++)
        set_nonblocking(fds[i]);
    int r = output_arm(&s->out);
    r = r < 0 ? r : output_arm(&s->err);
    if (r == 0 && s->io.exit_fd >= 0)
        r = loop_add_io(loop, s->io.exit_fd, EPOLLIN, on_exit_code, s, &s->exit_source);
    if (r < 0)
        return r;
    apply_size(s);
    input_flush(s);
    check_end(s);
    return 0;
}

static void session_started(void *userdata) {
    ExecSession *s = userdata;
    Remote *remote = s->remote;
    s->started = true;
    s->io = s->ready;
    s->out.fd = s->io.stdout_fd;
    s->err.fd = s->io.stderr_fd;
    if (s->closed)
        session_stop(s);
    else if (s->start_error)
        remote_finish(remote, -1, s->start_error);
    else if (session_run(s) < 0)
        remote_close(remote);
    session_unref(s);
    remote_unref(remote);
}

/* On the pool; the client is upgraded already and reads errors from its error channel. */
static void session_start(void *userdata) {
    ExecSession *s = userdata;
    Runtime *runtime = s->call->k->runtime;
    const RemoteOptions *o = &s->options;
    _cleanup_free_ char *error = NULL;
    RuntimeIo io = {-1, -1, -1, -1, -1};
    int r = s->attach ? runtime->attach(runtime, s->container_id, o->stdin_, o->stdout_, o->stderr_, &io, &error)
                      : runtime->exec(runtime, s->container_id, s->command, o->stdin_, o->stdout_, o->stderr_, o->tty,
                                      &io, &error);
    if (r < 0)
        s->start_error =
            xasprintf("%s: %s", s->attach ? "error attaching to container" : "error executing command in container",
                      str_or(error, strerror(-r)));
    else
        s->ready = io;
    loop_post(http_request_loop(s->call->http), session_started, s);
}

/* On the loop, so that the remote cannot end before this session holds it. */
static void session_accept(void *userdata) {
    ExecSession *s = userdata;
    Remote *remote = NULL;
    if (remote_accept(s->call->http, &s->options, &exec_ops, s, &remote) < 0) {
        s->refs = 1;
        session_unref(s);
        return;
    }
    s->remote = remote_ref(remote);
    if (server_submit(s->call->k, session_start, s) < 0) {
        s->start_error = xstrdup("too many requests are waiting");
        session_started(s);
    }
}

/* The running container that the path names; NULL: an error was replied. */
static char *find_container(Call *call) {
    const char *uid = call->n_parts == 5 ? call->parts[3] : NULL, *name = call->parts[call->n_parts - 1];
    Pod *p = call_pod(call, uid, "pod does not exist");
    if (!p)
        return NULL;
    PodRuntime rt = {0};
    char *id = NULL;
    int r = pod_runtime_load(call->k, p, &rt);
    if (r < 0)
        call_error(call, 500, "%s", strerror(-r));
    else {
        const ContainerStatus *c = pod_runtime_find(&rt, name);
        if (c && c->state == CONTAINER_RUNNING)
            id = xstrdup(c->id);
        else
            call_error(call, 500, "container not found (\"%s\")", name);
        pod_runtime_done(&rt);
    }
    pod_unref(call->k, p);
    return id;
}

static bool read_streams(Call *call, RemoteOptions *ret) {
    RemoteOptions o = {.stdin_ = call_flag(call, "input"),
                       .stdout_ = call_flag(call, "output"),
                       .stderr_ = call_flag(call, "error"),
                       .tty = call_flag(call, "tty")};
    if (o.tty && o.stderr_) /* a terminal has one output */
        o.stderr_ = false;
    if (!o.stdin_ && !o.stdout_ && !o.stderr_) {
        call_error(call, 400, "you must specify at least 1 of stdin, stdout, stderr");
        return false;
    }
    if (!remote_is_upgrade(call->http)) {
        call_error(call, 400, "Upgrade request required");
        return false;
    }
    *ret = o;
    return true;
}

static const char **read_command(const Call *call) {
    const char **command = arena_alloc0(call->arena, (call->n_query + 1) * sizeof *command);
    size_t n = 0;
    for (size_t i = 0; i < call->n_query; i++)
        if (streq(call->query[i].name, "command"))
            command[n++] = call->query[i].value;
    return command;
}

static void serve_session(Call *call, bool attach) {
    RemoteOptions options;
    char *id = read_streams(call, &options) ? find_container(call) : NULL;
    if (!id) {
        call_free(call);
        return;
    }
    ExecSession *s = NEW0(ExecSession);
    *s = (ExecSession){.call = call,
                       .refs = 2,
                       .attach = attach,
                       .tty = options.tty,
                       .container_id = id,
                       .options = options,
                       .io = {-1, -1, -1, -1, -1},
                       .ready = {-1, -1, -1, -1, -1},
                       .input = BUF_INIT(2 * DUPLEX_WRITE_MAX)};
    s->out = (Output){s, REMOTE_STDOUT, -1, NULL};
    s->err = (Output){s, REMOTE_STDERR, -1, NULL};
    s->command = attach ? NULL : read_command(call);
    loop_post(http_request_loop(call->http), session_accept, s);
}

void serve_exec(Call *call) {
    serve_session(call, false);
}

void serve_attach(Call *call) {
    serve_session(call, true);
}

void serve_run(Call *call) {
    const char *text = call_query(call, "cmd");
    char *id = find_container(call);
    if (id) {
        size_t n;
        char **command = str_split(call->arena, str_or(text, ""), ' ', &n);
        Buf out = BUF_INIT(RUN_OUTPUT_MAX);
        char *error = NULL;
        int code = 0;
        int r = call->k->runtime->exec_sync(call->k->runtime, id, (const char *const *)command, RUN_TIMEOUT_NS,
                                            RUN_OUTPUT_MAX, &out, &code, &error);
        if (r < 0)
            call_error(call, 500, "%s", str_or(error, strerror(-r)));
        else if (code)
            call_error(call, 500, "command '%s' exited with %d: %s", str_or(text, ""), code, out.data ? out.data : "");
        else
            call_reply(call, 200, "text/plain", &out);
        buf_done(&out);
        free(error);
    }
    free(id);
    call_free(call);
}
