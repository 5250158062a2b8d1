/* Kubeconfig files. */
#include "client/kubeconfig.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char path[64], *error = NULL;
    int fd = memfd_create("kubeconfig", MFD_CLOEXEC);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size)
        abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    Kubeconfig config;
    int r = kubeconfig_load(path, NULL, &config, &error);
    if ((r < 0) != (error != NULL))
        abort();
    if (r == 0)
        kubeconfig_done(&config);
    free(error);
    close(fd);
    return 0;
}
