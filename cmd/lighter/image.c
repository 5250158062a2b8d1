#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/flags.h"
#include "base/fs.h"
#include "base/str.h"
#include "kubelet/images/images.h"
#include "cmd/lighter/layout.h"
#include "cmd/lighter/verbs.h"

#define PROGRESS_EVERY_NS (100 * NS_PER_MS)
#define MIB (1024.0 * 1024.0)

typedef struct Progress {
    bool terminal;
    uint64_t last_ns;
    const char *credentials; /* USER:PASSWORD */
} Progress;

static void show(const char *what, uint64_t done, uint64_t total, void *userdata) {
    Progress *p = userdata;
    uint64_t now = now_monotonic_ns();
    if (!p->terminal || (done != total && now - p->last_ns < PROGRESS_EVERY_NS))
        return;
    p->last_ns = now;
    if (total)
        fprintf(stderr, "\r\033[K%s  %3.0f %%  %.1f of %.1f MiB", what, 100.0 * (double)done / (double)total,
                (double)done / MIB, (double)total / MIB);
    else
        fprintf(stderr, "\r\033[K%s  %.1f MiB", what, (double)done / MIB);
}

static int fail(const char *verb, const char *error, int r) {
    fprintf(stderr, "lighter image %s: %s\n", verb, error ? error : strerror(-r));
    return 1;
}

static int pull(ImageStore *store, const char *reference, Progress *progress) {
    _cleanup_(image_freep) Image *image = NULL;
    _cleanup_free_ char *error = NULL;
    _cleanup_(wipe_freep) char *user = xstrdup(progress->credentials);
    RegistryAuth auth = {.username = user};
    char *colon = user ? strchr(user, ':') : NULL;
    if (colon) {
        *colon = 0;
        auth.password = colon + 1;
    }
    int r = image_pull(store, reference, &auth, user ? 1 : 0, show, progress, &image, &error);
    if (progress->terminal)
        fprintf(stderr, "\r\033[K");
    if (r < 0)
        return fail("pull", error, r);
    printf("%s\n", image->id);
    return 0;
}

static int import(ImageStore *store, const char *path, const char *tag) {
    _cleanup_(image_freep) Image *image = NULL;
    _cleanup_free_ char *error = NULL;
    int r = image_import(store, path, tag, &image, &error);
    if (r < 0)
        return fail("import", error, r);
    printf("%s\n", image->id);
    return 0;
}

static int list(ImageStore *store) {
    Image **images = NULL;
    size_t n = 0;
    int r = image_list(store, &images, &n);
    if (r < 0)
        return fail("list", NULL, r);
    printf("%-60s %-20s %10s\n", "IMAGE", "ID", "SIZE");
    for (size_t i = 0; i < n; i++) {
        const char *id = strchr(images[i]->id, ':');
        for (char **tag = images[i]->tags; tag && *tag; tag++)
            printf("%-60s %-20.12s %6.1f MiB\n", *tag, id ? id + 1 : images[i]->id, (double)images[i]->size / MIB);
        if (!images[i]->tags || !images[i]->tags[0])
            printf("%-60s %-20.12s %6.1f MiB\n", "<none>", id ? id + 1 : images[i]->id, (double)images[i]->size / MIB);
        image_free(images[i]);
    }
    free(images);
    return 0;
}

static int rm(ImageStore *store, const char *reference) {
    _cleanup_free_ char *error = NULL;
    int r = image_remove(store, reference, &error);
    return r < 0 ? fail("rm", error, r) : 0;
}

int verb_image(int argc, char **argv) {
    const char *dir = LAYOUT_DEFAULT_DIR, *tag = NULL;
    Progress progress = {.terminal = isatty(STDERR_FILENO)};
    const Flag flags[] = {
        {"data-dir", FLAG_STRING, &dir, "DIR", "the cluster's data directory (" LAYOUT_DEFAULT_DIR ")"},
        {"tag", FLAG_STRING, &tag, "NAME", "import: name the image so"},
        {"creds", FLAG_STRING, &progress.credentials, "USER:PASSWORD", "pull: how to sign in to the registry"},
    };
    const Command command = {
        .name = "lighter image",
        .usage = "lighter image pull REFERENCE | import ARCHIVE [--tag NAME] | list | rm REFERENCE  [--data-dir DIR]",
        .about =
            "Works on the images that the nodes of this data directory have at hand. ARCHIVE is an OCI or Docker tar\n"
            "archive. Plain HTTP is used for registries on loopback only.",
        .flags = flags,
        .n_flags = ELEMENTSOF(flags),
        .min_arguments = 1,
        .max_arguments = 2,
    };
    int n;
    FlagsResult parsed = flags_parse(&command, argc, argv, &n);
    if (parsed != FLAGS_OK)
        return parsed == FLAGS_HELP ? 0 : 2;
    const char *verb = argv[1], *argument = n > 1 ? argv[2] : NULL;
    bool lists = streq(verb, "list") || streq(verb, "ls");
    if (!lists && !streq(verb, "pull") && !streq(verb, "import") && !streq(verb, "rm")) {
        fprintf(stderr, "lighter image: unknown verb \"%s\"; see 'lighter image --help'\n", verb);
        return 2;
    }
    if (!lists && !argument) {
        fprintf(stderr, "lighter image %s: an argument is missing; see 'lighter image --help'\n", verb);
        return 2;
    }
    _cleanup_(image_store_freep) ImageStore *store = NULL;
    _cleanup_free_ char *root = xasprintf("%s/images", dir), *error = NULL;
    int r = fs_mkdir_p(dir, 0755);
    if (r == 0)
        r = image_store_open(&(ImageStoreConfig){.root = root}, &store, &error);
    if (r < 0)
        return fail(verb, error, r);
    if (lists)
        return list(store);
    return streq(verb, "pull") ? pull(store, argument, &progress)
           : streq(verb, "rm") ? rm(store, argument)
                               : import(store, argument, tag);
}
