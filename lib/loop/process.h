/* Child processes run to completion: crun, CNI plugins, mount helpers. Blocking; call from a pool thread. */
#pragma once

#include "base/buf.h"

#include <stdatomic.h>
#include <sys/types.h>

typedef struct ProcessSpec {
    const char *const *argv; /* NULL-terminated; argv[0] is looked up in PATH */
    const char *const *env;  /* NULL: the caller's */
    const char *input;       /* standard input; NULL: input_fd */
    size_t input_len;
    int input_fd;             /* standard input; 0: /dev/null */
    int cwd_fd;               /* start in this folder; 0: where the caller is */
    int keep_fd;              /* stays open as descriptor 3, a lock for instance; 0: none */
    bool die_with_caller;     /* SIGKILL when the thread that called has ended */
    int netns_fd;             /* enter this network namespace first; 0: stay (descriptor 0 is never one) */
    bool private_mounts;      /* new mount namespace, made rslave */
    const char *detach_mount; /* with private_mounts: unmount (MNT_DETACH) this path there first, when it is mounted */
    uint64_t timeout_ns;      /* 0: none. Then SIGKILL and -ETIMEDOUT */
    void (*output)(const char *p, size_t n, void *userdata); /* standard output as it comes; NULL: into the result */
    void *userdata;
    const atomic_bool *cancel; /* once set, SIGKILL and -ECANCELED within a moment; NULL: never */
} ProcessSpec;

typedef struct ProcessResult {
    int status;   /* as waitpid */
    Buf out, err; /* limited to PROCESS_OUTPUT_MAX each; more is dropped */
} ProcessResult;
#define PROCESS_OUTPUT_MAX (1024 * 1024)

/* 0 when the program ran and ended (see status), or negative errno. */
int process_run(const ProcessSpec *spec, ProcessResult *ret);
void process_result_done(ProcessResult *result);
#define _cleanup_process_result_ _cleanup_(process_result_done)
