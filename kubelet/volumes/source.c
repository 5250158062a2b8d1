#include "kubelet/volumes/source.h"

#include "api/quantity.h"
#include "base/str.h"

#include <errno.h>
#include <stdio.h>

/* Go's %q for the characters that occur in labels and annotations. */
static void quote(Buf *out, const char *s) {
    buf_putc(out, '"');
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        if (c == '"' || c == '\\')
            buf_printf(out, "\\%c", c);
        else if (c == '\n')
            buf_puts(out, "\\n");
        else if (c == '\t')
            buf_puts(out, "\\t");
        else if (c == '\r')
            buf_puts(out, "\\r");
        else if (c < 0x20 || c == 0x7f)
            buf_printf(out, "\\x%02x", c);
        else
            buf_putc(out, (char)c);
    }
    buf_putc(out, '"');
}

static const char *format_map(Arena *arena, const Value *map) {
    Value *sorted = map ? value_copy(arena, map) : NULL;
    _cleanup_buf_ Buf out = BUF_INIT(4 * 1024 * 1024);
    value_sort_members(sorted);
    VALUE_FOREACH_MEMBER (m, sorted) {
        buf_printf(&out, "%s%s=", out.len ? "\n" : "", m->name);
        quote(&out, str_or(value_str(m->value), ""));
    }
    return arena_strndup(arena, out.data ? out.data : "", out.len);
}

/* metadata.labels['a/b'] -> "a/b"; NULL when `path` is not of the form PREFIX['...']. */
static char *subscript(Arena *arena, const char *path, const char *prefix) {
    if (!str_has_prefix(path, prefix) || !str_has_prefix(path + strlen(prefix), "['") || !str_has_suffix(path, "']"))
        return NULL;
    const char *key = path + strlen(prefix) + 2;
    size_t n = strlen(key);
    return n < 2 ? NULL : arena_strndup(arena, key, n - 2);
}

int field_reference(Arena *arena, const Value *pod, const PodFacts *facts, const char *path, const char **ret,
                    const char **ret_error) {
    static const struct {
        const char *path, *of, *member;
    } plain[] = {
        {"metadata.name", "metadata", "name"},
        {"metadata.namespace", "metadata", "namespace"},
        {"metadata.uid", "metadata", "uid"},
        {"spec.nodeName", "spec", "nodeName"},
        {"spec.serviceAccountName", "spec", "serviceAccountName"},
    };
    const Value *meta = value_get(pod, "metadata");
    path = str_or(path, "");
    for (size_t i = 0; i < ELEMENTSOF(plain); i++)
        if (streq(path, plain[i].path)) {
            *ret = str_or(value_get_str(value_get(pod, plain[i].of), plain[i].member), "");
            return 0;
        }
    static const char *const maps[] = {"labels", "annotations"};
    for (size_t i = 0; i < 2; i++) {
        const Value *map = value_get(meta, maps[i]);
        char *whole = arena_printf(arena, "metadata.%s", maps[i]), *key;
        if (streq(path, whole)) {
            *ret = format_map(arena, map);
            return 0;
        }
        if ((key = subscript(arena, path, whole))) {
            *ret = str_or(value_get_str(map, key), "");
            return 0;
        }
    }
    const struct {
        const char *path, *value;
    } known[] = {
        {"status.hostIP", facts->host_ip},
        {"status.hostIPs", facts->host_ips},
        {"status.podIP", facts->pod_ip},
        {"status.podIPs", facts->pod_ips},
    };
    for (size_t i = 0; i < ELEMENTSOF(known); i++)
        if (streq(path, known[i].path)) {
            *ret = str_or(known[i].value, "");
            return 0;
        }
    *ret_error = arena_printf(arena, "unsupported fieldPath: %s", path);
    return -EINVAL;
}

static int64_t divide_up(int64_t value, int64_t divisor) {
    return divisor <= 0 ? value : value / divisor + (value % divisor > 0);
}

int resource_field_reference(Arena *arena, const Value *container, const PodFacts *facts, const Value *reference,
                             const char **ret, const char **ret_error) {
    const char *name = str_or(value_get_str(reference, "resource"), "");
    const char *dot = strchr(name, '.');
    bool limit = str_has_prefix(name, "limits."), request = str_has_prefix(name, "requests.");
    if (!dot || (!limit && !request)) {
        *ret_error = arena_printf(arena, "unsupported container resource : %s", name);
        return -EINVAL;
    }
    const char *resource = dot + 1, *text;
    bool milli = streq(resource, "cpu");
    Quantity divisor = quantity_from_int(1, QUANTITY_DECIMAL_SI), value;
    if ((text = value_get_str(reference, "divisor")) && quantity_parse(text, &value) == 0 && quantity_sign(&value) > 0)
        divisor = value;
    int64_t amount = 0;
    const Value *resources = value_get(container, "resources");
    text = value_get_str(value_get(resources, limit ? "limits" : "requests"), resource);
    if (text && quantity_parse(text, &value) == 0)
        amount = milli ? quantity_milli_value(&value) : quantity_value(&value);
    if (limit && amount == 0)
        amount = milli                                  ? facts->allocatable_cpu_milli
                 : streq(resource, "memory")            ? facts->allocatable_memory
                 : streq(resource, "ephemeral-storage") ? facts->allocatable_ephemeral
                                                        : 0;
    int64_t by = milli ? quantity_milli_value(&divisor) : quantity_value(&divisor);
    *ret = arena_printf(arena, "%lld", (long long)divide_up(amount, by));
    return 0;
}
