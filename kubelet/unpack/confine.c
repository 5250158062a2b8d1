#include "kubelet/unpack/confine.h"
#include "base/sanitizer.h"

#include <errno.h>
#include <sys/prctl.h>
#include <sys/resource.h>

int confine(void) {
    const struct rlimit memory = {CONFINE_MEMORY_MAX, CONFINE_MEMORY_MAX};
#ifndef ADDRESS_SANITIZER /* its shadow is larger than any limit */
    if (setrlimit(RLIMIT_AS, &memory) < 0)
        return -errno;
#endif
    (void)memory;
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? -errno : 0;
}
