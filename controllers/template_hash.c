#include "controllers/template_hash.h"

#include "controllers/go_print.h"

#define FNV_OFFSET 2166136261u /* 32 bits, as Go's hash/fnv */
#define FNV_PRIME 16777619u

static void fnv1a(const char *text, size_t n, void *userdata) {
    uint32_t *hash = userdata;
    for (size_t i = 0; i < n; i++)
        *hash = (*hash ^ (uint8_t)text[i]) * FNV_PRIME;
}

static void fnv1(const char *text, size_t n, uint32_t *hash) {
    for (size_t i = 0; i < n; i++)
        *hash = (*hash * FNV_PRIME) ^ (uint8_t)text[i];
}

/* apimachinery's rand.SafeEncodeString of the decimal number: no vowels, so that no words come out. */
static char *safe_encode(Arena *arena, uint32_t hash) {
    static const char alphabet[] = "bcdfghjklmnpqrstvwxz2456789";
    char *out = arena_printf(arena, "%u", hash);
    for (char *p = out; *p; p++)
        *p = alphabet[(uint8_t)*p % (sizeof alphabet - 1)];
    return out;
}

char *pod_template_hash(Arena *arena, const Value *template, int64_t collisions) {
    uint32_t hash = FNV_OFFSET;
    go_print(go_type_pod_template, "v1.PodTemplateSpec", template, fnv1a, &hash);
    if (collisions >= 0) {
        uint32_t count = (uint32_t)collisions;
        char bytes[8] = {(char)count, (char)(count >> 8), (char)(count >> 16), (char)(count >> 24)};
        fnv1a(bytes, sizeof bytes, &hash);
    }
    return safe_encode(arena, hash);
}

char *revision_data_hash(Arena *arena, const Value *data, int64_t collisions) {
    _cleanup_buf_ Buf json = BUF_INIT(BUF_NO_LIMIT); /* no longer than the object it is of */
    uint32_t hash = FNV_OFFSET;
    value_write_json(&json, data);
    buf_printf(&json, "%lld", (long long)collisions);
    fnv1(json.data, json.len, &hash);
    return safe_encode(arena, hash);
}
