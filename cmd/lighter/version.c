#include <stdio.h>

#include "cmd/lighter/verbs.h"

#include "base/flags.h"
#include "base/version.h"

int verb_version(int argc, char **argv) {
    const Command command = {.name = "lighter version", .usage = "lighter version", .about = "Prints the version."};
    int n;
    FlagsResult r = flags_parse(&command, argc, argv, &n);
    if (r != FLAGS_OK)
        return r == FLAGS_HELP ? 0 : 2;
    printf("lighter %s (Kubernetes %s)\n", LIGHTER_VERSION, KUBERNETES_VERSION);
    return 0;
}
