/* lighter-scheduler: the scheduler as a daemon of its own. */
#define LOG_COMPONENT "scheduler"
#include "scheduler/scheduler.h"

#include <malloc.h>
#include <signal.h>
#include <unistd.h>

#include "base/flags.h"
#include "base/log.h"
#include "client/leader.h"
#include "loop/loop.h"
#include "scheduler/server.h"

typedef struct Daemon {
    const char *kubeconfig, *name;
    bool elects;
    DaemonServing serving;
    const Flag *flags; /* what all of this was read from */
    size_t n_flags;
    Loop *loop;
    SchedulerConfig config;
    SchedulerServer *server;
    Scheduler *scheduler;
} Daemon;

static void on_signal(_unused_ Source *source, _unused_ int signo, void *userdata) {
    Daemon *daemon = userdata;
    if (daemon->server)
        scheduler_server_shut_down(daemon->server);
    loop_exit(daemon->loop, 0);
}

static void lead(void *userdata) {
    Daemon *daemon = userdata;
    if (scheduler_start(&daemon->config, &daemon->scheduler) < 0)
        loop_exit(daemon->loop, 1);
    else
        scheduler_server_run(daemon->server, daemon->scheduler);
}

static int run(Daemon *daemon) {
    Leader *leader = NULL;
    if (!daemon->elects)
        lead(daemon);
    else {
        leader = leader_of_component(daemon->config.client, "kube-scheduler", daemon->loop, lead, daemon);
        if (!leader)
            return 1;
        scheduler_server_elect(daemon->server, leader);
    }
    int code = loop_run_daemon(daemon->loop);
    scheduler_server_stop(TAKE_PTR(daemon->server)); /* it looks at the others */
    scheduler_stop(TAKE_PTR(daemon->scheduler));
    leader_free(leader);
    return code;
}

static int serve(Daemon *daemon) {
    _cleanup_(loop_freep) Loop *loop = NULL;
    _cleanup_(client_freep) Client *client = NULL;
    _cleanup_(source_unrefp) Source *term = NULL, *interrupt = NULL;
    _cleanup_free_ char *error = NULL;
    char host[256] = "localhost";
    if (loop_new(&loop) < 0 || loop_add_signal(loop, SIGTERM, on_signal, daemon, &term) < 0 ||
        loop_add_signal(loop, SIGINT, on_signal, daemon, &interrupt) < 0) {
        log_error("cannot start: the event loop: %m");
        return 1;
    }
    if (client_http_from_kubeconfig(daemon->kubeconfig, "kube-scheduler", &client, &error) < 0) {
        log_error("cannot use kubeconfig %s: %s", daemon->kubeconfig, error);
        return 1;
    }
    (void)gethostname(host, sizeof host - 1);
    daemon->loop = loop;
    daemon->config = (SchedulerConfig){.client = client, .name = daemon->name, .host = host};
    const SchedulerServerConfig server = {.daemon = {.serving = &daemon->serving,
                                                     .client = client,
                                                     .kubeconfig = daemon->kubeconfig,
                                                     .flags = daemon->flags,
                                                     .n_flags = daemon->n_flags},
                                          .name = daemon->name,
                                          .elects = daemon->elects};
    return scheduler_server_start(&server, &daemon->server) < 0 ? 1 : run(daemon);
}

int main(int argc, char **argv) {
    mallopt(M_ARENA_MAX, 2); /* many short-lived threads, little contention: an arena each would cost megabytes */
    Daemon daemon = {.serving = DAEMON_SERVING_DEFAULTS};
    const Flag flags[] = {
        {"kubeconfig", FLAG_STRING, &daemon.kubeconfig, "FILE",
         "how to reach the API server, as system:kube-scheduler"},
        {"leader-elect", FLAG_BOOL, &daemon.elects, NULL,
         "run only while holding the Lease kube-system/kube-scheduler"},
        {"scheduler-name", FLAG_STRING, &daemon.name, "NAME",
         "schedule pods with this spec.schedulerName (default-scheduler)"},
        DAEMON_SERVING_FLAGS(daemon.serving, SCHEDULER_PORT_TEXT),
    };
    const Command command = {.name = "lighter-scheduler",
                             .usage = "lighter-scheduler --kubeconfig FILE [flags]",
                             .about = "Decides on which node each pod runs.",
                             .flags = flags,
                             .n_flags = ELEMENTSOF(flags)};
    int n;
    FlagsResult r = flags_parse(&command, argc, argv, &n);
    if (r != FLAGS_OK)
        return r == FLAGS_HELP ? 0 : 2;
    if (!daemon.kubeconfig) {
        fprintf(stderr, "lighter-scheduler: --kubeconfig is missing; see 'lighter-scheduler --help'\n");
        return 2;
    }
    daemon.flags = flags;
    daemon.n_flags = ELEMENTSOF(flags);
    return serve(&daemon);
}
