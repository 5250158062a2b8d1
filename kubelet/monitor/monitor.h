/* lighter-monitor: one small process per container (mode run) or interactive exec (mode exec), and the first process of
 * a shared process namespace (mode pause). libc only, one thread, no allocation after start but the attach buffers. It
 * outlives the agent: what it knows is in files of the container's folder and behind its control socket;
 * docs/runtime.md has the protocol. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define SYNC_FD 3   /* a connected unix socket: one answer, "+PID", "-reason" or "=reason" */
#define EXIT_FD 4   /* exec: a pipe for the exit code (int32_t) */
#define RESIZE_FD 5 /* exec with a terminal: struct winsize come here */

typedef struct Options {
    const char *mode, *id, *dir, *exit_file, *log_file, *runtime, *runtime_root, *detach_mount, *oom_file,
        *process_file;
    int layers; /* of the overlay: links l/0 (lowest) .. l/N-1; 0: rootfs is ready */
    bool tty, stdin_, stdin_once, shared_mounts, crun; /* shared_mounts: mounts made in the container reach the host */
} Options;

int run_main(const Options *options);
int exec_main(const Options *options);
int pause_main(void);

/* Answers the agent once, with the pid or a reason; `fd` >= 0 rides along. */
enum { SYNC_STARTED = '+', SYNC_FAILED = '-', SYNC_BUSY = '=' }; /* busy: another monitor has the container */
void sync_send(char kind, const char *text, int fd);
/* "-" and the last line of the runtime's log, or `otherwise`. */
void sync_fail_from_log(const char *log_file, const char *otherwise);

/* Leaves the caller's session and process tree: the parent exits at once. */
void detach_from_agent(void);
/* A descriptor that reads SIGCHLD (blocked in this process). */
int sigchld_fd(void);

/* Starts the OCI runtime with argv: signals reset, stdio as given (-1: /dev/null), in a mount namespace of its own that
 * holds the container's root file system. Returns the pid. */
pid_t runtime_spawn(const Options *options, char *const argv[], const int stdio[3], bool with_rootfs);
/* Waits for `pid` alone. Returns its wait status. */
int wait_for(pid_t pid);
int exit_code_of(int wait_status);
pid_t read_pid_file(const char *path);

/* Where the OCI runtime hands over the terminal's master: a listening socket at a path relative to the container's
 * folder. */
int console_listen(const char *name);
int console_receive(int listener);

int64_t wall_ns(void);
/* Replaces `path` by `text` in one step. */
int write_record(const char *path, const char *text, size_t n);

/* The log: lines of the CRI format, "TIME stdout|stderr P|F text". */
#define LOG_LINE_CHUNK 16384 /* longer lines come in parts, as containerd's max_container_log_line_size */
typedef struct LogStream {
    const char *name;
    size_t len;
    char line[LOG_LINE_CHUNK];
} LogStream;
int log_open(const char *path);
void log_feed(int fd, LogStream *stream, const char *data, size_t n);
void log_flush(int fd, LogStream *stream); /* the rest, without a newline, as a partial line */
