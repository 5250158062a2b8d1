/* The first line is a user, the rest an image's /etc/passwd and /etc/group at once. */
#include "base/str.h"
#include "kubelet/runtime/user.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char *text = xstrndup((const char *)data, size), *rest = strchr(text, '\n');
    if (rest)
        *rest++ = 0;
    UserFiles files = {.passwd = rest, .group = rest};
    User user;
    char *error = NULL;
    int r = user_resolve(&files, text, &user, &error);
    if (r == 0)
        user_done(&user);
    else if (!error)
        abort();
    free(error);
    free(text);
    return 0;
}
