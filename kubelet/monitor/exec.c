/* One process started inside a running container. The agent holds the other ends of its streams; when the agent closes
 * the exit pipe (or dies), nobody waits for the process any more and it is killed. */
#include "monitor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct Exec {
    pid_t pid;
    int master, children;
    bool resize;
} Exec;

static bool exec_reap(Exec *e) {
    for (;;) {
        int status;
        pid_t pid = waitpid(-1, &status, WNOHANG);
        if (pid < 0 && errno == EINTR)
            continue;
        if (pid <= 0)
            return false;
        if (pid == e->pid) {
            int32_t code = exit_code_of(status);
            ssize_t n = write(EXIT_FD, &code, sizeof code);
            (void)n;
            return true;
        }
    }
}

static void exec_loop(Exec *e) {
    for (;;) {
        struct pollfd fds[] = {
            {.fd = e->children, .events = POLLIN},
            {.fd = EXIT_FD},
            {.fd = e->resize ? RESIZE_FD : -1, .events = POLLIN},
        };
        if (poll(fds, 3, -1) < 0 && errno != EINTR)
            return;
        char drop[128 * 4];
        while (read(e->children, drop, sizeof drop) > 0) {
        }
        if (exec_reap(e))
            return;
        if (fds[1].revents & (POLLERR | POLLHUP)) {
            kill(e->pid, SIGKILL);
            wait_for(e->pid);
            return;
        }
        if (fds[2].revents) {
            struct winsize size;
            if (read(RESIZE_FD, &size, sizeof size) == sizeof size)
                ioctl(e->master, TIOCSWINSZ, &size);
            else if (!(fds[2].revents & POLLIN))
                e->resize = false;
        }
    }
}

/* The files of this exec are named after its process file: NAME.pid, NAME.log, NAME.sock. */
static void exec_names(const Options *o, char pid[256], char log[256], char console[256]) {
    snprintf(pid, 256, "%s.pid", o->process_file);
    snprintf(log, 256, "%s.log", o->process_file);
    snprintf(console, 256, "%s.sock", o->process_file);
}

static void exec_clean(const Options *o, const char *pid, const char *log, const char *console) {
    unlink(o->process_file);
    unlink(pid);
    unlink(log);
    unlink(console);
}

int exec_main(const Options *o) {
    detach_from_agent();
    Exec e = {.master = -1, .children = sigchld_fd(), .resize = o->tty};
    char pid_file[256], log_file[256], console[256];
    exec_names(o, pid_file, log_file, console);
    fcntl(EXIT_FD, F_SETFD, FD_CLOEXEC);
    fcntl(RESIZE_FD, F_SETFD, FD_CLOEXEC);
    int listener = o->tty ? console_listen(console) : -1;
    char *argv[32], **a = argv;
    *a++ = (char *)o->runtime;
    *a++ = (char *)"--root";
    *a++ = (char *)o->runtime_root;
    *a++ = (char *)"--log-format=json";
    *a++ = (char *)"--log";
    *a++ = log_file;
    *a++ = (char *)"exec";
    *a++ = (char *)"--detach";
    *a++ = (char *)"--process";
    *a++ = (char *)o->process_file;
    *a++ = (char *)"--pid-file";
    *a++ = pid_file;
    if (o->tty) {
        *a++ = (char *)"--console-socket";
        *a++ = console;
    }
    *a++ = (char *)o->id;
    *a = NULL;
    int stdio[3] = {0, 1, 2};
    if (o->tty)
        stdio[0] = stdio[1] = stdio[2] = -1;
    pid_t runtime = runtime_spawn(o, argv, stdio, false);
    close(0), close(1), close(2);
    int status = runtime > 0 ? wait_for(runtime) : -1;
    e.pid = status == 0 ? read_pid_file(pid_file) : -1;
    if (e.pid > 0 && o->tty)
        e.master = console_receive(listener);
    if (e.pid <= 0 || (o->tty && e.master < 0)) {
        sync_fail_from_log(log_file, "the OCI runtime could not start the process");
        if (e.pid > 0)
            kill(e.pid, SIGKILL);
        exec_clean(o, pid_file, log_file, console);
        return 1;
    }
    exec_clean(o, pid_file, log_file, console);
    char text[32];
    snprintf(text, sizeof text, "%d", (int)e.pid);
    sync_send(SYNC_STARTED, text, e.master);
    exec_loop(&e);
    return 0;
}

/* Until the agent has pinned the namespace and written down whose it is, it may die; then nobody would ever end this
 * one. */
static void await_owner(int connection) {
    char word;
    ssize_t n;
    while ((n = read(connection, &word, 1)) < 0 && errno == EINTR) {
    }
    if (n <= 0)
        _exit(1);
    close(connection);
}

/* The first process of a process namespace that a pod's containers share: it reaps what they leave. */
int pause_main(void) {
    if (syscall(SYS_unshare, 0x20000000 /* CLONE_NEWPID */) < 0) {
        sync_send(SYNC_FAILED, "a process namespace of its own", -1);
        return 1;
    }
    sigset_t set;
    sigfillset(&set);
    sigprocmask(SIG_BLOCK, &set, NULL);
    int connection = dup(SYNC_FD);
    pid_t pid = fork();
    if (pid) {
        char text[32];
        snprintf(text, sizeof text, "%d", (int)pid);
        sync_send(pid > 0 ? SYNC_STARTED : SYNC_FAILED, text, -1);
        _exit(pid > 0 ? 0 : 1);
    }
    setsid();
    prctl(PR_SET_NAME, "pause", 0, 0, 0);
    for (int fd = 0; fd <= SYNC_FD; fd++)
        close(fd);
    await_owner(connection);
    for (;;) {
        int signo = sigwaitinfo(&set, NULL);
        if (signo == SIGTERM || signo == SIGINT)
            return 0;
        while (signo == SIGCHLD && waitpid(-1, NULL, WNOHANG) > 0) {
        }
    }
}
