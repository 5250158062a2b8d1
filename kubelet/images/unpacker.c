#include "kubelet/images/unpacker.h"

#include "base/str.h"
#include "loop/process.h"

#include <errno.h>
#include <sys/wait.h>

static int run(const char *const *argv, int lock, int fd, int root_fd, char **ret_error) {
    _cleanup_process_result_ ProcessResult result = {0};
    int r = process_run(
        &(ProcessSpec){.argv = argv, .input_fd = fd, .cwd_fd = root_fd, .keep_fd = lock, .die_with_caller = true},
        &result);
    if (r < 0) {
        *ret_error = xasprintf("%s: %s", argv[0], strerror(-r));
        return r;
    }
    if (WIFEXITED(result.status) && WEXITSTATUS(result.status) == 0)
        return 0;
    size_t n = result.err.len;
    while (n > 0 && result.err.data[n - 1] == '\n')
        n--;
    if (WIFEXITED(result.status) && n > 0) {
        *ret_error = xstrndup(result.err.data, n);
        return -WEXITSTATUS(result.status);
    }
    *ret_error = WIFSIGNALED(result.status) ? xasprintf("%s was ended by signal %d", argv[0], WTERMSIG(result.status))
                                            : xasprintf("%s ended with status %d", argv[0], WEXITSTATUS(result.status));
    return -ECHILD;
}

int unpacker_layer(const char *program, int lock, int fd, int root_fd, const char *diff_id, char **ret_error) {
    return run((const char *const[]){program, "layer", diff_id, NULL}, lock, fd, root_fd, ret_error);
}

int unpacker_archive(const char *program, int lock, int fd, int root_fd, char **ret_error) {
    return run((const char *const[]){program, "archive", NULL}, lock, fd, root_fd, ret_error);
}
