/* Bodies of every kind through the engine, as a dry run: {"create": OBJECT, "update": OBJECT}, whose kind names the
 * row. Decoding, defaults, the kind's strategy with its validation and warnings, conversion to the other versions, and
 * what is printed of it; then the update against what the creation made. */
#include "api/json.h"
#include "apiserver/registry/convert.h"
#include "apiserver/registry/decode.h"
#include "apiserver/registry/printers.h"
#include "apiserver/storage/driver.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/str.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* One for all inputs: nothing is written to it. */
static Registry *registry_of_this_run(void) {
    static Registry *registry;
    if (registry)
        return registry;
    char dir[] = "/tmp/lighter-fuzz-XXXXXX";
    Store *store;
    StoreDriver *driver;
    if (!mkdtemp(dir))
        abort();
    _cleanup_free_ char *path = xasprintf("%s/store", dir);
    if (sqlite_driver_open(path, &driver) < 0 || store_open(driver, NULL, &store) < 0)
        abort();
    fs_remove_tree(dir); /* it lives on in the descriptors */
    registry = registry_new(&(RegistryConfig){.store = store, .settings = {"10.96.0.0/24", 30000, 30100}});
    return registry;
}

static const Resource *row_of(const Value *object) {
    const char *version = str_or(value_get_str(object, "apiVersion"), ""), *kind = value_get_str(object, "kind");
    const char *slash = strchr(version, '/');
    const Resource *row;
    for (size_t i = 0; kind && (row = resource_builtin(i)); i++)
        if (row->schema && streq(row->kind, kind) && streq(row->version, slash ? slash + 1 : version) &&
            strlen(row->group) == (size_t)(slash ? slash - version : 0) &&
            strncmp(row->group, version, strlen(row->group)) == 0)
            return row;
    return NULL;
}

static int decode(RegistryCall *call, const Resource *row, Value *body, Value **ret, ApiError *err) {
    DecodeInput input = {.body = body,
                         .resource = row,
                         .schema = row->schema,
                         .group = row->group,
                         .version = row->version,
                         .kind = row->kind};
    int r = registry_decode(call, &input, ret, err);
    if ((r < 0) != (err->code != 0))
        abort();
    return r;
}

static void look_at(Arena *arena, const Resource *row, const RegistryCall *call, const Value *object) {
    const Printer *printer = printer_of(call->resource->group, call->resource->plural);
    printer_print(printer, arena, object, call->context.now_ns, value_array(arena));
    if (printer->conditions)
        printer->conditions(arena, object);
    (void)convert_object(arena, call->resource, row, value_copy(arena, object));
}

static void update(RegistryCall *call, Value *object, const Value *old) {
    const Strategy *s = call->strategy;
    Arena *arena = call->context.arena;
    FieldErrors errors = FIELD_ERRORS_INIT(arena);
    Value *status = value_copy(arena, object);
    if (s->prepare_for_update)
        s->prepare_for_update(&call->context, object, old);
    if (s->validate && !s->validates_update_alone)
        s->validate(&call->context, object, &errors);
    if (s->validate_update)
        s->validate_update(&call->context, object, old, &errors);
    if (s->warn_update)
        s->warn_update(&call->context, object, old);
    if (s->prepare_for_status_update)
        s->prepare_for_status_update(&call->context, status, old);
    if (s->validate_status_update)
        s->validate_status_update(&call->context, status, old, &errors);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const UserInfo user = {.name = "fuzz"};
    _cleanup_arena_ Arena *arena = arena_new(256 << 20);
    Value *v, *object, *changed;
    if (size > 65536 || json_parse(arena, (const char *)data, size, &v, NULL, NULL) < 0)
        return 0;
    Value *first = value_get(v, "create"), *second = value_get(v, "update");
    const Resource *row = row_of(first);
    if (!row)
        return 0;
    ApiRequest request = {.verb = API_CREATE,
                          .resource = row,
                          .ns = row->namespaced ? "default" : NULL,
                          .user = &user,
                          .options = {.dry_run = true},
                          .arena = arena};
    RegistryCall call;
    _cleanup_registry_result_ RegistryResult result = {0};
    _cleanup_api_error_ ApiError err = {0}, also = {0};
    registry_call_init(&call, registry_of_this_run(), &request);
    if (decode(&call, row, first, &object, &err) < 0)
        return 0;
    look_at(arena, row, &call, object);
    int r = registry_create(&call, object, &result, &err);
    if ((r < 0) != (err.code != 0))
        abort();
    if (value_is(second, VALUE_OBJECT) && decode(&call, row, second, &changed, &also) == 0)
        update(&call, changed, object);
    return 0;
}
