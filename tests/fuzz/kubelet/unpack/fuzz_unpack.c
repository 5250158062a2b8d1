/* Any bytes as a layer: nothing is made outside of the root, nothing crashes. */
#include "base/fs.h"
#include "kubelet/unpack/unpack.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char dir[] = "/tmp/lighter-fuzz-XXXXXX", root_path[64];
    if (!mkdtemp(dir))
        abort();
    snprintf(root_path, sizeof root_path, "%s/root", dir);
    mkdir(root_path, 0755);
    int blob = memfd_create("layer", MFD_CLOEXEC), root = open(root_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (blob < 0 || root < 0 || write(blob, data, size) != (ssize_t)size || lseek(blob, 0, SEEK_SET) < 0)
        abort();
    uint64_t bytes = 0;
    char *error = NULL;
    int r = layer_unpack(blob, root, NULL, &bytes, &error);
    if ((r < 0) != (error != NULL))
        abort();
    free(error);
    close(blob);
    close(root);
    if (fs_remove_tree(root_path) < 0 || rmdir(dir) < 0) /* rmdir: nothing beside the root */
        abort();
    return 0;
}
