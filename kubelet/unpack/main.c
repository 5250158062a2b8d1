/* lighter-unpack: unpacks one archive from standard input beneath its working directory, and ends. The node agent
 * starts one for each layer, so that bytes from a registry are decompressed and parsed by a process that holds nothing
 * else, and so that the agent need not carry the decoders. The exit status is 0 or an errno; what went wrong is on
 * standard error. */
#include "kubelet/unpack/confine.h"
#include "kubelet/unpack/unpack.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int usage(void) {
    fputs("usage: lighter-unpack archive|layer [DIFF_ID] < FILE\n"
          "Unpacks below the working directory. The node agent starts it; see docs/runtime.md.\n",
          stderr);
    return EINVAL;
}

int main(int argc, char **argv) {
    bool layer = argc > 1 && strcmp(argv[1], "layer") == 0;
    if (argc < 2 || argc > (layer ? 3 : 2) || (!layer && strcmp(argv[1], "archive") != 0))
        return usage();
    _cleanup_free_ char *error = NULL;
    _cleanup_close_ int root = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r = root < 0 ? -errno : confine();
    if (r == 0)
        r = layer ? layer_unpack(STDIN_FILENO, root, argv[2], NULL, &error)
                  : archive_unpack(STDIN_FILENO, root, &error);
    if (r < 0)
        fprintf(stderr, "%s\n", error ? error : strerror(-r));
    return -r;
}
