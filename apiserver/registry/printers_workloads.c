/* Pods and what makes them. */
#include "apiserver/registry/printers_internal.h"

#include <inttypes.h>

#include "base/clock.h"
#include "base/str.h"

typedef struct PodSummary {
    Arena *arena;
    const Value *pod, *spec, *status;
    const char *reason;
    int64_t restarts, ready, total;
    int64_t last_restart_ns; /* 0: never */
} PodSummary;

static bool is_sidecar(const Value *init_container) {
    return streq(str_or(value_get_str(init_container, "restartPolicy"), ""), "Always");
}

static bool condition_is_true(const Value *status, const char *type) {
    return streq(str_or(value_get_str(find_by(value_get(status, "conditions"), "type", type), "status"), ""), "True");
}

static void note_restart(const Value *container_status, int64_t *last_ns) {
    const char *finished = value_str(value_path(container_status, "lastState", "terminated", "finishedAt", NULL));
    int64_t ns;
    if (finished && rfc3339_parse(finished, &ns) == 0)
        *last_ns = MAX(*last_ns, ns);
}

static const char *terminated_reason(Arena *arena, const Value *terminated) {
    const char *reason = value_get_str(terminated, "reason");
    int64_t signal = value_get_int(terminated, "signal", 0);
    if (!str_empty(reason))
        return reason;
    return signal ? arena_printf(arena, "Signal:%" PRId64, signal)
                  : arena_printf(arena, "ExitCode:%" PRId64, value_get_int(terminated, "exitCode", 0));
}

/* Why the init container at `index` holds the pod up; NULL: it does not. */
static const char *init_obstacle(PodSummary *s, const Value *status, const Value *container, size_t index) {
    const Value *terminated = value_path(status, "state", "terminated", NULL);
    const char *waiting = value_str(value_path(status, "state", "waiting", "reason", NULL));
    if (terminated && value_get_int(terminated, "exitCode", 0) == 0)
        return NULL;
    if (is_sidecar(container) && value_get_bool(status, "started", false)) {
        s->ready += value_get_bool(status, "ready", false);
        return NULL;
    }
    if (terminated)
        return arena_printf(s->arena, "Init:%s", terminated_reason(s->arena, terminated));
    if (!str_empty(waiting) && !streq(waiting, "PodInitializing"))
        return arena_printf(s->arena, "Init:%s", waiting);
    return arena_printf(s->arena, "Init:%zu/%zu", index, value_len(value_get(s->spec, "initContainers")));
}

/* True while the pod initializes. */
static bool summarize_init(PodSummary *s, int64_t *sidecar_restarts, int64_t *sidecar_last_ns) {
    const Value *statuses = value_get(s->status, "initContainerStatuses"),
                *containers = value_get(s->spec, "initContainers");
    for (size_t i = 0; i < value_len(statuses); i++) {
        const Value *status = value_at(statuses, i);
        const Value *container = find_by(containers, "name", str_or(value_get_str(status, "name"), ""));
        s->restarts += value_get_int(status, "restartCount", 0);
        note_restart(status, &s->last_restart_ns);
        if (is_sidecar(container)) {
            *sidecar_restarts += value_get_int(status, "restartCount", 0);
            note_restart(status, sidecar_last_ns);
        }
        const char *obstacle = init_obstacle(s, status, container, i);
        if (obstacle) {
            s->reason = obstacle;
            return true;
        }
    }
    return false;
}

static void summarize_containers(PodSummary *s) {
    const Value *statuses = value_get(s->status, "containerStatuses");
    const char *error = NULL;
    bool running = false;
    for (size_t i = value_len(statuses); i-- > 0;) {
        const Value *status = value_at(statuses, i), *terminated = value_path(status, "state", "terminated", NULL);
        const char *waiting = value_str(value_path(status, "state", "waiting", "reason", NULL));
        s->restarts += value_get_int(status, "restartCount", 0);
        note_restart(status, &s->last_restart_ns);
        if (!str_empty(waiting))
            s->reason = waiting;
        else if (terminated) {
            s->reason = terminated_reason(s->arena, terminated);
            if (value_get_int(terminated, "exitCode", 0) != 0)
                error = s->reason;
        } else if (value_get_bool(status, "ready", false) && value_path(status, "state", "running", NULL)) {
            running = true;
            s->ready++;
        }
    }
    if (!streq(s->reason, "Completed"))
        return;
    if (running && condition_is_true(s->status, "Ready"))
        s->reason = "Running";
    else if (error)
        s->reason = error;
    else if (running)
        s->reason = "NotReady";
}

static void summarize(PodSummary *s) {
    const char *phase = str_or(value_get_str(s->status, "phase"), ""),
               *status_reason = value_get_str(s->status, "reason");
    const Value *scheduled = find_by(value_get(s->status, "conditions"), "type", "PodScheduled"), *container;
    int64_t sidecar_restarts = 0, sidecar_last_ns = 0;
    s->reason = str_or(status_reason, phase);
    if (streq(str_or(value_get_str(scheduled, "reason"), ""), "SchedulingGated"))
        s->reason = "SchedulingGated";
    s->total = (int64_t)value_len(value_get(s->spec, "containers"));
    VALUE_FOREACH (container, value_get(s->spec, "initContainers"))
        s->total += is_sidecar(container);
    bool initializing = summarize_init(s, &sidecar_restarts, &sidecar_last_ns);
    if (!initializing || condition_is_true(s->status, "Initialized")) {
        s->restarts = sidecar_restarts;
        s->last_restart_ns = sidecar_last_ns;
        summarize_containers(s);
    }
    if (!value_path(s->pod, "metadata", "deletionTimestamp", NULL))
        return;
    if (streq(str_or(status_reason, ""), "NodeLost"))
        s->reason = "Unknown";
    else if (!streq(phase, "Succeeded") && !streq(phase, "Failed"))
        s->reason = "Terminating";
}

static char *readiness_gates(PodSummary *s) {
    const Value *gates = value_get(s->spec, "readinessGates"), *gate;
    size_t met = 0;
    if (!value_len(gates))
        return arena_strdup(s->arena, "<none>");
    VALUE_FOREACH (gate, gates)
        met += condition_is_true(s->status, str_or(value_get_str(gate, "conditionType"), ""));
    return arena_printf(s->arena, "%zu/%zu", met, value_len(gates));
}

static void print_pod(Arena *arena, const Value *pod, int64_t now_ns, Value *cells) {
    PodSummary s = {.arena = arena, .pod = pod, .spec = value_get(pod, "spec"), .status = value_get(pod, "status")};
    char ago[32];
    summarize(&s);
    cell_name(arena, cells, pod);
    cell_str(arena, cells, arena_printf(arena, "%" PRId64 "/%" PRId64, s.ready, s.total));
    cell_str(arena, cells, s.reason);
    if (s.restarts && s.last_restart_ns)
        cell_str(arena, cells,
                 arena_printf(arena, "%" PRId64 " (%s ago)", s.restarts,
                              duration_human(ns_between(now_ns, s.last_restart_ns), ago)));
    else
        cell_str(arena, cells, arena_printf(arena, "%" PRId64, s.restarts));
    cell_age(arena, cells, pod, now_ns);
    cell_or(arena, cells, value_get_str(value_at(value_get(s.status, "podIPs"), 0), "ip"), "<none>");
    cell_or(arena, cells, value_get_str(s.spec, "nodeName"), "<none>");
    cell_or(arena, cells, value_get_str(s.status, "nominatedNodeName"), "<none>");
    cell_str(arena, cells, readiness_gates(&s));
}

static Value *pod_row_conditions(Arena *arena, const Value *pod) {
    const char *phase = str_or(value_get_str(value_get(pod, "status"), "phase"), "");
    bool failed = streq(phase, "Failed");
    if (!failed && !streq(phase, "Succeeded"))
        return NULL;
    Value *conditions = value_array(arena), *condition = value_object(arena);
    value_set_str(arena, condition, "type", "Completed");
    value_set_str(arena, condition, "status", "True");
    value_set_str(arena, condition, "reason", phase);
    value_set_str(arena, condition, "message", failed ? "The pod failed." : "The pod has completed successfully.");
    value_append(arena, conditions, condition);
    return conditions;
}

static void print_pod_template(Arena *arena, const Value *o, _unused_ int64_t now_ns, Value *cells) {
    const Value *template = value_get(o, "template");
    cell_name(arena, cells, o);
    cell_containers(arena, cells, value_get(template, "spec"));
    cell_labels(arena, cells, value_path(template, "metadata", "labels", NULL));
}

static void print_replicas(Arena *arena, const Value *o, int64_t now_ns, Value *cells) {
    const Value *status = value_get(o, "status");
    cell_name(arena, cells, o);
    cell_int(arena, cells, value_get_int(value_get(o, "spec"), "replicas", 0));
    cell_int(arena, cells, value_get_int(status, "replicas", 0));
    cell_int(arena, cells, value_get_int(status, "readyReplicas", 0));
    cell_age(arena, cells, o, now_ns);
    cell_containers(arena, cells, value_path(o, "spec", "template", "spec", NULL));
}

static void print_replication_controller(Arena *arena, const Value *o, int64_t now_ns, Value *cells) {
    print_replicas(arena, o, now_ns, cells);
    cell_labels(arena, cells, value_path(o, "spec", "selector", NULL));
}

static void print_replica_set(Arena *arena, const Value *o, int64_t now_ns, Value *cells) {
    print_replicas(arena, o, now_ns, cells);
    cell_selector(arena, cells, value_path(o, "spec", "selector", NULL));
}

static void cell_ready_of(Arena *arena, Value *cells, const Value *o) {
    cell_str(arena, cells,
             arena_printf(arena, "%" PRId64 "/%" PRId64, value_get_int(value_get(o, "status"), "readyReplicas", 0),
                          value_get_int(value_get(o, "spec"), "replicas", 0)));
}

static void print_deployment(Arena *arena, const Value *o, int64_t now_ns, Value *cells) {
    const Value *status = value_get(o, "status");
    cell_name(arena, cells, o);
    cell_ready_of(arena, cells, o);
    cell_int(arena, cells, value_get_int(status, "updatedReplicas", 0));
    cell_int(arena, cells, value_get_int(status, "availableReplicas", 0));
    cell_age(arena, cells, o, now_ns);
    cell_containers(arena, cells, value_path(o, "spec", "template", "spec", NULL));
    cell_selector(arena, cells, value_path(o, "spec", "selector", NULL));
}

static void print_stateful_set(Arena *arena, const Value *o, int64_t now_ns, Value *cells) {
    cell_name(arena, cells, o);
    cell_ready_of(arena, cells, o);
    cell_age(arena, cells, o, now_ns);
    cell_containers(arena, cells, value_path(o, "spec", "template", "spec", NULL));
}

static void print_daemon_set(Arena *arena, const Value *o, int64_t now_ns, Value *cells) {
    static const char *const NUMBERS[] = {"desiredNumberScheduled", "currentNumberScheduled", "numberReady",
                                          "updatedNumberScheduled", "numberAvailable"};
    const Value *pod_spec = value_path(o, "spec", "template", "spec", NULL);
    cell_name(arena, cells, o);
    for (size_t i = 0; i < ELEMENTSOF(NUMBERS); i++)
        cell_int(arena, cells, value_get_int(value_get(o, "status"), NUMBERS[i], 0));
    cell_labels(arena, cells, value_get(pod_spec, "nodeSelector"));
    cell_age(arena, cells, o, now_ns);
    cell_containers(arena, cells, pod_spec);
    cell_selector(arena, cells, value_path(o, "spec", "selector", NULL));
}

static const char *job_status(const Value *job) {
    static const struct {
        const char *condition, *text;
    } STATES[] = {{"Complete", "Complete"},
                  {"Failed", "Failed"},
                  {NULL, "Terminating"},
                  {"Suspended", "Suspended"},
                  {"FailureTarget", "FailureTarget"},
                  {"SuccessCriteriaMet", "SuccessCriteriaMet"}};
    for (size_t i = 0; i < ELEMENTSOF(STATES); i++)
        if (STATES[i].condition ? condition_is_true(value_get(job, "status"), STATES[i].condition)
                                : value_path(job, "metadata", "deletionTimestamp", NULL) != NULL)
            return STATES[i].text;
    return "Running";
}

static const char *job_completions(Arena *arena, const Value *job) {
    const Value *spec = value_get(job, "spec");
    int64_t succeeded = value_get_int(value_get(job, "status"), "succeeded", 0);
    int64_t parallelism = value_get_int(spec, "parallelism", 0);
    if (value_get(spec, "completions"))
        return arena_printf(arena, "%" PRId64 "/%" PRId64, succeeded, value_get_int(spec, "completions", 0));
    if (parallelism > 1)
        return arena_printf(arena, "%" PRId64 "/1 of %" PRId64, succeeded, parallelism);
    return arena_printf(arena, "%" PRId64 "/1", succeeded);
}

static const char *job_duration(Arena *arena, const Value *job, int64_t now_ns) {
    const char *start = value_get_str(value_get(job, "status"), "startTime");
    const char *end = value_get_str(value_get(job, "status"), "completionTime");
    int64_t from, to = now_ns;
    char out[32];
    if (!start || rfc3339_parse(start, &from) < 0 || (end && rfc3339_parse(end, &to) < 0))
        return "";
    return arena_strdup(arena, duration_human(ns_between(to, from), out));
}

static void print_job(Arena *arena, const Value *o, int64_t now_ns, Value *cells) {
    cell_name(arena, cells, o);
    cell_str(arena, cells, job_status(o));
    cell_str(arena, cells, job_completions(arena, o));
    cell_str(arena, cells, job_duration(arena, o, now_ns));
    cell_age(arena, cells, o, now_ns);
    cell_containers(arena, cells, value_path(o, "spec", "template", "spec", NULL));
    cell_selector(arena, cells, value_path(o, "spec", "selector", NULL));
}

static void print_cron_job(Arena *arena, const Value *o, int64_t now_ns, Value *cells) {
    const Value *spec = value_get(o, "spec"), *status = value_get(o, "status"), *suspend = value_get(spec, "suspend");
    const Value *job = value_path(spec, "jobTemplate", "spec", NULL);
    const char *last = value_get_str(status, "lastScheduleTime");
    cell_name(arena, cells, o);
    cell_str(arena, cells, value_get_str(spec, "schedule"));
    cell_or(arena, cells, value_get_str(spec, "timeZone"), "<none>");
    cell_str(arena, cells, !suspend ? "<unset>" : suspend->boolean ? "True" : "False");
    cell_int(arena, cells, (int64_t)value_len(value_get(status, "active")));
    cell_str(arena, cells, last ? text_since(arena, last, now_ns) : "<none>");
    cell_age(arena, cells, o, now_ns);
    cell_containers(arena, cells, value_path(job, "template", "spec", NULL));
    cell_selector(arena, cells, value_get(job, "selector"));
}

static void print_controller_revision(Arena *arena, const Value *o, int64_t now_ns, Value *cells) {
    const Value *owner;
    const char *controller = "<none>";
    VALUE_FOREACH (owner, value_path(o, "metadata", "ownerReferences", NULL))
        if (value_get_bool(owner, "controller", false)) {
            const char *version = str_or(value_get_str(owner, "apiVersion"), ""), *slash = strchr(version, '/');
            char *text = arena_printf(arena, "%s%s%.*s", str_or(value_get_str(owner, "kind"), ""), slash ? "." : "",
                                      slash ? (int)(slash - version) : 0, version);
            for (char *p = text; *p; p++)
                *p = *p >= 'A' && *p <= 'Z' ? (char)(*p + ('a' - 'A')) : *p;
            controller = arena_printf(arena, "%s/%s", text, str_or(value_get_str(owner, "name"), ""));
        }
    cell_name(arena, cells, o);
    cell_str(arena, cells, controller);
    cell_int(arena, cells, value_get_int(o, "revision", 0));
    cell_age(arena, cells, o, now_ns);
}

static const Column POD[] = {
    COLUMN_NAME,       COLUMN_TEXT("Ready"), COLUMN_TEXT("Status"),         COLUMN_TEXT("Restarts"),       COLUMN_AGE,
    COLUMN_WIDE("IP"), COLUMN_WIDE("Node"),  COLUMN_WIDE("Nominated Node"), COLUMN_WIDE("Readiness Gates")};
static const Column POD_TEMPLATE[] = {COLUMN_NAME, COLUMN_TEXT("Containers"), COLUMN_TEXT("Images"),
                                      COLUMN_TEXT("Pod Labels")};
static const Column REPLICAS[] = {
    COLUMN_NAME, COLUMN_INT("Desired"),     COLUMN_INT("Current"), COLUMN_INT("Ready"),
    COLUMN_AGE,  COLUMN_WIDE("Containers"), COLUMN_WIDE("Images"), COLUMN_WIDE("Selector")};
static const Column DEPLOYMENT[] = {
    COLUMN_NAME, COLUMN_TEXT("Ready"),      COLUMN_TEXT("Up-to-date"), COLUMN_TEXT("Available"),
    COLUMN_AGE,  COLUMN_WIDE("Containers"), COLUMN_WIDE("Images"),     COLUMN_WIDE("Selector")};
static const Column STATEFUL_SET[] = {COLUMN_NAME, COLUMN_TEXT("Ready"), COLUMN_AGE, COLUMN_WIDE("Containers"),
                                      COLUMN_WIDE("Images")};
static const Column DAEMON_SET[] = {COLUMN_NAME,
                                    COLUMN_INT("Desired"),
                                    COLUMN_INT("Current"),
                                    COLUMN_INT("Ready"),
                                    COLUMN_INT("Up-to-date"),
                                    COLUMN_INT("Available"),
                                    COLUMN_TEXT("Node Selector"),
                                    COLUMN_AGE,
                                    COLUMN_WIDE("Containers"),
                                    COLUMN_WIDE("Images"),
                                    COLUMN_WIDE("Selector")};
static const Column JOB[] = {
    COLUMN_NAME, COLUMN_TEXT("Status"),     COLUMN_TEXT("Completions"), COLUMN_TEXT("Duration"),
    COLUMN_AGE,  COLUMN_WIDE("Containers"), COLUMN_WIDE("Images"),      COLUMN_WIDE("Selector")};
static const Column CRON_JOB[] = {COLUMN_NAME,
                                  COLUMN_TEXT("Schedule"),
                                  COLUMN_TEXT("Timezone"),
                                  COLUMN_BOOL("Suspend"),
                                  COLUMN_INT("Active"),
                                  COLUMN_TEXT("Last Schedule"),
                                  COLUMN_AGE,
                                  COLUMN_WIDE("Containers"),
                                  COLUMN_WIDE("Images"),
                                  COLUMN_WIDE("Selector")};
static const Column REVISION[] = {COLUMN_NAME, COLUMN_TEXT("Controller"), COLUMN_TEXT("Revision"), COLUMN_AGE};

#define ROW(group, plural, columns, print)                                                                             \
    { group, plural, columns, ELEMENTSOF(columns), NULL, print, NULL }
static const Printer ROWS[] = {
    {"", "pods", POD, ELEMENTSOF(POD), NULL, print_pod, pod_row_conditions},
    ROW("", "podtemplates", POD_TEMPLATE, print_pod_template),
    ROW("", "replicationcontrollers", REPLICAS, print_replication_controller),
    ROW("apps", "replicasets", REPLICAS, print_replica_set),
    ROW("apps", "deployments", DEPLOYMENT, print_deployment),
    ROW("apps", "statefulsets", STATEFUL_SET, print_stateful_set),
    ROW("apps", "daemonsets", DAEMON_SET, print_daemon_set),
    ROW("apps", "controllerrevisions", REVISION, print_controller_revision),
    ROW("batch", "jobs", JOB, print_job),
    ROW("batch", "cronjobs", CRON_JOB, print_cron_job),
};
const PrinterTable printers_workloads = {ROWS, ELEMENTSOF(ROWS)};
