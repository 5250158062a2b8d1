#include "apiserver/handlers/verbs.h"
#include "base/str.h"

#include <stdatomic.h>

struct ApiCore {
    ApiCoreConfig config;
    Registry *registry;
    atomic_uint component_ports[API_COMPONENTS];
};

ApiCore *api_core_new(const ApiCoreConfig *config) {
    ApiCore *core = NEW0(ApiCore);
    core->config = *config;
    core->component_ports[API_CONTROLLERS] = 10257;
    core->component_ports[API_SCHEDULER] = 10259;
    RegistryConfig registry = {
        .store = config->store, .settings = config->settings, .admission = config->admission, .custom = config->custom};
    core->registry = registry_new(&registry);
    return core;
}

void api_core_free(ApiCore *core) {
    if (!core)
        return;
    registry_free(core->registry);
    free(core);
}

Registry *api_core_registry(ApiCore *core) {
    return core->registry;
}

void api_core_set_component_port(ApiCore *core, ApiComponent component, uint16_t port) {
    core->component_ports[component] = port;
}

uint16_t api_core_component_port(const ApiCore *core, ApiComponent component) {
    return (uint16_t)core->component_ports[component];
}

const ApiCoreConfig *api_core_config(const ApiCore *core) {
    return &core->config;
}

void api_response_done(ApiResponse *response) {
    object_unref(response->object);
    object_list_done(&response->list);
    *response = (ApiResponse){0};
}

void response_take_warnings(ApiResponse *response, const RegistryCall *call) {
    response->warnings = call->context.warnings;
    response->n_warnings = call->context.n_warnings;
}

Value *api_value_new(Arena *arena, const char *api_version, const char *kind) {
    Value *v = value_object(arena);
    value_set_str(arena, v, "kind", kind);
    value_set_str(arena, v, "apiVersion", api_version);
    return v;
}

Value *api_success_status(Arena *arena, const Resource *resource, const char *name, const char *uid) {
    Value *status = api_value_new(arena, "v1", "Status"), *details = value_object(arena);
    value_set(arena, status, "metadata", value_object(arena));
    value_set_str(arena, status, "status", "Success");
    value_set_str(arena, details, "name", name);
    if (*resource->group)
        value_set_str(arena, details, "group", resource->group);
    value_set_str(arena, details, "kind", resource->plural);
    if (!str_empty(uid))
        value_set_str(arena, details, "uid", uid);
    value_set(arena, status, "details", details);
    return status;
}
