/* URLs of users: refused with a sentence, or taken apart into parts that, put together again, mean the same. */
#include "apiserver/registry/go_url.h"
#include "base/str.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    const char *text = arena_strndup(arena, (const char *)data, size);
    GoUrl url, again;
    if (go_url_parse(arena, text, &url) || !*url.scheme || !*url.host)
        return 0;
    const char *same =
        arena_printf(arena, "%s://%s%s%s%s%s%s%s%s", url.scheme, str_or(url.user, ""), url.user ? "@" : "", url.host,
                     url.path, *url.query ? "?" : "", url.query, *url.fragment ? "#" : "", url.fragment);
    if (go_url_parse(arena, same, &again) || !streq(url.scheme, again.scheme) || !streq(url.host, again.host) ||
        !streq_null(url.user, again.user) || !streq(url.path, again.path) || !streq(url.query, again.query) ||
        !streq(url.fragment, again.fragment))
        abort();
    return 0;
}
