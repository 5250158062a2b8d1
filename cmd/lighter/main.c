/* lighter: Kubernetes in one program. */
#include <malloc.h>
#include <stdio.h>

#include "base/str.h"
#include "cmd/lighter/verbs.h"

static const struct {
    const char *name, *about;
    int (*run)(int argc, char **argv);
} VERBS[] = {
    {"up", "start a cluster on this machine, or adopt the one in the data directory", verb_up},
    {"down", "end a cluster: every container, mount, network and cgroup it made", verb_down},
    {"status", "say what runs", verb_status},
    {"image", "pull, import, list and remove container images", verb_image},
    {"version", "print the version", verb_version},
};

static void help(FILE *to) {
    fprintf(to, "Usage: lighter VERB [arguments]\n\nKubernetes, small: an API server, controllers, a scheduler and "
                "nodes.\n\nVerbs:\n");
    for (size_t i = 0; i < ELEMENTSOF(VERBS); i++)
        fprintf(to, "  %-10s %s\n", VERBS[i].name, VERBS[i].about);
    fprintf(to, "\n'lighter VERB --help' says more. Manual: man lighter.\n");
}

int main(int argc, char **argv) {
    mallopt(M_ARENA_MAX, 2); /* many short-lived threads, little contention: an arena each would cost megabytes */
    if (argc < 2) {
        help(stderr);
        return 2;
    }
    if (streq(argv[1], "--help") || streq(argv[1], "-h") || streq(argv[1], "help")) {
        help(stdout);
        return 0;
    }
    if (streq(argv[1], "--version"))
        return verb_version(1, argv + 1);
    for (size_t i = 0; i < ELEMENTSOF(VERBS); i++)
        if (streq(argv[1], VERBS[i].name))
            return VERBS[i].run(argc - 1, argv + 1);
    fprintf(stderr, "lighter: unknown verb \"%s\"; see 'lighter --help'\n", argv[1]);
    return 2;
}
