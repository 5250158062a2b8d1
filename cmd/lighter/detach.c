#include "cmd/lighter/detach.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define LINE_MAX_BYTES 4096
#define LOG_TAIL 2000

static void print_tail(const char *log_path) {
    char tail[LOG_TAIL + 1];
    int fd = open(log_path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    off_t end = lseek(fd, 0, SEEK_END);
    ssize_t n = pread(fd, tail, LOG_TAIL, end > LOG_TAIL ? end - LOG_TAIL : 0);
    close(fd);
    if (n > 0)
        fwrite(tail, 1, (size_t)n, stderr);
}

/* The child's line, or its end without one. */
static _Noreturn void wait_for_child(int fd, pid_t child, const char *log_path) {
    char line[LINE_MAX_BYTES];
    size_t n = 0;
    for (;;) {
        ssize_t r = read(fd, line + n, sizeof line - n);
        if (r < 0 && errno == EINTR)
            continue;
        if (r <= 0)
            break;
        n += (size_t)r;
    }
    if (n > 0) {
        fwrite(line, 1, n, stdout);
        exit(0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    print_tail(log_path);
    fprintf(stderr, "lighter up: it did not start; the whole log is %s\n", log_path);
    exit(WIFEXITED(status) && WEXITSTATUS(status) ? WEXITSTATUS(status) : 1);
}

int detach(const char *log_path) {
    int pipe_fds[2];
    int log = open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (log < 0)
        return -errno;
    if (pipe2(pipe_fds, O_CLOEXEC) < 0) {
        close(log);
        return -errno;
    }
    pid_t child = fork();
    if (child < 0) {
        int r = -errno;
        close(log);
        close(pipe_fds[0]);
        close(pipe_fds[1]);
        return r;
    }
    if (child > 0) {
        close(log);
        close(pipe_fds[1]);
        wait_for_child(pipe_fds[0], child, log_path);
    }
    close(pipe_fds[0]);
    setsid();
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (null >= 0) {
        dup2(null, STDIN_FILENO);
        close(null);
    }
    dup2(log, STDOUT_FILENO);
    dup2(log, STDERR_FILENO);
    close(log);
    return pipe_fds[1];
}

void detach_ready(int fd, const char *line) {
    (void)!write(fd, line, strlen(line));
    close(fd);
}
