#include "monitor.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define OVERLAY_OPTIONS_MAX 4096 /* what mount(2) takes: one page */
#define RUNTIME_LOG_TAIL 2048

int64_t wall_ns(void) {
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

void sync_send(char kind, const char *text, int fd) {
    char line[RUNTIME_LOG_TAIL + 256];
    int n = snprintf(line, sizeof line, "%c%s", kind, text);
    struct iovec iov = {line, n < (int)sizeof line ? (size_t)n : sizeof line - 1};
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = {0};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    if (fd >= 0) {
        msg.msg_control = control.bytes;
        msg.msg_controllen = sizeof control.bytes;
        struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof fd);
        memcpy(CMSG_DATA(c), &fd, sizeof fd);
    }
    ssize_t sent = sendmsg(SYNC_FD, &msg, MSG_NOSIGNAL);
    (void)sent;
    close(SYNC_FD);
}

void sync_fail_from_log(const char *log_file, const char *otherwise) {
    char tail[RUNTIME_LOG_TAIL + 1];
    int fd = open(log_file, O_RDONLY | O_CLOEXEC);
    ssize_t n = -1;
    if (fd >= 0) {
        off_t size = lseek(fd, 0, SEEK_END);
        n = pread(fd, tail, RUNTIME_LOG_TAIL, size > RUNTIME_LOG_TAIL ? size - RUNTIME_LOG_TAIL : 0);
        close(fd);
    }
    while (n > 0 && tail[n - 1] == '\n')
        n--;
    if (n <= 0) {
        sync_send(SYNC_FAILED, otherwise, -1);
        return;
    }
    tail[n] = 0;
    char *last = strrchr(tail, '\n');
    sync_send(SYNC_FAILED, last ? last + 1 : tail, -1);
}

void detach_from_agent(void) {
    pid_t pid = fork();
    if (pid < 0) {
        sync_send(SYNC_FAILED, "the monitor cannot fork", -1);
        _exit(1);
    }
    if (pid > 0)
        _exit(0);
    setsid();
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
}

int sigchld_fd(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_BLOCK, &set, NULL);
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* Paths are relative to the folder of links, so that 127 layers fit a page of options. The upper layer dies with the
 * container, so nothing in it has to reach the disk (volatile, Linux 5.10): without it every container's end syncs the
 * whole file system. */
static int mount_overlay(int layers) {
    char options[OVERLAY_OPTIONS_MAX];
    if (chdir("l") < 0)
        return -1;
    int n = snprintf(options, sizeof options, "lowerdir=");
    for (int i = layers - 1; i >= 0 && n < (int)sizeof options; i--)
        n += snprintf(options + n, sizeof options - (size_t)n, i ? "%d:" : "%d", i);
    int base = n;
    if (n < (int)sizeof options)
        n += snprintf(options + n, sizeof options - (size_t)n, ",upperdir=../upper,workdir=../work,volatile");
    if (n >= (int)sizeof options) {
        errno = E2BIG;
        return -1;
    }
    int r = mount("overlay", "../rootfs", "overlay", 0, options);
    if (r < 0 && errno == EINVAL) {
        snprintf(options + base, sizeof options - (size_t)base, ",upperdir=../upper,workdir=../work");
        r = mount("overlay", "../rootfs", "overlay", 0, options);
    }
    int saved = errno;
    if (chdir("..") < 0)
        return -1;
    errno = saved;
    return r;
}

/* The runtime's mount namespace: the root file system is mounted only there, so the machine's table stays short and
 * nothing is left to unmount. crun 1.8 refuses a hybrid cgroup tree: the v2 part is taken away where it runs. */
static int prepare_mounts(const Options *options, bool with_rootfs) {
    if (!options->detach_mount && !with_rootfs)
        return 0;
    if (unshare(CLONE_NEWNS) < 0)
        return -1;
    if (mount(NULL, options->shared_mounts ? "/sys/fs/cgroup" : "/", NULL, MS_REC | MS_SLAVE, NULL) < 0 &&
        !options->shared_mounts)
        return -1;
    if (options->detach_mount && umount2(options->detach_mount, MNT_DETACH) < 0 && errno != EINVAL && errno != ENOENT)
        return -1;
    return with_rootfs && options->layers ? mount_overlay(options->layers) : 0;
}

static void child_fail(const char *what) {
    char text[256];
    snprintf(text, sizeof text, "%s: %s", what, strerror(errno));
    sync_send(SYNC_FAILED, text, -1);
    _exit(127);
}

pid_t runtime_spawn(const Options *options, char *const argv[], const int stdio[3], bool with_rootfs) {
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    for (int signo = 1; signo < NSIG; signo++)
        signal(signo, SIG_DFL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int i = 0; i < 3; i++)
        if (stdio[i] != i && dup2(stdio[i] >= 0 ? stdio[i] : null, i) < 0)
            child_fail("the container's standard streams");
    if (prepare_mounts(options, with_rootfs) < 0)
        child_fail("the container's root file system");
    /* The agent must not wait for ever on a socket that the container inherited. */
    fcntl(SYNC_FD, F_SETFD, FD_CLOEXEC);
    execvp(argv[0], argv);
    child_fail(argv[0]);
    return -1;
}

int wait_for(pid_t pid) {
    int status = -1;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return -1;
    return status;
}

int exit_code_of(int status) {
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + (WIFSIGNALED(status) ? WTERMSIG(status) : 0);
}

pid_t read_pid_file(const char *path) {
    char text[32];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    if (n <= 0)
        return -1;
    text[n] = 0;
    return atoi(text) > 0 ? atoi(text) : -1;
}

int console_listen(const char *name) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(name) >= sizeof address.sun_path)
        return -1;
    memcpy(address.sun_path, name, strlen(name));
    unlink(name);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || chmod(name, 0600) < 0 ||
        listen(fd, 1) < 0)
        return -1;
    return fd;
}

int console_receive(int listener) {
    fcntl(listener, F_SETFL, O_NONBLOCK);
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0)
        return -1;
    char name[256];
    struct iovec iov = {name, sizeof name};
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = {0};
    struct msghdr msg = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
    int master = -1;
    if (recvmsg(fd, &msg, MSG_CMSG_CLOEXEC) >= 0) {
        struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
        if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN(sizeof(int)))
            memcpy(&master, CMSG_DATA(c), sizeof master);
    }
    close(fd);
    return master;
}

int write_record(const char *path, const char *text, size_t n) {
    char temporary[4096];
    if (snprintf(temporary, sizeof temporary, "%s.tmp", path) >= (int)sizeof temporary)
        return -1;
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return -1;
    bool ok = write(fd, text, n) == (ssize_t)n;
    close(fd);
    return ok && rename(temporary, path) == 0 ? 0 : -1;
}
