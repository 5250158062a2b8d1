#include "scheduler/server.h"

#include "base/process_metrics.h"
#include "base/str.h"
#include "scheduler/queue.h"

#include <stdatomic.h>

struct SchedulerServer {
    SchedulerServerConfig config;
    Checks *checks;
    DaemonServer *daemon; /* NULL: nothing is served */
    _Atomic(Leader *) leader;
    _Atomic(Scheduler *) scheduler;
    atomic_bool stopping;
};

/* ---- checks ---- */

static const char *ask_leader(void *userdata, _unused_ Arena *arena) {
    const Leader *leader = atomic_load(&((SchedulerServer *)userdata)->leader);
    return leader && leader_is_stuck(leader) ? "failed election to renew leadership on lease kube-scheduler" : NULL;
}

static const char *ask_shutdown(void *userdata, _unused_ Arena *arena) {
    return atomic_load(&((SchedulerServer *)userdata)->stopping) ? "process is shutting down" : NULL;
}

static const char *ask_synced(void *userdata, _unused_ Arena *arena) {
    const SchedulerServer *server = userdata;
    const Scheduler *scheduler = atomic_load(&server->scheduler);
    return scheduler && scheduler_synced(scheduler) ? NULL : "handlers are not fully synchronized";
}

static const Check rows[] = {
    {"leaderElection", CHECK_HEALTHZ | CHECK_READYZ, ask_leader, 0}, /* left out without an election */
    {"shutdown", CHECK_READYZ, ask_shutdown, 0},
    {"sched-handler-sync", CHECK_READYZ, ask_synced, 0},
};

/* ---- pages ---- */

static void write_metrics(Buf *out, void *userdata) {
    SchedulerServer *server = userdata;
    const Leader *leader = atomic_load(&server->leader);
    Scheduler *scheduler = atomic_load(&server->scheduler);
    if (leader)
        leader_write_metrics(leader, out);
    process_metrics_write(out);
    client_write_metrics(server->config.daemon.client, out);
    if (scheduler)
        scheduler_write_metrics(scheduler, out);
}

/* Empty while another scheduler leads. */
static void write_resources(Buf *out, void *userdata) {
    Scheduler *scheduler = atomic_load(&((SchedulerServer *)userdata)->scheduler);
    if (scheduler)
        scheduler_write_resources(scheduler, out);
}

static void write_config(Buf *out, void *userdata) {
    const SchedulerServer *server = userdata;
    _cleanup_arena_ Arena *arena = arena_new(0);
    Value *all = value_object(arena), *config = value_ensure_object(arena, all, "componentconfig"),
          *profiles = value_array(arena), *profile = value_object(arena);
    value_set_str(arena, config, "kind", "KubeSchedulerConfiguration");
    value_set_str(arena, config, "apiVersion", "kubescheduler.config.k8s.io/v1");
    leader_describe(arena, value_ensure_object(arena, config, "leaderElection"), server->config.elects,
                    "kube-scheduler");
    if (server->config.daemon.kubeconfig)
        value_set_str(arena, value_ensure_object(arena, config, "clientConnection"), "kubeconfig",
                      server->config.daemon.kubeconfig);
    value_set_int(arena, config, "podInitialBackoffSeconds", (int64_t)(QUEUE_BACKOFF_FIRST_NS / NS_PER_SEC));
    value_set_int(arena, config, "podMaxBackoffSeconds", (int64_t)(QUEUE_BACKOFF_MAX_NS / NS_PER_SEC));
    value_set_str(arena, profile, "schedulerName", str_or(server->config.name, SCHEDULER_NAME));
    value_append(arena, profiles, profile);
    value_set(arena, config, "profiles", profiles);
    value_write_json(out, all);
}

static const DaemonPage pages[] = {
    {"/metrics", DAEMON_METRICS_TYPE, true, write_metrics},
    {"/metrics/resources", DAEMON_METRICS_TYPE, true, write_resources},
    {"/configz", "application/json", false, write_config},
};

/* ---- its life ---- */

int scheduler_server_start(const SchedulerServerConfig *config, SchedulerServer **ret) {
    _cleanup_(scheduler_server_stopp) SchedulerServer *server = NEW0(SchedulerServer);
    server->config = *config;
    server->checks = checks_new(&(ChecksConfig){.component = "kube-scheduler",
                                                .rows = config->elects ? rows : rows + 1,
                                                .n = ELEMENTSOF(rows) - !config->elects,
                                                .roots = CHECK_EVERYWHERE,
                                                .userdata = server});
    DaemonServerConfig *daemon = &server->config.daemon;
    daemon->component = "kube-scheduler";
    daemon->default_port = SCHEDULER_PORT;
    daemon->checks = server->checks;
    daemon->pages = pages;
    daemon->n_pages = ELEMENTSOF(pages);
    daemon->userdata = server;
    int r = daemon_server_start(daemon, &server->daemon);
    if (r == 0)
        *ret = TAKE_PTR(server);
    return r;
}

void scheduler_server_elect(SchedulerServer *server, Leader *leader) {
    atomic_store(&server->leader, leader);
}

void scheduler_server_run(SchedulerServer *server, Scheduler *scheduler) {
    atomic_store(&server->scheduler, scheduler);
}

void scheduler_server_shut_down(SchedulerServer *server) {
    atomic_store(&server->stopping, true);
}

uint16_t scheduler_server_port(const SchedulerServer *server) {
    return server->daemon ? daemon_server_port(server->daemon) : 0;
}

void scheduler_server_stop(SchedulerServer *server) {
    if (!server)
        return;
    daemon_server_stop(server->daemon);
    checks_free(server->checks);
    free(server);
}
