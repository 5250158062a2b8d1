#include "apiserver/server_leases.h"

#include "api/codec.h"
#include "api/gen/schemas.h"
#include "base/str.h"

#include <errno.h>

#define NAME_MAX_LEN 128

/* Stored, and served by no API. */
static const Resource LEASES = {
    .group = "",
    .version = "v1",
    .plural = "masterleases",
    .singular = "masterlease",
    .kind = "Endpoints",
    .list_kind = "EndpointsList",
    .schema = &schema_core_v1_Endpoints,
    .storage = &LEASES,
    .storage_prefix = "masterleases",
};

void server_leases_set_up(Store *store) {
    (void)store_set_ttl(store, &LEASES, SERVER_LEASE_SECONDS);
}

/* Servers of one address differ by their ports; the reference's rows are named by the address alone. */
static char *name_of(Arena *arena, const char *address, uint16_t port) {
    return arena_printf(arena, "%s:%u", address, port);
}

static Value *lease_value(Arena *arena, const char *address, uint16_t port, int64_t generation) {
    Value *v = value_object(arena), *meta, *subset = value_object(arena), *item = value_object(arena);
    value_set_str(arena, v, "kind", "Endpoints");
    value_set_str(arena, v, "apiVersion", "v1");
    meta = value_ensure_object(arena, v, "metadata");
    value_set_str(arena, meta, "name", name_of(arena, address, port));
    value_set_int(arena, meta, "generation", generation); /* so that a renewal is a write */
    value_append(arena, value_ensure_array(arena, v, "subsets"), subset);
    value_set_str(arena, item, "ip", address);
    value_append(arena, value_ensure_array(arena, subset, "addresses"), item);
    item = value_object(arena);
    value_set_str(arena, item, "name", "https");
    value_set_int(arena, item, "port", port);
    value_set_str(arena, item, "protocol", "TCP");
    value_append(arena, value_ensure_array(arena, subset, "ports"), item);
    schema_normalize(arena, LEASES.schema, v, NULL, NULL);
    schema_as_stored(LEASES.schema, v);
    return v;
}

int server_lease_renew(Store *store, const char *address, uint16_t port) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    _cleanup_object_ Object *there = NULL;
    int64_t generation = 0;
    if (store_get(store, &LEASES, "", name_of(arena, address, port), &there) == 0)
        generation = value_get_int(value_get(object_value(there, arena), "metadata"), "generation", 0);
    _cleanup_object_ Object *lease = object_from_value(&LEASES, lease_value(arena, address, port, generation + 1));
    int r = there ? store_update(store, lease, 0, NULL) : store_create(store, lease, NULL);
    if (r == -ENOENT) /* it went meanwhile */
        r = store_create(store, lease, NULL);
    return r == -EEXIST ? 0 : r;
}

int server_lease_end(Store *store, const char *address, uint16_t port) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    return store_delete(store, &LEASES, "", name_of(arena, address, port), 0, NULL, NULL);
}

int server_leases_read(Store *store, Arena *arena, const char *const **ret_addresses, uint16_t *ret_port) {
    _cleanup_object_list_ ObjectList list = {0};
    _cleanup_api_error_ ApiError err = {0};
    int r = store_list(store, &(ListQuery){.resource = &LEASES}, &list, &err);
    if (r < 0)
        return r;
    const char **addresses = arena_alloc0(arena, (list.n + 1) * sizeof *addresses);
    size_t n = 0;
    int64_t first_port = 0;
    for (size_t i = 0; i < list.n; i++) {
        const Value *subset = value_at(value_get(object_value(list.items[i], arena), "subsets"), 0);
        const char *address = value_get_str(value_at(value_get(subset, "addresses"), 0), "ip");
        int64_t port = value_get_int(value_at(value_get(subset, "ports"), 0), "port", 0);
        first_port = first_port ? first_port : port;
        if (address && (!port || port == first_port) && !str_in(address, addresses))
            addresses[n++] = address;
    }
    *ret_addresses = addresses;
    *ret_port = (uint16_t)first_port;
    return 0;
}
