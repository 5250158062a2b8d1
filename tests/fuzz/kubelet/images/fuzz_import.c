/* An archive of images (OCI layout or docker save), all of it but the unpacking of layers, which is fuzz_unpack's. */
#include "base/fs.h"
#include "base/str.h"
#include "kubelet/images/images.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char dir[] = "/dev/shm/lighter-fuzz-XXXXXX", path[64];
    int fd = memfd_create("archive", MFD_CLOEXEC);
    if (!mkdtemp(dir) || fd < 0 || write(fd, data, size) != (ssize_t)size)
        abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    _cleanup_free_ char *root = xasprintf("%s/store", dir);
    ImageStore *store = NULL;
    char *error = NULL;
    if (image_store_open(&(ImageStoreConfig){.root = root, .unpacker = "/bin/false"}, &store, &error) < 0)
        abort();
    Image *image = NULL;
    int r = image_import(store, path, "a:b", &image, &error);
    if ((r < 0) != (error != NULL))
        abort();
    if (r == 0)
        image_free(image);
    free(error);
    image_store_free(store);
    close(fd);
    if (fs_remove_tree(root) < 0 || rmdir(dir) < 0)
        abort();
    return 0;
}
