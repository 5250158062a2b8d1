/* The runtime interface: sandboxes and containers, after the CRI's RuntimeService. Drivers: oci (our own, oci.h); cri
 * later. Calls block (pool threads); thread-safe; calls on one sandbox are made by one thread at a time. Whatever a
 * driver made outlives the agent: after a restart, list finds it. The contract suite is tests/contract/kubelet/runtime.
 */
#pragma once

#include "base/buf.h"
#include "loop/loop.h"

typedef struct Runtime Runtime;

typedef struct RuntimePair {
    char *key, *value;
} RuntimePair;

typedef struct PortMapping {
    const char *protocol; /* "TCP", "UDP", "SCTP" */
    uint16_t container_port, host_port;
    const char *host_ip; /* may be NULL */
} PortMapping;

typedef struct SandboxSpec {
    const char *ns, *name, *uid; /* of the pod */
    uint32_t attempt;
    const char *hostname;
    const char *log_directory;
    const char *cgroup_parent; /* made by the kubelet's QoS tree, e.g. /kubepods/burstable/pod<uid> */
    bool host_network, host_pid, host_ipc, share_process_namespace, privileged;
    const char *const *dns_servers, *const *dns_searches, *const *dns_options; /* NULL-terminated; NULL: none */
    const PortMapping *ports;
    size_t n_ports;
    const RuntimePair *labels, *annotations, *sysctls;
    size_t n_labels, n_annotations, n_sysctls;
} SandboxSpec;

typedef struct MountSpec {
    const char *container_path, *host_path;
    bool read_only, recursive_read_only;
    const char *propagation; /* "None", "HostToContainer", "Bidirectional"; NULL: None */
} MountSpec;

typedef struct DeviceSpec {
    const char *container_path, *host_path, *permissions;
} DeviceSpec;

typedef struct ContainerSpec {
    const char *name;
    uint32_t attempt;
    const char *image_id;                     /* in the image store */
    const char *image_ref;                    /* as the user wrote it */
    const char *const *command, *const *args; /* NULL: the image's */
    const char *working_dir;                  /* NULL: the image's */
    const RuntimePair *env;
    size_t n_env;
    const MountSpec *mounts;
    size_t n_mounts;
    const DeviceSpec *devices;
    size_t n_devices;
    const char *log_path; /* relative to the sandbox's log_directory; CRI log format */
    bool stdin_, stdin_once, tty;
    /* resources; 0: unset */
    int64_t cpu_shares, cpu_quota, cpu_period, memory_limit, pids_limit;
    int oom_score_adj;
    /* security; -1: unset for ids */
    int64_t run_as_user, run_as_group;
    const char *run_as_username;
    const int64_t *supplemental_groups;
    size_t n_supplemental_groups;
    bool privileged, read_only_rootfs, no_new_privileges;
    const char *const *capabilities_add, *const *capabilities_drop;
    const char *seccomp_profile; /* "RuntimeDefault", "Unconfined", or a path of a localhost profile */
    const char *const *masked_paths, *const *readonly_paths; /* NULL: the defaults; empty: none (procMount Unmasked) */
    const RuntimePair *labels, *annotations;
    size_t n_labels, n_annotations;
    const char *stop_signal; /* NULL: the image's or SIGTERM */
    /* Runs in the process namespace of this running container (CRI's NamespaceMode TARGET); NULL: as the sandbox says.
     */
    const char *pid_target;
} ContainerSpec;

typedef enum ContainerState {
    CONTAINER_CREATED,
    CONTAINER_RUNNING,
    CONTAINER_EXITED,
    CONTAINER_UNKNOWN
} ContainerState;

typedef struct ContainerStatus {                                    /* strings owned; container_status_done frees */
    char *id, *sandbox_id, *name, *image_id, *image_ref, *log_path; /* log_path absolute */
    uint32_t attempt;
    ContainerState state;
    int64_t created_ns, started_ns, finished_ns; /* wall clock; 0: not yet */
    int exit_code;
    char *reason, *message; /* "Completed", "Error", "OOMKilled", "ContainerCannotRun" */
    pid_t pid;              /* 0 unless running */
    RuntimePair *labels, *annotations;
    size_t n_labels, n_annotations;
} ContainerStatus;

typedef struct SandboxStatus {
    char *id, *ns, *name, *uid;
    uint32_t attempt;
    bool ready;
    int64_t created_ns;
    char *ip;         /* "" with host network */
    char **ips;       /* NULL-terminated, first is ip */
    char *netns_path; /* NULL with host network */
    RuntimePair *labels, *annotations;
    size_t n_labels, n_annotations;
} SandboxStatus;

void container_status_done(ContainerStatus *status);
void sandbox_status_done(SandboxStatus *status);

typedef struct ContainerStats {
    uint64_t cpu_usage_ns, memory_working_set, memory_usage, memory_rss, pids, rootfs_bytes, rootfs_inodes;
} ContainerStats;

/* An interactive process (exec or attach). Keep exit_fd open while the process is wanted: when its reader is gone the
 * process is killed. A terminal's master answers EIO at its end. Descriptors are owned by the caller after the call; -1
 * when not asked for. With tty, stdin_fd and stdout_fd are the terminal's master (the same descriptor duplicated),
 * stderr_fd is -1. */
typedef struct RuntimeIo {
    int stdin_fd, stdout_fd, stderr_fd;
    int exit_fd;   /* becomes readable (int32_t exit code, then EOF) when an exec'd process ends; -1 for attach */
    int resize_fd; /* write struct winsize here; -1 without tty */
} RuntimeIo;

typedef enum RuntimeEventType { RUNTIME_CONTAINER_STARTED, RUNTIME_CONTAINER_EXITED } RuntimeEventType;

/* Every function returns 0 or negative errno with a sentence in *ret_error (owned by the caller) where the user should
 * read why. */
struct Runtime {
    const char *name;
    const char *container_fs; /* a folder on the file system that holds what containers write; NULL: not known */
    int (*version)(Runtime *runtime, char **ret_name, char **ret_version);
    int (*sandbox_create)(Runtime *runtime, const SandboxSpec *spec, char **ret_id, char **ret_error);
    int (*sandbox_status)(Runtime *runtime, const char *id, SandboxStatus *ret);
    int (*sandbox_stop)(Runtime *runtime, const char *id,
                        char **ret_error); /* kills containers, tears down network; idempotent */
    int (*sandbox_remove)(Runtime *runtime, const char *id, char **ret_error); /* and its containers; idempotent */
    int (*sandbox_list)(Runtime *runtime, SandboxStatus **ret, size_t *ret_n); /* free each, then the array */
    int (*container_create)(Runtime *runtime, const char *sandbox_id, const ContainerSpec *spec, char **ret_id,
                            char **ret_error);
    int (*container_start)(Runtime *runtime, const char *id, char **ret_error);
    /* Sends the stop signal, waits up to the timeout, then SIGKILL. timeout 0: SIGKILL at once. */
    int (*container_stop)(Runtime *runtime, const char *id, uint64_t timeout_ns, char **ret_error);
    int (*container_remove)(Runtime *runtime, const char *id, char **ret_error);
    int (*container_status)(Runtime *runtime, const char *id, ContainerStatus *ret);
    int (*container_list)(Runtime *runtime, const char *sandbox_id, ContainerStatus **ret,
                          size_t *ret_n); /* NULL: all */
    int (*container_stats)(Runtime *runtime, const char *id, ContainerStats *ret);
    /* New resource limits for a running container (in-place resize); fields as in ContainerSpec, 0: leave. */
    int (*container_update)(Runtime *runtime, const char *id, const ContainerSpec *resources, char **ret_error);
    int (*exec)(Runtime *runtime, const char *id, const char *const *command, bool stdin_, bool stdout_, bool stderr_,
                bool tty, RuntimeIo *ret, char **ret_error);
    /* Runs to completion for probes and hooks; output cut at `limit`. -ETIMEDOUT. It is over when the command is, as
     * with CRI-O: what the command wrote is there, what it left running in the background goes on, with a pipe for
     * output that nobody reads (EPIPE). containerd waits until that is closed, for ever by default: a hook that starts
     * a daemon then keeps its pod from starting. */
    int (*exec_sync)(Runtime *runtime, const char *id, const char *const *command, uint64_t timeout_ns, size_t limit,
                     Buf *out, int *ret_exit_code, char **ret_error);
    int (*attach)(Runtime *runtime, const char *id, bool stdin_, bool stdout_, bool stderr_, RuntimeIo *ret,
                  char **ret_error);
    int (*reopen_log)(Runtime *runtime, const char *id); /* after rotation */
    /* fn is told of exits and starts on `loop`'s thread, also of those that happened while the agent was away. */
    int (*subscribe)(Runtime *runtime, Loop *loop,
                     void (*fn)(RuntimeEventType type, const char *sandbox_id, const char *container_id,
                                void *userdata),
                     void *userdata);
    /* fn is not called again; once the loop has ended, before it is freed, and when no other call is under way. */
    void (*unsubscribe)(Runtime *runtime);
    /* While on, calls that wait for a container or a command (container_stop, exec_sync) give up within half a second
     * with -ECANCELED: the agent ends, the containers stay. A stop signal that was sent stays sent. Any thread. */
    void (*interrupt)(Runtime *runtime, bool on);
    void (*free)(Runtime *runtime);
};
