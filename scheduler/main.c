/* lighter-scheduler: the scheduler as a daemon of its own. */
#define LOG_COMPONENT "scheduler"
#include "scheduler/scheduler.h"

#include <malloc.h>
#include <signal.h>
#include <unistd.h>

#include "base/flags.h"
#include "base/log.h"
#include "loop/loop.h"

static void on_signal(_unused_ Source *source, _unused_ int signo, void *userdata) {
    loop_exit(userdata, 0);
}

static int serve(const char *kubeconfig, const char *name) {
    _cleanup_(loop_freep) Loop *loop = NULL;
    _cleanup_(client_freep) Client *client = NULL;
    _cleanup_(source_unrefp) Source *term = NULL, *interrupt = NULL;
    _cleanup_free_ char *error = NULL;
    char host[256] = "localhost";
    Scheduler *scheduler = NULL;
    if (loop_new(&loop) < 0 || loop_add_signal(loop, SIGTERM, on_signal, loop, &term) < 0 ||
        loop_add_signal(loop, SIGINT, on_signal, loop, &interrupt) < 0) {
        log_error("cannot start: the event loop: %m");
        return 1;
    }
    if (client_http_from_kubeconfig(kubeconfig, "kube-scheduler", &client, &error) < 0) {
        log_error("cannot use kubeconfig %s: %s", kubeconfig, error);
        return 1;
    }
    (void)gethostname(host, sizeof host - 1);
    if (scheduler_start(&(SchedulerConfig){.client = client, .name = name, .host = host}, &scheduler) < 0)
        return 1;
    int code = loop_run_daemon(loop);
    scheduler_stop(scheduler);
    return code;
}

int main(int argc, char **argv) {
    mallopt(M_ARENA_MAX, 2); /* many short-lived threads, little contention: an arena each would cost megabytes */
    const char *kubeconfig = NULL, *name = NULL;
    const Flag flags[] = {
        {"kubeconfig", FLAG_STRING, &kubeconfig, "FILE", "how to reach the API server, as system:kube-scheduler"},
        {"scheduler-name", FLAG_STRING, &name, "NAME",
         "schedule pods with this spec.schedulerName (default-scheduler)"},
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
    if (!kubeconfig) {
        fprintf(stderr, "lighter-scheduler: --kubeconfig is missing; see 'lighter-scheduler --help'\n");
        return 2;
    }
    return serve(kubeconfig, name);
}
