/* lighter-pull: pulls one image into a store that its caller keeps, and ends. The node agent starts one for each pull,
 * so that answers of registries are parsed by a process that holds nothing else, and so that the agent need not carry
 * libcurl and all that it brings. Standard input says what to pull (kubelet/images/puller.h); the exit status is 0 or
 * an errno; the image's id, or what went wrong, is on standard output, and the log on standard error. */
#include "kubelet/pull/pull.h"

#include "base/str.h"
#include "kubelet/images/puller.h"
#include "kubelet/images/store.h"
#include "kubelet/unpack/confine.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

static int usage(void) {
    fputs("usage: lighter-pull < REQUEST\n"
          "Pulls an image. The node agent starts it; see docs/runtime.md.\n",
          stderr);
    return EINVAL;
}

static int read_request(Buf *text) {
    char chunk[16384];
    ssize_t n;
    while ((n = read(STDIN_FILENO, chunk, sizeof chunk)) > 0)
        buf_append(text, chunk, (size_t)n);
    return n < 0 ? -errno : text->failed ? -E2BIG : 0;
}

static void on_progress(const char *what, uint64_t done, uint64_t total, void *userdata) {
    uint64_t *last = userdata, now = now_monotonic_ns();
    if (done < total && now < *last + PULL_PROGRESS_NS)
        return;
    *last = now;
    pull_say_progress(stdout, what, done, total);
}

static int pull(const PullRequest *request, Image **ret, char **ret_error) {
    _cleanup_(image_store_freep) ImageStore *store = NULL;
    uint64_t last = 0;
    int r = image_store_open(&request->store, &store, ret_error);
    return r < 0 ? r
                 : pull_image(store, request->reference, request->auths, request->n_auths,
                              request->progress ? on_progress : NULL, &last, ret, ret_error);
}

int main(int argc, char **argv) {
    (void)argv;
    if (argc > 1 || isatty(STDIN_FILENO))
        return usage();
    _cleanup_buf_ Buf text = BUF_INIT(PULL_REQUEST_MAX);
    _cleanup_(pull_request_done) PullRequest request = {0};
    _cleanup_(image_freep) Image *image = NULL;
    _cleanup_free_ char *error = NULL;
    signal(SIGPIPE, SIG_IGN);
    int r = confine();
    r = r < 0 ? r : read_request(&text);
    r = r < 0 ? r : pull_request_parse(text.data ? text.data : "", text.len, &request);
    r = r < 0 ? r : pull(&request, &image, &error);
    if (r < 0)
        pull_say(stdout, "error", str_or(error, strerror(-r)));
    else
        pull_say(stdout, "id", image->id);
    return -r;
}
