#include "apiserver/flow_control.h"
#include "apiserver/bootstrap.h"
#include "base/str.h"

#define GROUP "flowcontrol.apiserver.k8s.io"
#define MANAGER "api-priority-and-fairness-config-producer-v1"
#define AUTOUPDATE "apf.kubernetes.io/autoupdate-spec"

/* May what is stored be made as the table says? Not what an administrator took over, nor the shares of "exempt". */
static bool is_kept(ApiCore *core, const FlowControlRow *row) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    _cleanup_object_ Object *object = NULL;
    const Resource *resource = resource_find(GROUP, "v1", row->plural);
    if (store_get(api_core_config(core)->store, resource, "", row->name, &object) < 0)
        return true;
    const Value *v = object_value(object, arena);
    if (row->mandatory)
        return !streq(row->name, "exempt") || !streq(row->plural, "prioritylevelconfigurations") ||
               !streq(str_or(value_get_str(value_get(v, "spec"), "type"), ""), "Exempt");
    const char *said = value_get_str(value_path(v, "metadata", "annotations", NULL), AUTOUPDATE);
    return said ? streq(said, "true") : value_get_int(value_get(v, "metadata"), "generation", 0) <= 1;
}

static int ensure_row(size_t index, void *userdata) {
    ApiCore *core = userdata;
    const FlowControlRow *row = &flow_control_rows[index];
    return bootstrap_ensure_by(core, MANAGER, GROUP, "v1", row->plural, NULL, row->name, row->json, is_kept(core, row));
}

int flow_control_bootstrap(ApiCore *core) {
    size_t n = 0;
    while (flow_control_rows[n].plural)
        n++;
    return bootstrap_together(n, ensure_row, core);
}
