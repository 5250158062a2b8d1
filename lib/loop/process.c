#include "loop/process.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROCESS_READ_CHUNK 16384
#define KEPT_FD 3
#define CANCEL_POLL_MS 100

typedef struct Pipes {
    int in[2], out[2], err[2];
    int failed[2]; /* closed by a successful exec; otherwise carries errno */
} Pipes;

static void pipes_done(Pipes *p) {
    int *fds[] = {p->in, p->out, p->err, p->failed};
    for (size_t i = 0; i < ELEMENTSOF(fds); i++) {
        closep(&fds[i][0]);
        closep(&fds[i][1]);
    }
}

static int pipes_open(Pipes *p, const ProcessSpec *spec) {
    *p = (Pipes){{-1, -1}, {-1, -1}, {-1, -1}, {-1, -1}};
    if (pipe2(p->out, O_CLOEXEC) < 0 || pipe2(p->err, O_CLOEXEC) < 0 || pipe2(p->failed, O_CLOEXEC) < 0)
        return -errno;
    if (spec->input)
        return pipe2(p->in, O_CLOEXEC) < 0 ? -errno : 0;
    p->in[0] = spec->input_fd > 0 ? fcntl(spec->input_fd, F_DUPFD_CLOEXEC, 3) : open("/dev/null", O_RDONLY | O_CLOEXEC);
    return p->in[0] < 0 ? -errno : 0;
}

/* A descriptor that is to be another, as when the parent runs without standard streams, would be lost to dup2: move it
 * up first. */
static int move_up(int fd) {
    return fd > KEPT_FD ? fd : fcntl(fd, F_DUPFD_CLOEXEC, KEPT_FD + 1);
}

static int child_namespaces(const ProcessSpec *spec) {
    if (spec->netns_fd > 0 && setns(spec->netns_fd, CLONE_NEWNET) < 0)
        return -1;
    if (!spec->private_mounts)
        return 0;
    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
        return -1;
    /* EINVAL: nothing is mounted there. */
    if (spec->detach_mount && umount2(spec->detach_mount, MNT_DETACH) < 0 && errno != EINVAL && errno != ENOENT)
        return -1;
    return 0;
}

static int keep_open(int fd) {
    if (fd == KEPT_FD)
        return fcntl(fd, F_SETFD, 0);
    return fd > 0 && dup2(fd, KEPT_FD) < 0 ? -1 : 0;
}

/* Between fork and exec: system calls only, for other threads may hold any lock. */
__attribute__((noreturn)) static void child_exec(const ProcessSpec *spec, const Pipes *p, pid_t caller) {
    setpgid(0, 0);
    if (spec->die_with_caller && (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != caller))
        _exit(127);
    int failed = move_up(p->failed[1]), in = move_up(p->in[0]), out = move_up(p->out[1]), err = move_up(p->err[1]);
    if (failed < 0)
        _exit(127);
    for (int signo = 1; signo < NSIG; signo++) {
        struct sigaction action = {.sa_handler = SIG_DFL};
        sigaction(signo, &action, NULL);
    }
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (in >= 0 && out >= 0 && err >= 0 && dup2(in, 0) >= 0 && dup2(out, 1) >= 0 && dup2(err, 2) >= 0 &&
        child_namespaces(spec) == 0 && (spec->cwd_fd <= 0 || fchdir(spec->cwd_fd) == 0) &&
        keep_open(spec->keep_fd) == 0)
        execvpe(spec->argv[0], (char *const *)spec->argv, spec->env ? (char *const *)spec->env : environ);
    int e = errno;
    ssize_t n = write(failed, &e, sizeof e);
    (void)n;
    _exit(127);
}

static void output_append(const char *p, size_t n, void *userdata) {
    Buf *buf = userdata;
    buf_append(buf, p, MIN(n, PROCESS_OUTPUT_MAX - buf->len));
}

/* Reads what there is; closes at the end. */
static void output_read(int *fd, void (*take)(const char *p, size_t n, void *userdata), void *userdata) {
    char chunk[PROCESS_READ_CHUNK];
    for (;;) {
        ssize_t n = read(*fd, chunk, sizeof chunk);
        if (n > 0) {
            take(chunk, (size_t)n, userdata);
            continue;
        }
        if (n == 0 || (errno != EAGAIN && errno != EINTR))
            closep(fd), *fd = -1;
        return;
    }
}

static void input_write(int *fd, const char **input, size_t *left) {
    while (*left > 0) {
        ssize_t n = write(*fd, *input, *left);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (n < 0)
            break; /* EPIPE: it does not want its input */
        *input += n;
        *left -= (size_t)n;
    }
    closep(fd);
    *fd = -1;
}

static int poll_timeout(uint64_t deadline, bool cancellable) {
    uint64_t now = now_monotonic_ns(), most = cancellable ? CANCEL_POLL_MS : INT_MAX;
    if (!deadline)
        return cancellable ? CANCEL_POLL_MS : -1;
    if (now >= deadline)
        return 0;
    return (int)MIN((deadline - now) / NS_PER_MS + 1, most);
}

/* Until the program ends: a grandchild that keeps the pipes open (a monitor) does not hold us. */
static int process_pump(const ProcessSpec *spec, int pidfd, Pipes *p, ProcessResult *result) {
    uint64_t deadline = spec->timeout_ns ? now_monotonic_ns() + spec->timeout_ns : 0;
    signal(SIGPIPE, SIG_IGN); /* a program may end without reading its input */
    const char *input = spec->input;
    size_t left = spec->input ? spec->input_len : 0;
    if (p->in[1] >= 0)
        input_write(&p->in[1], &input, &left);
    for (;;) {
        struct pollfd fds[] = {
            {.fd = pidfd, .events = POLLIN},
            {.fd = p->out[0], .events = POLLIN},
            {.fd = p->err[0], .events = POLLIN},
            {.fd = p->in[1], .events = POLLOUT},
        };
        int n = poll(fds, ELEMENTSOF(fds), poll_timeout(deadline, spec->cancel != NULL));
        if (n < 0 && errno != EINTR)
            return -errno;
        if (spec->cancel && atomic_load(spec->cancel))
            return -ECANCELED;
        if (n == 0 && deadline && now_monotonic_ns() >= deadline)
            return -ETIMEDOUT;
        if (n <= 0)
            continue;
        if (fds[3].revents)
            input_write(&p->in[1], &input, &left);
        if (fds[1].revents || fds[0].revents)
            if (p->out[0] >= 0)
                output_read(&p->out[0], spec->output ? spec->output : output_append,
                            spec->output ? spec->userdata : &result->out);
        if (fds[2].revents || fds[0].revents)
            if (p->err[0] >= 0)
                output_read(&p->err[0], output_append, &result->err);
        if (fds[0].revents)
            return 0;
    }
}

static void parent_prepare(Pipes *p) {
    closep(&p->in[0]), p->in[0] = -1;
    closep(&p->out[1]), p->out[1] = -1;
    closep(&p->err[1]), p->err[1] = -1;
    closep(&p->failed[1]), p->failed[1] = -1;
    fcntl(p->out[0], F_SETFL, O_NONBLOCK);
    fcntl(p->err[0], F_SETFL, O_NONBLOCK);
    if (p->in[1] >= 0)
        fcntl(p->in[1], F_SETFL, O_NONBLOCK);
}

/* All signals are blocked over the fork, so that a handler of ours cannot run in the child. */
static pid_t process_fork(const ProcessSpec *spec, const Pipes *p) {
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    pid_t caller = getpid(), pid = fork();
    if (pid == 0)
        child_exec(spec, p, caller);
    int r = pid < 0 ? -errno : 0;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return pid < 0 ? r : pid;
}

int process_run(const ProcessSpec *spec, ProcessResult *ret) {
    _cleanup_(pipes_done) Pipes p;
    int r = pipes_open(&p, spec);
    if (r < 0)
        return r;
    pid_t pid = process_fork(spec, &p);
    if (pid < 0)
        return pid;
    parent_prepare(&p);
    int status = 0, failure = 0;
    ssize_t n;
    do
        n = read(p.failed[0], &failure, sizeof failure);
    while (n < 0 && errno == EINTR);
    if (n == sizeof failure) {
        waitpid(pid, &status, 0);
        return -failure;
    }
    _cleanup_close_ int pidfd = pidfd_open(pid, 0);
    ProcessResult result = {.out = BUF_INIT(PROCESS_OUTPUT_MAX), .err = BUF_INIT(PROCESS_OUTPUT_MAX)};
    r = pidfd < 0 ? -errno : process_pump(spec, pidfd, &p, &result);
    if (r < 0) {
        kill(-pid, SIGKILL);
        kill(pid, SIGKILL);
    }
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    if (r < 0) {
        process_result_done(&result);
        return r;
    }
    result.status = status;
    *ret = result;
    return 0;
}

void process_result_done(ProcessResult *result) {
    buf_done(&result->out);
    buf_done(&result->err);
}
