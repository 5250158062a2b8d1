#include "base/clock.h"
#include "base/random.h"
#include "base/str.h"
#include "kubelet/runtime/oci_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#define EXEC_READ_CHUNK 16384
#define EXEC_DRAIN_NS (100 * NS_PER_MS) /* after the command's end, for what it left running to write or close */

enum { ATTACH_STDIN = 1, ATTACH_STDOUT = 2, ATTACH_STDERR = 4, ATTACH_RESIZE = 8 }; /* kubelet/monitor/run.c */

typedef struct Ends { /* [0] ours, [1] the other side's */
    int in[2], out[2], err[2], exit[2], resize[2];
} Ends;

static void ends_done(Ends *e) {
    int *pairs[] = {e->in, e->out, e->err, e->exit, e->resize};
    for (size_t i = 0; i < ELEMENTSOF(pairs); i++) {
        closep(&pairs[i][0]);
        closep(&pairs[i][1]);
    }
}
#define ENDS_INIT ((Ends){{-1, -1}, {-1, -1}, {-1, -1}, {-1, -1}, {-1, -1}})

/* A pipe whose end [0] is ours: to read from, or (`write_`) to write to. */
static int make_pipe(int pair[2], bool write_) {
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) < 0)
        return -errno;
    pair[0] = fds[write_];
    pair[1] = fds[!write_];
    return 0;
}

static int take(int *fd) {
    int v = *fd;
    *fd = -1;
    return v;
}

static Container *find_running(OciRuntime *rt, const char *id, int *ret, char **ret_error) {
    Container *c = container_find(rt, id);
    if (!c)
        *ret = oci_fail(ret_error, -ENOENT, xasprintf("there is no container %s", id));
    else if (!container_is_running(rt, c)) {
        *ret = oci_fail(ret_error, -ESRCH, xasprintf("container %s is not running", id));
        c = container_unref(c);
    }
    return c;
}

static int write_process(const Container *c, const char *name, const char *const *command, bool tty) {
    _cleanup_free_ char *base_path = container_file(c, "process.json"), *path = container_file(c, name);
    _cleanup_json_ json_t *base = json_load_file(base_path, 0, NULL);
    if (!base)
        return -EIO;
    _cleanup_json_ json_t *process = spec_exec_process(base, command, tty);
    return json_store(path, process);
}

static int start_exec(OciRuntime *rt, const Container *c, const char *name, bool tty, const Ends *ends, int *ret_master,
                      char **ret_error) {
    _cleanup_free_ char *unified = xasprintf("%s/unified", rt->cgroups.mount);
    const char *argv[24], **a = argv;
    const char *fixed[] = {rt->monitor, "exec",       "--id",           c->id,         "--dir",     c->dir,
                           "--runtime", rt->oci_path, "--runtime-root", rt->oci_state, "--process", name};
    memcpy(a, fixed, sizeof fixed);
    a += ELEMENTSOF(fixed);
    if (rt->crun)
        *a++ = "--crun";
    if (rt->crun && rt->cgroups.hybrid) {
        *a++ = "--detach-mount";
        *a++ = unified;
    }
    if (tty)
        *a++ = "--tty";
    *a = NULL;
    const int fds[MONITOR_FDS_MAX] = {ends->in[1], ends->out[1], ends->err[1], -1, ends->exit[1], ends->resize[1]};
    pid_t pid;
    return monitor_spawn(argv, fds, &pid, ret_master, ret_error);
}

int oci_exec(Runtime *runtime, const char *id, const char *const *command, bool stdin_, bool stdout_, bool stderr_,
             bool tty, RuntimeIo *ret, char **ret_error) {
    OciRuntime *rt = oci_of(runtime);
    int r = 0;
    _cleanup_(container_unrefp) Container *c = find_running(rt, id, &r, ret_error);
    if (!c)
        return r;
    if (!command || !*command)
        return oci_fail(ret_error, -EINVAL, xstrdup("no command specified"));
    _cleanup_(ends_done) Ends ends = ENDS_INIT;
    r = make_pipe(ends.exit, false);
    if (r == 0 && tty)
        r = make_pipe(ends.resize, true);
    if (r == 0 && stdin_ && !tty)
        r = make_pipe(ends.in, true);
    if (r == 0 && stdout_ && !tty)
        r = make_pipe(ends.out, false);
    if (r == 0 && stderr_ && !tty)
        r = make_pipe(ends.err, false);
    char suffix[11];
    random_suffix(suffix, 10);
    _cleanup_free_ char *name = xasprintf("exec-%s", suffix);
    r = r == 0 ? write_process(c, name, command, tty) : r;
    if (r < 0)
        return oci_fail(ret_error, r, xasprintf("preparing an exec in container %s: %s", id, strerror(-r)));
    int master = -1;
    _cleanup_free_ char *why = NULL;
    r = start_exec(rt, c, name, tty, &ends, &master, &why);
    if (r < 0)
        return oci_fail(ret_error, r, xasprintf("OCI runtime exec failed: exec failed: %s", why ? why : strerror(-r)));
    *ret = (RuntimeIo){.stdin_fd = take(&ends.in[0]),
                       .stdout_fd = take(&ends.out[0]),
                       .stderr_fd = take(&ends.err[0]),
                       .exit_fd = take(&ends.exit[0]),
                       .resize_fd = take(&ends.resize[0])};
    if (tty) {
        if (stdin_)
            ret->stdin_fd = fcntl(master, F_DUPFD_CLOEXEC, 3);
        ret->stdout_fd = master;
    }
    return 0;
}

/* Reads what there is into `out` up to the limit (more is dropped); false at the end of the stream. */
static bool collect(int fd, Buf *out, size_t limit) {
    char chunk[EXEC_READ_CHUNK];
    ssize_t n = read(fd, chunk, sizeof chunk);
    if (n < 0)
        return errno == EINTR || errno == EAGAIN;
    if (n > 0 && out->len < limit)
        buf_append(out, chunk, MIN((size_t)n, limit - out->len));
    return n > 0;
}

/* Until the command and its output have ended; the output is waited for no longer than EXEC_DRAIN_NS. Then only what is
 * in the pipe already is taken: all that the command itself wrote is, however late we come to read it. */
static int exec_wait(const OciRuntime *rt, const RuntimeIo *io, uint64_t deadline, size_t limit, Buf *out,
                     int *ret_code) {
    bool open_out = true, ended = false;
    int32_t code = 0;
    while (open_out || !ended) {
        uint64_t now = now_monotonic_ns(), left = now < deadline ? (deadline - now) / NS_PER_MS + 1 : 0;
        if (!left && !ended)
            return -ETIMEDOUT;
        if (!ended && atomic_load(&rt->interrupted))
            return -ECANCELED;
        struct pollfd fds[] = {{.fd = open_out ? io->stdout_fd : -1, .events = POLLIN},
                               {.fd = ended ? -1 : io->exit_fd, .events = POLLIN}};
        int n = poll(fds, 2, (int)MIN(left, (uint64_t)(INTERRUPT_CHECK_NS / NS_PER_MS)));
        if (n < 0 && errno != EINTR)
            return -errno;
        if (!left && (n == 0 || out->len >= limit)) /* nothing is there, or nothing is wanted */
            break;
        if (n <= 0)
            continue;
        if (fds[0].revents)
            open_out = collect(io->stdout_fd, out, limit);
        if (fds[1].revents) {
            if (read(io->exit_fd, &code, sizeof code) != sizeof code)
                return -EIO;
            ended = true;
            deadline = now_monotonic_ns() + EXEC_DRAIN_NS;
        }
    }
    *ret_code = code;
    return 0;
}

int oci_exec_sync(Runtime *runtime, const char *id, const char *const *command, uint64_t timeout_ns, size_t limit,
                  Buf *out, int *ret_exit_code, char **ret_error) {
    OciRuntime *rt = oci_of(runtime);
    int r = 0;
    _cleanup_(container_unrefp) Container *c = find_running(rt, id, &r, ret_error);
    if (!c)
        return r;
    _cleanup_(ends_done) Ends ends = ENDS_INIT;
    r = make_pipe(ends.exit, false);
    r = r == 0 ? make_pipe(ends.out, false) : r;
    char suffix[11];
    random_suffix(suffix, 10);
    _cleanup_free_ char *name = xasprintf("exec-%s", suffix);
    r = r == 0 ? write_process(c, name, command, false) : r;
    if (r < 0)
        return oci_fail(ret_error, r, xasprintf("preparing an exec in container %s: %s", id, strerror(-r)));
    uint64_t deadline = timeout_ns ? now_monotonic_ns() + timeout_ns : UINT64_MAX;
    ends.err[1] = fcntl(ends.out[1], F_DUPFD_CLOEXEC, 3); /* one buffer for both, in the order they came */
    _cleanup_free_ char *why = NULL;
    r = start_exec(rt, c, name, false, &ends, NULL, &why);
    closep(&ends.out[1]), ends.out[1] = -1;
    closep(&ends.err[1]), ends.err[1] = -1;
    closep(&ends.exit[1]), ends.exit[1] = -1;
    if (r < 0)
        return oci_fail(ret_error, r, xasprintf("OCI runtime exec failed: exec failed: %s", why ? why : strerror(-r)));
    /* Closing the exit pipe (ends_done) tells the monitor to kill what still runs. */
    r = exec_wait(rt, &(RuntimeIo){.stdout_fd = ends.out[0], .exit_fd = ends.exit[0]}, deadline, limit, out,
                  ret_exit_code);
    if (r == -ETIMEDOUT) {
        char shown[32];
        snprintf(shown, sizeof shown, "%.3gs", (double)timeout_ns / (double)NS_PER_SEC);
        return oci_fail(ret_error, r, xasprintf("command timed out: timeout %s exceeded", shown));
    }
    return r < 0 ? oci_fail(ret_error, r, xasprintf("the end of the command was lost: %s", strerror(-r))) : 0;
}

int oci_attach(Runtime *runtime, const char *id, bool stdin_, bool stdout_, bool stderr_, RuntimeIo *ret,
               char **ret_error) {
    OciRuntime *rt = oci_of(runtime);
    int r = 0;
    _cleanup_(container_unrefp) Container *c = find_running(rt, id, &r, ret_error);
    if (!c)
        return r;
    _cleanup_(ends_done) Ends ends = ENDS_INIT;
    uint8_t flags = 0;
    int fds[4];
    size_t n = 0;
    const struct {
        bool wanted, write_;
        uint8_t flag;
        int *pair;
    } streams[] = {
        {stdin_ && c->stdin_, true, ATTACH_STDIN, ends.in},
        {stdout_, false, ATTACH_STDOUT, ends.out},
        {stderr_ && !c->tty, false, ATTACH_STDERR, ends.err},
        {c->tty, true, ATTACH_RESIZE, ends.resize},
    };
    for (size_t i = 0; r == 0 && i < ELEMENTSOF(streams); i++) {
        if (!streams[i].wanted)
            continue;
        r = make_pipe(streams[i].pair, streams[i].write_);
        flags |= streams[i].flag;
        if (r == 0)
            fds[n++] = streams[i].pair[1];
    }
    _cleanup_close_ int monitor = r == 0 ? monitor_connect(c) : -1;
    if (r == 0)
        r = monitor < 0 ? monitor : monitor_request(monitor, 'A', &flags, 1, fds, n);
    if (r < 0)
        return oci_fail(ret_error, r, xasprintf("attaching to container %s: %s", id, strerror(-r)));
    *ret = (RuntimeIo){.stdin_fd = take(&ends.in[0]),
                       .stdout_fd = take(&ends.out[0]),
                       .stderr_fd = take(&ends.err[0]),
                       .exit_fd = -1,
                       .resize_fd = take(&ends.resize[0])};
    return 0;
}

int oci_reopen_log(Runtime *runtime, const char *id) {
    OciRuntime *rt = oci_of(runtime);
    int r = 0;
    _cleanup_(container_unrefp) Container *c = find_running(rt, id, &r, NULL);
    if (!c)
        return r;
    _cleanup_close_ int monitor = monitor_connect(c);
    return monitor < 0 ? monitor : monitor_request(monitor, 'L', NULL, 0, NULL, 0);
}
