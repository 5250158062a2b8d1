/* An etcd server of a test's own, on loopback ports of its own, in a folder of its own. Where: $LIGHTER_ETCD, else the
 * etcd of the distribution (hack/setup installs it). */
#pragma once

#include "base/clock.h"
#include "base/fs.h"
#include "base/str.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

typedef struct EtcdServer {
    char folder[48];
    uint16_t port, peer_port;
    char url[40];
    pid_t pid; /* 0: not running */
    const char *more[8]; /* further arguments; NULL-terminated */
} EtcdServer;

static inline uint16_t etcd_free_port(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    uint16_t port = 0;
    if (fd >= 0 && bind(fd, (struct sockaddr *)&address, n) == 0 &&
        getsockname(fd, (struct sockaddr *)&address, &n) == 0)
        port = ntohs(address.sin_port);
    close(fd);
    return port;
}

static inline const char *etcd_program(void) {
    const char *own = getenv("LIGHTER_ETCD");
    return own ? own : "/usr/bin/etcd";
}

static inline bool etcd_answers(const EtcdServer *server) {
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(server->port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int r = connect(fd, (struct sockaddr *)&address, sizeof address);
    close(fd);
    return r == 0;
}

/* False, with a line that says what is missing, when it cannot be run. */
static inline bool etcd_start(EtcdServer *server) {
    if (access(etcd_program(), X_OK) < 0) {
        fprintf(stderr, "%s is not there: hack/setup installs etcd-server, or LIGHTER_ETCD names one\n",
                etcd_program());
        return false;
    }
    _cleanup_free_ char *peer = xasprintf("http://127.0.0.1:%u", server->peer_port),
                        *cluster = xasprintf("default=%s", peer), *data = xasprintf("%s/data", server->folder),
                        *log = xasprintf("%s/log", server->folder);
    server->pid = fork();
    if (server->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        int fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
        dup2(fd, STDOUT_FILENO);
        dup2(fd, STDERR_FILENO);
        const char *args[40] = {"etcd", "--data-dir", data, "--listen-client-urls", server->url,
                                "--advertise-client-urls", server->url, "--listen-peer-urls", peer,
                                "--initial-advertise-peer-urls", peer, "--initial-cluster", cluster};
        for (size_t i = 0; server->more[i]; i++)
            args[13 + i] = server->more[i];
        execv(etcd_program(), (char *const *)(uintptr_t)args);
        _exit(127);
    }
    for (int i = 0; i < 2000; i++) {
        if (etcd_answers(server))
            return true;
        if (waitpid(server->pid, NULL, WNOHANG) != 0)
            break;
        nanosleep(&(struct timespec){.tv_nsec = 10 * NS_PER_MS}, NULL);
    }
    fprintf(stderr, "etcd does not answer; its log is %s\n", log);
    return false;
}

static inline bool etcd_new(EtcdServer *server) {
    *server = (EtcdServer){.port = etcd_free_port(), .peer_port = etcd_free_port()};
    strcpy(server->folder, "/tmp/lighter-etcd-XXXXXX");
    if (!mkdtemp(server->folder))
        return false;
    snprintf(server->url, sizeof server->url, "http://127.0.0.1:%u", server->port);
    return etcd_start(server);
}

static inline void etcd_signal(EtcdServer *server, int signo) {
    if (server->pid > 0) {
        kill(server->pid, signo);
        waitpid(server->pid, NULL, 0);
    }
    server->pid = 0;
}

static inline void etcd_done(EtcdServer *server) {
    etcd_signal(server, SIGKILL);
    fs_remove_tree(server->folder);
}
