#include "apiserver/flow_control.h"
#include "apiserver/bootstrap.h"
#include "base/str.h"
#include "loop/pool.h"

#include <stdatomic.h>

#define GROUP "flowcontrol.apiserver.k8s.io"
#define AUTOUPDATE "apf.kubernetes.io/autoupdate-spec"
#define WRITERS 16 /* writes that wait for the disk together */

typedef struct Job {
    ApiCore *core;
    const FlowControlRow *row;
    _Atomic int *result;
} Job;

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

static void run_job(void *userdata) {
    Job *job = userdata;
    int r = bootstrap_ensure(job->core, GROUP, "v1", job->row->plural, NULL, job->row->name, job->row->json,
                             is_kept(job->core, job->row)),
        none = 0;
    if (r < 0)
        atomic_compare_exchange_strong(job->result, &none, r);
    free(job);
}

int flow_control_bootstrap(ApiCore *core) {
    _Atomic int result = 0;
    Pool *pool = pool_new("flow-control", WRITERS, 256);
    for (const FlowControlRow *row = flow_control_rows; row->plural; row++) {
        Job *job = NEW(Job);
        *job = (Job){core, row, &result};
        if (pool_submit(pool, run_job, job) < 0)
            run_job(job);
    }
    pool_free(pool); /* waits */
    return result;
}
