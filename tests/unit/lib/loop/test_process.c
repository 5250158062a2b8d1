#include "base/clock.h"
#include "base/str.h"
#include "loop/process.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static int run(const char *script, const char *input, uint64_t timeout_ns, ProcessResult *ret) {
    const char *argv[] = {"sh", "-c", script, NULL};
    ProcessSpec spec = {.argv = argv, .input = input, .input_len = input ? strlen(input) : 0, .timeout_ns = timeout_ns};
    return process_run(&spec, ret);
}

static void test_output_and_status(void **state) {
    (void)state;
    _cleanup_process_result_ ProcessResult result = {0};
    assert_int_equal(run("cat; echo problem >&2; exit 3", "some input", 0, &result), 0);
    assert_true(WIFEXITED(result.status));
    assert_int_equal(WEXITSTATUS(result.status), 3);
    assert_string_equal(result.out.data, "some input");
    assert_string_equal(result.err.data, "problem\n");
}

static void test_no_such_program(void **state) {
    (void)state;
    const char *argv[] = {"no-such-program-anywhere", NULL};
    ProcessSpec spec = {.argv = argv};
    ProcessResult result = {.status = 99};
    assert_int_equal(process_run(&spec, &result), -ENOENT);
    assert_int_equal(result.status, 99);
}

static void test_timeout_kills_the_group(void **state) {
    (void)state;
    ProcessResult result = {0};
    uint64_t start = now_monotonic_ns();
    assert_int_equal(run("sleep 60 & sleep 60", NULL, 50 * NS_PER_MS, &result), -ETIMEDOUT);
    assert_true(now_monotonic_ns() - start < 10 * NS_PER_SEC);
}

static void test_a_grandchild_does_not_hold_us(void **state) {
    (void)state;
    _cleanup_process_result_ ProcessResult result = {0};
    uint64_t start = now_monotonic_ns();
    assert_int_equal(run("sleep 30 & echo $!", NULL, 0, &result), 0);
    assert_true(now_monotonic_ns() - start < 20 * NS_PER_SEC);
    int64_t pid = 0;
    result.out.data[result.out.len - 1] = 0;
    assert_int_equal(str_to_int64(result.out.data, &pid), 0);
    assert_int_equal(kill((pid_t)pid, SIGKILL), 0);
}

static void test_output_is_bounded(void **state) {
    (void)state;
    _cleanup_process_result_ ProcessResult result = {0};
    assert_int_equal(run("head -c 3000000 /dev/zero", NULL, 0, &result), 0);
    assert_int_equal(result.out.len, PROCESS_OUTPUT_MAX);
    assert_int_equal(result.status, 0);
}

static void test_large_input_that_is_not_read(void **state) {
    (void)state;
    char *input = NEWN0(char, 1000001);
    memset(input, 'x', 1000000);
    {
        _cleanup_process_result_ ProcessResult result = {0};
        assert_int_equal(run("exit 0", input, 0, &result), 0);
        assert_int_equal(result.status, 0);
    }
    _cleanup_process_result_ ProcessResult result = {0};
    assert_int_equal(run("wc -c", input, 0, &result), 0);
    assert_int_equal(atoi(result.out.data), 1000000);
    free(input);
}

static void test_network_namespace(void **state) {
    (void)state;
    if (geteuid() != 0)
        skip();
    pid_t pid = fork();
    if (pid == 0) {
        if (unshare(CLONE_NEWNET) < 0)
            _exit(77);
        pause();
        _exit(0);
    }
    char path[64], own[64], child[64];
    snprintf(path, sizeof path, "/proc/%d/ns/net", pid);
    ssize_t n = readlink("/proc/self/ns/net", own, sizeof own - 1), m = n;
    assert_true(n > 0);
    own[n] = 0;
    for (int i = 0; i < 1000; i++) { /* until the child has its own */
        m = readlink(path, child, sizeof child - 1);
        assert_true(m > 0);
        child[m] = 0;
        if (!streq(own, child))
            break;
        usleep(1000);
    }
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    const char *argv[] = {"readlink", "/proc/self/ns/net", NULL};
    ProcessSpec spec = {.argv = argv, .netns_fd = fd, .private_mounts = true, .detach_mount = "/nowhere"};
    _cleanup_process_result_ ProcessResult result = {0};
    assert_int_equal(process_run(&spec, &result), 0);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    close(fd);
    result.out.data[result.out.len - 1] = 0;
    assert_string_equal(result.out.data, child);
}

typedef struct Stream {
    atomic_bool cancel;
    Buf seen;
} Stream;

static void take_output(const char *p, size_t n, void *userdata) {
    Stream *stream = userdata;
    buf_append(&stream->seen, p, n);
    atomic_store(&stream->cancel, true);
}

static void test_output_as_it_comes_and_cancellation(void **state) {
    (void)state;
    Stream stream = {.seen = BUF_INIT(1024)};
    const char *argv[] = {"sh", "-c", "echo one; exec sleep 60", NULL};
    ProcessSpec spec = {.argv = argv, .output = take_output, .userdata = &stream, .cancel = &stream.cancel};
    _cleanup_process_result_ ProcessResult result = {0};
    uint64_t start = now_monotonic_ns();
    assert_int_equal(process_run(&spec, &result), -ECANCELED);
    assert_true(now_monotonic_ns() - start < 20 * NS_PER_SEC);
    assert_string_equal(stream.seen.data, "one\n");
    buf_done(&stream.seen);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_output_and_status),       cmocka_unit_test(test_no_such_program),
        cmocka_unit_test(test_timeout_kills_the_group), cmocka_unit_test(test_a_grandchild_does_not_hold_us),
        cmocka_unit_test(test_output_is_bounded),       cmocka_unit_test(test_large_input_that_is_not_read),
        cmocka_unit_test(test_network_namespace),       cmocka_unit_test(test_output_as_it_comes_and_cancellation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
