/* A static token file. */
#include "apiserver/filters/token_authn.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char path[64];
    int fd = memfd_create("tokens", MFD_CLOEXEC);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size)
        abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    StaticTokens *tokens = NULL;
    _cleanup_arena_ Arena *arena = arena_new(0);
    if (static_tokens_load(path, &tokens) == 0) {
        UserInfo *user = static_tokens_find(tokens, "token", arena);
        if (user && !user->name)
            abort();
        if (static_tokens_find(tokens, "", arena))
            abort(); /* no token is nobody's */
        static_tokens_free(tokens);
    }
    close(fd);
    return 0;
}
