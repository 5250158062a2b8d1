#include "monitor.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int usage(void) {
    static const char text[] = "lighter-monitor is started by the node agent; see docs/runtime.md\n";
    ssize_t n = write(2, text, sizeof text - 1);
    (void)n;
    return 2;
}

int main(int argc, char **argv) {
    Options options = {.mode = argc > 1 ? argv[1] : ""};
    const struct {
        const char *name;
        const char **to;
    } strings[] = {
        {"--id", &options.id},
        {"--dir", &options.dir},
        {"--exit", &options.exit_file},
        {"--log", &options.log_file},
        {"--runtime", &options.runtime},
        {"--runtime-root", &options.runtime_root},
        {"--oom", &options.oom_file},
        {"--detach-mount", &options.detach_mount},
        {"--process", &options.process_file},
    };
    const struct {
        const char *name;
        bool *to;
    } flags[] = {
        {"--tty", &options.tty},
        {"--stdin", &options.stdin_},
        {"--stdin-once", &options.stdin_once},
        {"--crun", &options.crun},
        {"--shared-mounts", &options.shared_mounts},
    };
    for (int i = 2; i < argc; i++) {
        bool known = false;
        for (size_t k = 0; k < sizeof strings / sizeof *strings; k++)
            if (i + 1 < argc && strcmp(argv[i], strings[k].name) == 0) {
                *strings[k].to = argv[++i];
                known = true;
                break;
            }
        for (size_t k = 0; !known && k < sizeof flags / sizeof *flags; k++)
            if (strcmp(argv[i], flags[k].name) == 0)
                *flags[k].to = known = true;
        if (!known && i + 1 < argc && strcmp(argv[i], "--layers") == 0) {
            options.layers = atoi(argv[++i]);
            known = true;
        }
        if (!known)
            return usage();
    }
    /* What the agent left open by mistake must not live as long as the container. */
    close_range(strcmp(options.mode, "exec") == 0 ? RESIZE_FD + 1 : SYNC_FD + 1, ~0u, 0);
    if (strcmp(options.mode, "pause") == 0)
        return pause_main();
    if (!options.id || !options.dir || !options.runtime || !options.runtime_root)
        return usage();
    if (chdir(options.dir) < 0) {
        sync_send(SYNC_FAILED, "the container's folder is gone", -1);
        return 1;
    }
    if (strcmp(options.mode, "run") == 0 && options.exit_file && options.log_file)
        return run_main(&options);
    if (strcmp(options.mode, "exec") == 0 && options.process_file)
        return exec_main(&options);
    return usage();
}
