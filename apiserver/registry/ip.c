#include "apiserver/registry/ip.h"

#include "base/str.h"

#include <arpa/inet.h>
#include <stdio.h>

#define V4_OFFSET 12
#define ADDRESS_EXAMPLE "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
#define RANGE_EXAMPLE "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"

static const uint8_t V4_PREFIX[V4_OFFSET] = {[10] = 0xff, [11] = 0xff};

/* Four decimal numbers below 256; any number of leading zeros. */
static bool parse_v4(const char *text, uint8_t out[4]) {
    for (size_t i = 0; i < 4; i++) {
        unsigned n = 0;
        if (i && *text++ != '.')
            return false;
        if (*text < '0' || *text > '9')
            return false;
        for (; *text >= '0' && *text <= '9'; text++) {
            n = n * 10 + (unsigned)(*text - '0');
            if (n > 255)
                return false;
        }
        out[i] = (uint8_t)n;
    }
    return !*text;
}

bool ip_parse(const char *text, Ip *ret) {
    Ip ip = {0};
    if (!strchr(text, ':')) {
        memcpy(ip.bytes, V4_PREFIX, V4_OFFSET);
        if (!parse_v4(text, ip.bytes + V4_OFFSET))
            return false;
    } else {
        if (inet_pton(AF_INET6, text, ip.bytes) != 1)
            return false;
        ip.mapped = memcmp(ip.bytes, V4_PREFIX, V4_OFFSET) == 0;
        ip.v6 = !ip.mapped;
    }
    *ret = ip;
    return true;
}

static void clear_host_bits(Ip *ip, unsigned len) {
    unsigned keep = ip->v6 ? len : len + 8 * V4_OFFSET;
    for (unsigned i = 0; i < 16; i++) {
        unsigned have = keep > 8 * i ? MIN(keep - 8 * i, 8u) : 0;
        ip->bytes[i] &= (uint8_t)(0xff00u >> have);
    }
}

bool ip_range_parse(const char *text, IpRange *ret) {
    const char *slash = strchr(text, '/');
    char address[IP_TEXT_MAX];
    IpRange range = {0};
    if (!slash || (size_t)(slash - text) >= sizeof(address) || !slash[1] || strlen(slash + 1) > 8)
        return false;
    memcpy(address, text, (size_t)(slash - text));
    address[slash - text] = 0;
    if (!ip_parse(address, &range.address))
        return false;
    for (const char *p = slash + 1; *p; p++) {
        if (*p < '0' || *p > '9')
            return false;
        range.len = range.len * 10 + (unsigned)(*p - '0');
    }
    if (range.len > (strchr(address, ':') ? 128 : 32))
        return false;
    if (range.address.mapped) {
        /* Go keeps such a range in the family it was written in; below the mapped prefix it is an IPv4 range. */
        if (range.len < 96)
            range.address.v6 = true;
        else
            range.len -= 96;
    }
    range.v6 = range.address.v6;
    range.base = range.address;
    clear_host_bits(&range.base, range.len);
    *ret = range;
    return true;
}

/* RFC 5952, as Go: the first longest run of two or more zero groups is left out; nothing is written in dotted form. */
static char *format_v6(const uint8_t bytes[16], char out[IP_TEXT_MAX]) {
    int best = -1, best_len = 1;
    for (int i = 0; i < 8; i++) {
        int n = 0;
        while (i + n < 8 && !bytes[2 * (i + n)] && !bytes[2 * (i + n) + 1])
            n++;
        if (n > best_len) {
            best = i;
            best_len = n;
        }
        i += n ? n - 1 : 0;
    }
    size_t at = 0;
    for (int i = 0; i < 8; i++) {
        if (i == best) {
            at += (size_t)snprintf(out + at, IP_TEXT_MAX - at, "::");
            i += best_len - 1;
            continue;
        }
        bool colon = at && !(best >= 0 && i == best + best_len);
        at += (size_t)snprintf(out + at, IP_TEXT_MAX - at, "%s%x", colon ? ":" : "",
                               (unsigned)(bytes[2 * i] << 8 | bytes[2 * i + 1]));
    }
    return out;
}

char *ip_format(const Ip *ip, char out[IP_TEXT_MAX]) {
    if (ip->v6)
        return format_v6(ip->bytes, out);
    const uint8_t *b = ip->bytes + V4_OFFSET;
    snprintf(out, IP_TEXT_MAX, "%u.%u.%u.%u", b[0], b[1], b[2], b[3]);
    return out;
}

char *ip_range_text(Arena *arena, const IpRange *range) {
    char text[IP_TEXT_MAX];
    return arena_printf(arena, "%s/%u", ip_format(&range->base, text), range->len);
}

int ip_compare(const Ip *a, const Ip *b) {
    return memcmp(a->bytes, b->bytes, sizeof(a->bytes));
}

bool ip_range_contains(const IpRange *range, const Ip *ip) {
    if (range->v6 != ip->v6)
        return false;
    Ip masked = *ip;
    clear_host_bits(&masked, range->len);
    return ip_compare(&masked, &range->base) == 0;
}

bool ip_range_contains_range(const IpRange *outer, const IpRange *inner) {
    return outer->len <= inner->len && ip_range_contains(outer, &inner->base);
}

bool ip_is_v6_text(const char *text) {
    Ip ip;
    return ip_parse(text, &ip) && ip.v6;
}

/* An octet of IPv4 that begins with a zero and goes on. */
static bool has_leading_zeros(const char *text) {
    if (strchr(text, ':'))
        return false;
    for (const char *p = text; *p && *p != '/'; p++)
        if (*p == '0' && p[1] >= '0' && p[1] <= '9' && (p == text || p[-1] == '.'))
            return true;
    return false;
}

static bool parse_strictly(FieldErrors *errors, const FieldPath *path, const char *text, Ip *ip) {
    size_t before = errors->n;
    if (!ip_parse(text, ip))
        field_invalid_str(errors, path, text, ADDRESS_EXAMPLE);
    else if (has_leading_zeros(text))
        field_invalid_str(errors, path, text, "must not have leading 0s");
    else if (ip->mapped)
        field_invalid_str(errors, path, text, "must not be an IPv4-mapped IPv6 address");
    return errors->n == before;
}

void ip_legacy_validate(FieldErrors *errors, const FieldPath *path, const char *text, const Value *was) {
    Ip ip;
    if (list_index_find(&errors->lists, was, NULL, text) == LIST_INDEX_NONE)
        parse_strictly(errors, path, text, &ip);
}

void ip_validate(FieldErrors *errors, const FieldPath *path, const char *text) {
    char canonical[IP_TEXT_MAX];
    Ip ip;
    if (parse_strictly(errors, path, text, &ip) && !streq(ip_format(&ip, canonical), text))
        field_invalid_str(errors, path, text, "must be in canonical form (\"%s\")", canonical);
}

static bool range_has_leading_zeros(const char *text) {
    const char *slash = strchr(text, '/');
    return has_leading_zeros(text) || (slash && slash[1] == '0' && slash[2]);
}

static bool parse_range_strictly(FieldErrors *errors, const FieldPath *path, const char *text, IpRange *range) {
    size_t before = errors->n;
    if (!ip_range_parse(text, range))
        field_invalid_str(errors, path, text, RANGE_EXAMPLE);
    else if (range_has_leading_zeros(text))
        field_invalid_str(errors, path, text, "must not have leading 0s in IP or prefix length");
    else if (range->address.mapped)
        field_invalid_str(errors, path, text, "must not have an IPv4-mapped IPv6 address");
    else if (ip_compare(&range->address, &range->base))
        field_invalid_str(errors, path, text, "must not have bits set beyond the prefix length");
    return errors->n == before;
}

void ip_range_legacy_validate(FieldErrors *errors, const FieldPath *path, const char *text, const Value *was) {
    IpRange range;
    if (list_index_find(&errors->lists, was, NULL, text) == LIST_INDEX_NONE)
        parse_range_strictly(errors, path, text, &range);
}

void ip_range_validate(FieldErrors *errors, const FieldPath *path, const char *text) {
    IpRange range;
    if (!parse_range_strictly(errors, path, text, &range))
        return;
    const char *canonical = ip_range_text(errors->arena, &range);
    if (!streq(canonical, text))
        field_invalid_str(errors, path, text, "must be in canonical form (\"%s\")", canonical);
}

void ip_endpoint_validate(FieldErrors *errors, const FieldPath *path, const char *text) {
    static const uint8_t ZERO[16];
    Ip ip;
    if (!ip_parse(text, &ip)) {
        field_invalid_str(errors, path, text, "must be a valid IP address");
        return;
    }
    const uint8_t *b = ip.bytes, *v4 = ip.bytes + V4_OFFSET;
    if (ip.v6 ? !memcmp(b, ZERO, 16) : !memcmp(v4, ZERO, 4))
        field_invalid_str(errors, path, text, "may not be unspecified (%s)", text);
    if (ip.v6 ? !memcmp(b, ZERO, 15) && b[15] == 1 : v4[0] == 127)
        field_invalid_str(errors, path, text, "may not be in the loopback range (127.0.0.0/8, ::1/128)");
    if (ip.v6 ? b[0] == 0xfe && (b[1] & 0xc0) == 0x80 : v4[0] == 169 && v4[1] == 254)
        field_invalid_str(errors, path, text, "may not be in the link-local range (169.254.0.0/16, fe80::/10)");
    if (ip.v6 ? b[0] == 0xff && (b[1] & 0x0f) == 0x02 : v4[0] == 224 && v4[1] == 0 && v4[2] == 0)
        field_invalid_str(errors, path, text, "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)");
}

void ip_warn(StrategyContext *context, const FieldPath *path, const char *text) {
    const char *at = field_path_text(context->arena, path), *quoted = go_quoted(context->arena, text);
    char canonical[IP_TEXT_MAX];
    Ip ip;
    if (!ip_parse(text, &ip))
        return;
    ip_format(&ip, canonical);
    if (has_leading_zeros(text) || ip.mapped)
        strategy_warn(context, "%s: non-standard IP address %s is invalid: use \"%s\"", at, quoted, canonical);
    else if (ip.v6 && !streq(canonical, text))
        strategy_warn(context, "%s: IPv6 address %s should be in RFC 5952 canonical format (\"%s\")", at, quoted,
                      canonical);
}

void ip_range_warn(StrategyContext *context, const FieldPath *path, const char *text) {
    const char *at = field_path_text(context->arena, path), *quoted = go_quoted(context->arena, text);
    char address[IP_TEXT_MAX];
    bool warned = false;
    IpRange range;
    if (!ip_range_parse(text, &range))
        return;
    const char *canonical = ip_range_text(context->arena, &range);
    if (ip_compare(&range.address, &range.base)) {
        strategy_warn(context, "%s: CIDR value %s is ambiguous in this context (should be \"%s\" or \"%s/%d\"?)", at,
                      quoted, canonical, ip_format(&range.address, address), range.v6 ? 128 : 32);
        warned = true;
    }
    if (range_has_leading_zeros(text) || range.address.mapped) {
        strategy_warn(context, "%s: non-standard CIDR value %s is invalid: use \"%s\"", at, quoted, canonical);
        warned = true;
    }
    if (!warned && range.v6 && !streq(canonical, text))
        strategy_warn(context, "%s: IPv6 CIDR value %s should be in RFC 5952 canonical format (\"%s\")", at, quoted,
                      canonical);
}

void ip_warn_balancer(StrategyContext *context, const Value *object) {
    const Value *list = value_path(object, "status", "loadBalancer", "ingress", NULL);
    FieldPath status_at = FIELD(NULL, "status"), balancer_at = FIELD(&status_at, "loadBalancer"),
              list_at = FIELD(&balancer_at, "ingress");
    for (size_t i = 0; i < value_len(list); i++) {
        FieldPath at = FIELD_INDEX(&list_at, i);
        ip_warn(context, &at, str_or(value_get_str(value_at(list, i), "ip"), ""));
    }
}
