/* What a node remembers of sandboxes and containers. The first byte says which of the files the rest is; the others are
 * such that nothing is taken for a process to end. */
#include "base/clock.h"
#include "base/fs.h"
#include "base/str.h"
#include "kubelet/runtime/oci_internal.h"

#include <fcntl.h>
#include <unistd.h>

#define ID "id"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void put(const OciRuntime *rt, const char *name, const void *data, size_t n) {
    _cleanup_free_ char *path = xasprintf("%s/%s", rt->root, name);
    if (file_replace(path, data, n) < 0)
        abort();
}

static char dir[] = "/dev/shm/lighter-fuzz-XXXXXX";

static void remove_dir(void) {
    fs_remove_tree(dir);
}

static OciRuntime *runtime_of_this_run(void) {
    static OciRuntime *rt;
    if (rt)
        return rt;
    static const char *const dirs[] = {"sandboxes/" ID, "containers/" ID, "exits"};
    if (!mkdtemp(dir) || atexit(remove_dir) != 0)
        abort();
    rt = NEW0(OciRuntime);
    rt->root = xstrdup(dir);
    rt->exits = xasprintf("%s/exits", dir);
    pthread_mutex_init(&rt->mutex, NULL);
    for (size_t i = 0; i < ELEMENTSOF(dirs); i++) {
        _cleanup_free_ char *path = xasprintf("%s/%s", dir, dirs[i]);
        if (fs_mkdir_p(path, 0700) < 0)
            abort();
    }
    return rt;
}

/* What was read is written and read again. */
static void load(OciRuntime *rt) {
    Sandbox *sandbox = NULL;
    Container *container = NULL;
    for (int i = 0; i < 2; i++) {
        if (sandbox_load(rt, ID, &sandbox) == 0) {
            (void)sandbox_save(sandbox);
            sandbox_unref(sandbox);
        }
        if (container_load(rt, ID, &container) == 0) {
            (void)container_save(container);
            container_unref(container);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char *const files[] = {"sandboxes/" ID "/sandbox.json", "containers/" ID "/container.json",
                                        "exits/" ID, "containers/" ID "/started"};
    OciRuntime *rt = runtime_of_this_run();
    if (!size)
        return 0;
    size_t which = data[0] % ELEMENTSOF(files);
    put(rt, files[0], "{}", 2);
    put(rt, files[1], "{}", 2);
    put(rt, files[2], "0 0 1\n", 6);
    if (which == 2) { /* without a record of its end it must not seem to have started */
        _cleanup_free_ char *started = xasprintf("%s/%s", rt->root, files[3]);
        (void)unlink(started);
    }
    put(rt, files[which], data + 1, size - 1);
    load(rt);
    return 0;
}
