/* A network list and the record of an attachment, parted by a zero byte. The one plugin there is ("echo") answers with
 * its own configuration, so that results come from the input too. */
#include "base/fs.h"
#include "base/str.h"
#include "network/cni.h"

#include <stdio.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char root[] = "/dev/shm/lighter-fuzz-XXXXXX";

static void remove_dir(void) {
    fs_remove_tree(root);
}

static const CniNetwork *network_of_this_run(void) {
    static CniNetwork network;
    if (network.bin_dir)
        return &network;
    if (!mkdtemp(root) || atexit(remove_dir) != 0)
        abort();
    network = (CniNetwork){.bin_dir = xasprintf("%s/bin", root),
                           .conf_dir = xasprintf("%s/conf", root),
                           .cache_dir = xasprintf("%s/cache", root)};
    _cleanup_free_ char *plugin = xasprintf("%s/echo", network.bin_dir);
    if (fs_mkdir_p(network.bin_dir, 0700) < 0 || fs_mkdir_p(network.conf_dir, 0700) < 0 ||
        fs_mkdir_p(network.cache_dir, 0700) < 0 || symlink("/bin/cat", plugin) < 0)
        abort();
    return &network;
}

static void put(const char *dir, const char *name, const void *data, size_t n) {
    _cleanup_free_ char *path = xasprintf("%s/%s", dir, name);
    FILE *f = fopen(path, "w");
    if (!f || fwrite(data, 1, n, f) != n || fclose(f) != 0)
        abort();
}

static void check(int r, char **error) {
    if (r < 0 && !*error)
        abort();
    free(*error);
    *error = NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const CniNetwork *network = network_of_this_run();
    const uint8_t *zero = size ? memchr(data, 0, size) : NULL;
    size_t first = zero ? (size_t)(zero - data) : size;
    static const CniPort port = {"tcp", 80, 8080, NULL};
    CniAttachment at = {.container_id = "id", .netns_path = "/proc/self/ns/net", .ports = &port, .n_ports = 1};
    char *error = NULL;
    CniResult result = {0};
    put(network->conf_dir, "10.conflist", data, first);
    check(cni_status(network, &error), &error);
    int r = cni_add(network, &at, &result, &error);
    if (r == 0)
        cni_result_done(&result);
    check(r, &error);
    if (zero)
        put(network->cache_dir, "id-eth0", zero + 1, size - first - 1);
    check(cni_check(network, &at, &error), &error);
    check(cni_del(network, &at, &error), &error);
    return 0;
}
