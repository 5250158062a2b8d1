/* Addresses and ranges: what parses prints as something that parses to the same. */
#include "apiserver/registry/ip.h"
#include "base/str.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    _cleanup_free_ char *text = xstrndup((const char *)data, size);
    _cleanup_arena_ Arena *arena = arena_new(0);
    char printed[IP_TEXT_MAX];
    Ip ip, again;
    IpRange range, range_again;
    if (ip_parse(text, &ip) &&
        (!ip_parse(ip_format(&ip, printed), &again) || ip_compare(&ip, &again) != 0 || again.v6 != ip.v6))
        abort();
    if (ip_range_parse(text, &range)) {
        if (!ip_range_parse(ip_range_text(arena, &range), &range_again) || range.len != range_again.len ||
            ip_compare(&range.base, &range_again.base) != 0)
            abort();
        if (!ip_range_contains(&range, &range.base) || !ip_range_contains(&range, &range.address))
            abort();
    }
    FieldErrors errors = FIELD_ERRORS_INIT(arena);
    FieldPath path = FIELD(NULL, "ip");
    ip_validate(&errors, &path, text);
    ip_range_validate(&errors, &path, text);
    return 0;
}
