/* Logs, exec and attach. */
#include "fixture.h"

#include <sys/ioctl.h>
#include <sys/socket.h>

static void logs_have_the_cri_format(void **state) {
    Fixture *f = *state;
    _cleanup_free_ char *sandbox = sandbox_new_with(f, (SandboxSpec){0});
    ContainerSpec spec = container_spec(f, NULL);
    spec.log_path = "format.log";
    spec.command = ARGV(
        "/bin/sh", "-c",
        "echo out; sleep 0.1; echo err >&2; sleep 0.1; dd if=/dev/zero bs=20000 count=1 2>/dev/null; echo; printf end");
    _cleanup_free_ char *id = container_run(f, sandbox, &spec);
    ContainerStatus status = container_end(f, id);
    assert_true(str_has_suffix(status.log_path, "/logs/format.log"));
    container_status_done(&status);
    char path[256];
    snprintf(path, sizeof path, "%s/logs/format.log", f->dir);
    _cleanup_free_ char *log = NULL;
    size_t n;
    assert_int_equal(fs_read_file(path, 1 << 20, &log, &n), 0);
    const struct {
        const char *stream, *tag;
        size_t len;
    } want[] = {{"stdout", "F", 3},
                {"stderr", "F", 3},
                {"stdout", "P", 16384},
                {"stdout", "F", 20000 - 16384},
                {"stdout", "P", 3}};
    const char *p = log, *end = log + n;
    for (size_t i = 0; i < ELEMENTSOF(want); i++) {
        const char *newline = memchr(p, '\n', (size_t)(end - p));
        assert_non_null(newline);
        char time[64], stream[16], tag[4];
        int at = 0;
        assert_int_equal(sscanf(p, "%63s %15s %3s %n", time, stream, tag, &at), 3);
        at = (int)(strlen(time) + strlen(stream) + strlen(tag) + 3);
        int64_t when;
        assert_int_equal(rfc3339_parse(time, &when), 0);
        assert_int_equal(strlen(time), 30);
        assert_true(llabs(now_realtime_ns() - when) < 60 * (int64_t)NS_PER_SEC);
        assert_string_equal(stream, want[i].stream);
        assert_string_equal(tag, want[i].tag);
        assert_int_equal(newline - p - at, want[i].len);
        p = newline + 1;
    }
    assert_ptr_equal(p, end);
}

static void logs_are_reopened(void **state) {
    Fixture *f = *state;
    _cleanup_free_ char *sandbox = sandbox_new_with(f, (SandboxSpec){0}), *error = NULL;
    ContainerSpec spec =
        container_spec(f, ARGV("/bin/sh", "-c", "n=0; while :; do echo line $n; n=$((n+1)); sleep 0.02; done"));
    spec.log_path = "rotate.log";
    _cleanup_free_ char *id = container_run(f, sandbox, &spec);
    char from[256], to[256];
    snprintf(from, sizeof from, "%s/logs/rotate.log", f->dir);
    snprintf(to, sizeof to, "%s/logs/rotate.log.1", f->dir);
    for (int i = 0; i < 400; i++) {
        _cleanup_free_ char *log = log_text(f, "rotate.log");
        if (strstr(log, "line 3\n"))
            break;
        usleep(10000);
    }
    assert_int_equal(rename(from, to), 0);
    assert_int_equal(f->runtime->reopen_log(f->runtime, id), 0);
    for (int i = 0;; i++) {
        _cleanup_free_ char *log = log_text(f, "rotate.log");
        if (strstr(log, "line"))
            break;
        assert_true(i < 400);
        usleep(10000);
    }
    assert_int_equal(f->runtime->container_stop(f->runtime, id, 0, &error), 0);
    /* Nothing is lost between the two. */
    _cleanup_free_ char *one = log_text(f, "rotate.log.1"), *two = log_text(f, "rotate.log"),
                        *both = xasprintf("%s%s", one, two);
    for (int i = 0; i < 5; i++) {
        _cleanup_free_ char *line = xasprintf(" line %d\n", i);
        assert_non_null(strstr(both, line));
    }
    assert_int_equal(f->runtime->reopen_log(f->runtime, id), -ESRCH);
}

static void exec_sync_gives_output_and_code(void **state) {
    Fixture *f = *state;
    _cleanup_free_ char *sandbox = sandbox_new_with(f, (SandboxSpec){0});
    RuntimePair env[] = {{(char *)"MINE", (char *)"1"}};
    ContainerSpec spec = container_spec(f, ARGV("/bin/sleep", "100"));
    spec.env = env;
    spec.n_env = 1;
    _cleanup_free_ char *id = container_run(f, sandbox, &spec);
    int code;
    _cleanup_free_ char *out =
        exec_text(f, id, ARGV("/bin/sh", "-c", "echo $MINE $FROM_IMAGE $HOSTNAME; pwd; echo e >&2; exit 3"), &code);
    assert_int_equal(code, 3);
    assert_string_equal(out, "1 yes pod-host\n/tmp\ne\n");
    /* More output than asked for is cut, and read to its end. */
    Buf cut = BUF_INIT(1000);
    char *error = NULL;
    assert_int_equal(f->runtime->exec_sync(f->runtime, id, ARGV("/bin/sh", "-c", "yes | head -c 300000"),
                                           20 * NS_PER_SEC, 1000, &cut, &code, &error),
                     0);
    assert_int_equal(code, 0);
    assert_int_equal(cut.len, 1000);
    buf_done(&cut);
    /* Not there. */
    Buf none = BUF_INIT(1000);
    assert_true(f->runtime->exec_sync(f->runtime, id, ARGV("/no/such"), 20 * NS_PER_SEC, 1000, &none, &code, &error) <
                0);
    assert_non_null(strstr(error, "/no/such"));
    free(error);
    buf_done(&none);
}

static void exec_sync_times_out_and_kills(void **state) {
    Fixture *f = *state;
    _cleanup_free_ char *sandbox = sandbox_new_with(f, (SandboxSpec){0}), *error = NULL;
    ContainerSpec spec = container_spec(f, ARGV("/bin/sleep", "100"));
    _cleanup_free_ char *id = container_run(f, sandbox, &spec);
    int code;
    Buf out = BUF_INIT(1000);
    uint64_t start = now_monotonic_ns();
    assert_int_equal(
        f->runtime->exec_sync(f->runtime, id, ARGV("/bin/sleep", "77"), 200 * NS_PER_MS, 1000, &out, &code, &error),
        -ETIMEDOUT);
    assert_string_equal(error, "command timed out: timeout 0.2s exceeded");
    assert_true(now_monotonic_ns() - start < 5 * NS_PER_SEC);
    buf_done(&out);
    for (int i = 0;; i++) {
        _cleanup_free_ char *list = exec_text(f, id, ARGV("/bin/ps"), &code);
        if (!strstr(list, "sleep 77"))
            break;
        assert_true(i < 100);
    }
}

static void exec_sync_ends_with_its_command(void **state) {
    Fixture *f = *state;
    _cleanup_free_ char *sandbox = sandbox_new_with(f, (SandboxSpec){0}), *error = NULL;
    ContainerSpec spec = container_spec(f, ARGV("/bin/sleep", "100"));
    _cleanup_free_ char *id = container_run(f, sandbox, &spec);
    int code;
    uint64_t start = now_monotonic_ns();
    /* 60 kB are in the pipe when it ends, which the one in the background holds open. */
    _cleanup_free_ char *out =
        exec_text(f, id, ARGV("/bin/sh", "-c", "/bin/sleep 78 & head -c 60000 /dev/zero | tr '\\0' x; exit 4"), &code);
    assert_int_equal(code, 4);
    assert_int_equal(strlen(out), 60000);
    _cleanup_free_ char *list = exec_text(f, id, ARGV("/bin/ps"), &code);
    assert_non_null(strstr(list, "sleep 78"));
    /* One that writes without end neither. */
    Buf cut = BUF_INIT(1000);
    assert_int_equal(f->runtime->exec_sync(f->runtime, id, ARGV("/bin/sh", "-c", "yes & exit 5"), 20 * NS_PER_SEC, 1000,
                                           &cut, &code, &error),
                     0);
    assert_int_equal(code, 5);
    buf_done(&cut);
    assert_true(now_monotonic_ns() - start < 15 * NS_PER_SEC);
}

static void write_full(int fd, const char *text) {
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

/* Reads until `until` was seen (NULL: to the end). */
static char *read_until(int fd, const char *until) {
    Buf out = BUF_INIT(1 << 20);
    for (;;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (poll(&p, 1, 10000) <= 0)
            fail_msg("waited for \"%s\", got \"%s\"", until ? until : "the end", out.data ? out.data : "");
        char chunk[4096];
        ssize_t n = read(fd, chunk, sizeof chunk);
        if (n <= 0 && !until)
            return buf_take(&out, NULL);
        if (n <= 0)
            fail_msg("ended after \"%s\"", out.data ? out.data : "");
        buf_append(&out, chunk, (size_t)n);
        if (until && strstr(out.data, until))
            return buf_take(&out, NULL);
    }
}

static void io_close(RuntimeIo *io) {
    int *fds[] = {&io->stdin_fd, &io->stdout_fd, &io->stderr_fd, &io->exit_fd, &io->resize_fd};
    for (size_t i = 0; i < ELEMENTSOF(fds); i++) {
        closep(fds[i]);
        *fds[i] = -1;
    }
}

static int32_t exit_code_from(const RuntimeIo *io) {
    int32_t code = -1;
    struct pollfd p = {.fd = io->exit_fd, .events = POLLIN};
    assert_int_equal(poll(&p, 1, 10000), 1);
    assert_int_equal(read(io->exit_fd, &code, sizeof code), sizeof code);
    char more;
    assert_int_equal(read(io->exit_fd, &more, 1), 0);
    return code;
}

static void exec_has_streams(void **state) {
    Fixture *f = *state;
    _cleanup_free_ char *sandbox = sandbox_new_with(f, (SandboxSpec){0}), *error = NULL;
    ContainerSpec spec = container_spec(f, ARGV("/bin/sleep", "100"));
    _cleanup_free_ char *id = container_run(f, sandbox, &spec);
    RuntimeIo io;
    if (f->runtime->exec(f->runtime, id, ARGV("/bin/sh", "-c", "cat; echo done >&2; exit 9"), true, true, true, false,
                         &io, &error) < 0)
        fail_msg("%s", error);
    assert_int_equal(io.resize_fd, -1);
    write_full(io.stdin_fd, "hello\n");
    _cleanup_free_ char *first = read_until(io.stdout_fd, "hello\n");
    closep(&io.stdin_fd);
    io.stdin_fd = -1;
    _cleanup_free_ char *out = read_until(io.stdout_fd, NULL), *err = read_until(io.stderr_fd, NULL);
    assert_string_equal(out, "");
    assert_string_equal(err, "done\n");
    assert_int_equal(exit_code_from(&io), 9);
    io_close(&io);
    /* Streams that were not asked for. */
    assert_int_equal(f->runtime->exec(f->runtime, id, ARGV("/bin/sh", "-c", "cat; echo x; echo y >&2"), false, true,
                                      false, false, &io, &error),
                     0);
    assert_true(io.stdin_fd == -1 && io.stderr_fd == -1);
    _cleanup_free_ char *only = read_until(io.stdout_fd, NULL);
    assert_string_equal(only, "x\n");
    assert_int_equal(exit_code_from(&io), 0);
    io_close(&io);
}

static void exec_with_a_terminal(void **state) {
    Fixture *f = *state;
    _cleanup_free_ char *sandbox = sandbox_new_with(f, (SandboxSpec){0}), *error = NULL;
    ContainerSpec spec = container_spec(f, ARGV("/bin/sleep", "100"));
    _cleanup_free_ char *id = container_run(f, sandbox, &spec);
    RuntimeIo io;
    if (f->runtime->exec(f->runtime, id, ARGV("/bin/sh"), true, true, false, true, &io, &error) < 0)
        fail_msg("%s", error);
    assert_int_equal(io.stderr_fd, -1);
    struct winsize size = {.ws_row = 33, .ws_col = 99};
    assert_int_equal(write(io.resize_fd, &size, sizeof size), sizeof size);
    for (int i = 0;; i++) { /* the size is set by another process */
        write_full(io.stdin_fd, "stty size; echo $TERM\n");
        _cleanup_free_ char *out = read_until(io.stdout_fd, "xterm\r\n");
        if (strstr(out, "33 99"))
            break;
        assert_true(i < 100);
    }
    write_full(io.stdin_fd, "exit 4\n");
    assert_int_equal(exit_code_from(&io), 4);
    _cleanup_free_ char *rest = read_until(io.stdout_fd, NULL);
    io_close(&io);
    /* Who goes away leaves no process behind. */
    assert_int_equal(f->runtime->exec(f->runtime, id, ARGV("/bin/sleep", "78"), true, true, false, true, &io, &error),
                     0);
    io_close(&io);
    int code;
    for (int i = 0;; i++) {
        _cleanup_free_ char *list = exec_text(f, id, ARGV("/bin/ps"), &code);
        if (!strstr(list, "sleep 78"))
            break;
        assert_true(i < 100);
    }
}

static void attach_talks_to_the_container(void **state) {
    Fixture *f = *state;
    _cleanup_free_ char *sandbox = sandbox_new_with(f, (SandboxSpec){0}), *error = NULL;
    ContainerSpec spec = container_spec(
        f, ARGV("/bin/sh", "-c",
                "while read line; do echo \"got $line\"; echo \"err $line\" >&2; done; echo closed; exit 6"));
    spec.stdin_ = spec.stdin_once = true;
    spec.log_path = "attach.log";
    _cleanup_free_ char *id = container_run(f, sandbox, &spec);
    RuntimeIo one, two;
    if (f->runtime->attach(f->runtime, id, true, true, true, &one, &error) < 0)
        fail_msg("%s", error);
    assert_int_equal(f->runtime->attach(f->runtime, id, false, true, false, &two, &error), 0);
    assert_true(two.stdin_fd == -1 && two.stderr_fd == -1 && two.exit_fd == -1);
    write_full(one.stdin_fd, "a\n");
    _cleanup_free_ char *out = read_until(one.stdout_fd, "got a\n"), *err = read_until(one.stderr_fd, "err a\n"),
                        *other = read_until(two.stdout_fd, "got a\n");
    closep(&one.stdin_fd);
    one.stdin_fd = -1;
    _cleanup_free_ char *rest = read_until(one.stdout_fd, NULL);
    assert_string_equal(rest, "closed\n");
    io_close(&one);
    io_close(&two);
    ContainerStatus status = container_end(f, id);
    assert_int_equal(status.exit_code, 6);
    container_status_done(&status);
    _cleanup_free_ char *log = log_text(f, "attach.log");
    assert_non_null(strstr(log, "stdout F got a\n"));
    assert_non_null(strstr(log, "stderr F err a\n"));
}

static void attach_to_a_terminal(void **state) {
    Fixture *f = *state;
    _cleanup_free_ char *sandbox = sandbox_new_with(f, (SandboxSpec){0}), *error = NULL;
    ContainerSpec spec = container_spec(f, ARGV("/bin/sh"));
    spec.stdin_ = spec.tty = true;
    spec.log_path = "tty.log";
    _cleanup_free_ char *id = container_run(f, sandbox, &spec);
    RuntimeIo io;
    if (f->runtime->attach(f->runtime, id, true, true, true, &io, &error) < 0)
        fail_msg("%s", error);
    struct winsize size = {.ws_row = 44, .ws_col = 111};
    assert_int_equal(write(io.resize_fd, &size, sizeof size), sizeof size);
    for (int i = 0;; i++) {
        write_full(io.stdin_fd, "stty size; echo e\"\"nd\n");
        _cleanup_free_ char *out = read_until(io.stdout_fd, "end\r\n");
        if (strstr(out, "44 111"))
            break;
        assert_true(i < 100);
    }
    /* The first leaves; the container stays, and another comes. */
    io_close(&io);
    assert_int_equal(f->runtime->attach(f->runtime, id, true, true, false, &io, &error), 0);
    write_full(io.stdin_fd, "exit 2\n");
    _cleanup_free_ char *rest = read_until(io.stdout_fd, NULL);
    io_close(&io);
    ContainerStatus status = container_end(f, id);
    assert_int_equal(status.exit_code, 2);
    container_status_done(&status);
}

/* A client that does not read must not hold the container for ever, nor lose its own beginning. */
static void a_client_that_does_not_read(void **state) {
    Fixture *f = *state;
    _cleanup_free_ char *sandbox = sandbox_new_with(f, (SandboxSpec){0}), *error = NULL;
    ContainerSpec spec = container_spec(f, ARGV("/bin/sh", "-c", "read go; yes 0123456789 | head -c 2000000; exit 0"));
    spec.stdin_ = true;
    spec.log_path = "flood.log";
    _cleanup_free_ char *id = container_run(f, sandbox, &spec);
    RuntimeIo io;
    assert_int_equal(f->runtime->attach(f->runtime, id, true, true, true, &io, &error), 0);
    write_full(io.stdin_fd, "\n");
    usleep(100000);
    /* Reading late still gives every byte: the container waited. */
    Buf out = BUF_INIT(4 << 20);
    for (;;) {
        char chunk[65536];
        ssize_t n = read(io.stdout_fd, chunk, sizeof chunk);
        if (n <= 0)
            break;
        buf_append(&out, chunk, (size_t)n);
    }
    assert_int_equal(out.len, 2000000);
    buf_done(&out);
    io_close(&io);
    ContainerStatus status = container_end(f, id);
    assert_int_equal(status.exit_code, 0);
    container_status_done(&status);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(logs_have_the_cri_format),
        cmocka_unit_test(logs_are_reopened),
        cmocka_unit_test(exec_sync_gives_output_and_code),
        cmocka_unit_test(exec_sync_times_out_and_kills),
        cmocka_unit_test(exec_sync_ends_with_its_command),
        cmocka_unit_test(exec_has_streams),
        cmocka_unit_test(exec_with_a_terminal),
        cmocka_unit_test(attach_talks_to_the_container),
        cmocka_unit_test(attach_to_a_terminal),
        cmocka_unit_test(a_client_that_does_not_read),
    };
    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
